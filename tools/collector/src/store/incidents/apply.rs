//! Application of a batch, in one transaction with the position of the consumer.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::batch::{Batch, Delta};
use super::block::Blocks;
use super::{change, column, runs};
use crate::model::{IncidentPhase, IncidentState};
use crate::store::StoreError;

/// Writes `batch`. Returns false, and writes nothing, if the position is not the one from which it was read.
///
/// Must run inside a transaction.
///
/// # Errors
/// Errors of the database; the transaction must be rolled back.
pub(in crate::store) fn apply(connection: &Connection, batch: &Batch) -> Result<bool, StoreError> {
    let sql = "UPDATE consumers SET position = ?2, skipped = skipped + ?3 WHERE name = 'incidents' AND position = ?1";
    if connection.prepare_cached(sql)?.execute([batch.from, batch.to, batch.skipped])? == 0 {
        return Ok(false);
    }
    let mut apply = Apply { connection, ended: BTreeMap::new(), blocks: Blocks::default() };
    for delta in &batch.deltas {
        apply.delta(delta)?;
    }
    apply.blocks.write_incidents(connection)?;
    batch.alert_blocks.write_alerts(connection)?;
    Ok(true)
}

struct Apply<'c> {
    connection: &'c Connection,
    /// Runs of this batch: true if over.
    ended: BTreeMap<(i64, u32), bool>,
    blocks: Blocks,
}

/// Columns of a known incident that decide about its update.
struct Known {
    id: i64,
    last_seq: i64,
    severity: i64,
    state: i64,
    first_us: i64,
}

impl Apply<'_> {
    fn delta(&mut self, delta: &Delta) -> Result<(), StoreError> {
        let known = self.known(delta)?;
        let id = match &known {
            None => self.insert(delta)?,
            Some(known) => {
                self.update(known, delta)?;
                known.id
            }
        };
        let first_us = known.map_or(delta.first_us, |known| known.first_us.min(delta.first_us));
        self.blocks.add(id, (first_us, delta.last_us), delta.latest.kind, delta.severity);
        let sql = "INSERT INTO incident_messages (incident, alert) VALUES (?, ?)";
        let mut statement = self.connection.prepare_cached(sql)?;
        for alert in &delta.alerts {
            statement.execute([id, *alert])?;
        }
        let sql = "INSERT OR IGNORE INTO incident_addresses (role, address, incident) VALUES (?, ?, ?)";
        let mut statement = self.connection.prepare_cached(sql)?;
        for (role, address) in &delta.addresses {
            statement.execute(params![role, address, id])?;
        }
        Ok(())
    }

    fn known(&self, delta: &Delta) -> Result<Option<Known>, StoreError> {
        let sql = "SELECT id, last_seq, severity, state, first_us FROM incidents
                   WHERE sensor = ? AND boot = ? AND number = ?";
        let known = self.connection.prepare_cached(sql)?.query_row(params_of(delta), |row| {
            Ok(Known {
                id: row.get(0)?,
                last_seq: row.get(1)?,
                severity: row.get(2)?,
                state: row.get(3)?,
                first_us: row.get(4)?,
            })
        });
        Ok(known.optional()?)
    }

    fn insert(&mut self, delta: &Delta) -> Result<i64, StoreError> {
        let sql = "INSERT INTO incidents (sensor, boot, number, kind, test, severity, phase, first_us, last_us, opened_at_us,
                   updated_at_us, messages, suppressed, src_port, dst_port, last_seq, wire)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (phase, latest) = (self.phase(delta)?, &delta.latest);
        let (sensor, boot, number) = delta.key;
        self.connection.prepare_cached(sql)?.execute(params![
            sensor,
            boot,
            number,
            latest.kind,
            latest.test,
            delta.severity,
            phase,
            delta.first_us,
            delta.last_us,
            delta.opened_at_us,
            delta.updated_at_us,
            delta.alerts.len(),
            delta.suppressed,
            latest.source_port,
            latest.destination_port,
            latest.seq,
            latest.wire
        ])?;
        Ok(self.connection.last_insert_rowid())
    }

    fn update(&mut self, known: &Known, delta: &Delta) -> Result<(), StoreError> {
        let sql = "UPDATE incidents SET severity = max(severity, ?2), first_us = min(first_us, ?3), last_us = max(last_us, ?4),
                   updated_at_us = max(updated_at_us, ?5), messages = messages + ?6, suppressed = suppressed + ?7 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![
            known.id,
            delta.severity,
            delta.first_us,
            delta.last_us,
            delta.updated_at_us,
            delta.alerts.len(),
            delta.suppressed
        ])?;
        if delta.latest.seq > known.last_seq {
            let (phase, latest) = (self.phase(delta)?, &delta.latest);
            let sql = "UPDATE incidents SET kind = ?2, test = ?3, phase = ?4, src_port = ?5, dst_port = ?6, last_seq = ?7,
                       wire = ?8 WHERE id = ?1";
            self.connection.prepare_cached(sql)?.execute(params![
                known.id,
                latest.kind,
                latest.test,
                phase,
                latest.source_port,
                latest.destination_port,
                latest.seq,
                latest.wire
            ])?;
        }
        // What somebody has dealt with was less than it is now.
        if delta.severity > known.severity && known.state != column::state(IncidentState::New) {
            change::reopen(self.connection, known.id, (known.severity, delta.severity), delta.updated_at_us)?;
        }
        Ok(())
    }

    fn phase(&mut self, delta: &Delta) -> Result<i64, StoreError> {
        if delta.latest.is_close {
            return Ok(column::phase(IncidentPhase::Closed));
        }
        let (sensor, boot, _) = delta.key;
        let is_over = match self.ended.get(&(sensor, boot)) {
            Some(known) => *known,
            None => {
                let is_over = runs::is_over(self.connection, sensor, boot)?;
                self.ended.insert((sensor, boot), is_over);
                is_over
            }
        };
        Ok(column::phase(if is_over { IncidentPhase::RunEnded } else { IncidentPhase::Open }))
    }
}

fn params_of(delta: &Delta) -> (i64, u32, u32) {
    delta.key
}
