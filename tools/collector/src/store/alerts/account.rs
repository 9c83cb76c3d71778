//! Counters of one sensor and of its runs while a delivery is inserted, and the limits that they must keep.
//!
//! Read once, changed in the program with saturating arithmetic, and written once: no number of a sensor makes a statement fail.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use sentinel_alert::AlertId;

use super::column::{count, unsigned};
use crate::clock::to_micros;
use crate::model::{Delivery, Limit, SensorId};
use crate::rate::Rate;
use crate::store::{StoreError, StoreLimits};

/// Alert numbers of a sensor, over all its runs: 1,000 a second on average, and at once as many as that gives in 30 days. A
/// sensor raises a few a second at its most (a token bucket for each kind), so one that was offline for a year has room; and
/// no sum over sensors comes near 2^63.
const NUMBERS: Rate = Rate::one_each(Duration::from_millis(1), Duration::from_secs(30 * 86_400));
/// Runs of a sensor: one each 5 s, which is how fast init scripts restart a program that ends at once, and a day's worth at once.
const RUNS: Rate = Rate::one_each(Duration::from_secs(5), Duration::from_secs(86_400));

/// Bytes of the file that a row of `alerts` or `unreadable` and its index entries take, besides the alert itself, if it is an incident of
/// its own with two addresses: 340 were measured. One that continues an incident takes a third of that.
pub(in crate::store) const ALERT_ROW_BYTES: u64 = 320;
/// Bytes charged for a row of `gaps`.
pub(super) const GAP_ROW_BYTES: u64 = 90;
/// Bytes charged for a row of `runs`.
const RUN_ROW_BYTES: u64 = 40;

/// One row of table `runs`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Run {
    /// Numbers of a run start at 1 without holes: `highest` less what is stored and lost is missing.
    pub(super) highest: u64,
    pub(super) stored: u64,
    pub(super) lost: u64,
}

impl Run {
    pub(super) const fn missing(&self) -> u64 {
        self.highest.saturating_sub(self.stored).saturating_sub(self.lost)
    }
}

/// The row of a sensor and of those of its runs that the delivery names.
pub(super) struct Account {
    sensor: SensorId,
    now_us: i64,
    pub(super) stored: u64,
    pub(super) duplicates: u64,
    pub(super) lost: u64,
    missing: u64,
    pub(super) stored_bytes: u64,
    numbers_paid_us: i64,
    runs_paid_us: i64,
    runs: BTreeMap<u32, Run>,
}

impl Account {
    /// Reads the rows, and raises `highest` of each run to what `delivery` names.
    ///
    /// # Errors
    /// The name of the limit that the delivery breaks; nothing has been written. Errors of the database, among them that there
    /// is no such sensor.
    pub(super) fn open(
        connection: &Connection,
        delivery: &Delivery,
        limits: StoreLimits,
    ) -> Result<Result<Self, Limit>, StoreError> {
        let mut account = Self::load(connection, delivery)?;
        if account.stored_bytes >= limits.sensor_bytes {
            return Ok(Err(Limit::Quota));
        }
        let (mut numbers, mut runs) = (0_u64, 0_u64);
        for (boot, highest) in highest_numbers(delivery) {
            let known = load_run(connection, account.sensor, boot)?;
            if known.is_none() {
                runs += 1;
                account.stored_bytes = account.stored_bytes.saturating_add(RUN_ROW_BYTES);
            }
            let run = known.unwrap_or_default();
            numbers = numbers.saturating_add(highest.saturating_sub(run.highest));
            // Taken out here and added again by `write`, when the run has changed.
            account.missing = account.missing.saturating_sub(run.missing());
            account.runs.insert(boot, Run { highest: run.highest.max(highest), ..run });
        }
        Ok(account.pay(numbers, runs).map(|()| account))
    }

    fn load(connection: &Connection, delivery: &Delivery) -> Result<Self, StoreError> {
        let sql = "SELECT stored, duplicates, lost, missing, stored_bytes, numbers_paid_us, runs_paid_us
                   FROM sensors WHERE id = ?";
        let account = connection.prepare_cached(sql)?.query_row([delivery.sensor.0], |row| {
            Ok(Self {
                sensor: delivery.sensor,
                now_us: to_micros(delivery.received_at),
                stored: count(row.get(0)?),
                duplicates: count(row.get(1)?),
                lost: count(row.get(2)?),
                missing: count(row.get(3)?),
                stored_bytes: count(row.get(4)?),
                numbers_paid_us: row.get(5)?,
                runs_paid_us: row.get(6)?,
                runs: BTreeMap::new(),
            })
        });
        Ok(account?)
    }

    fn pay(&mut self, numbers: u64, runs: u64) -> Result<(), Limit> {
        self.numbers_paid_us = self.paid(NUMBERS, self.numbers_paid_us, numbers).ok_or(Limit::Numbers)?;
        self.runs_paid_us = self.paid(RUNS, self.runs_paid_us, runs).ok_or(Limit::Runs)?;
        Ok(())
    }

