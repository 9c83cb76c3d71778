//! Table `collector_keys`: times of the keys of this collector. The private keys are files, see [`crate::enroll::key_files`].

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sentinel_units::Timestamp;
use sentinel_uplink::PublicKey;

use super::StoreError;
use super::alerts::column::count;
use crate::clock::{from_micros, to_micros};
use crate::model::{CollectorKeyTimes, KeyPlan, SensorId, Unconfirmed};

fn from_row(row: &Row<'_>) -> rusqlite::Result<CollectorKeyTimes> {
    let time = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(from_micros));
    Ok(CollectorKeyTimes {
        key: PublicKey::from_bytes(row.get("public_key")?),
        announced_at: time("announced_at_us")?,
        switch_at: time("switch_at_us")?,
        keep: std::time::Duration::from_micros(count(
            row.get::<_, Option<i64>>("keep_us")?.unwrap_or_default(),
        )),
        in_force_at: time("in_force_at_us")?,
        served_until: time("served_until_us")?,
    })
}

/// Everything about keys that the running collector looks at each second.
///
/// # Errors
/// Errors of the database.
pub(crate) fn plan(connection: &Connection) -> Result<KeyPlan, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM collector_keys ORDER BY public_key")?;
    let keys: Vec<CollectorKeyTimes> = statement.query_map([], from_row)?.collect::<Result<_, _>>()?;
    let sql = "SELECT id, replacement_requested_us FROM sensors WHERE replacement_requested_us IS NOT NULL AND revoked_at_us IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let requested = statement
        .query_map([], |row| Ok((SensorId(row.get(0)?), from_micros(row.get(1)?))))?
        .collect::<Result<Vec<_>, _>>()?;
    let next = keys.iter().find(|times| times.in_force_at.is_none() && times.announced_at.is_some());
    let waiting = match next {
        Some(next) => {
            let sql = "SELECT count(*) FROM sensors WHERE revoked_at_us IS NULL AND pinned_key IS NOT ?";
            count(connection.prepare_cached(sql)?.query_row([next.key.as_bytes()], |row| row.get(0))?)
        }
        None => 0,
    };
    Ok(KeyPlan { keys, requested, waiting })
}

/// Sensors that have not confirmed `key`, in the order of names.
///
/// # Errors
/// Errors of the database.
pub(crate) fn unconfirmed(connection: &Connection, key: PublicKey) -> Result<Vec<Unconfirmed>, StoreError> {
    let sql = "SELECT name, last_seen_at_us FROM sensors
               WHERE revoked_at_us IS NULL AND pinned_key IS NOT ? ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([key.as_bytes()], |row| {
        let last_seen_at = row.get::<_, Option<i64>>(1)?.map(from_micros);
        Ok(Unconfirmed { name: row.get(0)?, last_seen_at })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores that `key` is announced. Once: later calls change nothing.
///
/// # Errors
/// Errors of the database.
pub(crate) fn announce(connection: &Connection, times: &CollectorKeyTimes) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO collector_keys (public_key, announced_at_us, switch_at_us, keep_us)
               VALUES (?, ?, ?, ?)";
    let keep_us = i64::try_from(times.keep.as_micros()).unwrap_or(i64::MAX);
    let key = times.key.as_bytes();
    let values = params![key, times.announced_at.map(to_micros), times.switch_at.map(to_micros), keep_us];
    connection.execute(sql, values)?;
    Ok(())
}

/// Stores that `key` has replaced the `others`: those that were in force until now are served for the time that was announced.
/// Once: later calls change nothing.
///
/// # Errors
/// Errors of the database.
pub(crate) fn switch(
    connection: &mut Connection,
    key: PublicKey,
    others: &[PublicKey],
    at: Timestamp,
) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    let sql = "SELECT keep_us FROM collector_keys WHERE public_key = ? AND in_force_at_us IS NULL";
    let keep: Option<Option<i64>> =
        transaction.query_row(sql, [key.as_bytes()], |row| row.get(0)).optional()?;
    let Some(keep) = keep else { return Ok(()) };
    let sql = "UPDATE collector_keys SET in_force_at_us = ? WHERE public_key = ?";
    transaction.execute(sql, params![to_micros(at), key.as_bytes()])?;
    let until = to_micros(at).saturating_add(keep.unwrap_or_default());
    for other in others {
        let sql = "INSERT INTO collector_keys (public_key, served_until_us) VALUES (?1, ?2)
                   ON CONFLICT (public_key) DO UPDATE SET served_until_us = ?2 WHERE served_until_us IS NULL";
        transaction.execute(sql, params![other.as_bytes(), until])?;
    }
    Ok(transaction.commit()?)
}
