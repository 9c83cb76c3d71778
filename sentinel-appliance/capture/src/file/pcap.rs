//! pcap: one header, then records.
//!
//! Read first: draft-ietf-opsawg-pcap; libpcap `sf-pcap.c` for the variants.

use sentinel_units::{LinkType, Timestamp};

use super::byte_order::ByteOrder;
use super::error::FileErrorReason;
use super::input::{Input, to_usize};
use super::link_type::link_type;
use super::record::{MAX_FRAME, Record};

/// Seconds and microseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Seconds and nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Modified format with eight more bytes in each record header (Kuznetzov's patch to libpcap).
const MODIFIED: u32 = 0xa1b2_cd34;

const HEADER_LEN: u32 = 24;
const RECORD_HEADER_LEN: u32 = 16;

/// The file header, and the state of the reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    order: ByteOrder,
    /// Nanoseconds of the unit of the second field of a record.
    fraction_nanos: u32,
    record_header_len: u32,
    lengths: Lengths,
    /// Records have the layout that all present writers use.
    is_common: bool,
    link: LinkType,
    /// Length of the record whose frame was returned last. It is consumed by the next call, because the frame
    /// borrows it.
    returned: u32,
}

/// Order of the two lengths of a record. Writers before format 2.3 had the wire length first, and those of
/// 2.3 either.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    SmallerIsCaptured,
}

impl Header {
    /// `magic` is the first four bytes as a big-endian number.
    pub(super) fn open(input: &mut Input<'_>, magic: u32) -> Result<Self, FileErrorReason> {
        let order = if is_magic(magic) {
            ByteOrder::Big
        } else if is_magic(magic.swap_bytes()) {
            ByteOrder::Little
        } else {
            return Err(FileErrorReason::UnknownFormat(magic));
        };
        let magic = if matches!(order, ByteOrder::Big) { magic } else { magic.swap_bytes() };
        let bytes = input.peek_all(HEADER_LEN)?;
        let mut fields = order.fields(bytes);
        let _magic = fields.u32()?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        let (_time_zone, _accuracy, _snap_len) = (fields.u32()?, fields.u32()?, fields.u32()?);
        // The upper half may hold the length of the frame check sequence.
        let [link_high, link_low] = [fields.u16()?, fields.u16()?];
        let link = if matches!(order, ByteOrder::Big) { link_low } else { link_high };
        let lengths = match (major, minor) {
            (2, 0..=2) => Lengths::WireFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => return Err(FileErrorReason::Version { major, minor }),
        };
        input.consume(HEADER_LEN);
        Ok(Self {
            order,
            fraction_nanos: if magic == NANOSECONDS { 1 } else { 1_000 },
            record_header_len: if magic == MODIFIED { 24 } else { RECORD_HEADER_LEN },
            lengths,
            is_common: magic != MODIFIED && matches!(lengths, Lengths::CapturedFirst),
            link: link_type(link),
            returned: 0,
        })
    }

    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// The next record if it has the common layout and is completely in memory. `None` in all other cases, errors and the end of the
    /// file included: then nothing has changed, and [`Self::next`] finds out.
    #[inline(always)] // into the loop over a file, where the fields stay in registers
    pub(super) fn next_in_memory(&mut self, input: &mut Input<'_>) -> Option<Record> {
        let window = input.window_behind(self.returned)?;
        let header = window.first_chunk::<16>().filter(|_| self.is_common)?;
        let [seconds, fraction, captured, wire_len] = self.order.words(header);
        // Bounded before the sum, which thus cannot overflow.
        if captured > MAX_FRAME {
            return None;
        }
        let record_len = RECORD_HEADER_LEN + captured;
        if window.len() < to_usize(record_len) {
            return None;
        }
        input.begin_record_behind(self.returned);
        Some(self.record(seconds, fraction, wire_len, record_len))
    }

    /// The next record.
    pub(super) fn next(&mut self, input: &mut Input<'_>) -> Result<Option<Record>, FileErrorReason> {
        if let Some(record) = self.next_in_memory(input) {
            return Ok(Some(record));
        }
        input.consume(self.returned);
        self.returned = 0;
        input.begin_record();
        self.next_cold(input)
    }

