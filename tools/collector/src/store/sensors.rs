//! Tables `sensors` and `tokens`.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, TransactionBehavior, params};
use sentinel_alert::AlertId;
use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, PublicKey, RejectReason, Secret, Telemetry, TokenId};

use super::alerts::column::{count, unsigned};
use super::{StoreError, alerts, lineage, log_heads, telemetry};
use crate::clock::{from_micros, to_micros};
use crate::model::{
    Acknowledgement, CopiedKey, Enrollment, KeyRole, Limit, RunEnds, Sensor, SensorId, SensorInfo,
    StoredToken, TelemetryReading, is_valid_name,
};

fn from_row(row: &Row<'_>) -> rusqlite::Result<Sensor> {
    let time = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(from_micros));
    let acked: (Option<u32>, Option<i64>) = (row.get("acked_boot")?, row.get("acked_seq")?);
    Ok(Sensor {
        id: SensorId(row.get("id")?),
        public_key: PublicKey::from_bytes(row.get("public_key")?),
        name: row.get("name")?,
        enrolled_at: from_micros(row.get("enrolled_at_us")?),
        revoked_at: time("revoked_at_us")?,
        last_seen_at: time("last_seen_at_us")?,
        stored: count(row.get("stored")?),
        duplicates: count(row.get("duplicates")?),
        lost: count(row.get("lost")?),
        missing: count(row.get("missing")?),
        noted_lost: count(row.get("noted_lost")?),
        noted_missing: count(row.get("noted_missing")?),
        missing_at_restore: row.get::<_, Option<i64>>("missing_at_restore")?.map(count),
        log_head: log_heads::from_row(row)?,
        run_ends: run_ends_from_row(row)?,
        stored_bytes: count(row.get("stored_bytes")?),
        limit_hits: count(row.get("limit_hits")?),
        last_limit: row.get("last_limit")?,
        acked: acked.0.zip(acked.1).map(|(boot, seq)| AlertId { boot, seq: seq.cast_unsigned() }),
        next_key: row.get::<_, Option<_>>("next_key")?.map(PublicKey::from_bytes),
        key_since: time("key_since_us")?,
        is_replacement_requested: row.get::<_, Option<i64>>("replacement_requested_us")?.is_some(),
        pinned_key: row.get::<_, Option<_>>("pinned_key")?.map(PublicKey::from_bytes),
        copy: copy_from_row(row)?,
        current_boot: row.get("current_boot")?,
        acknowledged: acknowledgement_from_row(row)?,
        info: SensorInfo {
            software: row.get("software")?,
            host: row.get("host")?,
            interfaces: row.get("interfaces")?,
        },
        telemetry: telemetry_from_row(row)?,
    })
}

fn copy_from_row(row: &Row<'_>) -> rusqlite::Result<Option<CopiedKey>> {
    let signs = count(row.get("copy_signs")?);
    let text =
        |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.unwrap_or_default());
    let at = from_micros(row.get::<_, Option<i64>>("copy_at_us")?.unwrap_or_default());
    let found = CopiedKey { signs, sign: text("copy_sign")?, detail: text("copy_detail")?, at };
    Ok((signs > 0).then_some(found))
}

fn acknowledgement_from_row(row: &Row<'_>) -> rusqlite::Result<Option<Acknowledgement>> {
    let Some(at) = row.get::<_, Option<i64>>("acknowledged_at_us")? else { return Ok(None) };
    let by = row.get::<_, Option<String>>("acknowledged_by")?.unwrap_or_default();
    Ok(Some(Acknowledgement { at: from_micros(at), by, runs: count(row.get("acknowledged_runs")?) }))
}

fn run_ends_from_row(row: &Row<'_>) -> rusqlite::Result<RunEnds> {
    let (runs, boot): (u64, Option<u32>) = (row.get("unclean_runs")?, row.get("unclean_boot")?);
    let is_reported = row.get::<_, Option<u32>>("current_boot")?.is_some();
    Ok(match boot {
        Some(boot) => RunEnds::Unclean { boot, from: row.get("unclean_from")?, runs },
        None if is_reported => RunEnds::Clean,
        None => RunEnds::Unreported,
    })
}

