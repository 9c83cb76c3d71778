//! Consumer, search, changes and retention together, over real tables.

use std::path::Path;

use rusqlite::Connection;
use sentinel_alert::{Alert, AlertId, Kind, Phase, Severity, Subject};
use sentinel_units::{Address, Timestamp};

use super::{apply, batch, change, detail, query, runs};
use crate::clock::now;
use crate::model::{
    AlertPosition, AlertQuery, AlertRow, AlertSelection, ChangeOutcome, ChangeRequest, Delivery, Incident,
    IncidentPage, IncidentPhase, IncidentSelection, IncidentState, IncidentWord, SensorId,
};
use crate::store::testing::{alert, commit, delivery, key, open};
use crate::store::{StoreError, alerts, schema};

/// Message `seq` of incident `incident`, from 10.0.`incident`.1.
fn message(seq: u64, incident: u32, phase: Phase) -> (AlertId, Alert) {
    let source = Some(Address::v4(0x0a00_0001 | incident << 8));
    let subject = Subject { source, destination: Some(Address::v4(0x0a0a_0a0a)), ..Subject::default() };
    (AlertId { boot: 3, seq }, Alert { incident, phase, subject, ..alert(seq) })
}

fn deliver(connection: &mut Connection, alerts: Vec<(AlertId, Alert)>) {
    let last = alerts.last().unwrap().0;
    commit(connection, &Delivery { alerts, last, ..delivery(1..=1) }).unwrap();
}

/// Takes everything that is stored, `limit` alerts at a time.
fn consume(connection: &mut Connection, limit: u32) {
    while let Some(batch) = batch::read(connection, limit).unwrap() {
        let transaction = connection.transaction().unwrap();
        assert!(apply::apply(&transaction, &batch).unwrap());
        transaction.commit().unwrap();
    }
}

fn search(connection: &Connection, selection: IncidentSelection) -> IncidentPage {
    query::select(connection, &IncidentSelection { limit: 1_000, ..selection }).unwrap()
}

fn all(connection: &Connection) -> Vec<Incident> {
    search(connection, IncidentSelection::default()).incidents
}

fn ids(page: &IncidentPage) -> Vec<i64> {
    page.incidents.iter().map(|incident| incident.id).collect()
}

fn filled(path: &Path, incidents: u32) -> Connection {
    let mut connection = open(path);
    let messages = (1..=incidents).flat_map(|incident| {
        let seq = u64::from(incident) * 3;
        [Phase::Open, Phase::Update, Phase::Close]
            .into_iter()
            .zip(seq - 2..)
            .map(move |(phase, seq)| message(seq, incident, phase))
    });
    deliver(&mut connection, messages.collect());
    consume(&mut connection, 100);
    connection
}

#[test]
fn an_incident_is_one_row_from_the_opening_to_the_closing_message() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    for (seq, phase, shown) in [
        (1, Phase::Open, IncidentPhase::Open),
        (2, Phase::Update, IncidentPhase::Open),
        (3, Phase::Close, IncidentPhase::Closed),
    ] {
        deliver(&mut connection, vec![message(seq, 1, phase)]);
        consume(&mut connection, 100);
        let rows = all(&connection);
        assert_eq!((rows.len(), rows[0].phase, rows[0].messages), (1, shown, seq));
        assert_eq!(
            (rows[0].first, rows[0].last),
            (Timestamp::from_parts(1, 0), Timestamp::from_parts(seq, 0))
        );
        assert_eq!(rows[0].latest, Some(message(seq, 1, phase).1));
    }
    let messages = detail::messages(&connection, 1, None, 2).unwrap();
    assert_eq!(messages.iter().map(AlertRow::id).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(detail::messages(&connection, 1, Some(2), 2).unwrap().len(), 1);
    assert!(detail::find(&connection, 2).unwrap().is_none());
}

