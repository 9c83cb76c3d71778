//! Set-associative hash table with LRU eviction within a set, as in a CPU cache.
//!
//! Insertion never moves another entry and never fails; lookup compares at most [`WAYS`] tags. The price is that four busy keys
//! of one set evict each other while other sets have room; [`crate::hashed_lru`] is for tables where that would show.

use core::time::Duration;

use sentinel_units::Timestamp;

/// Number of ways: entries of a set, any of which may hold a key of that set.
pub const WAYS: usize = 4;

/// Value that can be reset without writing all of it.
///
/// A table recycles a value each time it replaces a key, and a flood with forged sources does nothing else. So `recycle` should
/// write only the few words (a count, a time) that make the remaining bytes meaningless.
pub trait Recycle: Default {
    /// Makes the value equivalent to its default.
    fn recycle(&mut self);
}

/// Storage of [`WAYS`] entries; the caller lends a slice of these.
///
/// Tags and times of a set share one cache line (hence the order of fields and the alignment), so that a lookup touches that
/// line and the entry that it finds.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Set<K, V> {
    /// Hash of each key, with the lowest bit set; zero for an empty way.
    tags: [u32; WAYS],
    /// Time of the last use of each entry.
    last_used: [CoarseTime; WAYS],
    entries: [(K, V); WAYS],
}

impl<K: Copy + Default, V: Copy + Default> Default for Set<K, V> {
    fn default() -> Self {
        Self {
            tags: [0; WAYS],
            last_used: [CoarseTime::default(); WAYS],
            entries: core::array::from_fn(|_| (K::default(), V::default())),
        }
    }
}

/// Packet time in units of 2^26 ns (67 ms), which wraps after nine years.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct CoarseTime(u32);

impl CoarseTime {
    #[inline] // a shift
    #[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
    const fn of(at: Timestamp) -> Self {
        Self((at.as_nanos() >> 26) as u32)
    }

    /// Absolute difference. Both orders count, so that entries stamped in the future, after the clock was set back, expire too.
    #[inline] // a subtraction
    const fn distance(self, other: Self) -> CoarseSpan {
        CoarseSpan(self.0.wrapping_sub(other.0).cast_signed().unsigned_abs())
    }
}

/// Span of packet time in units of 2^26 ns (67 ms), up to four years.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct CoarseSpan(u32);

impl CoarseSpan {
    /// Returns `span` rounded up to a whole unit; four years for anything longer.
    #[must_use]
    pub fn at_least(span: Duration) -> Self {
        let units = span.as_nanos().div_ceil(1 << 26);
        Self(u32::try_from(units).unwrap_or(u32::MAX).min(u32::MAX >> 1))
    }
}

/// Division of packet time into periods of a power of two of 2^26 ns, counted from the epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CoarsePeriod {
    /// Length of a period less one, in units of 2^26 ns.
    mask: u32,
}

impl CoarsePeriod {
    /// The longest period of at most `span`; one unit if `span` is shorter.
    #[must_use]
    pub const fn at_most(span: Duration) -> Self {
        let units = span.as_nanos() >> 26;
        let log = if units == 0 { 0 } else { units.ilog2() };
        Self { mask: (1 << if log > 30 { 30 } else { log }) - 1 }
    }

    /// Time since the period of `now` began.
    #[inline] // a shift and a mask
    #[must_use]
    pub const fn elapsed(self, now: Timestamp) -> CoarseSpan {
        CoarseSpan(CoarseTime::of(now).0 & self.mask)
    }

    /// Returns true if both times are in one period.
    #[inline] // two instructions and a comparison, for every packet
    const fn has_both(self, a: CoarseTime, b: CoarseTime) -> bool {
        (a.0 ^ b.0) & !self.mask == 0
    }
}

/// Set-associative table over lent storage.
///
/// Capacity: [`WAYS`] times the sets lent, rounded down to a power of two. Lifetime: an entry not used for `lifetime` counts as
/// absent, at most 134 ms late. Eviction: a new key in a full set replaces the least recently used entry; if that was within
/// its lifetime, [`evictions`](Self::evictions) counts it. Entries stamped in the future, which a clock set back leaves, are
/// replaced before all others and are not counted.
//
// Invariants:
// - The set of a key is `hash & mask`, and `mask` is less than the number of sets, or the table has no sets.
// - `tags[way] == 0` if and only if the way is empty; `entries[way]` then is meaningless. Ways are never emptied one by one,
//   only by `clear`.
// - At most one way of a set holds a key: `replace` is called only after the key was not found.
#[derive(Debug)]
pub struct Table<'m, K, V> {
    sets: &'m mut [Set<K, V>],
    mask: u32,
    lifetime: CoarseSpan,
    evictions: u64,
}

