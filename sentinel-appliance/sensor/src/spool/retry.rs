//! When a storage that record_failure is tried again: a full disk stays full for a while, and each attempt writes what it can.

use std::time::Duration;

use sentinel_units::Uptime;

/// Before the first new attempt.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Doubled at each attempt that fails, up to this.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// One storage. It is left alone until its time has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryBackoff(Option<Failing>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    /// When it first record_failure.
    since: Uptime,
    /// When it is tried again.
    until: Uptime,
    wait: Duration,
}

impl RetryBackoff {
    /// Whether the storage is to be left alone.
    pub(super) fn is_waiting(&self, now: Uptime) -> bool {
        self.0.is_some_and(|failing| now < failing.until)
    }

    /// Whether it record_failure and may be tried again.
    pub(super) fn is_due(&self, now: Uptime) -> bool {
        self.0.is_some_and(|failing| now >= failing.until)
    }

    /// The storage has record_failure; gives the time until the next attempt if that is news.
    pub(super) fn record_failure(&mut self, now: Uptime) -> Option<Duration> {
        let (since, wait) = match self.0 {
            None => (now, MIN_WAIT),
            Some(failing) => (failing.since, failing.wait.saturating_mul(2).min(MAX_WAIT)),
        };
        let is_news = self.0.is_none();
        self.0 = Some(Failing { since, until: now.after(wait), wait });
        is_news.then_some(wait)
    }

    /// The storage has taken something; gives the time since it first record_failure if it had.
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
    fn pauses_double_up_to_a_minute_and_end_with_the_first_success() {
        let mut retry = RetryBackoff::default();
        assert!(!retry.is_waiting(second(0)) && !retry.is_due(second(0)));
        assert_eq!(retry.record_failure(second(10)), Some(MIN_WAIT), "news");
        let mut now = 10;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(retry.is_waiting(second(now + wait - 1)) && retry.is_due(second(now + wait)), "{wait} s");
            now += wait;
            assert_eq!(retry.record_failure(second(now)), None, "no news");
        }
        assert_eq!(retry.record_success(second(200)), Some(Duration::from_secs(190)));
        assert_eq!(retry.record_success(second(201)), None);
        assert!(!retry.is_waiting(second(201)));
        assert_eq!(retry.record_failure(second(300)), Some(MIN_WAIT), "from the beginning");
    }
}