#[test]
fn a_message_that_comes_late_neither_opens_a_closed_incident_nor_is_the_latest() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    for seq in [1, 3, 2] {
        let phase = [Phase::Open, Phase::Update, Phase::Close][usize::try_from(seq).unwrap() - 1];
        deliver(&mut connection, vec![message(seq, 1, phase)]);
        consume(&mut connection, 100);
    }
    let row = &all(&connection)[0];
    assert_eq!((row.phase, row.messages, row.last), (IncidentPhase::Closed, 3, Timestamp::from_parts(3, 0)));
    assert_eq!(row.latest.as_ref().unwrap().phase, Phase::Close);
}

/// Batches of every size give the same rows as one.
#[test]
fn rows_do_not_depend_on_the_size_of_batches() {
    let rows = |limit| {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("db"));
        let of = |seq: u64| message(seq, u32::try_from(seq % 7).unwrap(), Phase::Update);
        deliver(&mut connection, (1..=60).map(of).collect());
        consume(&mut connection, limit);
        let rows = all(&connection);
        rows.iter()
            .map(|row| (row.id, row.number, row.messages, row.last, row.latest.clone()))
            .collect::<Vec<_>>()
    };
    let whole = rows(100);
    assert_eq!(whole.len(), 7);
    for limit in [1, 2, 3, 7, 59] {
        assert_eq!(rows(limit), whole, "{limit}");
    }
}

#[test]
fn a_batch_is_applied_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    deliver(&mut connection, vec![message(1, 1, Phase::Open)]);
    let read = batch::read(&connection, 10).unwrap().unwrap();
    assert!(apply::apply(&connection, &read).unwrap());
    assert!(!apply::apply(&connection, &read).unwrap());
    assert_eq!(all(&connection)[0].messages, 1);
}

#[test]
fn incidents_of_an_ended_run_are_over_and_those_of_a_running_one_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    deliver(&mut connection, vec![message(1, 1, Phase::Open), message(2, 2, Phase::Close)]);
    consume(&mut connection, 100);
    let phases = |connection: &Connection| all(connection).iter().map(|row| row.phase).collect::<Vec<_>>();
    assert!(runs::find(&connection).unwrap().is_none(), "of version 1: it tells of no run");
    for (boot, shown) in
        [(4, IncidentPhase::RunEnded), (3, IncidentPhase::Open), (9, IncidentPhase::RunEnded)]
    {
        connection.execute("UPDATE sensors SET current_boot = ?", [boot]).unwrap();
        runs::correct(&connection, &runs::find(&connection).unwrap().unwrap()).unwrap();
        assert!(runs::find(&connection).unwrap().is_none());
        assert_eq!(phases(&connection), [IncidentPhase::Closed, shown], "{boot}");
    }
    // A message of the ended run, from the spool.
    deliver(&mut connection, vec![message(3, 3, Phase::Open), message(4, 1, Phase::Close)]);
    consume(&mut connection, 100);
    let expected = [IncidentPhase::RunEnded, IncidentPhase::Closed, IncidentPhase::Closed];
    assert_eq!(phases(&connection), expected);
}

#[test]
fn pages_have_neither_holes_nor_repeats_while_incidents_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = filled(&directory.path().join("db"), 25);
    let (mut seen, mut before) = (Vec::new(), None);
    for round in 0.. {
        let selection = IncidentSelection { limit: 10, before, ..IncidentSelection::default() };
        let page = query::select(&connection, &selection).unwrap();
        seen.extend(ids(&page));
        // New ones, and a message of one that is not shown yet.
        let (seq, known) = (1_000 + round * 2, 3);
        let new = 100 + u32::try_from(round).unwrap();
        deliver(
            &mut connection,
            vec![message(seq, new, Phase::Open), message(seq + 1, known, Phase::Update)],
        );
        consume(&mut connection, 100);
        before = page.next;
        assert!(!page.is_partial);
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
}

