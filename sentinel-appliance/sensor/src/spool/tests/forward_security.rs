//! Records that a thief with the state directory can read, evidence, and logs of other sizes.

use sentinel_seal::RecipientSecret;
use sentinel_uplink::PublicKey;

use super::super::{DeliveredAlerts, EvidencePolicy, open::storage, resize::OLD_FILE};
use super::*;
use crate::settings::EvidenceKey;

const DAY: Duration = Duration::from_secs(86_400);

fn secret() -> RecipientSecret {
    RecipientSecret::from_bytes([0x33; 32])
}

fn policy() -> EvidencePolicy {
    let recipient = Some(PublicKey::from_bytes(secret().public()));
    EvidencePolicy { recipient, keep_readable: false, rotate: DAY }
}

/// A place whose log is sealed from its first record on.
fn sealed_place() -> Place {
    let mut place = place();
    place.settings.log_evidence_key = EvidenceKey::Key(policy().recipient.unwrap());
    place
}

/// Numbers of the alerts that are read from a copy of the log with the key file of the device, and with the private key if
/// `with_evidence`.
fn readable(place: &Place, file: &str, with_evidence: bool) -> Vec<u64> {
    let copied = place.settings.state_dir.join("copy");
    std::fs::copy(place.settings.state_dir.join(file), &copied).unwrap();
    let mut main = storage(&copied).unwrap();
    let geometry = sentinel_ringlog::stored_geometry(&mut main).unwrap().unwrap();
    let nothing = FileStorage::read_only(std::path::Path::new("/dev/null")).unwrap();
    let key = keys::existing_log_key(&place.settings.state_dir).unwrap();
    let opened = if with_evidence {
        Log::open_evidence(main, nothing, geometry, Some(key), &secret())
    } else {
        Log::open(main, nothing, geometry, key, Mode::ReadOnly)
    };
    let (mut log, recovery) = opened.unwrap();
    // The key has moved on from a log that was replaced.
    assert_eq!((recovery.damaged_segments, recovery.is_rolled_back), (0, file == OLD_FILE));
    let (mut cursor, mut buffer) = (sentinel_ringlog::Cursor::new(RecordId(0)), [0; MAX_RECORD]);
    let mut numbers = Vec::new();
    while let Some((_, length)) = log.read_next(&mut cursor, &mut buffer).unwrap() {
        if let Some(Record::Alert { seq, .. } | Record::Relocated { seq, .. }) =
            read_record(&buffer[..length])
        {
            numbers.push(seq);
        }
    }
    numbers
}

fn enqueue(spool: &mut Spool, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
}

/// Lets the collector acknowledge one alert after the other, as long as `goes_on`.
fn deliver(spool: &mut Spool, goes_on: impl Fn(u64, &Spool) -> bool) {
    let (mut items, boot) = (Vec::new(), spool.boot());
    spool.unsent(|record, item| {
        if let Item::Alert(id, _) = item {
            let mut records = None;
            SentRecords::add(&mut records, record, &item, boot);
            items.push((id, records.unwrap()));
        }
        true
    });
    for (count, (id, record)) in (0..).zip(items) {
        if !goes_on(count, spool) {
            return;
        }
        assert!(spool.sent(id, record, NOW).is_ok());
        spool.acked(id);
    }
}

/// The whole ring was readable with the key file, delivered alerts too.
#[test]
fn a_thief_reads_what_is_not_delivered_and_the_open_segment() {
    let place = sealed_place();
    let mut spool = place.open();
    spool.set_evidence(policy());
    assert_eq!(spool.delivered_alerts(), DeliveredAlerts::SealedTo(policy().recipient.unwrap()));
    spool.welcome(None, PROTOCOL_VERSION);
    enqueue(&mut spool, 1..=1_000);
    spool.flush();
    assert!(spool.log().head().epoch >= 1, "more than a segment");
    assert_eq!(readable(&place, MAIN_FILE, false), (1..=1_000).collect::<Vec<_>>(), "undelivered");

    deliver_all(&mut spool);
    let thief = readable(&place, MAIN_FILE, false);
    let open = spool.log().open_segment().unwrap();
    assert!(
        thief.len() < 800 && thief.len() <= usize::try_from(spool.log().head().next_id.since(open)).unwrap()
    );
    assert_eq!(
        readable(&place, MAIN_FILE, true),
        (1..=1_000).collect::<Vec<_>>(),
        "the private key reads all"
    );
    // Undelivered alerts in the next segment keep nothing of the one before them.
    let epoch = spool.log().head().epoch;
    enqueue(&mut spool, 1_001..=1_600);
    spool.flush();
    let newest = spool.log().head().epoch;
    assert!(newest > epoch);
    deliver(&mut spool, |_, spool| spool.log().key().epoch() < newest);
    assert!(spool.books().waiting > 0 && spool.log().key().epoch() == newest);
    deliver_all(&mut spool);
    spool.flush();
    drop(spool);
    assert_eq!(place.open().books().waiting, 0, "after a restart nothing is sent again");
}

