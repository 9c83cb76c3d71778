//! pcap with nanosecond stamps. Read first: draft-ietf-opsawg-pcap.

use std::io::{self, Write};

use sentinel_units::LinkType;

use super::tagged;
use crate::Frame;
use crate::file::MAX_FRAME;

/// Writes frames of one link type.
///
/// Hands over whole records with one write each, so an unbuffered file is valid after every frame.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    record: Vec<u8>,
    written: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the header. `snap_len` is the most that a frame was cut to; [`MAX_FRAME`] if they were not cut.
    ///
    /// # Errors
    /// What `out` says; it may then hold part of the header.
    pub fn new(mut out: W, link: LinkType, snap_len: u32) -> io::Result<Self> {
        const NANOSECONDS: u32 = 0xa1b2_3c4d;
        let mut record = Vec::with_capacity(2048);
        record.extend_from_slice(&NANOSECONDS.to_le_bytes());
        for half in [2_u16, 4] {
            record.extend_from_slice(&half.to_le_bytes());
        }
        for word in [0, 0, snap_len, u32::from(link.0)] {
            record.extend_from_slice(&word.to_le_bytes());
        }
        out.write_all(&record)?;
        let written = u64::try_from(record.len()).unwrap_or(0);
        Ok(Self { out, record, written })
    }

    /// Writes one frame; of one longer than [`MAX_FRAME`], the beginning. Seconds wrap in the year 2106, as the
    /// format has 32 bits for them.
    ///
    /// A tag that the kernel took off is put back into an Ethernet frame, as the record has no other place for it.
    ///
    /// # Errors
    /// What the destination says; it may then hold part of the record.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        const HEADER_LEN: usize = 16;
        let (head, tag, tail) = tagged(frame);
        let tag = tag.as_ref().map_or(&[][..], <[u8; 4]>::as_slice);
        let seconds = u32::try_from(frame.at.as_secs() & u64::from(u32::MAX)).unwrap_or(0);
        let wire_len = frame.wire_len.saturating_add(u32::try_from(tag.len()).unwrap_or(0));
        let captured = u32::try_from(head.len() + tag.len() + tail.len()).unwrap_or(u32::MAX).min(MAX_FRAME);
        self.record.clear();
        for word in [seconds, frame.at.subsec_nanos(), captured, wire_len] {
            self.record.extend_from_slice(&word.to_le_bytes());
        }
        for part in [head, tag, tail] {
            self.record.extend_from_slice(part);
        }
        self.record.truncate(HEADER_LEN.saturating_add(usize::try_from(captured).unwrap_or(usize::MAX)));
        self.out.write_all(&self.record)?;
        self.written += u64::try_from(self.record.len()).unwrap_or(0);
        Ok(())
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
}
