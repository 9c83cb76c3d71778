//! Table `run_lines`: which run of a sensor continues which, to notice that two devices use one key.
//!
//! Every run of a sensor draws a number, writes it to flash, and tells it in its hellos, with that of the run before it in its
//! log and with a witness, a number that is nowhere but in its memory. On one device a run begins when the one before is over.
//! So these cannot come from one device:
//!
//! - a hello of a run after one of another run that continues it;
//! - a hello of a run with another witness than before;
//! - a run that continues a line, after a hello of another line: each device goes on with its own copy of the files.
//!
//! A second run that continues the same one, by itself, can be a restored backup: it begins another line. A run whose
//! predecessor never connected may continue the present line, and nothing more is known.

use rusqlite::{Connection, OptionalExtension as _, params};
use sentinel_uplink::RunIdentity;

use super::StoreError;
use crate::model::{Lineage, SensorId};

/// Runs of one sensor that are kept.
const MAX_RUNS: i64 = 256;

/// Takes a hello of run `boot` into account.
///
/// # Errors
/// Errors of the database.
pub(super) fn follow(
    connection: &Connection,
    sensor: SensorId,
    boot: u32,
    run: RunIdentity,
) -> Result<Lineage, StoreError> {
    let sql = "SELECT current_line FROM sensors WHERE id = ?";
    let current: i64 = connection.prepare_cached(sql)?.query_row([sensor.0], |row| row.get(0))?;
    let find = |boot: u32| -> Result<Option<(i64, bool, i64)>, StoreError> {
        let sql = "SELECT line, is_latest, witness FROM run_lines WHERE sensor = ? AND boot = ?";
        let row = connection
            .prepare_cached(sql)?
            .query_row(params![sensor.0, boot], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        Ok(row.optional()?)
    };
    let witness = run.witness.cast_signed();
    if let Some((line, is_latest, known)) = find(boot)? {
        let is_same = known == 0 || witness == 0 || known == witness;
        set_line(connection, sensor, line)?;
        // A run that returned does not become the latest one: its hello may have been under way for long, and then the other
        // run is the one that lives.
        let continues = is_latest && line == current && is_same;
        return Ok(if continues { Lineage::Continued } else { Lineage::Returned });
    }
    let previous = if run.previous == 0 { None } else { find(run.previous)? };
    let (line, lineage) = match previous {
        Some((line, true, _)) if line == current => (line, Lineage::Continued),
        Some((line, true, _)) => (line, Lineage::Returned),
        Some((_, false, _)) => (next_line(connection, sensor)?, Lineage::Branched),
        // The one before never connected, or was forgotten; before version 3 a sensor does not tell.
        None => (current, Lineage::Continued),
    };
    let sql = "UPDATE run_lines SET is_latest = 0 WHERE sensor = ? AND line = ? AND is_latest = 1";
    connection.prepare_cached(sql)?.execute([sensor.0, line])?;
    let sql = "INSERT INTO run_lines (sensor, boot, line, is_latest, witness) VALUES (?, ?, ?, 1, ?)";
    connection.prepare_cached(sql)?.execute(params![sensor.0, boot, line, witness])?;
    let sql = "DELETE FROM run_lines WHERE sensor = ?1 AND id <=
               (SELECT id FROM run_lines WHERE sensor = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    connection.prepare_cached(sql)?.execute([sensor.0, MAX_RUNS])?;
    set_line(connection, sensor, line)?;
    Ok(lineage)
}

fn set_line(connection: &Connection, sensor: SensorId, line: i64) -> Result<(), StoreError> {
    let sql = "UPDATE sensors SET current_line = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute([line, sensor.0])?;
    Ok(())
}

fn next_line(connection: &Connection, sensor: SensorId) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce(max(line), 0) + 1 FROM run_lines WHERE sensor = ?";
    Ok(connection.prepare_cached(sql)?.query_row([sensor.0], |row| row.get(0))?)
}

/// Forgets the runs of a sensor: it was enrolled again.
///
/// # Errors
/// Errors of the database.
pub(super) fn forget(connection: &Connection, sensor: SensorId) -> Result<(), StoreError> {
    connection.execute("DELETE FROM run_lines WHERE sensor = ?", [sensor.0])?;
    set_line(connection, sensor, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    const SENSOR: SensorId = SensorId(1);

    /// Hellos of (run, run before it, witness), each with what is found.
    fn check(name: &str, hellos: &[(u32, u32, u64, Lineage)]) {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        for (index, (boot, previous, witness, expected)) in hellos.iter().enumerate() {
            let run = RunIdentity { previous: *previous, witness: *witness };
            assert_eq!(follow(&connection, SENSOR, *boot, run).unwrap(), *expected, "{name}, hello {index}");
        }
    }

    use Lineage::{Branched, Continued, Returned};

    #[test]
    fn what_one_device_does_is_no_sign_of_a_copy() {
        check(
            "restarts and reconnects",
            &[
                (1, 0, 11, Continued),
                (1, 0, 11, Continued),
                (2, 1, 12, Continued),
                (2, 1, 12, Continued),
                (3, 2, 13, Continued),
            ],
        );
        // Runs 2 to 4 never reached the collector.
        check("offline", &[(1, 0, 11, Continued), (5, 4, 15, Continued), (6, 5, 16, Continued)]);
        check("wiped", &[(1, 0, 11, Continued), (2, 0, 12, Continued), (3, 2, 13, Continued)]);
        check(
            "restored backup, twice",
            &[
                (1, 0, 11, Continued),
                (2, 1, 12, Continued),
                (3, 2, 13, Continued),
                (4, 1, 14, Branched),
                (5, 4, 15, Continued),
                (6, 2, 16, Branched),
                (7, 6, 17, Continued),
            ],
        );
        check(
            "a backup from before a time without connection",
            &[(1, 0, 11, Continued), (2, 1, 12, Continued), (5, 4, 15, Continued), (6, 2, 16, Branched)],
        );
        check(
            "version 2, then 3",
            &[(1, 0, 0, Continued), (2, 0, 0, Continued), (3, 2, 13, Continued), (3, 2, 13, Continued)],
        );
        check("downgrade", &[(1, 0, 11, Continued), (2, 0, 0, Continued), (3, 2, 13, Continued)]);
    }

    #[test]
    fn two_devices_are_noticed() {
        check(
            "at the same time",
            &[(1, 0, 11, Continued), (2, 1, 12, Continued), (1, 0, 11, Returned), (2, 1, 12, Continued)],
        );
        check(
            "one after the other",
            &[
                (1, 0, 11, Continued),
                (2, 1, 12, Continued), // the copy
                (3, 1, 13, Branched),  // the original, started again
                (4, 2, 14, Returned),
                (5, 3, 15, Returned),
            ],
        );
        check(
            "a copy of a running device that gives out its run",
            &[(1, 0, 11, Continued), (1, 0, 12, Returned)],
        );
        check("version 2", &[(1, 0, 0, Continued), (2, 0, 0, Continued), (1, 0, 0, Returned)]);
        check(
            "the copy is of an older version",
            &[(1, 0, 11, Continued), (2, 0, 0, Continued), (1, 0, 11, Returned)],
        );
    }

    #[test]
    fn a_sensor_that_restarts_for_ever_takes_bounded_space() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        for boot in 1..=300 {
            let run = RunIdentity { previous: boot - 1, witness: 7 };
            assert_eq!(follow(&connection, SENSOR, boot, run).unwrap(), Continued, "{boot}");
        }
        let rows: i64 = connection.query_row("SELECT count(*) FROM run_lines", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, MAX_RUNS);
    }
}
