//! Sensors with their state, and the figures for monitoring.

use std::time::Duration;

use sentinel_units::Timestamp;

use super::access::{Caller, Operation, authorize};
use super::state::within_deadline;
use super::{Service, ServiceError};
use crate::model::{Sensor, SensorStatus};

/// Every sensor with its state, revoked ones included, in the order of names.
///
/// # Errors
/// [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub async fn list_sensors(service: &Service, caller: Caller) -> Result<Vec<SensorStatus>, ServiceError> {
    authorize(caller, Operation::ListSensors)?;
    let sensors = within_deadline(service.readers.sensors()).await?;
    Ok(statuses(service, sensors))
}

/// Figures for monitoring that are not counters of this process, which are [`Service::metrics`].
#[derive(Clone, Debug)]
pub struct MetricsSnapshot {
    /// Every sensor, revoked ones included, in the order of names.
    pub sensors: Vec<SensorStatus>,
    /// Bytes of the database and its write-ahead log on disk.
    pub store_bytes: u64,
    /// Age of the figures above.
    pub age: Duration,
    /// Start of this process.
    pub started: Timestamp,
}

/// Figures for monitoring. Answers within half a second whatever the store does.
///
/// # Errors
/// Errors of authorisation.
pub async fn metrics_snapshot(service: &Service, caller: Caller) -> Result<MetricsSnapshot, ServiceError> {
    authorize(caller, Operation::Metrics)?;
    let reading = service.monitor.reading().await;
    Ok(MetricsSnapshot {
        sensors: statuses(service, reading.sensors.iter().cloned()),
        store_bytes: reading.store_bytes,
        age: reading.begun.elapsed(),
        started: service.started,
    })
}

fn statuses(service: &Service, sensors: impl IntoIterator<Item = Sensor>) -> Vec<SensorStatus> {
    let status = |sensor: Sensor| {
        let session = service.sessions.find(sensor.id);
        SensorStatus::of_process(sensor, session)
    };
    sensors.into_iter().map(status).collect()
}
