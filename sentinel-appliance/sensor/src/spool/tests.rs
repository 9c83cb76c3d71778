//! The spool over real files in a directory of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sentinel_alert::testing::sample;
use sentinel_alert::{Evidence, Phase, Subject, Test};
use sentinel_uplink::{EndCause, PROTOCOL_VERSION};
use tempfile::TempDir;

use super::deliver::DELIVERED_INTERVAL;
use super::*;

mod daily_limit;
mod fault;
mod forward_security;
mod repair;

const NOW: Uptime = Uptime::ZERO;

struct Place {
    _directory: TempDir,
    settings: Settings,
}

/// Three segments of 16 KiB, which wrap after a few thousand alerts.
fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        state_dir: directory.path().join("state"),
        run_dir: directory.path().join("run"),
        log_segment_kib: 16,
        log_segments: 3,
        log_daily_kib: 0,
        alert_daily_messages: 0,
        ..Settings::default()
    };
    for directory in [&settings.state_dir, &settings.run_dir] {
        std::fs::create_dir_all(directory).unwrap();
    }
    Place { _directory: directory, settings }
}

impl Place {
    fn open(&self) -> Spool {
        Spool::open(&self.settings, &keys::log_key(&self.settings.state_dir).unwrap()).unwrap().0
    }
}

fn alert(number: u32, severity: Severity) -> Alert {
    Alert {
        time: Timestamp::from_parts(1_700_000_000 + u64::from(number), 0),
        test: Test::SynFloodPerSource,
        severity,
        // Closing alerts, so that a kill leaves no incident open.
        phase: Phase::Close,
        incident: number,
        // Spread over all bits, so that the records hardly compress and the ring wraps.
        subject: Subject {
            source: Some(sentinel_units::Address::v4(number.wrapping_mul(0x9e37_79b1))),
            destination: Some(sentinel_units::Address::v4(number.wrapping_mul(0x85eb_ca6b))),
            ..Subject::default()
        },
        evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
        ..sample()
    }
}

/// Ids of the unsent alerts in sending order, and the sum of the unsent gaps.
fn unsent(spool: &mut Spool) -> (Vec<AlertId>, u64) {
    let (mut ids, mut lost) = (Vec::new(), 0);
    spool.unsent(|_, item| {
        match item {
            Item::Alert(id, _) => ids.push(id),
            Item::Gap(gap) => lost += gap.lost(),
            Item::End(_) => {}
        }
        true
    });
    (ids, lost)
}

/// Sends everything unsent as one message and lets the collector acknowledge it.
fn deliver_all(spool: &mut Spool) -> Option<AlertId> {
    let (mut last, mut records, boot) = (None, None, spool.boot());
    spool.unsent(|record, item| {
        last = Some(match &item {
            Item::Alert(id, _) => *id,
            Item::Gap(gap) => gap.last(),
            Item::End(end) => end.last(),
        });
        SentRecords::add(&mut records, record, &item, boot);
        true
    });
    let id = last?;
    assert!(spool.sent(id, records?, NOW).is_ok());
    spool.acked(id);
    Some(id)
}

#[test]
fn alerts_survive_a_killed_program_with_their_numbers() {
    let place = place();
    let mut spool = place.open();
    let boot = spool.boot();
    for number in 1..=5 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    drop(spool); // no flush, as after kill -9
    let mut spool = place.open();
    assert_ne!(spool.boot(), boot);
    assert_eq!(spool.books().waiting, 5);
    spool.enqueue(&alert(6, Severity::Medium), NOW);
    let expected: Vec<AlertId> =
        (1..=5).map(|seq| AlertId { boot, seq }).chain([AlertId { boot: spool.boot(), seq: 1 }]).collect();
    assert_eq!(unsent(&mut spool), (expected, 0));
}

