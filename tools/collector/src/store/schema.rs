//! Opens the database and brings its schema up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{DatabaseKey, StoreError};

/// Time for which a statement waits for the lock of another process, such as `sentinel-collector enroll`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Memory for pages of the writer, in KiB.
const WRITER_CACHE_KIB: i32 = 16 * 1024;

/// Migrations from an empty file to the present schema; `user_version` is the number of those applied.
/// Append only: files of every older version are migrated at start.
const STEPS: [&str; 8] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_run_ends.sql"),
    include_str!("schema_log_heads.sql"),
    include_str!("schema_keys.sql"),
    include_str!("schema_incidents.sql"),
    include_str!("schema_access.sql"),
    include_str!("schema_states.sql"),
];

/// Version of the schema that this program writes.
pub(super) const VERSION: i64 = 8;
const _: () = assert!(STEPS.len() == 8, "VERSION is their number");

/// Opens for reading and writing; creates the file and migrates its schema.
///
/// # Errors
/// [`StoreError::WrongKey`], [`StoreError::NewerSchema`], [`StoreError::NotEncrypted`] and those of the database.
pub fn open_writer(path: &Path, key: &DatabaseKey) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = unlock(path, key, flags)?;
    // Write-ahead log: readers and other processes continue while a transaction is written. FULL synchronises the log
    // at each commit: an acknowledged alert survives a power cut, which it must, because its sensor discards it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The pages of the indexes that thousands of sensors write to at the same time: without them each alert reads and decrypts
    // several. The library takes 2 MiB otherwise.
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Off by default in SQLite. The insertion of alerts relies on it: a row of an unknown sensor is an error.
    connection.pragma_update(None, "foreign_keys", true)?;
    // The log grows while a reader keeps an old snapshot; the file is cut to this length after the next checkpoint.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens for reading only.
///
/// # Errors
/// Errors of [`open_writer`].
pub fn open_reader(path: &Path, key: &DatabaseKey) -> Result<Connection, StoreError> {
    // Not SQLITE_OPEN_READ_ONLY: the first reader of a write-ahead log creates its shared index.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = unlock(path, key, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens and proves that the key is right: a wrong one shows only when a page is read.
fn unlock(path: &Path, key: &DatabaseKey, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Errors are returned; the library would print them to standard error as well.
    connection.pragma_update(None, "cipher_log_level", "NONE")?;
    connection.pragma_update(None, "key", key.pragma())?; // before anything that touches the file
    let version: Result<String, _> = connection.query_row("PRAGMA cipher_version", [], |row| row.get(0));
    if version.is_err() {
        return Err(StoreError::NotEncrypted);
    }
    match connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0)) {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(StoreError::WrongKey(path.into()));
        }
        Err(error) => return Err(error.into()),
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_by(connection, &STEPS)
}

fn migrate_by(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    // Immediate: of two processes that start on a new file, the second waits and finds the tables.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > known {
        return Err(StoreError::NewerSchema(version));
    }
    for step in steps.iter().skip(usize::try_from(version).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    // In the transaction of the steps: a crash leaves the old schema with its number, or the new one with its own.
    if version < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Opens as the program of version `version` of the schema did.
///
/// # Errors
/// Errors of [`open_writer`].
#[cfg(test)]
pub(super) fn open_known(path: &Path, key: &DatabaseKey, version: usize) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = unlock(path, key, flags)?;
    migrate_by(&mut connection, STEPS.get(..version).unwrap_or(&STEPS))?;
    Ok(connection)
}

