//! Exactly-once insertion of a delivery.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sentinel_alert::{Alert, AlertId, wire};
use sentinel_units::Timestamp;
use sentinel_uplink::{Gap, RunEnd};

use super::account::{ALERT_ROW_BYTES, Account, GAP_ROW_BYTES, Run};
use super::column::{self, MINUTE_US, unsigned};
use super::conflict;
use crate::clock::to_micros;
use crate::model::{CopySign, Delivery, Limit, Receipt, UnreadableAlert};
use crate::store::{StoreError, StoreLimits, run_ends, sensor_keys};

/// Inserts the alerts of `delivery` that are new, and moves the sensor's acknowledged position to its end. The inner error is
/// a limit that the delivery breaks: then nothing of it is stored.
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
    limits: StoreLimits,
) -> Result<Result<Receipt, Limit>, StoreError> {
    // Before the first row is written: a limit must not roll back a transaction that holds deliveries of other sensors.
    let account = match Account::open(connection, delivery, limits)? {
        Ok(account) => account,
        Err(limit) => return Ok(Err(limit)),
    };
    let mut inserter =
        Inserter { connection, delivery, receipt: Receipt::default(), first_conflict: None, account };
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
    inserter.account.write(connection, delivery.last)?;
    if let Some(AlertId { boot, seq }) = inserter.first_conflict {
        let detail = format!("run {boot}, number {seq}");
        let (sensor, at) = (delivery.sensor, delivery.received_at);
        sensor_keys::count_copy(connection, sensor, CopySign::Numbers, &detail, at)?;
    }
    Ok(Ok(inserter.receipt))
}

/// A delivery that is being inserted, with the counters of its sensor so far.
struct Inserter<'d> {
    connection: &'d Connection,
    delivery: &'d Delivery,
    receipt: Receipt,
    first_conflict: Option<AlertId>,
    account: Account,
}

impl Inserter<'_> {
    /// Returns true if the alert was new.
    fn alert(&mut self, index: usize, id: AlertId, alert: &Alert) -> Result<bool, StoreError> {
        let mut buffer = [0; wire::MAX_ALERT_LEN];
        // Relative to the epoch, so that a row can be decoded without knowing the boot it came from.
        let bytes = wire::encode(alert, Timestamp::ZERO, &mut buffer)
            .map_err(|error| StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let (connection, delivery) = (self.connection, self.delivery);
        if let Some(row) = insert_alert(connection, delivery, id, alert, bytes)? {
            self.stored(id, bytes.len());
            self.receipt.inserted.push((row, index));
            return Ok(true);
        }
        if conflict::differs(connection, delivery.sensor, id, bytes)?
            && let Some(other) = conflict::place(connection, delivery.sensor, id, bytes)?
            && let Some(row) = insert_alert(connection, delivery, other, alert, bytes)?
        {
            self.conflict(id, bytes.len());
            self.receipt.inserted.push((row, index));
            return Ok(true);
        }
        self.duplicate();
        Ok(false)
    }

    fn unreadable(&mut self, alert: &UnreadableAlert) -> Result<(), StoreError> {
        let (connection, delivery) = (self.connection, self.delivery);
        if insert_unreadable(connection, delivery, alert.id, alert)? {
            self.stored(alert.id, alert.bytes.len());
        } else if conflict::unreadable_differs(connection, delivery.sensor, alert.id, &alert.bytes)?
            && let Some(other) = conflict::place(connection, delivery.sensor, alert.id, &alert.bytes)?
            && insert_unreadable(connection, delivery, other, alert)?
        {
            self.conflict(alert.id, alert.bytes.len());
        } else {
            self.duplicate();
        }
        Ok(())
    }

    /// Counted with the sensor, but with no run: the numbers of the run have other alerts.
    fn conflict(&mut self, id: AlertId, wire_len: usize) {
        self.charge(wire_len, 2 * ALERT_ROW_BYTES);
        if self.receipt.conflicts == 0 {
            self.first_conflict = Some(id);
        }
        self.receipt.conflicts = self.receipt.conflicts.saturating_add(1);
    }

    fn stored(&mut self, id: AlertId, wire_len: usize) {
        self.charge(wire_len, ALERT_ROW_BYTES);
        let run = self.account.run(id.boot);
        run.stored = run.stored.saturating_add(1);
    }

    fn charge(&mut self, wire_len: usize, row_bytes: u64) {
        let account = &mut self.account;
        account.stored = account.stored.saturating_add(1);
        let bytes = u64::try_from(wire_len).unwrap_or(u64::MAX).saturating_add(row_bytes);
        account.stored_bytes = account.stored_bytes.saturating_add(bytes);
    }

    fn duplicate(&mut self) {
        self.account.duplicates = self.account.duplicates.saturating_add(1);
        self.receipt.duplicates = self.receipt.duplicates.saturating_add(1);
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), StoreError> {
        // A gap that arrives again was counted the first time.
        if !insert_gap(self.connection, self.delivery, gap)? {
            return Ok(());
        }
        self.account.stored_bytes = self.account.stored_bytes.saturating_add(GAP_ROW_BYTES);
        let run = self.account.run(gap.boot);
        let lost = lost_in_gap(gap, *run);
        run.lost = run.lost.saturating_add(lost);
        self.account.lost = self.account.lost.saturating_add(lost);
        self.receipt.lost = self.receipt.lost.saturating_add(lost);
        Ok(())
    }

    /// The numbers below the end were used, which [`Account::open`] has noted: those neither stored nor lost are missing.
    fn run_end(&mut self, end: &RunEnd) -> Result<(), StoreError> {
        let Delivery { sensor, received_at, .. } = self.delivery;
        self.receipt.unclean += u64::from(run_ends::insert(self.connection, *sensor, end, *received_at)?);
        Ok(())
    }
}

