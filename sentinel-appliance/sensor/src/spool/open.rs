//! What opening the spool takes: the files, and a number for this run.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sentinel_ringlog::{Cursor, FileStorage, MAX_RECORD, RecordId};

use crate::failure::Failure;
use crate::identity;

use super::{Log, Record, read_record};

/// Opens a file that only we can read, and keeps other sensors from writing to it.
pub(super) fn storage(path: &Path) -> Result<FileStorage, Failure> {
    let at = |what: String| Failure::new(format!("{}: {what}", path.display()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(|error| at(error.to_string()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(FileStorage::from(file)),
        Err(Errno::WOULDBLOCK) => {
            Err(at("another sensor writes to this log; give this one other directories".into()))
        }
        Err(error) => Err(at(error.to_string())),
    }
}

/// What the log says of the time before this run.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Last record that was delivered, by the newest record that speaks of it.
    pub(super) delivered: Option<RecordId>,
}

/// Reads the whole log.
pub(super) fn survey(log: &mut Log) -> Past {
    let (mut cursor, mut buffer, mut past) = (Cursor::new(log.oldest()), [0; MAX_RECORD], Past::default());
    while let Ok(Some((id, length))) = log.read_next(&mut cursor, &mut buffer) {
        match buffer.get(..length).and_then(read_record) {
            // After a power cut the numbers of lost records are given again, but never one below a record that
            // is still there: what this record says of those before it stays true.
            Some(Record::Delivered { before }) if before <= id.0 => {
                past.delivered = before.checked_sub(1).map(RecordId);
            }
            _ => {}
        }
    }
    past
}

/// Never zero, which is for files.
pub(super) fn boot_number() -> Result<u32, Failure> {
    let [a, b, c, d, ..] = identity::random_u64()?.to_le_bytes();
    Ok(u32::from_le_bytes([a, b, c, d]).max(1))
}
