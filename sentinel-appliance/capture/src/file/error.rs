//! Why a capture file cannot be read on.

use std::{fmt, io};

use super::record::{MAX_FRAME, MAX_INTERFACES};

/// What is wrong with a capture file, and where.
#[derive(Debug)]
pub struct FileError {
    /// Bytes from the start of the file to the record, block or header that is wrong.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: FileFault,
}

/// What is wrong at one place of a capture file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileFault {
    /// There is not one byte.
    Empty,
    /// The first four bytes, as a big-endian number, begin no file that is known.
    UnknownFormat(u32),
    /// The file is in another format, whose name this is.
    OtherFormat(&'static str),
    /// A version that is not read.
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
    /// A packet says it is longer than [`MAX_FRAME`].
    FrameTooLong(u32),
    /// A block that must be kept says it is longer than is kept.
    BlockTooLong {
        /// What it says.
        length: u32,
        /// The most that is kept.
        most: u32,
    },
    /// A block says it is shorter than its own fields.
    BlockTooShort {
        /// What it says.
        length: u32,
        /// The least for a block of its kind.
        least: u32,
    },
    /// A block says a length that is no multiple of four.
    BlockUnaligned(u32),
    /// A block's two lengths differ, so one of them is wrong.
    BlockLengths {
        /// Before the block.
        leading: u32,
        /// After it.
        trailing: u32,
    },
    /// A section begins with a byte-order mark that is none.
    ByteOrder(u32),
    /// A packet names an interface that its section has not described.
    UnknownInterface {
        /// The number it names.
        number: u32,
        /// How many are described.
        known: u32,
    },
    /// A section describes more than [`MAX_INTERFACES`] interfaces.
    TooManyInterfaces,
    /// The file could not be read.
    Unreadable(io::Error),
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "offset {}: {}", self.offset, self.reason)
    }
}

impl fmt::Display for FileFault {
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
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            FileFault::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}
