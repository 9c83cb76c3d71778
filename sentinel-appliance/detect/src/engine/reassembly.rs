//! Reassembly of datagrams and of DNS over TCP, and decapsulation of tunnels.
//!
//! A query name in two fragments or two segments must not evade detection, nor a scan inside a tunnel. Ordinary packets never
//! come here: the slow path sorts out fragments, tunnels, and TCP to ports whose payload is read.

use sentinel_dissect::{Layer, Packet, Transport, dns, reassembled, tunnel};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow::Endpoint;
use sentinel_track::fragment::{CompleteDatagram, DatagramSlot, FragmentCounts, Fragments};
use sentinel_track::hash::HashKey;
use sentinel_track::hashed_lru::LruLink;
use sentinel_track::reassembly::{CHUNK_LEN, Message, StreamCounts, StreamSlot, StreamStorage, Streams};
use sentinel_units::Timestamp;

use crate::detectors::Detectors;
use crate::shared::table_size::TableSize;

/// Longest datagram that is reassembled, in bytes. Queries have under 300.
const MAX_DATAGRAM_LEN: usize = 2048;
const DATAGRAM_BYTES: usize =
    MAX_DATAGRAM_LEN + size_of::<DatagramSlot>() + size_of::<LruLink>() + size_of::<u32>();
const STREAM_BYTES: usize =
    CHUNK_LEN + size_of::<StreamSlot>() + size_of::<LruLink>() + size_of::<u32>() + size_of::<u16>();
/// Longest message of a stream that is reassembled, in bytes.
const MAX_JOINED_LEN: usize = 4096;
/// Nested tunnels that are decapsulated.
const MAX_LAYERS: usize = 4;
/// Messages read from one contiguous range of a stream.
const MAX_TCP_MESSAGES: usize = 16;

/// Storage that the caller lends. All slices of one group have as many entries as [`ReassemblyCapacities`] says.
#[derive(Debug)]
pub struct ReassemblyStorage<'m> {
    /// For [`ReassemblyCapacities::datagrams`].
    pub datagram_heads: &'m mut [u32],
    /// For [`ReassemblyCapacities::datagrams`].
    pub datagram_links: &'m mut [LruLink],
    /// For [`ReassemblyCapacities::datagrams`].
    pub datagrams: &'m mut [DatagramSlot],
    /// [`ReassemblyCapacities::datagram_bytes`].
    pub datagram_bytes: &'m mut [u8],
    /// For [`ReassemblyCapacities::streams`], with as many chunks, and [`ReassemblyCapacities::joined_bytes`].
    pub streams: StreamStorage<'m>,
}

/// Entries of each table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReassemblyCapacities {
    /// Datagrams that wait for fragments.
    pub datagrams: usize,
    /// Directions of DNS over TCP.
    pub streams: usize,
    /// Bytes of the buffer in which a message of a stream is reassembled.
    pub joined_bytes: usize,
}

impl ReassemblyCapacities {
    /// Divides `bytes`; the tables together never take more.
    #[must_use]
    pub const fn within(bytes: usize) -> Self {
        let half = bytes / 2;
        let joined_bytes = if half / 4 < MAX_JOINED_LEN { half / 4 } else { MAX_JOINED_LEN };
        Self { datagrams: half / DATAGRAM_BYTES, streams: (half - joined_bytes) / STREAM_BYTES, joined_bytes }
    }

    /// Bytes of [`ReassemblyStorage::datagram_bytes`].
    #[must_use]
    pub const fn datagram_bytes(&self) -> usize {
        self.datagrams * MAX_DATAGRAM_LEN
    }

    /// Each table with its size, for `sentinel status`.
    #[must_use]
    pub const fn tables(&self) -> [TableSize; 2] {
        let streams_bytes = self.streams * STREAM_BYTES + self.joined_bytes;
        let per_stream = match streams_bytes.checked_div(self.streams) {
            Some(bytes) => bytes,
            None => 0,
        };
        [
            TableSize { name: "fragments", slots: self.datagrams, slot_bytes: DATAGRAM_BYTES },
            TableSize { name: "dns_streams", slots: self.streams, slot_bytes: per_stream },
        ]
    }
}

impl<'m> ReassemblyStorage<'m> {
    /// As much of each as `capacities` says.
    pub fn allocate(capacities: &ReassemblyCapacities, allocator: &mut impl TableAllocator<'m>) -> Self {
        let ReassemblyCapacities { datagrams, streams, joined_bytes } = *capacities;
        Self {
            datagram_heads: allocator.allocate_default(datagrams),
            datagram_links: allocator.allocate_default(datagrams),
            datagrams: allocator.allocate_default(datagrams),
            datagram_bytes: allocator.allocate_default(capacities.datagram_bytes()),
            streams: StreamStorage::allocate(streams, streams, joined_bytes, allocator),
        }
    }
}

