//! pcap: one header, then records.
//!
//! Read first: draft-ietf-opsawg-pcap; libpcap `sf-pcap.c` for the variants.

use std::io::Read;

use sentinel_units::{LinkType, Timestamp};

use super::input::{Input, MAX_FRAME, to_usize};
use super::reader::Found;
use super::{FileFault, order::Order};

/// Seconds and microseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Seconds and nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Eight more bytes in each record header: an old patch to libpcap by Alexey Kuznetzov.
const MODIFIED: u32 = 0xa1b2_cd34;

const HEADER_LEN: u32 = 24;

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    order: Order,
    nanoseconds: bool,
    record_header_len: u32,
    lengths: Lengths,
    link: LinkType,
    /// Length of the record whose frame was returned last.
    returned: u32,
}

/// Which way round a record has its two lengths. Writers before format 2.3 had the wire length first, and those
/// of 2.3 either.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    SmallerIsCaptured,
}

impl Header {
    /// `magic` is the first four bytes as a big-endian number.
    pub(super) fn open<R: Read>(input: &mut Input<R>, magic: u32) -> Result<Self, FileFault> {
        let order = if is_magic(magic) {
            Order::Big
        } else if is_magic(magic.swap_bytes()) {
            Order::Little
        } else {
            return Err(FileFault::UnknownFormat(magic));
        };
        let magic = if matches!(order, Order::Big) { magic } else { magic.swap_bytes() };
        let bytes = input.peek_all(HEADER_LEN)?;
        let mut fields = order.fields(bytes);
        let _magic = fields.u32()?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        let (_time_zone, _accuracy, _snap_len) = (fields.u32()?, fields.u32()?, fields.u32()?);
        // The upper half may hold the length of the frame check sequence.
        let [link_high, link_low] = [fields.u16()?, fields.u16()?];
        let link = if matches!(order, Order::Big) { link_low } else { link_high };
        let lengths = match (major, minor) {
            (2, 0..=2) => Lengths::WireFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => return Err(FileFault::Version { major, minor }),
        };
        input.consume(HEADER_LEN);
        Ok(Self {
            order,
            nanoseconds: magic == NANOSECONDS,
            record_header_len: if magic == MODIFIED { 24 } else { 16 },
            lengths,
            link: link_type(link),
            returned: 0,
        })
    }

    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Found>, FileFault> {
        input.consume(self.returned);
        self.returned = 0;
        input.begin_record();
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
            return Err(FileFault::FrameTooLong(captured));
        }
        let record_len = header_len + captured;
        input.peek_all(record_len)?;
        let nanos = u64::from(fraction) * if self.nanoseconds { 1 } else { 1_000 };
        self.returned = record_len;
        Ok(Some(Found {
            at: Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000 + nanos),
            wire_len,
            link: self.link,
            interface: 0,
            bytes: to_usize(header_len)..to_usize(record_len),
        }))
    }
}

fn is_magic(number: u32) -> bool {
    matches!(number, MICROSECONDS | NANOSECONDS | MODIFIED)
}

/// Some writers use a system's own number for raw IP (12, or 14 on OpenBSD) instead of the file format's.
pub(super) fn link_type(number: u16) -> LinkType {
    match number {
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}
