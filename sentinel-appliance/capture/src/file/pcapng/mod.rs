//! pcapng: sections of blocks, each with its type and its length before and after it.
//!
//! Read first: draft-ietf-opsawg-pcapng, sections 3 (blocks), 4.1 to 4.4 and appendix A (the obsolete Packet
//! Block).

mod interface;

use sentinel_units::{LinkType, Timestamp};

use super::byte_order::{ByteOrder, Fields};
use super::error::FileErrorReason;
use super::input::{Input, to_usize};
use super::link_type::link_type;
use super::record::{MAX_FRAME, MAX_INTERFACES, Record};
use interface::Interface;

/// Type of the block that starts each section; the same bytes in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2; // obsolete, still written by old programs
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;

/// The current section, and the state of the reader.
#[derive(Debug)]
pub(super) struct Section {
    order: ByteOrder,
    /// Interfaces by number, at most [`MAX_INTERFACES`].
    interfaces: Vec<Interface>,
    /// Length of the block whose frame was returned last. It is consumed by the next call, because the frame
    /// borrows it.
    returned: u32,
}

impl Section {
    pub(super) fn open(input: &mut Input<'_>) -> Result<Self, FileErrorReason> {
        let mut section = Self { order: ByteOrder::Big, interfaces: Vec::new(), returned: 0 };
        section.start_section(input)?;
        Ok(section)
    }

    pub(super) fn link_types(&self) -> impl Iterator<Item = LinkType> + '_ {
        self.interfaces.iter().map(|interface| interface.link)
    }

    pub(super) fn next(&mut self, input: &mut Input<'_>) -> Result<Option<Record>, FileErrorReason> {
        input.consume(self.returned);
        self.returned = 0;
        // Ends at the end of the file at the latest: every iteration consumes a block of at least 12 bytes.
        loop {
            input.begin_record();
            if input.peek(1)?.is_empty() {
                return Ok(None);
            }
            let mut fields = self.order.fields(input.peek_all(8)?);
            let (kind, length) = (fields.u32()?, fields.u32()?);
            if kind == SECTION_HEADER {
                self.start_section(input)?; // its length may be in the other byte order
                continue;
            }
            check_length(length, MIN_BLOCK_LEN)?;
            match kind {
                ENHANCED_PACKET | PACKET | SIMPLE_PACKET => {
                    let found = self.packet(input, kind, length)?;
                    self.returned = length;
                    return Ok(Some(found));
                }
                INTERFACE_DESCRIPTION => self.interface(input, length)?,
                _ => {}
            }
            self.skip(input, length)?;
        }
    }

    /// Reads a section header. The interfaces of the section before it are dropped (draft section 4.1).
    fn start_section(&mut self, input: &mut Input<'_>) -> Result<(), FileErrorReason> {
        const MIN_LEN: u32 = 28;
        let bytes = input.peek_all(16)?;
        let mut fields = ByteOrder::Big.fields(bytes);
        let _kind = fields.u32()?;
        let _length = fields.u32()?;
        let mark = fields.u32()?;
        self.order = match mark {
            BYTE_ORDER_MARK => ByteOrder::Big,
            _ if mark.swap_bytes() == BYTE_ORDER_MARK => ByteOrder::Little,
            _ => return Err(FileErrorReason::ByteOrder(mark)),
        };
        // Read again from the start: only now is the byte order of length and version known.
        let mut fields = self.order.fields(bytes);
        let _kind = fields.u32()?;
        let length = fields.u32()?;
        let _mark = fields.u32()?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        // 1.2 was written by some programs and is the same format (draft section 4.1).
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(FileErrorReason::Version { major, minor });
        }
        check_length(length, MIN_LEN)?;
        self.interfaces.clear();
        self.skip(input, length)
    }

    /// Advances over a complete block without keeping it, and checks that its two lengths are equal.
    fn skip(&mut self, input: &mut Input<'_>, length: u32) -> Result<(), FileErrorReason> {
        // No underflow here and in `block`: every caller has checked for MIN_BLOCK_LEN or more.
        input.skip(length - TRAILER_LEN)?;
        let trailing = self.order.fields(input.peek_all(TRAILER_LEN)?).u32()?;
        if trailing != length {
            return Err(FileErrorReason::BlockLengths { leading: length, trailing });
        }
        input.consume(TRAILER_LEN);
        Ok(())
    }

    /// Reads an interface description block.
    fn interface(&mut self, input: &mut Input<'_>, length: u32) -> Result<(), FileErrorReason> {
        const MIN_LEN: u32 = 20;
        check_length(length, MIN_LEN)?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(FileErrorReason::TooManyInterfaces);
        }
        let mut fields = self.block(input, length)?;
        let link = link_type(fields.u16()?);
        let _reserved = fields.u16()?;
        let snap_len = fields.u32()?;
        let mut interface = Interface::new(link, snap_len);
        interface.read_options(&mut fields)?;
        self.interfaces.push(interface);
        Ok(())
    }

    /// The body of the next block, between its two lengths.
    fn block<'i>(&self, input: &'i mut Input<'_>, length: u32) -> Result<Fields<'i>, FileErrorReason> {
        let bytes = input.peek_all(length)?;
        let mut trailer = self.order.fields(bytes);
        let body_len = to_usize(length - MIN_BLOCK_LEN);
        trailer.take(8)?;
        let body = trailer.take(body_len)?;
        let trailing = trailer.u32()?;
        if trailing != length {
            return Err(FileErrorReason::BlockLengths { leading: length, trailing });
        }
        Ok(self.order.fields(body))
    }

    /// Reads a packet block of one of the three types.
    fn packet(&self, input: &mut Input<'_>, kind: u32, length: u32) -> Result<Record, FileErrorReason> {
        let header_len = if kind == SIMPLE_PACKET { 12 } else { 28 };
        check_length(length, header_len + TRAILER_LEN)?;
        let mut fields = self.order.fields(input.peek_all(header_len)?);
        fields.take(8)?;
        let number = match kind {
            ENHANCED_PACKET => fields.u32()?,
            PACKET => {
                let number = u32::from(fields.u16()?);
                let _drops = fields.u16()?;
                number
            }
            // A Simple Packet Block belongs to the first interface (draft section 4.4).
            _ => 0,
        };
        let interface = self.interface_of(number)?;
        // No underflow: the length was checked above.
        let room = length - header_len - TRAILER_LEN;
        let (at, captured, wire_len) = if kind == SIMPLE_PACKET {
            // It has no captured length either: that follows from the snap length and the size of the block.
            let wire_len = fields.u32()?;
            let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
            (Timestamp::ZERO, wire_len.min(limit).min(room), wire_len)
        } else {
            let ticks = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
            (interface.timestamp(ticks), fields.u32()?, fields.u32()?)
        };
        if captured > MAX_FRAME {
            return Err(FileErrorReason::FrameTooLong(captured));
        }
        if captured > room {
            return Err(FileErrorReason::BlockTooShort {
                length,
                least: header_len + captured + TRAILER_LEN,
            });
        }
        // Brings the complete block into memory and compares its two lengths.
        self.block(input, length)?;
        let start = to_usize(header_len);
        Ok(Record {
            at,
            wire_len,
            link: interface.link,
            interface: u16::try_from(number).unwrap_or(u16::MAX),
            bytes: start..start + to_usize(captured),
        })
    }

    fn interface_of(&self, number: u32) -> Result<&Interface, FileErrorReason> {
        let known = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.get(to_usize(number)).ok_or(FileErrorReason::UnknownInterface { number, known })
    }
}

