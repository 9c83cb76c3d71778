//! One incident, and its messages.

use rusqlite::{Connection, OptionalExtension as _};

use super::row::{COLUMNS, from_row};
use crate::model::{AlertRow, Incident, IncidentState};
use crate::store::StoreError;
use crate::store::alerts::query;

/// The incident with this row number.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn find(connection: &Connection, id: i64) -> Result<Option<Incident>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM incidents i JOIN sensors s ON s.id = i.sensor WHERE i.id = ?");
    Ok(connection.prepare_cached(&sql)?.query_row([id], from_row).optional()?)
}

/// State of the incident with this number in a run of a sensor; none if no message of it has been taken.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn state(
    connection: &Connection,
    sensor: &str,
    boot: u32,
    number: u32,
) -> Result<Option<IncidentState>, StoreError> {
    let sql = "SELECT state FROM incidents
               WHERE sensor = (SELECT id FROM sensors WHERE name = ?) AND boot = ? AND number = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let state: Option<usize> = statement.query_row((sensor, boot, number), |row| row.get(0)).optional()?;
    Ok(state.and_then(|state| IncidentState::ALL.get(state).copied()))
}

/// Messages of an incident below row number `before`, newest first. Those that retention has deleted are left out.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn messages(
    connection: &Connection,
    id: i64,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<AlertRow>, StoreError> {
    let sql = "SELECT alerts.id, sensors.name, boot, seq, time_us, received_at_us, severity, wire FROM incident_messages
               CROSS JOIN alerts ON alerts.id = incident_messages.alert
               JOIN sensors ON sensors.id = alerts.sensor
               WHERE incident = ? AND alert < ? ORDER BY alert DESC LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((id, before.unwrap_or(i64::MAX), limit))?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(query::from_row(row)?);
    }
    Ok(messages)
}
