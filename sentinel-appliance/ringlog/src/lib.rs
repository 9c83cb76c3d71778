//! Sealed log in a fixed space: compressed, encrypted records in a ring of segments on flash, and a write-ahead journal on a
//! RAM disk. It is also the spool of records that the collector has not acknowledged yet.
//!
//! In: records (byte strings up to [`MAX_RECORD`]), two storages behind `embedded-io` traits, a [`LogKey`], and a random
//! [`Salt`] for each opening. Out: [`RecordId`]s, the records again in order, the range that the next flush evicts, and the
//! findings of a verification. `FORMAT.md` specifies the bytes.
//!
//! Memory: one segment of records not yet in main, one segment for the block being written or read, 160 bytes for each segment
//! of the ring; all allocated by [`RingLog::open`]. Deflating takes 320 KB and inflating 43 KB more: each is allocated
//! when it is first needed, kept, and freed by [`RingLog::release_buffers`].
//!
//! It never reads a clock, draws a random number, starts a thread, or writes to flash on a timer: *main* is written when a
//! segment of records is pending, on [`RingLog::flush`] and on [`RingLog::rotate`], in whole pages, in ascending order.
//! Opening writes nothing.
//!
//! Example:
//!
//! ```
//! use sentinel_ringlog::{Cursor, Geometry, LogKey, MAX_RECORD, Mode, RamStorage, RecordId, RingLog, Salt};
//! use sentinel_seal::Key;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let geometry = Geometry::new(65_536, 8)?;
//! # let (main, journal) = (RamStorage::default(), RamStorage::default());
//! let key = LogKey::new(0, Key::from_bytes([7; 32])); // from the key file
//! let salt = Salt([9; 16]); // from the random source of the system, a new one for each opening
//! let (mut log, recovery) = RingLog::open(main, journal, geometry, key, Mode::Append(salt))?;
//! assert!(recovery.is_new);
//!
//! // For each alert. A critical one is flushed at once.
//! if log.needs_flush() {
//!     if let Some(evicted_range) = log.about_to_overwrite() {
//!         // Append again the severe and unacknowledged ones among these, and a gap record for the others.
//!         assert!(evicted_range.start < evicted_range.end);
//!     }
//!     log.flush()?;
//! }
//! let id = log.append(b"an alert")?;
//!
//! // Send the spool, also after a restart.
//! let (mut cursor, mut buf) = (Cursor::new(RecordId(0)), [0; MAX_RECORD]);
//! while let Some((id, len)) = log.read_next(&mut cursor, &mut buf)? {
//!     assert_eq!((id, buf.get(..len)), (RecordId(0), Some(&b"an alert"[..])));
//! }
//!
//! // The collector has everything up to `id`: older segments need not be readable any more. Store the key if its epoch
//! // changed.
//! let epoch = log.key().epoch();
//! let must_store = log.advance_key(id.next()).epoch() != epoch;
//! # assert!(!must_store);
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
mod head;
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
pub use file::{FileStorage, Reopen};
pub use geometry::{Geometry, GeometryError, PAGE_BYTES};
pub use head::{Head, ParseHeadError};
pub use key::{KeyError, LogKey, Mode, Salt};
pub use log::{Cursor, Finding, Report, RingLog, SegmentInfo, SegmentState, Suspended};
pub use record::{MAX_RECORD, RecordId};
pub use ring::stored_geometry;
pub use storage::{RamStorage, Storage};