/// Result of [`Table::entry`].
#[derive(Debug)]
pub struct TableEntry<'t, V> {
    /// Value, recycled if the entry is new.
    pub value: &'t mut V,
    /// True if the key was absent or past its lifetime.
    pub is_new: bool,
    /// Time since the last use; zero for a new entry.
    pub idle: CoarseSpan,
}

/// Result of [`Table::used_in_period`]: an entry whose last use is not updated yet.
#[derive(Debug)]
pub struct LiveEntry<'t, V> {
    /// Value.
    pub value: &'t mut V,
    last_used: &'t mut CoarseTime,
    now: CoarseTime,
}

impl<V> LiveEntry<'_, V> {
    /// Makes the entry the most recently used.
    #[inline] // one store
    pub const fn touch(self) {
        *self.last_used = self.now;
    }
}

impl<'m, K: Copy + Eq, V: Recycle> Table<'m, K, V> {
    /// Makes an empty table over `sets`.
    ///
    /// Uses the largest power of two of sets; the remaining ones stay unused. A table without sets holds nothing.
    #[must_use]
    pub fn new(sets: &'m mut [Set<K, V>], lifetime: Duration) -> Self {
        let set_count = sets.len().checked_ilog2().map_or(0, |log| 1 << log);
        let sets = sets.get_mut(..set_count).unwrap_or_default();
        let mask = u32::try_from(set_count.saturating_sub(1)).unwrap_or(u32::MAX >> 1);
        let mut table = Self { sets, mask, lifetime: CoarseSpan::at_least(lifetime), evictions: 0 };
        table.clear();
        table
    }

    /// Maximum number of entries.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Number of entries within their lifetime that were evicted because their set was full.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.sets.iter_mut().for_each(|set| set.tags = [0; WAYS]);
    }

    /// Sets the time without use after which an entry counts as absent.
    pub fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = CoarseSpan::at_least(lifetime);
    }

    /// Iterates over all values, those of empty ways and expired entries included.
    pub fn values(&mut self) -> impl Iterator<Item = &mut V> {
        self.sets.iter_mut().flat_map(|set| &mut set.entries).map(|(_, value)| value)
    }

    /// Finds or creates the entry of `key` and makes it the most recently used. `None` only for a table without sets.
    #[inline] // once or twice per packet: key comparison and value offset become constants in the caller
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
        let (last_used, (_, value)) = (set.last_used.get_mut(way)?, set.entries.get_mut(way)?);
        let idle = now.distance(*last_used);
        *last_used = now;
        let is_new = idle > self.lifetime;
        if is_new {
            value.recycle();
        }
        Some(TableEntry { value, is_new, idle: if is_new { CoarseSpan::default() } else { idle } })
    }

    /// Finds the entry of `key` if its last use is in the same `period`. Only [`LiveEntry::touch`] updates its last use.
    ///
    /// A `period` longer than the lifetime would find entries that [`Self::entry`] treats as absent.
    #[inline] // the flow lookup of every packet on the fast path
    pub fn used_in_period(
        &mut self,
        hash: u32,
        key: K,
        now: Timestamp,
        period: CoarsePeriod,
    ) -> Option<LiveEntry<'_, V>> {
        self.stored(hash, key, now).filter(|stored| period.has_both(*stored.last_used, stored.now))
    }

    /// Finds the entry of `key` if it is within its lifetime. Only [`LiveEntry::touch`] updates its last use.
    #[inline] // a lookup and a comparison
    pub fn live(&mut self, hash: u32, key: K, now: Timestamp) -> Option<LiveEntry<'_, V>> {
        let lifetime = self.lifetime;
        self.stored(hash, key, now).filter(|stored| stored.now.distance(*stored.last_used) <= lifetime)
    }

    /// Finds the value of `key` if it is within its lifetime, without updating its last use.
    #[inline] // a lookup and a comparison
    pub fn find(&mut self, hash: u32, key: K, now: Timestamp) -> Option<&mut V> {
        self.live(hash, key, now).map(|live| live.value)
    }

    /// Entry of `key`, however long ago its last use is.
    #[inline(always)] // in the lookups
    fn stored(&mut self, hash: u32, key: K, now: Timestamp) -> Option<LiveEntry<'_, V>> {
        let set = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        let tag = tag(hash);
        let mut ways = set.tags.iter().zip(&set.entries);
        let way = ways.position(|(held, (held_key, _))| *held == tag && *held_key == key)?;
        let (last_used, (_, value)) = (set.last_used.get_mut(way)?, set.entries.get_mut(way)?);
        Some(LiveEntry { value, last_used, now: CoarseTime::of(now) })
    }
}

