//! Packet files.
//!
//! Read first: draft-ietf-opsawg-pcap (the classic format).

use std::io::{self, Write};

use sentinel_units::{LinkType, Timestamp};

use crate::Packets;

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// What tcpdump sets; no frame here is longer.
const SNAP_LENGTH: u32 = 262_144;

/// Which part of a second the stamps count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resolution {
    /// Microseconds: what most tools write.
    Microseconds,
    /// Nanoseconds: nothing of the scenario's times is lost.
    #[default]
    Nanoseconds,
}

/// Writes little-endian Ethernet captures, whatever the machine.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    resolution: Resolution,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Frames.
    pub frames: u64,
    /// Bytes of frames, without the headers of the file.
    pub bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// As the writer below; the file is then incomplete.
    pub fn new(mut out: W, resolution: Resolution) -> io::Result<Self> {
        let magic = match resolution {
            Resolution::Microseconds => MAGIC_MICROSECONDS,
            Resolution::Nanoseconds => MAGIC_NANOSECONDS,
        };
        out.write_all(&magic.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?;
        out.write_all(&[0; 8])?;
        out.write_all(&SNAP_LENGTH.to_le_bytes())?;
        out.write_all(&u32::from(LinkType::ETHERNET.0).to_le_bytes())?;
        Ok(Self { out, resolution })
    }

    /// Adds one frame.
    ///
    /// # Errors
    /// As the writer below, and [`io::ErrorKind::InvalidInput`] if the second does not fit 32 bits (the year
    /// 2106) or the frame is over 4 GiB; nothing of the frame is then written.
    pub fn frame(&mut self, at: Timestamp, bytes: &[u8]) -> io::Result<()> {
        let too_big = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let seconds = u32::try_from(at.as_secs()).map_err(too_big)?;
        let length = u32::try_from(bytes.len()).map_err(too_big)?;
        let part = match self.resolution {
            Resolution::Microseconds => at.subsec_nanos() / 1_000,
            Resolution::Nanoseconds => at.subsec_nanos(),
        };
        for field in [seconds, part, length, length] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(bytes)
    }

    /// Adds all `packets`, the scenario beginning at `start`, and flushes.
    ///
    /// # Errors
    /// As [`Writer::frame`].
    pub fn all(&mut self, start: Timestamp, packets: Packets) -> io::Result<Written> {
        let mut written = Written::default();
        for frame in packets {
            self.frame(start.after(frame.offset), &frame.bytes)?;
            written.frames += 1;
            written.bytes += u64::try_from(frame.bytes.len()).unwrap_or(u64::MAX);
        }
        self.out.flush()?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_the_draft_says() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, Resolution::Nanoseconds).unwrap();
        writer.frame(Timestamp::from_parts(3, 5), &[0xaa, 0xbb]).unwrap();
        let expected = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, // file
            3, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xaa, 0xbb, // frame
        ];
        assert_eq!(file, expected);
    }

    #[test]
    fn a_time_after_2106_is_refused() {
        let mut writer = Writer::new(Vec::new(), Resolution::Microseconds).unwrap();
        let refused = writer.frame(Timestamp::from_parts(1 << 32, 0), &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}
