//! One reader for both formats.

use std::io::Read;

use sentinel_units::LinkType;

use super::error::{FileError, FileFault};
use super::input::Input;
use super::{pcap, pcapng};
use crate::Frame;

/// Reads frames from a pcap or pcapng file, a pipe, or anything else that can be read.
///
/// Holds one buffer: 144 KiB, and 336 KiB once a frame or block needs it.
pub struct Reader<'r> {
    input: Input<'r>,
    format: Format,
    /// After an error nothing more can be trusted.
    is_over: bool,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Which of the two formats a file has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// The classic format.
    Pcap,
    /// The format of blocks.
    Pcapng,
}

impl<'r> Reader<'r> {
    /// Reads the first header of `source`.
    ///
    /// # Errors
    /// [`FileError`] if this is no capture file, or one whose header is damaged or of an unknown version.
    pub fn open(source: impl Read + 'r) -> Result<Self, FileError> {
        let mut input = Input::new(source);
        let format = recognise(&mut input).map_err(|reason| FileError { offset: 0, reason })?;
        Ok(Self { input, format, is_over: false })
    }

    /// The next frame, or `None` at the end of the file. After an error there are no more frames.
    ///
    /// A frame of a link type that the sensor cannot dissect is returned like any other.
    ///
    /// # Errors
    /// [`FileError`] with the offset of the record or block that is wrong. All complete frames before it have
    /// been returned.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows the reader, which Iterator cannot say"
    )]
    #[inline(never)] // compiled here, for speed, and not with a program that is compiled for size
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FileError> {
        if self.is_over {
            return Ok(None);
        }
        let found = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.input),
            Format::Pcapng(section) => section.next(&mut self.input),
        };
        match found {
            Ok(None) => {
                self.is_over = true;
                Ok(None)
            }
            Ok(Some(found)) => {
                let bytes = self.input.window().get(found.bytes).unwrap_or_default();
                Ok(Some(Frame {
                    at: found.at,
                    wire_len: found.wire_len,
                    link: found.link,
                    vlan: None,
                    vlan_type: Frame::CUSTOMER_TAG,
                    interface: found.interface,
                    bytes,
                }))
            }
            Err(reason) => {
                self.is_over = true;
                Err(FileError { offset: self.input.record_offset(), reason })
            }
        }
    }

    /// Bytes from the start of the file to the record of the last frame returned, or to where reading ended.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.input.record_offset()
    }

    /// Which format the file has.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.format {
            Format::Pcap(_) => FileKind::Pcap,
            Format::Pcapng(_) => FileKind::Pcapng,
        }
    }

    /// The link types of the interfaces described so far: exactly one in a pcap file; in a pcapng file those of the
    /// current section, by interface number.
    pub fn link_types(&self) -> impl Iterator<Item = LinkType> + '_ {
        let (one, several) = match &self.format {
            Format::Pcap(header) => (Some(header.link()), None),
            Format::Pcapng(section) => (None, Some(section.link_types())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

fn recognise(input: &mut Input<'_>) -> Result<Format, FileFault> {
    let first = input.peek(16)?;
    let Some(magic) = first.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) else {
        return Err(match first.len() {
            0 => FileFault::Empty,
            found => FileFault::Truncated { wanted: 24, found: u32::try_from(found).unwrap_or(0) },
        });
    };
    if let Some(name) = other_format(first) {
        return Err(FileFault::OtherFormat(name));
    }
    if magic == pcapng::SECTION_HEADER {
        return pcapng::Section::open(input).map(Format::Pcapng);
    }
    pcap::Header::open(input, magic).map(Format::Pcap)
}

/// Names formats that people mistake for pcap, so that the message says what they have.
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
