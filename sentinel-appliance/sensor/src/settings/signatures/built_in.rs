//! `config/signatures.json` of the time of building, packed by the compiler: the program has neither its text nor the work of reading it.

use sentinel_detect::{ABUSED_ZONE, SIGNATURES_HEADER, name_entry, signatures_header};

pub(super) const FILE: &[u8] = include_bytes!("../../../../../config/signatures.json");

/// Numbers of entries, and of bytes of the services.
const COUNTS: (usize, usize) = scan(FILE, &mut [], &mut []);
const ENTRIES: usize = COUNTS.0 * 8;

/// The lists, as the engine takes them.
pub(crate) static BUILT_IN: [u8; SIGNATURES_HEADER + ENTRIES + COUNTS.1] = packed();

/// Names, with what the list says of each.
pub(super) fn entries() -> impl Iterator<Item = u64> {
    let names = BUILT_IN.get(SIGNATURES_HEADER..).unwrap_or_default().as_chunks().0;
    names.iter().take(COUNTS.0).map(|entry| u64::from_le_bytes(*entry))
}

/// Services, as they are packed.
pub(super) fn services() -> &'static [u8] {
    BUILT_IN.get(SIGNATURES_HEADER + ENTRIES..).unwrap_or_default()
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs at compile time, where a wrong index does not compile, and a wrong number fails a test"
)]
const fn packed() -> [u8; SIGNATURES_HEADER + ENTRIES + COUNTS.1] {
    let mut entries = [0; COUNTS.0];
    let mut services = [0; COUNTS.1];
    scan(FILE, &mut entries, &mut services);
    sort(&mut entries);
    let mut out = [0; SIGNATURES_HEADER + ENTRIES + COUNTS.1];
    let (header, rest) = out.split_at_mut(SIGNATURES_HEADER);
    header.copy_from_slice(&signatures_header(COUNTS.0 as u32, 0, 0));
    let (names, behind) = rest.split_at_mut(ENTRIES);
    let mut index = 0;
    while index < entries.len() {
        let (_, place) = names.split_at_mut(index * 8);
        place.split_at_mut(8).0.copy_from_slice(&entries[index].to_le_bytes());
        index += 1;
    }
    behind.copy_from_slice(&services);
    out
}

/// Insertion sort.
#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a wrong index does not compile")]
const fn sort(entries: &mut [u64]) {
    let mut sorted = 0;
    while sorted < entries.len() {
        let mut at = sorted;
        while at > 0 && entries[at] < entries[at - 1] {
            entries.swap(at, at - 1);
            at -= 1;
        }
        sorted += 1;
    }
}

/// Collects the entries of the names and the services in the file, as far as there is room; gives their numbers. By their depth in the document,
/// texts are: 1 its members; 2 zones; 3 members of a service and their values; 4 domains of the service before. No text has an escape.
#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a wrong index does not compile")]
const fn scan(file: &[u8], entries: &mut [u64], services: &mut [u8]) -> (usize, usize) {
    let (mut at, mut depth) = (0, 0);
    let (mut names, mut len, mut number) = (0, 0, 0);
    // Length of the name of the member of the document, by which the three differ, and first letter of that of the member of the service.
    let (mut list, mut field) = (0, 0);
    while at < file.len() {
        match file[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let text = text_at(file, at + 1);
                at += text.len() + 1;
                let is_name = file[at + 1] == b':';
                match (depth, list, field) {
                    (1, _, _) => list = text.len(),
                    (3, CHAT | CLOUD, _) if is_name => field = text[0],
                    (3, CHAT | CLOUD, b'n') => {
                        len = add_service(services, len, list == CLOUD, text);
                        number += 1;
                    }
                    (2, ZONES, _) | (4, CHAT | CLOUD, _) => {
                        if names < entries.len() {
                            entries[names] =
                                name_entry(text, if depth == 2 { ABUSED_ZONE } else { number - 1 });
                        }
                        names += 1;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    (names, len)
}

/// Lengths of the names of the members that are read.
const CHAT: usize = "chat".len();
const CLOUD: usize = "cloud".len();
const ZONES: usize = "suspicious_tlds".len();

/// The text that begins at `at`, up to the quotation mark.
#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a wrong index does not compile")]
const fn text_at(file: &[u8], at: usize) -> &[u8] {
    let (_, rest) = file.split_at(at);
    let mut len = 0;
    while rest[len] != b'"' {
        len += 1;
    }
    rest.split_at(len).0
}

/// Appends a service behind the `len` bytes that are written, as far as there is room; gives the bytes then.
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs at compile time, where a wrong index does not compile, and a wrong number fails a test"
)]
const fn add_service(services: &mut [u8], len: usize, is_storage: bool, name: &[u8]) -> usize {
    if len < services.len() {
        services[len] = is_storage as u8;
        services[len + 1] = name.len() as u8;
        services.split_at_mut(len + 2).1.split_at_mut(name.len()).0.copy_from_slice(name);
    }
    len + 2 + name.len()
}
