//! Keys of sensors that replace each other, and signs that a key was copied.
//!
//! A sensor announces its next key in a session with its present one. Both are served until the first session with the next
//! one; then the present one is replaced: it is never served again, and its use is a sign of a copy.

use rusqlite::{Connection, params};
use sentinel_units::Timestamp;
use sentinel_uplink::PublicKey;

use super::StoreError;
use crate::clock::to_micros;
use crate::model::{CopySign, SensorId};

/// Replaced keys of one sensor that are remembered; older ones are unknown, and not served either.
const MAX_REPLACED: i64 = 64;

/// Stores the next key of a sensor; again for the same one changes nothing. Returns false if the key belongs, or belonged, to
/// a sensor, or if the sensor was revoked.
///
/// # Errors
/// Errors of the database.
pub(super) fn announce(
    connection: &Connection,
    sensor: SensorId,
    key: PublicKey,
) -> Result<bool, StoreError> {
    let key = key.as_bytes();
    // Nothing is proved about the key yet: whoever has it proves that by the first session.
    let sql = "UPDATE sensors SET next_key = ?2 WHERE id = ?1 AND revoked_at_us IS NULL
               AND NOT EXISTS (SELECT 1 FROM sensors WHERE public_key = ?2 OR (next_key = ?2 AND id <> ?1))
               AND NOT EXISTS (SELECT 1 FROM replaced_keys WHERE public_key = ?2)";
    Ok(connection.prepare_cached(sql)?.execute(params![sensor.0, key])? > 0)
}

/// Makes the next key of a sensor, which a session has proved, its only one. Returns false if it is not its next key any more.
///
/// # Errors
/// Errors of the database.
pub(super) fn replace(
    connection: &Connection,
    sensor: SensorId,
    key: PublicKey,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO replaced_keys (public_key, sensor, replaced_at_us)
               SELECT public_key, id, ?3 FROM sensors WHERE id = ?1 AND next_key = ?2 AND revoked_at_us IS NULL";
    let values = params![sensor.0, key.as_bytes(), to_micros(at)];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE sensors SET public_key = next_key, next_key = NULL, key_since_us = ?2,
               replacement_requested_us = NULL WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![sensor.0, to_micros(at)])?;
    let sql = "DELETE FROM replaced_keys WHERE sensor = ?1 AND public_key NOT IN
               (SELECT public_key FROM replaced_keys WHERE sensor = ?1 ORDER BY replaced_at_us DESC LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![sensor.0, MAX_REPLACED])?;
    Ok(true)
}

/// Counts a sign that two devices use the key of a sensor.
///
/// # Errors
/// Errors of the database.
pub(super) fn count_copy(
    connection: &Connection,
    sensor: SensorId,
    sign: CopySign,
    detail: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql =
        "UPDATE sensors SET copy_signs = min(copy_signs + 1, 4294967295), copy_sign = ?2, copy_detail = ?3,
               copy_at_us = ?4 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![sensor.0, sign.name(), detail, to_micros(at)])?;
    Ok(())
}

/// Stores the key of the collector that a sensor has confirmed.
///
/// # Errors
/// Errors of the database.
pub(super) fn pin(connection: &Connection, sensor: SensorId, key: PublicKey) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET pinned_key = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![sensor.0, key.as_bytes()])?;
    Ok(())
}

/// Asks a sensor to replace its key. Returns false if it is revoked.
///
/// # Errors
/// Errors of the database.
pub(crate) fn request_replacement(
    connection: &Connection,
    sensor: SensorId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE sensors SET replacement_requested_us = ?2 WHERE id = ?1 AND revoked_at_us IS NULL";
    Ok(connection.execute(sql, params![sensor.0, to_micros(at)])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyRole;
    use crate::store::sensors::{find, revoke, with_key};
    use crate::store::testing::open;

    const AT: Timestamp = Timestamp::from_parts(9, 0);

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn role(connection: &Connection, key: PublicKey) -> Option<KeyRole> {
        with_key(connection, key).unwrap().map(|sensor| sensor.role_of(key))
    }

    #[test]
    fn both_keys_are_served_until_the_first_session_with_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        let sensor = SensorId(1);
        assert!(announce(&connection, sensor, key(1)).unwrap());
        assert!(announce(&connection, sensor, key(1)).unwrap(), "the answer was lost");
        assert_eq!(role(&connection, key(0)), Some(KeyRole::Current));
        assert_eq!(role(&connection, key(1)), Some(KeyRole::Next));
        assert!(!replace(&connection, sensor, key(2), AT).unwrap(), "not announced");
        assert!(replace(&connection, sensor, key(1), AT).unwrap());
        assert_eq!(role(&connection, key(0)), Some(KeyRole::Replaced));
        assert_eq!(role(&connection, key(1)), Some(KeyRole::Current));
        assert!(!replace(&connection, sensor, key(1), AT).unwrap(), "once");
        // An announcement from before the replacement, again.
        assert!(
            !announce(&connection, sensor, key(1)).unwrap()
                && !announce(&connection, sensor, key(0)).unwrap()
        );
        assert_eq!(role(&connection, key(1)), Some(KeyRole::Current));
    }

    #[test]
    fn a_key_of_another_sensor_and_a_revoked_sensor_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        let sql = "INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (?, 'b', 0)";
        connection.execute(sql, [key(7).as_bytes()]).unwrap();
        let (a, b) = (SensorId(1), SensorId(2));
        assert!(!announce(&connection, a, key(7)).unwrap(), "its present key");
        assert!(announce(&connection, b, key(8)).unwrap());
        assert!(!announce(&connection, a, key(8)).unwrap(), "its next key");
        assert!(replace(&connection, b, key(8), AT).unwrap());
        assert!(!announce(&connection, a, key(7)).unwrap(), "a key that it had");
        assert!(announce(&connection, a, key(9)).unwrap());
        assert!(revoke(&connection, a, AT).unwrap());
        assert!(!replace(&connection, a, key(9), AT).unwrap() && !announce(&connection, a, key(10)).unwrap());
        assert!(!request_replacement(&connection, a, AT).unwrap());
    }

    #[test]
    fn replaced_keys_take_bounded_space_and_signs_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        for byte in 1..=100 {
            assert!(announce(&connection, SensorId(1), key(byte)).unwrap());
            assert!(
                replace(&connection, SensorId(1), key(byte), Timestamp::from_parts(byte.into(), 0)).unwrap()
            );
        }
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM replaced_keys", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, MAX_REPLACED);
        assert_eq!((role(&connection, key(99)), role(&connection, key(1))), (Some(KeyRole::Replaced), None));
        for _ in 0..2 {
            count_copy(&connection, SensorId(1), CopySign::Runs, "from here", AT).unwrap();
        }
        let copy = find(&connection, "a").unwrap().unwrap().copy.unwrap();
        assert_eq!(
            (copy.signs, copy.sign.as_str(), copy.detail.as_str(), copy.at),
            (2, "runs", "from here", AT)
        );
    }
}
