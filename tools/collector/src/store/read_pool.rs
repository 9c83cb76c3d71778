//! Read-only connections for one kind of request, each used by one request at a time, with deadlines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::{Files, StoreError};

/// Instructions of the virtual machine of `SQLite` between two looks at the clock: some ten microseconds.
const OPERATIONS_PER_LOOK: i32 = 1_000;

/// Bounds of a [`ReadPool`].
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Requests that read at the same time.
    pub reading: usize,
    /// Requests that wait for one of these; more fail at once.
    pub waiting: usize,
    /// Time for one request, waiting included. A statement that exceeds it is interrupted.
    pub deadline: Duration,
}

/// Read-only connections, opened when first needed. Cheap to clone. Requests of two pools never wait for each other.
#[derive(Clone, Debug)]
pub struct ReadPool {
    files: Arc<Files>,
    idle: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    deadline: Duration,
}

impl ReadPool {
    /// A pool for the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: Arc<Files>, limits: ReadLimits) -> Self {
        Self {
            files,
            idle: Arc::default(),
            reading: Arc::new(Semaphore::new(limits.reading)),
            admitted: Arc::new(Semaphore::new(limits.reading.saturating_add(limits.waiting))),
            deadline: limits.deadline,
        }
    }

    /// Runs `work` on a connection, on a thread that may block.
    ///
    /// A connection that failed is closed instead of returned to the pool: a damaged or replaced file is opened anew by the
    /// next request. One whose statement was interrupted is as good as before.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if too many requests wait; [`StoreError::Deadline`]; the errors of `work`;
    /// [`StoreError::Task`] if it panicked, and [`StoreError::Closed`] if the runtime is shutting down.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (deadline, until) = (self.deadline, Instant::now() + self.deadline);
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| StoreError::Overloaded)?;
        let reading = tokio::time::timeout(deadline, Arc::clone(&self.reading).acquire_owned());
        let reading = reading.await.map_err(|_| StoreError::Deadline(deadline))?;
        let reading = reading.map_err(|_| StoreError::Closed)?;
        let (files, idle) = (Arc::clone(&self.files), Arc::clone(&self.idle));
        // A connection is opened or taken only under the permits, so there are never more than `reading`. They move into the
        // task: if the request is cancelled, its read is interrupted, and counts until it has ended.
        let cancel = Cancel::default();
        let cancelled = Arc::clone(&cancel.0);
        let task = tokio::task::spawn_blocking(move || {
            let _permits = (admitted, reading); // held until the connection is back
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => files.open_reader()?,
            };
            connection.progress_handler(
                OPERATIONS_PER_LOOK,
                Some(move || cancelled.load(Ordering::Relaxed) || Instant::now() >= until),
            )?;
            let result = work(&connection).map_err(|error| interrupted(error, deadline));
            if matches!(result, Ok(_) | Err(StoreError::Deadline(_))) {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        task.await?
    }
}

/// Interrupts the read when it is dropped: with the future of the request. A client that has gone away costs nothing more.
#[derive(Debug, Default)]
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn interrupted(error: StoreError, deadline: Duration) -> StoreError {
    match error {
        StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            StoreError::Deadline(deadline)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    const LIMITS: ReadLimits = ReadLimits { reading: 1, waiting: 1, deadline: Duration::from_millis(200) };

    fn pool(directory: &std::path::Path) -> ReadPool {
        let files = Files::locate(directory, Some(&"0f".repeat(32))).unwrap();
        drop(open(&files.database()));
        ReadPool::new(Arc::new(files), LIMITS)
    }

    /// Counts to a number that takes minutes.
    fn endless(connection: &Connection) -> Result<i64, StoreError> {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000000000) SELECT max(i) FROM n";
        Ok(connection.query_row(sql, [], |row| row.get(0))?)
    }

    fn one(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row("SELECT count(*) FROM sensors", [], |row| row.get(0))?)
    }

    /// A dozen slow queries kept every reader busy for as long as they took.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_slow_statement_is_interrupted_and_the_next_request_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(directory.path());
        let started = Instant::now();
        let slow = pool.read(endless).await;
        assert!(matches!(slow, Err(StoreError::Deadline(_))), "{slow:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(pool.read(one).await.unwrap(), 1, "on the same connection");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_past_the_queue_fail_at_once_and_those_in_it_after_the_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(directory.path());
        let block = Arc::new(std::sync::Barrier::new(2));
        let held = (pool.clone(), Arc::clone(&block));
        let reading = tokio::spawn(async move {
            let block = held.1;
            held.0.read(move |_| Ok(block.wait().is_leader())).await
        });
        while pool.reading.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.read(one).await }
        });
        while pool.admitted.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(pool.read(one).await, Err(StoreError::Overloaded)));
        assert!(matches!(waiting.await.unwrap(), Err(StoreError::Deadline(_))));
        block.wait();
        reading.await.unwrap().unwrap();
        assert_eq!(pool.read(one).await.unwrap(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_is_given_up_is_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let mut pool = pool(directory.path());
        pool.deadline = Duration::from_secs(600);
        let request = tokio::spawn({
            let pool = pool.clone();
            async move { pool.read(endless).await }
        });
        while pool.reading.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        request.abort();
        let served = tokio::time::timeout(Duration::from_secs(10), pool.read(one)).await;
        assert_eq!(served.expect("the read goes on").unwrap(), 1);
    }
}
