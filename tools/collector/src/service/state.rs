//! Shared state of the use cases.

use std::sync::Arc;
use std::time::Duration;

use sentinel_units::Timestamp;
use tokio::sync::watch;

use super::{Monitor, ServiceError};
use crate::access::Access;
use crate::clock;
use crate::events::EventBus;
use crate::ingest::Sessions;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::store::{Files, ReadLimits, ReaderPool, StoreError, WriterHandle};

/// Everything that the use cases read from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    /// The store.
    pub readers: ReaderPool,
    /// State of the store for monitoring.
    pub monitor: Monitor,
    /// Stored alerts and changes of sensors, as they happen.
    pub events: EventBus,
    /// Established sessions.
    pub sessions: Sessions,
    /// Users, keys, and the sensors that they see.
    pub access: Access,
    /// Counters of this process.
    pub metrics: Arc<Metrics>,
    /// Start of this process.
    pub started: Timestamp,
    /// Turns true when the process stops; subscriptions end then.
    pub stopping: watch::Receiver<bool>,
    /// The writer; none where nothing can be changed.
    pub writer: Option<WriterHandle>,
}

impl Service {
    /// State of a process that starts now, without sessions and subscribers. Must be called inside the runtime of the
    /// transports: reads run on its threads.
    #[must_use]
    pub fn new(files: &Arc<Files>, metrics: Arc<Metrics>, stopping: watch::Receiver<bool>) -> Self {
        Self::with_limits(files, metrics, stopping, ReaderPool::SEARCH, Log::default())
    }

    /// [`Service::new`] with other limits of searches.
    #[must_use]
    pub fn with_limits(
        files: &Arc<Files>,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
        searches: ReadLimits,
        log: Log,
    ) -> Self {
        Self {
            readers: ReaderPool::with_search(files, searches),
            monitor: Monitor::start(ReaderPool::new(files), stopping.clone()),
            events: EventBus::default(),
            sessions: Sessions::default(),
            access: Access::new(Arc::clone(files), log),
            metrics,
            started: clock::now(),
            stopping,
            writer: None,
        }
    }

    /// With a writer, through which users change what is stored.
    #[must_use]
    pub fn with_writer(self, writer: WriterHandle) -> Self {
        Self { writer: Some(writer), ..self }
    }
}

/// Time for a read of pages and streams. The store interrupts a statement at the same time; this one also ends the wait for
/// a disk that does not answer.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// The result of a short read.
///
/// # Errors
/// [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub(super) async fn within_deadline<T>(
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, ServiceError> {
    match tokio::time::timeout(READ_DEADLINE, read).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ServiceError::Deadline(READ_DEADLINE)),
    }
}
