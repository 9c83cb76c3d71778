//! Table `sensor_states`: the history of each sensor, the newest [`MAX_KEPT`] rows.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::clock::{from_micros, to_micros};
use crate::model::{SensorId, StateChange};

/// Rows kept of each sensor: a line that fails once an hour fills them in four days.
pub(crate) const MAX_KEPT: u32 = 200;

/// Adds a row unless the newest one has the same state, and deletes the oldest beyond [`MAX_KEPT`].
///
/// # Errors
/// Errors of the database.
pub(super) fn add(connection: &Connection, sensor: SensorId, change: &StateChange) -> Result<(), StoreError> {
    let sql = "INSERT INTO sensor_states (sensor, at_us, state, cause) SELECT ?1, ?2, ?3, ?4
               WHERE ?3 IS NOT (SELECT state FROM sensor_states WHERE sensor = ?1 ORDER BY id DESC LIMIT 1)";
    let values = params![sensor.0, to_micros(change.at), change.state, change.cause];
    if connection.prepare_cached(sql)?.execute(values)? > 0 {
        let sql = "DELETE FROM sensor_states WHERE sensor = ?1 AND id <=
                   (SELECT id FROM sensor_states WHERE sensor = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
        connection.prepare_cached(sql)?.execute(params![sensor.0, MAX_KEPT])?;
    }
    Ok(())
}

/// The history of a sensor, newest first.
///
/// # Errors
/// Errors of the database.
pub(super) fn of_sensor(connection: &Connection, sensor: SensorId) -> Result<Vec<StateChange>, StoreError> {
    let sql = "SELECT at_us, state, cause FROM sensor_states WHERE sensor = ? ORDER BY id DESC LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![sensor.0, MAX_KEPT], |row| {
        Ok(StateChange { at: from_micros(row.get(0)?), state: row.get(1)?, cause: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn changes_are_kept_newest_first_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        let sensor = SensorId(1);
        for second in 0..=u64::from(MAX_KEPT) * 2 {
            let state = if second % 2 == 0 { "offline" } else { "connected" };
            let at = sentinel_units::Timestamp::from_parts(second, 0);
            let change = StateChange { at, state: state.into(), cause: second.to_string() };
            add(&connection, sensor, &change).unwrap();
            add(&connection, sensor, &StateChange { cause: "again".into(), ..change }).unwrap();
        }
        let history = of_sensor(&connection, sensor).unwrap();
        assert_eq!(history.len(), usize::try_from(MAX_KEPT).unwrap());
        assert_eq!((history[0].cause.as_str(), history[1].cause.as_str()), ("400", "399"));
        assert_eq!(of_sensor(&connection, SensorId(2)).unwrap(), []);
    }
}
