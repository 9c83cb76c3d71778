//! Rates of one sensor, kept over its sessions: a new connection does not renew a burst.

use std::time::Duration;

use crate::model::Limit;
use crate::rate::{Bucket, Rate};

/// Sessions: a sensor waits for at least half a second before it connects again, so that one device never exceeds this.
const SESSIONS: Rate = Rate::one_each(Duration::from_millis(500), Duration::from_secs(30));
/// Alerts: a hundred times what a sensor raises, and a spool of several MiB at once.
const ALERTS: Rate = Rate::per_second(2_000, 200_000);
/// Entries whose deliveries overtake the full spools of others: what a sensor raises as it goes, and not what it has kept.
const PROMPT: Rate = Rate::per_second(10, 32);
/// Gaps: a spool merges its losses into few.
const GAPS: Rate = Rate::per_second(100, 5_000);
/// Telemetry: `sentinel` sends it each minute.
const TELEMETRY: Rate = Rate::per_second(1, 30);
/// Updates of the sensor's row about limits that it met: an attack must not cost a write for each message.
const REPORTS: Rate = Rate::one_each(Duration::from_secs(60), Duration::from_secs(120));

/// State of the rates of one sensor. Time is that of [`super::IngestShared::uptime`].
#[derive(Debug)]
pub(super) struct SensorRates {
    sessions: Bucket,
    alerts: Bucket,
    prompt: Bucket,
    gaps: Bucket,
    telemetry: Bucket,
    reports: Bucket,
    /// Limits met and not yet in the row of the sensor.
    unreported: u64,
}

impl Default for SensorRates {
    fn default() -> Self {
        Self {
            sessions: Bucket::new(SESSIONS),
            alerts: Bucket::new(ALERTS),
            prompt: Bucket::new(PROMPT),
            gaps: Bucket::new(GAPS),
            telemetry: Bucket::new(TELEMETRY),
            reports: Bucket::new(REPORTS),
            unreported: 0,
        }
    }
}

impl SensorRates {
    /// Counts a session; false if it is one too many.
    pub(super) fn session(&mut self, now: Duration) -> bool {
        self.sessions.take(now)
    }

    /// Counts a reading of the counters; false if it is one too many.
    pub(super) fn telemetry(&mut self, now: Duration) -> bool {
        self.telemetry.take(now)
    }

    /// Returns true if a delivery of so many entries is to be stored before those of sensors that send much.
    pub(super) fn is_prompt(&mut self, entries: usize, now: Duration) -> bool {
        self.prompt.take_all(u64::try_from(entries).unwrap_or(u64::MAX), now)
    }

    /// Counts that a limit was met, and returns how often since the last update of the row, if it is time for one.
    pub(super) fn report(&mut self, now: Duration) -> Option<u64> {
        self.unreported = self.unreported.saturating_add(1);
        self.reports.take(now).then(|| std::mem::take(&mut self.unreported))
    }

    /// Counts entries that have arrived, and returns the time for which nothing more may be read, with the limit that says so.
    pub(super) fn entries(&mut self, alerts: usize, gaps: usize, now: Duration) -> Option<(Duration, Limit)> {
        let count = |entries| u64::try_from(entries).unwrap_or(u64::MAX);
        let alerts = (self.alerts.charge(count(alerts), now), Limit::AlertRate);
        let gaps = (self.gaps.charge(count(gaps), now), Limit::GapRate);
        let longest = if gaps.0 > alerts.0 { gaps } else { alerts };
        Some(longest).filter(|(wait, _)| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_spool_passes_and_a_flood_is_slowed_down() {
        let mut rates = SensorRates::default();
        assert_eq!(rates.entries(200_000, 5_000, Duration::ZERO), None);
        assert_eq!(
            rates.entries(200, 0, Duration::ZERO),
            Some((Duration::from_millis(100), Limit::AlertRate))
        );
        assert_eq!(rates.entries(0, 50, Duration::ZERO), Some((Duration::from_millis(500), Limit::GapRate)));
        assert_eq!(rates.entries(0, 0, Duration::from_secs(1)), None);
    }

    #[test]
    fn what_a_sensor_raises_overtakes_and_what_it_has_kept_does_not() {
        let mut rates = SensorRates::default();
        assert!(!rates.is_prompt(64, Duration::ZERO), "a batch of a full spool");
        assert!((0..8).all(|_| rates.is_prompt(4, Duration::ZERO)));
        assert!(!rates.is_prompt(1, Duration::ZERO));
        assert!((1..=100).all(|at| rates.is_prompt(1, Duration::from_millis(at * 100))));
    }

    #[test]
    fn a_sensor_that_reconnects_without_end_has_to_wait() {
        let mut rates = SensorRates::default();
        let accepted = (0..1_000).filter(|_| rates.session(Duration::ZERO)).count();
        assert_eq!(accepted, 60);
        assert!(rates.session(Duration::from_millis(500)));
    }

    #[test]
    fn every_limit_met_reaches_the_row_in_few_updates() {
        let mut rates = SensorRates::default();
        let reports: Vec<u64> = (0..1_000).filter_map(|_| rates.report(Duration::ZERO)).collect();
        assert_eq!(reports, [1, 1]);
        assert_eq!(rates.report(Duration::from_secs(60)), Some(999));
    }
}
