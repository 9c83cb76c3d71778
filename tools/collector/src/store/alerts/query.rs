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
use crate::store::incidents::{batch, block};

/// The rows that `query` selects.
///
/// Neither time nor kind nor severity has an index: what the consumer has taken is read block by block, without those that have nothing
/// of it (see `incidents::block`), and the rows after its position one by one.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn select(
    connection: &Connection,
    query: &AlertQuery,
) -> Result<Vec<AlertRow>, StoreError> {
    let mut alerts = Vec::new();
    let parts: &[Part] = match query.selection.position {
        _ if !has_blocks(query) => &[Part::All],
        AlertPosition::After(_) => &[Part::Blocks, Part::Tail],
        AlertPosition::Newest | AlertPosition::Before(_) => &[Part::Tail, Part::Blocks],
    };
    let position = batch::position(connection)?;
    let limit = usize::try_from(query.selection.limit).unwrap_or(usize::MAX);
    for part in parts {
        let (sql, values) = statement(query, *part, position);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while alerts.len() < limit
            && let Some(row) = rows.next()?
        {
            alerts.push(from_row(row)?);
        }
    }
    Ok(alerts)
}

/// Rows that one statement reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    All,
    /// Up to the position of the consumer, in blocks that may have something of it.
    Blocks,
    /// After the position of the consumer.
    Tail,
}

fn has_blocks(query: &AlertQuery) -> bool {
    let selection = &query.selection;
    // The alerts of one sensor have an index.
    query.sensor.is_none()
        && (selection.since.is_some()
            || selection.until.is_some()
            || !selection.kinds.is_empty()
            || !selection.severities.is_empty())
}

pub(in crate::store) fn from_row(row: &Row<'_>) -> Result<AlertRow, StoreError> {
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

fn statement(query: &AlertQuery, part: Part, consumed: i64) -> (String, Vec<Value>) {
    let selection = &query.selection;
    let order = match selection.position {
        AlertPosition::Newest | AlertPosition::Before(_) => "DESC",
        AlertPosition::After(_) => "ASC",
    };
    let (tables, block_order) = match part {
        Part::All | Part::Tail => ("alerts JOIN sensors ON sensors.id = alerts.sensor", String::new()),
        Part::Blocks => (
            "alert_blocks b CROSS JOIN alerts ON alerts.id BETWEEN b.block << 12 AND (b.block << 12) + 4095
             CROSS JOIN sensors ON sensors.id = alerts.sensor",
            format!("b.block {order}, "),
        ),
    };
    let mut sql = format!(
        "SELECT alerts.id, sensors.name, boot, seq, time_us, received_at_us, alerts.severity, wire FROM {tables} WHERE TRUE"
    );
    let mut values = Vec::new();
    for (condition, value) in conditions(query, part, consumed).into_iter().flatten() {
        sql.push_str(condition);
        values.push(Value::Integer(value));
    }
    among_sensors(&mut sql, "alerts.sensor", query.among.as_deref());
    let kinds = || selection.kinds.iter().map(|kind| column::kind(*kind));
    let severities = || selection.severities.iter().map(|severity| column::severity(*severity));
    any_of(&mut sql, "kind", kinds());
    any_of(&mut sql, "alerts.severity", severities());
    if part == Part::Blocks {
        any_bit(&mut sql, "b.kinds", kinds());
        any_bit(&mut sql, "b.severities", severities());
    }
    let _ = write!(sql, " ORDER BY {block_order}alerts.id {order} LIMIT {}", selection.limit); // a String takes everything
    (sql, values)
}

/// Adds the condition that `column` is one of these sensors; no sensor is, if the list is empty.
pub(in crate::store) fn among_sensors(sql: &mut String, column: &str, sensors: Option<&[SensorId]>) {
    let Some(sensors) = sensors else { return };
    let list: Vec<String> = sensors.iter().map(|SensorId(id)| id.to_string()).collect();
    let _ = write!(sql, " AND {column} IN ({})", list.join(",")); // a String takes everything
}

/// Conditions with a value each.
fn conditions(query: &AlertQuery, part: Part, consumed: i64) -> [Option<(&'static str, i64)>; 8] {
    let AlertQuery { sensor, selection, .. } = query;
    let (since, until) = (selection.since.map(to_micros), selection.until.map(to_micros));
    // Row numbers rise in the order of arrival and are never used again, so a page that begins at one neither repeats nor
    // skips an alert that is stored between two requests. `OFFSET` would.
    let position = match selection.position {
        AlertPosition::Newest => None,
        AlertPosition::Before(id) => Some((" AND alerts.id < ?", id)),
        AlertPosition::After(id) => Some((" AND alerts.id > ?", id)),
    };
    let in_part = match part {
        Part::All => None,
        Part::Tail => Some((" AND alerts.id > ?", consumed)),
        Part::Blocks => Some((" AND alerts.id <= ?", consumed)),
    };
    let (block_since, block_until) =
        (since.filter(|_| part == Part::Blocks), until.filter(|_| part == Part::Blocks));
    [
        sensor.map(|SensorId(id)| (" AND alerts.sensor = ?", id)),
        since.map(|since| (" AND time_us >= ?", since)),
        until.map(|until| (" AND time_us < ?", until)),
        position,
        in_part,
        block_since.map(|since| (" AND b.last_us >= ?", since)),
        block_until.map(|until| (" AND b.first_us < ?", until)),
        block_bound(part, selection.position),
    ]
}

/// Blocks before the first one of the page.
fn block_bound(part: Part, position: AlertPosition) -> Option<(&'static str, i64)> {
    match position {
        _ if part != Part::Blocks => None,
        AlertPosition::Newest => None,
        AlertPosition::Before(id) => Some((" AND b.block <= ?", block::block_of(id))),
        AlertPosition::After(id) => Some((" AND b.block >= ?", block::block_of(id))),
    }
}

/// Adds the condition that the mask `column` has the bit of one of `numbers`, unless there are none.
fn any_bit(sql: &mut String, column: &str, numbers: impl ExactSizeIterator<Item = i64>) {
    if numbers.len() > 0 {
        let mask = numbers.map(block::bit).fold(0, |mask, bit| mask | bit);
        let _ = write!(sql, " AND {column} & {mask} <> 0");
    }
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
