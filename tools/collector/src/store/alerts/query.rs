//! Paged and filtered reads of alerts.

use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use sentinel_alert::{AlertId, wire};
use sentinel_units::Timestamp;

use super::column;
use crate::clock::{from_micros, to_micros};
use crate::model::{AlertPosition, AlertQuery, AlertRow, SensorId, StoredAlert, UndecodableAlert};
use crate::store::StoreError;

/// The rows that `query` selects.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn select(
    connection: &Connection,
    query: &AlertQuery,
) -> Result<Vec<AlertRow>, StoreError> {
    let (sql, values) = statement(query);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(from_row(row)?);
    }
    Ok(alerts)
}

fn from_row(row: &Row<'_>) -> Result<AlertRow, StoreError> {
    let (id, received_at) = (row.get("id")?, from_micros(row.get("received_at_us")?));
    let sensor: Arc<str> = row.get::<_, String>("name")?.into();
    let alert_id = AlertId { boot: row.get("boot")?, seq: row.get("seq")? };
    let bytes = row.get_ref("wire")?.as_blob().unwrap_or_default();
    // Stored relative to the epoch, see `insert_alert`.
    Ok(match wire::decode(bytes, Timestamp::ZERO) {
        Ok((alert, _)) => AlertRow::Alert(Arc::new(StoredAlert { id, sensor, alert_id, received_at, alert })),
        Err(_) => AlertRow::Undecodable(Arc::new(UndecodableAlert {
            id,
            sensor,
            alert_id,
            received_at,
            time: from_micros(row.get("time_us")?),
            severity: column::known_severity(row.get("severity")?),
            len: bytes.len(),
        })),
    })
}

/// Row number of the newest alert; 0 if there is none.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn newest_id(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM alerts", [], |row| row.get(0))?)
}

fn statement(query: &AlertQuery) -> (String, Vec<Value>) {
    let AlertQuery { sensor, among, selection } = query;
    // Row numbers rise in the order of arrival and are never used again, so a page that begins at one neither repeats nor
    // skips an alert that is stored between two requests. `OFFSET` would.
    let (order, position) = match selection.position {
        AlertPosition::Newest => ("DESC", None),
        AlertPosition::Before(id) => ("DESC", Some((" AND alerts.id < ?", id))),
        AlertPosition::After(id) => ("ASC", Some((" AND alerts.id > ?", id))),
    };
    let conditions = [
        sensor.map(|SensorId(id)| (" AND alerts.sensor = ?", id)),
        selection.since.map(|since| (" AND time_us >= ?", to_micros(since))),
        selection.until.map(|until| (" AND time_us < ?", to_micros(until))),
        position,
    ];
    let mut sql = String::from(
        "SELECT alerts.id, sensors.name, boot, seq, time_us, received_at_us, severity, wire
         FROM alerts JOIN sensors ON sensors.id = alerts.sensor WHERE TRUE",
    );
    let mut values = Vec::new();
    for (condition, value) in conditions.into_iter().flatten() {
        sql.push_str(condition);
        values.push(Value::Integer(value));
    }
    among_sensors(&mut sql, among.as_deref());
    any_of(&mut sql, "kind", selection.kinds.iter().map(|kind| column::kind(*kind)));
    any_of(&mut sql, "severity", selection.severities.iter().map(|severity| column::severity(*severity)));
    let _ = write!(sql, " ORDER BY alerts.id {order} LIMIT {}", selection.limit); // a String takes everything
    (sql, values)
}

/// Adds the condition that the sensor is one of these; no sensor is, if the list is empty.
pub(super) fn among_sensors(sql: &mut String, sensors: Option<&[SensorId]>) {
    let Some(sensors) = sensors else { return };
    let list: Vec<String> = sensors.iter().map(|SensorId(id)| id.to_string()).collect();
    let _ = write!(sql, " AND alerts.sensor IN ({})", list.join(",")); // a String takes everything
}

/// Adds the condition that `column` is one of `numbers`, unless there are none. They stand in the statement
/// itself: they are tags of ours, never text of a caller.
fn any_of(sql: &mut String, column: &str, numbers: impl ExactSizeIterator<Item = i64>) {
    if numbers.len() == 0 {
        return;
    }
    let list: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let _ = write!(sql, " AND {column} IN ({})", list.join(","));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AlertSelection;
    use crate::store::schema;
    use crate::store::testing::{alert, commit, delivery, key, open};

    #[test]
    fn a_stored_alert_is_read_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        commit(&mut open(&path), &delivery(1..=3)).unwrap();
        let connection = schema::open_reader(&path, &key()).unwrap();
        let selection = AlertSelection { limit: 10, ..AlertSelection::default() };
        let rows = select(&connection, &selection.into()).unwrap();
        assert_eq!(rows.len(), 3);
        let AlertRow::Alert(first) = &rows[0] else { panic!("{rows:?}") };
        assert_eq!(first.alert, alert(3));
        assert_eq!((first.alert_id, &*first.sensor), (AlertId { boot: 3, seq: 3 }, "a"));
        assert_eq!(first.received_at, Timestamp::from_parts(99, 0));
    }

    #[test]
    fn a_row_that_cannot_be_decoded_keeps_its_place() {
        // A page was cut to the rows that could be decoded, and looked like the last one.
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=5)).unwrap();
        connection.execute("UPDATE alerts SET wire = x'ff00ff', severity = 99 WHERE seq = 4", []).unwrap();
        let selection = AlertSelection { limit: 3, ..AlertSelection::default() };
        let rows = select(&connection, &selection.into()).unwrap();
        assert_eq!(rows.iter().map(AlertRow::id).collect::<Vec<_>>(), [5, 4, 3]);
        let AlertRow::Undecodable(row) = &rows[1] else { panic!("{rows:?}") };
        assert_eq!((row.len, row.alert_id.seq, row.severity), (3, 4, None));
        assert_eq!(row.time, Timestamp::from_parts(4, 0));
    }

    #[test]
    fn a_position_gives_start_and_direction() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=5)).unwrap();
        for (position, ids) in [
            (AlertPosition::Newest, [5, 4]),
            (AlertPosition::Before(4), [3, 2]),
            (AlertPosition::After(2), [3, 4]),
        ] {
            let selection = AlertSelection { position, limit: 2, ..AlertSelection::default() };
            let rows = select(&connection, &selection.into()).unwrap();
            assert_eq!(rows.iter().map(AlertRow::id).collect::<Vec<_>>(), ids, "{position:?}");
        }
        assert_eq!(newest_id(&connection).unwrap(), 5);
    }
}
