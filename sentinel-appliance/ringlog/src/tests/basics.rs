//! Behaviour without faults.

use super::*;
use crate::{AppendError, FlushError, OpenError, ReadError, SegmentState};

#[test]
fn a_new_log_is_empty_and_opening_writes_nothing() {
    let (mut log, recovery) = Image::default().open(smallest(), 1);
    assert_eq!(recovery, Recovery { is_new: true, ..Recovery::default() });
    assert_eq!((log.oldest(), log.next_id(), log.waiting()), (RecordId(0), RecordId(0), 0));
    assert_eq!(read_from(&mut log, 0), []);
    assert_eq!(log.about_to_overwrite(), None);
    log.flush().unwrap();
    assert_sound(&mut log);
    log.list(&mut |segment| panic!("{segment:?}")).unwrap();
    assert_eq!(Image::of(log), Image::default());
}

#[test]
fn records_are_readable_at_once_after_flush_and_after_reopening() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..50 {
        assert_eq!(log.append(&record(number)), Ok(RecordId(number)));
    }
    assert_holds(&mut log, 0..50);
    assert_eq!(log.stats().main_bytes, 0, "main is written by a flush only");

    let image = Image::of(log);
    assert_eq!(image.main, []);
    let (mut log, recovery) = image.open(smallest(), 2);
    assert_eq!(recovery, Recovery { records: 50, from_journal: 50, ..Recovery::default() });
    assert_holds(&mut log, 0..50);

    log.flush().unwrap();
    assert_holds(&mut log, 0..50);
    for number in 50..60 {
        log.append(&record(number)).unwrap();
    }
    assert_holds(&mut log, 0..60);
    let (mut log, recovery) = Image::of(log).open(smallest(), 3);
    assert_eq!(recovery, Recovery { records: 60, from_journal: 10, ..Recovery::default() });
    assert_holds(&mut log, 0..60);
    let report = assert_sound(&mut log);
    assert_eq!((report.segments, report.blocks, report.records), (1, 1, 50));
}

#[test]
fn without_its_journal_a_log_has_what_was_flushed() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..30 {
        log.append(&record(number)).unwrap();
        if number == 19 {
            log.flush().unwrap();
        }
    }
    let image = Image { journal: Vec::new(), ..Image::of(log) };
    let (mut log, recovery) = image.open(smallest(), 2);
    assert_eq!(recovery, Recovery { records: 20, ..Recovery::default() });
    assert_holds(&mut log, 0..20);
    assert_eq!(log.append(&record(20)), Ok(RecordId(20)), "numbers of lost records are assigned again");
}

#[test]
fn reading_starts_anywhere() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..40 {
        log.append(&record(number)).unwrap();
        if number % 7 == 6 {
            log.flush().unwrap();
        }
        if number == 20 {
            log.rotate().unwrap();
        }
    }
    for from in 0..42 {
        let expected: Vec<_> = (from..40).map(|number| (number, record(number))).collect();
        assert_eq!(read_from(&mut log, from), expected, "from {from}");
    }
    // Two readers that alternate.
    let (mut left, mut right) = (Cursor::new(RecordId(0)), Cursor::new(RecordId(25)));
    let mut buf = [0; MAX_RECORD];
    for step in 0..15 {
        let (id, len) = log.read_next(&mut left, &mut buf).unwrap().unwrap();
        assert_eq!((id, &buf[..len]), (RecordId(step), &record(step)[..]));
        let (id, len) = log.read_next(&mut right, &mut buf).unwrap().unwrap();
        assert_eq!((id, &buf[..len]), (RecordId(25 + step), &record(25 + step)[..]));
    }
    assert_eq!(log.read_next(&mut right, &mut buf), Ok(None));
}

#[test]
fn reading_into_a_buffer_that_is_too_small_keeps_the_cursor() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    log.append(b"one").unwrap();
    log.append(b"three").unwrap();
    for _ in 0..2 {
        let mut cursor = Cursor::new(RecordId(0));
        let mut buf = [0; 4];
        assert_eq!(log.read_next(&mut cursor, &mut buf), Ok(Some((RecordId(0), 3))));
        assert_eq!(log.read_next(&mut cursor, &mut buf), Err(ReadError::TooSmall(5)));
        assert_eq!(cursor.position(), RecordId(1));
        let mut buf = [0; 5];
        assert_eq!(log.read_next(&mut cursor, &mut buf), Ok(Some((RecordId(1), 5))));
        assert_eq!(&buf, b"three");
        log.flush().unwrap();
    }
}

