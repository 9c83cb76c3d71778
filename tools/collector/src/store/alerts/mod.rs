//! Alerts in, alerts out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use sentinel_alert::{Alert, AlertId, Kind, Severity, json, wire};
use sentinel_units::Timestamp;
use sentinel_uplink::Gap;

use crate::clock::{from_micros, to_micros};
use crate::store::{SensorId, StoreError};

/// What one sensor sent and wants acknowledged.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who sent it.
    pub sensor: SensorId,
    /// The alerts.
    pub alerts: Vec<(AlertId, Alert)>,
    /// Alerts of kinds that this version does not know.
    pub unreadable: Vec<UnreadableAlert>,
    /// What the sensor says it threw away.
    pub gaps: Vec<Gap>,
    /// What to acknowledge once all of this is kept: the end of the last message.
    pub last: AlertId,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// An alert that a later version can read.
#[derive(Clone, Debug)]
pub struct UnreadableAlert {
    /// Which one.
    pub id: AlertId,
    /// What its times are relative to.
    pub base: Timestamp,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What became of a [`Delivery`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Receipt {
    /// Row numbers of the alerts that were new, with their place in the delivery.
    pub inserted: Vec<(i64, usize)>,
    /// Alerts that were stored before.
    pub duplicates: u64,
    /// Alerts that a gap record named for the first time.
    pub lost: u64,
}

/// The part of a delivery that belongs to one run of the sensor.
#[derive(Default)]
struct BootCounts {
    highest: u64,
    stored: u64,
    lost: u64,
}

/// Stores what is new and moves the position. Call inside a transaction: the position that will be
/// acknowledged and the alerts it covers are kept together or not at all.
///
/// # Errors
/// What the database says; the transaction must be rolled back.
pub fn store(connection: &Connection, delivery: &Delivery) -> Result<Receipt, StoreError> {
    let mut receipt = Receipt::default();
    let mut runs: BTreeMap<u32, BootCounts> = BTreeMap::new();
    let mut delta = TotalsDelta::default();
    for (place, (id, alert)) in delivery.alerts.iter().enumerate() {
        let run = runs.entry(id.boot).or_default();
        run.highest = run.highest.max(id.seq);
        match insert(connection, delivery, *id, alert)? {
            Some(row) => {
                receipt.inserted.push((row, place));
                run.stored += 1;
                delta.count(alert);
            }
            None => receipt.duplicates += 1,
        }
    }
    for unreadable in &delivery.unreadable {
        let run = runs.entry(unreadable.id.boot).or_default();
        run.highest = run.highest.max(unreadable.id.seq);
        if insert_unreadable(connection, delivery, unreadable)? {
            run.stored += 1;
        } else {
            receipt.duplicates += 1;
        }
    }
    for gap in &delivery.gaps {
        let run = runs.entry(gap.boot).or_default();
        run.highest = run.highest.max(gap.last_seq);
        if insert_gap(connection, delivery, gap)? {
            let lost = lost_in_gap(connection, delivery, gap)?;
            run.lost = run.lost.saturating_add(lost);
            receipt.lost = receipt.lost.saturating_add(lost);
        }
    }
    delta.add(connection)?;
    update_counters(connection, delivery, &receipt, &runs)?;
    Ok(receipt)
}

fn update_counters(
    connection: &Connection,
    delivery: &Delivery,
    receipt: &Receipt,
    runs: &BTreeMap<u32, BootCounts>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO runs (sensor, boot, highest, stored, lost) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (sensor, boot) DO UPDATE SET highest = max(highest, excluded.highest),
               stored = stored + excluded.stored, lost = lost + excluded.lost";
    let mut statement = connection.prepare_cached(sql)?;
    let mut stored = 0_u64;
    for (boot, run) in runs {
        let (highest, fresh, lost) = (to_row(run.highest), to_row(run.stored), to_row(run.lost));
        statement.execute(params![delivery.sensor.0, boot, highest, fresh, lost])?;
        stored = stored.saturating_add(run.stored);
    }
    let sql = "UPDATE sensors SET stored = stored + ?, duplicates = duplicates + ?, lost = lost + ?,
               acked_boot = ?, acked_seq = ?, last_seen_at_us = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![
        to_row(stored),
        to_row(receipt.duplicates),
        to_row(receipt.lost),
        delivery.last.boot,
        to_row(delivery.last.seq),
        to_micros(delivery.received_at),
        delivery.sensor.0
    ])?;
    Ok(())
}

/// How many alerts of a gap can be lost: a sensor also counts those that were on their way when the connection broke, and
/// some of these have come. What it sends before a gap is stored before it.
fn lost_in_gap(connection: &Connection, delivery: &Delivery, gap: &Gap) -> Result<u64, StoreError> {
    let mut open = gap.last_seq.saturating_sub(gap.first_seq).saturating_add(1);
    for table in ["alerts", "unreadable"] {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE sensor = ? AND boot = ? AND seq BETWEEN ? AND ?");
        let range = params![delivery.sensor.0, gap.boot, to_row(gap.first_seq), to_row(gap.last_seq)];
        let came: i64 = connection.prepare_cached(&sql)?.query_row(range, |row| row.get(0))?;
        open = open.saturating_sub(u64::try_from(came).unwrap_or_default());
    }
    Ok(gap.lost().min(open))
}

fn insert_unreadable(
    connection: &Connection,
    delivery: &Delivery,
    unreadable: &UnreadableAlert,
) -> Result<bool, StoreError> {
    let sql = "INSERT OR IGNORE INTO unreadable (sensor, boot, seq, base_us, received_at_us, wire)
               VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![
        delivery.sensor.0,
        unreadable.id.boot,
        to_row(unreadable.id.seq),
        to_micros(unreadable.base),
        to_micros(delivery.received_at),
        unreadable.bytes
    ];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

fn insert_gap(connection: &Connection, delivery: &Delivery, gap: &Gap) -> Result<bool, StoreError> {
    let sql =
        "INSERT OR IGNORE INTO gaps (sensor, boot, first_seq, last_seq, lost_info, lost_low, lost_medium,
               lost_high, lost_critical, reason, received_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let [info, low, medium, high, critical] = gap.lost_by_severity;
    let values = params![
        delivery.sensor.0,
        gap.boot,
        to_row(gap.first_seq),
        to_row(gap.last_seq),
        info,
        low,
        medium,
        high,
        critical,
        u32::from(gap.reason),
        to_micros(delivery.received_at)
    ];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

/// The row number, or none if the alert is there already.
fn insert(
    connection: &Connection,
    delivery: &Delivery,
    id: AlertId,
    alert: &Alert,
) -> Result<Option<i64>, StoreError> {
    let mut buffer = [0; wire::MAX_ALERT_LEN];
    let bytes = wire::encode(alert, Timestamp::ZERO, &mut buffer)
        .map_err(|error| StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
    let (kind, severity) = (kind_row(alert.test.kind()), severity_row(alert.severity));
    let time_us = to_micros(alert.time);
    let sql = "INSERT OR IGNORE INTO alerts
               (sensor, boot, seq, time_us, received_at_us, kind, severity, wire) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        delivery.sensor.0,
        id.boot,
        to_row(id.seq),
        time_us,
        to_micros(delivery.received_at),
        kind,
        severity,
        &*bytes
    ];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(None);
    }
    Ok(Some(connection.last_insert_rowid()))
}

/// How many new alerts fall into each row of `totals` and of `minutes`: written once for a delivery.
#[derive(Default)]
struct TotalsDelta {
    totals: BTreeMap<(i64, i64), i64>,
    minutes: BTreeMap<(i64, i64), i64>,
}

impl TotalsDelta {
    fn count(&mut self, alert: &Alert) {
        let (kind, severity) = (kind_row(alert.test.kind()), severity_row(alert.severity));
        *self.totals.entry((kind, severity)).or_default() += 1;
        *self.minutes.entry((to_micros(alert.time) / MINUTE_US, severity)).or_default() += 1;
    }

    fn add(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO totals (kind, severity, stored) VALUES (?, ?, ?)
                   ON CONFLICT (kind, severity) DO UPDATE SET stored = stored + excluded.stored";
        let mut statement = connection.prepare_cached(sql)?;
        for ((kind, severity), stored) in &self.totals {
            statement.execute([kind, severity, stored])?;
        }
        let sql = "INSERT INTO minutes (minute, severity, stored) VALUES (?, ?, ?)
                   ON CONFLICT (minute, severity) DO UPDATE SET stored = stored + excluded.stored";
        let mut statement = connection.prepare_cached(sql)?;
        for ((minute, severity), stored) in &self.minutes {
            statement.execute([minute, severity, stored])?;
        }
        Ok(())
    }
}

const MINUTE_US: i64 = 60_000_000;

/// Integers of the database are signed. A sequence number past the middle would take longer than any run.
fn to_row(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Place of the kind in [`Kind::ALL`], which is its tag on the wire.
fn kind_row(kind: Kind) -> i64 {
    let place = Kind::ALL.iter().position(|known| *known == kind);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

fn severity_row(severity: Severity) -> i64 {
    let place = Severity::ALL.iter().position(|known| *known == severity);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

/// One alert as it is kept.
#[derive(Clone, Debug)]
pub struct StoredAlert {
    /// Row number: rises in the order of arrival, never used twice.
    pub id: i64,
    /// Name of the sensor.
    pub sensor: String,
    /// BootCounts and number given by the sensor.
    pub alert_id: AlertId,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The alert itself.
    pub alert: Alert,
}

impl StoredAlert {
    /// The alert's JSON object with `id`, `sensor` and `received` in front.
    #[must_use]
    pub fn json(&self) -> String {
        to_json(self.id, &self.sensor, self.received_at, self.alert_id, &self.alert)
    }
}

/// As [`StoredAlert::json`], for an alert that was not read back.
#[must_use]
pub fn to_json(id: i64, sensor: &str, received_at: Timestamp, alert_id: AlertId, alert: &Alert) -> String {
    let mut body = String::with_capacity(640);
    // Writing into a String cannot fail.
    let _ = write!(body, "{{\"id\":{id},\"sensor\":");
    let _ = json::string(sensor, &mut body);
    let _ = write!(body, ",\"received\":\"{}\",", received_at.rfc3339());
    let mut inner = String::with_capacity(512);
    let _ = json::write(alert, Some(alert_id), &mut inner);
    body.push_str(inner.strip_prefix('{').unwrap_or(&inner));
    body
}

/// Which alerts to read. Filters of one field are alternatives, fields all have to match.
#[derive(Clone, Debug, Default)]
pub struct AlertQuery {
    /// Only of this sensor.
    pub sensor: Option<SensorId>,
    /// Only these kinds; all if empty.
    pub kinds: Vec<Kind>,
    /// Only these severities; all if empty.
    pub severities: Vec<Severity>,
    /// Only with packet time at or after this.
    pub since: Option<Timestamp>,
    /// Only with packet time before this.
    pub until: Option<Timestamp>,
    /// Only rows before this one, newest first (paging).
    pub before: Option<i64>,
    /// Only rows after this one, oldest first (following). Wins over `before`.
    pub after: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

/// Reads alerts, newest first; oldest first if `after` is given.
///
/// Rows whose bytes this version cannot decode are left out.
///
/// # Errors
/// What the database says.
pub fn query(connection: &Connection, query: &AlertQuery) -> Result<Vec<StoredAlert>, StoreError> {
    let mut sql = String::from(
        "SELECT alerts.id, sensors.name, boot, seq, received_at_us, wire
         FROM alerts JOIN sensors ON sensors.id = alerts.sensor WHERE TRUE",
    );
    let mut values: Vec<Value> = Vec::new();
    let mut one = |sql: &mut String, condition: &str, value: i64| {
        sql.push_str(condition);
        values.push(Value::Integer(value));
    };
    if let Some(SensorId(id)) = query.sensor {
        one(&mut sql, " AND alerts.sensor = ?", id);
    }
    if let Some(since) = query.since {
        one(&mut sql, " AND time_us >= ?", to_micros(since));
    }
    if let Some(until) = query.until {
        one(&mut sql, " AND time_us < ?", to_micros(until));
    }
    match (query.after, query.before) {
        (Some(after), _) => one(&mut sql, " AND alerts.id > ?", after),
        (None, Some(before)) => one(&mut sql, " AND alerts.id < ?", before),
        (None, None) => {}
    }
    any_of(&mut sql, "kind", query.kinds.iter().map(|kind| kind_row(*kind)));
    any_of(&mut sql, "severity", query.severities.iter().map(|severity| severity_row(*severity)));
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let _ = write!(sql, " ORDER BY alerts.id {order} LIMIT {}", query.limit);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref("wire")?.as_blob().unwrap_or_default();
        let Ok((alert, _)) = wire::decode(bytes, Timestamp::ZERO) else { continue };
        found.push(StoredAlert {
            id: row.get("id")?,
            sensor: row.get("name")?,
            alert_id: AlertId { boot: row.get("boot")?, seq: row.get("seq")? },
            received_at: from_micros(row.get("received_at_us")?),
            alert,
        });
    }
    Ok(found)
}

/// The numbers are ours, never text of a caller.
fn any_of(sql: &mut String, column: &str, numbers: impl ExactSizeIterator<Item = i64>) {
    if numbers.len() == 0 {
        return;
    }
    let list: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let _ = write!(sql, " AND {column} IN ({})", list.join(","));
}

/// Row number of the newest alert; 0 if there is none.
///
/// # Errors
/// What the database says.
pub fn newest(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM alerts", [], |row| row.get(0))?)
}

/// How many alerts are stored, by kind and severity; only those that occur.
///
/// # Errors
/// What the database says.
pub fn totals(connection: &Connection) -> Result<Vec<(Kind, Severity, u64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT kind, severity, stored FROM totals")?;
    let mut rows = statement.query([])?;
    let mut totals = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, severity): (i64, i64) = (row.get(0)?, row.get(1)?);
        let kind = Kind::ALL.iter().find(|known| kind_row(**known) == kind);
        let severity = Severity::ALL.iter().find(|known| severity_row(**known) == severity);
        if let (Some(kind), Some(severity)) = (kind, severity) {
            totals.push((*kind, *severity, row.get(2)?));
        }
    }
    Ok(totals)
}

/// Alerts of one minute by severity, least first.
pub type Minute = (Timestamp, [u64; Severity::ALL.len()]);

/// Alerts per minute of packet time for the `count` minutes up to and with the one `now` is in,
/// oldest first; minutes without alerts too.
///
/// # Errors
/// What the database says.
pub fn timeline(connection: &Connection, now: Timestamp, count: u16) -> Result<Vec<Minute>, StoreError> {
    let last = to_micros(now) / MINUTE_US;
    let first = last - i64::from(count) + 1;
    let mut minutes: Vec<Minute> =
        (first..=last).map(|minute| (from_micros(minute * MINUTE_US), Default::default())).collect();
    let sql = "SELECT minute - ?1, severity, stored FROM minutes WHERE minute BETWEEN ?1 AND ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        let (place, severity): (usize, usize) = (row.get(0)?, row.get(1)?);
        if let Some(slot) = minutes.get_mut(place).and_then(|(_, counts)| counts.get_mut(severity)) {
            *slot = row.get(2)?;
        }
    }
    Ok(minutes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sentinel_alert::{Evidence, Phase, Subject, Test};
    use sentinel_uplink::GapReason;

    use super::*;
    use crate::store::{DatabaseKey, schema};

    fn key() -> DatabaseKey {
        DatabaseKey::from_text(&"0f".repeat(32))
    }

    /// A database with one sensor.
    fn open(path: &Path) -> Connection {
        let connection = schema::open_writer(path, &key()).unwrap();
        let sql =
            "INSERT OR IGNORE INTO sensors (public_key, name, enrolled_at_us) VALUES (zeroblob(32), 'a', 0)";
        connection.execute(sql, []).unwrap();
        connection
    }

    fn alert(time_s: u64) -> Alert {
        Alert {
            time: Timestamp::from_parts(time_s, 0),
            first: Timestamp::from_parts(time_s, 0),
            test: Test::SynFloodPerSource,
            severity: Severity::High,
            phase: Phase::Open,
            incident: 1,
            suppressed: 0,
            subject: Subject::default(),
            evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
        }
    }

    fn delivery(seqs: std::ops::RangeInclusive<u64>) -> Delivery {
        let last = AlertId { boot: 3, seq: *seqs.end() };
        Delivery {
            sensor: SensorId(1),
            alerts: seqs.map(|seq| (AlertId { boot: 3, seq }, alert(seq))).collect(),
            unreadable: Vec::new(),
            gaps: Vec::new(),
            last,
            received_at: Timestamp::from_parts(99, 0),
        }
    }

    fn commit(connection: &mut Connection, delivery: &Delivery) -> Result<Receipt, StoreError> {
        let transaction = connection.transaction()?;
        let receipt = store(&transaction, delivery)?;
        transaction.commit()?;
        Ok(receipt)
    }

    fn number(connection: &Connection, sql: &str) -> u64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Position, alerts, delta and books agree; returns the position.
    fn consistent(connection: &Connection) -> u64 {
        let position = number(connection, "SELECT coalesce(max(acked_seq), 0) FROM sensors");
        for sql in [
            "SELECT count(*) FROM alerts",
            "SELECT coalesce(max(seq), 0) FROM alerts",
            "SELECT coalesce(sum(stored), 0) FROM totals",
            "SELECT coalesce(sum(stored), 0) FROM minutes",
            "SELECT coalesce(sum(stored), 0) FROM runs",
            "SELECT coalesce(max(highest), 0) FROM runs",
            "SELECT coalesce(sum(stored), 0) FROM sensors",
        ] {
            assert_eq!(number(connection, sql), position, "{sql}");
        }
        position
    }

    #[test]
    fn an_alert_that_comes_again_is_counted_and_not_stored() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let first = commit(&mut connection, &delivery(1..=10)).unwrap();
        assert_eq!((first.inserted.len(), first.duplicates), (10, 0));
        let second = commit(&mut connection, &delivery(6..=12)).unwrap();
        assert_eq!((second.inserted.len(), second.duplicates), (2, 5));
        assert_eq!(second.inserted.iter().map(|(_, place)| *place).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(consistent(&connection), 12);
        // The same number of another run is another alert.
        let mut other = delivery(1..=1);
        other.alerts[0].0.boot = 4;
        assert_eq!(commit(&mut connection, &other).unwrap().inserted.len(), 1);
    }

    #[test]
    fn what_was_stored_is_read_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        commit(&mut open(&path), &delivery(1..=3)).unwrap();
        let connection = schema::open_reader(&path, &key()).unwrap();
        let rows = query(&connection, &AlertQuery { limit: 10, ..AlertQuery::default() }).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].alert, alert(3));
        assert_eq!((rows[0].alert_id, rows[0].sensor.as_str()), (AlertId { boot: 3, seq: 3 }, "a"));
        assert!(rows[0].json().starts_with("{\"id\":3,\"sensor\":\"a\",\"received\":\"1970-01-01T00:01:39.000000Z\",\"boot\":3,\"seq\":3,\"time\":"));
        serde_json::from_str::<serde_json::Value>(&rows[0].json()).unwrap();
    }

