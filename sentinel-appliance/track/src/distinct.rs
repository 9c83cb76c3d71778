//! Distinct small values seen within a sliding window, exactly.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::ticks::{age, span, ticks};

/// Values remembered: the most that can be told apart within one window.
pub const REMEMBERED: usize = 64;

/// The last [`REMEMBERED`] distinct values and when each was last seen, in 392 bytes.
///
/// Exact as long as no more than [`REMEMBERED`] distinct values fall into one window; past that it
/// says [`REMEMBERED`] and [`Seen::is_new`] may be true again for a value that was pushed out.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// In steps of 2^20 ns.
    times: [u32; REMEMBERED],
    values: [u16; REMEMBERED],
    used: u16,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { times: [0; REMEMBERED], values: [0; REMEMBERED], used: 0 }
    }
}

/// What [`Distinct::add`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Distinct values within the window, the one just added included.
    pub distinct: u32,
    /// Whether the value was not among those of the window.
    pub is_new: bool,
}

impl Distinct {
    /// Remembers `value` at `now` and counts the distinct values of the window that ends at `now`.
    ///
    /// Times are kept to 1.05 ms and wrap after 52 days; the table entry that holds this must have a
    /// lifetime below a month.
    #[inline]
    pub fn add(&mut self, value: u16, now: Timestamp, window: Duration) -> Seen {
        let now = ticks(now);
        let window = span(window);
        let used = usize::from(self.used);
        let (mut distinct, mut same, mut oldest, mut oldest_age) = (1, None, 0, 0);
        for (index, (time, held)) in self.times.iter().zip(&self.values).take(used).enumerate() {
            let age = age(now, *time);
            if *held == value {
                same = Some((index, age <= window));
                continue;
            }
            distinct += u32::from(age <= window);
            if age >= oldest_age {
                (oldest, oldest_age) = (index, age);
            }
        }
        let place = match same {
            Some((index, _)) => index,
            None if oldest_age > window => oldest,
            None if used < REMEMBERED => {
                self.used += 1;
                used
            }
            None => {
                distinct -= 1;
                oldest
            }
        };
        if let (Some(time), Some(held)) = (self.times.get_mut(place), self.values.get_mut(place)) {
            (*time, *held) = (now, value);
        }
        Seen { distinct, is_new: !same.is_some_and(|(_, inside)| inside) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at_millis(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    /// Against the definition, with up to 40 values in a window of 10 s.
    #[test]
    fn counts_match_a_set() {
        let (mut distinct, mut events, mut random, mut now) = (Distinct::default(), Vec::new(), 7_u64, 0);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += random % 500;
            let value = u16::try_from(random >> 40 & 31).unwrap();
            // Steps of 2^20 ns, as the structure keeps them.
            let tick = (now * 1_000_000) >> 20;
            let inside = |then: u64| tick - then <= 10_000_000_000 >> 20;
            let was_there =
                events.iter().rev().take_while(|(then, _)| inside(*then)).any(|(_, v)| *v == value);
            events.push((tick, value));
            let expected: BTreeSet<u16> =
                events.iter().rev().take_while(|(then, _)| inside(*then)).map(|(_, value)| *value).collect();
            let seen = distinct.add(value, at_millis(now), WINDOW);
            assert_eq!(seen.distinct, u32::try_from(expected.len()).unwrap(), "at {now} ms");
            assert_eq!(seen.is_new, !was_there, "at {now} ms");
        }
    }

    #[test]
    fn past_its_room_it_says_its_room() {
        let mut distinct = Distinct::default();
        for value in 0..200 {
            let seen = distinct.add(value, at_millis(1), WINDOW);
            assert_eq!(usize::from(value + 1).min(REMEMBERED), usize::try_from(seen.distinct).unwrap());
            assert!(seen.is_new);
        }
    }

    #[test]
    fn packets_out_of_order_count_as_now() {
        let mut distinct = Distinct::default();
        distinct.add(1, at_millis(100_000), WINDOW);
        assert_eq!(distinct.add(2, at_millis(99_990), WINDOW).distinct, 2);
        assert_eq!(distinct.add(1, at_millis(100_001), WINDOW), Seen { distinct: 2, is_new: false });
    }
}
