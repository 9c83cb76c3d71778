//! API keys.

use rusqlite::{Connection, params};
use sentinel_units::Timestamp;

use super::{groups, groups_text, is_taken, role};
use crate::clock::{from_micros, to_micros};
use crate::model::ApiKey;
use crate::store::StoreError;

/// Every key, by name.
///
/// # Errors
/// Errors of the database.
pub(crate) fn all(connection: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let time = |column| Ok::<_, StoreError>(row.get::<_, Option<i64>>(column)?.map(from_micros));
        keys.push(ApiKey {
            id: row.get("id")?,
            name: row.get("name")?,
            role: role(row)?,
            groups: groups(row, "groups")?,
            hash: row.get("hash")?,
            created_at: from_micros(row.get("created_at_us")?),
            expires_at: time("expires_at_us")?,
            last_used_at: time("last_used_at_us")?,
        });
    }
    Ok(keys)
}

/// Stores a key; its row number is not used.
///
/// # Errors
/// [`StoreError::NameTaken`] and errors of the database.
pub(crate) fn add(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO api_keys (name, role, groups, hash, created_at_us, expires_at_us) VALUES (?, ?, ?, ?, ?, ?)";
    let expires = key.expires_at.map(to_micros);
    let (groups, created) = (groups_text(&key.groups), to_micros(key.created_at));
    match connection.execute(sql, params![key.name, key.role.name(), groups, key.hash, created, expires]) {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(StoreError::NameTaken(key.name.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Removes the key of this name.
///
/// # Errors
/// Errors of the database.
pub(crate) fn remove(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(connection.execute("DELETE FROM api_keys WHERE name = ?", [name])? > 0)
}

/// Notes the latest use of a key.
///
/// # Errors
/// Errors of the database.
pub(crate) fn used(connection: &Connection, key: i64, at: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE api_keys SET last_used_at_us = max(coalesce(last_used_at_us, 0), ?) WHERE id = ?";
    connection.execute(sql, [to_micros(at), key])?;
    Ok(())
}