    #[test]
    fn a_crash_leaves_whole_deliveries_wherever_it_strikes() {
        // What a power cut can leave: the database file and any prefix of the write-ahead log.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let mut connection = open(&path);
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        for delivered in 0..8 {
            commit(&mut connection, &delivery(delivered * 25 + 1..=delivered * 25 + 25)).unwrap();
        }
        let (main, log) =
            (std::fs::read(&path).unwrap(), std::fs::read(directory.path().join("db-wal")).unwrap());
        let mut positions = std::collections::BTreeSet::new();
        let step = log.len() / 90;
        for cut in (0..log.len()).step_by(step).chain([log.len()]) {
            let after = tempfile::tempdir().unwrap();
            let path = after.path().join("db");
            std::fs::write(&path, &main).unwrap();
            std::fs::write(after.path().join("db-wal"), &log[..cut]).unwrap();
            let mut connection = open(&path);
            let position = consistent(&connection);
            assert_eq!(position % 25, 0, "a delivery is there as a whole or not at all");
            positions.insert(position);
            // The sensor sends everything after its last acknowledgement again, here: all of it.
            commit(&mut connection, &delivery(1..=200)).unwrap();
            assert_eq!(consistent(&connection), 200);
        }
        assert_eq!(positions.len(), 9, "the cuts have met every delivery: {positions:?}");
    }