#[test]
fn delivered_alerts_stay_readable_only_if_the_setting_says_so() {
    let place = place();
    let mut spool = place.open();
    assert_eq!(spool.delivered_alerts(), DeliveredAlerts::Unreadable);
    spool.set_evidence(EvidencePolicy { keep_readable: true, ..policy() });
    assert_eq!(spool.delivered_alerts(), DeliveredAlerts::Readable);
    spool.welcome(None, PROTOCOL_VERSION);
    enqueue(&mut spool, 1..=1_000);
    spool.flush();
    deliver_all(&mut spool);
    assert_eq!(readable(&place, MAIN_FILE, false).len(), 1_000);
    // Switched off, the key moves at once.
    spool.set_evidence(EvidencePolicy { recipient: None, ..policy() });
    assert!(readable(&place, MAIN_FILE, false).len() < 800);
}

#[test]
fn a_delivered_segment_is_closed_after_a_day_for_one_page() {
    let place = sealed_place();
    let mut spool = place.open();
    spool.set_evidence(policy());
    spool.welcome(None, PROTOCOL_VERSION);
    let hour = |hours: u64| NOW.after(Duration::from_secs(hours * 3_600));
    // What an earlier run may have left is looked at first: there is nothing.
    enqueue(&mut spool, 1..=20);
    spool.flush();
    spool.note_delivered(hour(1));
    deliver_all(&mut spool);
    enqueue(&mut spool, 21..=22);
    spool.flush();
    assert_eq!(spool.log().head().epoch, 0);
    // Undelivered: the segment stays open, however old it is.
    spool.note_delivered(hour(40));
    assert_eq!((spool.log().head().epoch, readable(&place, MAIN_FILE, false).len()), (0, 22));
    deliver_all(&mut spool);
    let before = spool.log().stats().main_bytes;
    spool.note_delivered(hour(41));
    assert_eq!(spool.log().stats().main_bytes - before, 4096);
    assert_eq!((spool.log().head().epoch, readable(&place, MAIN_FILE, false)), (1, vec![]));
    assert_eq!(readable(&place, MAIN_FILE, true).len(), 22);
    // Nothing new: no further write, for ever.
    for hours in 42..200 {
        spool.note_delivered(hour(hours));
    }
    assert_eq!(spool.log().head().epoch, 1);
    // A younger one waits for its time.
    enqueue(&mut spool, 23..=24);
    spool.flush();
    deliver_all(&mut spool);
    let closed = (200..240).find(|hours| {
        spool.note_delivered(hour(*hours));
        spool.log().head().epoch > 1
    });
    assert!(closed.is_some_and(|hours| hours <= 224), "{closed:?}");
    assert_eq!(readable(&place, MAIN_FILE, false), [0_u64; 0]);
}

#[test]
fn another_evidence_key_begins_a_segment() {
    let place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    enqueue(&mut spool, 1..=5);
    spool.flush();
    spool.set_evidence(policy());
    enqueue(&mut spool, 6..=9);
    spool.flush();
    assert_eq!((spool.log().head().epoch, spool.log().sealed_to()), (1, Some(secret().public())));
    spool.set_evidence(policy());
    enqueue(&mut spool, 10..=11);
    spool.flush();
    assert_eq!(spool.log().head().epoch, 1, "the same key does not");
    deliver_all(&mut spool);
    drop(spool);
    let mut spool = place.open();
    spool.set_evidence(policy());
    enqueue(&mut spool, 12..=12);
    spool.flush();
    assert_eq!(spool.log().head().epoch, 1, "nor after a restart");
}

