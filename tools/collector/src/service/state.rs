//! Shared state of the use cases.

use std::sync::Arc;

use sentinel_units::Timestamp;
use tokio::sync::watch;

use crate::clock;
use crate::events::EventBus;
use crate::ingest::Sessions;
use crate::metrics::Metrics;
use crate::store::ReaderPool;

/// Everything that the use cases read from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    /// The store.
    pub readers: ReaderPool,
    /// Stored alerts and changes of sensors, as they happen.
    pub events: EventBus,
    /// Established sessions.
    pub sessions: Sessions,
    /// Counters of this process.
    pub metrics: Arc<Metrics>,
    /// Start of this process.
    pub started: Timestamp,
    /// Turns true when the process stops; subscriptions end then.
    pub stopping: watch::Receiver<bool>,
}

impl Service {
    /// State of a process that starts now, without sessions and subscribers.
    #[must_use]
    pub fn new(readers: ReaderPool, metrics: Arc<Metrics>, stopping: watch::Receiver<bool>) -> Self {
        Self {
            readers,
            events: EventBus::default(),
            sessions: Sessions::default(),
            metrics,
            started: clock::now(),
            stopping,
        }
    }
}
