//! A set-associative table with a written eviction rule.

use core::time::Duration;

use sentinel_units::Timestamp;

/// Slots a key may lie in. Four short keys fit two cache lines.
pub const WAYS: usize = 4;

/// Room for one entry; an array of these is what the caller lends.
#[derive(Clone, Copy, Debug)]
pub struct Slot<K, V> {
    key: K,
    /// Time of the last use, or `None` for an empty slot.
    touched: Option<Timestamp>,
    value: V,
}

impl<K: Default, V: Default> Default for Slot<K, V> {
    fn default() -> Self {
        Self { key: K::default(), touched: None, value: V::default() }
    }
}

/// Entries by key, at most as many as slots were lent.
///
/// An entry not used for `lifetime` counts as absent. A new key in a full set takes the place of an
/// entry past its lifetime, otherwise of the entry used longest ago, which bumps
/// [`evictions`](Self::evictions).
#[derive(Debug)]
pub struct Table<'m, K, V> {
    sets: &'m mut [[Slot<K, V>; WAYS]],
    mask: u32,
    lifetime: Duration,
    evictions: u64,
}

/// What [`Table::entry`] found.
#[derive(Debug)]
pub struct Entry<'t, V> {
    /// The value; default if the entry is new.
    pub value: &'t mut V,
    /// Whether the key was not there, or had outlived its lifetime.
    pub is_new: bool,
}

impl<'m, K: Copy + Eq, V: Default> Table<'m, K, V> {
    /// A table over `slots`, all taken to be empty.
    ///
    /// Uses the largest power of two of sets that fits; the rest of the slots stays unused. Fewer than
    /// [`WAYS`] slots make a table that holds nothing, and every entry is new.
    #[must_use]
    pub fn new(slots: &'m mut [Slot<K, V>], lifetime: Duration) -> Self {
        let (sets, _) = slots.as_chunks_mut::<WAYS>();
        let used = sets.len().checked_ilog2().map_or(0, |log| 1 << log);
        let sets = sets.get_mut(..used).unwrap_or_default();
        let mask = u32::try_from(used.saturating_sub(1)).unwrap_or(u32::MAX >> 1);
        let mut table = Self { sets, mask, lifetime, evictions: 0 };
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
        self.sets.iter_mut().flatten().for_each(|slot| slot.touched = None);
    }

    /// Changes after how long without use an entry counts as absent.
    pub const fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// The entry of `key`, made if it is not there. `None` only for a table without slots.
    #[inline]
    pub fn entry(&mut self, hash: u32, key: K, now: Timestamp) -> Option<Entry<'_, V>> {
        let lifetime = self.lifetime;
        let set = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        let mut victim = 0;
        let mut victim_age = None;
        let mut found = None;
        for (index, slot) in set.iter().enumerate() {
            let Some(touched) = slot.touched else {
                if victim_age != Some(Duration::MAX) {
                    (victim, victim_age) = (index, Some(Duration::MAX));
                }
                continue;
            };
            if slot.key == key {
                found = Some(index);
                break;
            }
            let age = distance(now, touched);
            if victim_age.is_none_or(|oldest| age > oldest) {
                (victim, victim_age) = (index, Some(age));
            }
        }
        let slot = set.get_mut(found.unwrap_or(victim))?;
        let fresh = slot.touched.is_some_and(|touched| distance(now, touched) <= lifetime);
        let is_new = found.is_none() || !fresh;
        if is_new {
            self.evictions += u64::from(found.is_none() && fresh);
            slot.key = key;
            slot.value = V::default();
        }
        slot.touched = Some(now);
        Some(Entry { value: &mut slot.value, is_new })
    }

    /// The value of `key` if it is there and within its lifetime; does not count as use.
    #[inline]
    pub fn find(&mut self, hash: u32, key: K, now: Timestamp) -> Option<&mut V> {
        let lifetime = self.lifetime;
        let set = self.sets.get_mut(usize::try_from(hash & self.mask).ok()?)?;
        set.iter_mut()
            .find(|slot| {
                slot.key == key && slot.touched.is_some_and(|touched| distance(now, touched) <= lifetime)
            })
            .map(|slot| &mut slot.value)
    }
}

/// How far apart, in whichever order: after the clock was set back, entries from the "future" age too.
#[inline]
fn distance(one: Timestamp, other: Timestamp) -> Duration {
    if one >= other { one.since(other) } else { other.since(one) }
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

    fn slots(count: usize) -> Vec<Slot<u32, u32>> {
        vec![Slot::default(); count]
    }

    #[test]
    fn a_key_finds_its_value_again() {
        let mut storage = slots(8);
        let mut table = Table::new(&mut storage, LIFETIME);
        let entry = table.entry(3, 7, at(1)).unwrap();
        assert!(entry.is_new);
        *entry.value = 99;
        let entry = table.entry(3, 7, at(2)).unwrap();
        assert!(!entry.is_new);
        assert_eq!(*entry.value, 99);
        assert_eq!(table.find(3, 7, at(2)).copied(), Some(99));
        assert_eq!(table.find(3, 8, at(2)), None);
    }

    #[test]
    fn an_entry_past_its_lifetime_is_new_and_no_loss() {
        let mut storage = slots(4);
        let mut table = Table::new(&mut storage, LIFETIME);
        *table.entry(0, 7, at(1)).unwrap().value = 99;
        assert!(!table.entry(0, 7, at(11)).unwrap().is_new);
        let entry = table.entry(0, 7, at(22)).unwrap();
        assert!(entry.is_new && *entry.value == 0);
        assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn the_one_used_longest_ago_goes_first_and_is_counted() {
        let mut storage = slots(4);
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
        let mut storage = slots(4);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(100)).unwrap();
        table.entry(0, 2, at(101)).unwrap();
        table.entry(0, 3, at(102)).unwrap();
        assert_eq!(table.evictions(), 0);
        assert!(table.find(0, 1, at(102)).is_some(), "an empty slot was free");
    }

    #[test]
    fn entries_from_a_clock_that_was_set_back_do_not_stay_for_ever() {
        let mut storage = slots(4);
        let mut table = Table::new(&mut storage, LIFETIME);
        table.entry(0, 1, at(1_000_000)).unwrap();
        assert!(table.entry(0, 1, at(5)).unwrap().is_new);
    }

    #[test]
    fn any_number_of_slots_works() {
        for count in 0..40 {
            let mut storage = slots(count);
            let mut table = Table::new(&mut storage, LIFETIME);
            assert!(table.capacity() <= count);
            for hash in 0..100 {
                assert_eq!(table.entry(hash, hash, at(1)).is_some(), count >= WAYS);
            }
        }
    }
}
