//! The frames in one block.
//!
//! Safe code over bytes: an offset that the kernel should never give ends the block and is counted, nothing else.

use std::cell::Cell;
use std::mem::{offset_of, size_of};
use std::ops::Range;

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_hdr_variant1, tpacket3_hdr};
use sentinel_units::{LinkType, Timestamp};

use crate::Frame;

/// Where `tpacket_hdr_v1` stands in a block.
const BLOCK_HEADER: usize = offset_of!(tpacket_block_desc, hdr);
/// Where the status of a block stands, which says whose it is.
pub(super) const STATUS_OFFSET: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, block_status);
const COUNT: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
const FIRST: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
const VLAN_TCI: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tci);

/// What the frames of one ring have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) link: LinkType,
    pub(super) interface: u16,
}

/// Iterates over the frames of one block.
#[derive(Clone, Debug)]
pub struct Frames<'b> {
    block: &'b [u8],
    origin: Origin,
    /// Offset of the next packet header, and how many are left.
    at: usize,
    left: u32,
    damaged: &'b Cell<u32>,
}

impl<'b> Frames<'b> {
    pub(super) fn new(block: &'b [u8], origin: Origin, damaged: &'b Cell<u32>) -> Self {
        let left = word(block, COUNT).unwrap_or(0);
        let at = word(block, FIRST).and_then(|first| usize::try_from(first).ok()).unwrap_or(usize::MAX);
        Self { block, origin, at, left, damaged }
    }

    fn frame(&mut self) -> Option<Frame<'b>> {
        let header = self.block.get(self.at..)?.get(..size_of::<tpacket3_hdr>())?;
        let field = |offset: usize| word(header, offset);
        let start = self.at.checked_add(usize::from(half(header, offset_of!(tpacket3_hdr, tp_mac))?))?;
        let bytes = self.block.get(range(start, field(offset_of!(tpacket3_hdr, tp_snaplen))?)?)?;
        let seconds = field(offset_of!(tpacket3_hdr, tp_sec))?;
        let nanos = field(offset_of!(tpacket3_hdr, tp_nsec))?;
        let status = field(offset_of!(tpacket3_hdr, tp_status))?;
        let has_tag = status & libc::TP_STATUS_VLAN_VALID != 0;
        let tag = u16::try_from(field(VLAN_TCI)? & 0xffff).ok()?;
        let frame = Frame {
            at: Timestamp::from_parts(u64::from(seconds), nanos),
            wire_len: field(offset_of!(tpacket3_hdr, tp_len))?,
            link: self.origin.link,
            vlan: has_tag.then_some(tag),
            interface: self.origin.interface,
            bytes,
        };
        if self.left > 1 {
            let step = usize::try_from(field(offset_of!(tpacket3_hdr, tp_next_offset))?).ok()?;
            if step < size_of::<tpacket3_hdr>() {
                return None; // would read the same header again, for ever
            }
            self.at = self.at.checked_add(step)?;
        }
        self.left -= 1;
        Some(frame)
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    fn next(&mut self) -> Option<Frame<'b>> {
        if self.left == 0 {
            return None;
        }
        let frame = self.frame();
        if frame.is_none() {
            self.left = 0;
            self.damaged.set(self.damaged.get().wrapping_add(1));
        }
        frame
    }
}

fn range(start: usize, length: u32) -> Option<Range<usize>> {
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// A number that the kernel of this machine wrote, so in the byte order of this machine.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}
