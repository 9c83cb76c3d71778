//! Committed bytes: logs of earlier versions that must stay readable, and the fuzz corpus.

use super::*;
use crate::fuzzing;
use sentinel_seal::{Recipient, RecipientSecret};
use std::path::Path;

const MAIN: &[u8] = include_bytes!("../../tests/data/golden-v2.main");
const JOURNAL: &[u8] = include_bytes!("../../tests/data/golden-v2.journal");
const MAIN_V1: &[u8] = include_bytes!("../../tests/data/golden-v1.main");
const JOURNAL_V1: &[u8] = include_bytes!("../../tests/data/golden-v1.journal");

fn secret() -> RecipientSecret {
    RecipientSecret::from_bytes([0x33; 32])
}

/// History of the golden logs. The committed bytes decide, not this function: never regenerate them for a version that was
/// released.
fn golden() -> Image {
    let (mut log, _) = Image::default().open(smallest(), 1);
    log.seal_to(Some(Recipient::new(secret().public()).unwrap()));
    for number in 0..40 {
        log.append(&record(number)).unwrap();
        if number % 10 == 9 {
            log.flush().unwrap();
        }
    }
    log.rotate().unwrap();
    log.append(&noise(40, 300)).unwrap();
    let (mut log, _) = Image::of(log).open(smallest(), 2);
    for number in 41..45 {
        log.append(&record(number)).unwrap();
    }
    log.flush().unwrap();
    log.append(&record(45)).unwrap();
    let (mut log, _) = Image::of(log).open(smallest(), 3);
    log.append(&record(46)).unwrap();
    Image::of(log)
}

#[test]
fn the_golden_logs_are_read_unchanged() {
    read_golden(MAIN_V1, JOURNAL_V1, [0xeb, 0x2c, 0x89, 0xe5]);
    read_golden(MAIN, JOURNAL, GOLDEN_HEAD);
    // Of version 2, with the private key alone: the first segment, which is sealed to it.
    let power = Power::lasting();
    let storage = |bytes: &[u8]| FaultyStorage::new(bytes.to_vec(), &power);
    let (mut log, _) =
        RingLog::open_evidence(storage(MAIN), storage(&[]), smallest(), None, &secret()).unwrap();
    assert_eq!(read_from(&mut log, 0), (0..40).map(|number| (number, record(number))).collect::<Vec<_>>());
}

#[track_caller]
fn read_golden(main: &[u8], journal: &[u8], expected_head: [u8; 4]) {
    let image = Image { main: main.to_vec(), journal: journal.to_vec() };
    let (mut log, recovery) = image.open(smallest(), 9);
    let expected = Recovery { records: 47, from_journal: 2, ..Recovery::default() };
    assert_eq!(recovery, expected);
    let found = read_from(&mut log, 0);
    assert_eq!(found.len(), 47);
    for (number, bytes) in found {
        let expected = if number == 40 { noise(40, 300) } else { record(number) };
        assert_eq!(bytes, expected, "record {number}");
    }
    let report = assert_sound(&mut log);
    assert_eq!((report.segments, report.blocks, report.records), (2, 5, 45));
    let head: [u8; 4] = log.head().chain.as_bytes()[..4].try_into().unwrap();
    assert_eq!(head, expected_head, "the chain value is unchanged");
}
const GOLDEN_HEAD: [u8; 4] = [0x56, 0xbe, 0x7a, 0x5c];

/// Writes the golden log. Only for a new version of the format, under a new name.
#[test]
#[ignore = "writes into the source tree"]
fn write_golden() {
    let image = golden();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::write(folder.join("golden-v2.main"), image.main).unwrap();
    std::fs::write(folder.join("golden-v2.journal"), image.journal).unwrap();
}

#[test]
fn the_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz-corpus");
    for (name, body) in fuzzing::BODIES {
        let mut count = 0;
        for entry in std::fs::read_dir(folder.join(name)).unwrap() {
            body(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 4, "{name}: {count} files");
    }
}

#[test]
fn mutated_inputs_do_not_panic() {
    let mut dice = Dice::new(11);
    for round in 0..60_u64 {
        // Some single changes, or a run of changes over one header.
        let changes = dice.roll(6) + 1;
        let mut data: Vec<u8> = (0..changes * 3).map(|_| dice.roll(256).to_le_bytes()[0]).collect();
        if round % 3 == 0 {
            data = (0..40_u8).flat_map(|at| [0x80, at, 0xff]).collect();
        }
        fuzzing::open_changed(&data);
        fuzzing::unpack(&noise(round, 500));
        let mut image = vec![0x40, 0];
        image.extend(&MAIN[..usize::try_from(dice.roll(20_000)).unwrap()]);
        let at = usize::try_from(dice.roll(u64::try_from(image.len()).unwrap())).unwrap();
        image[at] ^= 0xff;
        fuzzing::open_anything(&image);
    }
}