#[test]
fn after_a_restart_delivery_continues_after_the_last_alert_of_the_collector() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=3 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    let acked = deliver_all(&mut spool);
    spool.enqueue(&alert(4, Severity::Medium), NOW);
    assert_eq!(spool.books().waiting, 1);
    let boot = spool.boot();
    drop(spool);
    let mut spool = place.open();
    spool.welcome(acked, PROTOCOL_VERSION);
    assert_eq!(unsent(&mut spool), (vec![AlertId { boot, seq: 4 }], 0));
    assert_eq!(spool.books().waiting, 1);
}

/// Enqueued alerts are unsent or counted as lost, and the least severe are evicted first.
#[test]
fn a_full_spool_drops_the_least_severe_and_counts_them() {
    let place = place();
    let mut spool = place.open();
    let mut severe = BTreeSet::new();
    let mut copies_of = BTreeMap::new();
    for number in 1..=6_000 {
        // One in a hundred is severe.
        let severity = if number % 100 == 0 { Severity::High } else { Severity::Low };
        spool.enqueue(&alert(number, severity), NOW);
        if severity == Severity::High {
            severe.insert(u64::from(number));
        }
    }
    let counts = spool.counts();
    assert_eq!((counts.enqueued, counts.lost_storage, counts.lost_queue), (6_000, 0, 0));
    assert!(counts.lost_full > 0 && counts.relocated > 0, "{counts:?}");
    let (ids, lost) = unsent(&mut spool);
    for id in &ids {
        *copies_of.entry(id.seq).or_insert(0) += 1;
    }
    assert!(copies_of.values().all(|copies| *copies == 1), "no alert is unsent twice");
    // Gap records are overwritten as well in the end; the counter still has their alerts.
    assert!(lost <= counts.lost_full);
    assert_eq!(u64::try_from(copies_of.len()).unwrap() + counts.lost_full, 6_000);
    let survived = severe.iter().filter(|seq| copies_of.contains_key(seq)).count();
    assert_eq!(survived, severe.len(), "all severe ones are still there");
}

#[test]
fn delivered_alerts_are_neither_relocated_nor_counted_as_lost() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=6_000 {
        spool.enqueue(&alert(number, Severity::High), NOW);
        if number % 50 == 0 {
            deliver_all(&mut spool);
        }
    }
    let counts = spool.counts();
    assert_eq!((counts.relocated, counts.lost_full), (0, 0), "{counts:?}");
    assert_eq!((spool.books().delivered, spool.books().waiting), (6_000, 0));
    assert!(spool.log().stats().overwritten > 0, "the ring has wrapped");
}

/// The acknowledgement of an alert is lost, rotation relocates the alert, and the program is killed. The next welcome names
/// that alert: the records before its relocated copy must still be sent.
#[test]
fn a_relocated_copy_does_not_acknowledge_the_records_before_it() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    spool.enqueue(&alert(1, Severity::High), NOW);
    let boot = spool.boot();
    spool.delivery().disconnected();
    for number in 2..=4_000 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    assert!(spool.counts().relocated > 0);
    drop(spool);
    let mut spool = place.open();
    let waiting = spool.books().waiting;
    spool.welcome(Some(AlertId { boot, seq: 1 }), PROTOCOL_VERSION);
    assert_eq!(spool.books().waiting, waiting, "nothing counts as delivered");
}

#[test]
fn alerts_lost_before_they_were_numbered_become_a_gap() {
    let place = place();
    let mut spool = place.open();
    spool.enqueue(&alert(1, Severity::Medium), NOW);
    spool.record_queue_overflow([0, 2, 0, 1, 0]);
    spool.enqueue(&alert(2, Severity::Medium), NOW);
    let (ids, lost) = unsent(&mut spool);
    assert_eq!(ids.iter().map(|id| id.seq).collect::<Vec<_>>(), [1, 5]);
    assert_eq!((lost, spool.counts().lost_queue), (3, 3));
}