    #[test]
    fn an_unfinished_transaction_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let mut connection = open(&path);
        commit(&mut connection, &delivery(1..=5)).unwrap();
        connection.pragma_update(None, "cache_size", 5).unwrap(); // so that pages reach the disk early
        let transaction = connection.transaction().unwrap();
        store(&transaction, &delivery(6..=3_000)).unwrap();
        let after = tempfile::tempdir().unwrap();
        for name in ["db", "db-wal"] {
            std::fs::copy(directory.path().join(name), after.path().join(name)).unwrap();
        }
        assert!(
            std::fs::metadata(after.path().join("db-wal")).unwrap().len() > 100_000,
            "nothing was spilled"
        );
        assert_eq!(consistent(&open(&after.path().join("db"))), 5);
    }

    #[test]
    fn a_full_disk_stores_nothing_and_passes() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=5)).unwrap();
        let pages = number(&connection, "PRAGMA page_count");
        connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
        let error = commit(&mut connection, &delivery(6..=3_000)).unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(consistent(&connection), 5);
        connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
        commit(&mut connection, &delivery(6..=3_000)).unwrap();
        assert_eq!(consistent(&connection), 3_000);
    }

    #[test]
    fn what_this_version_cannot_read_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let id = AlertId { boot: 3, seq: 1 };
        let unreadable = UnreadableAlert { id, base: Timestamp::ZERO, bytes: vec![0xff, 1, 2] };
        let mut strange = Delivery { alerts: Vec::new(), unreadable: vec![unreadable], ..delivery(1..=1) };
        commit(&mut connection, &strange).unwrap();
        assert_eq!(commit(&mut connection, &strange).unwrap().duplicates, 1);
        strange.unreadable.clear();
        assert_eq!(number(&connection, "SELECT length(wire) FROM unreadable"), 3);
        assert_eq!(number(&connection, "SELECT stored FROM runs"), 1);
    }

    #[test]
    fn a_gap_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let gap = Gap {
            boot: 3,
            first_seq: 1,
            last_seq: 4,
            lost_by_severity: [3, 1, 0, 0, 0],
            reason: GapReason::SpoolFull,
        };
        let lossy = Delivery { gaps: vec![gap], ..delivery(5..=6) };
        assert_eq!(commit(&mut connection, &lossy).unwrap().lost, 4);
        assert_eq!(commit(&mut connection, &lossy).unwrap().lost, 0);
        assert_eq!(number(&connection, "SELECT lost FROM runs"), 4);
        assert_eq!(number(&connection, "SELECT highest - stored - lost FROM runs"), 0);
    }

    /// A cut wire: the sensor gave up alerts that were on their way, and TCP delivered them after all.
    #[test]
    fn what_came_all_the_same_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=3)).unwrap();
        let gap = Gap {
            boot: 3,
            first_seq: 2,
            last_seq: 6,
            lost_by_severity: [0, 5, 0, 0, 0],
            reason: GapReason::SpoolFull,
        };
        let late = Delivery { gaps: vec![gap], ..delivery(7..=7) };
        assert_eq!(commit(&mut connection, &late).unwrap().lost, 3);
        assert_eq!(number(&connection, "SELECT highest - stored - lost FROM runs"), 0);
    }

    #[test]
    fn minutes_without_alerts_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(55..=65)).unwrap(); // 00:00:55 to 00:01:05
        let minutes = timeline(&connection, Timestamp::from_parts(190, 0), 4).unwrap();
        let high: Vec<(u64, u64)> =
            minutes.iter().map(|(time, counts)| (time.as_secs(), counts[3])).collect();
        assert_eq!(high, [(0, 5), (60, 6), (120, 0), (180, 0)]);
    }
}
