//! Opening of the spool: files, state of the delivery, and a number for this run.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sentinel_ringlog::{Cursor, FileStorage, MAX_RECORD, RecordId};
use sentinel_uplink::EndCause;

use crate::system::private_files::no_links;
use crate::terminal::failure::Failure;

use super::budget::Written;
use super::runs::NewestRun;
use super::{Log, Medium, Record, read_record};

/// Opens a file with mode 0600 and locks it against other sensors, whose lock is `WouldBlock`.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = no_links();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            let what = "another sensor writes to this log; give this one other directories";
            Err(io::Error::new(io::ErrorKind::WouldBlock, what))
        }
        Err(error) => Err(error.into()),
    }
}

/// As [`lock_file`], for the log.
pub(super) fn storage(path: &Path) -> Result<FileStorage, Failure> {
    let file = lock_file(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())));
    file.map(FileStorage::from)
}

/// State that earlier runs left in the log.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Last record that was delivered, by the newest record of delivery.
    pub(super) delivered: Option<RecordId>,
    /// Numbers of earlier runs; duplicates are rare.
    pub(super) boots: Vec<u32>,
    /// Runs that the watchdog ended.
    pub(super) faults: u32,
    /// Run before this one.
    pub(super) newest: Option<NewestRun>,
    /// Newest account of writes to flash.
    pub(super) written: Option<Written>,
}

/// Reads the whole log.
pub(super) fn survey<S: Medium>(log: &mut Log<S>) -> Past {
    let (mut cursor, mut buffer, mut past) = (Cursor::new(log.oldest()), [0; MAX_RECORD], Past::default());
    while let Ok(Some((id, length))) = log.read_next(&mut cursor, &mut buffer) {
        let record = buffer.get(..length).and_then(read_record);
        if let Some(boot) = record.as_ref().and_then(Record::boot)
            && past.boots.last() != Some(&boot)
        {
            past.boots.push(boot);
        }
        if let Some(record) = &record {
            NewestRun::follow(&mut past.newest, record);
        }
        match record {
            // After a power cut the numbers of lost records are used again, but never one below a record that is still there.
            // So a statement about records below this one stays true.
            Some(Record::Delivered { before }) if before <= id.0 => {
                past.delivered = before.checked_sub(1).map(RecordId);
            }
            Some(Record::End(end)) => past.faults += u32::from(end.cause == EndCause::Fault),
            Some(Record::Written { hour, end, pages }) => past.written = Some(Written::new(hour, end, pages)),
            _ => {}
        }
    }
    past
}

/// Random number for this run: not zero, which is for files, and none that is in the log, or the collector would take alerts
/// of this run for those of that one.
pub(super) fn boot_number(
    taken: &[u32],
    mut random: impl FnMut() -> Result<u64, Failure>,
) -> Result<u32, Failure> {
    loop {
        let [a, b, c, d, ..] = random()?.to_le_bytes();
        let boot = u32::from_le_bytes([a, b, c, d]);
        if boot != 0 && !taken.contains(&boot) {
            return Ok(boot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_an_earlier_run_is_not_used_again() {
        let mut draws = [7, 0, 5 << 32, 8, 9].into_iter();
        let boot = boot_number(&[8, 7], || draws.next().ok_or_else(|| Failure::new("no more")));
        assert_eq!(boot.unwrap(), 9);
    }
}
