//! Exponential backoff of a storage whose writes fail: a full disk stays full for a while, and each attempt writes what it
//! can.

use std::time::Duration;

use sentinel_units::Uptime;

/// Wait before the first retry.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Longest wait; it doubles at each failure up to this.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Backoff of one storage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryBackoff(Option<Failing>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    /// Time of the first failure.
    since: Uptime,
    /// Time of the next attempt.
    until: Uptime,
    wait: Duration,
}

impl RetryBackoff {
    /// Returns true while the storage is not to be written to.
    pub(super) fn is_waiting(&self, now: Uptime) -> bool {
        self.0.is_some_and(|failing| now < failing.until)
    }

    /// Returns true if the last write failed.
    pub(super) const fn is_failing(&self) -> bool {
        self.0.is_some()
    }

    /// Returns true if writes failed and the next attempt is due.
    pub(super) fn is_due(&self, now: Uptime) -> bool {
        self.0.is_some_and(|failing| now >= failing.until)
    }

    /// Records a failed write; gives the wait until the next attempt if the write before succeeded.
    pub(super) fn record_failure(&mut self, now: Uptime) -> Option<Duration> {
        let (since, wait) = match self.0 {
            None => (now, MIN_WAIT),
            Some(failing) => (failing.since, failing.wait.saturating_mul(2).min(MAX_WAIT)),
        };
        // Only the first failure is reported, so that a full disk logs one line and not one for each attempt.
        let is_first = self.0.is_none();
        self.0 = Some(Failing { since, until: now.after(wait), wait });
        is_first.then_some(wait)
    }

    /// Records a write; gives the time since the first failure if the one before failed.
    pub(super) fn record_success(&mut self, now: Uptime) -> Option<Duration> {
        self.0.take().map(|failing| now.since(failing.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> Uptime {
        Uptime::ZERO.after(Duration::from_secs(number))
    }

    #[test]
    fn waits_double_up_to_a_minute_and_end_with_the_first_success() {
        let mut retry = RetryBackoff::default();
        assert!(!retry.is_waiting(second(0)) && !retry.is_due(second(0)));
        assert_eq!(retry.record_failure(second(10)), Some(MIN_WAIT), "first failure");
        let mut now = 10;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(retry.is_waiting(second(now + wait - 1)) && retry.is_due(second(now + wait)), "{wait} s");
            now += wait;
            assert_eq!(retry.record_failure(second(now)), None, "later failure");
        }
        assert_eq!(retry.record_success(second(200)), Some(Duration::from_secs(190)));
        assert_eq!(retry.record_success(second(201)), None);
        assert!(!retry.is_waiting(second(201)));
        assert_eq!(retry.record_failure(second(300)), Some(MIN_WAIT), "from the beginning");
    }
}
