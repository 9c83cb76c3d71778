//! Tampering with the bytes of the log.

use super::*;

/// Four segments, ring full, three blocks in most; the journal holds only a section header with the end of main.
fn written() -> Image {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..72 {
        log.append(&record(number)).unwrap();
        if number % 4 == 3 {
            log.flush().unwrap();
        }
        if number % 12 == 11 {
            log.rotate().unwrap();
        }
    }
    assert_sound(&mut log);
    assert_eq!((log.oldest(), log.stats().rotations), (RecordId(24), 6));
    let mut image = Image::of(log);
    image.main.resize(65_536, 0);
    image
}

fn copy_segment(from: &[u8], from_slot: usize, to: &mut [u8], to_slot: usize) {
    to[to_slot * 16_384..(to_slot + 1) * 16_384]
        .copy_from_slice(&from[from_slot * 16_384..(from_slot + 1) * 16_384]);
}

/// Findings for a changed image. Asserts that no changed record is read from it.
#[track_caller]
fn findings(image: &Image) -> Vec<Finding> {
    let (mut log, _) = image.open(four_segments(), 5);
    for (number, bytes) in read_from(&mut log, 0) {
        assert_eq!(bytes, record(number));
    }
    verify(&mut log).1
}

/// Byte ranges of the headers and blocks of all segments.
fn used_ranges(image: &Image) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for page in (0..image.main.len()).step_by(4096) {
        let start = if page % 16_384 == 0 { page + 256 } else { page };
        if image.main[start..].starts_with(b"RBLK") {
            let sealed_len = u32::from_be_bytes(image.main[start + 12..start + 16].try_into().unwrap());
            ranges.push(page..start + 128 + usize::try_from(sealed_len).unwrap());
        }
    }
    ranges
}

#[test]
fn every_changed_byte_is_found_even_after_reopening() {
    let image = written();
    let ranges = used_ranges(&image);
    assert_eq!(ranges.len(), 12);
    for (index, range) in ranges.into_iter().enumerate() {
        for at in range.step_by(STEP) {
            // All bytes of the newest and of one full segment, every third of the others.
            if index < 6 || at % 3 == 0 {
                let mut changed = image.clone();
                changed.main[at] ^= 1 << (at % 8);
                let open = RingLog::open(
                    FaultyStorage::new(changed.main.clone(), &Power::lasting()),
                    FaultyStorage::new(changed.journal.clone(), &Power::lasting()),
                    four_segments(),
                    first_key(),
                    Mode::ReadOnly,
                );
                assert!(open.is_ok(), "byte {at}");
                assert_ne!(findings(&changed), [], "byte {at}");
            }
        }
    }
}

#[test]
fn a_change_under_a_running_log_is_found_without_a_journal() {
    let image = Image { journal: Vec::new(), ..written() };
    for range in used_ranges(&image) {
        for at in range.step_by(7 * STEP) {
            let (mut log, _) = image.open(four_segments(), 5);
            log.main_storage_mut().overwrite(at, image.main[at] ^ 0x10);
            assert_ne!(verify(&mut log).1, [], "byte {at}");
        }
    }
}

#[test]
fn a_changed_journal_is_found_and_yields_only_the_records_before_the_change() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..12 {
        log.append(&record(number)).unwrap();
        if number == 3 {
            log.flush().unwrap();
        }
    }
    let image = Image::of(log);
    let end = image.journal.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..end).step_by(STEP) {
        let mut changed = image.clone();
        changed.journal[at] ^= 1 << (at % 8);
        let (mut log, recovery) = changed.open(four_segments(), 5);
        let next = log.next_id().0;
        assert!((4..12).contains(&next) || at + 2 > end, "byte {at}");
        assert_holds(&mut log, 0..next);
        assert_eq!(recovery.torn_writes, 1, "byte {at}");
        let found = verify(&mut log).1;
        assert!(matches!(found[..], [Finding::JournalDamaged { .. }]), "byte {at}: {found:?}");
    }
}

