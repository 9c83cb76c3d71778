//! Paged and filtered reads of alerts.

use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params_from_iter};
use sentinel_alert::{AlertId, wire};
use sentinel_units::Timestamp;

use super::column;
use crate::clock::{from_micros, to_micros};
use crate::model::{
    AlertPosition, AlertQuery, AlertRow, AlertSearch, SensorId, StoredAlert, UndecodableAlert,
};
use crate::store::StoreError;
use crate::store::incidents::{batch, block};

/// The rows that `query` selects, in the time that there is: in windows of row numbers, each larger than the one before, so that an
/// interrupted search knows how far it got.
///
/// # Errors
/// Errors of the database; an interruption only if not even the first window was read.
pub(in crate::store) fn search(
    connection: &Connection,
    query: &AlertQuery,
) -> Result<AlertSearch, StoreError> {
    let bounds = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM alerts";
    let (oldest, newest) =
        connection.prepare_cached(bounds)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let limit = usize::try_from(query.selection.limit).unwrap_or(usize::MAX);
    let mut found = AlertSearch::default();
    let mut windows = Windows::new(query.selection.position, (oldest, newest));
    while let Some(window) = windows.next() {
        match select_within(connection, query, Some(window)) {
            Ok(rows) => found.alerts.extend(rows),
            Err(StoreError::Sqlite(error))
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
                    && windows.passed.is_some() =>
            {
                found.partial = windows.passed;
                return Ok(found);
            }
            Err(error) => return Err(error),
        }
        if found.alerts.len() >= limit {
            found.alerts.truncate(limit);
            return Ok(found);
        }
        windows.passed = Some(if windows.is_ascending { window.1 } else { window.0 });
    }
    Ok(found)
}

/// Windows of row numbers in the direction of a page: the first has one block, each further one twice as many, up to [`MAX_WINDOW`].
struct Windows {
    is_ascending: bool,
    /// Rows that are left, both ends included.
    left: (i64, i64),
    blocks: i64,
    /// Last row of the windows that were read.
    passed: Option<i64>,
}

impl Windows {
    fn new(position: AlertPosition, (oldest, newest): (i64, i64)) -> Self {
        let (is_ascending, left) = match position {
            AlertPosition::Newest => (false, (oldest, newest)),
            AlertPosition::Before(id) => (false, (oldest, newest.min(id.saturating_sub(1)))),
            AlertPosition::After(id) => (true, (oldest.max(id.saturating_add(1)), newest)),
        };
        Self { is_ascending, left, blocks: 1, passed: None }
    }

    fn next(&mut self) -> Option<(i64, i64)> {
        let (low, high) = self.left;
        if low > high {
            return None;
        }
        let more = self.blocks - 1;
        self.blocks = (self.blocks * 2).min(MAX_WINDOW);
        // Ends are those of blocks: a block is not looked at twice.
        if self.is_ascending {
            let end = (block::first_row(block::block_of(low) + more + 1) - 1).min(high);
            self.left.0 = end + 1;
            Some((low, end))
        } else {
            let start = block::first_row(block::block_of(high) - more).max(low);
            self.left.1 = start - 1;
            Some((start, high))
        }
    }
}

/// Blocks of the largest window: some hundred milliseconds, if all of it has to be read.
const MAX_WINDOW: i64 = 64;

/// The rows that `query` selects.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn select(
    connection: &Connection,
    query: &AlertQuery,
) -> Result<Vec<AlertRow>, StoreError> {
    select_within(connection, query, None)
}

/// The rows of a window that `query` selects.
///
/// Neither time nor kind nor severity has an index: what the consumer has taken is read block by block, without those that have nothing
/// of it (see `incidents::block`), and the rows after its position one by one.
///
/// # Errors
/// Errors of the database.
fn select_within(
    connection: &Connection,
    query: &AlertQuery,
    window: Option<(i64, i64)>,
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
        let (sql, values) = statement(query, *part, position, window);
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

/// Arrival of the first alert from row number `id` on.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn received_at(
    connection: &Connection,
    id: i64,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT received_at_us FROM alerts WHERE id >= ? ORDER BY id LIMIT 1";
    let received = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    Ok(received.map(from_micros))
}

fn statement(
    query: &AlertQuery,
    part: Part,
    consumed: i64,
    window: Option<(i64, i64)>,
) -> (String, Vec<Value>) {
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
    if let Some((low, high)) = window {
        sql.push_str(" AND alerts.id BETWEEN ? AND ?");
        values.extend([Value::Integer(low), Value::Integer(high)]);
        if part == Part::Blocks {
            sql.push_str(" AND b.block BETWEEN ? AND ?");
            values.extend([block::block_of(low), block::block_of(high)].map(Value::Integer));
        }
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

    /// Ids that [`search`] finds page by page, interrupted after so many looks at the clock; and the number of pages.
    fn interrupted(connection: &mut Connection, query: &AlertQuery, mut looks: u32) -> (Vec<i64>, usize) {
        let (mut all, mut pages, mut query) = (Vec::new(), 0, query.clone());
        loop {
            let mut left = looks;
            let look = move || {
                left = left.saturating_sub(1);
                left == 0
            };
            connection.progress_handler(100, Some(look)).unwrap();
            let found = search(connection, &query);
            connection.progress_handler(100, None::<fn() -> bool>).unwrap();
            let Ok(AlertSearch { alerts, partial }) = found else {
                looks *= 2; // not even the first window
                continue;
            };
            pages += 1;
            all.extend(alerts.iter().map(AlertRow::id));
            let Some(reached) = partial else { return (all, pages) };
            query.selection.position = match query.selection.position {
                AlertPosition::After(_) => AlertPosition::After(reached),
                AlertPosition::Newest | AlertPosition::Before(_) => AlertPosition::Before(reached),
            };
        }
    }

    #[test]
    fn an_interrupted_search_goes_on_where_it_stopped_without_holes_or_repeats() {
        const COUNT: u64 = 20_000;
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        for first in (1..COUNT).step_by(5_000) {
            commit(&mut connection, &delivery(first..=first + 4_999)).unwrap();
        }
        let ids: Vec<i64> = (1..=i64::try_from(COUNT).unwrap()).collect();
        for (position, expected) in
            [(AlertPosition::After(0), ids.clone()), (AlertPosition::Newest, ids.into_iter().rev().collect())]
        {
            let since = Some(Timestamp::ZERO);
            let selection = AlertSelection { position, since, limit: 100_000, ..AlertSelection::default() };
            let (found, pages) = interrupted(&mut connection, &selection.into(), 500);
            assert!(pages > 1, "{pages}");
            assert!(found == expected, "{} of {}", found.len(), expected.len());
        }
    }
}
