//! Estimated information in DNS names and records that were not seen before.
//!
//! A name is a path in a tree that begins at its registered domain. A label counts if no earlier name had the same path up to it:
//! `a.b.example` after `b.example` counts `a` only, and a name that is repeated, in whatever case, counts nothing. So cached names
//! cost nothing, and data cannot hide in combinations of short labels. Paths seen are kept in a Bloom filter of the entry.
//!
//! Bits for each character: by the narrowest alphabet that holds the label (digits 10/3, hexadecimal 4, letters and digits 5, other
//! bytes 7; RFC 4648 for the encodings). A label that reads like words, vowels in a third of its letters, counts 2: English has
//! about 1.5 (Shannon, 1951), and names are shorter than sentences.

use sentinel_dissect::dns::{Message, Name, Record, RecordData, RecordType};
use sentinel_track::hash::HashKey;

/// Lengths of labels that may count as words. Data is longer, or carries little; a single letter is no word.
const WORD_LENGTHS: core::ops::RangeInclusive<usize> = 4..=20;
/// Information in an address whose network is new to the domain, and in one of a known network. Content networks
/// rotate addresses of a few networks.
const ADDRESS_BITS: (u32, u32) = (24, 8);
const ADDRESS_V6_BITS: (u32, u32) = (96, 32);
/// Most information that one message counts in its records, so that a single long text (keys of mail servers) is no tunnel.
const MAX_RECORD_BITS: u32 = 250 * 8;
/// Records read of one message.
const MAX_RECORDS: usize = 64;

/// Types of records that go with the answer whatever was asked: signatures and proofs (RFC 4034, RFC 5155), extensions.
const ACCOMPANYING: [RecordType; 7] = [
    RecordType::NS,
    RecordType::SOA,
    RecordType::OPT,
    RecordType(46),
    RecordType(47),
    RecordType(50),
    RecordType(43),
];

/// Bits of the filter, 128 bytes.
const FILTER_BITS: u32 = 1_024;
/// Paths after which the filter is emptied: half of its bits are set then, and one new path in four looks known.
const MAX_PATHS: u16 = 350;

/// Bloom filter with two hash functions (Bloom, 1970).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paths {
    words: [u32; 32],
    count: u16,
}

const _: () = assert!(FILTER_BITS == 32 * 32, "ten bits of a hash select a bit");

impl Paths {
    pub(crate) const fn clear(&mut self) {
        *self = Self { words: [0; 32], count: 0 };
    }

    /// Adds a path; returns true if it was certainly not in the filter.
    fn insert(&mut self, hash: u32) -> bool {
        if self.count >= MAX_PATHS {
            self.clear();
        }
        let is_new = self.set(hash) | self.set(hash >> 10);
        self.count += u16::from(is_new);
        is_new
    }

    fn set(&mut self, hash: u32) -> bool {
        let bit = hash % FILTER_BITS;
        let Some(word) = usize::try_from(bit / 32).ok().and_then(|index| self.words.get_mut(index)) else {
            return false;
        };
        let mask = 1 << (bit % 32);
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    }
}

/// Keyed hash of labels in lower case: NH over eight bytes at a time, from label to label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathHash<'k> {
    key: &'k HashKey,
}

/// Stands for the length of a label in the hash of eight bytes that are not its last.
const CONTINUED: u32 = u32::MAX;

impl<'k> PathHash<'k> {
    #[inline]
    pub(crate) const fn new(key: &'k HashKey) -> Self {
        Self { key }
    }

    /// Extends the hash of a path by a label.
    #[inline] // for every label of every message
    pub(crate) fn with(&self, mut path: u32, label: &[u8]) -> u32 {
        let mut rest = label;
        while let Some((chunk, behind)) = rest.split_first_chunk()
            && !behind.is_empty()
        {
            path = self.word(path, u64::from_le_bytes(*chunk), CONTINUED);
            rest = behind;
        }
        // At most eight bytes: the first and the last four, which may overlap, are all of them, given the length.
        let word = match (rest.first_chunk(), rest.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            // Not a loop, which would be unrolled for longer labels.
            _ => match *rest {
                [a] => a.into(),
                [a, b] => u16::from_be_bytes([a, b]).into(),
                [a, b, c] => u32::from_be_bytes([0, a, b, c]).into(),
                _ => 0,
            },
        };
        self.word(path, word, u32::try_from(label.len()).unwrap_or(CONTINUED))
    }

    #[inline]
    #[expect(clippy::as_conversions, reason = "the two halves of 64 bits")]
    fn word(&self, path: u32, word: u64, len: u32) -> u32 {
        let word = lower(word);
        self.key.hash32([word as u32, (word >> 32) as u32, path, len])
    }

    /// Hash of a registered domain, `domain` most specific first; never zero.
    #[inline]
    pub(crate) fn domain(&self, domain: &[&[u8]]) -> u32 {
        domain.iter().rev().fold(0, |path, label| self.with(path, label)).max(1)
    }