#[test]
fn each_filter_selects_its_incidents() {
    let directory = tempfile::tempdir().unwrap();
    let connection = filled(&directory.path().join("db"), 20);
    let base = IncidentSelection::default;
    let net = |text: &str| Some(text.parse().unwrap());
    let time = |seconds| Some(Timestamp::from_parts(seconds, 0));
    let words = |texts: &[&str]| {
        let word = |text: &&str| match text.parse() {
            Ok(network) => IncidentWord::Network(network),
            Err(_) => IncidentWord::Text((*text).to_owned()),
        };
        IncidentSelection { words: texts.iter().map(word).collect(), ..base() }
    };
    for (selection, count) in [
        (base(), 20),
        (IncidentSelection { source: net("10.0.7.1"), ..base() }, 1),
        (IncidentSelection { source: net("10.0.7.2"), ..base() }, 0),
        (IncidentSelection { source: net("10.0.8.0/22"), ..base() }, 4),
        (IncidentSelection { source: net("0.0.0.0/0"), ..base() }, 20),
        (IncidentSelection { source: net("::/0"), destination: net("10.0.0.0/8"), ..base() }, 20),
        (IncidentSelection { source: net("2001:db8::/32"), ..base() }, 0),
        (IncidentSelection { destination: net("10.0.7.1"), ..base() }, 0),
        (IncidentSelection { destination: net("10.10.10.10"), ..base() }, 20),
        (IncidentSelection { kinds: vec![Kind::SynFlood], ..base() }, 20),
        (IncidentSelection { kinds: vec![Kind::SynFlood, Kind::Dga], ..base() }, 20),
        (IncidentSelection { kinds: vec![Kind::Dga], ..base() }, 0),
        (IncidentSelection { severities: vec![Severity::High], ..base() }, 20),
        (IncidentSelection { severities: vec![Severity::Low], ..base() }, 0),
        (IncidentSelection { states: vec![IncidentState::New], ..base() }, 20),
        (IncidentSelection { states: vec![IncidentState::Seen], ..base() }, 0),
        (IncidentSelection { phases: vec![IncidentPhase::Closed], ..base() }, 20),
        (IncidentSelection { sensor: Some(SensorId(1)), ..base() }, 20),
        (IncidentSelection { sensor: Some(SensorId(2)), ..base() }, 0),
        // Incident n has messages from second 3n - 2 to 3n.
        (IncidentSelection { since: time(58), ..base() }, 1),
        (IncidentSelection { since: time(57), ..base() }, 2),
        (IncidentSelection { until: time(4), ..base() }, 1),
        (IncidentSelection { since: time(10), until: time(16), ..base() }, 2),
        (words(&["flood", "10.0.7.1"]), 1),
        (words(&["syn", "closed", "high"]), 20),
        (words(&["10.0.7."]), 1),
        (words(&["nothing"]), 0),
    ] {
        let page = search(&connection, selection.clone());
        assert_eq!((page.incidents.len(), page.next, page.is_partial), (count, None, false), "{selection:?}");
        assert_eq!(page.reached, Some(Timestamp::from_parts(99, 0)));
    }
}