#[test]
fn only_severe_alerts_are_flushed_at_once_and_only_within_the_daily_limit() {
    let mut place = place();
    place.settings.log_daily_kib = 64;
    let mut spool = place.open();
    let at_start = spool.log().stats().main_bytes;
    spool.enqueue(&alert(1, Severity::High), NOW);
    assert_eq!(spool.log().stats().main_bytes, at_start);
    spool.enqueue(&alert(2, Severity::Critical), NOW);
    assert!(spool.log().stats().main_bytes > at_start);
    for number in 3..=40 {
        spool.enqueue(&alert(number, Severity::Critical), NOW);
    }
    let stats = spool.log().stats();
    assert!(spool.counts().deferred > 0);
    assert!(stats.main_bytes <= 64 * 1024, "{} bytes in a day", stats.main_bytes);
    spool.enqueue(&alert(41, Severity::Critical), NOW.after(Duration::from_secs(25 * 3_600)));
    assert!(spool.log().stats().main_bytes > stats.main_bytes, "the next day has its own budget");
}

#[test]
fn two_sensors_do_not_share_a_log() {
    let place = place();
    let spool = place.open();
    let second = Spool::open(&place.settings, &keys::log_key(&place.settings.state_dir).unwrap());
    let refused = second.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("another sensor uses this directory"), "{refused}");
    drop(spool);
    place.open();
}

/// After a restart all records counted as undelivered until the first welcome.
#[test]
fn a_restart_keeps_the_state_of_delivery() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=500 {
        spool.enqueue(&alert(number, Severity::High), NOW);
    }
    deliver_all(&mut spool);
    spool.flush(); // at the end of the program
    drop(spool);
    let mut spool = place.open();
    assert_eq!((spool.books().waiting, unsent(&mut spool).0.len()), (0, 0));
    for number in 1..=6_000 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    let boot = spool.boot();
    let (ids, lost) = unsent(&mut spool);
    assert!(spool.log().stats().overwritten > 500, "the ring has wrapped");
    assert!(ids.iter().all(|id| id.boot == boot), "nothing delivered is sent again");
    assert_eq!((u64::try_from(ids.len()).unwrap() + lost, lost), (6_000, spool.counts().lost_full));
}

#[test]
fn a_killed_program_keeps_the_state_of_delivery_to_the_minute() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    let later = |seconds| NOW.after(Duration::from_secs(seconds));
    for minute in 1..=3 {
        spool.enqueue(&alert(minute, Severity::Low), NOW);
        spool.note_delivered(later(u64::from(minute) * 60));
        let before = spool.log().stats().appended;
        deliver_all(&mut spool);
        for second in 0..59 {
            spool.note_delivered(later(u64::from(minute) * 60 + second));
        }
        assert_eq!(spool.log().stats().appended - before, 1, "one record in a minute");
    }
    spool.enqueue(&alert(9, Severity::Low), NOW);
    deliver_all(&mut spool);
    let boot = spool.boot();
    drop(spool); // as after kill -9
    let mut spool = place.open();
    assert_eq!(unsent(&mut spool).0, [AlertId { boot, seq: 4 }], "what came within the minute is sent again");
}

/// A power cut lets record numbers be assigned again. A record of delivery about the lost records must not apply to the
/// new ones.
#[test]
fn a_power_cut_does_not_make_new_alerts_count_as_delivered() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    spool.enqueue(&alert(1, Severity::Low), NOW);
    spool.flush();
    for number in 2..=50 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    deliver_all(&mut spool);
    spool.note_delivered(NOW.after(DELIVERED_INTERVAL));
    drop(spool);
    std::fs::write(place.settings.run_dir.join(JOURNAL_FILE), []).unwrap();
    let mut spool = place.open();
    for number in 1..=100 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    assert_eq!((spool.books().waiting, unsent(&mut spool).0.len()), (101, 101));
    drop(spool);
    assert_eq!(place.open().books().waiting, 101);
}

