//! A set-associative table with a written eviction rule.

use core::time::Duration;

use sentinel_units::Timestamp;

/// Places a key may lie in.
pub const WAYS: usize = 4;

/// A value that can be made as good as new without writing all of it.
///
/// A table renews a value each time it gives its place to another key, and the flood of an attacker does
/// nothing else: a renewal must not cost more than the few words that say that the rest means nothing.
pub trait Recycle: Default {
    /// Makes the value mean what its default means.
    fn recycle(&mut self);
}

/// Room for [`WAYS`] entries; an array of these is what the caller lends.
///
/// Tags and times of a set share one cache line, so that a search touches that line and the entry it finds.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Set<K, V> {
    /// The hash of each key, never zero; zero for an empty place.
    tags: [u32; WAYS],
    /// When each was used last.
    used: [CoarseTime; WAYS],
    entries: [(K, V); WAYS],
}

impl<K: Copy + Default, V: Copy + Default> Default for Set<K, V> {
    fn default() -> Self {
        Self {
            tags: [0; WAYS],
            used: [CoarseTime::default(); WAYS],
            entries: core::array::from_fn(|_| (K::default(), V::default())),
        }
    }
}

/// Packet time in steps of 2^26 ns (67 ms), wrapping after nine years.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct CoarseTime(u32);

impl CoarseTime {
    #[inline]
    #[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
    const fn of(at: Timestamp) -> Self {
        Self((at.as_nanos() >> 26) as u32)
    }

    /// How far apart, in whichever order: after the clock was set back, entries from the "future" age too.
    #[inline]
    const fn apart(self, other: Self) -> CoarseSpan {
        CoarseSpan(self.0.wrapping_sub(other.0).cast_signed().unsigned_abs())
    }
}

/// A span of packet time, exact to 67 ms, up to four years.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct CoarseSpan(u32);

impl CoarseSpan {
    /// `span`, rounded up.
    #[must_use]
    pub fn at_least(span: Duration) -> Self {
        let steps = span.as_nanos().div_ceil(1 << 26);
        Self(u32::try_from(steps).unwrap_or(u32::MAX).min(u32::MAX >> 1))
    }
}

/// Entries by key, at most as many as there is room for in the sets that were lent.
///
/// An entry not used for `lifetime` counts as absent, at most 134 ms late. A new key in a full set takes the place
/// of the entry used longest ago; if that had not outlived its lifetime, [`evictions`](Self::evictions) counts it.
/// Entries used at a time that a clock set back has left go before all others, and are not counted.
#[derive(Debug)]
pub struct Table<'m, K, V> {
    sets: &'m mut [Set<K, V>],
    mask: u32,
    lifetime: CoarseSpan,
    evictions: u64,
}

/// What [`Table::entry`] found.
#[derive(Debug)]
pub struct TableEntry<'t, V> {
    /// The value; as new if the entry is new.
    pub value: &'t mut V,
    /// Whether the key was not there, or had outlived its lifetime.
    pub is_new: bool,
    /// How long the entry had not been used; zero for a new one.
    pub idle: CoarseSpan,
}

/// What [`Table::live`] found.
#[derive(Debug)]
pub struct LiveEntry<'t, V> {
    /// The value.
    pub value: &'t mut V,
    used: &'t mut CoarseTime,
    now: CoarseTime,
}

impl<V> LiveEntry<'_, V> {
    /// The entry is used.
    #[inline]
    pub const fn touch(self) {
        *self.used = self.now;
    }
}

impl<'m, K: Copy + Eq, V: Recycle> Table<'m, K, V> {
    /// A table over `sets`, all taken to be empty.
    ///
    /// Uses the largest power of two of sets; the rest stays unused. A table over no sets holds nothing.
    #[must_use]
    pub fn new(sets: &'m mut [Set<K, V>], lifetime: Duration) -> Self {
        let used = sets.len().checked_ilog2().map_or(0, |log| 1 << log);
        let sets = sets.get_mut(..used).unwrap_or_default();
        let mask = u32::try_from(used.saturating_sub(1)).unwrap_or(u32::MAX >> 1);
        let mut table = Self { sets, mask, lifetime: CoarseSpan::at_least(lifetime), evictions: 0 };
        table.clear();
        table
    }

    /// Entries that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Live entries lost because their set was full.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.sets.iter_mut().for_each(|set| set.tags = [0; WAYS]);
    }

    /// Changes after how long without use an entry counts as absent.
    pub fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = CoarseSpan::at_least(lifetime);
    }

    /// All values, of absent entries too.
    pub fn values(&mut self) -> impl Iterator<Item = &mut V> {
        self.sets.iter_mut().flat_map(|set| &mut set.entries).map(|(_, value)| value)
    }

    /// The entry of `key`, made if it is not there. `None` only for a table without sets.
    #[inline]
    pub fn entry(&mut self, hash: u32, key: K, now: Timestamp) -> Option<TableEntry<'_, V>> {
        let now = CoarseTime::of(now);
        let set = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        let tag = tag(hash);
        let mut ways = set.tags.iter().zip(&set.entries);
        let found = ways.position(|(held, (held_key, _))| *held == tag && *held_key == key);
        let Some(way) = found else {
            let value = set.replace(tag, key, now, self.lifetime, &mut self.evictions)?;
            return Some(TableEntry { value, is_new: true, idle: CoarseSpan::default() });
        };
        let (used, (_, value)) = (set.used.get_mut(way)?, set.entries.get_mut(way)?);
        let idle = now.apart(*used);
        *used = now;
        let is_new = idle > self.lifetime;
        if is_new {
            value.recycle();
        }
        Some(TableEntry { value, is_new, idle: if is_new { CoarseSpan::default() } else { idle } })
    }

    /// The entry of `key` if it is there and was used within `most`. [`LiveEntry::touch`] says that it is used.
    ///
    /// More than the lifetime for `most` would find entries that [`Self::entry`] takes for absent.
    #[inline]
    pub fn live(&mut self, hash: u32, key: K, now: Timestamp, most: CoarseSpan) -> Option<LiveEntry<'_, V>> {
        let now = CoarseTime::of(now);
        let set = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        let tag = tag(hash);
        let mut ways = set.tags.iter().zip(&set.entries);
        let way = ways.position(|(held, (held_key, _))| *held == tag && *held_key == key)?;
        let (used, (_, value)) = (set.used.get_mut(way)?, set.entries.get_mut(way)?);
        (now.apart(*used) <= most).then_some(LiveEntry { value, used, now })
    }

    /// The value of `key` if it is there and within its lifetime; does not count as use.
    #[inline]
    pub fn find(&mut self, hash: u32, key: K, now: Timestamp) -> Option<&mut V> {
        let lifetime = self.lifetime;
        self.live(hash, key, now, lifetime).map(|live| live.value)
    }
}

