//! Events: alerts that were stored, and sensors that changed state.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use sentinel_units::Timestamp;
use sentinel_uplink::{BatchError, SessionError};

use super::{AlertRow, Limit, SensorState, StoredAlert, UndecodableAlert};

/// Something that subscribers are notified of. Cheap to clone: the content is shared.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert was committed to the store.
    Alert(Arc<StoredAlert>),
    /// An alert that was committed earlier and that this version cannot decode.
    Undecodable(Arc<UndecodableAlert>),
    /// A sensor was enrolled, connected or disconnected.
    Sensor(Arc<SensorEvent>),
}

impl Event {
    /// Name of the sensor that it is about.
    #[must_use]
    pub fn sensor(&self) -> &str {
        match self {
            Self::Alert(alert) => &alert.sensor,
            Self::Undecodable(alert) => &alert.sensor,
            Self::Sensor(event) => &event.sensor,
        }
    }
}

impl From<AlertRow> for Event {
    fn from(row: AlertRow) -> Self {
        match row {
            AlertRow::Alert(alert) => Self::Alert(alert),
            AlertRow::Undecodable(alert) => Self::Undecodable(alert),
        }
    }
}

/// A change of a sensor's state.
#[derive(Clone, Debug)]
pub struct SensorEvent {
    /// Time of the change.
    pub time: Timestamp,
    /// Name of the sensor.
    pub sensor: Arc<str>,
    /// Remote address of its connection, if the change is one of a connection.
    pub peer: Option<SocketAddr>,
    /// The change.
    pub change: SensorChange,
}

/// The ways in which a sensor's state changes.
#[derive(Clone, Debug)]
pub enum SensorChange {
    /// A token was used up for it.
    Enrolled,
    /// Its session is established.
    Connected,
    /// Its session has ended.
    Disconnected(DisconnectReason),
    /// Its state is another one, for this reason; an empty one for [`SensorState::Connected`].
    State(SensorState, String),
}

/// Reason for which a session ended. Errors are shared, because an event goes to many subscribers.
#[derive(Clone, Debug)]
pub enum DisconnectReason {
    /// The sensor closed the connection.
    ClosedByPeer,
    /// The network failed.
    Network(Arc<io::Error>),
    /// Nothing has come for this time. The session stays: if the sensor is heard again, it is connected again.
    Silent(Duration),
    /// The sensor broke the protocol or was silent for too long.
    Session(SessionError),
    /// A batch of the sensor could not be decoded.
    Batch(BatchError),
    /// The collector rejected the sensor.
    Rejected,
    /// The sensor connected again.
    Replaced,
    /// An operator revoked the sensor.
    Revoked,
    /// The collector stops.
    Stopping,
    /// The sensor's alerts could not be stored.
    StoreFailed(Arc<dyn Error + Send + Sync>),
    /// The sensor's alerts break one of its limits.
    Limit(Limit),
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedByPeer => out.write_str("the sensor closed the connection"),
            Self::Network(error) => error.fmt(out),
            Self::Silent(span) => write!(out, "no message for {} s", span.as_secs()),
            Self::Session(error) => error.fmt(out),
            Self::Batch(error) => error.fmt(out),
            Self::Rejected => out.write_str("rejected"),
            Self::Replaced => out.write_str("the sensor connected again"),
            Self::Revoked => out.write_str("revoked"),
            Self::Stopping => out.write_str("the collector stops"),
            Self::StoreFailed(error) => error.fmt(out),
            Self::Limit(limit) => out.write_str(limit.describe()),
        }
    }
}
