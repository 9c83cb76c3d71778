//! Search of incidents: a page in the time that there is, and how far it got.
//!
//! Incidents are read in windows of row numbers, newest first. Row numbers rise with the arrival of the first message and never change,
//! so a page that begins below one neither repeats nor skips an incident while others arrive. A window that finds nothing makes the
//! next one larger; one whose packet times are all outside of the range is not read, see [`super::block`].

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params, params_from_iter};
use sentinel_alert::Severity;
use sentinel_units::{Prefix, Timestamp};

use super::batch::position;
use super::block::{block_of, first_row};
use super::column::{self, DESTINATION, SOURCE};
use super::row::{COLUMNS, from_row};
use crate::clock::{from_micros, to_micros};
use crate::model::{Incident, IncidentPage, IncidentSelection, IncidentState, IncidentWord, SensorId};
use crate::store::StoreError;
use crate::store::alerts::column::count;
use crate::store::alerts::query::among_sensors;

/// Rows of addresses from which on a network is not sparse.
const MAX_SPARSE: i64 = 4_096;
/// Blocks of the largest window.
const MAX_WINDOW: i64 = 64;

/// Open incidents that claim an attack (severity medium or above), by sensor; those that a user has resolved or called a false alarm
/// do not count.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn open_attacks(connection: &Connection) -> Result<Vec<(SensorId, u64)>, StoreError> {
    let sql = "SELECT sensor, count(*) FROM incidents INDEXED BY incidents_open
               WHERE phase = 0 AND severity >= ?1 AND state NOT IN (?2, ?3) GROUP BY sensor";
    let dealt_with = [IncidentState::Resolved, IncidentState::FalseAlarm].map(column::state);
    let values = params![column::severity(Severity::Medium), dealt_with[0], dealt_with[1]];
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| Ok((SensorId(row.get(0)?), count(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Searches until the page is full, nothing is left, or the connection is interrupted, which is no error here: the page says how far
/// it got.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn select(
    connection: &Connection,
    selection: &IncidentSelection,
) -> Result<IncidentPage, StoreError> {
    let mut search = Search {
        connection,
        selection,
        page: start(connection)?,
        networks: networks(connection, selection)?,
        below: selection.before.unwrap_or(i64::MAX),
    };
    match search.run() {
        Ok(()) => {}
        Err(StoreError::Sqlite(error))
            if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
        {
            search.page.is_partial = true;
            search.page.next = Some(search.below);
        }
        Err(error) => return Err(error),
    }
    Ok(search.page)
}

/// Alerts that are stored and not yet part of an incident, and the arrival of the oldest incident: before the search, so that what is
/// taken meanwhile counts as not searched.
fn start(connection: &Connection) -> Result<IncidentPage, StoreError> {
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(id), 0) FROM alerts", [], |row| row.get(0))?;
    let behind = count(newest.saturating_sub(position(connection)?));
    Ok(IncidentPage { behind, reached: opened_at(connection, i64::MIN)?, ..IncidentPage::default() })
}

/// Arrival of the first message of the oldest incident from row number `id` on.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn opened_at(connection: &Connection, id: i64) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT opened_at_us FROM incidents WHERE id >= ? ORDER BY id LIMIT 1";
    let opened = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    Ok(opened.map(from_micros))
}

