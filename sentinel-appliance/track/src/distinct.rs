//! Distinct small values seen within a sliding window, exactly.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::clock::{age, span, ticks};
use crate::table::Recycle;

/// Values remembered: the most that can be told apart within one window.
pub const MAX_DISTINCT: usize = 64;

/// Values compared at once.
const LANES: usize = 8;

/// The last [`MAX_DISTINCT`] distinct values and when each was last seen, in 392 bytes.
///
/// Exact as long as no more than [`MAX_DISTINCT`] distinct values fall into one window; past that it
/// says [`MAX_DISTINCT`] and [`Insertion::is_new`] may be true again for a value that was pushed out.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// In steps of 2^20 ns.
    times: [u32; MAX_DISTINCT],
    values: [u16; MAX_DISTINCT],
    used: u8,
    /// Where the value added last lies.
    last: u8,
    /// How many there were in the window that ended then.
    counted: u8,
    /// Where the next value goes if all are in the window.
    next: u8,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { times: [0; MAX_DISTINCT], values: [0; MAX_DISTINCT], used: 0, last: 0, counted: 0, next: 0 }
    }
}

impl Recycle for Distinct {
    /// Values past those in use are never read.
    #[inline]
    fn recycle(&mut self) {
        self.used = 0;
    }
}

/// A window, prepared for [`Distinct`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window(u32);

impl Window {
    /// The window of this length, at most a month.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self(span(length))
    }
}

/// What [`Distinct::add`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Insertion {
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
    pub fn add(&mut self, value: u16, now: Timestamp, window: Window) -> Insertion {
        let now = ticks(now);
        // Nothing leaves the window within one step of the clock.
        if self.used > 0 && self.last() == (value, now) {
            return Insertion { distinct: self.counted.into(), is_new: false };
        }
        if self.used == 0 {
            return self.add_first(value, now);
        }
        self.add_elsewhere(value, now, window)
    }

    /// The value added last, and when.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the arrays")]
    fn last(&self) -> (u16, u32) {
        let last = usize::from(self.last) % MAX_DISTINCT;
        (self.values[last], self.times[last])
    }

    #[inline]
    const fn add_first(&mut self, value: u16, now: u32) -> Insertion {
        let ([time, ..], [held, ..]) = (&mut self.times, &mut self.values);
        (*time, *held) = (now, value);
        (self.used, self.last, self.counted) = (1, 0, 1);
        Insertion { distinct: 1, is_new: true }
    }

    #[inline(never)]
    fn add_elsewhere(&mut self, value: u16, now: u32, Window(window): Window) -> Insertion {
        let used = usize::from(self.used);
        let (others, is_there) = self.look(value, now, window);
        let held =
            if is_there { self.values.iter().take(used).position(|held| *held == value) } else { None };
        let (place, is_new, distinct) = match held {
            Some(place) => {
                (place, self.times.get(place).is_none_or(|time| age(now, *time) > window), others + 1)
            }
            None => (self.place(others, now, window), true, (others + 1).min(MAX_DISTINCT)),
        };
        if let (Some(time), Some(held)) = (self.times.get_mut(place), self.values.get_mut(place)) {
            (*time, *held) = (now, value);
        }
        // All are below 65.
        let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        (self.last, self.counted) = (small(place), small(distinct));
        Insertion { distinct: u32::from(self.counted), is_new }
    }

    /// How many other values the window holds, and whether `value` is remembered at all. Without branches, so that
    /// eight are looked at in a few instructions.
    #[inline]
    fn look(&self, value: u16, now: u32, window: u32) -> (usize, bool) {
        let (times, values) = (self.times.as_chunks::<LANES>().0, self.values.as_chunks::<LANES>().0);
        let (mut others, mut same, mut left) = (0_u32, 0_u32, u32::from(self.used));
        for (times, values) in times.iter().zip(values).take(usize::from(self.used).div_ceil(LANES)) {
            for (lane, (time, held)) in (0..).zip(times.iter().zip(values)) {
                let in_use = lane < left;
                others += u32::from(in_use & (*held != value) & (age(now, *time) <= window));
                same += u32::from(in_use & (*held == value));
            }
            left = left.saturating_sub(8);
        }
        (usize::try_from(others).unwrap_or(MAX_DISTINCT), same != 0)
    }

    /// Where a new value goes: the place of one that left the window, a place never used, or else whichever place is
    /// next in turn.
    fn place(&mut self, others: usize, now: u32, window: u32) -> usize {
        let used = usize::from(self.used);
        if others < used {
            let outlived = self.times.iter().take(used).position(|time| age(now, *time) > window);
            return outlived.unwrap_or_default();
        }
        if used < MAX_DISTINCT {
            self.used += 1;
            return used;
        }
        let place = usize::from(self.next);
        self.next = (self.next + 1) % 64;
        place
    }
}

const _: () = assert!(MAX_DISTINCT == 64 && LANES == 8, "the turn of places and of lanes");

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const WINDOW: Window = Window::new(Duration::from_secs(10));

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
            assert_eq!(usize::from(value + 1).min(MAX_DISTINCT), usize::try_from(seen.distinct).unwrap());
            assert!(seen.is_new);
        }
    }

    #[test]
    fn packets_out_of_order_count_as_now() {
        let mut distinct = Distinct::default();
        distinct.add(1, at_millis(100_000), WINDOW);
        assert_eq!(distinct.add(2, at_millis(99_990), WINDOW).distinct, 2);
        assert_eq!(distinct.add(1, at_millis(100_001), WINDOW), Insertion { distinct: 2, is_new: false });
    }
}
