//! Deletion of expired rows, counted.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{Expired, Reason};
use crate::clock::{from_micros, now, to_micros};
use crate::model::{Removed, RemovedCounts};
use crate::store::StoreError;
use crate::store::alerts::ALERT_ROW_BYTES;
use crate::store::alerts::column::{count, unsigned};
use crate::store::incidents::block::block_of;

/// Deletes the rows of `expired`, and gives their sensors the space back. An incident that has been continued since it was found is left.
///
/// Must run inside a transaction.
///
/// # Errors
/// Errors of the database; the transaction must be rolled back.
pub(in crate::store) fn remove(connection: &Connection, expired: &Expired) -> Result<(), StoreError> {
    let (mut alerts, mut latest_us) = (0, 0);
    let mut freed: BTreeMap<i64, u64> = BTreeMap::new();
    for message in &expired.messages {
        let open = "SELECT EXISTS (SELECT 1 FROM incidents WHERE id = ? AND phase = 0)";
        if connection.prepare_cached(open)?.query_row([message.incident], |row| row.get(0))? {
            continue;
        }
        let sql = "DELETE FROM incident_messages WHERE incident = ? AND alert = ?";
        connection.prepare_cached(sql)?.execute([message.incident, message.alert])?;
        alerts += connection.prepare_cached("DELETE FROM alerts WHERE id = ?")?.execute([message.alert])?;
        latest_us = latest_us.max(message.received_at_us);
        let bytes = freed.entry(message.sensor).or_default();
        *bytes = bytes.saturating_add(message.bytes).saturating_add(ALERT_ROW_BYTES);
    }
    let incidents = remove_incidents(connection, &expired.incidents)?;
    let sql = "UPDATE sensors SET stored_bytes = max(stored_bytes - ?2, 0) WHERE id = ?1";
    for (sensor, bytes) in freed {
        connection.prepare_cached(sql)?.execute([sensor, unsigned(bytes)])?;
    }
    forget_blocks(connection)?;
    let sql = "UPDATE removed SET alerts = alerts + ?2, incidents = incidents + ?3, latest_us = max(latest_us, ?4), at_us = ?5
               WHERE reason = ?1";
    let values = params![expired.reason.name(), alerts, incidents, latest_us, to_micros(now())];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Deletes those of the incidents that have no message left and are over.
fn remove_incidents(connection: &Connection, incidents: &[i64]) -> Result<usize, StoreError> {
    let mut removed = 0;
    for id in incidents {
        let sql = "DELETE FROM incidents WHERE id = ?1 AND phase <> 0
                   AND NOT EXISTS (SELECT 1 FROM incident_messages WHERE incident = ?1)";
        if connection.prepare_cached(sql)?.execute([id])? > 0 {
            for sql in [
                "DELETE FROM incident_changes WHERE incident = ?",
                "DELETE FROM incident_addresses WHERE incident = ?",
            ] {
                connection.prepare_cached(sql)?.execute([id])?;
            }
            removed += 1;
        }
    }
    Ok(removed)
}

/// Deletes the blocks before the first row: two seeks, and one row in 4,096.
fn forget_blocks(connection: &Connection) -> Result<(), StoreError> {
    for (rows, blocks) in [
        ("SELECT min(id) FROM alerts", "DELETE FROM alert_blocks WHERE block < ?"),
        ("SELECT min(id) FROM incidents", "DELETE FROM incident_blocks WHERE block < ?"),
    ] {
        let first: Option<i64> = connection.prepare_cached(rows)?.query_row([], |row| row.get(0))?;
        if let Some(first) = first {
            connection.prepare_cached(blocks)?.execute([block_of(first)])?;
        }
    }
    Ok(())
}

/// Numbers of what was deleted since the store was made.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn counts(connection: &Connection) -> Result<RemovedCounts, StoreError> {
    let sql = "SELECT alerts, incidents, latest_us FROM removed WHERE reason = ?";
    let of = |reason: Reason| {
        connection.prepare_cached(sql)?.query_row([reason.name()], |row| {
            Ok(Removed {
                alerts: count(row.get(0)?),
                incidents: count(row.get(1)?),
                latest: from_micros(row.get(2)?),
            })
        })
    };
    Ok(RemovedCounts { by_age: of(Reason::Age)?, by_size: of(Reason::Size)?, by_disk: of(Reason::Disk)? })
}
