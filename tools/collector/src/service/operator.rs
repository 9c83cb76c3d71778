//! Use cases of the operator: enroll, list and revoke sensors.
//!
//! They work on the files, beside a running collector, which needs no message: it looks tokens and keys up for every
//! connection, and looks for revocations every second. The caller is who can read the key of the database.

use std::fmt;
use std::time::Duration;

use sentinel_uplink::{ParseTokenError, PublicKey, Token};

use super::ServiceError;
use super::access::{Caller, Forbidden, authorize};
use super::accounts::record;
use super::operations::Operation;
use crate::clock;
use crate::model::{MAX_NAME_LEN, Sensor, SensorStatus, StoredToken, is_valid_name};
use crate::store::{Files, StoreError, run_ends, sensor_keys, sensors};

/// Maximum number of names given with an unknown one.
const MAX_KNOWN_NAMES: usize = 20;

/// Request of [`create_token`].
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'r> {
    /// Name of the sensor; empty lets the sensor choose.
    pub name: &'r str,
    /// Address at which the sensor reaches the collector.
    pub address: &'r str,
    /// Public key of the collector.
    pub collector: PublicKey,
    /// Time for which the token is valid.
    pub expires: Duration,
}

/// Reason for which no token was made. Nothing is stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnrollError {
    /// The caller may not enroll.
    Access(Forbidden),
    /// The name is not allowed.
    Name(String),
    /// The address is none that a token can hold.
    Address(String, ParseTokenError),
    /// The store cannot be written, or the name is taken.
    Store(StoreError),
}

impl fmt::Display for EnrollError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(out),
            Self::Name(name) => {
                write!(
                    out,
                    "the name {name:?} is not allowed: 1 to {MAX_NAME_LEN} letters, digits and . _ - only, not - at the \
                     start, and not a number, which would be taken for that of a sensor"
                )
            }
            Self::Address(address, error) => write!(out, "address {address:?}: {error}"),
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for EnrollError {}

/// Makes and stores a token that enrolls one sensor.
///
/// # Errors
/// Each variant of [`EnrollError`].
pub fn create_token(
    files: &Files,
    caller: &Caller,
    request: &TokenRequest<'_>,
) -> Result<Token, EnrollError> {
    authorize(caller, Operation::Enroll).map_err(EnrollError::Access)?;
    let TokenRequest { name, address, collector, expires } = *request;
    if !is_valid_name(name) && !name.is_empty() {
        return Err(EnrollError::Name(name.into()));
    }
    let token =
        Token::generate(address, collector).map_err(|error| EnrollError::Address(address.into(), error))?;
    let now = clock::now();
    let stored = StoredToken {
        id: token.id(),
        secret: token.secret().clone(),
        name: name.into(),
        expires_at: now.after(expires),
        used_at: None,
    };
    let mut connection = files.open_writer().map_err(EnrollError::Store)?;
    sensors::add_token(&mut connection, &stored, now).map_err(EnrollError::Store)?;
    let detail = format!("token {} for sensor {name:?}", stored.id);
    record(&mut connection, caller, Operation::Enroll, detail).map_err(EnrollError::Store)?;
    Ok(token)
}

/// Every sensor as stored, in the order of names: without the figures that only a running collector has.
///
/// # Errors
/// [`ServiceError::Store`] and [`ServiceError::Forbidden`].
pub fn stored_sensors(files: &Files, caller: &Caller) -> Result<Vec<SensorStatus>, ServiceError> {
    authorize(caller, Operation::ListSensors)?;
    let sensors = sensors::all(&files.open_reader()?)?;
    Ok(sensors.into_iter().map(SensorStatus::of_store).collect())
}

/// Reason for which no sensor was revoked.
#[derive(Debug)]
#[non_exhaustive]
pub enum RevokeError {
    /// The caller may not revoke.
    Access(Forbidden),
    /// No sensor has this name, number or key.
    Unknown {
        /// The text that should have named a sensor.
        given: String,
        /// Names of up to twenty sensors.
        known: Vec<String>,
    },
    /// The sensor of this name is revoked already.
    Revoked(String),
    /// The store cannot be written.
    Store(StoreError),
}

