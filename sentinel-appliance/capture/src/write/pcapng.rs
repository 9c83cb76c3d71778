//! pcapng with nanosecond timestamps. Read first: draft-ietf-opsawg-pcapng, sections 3 and 4.1 to 4.3.

use std::io::{self, Write};

use sentinel_units::LinkType;

use super::TaggedFrame;
use super::counting::{CountingWriter, writer_tail};
use crate::Frame;
use crate::file::MAX_INTERFACES;

/// Writer of one section with up to [`MAX_INTERFACES`] interfaces; one write for each block.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: CountingWriter<W>,
    /// Buffer for one block, reused.
    block: Vec<u8>,
    interfaces: u32,
}

/// Identifier of an interface of one [`PcapngWriter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InterfaceId(u32);

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header.
    ///
    /// # Errors
    /// The error of `out`, which may then hold part of the header.
    pub fn new(out: W) -> io::Result<Self> {
        const SECTION_HEADER: u32 = 0x0a0d_0d0a;
        const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;
        let out = CountingWriter::new(out);
        let mut writer = Self { out, block: Vec::with_capacity(2048), interfaces: 0 };
        writer.begin(SECTION_HEADER);
        writer.word(BYTE_ORDER_MARK);
        writer.half(1);
        writer.half(0);
        writer.block.extend_from_slice(&u64::MAX.to_le_bytes()); // length of the section: not known
        writer.finish()?;
        Ok(writer)
    }

    /// Writes the description of an interface, whose frames may then follow. `snap_len` is the length to
    /// which frames were truncated at capture, zero if they were not.
    ///
    /// # Errors
    /// The error of the destination, and [`io::ErrorKind::InvalidInput`] past [`MAX_INTERFACES`].
    pub fn add_interface(&mut self, name: &str, link: LinkType, snap_len: u32) -> io::Result<InterfaceId> {
        const INTERFACE_DESCRIPTION: u32 = 1;
        const NAME: u16 = 2;
        const RESOLUTION: u16 = 9;
        const NANOSECONDS: u8 = 9;
        if usize::try_from(self.interfaces).is_ok_and(|count| count >= MAX_INTERFACES) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.begin(INTERFACE_DESCRIPTION);
        self.half(link.0);
        self.half(0);
        self.word(snap_len);
        self.option(NAME, name.as_bytes());
        self.option(RESOLUTION, &[NANOSECONDS]);
        self.option(0, &[]);
        self.finish()?;
        let id = InterfaceId(self.interfaces);
        self.interfaces += 1;
        Ok(id)
    }

    /// Writes one frame, truncated to [`MAX_FRAME`](crate::file::MAX_FRAME). A VLAN tag that the kernel
    /// removed is put back into an Ethernet frame.
    ///
    /// # Errors
    /// The error of the destination, which may then hold part of the block.
    pub fn write(&mut self, interface: InterfaceId, frame: &Frame<'_>) -> io::Result<()> {
        const ENHANCED_PACKET: u32 = 6;
        let tagged = TaggedFrame::new(frame);
        let nanos = frame.at.as_nanos();
        self.begin(ENHANCED_PACKET);
        self.word(interface.0);
        self.word(u32::try_from(nanos >> 32).unwrap_or(u32::MAX));
        self.word(u32::try_from(nanos & u64::from(u32::MAX)).unwrap_or(u32::MAX));
        self.word(tagged.captured_len());
        self.word(tagged.wire_len(frame.wire_len));
        tagged.append_to(&mut self.block);
        self.pad();
        self.finish()
    }

    /// Starts a block of this type.
    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.word(kind);
        self.word(0); // block length, set by `finish`
    }

    /// Sets both lengths of the block and writes it.
    fn finish(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len() + 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Some(field) = self.block.get_mut(4..8) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        self.word(length);
        self.out.write_all(&self.block)
    }

    /// Appends an option. Values longer than 65,535 bytes do not occur: names of interfaces have at most 15.
    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.half(code);
        self.half(length);
        self.block.extend(value.iter().take(usize::from(length)));
        self.pad();
    }

    /// Pads to a multiple of four bytes.
    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn word(&mut self, word: u32) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    fn half(&mut self, half: u16) {
        self.block.extend_from_slice(&half.to_le_bytes());
    }
}

writer_tail!(PcapngWriter);
