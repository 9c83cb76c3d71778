//! pcapng: sections of blocks.
//!
//! Read first: draft-ietf-opsawg-pcapng, sections 3 (blocks), 4.1 to 4.4 and appendix A (the obsolete Packet Block).

use std::io::Read;

use sentinel_units::{LinkType, Timestamp};

use super::FileFault;
use super::input::{Input, MAX_FRAME, to_usize};
use super::order::{Fields, Order};
use super::pcap::link_type;
use super::reader::Found;

/// The block that begins a file and each further section; reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2; // obsolete, still written by old programs
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;

/// Interfaces that one section may describe. Merged files have one per file merged; each costs 24 bytes here.
pub const MAX_INTERFACES: usize = 1024;

/// What is known of the current section.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// Length of the block whose frame was returned last.
    returned: u32,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// Zero is no limit.
    snap_len: u32,
    resolution: Resolution,
    offset_s: i64,
}

impl Section {
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, FileFault> {
        let mut section = Self { order: Order::Big, interfaces: Vec::new(), returned: 0 };
        section.begin(input)?;
        Ok(section)
    }

    pub(super) fn link_types(&self) -> impl Iterator<Item = LinkType> + '_ {
        self.interfaces.iter().map(|interface| interface.link)
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Found>, FileFault> {
        input.consume(self.returned);
        self.returned = 0;
        // Ends at the end of the file at the latest: every turn consumes a block of at least 12 bytes.
        loop {
            input.begin_record();
            if input.peek(1)?.is_empty() {
                return Ok(None);
            }
            let mut fields = self.order.fields(input.peek_all(8)?);
            let (kind, length) = (fields.u32()?, fields.u32()?);
            if kind == SECTION_HEADER {
                self.begin(input)?; // its length may be in the other byte order
                continue;
            }
            check_length(length, EMPTY_BLOCK)?;
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

    /// Reads a section header; what the section before it described no longer holds.
    fn begin<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), FileFault> {
        const LEAST: u32 = 28;
        let bytes = input.peek_all(16)?;
        let mut fields = Order::Big.fields(bytes);
        let _kind = fields.u32()?;
        let _length = fields.u32()?;
        let mark = fields.u32()?;
        self.order = match mark {
            BYTE_ORDER_MARK => Order::Big,
            _ if mark.swap_bytes() == BYTE_ORDER_MARK => Order::Little,
            _ => return Err(FileFault::ByteOrder(mark)),
        };
        let mut fields = self.order.fields(bytes);
        let _kind = fields.u32()?;
        let length = fields.u32()?;
        let _mark = fields.u32()?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        // 1.2 was written by some programs and is the same format (draft section 4.1).
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(FileFault::Version { major, minor });
        }
        check_length(length, LEAST)?;
        self.interfaces.clear();
        self.skip(input, length)
    }

    /// Steps over a whole block without keeping it, and checks that it says its length twice.
    fn skip<R: Read>(&mut self, input: &mut Input<R>, length: u32) -> Result<(), FileFault> {
        input.skip(length - TRAILER)?;
        let trailing = self.order.fields(input.peek_all(TRAILER)?).u32()?;
        if trailing != length {
            return Err(FileFault::BlockLengths { leading: length, trailing });
        }
        input.consume(TRAILER);
        Ok(())
    }

