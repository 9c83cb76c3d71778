//! Ring buffer of the newest frames, allocated once, for `sentinel ctl packets`.
//!
//! The worker owns it. The control thread sends a buffer of the same size, which the worker fills between two blocks: less
//! than a millisecond for a thousand frames, during which the packet ring buffers.

use sentinel_capture::Frame;
use sentinel_units::{LinkType, Timestamp};

/// Bytes kept of each frame.
pub(crate) const FRAME_BYTES: usize = 256;

/// Newest frames of one worker.
#[derive(Debug)]
pub(crate) struct PacketMemory {
    /// Slots that were never used have no bytes.
    slots: Vec<Slot>,
    /// [`FRAME_BYTES`] for each slot.
    bytes: Vec<u8>,
    /// Slot that is written next; it holds the oldest frame.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: Timestamp,
    wire_len: u32,
    link: LinkType,
    vlan: Option<u16>,
    vlan_type: u16,
    interface: u16,
    length: u16,
}

impl PacketMemory {
    /// Allocates slots for `frames`, at least one; every page is written to.
    pub(crate) fn new(frames: usize) -> Self {
        let empty = Slot {
            at: Timestamp::ZERO,
            wire_len: 0,
            link: LinkType::ETHERNET,
            vlan: None,
            vlan_type: 0,
            interface: 0,
            length: 0,
        };
        let frames = frames.max(1);
        // Not zero: zeroed memory is mapped only when it is first written to.
        Self { slots: vec![empty; frames], bytes: vec![1; frames * FRAME_BYTES], next: 0 }
    }

    /// Copies all frames into a buffer of the same size; does nothing if the sizes differ.
    pub(crate) fn copy_to(&self, other: &mut Self) {
        // The control thread allocated `other`, and will free it: the worker does neither.
        if other.slots.len() == self.slots.len() {
            other.slots.copy_from_slice(&self.slots);
            other.bytes.copy_from_slice(&self.bytes);
            other.next = self.next;
        }
    }

    /// Stores a frame in place of the oldest.
    pub(crate) fn keep(&mut self, frame: &Frame<'_>) {
        let start = self.next * FRAME_BYTES;
        let length = frame.bytes.len().min(FRAME_BYTES);
        let places = (self.slots.get_mut(self.next), self.bytes.get_mut(start..start + length));
        let (Some(slot), Some(place)) = places else { return };
        if let Some(bytes) = frame.bytes.get(..length) {
            place.copy_from_slice(bytes);
        }
        *slot = Slot {
            at: frame.at,
            wire_len: frame.wire_len,
            link: frame.link,
            vlan: frame.vlan,
            vlan_type: frame.vlan_type,
            interface: frame.interface,
            length: u16::try_from(length).unwrap_or(0),
        };
        self.next = if self.next + 1 < self.slots.len() { self.next + 1 } else { 0 };
    }

    /// Frames, oldest first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let Self { slots, bytes, next } = self;
        // From the slot that would be overwritten next: before the first round these slots are empty, and skipped.
        let order = (*next..slots.len()).chain(0..*next);
        order.filter_map(move |index| {
            let slot = slots.get(index)?;
            let start = index * FRAME_BYTES;
            Some(Frame {
                at: slot.at,
                wire_len: slot.wire_len,
                link: slot.link,
                vlan: slot.vlan,
                vlan_type: slot.vlan_type,
                interface: slot.interface,
                bytes: bytes
                    .get(start..start + usize::from(slot.length))
                    .filter(|bytes| !bytes.is_empty())?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(second: u64, bytes: &[u8]) -> Frame<'_> {
        Frame {
            at: Timestamp::from_parts(second, 0),
            wire_len: 1_000,
            link: LinkType::ETHERNET,
            vlan: Some(5),
            vlan_type: 0x88a8,
            interface: 3,
            bytes,
        }
    }

    #[test]
    fn the_newest_are_kept_in_their_order() {
        let (mut memory, mut copy) = (PacketMemory::new(3), PacketMemory::new(3));
        assert_eq!(memory.frames().count(), 0);
        memory.keep(&frame(1, &[1]));
        memory.keep(&frame(2, &[2; 300]));
        assert_eq!(memory.frames().collect::<Vec<_>>(), [frame(1, &[1]), frame(2, &[2; FRAME_BYTES])]);
        (3..=5).for_each(|second| memory.keep(&frame(second, &[7, 8])));
        memory.keep(&frame(6, &[6]));
        memory.copy_to(&mut copy);
        memory.keep(&frame(7, &[7]));
        let seconds: Vec<_> = copy.frames().map(|frame| frame.at.as_nanos() / 1_000_000_000).collect();
        assert_eq!(seconds, [4, 5, 6]);
        assert_eq!(copy.frames().last(), Some(frame(6, &[6])));
        memory.copy_to(&mut PacketMemory::new(2));
    }
}