impl<K: Copy + Eq, V: Copy + Recycle> Table<'_, K, V> {
    /// Puts `set` in the place of the set of `hash`, and returns what was there; `None` only for a table without sets. Counts no
    /// eviction: the caller puts the entries back.
    pub fn replace_set(&mut self, hash: u32, set: Set<K, V>) -> Option<Set<K, V>> {
        let place = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        Some(core::mem::replace(place, set))
    }
}

impl<K: Copy, V: Recycle> Set<K, V> {
    /// Gives a way to a new key: an empty one, or that of the least recently used entry.
    #[inline(never)] // keeps the lookup short, which is all that most packets need
    fn replace(
        &mut self,
        tag: u32,
        key: K,
        now: CoarseTime,
        lifetime: CoarseSpan,
        evictions: &mut u64,
    ) -> Option<&mut V> {
        // The victim is the way of the greatest age. An empty way has the maximum. An entry stamped in the future has a
        // negative age, which is a number above 2^31 and so above every age in the past. Both exceed the lifetime, which is
        // below 2^31, and are not counted as evictions.
        let age = |(held, last_used): (&u32, &CoarseTime)| {
            if *held == 0 { u32::MAX } else { now.0.wrapping_sub(last_used.0) }
        };
        let mut ages = self.tags.iter().zip(&self.last_used).map(age);
        let (mut victim, mut oldest) = (0, ages.next()?);
        for (way, age) in (1..).zip(ages) {
            if age > oldest {
                (victim, oldest) = (way, age);
            }
        }
        *evictions += u64::from(oldest <= lifetime.0);
        *self.tags.get_mut(victim)? = tag;
        *self.last_used.get_mut(victim)? = now;
        let (held_key, value) = self.entries.get_mut(victim)?;
        *held_key = key;
        value.recycle();
        Some(value)
    }
}

/// Tag of a hash within its set. The lowest bit is set to keep zero for empty ways; it is among those that select the set, so
/// at most one bit of the comparison is lost.
#[inline] // one instruction
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
    fn a_set_that_is_replaced_and_put_back_is_unchanged() {
        let mut storage = sets(2);
        let mut table = Table::new(&mut storage, LIFETIME);
        for key in 0..4 {
            *table.entry(1, key, at(1)).unwrap().value = 10 + key;
        }
        let full = table.replace_set(1, Set::default()).unwrap();
        assert!(table.find(1, 2, at(1)).is_none() && table.entry(1, 9, at(1)).unwrap().is_new);
        table.replace_set(1, full);
        assert_eq!(
            [0, 1, 2, 3, 9].map(|key| table.find(1, key, at(1)).copied()),
            [Some(10), Some(11), Some(12), Some(13), None]
        );
        assert_eq!(table.evictions(), 0);
        assert!(Table::<u32, u32>::new(&mut [], LIFETIME).replace_set(1, full).is_none());
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
    fn an_expired_entry_is_new_and_not_counted_as_evicted() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        *table.entry(0, 7, at(1)).unwrap().value = 99;
        assert!(!table.entry(0, 7, at(11)).unwrap().is_new);
        let entry = table.entry(0, 7, at(22)).unwrap();
        assert!(entry.is_new && *entry.value == 0);
        assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted_and_counted() {
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
    fn empty_ways_are_used_before_live_entries() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(100)).unwrap();
        table.entry(0, 2, at(101)).unwrap();
        table.entry(0, 3, at(102)).unwrap();
        assert_eq!(table.evictions(), 0);
        assert!(table.find(0, 1, at(102)).is_some(), "an empty way was free");
    }

    #[test]
    fn entries_from_before_a_clock_set_back_expire() {
        let mut storage = sets(1);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(1_000_000)).unwrap();
        assert!(table.entry(0, 1, at(5)).unwrap().is_new);
    }

    #[test]
    fn any_number_of_sets_makes_a_table() {
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