/// A store of the version before, with alerts: made by its own steps. An upgrade that is interrupted goes on where it was.
#[test]
fn alerts_of_an_older_store_become_incidents() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut old = schema::open_version(&path, &key(), 5);
    old.execute("INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (zeroblob(32), 'a', 0)", [])
        .unwrap();
    let of = |seq: u64| message(seq, u32::try_from(seq.div_ceil(2)).unwrap(), Phase::Update);
    deliver(&mut old, (1..=300).map(of).collect());
    drop(old);
    let mut opened = open(&path);
    let first = batch::read(&opened, 100).unwrap().unwrap();
    let transaction = opened.transaction().unwrap();
    assert!(apply::apply(&transaction, &first).unwrap());
    transaction.commit().unwrap();
    let lost = batch::read(&opened, 100).unwrap().unwrap();
    let transaction = opened.transaction().unwrap();
    assert!(apply::apply(&transaction, &lost).unwrap());
    transaction.rollback().unwrap(); // as by a crash
    drop(opened);
    let mut opened = open(&path);
    deliver(&mut opened, vec![message(301, 1, Phase::Close)]);
    consume(&mut opened, 100);
    let rows = all(&opened);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=150).rev().collect::<Vec<_>>());
    assert_eq!(rows.iter().map(|row| row.messages).sum::<u64>(), 301);
    assert!(
        matches!(schema::open_known(&path, &key(), 5), Err(StoreError::NewerSchema(8))),
        "an older program"
    );
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A power cut takes the end of the write-ahead log: wherever it is cut, incidents and position agree, and the consumer goes on.
#[test]
fn a_power_cut_at_any_point_leaves_incidents_and_position_in_agreement() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut connection = open(&path);
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let of = |seq: u64| message(seq, u32::try_from(seq.div_ceil(3)).unwrap(), Phase::Update);
    for first in (1..400_u64).step_by(20) {
        deliver(&mut connection, (first..first + 20).map(of).collect());
        if let Some(batch) = batch::read(&connection, 17).unwrap() {
            let transaction = connection.transaction().unwrap();
            apply::apply(&transaction, &batch).unwrap();
            transaction.commit().unwrap();
        }
        let seen = request(&[1, 2], Some(IncidentState::Seen), None);
        change::change(&connection, &seen).unwrap();
    }
    let (file, log) =
        (std::fs::read(&path).unwrap(), std::fs::read(directory.path().join("db-wal")).unwrap());
    let (mut behind, mut lengths) = (0, std::collections::BTreeSet::new());
    for cut in 0..=40 {
        let cut_directory = tempfile::tempdir().unwrap();
        let path = cut_directory.path().join("db");
        std::fs::write(&path, &file).unwrap();
        // Inside of a frame as well as at its end.
        let length = log.len() * cut / 40;
        std::fs::write(cut_directory.path().join("db-wal"), log.get(..length - length % 7).unwrap()).unwrap();
        let Ok(mut cut) = schema::open_known(&path, &key(), 8) else { continue }; // before the tables were made
        if number(&cut, "SELECT count(*) FROM sensors") == 0 {
            continue;
        }
        let position = batch::position(&cut).unwrap();
        let taken = number(&cut, &format!("SELECT count(*) FROM alerts WHERE id <= {position}"));
        assert_eq!(number(&cut, "SELECT coalesce(sum(messages), 0) FROM incidents"), taken);
        assert_eq!(number(&cut, "SELECT count(*) FROM incident_messages"), taken);
        let stored = number(&cut, "SELECT count(*) FROM alerts");
        behind += i64::from(stored > taken);
        lengths.insert(stored);
        consume(&mut cut, 50);
        assert_eq!(number(&cut, "SELECT coalesce(sum(messages), 0) FROM incidents"), stored);
        assert_eq!(number(&cut, "SELECT count(*) FROM incidents"), (stored + 2) / 3);
    }
    assert!(behind > 5 && lengths.len() > 10, "{behind} cuts between an alert and its incident, {lengths:?}");
}

/// Filters of alerts that have no index any more, in blocks that the consumer has written and in what it has not taken yet.
#[test]
fn alerts_are_found_before_and_behind_the_position_of_the_consumer() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    // Three blocks, of which the second has no high alert.
    let of = |seq: u64| {
        let severity = if (4_096..8_192).contains(&seq) { Severity::Low } else { Severity::High };
        let (id, alert) = message(seq, 1, Phase::Update);
        (id, Alert { severity, ..alert })
    };
    for first in (1..12_000_u64).step_by(1_000) {
        deliver(&mut connection, (first..first + 1_000).map(of).collect());
    }
    let selected = |connection: &Connection, position, severities: &[Severity], since: Option<u64>| {
        let since = since.map(|second| Timestamp::from_parts(second, 0));
        let selection = AlertSelection {
            position,
            severities: severities.to_vec(),
            since,
            limit: 3_000,
            ..AlertSelection::default()
        };
        let rows =
            alerts::query::select(connection, &AlertQuery { sensor: None, among: None, selection }).unwrap();
        rows.iter().map(AlertRow::id).collect::<Vec<_>>()
    };
    let mut whole = None;
    for taken in [0, 5_000, 8_191, 12_000] {
        while batch::position(&connection).unwrap() < taken {
            let batch = batch::read(&connection, 1_000).unwrap().unwrap();
            apply::apply(&connection, &batch).unwrap();
        }
        let results = [
            selected(&connection, AlertPosition::Newest, &[Severity::Low], None),
            selected(&connection, AlertPosition::Before(9_000), &[Severity::High], None),
            selected(&connection, AlertPosition::After(3_000), &[Severity::High], None),
            selected(&connection, AlertPosition::Newest, &[], Some(11_000)),
            selected(&connection, AlertPosition::After(0), &[Severity::Critical], None),
        ];
        assert_eq!(results[0][..2], [8_191, 8_190]);
        assert_eq!(results[1], (8_192..9_000).rev().chain((1_904..4_096).rev()).collect::<Vec<_>>());
        assert_eq!(results[2], (3_001..4_096).chain(8_192..10_097).collect::<Vec<_>>());
        assert_eq!((results[3].len(), results[4].len()), (1_001, 0));
        assert_eq!(*whole.get_or_insert_with(|| results.clone()), results, "{taken}");
    }
}

