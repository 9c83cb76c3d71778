//! Deterministic pseudo-random numbers.

use std::ops::Range;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): one multiplication chain, full period, no bad seeds.
///
/// Written here because its output is part of every golden file and must not change with a dependency.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Generator with the sequence of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Next number, all 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Upper 32 bits of the next number.
    pub fn word(&mut self) -> u32 {
        u32::try_from(self.bits() >> 32).unwrap_or_default()
    }

    /// Upper 16 bits of the next number.
    pub fn half(&mut self) -> u16 {
        u16::try_from(self.bits() >> 48).unwrap_or_default()
    }

    /// Number in `range`; the start of an empty range. The bias of the remainder is below 2^-32 here.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        let span = range.end.saturating_sub(range.start).max(1);
        range.start + self.bits() % span
    }

    /// Length or position in `range`, as [`Random::within`] draws it.
    pub fn length(&mut self, range: Range<usize>) -> usize {
        let span = u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(u64::MAX);
        range.start + usize::try_from(self.within(0..span)).unwrap_or_default()
    }

    /// Ephemeral port (the Linux default range).
    pub fn ephemeral_port(&mut self) -> u16 {
        u16::try_from(self.within(32_768..61_000)).unwrap_or(u16::MAX)
    }

    /// Returns true with a probability of `percent` in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    /// One of `choices`; `fallback` if there are none.
    pub fn pick<'c, T: ?Sized>(&mut self, choices: &[&'c T], fallback: &'c T) -> &'c T {
        choices.get(self.length(0..choices.len())).copied().unwrap_or(fallback)
    }

    /// `length` incompressible bytes, as in encrypted traffic.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.bits().to_be_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// `length` characters of the base32 alphabet `a-z2-7`.
    pub fn base32(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        (0..length)
            .map(|_| char::from(ALPHABET.get(self.length(0..ALPHABET.len())).copied().unwrap_or(b'a')))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference_implementation() {
        // First outputs of the reference implementation for seed 1234567 (prng.di.unimi.it/splitmix64.c).
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
        assert_eq!(random.bits(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(0);
        for _ in 0..1_000 {
            assert!((5..9).contains(&random.within(5..9)));
            assert!(random.ephemeral_port() >= 32_768);
        }
        assert_eq!(random.within(7..7), 7);
        assert_eq!((random.bytes(13).len(), random.base32(63).len()), (13, 63));
    }
}