#[test]
fn record_lengths_are_limited_and_the_limits_are_included() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    assert_eq!(log.append(&[7; MAX_RECORD + 1]), Err(AppendError::TooLong(MAX_RECORD + 1)));
    assert_eq!(log.append(&[7; MAX_RECORD]), Ok(RecordId(0)));
    assert_eq!(log.append(&[]), Ok(RecordId(1)));
    assert_eq!(log.stats().rejected, 1);
    log.flush().unwrap();
    let (mut log, _) = Image::of(log).open(smallest(), 2);
    assert_eq!(read_from(&mut log, 0), [(0, vec![7; MAX_RECORD]), (1, vec![])]);
    assert_sound(&mut log);
}

#[test]
fn the_ring_wraps_and_announces_what_it_evicts() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    let mut oldest = 0;
    for number in 0..20_000 {
        if log.needs_flush() {
            let announced = log.about_to_overwrite();
            let before = log.stats().overwritten;
            log.flush().unwrap();
            match announced {
                Some(range) => {
                    assert_eq!(range.start.0, oldest);
                    oldest = range.end.0;
                    assert_eq!(log.stats().overwritten - before, range.end.since(range.start));
                }
                None => assert_eq!(log.stats().overwritten, before),
            }
            assert_eq!(log.oldest(), RecordId(oldest));
        }
        assert_eq!(log.append(&record(number)), Ok(RecordId(number)));
    }
    let stats = log.stats();
    assert!(stats.rotations >= 12, "{stats:?}");
    assert_eq!(stats.appended, 20_000);
    assert!(stats.main_bytes > stats.sealed_bytes);
    assert_holds(&mut log, oldest..20_000);
    assert_sound(&mut log);
    let key = log.key().clone();
    assert!(key.epoch() >= 8, "the key follows the oldest segment");
    // Both the first key and the one that should be stored open it.
    let image = Image::of(log);
    for key in [first_key(), key] {
        let (mut log, recovery) = image.open_with(four_segments(), key, 2, &Power::lasting());
        assert_eq!((recovery.torn_writes, recovery.damaged_segments, recovery.older_key_segments), (0, 0, 0));
        assert_holds(&mut log, oldest..20_000);
        assert_sound(&mut log);
    }
}

#[test]
fn append_flushes_when_memory_is_full() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..3000 {
        assert_eq!(log.append(&noise(number, 100)), Ok(RecordId(number)));
    }
    let found = read_from(&mut log, 0);
    assert_eq!(found[0].0, log.oldest().0);
    assert!(found.len() > 150, "both segments and memory hold records");
    for (number, bytes) in found {
        assert_eq!(bytes, noise(number, 100));
    }
    assert_sound(&mut log);
}

#[test]
fn a_segment_is_filled_well_before_the_next_is_begun() {
    let geometry = Geometry::new(65_536, 8).unwrap();
    let (mut log, _) = Image::default().open(geometry, 1);
    for number in 0..12_000 {
        // Half text, half incompressible: like an alert with its addresses and times.
        let mut record = record(number);
        record.truncate(20);
        record.extend(noise(number, 20));
        log.append(&record).unwrap();
    }
    let mut used = Vec::new();
    log.list(&mut |segment| used.push((segment.bytes, segment.state))).unwrap();
    let stats = log.stats();
    // One padded page per block is all that is wasted: at most 10 in 100 on 64 KiB segments.
    assert!(stats.main_bytes * 100 <= stats.sealed_bytes * 110, "{stats:?}");
    for (bytes, state) in &used[..used.len() - 1] {
        assert!(*bytes > 40_000 && *state == SegmentState::Sealed, "{used:?}");
    }
    assert_eq!(used.last().unwrap().1, SegmentState::Open);
}

