//! Daily budget of writes to flash: an account of the bytes written in the last 24 hours, by hour.

use sentinel_units::Uptime;

const HOUR_MS: u64 = 3_600_000;
/// The hour that runs and the 24 before it: every span of 24 hours lies within them.
const HOURS: usize = 25;

/// Reason for a write, which decides how much of the budget it may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Memory is full, or an alert below `high` is to be kept: three quarters of the budget.
    Bulk,
    /// An alert of `high` or above: all of it.
    Severe,
}

/// Bytes written in each of the last [`HOURS`] hours. Not kept over a restart.
#[derive(Clone, Debug, Default)]
pub(super) struct DailyBudget {
    bytes: [u64; HOURS],
    /// Hours since the start of the sensor, as of the last update.
    hour: u64,
    /// Counter of bytes written, as of the last update.
    counted: u64,
}

impl DailyBudget {
    /// Enters the bytes written since the last call; `written` is the counter of the log.
    pub(super) fn update(&mut self, now: Uptime, written: u64) {
        let hour = now.as_millis() / HOUR_MS;
        // At most once around: after a longer pause all hours are empty.
        for passed in (self.hour + 1..=hour).take(HOURS) {
            if let Some(slot) = self.bytes.get_mut(index(passed)) {
                *slot = 0;
            }
        }
        self.hour = self.hour.max(hour);
        self.add(written.saturating_sub(self.counted));
        self.counted = written;
    }

    /// Bytes written in the last 24 to 25 hours.
    pub(super) fn used(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Returns true if `cost` more bytes may be written out of `daily_bytes`; `u64::MAX` is no limit.
    pub(super) fn allows(&self, purpose: Purpose, cost: u64, daily_bytes: u64) -> bool {
        let limit = match purpose {
            Purpose::Bulk => daily_bytes - daily_bytes / 4,
            Purpose::Severe => daily_bytes,
        };
        self.used().saturating_add(cost) <= limit
    }

    /// Adds `bytes` to the running hour.
    fn add(&mut self, bytes: u64) {
        if let Some(slot) = self.bytes.get_mut(index(self.hour)) {
            *slot += bytes;
        }
    }
}

fn index(hour: u64) -> usize {
    usize::try_from(hour).unwrap_or(0) % HOURS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hour(number: u64) -> Uptime {
        Uptime::ZERO.after(Duration::from_secs(number * 3_600))
    }

    #[test]
    fn no_span_of_a_day_exceeds_the_budget_and_a_quarter_is_for_severe_alerts() {
        let mut budget = DailyBudget::default();
        budget.update(hour(0), 700);
        assert!(budget.allows(Purpose::Bulk, 50, 1_000) && !budget.allows(Purpose::Bulk, 51, 1_000));
        assert!(budget.allows(Purpose::Severe, 300, 1_000) && !budget.allows(Purpose::Severe, 301, 1_000));
        budget.update(hour(23), 900);
        assert_eq!(budget.used(), 900);
        budget.update(hour(24), 900);
        assert_eq!(budget.used(), 900, "the first write may be a minute less than a day ago");
        budget.update(hour(25), 900);
        assert_eq!(budget.used(), 200);
        budget.update(hour(1_000), 950);
        assert_eq!(budget.used(), 50, "after a long pause");
        budget.update(hour(999), 960);
        assert_eq!(budget.used(), 60, "time does not go backwards");
        assert!(budget.allows(Purpose::Bulk, u64::MAX / 2, u64::MAX), "no limit");
    }
}
