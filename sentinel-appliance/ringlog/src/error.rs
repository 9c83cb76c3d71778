//! What can go wrong, one enum per operation. `E` is the error of the storages.

use core::fmt;

use crate::geometry::Geometry;
use crate::record::{MAX_RECORD, RecordId};

/// Why a log could not be opened. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// Main could not be read.
    Main(E),
    /// The journal could not be read.
    Journal(E),
    /// Main holds a log that is cut differently; open it as it is, or start another.
    Geometry {
        /// How the log is cut.
        found: Geometry,
    },
    /// Main holds a log of a later version of the format.
    Version(u16),
    /// No segment can be opened, but there are some: this is the key of another log.
    WrongKey,
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main(error) => write!(out, "log not readable: {error}"),
            Self::Journal(error) => write!(out, "journal not readable: {error}"),
            Self::Geometry { found } => write!(
                out,
                "the log has {} segments of {} bytes, not what is asked for",
                found.segments(),
                found.segment_bytes()
            ),
            Self::Version(version) => write!(out, "the log has format version {version}, later than 1"),
            Self::WrongKey => out.write_str("the key does not open this log"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for OpenError<E> {}

/// Why a record was not appended, or not as safely as it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AppendError<E> {
    /// The record is longer than [`MAX_RECORD`]. It is not in the log.
    TooLong(usize),
    /// Memory is full of records that main does not take. The record is not in the log: count it as lost. Appending
    /// works again as soon as main takes what waits; each append tries.
    Full(FlushError<E>),
    /// Memory is full, and main is left alone because [`crate::RingLog::spare`] says so. The record is not in the log: count
    /// it as lost.
    Suspended,
    /// The record is in the log under this number and is readable, but the journal did not take it: until the next
    /// flush it would not survive the end of the program. Later appends try again to put it there.
    NotJournalled(RecordId, E),
    /// The log was opened for reading.
    ReadOnly,
}

impl<E: fmt::Display> fmt::Display for AppendError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(out, "record of {len} bytes, at most {MAX_RECORD} fit"),
            Self::Full(error) => write!(out, "no room for a record: {error}"),
            Self::Suspended => out.write_str("no room for a record while the log is left alone"),
            Self::NotJournalled(id, error) => write!(out, "record {id} is in memory only: {error}"),
            Self::ReadOnly => out.write_str("log opened for reading"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for AppendError<E> {}

/// Why records did not reach main. They stay in memory and in the journal; the next flush tries again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FlushError<E> {
    /// Main could not be written.
    Main(E),
    /// Everything is in main, but the journal could not be reset. Nothing is lost: opening sees that main has them.
    Journal(E),
    /// The log was opened for reading.
    ReadOnly,
    /// The last epoch is used up. Cannot happen before 2^64 segments.
    Exhausted,
}

impl<E: fmt::Display> fmt::Display for FlushError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main(error) => write!(out, "log not written: {error}"),
            Self::Journal(error) => write!(out, "journal not reset: {error}"),
            Self::ReadOnly => out.write_str("log opened for reading"),
            Self::Exhausted => out.write_str("no epoch left"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for FlushError<E> {}

/// Why a record could not be read. The cursor stays where it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// Main could not be read.
    Main(E),
    /// The journal could not be read (only when verifying).
    Journal(E),
    /// The record has this many bytes, more than the buffer given.
    TooSmall(usize),
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main(error) => write!(out, "log not readable: {error}"),
            Self::Journal(error) => write!(out, "journal not readable: {error}"),
            Self::TooSmall(len) => write!(out, "the record has {len} bytes, more than the buffer"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for ReadError<E> {}
