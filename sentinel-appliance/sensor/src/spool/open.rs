//! What opening the spool takes: the files, and a number for this run.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sentinel_ringlog::FileStorage;

use crate::failure::Failure;
use crate::identity;

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

/// Never zero, which is for files.
pub(super) fn boot_number() -> Result<u32, Failure> {
    let [a, b, c, d, ..] = identity::random_u64()?.to_le_bytes();
    Ok(u32::from_le_bytes([a, b, c, d]).max(1))
}
