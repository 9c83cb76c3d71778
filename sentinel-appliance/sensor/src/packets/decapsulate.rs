//! The packets in a frame: itself, the datagram whose last part it is, and what they carry in tunnels.

use sentinel_capture::Frame;
use sentinel_dissect::{Layer, Packet, tunnel};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow_record::Observation;
use sentinel_track::fragment::{DatagramSlot, Fragments, MAX_DATAGRAM_LEN, Outcome};
use sentinel_track::hash::HashKey;

/// Datagrams that wait for parts at a time. Linux keeps 4 MiB of them, this is as much.
const DATAGRAMS: usize = 64;
/// Tunnels in tunnels that are opened.
const MAX_LAYERS: usize = 4;

/// What was found in a frame.
pub(crate) enum Found<'f> {
    /// A packet that is no fragment.
    Packet(&'f Packet<'f>),
    /// A datagram whose last part came, and all its parts as seen.
    Reassembled(&'f Packet<'f>, Observation),
    /// Parts of a datagram that cannot be put together.
    Parts(Observation),
}

/// Unfolds frames. Memory: 4 MiB, used as far as fragments need it.
pub(crate) struct Unfold {
    fragments: Fragments<'static>,
    key: HashKey,
}

impl Unfold {
    /// With memory of its own.
    pub(crate) fn new(key: HashKey) -> Self {
        let fragments = Fragments::new(
            OnDemand.allocate_default(DATAGRAMS),
            OnDemand.allocate_default(DATAGRAMS),
            OnDemand.allocate_default(DATAGRAMS),
            OnDemand.allocate_default(DATAGRAMS * MAX_DATAGRAM_LEN),
        );
        Self { fragments, key }
    }

    /// Shows all packets of a frame, from the outermost in.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, visit: &mut dyn FnMut(&Found<'_>)) {
        let mut packet = sentinel_dissect::packet(frame.link, frame.vlan, frame.bytes, frame.wire_len);
        for _ in 0..=MAX_LAYERS {
            let is_sound = !matches!(packet.malformed, Some((Layer::Network, _)));
            if let Some(ip) = packet.ip().filter(|ip| ip.fragment.is_some() && is_sound) {
                let give_up = &mut |given_up: &DatagramSlot| visit(&Found::Parts(given_up.observation()));
                if let Outcome::Reassembled(whole) = self.fragments.insert(&self.key, ip, frame.at, give_up)
                    && let Some(found) = sentinel_dissect::reassembled(&packet, whole.protocol, whole.payload)
                {
                    visit(&Found::Reassembled(&found, whole.observation));
                    // A part of a datagram in a tunnel in a datagram that came in parts is not put together.
                    if let Some(inner) = decapsulate(&found) {
                        visit(&Found::Packet(&inner));
                    }
                }
                return;
            }
            visit(&Found::Packet(&packet));
            match decapsulate(&packet) {
                Some(inner) => packet = inner,
                None => return,
            }
        }
    }

    /// Shows what is left of datagrams that never became whole.
    pub(crate) fn finish(&mut self, visit: &mut dyn FnMut(&Found<'_>)) {
        self.fragments.finish(&mut |given_up| visit(&Found::Parts(given_up.observation())));
    }
}

/// The packet in a tunnel of any kind.
fn decapsulate<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    tunnel::decapsulate(packet).or_else(|| tunnel::decapsulate_datagram(packet))
}

/// Memory that is never given back, of which the system gives a page when it is written to.
pub(crate) struct OnDemand;

impl TableAllocator<'static> for OnDemand {
    fn allocate<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        vec![empty; count].leak()
    }
}
