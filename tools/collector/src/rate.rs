//! Rates: generic cell rate algorithm (ITU-T I.371), one number of state for each limited party.
//!
//! The state is the time up to which everything that came is paid for. Each unit moves it on by the cost of one, and it never
//! lags behind the present by more than the credit: `credit / cost` units may come at once, one each `cost` after that.

use std::time::Duration;

/// A rate with a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    cost: Duration,
    credit: Duration,
}

impl Rate {
    /// `per_second` units a second, at least 1, and `burst` units at once.
    #[must_use]
    pub const fn per_second(per_second: u32, burst: u32) -> Self {
        let cost = match Duration::from_secs(1).checked_div(per_second) {
            Some(cost) => cost,
            None => Duration::from_secs(1),
        };
        Self { cost, credit: cost.saturating_mul(burst) }
    }

    /// One unit each `cost`, and as many at once as come due within `credit`.
    #[must_use]
    pub const fn one_each(cost: Duration, credit: Duration) -> Self {
        Self { cost, credit }
    }

    /// Time up to which is paid after `count` more units at `now_us`; past `now_us` if they are more than the rate allows.
    #[must_use]
    pub fn paid_after(self, paid_us: i64, count: u64, now_us: i64) -> i64 {
        let oldest = now_us.saturating_sub(micros(self.credit));
        paid_us.max(oldest).saturating_add(micros(self.cost).saturating_mul(clamp(count)))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn clamp(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// State of one party whose excess is delayed: its debt is the time until it may go on.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    paid_us: i64,
}

impl Bucket {
    /// A bucket with the whole burst.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate, paid_us: i64::MIN }
    }

    /// Counts `count` units at `now`, a time since any fixed moment, and returns the time until the debt is paid; zero while
    /// the rate is kept.
    pub fn charge(&mut self, count: u64, now: Duration) -> Duration {
        let now_us = micros(now);
        self.paid_us = self.rate.paid_after(self.paid_us, count, now_us);
        let debt_us = self.paid_us.saturating_sub(now_us);
        Duration::from_micros(u64::try_from(debt_us).unwrap_or_default())
    }

    /// Counts one unit at `now` if the rate allows it; false if not, and then nothing is counted.
    pub fn take(&mut self, now: Duration) -> bool {
        self.take_all(1, now)
    }

    /// [`Bucket::take`] for `count` units, all of them or none.
    pub fn take_all(&mut self, count: u64, now: Duration) -> bool {
        let before = self.paid_us;
        let is_allowed = self.charge(count, now).is_zero();
        if !is_allowed {
            self.paid_us = before;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(Rate::per_second(10, 3));
        let at = Duration::from_millis;
        assert_eq!(
            [0, 0, 0, 0, 99, 100, 100].map(|now| bucket.take(at(now))),
            [true, true, true, false, false, true, false]
        );
        assert_eq!(
            [10_000, 10_000, 10_000, 10_000].map(|now| bucket.take(at(now))),
            [true, true, true, false]
        );
    }

    #[test]
    fn excess_is_a_debt_in_time() {
        let mut bucket = Bucket::new(Rate::per_second(1_000, 100));
        assert_eq!(bucket.charge(100, Duration::from_secs(5)), Duration::ZERO);
        assert_eq!(bucket.charge(50, Duration::from_secs(5)), Duration::from_millis(50));
        assert_eq!(bucket.charge(0, Duration::from_millis(5_020)), Duration::from_millis(30));
    }

    #[test]
    fn no_count_overflows() {
        let rate = Rate::one_each(Duration::from_millis(1), Duration::MAX);
        assert_eq!(rate.paid_after(i64::MAX, u64::MAX, i64::MAX), i64::MAX);
        assert!(rate.paid_after(i64::MIN, 0, i64::MIN) <= 0);
        assert!(Bucket::new(rate).charge(u64::MAX, Duration::MAX) < Duration::MAX);
    }
}
