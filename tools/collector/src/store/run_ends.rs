//! Table `run_ends`: how the runs of sensors ended.
//!
//! A run is unclean if it is not the one of the latest hello and has no end, or if its end does not exclude lost alerts. The
//! row of the sensor has the number of unclean runs, updated at each hello and at each end, so that no list of sensors
//! reads this table.

use rusqlite::{Connection, TransactionBehavior, params};
use sentinel_units::Timestamp;
use sentinel_uplink::RunEnd;

use super::StoreError;
use crate::clock::to_micros;
use crate::model::SensorId;

/// Runs of one sensor without an end that are kept; older ones are deleted. A sensor that is not broken has two at most.
const MAX_OPEN_RUNS: i64 = 256;

/// Begins run `boot` of a sensor, which becomes its current one; none for a sensor that does not report ends.
///
/// # Errors
/// Errors of the database.
pub(super) fn begin(
    connection: &Connection,
    sensor: SensorId,
    boot: Option<u32>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET current_boot = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![sensor.0, boot])?;
    if let Some(boot) = boot {
        // Connects again and again within one run: only the first hello begins it.
        let sql = "INSERT OR IGNORE INTO run_ends (sensor, boot, hello_at_us) VALUES (?, ?, ?)";
        let inserted = connection.prepare_cached(sql)?.execute(params![sensor.0, boot, to_micros(at)])?;
        let sql = "DELETE FROM run_ends WHERE sensor = ?1 AND cause IS NULL AND boot NOT IN
                   (SELECT boot FROM run_ends WHERE sensor = ?1 AND cause IS NULL
                    ORDER BY hello_at_us DESC, boot = ?3 DESC LIMIT ?2)";
        if inserted > 0 {
            connection.prepare_cached(sql)?.execute(params![sensor.0, MAX_OPEN_RUNS, boot])?;
        }
    }
    update_sensor(connection, sensor)
}

/// Stores the end of a run, once. Returns true if it is new and the run is unclean.
///
/// # Errors
/// Errors of the database.
pub(super) fn insert(
    connection: &Connection,
    sensor: SensorId,
    end: &RunEnd,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO run_ends (sensor, boot, next_seq, cause, ended_at_us) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (sensor, boot) DO UPDATE SET next_seq = excluded.next_seq, cause = excluded.cause,
               ended_at_us = excluded.ended_at_us WHERE cause IS NULL";
    // At most 2^62, which the session checks.
    let next_seq = i64::try_from(end.next_seq).unwrap_or(i64::MAX);
    let values = params![sensor.0, end.boot, next_seq, u32::from(end.cause), to_micros(at)];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(false);
    }
    update_sensor(connection, sensor)?;
    Ok(!end.cause.is_complete())
}

/// Unclean runs of sensor ?1 that the operator has not acknowledged. Causes 0, 1 and 3 exclude lost alerts, as
/// `EndCause::is_complete` says; one of a later version does not.
const UNCLEAN: &str =
    "FROM run_ends WHERE sensor = ?1 AND acknowledged_at_us IS NULL AND (cause NOT IN (0, 1, 3) OR
    (cause IS NULL AND boot IS NOT (SELECT current_boot FROM sensors WHERE id = ?1)))";

/// Notes that the operator `by` knows of the unclean runs of a sensor, which stay in the store and are not shown as open any
/// more, and of its lost and missing alerts up to now. Returns the number of runs.
///
/// # Errors
/// Errors of the database.
pub(crate) fn acknowledge(
    connection: &mut Connection,
    sensor: SensorId,
    by: &str,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = format!(
        "UPDATE run_ends SET acknowledged_at_us = ?2 WHERE sensor = ?1 AND boot IN (SELECT boot {UNCLEAN})"
    );
    let runs = transaction.execute(&sql, params![sensor.0, to_micros(at)])?;
    let sql = "UPDATE sensors SET noted_lost = lost, noted_missing = missing WHERE id = ?";
    transaction.execute(sql, [sensor.0])?;
    if runs > 0 {
        let sql = "UPDATE sensors SET acknowledged_at_us = ?2, acknowledged_by = ?3,
                   acknowledged_runs = acknowledged_runs + ?4 WHERE id = ?1";
        let count = i64::try_from(runs).unwrap_or(i64::MAX);
        transaction.execute(sql, params![sensor.0, to_micros(at), by, count])?;
    }
    update_sensor(&transaction, sensor)?;
    transaction.commit()?;
    Ok(runs)
}

