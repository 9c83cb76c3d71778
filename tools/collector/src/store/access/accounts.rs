//! Users, their log-ins, and one-time codes of administrators.

use rusqlite::{Connection, Row, params};
use sentinel_units::Timestamp;

use super::{groups, groups_text, is_taken, role};
use crate::clock::{from_micros, to_micros};
use crate::model::{Groups, LogIn, Role, User};
use crate::store::StoreError;

/// Log-ins of one user at the same time; the oldest ends when there is one more.
pub(crate) const MAX_LOG_INS: u32 = 32;

/// Number that rises with each change of users, log-ins, keys and groups, and the key of device cookies.
///
/// # Errors
/// Errors of the database.
pub(crate) fn state(connection: &Connection) -> Result<(i64, [u8; 32]), StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision, device_key FROM access_state")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Every user, by name.
///
/// # Errors
/// Errors of the database.
pub(crate) fn users(connection: &Connection) -> Result<Vec<User>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM users ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(user(row)?);
    }
    Ok(users)
}

fn user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        role: role(row)?,
        groups: groups(row, "groups")?,
        password: row.get("password")?,
        totp: row.get("totp")?,
        totp_step: row.get("totp_step")?,
        created_at: from_micros(row.get("created_at_us")?),
    })
}

/// A user that is to be made.
#[derive(Debug)]
pub(crate) struct NewUser<'n> {
    pub(crate) name: &'n str,
    pub(crate) role: Role,
    pub(crate) groups: &'n Groups,
    /// PHC string.
    pub(crate) password: &'n str,
}

/// Makes a user and returns its row number.
///
/// # Errors
/// [`StoreError::NameTaken`] and errors of the database.
pub(crate) fn add(connection: &Connection, new: &NewUser<'_>, now: Timestamp) -> Result<i64, StoreError> {
    let sql = "INSERT INTO users (name, role, groups, password, created_at_us) VALUES (?, ?, ?, ?, ?)";
    let values = params![new.name, new.role.name(), groups_text(new.groups), new.password, to_micros(now)];
    match connection.execute(sql, values) {
        Ok(_) => Ok(connection.last_insert_rowid()),
        Err(error) if is_taken(&error) => Err(StoreError::NameTaken(new.name.into())),
        Err(error) => Err(error.into()),
    }
}

/// Sets role and groups. The log-ins of the user go on, with the new rights.
///
/// # Errors
/// Errors of the database.
pub(crate) fn set_rights(
    connection: &Connection,
    user: i64,
    role: Role,
    groups: &Groups,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET role = ?, groups = ? WHERE id = ?";
    connection.execute(sql, params![role.name(), groups_text(groups), user])?;
    Ok(())
}

/// Sets the password and ends every log-in of the user.
///
/// # Errors
/// Errors of the database.
pub(crate) fn set_password(connection: &Connection, user: i64, password: &str) -> Result<(), StoreError> {
    connection.execute("UPDATE users SET password = ? WHERE id = ?", params![password, user])?;
    end_all(connection, user)?;
    Ok(())
}

/// Removes a user with its log-ins.
///
/// # Errors
/// Errors of the database.
pub(crate) fn remove(connection: &Connection, user: i64) -> Result<(), StoreError> {
    end_all(connection, user)?;
    connection.execute("DELETE FROM users WHERE id = ?", [user])?;
    Ok(())
}

/// Notes the step of a one-time code; false if it, or a later one, was noted before.
///
/// # Errors
/// Errors of the database.
pub(crate) fn use_totp(connection: &Connection, user: i64, step: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE users SET totp_step = ?1 WHERE id = ?2 AND totp_step < ?1";
    Ok(connection.execute(sql, [step, user])? == 1)
}

/// Keeps a secret that is not in force yet.
///
/// # Errors
/// Errors of the database.
pub(crate) fn offer_totp(connection: &Connection, user: i64, secret: &[u8]) -> Result<(), StoreError> {
    connection.execute("UPDATE users SET totp_offered = ? WHERE id = ?", params![secret, user])?;
    Ok(())
}

/// The secret that is not in force yet.
///
/// # Errors
/// Errors of the database.
pub(crate) fn offered_totp(connection: &Connection, user: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT totp_offered FROM users WHERE id = ?";
    Ok(connection.query_row(sql, [user], |row| row.get(0))?)
}

