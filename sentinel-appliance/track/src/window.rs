//! Bucketed sliding window: sums over the last `n` seconds in a ring of buckets.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::table::Recycle;

/// Number of buckets in the ring of a [`SlidingSum`].
pub const BUCKETS: usize = 64;

/// Division of a window into buckets.
///
/// A bucket is a power of two of nanoseconds, so that no packet costs a division. The window is covered by 32 to 63 whole
/// buckets and the current one: a sum includes the whole window and less than two buckets (1/16 of the window) more. A
/// threshold is therefore never missed, and crossed too early only by traffic within 6.3 % of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WindowShape {
    /// Logarithm to base 2 of the nanoseconds of a bucket.
    shift: u32,
    /// Whole buckets that cover the window, 32 to 63.
    buckets: u64,
}

impl WindowShape {
    /// Makes the shape for `window`, clamped to one microsecond to one day.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).clamp(1_000, 86_400_000_000_000);
        let shift = nanos.div_ceil(63).next_power_of_two().ilog2();
        Self { shift, buckets: nanos.div_ceil(1 << shift) }
    }

    /// Number of the bucket that a time is in, modulo 2^32.
    #[inline] // a shift, for every packet whose bytes count
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the cut to 32 bits is documented")]
    pub const fn bucket(self, at: Timestamp) -> u32 {
        (at.as_nanos() >> self.shift) as u32
    }

    /// Maximum time before the window that a sum may include.
    #[must_use]
    pub const fn slack(self) -> Duration {
        Duration::from_nanos(2 << self.shift)
    }
}

/// Sum of the amounts within the last window, in 272 bytes.
//
// Invariants while one shape is used: bucket `b` (a time shifted by `shape.shift`) is `counts[b % BUCKETS]`. Buckets outside `newest - buckets ..=
// newest` are zero, and `total` is the sum of all. The window and the current bucket take 64 buckets at most, so no two of
// them share a place in the ring.
#[derive(Clone, Copy, Debug)]
pub struct SlidingSum {
    newest: u64,
    total: u64,
    counts: [u32; BUCKETS],
}

impl Default for SlidingSum {
    fn default() -> Self {
        Self { newest: 0, total: 0, counts: [0; BUCKETS] }
    }
}

impl Recycle for SlidingSum {
    #[inline] // a fill whose length the caller knows
    fn recycle(&mut self) {
        *self = Self::default();
    }
}

impl SlidingSum {
    /// Adds `amount` at `now` and returns the sum over the window that ends at `now`.
    ///
    /// A time before the newest one counts in the newest bucket. A bucket saturates at `u32::MAX`.
    #[inline] // for every packet whose bytes count; in the common case `advance` returns at its first test
    pub fn add(&mut self, shape: WindowShape, now: Timestamp, amount: u32) -> u64 {
        self.advance(shape, now.as_nanos() >> shape.shift);
        let count = self.bucket_mut(self.newest);
        let before = *count;
        *count = before.saturating_add(amount);
        let added = *count - before;
        self.total += u64::from(added);
        self.total
    }

    /// Adds `amount` to the newest bucket.
    pub fn add_to_newest(&mut self, amount: u32) {
        let count = self.bucket_mut(self.newest);
        let before = *count;
        *count = before.saturating_add(amount);
        let added = *count - before;
        self.total += u64::from(added);
    }

    /// Makes `bucket` the newest, and empties the buckets that leave the window.
    // The loop takes at most `shape.buckets` steps: after a longer gap all buckets are empty.
    #[inline] // its first test ends most calls
    fn advance(&mut self, shape: WindowShape, bucket: u64) {
        let steps = bucket.saturating_sub(self.newest);
        if steps == 0 {
            // The clock was set back by more than the window: the amounts belong to another time.
            if self.newest - bucket > shape.buckets {
                *self = Self { newest: bucket, ..Self::default() };
            }
            return;
        }
        if steps > shape.buckets {
            *self = Self { newest: bucket, ..Self::default() };
            return;
        }
        // The window of the new bucket starts at `bucket - buckets`; each step moves its start by one.
        for step in 1..=steps {
            let leaving = (self.newest + step).wrapping_sub(shape.buckets + 1);
            let count = core::mem::take(self.bucket_mut(leaving));
            self.total -= u64::from(count);
        }
        self.newest = bucket;
    }

    #[inline] // a mask and an addition
    fn bucket_mut(&mut self, bucket: u64) -> &mut u32 {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "masked to the length of the array"
        )]
        &mut self.counts[(bucket & (BUCKETS as u64 - 1)) as usize]
    }
}

const _: () = assert!(BUCKETS.is_power_of_two() && BUCKETS >= 64, "63 whole buckets and the current one");

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_shape_covers_its_window_with_little_slack() {
        for millis in [1, 3, 999, 5_000, 10_000, 30_000, 60_000, 3_600_000] {
            let window = Duration::from_millis(millis);
            let shape = WindowShape::new(window);
            assert!((32..=63).contains(&shape.buckets), "{millis}: {shape:?}");
            assert!(shape.slack() <= window / 15, "{millis}: {shape:?}");
        }
    }

    /// Compares with the definition: no event of the window is missed, none older than window and slack is counted.
    #[test]
    fn sums_lie_between_the_window_and_the_window_plus_slack() {
        let window = Duration::from_secs(5);
        let shape = WindowShape::new(window);
        let (mut sliding, mut events, mut random, mut now) =
            (SlidingSum::default(), Vec::new(), 1_u64, 0_u64);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now += random % (SECOND / 10) * if random % 97 == 0 { 80 } else { 1 };
            let amount = u32::try_from(random % 9).unwrap();
            events.push((now, u64::from(amount)));
            let sum = sliding.add(shape, Timestamp::from_nanos(now), amount);
            let within = |span: Duration| -> u64 {
                let span = u64::try_from(span.as_nanos()).unwrap();
                events.iter().rev().take_while(|(at, _)| now - at <= span).map(|(_, amount)| amount).sum()
            };
            assert!(within(window) <= sum && sum <= within(window + shape.slack()), "at {now}");
        }
    }

    #[test]
    fn a_clock_set_back_empties_the_window() {
        let shape = WindowShape::new(Duration::from_secs(5));
        let mut sliding = SlidingSum::default();
        sliding.add(shape, Timestamp::from_parts(1_000, 0), 7);
        assert_eq!(sliding.add(shape, Timestamp::from_parts(999, 0), 1), 8);
        assert_eq!(sliding.add(shape, Timestamp::from_parts(10, 0), 1), 1);
    }

    #[test]
    fn a_bucket_saturates() {
        let shape = WindowShape::new(Duration::from_secs(5));
        let mut sliding = SlidingSum::default();
        sliding.add(shape, Timestamp::from_parts(5, 0), u32::MAX);
        assert_eq!(sliding.add(shape, Timestamp::from_parts(5, 0), 9), u64::from(u32::MAX));
    }
}