struct Search<'s> {
    connection: &'s Connection,
    selection: &'s IncidentSelection,
    page: IncidentPage,
    networks: Vec<Network>,
    /// Everything from this row number on was searched.
    below: i64,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), StoreError> {
        let selection = self.selection;
        let sql = "SELECT block FROM incident_blocks WHERE block <= ?1 AND last_us >= ?2 AND first_us < ?3 ORDER BY block DESC";
        let mut blocks = self.connection.prepare_cached(sql)?;
        let since = selection.since.map_or(i64::MIN, to_micros);
        let until = selection.until.map_or(i64::MAX, to_micros);
        let mut rows = blocks.query([block_of(self.below.saturating_sub(1)), since, until])?;
        // A window of neighbouring blocks: from the first row of `low` to the last one of `high`.
        let (mut size, mut window): (i64, Option<(i64, i64)>) = (1, None);
        while let Some(row) = rows.next()? {
            let block: i64 = row.get(0)?;
            window = match window {
                Some((low, high)) if block == low - 1 && high - block < size => Some((block, high)),
                Some(full) => {
                    if self.window(full)? {
                        return Ok(());
                    }
                    size = (size * 2).min(MAX_WINDOW);
                    Some((block, block))
                }
                None => Some((block, block)),
            };
        }
        if let Some(last) = window {
            self.window(last)?;
        }
        Ok(())
    }

    /// Reads a window of blocks. Returns true if the page is full.
    fn window(&mut self, (low, high): (i64, i64)) -> Result<bool, StoreError> {
        let (first, last) = (first_row(low), (first_row(high + 1) - 1).min(self.below.saturating_sub(1)));
        let (sql, values) = statement(self.selection, &self.networks, (first, last));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let incident = from_row(row)?;
            let id = incident.id;
            if !has_words(self.selection, &incident) {
                self.below = id;
                continue;
            }
            if self.page.incidents.len() >= usize::try_from(self.selection.limit).unwrap_or(usize::MAX) {
                // One more than the page holds: there is a next one, from here on.
                self.page.next = Some(id + 1);
                self.page.reached = self.page.incidents.last().map(|last| last.opened_at);
                return Ok(true);
            }
            self.below = id;
            self.page.incidents.push(incident);
        }
        self.below = first;
        Ok(false)
    }
}

fn statement(
    selection: &IncidentSelection,
    networks: &[Network],
    (first, last): (i64, i64),
) -> (String, Vec<Value>) {
    let mut sql = format!(
        "SELECT {COLUMNS} FROM incidents i CROSS JOIN sensors s ON s.id = i.sensor WHERE i.id BETWEEN ?1 AND ?2"
    );
    let mut values = vec![Value::Integer(first), Value::Integer(last)];
    let conditions = [
        selection.sensor.map(|sensor| (" AND i.sensor = ?", sensor.0)),
        selection.since.map(|since| (" AND i.last_us >= ?", to_micros(since))),
        selection.until.map(|until| (" AND i.first_us < ?", to_micros(until))),
    ];
    for (condition, value) in conditions.into_iter().flatten() {
        values.push(Value::Integer(value));
        let _ = write!(sql, "{condition}{}", values.len()); // a String takes everything
    }
    among_sensors(&mut sql, "i.sensor", selection.among.as_deref());
    any_of(&mut sql, "i.kind", selection.kinds.iter().map(|kind| column::kind(*kind)));
    any_of(&mut sql, "i.severity", selection.severities.iter().map(|of| column::severity(*of)));
    any_of(&mut sql, "i.phase", selection.phases.iter().map(|of| column::phase(*of)));
    any_of(&mut sql, "i.state", selection.states.iter().map(|of| column::state(*of)));
    // Lets the index of those that somebody has dealt with be used.
    if !selection.states.is_empty() && selection.states.iter().all(|state| column::state(*state) > 0) {
        sql.push_str(" AND i.state > 0");
    }
    for network in networks {
        network.add(&mut sql, &mut values);
    }
    sql.push_str(" ORDER BY i.id DESC");
    (sql, values)
}

/// Roles that count for a word that is an address.
const ANY_ROLE: [i64; 2] = [SOURCE, DESTINATION];

/// A network that an address of the incident has to be in.
struct Network {
    lowest: [u8; 16],
    highest: [u8; 16],
    roles: &'static [i64],
    /// It has few addresses: they are looked up by address, else by incident.
    is_sparse: bool,
}

fn networks(connection: &Connection, selection: &IncidentSelection) -> Result<Vec<Network>, StoreError> {
    let words = selection.words.iter().filter_map(|word| match word {
        IncidentWord::Network(network) => Some((*network, ANY_ROLE.as_slice())),
        IncidentWord::Text(_) => None,
    });
    let source = selection.source.map(|network| (network, [SOURCE].as_slice()));
    let destination = selection.destination.map(|network| (network, [DESTINATION].as_slice()));
    let named = source.into_iter().chain(destination).chain(words);
    named.map(|(network, roles)| Network::new(connection, network, roles)).collect()
}

