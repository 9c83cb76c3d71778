//! Reader for both formats.

use std::fmt;
use std::io::Read;

use sentinel_units::LinkType;

use super::error::{FileError, FileErrorReason};
use super::input::Input;
use super::record::Record;
use super::{pcap, pcapng};
use crate::Frame;

/// Reader of frames from a pcap or pcapng file or pipe.
///
/// Holds one buffer: 144 KiB, and 336 KiB once a frame or block needs it.
pub struct Reader<'r> {
    input: Input<'r>,
    format: Format,
    /// The end or an error was reached. After an error the position of the next record is unknown.
    is_over: bool,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Format of a capture file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// The classic format of libpcap.
    Pcap,
    /// The block format.
    Pcapng,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reader")
            .field("kind", &self.kind())
            .field("offset", &self.offset())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

impl<'r> Reader<'r> {
    /// Reads the first header of `source`.
    ///
    /// # Errors
    /// [`FileError`] if it is no capture file, or its header is damaged or of an unknown version.
    pub fn open(source: impl Read + 'r) -> Result<Self, FileError> {
        let mut input = Input::new(source);
        let format = recognise(&mut input).map_err(|reason| FileError { offset: 0, reason })?;
        Ok(Self { input, format, is_over: false })
    }

    /// The next frame, or `None` at the end of the file. After an error there are no more frames.
    ///
    /// Frames of unsupported link types are returned too.
    ///
    /// # Errors
    /// [`FileError`] with the offset of the damaged record or block. All complete frames before it have been
    /// returned.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows the reader, which Iterator cannot say"
    )]
    #[inline(never)] // compiled in this crate, for speed, and not into a program that is compiled for size
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FileError> {
        if self.is_over {
            return Ok(None);
        }
        let record = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.input),
            Format::Pcapng(section) => section.next(&mut self.input),
        };
        match record {
            Ok(None) => {
                self.is_over = true;
                Ok(None)
            }
            Ok(Some(record)) => Ok(Some(frame(&self.input, record))),
            Err(reason) => {
                self.is_over = true;
                Err(FileError { offset: self.input.record_offset(), reason })
            }
        }
    }

    /// The next frame, if it is in memory already and of the most common format; otherwise `None`, which says nothing:
    /// [`Self::next`] must follow.
    #[inline(always)] // into the loop over a file: a call passes the fields of the frame through memory
    pub fn next_in_memory(&mut self) -> Option<Frame<'_>> {
        let Format::Pcap(header) = &mut self.format else { return None };
        let record = header.next_in_memory(&mut self.input)?;
        Some(frame(&self.input, record))
    }

    /// Offset in the file of the record of the last frame returned, or of the end of reading.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.input.record_offset()
    }

    /// Format of the file.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.format {
            Format::Pcap(_) => FileKind::Pcap,
            Format::Pcapng(_) => FileKind::Pcapng,
        }
    }

    /// The link types of the interfaces described so far: exactly one in a pcap file; in a pcapng file those
    /// of the current section, by interface number.
    pub fn link_types(&self) -> impl Iterator<Item = LinkType> + '_ {
        let (one, several) = match &self.format {
            Format::Pcap(header) => (Some(header.link()), None),
            Format::Pcapng(section) => (None, Some(section.link_types())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

/// The frame of a record that is in memory.
#[inline(always)] // for every frame
fn frame<'i>(input: &'i Input<'_>, record: Record) -> Frame<'i> {
    let Record { at, wire_len, link, interface, bytes } = record;
    // The format has brought the complete record into memory, so the range lies in the window.
    let bytes = input.window().get(bytes).unwrap_or_default();
    Frame { at, wire_len, link, vlan: None, vlan_type: Frame::CUSTOMER_TAG, interface, bytes }
}

/// Detects the format by the first bytes.
fn recognise(input: &mut Input<'_>) -> Result<Format, FileErrorReason> {
    // Not consumed: the header of either format begins with its magic number.
    let first = input.peek(16)?;
    let Some(magic) = first.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) else {
        return Err(match first.len() {
            0 => FileErrorReason::Empty,
            found => FileErrorReason::Truncated { wanted: 24, found: u32::try_from(found).unwrap_or(0) },
        });
    };
    if let Some(name) = other_format(first) {
        return Err(FileErrorReason::OtherFormat(name));
    }
    if magic == pcapng::SECTION_HEADER {
        return pcapng::Section::open(input).map(Format::Pcapng);
    }
    pcap::Header::open(input, magic).map(Format::Pcap)
}

/// Name of a format that is mistaken for pcap, for the error message.
fn other_format(first: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 12] = [
        (b"snoop\0\0\0", "snoop"),
        (b"btsnoop\0", "btsnoop"),
        (b"\x89MCAP0\r\n", "mcap"),
        (b"TRSNIFF data", "Sniffer"),
        (b"XCP\0", "NetXRay"),
        (b"GMBU", "Network Monitor"),
        (b"RTSS", "Network Monitor"),
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
        (b"PK\x03\x04", "zip"),
    ];
    MAGICS.iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, name)| *name)
}
