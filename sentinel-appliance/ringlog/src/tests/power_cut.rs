//! Kills and power cuts after every byte written.

use super::*;

/// Appends and flushes until the power is off. Returns the number after the last appended and the last flushed record.
fn run(log: &mut Log, numbers: Range<u64>, flush_every: u64) -> (u64, u64) {
    let (mut appended, mut flushed) = (numbers.start, numbers.start);
    for number in numbers {
        if log.append(&record(number)).is_err() {
            break;
        }
        appended = number + 1;
        if appended % flush_every == 0 {
            if log.flush().is_err() {
                break;
            }
            flushed = appended;
        }
    }
    (appended, flushed)
}

/// Bytes of the scenario after which to cut: all of them, except that runs of zeros, which pad pages, are sampled.
fn cuts(image: &Image, flush_every: u64) -> Vec<u64> {
    let power = Power::lasting();
    let (mut log, _) = image.open_with(smallest(), first_key(), 2, &power);
    run(&mut log, 110..134, flush_every);
    let written = power.written();
    assert!(written.len() > 17_000, "{}", written.len());
    let is_padding = |cut: usize| {
        let around = written.get(cut.saturating_sub(9)..cut + 9);
        around.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)) && !cut.is_multiple_of(97)
    };
    (0..written.len()).filter(|cut| !is_padding(*cut)).map(|cut| u64::try_from(cut).unwrap()).collect()
}

/// A log whose ring has wrapped, so that there are stale bytes everywhere.
fn used() -> Image {
    let (mut log, _) = Image::default().open(smallest(), 1);
    for number in 0..110 {
        log.append(&record(number)).unwrap();
        if number % 20 == 19 {
            log.flush().unwrap();
        }
    }
    Image::of(log)
}

#[test]
fn a_killed_program_loses_at_most_the_record_it_was_appending() {
    let image = used();
    for cut in cuts(&image, 6).into_iter().step_by(STEP) {
        let (mut log, _) = image.open_with(smallest(), first_key(), 2, &Power::ending_after(cut));
        let (appended, _) = run(&mut log, 110..134, 6);
        let left = Image::of(log);

        let (mut log, recovery) = left.open(smallest(), 3);
        let next = log.next_id().0;
        assert!(next == appended || next == appended + 1, "cut at {cut}: {next}, appended {appended}");
        assert_eq!(recovery.missing_records, 0, "cut at {cut}");
        let found = read_from(&mut log, 0);
        let oldest = found[0].0;
        let expected: Vec<_> = (oldest..next).map(|number| (number, record(number))).collect();
        assert_eq!(found, expected, "cut at {cut}");

        // Writing continues normally.
        for number in next..next + 3 {
            assert_eq!(log.append(&record(number)), Ok(RecordId(number)), "cut at {cut}");
        }
        log.flush().unwrap();
        assert_eq!(verify(&mut log).1, [], "cut at {cut}");
        let (mut log, recovery) = Image::of(log).open(smallest(), 4);
        assert_eq!((recovery.torn_writes, recovery.damaged_segments), (0, 0), "cut at {cut}");
        let found = read_from(&mut log, 0);
        assert_eq!(found.last(), Some(&(next + 2, record(next + 2))), "cut at {cut}");
        let expected: Vec<_> = (found[0].0..next + 3).map(|number| (number, record(number))).collect();
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_flushed() {
    let image = used();
    let mut dice = Dice::new(7);
    for cut in cuts(&image, 6).into_iter().step_by(5 * STEP) {
        let (mut log, _) = image.open_with(smallest(), first_key(), 2, &Power::ending_after(cut));
        let (_, flushed) = run(&mut log, 110..134, 6);
        let (main, _) = log.into_storages();
        // Any subset of the sectors in flight may have arrived. The journal was in RAM.
        let main = main.after_power_cut(&mut || dice.roll(2) == 0);
        let left = Image { main, journal: Vec::new() };

        let (mut log, _) = left.open(smallest(), 3);
        // The last flush of the image before was at record 100.
        let least = if flushed == 110 { 100 } else { flushed };
        let next = log.next_id().0;
        assert!(next >= least && next <= 134, "cut at {cut}: {next}, flushed {flushed}");
        let found = read_from(&mut log, 0);
        let oldest = found.first().map_or(next, |(number, _)| *number);
        assert!(oldest <= least, "cut at {cut}");
        let expected: Vec<_> = (oldest..next).map(|number| (number, record(number))).collect();
        assert_eq!(found, expected, "cut at {cut}");
        for number in next..next + 3 {
            log.append(&record(number)).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(verify(&mut log).1, [], "cut at {cut}");
    }
}
