//! The files of the data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{DatabaseKey, StoreError, key, schema};

/// Data directory of a collector: database, keys and lock file.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    key: DatabaseKey,
}

impl Files {
    /// Loads or creates the key of the database in `directory`, which is created if it does not exist.
    ///
    /// # Errors
    /// Errors of [`DatabaseKey::load`] and [`StoreError::Io`].
    pub fn locate(directory: &Path, given_key: Option<&str>) -> Result<Self, StoreError> {
        key::private_directory(directory)?;
        let database = directory.join(DATABASE);
        let key = DatabaseKey::load(given_key, &directory.join("db.key"), &database)?;
        Ok(Self { directory: directory.into(), key })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The value for `PRAGMA key`.
    pub(super) fn pragma(&self) -> &str {
        self.key.pragma()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    /// The static key of the collector.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.directory.join("collector.key")
    }

    /// A connection that may write.
    ///
    /// # Errors
    /// Errors of [`schema::open_writer`].
    pub fn open_writer(&self) -> Result<rusqlite::Connection, StoreError> {
        // Created here if it does not exist: the library would create it with a mode that others can read.
        let path = self.database();
        let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        made.map_err(|error| StoreError::Io(path, error))?;
        schema::open_writer(&self.database(), &self.key)
    }

    /// A connection that may only read.
    ///
    /// # Errors
    /// Errors of [`schema::open_reader`].
    pub fn open_reader(&self) -> Result<rusqlite::Connection, StoreError> {
        schema::open_reader(&self.database(), &self.key)
    }

    /// Takes the lock of the directory, so that at most one collector runs on it; dropping the file releases the lock.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another one does; [`StoreError::Io`].
    pub fn lock(&self) -> Result<File, StoreError> {
        let path = self.directory.join("collector.lock");
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(|error| StoreError::Io(path.clone(), error))?;
        // flock(2): the kernel releases it with the process, so a crash leaves no stale lock and the file may stay.
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(self.directory.clone())),
            Err(TryLockError::Error(error)) => Err(StoreError::Io(path, error)),
        }
    }

    /// Bytes of the database and its write-ahead log on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let length = |suffix: &str| {
            let path = self.directory.join(format!("{DATABASE}{suffix}"));
            std::fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default()
        };
        length("").saturating_add(length("-wal"))
    }
}

/// Name of the database in its directory.
pub const DATABASE: &str = "sentinel.db";