#[test]
fn list_describes_each_segment() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..30 {
        log.append(&record(number)).unwrap();
        if number == 4 || number == 9 {
            log.flush().unwrap();
        }
        if number == 19 {
            log.rotate().unwrap();
        }
    }
    log.flush().unwrap();
    let mut lines = Vec::new();
    log.list(&mut |s| lines.push((s.slot, s.epoch, s.records.clone(), s.blocks, s.bytes, s.state))).unwrap();
    assert_eq!(
        lines,
        [
            (0, 0, RecordId(0)..RecordId(20), 3, 12_288, SegmentState::Sealed),
            (1, 1, RecordId(20)..RecordId(30), 1, 4096, SegmentState::Open),
        ]
    );
}

#[test]
fn a_log_that_is_open_for_reading_is_not_written() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    log.append(&record(0)).unwrap();
    log.flush().unwrap();
    log.append(&record(1)).unwrap();
    let image = Image::of(log);
    let power = Power::lasting();
    let main = FaultyStorage::new(image.main.clone(), &power);
    let journal = FaultyStorage::new(image.journal.clone(), &power);
    let (mut log, _) = RingLog::open(main, journal, smallest(), first_key(), Mode::ReadOnly).unwrap();
    assert_holds(&mut log, 0..2);
    assert_eq!(log.append(b"x"), Err(AppendError::ReadOnly));
    assert_eq!(log.flush(), Err(FlushError::ReadOnly));
    assert_sound(&mut log);
    assert_eq!(Image::of(log), image);
}

#[test]
fn opening_another_log_is_an_error() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    log.append(&record(0)).unwrap();
    log.flush().unwrap();
    let image = Image::of(log);
    let open = |bytes: Vec<u8>, geometry, key| {
        let power = Power::lasting();
        let main = FaultyStorage::new(bytes, &power);
        RingLog::open(main, FaultyStorage::new(Vec::new(), &power), geometry, key, Mode::ReadOnly).map(|_| ())
    };
    let found = smallest();
    assert_eq!(open(image.main.clone(), four_segments(), first_key()), Err(OpenError::Geometry { found }));
    let other = LogKey::new(0, Key::from_bytes([1; 32]));
    assert_eq!(open(image.main.clone(), smallest(), other), Err(OpenError::WrongKey));
    let mut later = image.main.clone();
    later[9] = 3;
    assert_eq!(open(later, smallest(), first_key()), Err(OpenError::Version(3)));
    assert_eq!(open(image.main, smallest(), first_key()), Ok(()));
}

#[test]
fn advancing_the_key_makes_older_segments_unreadable() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..30 {
        log.append(&record(number)).unwrap();
        if number % 10 == 9 {
            log.rotate().unwrap();
        }
    }
    log.append(&record(30)).unwrap();
    log.flush().unwrap();
    assert_eq!(log.advance_key(RecordId(9)).epoch(), 0, "record 9 is in segment 0");
    let key = log.advance_key(RecordId(25)).clone();
    assert_eq!(key.epoch(), 2);
    assert_eq!(log.oldest(), RecordId(20));
    assert_holds(&mut log, 20..31);

    let image = Image::of(log);
    let (mut log, recovery) = image.open_with(four_segments(), key, 2, &Power::lasting());
    assert_eq!((recovery.older_key_segments, recovery.records), (2, 11));
    assert_holds(&mut log, 20..31);
    let report = assert_sound(&mut log);
    assert_eq!((report.segments, report.older_key_segments, report.records), (4, 2, 11));
    let mut states = Vec::new();
    log.list(&mut |segment| states.push((segment.records.clone(), segment.state))).unwrap();
    assert_eq!(
        states[..2],
        [
            (RecordId(0)..RecordId(10), SegmentState::OlderKey),
            (RecordId(10)..RecordId(20), SegmentState::OlderKey)
        ]
    );
    // A copy of the first key, kept elsewhere, still opens everything.
    let (mut log, recovery) = image.open(four_segments(), 3);
    assert_eq!(recovery.older_key_segments, 0);
    assert_holds(&mut log, 0..31);
}

