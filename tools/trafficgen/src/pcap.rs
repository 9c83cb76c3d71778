//! Writer of pcap files.
//!
//! Read first: draft-ietf-opsawg-pcap (the classic format).

use std::io::{self, Write};

use sentinel_units::{LinkType, Timestamp};

use crate::Packets;

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Snap length in the file header, the one of tcpdump; no frame here is longer.
const SNAP_LENGTH: u32 = 262_144;

/// Resolution of the timestamps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resolution {
    /// Microseconds, as most tools write.
    Microseconds,
    /// Nanoseconds, the full resolution of a scenario's times.
    #[default]
    Nanoseconds,
}

/// Writer of little-endian Ethernet captures, on machines of either byte order.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    resolution: Resolution,
}

/// Number of frames and bytes written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Number of frames.
    pub frames: u64,
    /// Bytes of the frames, without the headers of file and records.
    pub bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// The errors of `out`; the file is then incomplete.
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

    /// Writes one frame.
    ///
    /// # Errors
    /// The errors of `out`, and [`io::ErrorKind::InvalidInput`] if the second does not fit 32 bits (the year
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

    /// Writes all `packets` with `start` as the time of the scenario's beginning, and flushes.
    ///
    /// # Errors
    /// The errors of [`Writer::frame`].
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
    fn a_file_has_the_bytes_of_the_draft() {
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
    fn a_time_after_2106_is_an_error() {
        let mut writer = Writer::new(Vec::new(), Resolution::Microseconds).unwrap();
        let error = writer.frame(Timestamp::from_parts(1 << 32, 0), &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
