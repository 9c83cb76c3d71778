//! Filters in front of the pairs: which pairs come again, and which addresses a DNS answer has named.
//!
//! Read first: Einziger, Friedman, Manes, `TinyLFU` (ACM TOS 2017); Putze, Sanders, Singler, Cache-, Hash- and Space-Efficient Bloom
//! Filters (2007): all bits of a key in one word.

/// Counts of pairs: a counting Bloom filter of two bits a counter, two counters a key.
///
/// After three additions for eight counters each is lowered by one, so that pairs that are seen once go.
#[derive(Debug)]
pub(super) struct Admission<'m> {
    words: &'m mut [u32],
    additions: u32,
}

/// Count of a pair that is admitted with the next contact.
pub(super) const ADMITTED: u32 = 3;
/// Count from which a pair may have been admitted before.
pub(super) const KNOWN: u32 = 2;

impl<'m> Admission<'m> {
    pub(super) fn new(words: &'m mut [u32]) -> Self {
        words.fill(0);
        Self { words, additions: 0 }
    }

    /// Counters of a pair.
    #[inline]
    pub(super) fn places(&self, key: u64) -> Places {
        places(key, self.words.len())
    }

    /// Count of a pair: never less than it was seen since the counters were lowered, at most [`ADMITTED`].
    #[inline]
    pub(super) fn count(&self, places: Places) -> u32 {
        let [one, other] =
            places.map(|(word, shift)| self.words.get(word).map_or(0, |held| held >> shift & ADMITTED));
        one.min(other)
    }

    /// Counts a pair whose count is `count`. Returns true if all counters were lowered.
    pub(super) fn add(&mut self, places: Places, count: u32) -> bool {
        if count == ADMITTED {
            return false;
        }
        for (word, shift) in places {
            if let Some(held) = self.words.get_mut(word)
                && *held >> shift & ADMITTED == count
            {
                *held += 1 << shift;
            }
        }
        self.additions += 1;
        let is_full = usize::try_from(self.additions).unwrap_or(usize::MAX) >= self.words.len() * 6;
        if is_full {
            self.additions = 0;
            self.words.iter_mut().for_each(|word| *word -= (*word | *word >> 1) & 0x5555_5555);
        }
        is_full
    }
}

/// Word and shift of the two counters of a key.
pub(super) type Places = [(usize, u32); 2];

fn places(key: u64, words: usize) -> Places {
    let [high, low] = halves(key);
    [(high, low & 30), (high.rotate_left(13) ^ low, low >> 5 & 30)]
        .map(|(hash, shift)| (scaled(hash, words), shift))
}

/// Upper and lower half of a hash.
#[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
pub(super) const fn halves(key: u64) -> [u32; 2] {
    [(key >> 32) as u32, key as u32]
}

/// A hash scaled to a number below `end`.
pub(super) fn scaled(hash: u32, end: usize) -> usize {
    usize::try_from((u64::from(hash) * u64::try_from(end).unwrap_or(0)) >> 32).unwrap_or(0)
}

/// Addresses that DNS answers have named: two generations of a Bloom filter, four bits a key.
///
/// An address that is contacted while it is known stays known. One in a hundred of all others is taken for named.
#[derive(Debug)]
pub(super) struct Names<'m> {
    words: &'m mut [u32],
    is_swapped: bool,
    count: u32,
}

impl<'m> Names<'m> {
    pub(super) fn new(words: &'m mut [u32]) -> Self {
        words.fill(0);
        Self { words, is_swapped: false, count: 0 }
    }

    /// Returns true if an answer has named the address with this hash, and keeps it.
    pub(super) fn contains(&mut self, hash: u32) -> bool {
        let (now, before, mask) = self.places(hash);
        let has = |word: usize| self.words.get(word).is_some_and(|held| held & mask == mask);
        if !has(now) && has(before) {
            self.insert(hash);
            return true;
        }
        has(now)
    }

    pub(super) fn insert(&mut self, hash: u32) {
        let (now, _, mask) = self.places(hash);
        let half = self.words.len() / 2;
        let Some(held) = self.words.get_mut(now) else { return };
        if *held & mask == mask {
            return;
        }
        *held |= mask;
        self.count += 1;
        // Sixteen bits a key.
        if usize::try_from(self.count).unwrap_or(usize::MAX) > half * 2 {
            (self.is_swapped, self.count) = (!self.is_swapped, 0);
            let (one, other) = self.words.split_at_mut(half);
            if self.is_swapped { other } else { one }.fill(0);
        }
    }

    /// Word of the generation that fills, of the one before, and the bits of a key.
    fn places(&self, hash: u32) -> (usize, usize, u32) {
        let half = self.words.len() / 2;
        let mask = [0, 5, 10, 15].into_iter().fold(0, |mask, shift| mask | 1 << (hash >> shift & 31));
        // The bits are the lower half of the hash: the word is chosen by the upper one.
        let word = scaled(hash, half);
        if self.is_swapped { (word + half, word, mask) } else { (word, word + half, mask) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::Random;
    use std::vec;

    #[test]
    fn a_pair_is_admitted_after_three_contacts_and_forgotten() {
        let mut words = vec![0; 256];
        let mut admission = Admission::new(&mut words);
        let mut random = Random(3);
        let key = random.next();
        for expected in [0, 1, 2, 3, 3] {
            assert_eq!(admission.count(admission.places(key)), expected);
            admission.add(admission.places(key), expected);
        }
        let mut lowered = 0;
        while lowered < 3 {
            let other = random.next();
            let places = admission.places(other);
            lowered += u32::from(admission.add(places, admission.count(places)));
        }
        assert!(admission.count(admission.places(key)) < KNOWN);
    }

    #[test]
    fn made_up_pairs_are_rarely_admitted() {
        let mut words = vec![0; 1_024];
        let mut admission = Admission::new(&mut words);
        let mut random = Random(5);
        let mut admitted = 0;
        for _ in 0..100_000 {
            let key = random.next();
            let places = admission.places(key);
            let count = admission.count(places);
            admitted += u32::from(count == ADMITTED);
            admission.add(places, count);
        }
        assert!(admitted < 2_000, "{admitted} of 100,000");
    }

    #[test]
    fn named_addresses_are_known_for_a_generation_and_as_long_as_they_are_contacted() {
        let mut words = vec![0; 512];
        let mut names = Names::new(&mut words);
        let mut random = Random(11);
        let mut hash = || halves(random.next())[0];
        let (kept, left) = (hash(), hash());
        names.insert(kept);
        names.insert(left);
        assert!(names.contains(kept) && names.contains(left));
        let wrong = (0..1_000).filter(|_| names.contains(hash())).count();
        assert!(wrong < 5, "{wrong} of 1,000");
        for _ in 0..10 {
            (0..300).for_each(|_| names.insert(hash()));
            assert!(names.contains(kept));
        }
        assert!(!names.contains(left));
        let mut none = Names::new(&mut []);
        none.insert(1);
        assert!(!none.contains(1));
        let mut none = Admission::new(&mut []);
        assert_eq!(none.count(none.places(1)), 0);
        none.add(none.places(1), 0);
    }
}
