//! Information that each client exchanges with each registered domain: a set-associative table whose victim is the entry of least
//! evidence.
//!
//! Eviction by evidence, not by age: made-up clients and domains of one query each replace one another, and an entry that
//! has collected more than they bring stays. The score of an entry is a leaky bucket, in bits: information fills it, the
//! allowance drains it.

use core::time::Duration;

use sentinel_track::hash::HashKey;
use sentinel_track::table::WAYS;
use sentinel_units::{Address, Timestamp};

use super::information::Paths;

/// Storage of four entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeakSet {
    entries: [Leak; WAYS],
}

/// Information between one client and one registered domain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leak {
    client: Address,
    /// Hash of the registered domain; [`SPREAD`] for all of the client together.
    domain: u32,
    /// Information in names and in records, above the allowance, in bits.
    pub(crate) bits: [u32; 2],
    /// Messages with new information since `first`.
    pub(crate) messages: u32,
    /// Time from which the bits count.
    pub(crate) first: Timestamp,
    last: Timestamp,
    /// Number and port of the newest query with new information, and its bits.
    pub(crate) asked: (u32, u32),
    /// True if the registered domain belongs to a service whose names carry data by design.
    pub(crate) is_data_service: bool,
    /// True if it was looked up, and belongs to none.
    pub(crate) is_ordinary: bool,
    /// Names and records seen.
    pub(crate) paths: Paths,
}

/// Domain of the entry that sums up the names of a client under all domains.
pub(crate) const SPREAD: u32 = 0;

impl Leak {
    /// Removes what the allowance has drained by `now`, in bits a minute.
    fn drain(&mut self, now: Timestamp, allowance: u32) {
        if self.bits == [0; 2] {
            (self.messages, self.first, self.last) = (0, now, now);
            return;
        }
        // Nearly every message; the time in seconds would take a division.
        if now < self.last.after(Duration::from_secs(1)) {
            return;
        }
        // The clock may be set back: `since` is then zero.
        let drained =
            u32::try_from(now.since(self.last).as_secs()).unwrap_or(u32::MAX).saturating_mul(allowance) / 60;
        // The fraction of a bit is kept by not moving the time.
        if drained > 0 {
            self.bits = self.bits.map(|bits| bits.saturating_sub(drained));
            self.last = now;
        }
        if self.bits == [0; 2] {
            (self.messages, self.first, self.last) = (0, now, now);
        }
    }

    fn evidence(&self) -> u32 {
        let [names, records] = self.bits;
        names.max(records)
    }
}

/// The table. Capacity: the entries lent. Eviction: the entry of its set with the least information; counted if that is not zero.
#[derive(Debug)]
pub(crate) struct Leaks<'m> {
    sets: &'m mut [LeakSet],
    evictions: u64,
}

impl<'m> Leaks<'m> {
    pub(crate) fn new(sets: &'m mut [LeakSet]) -> Self {
        // The largest power of two; the others stay unused.
        let count = sets.len().checked_ilog2().map_or(0, |log| 1 << log);
        Self { sets: sets.get_mut(..count).unwrap_or_default(), evictions: 0 }
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Entry of a client and a domain, drained up to `now`, and true if it is new; `None` without storage.
    pub(crate) fn entry(
        &mut self,
        key: &HashKey,
        (client, domain): (Address, u32),
        client_hash: u32,
        now: Timestamp,
        allowance: u32,
    ) -> Option<(&mut Leak, bool)> {
        let hash = usize::try_from(key.with(client_hash, domain)).ok()?;
        let mask = self.sets.len().checked_sub(1)?;
        let set = self.sets.get_mut(hash & mask)?;
        let is_it =
            |entry: &Leak| entry.domain == domain && entry.client == client && entry.first != Timestamp::ZERO;
        if let Some(found) = set.entries.iter().position(is_it) {
            let entry = set.entries.get_mut(found)?;
            entry.drain(now, allowance);
            return Some((entry, false));
        }
        for entry in &mut set.entries {
            entry.drain(now, allowance);
        }
        let victim = set.entries.iter_mut().min_by_key(|entry| (entry.evidence(), entry.last))?;
        self.evictions += u64::from(victim.evidence() > 0);
        *victim = Leak { client, domain, first: now, last: now, ..Leak::default() };
        Some((victim, true))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    const KEY: HashKey = HashKey::new(5);
    /// A bit a second.
    const ALLOWANCE: u32 = 60;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_700_000_000 + seconds, 0)
    }

    fn client(number: u32) -> Address {
        Address::v4(0x0a00_0000 + number)
    }

    #[test]
    fn the_allowance_drains_an_entry() {
        let mut storage = vec![LeakSet::default(); 3];
        let mut leaks = Leaks::new(&mut storage);
        let entry = |leaks: &mut Leaks<'_>, seconds| {
            let (entry, is_new) = leaks.entry(&KEY, (client(1), 9), 1, at(seconds), ALLOWANCE).unwrap();
            entry.bits[0] += 10;
            entry.messages += 1;
            (is_new, entry.bits[0], entry.messages)
        };
        assert_eq!(entry(&mut leaks, 0), (true, 10, 1));
        assert_eq!(entry(&mut leaks, 4), (false, 16, 2));
        assert_eq!(entry(&mut leaks, 60), (false, 10, 1), "empty in between");
    }

    #[test]
    fn many_small_entries_do_not_evict_a_great_one() {
        let mut storage = [LeakSet::default()];
        let mut leaks = Leaks::new(&mut storage);
        leaks.entry(&KEY, (client(1), 9), 1, at(0), ALLOWANCE).unwrap().0.bits[0] = 300;
        for number in 0..1_000 {
            let (entry, is_new) = leaks.entry(&KEY, (client(2), number), 2, at(1), ALLOWANCE).unwrap();
            assert!(is_new);
            entry.bits[0] = 200;
        }
        let (entry, is_new) = leaks.entry(&KEY, (client(1), 9), 1, at(2), ALLOWANCE).unwrap();
        assert!(!is_new && entry.bits[0] == 298);
        assert_eq!(leaks.evictions(), 997);
    }

    #[test]
    fn without_storage_there_is_no_entry() {
        assert!(Leaks::new(&mut []).entry(&KEY, (client(1), 9), 1, at(0), ALLOWANCE).is_none());
    }
}
