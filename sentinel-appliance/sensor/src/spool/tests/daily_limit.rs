//! The daily limit of writes to flash, within a run and over restarts.

use super::*;

/// Under attack rotation wrote many times the daily limit.
#[test]
fn the_daily_limit_is_never_exceeded_and_high_alerts_have_their_part() {
    let mut place = place();
    place.settings.log_daily_kib = 64;
    let mut spool = place.open();
    let later = |seconds| NOW.after(Duration::from_secs(seconds));
    for number in 1..=9_000 {
        spool.enqueue(&alert(number, Severity::Low), later(u64::from(number)));
        spool.tick(later(u64::from(number)));
    }
    let counts = spool.counts();
    let written = spool.log().stats().main_bytes;
    assert!(written > 16 * 1024 && written <= 48 * 1024, "{written}: three quarters");
    assert!(counts.lost_limit > 1_000 && counts.lost_storage == 0, "{counts:?}");
    assert!(spool.is_limit_reached());
    // A severe alert is stored, and goes to flash in time.
    spool.enqueue(&alert(9_001, Severity::High), later(9_001));
    (9_001..9_011).for_each(|second| spool.tick(later(second)));
    assert_eq!(spool.counts().lost_limit, counts.lost_limit);
    assert!(spool.log().stats().main_bytes > written);
    for number in 9_002..=20_000 {
        spool.enqueue(&alert(number, Severity::High), later(u64::from(number)));
        spool.tick(later(u64::from(number)));
        assert!(spool.log().stats().main_bytes <= 64 * 1024);
    }
    let books = spool.books();
    assert_eq!(books.raised, books.delivered + books.waiting + books.lost, "{books:?}");
    let (ids, lost) = unsent(&mut spool);
    let unwritten: u64 = spool.unwritten_gaps.iter().map(Gap::lost).sum();
    assert_eq!(u64::try_from(ids.len()).unwrap() + lost + unwritten, 20_000, "each alert or its loss");
    // A day later the gaps are written too.
    let day_later = later(20_000 + 25 * 3_600);
    spool.enqueue(&alert(20_001, Severity::Low), day_later);
    assert!(spool.unwritten_gaps.is_empty());
}

#[test]
fn with_the_limit_reached_a_connected_sensor_loses_nothing() {
    let mut place = place();
    place.settings.log_daily_kib = 64;
    let mut spool = place.open();
    let boot = spool.boot();
    spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=9_000 {
        spool.enqueue(&alert(number, Severity::Low), NOW);
        if number % 10 == 0 {
            deliver_all(&mut spool);
        }
    }
    let counts = spool.counts();
    assert!(counts.dropped > 1_000 && counts.lost() == 0, "{counts:?}");
    let books = spool.books();
    assert_eq!((books.raised, books.delivered, books.waiting), (9_000, 9_000, 0));
    assert!(spool.log().stats().main_bytes <= 64 * 1024);
    spool.enqueue(&alert(9_001, Severity::Low), NOW);
    assert_eq!(unsent(&mut spool).0, [AlertId { boot, seq: 9_001 }]);
    // Killed now: the numbers of the dropped alerts are not used again for closing alerts.
    drop(spool);
    let spool = place.open();
    assert!(spool.previous_end().is_some_and(|end| end.next_seq >= 9_002 && end.boot == boot));
    drop(spool);
    assert!(log_is_sound(&place));
}

fn log_is_sound(place: &Place) -> bool {
    let mut spool = place.open();
    spool.log.verify(None, &mut |finding| panic!("{finding}")).unwrap().findings == 0
}

/// The gap of lost alerts is in memory only while the log takes no records: after a kill their numbers are not claimed as
/// never used.
#[test]
fn a_kill_with_an_unwritten_gap_is_not_complete() {
    let mut place = place();
    place.settings.log_daily_kib = 64;
    let mut spool = place.open();
    let mut number = 0;
    while spool.counts().lost_limit < 10 {
        number += 1;
        spool.enqueue(&alert(number, Severity::Low), NOW);
    }
    let stored = spool.counts().stored;
    drop(spool);
    let (cause, next) = told(&place);
    assert_eq!((cause, next > stored), (EndCause::PowerLost, true), "{next}");
}

/// Each start had a new account of 24 hours, and wrote a page at least: a crash loop, or somebody who can cause one, wrote as much
/// as he liked.
#[test]
fn a_hundred_restarts_in_a_day_stay_within_the_daily_limit() {
    const CAP: u64 = 256 * 1024;
    // What a stop may write beyond the limit, once: memory and what is relocated, and two blocks' headers and padding.
    const BEYOND: u64 = (64 + 8) * 1024 + 2 * (4_096 + 512);
    let mut place = place();
    (place.settings.log_segment_kib, place.settings.log_daily_kib) = (64, 256);
    let (mut written, mut severe, mut refused) = (0, BTreeSet::new(), 0);
    for run in 0..100 {
        let mut spool = place.open();
        let later = |seconds| NOW.after(Duration::from_secs(seconds));
        for number in 1..=4 {
            let severity = if number == 2 { Severity::High } else { Severity::Low };
            spool.enqueue(&alert(run * 10 + number, severity), later(1));
        }
        severe.insert(AlertId { boot: spool.boot(), seq: 2 });
        (1..=12).for_each(|second| spool.tick(later(second)));
        if run % 2 == 0 {
            spool.end_run(EndCause::Stopped);
            spool.flush_at_end();
        }
        refused += spool.counts().deferred;
        written += spool.log().stats().main_bytes;
        assert!(written <= CAP + BEYOND, "{written} bytes after {run} restarts");
        // The account of a run is at least what was written.
        assert!(spool.day_bytes() >= written, "{} of {written} after {run} restarts", spool.day_bytes());
        assert_eq!(spool.counts().lost(), 0);
    }
    assert!(written > CAP * 3 / 4 && refused > 0, "{written}, {refused}: the limit was reached");
    let mut spool = place.open();
    let (ids, lost) = unsent(&mut spool);
    assert_eq!((ids.len(), lost), (400, 0));
    assert!(severe.iter().all(|id| ids.contains(id)), "none of high severity is lost");
    // A run that was killed is complete as long as the journal is there, on flash or not.
    assert_eq!(spool.previous_end().map(|end| end.cause), Some(EndCause::Killed));
}