/// "No alert matches" was said of what the page had, not of what is stored.
#[test]
fn each_of_ten_thousand_incidents_is_found_by_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    for first in (1..=10_000_u64).step_by(1_000) {
        deliver(&mut connection, (first..first + 1_000).map(of_source).collect());
    }
    consume(&mut connection, 512);
    // A network with so many is looked up by incident.
    for (network, count) in [("10.1.0.0/16", 1_000), ("10.1.2.0/24", 256), ("10.1.39.0/28", 16)] {
        let source = Some(network.parse().unwrap());
        let page = search(&connection, IncidentSelection { source, ..IncidentSelection::default() });
        assert_eq!(page.incidents.len(), count, "{network}");
    }
    for seq in 1..=10_000_u32 {
        let source = Some(format!("10.1.{}.{}", seq >> 8, seq & 255).parse().unwrap());
        let page = search(&connection, IncidentSelection { source, ..IncidentSelection::default() });
        assert_eq!(page.incidents.iter().map(|row| row.number).collect::<Vec<_>>(), [seq]);
    }
}

fn of_source(seq: u64) -> (AlertId, Alert) {
    let number = u32::try_from(seq).unwrap();
    let subject = Subject { source: Some(Address::v4(0x0a01_0000 | number)), ..Subject::default() };
    (AlertId { boot: 3, seq }, Alert { incident: number, subject, ..alert(seq) })
}

#[test]
fn an_interrupted_search_says_how_far_it_got_and_goes_on_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = filled(&directory.path().join("db"), 600);
    let words = vec![IncidentWord::Text("nothing".into())];
    let selection = IncidentSelection { words, limit: 10, ..IncidentSelection::default() };
    // Interrupted after ever more work, until nothing is: each page goes on where the one before ended.
    let mut partial = 0;
    let mut before = None;
    for looks in 1.. {
        let mut left = looks * 20;
        let interrupt = move || {
            left -= 1;
            left == 0
        };
        connection.progress_handler(10, Some(interrupt)).unwrap();
        let selected = query::select(&connection, &IncidentSelection { before, ..selection.clone() });
        connection.progress_handler(0, None::<fn() -> bool>).unwrap();
        let Ok(page) = selected else { continue }; // before the search itself
        assert_eq!(page.is_partial, page.next.is_some());
        assert!(page.next.is_none_or(|next| next <= before.unwrap_or(i64::MAX)));
        partial += u32::from(page.is_partial);
        if page.next.is_none() {
            break;
        }
        before = page.next;
    }
    assert!(partial > 3, "{partial}");
    assert!(before.is_some_and(|before| before <= 600), "{before:?}: none got further");
}

fn request(ids: &[i64], state: Option<IncidentState>, note: Option<&str>) -> ChangeRequest {
    let note = note.map(str::to_owned);
    ChangeRequest {
        incidents: ids.to_vec(),
        state,
        note,
        by: "ann".into(),
        at: now(),
        revision: None,
        key: None,
        among: None,
        audit: None,
    }
}

