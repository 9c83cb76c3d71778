//! pcap with nanosecond timestamps. Read first: draft-ietf-opsawg-pcap.

use std::io::{self, Write};

use sentinel_units::LinkType;

use super::TaggedFrame;
use super::counting::{CountingWriter, writer_tail};
use crate::Frame;

/// Writer of frames of one link type; one write for each record.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: CountingWriter<W>,
    /// Buffer for one record, reused.
    record: Vec<u8>,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the header. `snap_len` is the length to which frames were truncated at capture;
    /// [`MAX_FRAME`](crate::file::MAX_FRAME) if they were not.
    ///
    /// # Errors
    /// The error of `out`, which may then hold part of the header.
    pub fn new(out: W, link: LinkType, snap_len: u32) -> io::Result<Self> {
        const NANOSECONDS: u32 = 0xa1b2_3c4d;
        let mut record = Vec::with_capacity(2048);
        record.extend_from_slice(&NANOSECONDS.to_le_bytes());
        for half in [2_u16, 4] {
            record.extend_from_slice(&half.to_le_bytes());
        }
        for word in [0, 0, snap_len, u32::from(link.0)] {
            record.extend_from_slice(&word.to_le_bytes());
        }
        let mut out = CountingWriter::new(out);
        out.write_all(&record)?;
        Ok(Self { out, record })
    }

    /// Writes one frame, truncated to [`MAX_FRAME`](crate::file::MAX_FRAME). Seconds wrap in the year 2106,
    /// as the format has 32 bits for them.
    ///
    /// A VLAN tag that the kernel removed is put back into an Ethernet frame, as the record has no other
    /// place for it.
    ///
    /// # Errors
    /// The error of the destination, which may then hold part of the record.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let tagged = TaggedFrame::new(frame);
        let seconds = u32::try_from(frame.at.as_secs() & u64::from(u32::MAX)).unwrap_or(0);
        let wire_len = tagged.wire_len(frame.wire_len);
        self.record.clear();
        for word in [seconds, frame.at.subsec_nanos(), tagged.captured_len(), wire_len] {
            self.record.extend_from_slice(&word.to_le_bytes());
        }
        tagged.append_to(&mut self.record);
        self.out.write_all(&self.record)
    }
}

writer_tail!(PcapWriter);