/// A column that cannot be parsed counts as no reading: the next one replaces it, and a damaged reading must
/// not keep its sensor from connecting.
fn telemetry_from_row(row: &Row<'_>) -> rusqlite::Result<Option<TelemetryReading>> {
    let text: Option<String> = row.get("telemetry")?;
    let received_at: Option<i64> = row.get("telemetry_at_us")?;
    let reading = text.zip(received_at);
    Ok(reading.and_then(|(text, at_us)| telemetry::decode(&text, from_micros(at_us)).ok()))
}

/// Columns, and two rows found by their keys: a sum over rows of a sensor could overflow, and the statement would fail for
/// every sensor.
const SELECT: &str = "SELECT *,
    max(1, coalesce((SELECT next_seq FROM run_ends WHERE run_ends.sensor = sensors.id AND boot = unclean_boot), 1),
        min(coalesce((SELECT highest FROM runs WHERE runs.sensor = sensors.id AND boot = unclean_boot), 0), 1 << 62) + 1)
        AS unclean_from FROM sensors
    LEFT JOIN log_heads ON log_heads.sensor = sensors.id";

/// Every sensor, revoked ones included, in the order of names.
///
/// # Errors
/// Errors of the database.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Sensor>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sensor that has this key, will have it or had it, even if it is revoked.
///
/// # Errors
/// Errors of the database.
pub(super) fn with_key(connection: &Connection, public_key: PublicKey) -> Result<Option<Sensor>, StoreError> {
    // Its key, the next one, or one that it had: see `Sensor::role_of`. A key has one role with one sensor.
    let sql = format!(
        "{SELECT} WHERE public_key = ?1 OR next_key = ?1 OR
         id = (SELECT replaced_keys.sensor FROM replaced_keys WHERE replaced_keys.public_key = ?1)"
    );
    Ok(connection.prepare_cached(&sql)?.query_row([public_key.as_bytes()], from_row).optional()?)
}

/// The sensor with this name, row number or public key, even if it is revoked. A name wins over a number.
///
/// # Errors
/// Errors of the database.
pub(crate) fn find(connection: &Connection, text: &str) -> Result<Option<Sensor>, StoreError> {
    let key: Option<[u8; 32]> = text.parse::<PublicKey>().ok().map(|key| *key.as_bytes());
    // The comparison is 0 for a match by name and 1 for any other, which puts the name first.
    let sql = format!(
        "{SELECT} WHERE name = ?1 OR CAST(id AS TEXT) = ?1 OR public_key = ?2 ORDER BY name <> ?1 LIMIT 1"
    );
    Ok(connection.prepare_cached(&sql)?.query_row(params![text, key], from_row).optional()?)
}

