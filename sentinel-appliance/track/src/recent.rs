//! Sliding-window log: tests for "at least `n` events within a window", exactly, with one comparison.
//!
//! The times of the last events are kept in a ring. The newest `n` events lie within the window if and only if the `n`-th newest
//! does.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::clock::{age, duration, span, ticks};
use crate::table::Recycle;

/// Limit on events within a window, prepared for a [`SlidingLog`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventLimit {
    /// Events for each mark: 1 if all times fit the ring.
    stride: u32,
    /// Marks before the newest one that make the limit, with the events behind the newest.
    marks: u32,
    /// Events to come before the next mark, above which those behind the newest are too few, and one mark more is needed.
    max_remaining: u32,
    /// Window, in ticks of 2^20 ns.
    window: u32,
}

impl EventLimit {
    /// Makes the limit of `events` (at least 1) within `window`, for a [`SlidingLog`] of `capacity` marks.
    ///
    /// Up to `capacity` events the test is exact. Above, only every `stride`-th event leaves a mark, beginning with the first, and the
    /// limit is reached less than a stride late, and never early: at 1,000 events and 128 marks within 7 events.
    #[must_use]
    pub fn new(events: u32, window: Duration, capacity: usize) -> Self {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX).max(1);
        // The event at hand is one.
        let others = events.saturating_sub(1);
        // One mark alone makes one stride of all events.
        let stride = others.div_ceil(capacity.saturating_sub(1).max(1)).max(1);
        let (marks, behind) = (others / stride, others % stride);
        Self { stride, marks, max_remaining: stride - 1 - behind, window: span(window) }
    }
}

/// Result of [`SlidingLog::add`] when the limit is reached: the age of the first of its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitReached(u32);

impl LimitReached {
    /// Time since the first of the events, to 1.05 ms.
    #[must_use]
    pub const fn since(self) -> Duration {
        duration(self.0)
    }
}

/// Ring of the times of the last `N` marks, in 4 `N` + 8 bytes. `N` is a power of two below 65,536.
//
// Invariants: mark `m` is `times[m % N]`, and marks `mark_count - N .. mark_count` are in the ring, as far as they are not
// negative. `EventLimit::marks` is below `N`, and below `N - 1` where one more may be needed, so the mark that `add` reads has been written.
#[derive(Clone, Copy, Debug)]
pub struct SlidingLog<const N: usize> {
    times: [u32; N],
    /// Marks made so far. Stays above `N` once it was: see `add`.
    mark_count: u32,
    /// Events before the next mark; of a limit with another stride it may be too many.
    until_mark: u32,
}

impl<const N: usize> Default for SlidingLog<N> {
    fn default() -> Self {
        Self { times: [0; N], mark_count: 0, until_mark: 0 }
    }
}

impl<const N: usize> Recycle for SlidingLog<N> {
    /// Resets the counts alone: times before the first mark are never read.
    #[inline] // two stores
    fn recycle(&mut self) {
        (self.mark_count, self.until_mark) = (0, 0);
    }
}

impl<const N: usize> SlidingLog<N> {
    const IS_POWER_OF_TWO: () =
        assert!(N > 1 && N.is_power_of_two() && N < 1 << 16, "the ring is indexed by masking");

    /// Counts one event at `now`, and returns the age of the first event if those up to this one reach the limit.
    #[inline] // for every packet that a detector counts
    pub fn add(&mut self, limit: EventLimit, now: Timestamp) -> Option<LimitReached> {
        let () = Self::IS_POWER_OF_TWO;
        let now = ticks(now);
        if let Some(left) = self.until_mark.checked_sub(1) {
            self.until_mark = left;
        } else {
            self.until_mark = limit.stride - 1;
            *self.time_mut(self.mark_count) = now;
            // Instead of wrapping to zero, which means an empty ring, the count goes back to 2^31: a multiple of `N`, so the
            // place in the ring stays right.
            self.mark_count =
                if self.mark_count == u32::MAX { u32::MAX / 2 + 1 } else { self.mark_count + 1 };
        }
        // Ends here for most sources.
        if self.mark_count <= limit.marks {
            return None;
        }
        let marks = limit.marks + u32::from(self.until_mark > limit.max_remaining);
        if self.mark_count <= marks {
            return None;
        }
        let then = *self.time_mut(self.mark_count.wrapping_sub(marks + 1));
        let age = age(now, then);
        (age <= limit.window).then_some(LimitReached(age))
    }

    /// Removes all events if the last mark has left the window. A log that is kept for longer than its window without an event
    /// needs this at least once a month, because the times wrap.
    #[inline] // two compares, for every packet that another detector counts for the same source
    pub fn expire(&mut self, limit: EventLimit, now: Timestamp) {
        if self.mark_count > 0 && age(ticks(now), *self.time_mut(self.mark_count - 1)) > limit.window {
            self.recycle();
        }
    }

    #[inline] // a mask and an addition
    fn time_mut(&mut self, mark: u32) -> &mut u32 {
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
    fn the_limit_is_reached_at_its_events_and_not_before() {
        let limit = EventLimit::new(30, Duration::from_secs(30), 64);
        let mut log = SlidingLog::<64>::default();
        for event in 0..29 {
            assert!(log.add(limit, at_millis(event * 1_000)).is_none(), "{event}");
        }
        assert_eq!(
            log.add(limit, at_millis(29_000)).map(|reached| reached.since().as_millis() / 10),
            Some(2_899)
        );
        // 30 events, the first of them 31 s ago.
        assert!(log.add(limit, at_millis(30_000)).is_some());
        assert!(log.add(limit, at_millis(60_000)).is_none());
    }

    #[test]
    fn results_match_the_definition() {
        let limit = EventLimit::new(20, Duration::from_secs(5), 32);
        let (mut log, mut events, mut random, mut now) = (SlidingLog::<32>::default(), Vec::new(), 3_u64, 0);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += random % 520;
            let tick = (now * 1_000_000) >> 20;
            events.push(tick);
            let inside = events.iter().rev().take_while(|then| tick - **then <= 5_000_000_000 >> 20).count();
            assert_eq!(log.add(limit, at_millis(now)).is_some(), inside >= 20, "at {now} ms");
        }
    }

    /// A burst reaches the limit with its event; wherever the strides lie, it is reached less than one late and never early.
    #[test]
    fn a_limit_above_the_capacity_is_reached_less_than_a_stride_late() {
        let limit = EventLimit::new(1_000, Duration::from_secs(5), 64);
        let mut log = SlidingLog::<64>::default();
        assert_eq!((1..=2_000).find(|_| log.add(limit, at_millis(1)).is_some()), Some(1_000));
        assert_eq!(limit.stride, 16);
        for (events, stride) in [(33, 2), (50, 2), (63, 2), (64, 3), (100, 4)] {
            let limit = EventLimit::new(events, Duration::from_secs(5), 32);
            assert_eq!(limit.stride, stride);
            let (mut log, mut times, mut random, mut now) =
                (SlidingLog::<32>::default(), Vec::new(), 3_u64, 0);
            for _ in 0..20_000 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                now += random % (10_400 / u64::from(events));
                let tick = (now * 1_000_000) >> 20;
                times.push(tick);
                let inside =
                    times.iter().rev().take_while(|then| tick - **then <= 5_000_000_000 >> 20).count();
                let (inside, is_reached) =
                    (u32::try_from(inside).unwrap(), log.add(limit, at_millis(now)).is_some());
                assert!(!is_reached || inside >= events, "early at {now} ms: {inside} of {events}");
                assert!(is_reached || inside < events + stride - 1, "late at {now} ms: {inside} of {events}");
            }
        }
    }
}
