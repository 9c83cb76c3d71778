//! pcapng with nanosecond stamps. Read first: draft-ietf-opsawg-pcapng, sections 3 and 4.1 to 4.3.

use std::io::{self, Write};

use sentinel_units::LinkType;

use super::tagged;
use crate::Frame;
use crate::file::{MAX_FRAME, MAX_INTERFACES};

/// Writes one section with as many interfaces as are added.
///
/// Hands over whole blocks with one write each, so an unbuffered file is valid after every frame.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    block: Vec<u8>,
    interfaces: u32,
    written: u64,
}

/// An interface of one [`PcapngWriter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InterfaceId(u32);

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header.
    ///
    /// # Errors
    /// What `out` says; it may then hold part of the header.
    pub fn new(out: W) -> io::Result<Self> {
        const SECTION_HEADER: u32 = 0x0a0d_0d0a;
        const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;
        let mut writer = Self { out, block: Vec::with_capacity(2048), interfaces: 0, written: 0 };
        writer.begin(SECTION_HEADER);
        writer.word(BYTE_ORDER_MARK);
        writer.half(1);
        writer.half(0);
        writer.block.extend_from_slice(&u64::MAX.to_le_bytes()); // length of the section: not known
        writer.finish()?;
        Ok(writer)
    }

    /// Describes an interface; its frames may follow. `snap_len` as in a pcap file, zero for no limit.
    ///
    /// # Errors
    /// What the destination says, and [`io::ErrorKind::InvalidInput`] past [`MAX_INTERFACES`].
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

    /// Writes one frame; of one longer than [`MAX_FRAME`], the beginning. A tag that the kernel took off is put
    /// back into an Ethernet frame.
    ///
    /// # Errors
    /// What the destination says; it may then hold part of the block.
    pub fn write(&mut self, interface: InterfaceId, frame: &Frame<'_>) -> io::Result<()> {
        const ENHANCED_PACKET: u32 = 6;
        const HEADER_LEN: usize = 28;
        let (head, tag, tail) = tagged(frame);
        let tag = tag.as_ref().map_or(&[][..], <[u8; 4]>::as_slice);
        let wire_len = frame.wire_len.saturating_add(u32::try_from(tag.len()).unwrap_or(0));
        let captured = u32::try_from(head.len() + tag.len() + tail.len()).unwrap_or(u32::MAX).min(MAX_FRAME);
        let nanos = frame.at.as_nanos();
        self.begin(ENHANCED_PACKET);
        self.word(interface.0);
        self.word(u32::try_from(nanos >> 32).unwrap_or(u32::MAX));
        self.word(u32::try_from(nanos & u64::from(u32::MAX)).unwrap_or(u32::MAX));
        self.word(captured);
        self.word(wire_len);
        for part in [head, tag, tail] {
            self.block.extend_from_slice(part);
        }
        self.block.truncate(HEADER_LEN.saturating_add(usize::try_from(captured).unwrap_or(usize::MAX)));
        self.pad();
        self.finish()
    }

    /// Bytes written so far, the header included.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Makes what was written reach its destination.
    ///
    /// # Errors
    /// What the destination says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The destination, for example to close it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.word(kind);
        self.word(0); // the length, once it is known
    }

    fn finish(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len() + 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Some(field) = self.block.get_mut(4..8) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        self.word(length);
        self.out.write_all(&self.block)?;
        self.written += u64::from(length);
        Ok(())
    }

    /// Values of more than 65535 bytes do not occur: names of interfaces have at most 15.
    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.half(code);
        self.half(length);
        self.block.extend(value.iter().take(usize::from(length)));
        self.pad();
    }

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
