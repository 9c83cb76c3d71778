//! Knowledge of the alerts that a sensor raised: the one place that words it.
//!
//! Alerts of a run are numbered from 1 without holes, so a hole is seen. What is not seen is the end: numbers after the
//! last one that arrived. Whether there were any is known only if the sensor tells how its runs ended and what waits.
//! "Accounted for" is said if nothing is left open, and otherwise what is open.

use std::fmt;

use sentinel_uplink::Counter;

use super::{RunEnds, Sensor};

/// Knowledge of the alerts of one sensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accounting {
    /// Alerts that the sensor reported as discarded.
    pub lost: u64,
    /// Numbers neither stored nor reported as discarded.
    pub missing: u64,
    /// Alerts raised and not yet delivered when the sensor last told; none if it never did.
    pub waiting: Option<u64>,
    /// Ends of its runs.
    pub run_ends: RunEnds,
}

/// The worst of what is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountingState {
    /// Every alert is stored.
    Complete,
    /// Every alert up to the last one received is stored; whether there were later ones is not known.
    NoGap,
    /// Every alert is stored or waits at the sensor.
    Waiting,
    /// Alerts are lost, and their number is known.
    Lost,
    /// Alerts may be lost, and their number is not known.
    Unknown,
}

impl AccountingState {
    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NoGap => "no_gap",
            Self::Waiting => "waiting",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

impl Accounting {
    /// Knowledge of the alerts of `sensor`. Without a connection nobody knows whether it has raised alerts since it last told; of a
    /// revoked one nobody wants to.
    #[must_use]
    pub fn of(sensor: &Sensor, is_connected: bool) -> Self {
        let waiting = sensor.telemetry.as_ref().and_then(|reading| {
            let raised = reading.value(Counter::AlertsRaised)?;
            let delivered = reading.value(Counter::AlertsDelivered)?;
            let evicted = reading.value(Counter::AlertsEvicted)?;
            Some(raised.saturating_sub(delivered).saturating_sub(evicted))
        });
        let is_current = is_connected || sensor.revoked_at.is_some();
        let waiting = waiting.filter(|waiting| is_current || *waiting > 0);
        Self { lost: sensor.lost, missing: sensor.missing, waiting, run_ends: sensor.run_ends }
    }

    /// The worst of what is known.
    #[must_use]
    pub const fn state(&self) -> AccountingState {
        match (self.run_ends, self.lost, self.missing, self.waiting) {
            (RunEnds::Unclean { .. }, ..) => AccountingState::Unknown,
            (_, 0, 0, Some(0)) if matches!(self.run_ends, RunEnds::Clean) => AccountingState::Complete,
            (_, 0, 0, Some(0) | None) => AccountingState::NoGap,
            (_, 0, 0, Some(_)) => AccountingState::Waiting,
            _ => AccountingState::Lost,
        }
    }
}

/// For people: every part that is open, or that none is.
impl fmt::Display for Accounting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = match self.run_ends {
            RunEnds::Unclean { boot, from, runs } => {
                let others = match runs {
                    0..=1 => String::new(),
                    runs => format!(", and those of {} runs before it", runs - 1),
                };
                format!("run {boot} has no known end: alerts from number {from} on may be missing{others}")
            }
            RunEnds::Unreported | RunEnds::Clean => String::new(),
        };
        let parts = parts((self.lost, "the sensor"), self.missing, unknown, (self.waiting, "the sensor"));
        write_parts(out, &parts, self.state())
    }
}

/// Knowledge of the alerts of all sensors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FleetAccounting {
    /// Alerts that sensors reported as discarded.
    pub lost: u64,
    /// Numbers neither stored nor reported as discarded.
    pub missing: u64,
    /// Alerts that wait at sensors, as far as they told.
    pub waiting: u64,
    /// Sensors of which a run has no known end.
    pub unclean: usize,
    /// Sensors that did not tell how their runs ended, or what waits.
    pub unreported: usize,
}

impl FromIterator<Accounting> for FleetAccounting {
    fn from_iter<I: IntoIterator<Item = Accounting>>(sensors: I) -> Self {
        let mut all = Self::default();
        for sensor in sensors {
            all.lost = all.lost.saturating_add(sensor.lost);
            all.missing = all.missing.saturating_add(sensor.missing);
            all.waiting = all.waiting.saturating_add(sensor.waiting.unwrap_or_default());
            all.unclean += usize::from(matches!(sensor.run_ends, RunEnds::Unclean { .. }));
            let is_unreported = sensor.run_ends == RunEnds::Unreported || sensor.waiting.is_none();
            all.unreported += usize::from(is_unreported);
        }
        all
    }
}