#[test]
fn changes_are_kept_with_who_and_when_and_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let connection = filled(&directory.path().join("db"), 3);
    let seen = request(&[1, 99, 1, 2], Some(IncidentState::Seen), None);
    assert_eq!(change::change(&connection, &seen).unwrap(), ChangeOutcome::Changed(vec![1, 2]));
    let keyed = ChangeRequest { key: Some("k".into()), ..request(&[1], None, Some("the backup")) };
    for _ in 0..2 {
        assert_eq!(change::change(&connection, &keyed).unwrap(), ChangeOutcome::Changed(vec![1]));
    }
    let row = detail::find(&connection, 1).unwrap().unwrap();
    assert_eq!((row.state, row.revision, row.notes), (IncidentState::Seen, 2, 1));
    assert_eq!(row.state_set.unwrap().0, "ann");
    let history = change::history(&connection, 1).unwrap();
    let shown: Vec<_> = history.iter().map(|change| (change.state, change.note.as_deref())).collect();
    assert_eq!(shown, [(Some(IncidentState::Seen), None), (None, Some("the backup"))]);
    let stale = ChangeRequest { revision: Some(1), ..request(&[1], Some(IncidentState::Resolved), None) };
    assert_eq!(change::change(&connection, &stale).unwrap(), ChangeOutcome::Revision(2));
    assert_eq!(change::history(&connection, 1).unwrap().len(), 2);
    let page = search(
        &connection,
        IncidentSelection { states: vec![IncidentState::Seen], ..IncidentSelection::default() },
    );
    assert_eq!(ids(&page), [2, 1]);
}

#[test]
fn the_changes_of_one_incident_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let connection = filled(&directory.path().join("db"), 1);
    let note = request(&[1], None, Some("again"));
    for _ in 0..change::MAX_CHANGES {
        assert_eq!(change::change(&connection, &note).unwrap(), ChangeOutcome::Changed(vec![1]));
    }
    assert_eq!(change::change(&connection, &note).unwrap(), ChangeOutcome::Full(1));
}

#[test]
fn a_higher_severity_makes_a_dismissed_incident_new_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = filled(&directory.path().join("db"), 1);
    let dismissed = request(&[1], Some(IncidentState::FalseAlarm), None);
    change::change(&connection, &dismissed).unwrap();
    for (seq, severity, state) in [
        (50, Severity::Low, IncidentState::FalseAlarm),
        (51, Severity::High, IncidentState::FalseAlarm),
        (52, Severity::Critical, IncidentState::New),
    ] {
        let (id, alert) = message(seq, 1, Phase::Update);
        deliver(&mut connection, vec![(id, Alert { severity, ..alert })]);
        consume(&mut connection, 100);
        assert_eq!(all(&connection)[0].state, state, "{severity}");
    }
    let last = change::history(&connection, 1).unwrap().pop().unwrap();
    assert_eq!(
        (&*last.by, last.note.as_deref()),
        ("sentinel-collector", Some("severity rose from high to critical"))
    );
}

#[test]
fn a_row_that_cannot_be_decoded_is_counted_and_does_not_stop_the_consumer() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = open(&directory.path().join("db"));
    deliver(&mut connection, (1..=3).map(|seq| message(seq, 1, Phase::Open)).collect());
    connection.execute("UPDATE alerts SET wire = x'ff00ff' WHERE seq = 2", []).unwrap();
    consume(&mut connection, 1);
    assert_eq!(all(&connection)[0].messages, 2);
    let skipped: i64 = connection.query_row("SELECT skipped FROM consumers", [], |row| row.get(0)).unwrap();
    assert_eq!(skipped, 1);
}

/// The index that each statement uses, so that a search does not read the whole table by accident.
#[test]
fn rare_values_are_found_by_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let connection = filled(&directory.path().join("db"), 1);
    let base = IncidentSelection::default;
    for (selection, index) in [
        (IncidentSelection { kinds: vec![Kind::Dga], ..base() }, "incidents_by_kind"),
        (IncidentSelection { sensor: Some(SensorId(1)), ..base() }, "incidents_by_sensor"),
        (IncidentSelection { severities: vec![Severity::Low], ..base() }, "incidents_by_severity"),
        (IncidentSelection { states: vec![IncidentState::Seen], ..base() }, "incidents_by_state"),
        (
            IncidentSelection { source: Some("10.0.0.1".parse().unwrap()), ..base() },
            "incident_addresses_by_address (role=? AND address=? AND incident>?",
        ),
    ] {
        let plan = query::plan(&connection, &selection);
        assert!(plan.contains(index), "{selection:?}: {plan}");
    }
}
