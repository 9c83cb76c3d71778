//! When a storage that refused is tried again: a full disk stays full for a while, and each attempt writes what it can.

use std::time::Duration;

use sentinel_units::Uptime;

/// Before the first new attempt.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Doubled at each attempt that fails, up to this.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// One storage. It is left alone until its time has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause(Option<Refusal>);

#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// When it first refused.
    since: Uptime,
    /// When it is tried again.
    until: Uptime,
    wait: Duration,
}

impl Pause {
    /// Whether the storage is to be left alone.
    pub(super) fn holds(&self, now: Uptime) -> bool {
        self.0.is_some_and(|refusal| now < refusal.until)
    }

    /// Whether it refused and may be tried again.
    pub(super) fn is_over(&self, now: Uptime) -> bool {
        self.0.is_some_and(|refusal| now >= refusal.until)
    }

    /// The storage has refused; gives the time until the next attempt if that is news.
    pub(super) fn refused(&mut self, now: Uptime) -> Option<Duration> {
        let (since, wait) = match self.0 {
            None => (now, MIN_WAIT),
            Some(refusal) => (refusal.since, refusal.wait.saturating_mul(2).min(MAX_WAIT)),
        };
        let is_news = self.0.is_none();
        self.0 = Some(Refusal { since, until: now.after(wait), wait });
        is_news.then_some(wait)
    }

    /// The storage has taken something; gives the time since it first refused if it had.
    pub(super) fn took(&mut self, now: Uptime) -> Option<Duration> {
        self.0.take().map(|refusal| now.since(refusal.since))
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
        let mut pause = Pause::default();
        assert!(!pause.holds(second(0)) && !pause.is_over(second(0)));
        assert_eq!(pause.refused(second(10)), Some(MIN_WAIT), "news");
        let mut now = 10;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(pause.holds(second(now + wait - 1)) && pause.is_over(second(now + wait)), "{wait} s");
            now += wait;
            assert_eq!(pause.refused(second(now)), None, "no news");
        }
        assert_eq!(pause.took(second(200)), Some(Duration::from_secs(190)));
        assert_eq!(pause.took(second(201)), None);
        assert!(!pause.holds(second(201)));
        assert_eq!(pause.refused(second(300)), Some(MIN_WAIT), "from the beginning");
    }
}