impl Network {
    fn new(connection: &Connection, network: Prefix, roles: &'static [i64]) -> Result<Self, StoreError> {
        let (lowest, highest) = network.range();
        let mut network = Self {
            lowest: column::address(lowest),
            highest: column::address(highest),
            roles,
            // One address: its incidents of a window are a range of the index.
            is_sparse: lowest == highest,
        };
        if !network.is_sparse {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM incident_addresses
                       WHERE role = ?1 AND address BETWEEN ?2 AND ?3 LIMIT ?4)";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = 0;
            for role in roles {
                let values = params![role, network.lowest, network.highest, MAX_SPARSE];
                rows += statement.query_row(values, |row| row.get::<_, i64>(0))?;
            }
            network.is_sparse = rows < MAX_SPARSE;
        }
        Ok(network)
    }

    fn add(&self, sql: &mut String, values: &mut Vec<Value>) {
        let low = values.len() + 1;
        let (roles, range) = if self.lowest == self.highest {
            values.push(Value::Blob(self.lowest.to_vec()));
            (self.roles, format!("address = ?{low}"))
        } else {
            values.push(Value::Blob(self.lowest.to_vec()));
            values.push(Value::Blob(self.highest.to_vec()));
            (self.roles, format!("address BETWEEN ?{low} AND ?{}", low + 1))
        };
        if self.is_sparse {
            let selects = roles.iter().map(|role| {
                format!(
                    "SELECT incident FROM incident_addresses INDEXED BY incident_addresses_by_address
                     WHERE role = {role} AND {range} AND incident BETWEEN ?1 AND ?2"
                )
            });
            let _ = write!(sql, " AND i.id IN ({})", selects.collect::<Vec<_>>().join(" UNION ALL "));
        } else {
            let exists = roles.iter().map(|role| {
                format!(
                    "EXISTS (SELECT 1 FROM incident_addresses WHERE incident = i.id AND role = {role} AND {range})"
                )
            });
            let _ = write!(sql, " AND ({})", exists.collect::<Vec<_>>().join(" OR "));
        }
    }
}

/// Adds the condition that `column` is one of `numbers`, unless there are none. They stand in the statement itself: they are tags of
/// ours, never text of a caller.
fn any_of(sql: &mut String, column: &str, numbers: impl ExactSizeIterator<Item = i64>) {
    if numbers.len() == 0 {
        return;
    }
    let list: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let _ = write!(sql, " AND {column} IN ({})", list.join(","));
}

/// Returns true if each word that is no address occurs in the texts of the incident.
fn has_words(selection: &IncidentSelection, incident: &Incident) -> bool {
    let mut texts = selection.words.iter().filter_map(|word| match word {
        IncidentWord::Text(text) => Some(text.as_str()),
        IncidentWord::Network(_) => None,
    });
    let Some(first) = texts.next() else { return true };
    let text = text_of(incident);
    text.contains(first) && texts.all(|word| text.contains(word))
}

/// Text that a search for words looks at, in lower case.
fn text_of(incident: &Incident) -> String {
    let mut text = format!("{} {} {}", incident.sensor, incident.state.name(), incident.phase.name());
    if let Some(kind) = incident.kind {
        let _ = write!(text, " {} {} {}", kind.name(), kind.title(), kind.technique());
    }
    if let Some(severity) = incident.severity {
        let _ = write!(text, " {}", severity.name());
    }
    if let Some(alert) = &incident.latest {
        let subject = &alert.subject;
        let _ = write!(text, " {} {}", alert.summary(), alert.test.name());
        for address in [subject.source, subject.destination].into_iter().flatten() {
            let _ = write!(text, " {address}");
        }
        if let Some(mac) = subject.mac {
            let _ = write!(text, " {mac}");
        }
        if let Some(host) = &subject.host {
            let _ = write!(text, " {host}");
        }
    }
    text.make_ascii_lowercase();
    text
}

/// The plan of the statement for a window, as text.
#[cfg(test)]
pub(super) fn plan(connection: &Connection, selection: &IncidentSelection) -> String {
    let (sql, values) = statement(selection, &networks(connection, selection).unwrap(), (0, 4_095));
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}