/// Fragments and streams.
#[derive(Debug)]
pub(crate) struct Reassembly<'m> {
    fragments: Fragments<'m>,
    /// The datagram that the last fragment completed, until it is shown.
    complete: Option<CompleteDatagram>,
    streams: Streams<'m>,
}

/// A packet inside another, or a message that a packet completed.
pub(crate) enum Decapsulated<'c> {
    /// A packet inside a tunnel.
    Packet(&'c Packet<'c>),
    /// A reassembled datagram.
    Datagram(&'c Packet<'c>),
    /// A reassembled TCP segment whose header was in several fragments.
    Probe(&'c Packet<'c>),
    /// A DNS message that the sender of the packet at hand sent over TCP.
    Message(&'c [u8]),
}

impl<'m> Reassembly<'m> {
    pub(crate) fn new(storage: ReassemblyStorage<'m>) -> Self {
        let ReassemblyStorage { datagram_heads, datagram_links, datagrams, datagram_bytes, streams } =
            storage;
        Self {
            fragments: Fragments::new(datagram_heads, datagram_links, datagrams, datagram_bytes),
            complete: None,
            streams: Streams::new(streams),
        }
    }

    /// Entries evicted before they were complete or timed out.
    pub(crate) const fn evictions(&self) -> u64 {
        let (FragmentCounts { evictions: datagrams, .. }, StreamCounts { evictions: streams, .. }) =
            (self.fragments.counts, self.streams.counts);
        datagrams + streams
    }

    /// Datagrams discarded because their fragments overlap.
    pub(crate) const fn overlaps(&self) -> u64 {
        self.fragments.counts.overlaps
    }

    /// Adds a fragment or segment. Returns true if [`Self::show`] must follow, with the same arguments.
    ///
    /// Fragments that complete nothing, all that a flood of them consists of, end here.
    pub(crate) fn add(&mut self, key: &HashKey, at: Timestamp, packet: &Packet<'_>) -> bool {
        let Some(ip) = packet.ip().filter(|_| !matches!(packet.malformed, Some((Layer::Network, _)))) else {
            return false;
        };
        if ip.fragment.is_none() {
            return true;
        }
        self.complete = self.fragments.insert_fragment(key, ip, at, &mut |_| {});
        self.complete.is_some()
    }

    /// Shows what the fragment or segment that was added last completes.
    pub(crate) fn show(
        &mut self,
        key: &HashKey,
        at: Timestamp,
        packet: &Packet<'_>,
        visit: &mut dyn FnMut(&Decapsulated<'_>),
    ) {
        if let Some(complete) = self.complete.take() {
            let is_split = complete.splits_header();
            let complete = self.fragments.reassembled(&complete);
            if let Some(datagram) = reassembled(packet, complete.protocol, complete.payload) {
                visit(&if is_split {
                    Decapsulated::Probe(&datagram)
                } else {
                    Decapsulated::Datagram(&datagram)
                });
                tunnels(&datagram, visit);
            }
        } else if let (Some(ip), Transport::Tcp(tcp)) = (packet.ip(), &packet.transport) {
            let source = Endpoint { address: ip.source, port: tcp.source_port };
            let destination = Endpoint { address: ip.destination, port: tcp.destination_port };
            self.streams.segment(key, (source, destination), tcp, at, &mut |message: &Message<'_>| {
                if (message.source, message.destination) == (source, destination) {
                    for message in dns::tcp_messages(message.bytes).take(MAX_TCP_MESSAGES) {
                        visit(&Decapsulated::Message(message));
                    }
                }
            });
        }
    }
}

/// Shows the packets inside a tunnel, from the outermost to the innermost.
pub(crate) fn tunnels(packet: &Packet<'_>, visit: &mut dyn FnMut(&Decapsulated<'_>)) {
    let mut inner = tunnel::decapsulate_any(packet);
    for _ in 0..MAX_LAYERS {
        let Some(found) = inner else { return };
        visit(&Decapsulated::Packet(&found));
        inner = tunnel::decapsulate_any(&found);
    }
}

/// Returns true for packets that [`Reassembly::add`] is for: fragments, and TCP to ports whose payload is read.
#[inline]
pub(crate) fn concerns(packet: &Packet<'_>) -> bool {
    match &packet.transport {
        Transport::Tcp(tcp) => {
            Detectors::is_payload_port(tcp.destination_port)
                || packet.ip().is_some_and(|ip| ip.fragment.is_some())
        }
        _ => packet.ip().is_some_and(|ip| ip.fragment.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_stay_within_their_share() {
        for kib in [0, 8, 16, 64, 128, 1_024] {
            let capacities = ReassemblyCapacities::within(kib * 1_024);
            let bytes: usize = capacities.tables().iter().map(TableSize::bytes).sum();
            assert!(bytes <= kib * 1_024 && bytes >= kib * 1_024 / 2, "{kib} KiB: {bytes}");
        }
    }
}
