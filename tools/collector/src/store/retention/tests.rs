//! Deletion over real tables.

use std::time::Duration;

use rusqlite::Connection;
use sentinel_alert::{Alert, AlertId, Phase};
use sentinel_units::Timestamp;

use super::{Expired, MAX_MESSAGES, RetentionLimits, Room, counts, find, remove};
use crate::model::{Delivery, IncidentSelection};
use crate::store::incidents::{apply, batch, query};
use crate::store::testing::{alert, commit, delivery, open};

/// Time of arrival of every delivery, and a day after it.
const ARRIVAL: Timestamp = Timestamp::from_parts(99, 0);
const LATER: Timestamp = Timestamp::from_parts(99 + 86_400, 0);

fn deliver(connection: &mut Connection, messages: impl Iterator<Item = (u64, u32, Phase)>) {
    let alerts: Vec<_> = messages
        .map(|(seq, incident, phase)| (AlertId { boot: 3, seq }, Alert { incident, phase, ..alert(seq) }))
        .collect();
    let last = alerts.last().unwrap().0;
    commit(connection, &Delivery { alerts, last, received_at: ARRIVAL, ..delivery(1..=1) }).unwrap();
    while let Some(batch) = batch::read(connection, 500).unwrap() {
        let transaction = connection.transaction().unwrap();
        apply::apply(&transaction, &batch).unwrap();
        transaction.commit().unwrap();
    }
}

fn room() -> Room {
    Room::new("/nonexistent".into()) // no disk to ask about: not full
}

fn find_all(connection: &Connection, now: Timestamp, limits: &RetentionLimits) -> u32 {
    find_with(connection, now, limits, &room())
}

fn find_with(connection: &Connection, now: Timestamp, limits: &RetentionLimits, room: &Room) -> u32 {
    let (mut after, mut rounds) = (0, 0);
    while let Some(expired) = find(connection, after, now, (limits, room)).unwrap() {
        after = expired.end;
        let transaction = connection.unchecked_transaction().unwrap();
        remove(&transaction, &expired).unwrap();
        transaction.commit().unwrap();
        rounds += 1;
    }
    rounds
}

fn rows(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn incidents(connection: &Connection) -> Vec<u32> {
    let selection = IncidentSelection { limit: 1_000, ..IncidentSelection::default() };
    query::select(connection, &selection).unwrap().incidents.iter().map(|row| row.number).collect()
}

const AGE: RetentionLimits = RetentionLimits { age: Some(Duration::from_secs(3_600)), bytes: None };

#[test]
fn what_is_old_and_over_goes_and_what_is_open_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    let messages = [(1, 1, Phase::Open), (2, 1, Phase::Close), (3, 2, Phase::Open), (4, 3, Phase::Close)];
    deliver(&mut connection, messages.into_iter());
    let bytes = |connection: &Connection| -> i64 {
        connection.query_row("SELECT stored_bytes FROM sensors", [], |row| row.get(0)).unwrap()
    };
    let before = bytes(&connection);
    assert_eq!(find_all(&connection, ARRIVAL, &AGE), 0, "nothing is old");
    assert_eq!(find_all(&connection, LATER, &AGE), 1);
    assert_eq!((incidents(&connection), rows(&connection, "alerts")), (vec![2], 1));
    assert_eq!(rows(&connection, "incident_messages"), 1);
    assert!(bytes(&connection) < before, "the sensor has its space back");
    let removed = counts(&connection).unwrap();
    assert_eq!((removed.by_age.alerts, removed.by_age.incidents, removed.by_age.latest), (3, 2, ARRIVAL));
    assert_eq!(removed.by_size.alerts, 0);
    // Closed at last, it goes as well, and with it what refers to it.
    deliver(&mut connection, [(5, 2, Phase::Close)].into_iter());
    find_all(&connection, LATER, &AGE);
    for table in ["alerts", "incidents", "incident_messages", "incident_addresses"] {
        assert_eq!(rows(&connection, table), 0, "{table}");
    }
}

#[test]
fn an_incident_of_any_length_goes_in_short_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    let count = u64::from(MAX_MESSAGES) * 2 + 7;
    deliver(&mut connection, (1..=count).map(|seq| (seq, 1, Phase::Update)));
    deliver(
        &mut connection,
        (count + 1..count + 3).map(|seq| (seq, u32::try_from(seq).unwrap(), Phase::Close)),
    );
    deliver(&mut connection, [(count + 9, 1, Phase::Close)].into_iter());
    let rounds = find_all(&connection, LATER, &AGE);
    assert!((3..=5).contains(&rounds), "{rounds}");
    assert_eq!((incidents(&connection), rows(&connection, "alerts")), (Vec::new(), 0));
    assert_eq!(counts(&connection).unwrap().by_age.incidents, 3);
}

#[test]
fn a_store_that_is_too_large_loses_its_oldest_until_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    for first in (1..6_000).step_by(1_000) {
        deliver(
            &mut connection,
            (first..first + 1_000).map(|seq| (seq, u32::try_from(seq).unwrap(), Phase::Close)),
        );
    }
    let used = |connection: &Connection| -> i64 {
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (number("PRAGMA page_count") - number("PRAGMA freelist_count")) * 4_096
    };
    let half = used(&connection) / 2;
    let limits = RetentionLimits { age: None, bytes: Some(u64::try_from(half).unwrap()) };
    assert!(find_all(&connection, ARRIVAL, &limits) > 3);
    assert!(
        used(&connection) <= half && used(&connection) > half * 8 / 10,
        "{} of {half}",
        used(&connection)
    );
    let left = incidents(&connection);
    assert_eq!(left[0], 6_000, "the newest is there");
    assert_eq!(
        counts(&connection).unwrap().by_size.alerts,
        6_000 - u64::try_from(rows(&connection, "alerts")).unwrap()
    );
    let before = rows(&connection, "alert_blocks");
    assert!((1..=2).contains(&before), "blocks of what is gone are gone: {before}");
}

#[test]
fn an_incident_that_went_on_since_it_was_found_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    deliver(&mut connection, [(1, 1, Phase::Open), (2, 1, Phase::Close)].into_iter());
    let found: Expired = find(&connection, 0, LATER, (&AGE, &room())).unwrap().unwrap();
    deliver(&mut connection, [(3, 1, Phase::Update)].into_iter());
    remove(&connection, &found).unwrap();
    assert_eq!((incidents(&connection), rows(&connection, "alerts")), (vec![1], 3));
}

/// A disk that others had filled to 93 % made a store of 10 MB delete all it had.
#[test]
fn a_full_disk_takes_an_eighth_of_a_large_store_and_nothing_of_a_small_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    for first in (1..8_000).step_by(1_000) {
        let messages = (first..first + 1_000).map(|seq| (seq, u32::try_from(seq).unwrap(), Phase::Close));
        deliver(&mut connection, messages);
    }
    let none = RetentionLimits { age: None, bytes: None };
    let full = |small| Room::full(directory.path().into(), small);
    assert_eq!(find_with(&connection, LATER, &none, &full(1 << 30)), 0);
    assert!(find_with(&connection, LATER, &none, &full(0)) > 0);
    let left = rows(&connection, "alerts");
    assert!((6_000..7_900).contains(&left), "{left} of 8,000");
    assert_eq!(counts(&connection).unwrap().by_disk.alerts, u64::try_from(8_000 - left).unwrap());
}