/// Length of a block without a body: type and two lengths.
const MIN_BLOCK_LEN: u32 = 12;
/// Size of the length field at the end of a block.
const TRAILER_LEN: u32 = 4;

/// Checks the length field of a block.
fn check_length(length: u32, least: u32) -> Result<(), FileErrorReason> {
    if length < least {
        return Err(FileErrorReason::BlockTooShort { length, least });
    }
    if !length.is_multiple_of(4) {
        return Err(FileErrorReason::BlockUnaligned(length));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{FileKind, Reader};
    use crate::fuzzing::drain;

    /// A file built block by block.
    struct File {
        order: ByteOrder,
        bytes: Vec<u8>,
        /// Offset of the end of each block.
        ends: Vec<usize>,
    }

    impl File {
        fn new(order: ByteOrder) -> Self {
            let mut file = Self { order, bytes: Vec::new(), ends: Vec::new() };
            file.section(order);
            file
        }

        fn section(&mut self, order: ByteOrder) {
            self.order = order;
            let mut body = Vec::new();
            body.extend(self.word(BYTE_ORDER_MARK));
            body.extend(self.half(1));
            body.extend(self.half(0));
            body.extend([0xff; 8]);
            self.block(SECTION_HEADER, &body);
        }

        /// Reads an interface description block.
        fn interface(&mut self, link: u16, snap_len: u32, options: &[u8]) {
            let mut body = Vec::new();
            body.extend(self.half(link));
            body.extend([0; 2]);
            body.extend(self.word(snap_len));
            body.extend(options);
            self.block(INTERFACE_DESCRIPTION, &body);
        }

        fn packet(&mut self, interface: u32, ticks: u64, frame: &[u8]) {
            let mut body = Vec::new();
            let captured = u32::try_from(frame.len()).unwrap();
            let (high, low) =
                (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
            for field in [interface, high, low, captured, 60] {
                body.extend(self.word(field));
            }
            body.extend(frame);
            self.block(ENHANCED_PACKET, &body);
        }

        fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
            let mut bytes = Vec::new();
            bytes.extend(self.half(code));
            bytes.extend(self.half(u16::try_from(value.len()).unwrap()));
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }

        fn block(&mut self, kind: u32, body: &[u8]) {
            let mut body = body.to_vec();
            body.resize(body.len().next_multiple_of(4), 0);
            let length = u32::try_from(body.len()).unwrap() + MIN_BLOCK_LEN;
            self.bytes.extend(self.word(kind));
            self.bytes.extend(self.word(length));
            self.bytes.extend(body);
            self.bytes.extend(self.word(length));
            self.ends.push(self.bytes.len());
        }

        fn word(&self, word: u32) -> [u8; 4] {
            if self.order == ByteOrder::Big { word.to_be_bytes() } else { word.to_le_bytes() }
        }

        fn half(&self, half: u16) -> [u8; 2] {
            if self.order == ByteOrder::Big { half.to_be_bytes() } else { half.to_le_bytes() }
        }
    }

    #[test]
    fn packets_of_all_kinds_are_read_in_both_byte_orders() {
        for order in [ByteOrder::Big, ByteOrder::Little] {
            let mut file = File::new(order);
            file.interface(1, 4, &[]);
            file.interface(101, 0, &[]);
            file.block(0x0bad, &[9; 40]); // unknown, to be stepped over
            file.packet(1, 5_000_006, &[1, 2, 3]);
            let mut body = file.half(1).to_vec();
            body.extend(file.half(7)); // frames dropped before this one
            for field in [0, 8, 2, 60] {
                body.extend(file.word(field));
            }
            body.extend([4, 5]);
            file.block(PACKET, &body);
            let mut body = file.word(60).to_vec();
            body.extend([6, 7, 8, 9, 10, 11, 12, 13]); // four more than the interface's snap length
            file.block(SIMPLE_PACKET, &body);

            let mut reader = Reader::open(file.bytes.as_slice()).unwrap();
            assert_eq!(reader.kind(), FileKind::Pcapng);
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.at, frame.bytes), (Timestamp::from_micros(5_000_006), &[1, 2, 3][..]));
            assert_eq!((frame.link, frame.interface, frame.wire_len), (LinkType::RAW, 1, 60));
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.at, frame.bytes), (Timestamp::from_micros(8), &[4, 5][..]));
            assert_eq!(frame.interface, 1);
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.at, frame.bytes, frame.wire_len), (Timestamp::ZERO, &[6, 7, 8, 9][..], 60));
            assert_eq!(frame.link, LinkType::ETHERNET);
            assert!(reader.next().unwrap().is_none());
            assert_eq!(reader.link_types().collect::<Vec<_>>(), [LinkType::ETHERNET, LinkType::RAW]);
        }
    }

    #[test]
    fn a_new_section_resets_interfaces_and_byte_order() {
        let mut file = File::new(ByteOrder::Big);
        file.interface(1, 0, &[]);
        file.packet(0, 1, &[1]);
        file.section(ByteOrder::Little);
        file.interface(113, 0, &[]);
        file.packet(0, 2, &[2]);
        file.section(ByteOrder::Little);
        file.packet(0, 3, &[3]);
        let mut reader = Reader::open(file.bytes.as_slice()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().link, LinkType::ETHERNET);
        let frame = reader.next().unwrap().unwrap();
        assert_eq!((frame.link, frame.at), (LinkType::LINUX_SLL, Timestamp::from_micros(2)));
        let error = reader.next().unwrap_err();
        assert!(matches!(error.reason, FileErrorReason::UnknownInterface { number: 0, known: 0 }), "{error}");
    }

    #[test]
    fn timestamps_have_the_resolution_and_offset_of_the_interface() {
        // (if_tsresol, if_tsoffset, ticks, nanoseconds since the epoch)
        for (resolution, offset, ticks, nanos) in [
            (0, 0, 3, 3_000_000_000),
            (3, 0, 1_500, 1_500_000_000),
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, 1_500_000_001, 1_500_000_001),
            (12, 0, 1_500_000_000_999, 1_500_000_000),
            (0x7f, 0, u64::MAX, 0),
            (0x80, 0, 3, 3_000_000_000),
            (0x8a, 0, 1_536, 1_500_000_000), // 2^-10
            (0x80 | 32, 0, 0x1_8000_0000, 1_500_000_000),
            (0xff, 0, u64::MAX, 0),
            (0, 0, u64::MAX, u64::MAX), // past what fits: the last instant there is
            (6, 10, 1_500_000, 11_500_000_000),
            (6, -1, 1_500_000, 500_000_000),
            (6, -2, 1_500_000, 0), // before the epoch
            (6, i64::MAX, 0, u64::MAX),
        ] {
            let mut file = File::new(ByteOrder::Little);
            let mut options = file.option(2, b"eth0");
            options.extend(file.option(9, &[resolution]));
            options.extend(file.option(14, &i64::to_le_bytes(offset)));
            options.extend(file.option(0, &[]));
            file.interface(1, 0, &options);
            file.packet(0, ticks, &[]);
            let mut reader = Reader::open(file.bytes.as_slice()).unwrap();
            let at = reader.next().unwrap().unwrap().at;
            assert_eq!(at.as_nanos(), nanos, "resolution {resolution:#x}, offset {offset}, ticks {ticks}");
        }
    }

    #[test]
    fn every_cut_gives_the_complete_frames_and_then_an_error() {
        let mut file = File::new(ByteOrder::Little);
        let options = file.option(9, &[9]);
        file.interface(1, 0, &options);
        file.packet(0, 1, &[1; 14]);
        file.block(0x0bad, &[7; 20]);
        file.packet(0, 2, &[2; 3]);
        let with_frame = [file.ends[2], file.ends[4]];
        for cut in 0..=file.bytes.len() {
            let (frames, error) = drain(&file.bytes[..cut]);
            assert_eq!(frames, with_frame.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
            let is_complete = file.ends.contains(&cut);
            assert_eq!(error.is_none(), is_complete, "cut at {cut}: {error:?}");
            if let Some(error) = error {
                let start = file.ends.iter().rev().find(|end| **end < cut).copied().unwrap_or(0);
                assert_eq!(error.offset, u64::try_from(start).unwrap(), "cut at {cut}");
            }
        }
    }

    /// The error message for a file of one interface and then `bytes`.
    fn message_after_interface(bytes: &[u8]) -> String {
        let mut file = File::new(ByteOrder::Little);
        file.interface(1, 0, &[]);
        file.bytes.extend(bytes);
        let (frames, error) = drain(file.bytes.as_slice());
        assert_eq!(frames, 0);
        error.unwrap().to_string()
    }

    #[test]
    fn wrong_lengths_are_reported_with_their_offset() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        for (block, message) in [
            (words(&[6, 8]), "offset 48: block says 8 bytes, less than the 12 that it needs"),
            (words(&[6, 28]), "offset 48: block says 28 bytes, less than the 32 that it needs"),
            (words(&[6, 33, 0]), "offset 48: block says 33 bytes, not a multiple of 4"),
            (
                words(&[6, 32, 0, 0, 0, 1, 1, 32]),
                "offset 48: block says 32 bytes, less than the 33 that it needs",
            ),
            (
                words(&[6, 32, 0, 0, 0, u32::MAX, 1, 32]),
                "offset 48: record says 4294967295 bytes, more than the 262144 allowed",
            ),
            (
                words(&[6, 0xffff_fffc, 0, 0, 0, 1, 1]),
                "offset 48: block says 4294967292 bytes, more than the 327680 allowed",
            ),
            (
                words(&[6, 32, 0, 0, 0, 0, 0, 36]),
                "offset 48: block says 32 bytes at its start and 36 at its end",
            ),
            (
                words(&[6, 32, 1, 0, 0, 0, 0, 32]),
                "offset 48: packet of interface 1, but 1 are described before it",
            ),
            (words(&[0x0bad, 12, 16]), "offset 48: block says 12 bytes at its start and 16 at its end"),
            (
                words(&[0x0bad, 0xffff_fffc, 0]),
                "offset 48: the file is cut off here: 12 of 4294967288 bytes are there",
            ),
            // An option of an interface that is longer than its block.
            (
                words(&[1, 24, 1, 0, 0x0008_0009, 24]),
                "offset 48: block says 12 bytes, less than the 20 that it needs",
            ),
            (
                words(&[SECTION_HEADER, 28, 0x1111_1111, 1]),
                "offset 48: byte-order mark 11111111 is neither 1a2b3c4d nor 4d3c2b1a",
            ),
            (
                words(&[SECTION_HEADER, 28, BYTE_ORDER_MARK, 2, 0, 0, 28]),
                "offset 48: format version 2.0 is not known",
            ),
        ] {
            assert_eq!(message_after_interface(&block), message);
        }
    }

    #[test]
    fn a_large_block_without_packets_is_skipped() {
        let mut file = File::new(ByteOrder::Little);
        file.interface(1, 0, &[]);
        file.block(0x0bad, &vec![0; 1 << 20]);
        file.packet(0, 1, &[1]);
        assert_eq!(drain(file.bytes.as_slice()).0, 1);
    }

    #[test]
    fn more_interfaces_than_the_limit_are_rejected() {
        let mut file = File::new(ByteOrder::Little);
        for _ in 0..=MAX_INTERFACES {
            file.interface(1, 0, &[]);
        }
        let error = drain(file.bytes.as_slice()).1.unwrap();
        assert!(matches!(error.reason, FileErrorReason::TooManyInterfaces), "{error}");
    }
}
