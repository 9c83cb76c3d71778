//! Exactly-once insertion of a delivery.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sentinel_alert::{Alert, AlertId, wire};
use sentinel_units::Timestamp;
use sentinel_uplink::{Gap, RunEnd};

use super::column::{self, MINUTE_US, unsigned};
use crate::clock::to_micros;
use crate::model::{Delivery, Receipt, UnreadableAlert};
use crate::store::{StoreError, run_ends};

/// Inserts the alerts of `delivery` that are new, and moves the sensor's acknowledged position to its end.
///
/// Must run inside a transaction. Exactly once rests on two facts: rows are unique by (sensor, boot, seq), so
/// an alert that arrives again changes nothing; and the rows, the counters and the position that will be
/// acknowledged are committed together or not at all, so a sensor never discards an alert that is not stored.
///
/// # Errors
/// Errors of the database; the transaction must be rolled back.
pub(in crate::store) fn insert_delivery(
    connection: &Connection,
    delivery: &Delivery,
) -> Result<Receipt, StoreError> {
    let mut inserter = Inserter { connection, delivery, receipt: Receipt::default(), boots: BTreeMap::new() };
    let mut delta = TotalsDelta::default();
    for (index, (id, alert)) in delivery.alerts.iter().enumerate() {
        if inserter.alert(index, *id, alert)? {
            delta.count(alert);
        }
    }
    for alert in &delivery.unreadable {
        inserter.unreadable(alert)?;
    }
    // After the alerts: what a sensor sends before a gap is stored when the gap is counted.
    for gap in &delivery.gaps {
        inserter.gap(gap)?;
    }
    for end in &delivery.run_ends {
        inserter.run_end(end)?;
    }
    delta.add(connection)?;
    inserter.update_counters()?;
    Ok(inserter.receipt)
}

/// Changes of one row of table `runs`.
#[derive(Default)]
struct BootCounts {
    highest: u64,
    stored: u64,
    lost: u64,
}

/// A delivery that is being inserted, with the counts of its rows so far.
struct Inserter<'d> {
    connection: &'d Connection,
    delivery: &'d Delivery,
    receipt: Receipt,
    boots: BTreeMap<u32, BootCounts>,
}

impl Inserter<'_> {
    /// Counts of the boot of `id`, which has sent at least up to `id`.
    fn boot(&mut self, id: AlertId) -> &mut BootCounts {
        // Sequence numbers of a boot start at 1 without holes: `highest` less what is stored and lost is what is missing.
        let boot = self.boots.entry(id.boot).or_default();
        boot.highest = boot.highest.max(id.seq);
        boot
    }

    /// Returns true if the alert was new.
    fn alert(&mut self, index: usize, id: AlertId, alert: &Alert) -> Result<bool, StoreError> {
        let row = insert_alert(self.connection, self.delivery, id, alert)?;
        let boot = self.boot(id);
        match row {
            Some(row) => {
                boot.stored += 1;
                self.receipt.inserted.push((row, index));
            }
            None => self.receipt.duplicates += 1,
        }
        Ok(row.is_some())
    }

    fn unreadable(&mut self, alert: &UnreadableAlert) -> Result<(), StoreError> {
        let inserted = insert_unreadable(self.connection, self.delivery, alert)?;
        let boot = self.boot(alert.id);
        if inserted {
            boot.stored += 1;
        } else {
            self.receipt.duplicates += 1;
        }
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), StoreError> {
        // A gap that arrives again was counted the first time.
        let lost = if insert_gap(self.connection, self.delivery, gap)? {
            lost_in_gap(self.connection, self.delivery, gap)?
        } else {
            0
        };
        let boot = self.boot(AlertId { boot: gap.boot, seq: gap.last_seq });
        boot.lost = boot.lost.saturating_add(lost);
        // Saturates: the number comes from the network.
        self.receipt.lost = self.receipt.lost.saturating_add(lost);
        Ok(())
    }

    fn run_end(&mut self, end: &RunEnd) -> Result<(), StoreError> {
        let Delivery { sensor, received_at, .. } = self.delivery;
        self.receipt.unclean += u64::from(run_ends::insert(self.connection, *sensor, end, *received_at)?);
        // The numbers below it were used: those that are neither stored nor lost are missing.
        self.boot(AlertId { boot: end.boot, seq: end.next_seq.saturating_sub(1) });
        Ok(())
    }

    /// Adds the counts to tables `runs` and `sensors`, and moves the acknowledged position.
    fn update_counters(&self) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs (sensor, boot, highest, stored, lost) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (sensor, boot) DO UPDATE SET highest = max(highest, excluded.highest),
                   stored = stored + excluded.stored, lost = lost + excluded.lost";
        let mut statement = self.connection.prepare_cached(sql)?;
        let sensor = self.delivery.sensor.0;
        let mut stored = 0_u64;
        for (boot, counts) in &self.boots {
            let (highest, lost) = (unsigned(counts.highest), unsigned(counts.lost));
            statement.execute(params![sensor, boot, highest, unsigned(counts.stored), lost])?;
            stored = stored.saturating_add(counts.stored);
        }
        // The position is set and not compared: the order of sending is the sensor's own, across boots as well. An
        // evicted session that stores its last delivery may set it back; the sensor then sends alerts again, which are
        // duplicates. It never moves past an alert that is not stored, because a session stores in the order of sending.
        let sql = "UPDATE sensors SET stored = stored + ?, duplicates = duplicates + ?, lost = lost + ?,
                   acked_boot = ?, acked_seq = ?, last_seen_at_us = ? WHERE id = ?";
        self.connection.prepare_cached(sql)?.execute(params![
            unsigned(stored),
            unsigned(self.receipt.duplicates),
            unsigned(self.receipt.lost),
            self.delivery.last.boot,
            // All 64 bits: the upper ones tell gaps and ends of runs from alerts.
            self.delivery.last.seq.cast_signed(),
            to_micros(self.delivery.received_at),
            sensor
        ])?;
        Ok(())
    }
}

