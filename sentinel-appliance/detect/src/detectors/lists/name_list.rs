//! List of domain names: those of the list and all names below them, behind a Bloom filter over the ends of names.
//!
//! Read first: RFC 1035 section 3.1. An entry is eight bytes: 40 bits of a hash of the name, the key of the filter, and what the list says of
//! it. The name itself is not kept: of a list of 1,000 names one name in a thousand million is taken for a listed one. The hash has no key, so
//! that lists are packed once; who makes up a name of the same hash has gained no more than by asking for the listed one.

use core::ops::ControlFlow;

/// Longest name of a list, in characters: no name of the DNS is longer.
pub const MAX_NAME: usize = 253;
/// Labels of a listed name at most. So many ends of a name are looked up.
pub const MAX_NAME_LABELS: usize = 10;
/// Bytes of a packed entry.
pub(crate) const ENTRY: usize = 8;
/// Bits of an entry that are its hash.
const HASH: u64 = !0 << 24;
/// Bits of the filter for each entry, and all bits at most: those that the key of an entry chooses from.
const FILTER_BITS_PER_ENTRY: usize = 96;
const MAX_FILTER_LOG: u32 = 16;
const MIN_FILTER_LOG: u32 = 8;

/// Entry for a name in lower case, without the final dot, of which the list says `value`. Lists are sorted by it.
#[must_use]
pub const fn name_entry(name: &[u8], value: u8) -> u64 {
    let mut hash = HASH_START;
    // The end of the name as DNS messages have it: the length of a label stands where the text has a dot before it.
    let (mut tail, mut wire, mut label) = (0, 0, 0);
    let mut rest = name;
    while let [before @ .., byte] = rest {
        hash = hash_step(hash, *byte);
        label = if *byte == b'.' { 0 } else { label + 1 };
        let is_start = matches!(before, [] | [.., b'.']);
        if *byte != b'.' {
            (tail, wire) = (push_front(tail, wire, *byte), wire + 1);
            if is_start {
                (tail, wire) = (push_front(tail, wire, label), wire + 1);
            }
        }
        rest = before;
    }
    let [seven, three] = TAILS;
    let mask = if wire < 7 { three } else { seven };
    #[expect(clippy::as_conversions, reason = "widening; From is not const")]
    let entry = finished(hash) & HASH | (filter_key(tail & mask) as u64) << 8 | value as u64;
    entry
}

/// Puts the byte before the `wire` last ones of a name, as far as eight are kept, the last one highest.
const fn push_front(tail: u64, wire: u32, byte: u8) -> u64 {
    #[expect(clippy::as_conversions, reason = "widening; From is not const")]
    if wire < 8 { tail | ((byte | 0x20) as u64) << (56 - wire * 8) } else { tail }
}

/// Ends of these lengths are in the filter, seven and three bytes: of a name with the length of its first label in front the longest
/// that is not longer. Each costs a query a look at the filter.
const TAILS: [u64; 2] = [!0 << 8, !0 << 40];
/// Makes letters of both cases alike. Other bytes may become equal too, which a filter bears.
const LOWER: u64 = 0x2020_2020_2020_2020;

/// The golden ratio: the upper bits of a product with it depend on all of a tail. Nothing but the cost depends on the choice; no common top-level
/// domain meets a listed one in the filter of the lists that are built in, which a test of the program says.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
#[expect(clippy::as_conversions, reason = "the upper 16 of 64 bits; From is not const")]
const fn filter_key(tail: u64) -> u16 {
    (tail.wrapping_mul(MULTIPLIER) >> 48) as u16
}

/// FNV-1a of 64 bits from the last byte to the first, so that one pass gives the hash of every end of a name.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

#[inline]
const fn hash_step(hash: u64, byte: u8) -> u64 {
    #[expect(clippy::as_conversions, reason = "widening; From is not const")]
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The upper bits of a short text are alike without this.
const fn finished(hash: u64) -> u64 {
    (hash ^ hash >> 32).wrapping_mul(MULTIPLIER)
}

/// Bytes of the filter of so many names.
#[must_use]
pub(crate) const fn filter_len(names: usize) -> usize {
    if names == 0 {
        return 0;
    }
    let log = (names * FILTER_BITS_PER_ENTRY).ilog2();
    let log = if log > MAX_FILTER_LOG { MAX_FILTER_LOG } else { log };
    1 << if log < MIN_FILTER_LOG { MIN_FILTER_LOG - 3 } else { log - 3 }
}

/// Sets the bits of the entries in `filter`, which has [`filter_len`] bytes.
pub(crate) fn fill_filter(filter: &mut [u8], entries: &[u8]) {
    filter.fill(0);
    let shift = filter_shift(filter.len());
    for entry in entries.as_chunks::<ENTRY>().0 {
        let [_, low, high, ..] = *entry;
        let bit = usize::from(u16::from_le_bytes([low, high]) >> shift);
        if let Some(byte) = filter.get_mut(bit / 8) {
            *byte |= 1 << (bit % 8);
        }
    }
}

/// Bits of a key that a filter of so many bytes does not use.
pub(crate) const fn filter_shift(filter_len: usize) -> u32 {
    match filter_len.checked_ilog2() {
        Some(log) => (MAX_FILTER_LOG - 3).saturating_sub(log),
        None => 0,
    }
}

/// Returns false if no end of a name is listed whose last eight bytes in a message are these, the last one highest.
#[inline]
pub(crate) fn may_contain(filter: &[u8], shift: u32, tail: u64) -> bool {
    let tail = tail | LOWER;
    TAILS.iter().any(|mask| {
        let bit = usize::from(filter_key(tail & mask) >> shift);
        filter.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 != 0)
    })
}

