//! A log in a fixed space: sealed, deflated, rotated, and the spool for what the collector has not taken yet.
//!
//! In: records (byte strings up to [`MAX_RECORD`]), two storages behind `embedded-io` traits, a [`LogKey`], and a random
//! [`Salt`] per opening. Out: [`RecordId`]s, the records again in order, what is about to be overwritten, and a verdict on
//! the whole log. The bytes are described in `FORMAT.md`.
//!
//! Memory: one segment of records not yet on flash, one segment for the block being written or read, 64 bytes per segment
//! of the ring; all allocated by [`RingLog::open`]. Deflating takes 320 KB and inflating 43 KB more: each is allocated
//! the first time it is needed, kept, and given back by [`RingLog::release_buffers`].
//!
//! It never reads a clock, draws a random number, starts a thread, or writes to flash on its own account: *main* is
//! written when a segment's worth of records has gathered, on [`RingLog::flush`] and on [`RingLog::rotate`], in whole
//! pages, one after the other. Opening writes nothing.

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
mod read;
mod record;
mod ring;
mod storage;
pub mod testing;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod write;

pub use account::{Recovery, Stats};
pub use error::{AppendError, FlushError, OpenError, ReadError};
pub use file::FileStorage;
pub use geometry::{Geometry, GeometryError, PAGE_BYTES};
pub use key::{KeyError, LogKey, Mode, Salt};
pub use log::RingLog;
pub use read::Cursor;
pub use record::{MAX_RECORD, RecordId};
pub use storage::{RamStorage, Storage};
pub use verify::{Finding, Head, Report, SegmentInfo, SegmentState};
