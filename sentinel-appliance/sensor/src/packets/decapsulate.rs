//! Decapsulation: packets in a frame, reassembled datagrams whose last fragment it is, and packets in tunnels.

use sentinel_capture::Frame;
use sentinel_dissect::{Layer, Packet, tunnel};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow_record::Observation;
use sentinel_track::fragment::{DatagramSlot, Fragments, MAX_DATAGRAM_LEN, Outcome};
use sentinel_track::hash::HashKey;

/// Datagrams in reassembly at a time; 4 MiB, the limit of Linux (`ipfrag_high_thresh`).
const DATAGRAMS: usize = 64;
/// Nested tunnels that are opened.
const MAX_LAYERS: usize = 4;

/// Packet found in a frame.
pub(crate) enum Extracted<'f> {
    /// A packet that is not a fragment.
    Packet(&'f Packet<'f>),
    /// A reassembled datagram, and the observation of all its fragments.
    Reassembled(&'f Packet<'f>, Observation),
    /// Fragments of a datagram that cannot be reassembled.
    Fragments(Observation),
}

/// Reassembles fragments and opens tunnels. Memory: 4 MiB, mapped as far as fragments need it.
pub(crate) struct Decapsulator {
    fragments: Fragments<'static>,
    key: HashKey,
}

impl Decapsulator {
    /// Allocates the memory.
    pub(crate) fn new(key: HashKey) -> Self {
        let fragments = Fragments::new(
            LazyAllocator.allocate_default(DATAGRAMS),
            LazyAllocator.allocate_default(DATAGRAMS),
            LazyAllocator.allocate_default(DATAGRAMS),
            LazyAllocator.allocate_default(DATAGRAMS * MAX_DATAGRAM_LEN),
        );
        Self { fragments, key }
    }

    /// Calls `visit` with all packets of a frame, outermost first.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, visit: &mut dyn FnMut(&Extracted<'_>)) {
        let mut packet = sentinel_dissect::packet(frame.link, frame.vlan, frame.bytes, frame.wire_len);
        for _ in 0..=MAX_LAYERS {
            let is_sound = !matches!(packet.malformed, Some((Layer::Network, _)));
            if let Some(ip) = packet.ip().filter(|ip| ip.fragment.is_some() && is_sound) {
                let expired =
                    &mut |datagram: &DatagramSlot| visit(&Extracted::Fragments(datagram.observation()));
                if let Outcome::Reassembled(datagram) =
                    self.fragments.insert(&self.key, ip, frame.at, expired)
                    && let Some(found) =
                        sentinel_dissect::reassembled(&packet, datagram.protocol, datagram.payload)
                {
                    visit(&Extracted::Reassembled(&found, datagram.observation));
                    // A fragment in a tunnel in a reassembled datagram is not reassembled.
                    if let Some(inner) = tunnel::decapsulate_any(&found) {
                        visit(&Extracted::Packet(&inner));
                    }
                }
                return;
            }
            visit(&Extracted::Packet(&packet));
            match tunnel::decapsulate_any(&packet) {
                Some(inner) => packet = inner,
                None => return,
            }
        }
    }

    /// Calls `visit` with the fragments of datagrams that were never completed.
    pub(crate) fn finish(&mut self, visit: &mut dyn FnMut(&Extracted<'_>)) {
        self.fragments.finish(&mut |datagram| visit(&Extracted::Fragments(datagram.observation())));
    }
}

/// Allocator of memory that lives as long as the program and is mapped when it is first written to.
pub(crate) struct LazyAllocator;

impl TableAllocator<'static> for LazyAllocator {
    fn allocate<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        vec![empty; count].leak()
    }
}