#[test]
fn a_record_of_delivery_about_unwritten_records_is_ignored() {
    let place = place();
    let mut spool = place.open();
    for number in 1..=3 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    let own_number = spool.log().next_id().0;
    assert!(spool.append(&Record::Delivered { before: own_number + 1 }).is_ok());
    drop(spool);
    assert_eq!(place.open().books().waiting, 3);
}

/// The log records what the old collector acknowledged; a new one has none of these alerts.
#[test]
fn a_collector_without_alerts_gets_the_complete_log() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=3 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    deliver_all(&mut spool);
    spool.flush();
    drop(spool);
    let mut spool = place.open();
    assert_eq!(spool.books().waiting, 0);
    spool.welcome(None, PROTOCOL_VERSION);
    assert_eq!((spool.books().waiting, unsent(&mut spool).0.len()), (3, 3));
    spool.flush();
    drop(spool);
    assert_eq!(place.open().books().waiting, 3, "the log has the new state");
}

/// The key that the log advanced by itself was not stored, and a key that could not be stored was not tried again.
#[test]
fn the_key_in_the_state_directory_follows_the_ring() {
    let place = place();
    let mut spool = place.open();
    let stored = || keys::log_key(&place.settings.state_dir).unwrap().epoch();
    let mut number = 0;
    let mut wrap_ring = |spool: &mut Spool| {
        for _ in 0..2_000 {
            number += 1;
            spool.enqueue(&alert(number, Severity::Low), NOW);
        }
        spool.flush();
    };
    wrap_ring(&mut spool);
    assert!(spool.log().key().epoch() > 0, "the ring has wrapped");
    assert_eq!(stored(), spool.log().key().epoch());

    // A directory with the name of the new file: storing the key fails.
    let obstacle = place.settings.state_dir.join("log.new");
    std::fs::create_dir(&obstacle).unwrap();
    let before = stored();
    wrap_ring(&mut spool);
    assert!(spool.last_error().unwrap().contains("log.key"), "{:?}", spool.last_error());
    assert_eq!(stored(), before);
    std::fs::remove_dir(&obstacle).unwrap();
    spool.enqueue(&alert(number + 1, Severity::Critical), NOW); // flushes without a rotation
    assert_eq!((stored(), spool.last_error()), (spool.log().key().epoch(), None));
    let waiting = spool.books().waiting;
    drop(spool);
    // Kept, not waiting: the records of this start may need a segment, and then the oldest alerts of a full ring are lost.
    assert_eq!(place.open().books().kept, waiting, "the stored key opens all of it");
}

#[test]
fn the_runs_in_the_log_are_found() {
    let place = place();
    let mut runs = Vec::new();
    for number in 1..=3 {
        let mut spool = place.open();
        spool.enqueue(&alert(number, Severity::Low), NOW);
        spool.record_queue_overflow([1, 0, 0, 0, 0]);
        runs.push(spool.boot());
    }
    assert_eq!(survey(&mut place.open().log).boots[..3], runs);
}

/// Telemetry held the number of waiting alerts in the field for their bytes.
#[test]
fn the_waiting_bytes_are_those_of_the_records() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    let others = spool.log().stats().appended_bytes;
    for number in 1..=50 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    let bytes = spool.log().stats().appended_bytes - others;
    assert_eq!((spool.books().waiting, spool.waiting_bytes()), (50, bytes));
    drop(spool);
    let mut spool = place.open();
    // With the end of the run before.
    assert!((bytes + 4..bytes + 12).contains(&spool.waiting_bytes()), "after a restart too");
    spool.welcome(None, PROTOCOL_VERSION);
    deliver_all(&mut spool);
    assert_eq!(spool.waiting_bytes(), 0);
    let mut waiting = Backlog { own: 1, earlier: 2, others: 1, bytes: 102 };
    waiting.remove(&Backlog { earlier: 1, ..Backlog::default() });
    assert_eq!((waiting.items(), waiting.bytes), (3, 76));
    waiting.remove(&Backlog { own: 9, earlier: 9, others: 9, bytes: 0 });
    assert_eq!((waiting.items(), waiting.bytes), (0, 0));
}

