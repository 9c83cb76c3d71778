//! Other sizes: a log of another geometry is replaced by one of the geometry in the settings, which takes over the undelivered
//! records. The old file stays beside it as `log.old` if there is room, until everything is delivered.
//!
//! The new log is written completely beside the old one, and then renamed over it: a kill or a power cut leaves one or the
//! other. Numbers, epochs and the hash chain continue, so neither the collector nor `verify` takes it for a roll-back.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sentinel_ringlog::{Cursor, FileStorage, Geometry, LogKey, MAX_RECORD, Mode, RecordId, Salt};

use super::open::{Past, storage, survey};
use super::runs::NewestRun;
use super::{EvidencePolicy, JOURNAL_FILE, Log, MAIN_FILE, Record, Spool, geometry, read_record};
use crate::settings::Settings;
use crate::system::{clock, keys};
use crate::terminal::failure::Failure;

/// Name of the new log until it is complete.
const NEW_FILE: &str = "log.resized";
/// Name of the log that was replaced.
pub(super) const OLD_FILE: &str = "log.old";

/// Replaces the log of geometry `found` by one of the geometry in the settings. Gives what was done, for the operator.
///
/// # Errors
/// The new log could not be written. The old one is unchanged.
pub(super) fn resize(settings: &Settings, key: &LogKey, found: Geometry) -> Result<String, Failure> {
    let new_path = settings.state_dir.join(NEW_FILE);
    let outcome = write_new(settings, key, found, &new_path)
        .and_then(|carried| replace(settings, &new_path).map(|kept| (carried, kept)));
    match outcome {
        Ok((carried, kept)) => Ok(format!(
            "log changed from {} segments of {} KiB to {} of {}; {carried} undelivered records taken over, {kept}",
            found.segments(),
            found.segment_bytes() / 1024,
            settings.log_segments,
            settings.log_segment_kib,
        )),
        Err(failure) => {
            // It may not exist; if it cannot be removed, the next attempt truncates it.
            let _is_gone = fs::remove_file(&new_path);
            Err(failure)
        }
    }
}

/// Writes the new log. Gives the number of records taken over.
fn write_new(settings: &Settings, key: &LogKey, found: Geometry, path: &Path) -> Result<u64, Failure> {
    let at = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
    let main = storage(&settings.state_dir.join(MAIN_FILE))?;
    let journal = storage(&settings.run_dir.join(JOURNAL_FILE))?;
    let (mut old, recovery) =
        Log::open(main, journal, found, key.clone(), Mode::ReadOnly).map_err(|error| at(&error))?;
    let Past { delivered, newest, written, .. } = survey(&mut old);
    let new_key = key.advance_to(old.head().epoch.saturating_add(1)).map_err(|error| at(&error))?;
    let mut salt = [0; 16];
    keys::random(&mut salt)?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path);
    // The journal belongs to the old log until the new one is complete.
    let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null");
    let (file, nowhere) = (file.map_err(|error| at(&error))?, nowhere.map_err(|error| at(&error))?);
    let (mut log, _) = Log::open(
        FileStorage::from(file),
        FileStorage::from(nowhere),
        geometry(settings)?,
        new_key,
        Mode::Append(Salt(salt)),
    )
    .map_err(|error| at(&error))?;
    log.continue_after(&old.head(), old.next_id());
    let mut new = Spool::new(settings, Box::new(log), Some(0), newest.map_or(0, |run| run.boot), None);
    if let Some(previous) = newest {
        // What rotation makes the new log state about its run is then true of the last one.
        (new.next_seq, new.is_marked_open) = (previous.next_seq, previous.is_open);
    }
    if let Some(written) = &written {
        new.budget.restore(written, old.end_position(), clock::wall());
    }
    new.rekey.is_frozen = true;
    new.set_evidence(EvidencePolicy::stored(settings));
    let from = delivered.map_or(old.oldest(), |last| last.next().max(old.oldest()));
    // It is not a run of its own, so nothing is stated about one after a flush.
    new.is_ended = true;
    // The operator has asked for these writes.
    new.policy.daily_bytes = u64::MAX;
    let mut carried = copy(&mut old, from, &mut new).map_err(|_| at(&"a record was not taken"))?;
    match newest {
        // Here, because the journal of the old log is not that of the new one.
        Some(previous) if previous.end.is_none() => {
            let is_complete = recovery.from_journal > 0 && old.was_journal_complete();
            new.end_previous_run(previous, is_complete);
            carried += 1;
        }
        // Again, if it was delivered: the next run must find it.
        Some(NewestRun { end: Some(end), .. }) => {
            new.store(&Record::End(end)).map_err(|_| at(&"a record was not taken"))?;
        }
        _ => {}
    }
    new.flush();
    match new.last_error() {
        None if new.log.waiting() == 0 && new.counts.lost_storage == 0 => Ok(carried),
        error => Err(at(&error.unwrap_or("not all records were written"))),
    }
}

/// Copies alerts and gaps in their order, so that the collector's last one is found among them. A log with nothing to copy gets
/// a record of delivery, because the key must not be ahead of an empty log.
fn copy(old: &mut Log, from: RecordId, new: &mut Spool) -> Result<u64, super::NotStored> {
    let (mut cursor, mut buffer, mut carried) = (Cursor::new(from), [0; MAX_RECORD], 0);
    while let Ok(Some((_, length))) = old.read_next(&mut cursor, &mut buffer) {
        match buffer.get(..length).and_then(read_record) {
            Some(
                Record::Start { .. }
                | Record::Delivered { .. }
                | Record::Numbered { .. }
                | Record::Written { .. }
                | Record::LogOnly { .. },
            )
            | None => {}
            Some(record) => {
                new.store(&record)?;
                carried += 1;
            }
        }
    }
    new.write_gaps()?;
    if carried == 0 {
        new.append(&Record::Delivered { before: new.log.next_id().0 })?;
    }
    Ok(carried)
}

/// Renames the new log over the old one, which keeps another name if the flash has room for both. Says which.
fn replace(settings: &Settings, new_path: &Path) -> Result<&'static str, Failure> {
    let (main, old) = (settings.state_dir.join(MAIN_FILE), settings.state_dir.join(OLD_FILE));
    let at = |error: std::io::Error| Failure::new(format!("{}: {error}", main.display()));
    let _is_absent = fs::remove_file(&old);
    // The new log still grows to its full size.
    let room =
        rustix::fs::statvfs(&settings.state_dir).map(|space| space.f_bavail.saturating_mul(space.f_frsize));
    let is_kept = room.is_ok_and(|room| room >= geometry(settings).map_or(0, Geometry::total_bytes))
        && fs::hard_link(&main, &old).is_ok();
    fs::rename(new_path, &main).map_err(at)?;
    fs::File::open(&settings.state_dir).and_then(|directory| directory.sync_all()).map_err(at)?;
    Ok(if is_kept { "the old file is kept as log.old" } else { "the old file was removed for lack of room" })
}
