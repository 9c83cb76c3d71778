//! Searches: reads that may have to look at every row, with a bounded number, a bounded queue and a deadline.
//!
//! Connections and threads of their own: searches cannot take those that pages, sensors or the writer need.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Files, StoreError, alerts, sensors};
use crate::model::{AlertQuery, AlertRow, Sensor};

/// Steps of the database engine between two looks at the clock: about a millisecond of a search.
const STEPS_PER_CHECK: i32 = 1_000;

/// Limits of searches.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// Searches that run at the same time.
    pub running: usize,
    /// Searches that wait for one of these to end; further ones are rejected at once.
    pub waiting: usize,
    /// Time from the request to the result, the wait included.
    pub deadline: Duration,
}

impl Default for SearchLimits {
    /// Two at a time: a search takes a processor for itself, and small machines have two to four.
    fn default() -> Self {
        Self { running: 2, waiting: 32, deadline: Duration::from_secs(5) }
    }
}

/// Reason for which a search has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum SearchError {
    /// This number of searches waits already.
    Busy(usize),
    /// It did not end within this time. It has been interrupted.
    Deadline(Duration),
    /// The store cannot be read.
    Store(StoreError),
}

impl fmt::Display for SearchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(waiting) => write!(out, "{waiting} searches wait already"),
            Self::Deadline(deadline) => {
                write!(out, "the search did not end within {} s", deadline.as_secs_f64())
            }
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for SearchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Busy(_) | Self::Deadline(_) => None,
        }
    }
}

impl From<StoreError> for SearchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Read-only connections for searches, opened when first needed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SearchPool {
    files: Arc<Files>,
    limits: SearchLimits,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// Searches that wait or run.
    places: Arc<Semaphore>,
    /// Searches that run.
    running: Arc<Semaphore>,
}

impl SearchPool {
    /// A pool for the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: Arc<Files>, limits: SearchLimits) -> Self {
        Self {
            files,
            limits,
            idle: Arc::default(),
            places: Arc::new(Semaphore::new(limits.running.saturating_add(limits.waiting))),
            running: Arc::new(Semaphore::new(limits.running)),
        }
    }

    /// The rows that `query` selects.
    ///
    /// Dropping the future interrupts the search: a client that has gone away costs nothing more.
    ///
    /// # Errors
    /// Each variant of [`SearchError`].
    pub(crate) async fn alerts(&self, query: AlertQuery) -> Result<Vec<AlertRow>, SearchError> {
        self.run(move |connection| alerts::query::select(connection, &query)).await
    }

    /// The sensor with this name, row number or public key, even if it is revoked.
    ///
    /// # Errors
    /// Each variant of [`SearchError`].
    pub(crate) async fn find_sensor(&self, text: String) -> Result<Option<Sensor>, SearchError> {
        self.run(move |connection| sensors::find(connection, &text)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| SearchError::Busy(self.limits.waiting))?;
        let deadline = Instant::now() + self.limits.deadline;
        let late = || SearchError::Deadline(self.limits.deadline);
        let turn = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.running).acquire_owned());
        let turn = turn.await.map_err(|_| late())?.map_err(|_| StoreError::Closed)?;
        let interrupt = Interrupt::default();
        let until = Until { deadline, cancelled: Arc::clone(&interrupt.0) };
        let pool = self.clone();
        let task = tokio::task::spawn_blocking(move || pool.search((place, turn), &until, work));
        match task.await.map_err(StoreError::from)? {
            Err(StoreError::Sqlite(error)) if is_interruption(&error) => Err(late()),
            result => Ok(result?),
        }
    }

    /// Runs `work` on a connection until it ends or is interrupted. One that failed is closed instead of kept.
    fn search<T>(
        &self,
        permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
        until: &Until,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pooled = self.lock().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => self.files.open_reader()?,
        };
        let check = until.clone();
        connection.progress_handler(STEPS_PER_CHECK, Some(move || check.is_over()))?;
        let result = work(&connection);
        connection.progress_handler(0, None::<fn() -> bool>)?;
        let is_sound = match &result {
            Ok(_) => true,
            Err(StoreError::Sqlite(error)) => is_interruption(error),
            Err(_) => false,
        };
        if is_sound {
            self.lock().push(connection);
        }
        drop(permits); // after the connection is back: there are never more than permits
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// End of the time of a search.
#[derive(Clone, Debug)]
struct Until {
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
}

impl Until {
    fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// Cancels the search when it is dropped: with the future of its request.
#[derive(Debug, Default)]
struct Interrupt(Arc<AtomicBool>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_interruption(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    /// Counts to a number that takes minutes.
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT count(*) FROM n";

    fn pool(directory: &std::path::Path, limits: SearchLimits) -> SearchPool {
        let files = Files::locate(directory, Some(&"0f".repeat(32))).unwrap();
        drop(open(&files.database()));
        SearchPool::new(Arc::new(files), limits)
    }

    fn endless(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row(ENDLESS, [], |row| row.get(0))?)
    }

    fn quick(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row("SELECT 7", [], |row| row.get(0))?)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_search_past_its_deadline_is_interrupted_and_its_connection_stays_good() {
        let directory = tempfile::tempdir().unwrap();
        let deadline = Duration::from_millis(200);
        let pool = pool(directory.path(), SearchLimits { running: 1, waiting: 4, deadline });
        let started = Instant::now();
        let (first, second) = tokio::join!(pool.run(endless), pool.run(endless));
        for result in [first, second] {
            assert!(matches!(result, Err(SearchError::Deadline(_))), "{result:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(5), "the wait counts as well");
        assert_eq!(pool.lock().len(), 1);
        assert_eq!(pool.run(quick).await.unwrap(), 7);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_searches_than_may_wait_are_rejected_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let deadline = Duration::from_secs(60);
        let pool = pool(directory.path(), SearchLimits { running: 1, waiting: 1, deadline });
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.run(endless).await })
            })
            .collect();
        while pool.places.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(pool.run(quick).await, Err(SearchError::Busy(1))));
        // A client that goes away ends its search: the places are free long before the deadline.
        for task in tasks {
            task.abort();
        }
        let freed = async {
            while pool.places.available_permits() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the searches go on");
        assert_eq!(pool.run(quick).await.unwrap(), 7);
    }
}
