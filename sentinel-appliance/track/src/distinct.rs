//! Exact count of distinct 16-bit values within a sliding window: a last-seen table, scanned eight lanes at a time.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::clock::{age, span, ticks};
use crate::table::Recycle;

/// Maximum number of distinct values counted within one window.
pub const MAX_DISTINCT: usize = 64;

/// Values that one step of the scan compares.
const LANES: usize = 8;

/// The last [`MAX_DISTINCT`] distinct values with the time of their last occurrence, in 392 bytes.
///
/// Exact while at most [`MAX_DISTINCT`] distinct values fall within one window. Above that the count stays at
/// [`MAX_DISTINCT`], values are replaced in turn, and [`Insertion::is_new`] may be true again for a replaced value.
//
// Invariants:
// - The first `used` slots hold values, all different; the others are meaningless. `used` only grows, until `recycle`.
// - A slot whose time has left the window is not counted, but its value is still found, and the slot is reused first.
// - `last` is the slot written last and `last_count` the count at that time: a repetition of value and tick, as in a burst of
//   packets to one port, needs no scan, because nothing leaves the window within one tick.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// In ticks of 2^20 ns.
    times: [u32; MAX_DISTINCT],
    values: [u16; MAX_DISTINCT],
    used: u8,
    /// Slot of the value added last.
    last: u8,
    /// Distinct values within the window when it was added.
    last_count: u8,
    /// Slot to replace next if all values are within the window.
    next_victim: u8,
}

impl Default for Distinct {
    fn default() -> Self {
        Self {
            times: [0; MAX_DISTINCT],
            values: [0; MAX_DISTINCT],
            used: 0,
            last: 0,
            last_count: 0,
            next_victim: 0,
        }
    }
}

impl Recycle for Distinct {
    /// Resets the count alone: slots past those in use are never read.
    #[inline] // one store
    fn recycle(&mut self) {
        self.used = 0;
    }
}

/// Length of a window in ticks, prepared for [`Distinct`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window(u32);

impl Window {
    /// Makes a window of `length`, at most a month.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self(span(length))
    }
}

/// Result of [`Distinct::add`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Insertion {
    /// Number of distinct values within the window, with the one just added.
    pub distinct: u32,
    /// True if the value was not within the window before.
    pub is_new: bool,
}

impl Distinct {
    /// Adds `value` at `now` and counts the distinct values of the window that ends at `now`.
    ///
    /// Times are kept to 1.05 ms and wrap after 52 days; the table entry that holds this must have a lifetime below a month.
    #[inline] // for every packet that opens a flow: a repetition and a first value need no call
    pub fn add(&mut self, value: u16, now: Timestamp, window: Window) -> Insertion {
        let now = ticks(now);
        if self.used > 0 && self.last() == (value, now) {
            return Insertion { distinct: self.last_count.into(), is_new: false };
        }
        if self.used == 0 {
            return self.add_first(value, now);
        }
        self.add_scanning(value, now, window)
    }

    /// Number of values within the window that ends at `now` for which `counts` returns true.
    #[must_use]
    pub fn count_of(&self, now: Timestamp, Window(window): Window, counts: impl Fn(u16) -> bool) -> u32 {
        let now = ticks(now);
        let held = self.times.iter().zip(&self.values).take(self.used.into());
        held.map(|(time, value)| u32::from(age(now, *time) <= window && counts(*value))).sum()
    }

    /// Value added last, and its time.
    #[inline] // two loads, for every packet that counts
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the arrays")]
    fn last(&self) -> (u16, u32) {
        let last = usize::from(self.last) % MAX_DISTINCT;
        (self.values[last], self.times[last])
    }

    /// Adds the first value.
    #[inline] // a few stores: a scan with forged sources adds one value to a new entry each time
    const fn add_first(&mut self, value: u16, now: u32) -> Insertion {
        let ([time, ..], [held, ..]) = (&mut self.times, &mut self.values);
        (*time, *held) = (now, value);
        (self.used, self.last, self.last_count) = (1, 0, 1);
        Insertion { distinct: 1, is_new: true }
    }

