//! Keyed hashing of addresses and ports.
//!
//! Read first: "SipHash: a fast short-input PRF" (Aumasson, Bernstein, 2012) and the HalfSipHash variant
//! of its authors: the same construction on 32-bit words, for CPUs without 64-bit arithmetic. One
//! compression and three finalisation rounds, as in hash tables of the Linux kernel.
//!
//! Without the key nobody can choose addresses that fall into the same set of a table.

use sentinel_units::Address;

/// The secret of this run. Random when live, fixed when reading files so that runs repeat.
#[derive(Clone, Copy)]
pub struct HashKey {
    k0: u32,
    k1: u32,
}

impl HashKey {
    /// A key from 64 bits, best of a random generator.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = seed.to_le_bytes();
        Self { k0: u32::from_le_bytes([a, b, c, d]), k1: u32::from_le_bytes([e, f, g, h]) }
    }

    /// HalfSipHash-1-3 of whole words.
    #[inline]
    #[must_use]
    pub fn words(self, words: &[u32]) -> u32 {
        let mut state =
            State { v0: self.k0, v1: self.k1, v2: 0x6c79_6765 ^ self.k0, v3: 0x7465_6462 ^ self.k1 };
        let mut length = 0_u32;
        for word in words {
            state.absorb(*word);
            length = length.wrapping_add(4);
        }
        state.absorb(length << 24);
        state.v2 ^= 0xff;
        state.round();
        state.round();
        state.round();
        state.v1 ^ state.v3
    }

    /// Hash of one address. IPv4 takes one word, IPv6 four.
    #[inline]
    #[must_use]
    pub fn address(self, address: Address) -> u32 {
        let words = address.words();
        let [.., last] = words;
        if address.is_v4() { self.words(&[last]) } else { self.words(&words) }
    }

    /// Hash of something already hashed together with another word (a port, a second hash).
    #[inline]
    #[must_use]
    pub fn with(self, hash: u32, word: u32) -> u32 {
        self.words(&[hash, word])
    }
}

impl core::fmt::Debug for HashKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("HashKey(..)")
    }
}

struct State {
    v0: u32,
    v1: u32,
    v2: u32,
    v3: u32,
}

impl State {
    #[inline]
    fn absorb(&mut self, word: u32) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(5) ^ self.v0;
        self.v0 = self.v0.rotate_left(16);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(8) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(7) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v2;
        self.v2 = self.v2.rotate_left(16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors are for two compression and four finalisation rounds, so the construction is
    /// checked by running these counts over our rounds.
    fn half_sip_hash_2_4(seed: u64, words: &[u32]) -> u32 {
        let key = HashKey::new(seed);
        let mut state = State { v0: key.k0, v1: key.k1, v2: 0x6c79_6765 ^ key.k0, v3: 0x7465_6462 ^ key.k1 };
        let absorb = |word: u32, state: &mut State| {
            state.v3 ^= word;
            state.round();
            state.round();
            state.v0 ^= word;
        };
        for word in words {
            absorb(*word, &mut state);
        }
        absorb(u32::try_from(words.len() * 4).unwrap() << 24, &mut state);
        state.v2 ^= 0xff;
        for _ in 0..4 {
            state.round();
        }
        state.v1 ^ state.v3
    }

    #[test]
    fn rounds_match_the_published_vectors() {
        // vectors_hsip32 of the reference implementation: inputs of 0, 4 and 8 bytes.
        let key = 0x0706_0504_0302_0100;
        assert_eq!(half_sip_hash_2_4(key, &[]), 0x5b9f_35a9);
        assert_eq!(half_sip_hash_2_4(key, &[0x0302_0100]), 0x8946_6e2a);
        assert_eq!(half_sip_hash_2_4(key, &[0x0302_0100, 0x0706_0504]), 0x8f84_b8d0);
    }

    #[test]
    fn the_key_decides_the_set() {
        let address = Address::v4(0x0a00_0001);
        let (one, two) = (HashKey::new(1), HashKey::new(2));
        assert_ne!(one.address(address), two.address(address));
        assert_eq!(one.address(address), HashKey::new(1).address(address));
    }

    #[test]
    fn neighbouring_addresses_spread_evenly() {
        let key = HashKey::new(42);
        let mut sets = [0_u32; 64];
        for last in 0..6_400_u32 {
            sets[usize::try_from(key.address(Address::v4(0x0a00_0000 | last)) % 64).unwrap()] += 1;
        }
        assert!(sets.iter().all(|count| (50..150).contains(count)), "{sets:?}");
    }
}