/// Storage on which every write fails with ENOSPC, and which reads as blank.
fn full() -> FileStorage {
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    FileStorage::from(device)
}

impl Place {
    fn open_on(&self, main: FileStorage, journal: FileStorage) -> Spool {
        let key = keys::log_key(&self.settings.state_dir).unwrap();
        Spool::open_on(main, journal, &self.settings, key).unwrap().0
    }

    fn file(&self, name: &str) -> FileStorage {
        FileStorage::create(&self.settings.run_dir.join(name)).unwrap()
    }
}

/// Without backoff every alert repeated the write, and wrote up to two pages each time.
#[test]
fn a_full_disk_is_retried_with_backoff_and_not_for_each_alert() {
    let place = place();
    let mut spool = place.open_on(full(), place.file(JOURNAL_FILE));
    let later = |seconds| NOW.after(Duration::from_secs(seconds));
    let mut number = 0;
    let mut attempts = |spool: &mut Spool, severity, count, seconds| {
        let before = spool.log().stats().write_errors;
        for _ in 0..count {
            number += 1;
            spool.enqueue(&alert(number, severity), later(seconds));
        }
        spool.log().stats().write_errors - before
    };
    // The start record was tried at the same time.
    assert_eq!(attempts(&mut spool, Severity::Critical, 50, 0), 0);
    assert!(spool.last_error().unwrap().contains("No space left"), "{:?}", spool.last_error());
    let by_second = (1..=9).map(|second| attempts(&mut spool, Severity::Critical, 3, second));
    assert_eq!(by_second.collect::<Vec<_>>(), [1, 0, 1, 0, 0, 0, 1, 0, 0]);
    assert_eq!(unsent(&mut spool).0.len(), 77, "all of them are in memory");

    // Memory is full: further alerts are lost and counted.
    assert_eq!(attempts(&mut spool, Severity::Low, 2_000, 10), 0);
    let counts = spool.counts();
    assert!(counts.lost_storage > 500, "{counts:?}");
    assert_eq!((counts.enqueued, counts.lost_full), (counts.stored + counts.lost_storage, 0));
    assert_eq!(unsent(&mut spool).0.len(), usize::try_from(counts.stored).unwrap());
    let before = spool.log().stats();
    spool.tick(later(14));
    assert_eq!(spool.log().stats().main_bytes, before.main_bytes, "not yet");
    spool.tick(later(15));
    assert_eq!(spool.log().stats().write_errors, before.write_errors + 1, "without an alert");
    assert!(spool.last_error().unwrap().contains("No space left"), "{:?}", spool.last_error());
}

/// With a full disk and a collector that takes everything, memory filled with delivered records, and alerts were lost.
#[test]
fn a_full_disk_loses_nothing_that_is_delivered() {
    let place = place();
    let mut spool = place.open_on(full(), place.file(JOURNAL_FILE));
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=6_000 {
        spool.enqueue(
            &alert(number, Severity::Medium),
            NOW.after(Duration::from_millis(u64::from(number) * 10)),
        );
        if number % 10 == 0 {
            deliver_all(&mut spool);
        }
    }
    let books = spool.books();
    assert_eq!((books.raised, books.delivered, books.lost), (6_000, 6_000, 0));
    assert!(spool.counts().dropped > 1_000);
}

#[test]
fn a_full_ram_disk_is_retried_with_backoff() {
    let place = place();
    let mut spool = place.open_on(place.file(MAIN_FILE), full());
    for number in 1..=50 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    assert_eq!(spool.log().stats().write_errors, 2, "with the start record, and with its flush");
    spool.enqueue(&alert(51, Severity::Low), NOW.after(Duration::from_secs(1)));
    spool.enqueue(&alert(52, Severity::Low), NOW.after(Duration::from_secs(2)));
    assert_eq!(spool.log().stats().write_errors, 3);
    assert!(spool.last_error().unwrap().contains("No space left"), "{:?}", spool.last_error());
    assert_eq!((unsent(&mut spool).0.len(), spool.counts().lost_storage), (52, 0));
}