/// Row number of the new row; none if an alert of this number is stored already.
fn insert_alert(
    connection: &Connection,
    delivery: &Delivery,
    id: AlertId,
    alert: &Alert,
    bytes: &[u8],
) -> Result<Option<i64>, StoreError> {
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
        bytes
    ];
    let inserted = connection.prepare_cached(sql)?.execute(values)? > 0;
    // Without an insertion it would be the number of an earlier row.
    Ok(inserted.then(|| connection.last_insert_rowid()))
}

fn insert_unreadable(
    connection: &Connection,
    delivery: &Delivery,
    id: AlertId,
    alert: &UnreadableAlert,
) -> Result<bool, StoreError> {
    let sql = "INSERT OR IGNORE INTO unreadable (sensor, boot, seq, base_us, received_at_us, wire)
               VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![
        delivery.sensor.0,
        id.boot,
        unsigned(id.seq),
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

/// Upper bound of the alerts lost in a gap: what the sensor counted, at most the numbers of the gap, at most the numbers of
/// the run that are neither stored nor lost yet. A sensor also counts the alerts that were in flight when its connection broke,
/// and TCP may have delivered some of these.
///
/// Takes the same time whatever is stored. Counting the stored rows of the gap instead would be exact also for a run that has
/// missing numbers outside of the gap, but its cost would be the sensor's to choose.
fn lost_in_gap(gap: &Gap, run: Run) -> u64 {
    let numbers = gap.last_seq.saturating_sub(gap.first_seq).saturating_add(1);
    gap.lost().min(numbers).min(run.missing())
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
    use crate::store::incidents;
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

    /// Two devices with one key: an alert of the honest one was taken for a duplicate of what the other one had sent under its
    /// number, acknowledged, and nowhere to be seen.
    #[test]
    fn another_alert_with_the_same_number_is_stored_once_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let forged = |host: u32| {
            let mut delivery = delivery(1..=3);
            for (_, alert) in &mut delivery.alerts {
                alert.subject.source = Some(sentinel_units::Address::v4(host));
            }
            delivery
        };
        commit(&mut connection, &forged(1)).unwrap();
        let honest = delivery(1..=4);
        let receipt = commit(&mut connection, &honest).unwrap();
        assert_eq!((receipt.inserted.len(), receipt.conflicts, receipt.duplicates), (4, 3, 0));
        // Again, and again with other contents: each content once.
        for (delivery, inserted) in [(&honest, 0), (&forged(1), 0), (&forged(2), 3), (&honest, 0)] {
            assert_eq!(commit(&mut connection, delivery).unwrap().inserted.len(), inserted);
        }
        assert_eq!(number(&connection, "SELECT count(*) FROM alerts"), 4 + 3 + 3);
        assert_eq!(number(&connection, "SELECT count(DISTINCT wire) FROM alerts"), 4 + 3 + 3);
        let sensor = crate::store::sensors::find(&connection, "a").unwrap().unwrap();
        let copy = sensor.copy.unwrap();
        assert_eq!((copy.sign.as_str(), copy.signs), ("numbers", 2));
        assert_eq!(
            (sensor.missing, sensor.stored, sensor.lost),
            (0, 10, 0),
            "the books of the run stay right"
        );
        let mut unreadable = delivery(9..=9);
        unreadable.alerts.clear();
        let id = AlertId { boot: 3, seq: 5 };
        let opaque = |bytes: &[u8]| UnreadableAlert { id, base: Timestamp::ZERO, bytes: bytes.into() };
        unreadable.unreadable = vec![opaque(b"one"), opaque(b"two"), opaque(b"two"), opaque(b"one")];
        let receipt = commit(&mut connection, &unreadable).unwrap();
        assert_eq!((receipt.conflicts, receipt.duplicates), (1, 2));
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
        insert_delivery(&transaction, &delivery(6..=3_000), StoreLimits::default()).unwrap().unwrap();
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

    fn refused(connection: &mut Connection, delivery: &Delivery, limits: StoreLimits) -> Option<Limit> {
        let transaction = connection.transaction().unwrap();
        let result = insert_delivery(&transaction, delivery, limits).unwrap();
        transaction.commit().unwrap();
        result.err()
    }

    /// In 2033: rates that were never charged have their whole credit.
    const NOW_S: u64 = 2_000_000_000;

    #[test]
    fn numbers_that_jump_are_refused_and_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        commit(&mut connection, &delivery(1..=5)).unwrap();
        let at = |seq, boot, second| {
            let mut jump = delivery(seq..=seq);
            jump.alerts[0].0.boot = boot;
            Delivery { received_at: Timestamp::from_parts(NOW_S + second, 0), ..jump }
        };
        let month = 30 * 86_400 * 1_000;
        for boot in 3..=5 {
            for seq in [month + 6, 1 << 40, (1 << 62) - 1] {
                let jump = at(seq, boot, 99);
                assert_eq!(
                    refused(&mut connection, &jump, StoreLimits::default()),
                    Some(Limit::Numbers),
                    "{seq}"
                );
            }
        }
        assert_eq!(consistent(&connection), 5);
        assert_eq!(number(&connection, "SELECT missing FROM sensors"), 0);
        // What 1,000 a second give in 30 days may come at once, over all runs, and then 1,000 a second.
        commit(&mut connection, &at(month / 2, 3, 99)).unwrap();
        commit(&mut connection, &at(month / 2, 4, 99)).unwrap();
        assert_eq!(
            refused(&mut connection, &at(100_000, 5, 99), StoreLimits::default()),
            Some(Limit::Numbers)
        );
        commit(&mut connection, &at(100_000, 5, 199)).unwrap();
        // The clock of the collector was wrong by years: the sensor need not wait until it has come there again.
        commit(&mut connection, &at(1, 6, 300_000_000)).unwrap();
        commit(&mut connection, &at(1_000, 6, 200)).unwrap();
    }

    #[test]
    fn runs_and_stored_bytes_of_a_sensor_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let runs = |boots: std::ops::RangeInclusive<u32>| {
            let alerts = boots.map(|boot| (AlertId { boot, seq: 1 }, delivery(1..=1).alerts[0].1.clone()));
            let received_at = Timestamp::from_parts(NOW_S, 0);
            Delivery { alerts: alerts.collect(), received_at, ..delivery(1..=1) }
        };
        commit(&mut connection, &runs(1..=17_280)).unwrap();
        let more = runs(17_281..=17_281);
        assert_eq!(refused(&mut connection, &more, StoreLimits::default()), Some(Limit::Runs));
        let bytes = number(&connection, "SELECT stored_bytes FROM sensors");
        let known = runs(1..=1);
        assert_eq!(
            refused(&mut connection, &known, StoreLimits { sensor_bytes: bytes, ..StoreLimits::default() }),
            Some(Limit::Quota)
        );
        assert_eq!(
            refused(
                &mut connection,
                &known,
                StoreLimits { sensor_bytes: bytes + 1, ..StoreLimits::default() }
            ),
            None
        );
        // With the incidents that follow from them, which are the sensor's doing as well.
        while let Some(batch) = incidents::batch::read(&connection, 5_000).unwrap() {
            let transaction = connection.transaction().unwrap();
            incidents::apply::apply(&transaction, &batch).unwrap();
            transaction.commit().unwrap();
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let file = std::fs::metadata(directory.path().join("db")).unwrap().len();
        println!("{bytes} bytes estimated, {file} in the file for 17,280 alerts in as many runs");
        assert!((bytes / 2..bytes * 2).contains(&file), "estimated {bytes}, in the file {file}");
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

    /// 12 KB of gap messages, each over everything stored, kept the writer busy for minutes: each counted the rows of its range.
    #[test]
    fn a_gap_costs_the_same_whatever_is_stored() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU64, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let cost = |stored: u64| {
            let mut connection = open(&directory.path().join(stored.to_string()));
            commit(&mut connection, &delivery(1..=stored)).unwrap();
            let operations = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&operations);
            let count = move || counter.fetch_add(1, Ordering::Relaxed) == u64::MAX;
            connection.progress_handler(1, Some(count)).unwrap();
            let reason = GapReason::SpoolFull;
            let gap = |last_seq| Gap { boot: 3, first_seq: 1, last_seq, lost_by_severity: [9; 5], reason };
            let gaps = (1..=50).map(|extra| gap(stored + extra)).collect();
            commit(&mut connection, &Delivery { alerts: Vec::new(), gaps, ..delivery(1..=1) }).unwrap();
            operations.load(Ordering::Relaxed)
        };
        let (few, many) = (cost(10), cost(20_000));
        assert!(many < few + few / 10, "{few} instructions with 10 alerts, {many} with 20,000");
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
