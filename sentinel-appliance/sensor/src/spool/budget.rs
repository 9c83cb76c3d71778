//! Daily budget of writes to flash: an account of the bytes written in the last 24 hours, by hour.
//!
//! It holds over restarts: each write carries the account as it was before, in a record of some 20 bytes after deflating, and
//! the end of main tells what was written since. Hours are those of the clock of the device, so that restarts in the same
//! hour do not make them longer. A clock that was set back makes nothing older; one that was set forward between two runs by
//! a day or more clears the account, as waiting for a day does.

use sentinel_ringlog::PAGE_BYTES;
use sentinel_units::{Timestamp, Uptime};

const HOUR_MS: u64 = 3_600_000;
/// The hour that runs and the 24 before it: every span of 24 hours lies within them.
const HOURS: usize = 25;
/// Bytes of one number of pages in the log.
const PAGES_LEN: usize = 2;
/// Bytes of the account in the log.
pub(super) const ACCOUNT_LEN: usize = HOURS * PAGES_LEN;

/// Reason for a write, which decides how much of the budget it may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Memory is full, or an alert below `high` is to be kept: three quarters of the budget.
    Bulk,
    /// An alert of `high` or above: all of it.
    Severe,
    /// The run ends: once, also beyond the budget. It bounds what stopping in a loop writes to one segment more.
    End,
}

/// Account in a record of the log.
#[derive(Debug)]
pub(super) struct Written {
    hour: u32,
    end: u64,
    pages: [u8; ACCOUNT_LEN],
}

impl Written {
    /// Missing hours of an account count as empty.
    pub(super) fn new(hour: u32, end: u64, pages: &[u8]) -> Self {
        let mut own = [0; ACCOUNT_LEN];
        own.iter_mut().zip(pages).for_each(|(to, from)| *to = *from);
        Self { hour, end, pages: own }
    }
}

/// Hours since 1970.
pub(super) fn hour_of(time: Timestamp) -> u32 {
    u32::try_from(time.as_micros() / 1_000 / HOUR_MS).unwrap_or(u32::MAX)
}

/// Bytes written in each of the last [`HOURS`] hours.
#[derive(Clone, Debug)]
pub(super) struct DailyBudget {
    bytes: [u64; HOURS],
    /// Time of the hour of the clock that had passed at the start, in milliseconds.
    passed_ms: u64,
    /// Number of the running hour, as of the last update. The start is in hour [`HOURS`].
    hour: u64,
    /// Counter of bytes written, as of the last update.
    counted: u64,
}

impl DailyBudget {
    /// Empty; `wall` is the time of day at the start.
    pub(super) fn new(wall: Timestamp) -> Self {
        let passed_ms = wall.as_micros() / 1_000 % HOUR_MS;
        Self { bytes: [0; HOURS], passed_ms, hour: to_u64(HOURS), counted: 0 }
    }

    /// Takes over the account of the run before, at the time of day `wall`, with what was written from that account on up to
    /// `end`, the end of main.
    pub(super) fn restore(&mut self, written: &Written, end: u64, wall: Timestamp) {
        let age = hour_of(wall).saturating_sub(written.hour);
        let pages = written.pages.chunks_exact(PAGES_LEN);
        for (earlier, pages) in (0..).zip(pages) {
            let pages = pages.first_chunk().map_or(0, |pages| u16::from_le_bytes(*pages));
            self.add(u64::from(age) + earlier, u64::from(pages) * u64::from(PAGE_BYTES));
        }
        self.add(age.into(), end.saturating_sub(written.end));
    }

    /// Account for a record of the log: pages of this hour and of those before it, at most 65,535 (256 MiB) each.
    pub(super) fn account(&self) -> [u8; ACCOUNT_LEN] {
        let mut account = [0; ACCOUNT_LEN];
        for (earlier, pages) in (0..).zip(account.chunks_exact_mut(PAGES_LEN)) {
            let slot = self.hour.checked_sub(earlier).and_then(|hour| self.bytes.get(index(hour)));
            let count = slot.copied().unwrap_or_default().div_ceil(PAGE_BYTES.into());
            pages.copy_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        }
        account
    }

