//! Digest of the name that a DNS message asks for, by which repetitions are found, and by which some are chosen when there are too many.
//!
//! Letters count alike in both cases. The hash has a key: nobody can make new data look repeated, or choose names that
//! are never read.

use sentinel_track::hash::HashKey;

use super::question::HEADER_LEN;

/// Digests remembered, a power of two: 2 bytes each. A new name looks repeated once in 32,768.
const SLOTS: usize = 1_024;
/// Bits that all letters have, and no length of a label; the next lower one tells the cases apart.
const LETTERS: u32 = 0x4040_4040;
/// Set in the flags of a response.
const RESPONSE_FLAG: u8 = 0x80;

/// Name on the wire of a query with one question and no answers, if it is not compressed.
#[inline]
pub(crate) fn queried_name(bytes: &[u8]) -> Option<&[u8]> {
    let ([_, _, flags, _, 0, 1, 0, 0, ..], names) = bytes.split_first_chunk::<HEADER_LEN>()? else {
        return None;
    };
    if flags & RESPONSE_FLAG != 0 {
        return None;
    }
    let mut end = 0;
    loop {
        let len = *names.get(end)?;
        end += usize::from(len) + 1;
        if len == 0 {
            return names.get(..end);
        }
        if len >= 64 {
            return None;
        }
    }
}

/// Last eight bytes of a name on the wire without the root, the last one highest; zero if it has fewer.
#[inline]
pub(crate) fn name_tail(name: &[u8]) -> u64 {
    name.last_chunk()
        .map_or(0, |[a, b, c, d, e, f, g, h, _]| u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
}

/// Digest of a name on the wire that one client asks for: NH over blocks of twelve bytes and the hash so far, which begins with the
/// length.
#[inline(never)]
pub(super) fn digest(key: &HashKey, client_hash: u32, name: &[u8]) -> u32 {
    let mut hash = client_hash ^ u32::try_from(name.len()).unwrap_or(0);
    let mut rest = name;
    while let Some((block, behind)) = rest.split_first_chunk() {
        hash = step(key, hash, block);
        rest = behind;
    }
    if rest.is_empty() {
        return hash;
    }
    // The last twelve bytes, which overlap those before: given the length they are all of the rest.
    if let Some(last) = name.last_chunk() {
        return step(key, hash, last);
    }
    let mut block = [0; 12];
    block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    step(key, hash, &block)
}

#[inline]
fn step(key: &HashKey, hash: u32, block: &[u8; 12]) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *block;
    let [first, second, third] = [[a, b, c, d], [e, f, g, h], [i, j, k, l]]
        .map(u32::from_le_bytes)
        .map(|word| word | (word & LETTERS) >> 1);
    key.hash32([first, second, third, hash])
}

/// Digests of the names asked for last, one for each value of their lowest bits. Whoever makes names up takes the place of others, which
/// then only cost what a new one does.
#[derive(Debug)]
pub(super) struct Recent {
    tags: [u16; SLOTS],
}

impl Default for Recent {
    fn default() -> Self {
        Self { tags: [0; SLOTS] }
    }
}

impl Recent {
    /// Returns true if the name repeats one, and remembers it otherwise.
    #[inline]
    pub(super) fn holds(&mut self, digest: u32) -> bool {
        let [high, low] = [digest >> 16, digest & 0xffff].map(|half| u16::try_from(half).unwrap_or(0));
        // Zero is the tag of an empty slot.
        let Some(slot) = self.tags.get_mut(usize::from(low) % SLOTS) else { return false };
        core::mem::replace(slot, high | 1) == high | 1
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use crate::testkit::dns;

    const KEY: HashKey = HashKey::new(3);

    #[test]
    fn every_byte_and_the_length_change_the_digest() {
        let mut hashes = BTreeSet::new();
        let mut count = 0;
        for len in 1..60 {
            let zeros: Vec<u8> = std::vec![0; len];
            hashes.insert(digest(&KEY, 9, &zeros));
            for position in 0..len {
                let mut bytes = zeros.clone();
                bytes[position] = 1;
                hashes.insert(digest(&KEY, 9, &bytes));
            }
            count += 1 + len;
        }
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn only_the_case_makes_no_difference() {
        let of = |name: &str| digest(&KEY, 9, queried_name(&dns(name, false)).unwrap());
        assert_eq!(of("www.example.com"), of("wWw.EXAMPLE.com"));
        assert_ne!(of("www.example.com"), of("wwv.example.com"));
        assert_ne!(of("a1"), of("aQ"), "a digit is no letter");
    }

    #[test]
    fn names_are_read_of_plain_queries_alone() {
        let query = dns("a.example", false);
        assert_eq!(queried_name(&query), Some(&b"\x01a\x07example\0"[..]));
        for (position, byte) in [(2, 0x81), (4, 1), (5, 0), (5, 2), (7, 1), (12, 64), (12, 0xc0)] {
            let mut other = query.clone();
            other[position] = byte;
            assert_eq!(queried_name(&other), None, "{position}");
        }
        for len in 0..23 {
            assert_eq!(queried_name(&query[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_repeated_name_is_known() {
        let mut recent = Recent::default();
        for digest in [0, 0xffff_ffff, 0x0004_0400] {
            assert!(!recent.holds(digest) && recent.holds(digest), "{digest:#x}");
        }
    }
}
