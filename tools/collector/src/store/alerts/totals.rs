//! Counts that are kept beside the alerts, so that no request counts rows.

use rusqlite::Connection;
use sentinel_alert::{Kind, Severity};
use sentinel_units::Timestamp;

use super::column::{self, MINUTE_US};
use crate::clock::{from_micros, to_micros};
use crate::model::{AlertTotals, MinuteCounts};
use crate::store::StoreError;

/// Stored alerts by kind and severity. Kinds that this version does not know are left out.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn totals(connection: &Connection) -> Result<AlertTotals, StoreError> {
    totals_of(connection, "SELECT kind, severity, stored FROM totals")
}

/// Totals of a statement that gives kind, severity and their number.
pub(super) fn totals_of(connection: &Connection, sql: &str) -> Result<AlertTotals, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut totals = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, severity): (i64, i64) = (row.get(0)?, row.get(1)?);
        let kind = Kind::ALL.iter().find(|known| column::kind(**known) == kind);
        let severity = Severity::ALL.iter().find(|known| column::severity(**known) == severity);
        if let (Some(kind), Some(severity)) = (kind, severity) {
            totals.push((*kind, *severity, row.get(2)?));
        }
    }
    Ok(totals.into_iter().collect())
}

/// Alerts per minute of packet time for the `count` minutes that end with the one of `now`, oldest first.
/// Minutes without alerts are included.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn timeline(
    connection: &Connection,
    now: Timestamp,
    count: u16,
) -> Result<Vec<MinuteCounts>, StoreError> {
    let sql = "SELECT minute - ?1, severity, stored FROM minutes WHERE minute BETWEEN ?1 AND ?2";
    timeline_of(connection, sql, now, count)
}

/// Timeline of a statement that gives the index of a minute, severity and their number, for the first and the last minute.
pub(super) fn timeline_of(
    connection: &Connection,
    sql: &str,
    now: Timestamp,
    count: u16,
) -> Result<Vec<MinuteCounts>, StoreError> {
    let last = to_micros(now) / MINUTE_US;
    let first = last - i64::from(count) + 1;
    let empty =
        |minute| MinuteCounts { start: from_micros(minute * MINUTE_US), by_severity: Default::default() };
    let mut minutes: Vec<MinuteCounts> = (first..=last).map(empty).collect();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        let (index, severity): (usize, usize) = (row.get(0)?, row.get(1)?);
        // The statement selects minutes of the range only; a severity that this version does not know has no slot.
        let minute = minutes.get_mut(index);
        if let Some(slot) = minute.and_then(|minute| minute.by_severity.get_mut(severity)) {
            *slot = row.get(2)?;
        }
    }
    Ok(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{commit, delivery, open};

    #[test]
    fn minutes_without_alerts_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(55..=65)).unwrap(); // 00:00:55 to 00:01:05
        let minutes = timeline(&connection, Timestamp::from_parts(190, 0), 4).unwrap();
        let high: Vec<(u64, u64)> =
            minutes.iter().map(|minute| (minute.start.as_secs(), minute.by_severity[3])).collect();
        assert_eq!(high, [(0, 5), (60, 6), (120, 0), (180, 0)]);
    }
}
