//! Sensors with their state, and the figures for monitoring.

use sentinel_units::Timestamp;

use super::access::{Caller, Operation, authorize};
use super::{Service, ServiceError};
use crate::model::{Sensor, SensorStatus};

/// Every sensor with its state, revoked ones included, in the order of names.
///
/// # Errors
/// [`ServiceError::Store`].
pub async fn list_sensors(service: &Service, caller: Caller) -> Result<Vec<SensorStatus>, ServiceError> {
    authorize(caller, Operation::ListSensors)?;
    statuses(service).await
}

/// Figures for monitoring that are not counters of this process, which are [`Service::metrics`].
#[derive(Clone, Debug)]
pub struct MetricsSnapshot {
    /// Every sensor, revoked ones included, in the order of names.
    pub sensors: Vec<SensorStatus>,
    /// Bytes of the database and its write-ahead log on disk.
    pub store_bytes: u64,
    /// Start of this process.
    pub started: Timestamp,
}

/// Figures for monitoring.
///
/// # Errors
/// [`ServiceError::Store`].
pub async fn metrics_snapshot(service: &Service, caller: Caller) -> Result<MetricsSnapshot, ServiceError> {
    authorize(caller, Operation::Metrics)?;
    let sensors = statuses(service).await?;
    Ok(MetricsSnapshot { sensors, store_bytes: service.readers.size_bytes(), started: service.started })
}

async fn statuses(service: &Service) -> Result<Vec<SensorStatus>, ServiceError> {
    let sensors = service.readers.sensors().await?;
    let status = |sensor: Sensor| {
        let session = service.sessions.find(sensor.id);
        SensorStatus::of_process(sensor, session)
    };
    Ok(sensors.into_iter().map(status).collect())
}
