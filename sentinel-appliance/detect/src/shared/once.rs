//! Once a day for each host and thing: what is worth knowing, but not with each flow.

use sentinel_units::Timestamp;

/// Entries, in sets of four: twelve bytes each.
const SETS: usize = 16;
const WAYS: usize = 4;
const DAY_US: u64 = 86_400_000_000;

/// Things that were told of one host on one day.
///
/// The host is 32 bits of a keyed hash. Two hosts of one hash share an entry: the second is not told of what the first was. An
/// entry accuses nobody.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    host: u32,
    /// Day of the epoch, from 1; zero is a free entry.
    day: u32,
    /// One bit for each thing.
    things: u32,
}

/// Table of things told, of which nothing depends but whether they are told again. Eviction: of a full set an entry of a former day, or else
/// the one with the fewest things, which made-up hosts share; that is counted, and its host is told of again.
#[derive(Debug, Default)]
pub(crate) struct OncePerDay {
    sets: [[Told; WAYS]; SETS],
    evictions: u64,
}

impl OncePerDay {
    pub(crate) const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Returns true for the first call of this day (UTC) with this host and thing, of which there are 32.
    #[inline(never)] // rare, and called from several places
    pub(crate) fn is_first(&mut self, host: u32, thing: u32, now: Timestamp) -> bool {
        let day = day(now);
        let set = usize::try_from(host).unwrap_or(0) % SETS;
        let Some(set) = self.sets.get_mut(set) else { return true };
        let bit = 1_u32.checked_shl(thing).unwrap_or(0);
        if let Some(told) = set.iter_mut().find(|told| told.host == host && told.day == day) {
            let is_new = told.things & bit == 0;
            told.things |= bit;
            return is_new;
        }
        if let Some(least) = set.iter_mut().min_by_key(|told| (told.day == day, told.things.count_ones())) {
            self.evictions += u64::from(least.day == day);
            *least = Told { host, day, things: bit };
        }
        true
    }

    /// Things of these bits that were told of the host today.
    pub(crate) fn count(&self, host: u32, now: Timestamp, bits: u32) -> u32 {
        let day = day(now);
        let set = usize::try_from(host).unwrap_or(0) % SETS;
        let told = self.sets.get(set).into_iter().flatten().find(|told| told.host == host && told.day == day);
        told.map_or(0, |told| (told.things & bits).count_ones())
    }
}

/// Day of the epoch, from 1.
fn day(now: Timestamp) -> u32 {
    u32::try_from(now.as_micros() / DAY_US).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hours: u64) -> Timestamp {
        Timestamp::from_parts(86_400 * 20_000 + hours * 3_600, 0)
    }

    #[test]
    fn each_host_and_thing_is_first_once_a_day() {
        let mut once = OncePerDay::default();
        for host in [1, 2] {
            for thing in [0, 31] {
                assert!(once.is_first(host, thing, hour(0)));
                assert!(!once.is_first(host, thing, hour(23)));
                assert!(once.is_first(host, thing, hour(24)));
            }
        }
        assert_eq!(once.evictions(), 0);
        assert_eq!([!0, 1, 2].map(|bits| once.count(2, hour(25), bits)), [2, 1, 0]);
        assert_eq!([once.count(2, hour(48), !0), once.count(3, hour(25), !0)], [0, 0]);
    }

    /// Whoever makes hosts up cannot silence another, and does not make him told again and again.
    #[test]
    fn made_up_hosts_evict_one_another() {
        let mut once = OncePerDay::default();
        for thing in 0..2 {
            assert!(once.is_first(7, thing, hour(1)));
        }
        for other in 1..1_000 {
            assert!(once.is_first(7 + other * 16, 3, hour(1)));
        }
        assert!(!once.is_first(7, 0, hour(2)), "told already");
        assert_eq!(once.evictions(), 996);
        assert!((1..5).all(|host| once.is_first(7 + host * 16, 3, hour(25))), "of another day");
        assert_eq!(once.evictions(), 996);
    }
}