/// Row numbers of the revoked sensors.
///
/// # Errors
/// Errors of the database.
pub(super) fn revoked(connection: &Connection) -> Result<Vec<SensorId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM sensors WHERE revoked_at_us IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get(0).map(SensorId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Revokes a sensor. Returns false if there is none of this row number or it is revoked already.
///
/// # Errors
/// Errors of the database.
pub(crate) fn revoke(connection: &Connection, id: SensorId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE sensors SET revoked_at_us = ? WHERE id = ? AND revoked_at_us IS NULL";
    Ok(connection.execute(sql, params![to_micros(now), id.0])? > 0)
}

/// Time for which an expired token is kept, so that a sensor that tries it gets the reason.
const TOKEN_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Stores a new token, and deletes those that expired more than [`TOKEN_RETENTION`] ago.
///
/// # Errors
/// [`StoreError::NameTaken`] if a sensor or a waiting token has the name; those of the database.
pub(crate) fn add_token(
    connection: &mut Connection,
    token: &StoredToken,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Immediate: no other process may take the name between the check and the insertion.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "DELETE FROM tokens WHERE expires_at_us + ? <= ?";
    let remembered_us = i64::try_from(TOKEN_RETENTION.as_micros()).unwrap_or(i64::MAX);
    transaction.execute(sql, [remembered_us, to_micros(now)])?;
    if !token.name.is_empty() {
        let sql = "SELECT EXISTS (SELECT 1 FROM sensors WHERE name = ?1 AND revoked_at_us IS NULL) OR
                   EXISTS (SELECT 1 FROM tokens WHERE name = ?1 AND used_at_us IS NULL AND expires_at_us > ?2)";
        if transaction.query_row(sql, params![token.name, to_micros(now)], |row| row.get(0))? {
            // Dropping the transaction undoes the deletion, which the next token repeats.
            return Err(StoreError::NameTaken(token.name.clone()));
        }
    }
    let sql =
        "INSERT INTO tokens (token_id, secret, name, created_at_us, expires_at_us) VALUES (?, ?, ?, ?, ?)";
    let values =
        params![token.id.0, token.secret.as_bytes(), token.name, to_micros(now), to_micros(token.expires_at)];
    transaction.execute(sql, values)?;
    Ok(transaction.commit()?)
}

/// The token of this number, even if it is used or expired.
///
/// # Errors
/// Errors of the database.
pub(super) fn token(connection: &Connection, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
    let sql = "SELECT secret, name, expires_at_us, used_at_us FROM tokens WHERE token_id = ?";
    let row = connection.prepare_cached(sql)?.query_row([id.0], |row| {
        Ok(StoredToken {
            id,
            secret: Secret::from_bytes(row.get(0)?),
            name: row.get(1)?,
            expires_at: from_micros(row.get(2)?),
            used_at: row.get::<_, Option<i64>>(3)?.map(from_micros),
        })
    });
    Ok(row.optional()?)
}

/// Uses up the token and creates the sensor. Must run inside a transaction: both happen or neither.
///
/// The name of the token wins over the requested one. A key that was enrolled before keeps its row, and with it
/// its alerts and its acknowledged position: a new token is how an operator readmits or renames a sensor. A name
/// held by a revoked sensor only is free: the revoked one gets its row number appended to its name.
///
/// # Errors
/// Errors of the database; the inner error if the sensor is rejected, and then nothing has changed.
pub(super) fn enroll(
    connection: &Connection,
    request: &Enrollment,
) -> Result<Result<Sensor, RejectReason>, StoreError> {
    let Some(token) = token(connection, request.token)? else { return Ok(Err(RejectReason::TokenUsed)) };
    if token.used_at.is_some() {
        return repeated(connection, request);
    }
    if token.expires_at <= request.at {
        return Ok(Err(RejectReason::TokenExpired));
    }
    let key = request.public_key.as_bytes();
    let known = with_key(connection, request.public_key)?;
    // A key that was copied stays with the thief: the sensor needs another one.
    let is_spoilt = known.as_ref().is_some_and(|sensor| {
        sensor.copy.is_some() || sensor.role_of(request.public_key) == KeyRole::Replaced
    });
    if is_spoilt {
        return Ok(Err(RejectReason::KeyReplaced));
    }
    let name = assigned_name(connection, &token, request)?;
    if !is_valid_name(&name) {
        return Ok(Err(RejectReason::NameNotAllowed));
    }
    // Announced by another sensor, which has not proved that it has it; this one has.
    connection.execute("UPDATE sensors SET next_key = NULL WHERE next_key = ?", [key])?;
    let at_us = to_micros(request.at);
    // Names are unique, so if a revoked sensor has this one, no other sensor has it and the insertion below succeeds.
    // Otherwise this changes nothing, and a rejection leaves everything as it was. 48 characters leave room for a row number
    // of 13 digits within the 64 of the column.
    let sql = "UPDATE sensors SET name = substr(name, 1, 48) || ' (' || id || ')'
               WHERE name = ? AND public_key <> ? AND revoked_at_us IS NOT NULL";
    connection.execute(sql, params![name, key])?;
    let sql = "INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (?1, ?2, ?3)
               ON CONFLICT (public_key) DO UPDATE
               SET name = excluded.name, enrolled_at_us = excluded.enrolled_at_us, revoked_at_us = NULL";
    match connection.execute(sql, params![key, name, at_us]) {
        Ok(_) => {}
        // Undoes the statement only: the transaction, which holds other jobs, goes on.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Ok(Err(RejectReason::NameTaken));
        }
        Err(error) => return Err(error.into()),
    }
    let mut sensor = with_key(connection, request.public_key)?;
    if let Some(sensor) = &mut sensor {
        let sql = "UPDATE tokens SET used_at_us = ?, used_by = ? WHERE token_id = ?";
        connection.execute(sql, params![at_us, sensor.id.0, request.token.0])?;
        log_heads::forget(connection, sensor.id)?;
        lineage::forget(connection, sensor.id)?;
        sensor.log_head = None;
    }
    sensor.map(Ok).ok_or(StoreError::Sqlite(rusqlite::Error::QueryReturnedNoRows))
}

