//! Counts of the alerts of some sensors, for callers who may see no other: rows are counted, within the deadline of a search.

use rusqlite::Connection;
use sentinel_units::Timestamp;

use super::column::MINUTE_US;
use super::query::among_sensors;
use super::totals::{timeline_of, totals_of};
use crate::model::{AlertTotals, MinuteCounts, SensorId};
use crate::store::StoreError;

/// Alerts of these sensors by kind and severity.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn totals(
    connection: &Connection,
    sensors: &[SensorId],
) -> Result<AlertTotals, StoreError> {
    let mut sql = String::from("SELECT kind, severity, count(*) FROM alerts WHERE TRUE");
    among_sensors(&mut sql, "alerts.sensor", Some(sensors));
    sql.push_str(" GROUP BY kind, severity");
    totals_of(connection, &sql)
}

/// Alerts of these sensors per minute, as [`super::totals::timeline`].
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn timeline(
    connection: &Connection,
    sensors: &[SensorId],
    now: Timestamp,
    count: u16,
) -> Result<Vec<MinuteCounts>, StoreError> {
    let mut sql = format!(
        "SELECT time_us / {MINUTE_US} - ?1, severity, count(*) FROM alerts
         WHERE time_us >= ?1 * {MINUTE_US} AND time_us < (?2 + 1) * {MINUTE_US}"
    );
    among_sensors(&mut sql, "alerts.sensor", Some(sensors));
    sql.push_str(" GROUP BY 1, severity");
    timeline_of(connection, &sql, now, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::alerts::totals as all;
    use crate::store::testing::{commit, delivery, open};

    #[test]
    fn counts_of_every_sensor_are_those_that_are_kept_and_of_none_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(55..=65)).unwrap();
        let (now, one) = (Timestamp::from_parts(190, 0), [SensorId(1)]);
        assert_eq!(totals(&connection, &one).unwrap(), all::totals(&connection).unwrap());
        assert_eq!(timeline(&connection, &one, now, 4).unwrap(), all::timeline(&connection, now, 4).unwrap());
        for foreign in [&[SensorId(2)][..], &[]] {
            assert_eq!(totals(&connection, foreign).unwrap().stored(), 0);
            let minutes = timeline(&connection, foreign, now, 4).unwrap();
            assert!(minutes.len() == 4 && minutes.iter().all(|minute| minute.by_severity == [0; 5]));
        }
    }
}