/// [`open_known`] of a store that it can open.
#[cfg(test)]
pub(super) fn open_version(path: &Path, key: &DatabaseKey, version: usize) -> Connection {
    open_known(path, key, version).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_ciphertext_and_only_its_key_opens_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        for (right, wrong) in [("a passphrase", "b passphrase"), (&"0f".repeat(32), &"0e".repeat(32))] {
            let _ = std::fs::remove_file(&path);
            drop(open_writer(&path, &DatabaseKey::from_text(right)).unwrap());
            let bytes = std::fs::read(&path).unwrap();
            assert_ne!(&bytes[..16], b"SQLite format 3\0");
            assert!(!bytes.windows(12).any(|window| window == b"CREATE TABLE"));
            let wrong = open_writer(&path, &DatabaseKey::from_text(wrong)).unwrap_err();
            assert!(matches!(wrong, StoreError::WrongKey(_)), "{wrong}");
            // Without a key, as any SQLite shell opens it.
            let plain = Connection::open(&path).unwrap();
            assert!(plain.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).is_err());
            drop(open_writer(&path, &DatabaseKey::from_text(right)).unwrap());
        }
    }

    #[test]
    fn allocations_take_no_lock_of_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open_writer(&directory.path().join("db"), &DatabaseKey::from_text("key")).unwrap();
        let sql = "SELECT sqlite_compileoption_used('DEFAULT_MEMSTATUS=0')";
        assert!(
            connection.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap(),
            "see .cargo/config.toml"
        );
    }

    #[test]
    fn a_passphrase_with_quotes_is_a_passphrase() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let key = DatabaseKey::from_text("it's; DROP TABLE x'--");
        drop(open_writer(&path, &key).unwrap());
        drop(open_reader(&path, &key).unwrap());
    }

    #[test]
    fn a_reader_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let key = DatabaseKey::from_text(&"0f".repeat(32));
        drop(open_writer(&path, &key).unwrap());
        let reader = open_reader(&path, &key).unwrap();
        assert!(reader.execute("DELETE FROM alerts", []).is_err());
    }

    #[test]
    fn a_newer_schema_is_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let key = DatabaseKey::from_text(&"0f".repeat(32));
        open_writer(&path, &key).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open_writer(&path, &key), Err(StoreError::NewerSchema(99))));
    }

    /// A store as the first version left it after one sensor had sent number 2^62 - 1 in three runs: `sum` of SQL overflowed, and
    /// every list of sensors, statistics, metrics, and the revocation of the sensor failed for good.
    #[test]
    fn a_store_with_numbers_of_any_size_answers_every_query() {
        use crate::clock::now;
        use crate::model::{AlertQuery, AlertSelection};
        use crate::store::{alerts, sensors};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let key = DatabaseKey::from_text(&"0f".repeat(32));
        let old =
            unlock(&path, &key, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).unwrap();
        old.execute_batch(STEPS[0]).unwrap();
        let max = i64::MAX;
        old.execute_batch(&format!(
            "PRAGMA user_version = 1;
             INSERT INTO sensors (public_key, name, enrolled_at_us, last_seen_at_us, stored, duplicates, lost, acked_boot, acked_seq)
             VALUES (zeroblob(32), 'liar', {max}, {max}, {max}, {max}, {max}, {boot}, {max}),
                    (randomblob(32), 'honest', 0, 0, 7, 0, 2, 1, 10);
             INSERT INTO runs VALUES (1, 1, {seq}, 1, 0), (1, 2, {seq}, 1, 0), (1, 3, {seq}, 1, 0), (1, 4, {max}, {max}, {max}),
                                     (2, 1, 10, 7, 2);
             INSERT INTO totals VALUES (1, 1, {max}), (1, 2, {max}), (2, 1, {max}), (99, 99, {max});
             INSERT INTO minutes VALUES (0, 1, {max}), ({max}, 1, {max}), (1, 1, {max});
             INSERT INTO alerts (sensor, boot, seq, time_us, received_at_us, kind, severity, wire)
             VALUES (1, {boot}, {max}, {max}, {max}, {max}, {max}, x'ff');",
            boot = u32::MAX,
            seq = (1_u64 << 62) - 1,
        ))
        .unwrap();
        drop(old);
        let mut connection = open_writer(&path, &key).unwrap();
        let all = sensors::all(&connection).unwrap();
        let figures: Vec<_> =
            all.iter().map(|sensor| (&*sensor.name, sensor.missing, sensor.stored)).collect();
        assert_eq!(figures[0], ("honest", 1, 7));
        assert!(figures[1].1 >= 1 << 61, "{figures:?}");
        let totals = alerts::totals::totals(&connection).unwrap();
        assert_eq!(totals.stored(), u64::MAX, "saturates");
        for minute in [0, u64::MAX] {
            alerts::totals::timeline(&connection, sentinel_units::Timestamp::from_micros(minute), 60)
                .unwrap();
        }
        let selection = AlertSelection { limit: 10, ..AlertSelection::default() };
        alerts::query::select(&connection, &AlertQuery { sensor: Some(all[1].id), among: None, selection })
            .unwrap();
        alerts::query::newest_id(&connection).unwrap();
        // The sensor goes on to send, with the largest counters that a message holds.
        let gap = |boot| sentinel_uplink::Gap {
            boot,
            first_seq: 1,
            last_seq: (1 << 62) - 1,
            lost_by_severity: [u32::MAX; 5],
            reason: u32::MAX.into(),
        };
        let delivery = crate::store::testing::delivery(1..=3);
        let delivery = crate::model::Delivery { gaps: [1, 2, 3, 4].map(gap).to_vec(), ..delivery };
        let limits = crate::store::StoreLimits { sensor_bytes: u64::MAX, ..Default::default() };
        let transaction = connection.transaction().unwrap();
        alerts::insert::insert_delivery(&transaction, &delivery, limits).unwrap().unwrap();
        transaction.commit().unwrap();
        sensors::count_limit(&connection, all[1].id, crate::model::Limit::Quota, u64::MAX, now()).unwrap();
        sensors::count_limit(&connection, all[1].id, crate::model::Limit::Quota, u64::MAX, now()).unwrap();
        let liar = sensors::find(&connection, "liar").unwrap().unwrap();
        assert_eq!((liar.limit_hits, liar.last_limit.as_deref()), (i64::MAX.cast_unsigned(), Some("quota")));
        assert!(sensors::revoke(&connection, liar.id, now()).unwrap());
    }

    #[test]
    fn a_file_that_is_not_a_database_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let error = open_writer(&path, &DatabaseKey::from_text("k")).unwrap_err();
        assert!(error.to_string().contains("is not opened by this key"), "{error}");
    }
}