impl fmt::Display for RevokeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(out),
            Self::Unknown { given, known } if known.is_empty() => {
                write!(out, "there is no sensor {given:?}; none is enrolled")
            }
            Self::Unknown { given, known } => {
                write!(out, "there is no sensor {given:?}; there are {}", known.join(", "))
            }
            Self::Revoked(name) => write!(out, "{name} is revoked already"),
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for RevokeError {}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Revokes the sensor with this name, number or public key. A running collector ends its session within a second.
///
/// # Errors
/// Each variant of [`RevokeError`].
pub fn revoke_sensor(files: &Files, caller: &Caller, text: &str) -> Result<Sensor, RevokeError> {
    authorize(caller, Operation::Revoke).map_err(RevokeError::Access)?;
    let mut connection = files.open_writer()?;
    let sensor = found(&connection, text)?;
    if !sensors::revoke(&connection, sensor.id, clock::now())? {
        return Err(RevokeError::Revoked(sensor.name));
    }
    record(&mut connection, caller, Operation::Revoke, format!("sensor {}", sensor.name))?;
    Ok(sensor)
}

/// Lets the sensor with this name, number or public key replace its key: now if it is connected, else at its next session.
///
/// # Errors
/// Each variant of [`RevokeError`].
pub fn rotate_sensor_key(files: &Files, caller: &Caller, text: &str) -> Result<Sensor, RevokeError> {
    authorize(caller, Operation::RotateKey).map_err(RevokeError::Access)?;
    let mut connection = files.open_writer()?;
    let sensor = found(&connection, text)?;
    if !sensor_keys::request_replacement(&connection, sensor.id, clock::now())? {
        return Err(RevokeError::Revoked(sensor.name));
    }
    record(&mut connection, caller, Operation::RotateKey, format!("sensor {}", sensor.name))?;
    Ok(sensor)
}

/// Notes that `by` knows of the unclean runs of the sensor with this name, number or public key. Returns its name and their number.
///
/// # Errors
/// Variants of [`RevokeError`] but [`RevokeError::Revoked`].
pub fn acknowledge_runs(
    files: &Files,
    caller: &Caller,
    text: &str,
    by: &str,
) -> Result<(String, usize), RevokeError> {
    authorize(caller, Operation::Acknowledge).map_err(RevokeError::Access)?;
    let mut connection = files.open_writer()?;
    let sensor = found(&connection, text)?;
    let runs = run_ends::acknowledge(&mut connection, sensor.id, by, clock::now())?;
    record(&mut connection, caller, Operation::Acknowledge, format!("sensor {}, {runs} runs", sensor.name))?;
    Ok((sensor.name, runs))
}

/// The sensor that `text` names, or an error with the names of those there are.
fn found(connection: &rusqlite::Connection, text: &str) -> Result<Sensor, RevokeError> {
    if let Some(sensor) = sensors::find(connection, text)? {
        return Ok(sensor);
    }
    let known = sensors::all(connection)?;
    let known = known.into_iter().take(MAX_KNOWN_NAMES).map(|sensor| sensor.name).collect();
    Err(RevokeError::Unknown { given: text.into(), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &std::path::Path) -> Files {
        Files::locate(directory, Some(&"0f".repeat(32))).unwrap()
    }

    fn request(name: &'static str) -> TokenRequest<'static> {
        let collector = PublicKey::from_bytes([3; 32]);
        TokenRequest { name, address: "127.0.0.1:1", collector, expires: Duration::from_secs(60) }
    }

    #[test]
    fn only_the_operator_changes_anything() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let caller = Caller::Loopback(crate::model::Role::Operator);
        let refused = create_token(&files, &caller, &request("a"));
        let is_access = |error: Forbidden, operation| error.operation == operation && !error.needs_log_in;
        assert!(matches!(refused, Err(EnrollError::Access(error)) if is_access(error, Operation::Enroll)));
        let refused = revoke_sensor(&files, &caller, "a");
        assert!(matches!(refused, Err(RevokeError::Access(error)) if is_access(error, Operation::Revoke)));
        assert!(!files.database().exists(), "nothing was opened");
    }

    #[test]
    fn each_mistake_has_its_error() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let token = |request: &TokenRequest<'_>| create_token(&files, &Caller::Operator, request);
        assert!(token(&request("a")).is_ok() && token(&request("")).is_ok());
        assert!(matches!(token(&request("a b")), Err(EnrollError::Name(name)) if name == "a b"));
        assert!(matches!(token(&request("a")), Err(EnrollError::Store(StoreError::NameTaken(_)))));
        let nowhere = TokenRequest { address: "nowhere", ..request("b") };
        assert!(matches!(token(&nowhere), Err(EnrollError::Address(..))));
        let unknown = revoke_sensor(&files, &Caller::Operator, "nobody").unwrap_err();
        assert_eq!(unknown.to_string(), "there is no sensor \"nobody\"; none is enrolled");
        assert!(stored_sensors(&files, &Caller::Operator).unwrap().is_empty());
    }
}