#[test]
fn the_key_never_passes_the_journal() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    log.append(&record(0)).unwrap();
    log.flush().unwrap();
    log.append(&record(1)).unwrap();
    log.rotate().unwrap();
    log.append(&record(2)).unwrap();
    assert_eq!(log.advance_key(RecordId(u64::MAX)).epoch(), 0, "segment 1 is not in main yet");
    log.flush().unwrap();
    let key = log.advance_key(RecordId(u64::MAX)).clone();
    assert_eq!(key.epoch(), 1);
    log.append(&record(3)).unwrap();
    let (mut log, _) = Image::of(log).open_with(four_segments(), key, 2, &Power::lasting());
    assert_holds(&mut log, 2..4);
}

#[test]
fn a_key_65536_epochs_old_still_opens_the_ring() {
    // Segments 65,531 to 65,540 with the key of epoch 0 in the file: the oldest one left is 65,536 steps away, and the newest
    // one further than one advance may go.
    let start = first_key().advance_to(65_531).unwrap();
    let (mut log, _) = Image::default().open_with(four_segments(), start, 1, &Power::lasting());
    for number in 0..9 {
        log.append(&record(number)).unwrap();
        log.rotate().unwrap();
    }
    assert_eq!(log.oldest(), RecordId(5));
    let (mut log, recovery) = Image::of(log).open(four_segments(), 2);
    assert_eq!(recovery, Recovery { records: 4, ..Recovery::default() });
    log.append(&record(9)).unwrap();
    log.rotate().unwrap();
    log.append(&record(10)).unwrap();
    log.flush().unwrap();
    let key = log.key().clone();
    assert!(key.epoch() > 65_530, "{}", key.epoch());
    let (mut log, _) = Image::of(log).open_with(four_segments(), key, 3, &Power::lasting());
    assert_eq!(read_from(&mut log, 0), (6..11).map(|number| (number, record(number))).collect::<Vec<_>>());
}

#[test]
fn a_full_ring_announces_the_evicted_range_after_rotating() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..4 {
        log.append(&record(number)).unwrap();
        assert_eq!(log.about_to_overwrite(), None, "the ring has room");
        log.rotate().unwrap();
    }
    assert_eq!(log.about_to_overwrite(), None, "nothing is pending");
    log.append(&record(4)).unwrap();
    assert_eq!(log.about_to_overwrite(), Some(RecordId(0)..RecordId(1)));
    log.flush().unwrap();
    log.append(&record(5)).unwrap();
    assert_eq!(log.about_to_overwrite(), None, "the open segment has room");
    assert_holds(&mut log, 1..6);
}

#[test]
fn discarded_records_leave_no_trace_and_their_numbers_are_used_again() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..10 {
        log.append(&record(number)).unwrap();
    }
    log.flush().unwrap();
    for number in 10..20 {
        log.append(&record(number)).unwrap();
    }
    log.discard_pending().unwrap();
    assert_eq!((log.waiting(), log.pending_bytes(), log.next_id()), (0, 0, RecordId(10)));
    assert_eq!(log.append(&record(10)), Ok(RecordId(10)));
    let (mut log, recovery) = Image::of(log).open(smallest(), 2);
    assert_eq!((recovery.from_journal, recovery.missing_records, recovery.torn_writes), (1, 0, 0));
    assert!(log.was_journal_complete());
    assert_holds(&mut log, 0..11);
    assert_sound(&mut log);
}

#[test]
fn a_journal_is_complete_unless_it_was_lost_torn_or_left_behind() {
    let is_complete = |image: &Image| image.open(smallest(), 9).0.was_journal_complete();
    let (mut log, _) = Image::default().open(smallest(), 1);
    assert!(!log.was_journal_complete(), "a new log");
    log.append(&record(0)).unwrap();
    let before = Image::of(log);
    assert!(is_complete(&before));
    let (mut log, _) = before.open(smallest(), 2);
    log.flush().unwrap();
    let flushed = Image::of(log);
    assert!(is_complete(&flushed), "only the header of a section");
    assert!(!is_complete(&Image { journal: Vec::new(), ..flushed.clone() }), "lost");
    // The journal of a time at which main was shorter, as if it could not be written since.
    let (mut log, _) = flushed.open(smallest(), 3);
    log.append(&record(1)).unwrap();
    log.flush().unwrap();
    assert!(!is_complete(&Image { journal: flushed.journal, ..Image::of(log) }), "left behind");
    let mut torn = before;
    torn.journal.pop();
    assert!(!is_complete(&torn), "torn");
}
