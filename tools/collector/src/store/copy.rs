//! Copy of the database for a backup, while a collector writes it, and the mark of a restored one.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use sentinel_units::Timestamp;

use super::{Files, StoreError, schema};
use crate::clock::to_micros;

/// Pages copied between two looks at whether the writer waits; one turn has a snapshot of its own, so there is only one.
const ALL_PAGES: i32 = -1;

/// Figures of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreSummary {
    /// Version of its schema.
    pub schema: i64,
    /// Enrolled sensors.
    pub sensors: u64,
    /// Stored alerts.
    pub alerts: u64,
}

impl Files {
    /// Copies the database to the new file `to`, encrypted with the same key, as of one moment. The writer goes on meanwhile.
    ///
    /// # Errors
    /// Errors of the database and of the file system; `to` may be incomplete then.
    pub fn copy_database(&self, to: &Path) -> Result<StoreSummary, StoreError> {
        let source = self.open_reader()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut copy = Connection::open_with_flags(to, flags)?;
        copy.pragma_update(None, "cipher_log_level", "NONE")?;
        copy.pragma_update(None, "key", self.pragma())?;
        // The file is new and is synchronised at its end: a journal for it would be a second copy.
        copy.pragma_update(None, "journal_mode", "OFF")?;
        copy.pragma_update(None, "synchronous", "OFF")?;
        let backup = Backup::new(&source, &mut copy)?;
        while backup.step(ALL_PAGES)? != rusqlite::backup::StepResult::Done {
            std::thread::sleep(Duration::from_millis(50)); // another process holds the file
        }
        drop(backup);
        let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(StoreSummary {
            schema: number("PRAGMA user_version")?,
            sensors: number("SELECT count(*) FROM sensors WHERE revoked_at_us IS NULL")?.unsigned_abs(),
            alerts: number("SELECT count(*) FROM alerts")?.unsigned_abs(),
        })
    }
}

/// Checks the database of a restored directory and marks it: what its sensors have delivered beyond it is missing since then.
///
/// # Errors
/// [`StoreError::NewerSchema`], [`StoreError::WrongKey`], and errors of the database; a damaged one is an error of it.
pub fn mark_restored(files: &Files, backup_at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let mut connection = files.open_writer()?;
    let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if checked != "ok" {
        let error = std::io::Error::other(format!("the restored database is damaged: {checked}"));
        return Err(StoreError::Io(files.database(), error));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("UPDATE sensors SET missing_at_restore = missing", [])?;
    let sql = "INSERT INTO restores (at_us, backup_at_us) VALUES (?, ?)";
    transaction.execute(sql, params![to_micros(now), to_micros(backup_at)])?;
    transaction.commit()?;
    // One file, without a write-ahead log beside it.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    Ok(())
}

/// Version of the schema that this program writes.
#[must_use]
pub const fn schema_version() -> i64 {
    schema::VERSION
}
