//! Iteration over the frames of one block (`TPACKET_V3`).
//!
//! A block starts with its descriptor: status, number of packets, offset of the first packet header. Each
//! packet header has the offset to the next. Safe code over a slice: an offset outside the block, which the
//! kernel should never write, ends the block and is counted as damage.

use std::cell::Cell;
use std::mem::{offset_of, size_of};
use std::ops::Range;

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_hdr_variant1, tpacket3_hdr};
use sentinel_units::{LinkType, Timestamp};

use crate::Frame;

/// Offset of `tpacket_hdr_v1` in a block.
const BLOCK_HEADER: usize = offset_of!(tpacket_block_desc, hdr);
/// Offset of the status of a block, which is its ownership flag.
pub(super) const STATUS_OFFSET: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, block_status);
const COUNT: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
const FIRST: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
const VLAN_TYPE: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tpid);
const VLAN_TCI: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tci);

/// The interface that all frames of a ring come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingInterface {
    pub(super) link: LinkType,
    /// [`Frame::interface`].
    pub(super) number: u16,
}

/// Iterates over the frames of one block.
#[derive(Clone, Debug)]
pub struct Frames<'b> {
    block: &'b [u8],
    source: RingInterface,
    /// Offset of the next packet header.
    at: usize,
    /// Packets not yet returned, by the block's own count. It bounds the iteration.
    remaining: u32,
    damaged: &'b Cell<u32>,
}

impl<'b> Frames<'b> {
    pub(super) fn new(block: &'b [u8], source: RingInterface, damaged: &'b Cell<u32>) -> Self {
        let remaining = word(block, COUNT).unwrap_or(0);
        // An offset that cannot be read becomes one outside the block, which `frame` finds to be damage.
        let at = word(block, FIRST).and_then(|first| usize::try_from(first).ok()).unwrap_or(usize::MAX);
        Self { block, source, at, remaining, damaged }
    }

    /// The frame at the next packet header; `None` if it is not completely in the block.
    fn frame(&mut self) -> Option<Frame<'b>> {
        let header = self.block.get(self.at..)?.get(..size_of::<tpacket3_hdr>())?;
        let field = |offset: usize| word(header, offset);
        let start = self.at.checked_add(usize::from(half(header, offset_of!(tpacket3_hdr, tp_mac))?))?;
        let bytes = self.block.get(range(start, field(offset_of!(tpacket3_hdr, tp_snaplen))?)?)?;
        let seconds = field(offset_of!(tpacket3_hdr, tp_sec))?;
        let nanos = field(offset_of!(tpacket3_hdr, tp_nsec))?;
        let status = field(offset_of!(tpacket3_hdr, tp_status))?;
        // A flag, because zero is a valid tag: priority without VLAN.
        let has_tag = status & libc::TP_STATUS_VLAN_VALID != 0;
        let tag = u16::try_from(field(VLAN_TCI)? & 0xffff).ok()?;
        let has_type = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let vlan_type = if has_type { half(header, VLAN_TYPE)? } else { Frame::CUSTOMER_TAG };
        let frame = Frame {
            at: Timestamp::from_parts(u64::from(seconds), nanos),
            wire_len: field(offset_of!(tpacket3_hdr, tp_len))?,
            link: self.source.link,
            vlan: has_tag.then_some(tag),
            vlan_type,
            interface: self.source.number,
            bytes,
        };
        let step = usize::try_from(field(offset_of!(tpacket3_hdr, tp_next_offset))?).unwrap_or(usize::MAX);
        // A step shorter than a header would read overlapping headers, and zero the same one again. The
        // kernel writes zero in the last packet; with none remaining the offset is not used.
        self.at = if step < size_of::<tpacket3_hdr>() { usize::MAX } else { self.at.saturating_add(step) };
        // Not zero: `next` has checked.
        self.remaining -= 1;
        Some(frame)
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    fn next(&mut self) -> Option<Frame<'b>> {
        if self.remaining == 0 {
            return None;
        }
        let frame = self.frame();
        if frame.is_none() {
            self.remaining = 0;
            self.damaged.set(self.damaged.get().wrapping_add(1));
        }
        frame
    }
}

