//! Messages that span packets, and packets inside others.
//!
//! A name that is asked for in two parts of a datagram, or in two segments, shall be seen as well, and so shall a scan in a
//! tunnel. None of this concerns ordinary packets: what comes here was sorted out by the time it is known to be a fragment,
//! a tunnel, or TCP to port 53.

use sentinel_dissect::{Layer, Packet, Transport, dns, reassembled, tunnel};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow::Endpoint;
use sentinel_track::fragment::{DatagramSlot, FragmentCounts, Fragments, Outcome};
use sentinel_track::hash::HashKey;
use sentinel_track::hashed_lru::LruLink;
use sentinel_track::reassembly::{CHUNK_LEN, Message, StreamCounts, StreamSlot, StreamStorage, Streams};
use sentinel_units::{Port, Timestamp};

use crate::dns_tunnel::DNS;
use crate::memory::TableSize;

/// Longest datagram that is put together. Queries have under 300 bytes.
const DATAGRAM_ROOM: usize = 2048;
const DATAGRAM_BYTES: usize =
    DATAGRAM_ROOM + size_of::<DatagramSlot>() + size_of::<LruLink>() + size_of::<u32>();
const STREAM_BYTES: usize =
    CHUNK_LEN + size_of::<StreamSlot>() + size_of::<LruLink>() + size_of::<u32>() + size_of::<u16>();
/// Most bytes of a stream that are looked at together.
const MAX_JOINED_LEN: usize = 4096;
/// Tunnels in tunnels that are opened.
const MAX_LAYERS: usize = 4;
/// Messages read from one piece of a stream.
const MAX_TCP_MESSAGES: usize = 16;

/// What the caller lends. All slices of one group have as many entries as [`ReassemblyCapacities`] says.
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

/// How much of each there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReassemblyCapacities {
    /// Datagrams that wait for parts.
    pub datagrams: usize,
    /// Directions of DNS over TCP.
    pub streams: usize,
    /// Bytes to put a message of a stream together.
    pub joined_bytes: usize,
}

impl ReassemblyCapacities {
    /// Shares `bytes` out. Together never more than that.
    #[must_use]
    pub const fn within(bytes: usize) -> Self {
        let half = bytes / 2;
        let joined_bytes = if half / 4 < MAX_JOINED_LEN { half / 4 } else { MAX_JOINED_LEN };
        Self { datagrams: half / DATAGRAM_BYTES, streams: (half - joined_bytes) / STREAM_BYTES, joined_bytes }
    }

    /// Bytes of [`ReassemblyStorage::datagram_bytes`].
    #[must_use]
    pub const fn datagram_bytes(&self) -> usize {
        self.datagrams * DATAGRAM_ROOM
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
    streams: Streams<'m>,
}

/// Something that a packet completed, or carries.
pub(crate) enum Decapsulated<'c> {
    /// A packet inside a tunnel.
    Packet(&'c Packet<'c>),
    /// A datagram whose parts are together.
    Datagram(&'c Packet<'c>),
    /// A DNS message that the sender of the packet at hand sent over TCP.
    Message(&'c [u8]),
}

impl<'m> Reassembly<'m> {
    pub(crate) fn new(storage: ReassemblyStorage<'m>) -> Self {
        let ReassemblyStorage { datagram_heads, datagram_links, datagrams, datagram_bytes, streams } =
            storage;
        Self {
            fragments: Fragments::new(datagram_heads, datagram_links, datagrams, datagram_bytes),
            streams: Streams::new(streams),
        }
    }

    /// Entries that gave way to others before their time.
    pub(crate) const fn evictions(&self) -> u64 {
        let (FragmentCounts { evictions: parts, .. }, StreamCounts { evictions, .. }) =
            (self.fragments.counts, self.streams.counts);
        parts + evictions
    }

    /// Shows what a packet completes.
    pub(crate) fn packet(
        &mut self,
        key: &HashKey,
        at: Timestamp,
        packet: &Packet<'_>,
        visit: &mut dyn FnMut(&Decapsulated<'_>),
    ) {
        let Some(ip) = packet.ip().filter(|_| !matches!(packet.malformed, Some((Layer::Network, _)))) else {
            return;
        };
        if ip.fragment.is_some() {
            if let Outcome::Reassembled(whole) = self.fragments.insert(key, ip, at, &mut |_| {})
                && let Some(datagram) = reassembled(packet, whole.protocol, whole.payload)
            {
                visit(&Decapsulated::Datagram(&datagram));
                tunnels(&datagram, visit);
            }
        } else if let Transport::Tcp(tcp) = &packet.transport {
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

/// Shows the packets inside a tunnel, from the outermost in.
pub(crate) fn tunnels(packet: &Packet<'_>, visit: &mut dyn FnMut(&Decapsulated<'_>)) {
    let mut inner = tunnel::decapsulate(packet);
    for _ in 0..MAX_LAYERS {
        let Some(found) = inner else { return };
        visit(&Decapsulated::Packet(&found));
        inner = tunnel::decapsulate(&found);
    }
}

/// Whether a packet is one that [`Reassembly::packet`] is for.
#[inline]
pub(crate) fn concerns(packet: &Packet<'_>) -> bool {
    match &packet.transport {
        Transport::Tcp(tcp) => {
            is_dns_stream(tcp.destination_port) || packet.ip().is_some_and(|ip| ip.fragment.is_some())
        }
        _ => packet.ip().is_some_and(|ip| ip.fragment.is_some()),
    }
}

/// Whether what goes to this port over TCP is put together.
#[inline]
pub(crate) const fn is_dns_stream(destination: Port) -> bool {
    destination.0 == DNS.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stay_within_their_share() {
        for kib in [0, 8, 16, 64, 128, 1_024] {
            let capacities = ReassemblyCapacities::within(kib * 1_024);
            let bytes: usize = capacities.tables().iter().map(TableSize::bytes).sum();
            assert!(bytes <= kib * 1_024 && bytes >= kib * 1_024 / 2, "{kib} KiB: {bytes}");
        }
    }
}
