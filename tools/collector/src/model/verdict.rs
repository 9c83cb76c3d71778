//! Verdict over all sensors: quiet, attacks, or cannot tell and why.

use super::{Accounting, RunEnds, Sensor, SensorState, SensorStatus};

/// Reasons that are listed at most; the rest is counted.
const MAX_REASONS: usize = 100;

/// Verdict for the overview.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// Open incidents that claim an attack (severity medium or above) and that nobody has resolved or called a false alarm.
    pub attacks: u64,
    /// Reasons why "quiet" is not said, those of one sensor together.
    pub reasons: Vec<Reason>,
    /// Number of them, with those that are not listed.
    pub reasons_total: usize,
}

/// Reason why "quiet" cannot be said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Name of the sensor; none for one of the collector.
    pub sensor: Option<String>,
    /// State that it makes; none if it makes none.
    pub state: Option<SensorState>,
    /// Cause.
    pub cause: String,
    /// Next step.
    pub next: &'static str,
}

impl Verdict {
    /// Verdict over `statuses`, with reasons of the collector itself.
    #[must_use]
    pub fn of(statuses: &[SensorStatus], attacks: u64, own: Vec<Reason>) -> Self {
        let enrolled = || statuses.iter().filter(|status| status.state != SensorState::Revoked);
        let mut reasons = own;
        if enrolled().next().is_none() {
            let next = "make a token: `sentinel-collector enroll --name NAME`";
            reasons.push(Reason { sensor: None, state: None, cause: "no sensor is enrolled".into(), next });
        }
        let mut total = reasons.len();
        for status in enrolled() {
            for reason in doubts(status) {
                total += 1;
                if reasons.len() < MAX_REASONS {
                    reasons.push(reason);
                }
            }
        }
        Self { attacks, reasons, reasons_total: total }
    }

    /// `attacks`, `cannot_tell` or `quiet`. Beside attacks there can be reasons as well.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (self.attacks, self.reasons_total) {
            (1.., _) => "attacks",
            (0, 1..) => "cannot_tell",
            (0, 0) => "quiet",
        }
    }
}

/// Reasons why a sensor that is not revoked cannot vouch for quiet.
fn doubts(status: &SensorStatus) -> Vec<Reason> {
    let reason = |state, cause, next| Reason { sensor: Some(status.sensor.name.clone()), state, cause, next };
    let mut doubts: Vec<Reason> = status
        .problems
        .iter()
        .map(|problem| reason(Some(problem.state), problem.cause.clone(), problem.next))
        .collect();
    if !status.state.is_heard() {
        return doubts; // nothing else is known of it
    }
    let is_blind = status.problems.iter().any(|problem| problem.state == SensorState::Blind);
    match &status.sight {
        None => doubts.push(reason(None, "has not told yet what it sees".into(), WAIT)),
        Some(sight) if sight.frames_at.is_none() && !is_blind => {
            doubts.push(reason(None, "has told once what it sees".into(), WAIT));
        }
        Some(sight) if sight.is_telling && sight.seen_permille.is_none() && !is_blind => {
            let cause = "too little traffic to say what share of it is seen".into();
            doubts.push(reason(None, cause, "wait until 64 KiB have passed its interfaces"));
        }
        Some(_) => {}
    }
    doubts.extend(open_books(&status.sensor).map(|(cause, next)| reason(None, cause, next)));
    doubts
}

const WAIT: &str = "wait for a minute";

/// Part of the books of a sensor that does not balance and that nobody has taken note of. Alerts that wait for less than a reading are under
/// way; older ones make the sensor "behind".
fn open_books(sensor: &Sensor) -> Option<(String, &'static str)> {
    const NOTE: &str = "read what is known, then `sentinel-collector sensors acknowledge NAME`";
    let lost = sensor.lost.saturating_sub(sensor.noted_lost);
    let missing = sensor.missing.saturating_sub(sensor.noted_missing);
    let known = Accounting { lost, missing, waiting: Some(0), run_ends: sensor.run_ends };
    if sensor.copy.is_some() {
        return Some((
            "two devices use its key".into(),
            "revoke it, and enroll the right device with a new token",
        ));
    }
    let restored = sensor.missing_since_restore().unwrap_or_default().min(missing);
    if restored > 0 {
        let cause = format!("{restored} alerts are missing since the store was restored from a backup");
        return Some((cause, NOTE));
    }
    match sensor.run_ends {
        RunEnds::Unreported => Some((
            "does not report how its runs ended".into(),
            "install the version of the collector on the device",
        )),
        RunEnds::Unclean { .. } => Some((known.to_string(), NOTE)),
        RunEnds::Clean if lost > 0 || missing > 0 => Some((known.to_string(), NOTE)),
        RunEnds::Clean => None,
    }
}