#[test]
fn a_truncated_log_is_found() {
    let image = written();
    for len in (0..15 * 4096).step_by(4096) {
        let mut changed = image.clone();
        changed.main.truncate(len);
        assert_ne!(findings(&changed), [], "truncated to {len}");
    }
    // The end of main cut off block by block and the journal removed: only a stored head shows it.
    let (log, _) = image.open(four_segments(), 5);
    let head = log.head();
    for page in [5 * 4096, 6 * 4096] {
        let mut changed = Image { journal: Vec::new(), ..image.clone() };
        changed.main[page..8 * 4096].fill(0);
        let (mut log, _) = changed.open(four_segments(), 6);
        assert_sound(&mut log);
        let mut found = Vec::new();
        log.verify(Some(&head), &mut |finding| found.push(finding.clone())).unwrap();
        assert!(matches!(found[..], [Finding::RolledBack { expected: RecordId(72), .. }]), "{found:?}");
    }
}

#[test]
fn reordered_segments_are_found() {
    let image = written();
    for (one, other) in [(0, 1), (1, 2), (0, 3)] {
        let mut changed = image.clone();
        copy_segment(&image.main, one, &mut changed.main, other);
        copy_segment(&image.main, other, &mut changed.main, one);
        let found = findings(&changed);
        let is_misplaced = |finding: &&Finding| matches!(finding, Finding::SegmentMisplaced { .. });
        assert_eq!(found.iter().filter(is_misplaced).count(), 2, "{found:?}");
    }
}

#[test]
fn swapped_and_repeated_blocks_are_found() {
    let image = written();
    // Blocks 2 and 3 of a segment are a page each.
    let mut swapped = image.clone();
    swapped.main[4096..8192].copy_from_slice(&image.main[8192..12_288]);
    swapped.main[8192..12_288].copy_from_slice(&image.main[4096..8192]);
    assert_ne!(findings(&swapped), []);
    let mut repeated = image.clone();
    repeated.main[8192..12_288].copy_from_slice(&image.main[4096..8192]);
    assert_ne!(findings(&repeated), []);
}

#[test]
fn a_removed_segment_is_found() {
    let image = written();
    for slot in 0..4 {
        let mut changed = image.clone();
        changed.main[slot * 16_384..(slot + 1) * 16_384].fill(0);
        let found = findings(&changed);
        assert!(!found.is_empty(), "slot {slot}");
        if slot != 1 {
            // Slot 1 holds the newest: it shows as a roll-back.
            let epoch = [4, 0, 2, 3][slot];
            assert!(found.contains(&Finding::SegmentMissing { epoch }), "slot {slot}: {found:?}");
        }
    }
}

#[test]
fn a_segment_of_another_history_is_found() {
    let image = written();
    // The same key and numbers, other records: a log that was rolled back and continued differently.
    let (mut log, _) = Image::default().open(four_segments(), 77);
    for number in 0..72 {
        log.append(&record(number + 1000)).unwrap();
        if number % 12 == 11 {
            log.rotate().unwrap();
        }
    }
    let mut other = Image::of(log);
    other.main.resize(65_536, 0);
    for slot in 0..4 {
        let mut spliced = image.clone();
        copy_segment(&other.main, slot, &mut spliced.main, slot);
        let (mut log, _) = spliced.open(four_segments(), 5);
        let (_, found) = verify(&mut log);
        let is_broken =
            |finding: &Finding| matches!(finding, Finding::ChainBroken { .. } | Finding::RolledBack { .. });
        assert!(found.iter().any(is_broken), "slot {slot}: {found:?}");
    }
    // A single block of it does not open.
    let mut spliced = image.clone();
    spliced.main[4096..8192].copy_from_slice(&other.main[..4096]);
    assert_ne!(findings(&spliced), []);
}