/// Puts a secret in force with the step of the code that proved it, or none.
///
/// # Errors
/// Errors of the database.
pub(crate) fn set_totp(
    connection: &Connection,
    user: i64,
    secret: Option<&[u8]>,
    step: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET totp = ?1, totp_offered = NULL, totp_step = max(totp_step, ?2) WHERE id = ?3";
    connection.execute(sql, params![secret, step, user])?;
    Ok(())
}

/// Log-ins that have not ended at `now`.
///
/// # Errors
/// Errors of the database.
pub(crate) fn log_ins(connection: &Connection, now: Timestamp) -> Result<Vec<LogIn>, StoreError> {
    let sql = "SELECT hash, user, created_at_us, expires_at_us, address FROM log_ins WHERE expires_at_us > ?";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([to_micros(now)], |row| {
        Ok(LogIn {
            hash: row.get(0)?,
            user: row.get(1)?,
            created_at: from_micros(row.get(2)?),
            expires_at: from_micros(row.get(3)?),
            address: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores a log-in, and drops those that have ended and the oldest past [`MAX_LOG_INS`] of the user.
///
/// # Errors
/// Errors of the database.
pub(crate) fn begin(connection: &Connection, log_in: &LogIn) -> Result<(), StoreError> {
    connection.execute("DELETE FROM log_ins WHERE expires_at_us <= ?", [to_micros(log_in.created_at)])?;
    let sql = "DELETE FROM log_ins WHERE user = ?1 AND hash NOT IN
               (SELECT hash FROM log_ins WHERE user = ?1 ORDER BY created_at_us DESC LIMIT ?2)";
    connection.execute(sql, params![log_in.user, MAX_LOG_INS - 1])?;
    let sql =
        "INSERT INTO log_ins (hash, user, created_at_us, expires_at_us, address) VALUES (?, ?, ?, ?, ?)";
    let times = [log_in.created_at, log_in.expires_at].map(to_micros);
    connection.execute(sql, params![log_in.hash, log_in.user, times[0], times[1], log_in.address])?;
    Ok(())
}

/// Ends one log-in.
///
/// # Errors
/// Errors of the database.
pub(crate) fn end(connection: &Connection, hash: &[u8; 32]) -> Result<bool, StoreError> {
    Ok(connection.execute("DELETE FROM log_ins WHERE hash = ?", [hash])? > 0)
}

/// Ends every log-in of a user and returns their number.
///
/// # Errors
/// Errors of the database.
pub(crate) fn end_all(connection: &Connection, user: i64) -> Result<usize, StoreError> {
    Ok(connection.execute("DELETE FROM log_ins WHERE user = ?", [user])?)
}

/// Stores a one-time code in place of those before it.
///
/// # Errors
/// Errors of the database.
pub(crate) fn set_code(
    connection: &Connection,
    hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    connection.execute("DELETE FROM administrator_codes", [])?;
    let sql = "INSERT INTO administrator_codes (hash, expires_at_us) VALUES (?, ?)";
    connection.execute(sql, params![hash, to_micros(expires_at)])?;
    Ok(())
}

/// Uses a one-time code up; false if it is not known or has expired.
///
/// # Errors
/// Errors of the database.
pub(crate) fn use_code(connection: &Connection, hash: &[u8; 32], now: Timestamp) -> Result<bool, StoreError> {
    let sql = "DELETE FROM administrator_codes WHERE hash = ? AND expires_at_us > ?";
    Ok(connection.execute(sql, params![hash, to_micros(now)])? == 1)
}

/// Returns true if this one-time code is kept and has not expired.
///
/// # Errors
/// Errors of the database.
pub(crate) fn knows_code(
    connection: &Connection,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM administrator_codes WHERE hash = ? AND expires_at_us > ?)";
    Ok(connection.query_row(sql, params![hash, to_micros(now)], |row| row.get(0))?)
}

/// Returns true if a code is kept that has not expired.
///
/// # Errors
/// Errors of the database.
pub(crate) fn has_code(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM administrator_codes WHERE expires_at_us > ?)";
    Ok(connection.query_row(sql, [to_micros(now)], |row| row.get(0))?)
}