    #[inline(always)] // as `next_in_memory`
    fn record(&mut self, seconds: u32, fraction: u32, wire_len: u32, record_len: u32) -> Record {
        // No overflow: 2^32 s are 4.3e18 ns, and a fraction adds at most 4.3e12.
        let nanos = u64::from(fraction) * u64::from(self.fraction_nanos);
        self.returned = record_len;
        Record {
            at: Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000 + nanos),
            wire_len,
            link: self.link,
            interface: 0,
            bytes: to_usize(self.record_header_len)..to_usize(record_len),
        }
    }

    /// Slow path: the next record of any layout. Not inlined, so that the fast path stays small.
    #[inline(never)]
    fn next_cold(&mut self, input: &mut Input<'_>) -> Result<Option<Record>, FileErrorReason> {
        if input.peek(1)?.is_empty() {
            return Ok(None);
        }
        let header_len = self.record_header_len;
        let mut fields = self.order.fields(input.peek_all(header_len)?);
        let (seconds, fraction) = (fields.u32()?, fields.u32()?);
        let (first, second) = (fields.u32()?, fields.u32()?);
        let (captured, wire_len) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        };
        if captured > MAX_FRAME {
            return Err(FileErrorReason::FrameTooLong(captured));
        }
        // No overflow: `captured` is at most MAX_FRAME.
        let record_len = header_len + captured;
        input.peek_all(record_len)?;
        Ok(Some(self.record(seconds, fraction, wire_len, record_len)))
    }
}