    /// Adds a value by scanning all slots.
    #[inline(never)] // keeps the two short cases of `add` small in the caller
    fn add_scanning(&mut self, value: u16, now: u32, Window(window): Window) -> Insertion {
        let used = usize::from(self.used);
        let (others, held) = if used <= LANES {
            self.scan_few(value, now, window)
        } else {
            let (others, has_slot) = self.scan(value, now, window);
            let find = || self.values.iter().take(used).position(|held| *held == value);
            (others, if has_slot { find() } else { None })
        };
        let (slot, is_new, distinct) = match held {
            Some(slot) => {
                (slot, self.times.get(slot).is_none_or(|time| age(now, *time) > window), others + 1)
            }
            None => (self.free_slot(others, now, window), true, (others + 1).min(MAX_DISTINCT)),
        };
        if let (Some(time), Some(held)) = (self.times.get_mut(slot), self.values.get_mut(slot)) {
            (*time, *held) = (now, value);
        }
        // Both are at most 64.
        let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        (self.last, self.last_count) = (small(slot), small(distinct));
        Insertion { distinct: u32::from(self.last_count), is_new }
    }

    /// Returns the number of other values within the window, and the slot of `value`. Ordinary sources have few values.
    #[inline] // one caller
    fn scan_few(&self, value: u16, now: u32, window: u32) -> (usize, Option<usize>) {
        let (mut others, mut slot) = (0, None);
        for (index, (time, held)) in
            self.times.iter().zip(&self.values).take(usize::from(self.used)).enumerate()
        {
            if *held == value {
                slot = Some(index);
            } else {
                others += usize::from(age(now, *time) <= window);
            }
        }
        (others, slot)
    }

    /// Returns the number of other values within the window, and whether `value` has a slot.
    // No branch depends on a value: conditions are combined with `&` and added as numbers, so that a step over eight lanes
    // takes a few instructions. Lanes past `used` are masked, not skipped.
    #[inline] // one caller
    fn scan(&self, value: u16, now: u32, window: u32) -> (usize, bool) {
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

    /// Chooses the slot of a new value: one whose value has left the window, else an unused one, else the next in turn.
    fn free_slot(&mut self, others: usize, now: u32, window: u32) -> usize {
        let used = usize::from(self.used);
        if others < used {
            // Fewer values within the window than slots in use: at least one has left it.
            let expired = self.times.iter().take(used).position(|time| age(now, *time) > window);
            return expired.unwrap_or_default();
        }
        if used < MAX_DISTINCT {
            self.used += 1;
            return used;
        }
        let victim = usize::from(self.next_victim);
        self.next_victim = (self.next_victim + 1) % 64;
        victim
    }
}

const _: () =
    assert!(MAX_DISTINCT == 64 && LANES == 8, "the literals in `scan` and `free_slot`, and `u8` for slots");

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

    /// Compares with a set, with up to 40 values in a window of 10 s.
    #[test]
    fn counts_match_a_set() {
        let (mut distinct, mut events, mut random, mut now) = (Distinct::default(), Vec::new(), 7_u64, 0);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += random % 500;
            let value = u16::try_from(random >> 40 & 31).unwrap();
            // Ticks of 2^20 ns, as the structure keeps them.
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
            let even = expected.iter().filter(|value| **value % 2 == 0).count();
            let counted = distinct.count_of(at_millis(now), WINDOW, |value| value % 2 == 0);
            assert_eq!(counted, u32::try_from(even).unwrap(), "at {now} ms");
        }
    }

    #[test]
    fn above_the_maximum_the_count_stays_at_the_maximum() {
        let mut distinct = Distinct::default();
        for value in 0..200 {
            let seen = distinct.add(value, at_millis(1), WINDOW);
            assert_eq!(usize::from(value + 1).min(MAX_DISTINCT), usize::try_from(seen.distinct).unwrap());
            assert!(seen.is_new);
        }
    }

    #[test]
    fn packets_out_of_order_count_as_of_now() {
        let mut distinct = Distinct::default();
        distinct.add(1, at_millis(100_000), WINDOW);
        assert_eq!(distinct.add(2, at_millis(99_990), WINDOW).distinct, 2);
        assert_eq!(distinct.add(1, at_millis(100_001), WINDOW), Insertion { distinct: 2, is_new: false });
    }
}