/// Report of the next run about the one before it: cause and next number.
fn told(place: &Place) -> (EndCause, u64) {
    let mut ends = Vec::new();
    place.open().unsent(|_, item| {
        if let Item::End(end) = item {
            ends.push((end.cause, end.next_seq));
        }
        true
    });
    assert_eq!(ends.len(), 1, "{ends:?}");
    ends[0]
}

fn cut_power(place: &Place) {
    std::fs::write(place.settings.run_dir.join(JOURNAL_FILE), []).unwrap();
}

/// Power cuts took alerts that were only in the journal, and nothing said so.
#[test]
fn a_power_cut_is_told_with_the_first_number_that_may_be_lost() {
    let place = place();
    let mut spool = place.open();
    for number in 1..=50 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    spool.flush();
    for number in 51..=100 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    drop(spool);
    cut_power(&place);
    assert_eq!(told(&place), (EndCause::PowerLost, 51));
}

#[test]
fn a_run_without_any_alert_on_flash_is_told_as_well() {
    let place = place();
    let mut spool = place.open();
    spool.enqueue(&alert(1, Severity::Medium), NOW);
    drop(spool);
    cut_power(&place);
    assert_eq!(told(&place), (EndCause::PowerLost, 1));
}

#[test]
fn a_stopped_run_is_told_and_a_power_cut_afterwards_changes_nothing() {
    let place = place();
    let mut spool = place.open();
    for number in 1..=7 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    spool.end_run(EndCause::Stopped);
    spool.flush();
    drop(spool);
    cut_power(&place);
    assert_eq!(told(&place), (EndCause::Stopped, 8));
}

/// A killed program left its incidents open for ever.
#[test]
fn a_killed_run_is_complete_and_its_incidents_are_closed() {
    let place = place();
    let mut spool = place.open();
    let boot = spool.boot();
    for (incident, phase) in [(1, Phase::Open), (2, Phase::Open), (1, Phase::Update), (2, Phase::Close)] {
        spool.enqueue(&Alert { phase, suppressed: 3, ..alert(incident, Severity::Medium) }, NOW);
    }
    drop(spool);
    let mut spool = place.open();
    assert_eq!(spool.previous_end().map(|end| (end.cause, end.next_seq)), Some((EndCause::Killed, 6)));
    let mut closing = Vec::new();
    spool.unsent(|_, item| {
        if let Item::Alert(id, alert) = item
            && alert.phase == Phase::Close
        {
            closing.push((id, alert.incident, alert.suppressed));
        }
        true
    });
    assert_eq!(closing, [(AlertId { boot, seq: 4 }, 2, 3), (AlertId { boot, seq: 5 }, 1, 0)]);
    // Killed again before anything was delivered: nothing more is closed, and the end is told once.
    drop(spool);
    assert_eq!(unsent(&mut place.open()).0.len(), 5);
}

#[test]
fn a_collector_of_version_1_gets_no_end_of_a_run_and_does_not_wait_for_it() {
    let place = place();
    let mut spool = place.open();
    spool.enqueue(&alert(1, Severity::Medium), NOW);
    drop(spool);
    let mut spool = place.open();
    spool.welcome(None, 1);
    let mut items = 0;
    spool.unsent(|_, item| {
        items += 1;
        matches!(item, Item::Alert(..))
    });
    assert_eq!((items, spool.waiting_items()), (1, 1));
    deliver_all(&mut spool);
    assert_eq!(spool.waiting_items(), 0);
}