/// Row number of the new row; none if the alert is stored already.
fn insert_alert(
    connection: &Connection,
    delivery: &Delivery,
    id: AlertId,
    alert: &Alert,
) -> Result<Option<i64>, StoreError> {
    let mut buffer = [0; wire::MAX_ALERT_LEN];
    // Relative to the epoch, so that a row can be decoded without knowing the boot it came from.
    let bytes = wire::encode(alert, Timestamp::ZERO, &mut buffer)
        .map_err(|error| StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
    // IGNORE covers the unique key (sensor, boot, seq). A sensor that does not exist is still an error: foreign keys
    // are not subject to it.
    let sql = "INSERT OR IGNORE INTO alerts
               (sensor, boot, seq, time_us, received_at_us, kind, severity, wire) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        delivery.sensor.0,
        id.boot,
        unsigned(id.seq),
        to_micros(alert.time),
        to_micros(delivery.received_at),
        column::kind(alert.test.kind()),
        column::severity(alert.severity),
        &*bytes
    ];
    let inserted = connection.prepare_cached(sql)?.execute(values)? > 0;
    // Without an insertion it would be the number of an earlier row.
    Ok(inserted.then(|| connection.last_insert_rowid()))
}

fn insert_unreadable(
    connection: &Connection,
    delivery: &Delivery,
    alert: &UnreadableAlert,
) -> Result<bool, StoreError> {
    let sql = "INSERT OR IGNORE INTO unreadable (sensor, boot, seq, base_us, received_at_us, wire)
               VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![
        delivery.sensor.0,
        alert.id.boot,
        unsigned(alert.id.seq),
        to_micros(alert.base),
        to_micros(delivery.received_at),
        alert.bytes
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
        unsigned(gap.first_seq),
        unsigned(gap.last_seq),
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

/// Upper bound of the alerts lost in a gap. A sensor also counts the alerts that were in flight when its
/// connection broke, and TCP may have delivered some of these: sequence numbers of the gap that are stored
/// are not lost.
fn lost_in_gap(connection: &Connection, delivery: &Delivery, gap: &Gap) -> Result<u64, StoreError> {
    let mut absent = gap.last_seq.saturating_sub(gap.first_seq).saturating_add(1);
    for table in ["alerts", "unreadable"] {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE sensor = ? AND boot = ? AND seq BETWEEN ? AND ?");
        let range = params![delivery.sensor.0, gap.boot, unsigned(gap.first_seq), unsigned(gap.last_seq)];
        let stored: i64 = connection.prepare_cached(&sql)?.query_row(range, |row| row.get(0))?;
        absent = absent.saturating_sub(u64::try_from(stored).unwrap_or_default());
    }
    Ok(gap.lost().min(absent))
}

/// Counts of new alerts by row of tables `totals` and `minutes`: each row is written once per delivery.
#[derive(Default)]
struct TotalsDelta {
    totals: BTreeMap<(i64, i64), i64>,
    minutes: BTreeMap<(i64, i64), i64>,
}

impl TotalsDelta {
    fn count(&mut self, alert: &Alert) {
        let (kind, severity) = (column::kind(alert.test.kind()), column::severity(alert.severity));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sentinel_uplink::GapReason;

    use super::*;
    use crate::store::testing::{commit, delivery, open};

    fn number(connection: &Connection, sql: &str) -> u64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Acknowledged position, alerts, totals and counters of boots agree; returns the position.
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
        assert_eq!(second.inserted.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(consistent(&connection), 12);
        // An equal sequence number of another boot is another alert.
        let mut other = delivery(1..=1);
        other.alerts[0].0.boot = 4;
        assert_eq!(commit(&mut connection, &other).unwrap().inserted.len(), 1);
    }

    #[test]
    fn a_crash_at_any_point_leaves_complete_deliveries() {
        // A power cut leaves the database file and any prefix of the write-ahead log.
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
        let mut positions = BTreeSet::new();
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
        insert_delivery(&transaction, &delivery(6..=3_000)).unwrap();
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
    fn a_full_disk_stores_nothing_and_is_a_temporary_error() {
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
    fn an_unreadable_alert_is_kept() {
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

    /// The connection broke: the sensor discarded alerts that were in flight, and TCP had delivered them.
    #[test]
    fn an_alert_of_a_gap_that_arrived_is_not_lost() {
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
}