/// Calls `visit` with each entry that a name is or lies below, of which these are the labels, the most general entry first.
pub(crate) fn find(
    entries: &[u8],
    labels: &[&[u8]],
    visit: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let entries = entries.as_chunks::<ENTRY>().0;
    let mut hash = HASH_START;
    for label in labels.iter().rev().take(MAX_NAME_LABELS) {
        hash = label.iter().rev().fold(hash, |hash, byte| hash_step(hash, byte.to_ascii_lowercase()));
        let wanted = finished(hash) & HASH;
        let first = entries.partition_point(|entry| u64::from_le_bytes(*entry) < wanted);
        let same = entries.get(first..).unwrap_or_default().iter().map(|entry| u64::from_le_bytes(*entry));
        for entry in same.take_while(|entry| entry & HASH == wanted) {
            visit(entry)?;
        }
        hash = hash_step(hash, b'.');
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    const NAMES: &[(&str, u8)] = &[
        ("dropbox.com", 1),
        ("box.com", 2),
        ("t.me", 3),
        ("me.com", 4),
        ("xyz", 5),
        ("tk", 6),
        ("drive.google.com", 7),
        ("evil.xyz", 8),
        ("tg.dev", 9),
    ];

    fn entries(names: &[(&str, u8)]) -> Vec<u8> {
        let mut entries: Vec<_> =
            names.iter().map(|(name, value)| name_entry(name.as_bytes(), *value)).collect();
        entries.sort_unstable();
        entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
    }

    /// Last eight bytes of a name in a message, behind the header, whose last two bytes count additional records.
    fn tail(name: &str) -> u64 {
        let mut wire = vec![0; 8];
        for label in name.split('.') {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(label.as_bytes());
        }
        u64::from_le_bytes(*wire.last_chunk().unwrap())
    }

    fn found(list: &[u8], name: &str) -> Vec<u8> {
        let mut found = Vec::new();
        let labels: Vec<_> = name.split('.').map(str::as_bytes).collect();
        let _never_broken = find(list, &labels, &mut |entry| {
            found.push(entry.to_le_bytes()[0]);
            ControlFlow::Continue(())
        });
        let mut filter = vec![0; filter_len(list.len() / ENTRY)];
        fill_filter(&mut filter, list);
        for form in [name.to_string(), name.to_uppercase()] {
            let may = may_contain(&filter, filter_shift(filter.len()), tail(&form));
            assert!(may || found.is_empty(), "{name}: the filter hides it");
        }
        found
    }

    #[test]
    fn a_name_matches_at_borders_of_labels_only() {
        let list = entries(NAMES);
        for (name, expected) in [
            ("dropbox.com", &[1][..]),
            ("www.dropbox.com", &[1]),
            ("notdropbox.com", &[]),
            ("dropbox.com.evil.example", &[]),
            ("mailbox.com", &[]),
            ("box.com", &[2]),
            ("a.b.box.com", &[2]),
            ("t.me", &[3]),
            ("at.me", &[]),
            ("me.com", &[4]),
            ("home.com", &[]),
            ("a.xyz", &[5]),
            ("xyz", &[5]),
            ("axyz", &[]),
            ("xyz.com", &[]),
            ("www.evil.xyz", &[5, 8]),
            ("x.tk", &[6]),
            ("google.com", &[]),
            ("docs.drive.google.com", &[7]),
            ("tg.dev", &[9]),
            ("x.tg.dev", &[9]),
            ("", &[]),
        ] {
            assert_eq!(found(&list, name), expected, "{name}");
        }
        let deep = "a.".repeat(120) + "dropbox.com";
        assert_eq!(found(&list, &deep), [1]);
    }

    #[test]
    fn the_filter_keeps_most_other_names_away() {
        let names: Vec<_> = (0..300).map(|number| std::format!("listed{number}.example")).collect();
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let list = entries(&names);
        let mut filter = vec![0; filter_len(names.len())];
        assert_eq!(filter.len(), 2_048);
        fill_filter(&mut filter, &list);
        let shift = filter_shift(filter.len());
        let other = |number: u32| std::format!("w{}.org", number.wrapping_mul(0x9e37_79b9) % 1_000_000);
        let passed = (0..10_000).filter(|number| may_contain(&filter, shift, tail(&other(*number)))).count();
        assert!(passed < 500, "{passed}");
    }

    #[test]
    fn no_two_names_of_a_large_list_share_an_entry() {
        let mut entries: Vec<_> = (0..20_000)
            .map(|number| name_entry(std::format!("{number:x}.test").as_bytes(), 0) & HASH)
            .collect();
        entries.sort_unstable();
        entries.dedup();
        assert_eq!(entries.len(), 20_000);
    }

    /// Memory is not hostile, but nothing may panic whatever it holds.
    #[test]
    fn any_bytes_are_a_list() {
        let list = entries(NAMES);
        for len in 0..list.len() {
            found(&list[..len], "zz");
            let mut wrong = list.clone();
            wrong[len] ^= 0xff;
            let _ = find(&wrong, &[b"www", b"dropbox", b"com"], &mut |_| ControlFlow::Continue(()));
        }
        assert!(!may_contain(&[], 0, 0));
    }
}
