//! Pool of read-only connections, each used by one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use sentinel_units::Timestamp;
use sentinel_uplink::{PublicKey, TokenId};
use tokio::sync::Semaphore;

use super::{Files, StoreError, alerts, sensors};
use crate::model::{AlertQuery, AlertRow, AlertTotals, MinuteCounts, Sensor, SensorId, StoredToken};

/// Requests that read at the same time; more wait for a permit.
const MAX_READERS: usize = 4;

/// Read-only connections, opened when first needed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReaderPool {
    files: Arc<Files>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// Sensors, totals and timeline of one request.
#[derive(Clone, Debug)]
pub struct StoreCounts {
    /// Every sensor, revoked ones included.
    pub sensors: Vec<Sensor>,
    /// Stored alerts by kind and severity.
    pub totals: AlertTotals,
    /// Alerts per minute, oldest first.
    pub per_minute: Vec<MinuteCounts>,
}

/// Every method reads one connection on a thread that may block.
///
/// All of them fail with the errors of the database, [`StoreError::Task`] if the read panicked, and
/// [`StoreError::Closed`] if the runtime is shutting down.
impl ReaderPool {
    /// A pool for the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: Arc<Files>) -> Self {
        Self { files, idle: Arc::default(), permits: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    /// Bytes of the database and its write-ahead log on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.size_bytes()
    }

    /// The rows that `query` selects. Only for reads along the row numbers: others belong to [`super::SearchPool`].
    pub(crate) async fn alerts(&self, query: AlertQuery) -> Result<Vec<AlertRow>, StoreError> {
        self.read(move |connection| alerts::query::select(connection, &query)).await
    }

    /// Row number of the newest alert; 0 if there is none.
    pub(crate) async fn newest_alert(&self) -> Result<i64, StoreError> {
        self.read(alerts::query::newest_id).await
    }

    /// Sensors, totals, and the timeline of the `minutes` minutes up to `now`.
    pub(crate) async fn counts(&self, now: Timestamp, minutes: u16) -> Result<StoreCounts, StoreError> {
        let counts = self.read(move |connection| {
            // Three statements, each with a snapshot of its own: a commit in between shows in the later ones only.
            Ok(StoreCounts {
                sensors: sensors::all(connection)?,
                totals: alerts::totals::totals(connection)?,
                per_minute: alerts::totals::timeline(connection, now, minutes)?,
            })
        });
        counts.await
    }

    /// Every sensor, revoked ones included, in the order of names.
    pub(crate) async fn sensors(&self) -> Result<Vec<Sensor>, StoreError> {
        self.read(sensors::all).await
    }

    /// The sensor with this key, even if it is revoked.
    pub(crate) async fn sensor_with_key(&self, key: PublicKey) -> Result<Option<Sensor>, StoreError> {
        self.read(move |connection| sensors::with_key(connection, key)).await
    }

    /// Row numbers of the revoked sensors.
    pub(crate) async fn revoked_sensors(&self) -> Result<Vec<SensorId>, StoreError> {
        self.read(sensors::revoked).await
    }

    /// The token of this number, even if it is used or expired.
    pub(crate) async fn token(&self, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
        self.read(move |connection| sensors::token(connection, id)).await
    }

    /// Runs `work` on a connection. One that failed is closed instead of returned to the pool: a damaged or
    /// replaced file is opened anew by the next request.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // A connection is opened or taken only under a permit, so there are never more than MAX_READERS. The permit moves
        // into the task: if the request is cancelled, its read continues and still counts.
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (files, idle) = (Arc::clone(&self.files), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit; // held until the connection is back
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => files.open_reader()?,
            };
            let result = work(&connection);
            if result.is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        task.await?
    }
}

/// Stored alerts by kind and severity, with which the counters of a new process start.
///
/// # Errors
/// Errors of the database.
pub(crate) fn initial_totals(connection: &Connection) -> Result<AlertTotals, StoreError> {
    alerts::totals::totals(connection)
}