    /// Bits in the new labels of a path; `labels` most specific first. `root` is the hash of the path's beginning.
    pub(crate) fn name_bits(&self, root: u32, labels: &[&[u8]], paths: &mut Paths) -> u32 {
        let (mut path, mut bits) = (root, 0);
        for label in labels.iter().rev() {
            path = self.with(path, label);
            if paths.insert(path) {
                bits += label_bits(label);
            }
        }
        bits
    }

    /// Bits in the records that are new to the domain. `asked` is the type of the question, which ends at `start`.
    pub(crate) fn record_bits(
        &self,
        root: u32,
        (message, bytes, start): (&Message<'_>, &[u8], usize),
        asked: RecordType,
        paths: &mut Paths,
    ) -> u32 {
        let (mut bits, mut read) = (0_u32, 0);
        let mut rest = bytes.get(start..).unwrap_or_default();
        let total = message.record_count().min(MAX_RECORDS);
        // Addresses with a compressed owner, which most responses consist of, need no walk over names. Behind a second question the
        // records would begin elsewhere.
        while read < total
            && message.question_count() == 1
            && let Some((address, behind)) = split_address(rest)
        {
            bits += self.address_bits(root, address, paths);
            (rest, read) = (behind, read + 1);
        }
        if read < total {
            for record in message.records().map_while(Result::ok).take(total).skip(read) {
                let kind = record.record_type;
                if kind == asked || !ACCOMPANYING.contains(&kind) {
                    bits = bits.saturating_add(self.data_bits(root, &record, paths));
                }
            }
        }
        bits.min(MAX_RECORD_BITS)
    }

    fn data_bits(&self, root: u32, record: &Record<'_>, paths: &mut Paths) -> u32 {
        let name = match record.data() {
            Ok(RecordData::A(_)) => return self.address_bits(root, record.bytes, paths),
            Ok(RecordData::Aaaa(_)) => {
                return self.address_bits(root, record.bytes, paths);
            }
            Ok(RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name)) => Some(name),
            Ok(RecordData::Mx { exchange: name, .. } | RecordData::Srv { target: name, .. }) => Some(name),
            _ => None,
        };
        if let Some(name) = name {
            let mut labels = super::suffix::Labels::new();
            labels_of(&name, &mut labels);
            return self.name_bits(root, &labels, paths);
        }
        if !paths.insert(self.with(root, record.bytes)) {
            return 0;
        }
        let len = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX);
        // Text is encoded, at most 6 bits a character (RFC 4648); of bindings the greatest part are keys that neighbours share.
        len.saturating_mul(match record.record_type {
            RecordType::TXT => 5,
            RecordType::HTTPS | RecordType::SVCB => 2,
            _ => 8,
        })
    }

    fn address_bits(&self, root: u32, address: &[u8], paths: &mut Paths) -> u32 {
        let (network, host, (new, known)) = if let [a, b, c, d] = *address {
            let network = self.key.with(root, u32::from_be_bytes([0, 0, a, b]));
            (network, self.key.with(network, u32::from_be_bytes([a, b, c, d])), ADDRESS_BITS)
        } else {
            let network = self.with(root, address.get(..4).unwrap_or_default());
            (network, self.with(network, address), ADDRESS_V6_BITS)
        };
        let is_new_network = paths.insert(network);
        if !paths.insert(host) {
            return 0;
        }
        if is_new_network { new } else { known }
    }
}

/// Returns true if the records, which begin at `start`, begin with an address of the loopback network: lists of senders and
/// scanners of files say what they know about a name with such (RFC 5782 section 2.1).
#[inline]
pub(crate) fn is_verdict(bytes: &[u8], start: usize) -> bool {
    bytes.get(start..).and_then(split_address).is_some_and(|(address, _)| matches!(address, [127, _, _, _]))
}

/// Address of a record of type A or AAAA and class Internet whose owner's name is compressed, and the bytes behind it.
#[inline]
fn split_address(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // Pointer, type, class, time to live and length.
    let ([high, _, kind @ .., _, _, _, _, len_high, len], data) = bytes.split_first_chunk::<12>()?;
    let fits = match kind {
        [0, 1, 0, 1] => *len == 4,
        [0, 28, 0, 1] => *len == 16,
        _ => false,
    };
    if *high < 0xc0 || *len_high != 0 || !fits {
        return None;
    }
    data.split_at_checked(usize::from(*len))
}

/// Fills `labels` with those of a name, most specific first. Not returned: a copy of the list takes more than all else.
pub(crate) fn labels_of<'n>(name: &Name<'n>, labels: &mut super::suffix::Labels<'n>) {
    for label in name.labels() {
        let _fits_in_every_name = labels.push(label);
    }
}

/// Eight bytes with ASCII letters in lower case.
#[inline]
const fn lower(word: u64) -> u64 {
    let low = word & 0x7f7f_7f7f_7f7f_7f7f;
    // The top bit of each byte: set from `A`, and from the one behind `Z`.
    let from_a = low + 0x3f3f_3f3f_3f3f_3f3f;
    let behind_z = low + 0x2525_2525_2525_2525;
    word | (from_a & !behind_z & !word & 0x8080_8080_8080_8080) >> 2
}

