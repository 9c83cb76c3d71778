//! Frames of several interfaces in the order of their time, with a bounded delay.
//!
//! Rings are read one block after the other, so their frames come in runs, each in order. They are held back until no ring can
//! have an earlier one: for the time that the kernel may keep a frame in a block that is not full.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use sentinel_capture::Frame;
use sentinel_units::{LinkType, Timestamp};

use crate::worker::ring_set::Flow;

/// Bytes held at most. When they are reached, all frames are released, in the order of those that are there.
const MAX_BYTES: usize = 8 << 20;

/// Frames that are held back, copied out of the rings.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    /// Of each interface, by time.
    queues: Vec<VecDeque<Held>>,
    bytes: Vec<u8>,
    /// Buffer that `bytes` is moved to, kept for its memory.
    spare: Vec<u8>,
}

/// A frame besides its bytes.
#[derive(Debug)]
struct Held {
    at: Timestamp,
    wire_len: u32,
    link: LinkType,
    vlan: Option<u16>,
    vlan_type: u16,
    /// Place in [`Reorder::bytes`].
    range: Range<usize>,
}

impl Reorder {
    /// Holds a frame.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        let Frame { at, wire_len, link, vlan, vlan_type, interface, bytes } = *frame;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let range = start..self.bytes.len();
        let index = usize::from(interface);
        if self.queues.len() <= index {
            self.queues.resize_with(index + 1, VecDeque::new);
        }
        if let Some(queue) = self.queues.get_mut(index) {
            // At the end but for times that differ between processors by microseconds.
            let place = queue.partition_point(|held| held.at <= at);
            queue.insert(place, Held { at, wire_len, link, vlan, vlan_type, range });
        }
    }

    /// Returns true if no frame is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Calls `visit` with every frame up to `until`, in order; with all frames, if too many are held.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn release(&mut self, until: Timestamp, visit: &mut dyn FnMut(&Frame<'_>) -> Flow) -> Flow {
        let until = if self.bytes.len() > MAX_BYTES { Timestamp::MAX } else { until };
        while let Some((interface, held)) = self.next(until) {
            let Held { at, wire_len, link, vlan, vlan_type, range } = held;
            let bytes = self.bytes.get(range).unwrap_or_default();
            let flow = visit(&Frame { at, wire_len, link, vlan, vlan_type, interface, bytes })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.compact();
        Ok(ControlFlow::Continue(()))
    }

    /// Takes the earliest frame, if it is not after `until`; of equal ones that of the lowest interface.
    fn next(&mut self, until: Timestamp) -> Option<(u16, Held)> {
        let heads = (0..).zip(&mut self.queues);
        let heads = heads.filter(|(_, queue)| queue.front().is_some_and(|head| head.at <= until));
        let (interface, queue) = heads.min_by_key(|(_, queue)| queue.front().map(|head| head.at))?;
        Some((interface, queue.pop_front()?))
    }

    /// Removes the bytes of frames that were released.
    fn compact(&mut self) {
        self.spare.clear();
        for held in self.queues.iter_mut().flatten() {
            let start = self.spare.len();
            self.spare.extend_from_slice(self.bytes.get(held.range.clone()).unwrap_or_default());
            held.range = start..self.spare.len();
        }
        std::mem::swap(&mut self.bytes, &mut self.spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seconds: u64, interface: u16, bytes: &[u8]) -> Frame<'_> {
        Frame {
            at: Timestamp::from_parts(seconds, 0),
            wire_len: u32::try_from(bytes.len()).unwrap(),
            link: LinkType::ETHERNET,
            vlan: Some(interface),
            vlan_type: Frame::CUSTOMER_TAG,
            interface,
            bytes,
        }
    }

    /// Interface and bytes of the frames up to `until`.
    fn released(reorder: &mut Reorder, until: u64) -> Vec<(u16, Vec<u8>)> {
        let mut all = Vec::new();
        let flow = reorder.release(Timestamp::from_parts(until, 0), &mut |frame| {
            assert_eq!(frame.vlan, Some(frame.interface));
            all.push((frame.interface, frame.bytes.to_vec()));
            Ok(ControlFlow::Continue(()))
        });
        assert!(flow.unwrap().is_continue());
        all
    }

    /// A SYN-ACK was printed before its SYN: block by block, interface by interface.
    #[test]
    fn frames_come_in_the_order_of_time_and_none_before_all_rings_have_come_so_far() {
        let mut reorder = Reorder::default();
        for (seconds, interface, bytes) in [
            (2, 0, &b"syn-ack"[..]),
            (4, 0, b"data"),
            (1, 1, b"syn"),
            (3, 1, b"ack"),
            (3, 1, b"more"),
            (5, 1, b""),
        ] {
            reorder.push(&frame(seconds, interface, bytes));
        }
        let expected = |all: &[(u16, &[u8])]| {
            all.iter().map(|(interface, bytes)| (*interface, bytes.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(released(&mut reorder, 0), []);
        assert_eq!(
            released(&mut reorder, 3),
            expected(&[(1, b"syn"), (0, b"syn-ack"), (1, b"ack"), (1, b"more")])
        );
        reorder.push(&frame(4, 1, b"later"));
        assert_eq!(released(&mut reorder, 4), expected(&[(0, b"data"), (1, b"later")]));
        assert!(!reorder.is_empty());
        assert_eq!(released(&mut reorder, 9), expected(&[(1, b"")]));
        assert!(reorder.is_empty() && reorder.bytes.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut reorder = Reorder::default();
        let bytes = vec![7; 60_000];
        let mut released_frames = 0;
        for seconds in 0..1_000 {
            reorder.push(&frame(seconds, 0, &bytes));
            released_frames += released(&mut reorder, 0).len();
            assert!(reorder.bytes.len() <= MAX_BYTES, "{seconds}");
        }
        assert!(released_frames > 800, "{released_frames}");
    }
}
