//! Changes that users make: states and notes, each kept with who and when.

use rusqlite::{Connection, OptionalExtension as _, params};
use sentinel_alert::Severity;

use super::column;
use crate::clock::{from_micros, to_micros};
use crate::model::{AuditEntry, ChangeOutcome, ChangeRequest, IncidentChange, IncidentState};
use crate::store::StoreError;
use crate::store::access::audit;
use crate::store::alerts::query::among_sensors;

/// Changes of one incident that are kept; more are refused, so that no client fills the store.
pub(crate) const MAX_CHANGES: i64 = 500;
/// Microseconds for which the answer to a request with a key is kept.
const REQUEST_RETENTION_US: i64 = 86_400_000_000;
/// Author of changes that follow from a message.
const COLLECTOR: &str = "sentinel-collector";

/// Makes a change, once for each key. Must run inside a transaction.
///
/// # Errors
/// Errors of the database; the transaction must be rolled back.
pub(in crate::store) fn change(
    connection: &Connection,
    request: &ChangeRequest,
) -> Result<ChangeOutcome, StoreError> {
    if let Some(changed) = repeated(connection, request)? {
        return Ok(ChangeOutcome::Changed(changed));
    }
    let mut present = Vec::new();
    for id in &request.incidents {
        let mut sql = String::from(
            "SELECT revision, (SELECT count(*) FROM incident_changes WHERE incident = ?1) FROM incidents WHERE id = ?1",
        );
        among_sensors(&mut sql, "sensor", request.among.as_deref());
        let found = connection.prepare_cached(&sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((revision, changes)): Option<(u64, i64)> = found.optional()? else { continue };
        if request.revision.is_some_and(|expected| expected != revision) {
            return Ok(ChangeOutcome::Revision(revision));
        }
        if changes >= MAX_CHANGES {
            return Ok(ChangeOutcome::Full(*id));
        }
        if !present.contains(id) {
            present.push(*id);
        }
    }
    let (state, note) = (request.state.map(column::state), request.note.as_deref());
    for id in &present {
        record(connection, *id, (to_micros(request.at), &request.by), state, note)?;
    }
    remember(connection, request, &present)?;
    if let Some(entry) = request.audit.as_ref().filter(|_| !present.is_empty()) {
        let (first, others) = (present.first().copied().unwrap_or_default(), present.len() - 1);
        let to = request.state.map_or("as it was", IncidentState::name);
        let note = if note.is_some() { ", with a note" } else { "" };
        let detail = format!("incident {first} and {others} others, state {to}{note}");
        audit::append(connection, &AuditEntry { detail, ..entry.clone() })?;
    }
    Ok(ChangeOutcome::Changed(present))
}

/// Sets an incident that somebody has dealt with back to new, because its severity has risen.
///
/// # Errors
/// Errors of the database.
pub(super) fn reopen(
    connection: &Connection,
    id: i64,
    (before, after): (i64, i64),
    at_us: i64,
) -> Result<(), StoreError> {
    let name = |severity| column::value(&Severity::ALL, severity).map_or("another one", Severity::name);
    let note = format!("severity rose from {} to {}", name(before), name(after));
    record(connection, id, (at_us, COLLECTOR), Some(column::state(IncidentState::New)), Some(&note))
}

fn record(
    connection: &Connection,
    id: i64,
    (at_us, by): (i64, &str),
    state: Option<i64>,
    note: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO incident_changes (incident, at_us, by, state, note) VALUES (?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![id, at_us, by, state, note])?;
    let sql = "UPDATE incidents SET revision = revision + 1, notes = notes + (?5 IS NOT NULL), state = coalesce(?4, state),
               state_by = iif(?4 IS NULL, state_by, ?3), state_at_us = iif(?4 IS NULL, state_at_us, ?2) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, at_us, by, state, note])?;
    Ok(())
}

/// The incidents that the same request has changed before.
fn repeated(connection: &Connection, request: &ChangeRequest) -> Result<Option<Vec<i64>>, StoreError> {
    let Some(key) = &request.key else { return Ok(None) };
    let sql = "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE at_us < ? LIMIT 100)";
    connection.prepare_cached(sql)?.execute([to_micros(request.at).saturating_sub(REQUEST_RETENTION_US)])?;
    let sql = "SELECT changed FROM requests WHERE key = ?";
    let known: Option<String> =
        connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
    Ok(known.map(|changed| changed.split(',').filter_map(|id| id.parse().ok()).collect()))
}

fn remember(connection: &Connection, request: &ChangeRequest, changed: &[i64]) -> Result<(), StoreError> {
    let Some(key) = &request.key else { return Ok(()) };
    let changed = changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let sql = "INSERT INTO requests (key, at_us, changed) VALUES (?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![key, to_micros(request.at), changed])?;
    Ok(())
}

/// The changes of an incident, oldest first.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn history(connection: &Connection, id: i64) -> Result<Vec<IncidentChange>, StoreError> {
    let sql = "SELECT at_us, by, state, note FROM incident_changes WHERE incident = ? ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let changes = statement.query_map([id], |row| {
        let state: Option<i64> = row.get("state")?;
        Ok(IncidentChange {
            at: from_micros(row.get("at_us")?),
            by: row.get("by")?,
            state: state.and_then(|state| column::value(&IncidentState::ALL, state)),
            note: row.get("note")?,
        })
    })?;
    Ok(changes.collect::<Result<_, _>>()?)
}