impl FleetAccounting {
    /// The worst of what is known.
    #[must_use]
    pub const fn state(&self) -> AccountingState {
        match self {
            Self { unclean: 1.., .. } => AccountingState::Unknown,
            Self { lost: 0, missing: 0, waiting: 0, unreported: 0, .. } => AccountingState::Complete,
            Self { lost: 0, missing: 0, waiting: 0, .. } => AccountingState::NoGap,
            Self { lost: 0, missing: 0, .. } => AccountingState::Waiting,
            _ => AccountingState::Lost,
        }
    }
}

/// For people: every part that is open, or that none is.
impl fmt::Display for FleetAccounting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = match self.unclean {
            0 => String::new(),
            1 => "a run of 1 sensor has no known end: alerts may be missing".into(),
            count => format!("runs of {count} sensors have no known end: alerts may be missing"),
        };
        let parts = parts((self.lost, "sensors"), self.missing, unknown, (Some(self.waiting), "sensors"));
        write_parts(out, &parts, self.state())
    }
}

/// Open items, worst last but what waits, which is no loss.
fn parts(lost: (u64, &str), missing: u64, unknown: String, waiting: (Option<u64>, &str)) -> Vec<String> {
    let mut parts = Vec::new();
    if let (1.., place) = lost {
        parts.push(format!("{} discarded by {place}", lost.0));
    }
    if missing > 0 {
        parts.push(format!("{missing} missing"));
    }
    if !unknown.is_empty() {
        parts.push(unknown);
    }
    if let (Some(count @ 1..), place) = waiting {
        parts.push(format!("{count} waiting at {place}"));
    }
    parts
}

fn write_parts(out: &mut fmt::Formatter<'_>, parts: &[String], state: AccountingState) -> fmt::Result {
    match (parts, state) {
        ([], AccountingState::Complete) => out.write_str("every alert is accounted for"),
        ([], _) => out.write_str("no gap up to the last alert received"),
        (parts, _) => out.write_str(&parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Accounting = Accounting { lost: 0, missing: 0, waiting: Some(0), run_ends: RunEnds::Clean };
    const UNCLEAN: RunEnds = RunEnds::Unclean { boot: 4, from: 900, runs: 1 };

    #[test]
    fn the_worst_is_the_state_and_every_part_is_told() {
        for (accounting, state, text) in [
            (CLEAN, "complete", "every alert is accounted for"),
            (
                Accounting { run_ends: RunEnds::Unreported, ..CLEAN },
                "no_gap",
                "no gap up to the last alert received",
            ),
            (Accounting { waiting: None, ..CLEAN }, "no_gap", "no gap up to the last alert received"),
            (Accounting { waiting: Some(5), ..CLEAN }, "waiting", "5 waiting at the sensor"),
            (Accounting { missing: 3, ..CLEAN }, "lost", "3 missing"),
            (
                Accounting { lost: 12, waiting: Some(5), ..CLEAN },
                "lost",
                "12 discarded by the sensor, 5 waiting at the sensor",
            ),
            (
                Accounting { lost: 12, run_ends: UNCLEAN, ..CLEAN },
                "unknown",
                "12 discarded by the sensor, run 4 has no known end: alerts from number 900 on may be missing",
            ),
        ] {
            assert_eq!((accounting.state().name(), accounting.to_string().as_str()), (state, text));
        }
    }

    #[test]
    fn one_sensor_of_which_less_is_known_decides_for_all() {
        let unreported = Accounting { run_ends: RunEnds::Unreported, ..CLEAN };
        let unclean = Accounting { run_ends: UNCLEAN, ..CLEAN };
        let waiting = Accounting { waiting: Some(2), ..CLEAN };
        for (sensors, state, text) in [
            (vec![CLEAN, CLEAN], "complete", "every alert is accounted for"),
            (vec![CLEAN, unreported], "no_gap", "no gap up to the last alert received"),
            (vec![waiting, unreported], "waiting", "2 waiting at sensors"),
            (
                vec![unclean, waiting, CLEAN],
                "unknown",
                "a run of 1 sensor has no known end: alerts may be missing, 2 waiting at sensors",
            ),
        ] {
            let all: FleetAccounting = sensors.into_iter().collect();
            assert_eq!((all.state().name(), all.to_string().as_str()), (state, text));
        }
    }

    #[test]
    fn completeness_is_claimed_only_if_nothing_is_open() {
        // The page said "every alert is accounted for" after power cuts that had taken 916 alerts.
        let counts = [0, 1, u64::MAX];
        for (lost, missing) in counts.into_iter().flat_map(|lost| counts.map(|missing| (lost, missing))) {
            for waiting in [None, Some(0), Some(1), Some(u64::MAX)] {
                for run_ends in [RunEnds::Unreported, RunEnds::Clean, UNCLEAN] {
                    let accounting = Accounting { lost, missing, waiting, run_ends };
                    let all: FleetAccounting = [accounting, CLEAN].into_iter().collect();
                    for text in [accounting.to_string(), all.to_string()] {
                        assert_eq!(
                            text.contains("accounted for"),
                            accounting == CLEAN,
                            "{accounting:?}: {text}"
                        );
                    }
                }
            }
        }
    }
}
