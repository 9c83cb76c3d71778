//! Errors, one enum for each operation. `E` is the error of the storages.

use core::fmt;

use crate::geometry::Geometry;
use crate::record::{MAX_RECORD, RecordId};

/// Reason why a log could not be opened. Nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// Main could not be read.
    Main(E),
    /// The journal could not be read.
    Journal(E),
    /// Main holds a log with another geometry. Open it with that one, or start a new log.
    Geometry {
        /// Geometry of the log.
        found: Geometry,
    },
    /// Main holds a log of a newer version of the format.
    Version(u16),
    /// Main holds segments, but none of them opens: the key belongs to another log.
    WrongKey,
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main(error) => write!(out, "log not readable: {error}"),
            Self::Journal(error) => write!(out, "journal not readable: {error}"),
            Self::Geometry { found } => write!(
                out,
                "the log has {} segments of {} bytes, not those asked for",
                found.segments(),
                found.segment_bytes()
            ),
            Self::Version(version) => write!(out, "the log has format version {version}, newer than 2"),
            Self::WrongKey => out.write_str("the key does not open this log"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for OpenError<E> {}

/// Reason why a record was not appended, or is not protected against the end of the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AppendError<E> {
    /// The record is longer than [`MAX_RECORD`]. It is not in the log.
    TooLong(usize),
    /// Memory is full of records that could not be written to main. The record is not in the log: count it as lost. Each
    /// append tries to write them again.
    Full(FlushError<E>),
    /// Memory is full, and writing main is suspended by [`crate::RingLog::suspend_writes`]. The record is not in the log:
    /// count it as lost.
    Suspended,
    /// The record is in the log under this number and is readable, but could not be written to the journal: until the next
    /// flush it would not survive the end of the program. Later appends try to write it again.
    NotJournalled(RecordId, E),
    /// The log was opened for reading.
    ReadOnly,
}

impl<E: fmt::Display> fmt::Display for AppendError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(out, "record of {len} bytes, at most {MAX_RECORD} fit"),
            Self::Full(error) => write!(out, "no room for a record: {error}"),
            Self::Suspended => out.write_str("no room for a record while writing the log is suspended"),
            Self::NotJournalled(id, error) => write!(out, "record {id} is in memory only: {error}"),
            Self::ReadOnly => out.write_str("log opened for reading"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for AppendError<E> {}

/// Reason why records did not reach main. They stay in memory and in the journal; the next flush writes them again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FlushError<E> {
    /// Main could not be written.
    Main(E),
    /// Everything is in main, but the journal could not be reset. Nothing is lost: opening skips journal records that main
    /// has.
    Journal(E),
    /// The log was opened for reading.
    ReadOnly,
    /// No epoch or nonce is left. Cannot happen before 2^64 segments.
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

/// Reason why a record could not be read. The cursor stays where it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// Main could not be read.
    Main(E),
    /// The journal could not be read (only from [`crate::RingLog::verify`]).
    Journal(E),
    /// The record is longer than the buffer. Holds its length in bytes.
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
