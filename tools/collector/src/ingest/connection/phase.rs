//! Phases of a connection.

use std::sync::{Arc, Mutex};

use sentinel_uplink::{PublicKey, TokenId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::ingest::rates::SensorRates;
use crate::ingest::{EvictReason, SessionGuard};
use crate::model::Sensor;

/// Phase of a connection. Each holds only its own data.
pub(super) enum Phase {
    /// The peer has not named a key.
    Handshake,
    /// The peer claims the key of this sensor. Its handshake message may be a recording: only the hello that follows
    /// proves that it owns the key.
    Identified(Box<Sensor>),
    /// The peer claims to hold this token; its request proves it.
    Enrolling(PublicKey, TokenId),
    /// The session is established.
    Established(Box<Established>),
    /// Rejected or enrolled: no further message is expected.
    Closing,
}

/// An established session.
pub(super) struct Established {
    pub(super) sensor: Sensor,
    pub(super) name: Arc<str>,
    pub(super) guard: SessionGuard,
    pub(super) evicted: oneshot::Receiver<EvictReason>,
    pub(super) rates: Arc<Mutex<SensorRates>>,
    /// Held until the connection is closed.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Phase {
    /// Key that the peer has claimed or proved.
    pub(super) fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Handshake | Self::Closing => None,
            Self::Identified(sensor) => Some(sensor.public_key),
            Self::Enrolling(key, _) => Some(*key),
            Self::Established(established) => Some(established.sensor.public_key),
        }
    }

    /// Channel that receives the reason of an eviction.
    pub(super) fn evicted(&mut self) -> Option<&mut oneshot::Receiver<EvictReason>> {
        match self {
            Self::Established(established) => Some(&mut established.evicted),
            _ => None,
        }
    }
}
