//! Table `log_heads`: the head of the sealed log of each sensor.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sentinel_units::Timestamp;
use sentinel_uplink::LogHead;

use super::StoreError;
use crate::clock::{from_micros, to_micros};
use crate::model::{LogHeadState, SensorId, may_follow};

/// Stores the latest head of a sensor. Returns the head before it, if the two contradict each other: that is counted, and the new
/// one is what later heads are compared with.
///
/// # Errors
/// Errors of the database.
pub(super) fn update(
    connection: &Connection,
    sensor: SensorId,
    head: &LogHead,
    at: Timestamp,
) -> Result<Option<LogHead>, StoreError> {
    let sql = "SELECT head_number, head_epoch, head_chain FROM log_heads WHERE sensor = ?";
    let before = connection.prepare_cached(sql)?.query_row([sensor.0], |row| {
        Ok(LogHead { next_id: row.get(0)?, epoch: row.get(1)?, chain: row.get(2)? })
    });
    let contradicted = before.optional()?.filter(|before| !may_follow(before, head));
    let sql = "INSERT INTO log_heads (sensor, head_number, head_epoch, head_chain, head_at_us)
               VALUES (?, ?, ?, ?, ?) ON CONFLICT (sensor) DO UPDATE SET head_number = excluded.head_number,
               head_epoch = excluded.head_epoch, head_chain = excluded.head_chain,
               head_at_us = excluded.head_at_us";
    // The session has checked that both are at most 2^62.
    let numbers =
        |head: &LogHead| [head.next_id, head.epoch].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let [number, epoch] = numbers(head);
    connection.prepare_cached(sql)?.execute(params![sensor.0, number, epoch, head.chain, to_micros(at)])?;
    if let Some(before) = &contradicted {
        // Saturates: a broken sensor can only raise it by one a message.
        let sql = "UPDATE log_heads SET head_faults = min(head_faults + 1, 4294967295), fault_number = ?,
                   fault_epoch = ?, fault_chain = ?, fault_at_us = ? WHERE sensor = ?";
        let [number, epoch] = numbers(before);
        let values = params![number, epoch, before.chain, to_micros(at), sensor.0];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    Ok(contradicted)
}

/// Forgets the head of a sensor: it was enrolled again, maybe on a device that was set up anew.
///
/// # Errors
/// Errors of the database.
pub(super) fn forget(connection: &Connection, sensor: SensorId) -> Result<(), StoreError> {
    connection.execute("DELETE FROM log_heads WHERE sensor = ?", [sensor.0])?;
    Ok(())
}

/// Columns of the table in a row of a sensor; none if the sensor has sent no head.
///
/// # Errors
/// Errors of the database.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<LogHeadState>> {
    let Some(next_id) = row.get("head_number")? else { return Ok(None) };
    let head = LogHead { next_id, epoch: row.get("head_epoch")?, chain: row.get("head_chain")? };
    let contradicted = match row.get("fault_number")? {
        Some(next_id) => {
            let head = LogHead { next_id, epoch: row.get("fault_epoch")?, chain: row.get("fault_chain")? };
            Some((head, from_micros(row.get("fault_at_us")?)))
        }
        None => None,
    };
    let received_at = from_micros(row.get("head_at_us")?);
    Ok(Some(LogHeadState { head, received_at, faults: row.get("head_faults")?, contradicted }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sensors;
    use crate::store::testing::open;

    #[test]
    fn a_head_that_contradicts_the_one_before_is_counted_until_enrollment() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        let at = Timestamp::from_parts(7, 0);
        let state = || sensors::find(&connection, "1").unwrap().unwrap().log_head;
        assert_eq!(state(), None);
        let head = LogHead { next_id: 10, epoch: 2, chain: [1; 32] };
        let later = LogHead { next_id: 1 << 62, epoch: 1 << 62, chain: [2; 32] };
        for head in [&head, &head, &later] {
            assert_eq!(update(&connection, SensorId(1), head, at).unwrap(), None);
        }
        assert_eq!(update(&connection, SensorId(1), &head, at).unwrap(), Some(later));
        let found = state().unwrap();
        assert_eq!((found.head, found.faults, found.contradicted), (head, 1, Some((later, at))));
        // Counted once: the roll-back is what later heads are compared with.
        assert_eq!(update(&connection, SensorId(1), &head, at).unwrap(), None);
        assert!(state().unwrap().is_contradicted());
        forget(&connection, SensorId(1)).unwrap();
        assert_eq!(state(), None);
    }
}
