//! "At least `n` events within a window", exactly, in one comparison.
//!
//! Of the last events only their times are kept, in a ring. The newest `n` events lie within the window
//! if, and only if, the time of the `n`-th newest does.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::clock::{age, duration, span, ticks};
use crate::table::Recycle;

/// A threshold over a window, prepared for [`SlidingLog`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventLimit {
    /// Events between two marks.
    stride: u32,
    /// Marks that span the threshold.
    marks: u32,
    /// The window, in steps of 2^20 ns.
    window: u32,
}

impl EventLimit {
    /// Fires at `events` (at least 1) within `window`, on a [`SlidingLog`] of `capacity` marks.
    ///
    /// Up to `capacity` events the test is exact. Above, only every `stride`-th event leaves a mark, and
    /// the test fires at most two strides late: at 1,000 events and 256 marks within 8 events.
    #[must_use]
    pub fn new(events: u32, window: Duration, capacity: usize) -> Self {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX).max(1);
        let events = events.max(1);
        let stride = events.div_ceil(capacity);
        Self { stride, marks: events.div_ceil(stride), window: span(window) }
    }
}

/// That a threshold is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitReached(u32);

impl LimitReached {
    /// How long ago the first of the events was, to 1.05 ms.
    #[must_use]
    pub const fn since(self) -> Duration {
        duration(self.0)
    }
}

/// Times of the last `N` marks, in 4 `N` + 8 bytes.
#[derive(Clone, Copy, Debug)]
pub struct SlidingLog<const N: usize> {
    times: [u32; N],
    /// Marks made; wraps far above `N`.
    made: u32,
    /// Events since the last mark.
    since_mark: u32,
}

impl<const N: usize> Default for SlidingLog<N> {
    fn default() -> Self {
        Self { times: [0; N], made: 0, since_mark: 0 }
    }
}

impl<const N: usize> Recycle for SlidingLog<N> {
    /// Times before the first mark are never read.
    #[inline]
    fn recycle(&mut self) {
        (self.made, self.since_mark) = (0, 0);
    }
}

impl<const N: usize> SlidingLog<N> {
    const IS_POWER_OF_TWO: () = assert!(N.is_power_of_two() && N < 1 << 16, "the ring is indexed by masking");

    /// Counts one event at `now`. If the events up to this one reach the threshold, says how long ago
    /// the first of them was.
    #[inline]
    pub fn add(&mut self, threshold: EventLimit, now: Timestamp) -> Option<LimitReached> {
        let () = Self::IS_POWER_OF_TWO;
        let now = ticks(now);
        self.since_mark += 1;
        if self.since_mark >= threshold.stride {
            self.since_mark = 0;
            *self.at(self.made) = now;
            self.made = if self.made == u32::MAX { u32::MAX / 2 + 1 } else { self.made + 1 };
        }
        if self.made < threshold.marks {
            return None;
        }
        let then = *self.at(self.made.wrapping_sub(threshold.marks));
        let age = age(now, then);
        (age <= threshold.window).then_some(LimitReached(age))
    }

    /// Forgets all events if the last mark has left the window. What is kept for longer than the window without an
    /// event needs this at least once a month: the times wrap.
    #[inline]
    pub fn expire(&mut self, threshold: EventLimit, now: Timestamp) {
        if self.made > 0 && age(ticks(now), *self.at(self.made - 1)) > threshold.window {
            self.recycle();
        }
    }

    #[inline]
    fn at(&mut self, mark: u32) -> &mut u32 {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "masked to the length of the array"
        )]
        &mut self.times[mark as usize & (N - 1)]
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn at_millis(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn fires_at_the_threshold_and_not_before() {
        let threshold = EventLimit::new(30, Duration::from_secs(30), 64);
        let mut recent = SlidingLog::<64>::default();
        for event in 0..29 {
            assert!(recent.add(threshold, at_millis(event * 1_000)).is_none(), "{event}");
        }
        assert_eq!(
            recent.add(threshold, at_millis(29_000)).map(|reached| reached.since().as_millis() / 10),
            Some(2_899)
        );
        // 30 events, the first of them 31 s ago.
        assert!(recent.add(threshold, at_millis(30_000)).is_some());
        assert!(recent.add(threshold, at_millis(60_000)).is_none());
    }

    #[test]
    fn matches_the_definition() {
        let threshold = EventLimit::new(20, Duration::from_secs(5), 32);
        let (mut recent, mut events, mut random, mut now) =
            (SlidingLog::<32>::default(), Vec::new(), 3_u64, 0);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += random % 520;
            let tick = (now * 1_000_000) >> 20;
            events.push(tick);
            let inside = events.iter().rev().take_while(|then| tick - **then <= 5_000_000_000 >> 20).count();
            assert_eq!(recent.add(threshold, at_millis(now)).is_some(), inside >= 20, "at {now} ms");
        }
    }

    #[test]
    fn a_threshold_above_the_room_fires_within_two_strides() {
        let threshold = EventLimit::new(1_000, Duration::from_secs(5), 64);
        let mut recent = SlidingLog::<64>::default();
        let first = (1..=2_000).find(|_| recent.add(threshold, at_millis(1)).is_some()).unwrap();
        assert!((1_000..=1_032).contains(&first), "{first}");
        assert_eq!(threshold.stride, 16);
    }
}
