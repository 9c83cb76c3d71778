//! Forward security and evidence: who can read what after the key has moved on.

use sentinel_seal::{Recipient, RecipientSecret};

use super::*;
use crate::{OpenError, SegmentState, stored_geometry};

fn secret() -> RecipientSecret {
    RecipientSecret::from_bytes([0x33; 32])
}

fn recipient(secret: &RecipientSecret) -> Option<Recipient> {
    Some(Recipient::new(secret.public()).unwrap())
}

/// Segments of ten records, sealed as `seal` says for each epoch; three records pending. Gives the log and its image.
fn written(geometry: Geometry, seal: impl Fn(u64) -> Option<Recipient>) -> (Log, Image) {
    let (mut log, _) = Image::default().open(geometry, 1);
    for number in 0..30 {
        log.seal_to(seal(number / 10));
        log.append(&record(number)).unwrap();
        if number % 10 == 9 {
            log.rotate().unwrap();
        }
    }
    for number in 30..33 {
        log.seal_to(seal(3));
        log.append(&record(number)).unwrap();
    }
    log.flush().unwrap();
    let (main, journal) = log.into_storages();
    let image = Image { main: main.bytes().to_vec(), journal: journal.bytes().to_vec() };
    (image.open(geometry, 2).0, image)
}

fn open_evidence(image: &Image, key: Option<LogKey>, secret: &RecipientSecret) -> (Log, Recovery) {
    let power = Power::lasting();
    let main = FaultyStorage::new(image.main.clone(), &power);
    let journal = FaultyStorage::new(image.journal.clone(), &power);
    RingLog::open_evidence(main, journal, four_segments(), key, secret).unwrap()
}

fn numbers(log: &mut Log) -> Vec<u64> {
    read_from(log, 0)
        .into_iter()
        .map(|(number, bytes)| {
            assert_eq!(bytes, record(number));
            number
        })
        .collect()
}

#[test]
fn a_thief_reads_the_open_segment_and_the_private_key_reads_all() {
    let (mut log, image) = written(four_segments(), |_| recipient(&secret()));
    let stolen = log.advance_key(RecordId(33)).clone();
    assert_eq!(stolen.epoch(), 3, "everything is delivered");

    let (mut thief, recovery) = image.open_with(four_segments(), stolen.clone(), 3, &Power::lasting());
    assert_eq!(recovery.older_key_segments, 3);
    assert_eq!(numbers(&mut thief), [30, 31, 32]);
    // Nor with the private key of somebody else.
    let other = RecipientSecret::from_bytes([0x34; 32]);
    assert_eq!(numbers(&mut open_evidence(&image, Some(stolen.clone()), &other).0), [30, 31, 32]);
    assert!(numbers(&mut open_evidence(&image, None, &other).0).is_empty());

    // With the private key alone, from a copy of the log without its journal.
    let copied = Image { journal: Vec::new(), ..image };
    for key in [None, Some(stolen)] {
        let (mut log, recovery) = open_evidence(&copied, key, &secret());
        assert_eq!((recovery.older_key_segments, recovery.damaged_segments, recovery.torn_writes), (0, 0, 0));
        assert_eq!(numbers(&mut log), (0..33).collect::<Vec<_>>());
        let report = assert_sound(&mut log);
        assert_eq!((report.records, report.older_key_segments), (33, 0));
    }
}

#[test]
fn a_recipient_reads_its_own_segments_and_no_later_ones() {
    let other = RecipientSecret::from_bytes([0x34; 32]);
    let seal = |epoch| match epoch {
        0 | 2 => recipient(&secret()),
        1 => None,
        _ => recipient(&other),
    };
    let (_, image) = written(four_segments(), seal);
    let (mut log, recovery) = open_evidence(&image, None, &secret());
    assert_eq!(recovery.older_key_segments, 2);
    assert_eq!(numbers(&mut log), (0..10).chain(20..30).collect::<Vec<_>>());
    assert_eq!(log.oldest(), RecordId(0));
    for from in [5, 10, 15, 25] {
        let found = read_from(&mut log, from);
        let expected = if from < 10 { from } else { from.max(20) };
        assert_eq!(found.first().map(|(number, _)| *number), Some(expected), "from {from}");
    }
    let mut states = Vec::new();
    log.list(&mut |segment| states.push((segment.state, segment.sealed_to.is_some()))).unwrap();
    use SegmentState::{OlderKey, Sealed};
    assert_eq!(states, [(Sealed, true), (OlderKey, false), (Sealed, true), (OlderKey, true)]);
    assert_eq!(numbers(&mut open_evidence(&image, None, &other).0), [30, 31, 32]);
}

#[test]
fn a_changed_wrapped_key_is_damage() {
    let (mut log, image) = written(four_segments(), |_| recipient(&secret()));
    let key = log.advance_key(RecordId(33)).clone();
    // Without a right checksum the header is damaged; with one, the key does not unwrap.
    for at in [150, 180, 210] {
        let mut changed = image.clone();
        changed.main[at] ^= 1;
        let sum = sentinel_seal::Chain::START.link(&[&changed.main[..240]]);
        changed.main[240..256].copy_from_slice(&sum.as_bytes()[..16]);
        let (mut log, recovery) = open_evidence(&changed, Some(key.clone()), &secret());
        assert_eq!(recovery.damaged_segments, 1, "byte {at}");
        assert_ne!(verify(&mut log).1, [], "byte {at}");
        // The device, which has no key for it, finds it by the chain.
        let (mut log, _) = changed.open_with(four_segments(), key.clone(), 4, &Power::lasting());
        assert_ne!(verify(&mut log).1, [], "byte {at}");
    }
}

