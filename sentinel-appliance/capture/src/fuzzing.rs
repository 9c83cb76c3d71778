//! Bodies of the fuzz targets: plain functions over bytes.

use std::io::Read;

use crate::file::{FileError, MAX_FRAME, Reader};

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// Every body of this crate.
pub const BODIES: &[Body] = &[("capture_file", capture_file)];

/// Reads a capture file from `bytes` to its end or its first error, at once and byte by byte.
///
/// # Panics
/// If the two readings differ, a frame is longer than [`MAX_FRAME`], or the reader does not advance or end.
pub fn capture_file(bytes: &[u8]) {
    let (frames, error) = drain(bytes);
    let (slow_frames, slow_error) = drain(ByteAtATime(bytes));
    assert_eq!(frames, slow_frames, "frames do not depend on how the bytes arrive");
    assert_eq!(
        error.map(|error| error.to_string()),
        slow_error.map(|error| error.to_string()),
        "nor do errors"
    );
}

/// Reads everything; returns the number of frames and the error that ended them.
pub(crate) fn drain(source: impl Read) -> (usize, Option<FileError>) {
    let mut reader = match Reader::open(source) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut frames = 0;
    loop {
        let before = reader.offset();
        let error = match reader.next() {
            Ok(Some(frame)) => {
                frames += 1;
                assert!(frame.bytes.len() <= usize::try_from(MAX_FRAME).unwrap_or(usize::MAX));
                assert!(frames == 1 || reader.offset() > before, "each record is read once");
                continue;
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        assert!(matches!(reader.next(), Ok(None)), "after the end there is nothing");
        return (frames, error);
    }
}

/// A source that returns one byte per read.
struct ByteAtATime<'b>(&'b [u8]);

impl Read for ByteAtATime<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match (self.0.split_first(), buffer.first_mut()) {
            (Some((byte, remaining)), Some(first)) => {
                *first = *byte;
                self.0 = remaining;
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frame;
    use crate::write::{PcapWriter, PcapngWriter};
    use sentinel_units::{LinkType, Timestamp};

    fn samples() -> [Vec<u8>; 2] {
        let frame = |bytes: &'static [u8]| Frame {
            at: Timestamp::from_nanos(1_700_000_000_123_456_789),
            wire_len: 60,
            link: LinkType::ETHERNET,
            vlan: None,
            vlan_type: Frame::CUSTOMER_TAG,
            interface: 0,
            bytes,
        };
        let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
        let mut pcapng = PcapngWriter::new(Vec::new()).unwrap();
        let interface = pcapng.add_interface("eth0", LinkType::ETHERNET, 0).unwrap();
        for bytes in [&[1_u8; 20][..], &[2; 33], &[]] {
            pcap.write(&frame(bytes)).unwrap();
            pcapng.write(interface, &frame(bytes)).unwrap();
        }
        [pcap.into_inner(), pcapng.into_inner()]
    }

    #[test]
    fn mutated_files_never_break_the_reader() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64; // the seed; xorshift64 (Marsaglia 2003)
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let edges = [0, 1, 0x7f, 0x80, 0xff];
        for sample in samples() {
            capture_file(&sample);
            for _ in 0..20_000 {
                let mut bytes = sample.clone();
                for _ in 0..=random(3) {
                    let at = random(bytes.len());
                    match random(4) {
                        0 => bytes[at] ^= 1 << random(8),
                        1 => bytes[at] = edges[random(edges.len())],
                        2 => bytes.truncate(at.max(1)),
                        _ => {
                            let tail = bytes[at..].to_vec();
                            bytes.extend(tail);
                        }
                    }
                }
                capture_file(&bytes);
            }
        }
    }
}