/// Brings the columns of the sensor about its unclean runs up to date.
fn update_sensor(connection: &Connection, sensor: SensorId) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE sensors SET unclean_runs = (SELECT count(*) {UNCLEAN}), unclean_boot =
         (SELECT boot {UNCLEAN} ORDER BY coalesce(hello_at_us, ended_at_us) DESC LIMIT 1) WHERE id = ?1"
    );
    connection.prepare_cached(&sql)?.execute([sensor.0])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sentinel_uplink::EndCause;

    use super::*;
    use crate::model::{RunEnds, Sensor};
    use crate::store::sensors;
    use crate::store::testing::{commit, delivery, open};

    const SENSOR: SensorId = SensorId(1);

    fn second(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    fn sensor(connection: &Connection) -> Sensor {
        sensors::all(connection).unwrap().remove(0)
    }

    fn end(boot: u32, next_seq: u64, cause: EndCause) -> RunEnd {
        RunEnd { boot, next_seq, cause }
    }

    #[test]
    fn a_run_is_unknown_until_its_end_arrives() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unreported);
        begin(&connection, SENSOR, Some(3), second(1)).unwrap();
        commit(&mut connection, &delivery(1..=70)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean, "it goes on");
        begin(&connection, SENSOR, Some(3), second(2)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean, "connected again");
        begin(&connection, SENSOR, Some(4), second(3)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 3, from: 71, runs: 1 });
        assert!(!insert(&connection, SENSOR, &end(3, 71, EndCause::Stopped), second(4)).unwrap());
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean);
        assert!(!insert(&connection, SENSOR, &end(4, 71, EndCause::Fault), second(4)).unwrap());
        begin(&connection, SENSOR, Some(5), second(5)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean, "it wrote what it had");
        begin(&connection, SENSOR, None, second(5)).unwrap();
        assert!(matches!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 5, from: 1, runs: 1 }));
    }

    #[test]
    fn a_power_cut_is_unknown_from_the_last_number_known_to_either_side() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=70)).unwrap();
        let cut = end(3, 51, EndCause::PowerLost);
        let with_end = |end: RunEnd| {
            let mut delivery = delivery(1..=1);
            delivery.alerts.clear();
            (delivery.run_ends, delivery.last) = (vec![end], end.last());
            delivery
        };
        let receipt = commit(&mut connection, &with_end(cut)).unwrap();
        assert_eq!(receipt.unclean, 1);
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 3, from: 71, runs: 1 });
        assert_eq!(sensor(&connection).acked, Some(cut.last()), "the position keeps all 64 bits");
        assert_eq!(commit(&mut connection, &with_end(cut)).unwrap().unclean, 0, "a second time");
        // The first end of a run counts.
        commit(&mut connection, &with_end(end(3, 99, EndCause::Stopped))).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 3, from: 99, runs: 1 });

        // A run of which nothing arrived.
        let mut later = with_end(end(9, 5, EndCause::Other(7)));
        later.received_at = second(100);
        commit(&mut connection, &later).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 9, from: 5, runs: 2 });
        assert_eq!(sensor(&connection).missing, 28 + 4, "numbers below the end that never arrived");
    }

    #[test]
    fn acknowledged_runs_are_not_open_any_more_and_later_ones_are() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        begin(&connection, SENSOR, Some(3), second(1)).unwrap();
        assert_eq!(acknowledge(&mut connection, SENSOR, "anna", second(2)).unwrap(), 0, "it goes on");
        assert_eq!(sensor(&connection).acknowledged, None);
        insert(&connection, SENSOR, &end(2, 9, EndCause::PowerLost), second(1)).unwrap();
        begin(&connection, SENSOR, Some(4), second(3)).unwrap();
        assert!(matches!(sensor(&connection).run_ends, RunEnds::Unclean { runs: 2, .. }));
        assert_eq!(acknowledge(&mut connection, SENSOR, "anna", second(4)).unwrap(), 2);
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean);
        let known = sensor(&connection).acknowledged.unwrap();
        assert_eq!((known.at, known.by.as_str(), known.runs), (second(4), "anna", 2));
        // The end of an acknowledged run arrives late; the next run without an end is open again.
        insert(&connection, SENSOR, &end(3, 9, EndCause::PowerLost), second(5)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Clean);
        begin(&connection, SENSOR, Some(5), second(6)).unwrap();
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 4, from: 1, runs: 1 });
        assert_eq!(acknowledge(&mut connection, SENSOR, "bert", second(7)).unwrap(), 1);
        assert_eq!(sensor(&connection).acknowledged.unwrap().runs, 3);
    }

    #[test]
    fn a_sensor_that_restarts_without_end_takes_bounded_space() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        for boot in 1..=300 {
            begin(&connection, SENSOR, Some(boot), second(u64::from(boot))).unwrap();
        }
        let rows: i64 = connection.query_row("SELECT count(*) FROM run_ends", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, MAX_OPEN_RUNS);
        assert_eq!(sensor(&connection).run_ends, RunEnds::Unclean { boot: 299, from: 1, runs: 255 });
    }
}