#[test]
fn a_restored_old_log_is_found_by_the_journal_and_by_a_stored_head() {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    for number in 0..10 {
        log.append(&record(number)).unwrap();
    }
    log.flush().unwrap();
    let (old, key) = (Image::of(log), first_key());
    let (mut log, _) = old.open_with(four_segments(), key, 2, &Power::lasting());
    for number in 10..20 {
        log.append(&record(number)).unwrap();
    }
    log.flush().unwrap();
    let head = log.head();
    assert_eq!(log.verify(Some(&head), &mut |finding| panic!("{finding}")).unwrap().findings, 0);
    let new = Image::of(log);

    let back = Image { main: old.main.clone(), journal: new.journal };
    let (mut log, recovery) = back.open(four_segments(), 3);
    assert_eq!(recovery.missing_records, 10);
    assert_eq!(log.next_id(), RecordId(20), "numbers are not assigned again");
    assert_eq!(verify(&mut log).1, [Finding::RolledBack { expected: RecordId(20), found: RecordId(10) }]);
    // The fault is still found after more writes.
    log.append(&record(20)).unwrap();
    log.flush().unwrap();
    let (mut log, _) = Image::of(log).open(four_segments(), 4);
    assert_eq!(verify(&mut log).1, [Finding::RecordsMissing(RecordId(10)..RecordId(20))]);
    let numbers: Vec<_> = read_from(&mut log, 0).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20]);

    // Main and journal restored: only a stored head shows it.
    let (mut log, _) = old.open(four_segments(), 5);
    assert_sound(&mut log);
    let report = log.verify(Some(&head), &mut |_| ()).unwrap();
    assert_eq!(report.findings, 1);
}

#[test]
fn segments_of_older_keys_are_still_bound_by_the_chain() {
    let image = written();
    let (mut log, _) = image.open(four_segments(), 5);
    let key = log.advance_key(RecordId(60)).clone();
    assert_eq!(key.epoch(), 5);
    for range in used_ranges(&image) {
        for at in range.step_by(5) {
            let mut changed = image.clone();
            changed.main[at] ^= 4;
            let (mut log, _) = changed.open_with(four_segments(), key.clone(), 6, &Power::lasting());
            assert_ne!(verify(&mut log).1, [], "byte {at}");
        }
    }
}

#[test]
fn an_overwritten_segment_that_is_restored_is_left_out() {
    let image = written();
    let (mut log, _) = image.open(four_segments(), 5);
    for number in 72..100 {
        log.append(&record(number)).unwrap();
        if number % 10 == 9 {
            log.rotate().unwrap();
        }
    }
    log.flush().unwrap();
    let new = Image::of(log);
    let (mut log, _) = new.open(four_segments(), 6);
    assert_sound(&mut log);
    assert_eq!((log.oldest(), log.head().next_id), (RecordId(48), RecordId(100)));
    // Segments 4 to 7 are there. Restored: 5 before it was filled, 2 in the slot of 6, 3 in that of 7.
    for (slot, damaged_segments) in [(1, 0), (2, 1), (3, 0)] {
        let mut changed = new.clone();
        changed.main.resize(65_536, 0);
        copy_segment(&image.main, slot, &mut changed.main, slot);
        let (mut log, recovery) = changed.open(four_segments(), 7);
        assert_ne!(verify(&mut log).1, [], "slot {slot}");
        assert_eq!(recovery.damaged_segments, damaged_segments, "slot {slot}");
        // Without 7, the newest, 3 is within the ring; only the journal shows that 7 was there.
        assert_eq!(recovery.missing_records > 0, slot == 3, "slot {slot}");
        let first = read_from(&mut log, 0)[0].0;
        assert_eq!(first < 48, slot == 3, "slot {slot}: {first}");
    }
}

#[test]
fn a_damaged_header_shows_in_the_listing_and_the_rest_stays_readable() {
    let mut image = written();
    image.main[2 * 16_384 + 40] ^= 1;
    let (mut log, recovery) = image.open(four_segments(), 5);
    assert_eq!(recovery.damaged_segments, 1);
    let mut lines = Vec::new();
    log.list(&mut |segment| lines.push((segment.slot, segment.state))).unwrap();
    use crate::SegmentState::{Damaged, Open, Sealed};
    assert_eq!(lines, [(3, Sealed), (0, Sealed), (1, Open), (2, Damaged)]);
    let numbers: Vec<_> = read_from(&mut log, 0).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (36..72).collect::<Vec<_>>());
}

#[test]
fn findings_have_readable_texts() {
    let text = |finding: Finding| finding.to_string();
    assert_eq!(text(Finding::RecordsMissing(RecordId(3)..RecordId(7))), "records 3 to 6 are missing");
    assert_eq!(text(Finding::SegmentMissing { epoch: 4 }), "segment 4 is missing");
}
