//! Incidents of runs that have ended: over, without a closing message (PROTOCOL.md, 7.1).

use rusqlite::{Connection, params};

use super::column;
use crate::model::IncidentPhase;
use crate::store::StoreError;

/// Incidents that one look finds at most; the next look finds the others.
const MAX_FOUND: u32 = 512;

/// Condition on sensor `s` and incident `i`: the run of the incident is over, as far as the sensor told. One of protocol version 1 tells
/// of no runs, and its incidents stay open until they are closed.
const OVER: &str =
    "(s.revoked_at_us IS NOT NULL OR i.boot <> s.current_boot OR EXISTS (SELECT 1 FROM run_ends
    WHERE run_ends.sensor = s.id AND run_ends.boot = i.boot AND run_ends.cause IS NOT NULL))";

/// Incidents whose phase is not what the runs of their sensors say, with the phase that would be.
#[derive(Debug)]
pub(in crate::store) struct Wrong(Vec<(i64, IncidentPhase)>);

/// Returns true if run `boot` of a sensor is over.
///
/// # Errors
/// Errors of the database.
pub(super) fn is_over(connection: &Connection, sensor: i64, boot: u32) -> Result<bool, StoreError> {
    let sql = format!("SELECT coalesce({OVER}, FALSE) FROM sensors s, (SELECT ?2 AS boot) i WHERE s.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row(params![sensor, boot], |row| row.get(0))?)
}

/// Looks for open incidents of ended runs, and for the reverse: a run whose alerts were stored before its hello.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn find(connection: &Connection) -> Result<Option<Wrong>, StoreError> {
    // Two seeks for each sensor, and the open incidents of each.
    let over = format!(
        "SELECT i.id FROM sensors s CROSS JOIN incidents i INDEXED BY incidents_open
         WHERE i.phase = 0 AND i.sensor = s.id AND {OVER} LIMIT {MAX_FOUND}"
    );
    let running = format!(
        "SELECT i.id FROM sensors s CROSS JOIN incidents i INDEXED BY incidents_ended
         WHERE i.phase = 2 AND i.sensor = s.id AND i.boot = s.current_boot AND NOT {OVER} LIMIT {MAX_FOUND}"
    );
    let mut found = Vec::new();
    for (sql, phase) in [(over, IncidentPhase::RunEnded), (running, IncidentPhase::Open)] {
        let mut statement = connection.prepare_cached(&sql)?;
        for id in statement.query_map([], |row| row.get(0))? {
            found.push((id?, phase));
        }
    }
    Ok((!found.is_empty()).then_some(Wrong(found)))
}

/// Corrects the phases. One that has been closed since stays closed.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn correct(connection: &Connection, wrong: &Wrong) -> Result<(), StoreError> {
    let sql = "UPDATE incidents SET phase = ?2 WHERE id = ?1 AND phase <> 1";
    let mut statement = connection.prepare_cached(sql)?;
    for (id, phase) in &wrong.0 {
        statement.execute([*id, column::phase(*phase)])?;
    }
    Ok(())
}