impl<K: Copy, V: Recycle> Set<K, V> {
    /// Gives a place to a new key: an empty one, or else that of the entry used longest ago.
    #[inline(never)] // keeps the search short, which most packets need alone
    fn replace(
        &mut self,
        tag: u32,
        key: K,
        now: CoarseTime,
        lifetime: CoarseSpan,
        evictions: &mut u64,
    ) -> Option<&mut V> {
        // An empty place counts as older than any entry, and one from the "future" as older than all others.
        let age = |(held, used): (&u32, &CoarseTime)| {
            if *held == 0 { u32::MAX } else { now.0.wrapping_sub(used.0) }
        };
        let mut ages = self.tags.iter().zip(&self.used).map(age);
        let (mut victim, mut oldest) = (0, ages.next()?);
        for (way, age) in (1..).zip(ages) {
            if age > oldest {
                (victim, oldest) = (way, age);
            }
        }
        *evictions += u64::from(oldest <= lifetime.0);
        *self.tags.get_mut(victim)? = tag;
        *self.used.get_mut(victim)? = now;
        let (held_key, value) = self.entries.get_mut(victim)?;
        *held_key = key;
        value.recycle();
        Some(value)
    }
}

/// What stands for a hash in its set. The lowest bit, which is among those that choose the set, is given away to
/// keep zero free.
#[inline]
const fn tag(hash: u32) -> u32 {
    hash | 1
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const LIFETIME: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    impl Recycle for u32 {
        fn recycle(&mut self) {
            *self = 0;
        }
    }

    fn sets(count: usize) -> Vec<Set<u32, u32>> {
        vec![Set::default(); count]
    }

    #[test]
    fn a_key_finds_its_value_again() {
        let mut storage = sets(2);
        let mut table = Table::new(&mut storage, LIFETIME);
        let entry = table.entry(3, 7, at(1)).unwrap();
        assert!(entry.is_new);
        *entry.value = 99;
        let entry = table.entry(3, 7, at(2)).unwrap();
        assert!(!entry.is_new && entry.idle >= CoarseSpan::at_least(Duration::from_millis(900)));
        assert_eq!(*entry.value, 99);
        assert_eq!(table.find(3, 7, at(2)).copied(), Some(99));
        assert_eq!(table.find(3, 8, at(2)), None);
    }

    #[test]
    fn an_entry_past_its_lifetime_is_new_and_no_loss() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        *table.entry(0, 7, at(1)).unwrap().value = 99;
        assert!(!table.entry(0, 7, at(11)).unwrap().is_new);
        let entry = table.entry(0, 7, at(22)).unwrap();
        assert!(entry.is_new && *entry.value == 0);
        assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn the_one_used_longest_ago_goes_first_and_is_counted() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        for key in 0..4 {
            table.entry(0, key, at(u64::from(key))).unwrap();
        }
        table.entry(0, 0, at(5)).unwrap();
        assert!(table.entry(0, 9, at(6)).unwrap().is_new);
        assert_eq!(table.evictions(), 1);
        assert!(table.find(0, 1, at(6)).is_none(), "key 1 was the oldest");
        assert!(table.find(0, 0, at(6)).is_some());
    }

    #[test]
    fn empty_and_outlived_slots_go_before_live_ones() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(100)).unwrap();
        table.entry(0, 2, at(101)).unwrap();
        table.entry(0, 3, at(102)).unwrap();
        assert_eq!(table.evictions(), 0);
        assert!(table.find(0, 1, at(102)).is_some(), "an empty slot was free");
    }

    #[test]
    fn entries_from_a_clock_that_was_set_back_do_not_stay_for_ever() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(1_000_000)).unwrap();
        assert!(table.entry(0, 1, at(5)).unwrap().is_new);
    }

    #[test]
    fn any_number_of_sets_works() {
        for count in 0..40 {
            let mut storage = sets(count);
            let mut table = Table::new(&mut storage, LIFETIME);
            assert!(table.capacity() <= count * WAYS);
            for hash in 0..100 {
                assert_eq!(table.entry(hash, hash, at(1)).is_some(), count > 0);
            }
        }
    }

    #[test]
    fn a_set_of_short_entries_is_one_cache_line() {
        assert_eq!(size_of::<Set<u32, u32>>(), 64);
    }

    #[test]
    fn spans_are_rounded_up_and_never_wrap() {
        assert_eq!(CoarseSpan::at_least(Duration::ZERO), CoarseSpan(0));
        assert_eq!(CoarseSpan::at_least(Duration::from_nanos(1)), CoarseSpan(1));
        assert_eq!(CoarseSpan::at_least(Duration::MAX), CoarseSpan(u32::MAX >> 1));
    }
}
