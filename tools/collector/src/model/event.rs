//! Events: alerts that were stored, and sensors that changed state.

use std::net::SocketAddr;
use std::sync::Arc;

use sentinel_units::Timestamp;

use super::StoredAlert;

/// Something that subscribers are notified of. Cheap to clone: the content is shared.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert was committed to the store.
    Alert(Arc<StoredAlert>),
    /// A sensor was enrolled, connected or disconnected.
    Sensor(Arc<SensorEvent>),
}

/// A change of a sensor's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SensorEvent {
    /// Time of the change.
    pub time: Timestamp,
    /// Name of the sensor.
    pub sensor: Arc<str>,
    /// Remote address of its connection.
    pub peer: SocketAddr,
    /// The change.
    pub change: SensorChange,
}

/// The ways in which a sensor's state changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SensorChange {
    /// A token was used up for it.
    Enrolled,
    /// Its session is established.
    Connected,
    /// Its session has ended.
    Disconnected {
        /// Cause, for people.
        reason: String,
    },
}
