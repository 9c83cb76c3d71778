//! Sensors and the one-time tokens that make them.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, TransactionBehavior, params};
use sentinel_alert::AlertId;
use sentinel_units::Timestamp;
use sentinel_uplink::{PublicKey, RejectReason, Secret, TokenId};

use super::StoreError;
use crate::clock::{from_micros, to_micros};

/// Row number of a sensor; never given to another sensor.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SensorId(pub i64);

/// A sensor and what is kept of it.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Row number.
    pub id: SensorId,
    /// Its static public key (X25519).
    pub public_key: [u8; 32],
    /// Unique name, 1 to 64 characters.
    pub name: String,
    /// When its token was used.
    pub enrolled_at: Timestamp,
    /// When an operator shut it out, if so.
    pub revoked_at: Option<Timestamp>,
    /// When it last info anything.
    pub last_seen_at: Option<Timestamp>,
    /// Alerts kept.
    pub stored: u64,
    /// Alerts that came again.
    pub duplicates: u64,
    /// Alerts that the sensor says it threw away.
    pub lost: u64,
    /// Alerts neither stored nor accounted for.
    pub missing: u64,
    /// The last alert, in the sensor's order of sending, up to which everything is kept.
    pub acked: Option<AlertId>,
    /// Version of its program, as it says.
    pub software: String,
    /// Its host name, as it says.
    pub host: String,
    /// The interfaces it captures on, as it says.
    pub interfaces: String,
    /// The latest telemetry as a JSON object.
    pub telemetry: Option<String>,
    /// When that telemetry came.
    pub telemetry_at: Option<Timestamp>,
}

impl Sensor {
    /// The public key as it is shown everywhere.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        PublicKey::from_bytes(self.public_key)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let acked: (Option<u32>, Option<u64>) = (row.get("acked_boot")?, row.get("acked_seq")?);
        Ok(Self {
            id: SensorId(row.get("id")?),
            public_key: row.get("public_key")?,
            name: row.get("name")?,
            enrolled_at: from_micros(row.get("enrolled_at_us")?),
            revoked_at: row.get::<_, Option<i64>>("revoked_at_us")?.map(from_micros),
            last_seen_at: row.get::<_, Option<i64>>("last_seen_at_us")?.map(from_micros),
            stored: row.get("stored")?,
            duplicates: row.get("duplicates")?,
            lost: row.get("lost")?,
            missing: row.get("missing")?,
            acked: acked.0.zip(acked.1).map(|(boot, seq)| AlertId { boot, seq }),
            software: row.get("software")?,
            host: row.get("host")?,
            interfaces: row.get("interfaces")?,
            telemetry: row.get("telemetry")?,
            telemetry_at: row.get::<_, Option<i64>>("telemetry_at_us")?.map(from_micros),
        })
    }
}

const SELECT: &str = "SELECT *, (SELECT coalesce(sum(max(highest - stored - lost, 0)), 0) FROM runs
    WHERE runs.sensor = sensors.id) AS missing FROM sensors";

