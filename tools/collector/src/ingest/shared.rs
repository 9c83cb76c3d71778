//! State that every connection uses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_units::Uptime;
use sentinel_uplink::Limits;
use tokio::sync::watch;

use super::{Rejections, Sessions};
use crate::enroll::KeyRing;
use crate::events::EventBus;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::store::{AdmissionReader, WriterHandle};

/// Limits of what the network can claim.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Maximum number of sessions.
    pub connections: usize,
    /// Maximum number of connections whose peer has not proved a key.
    pub handshakes: usize,
    /// Sizes and times of each session.
    pub session: Limits,
}

/// State that every connection uses.
#[derive(Debug)]
pub struct IngestShared {
    /// Keys of this collector.
    pub identity: KeyRing,
    /// Stores what arrives.
    pub writer: WriterHandle,
    /// Looks up keys and tokens.
    pub admission: AdmissionReader,
    /// Receives changes of sensors.
    pub events: EventBus,
    /// Established sessions.
    pub sessions: Sessions,
    /// Counters of this process.
    pub metrics: Arc<Metrics>,
    /// Counts and logs rejected connections.
    pub rejections: Rejections,
    /// The log.
    pub log: Log,
    /// Limits of what the network can claim.
    pub limits: IngestLimits,
    /// Turns true when the process stops.
    pub stopping: watch::Receiver<bool>,
    /// Start of this process, from which sessions count time.
    pub started: Instant,
}

impl IngestShared {
    /// Time since the start of this process.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        Uptime::ZERO.after(self.elapsed())
    }

    /// Uptime as a span, with microseconds.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