/// The records of the status did not add up after a restart.
#[test]
fn the_books_balance_over_restarts() {
    let place = place();
    let check = |spool: &Spool| {
        let books = spool.books();
        assert_eq!(books.raised + books.kept, books.delivered + books.waiting + books.lost, "{books:?}");
        assert_eq!(books.kept, books.earlier_delivered() + books.earlier_waiting + books.earlier_lost);
        books
    };
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=20 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    let acked = deliver_all(&mut spool);
    spool.record_queue_overflow([3, 0, 0, 0, 0]);
    for number in 21..=26 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
    }
    let books = check(&spool);
    assert_eq!((books.raised, books.delivered, books.waiting, books.lost), (29, 20, 6, 3));
    spool.end_run(EndCause::Stopped);
    spool.flush();
    drop(spool);

    let mut spool = place.open();
    spool.enqueue(&alert(1, Severity::Medium), NOW);
    let books = check(&spool);
    assert_eq!((books.raised, books.kept, books.waiting, books.earlier_waiting), (1, 6, 7, 6));
    spool.welcome(acked, PROTOCOL_VERSION);
    check(&spool);
    deliver_all(&mut spool);
    let books = check(&spool);
    assert_eq!((books.delivered, books.earlier_delivered(), books.waiting), (7, 6, 0));
    for number in 1..=6_000 {
        spool.enqueue(&alert(number, if number % 40 == 0 { Severity::High } else { Severity::Low }), NOW);
        if number % 4_000 == 0 {
            deliver_all(&mut spool);
        }
        check(&spool);
    }
    assert!(spool.counts().lost_full > 0);
    assert_eq!(spool.books().waiting, u64::try_from(unsent(&mut spool).0.len()).unwrap());
}

/// An alert that was relocated while its message was in flight was counted twice.
#[test]
fn the_books_balance_when_rotation_meets_messages_in_flight() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=30 {
        spool.enqueue(&alert(number, Severity::High), NOW);
    }
    // Three messages of ten alerts each.
    let mut acks = Vec::new();
    for _ in 0..3 {
        let (mut last, mut records, boot) = (None, None, spool.boot());
        spool.unsent(|record, item| {
            let Item::Alert(id, _) = &item else { return true };
            last = Some(*id);
            SentRecords::add(&mut records, record, &item, boot);
            id.seq % 10 != 0
        });
        spool.sent(last.unwrap(), records.unwrap(), NOW).unwrap();
        acks.push(last.unwrap());
    }
    for number in 31..=3_000 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    assert!(spool.counts().relocated >= 30 && spool.counts().lost_full > 0, "{:?}", spool.counts());
    acks.into_iter().for_each(|ack| spool.acked(ack));
    let books = spool.books();
    assert_eq!(books.raised, books.delivered + books.waiting + books.lost, "{books:?}");
    assert_eq!(books.waiting, u64::try_from(unsent(&mut spool).0.len()).unwrap());
}

#[test]
fn alerts_of_high_severity_are_on_flash_within_ten_seconds() {
    let place = place();
    let mut spool = place.open();
    let later = |seconds| NOW.after(Duration::from_secs(seconds));
    let pages = |spool: &Spool| spool.log().stats().main_bytes;
    let before = pages(&spool);
    spool.enqueue(&alert(1, Severity::Medium), later(0));
    for second in 0..60 {
        spool.tick(later(second));
    }
    assert_eq!(pages(&spool), before, "not for medium");
    spool.enqueue(&alert(2, Severity::High), later(60));
    spool.enqueue(&alert(3, Severity::High), later(64));
    for second in 60..69 {
        spool.tick(later(second));
        assert_eq!(pages(&spool), before, "second {second}");
    }
    spool.tick(later(69));
    assert!(pages(&spool) > before);
    let before = pages(&spool);
    for second in 70..200 {
        spool.tick(later(second));
    }
    assert_eq!(pages(&spool), before, "once");

    spool.policy.severe_s = 0;
    spool.enqueue(&alert(4, Severity::High), later(200));
    for second in 200..300 {
        spool.tick(later(second));
    }
    assert_eq!(pages(&spool), before, "switched off");
}
