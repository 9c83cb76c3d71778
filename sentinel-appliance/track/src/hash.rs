//! NH universal hash family with multiply-shift finish: keyed hashing of addresses and ports.
//!
//! Read first: "UMAC: Fast and Secure Message Authentication" (Black, Halevi, Krawczyk, Krovetz, Rogaway, 1999), section 4
//! (the universal hash family NH); RFC 4418 section 5.2.2 (NH as UMAC uses it); "A Reliable Randomized Algorithm for the
//! Closest-Pair Problem" (Dietzfelbinger, Hagerup, Katajainen, Penttonen, 1997), section 2 (multiply-shift).
//!
//! NH over 32-bit words costs one 32x32-bit multiplication for two words, which small CPUs have in hardware, and none of the
//! rounds of a cipher. Two different inputs of one length collide with a probability of at most 2^-32 over the choice of the
//! key, so a sender that does not know the key cannot aim packets at one set of a table. NH alone is no message
//! authentication code: hashes never leave the process.

use sentinel_units::Address;

/// Words of the longest input: two IPv6 addresses (8), both ports (1), protocol (1).
const MAX_WORDS: usize = 10;

/// Hash key of one run: random for live capture, fixed for files so that runs are reproducible.
#[derive(Clone)]
pub struct HashKey {
    words: [u32; MAX_WORDS],
    /// Odd multiplier (multiply-shift) that spreads the NH sum over the bits that select a set.
    multiplier: u64,
}

impl HashKey {
    /// Expands 64 bits, which should come from a random generator, to a key with `SplitMix64`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut words = [0; MAX_WORDS];
        let mut index = 0;
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "bounded by the loop; cut to 32 bits"
        )]
        while index < MAX_WORDS {
            state = state.wrapping_add(STEP);
            words[index] = (mix(state) >> 32) as u32;
            index += 1;
        }
        Self { words, multiplier: mix(state.wrapping_add(STEP)) | 1 }
    }

    /// Hashes an even number of words, at most ten, to 32 bits.
    // The number of words is part of the type so that the loop unrolls in the caller, which needs `inline`.
    #[inline]
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the upper half of 64 bits fits 32")]
    pub fn hash32<const N: usize>(&self, input: [u32; N]) -> u32 {
        (self.hash64(input) >> 32) as u32
    }

    /// Hashes an even number of words, at most ten, to 64 bits: the upper half selects a set, the lower half confirms a match.
    #[inline] // unrolled by the number of words, like `hash32`
    #[must_use]
    pub fn hash64<const N: usize>(&self, input: [u32; N]) -> u64 {
        const {
            assert!(
                N.is_multiple_of(2) && N <= MAX_WORDS,
                "NH takes pairs of words, as many as there are keys"
            );
        };
        // NH: sum over pairs of ((a + ka) mod 2^32) * ((b + kb) mod 2^32), mod 2^64.
        let mut sum = 0_u64;
        for (pair, key) in input.as_chunks::<2>().0.iter().zip(self.words.as_chunks::<2>().0) {
            let [[a, b], [ka, kb]] = [*pair, *key];
            let product = u64::from(a.wrapping_add(ka)) * u64::from(b.wrapping_add(kb));
            sum = sum.wrapping_add(product);
        }
        // The low bits of a sum of products are poor; an odd multiplier carries all of them into the upper half.
        sum.wrapping_mul(self.multiplier)
    }

    /// Hashes one address; IPv4 from its 32 bits alone.
    #[inline] // once per packet: lets the caller skip the branch of the family it has ruled out
    #[must_use]
    pub fn address(&self, address: Address) -> u32 {
        let words = address.words();
        let [.., last] = words;
        if address.is_v4() { self.hash32([last, 0]) } else { self.hash32(words) }
    }

    /// Extends `hash` by another word (a port, a second hash).
    #[inline] // one multiplication
    #[must_use]
    pub fn with(&self, hash: u32, word: u32) -> u32 {
        self.hash32([hash, word])
    }
}

/// Shows no bit of the key.
impl core::fmt::Debug for HashKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("HashKey(..)")
    }
}

/// Increment of `SplitMix64` (Steele, Lea, Flood, 2014), which expands the seed to the key.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Finaliser of `SplitMix64`.
const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_expanded_by_splitmix64() {
        // First outputs of SplitMix64 with seed 1234567, as its reference implementation prints them.
        let outputs = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        let key = HashKey::new(1_234_567);
        for (word, output) in key.words.iter().zip(outputs) {
            assert_eq!(u64::from(*word), output >> 32);
        }
    }

    #[test]
    fn hashes_match_the_definition_of_nh() {
        let key = HashKey { words: [1, 2, 3, 4, 0, 0, 0, 0, 0, 0], multiplier: 1 << 32 | 1 };
        // (5 + 1) * (6 + 2) + (7 + 3) * (8 + 4) = 168; times 2^32 + 1, upper half.
        assert_eq!(key.hash32([5, 6, 7, 8]), 168);
        // Sums of words wrap at 32 bits: (u32::MAX + 1) * x = 0.
        assert_eq!(key.hash32([u32::MAX, 77]), 0);
    }

    #[test]
    fn different_keys_give_different_hashes() {
        let address = Address::v4(0x0a00_0001);
        let (one, two) = (HashKey::new(1), HashKey::new(2));
        assert_ne!(one.address(address), two.address(address));
        assert_eq!(one.address(address), HashKey::new(1).address(address));
    }

    fn assert_even_sets(hash: impl Fn(u32) -> u32) {
        let mut sets = [0_u32; 64];
        for number in 0..6_400 {
            sets[usize::try_from(hash(number) % 64).unwrap()] += 1;
        }
        assert!(sets.iter().all(|count| (50..150).contains(count)), "{sets:?}");
    }

    #[test]
    fn adjacent_addresses_and_ports_fill_sets_evenly() {
        for seed in 0..16 {
            let key = HashKey::new(seed);
            assert_even_sets(|number| key.address(Address::v4(0x0a00_0000 | number)));
            assert_even_sets(|number| key.address(Address::v6([0x2001_0db8, 0, 0, number])));
            assert_even_sets(|number| key.address(Address::v6([0x2001_0db8, number, 0, 1])));
            // Flows of one client to one server, by the client's port; then by address and port at once.
            assert_even_sets(|number| key.hash32([0x0a00_0001, 0x0a00_0002, number << 16 | 443, 6]));
            assert_even_sets(|number| {
                key.hash32([0x0a00_0000 | number >> 6, 7, (number & 63) << 16 | 443, 6])
            });
        }
    }
}
