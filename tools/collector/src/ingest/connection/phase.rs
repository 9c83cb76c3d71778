//! Phases of a connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sentinel_units::Uptime;
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
    /// proves that it owns the key, which is one that the sensor has, will have or had.
    Identified(Box<Sensor>, PublicKey),
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
    pub(super) silence: Silence,
    pub(super) rates: Arc<Mutex<SensorRates>>,
    /// Held until the connection is closed.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Time since a sensor was heard.
pub(super) struct Silence {
    /// Time of the last read that gave bytes, or of the last step in which this side would not read.
    heard_at: Uptime,
    /// Time after which it counts as silent.
    pub(super) limit: Duration,
    pub(super) is_silent: bool,
}

impl Silence {
    pub(super) const fn new(now: Uptime, limit: Duration) -> Self {
        Self { heard_at: now, limit, is_silent: false }
    }

    /// Time at which the sensor counts as silent; none if it does already.
    pub(super) fn due(&self) -> Option<Uptime> {
        (!self.is_silent).then(|| self.heard_at.after(self.limit))
    }

    /// The sensor was heard, or this side would not have heard it. Returns true if it was silent before.
    pub(super) const fn heard(&mut self, now: Uptime) -> bool {
        self.heard_at = now;
        std::mem::replace(&mut self.is_silent, false)
    }

    /// Returns true if the sensor counts as silent from now on.
    pub(super) fn begins(&mut self, now: Uptime) -> bool {
        let begins = self.due().is_some_and(|due| now >= due);
        self.is_silent |= begins;
        begins
    }
}

impl Phase {
    /// Key that the peer has claimed or proved.
    pub(super) fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Handshake | Self::Closing => None,
            Self::Identified(_, key) => Some(*key),
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