/// Other sizes stopped the sensor for good.
#[test]
fn a_log_of_other_sizes_is_taken_over() {
    for (segment_kib, segments) in [(16, 8), (64, 4), (32, 3)] {
        let mut place = sealed_place();
        let mut spool = place.open();
        spool.set_evidence(policy());
        spool.welcome(None, PROTOCOL_VERSION);
        enqueue(&mut spool, 1..=600);
        spool.flush();
        deliver_all(&mut spool);
        enqueue(&mut spool, 601..=900);
        let boot = spool.boot();
        let head = spool.log().head();
        drop(spool); // killed: some are in the journal only

        (place.settings.log_segment_kib, place.settings.log_segments) = (segment_kib, segments);
        let mut spool = place.open();
        assert_eq!(spool.log().geometry(), geometry(&place.settings).unwrap());
        assert!(spool.notice().unwrap().contains("301 undelivered records"), "{:?}", spool.notice());
        let (ids, lost) = unsent(&mut spool);
        assert_eq!(ids, (601..=900).map(|seq| AlertId { boot, seq }).collect::<Vec<_>>());
        assert_eq!((lost, spool.books().waiting), (0, 300));
        let new_head = spool.log().head();
        assert!(
            new_head.next_id > head.next_id && new_head.epoch > head.epoch,
            "the collector sees progress"
        );
        assert!(readable(&place, OLD_FILE, true).len() >= 600, "the evidence in the old file is kept");
        let end = spool.previous_end().unwrap();
        assert_eq!((end.boot, end.next_seq, end.cause), (boot, 901, EndCause::Killed), "told once");
        // The collector names its last alert, which is in the old file.
        spool.welcome(Some(AlertId { boot, seq: 600 }), PROTOCOL_VERSION);
        assert_eq!(unsent(&mut spool).0.len(), 300, "looked up in vain: all of them are sent again");
        // It stayed on the flash until the sizes were changed again.
        assert!(place.settings.state_dir.join(OLD_FILE).exists());
        deliver_all(&mut spool);
        assert!(!place.settings.state_dir.join(OLD_FILE).exists(), "removed once everything is delivered");
        spool.flush();
        drop(spool);
        let spool = place.open();
        assert_eq!((spool.books().waiting, spool.notice()), (0, None));
    }
}

/// A log that becomes smaller keeps the severe alerts, and a gap counts the others.
#[test]
fn what_does_not_fit_a_smaller_log_is_counted() {
    let mut place = place();
    place.settings.log_segments = 12;
    let mut spool = place.open();
    for number in 1..=4_000 {
        let severity = if number % 100 == 0 { Severity::High } else { Severity::Low };
        spool.enqueue(&alert(number, severity), NOW);
    }
    assert_eq!(spool.counts().lost_full, 0);
    drop(spool);
    place.settings.log_segments = 3;
    let mut spool = place.open();
    let (ids, lost) = unsent(&mut spool);
    assert_eq!(u64::try_from(ids.len()).unwrap() + lost, 4_000);
    assert!(lost > 500, "{lost}");
    assert_eq!(ids.iter().filter(|id| id.seq % 100 == 0).count(), 40, "the severe ones are there");
}

#[test]
fn an_empty_log_of_other_sizes_is_taken_over() {
    let mut place = place();
    let mut spool = place.open();
    spool.welcome(None, PROTOCOL_VERSION);
    enqueue(&mut spool, 1..=1_000);
    spool.flush();
    deliver_all(&mut spool);
    spool.flush();
    drop(spool);
    place.settings.log_segments = 5;
    let spool = place.open();
    assert!(spool.notice().unwrap().contains(" 1 undelivered"), "{:?}", spool.notice());
    assert_eq!(spool.books().waiting, 0);
    drop(spool);
    // The key is not ahead of the new log.
    let key = keys::log_key(&place.settings.state_dir).unwrap();
    let (_, recovery) = Spool::open(&place.settings, &key).unwrap();
    assert!(!recovery.is_rolled_back);
}

#[test]
fn a_log_that_cannot_be_replaced_keeps_its_sizes() {
    let mut place = place();
    let mut spool = place.open();
    enqueue(&mut spool, 1..=50);
    spool.flush();
    drop(spool);
    std::fs::create_dir(place.settings.state_dir.join("log.resized")).unwrap();
    let old = geometry(&place.settings).unwrap();
    place.settings.log_segments = 5;
    let mut spool = place.open();
    assert!(spool.notice().unwrap().starts_with("log keeps its size"), "{:?}", spool.notice());
    assert_eq!((spool.log().geometry(), unsent(&mut spool).0.len()), (old, 50));
}