fn range(start: usize, length: u32) -> Option<Range<usize>> {
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// A field of 32 bits. The kernel of this machine wrote it, so it has the byte order of this machine.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A field of 16 bits.
fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: RingInterface = RingInterface { link: LinkType::ETHERNET, number: 4 };
    /// Offset of the first packet header, behind the descriptor of the block, as the kernel places it.
    const FIRST_PACKET: usize = 48;
    /// Distance from one packet header to the next in these blocks.
    const STEP: usize = 80;

    /// A block of two frames: four bytes with the provider's tag 0x2007 at 5 s + 6 ns, three bytes of 60 at 7
    /// s + 8 ns.
    fn block() -> Vec<u8> {
        let mut block = vec![0; 256];
        put(&mut block, COUNT, 2);
        put(&mut block, FIRST, 48);
        let tagged = libc::TP_STATUS_USER | libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        packet(&mut block, FIRST_PACKET, [80, 5, 6, 4, 4, tagged], &[1, 2, 3, 4]);
        packet(&mut block, FIRST_PACKET + STEP, [0, 7, 8, 3, 60, libc::TP_STATUS_USER], &[5, 6, 7]);
        block
    }

    /// A packet header (next offset, seconds, nanoseconds, captured, wire length, status) and its bytes.
    fn packet(block: &mut [u8], at: usize, fields: [u32; 6], bytes: &[u8]) {
        const MAC: usize = 56;
        for (index, field) in fields.into_iter().enumerate() {
            put(block, at + index * 4, field);
        }
        block[at + 24..at + 26].copy_from_slice(&56_u16.to_ne_bytes());
        put(block, at + 32, 0x2007);
        block[at + 36..at + 38].copy_from_slice(&0x88a8_u16.to_ne_bytes());
        block[at + MAC..at + MAC + bytes.len()].copy_from_slice(bytes);
    }

    fn put(block: &mut [u8], at: usize, field: u32) {
        block[at..at + 4].copy_from_slice(&field.to_ne_bytes());
    }

    /// Number of frames of `block`, and of damages found.
    fn walk(block: &[u8]) -> (usize, u32) {
        let damaged = Cell::new(0);
        let count = Frames::new(block, SOURCE, &damaged).count();
        (count, damaged.get())
    }

    #[test]
    fn frames_are_read_where_the_kernel_put_them() {
        let (block, damaged) = (block(), Cell::new(0));
        let frames: Vec<_> = Frames::new(&block, SOURCE, &damaged).collect();
        let common = Frame {
            at: Timestamp::from_parts(5, 6),
            wire_len: 4,
            link: LinkType::ETHERNET,
            vlan: Some(0x2007),
            vlan_type: 0x88a8,
            interface: 4,
            bytes: &[1, 2, 3, 4],
        };
        let second = Frame {
            at: Timestamp::from_parts(7, 8),
            wire_len: 60,
            vlan: None,
            vlan_type: 0x8100,
            bytes: &[5, 6, 7],
            ..common
        };
        assert_eq!(frames, [common, second]);
        assert_eq!(damaged.get(), 0);
    }

    #[test]
    fn an_empty_block_has_no_frames() {
        assert_eq!(walk(&[0; 256]), (0, 0));
        assert_eq!(walk(&[]), (0, 0));
    }

    #[test]
    fn offsets_outside_the_block_end_it_and_count_as_damage() {
        let far = [250, 256, 0x7fff_ffff, u32::MAX];
        for offset in far {
            let mut first = block();
            put(&mut first, FIRST, offset);
            assert_eq!(walk(&first), (0, 1), "first packet at {offset}");
            let mut next = block();
            put(&mut next, FIRST_PACKET, offset);
            assert_eq!(walk(&next), (1, 1), "next packet at {offset}");
            let mut length = block();
            put(&mut length, FIRST_PACKET + 12, offset);
            assert_eq!(walk(&length), (0, 1), "{offset} bytes captured");
        }
        let mut start = block();
        start[FIRST_PACKET + 24..FIRST_PACKET + 26].copy_from_slice(&u16::MAX.to_ne_bytes());
        assert_eq!(walk(&start), (0, 1));
        let mut too_many = block();
        put(&mut too_many, COUNT, u32::MAX);
        assert_eq!(walk(&too_many), (2, 1), "the second says that none follows");
    }

    #[test]
    fn a_packet_that_points_at_itself_ends_the_block() {
        for step in [0, 1, 47] {
            let mut block = block();
            put(&mut block, FIRST_PACKET, step);
            assert_eq!(walk(&block), (1, 1), "{step}");
        }
    }

    #[test]
    fn every_cut_of_a_block_is_safe() {
        let block = block();
        for cut in 0..block.len() {
            let (frames, damaged) = walk(&block[..cut]);
            assert!(frames + usize::try_from(damaged).unwrap() <= 2, "cut at {cut}");
        }
    }
}
