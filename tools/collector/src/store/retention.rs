//! Retention: the oldest incidents that are over go, as a whole, when they are too old or the store is too large.
//!
//! Open incidents never go, and neither does an alert that the consumer has not taken. Found on the connection of the consumer, some
//! at a time, and deleted in background transactions, so deliveries wait for one of these at most.

mod limits;
mod remove;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension as _, params};
use sentinel_units::Timestamp;

use super::StoreError;
use crate::clock::to_micros;

pub use limits::RetentionLimits;
pub(super) use limits::Room;
pub(super) use remove::{counts, remove};

/// Incidents looked at, and messages deleted, in one transaction.
const MAX_INCIDENTS: u32 = 128;
const MAX_MESSAGES: u32 = 512;

/// Limit because of which something is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    Age,
    Size,
    Disk,
}

impl Reason {
    /// Name in the store and in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
            Self::Disk => "disk",
        }
    }
}

/// Rows to be deleted.
#[derive(Debug)]
pub(super) struct Expired {
    reason: Reason,
    messages: Vec<Message>,
    /// Incidents without further messages.
    incidents: Vec<i64>,
    /// Row number of the last incident that was looked at.
    pub(super) end: i64,
}

/// A message of an expired incident.
#[derive(Debug)]
struct Message {
    incident: i64,
    alert: i64,
    sensor: i64,
    received_at_us: i64,
    bytes: u64,
}

/// Rows that exceed a limit, among the incidents after row number `after`; none if there are no more.
///
/// # Errors
/// Errors of the database.
pub(super) fn find(
    connection: &Connection,
    after: i64,
    now: Timestamp,
    (limits, room): (&RetentionLimits, &Room),
) -> Result<Option<Expired>, StoreError> {
    let (reason, before_us) = match room.reason(connection, limits)? {
        Some(reason) => (reason, i64::MAX),
        None => match limits.oldest(now) {
            Some(oldest) => (Reason::Age, to_micros(oldest)),
            None => return Ok(None),
        },
    };
    // The order is that of opening. One that opened in time is not too old; one that opened before may have gone on until now.
    let sql =
        "SELECT id FROM incidents WHERE id > ?1 AND phase <> 0 AND updated_at_us < ?2 AND opened_at_us < ?2
               ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params![after, before_us, MAX_INCIDENTS], |row| row.get(0))?;
    let mut expired = Expired { reason, messages: Vec::new(), incidents: Vec::new(), end: after };
    for id in found {
        expired.add(connection, id?)?;
        if expired.is_full() {
            break;
        }
    }
    let is_empty = expired.messages.is_empty() && expired.incidents.is_empty();
    Ok((!is_empty).then_some(expired))
}

impl Expired {
    fn is_full(&self) -> bool {
        self.messages.len() >= usize::try_from(MAX_MESSAGES).unwrap_or(usize::MAX)
    }

    /// Adds an incident, or the first of its messages if they are many: then it is found again.
    fn add(&mut self, connection: &Connection, id: i64) -> Result<(), StoreError> {
        let sql = "SELECT alert FROM incident_messages WHERE incident = ? ORDER BY alert LIMIT ?";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, MAX_MESSAGES])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            self.messages.push(message(connection, id, row.get(0)?)?);
            count += 1;
        }
        if count < MAX_MESSAGES {
            self.incidents.push(id);
            self.end = id;
        } else {
            // Deleted in part: the rest is found after the same row number.
            self.end = id - 1;
        }
        Ok(())
    }
}

fn message(connection: &Connection, incident: i64, alert: i64) -> Result<Message, StoreError> {
    let sql = "SELECT sensor, received_at_us, length(wire) FROM alerts WHERE id = ?";
    let found = connection.prepare_cached(sql)?.query_row([alert], |row| {
        let (sensor, received_at_us) = (row.get(0)?, row.get(1)?);
        Ok(Message { incident, alert, sensor, received_at_us, bytes: row.get(2)? })
    });
    // A row without its alert is deleted as well.
    let gone = Message { incident, alert, sensor: 0, received_at_us: 0, bytes: 0 };
    Ok(found.optional()?.unwrap_or(gone))
}
