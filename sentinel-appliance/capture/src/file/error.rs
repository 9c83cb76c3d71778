//! Errors of reading a capture file.

use std::{fmt, io};

use super::record::{MAX_FRAME, MAX_INTERFACES};

/// A capture file is damaged or cannot be read.
#[derive(Debug)]
pub struct FileError {
    /// Bytes from the start of the file to the damaged record, block or header.
    pub offset: u64,
    /// Reason.
    pub reason: FileErrorReason,
}

/// Reason of a [`FileError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum FileErrorReason {
    /// The file has no bytes.
    Empty,
    /// The first four bytes, as a big-endian number, are of no known format.
    UnknownFormat(u32),
    /// The file is in the format of this name.
    OtherFormat(&'static str),
    /// A version of the format that is not supported.
    Version {
        /// Before the point.
        major: u16,
        /// After the point.
        minor: u16,
    },
    /// The file ends inside a header, record or block.
    Truncated {
        /// Bytes it should have.
        wanted: u32,
        /// Bytes that are there.
        found: u32,
    },
    /// A record with a captured length above [`MAX_FRAME`].
    FrameTooLong(u32),
    /// A block that must be kept in memory and is longer than the limit.
    BlockTooLong {
        /// Its length field.
        length: u32,
        /// The limit.
        most: u32,
    },
    /// A block whose length field is less than its own fields take.
    BlockTooShort {
        /// Its length field.
        length: u32,
        /// The least for a block of its type.
        least: u32,
    },
    /// A block whose length is no multiple of four.
    BlockUnaligned(u32),
    /// A block whose two length fields differ.
    BlockLengths {
        /// Before the block.
        leading: u32,
        /// After it.
        trailing: u32,
    },
    /// A section without a valid byte-order mark.
    ByteOrder(u32),
    /// A packet of an interface that its section has not described.
    UnknownInterface {
        /// Number of the interface.
        number: u32,
        /// Number of interfaces described.
        known: u32,
    },
    /// A section with more than [`MAX_INTERFACES`] interfaces.
    TooManyInterfaces,
    /// The file could not be read.
    Unreadable(io::Error),
}

impl fmt::Display for FileError {
    #[inline]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "offset {}: {}", self.offset, self.reason)
    }
}

impl fmt::Display for FileErrorReason {
    #[inline]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("the file is empty; a capture begins with a pcap or pcapng header"),
            Self::UnknownFormat(magic) => {
                write!(out, "not a capture file (it begins with {magic:08x}); pcap and pcapng are read")
            }
            Self::OtherFormat(name) => write!(out, "this is a {name} file; pcap and pcapng are read"),
            Self::Version { major, minor } => write!(out, "format version {major}.{minor} is not known"),
            Self::Truncated { wanted, found } => {
                write!(out, "the file is cut off here: {found} of {wanted} bytes are there")
            }
            Self::FrameTooLong(length) => {
                write!(out, "record says {length} bytes, more than the {MAX_FRAME} allowed")
            }
            Self::BlockTooLong { length, most } => {
                write!(out, "block says {length} bytes, more than the {most} allowed")
            }
            Self::BlockTooShort { length, least } => {
                write!(out, "block says {length} bytes, less than the {least} that it needs")
            }
            Self::BlockUnaligned(length) => write!(out, "block says {length} bytes, not a multiple of 4"),
            Self::BlockLengths { leading, trailing } => {
                write!(out, "block says {leading} bytes at its start and {trailing} at its end")
            }
            Self::ByteOrder(mark) => {
                write!(out, "byte-order mark {mark:08x} is neither 1a2b3c4d nor 4d3c2b1a")
            }
            Self::UnknownInterface { number, known } => {
                write!(out, "packet of interface {number}, but {known} are described before it")
            }
            Self::TooManyInterfaces => {
                write!(out, "more than {MAX_INTERFACES} interfaces in one section")
            }
            Self::Unreadable(error) => write!(out, "cannot read: {error}"),
        }
    }
}

impl std::error::Error for FileError {
    #[inline]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            FileErrorReason::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}