/// For each byte of ASCII, a count of one in each byte: digits, letters, vowels, hexadecimal digits, from the lowest.
const CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut byte = 0_u8;
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "a constant expression: wrong means no build"
    )]
    while byte < 128 {
        let vowel = matches!(byte | 0x20, b'a' | b'e' | b'i' | b'o' | b'u');
        classes[byte as usize] = byte.is_ascii_digit() as u8
            | (byte.is_ascii_alphabetic() as u8) << 1
            | (vowel as u8) << 2
            | (byte.is_ascii_hexdigit() as u8) << 3;
        byte += 1;
    }
    classes
};

/// Estimated bits of information in a label.
pub(crate) fn label_bits(label: &[u8]) -> u32 {
    let (mut counts, mut union) = (0_u32, 0);
    for &byte in label {
        let class = CLASSES.get(usize::from(byte)).map_or(0, |class| u32::from(*class));
        // Each of the four bits to a byte of its own; a label has at most 63 bytes.
        counts = counts.wrapping_add(class.wrapping_mul(0x0020_4081) & 0x0101_0101);
        union |= byte;
    }
    let [digits, letters, vowels, hexadecimal] = counts.to_le_bytes().map(u32::from);
    let len = u32::try_from(label.len()).unwrap_or(u32::MAX);
    if digits == len {
        len * 10 / 3
    } else if WORD_LENGTHS.contains(&label.len())
        && vowels * 10 >= letters * 3
        && letters > 0
        && digits * 4 <= len
    {
        len * 2
    } else if hexadecimal == len {
        len * 4
    } else if union.is_ascii() {
        len * 5
    } else {
        len * 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_counts_by_its_alphabet() {
        for (label, bits) in [
            (&b"images"[..], 12),
            (b"123456", 20),
            (b"deadbeef0123", 48),
            (b"mzxw6ytboi4dqmzr", 80),
            (b"\xe1\xe2\xe3z", 28),
            (b"", 0),
        ] {
            assert_eq!(label_bits(label), bits, "{label:?}");
        }
    }

    #[test]
    fn only_new_paths_count_in_any_case() {
        let key = HashKey::new(7);
        let (hash, mut paths) = (PathHash::new(&key), Paths::default());
        let mut bits = |labels: &[&[u8]]| hash.name_bits(1, labels, &mut paths);
        assert_eq!(bits(&[b"images", b"www"]), 12 + 15);
        assert_eq!(bits(&[b"IMAGES", b"Www"]), 0);
        assert_eq!(bits(&[b"images"]), 12, "another path");
        assert_eq!(bits(&[b"a", b"www"]), 4, "the path to it is known");
    }

    #[test]
    fn combinations_of_short_labels_count() {
        let key = HashKey::new(7);
        let (hash, mut paths) = (PathHash::new(&key), Paths::default());
        let letters: [&[u8]; 4] = [b"b", b"c", b"d", b"f"];
        let mut bits = 0;
        for (a, b, c) in (0..64).map(|number| (number & 3, number >> 2 & 3, number >> 4)) {
            bits += hash.name_bits(1, &[letters[a], letters[b], letters[c]], &mut paths);
        }
        // 84 nodes of 4 bits (hexadecimal letters); a few collide.
        assert!((320..=336).contains(&bits), "{bits}");
    }

    #[test]
    fn letters_alone_are_put_into_lower_case() {
        for byte in 0..=u8::MAX {
            let expected = u64::from_ne_bytes([byte.to_ascii_lowercase(); 8]);
            assert_eq!(lower(u64::from_ne_bytes([byte; 8])), expected, "{byte:#x}");
        }
    }

    #[test]
    fn every_byte_of_a_label_changes_the_path() {
        let key = HashKey::new(7);
        let hash = PathHash::new(&key);
        for len in 1..=63 {
            let label = &mut [b'x'; 63][..len];
            let before = hash.with(1, label);
            for position in 0..len {
                label[position] = b'y';
                assert_ne!(hash.with(1, label), before, "{position} of {len}");
                label[position] = b'x';
            }
            assert_ne!(hash.with(1, &label[1..]), before);
        }
    }

    #[test]
    fn only_whole_addresses_with_a_compressed_owner_are_split_off() {
        let record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01rest";
        assert_eq!(split_address(record), Some((&[192, 0, 2, 1][..], &b"rest"[..])));
        assert_eq!(split_address(&record[..15]), None);
        for (position, byte) in [(0, 0x0c), (3, 16), (3, 28), (5, 3), (10, 1), (11, 5)] {
            let mut other = *record;
            other[position] = byte;
            assert_eq!(split_address(&other), None, "{position}");
        }
    }

    #[test]
    fn a_full_filter_is_emptied() {
        let mut paths = Paths::default();
        let hash = |number: u32| (number + 1).wrapping_mul(0x9e37_79b1);
        let new = (0..5_000).filter(|number| paths.insert(hash(*number))).count();
        assert!(new > 4_000, "{new}");
        assert!(paths.count <= MAX_PATHS);
    }
}
