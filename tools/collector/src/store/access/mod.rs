//! Users, log-ins, API keys, groups of sensors, and the audit.
//!
//! Changes are rare and come from several processes, so they have a connection of their own instead of the writer's queue; each is
//! one transaction with its line of the audit.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod keys;
pub(crate) mod sensor_groups;

use rusqlite::Row;

use super::StoreError;
use crate::model::{Groups, Role};

/// Text of `groups` for a column.
fn groups_text(groups: &Groups) -> Option<String> {
    groups.as_ref().map(|groups| serde_json::Value::from_iter(groups.iter().cloned()).to_string())
}

/// Groups of a column. A text that is no array of names gives no sensor at all, never every one.
fn groups(row: &Row<'_>, column: &str) -> Result<Groups, StoreError> {
    let text: Option<String> = row.get(column)?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_default()))
}

/// Role of a column; the least one for a name that this version does not know.
fn role(row: &Row<'_>) -> Result<Role, StoreError> {
    Ok(Role::from_name(&row.get::<_, String>("role")?).unwrap_or(Role::Viewer))
}

/// Returns true if `error` is a broken uniqueness.
fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}