/// A used token: good again for the sensor that used it, which did not get the answer, and changes nothing.
fn repeated(
    connection: &Connection,
    request: &Enrollment,
) -> Result<Result<Sensor, RejectReason>, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tokens JOIN sensors ON sensors.id = used_by
               WHERE token_id = ? AND public_key = ? AND revoked_at_us IS NULL)";
    let values = params![request.token.0, request.public_key.as_bytes()];
    if connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))? {
        return Ok(with_key(connection, request.public_key)?.ok_or(RejectReason::TokenUsed));
    }
    Ok(Err(RejectReason::TokenUsed))
}

/// The name of the token, else the requested one, else the present one, else one made of the key.
fn assigned_name(
    connection: &Connection,
    token: &StoredToken,
    request: &Enrollment,
) -> Result<String, StoreError> {
    for name in [&token.name, &request.name] {
        if !name.is_empty() {
            return Ok(name.clone());
        }
    }
    Ok(match with_key(connection, request.public_key)? {
        Some(known) => known.name,
        None => format!("sensor-{}", request.public_key.to_string().get(..8).unwrap_or_default()),
    })
}

/// Stores the properties that the sensor reported.
///
/// # Errors
/// Errors of the database.
pub(super) fn update_info(
    connection: &Connection,
    id: SensorId,
    info: &SensorInfo,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET software = ?, host = ?, interfaces = ?, last_seen_at_us = ? WHERE id = ?";
    let values = params![info.software, info.host, info.interfaces, to_micros(at), id.0];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Stores the latest telemetry.
///
/// # Errors
/// Errors of the database.
pub(super) fn update_telemetry(
    connection: &Connection,
    id: SensorId,
    reading: &Telemetry,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET telemetry = ?1, telemetry_at_us = ?2, last_seen_at_us = ?2 WHERE id = ?3";
    connection.prepare_cached(sql)?.execute(params![telemetry::encode(reading), to_micros(at), id.0])?;
    // Only after a restore can a sensor have delivered more than is stored.
    let sql = "SELECT current_boot FROM sensors WHERE id = ? AND missing_at_restore IS NOT NULL";
    let boot: Option<Option<u32>> =
        connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0)).optional()?;
    match boot.flatten() {
        Some(boot) => {
            alerts::account::note_delivered(connection, id, boot, reading.value(Counter::RunDelivered))
        }
        None => Ok(()),
    }
}

/// Stores the time of the last sign of the sensor.
///
/// # Errors
/// Errors of the database.
pub(super) fn update_last_seen(
    connection: &Connection,
    id: SensorId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET last_seen_at_us = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![to_micros(at), id.0])?;
    Ok(())
}

/// Counts that the sensor met `limit`, `times` times.
///
/// # Errors
/// Errors of the database.
pub(super) fn count_limit(
    connection: &Connection,
    id: SensorId,
    limit: Limit,
    times: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    // The sum saturates: past 2^63 it would be a floating-point number, which the column does not take.
    let sql = "UPDATE sensors SET limit_hits = limit_hits + min(?1, 9223372036854775807 - limit_hits),
               last_limit = ?2, last_limit_at_us = ?3 WHERE id = ?4";
    connection.prepare_cached(sql)?.execute(params![unsigned(times), limit.name(), to_micros(at), id.0])?;
    Ok(())
}
