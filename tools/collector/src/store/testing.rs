//! A database with one sensor, and deliveries to put into it.

use std::path::Path;

use rusqlite::Connection;
use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, Subject, Test};
use sentinel_units::Timestamp;

use super::alerts::insert::insert_delivery;
use super::{DatabaseKey, StoreError, schema};
use crate::model::{Delivery, Receipt, SensorId};

pub(crate) fn key() -> DatabaseKey {
    DatabaseKey::from_text(&"0f".repeat(32))
}

/// A database with one sensor.
pub(crate) fn open(path: &Path) -> Connection {
    let connection = schema::open_writer(path, &key()).unwrap();
    let sql =
        "INSERT OR IGNORE INTO sensors (public_key, name, enrolled_at_us) VALUES (zeroblob(32), 'a', 0)";
    connection.execute(sql, []).unwrap();
    connection
}

pub(crate) fn alert(time_s: u64) -> Alert {
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

pub(crate) fn delivery(seqs: std::ops::RangeInclusive<u64>) -> Delivery {
    let last = AlertId { boot: 3, seq: *seqs.end() };
    Delivery {
        sensor: SensorId(1),
        alerts: seqs.map(|seq| (AlertId { boot: 3, seq }, alert(seq))).collect(),
        unreadable: Vec::new(),
        gaps: Vec::new(),
        run_ends: Vec::new(),
        last,
        received_at: Timestamp::from_parts(99, 0),
    }
}

pub(crate) fn commit(connection: &mut Connection, delivery: &Delivery) -> Result<Receipt, StoreError> {
    let transaction = connection.transaction()?;
    let receipt = insert_delivery(&transaction, delivery)?;
    transaction.commit()?;
    Ok(receipt)
}
