//! Totals and timeline.

use std::time::Duration;

use sentinel_units::Timestamp;

use super::access::{Caller, authorize};
use super::operations::Operation;
use super::sensors::scoped_sensors;
use super::state::within_deadline;
use super::verdict::verdict;
use super::{MAX_MINUTES, Service, ServiceError};
use crate::clock;
use crate::model::{Accounting, AlertTotals, FleetAccounting, MinuteCounts, RemovedCounts, Sensor, Verdict};

/// Totals over everything stored, and the most recent minutes.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Time of the answer.
    pub time: Timestamp,
    /// Time since the start of this process.
    pub uptime: Duration,
    /// Bytes of the database and its write-ahead log on disk.
    pub store_bytes: u64,
    /// Sensors by state.
    pub sensors: SensorCounts,
    /// Stored alerts by kind and severity.
    pub totals: AlertTotals,
    /// Alerts received again and not stored again.
    pub duplicate: u64,
    /// Alerts that sensors reported as discarded.
    pub lost: u64,
    /// Sequence numbers neither stored nor reported as discarded.
    pub missing: u64,
    /// Runs of which it is not known whether there were later alerts.
    pub runs_unclean: u64,
    /// Knowledge of the alerts of all sensors.
    pub accounting: FleetAccounting,
    /// Numbers of what was deleted to keep the limits of age and size.
    pub removed: RemovedCounts,
    /// Alerts per minute of packet time, oldest first.
    pub per_minute: Vec<MinuteCounts>,
    /// Verdict over the sensors that the caller may see.
    pub verdict: Verdict,
    /// Limits of clients that took effect since the start of this process, by name.
    pub limited: Vec<(&'static str, u64)>,
}

/// Number of sensors by state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SensorCounts {
    /// Enrolled and not revoked.
    pub enrolled: usize,
    /// With an established session.
    pub connected: usize,
    /// Revoked.
    pub revoked: usize,
}

/// Totals, and a timeline of `minutes` minutes, clamped to 1 to [`MAX_MINUTES`].
///
/// # Errors
/// [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub async fn stats(service: &Service, caller: Caller, minutes: u16) -> Result<Stats, ServiceError> {
    authorize(&caller, Operation::Stats)?;
    let time = clock::now();
    let (minutes, among) = (minutes.clamp(1, MAX_MINUTES), service.access.scope(&caller).ids());
    let counts = within_deadline(service.readers.counts(time, minutes, among.clone())).await?;
    let list = scoped_sensors(service, &caller).await?;
    let verdict = verdict(service, &caller, &list).await?;
    let sensors = list.sensors;
    let sum = |of: fn(&Sensor) -> u64| sensors.iter().map(of).fold(0_u64, u64::saturating_add);
    let revoked = sensors.iter().filter(|sensor| sensor.revoked_at.is_some()).count();
    let is_heard =
        |sensor: &Sensor| service.sessions.find(sensor.id).is_some_and(|session| !session.is_silent);
    let known = |sensor: &Sensor| Accounting::of(sensor, is_heard(sensor));
    let connected = sensors.iter().filter(|sensor| service.sessions.find(sensor.id).is_some()).count();
    let is_limited = among.is_some();
    Ok(Stats {
        time,
        verdict,
        uptime: time.since(service.started),
        store_bytes: if is_limited {
            sum(|sensor| sensor.stored_bytes)
        } else {
            service.readers.size_bytes()
        },
        sensors: SensorCounts {
            enrolled: sensors.len() - revoked,
            connected: if is_limited { connected } else { service.sessions.count() },
            revoked,
        },
        duplicate: sum(|sensor| sensor.duplicates),
        lost: sum(|sensor| sensor.lost),
        missing: sum(|sensor| sensor.missing),
        runs_unclean: sum(|sensor| sensor.run_ends.unclean()),
        totals: counts.totals,
        accounting: sensors.iter().map(known).collect(),
        removed: if is_limited {
            RemovedCounts::default()
        } else {
            within_deadline(service.readers.removed()).await?
        },
        per_minute: counts.per_minute,
        limited: service.metrics.http.effective().collect(),
    })
}
