//! Alerts after the position, read and grouped by incident.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, Row};
use sentinel_alert::{Alert, Phase, wire};
use sentinel_units::Timestamp;

use super::block::Blocks;
use super::column;
use crate::clock::to_micros;
use crate::store::StoreError;

/// Alerts of one batch: some 20 ms of the writer, for which a delivery may have to wait.
pub(in crate::store) const MAX_ALERTS: u32 = 512;

/// Sensor, run and number of an incident.
pub(super) type Key = (i64, u32, u32);

/// Messages of one incident within a batch.
#[derive(Debug)]
pub(super) struct Delta {
    pub(super) key: Key,
    /// Row numbers of the messages.
    pub(super) alerts: Vec<i64>,
    pub(super) first_us: i64,
    pub(super) last_us: i64,
    pub(super) opened_at_us: i64,
    pub(super) updated_at_us: i64,
    pub(super) suppressed: i64,
    pub(super) severity: i64,
    /// Roles and addresses, each once.
    pub(super) addresses: Vec<(i64, [u8; 16])>,
    pub(super) latest: Latest,
}

/// The message with the highest number.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) seq: i64,
    pub(super) kind: i64,
    pub(super) test: i64,
    pub(super) is_close: bool,
    pub(super) source_port: Option<u16>,
    pub(super) destination_port: Option<u16>,
    pub(super) wire: Vec<u8>,
}

/// Alerts after a position, as additions to the tables.
#[derive(Debug, Default)]
pub(in crate::store) struct Batch {
    /// Position of the consumer before, and row number of the last alert.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Alerts that this version cannot decode.
    pub(super) skipped: i64,
    /// In the order of the first message.
    pub(super) deltas: Vec<Delta>,
    pub(super) alert_blocks: Blocks,
    index: HashMap<Key, usize>,
}

impl Batch {
    /// Row number of the last alert.
    pub(in crate::store) const fn end(&self) -> i64 {
        self.to
    }
}

/// The position of the consumer.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn position(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT position FROM consumers WHERE name = 'incidents'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Up to `limit` alerts after the position; none if there are none.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn read(connection: &Connection, limit: u32) -> Result<Option<Batch>, StoreError> {
    let from = position(connection)?;
    // In the order of arrival: row numbers are given in the transactions of one writer, so none below the last one comes later.
    let sql = "SELECT id, sensor, boot, seq, time_us, received_at_us, kind, severity, wire FROM alerts
               WHERE id > ? ORDER BY id LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((from, limit))?;
    let mut batch = Batch { from, to: from, ..Batch::default() };
    while let Some(row) = rows.next()? {
        batch.add(row)?;
    }
    Ok((batch.to > from).then_some(batch))
}

impl Batch {
    fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let (id, time_us, received_at_us): (i64, i64, i64) =
            (row.get("id")?, row.get("time_us")?, row.get("received_at_us")?);
        self.to = id;
        self.alert_blocks.add(id, (time_us, time_us), row.get("kind")?, row.get("severity")?);
        let bytes = row.get_ref("wire")?.as_blob().unwrap_or_default();
        let Ok((alert, _)) = wire::decode(bytes, Timestamp::ZERO) else {
            self.skipped += 1;
            return Ok(());
        };
        let key = (row.get("sensor")?, row.get("boot")?, alert.incident);
        let index = match self.index.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.deltas.push(Delta::new(key, received_at_us));
                *new.insert(self.deltas.len() - 1)
            }
        };
        if let Some(delta) = self.deltas.get_mut(index) {
            delta.add(id, row.get("seq")?, received_at_us, &alert, bytes);
        }
        Ok(())
    }
}

impl Delta {
    fn new(key: Key, opened_at_us: i64) -> Self {
        let latest = Latest {
            seq: i64::MIN,
            kind: 0,
            test: 0,
            is_close: false,
            source_port: None,
            destination_port: None,
            wire: Vec::new(),
        };
        Self {
            key,
            alerts: Vec::new(),
            first_us: i64::MAX,
            last_us: i64::MIN,
            opened_at_us,
            updated_at_us: opened_at_us,
            suppressed: 0,
            severity: 0,
            addresses: Vec::new(),
            latest,
        }
    }

    fn add(&mut self, id: i64, seq: i64, received_at_us: i64, alert: &Alert, bytes: &[u8]) {
        self.alerts.push(id);
        self.first_us = self.first_us.min(to_micros(alert.first));
        self.last_us = self.last_us.max(to_micros(alert.time));
        self.opened_at_us = self.opened_at_us.min(received_at_us);
        self.updated_at_us = self.updated_at_us.max(received_at_us);
        self.suppressed = self.suppressed.saturating_add(i64::from(alert.suppressed));
        self.severity = self.severity.max(column::severity(alert.severity));
        let subject = &alert.subject;
        for named in super::address_rows(subject) {
            if !self.addresses.contains(&named) {
                self.addresses.push(named);
            }
        }
        // By the number that the sensor gave: one that was sent again, after others, is not the latest.
        if seq > self.latest.seq {
            self.latest = Latest {
                seq,
                kind: column::kind(alert.test.kind()),
                test: column::test(alert.test),
                is_close: alert.phase == Phase::Close,
                source_port: subject.source_port.map(|port| port.0),
                destination_port: subject.destination_port.map(|port| port.0),
                wire: bytes.to_vec(),
            };
        }
    }
}