/// Every sensor, by name; revoked ones too.
///
/// # Errors
/// What the database says.
pub fn all(connection: &Connection) -> Result<Vec<Sensor>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
    let rows = statement.query_map([], Sensor::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sensor with this key; a revoked one too.
///
/// # Errors
/// What the database says.
pub fn with_key(connection: &Connection, public_key: &[u8; 32]) -> Result<Option<Sensor>, StoreError> {
    let sql = format!("{SELECT} WHERE public_key = ?");
    Ok(connection.prepare_cached(&sql)?.query_row([public_key], Sensor::from_row).optional()?)
}

/// The sensor with this name, row number or public key; revoked ones too.
///
/// # Errors
/// What the database says.
pub fn find(connection: &Connection, text: &str) -> Result<Option<Sensor>, StoreError> {
    let key: Option<[u8; 32]> = text.parse::<PublicKey>().ok().map(|key| *key.as_bytes());
    let sql = format!(
        "{SELECT} WHERE name = ?1 OR CAST(id AS TEXT) = ?1 OR public_key = ?2 ORDER BY name <> ?1 LIMIT 1"
    );
    Ok(connection.prepare_cached(&sql)?.query_row(params![text, key], Sensor::from_row).optional()?)
}

/// Row numbers of the sensors that are shut out.
///
/// # Errors
/// What the database says.
pub fn revoked(connection: &Connection) -> Result<Vec<SensorId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM sensors WHERE revoked_at_us IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get(0).map(SensorId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Shuts a sensor out. False if there is none of this row number or it is out already.
///
/// # Errors
/// What the database says.
pub fn revoke(connection: &Connection, id: SensorId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE sensors SET revoked_at_us = ? WHERE id = ? AND revoked_at_us IS NULL";
    Ok(connection.execute(sql, params![to_micros(now), id.0])? > 0)
}

/// What is kept of a token.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// The number by which a connection names it.
    pub id: TokenId,
    /// The secret that both sides mix into the handshake.
    pub secret: Secret,
    /// The name that the sensor will have; empty lets the sensor choose.
    pub name: String,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// When it enrolled a sensor.
    pub used_at: Option<Timestamp>,
}

/// How long a token that is no longer good is remembered, to say why it is refused.
const TOKEN_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Keeps a new token, and forgets those that are long over.
///
/// # Errors
/// [`StoreError::NameTaken`] if a sensor or a waiting token has the name; what the database says.
pub fn add_token(connection: &mut Connection, token: &StoredToken, now: Timestamp) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "DELETE FROM tokens WHERE expires_at_us + ? <= ?";
    let remembered_us = i64::try_from(TOKEN_RETENTION.as_micros()).unwrap_or(i64::MAX);
    transaction.execute(sql, [remembered_us, to_micros(now)])?;
    if !token.name.is_empty() {
        let sql = "SELECT EXISTS (SELECT 1 FROM sensors WHERE name = ?1 AND revoked_at_us IS NULL) OR
                   EXISTS (SELECT 1 FROM tokens WHERE name = ?1 AND used_at_us IS NULL AND expires_at_us > ?2)";
        if transaction.query_row(sql, params![token.name, to_micros(now)], |row| row.get(0))? {
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

/// The token of this number, used and expired ones too.
///
/// # Errors
/// What the database says.
pub fn token(connection: &Connection, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
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

/// A sensor that proved to have a token.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The token.
    pub token: TokenId,
    /// The sensor's key.
    pub public_key: PublicKey,
    /// The name it asks for; empty lets us choose.
    pub name: String,
    /// When.
    pub at: Timestamp,
}

/// Uses up the token and makes the sensor. Call inside a transaction: both happen or neither.
///
/// The name of the token wins over the one asked for. A key that was enrolled before keeps its row, and
/// with it its alerts: a new token is how an operator takes a revoked sensor back or renames it. A name
/// that only a revoked sensor has is free: that one gets its number added to its name.
///
/// # Errors
/// What the database says; the inner error if the sensor is turned away, and then nothing has changed.
pub fn enroll(
    connection: &Connection,
    wanted: &Enrollment,
) -> Result<Result<Sensor, RejectReason>, StoreError> {
    let Some(token) = token(connection, wanted.token)? else { return Ok(Err(RejectReason::TokenUsed)) };
    if token.used_at.is_some() {
        return Ok(Err(RejectReason::TokenUsed));
    }
    if token.expires_at <= wanted.at {
        return Ok(Err(RejectReason::TokenExpired));
    }
    let key = wanted.public_key.as_bytes();
    let known = with_key(connection, key)?;
    let asked = if token.name.is_empty() { wanted.name.as_str() } else { token.name.as_str() };
    let name = match (asked, &known) {
        ("", Some(known)) => known.name.clone(),
        ("", None) => format!("sensor-{}", wanted.public_key.to_string().get(..8).unwrap_or_default()),
        (asked, _) => asked.to_owned(),
    };
    let at_us = to_micros(wanted.at);
    let sql = "UPDATE sensors SET name = substr(name, 1, 48) || ' (' || id || ')'
               WHERE name = ? AND public_key <> ? AND revoked_at_us IS NOT NULL";
    connection.execute(sql, params![name, key])?;
    let sql = "INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (?1, ?2, ?3)
               ON CONFLICT (public_key) DO UPDATE
               SET name = excluded.name, enrolled_at_us = excluded.enrolled_at_us, revoked_at_us = NULL";
    match connection.execute(sql, params![key, name, at_us]) {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Ok(Err(RejectReason::NameTaken));
        }
        Err(error) => return Err(error.into()),
    }
    connection
        .execute("UPDATE tokens SET used_at_us = ? WHERE token_id = ?", params![at_us, wanted.token.0])?;
    with_key(connection, key)?.map(Ok).ok_or(StoreError::Sqlite(rusqlite::Error::QueryReturnedNoRows))
}

/// What a sensor says of itself when it connects.
#[derive(Clone, Debug, Default)]
pub struct SensorInfo {
    /// Version of its program.
    pub software: String,
    /// Its host name.
    pub host: String,
    /// The interfaces it captures on.
    pub interfaces: String,
}

/// Keeps what the sensor says of itself.
///
/// # Errors
/// What the database says.
pub fn update_info(
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

/// Keeps the latest telemetry.
///
/// # Errors
/// What the database says.
pub fn update_telemetry(
    connection: &Connection,
    id: SensorId,
    json: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET telemetry = ?1, telemetry_at_us = ?2, last_seen_at_us = ?2 WHERE id = ?3";
    connection.prepare_cached(sql)?.execute(params![json, to_micros(at), id.0])?;
    Ok(())
}

/// Notes that the sensor was heard of.
///
/// # Errors
/// What the database says.
pub fn update_last_seen(connection: &Connection, id: SensorId, at: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET last_seen_at_us = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![to_micros(at), id.0])?;
    Ok(())
}