/// The key moves with the flush that begins the next segment, so it is never ahead of main: a power cut before or after that
/// leaves a log that the stored key opens.
#[test]
fn a_closed_segment_is_unreadable_once_the_next_one_is_begun() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    log.append(&record(0)).unwrap();
    log.flush().unwrap();
    log.append(&record(1)).unwrap();
    assert_eq!(log.open_segment(), Some(RecordId(0)));
    log.begin_segment().unwrap();
    assert_eq!(log.open_segment(), None);
    assert_eq!(log.advance_key(RecordId(2)).epoch(), 0, "segment 1 is not on flash yet");
    let before = log.key().clone();
    log.flush().unwrap();
    let after = log.advance_key(RecordId(1)).clone();
    assert_eq!(after.epoch(), 1, "record 1 went into the new segment");
    assert_holds(&mut log, 1..2);
    log.append(&record(2)).unwrap();
    let image = Image::of(log);
    for (key, first) in [(before, 0), (after, 1)] {
        let (mut log, recovery) = image.open_with(four_segments(), key, 2, &Power::lasting());
        assert!(!recovery.is_rolled_back);
        assert_holds(&mut log, first..3);
        assert_sound(&mut log);
    }
}

/// A new recipient reads only what is written from then on.
#[test]
fn a_segment_of_version_1_is_continued_and_the_next_is_of_version_2() {
    let image = Image {
        main: include_bytes!("../../tests/data/golden-v1.main").to_vec(),
        journal: include_bytes!("../../tests/data/golden-v1.journal").to_vec(),
    };
    let (mut log, _) = image.open(smallest(), 9);
    log.seal_to(recipient(&secret()));
    log.flush().unwrap();
    assert_eq!(log.sealed_to(), None, "still the segment of version 1");
    assert_sound(&mut log);
    let (mut log, _) = Image::of(log).open(smallest(), 10);
    assert_eq!(read_from(&mut log, 0).len(), 47, "written with the key of version 1, read back with it");
    log.seal_to(recipient(&secret()));
    log.rotate().unwrap();
    log.append(&record(47)).unwrap();
    log.flush().unwrap();
    assert_eq!(log.sealed_to(), Some(secret().public()));
    let key = log.advance_key(RecordId(47)).clone();
    let image = Image::of(log);
    let (mut log, _) = image.open_with(smallest(), key, 11, &Power::lasting());
    assert_eq!(read_from(&mut log, 0).len(), 1);
    assert_sound(&mut log);
}

#[test]
fn a_log_that_continues_another_is_sound_and_not_rolled_back() {
    let (mut old, image) = written(four_segments(), |_| None);
    let key = old.advance_key(RecordId(33)).clone();
    let (head, next) = (old.head(), old.next_id());
    assert_eq!(
        stored_geometry(&mut FaultyStorage::new(image.main, &Power::lasting())),
        Ok(Some(four_segments()))
    );
    let new_key = key.advance_to(head.epoch + 1).unwrap();
    let (mut log, _) = Image::default().open_with(smallest(), new_key, 7, &Power::lasting());
    log.continue_after(&head, next);
    for number in 33..36 {
        assert_eq!(log.append(&record(number)), Ok(RecordId(number)));
    }
    log.flush().unwrap();
    let new_head = log.head();
    assert!(new_head.epoch > head.epoch && new_head.next_id > head.next_id);
    let main = Image::of(log).main;
    // Opened with the key that is in the file still, and with the journal of the old log.
    let image = Image { main, journal: image.journal };
    let (mut log, recovery) = image.open_with(smallest(), key, 8, &Power::lasting());
    assert!(!recovery.is_rolled_back && recovery.missing_records == 0, "{recovery:?}");
    assert_holds(&mut log, 33..36);
    assert_eq!(log.verify(Some(&head), &mut |finding| panic!("{finding}")).unwrap().findings, 0);
    assert_eq!(log.verify(Some(&new_head), &mut |finding| panic!("{finding}")).unwrap().findings, 0);
}

#[test]
fn the_geometry_is_found_behind_a_damaged_first_header() {
    let (_, mut image) = written(four_segments(), |_| None);
    image.main[3] ^= 1;
    let mut main = FaultyStorage::new(image.main.clone(), &Power::lasting());
    assert_eq!(stored_geometry(&mut main), Ok(Some(four_segments())));
    assert_eq!(stored_geometry(&mut FaultyStorage::new(Vec::new(), &Power::lasting())), Ok(None));
    // A header that is not where its number belongs says nothing.
    let moved: Vec<u8> = [vec![7; 4096], image.main[16_384..].to_vec()].concat();
    let found = stored_geometry(&mut FaultyStorage::new(moved, &Power::lasting()));
    assert_eq!(found, Ok(None));
    let error = RingLog::open(
        main,
        FaultyStorage::new(Vec::new(), &Power::lasting()),
        smallest(),
        first_key(),
        Mode::ReadOnly,
    );
    assert!(!matches!(error, Err(OpenError::WrongKey)));
}

#[test]
fn verification_counts_the_records_of_the_journal() {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..9 {
        log.append(&record(number)).unwrap();
        if number == 3 {
            log.flush().unwrap();
        }
    }
    let report = assert_sound(&mut log);
    assert_eq!((report.records, report.journal_records), (4, 5));
    let report = assert_sound(&mut Image::of(log).open(smallest(), 2).0);
    assert_eq!((report.records, report.journal_records), (4, 5));
}