    /// None if the rate is exceeded.
    fn paid(&self, rate: Rate, paid_us: i64, count: u64) -> Option<i64> {
        if count == 0 {
            return Some(paid_us);
        }
        // Never written past the present, so a later time means that the clock of this machine was set back: the sensor
        // must not wait until it has come there again.
        let paid_us = if paid_us > self.now_us { i64::MIN } else { paid_us };
        Some(rate.paid_after(paid_us, count, self.now_us)).filter(|paid_us| *paid_us <= self.now_us)
    }

    /// The run of `boot`, which the delivery names.
    pub(super) fn run(&mut self, boot: u32) -> &mut Run {
        match self.runs.entry(boot) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Run::default()), // not reached: `open` has loaded every run of the delivery
        }
    }

    /// Writes the rows, with `last` as the acknowledged position.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) fn write(&self, connection: &Connection, last: AlertId) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs (sensor, boot, highest, stored, lost) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (sensor, boot) DO UPDATE
                   SET highest = excluded.highest, stored = excluded.stored, lost = excluded.lost";
        let mut statement = connection.prepare_cached(sql)?;
        let mut missing = self.missing;
        for (boot, run) in &self.runs {
            let (highest, stored, lost) = (unsigned(run.highest), unsigned(run.stored), unsigned(run.lost));
            statement.execute(params![self.sensor.0, boot, highest, stored, lost])?;
            missing = missing.saturating_add(run.missing());
        }
        // The position is set and not compared: the order of sending is the sensor's own, across runs as well. An
        // evicted session that stores its last delivery may set it back; the sensor then sends alerts again, which are
        // duplicates. It never moves past an alert that is not stored, because a session stores in the order of sending.
        let sql = "UPDATE sensors SET stored = ?, duplicates = ?, lost = ?, missing = ?, stored_bytes = ?,
                   numbers_paid_us = ?, runs_paid_us = ?, acked_boot = ?, acked_seq = ?, last_seen_at_us = ? WHERE id = ?";
        connection.prepare_cached(sql)?.execute(params![
            unsigned(self.stored),
            unsigned(self.duplicates),
            unsigned(self.lost),
            unsigned(missing),
            unsigned(self.stored_bytes),
            self.numbers_paid_us,
            self.runs_paid_us,
            last.boot,
            // All 64 bits: the upper ones tell gaps and ends of runs from alerts.
            last.seq.cast_signed(),
            self.now_us,
            self.sensor.0
        ])?;
        Ok(())
    }
}

/// Numbers by which one reading can raise the highest of a run.
const MAX_NOTED: u64 = 100_000;

/// Notes that a sensor has delivered `delivered` alerts of run `boot`, though fewer are stored: the store was restored from an earlier
/// backup. The numbers up to there are missing.
///
/// # Errors
/// Errors of the database.
pub(in crate::store) fn note_delivered(
    connection: &Connection,
    sensor: SensorId,
    boot: u32,
    delivered: u64,
) -> Result<(), StoreError> {
    let run = load_run(connection, sensor, boot)?.unwrap_or_default();
    let raised = Run { highest: delivered.min(run.highest.saturating_add(MAX_NOTED)), ..run };
    if raised.highest <= run.highest {
        return Ok(());
    }
    let sql = "INSERT INTO runs (sensor, boot, highest, stored, lost) VALUES (?, ?, ?, 0, 0)
               ON CONFLICT (sensor, boot) DO UPDATE SET highest = excluded.highest";
    connection.prepare_cached(sql)?.execute(params![sensor.0, boot, unsigned(raised.highest)])?;
    let sql = "SELECT missing FROM sensors WHERE id = ?";
    let missing: i64 = connection.prepare_cached(sql)?.query_row([sensor.0], |row| row.get(0))?;
    let missing = count(missing).saturating_sub(run.missing()).saturating_add(raised.missing());
    let sql = "UPDATE sensors SET missing = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![unsigned(missing), sensor.0])?;
    Ok(())
}

/// The highest number of each run that `delivery` names.
fn highest_numbers(delivery: &Delivery) -> BTreeMap<u32, u64> {
    let alerts = delivery.alerts.iter().map(|(id, _)| *id);
    let unreadable = delivery.unreadable.iter().map(|alert| alert.id);
    let gaps = delivery.gaps.iter().map(|gap| AlertId { boot: gap.boot, seq: gap.last_seq });
    let ends =
        delivery.run_ends.iter().map(|end| AlertId { boot: end.boot, seq: end.next_seq.saturating_sub(1) });
    let mut highest = BTreeMap::new();
    for AlertId { boot, seq } in alerts.chain(unreadable).chain(gaps).chain(ends) {
        let number: &mut u64 = highest.entry(boot).or_default();
        *number = seq.max(*number);
    }
    highest
}

fn load_run(connection: &Connection, sensor: SensorId, boot: u32) -> Result<Option<Run>, StoreError> {
    let sql = "SELECT highest, stored, lost FROM runs WHERE sensor = ? AND boot = ?";
    let run = connection.prepare_cached(sql)?.query_row(params![sensor.0, boot], |row| {
        Ok(Run { highest: count(row.get(0)?), stored: count(row.get(1)?), lost: count(row.get(2)?) })
    });
    Ok(run.optional()?)
}