    fn interface<R: Read>(&mut self, input: &mut Input<R>, length: u32) -> Result<(), FileFault> {
        const LEAST: u32 = 20;
        check_length(length, LEAST)?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(FileFault::TooManyInterfaces);
        }
        let mut fields = self.block(input, length)?;
        let link = link_type(fields.u16()?);
        let _reserved = fields.u16()?;
        let snap_len = fields.u32()?;
        let mut interface = Interface { link, snap_len, resolution: Resolution::MICROSECONDS, offset_s: 0 };
        interface.options(&mut fields)?;
        self.interfaces.push(interface);
        Ok(())
    }

    /// The body of the block that comes next: what is between its two lengths.
    fn block<'i, R: Read>(&self, input: &'i mut Input<R>, length: u32) -> Result<Fields<'i>, FileFault> {
        let bytes = input.peek_all(length)?;
        let mut trailer = self.order.fields(bytes);
        let body_len = to_usize(length - EMPTY_BLOCK);
        trailer.take(8)?;
        let body = trailer.take(body_len)?;
        let trailing = trailer.u32()?;
        if trailing != length {
            return Err(FileFault::BlockLengths { leading: length, trailing });
        }
        Ok(self.order.fields(body))
    }

    fn packet<R: Read>(&self, input: &mut Input<R>, kind: u32, length: u32) -> Result<Found, FileFault> {
        let header_len = if kind == SIMPLE_PACKET { 12 } else { 28 };
        check_length(length, header_len + TRAILER)?;
        let mut fields = self.order.fields(input.peek_all(header_len)?);
        fields.take(8)?;
        let number = match kind {
            ENHANCED_PACKET => fields.u32()?,
            PACKET => {
                let number = u32::from(fields.u16()?);
                let _drops = fields.u16()?;
                number
            }
            _ => 0,
        };
        let interface = self.interface_of(number)?;
        let room = length - header_len - TRAILER;
        let (at, captured, wire_len) = if kind == SIMPLE_PACKET {
            let wire_len = fields.u32()?;
            let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
            (Timestamp::ZERO, wire_len.min(limit).min(room), wire_len)
        } else {
            let ticks = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
            (interface.timestamp(ticks), fields.u32()?, fields.u32()?)
        };
        if captured > MAX_FRAME {
            return Err(FileFault::FrameTooLong(captured));
        }
        if captured > room {
            return Err(FileFault::BlockTooShort { length, least: header_len + captured + TRAILER });
        }
        self.block(input, length)?;
        let start = to_usize(header_len);
        Ok(Found {
            at,
            wire_len,
            link: interface.link,
            interface: u16::try_from(number).unwrap_or(u16::MAX),
            bytes: start..start + to_usize(captured),
        })
    }

    fn interface_of(&self, number: u32) -> Result<&Interface, FileFault> {
        let known = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.get(to_usize(number)).ok_or(FileFault::UnknownInterface { number, known })
    }
}

/// Two lengths and a type.
const EMPTY_BLOCK: u32 = 12;
/// The length at the end of a block.
const TRAILER: u32 = 4;

fn check_length(length: u32, least: u32) -> Result<(), FileFault> {
    if length < least {
        return Err(FileFault::BlockTooShort { length, least });
    }
    if !length.is_multiple_of(4) {
        return Err(FileFault::BlockUnaligned(length));
    }
    Ok(())
}

impl Interface {
    /// Reads the options that say what a timestamp means. Bounded by the block.
    fn options(&mut self, fields: &mut Fields<'_>) -> Result<(), FileFault> {
        const END: u16 = 0;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        while !fields.is_empty() {
            let (code, length) = (fields.u16()?, fields.u16()?);
            let value = fields.take(usize::from(length).next_multiple_of(4))?;
            match (code, length) {
                (END, _) => break,
                (RESOLUTION, 1) => {
                    if let Some(byte) = value.first() {
                        self.resolution = Resolution::from_option(*byte);
                    }
                }
                (OFFSET, 8) => self.offset_s = fields.like(value).u64()?.cast_signed(),
                _ => {}
            }
        }
        Ok(())
    }

    fn timestamp(&self, ticks: u64) -> Timestamp {
        let nanos = self.resolution.nanos(ticks);
        if self.offset_s == 0 {
            return Timestamp::from_nanos(nanos);
        }
        let shifted = i128::from(nanos) + i128::from(self.offset_s) * 1_000_000_000;
        Timestamp::from_nanos(u64::try_from(shifted.max(0)).unwrap_or(u64::MAX))
    }
}

/// How long one tick of an interface's timestamps is (`if_tsresol`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resolution {
    /// This many nanoseconds.
    Nanos(u64),
    /// A nanosecond divided by this.
    PartOfNano(u128),
    /// A second divided by two to the power of this.
    PowerOfTwo(u32),
}

impl Resolution {
    const MICROSECONDS: Self = Self::Nanos(1_000);

    fn from_option(byte: u8) -> Self {
        let exponent = u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            return Self::PowerOfTwo(exponent);
        }
        match 9_u32.checked_sub(exponent) {
            Some(larger) => Self::Nanos(10_u64.pow(larger)),
            // Ticks so short that not even u64::MAX of them make a nanosecond divide by the most there is.
            None => Self::PartOfNano(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX)),
        }
    }

    fn nanos(self, ticks: u64) -> u64 {
        match self {
            Self::Nanos(nanos) => ticks.saturating_mul(nanos),
            Self::PartOfNano(parts) => u64::try_from(u128::from(ticks) / parts).unwrap_or(u64::MAX),
            Self::PowerOfTwo(exponent) => {
                let nanos = (u128::from(ticks) * 1_000_000_000) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}