fn is_magic(number: u32) -> bool {
    matches!(number, MICROSECONDS | NANOSECONDS | MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{FileKind, Reader};
    use crate::fuzzing::drain;

    /// A file header: version 2.4, snap length 65535, link type 1 with four bytes of check sequence announced.
    fn header(order: ByteOrder, magic: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        word(&mut bytes, order, magic);
        half(&mut bytes, order, 2);
        half(&mut bytes, order, 4);
        for field in [0, 0, 65_535, 0x5000_0001] {
            word(&mut bytes, order, field);
        }
        bytes
    }

    fn word(bytes: &mut Vec<u8>, order: ByteOrder, word: u32) {
        bytes.extend(if order == ByteOrder::Big { word.to_be_bytes() } else { word.to_le_bytes() });
    }

    fn half(bytes: &mut Vec<u8>, order: ByteOrder, half: u16) {
        bytes.extend(if order == ByteOrder::Big { half.to_be_bytes() } else { half.to_le_bytes() });
    }

    /// A record at 7 s and `fraction`, cut to `frame` from 60 bytes.
    fn record(bytes: &mut Vec<u8>, order: ByteOrder, fraction: u32, frame: &[u8], is_modified: bool) {
        for field in [7, fraction, u32::try_from(frame.len()).unwrap(), 60] {
            word(bytes, order, field);
        }
        if is_modified {
            bytes.extend([0xee; 8]);
        }
        bytes.extend(frame);
    }

    #[test]
    fn all_magics_are_read_in_both_byte_orders() {
        for order in [ByteOrder::Big, ByteOrder::Little] {
            for (magic, nanos) in [(MICROSECONDS, 8_000), (NANOSECONDS, 8), (MODIFIED, 8_000)] {
                let mut bytes = header(order, magic);
                record(&mut bytes, order, 8, &[1, 2, 3], magic == MODIFIED);
                record(&mut bytes, order, 9, &[], magic == MODIFIED);
                let mut reader = Reader::open(bytes.as_slice()).unwrap();
                assert_eq!(reader.kind(), FileKind::Pcap);
                assert_eq!(reader.link_types().collect::<Vec<_>>(), [LinkType::ETHERNET]);
                let frame = reader.next().unwrap().unwrap();
                assert_eq!(frame.at, Timestamp::from_parts(7, nanos), "{order:?} {magic:08x}");
                assert_eq!((frame.bytes, frame.wire_len), (&[1, 2, 3][..], 60));
                assert_eq!((frame.link, frame.vlan, frame.interface), (LinkType::ETHERNET, None, 0));
                assert_eq!(reader.offset(), 24);
                assert!(reader.next().unwrap().unwrap().bytes.is_empty());
                assert!(reader.next().unwrap().is_none());
                assert!(reader.next().unwrap().is_none());
            }
        }
    }

    #[test]
    fn every_cut_gives_the_complete_frames_and_then_an_error() {
        let mut bytes = header(ByteOrder::Little, MICROSECONDS);
        let mut ends = vec![bytes.len()];
        for frame in [&[1_u8; 14][..], &[2; 3], &[]] {
            record(&mut bytes, ByteOrder::Little, 0, frame, false);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let (frames, error) = drain(&bytes[..cut]);
            let complete = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(frames, complete.saturating_sub(1), "cut at {cut}");
            assert_eq!(error.is_none(), ends.contains(&cut), "cut at {cut}");
            if let Some(error) = error {
                let start = ends.iter().rev().find(|end| **end < cut).copied().unwrap_or(0);
                assert_eq!(error.offset, u64::try_from(start).unwrap(), "cut at {cut}");
                assert!(
                    matches!(error.reason, FileErrorReason::Truncated { .. } | FileErrorReason::Empty),
                    "cut at {cut}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_reported_with_its_offset() {
        let mut bytes = header(ByteOrder::Big, NANOSECONDS);
        for field in [7, 8, u32::MAX, u32::MAX] {
            word(&mut bytes, ByteOrder::Big, field);
        }
        let (frames, error) = drain(bytes.as_slice());
        assert_eq!(frames, 0);
        assert_eq!(
            error.unwrap().to_string(),
            "offset 24: record says 4294967295 bytes, more than the 262144 allowed"
        );
    }

    #[test]
    fn the_longest_frame_is_read() {
        let frame: Vec<u8> = (0..MAX_FRAME).map(|index| index.to_le_bytes()[0]).collect();
        let mut bytes = header(ByteOrder::Little, MICROSECONDS);
        record(&mut bytes, ByteOrder::Little, 0, &[5; 100_000], false);
        record(&mut bytes, ByteOrder::Little, 0, &frame, false);
        let mut reader = Reader::open(bytes.as_slice()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().bytes.len(), 100_000);
        assert_eq!(reader.next().unwrap().unwrap().bytes, frame);
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn old_versions_have_their_lengths_in_the_other_order() {
        for (minor, first, second) in [(4, 3, 60), (3, 3, 60), (3, 60, 3), (2, 60, 3)] {
            let mut bytes = header(ByteOrder::Big, MICROSECONDS);
            bytes[7] = minor;
            for field in [7, 8, first, second] {
                word(&mut bytes, ByteOrder::Big, field);
            }
            bytes.extend([1, 2, 3]);
            let mut reader = Reader::open(bytes.as_slice()).unwrap();
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.bytes.len(), frame.wire_len), (3, 60), "2.{minor}");
        }
    }

    #[test]
    fn an_unknown_version_is_rejected() {
        let mut bytes = header(ByteOrder::Big, MICROSECONDS);
        bytes[5] = 3;
        let error = drain(bytes.as_slice()).1.unwrap();
        assert_eq!(error.to_string(), "offset 0: format version 3.4 is not known");
    }

    #[test]
    fn other_formats_are_recognised() {
        for (start, message) in [
            (&b""[..], "offset 0: the file is empty; a capture begins with a pcap or pcapng header"),
            (b"snoop\0\0\0\0\0\0\x02", "offset 0: this is a snoop file; pcap and pcapng are read"),
            (b"\x1f\x8b\x08\0", "offset 0: this is a gzip file; pcap and pcapng are read"),
            (b"GIF89a", "offset 0: not a capture file (it begins with 47494638); pcap and pcapng are read"),
            (b"\xd4\xc3", "offset 0: the file is cut off here: 2 of 24 bytes are there"),
        ] {
            assert_eq!(drain(start).1.unwrap().to_string(), message);
        }
    }

    #[test]
    fn an_unsupported_link_type_is_no_error() {
        let mut bytes = header(ByteOrder::Big, MICROSECONDS);
        bytes[22..24].copy_from_slice(&[0x01, 0x1c]);
        record(&mut bytes, ByteOrder::Big, 0, &[1], false);
        let mut reader = Reader::open(bytes.as_slice()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().link, LinkType(284));
    }
}
