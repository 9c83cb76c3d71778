//! A log in a fixed space: sealed, deflated, rotated, and the spool for what the collector has not taken yet.
//!
//! In: records (byte strings up to [`MAX_RECORD`]), two storages behind `embedded-io` traits, a [`LogKey`], and a random
//! [`Salt`] per opening. Out: [`RecordId`]s, the records again in order, what is about to be overwritten, and a verdict on
//! the whole log. The bytes are described in `FORMAT.md`.
//!
//! Memory: one segment of records not yet on flash, one segment for the block being written or read, 88 bytes per segment
//! of the ring; all allocated by [`RingLog::open`]. Deflating takes 320 KB and inflating 43 KB more: each is allocated
//! the first time it is needed, kept, and given back by [`RingLog::release_buffers`].
//!
//! It never reads a clock, draws a random number, starts a thread, or writes to flash on its own account: *main* is
//! written when a segment's worth of records has gathered, on [`RingLog::flush`] and on [`RingLog::rotate`], in whole
//! pages, one after the other. Opening writes nothing.
//!
//! What a program does with it:
//!
//! ```
//! use sentinel_ringlog::{Cursor, Geometry, LogKey, MAX_RECORD, Mode, RamStorage, RecordId, RingLog, Salt};
//! use sentinel_seal::Key;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let geometry = Geometry::new(65_536, 8)?;
//! # let (main, journal) = (RamStorage::default(), RamStorage::default());
//! let key = LogKey::new(0, Key::from_bytes([7; 32])); // from the key file
//! let salt = Salt([9; 16]); // from the random source of the system, each time anew
//! let (mut log, recovery) = RingLog::open(main, journal, geometry, key, Mode::Append(salt))?;
//! assert!(recovery.is_new);
//!
//! // For each alert. A critical one is flushed at once.
//! if log.needs_flush() {
//!     if let Some(doomed) = log.about_to_overwrite() {
//!         // Append again what is severe and not acknowledged among these, and a gap record for the rest.
//!         assert!(doomed.start < doomed.end);
//!     }
//!     log.flush()?;
//! }
//! let id = log.append(b"an alert")?;
//!
//! // To send the spool, also after a restart.
//! let (mut cursor, mut buf) = (Cursor::new(RecordId(0)), [0; MAX_RECORD]);
//! while let Some((id, len)) = log.read_next(&mut cursor, &mut buf)? {
//!     assert_eq!((id, buf.get(..len)), (RecordId(0), Some(&b"an alert"[..])));
//! }
//!
//! // The collector has everything up to `id`: older segments may be closed. Store the key if its epoch changed.
//! let before = log.key().epoch();
//! let store = log.advance_key(id.next()).epoch() != before;
//! # assert!(!store);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod account;
mod error;
mod file;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod geometry;
mod journal;
mod key;
mod log;
mod pack;
mod pending;
mod record;
mod ring;
mod storage;
pub mod testing;
#[cfg(test)]
mod tests;

pub use account::{Recovery, Stats};
pub use error::{AppendError, FlushError, OpenError, ReadError};
pub use file::FileStorage;
pub use geometry::{Geometry, GeometryError, PAGE_BYTES};
pub use key::{KeyError, LogKey, Mode, Salt};
pub use log::{Cursor, Finding, Report, RingLog, SegmentInfo, SegmentState, Suspended};
pub use record::{ChainHead, MAX_RECORD, RecordId};
pub use storage::{RamStorage, Storage};
