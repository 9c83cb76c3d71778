//! Errors of the store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;

/// Failure of a store operation. Nothing of the failed request is stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The file exists, but the key does not open it, or it is not a database of a collector.
    WrongKey(PathBuf),
    /// The database exists, and its key file does not.
    KeyMissing {
        /// The database.
        database: PathBuf,
        /// Path of the missing key file.
        key: PathBuf,
    },
    /// The key file with this mode can be read by others.
    KeyExposed(PathBuf, u32),
    /// `SENTINEL_DB_KEY` is set and empty.
    KeyEmpty,
    /// The key file holds no key.
    KeyMalformed(PathBuf),
    /// The library is not `SQLCipher`: the file would not be encrypted.
    NotEncrypted,
    /// A newer program wrote the database, with this schema version.
    NewerSchema(i64),
    /// A sensor or token of this name exists already.
    NameTaken(String),
    /// Another collector runs on this directory.
    InUse(PathBuf),
    /// A file could not be read or written.
    Io(PathBuf, std::io::Error),
    /// Any other error of the database: disk full, locked for too long, damaged file.
    Sqlite(rusqlite::Error),
    /// A read took longer than this and was interrupted.
    Deadline(Duration),
    /// Too many reads wait already.
    Overloaded,
    /// The task that read ended without a result: it panicked.
    Task(tokio::task::JoinError),
    /// The writer has stopped, or the runtime is shutting down.
    Closed,
}

impl StoreError {
    /// Returns true if there is no room for more.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Returns true if the same request can succeed later without being changed: full disk, locked file.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Sqlite(error) if matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
            )
        ))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKey(path) => write!(
                out,
                "{} is not opened by this key (or is not a collector's database); \
                 set SENTINEL_DB_KEY or restore db.key",
                path.display()
            ),
            Self::KeyMissing { database, key } => write!(
                out,
                "{} exists but its key {} does not; restore the key or set SENTINEL_DB_KEY",
                database.display(),
                key.display()
            ),
            Self::KeyExposed(path, mode) => {
                write!(out, "{} has mode {mode:04o}, others can read it; run chmod 600", path.display())
            }
            Self::KeyEmpty => out.write_str("SENTINEL_DB_KEY is empty"),
            Self::KeyMalformed(path) => {
                write!(out, "{} does not hold 64 hexadecimal digits", path.display())
            }
            Self::NotEncrypted => out.write_str("the SQLite library in this program has no encryption"),
            Self::NewerSchema(version) => {
                write!(out, "the database has schema {version}, newer than this program knows")
            }
            Self::NameTaken(name) => write!(out, "the name {name} is taken"),
            Self::InUse(path) => write!(out, "another sentinel-collector runs on {}", path.display()),
            Self::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Sqlite(error) => write!(out, "database: {error}"),
            Self::Deadline(deadline) => write!(
                out,
                "the request took longer than {} s; ask for a shorter time or for one sensor",
                deadline.as_secs_f32()
            ),
            Self::Overloaded => out.write_str("too many requests are waiting; try again later"),
            Self::Task(error) => write!(out, "reading the store: {error}"),
            Self::Closed => out.write_str("the store is closing"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text has the error itself, so the chain goes on behind it: printed as a whole, it would have it twice.
        match self {
            Self::Io(_, error) => error.source(),
            Self::Sqlite(error) => error.source(),
            Self::Task(error) => error.source(),
            _ => None,
        }
    }
}

impl From<tokio::task::JoinError> for StoreError {
    fn from(error: tokio::task::JoinError) -> Self {
        if error.is_cancelled() { Self::Closed } else { Self::Task(error) }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `run --data /proc/x` said "No such file or directory" twice.
    #[test]
    fn a_cause_is_printed_once() {
        let error = StoreError::Io("/proc/x".into(), std::io::ErrorKind::NotFound.into());
        assert_eq!(format!("{:#}", anyhow::Error::from(error)), "/proc/x: entity not found");
    }
}
