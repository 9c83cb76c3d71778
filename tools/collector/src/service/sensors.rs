//! Sensors with their state, and the figures for monitoring.

use std::sync::Arc;
use std::time::Instant;

use sentinel_units::Timestamp;

use super::access::{Caller, authorize};
use super::alerts::find_sensor;
use super::operations::Operation;
use super::state::within_deadline;
use super::{Service, ServiceError};
use crate::ingest::Sessions;
use crate::model::{Scope, Sensor, SensorStatus, StateChange};

/// Every sensor, revoked ones included, in the order of names, as one reading of the store has them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SensorList {
    /// The stored part.
    pub sensors: Arc<Vec<Sensor>>,
    /// Start of the reading.
    pub read_at: Instant,
}

impl SensorList {
    /// The sensors with their present state.
    #[must_use]
    pub fn statuses(&self, sessions: &Sessions) -> Vec<SensorStatus> {
        let status = |sensor: &Sensor| SensorStatus::of_process(sensor.clone(), sessions.standing(sensor.id));
        self.sensors.iter().map(status).collect()
    }
}

/// Every sensor. A reading is shared by all who ask while it is made, see [`super::Monitor`].
///
/// # Errors
/// [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub async fn list_sensors(service: &Service, caller: Caller) -> Result<SensorList, ServiceError> {
    authorize(&caller, Operation::ListSensors)?;
    scoped_sensors(service, &caller).await
}

/// A sensor with the states that it has had, newest first.
#[derive(Clone, Debug)]
pub struct SensorDetail {
    /// Its present state.
    pub status: SensorStatus,
    /// Its history, bounded.
    pub history: Vec<StateChange>,
}

/// The sensor with this name, number or public key.
///
/// # Errors
/// [`ServiceError::UnknownSensor`], [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub async fn show_sensor(
    service: &Service,
    caller: Caller,
    text: String,
) -> Result<SensorDetail, ServiceError> {
    authorize(&caller, Operation::ShowSensor)?;
    let scope = service.access.scope(&caller);
    let id = find_sensor(service, &scope, text.clone()).await?;
    let found = within_deadline(service.readers.find_sensor(text.clone())).await?;
    let sensor = found.filter(|sensor| sensor.id == id);
    let sensor = sensor.ok_or(ServiceError::UnknownSensor { given: text, known: Vec::new() })?;
    let history = within_deadline(service.readers.sensor_states(id)).await?;
    let standing = service.sessions.standing(id);
    Ok(SensorDetail { status: SensorStatus::of_process(sensor, standing), history })
}

/// [`present_sensors`] without those that the caller may not see.
pub(super) async fn scoped_sensors(service: &Service, caller: &Caller) -> Result<SensorList, ServiceError> {
    let list = present_sensors(service).await?;
    let scope = service.access.scope(caller);
    if matches!(scope, Scope::All) {
        return Ok(list);
    }
    let seen = list.sensors.iter().filter(|sensor| scope.has(sensor.id)).cloned().collect();
    Ok(SensorList { sensors: Arc::new(seen), ..list })
}

/// The latest reading; one of this request alone, with its error, if that failed, is old, or has not come yet.
pub(super) async fn present_sensors(service: &Service) -> Result<SensorList, ServiceError> {
    let reading = service.monitor.reading().await;
    if reading.has_sensors && reading.error.is_none() && reading.stale_for().is_none() {
        return Ok(SensorList { sensors: reading.sensors, read_at: reading.begun });
    }
    let read_at = Instant::now();
    let sensors = Arc::new(within_deadline(service.readers.sensors()).await?);
    Ok(SensorList { sensors, read_at })
}

/// Figures for monitoring that are not counters of this process, which are [`Service::metrics`].
#[derive(Clone, Debug)]
pub struct MetricsSnapshot {
    /// Every sensor.
    pub sensors: SensorList,
    /// Bytes of the database and its write-ahead log on disk.
    pub store_bytes: u64,
    /// Start of this process.
    pub started: Timestamp,
}

/// Figures for monitoring. Answers within half a second whatever the store does.
///
/// # Errors
/// Errors of authorisation.
pub async fn metrics_snapshot(service: &Service, caller: Caller) -> Result<MetricsSnapshot, ServiceError> {
    authorize(&caller, Operation::Metrics)?;
    let reading = service.monitor.reading().await;
    Ok(MetricsSnapshot {
        sensors: SensorList { sensors: reading.sensors, read_at: reading.begun },
        store_bytes: reading.store_bytes,
        started: service.started,
    })
}
