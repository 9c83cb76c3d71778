//! A few read-only connections, lent to one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{Files, StoreError};

/// Requests that read at the same time; more wait for a permit.
const READERS: usize = 4;

/// Read-only connections, opened when first needed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers {
    files: Arc<Files>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Readers of the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: Arc<Files>) -> Self {
        Self { files, idle: Arc::default(), permits: Arc::new(Semaphore::new(READERS)) }
    }

    /// The files being read.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Runs `work` on a connection, on a thread that may block.
    ///
    /// # Errors
    /// Those of `work` and of opening; [`StoreError::Closed`] if the runtime is shutting down.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (files, idle) = (Arc::clone(&self.files), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit; // kept until the connection is back
            let lent = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match lent {
                Some(connection) => connection,
                None => files.open_reader()?,
            };
            let result = work(&connection);
            if result.is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        task.await.map_err(|_| StoreError::Closed)?
    }
}
