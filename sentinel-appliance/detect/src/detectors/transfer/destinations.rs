//! External addresses to which any internal host has sent much: two generations of a Bloom filter.

/// Words of one generation: 8,192 bits.
const WORDS: usize = 256;
/// Addresses of one generation: 5 % of all others are then taken for one of them.
const CAPACITY: u32 = 1_024;

/// The last 1,024 to 2,048 addresses, in 2 KiB. An address that is forgotten counts as new again.
#[derive(Debug)]
pub(super) struct Destinations {
    new: [u32; WORDS],
    old: [u32; WORDS],
    count: u32,
}

impl Default for Destinations {
    fn default() -> Self {
        Self { new: [0; WORDS], old: [0; WORDS], count: 0 }
    }
}

impl Destinations {
    /// Adds an address by its hash. Returns true if it was not among the last ones.
    pub(super) fn insert(&mut self, hash: u32) -> bool {
        let bits = [hash, hash.rotate_right(16)]
            .map(|half| (usize::try_from(half >> 5).unwrap_or(0) % WORDS, 1 << (half & 31)));
        let has_all = |words: &[u32; WORDS]| {
            bits.iter().all(|(word, bit)| words.get(*word).is_some_and(|held| held & bit != 0))
        };
        let (is_in_new, is_in_old) = (has_all(&self.new), has_all(&self.old));
        if !is_in_new {
            if self.count == CAPACITY {
                (self.old, self.count) = (core::mem::replace(&mut self.new, [0; WORDS]), 0);
            }
            self.count += 1;
            for (word, bit) in bits {
                if let Some(held) = self.new.get_mut(word) {
                    *held |= bit;
                }
            }
        }
        !is_in_new && !is_in_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_new_once_and_again_after_two_thousand_others() {
        let mut destinations = Destinations::default();
        let hash =
            |number: u32| number.wrapping_mul(0x9e37_79b1) ^ number.wrapping_mul(0x85eb_ca6b).rotate_left(15);
        assert_eq!((destinations.insert(hash(1)), destinations.insert(hash(1))), (true, false));
        let new = (2..1_000).filter(|number| destinations.insert(hash(*number))).count();
        assert!(new > 950, "{new} of 998");
        assert!(!destinations.insert(hash(1)));
        (1_000..4_000).for_each(|number| {
            destinations.insert(hash(number));
        });
        assert!(destinations.insert(hash(1)), "forgotten");
    }
}
