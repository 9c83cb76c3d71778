//! Groups of sensors, such as sites.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::model::{SensorId, SensorSet};
use crate::store::StoreError;

/// Sensors of each group.
///
/// # Errors
/// Errors of the database.
pub(crate) fn members(connection: &Connection) -> Result<BTreeMap<String, SensorSet>, StoreError> {
    let sql = "SELECT sensor_groups.name, sensors.id, sensors.name
               FROM sensor_groups JOIN sensors ON sensors.id = sensor_groups.sensor";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut groups: BTreeMap<String, SensorSet> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let set = groups.entry(row.get(0)?).or_default();
        set.ids.insert(row.get(1)?);
        set.names.insert(row.get(2)?);
    }
    Ok(groups)
}

/// Puts a sensor into these groups and no other.
///
/// # Errors
/// Errors of the database.
pub(crate) fn set(
    connection: &Connection,
    sensor: SensorId,
    groups: &BTreeSet<String>,
) -> Result<(), StoreError> {
    connection.execute("DELETE FROM sensor_groups WHERE sensor = ?", [sensor.0])?;
    for group in groups {
        let sql = "INSERT INTO sensor_groups (sensor, name) VALUES (?, ?)";
        connection.execute(sql, params![sensor.0, group])?;
    }
    Ok(())
}
