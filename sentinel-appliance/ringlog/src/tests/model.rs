//! Long random histories of a log, compared with a model of what must be in it.

use super::*;
use crate::{AppendError, SegmentState, Suspended};

/// Records that must be readable.
struct Model {
    /// Indexed by number.
    records: Vec<Vec<u8>>,
    /// Everything below was in main when last flushed.
    flushed: u64,
}

impl Model {
    /// With `was_cut`, the oldest segment may be overwritten in part; records still readable in it must be right.
    fn check(&self, log: &mut Log, was_cut: bool, seed: u64) {
        let mut firsts = Vec::new();
        log.list(&mut |segment| {
            if matches!(segment.state, SegmentState::Sealed | SegmentState::Open) {
                firsts.push(segment.records.start.0);
            }
        })
        .unwrap();
        let oldest = if was_cut { firsts.get(1).or(firsts.first()) } else { firsts.first() };
        let oldest = oldest.copied().unwrap_or(log.oldest().0);
        let found = read_from(log, 0);
        for (number, bytes) in &found {
            assert!(
                self.records[usize::try_from(*number).unwrap()] == *bytes,
                "seed {seed}: record {number} changed"
            );
        }
        let numbers: Vec<_> =
            found.iter().map(|(number, _)| *number).filter(|number| *number >= oldest).collect();
        let all = u64::try_from(self.records.len()).unwrap();
        assert_eq!(numbers, (oldest..all).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(log.next_id().0, all, "seed {seed}");
    }

    /// Appends up to 400 records, with flushes, rotations and advances of the key at random between them.
    fn append_records(&mut self, log: &mut Log, key: &mut LogKey, dice: &mut Dice, seed: u64) {
        for _ in 0..dice.roll(400) {
            let number = log.next_id().0;
            let bytes = random_record(dice, number);
            match log.append(&bytes) {
                Ok(id) | Err(AppendError::NotJournalled(id, _)) => {
                    assert_eq!(id.0, number, "seed {seed}");
                    self.records.push(bytes);
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
            match dice.roll(60) {
                0 => log.flush().unwrap(),
                1 => log.rotate().unwrap(),
                2 => *key = log.advance_key(RecordId(number.saturating_sub(dice.roll(300)))).clone(),
                _ => {}
            }
            // Main is durable at every moment, whichever call wrote it.
            self.flushed = log.head().next_id.0;
        }
    }

    /// Appends one record and flushes, both of which may fail because the power ends.
    fn append_and_flush(&mut self, log: &mut Log, dice: &mut Dice) {
        let last = random_record(dice, log.next_id().0);
        // A record that is not journaled is in memory, so the flush may still write it.
        if matches!(log.append(&last), Ok(_) | Err(AppendError::NotJournalled(..))) {
            self.records.push(last);
        }
        if log.flush().is_ok() {
            self.flushed = u64::try_from(self.records.len()).unwrap();
        }
    }
}

/// Storages after the program was killed, or after a power cut: then each sector not flushed is old or new, and the journal
/// is empty.
fn interrupted(log: Log, survives_power: bool, dice: &mut Dice) -> Image {
    if survives_power {
        return Image::of(log);
    }
    let (main, _journal) = log.into_storages();
    Image { main: main.after_power_cut(&mut || dice.roll(2) == 0), journal: Vec::new() }
}

fn random_record(dice: &mut Dice, number: u64) -> Vec<u8> {
    match dice.roll(10) {
        0 => Vec::new(),
        1 => noise(number, usize::try_from(dice.roll(1025)).unwrap()),
        2..5 => noise(number, 40),
        _ => record(number),
    }
}

/// One history: appends, flushes, rotations, kills (the journal survives) and power cuts (it does not) at random bytes.
fn run_history(seed: u64) {
    let mut dice = Dice::new(seed);
    let geometry = Geometry::new(16_384, [2, 3, 7][usize::try_from(dice.roll(3)).unwrap()]).unwrap();
    let mut power = Power::lasting();
    let mut key = first_key();
    let (mut log, _) = Image::default().open_with(geometry, key.clone(), seed << 16, &power);
    let mut model = Model { records: Vec::new(), flushed: 0 };
    for round in 1..=12_u64 {
        model.append_records(&mut log, &mut key, &mut dice, seed);
        // A segment that was overwritten in part leaves the table when the next segment is begun.
        let was_cut = round > 1 && log.stats().rotations == 0;
        model.check(&mut log, was_cut, seed);
        if !was_cut {
            assert_sound(&mut log);
        }

        // The power ends at a random byte of one more append and flush.
        power.end_after(dice.roll(9000));
        let number = log.next_id().0;
        model.append_and_flush(&mut log, &mut dice);
        let survives_power = dice.roll(2) == 0;
        let image = interrupted(log, survives_power, &mut dice);
        power = Power::lasting();
        (log, _) = image.open_with(geometry, key.clone(), seed << 16 | round, &power);
        let next = log.next_id().0;
        let all = u64::try_from(model.records.len()).unwrap();
        let least = if survives_power { number } else { model.flushed };
        assert!(next >= least && next <= all, "seed {seed}, round {round}: {next}, not {least} to {all}");
        model.records.truncate(usize::try_from(next).unwrap());
        model.check(&mut log, true, seed);
    }
}

#[test]
fn forty_random_histories_match_the_model() {
    for seed in (0..40).step_by(STEP) {
        run_history(seed);
    }
}

#[test]
fn a_full_disk_rejects_and_counts_records_until_there_is_room() {
    let power = Power::lasting();
    let main = FaultyStorage::new(Vec::new(), &power);
    let journal = FaultyStorage::new(Vec::new(), &power);
    let (main_end, journal_end) = (main.capacity(), journal.capacity());
    let (mut log, _) =
        RingLog::open(main, journal, four_segments(), first_key(), Mode::Append(salt(1))).unwrap();
    // Space for one and a half segments: the disk is full in the middle of a block.
    main_end.set(25_000);
    let mut kept = Vec::new();
    let mut rejected = 0;
    for number in 0..1200 {
        match log.append(&noise(number, 60)) {
            Ok(id) => kept.push((id.0, noise(number, 60))),
            Err(AppendError::Full(_)) => rejected += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(rejected > 300, "{rejected}");
    let stats = log.stats();
    assert_eq!((stats.rejected, stats.write_errors >= rejected), (rejected, true));
    assert_eq!(read_from(&mut log, 0), kept);
    assert!(log.flush().is_err());
    assert_eq!(read_from(&mut log, 0), kept);

    // The RAM disk is full too: records are kept in memory and reported as not journaled.
    main_end.set(u64::MAX);
    log.flush().unwrap();
    journal_end.set(150);
    for number in 0..5 {
        let id = match log.append(&record(number)) {
            Ok(id) | Err(AppendError::NotJournalled(id, _)) => id,
            Err(error) => panic!("{error}"),
        };
        kept.push((id.0, record(number)));
    }
    assert_eq!(read_from(&mut log, 0), kept);
    assert_eq!(log.waiting(), 5);
    // Once the RAM disk has space, the next append also journals the records before it.
    journal_end.set(u64::MAX);
    let id = log.append(b"room again").unwrap();
    kept.push((id.0, b"room again".to_vec()));
    let (mut log, recovery) = Image::of(log).open(four_segments(), 2);
    assert_eq!(recovery.from_journal, 6);
    assert_eq!(read_from(&mut log, 0), kept);
    assert_sound(&mut log);
}

#[test]
fn a_suspended_storage_is_not_written_and_catches_up_later() {
    let power = Power::lasting();
    let (mut log, _) = Image::default().open_with(smallest(), first_key(), 1, &power);
    log.append(&noise(0, 60)).unwrap();
    log.suspend_writes(Suspended { main: true, journal: true });
    let written = power.written().len();
    let mut next = 1;
    while log.append(&noise(next, 60)).is_ok() {
        next += 1;
    }
    assert!(log.needs_flush() && next > 200, "memory holds {next}");
    assert_eq!(log.append(&noise(next, 60)), Err(AppendError::Suspended));
    let stats = log.stats();
    assert_eq!((power.written().len(), stats.rejected, stats.write_errors), (written, 2, 0));

    // The journal alone.
    log.suspend_writes(Suspended { main: true, journal: false });
    assert_eq!(log.append(b"no room"), Err(AppendError::Suspended));
    log.suspend_writes(Suspended { main: false, journal: true });
    log.flush().unwrap();
    log.append(&noise(next, 60)).unwrap();
    log.suspend_writes(Suspended::default());
    log.append(&noise(next + 1, 60)).unwrap();
    let (mut log, recovery) = Image::of(log).open(smallest(), 2);
    assert_eq!(recovery.from_journal, 2);
    let kept: Vec<_> = (0..next + 2).map(|number| (number, noise(number, 60))).collect();
    assert_eq!(read_from(&mut log, 0), kept);
    assert_sound(&mut log);
}

#[test]
fn failing_flushes_evict_only_one_segment() {
    let power = Power::lasting();
    let main = FaultyStorage::new(Vec::new(), &power);
    let end = main.capacity();
    let journal = FaultyStorage::new(Vec::new(), &power);
    let (mut log, _) =
        RingLog::open(main, journal, four_segments(), first_key(), Mode::Append(salt(1))).unwrap();
    for number in 0..48 {
        log.append(&record(number)).unwrap();
        if number % 12 == 11 {
            log.rotate().unwrap();
        }
    }
    log.append(&record(48)).unwrap();
    end.set(0);
    for _ in 0..20 {
        assert!(log.flush().is_err());
    }
    // One segment was evicted for the new one; the others stay.
    assert_holds(&mut log, 12..49);
    assert_eq!(log.stats().overwritten, 12);
    end.set(u64::MAX);
    log.flush().unwrap();
    assert_holds(&mut log, 12..49);
    assert_sound(&mut log);
}

#[test]
fn no_nonce_is_used_twice() {
    // Every block header has salt and counter at a fixed offset: collects them from all bytes written in a history with kills,
    // torn writes and retries.
    let mut seen = std::collections::BTreeMap::new();
    let mut image = Image::default();
    let mut dice = Dice::new(3);
    for opening in 0..60 {
        let power = Power::ending_after(3000 + dice.roll(20_000));
        let (mut log, _) = image.open_with(smallest(), first_key(), opening, &power);
        for number in 0..40 {
            let _ = log.append(&noise(number, 50));
            if dice.roll(6) == 0 {
                let _ = log.flush();
            }
        }
        let written = power.written();
        for at in 0..written.len().saturating_sub(112) {
            let bytes = &written[at..at + 112];
            if bytes.starts_with(b"RBLK") {
                // epoch, counter, salt -> the header that was sealed with them
                let nonce = [&bytes[24..32], &bytes[40..64]].concat();
                let before = seen.insert(nonce, bytes[..96].to_vec());
                assert_eq!(before, None, "opening {opening}, byte {at}");
            }
        }
        image = Image::of(log);
    }
    assert!(seen.len() > 150, "{}", seen.len());
}