    /// Enters the bytes written since the last call; `written` is the counter of the log.
    pub(super) fn update(&mut self, now: Uptime, written: u64) {
        let hour = to_u64(HOURS) + (self.passed_ms + now.as_millis()) / HOUR_MS;
        // At most once around: after a longer pause all hours are empty.
        for passed in (self.hour + 1..=hour).take(HOURS) {
            if let Some(slot) = self.bytes.get_mut(index(passed)) {
                *slot = 0;
            }
        }
        self.hour = self.hour.max(hour);
        self.add(0, written.saturating_sub(self.counted));
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
            Purpose::End => daily_bytes.saturating_add(cost),
        };
        self.used().saturating_add(cost) <= limit
    }

    /// Adds `bytes` to the hour that was `earlier` hours before the running one, if that counts still.
    fn add(&mut self, earlier: u64, bytes: u64) {
        let counts = earlier < to_u64(HOURS);
        let hour = self.hour.checked_sub(earlier).filter(|_| counts);
        if let Some(slot) = hour.and_then(|hour| self.bytes.get_mut(index(hour))) {
            *slot = slot.saturating_add(bytes);
        }
    }
}

fn index(hour: u64) -> usize {
    usize::try_from(hour % to_u64(HOURS)).unwrap_or(0)
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wall(hours: u64, minutes: u64) -> Timestamp {
        Timestamp::from_parts(hours * 3_600 + minutes * 60, 0)
    }

    fn hour(number: u64) -> Uptime {
        Uptime::ZERO.after(Duration::from_secs(number * 3_600))
    }

    #[test]
    fn no_span_of_a_day_exceeds_the_budget_and_a_quarter_is_for_severe_alerts() {
        let mut budget = DailyBudget::new(wall(500_000, 0));
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

    /// Each start had a new account: a crash loop wrote a page in every few seconds.
    #[test]
    fn restarts_neither_clear_the_account_nor_keep_it_for_ever() {
        const PAGE: u64 = 4_096;
        let (mut written, mut end) = (Written::new(0, 0, &[]), 0);
        // 1,000 runs of a quarter of an hour each, each of which writes three pages.
        for run in 0..1_000 {
            let start = wall(500_000 + run / 4, run % 4 * 15);
            let mut budget = DailyBudget::new(start);
            budget.restore(&written, end, start);
            let expected = (run * 3 * PAGE).min(24 * 4 * 3 * PAGE);
            let used = budget.used();
            assert!(
                (expected..=expected + 4 * 3 * PAGE).contains(&used),
                "run {run}: {used}, want {expected}"
            );
            budget.update(hour(0), PAGE);
            // The account is that before the write which carries it.
            written = Written::new(hour_of(start), end + PAGE, &budget.account());
            end += 3 * PAGE;
        }
        let clock_of = |hours| {
            let mut budget = DailyBudget::new(wall(hours, 0));
            budget.restore(&written, end, wall(hours, 0));
            budget.used()
        };
        let newest = 500_000 + 999 / 4;
        assert_eq!(clock_of(newest), clock_of(1), "a clock without a battery");
        assert_eq!((clock_of(newest + 24) > 0, clock_of(newest + 25)), (true, 0));
        assert_eq!(Written::new(1, 2, &[3; 80]).pages, [3; ACCOUNT_LEN], "of a later version");
    }

    #[test]
    fn stopping_goes_beyond_the_budget_once() {
        let mut budget = DailyBudget::new(wall(0, 0));
        budget.update(hour(0), 1_000);
        assert!(!budget.allows(Purpose::Severe, 1, 1_000) && budget.allows(Purpose::End, 300, 1_000));
        budget.update(hour(0), 1_300);
        assert!(!budget.allows(Purpose::End, 1, 1_000));
        assert!(budget.allows(Purpose::End, 1, u64::MAX), "no limit");
    }
}
