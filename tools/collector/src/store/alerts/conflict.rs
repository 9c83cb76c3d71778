//! Alerts that come with the number of another alert of the same sensor.
//!
//! A sensor gives each number once. So one of the two is from another device with the same key, and nobody knows which. Both are
//! kept: the second one under a run of its own that is made up, once for each content, and counted.

use rusqlite::{Connection, OptionalExtension as _, params};
use sentinel_alert::{AlertId, wire};
use sentinel_units::Timestamp;

use super::column::{count, unsigned};
use crate::model::SensorId;
use crate::store::StoreError;
use crate::store::key::random;

/// Returns true if the alert stored under `id` is another one than `bytes`. False also if there is none: then `bytes` was not
/// stored for another reason.
///
/// # Errors
/// Errors of the database.
pub(super) fn differs(
    connection: &Connection,
    sensor: SensorId,
    id: AlertId,
    bytes: &[u8],
) -> Result<bool, StoreError> {
    let sql = "SELECT wire FROM alerts WHERE sensor = ? AND boot = ? AND seq = ?";
    let stored = stored(connection, sql, sensor, id)?;
    // Compared decoded as well: a later version may write the same alert in other bytes.
    let decode = |bytes: &[u8]| wire::decode(bytes, Timestamp::ZERO).map(|(alert, _)| alert).ok();
    Ok(stored.is_some_and(|stored| stored != bytes && decode(&stored) != decode(bytes)))
}

/// [`differs`] for an alert that cannot be decoded.
///
/// # Errors
/// Errors of the database.
pub(super) fn unreadable_differs(
    connection: &Connection,
    sensor: SensorId,
    id: AlertId,
    bytes: &[u8],
) -> Result<bool, StoreError> {
    let sql = "SELECT wire FROM unreadable WHERE sensor = ? AND boot = ? AND seq = ?";
    Ok(stored(connection, sql, sensor, id)?.is_some_and(|stored| stored != bytes))
}

fn stored(
    connection: &Connection,
    sql: &str,
    sensor: SensorId,
    id: AlertId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![sensor.0, id.boot, unsigned(id.seq)], |row| row.get(0)).optional()?)
}

/// Number under which a conflicting alert is to be stored; none if it is stored already.
///
/// # Errors
/// Errors of the database, and of the random source.
pub(super) fn place(
    connection: &Connection,
    sensor: SensorId,
    id: AlertId,
    bytes: &[u8],
) -> Result<Option<AlertId>, StoreError> {
    let sql = "INSERT OR IGNORE INTO conflicting_alerts (sensor, boot, seq, wire) VALUES (?, ?, ?, ?)";
    let values = params![sensor.0, id.boot, unsigned(id.seq), bytes];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(None);
    }
    let sql = "SELECT conflicts, conflicts_boot FROM sensors WHERE id = ?";
    let (before, boot): (i64, Option<u32>) =
        connection.prepare_cached(sql)?.query_row([sensor.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let boot = match boot {
        Some(boot) => boot,
        None => unused_boot(connection, sensor)?,
    };
    let seq = count(before).saturating_add(1);
    let sql = "UPDATE sensors SET conflicts = ?, conflicts_boot = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![unsigned(seq), boot, sensor.0])?;
    Ok(Some(AlertId { boot, seq }))
}

/// A run that no alert of the sensor has. A device that draws it by chance, once in 2^32 runs, would make conflicts of its own.
fn unused_boot(connection: &Connection, sensor: SensorId) -> Result<u32, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM runs WHERE sensor = ?1 AND boot = ?2) OR
               EXISTS (SELECT 1 FROM run_lines WHERE sensor = ?1 AND boot = ?2)";
    loop {
        let mut bytes = [0; 4];
        random(&mut bytes)?;
        let boot = u32::from_be_bytes(bytes);
        let is_used: bool =
            connection.prepare_cached(sql)?.query_row(params![sensor.0, boot], |row| row.get(0))?;
        if boot != 0 && !is_used {
            return Ok(boot);
        }
    }
}
