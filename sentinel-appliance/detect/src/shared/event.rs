//! Packets as detectors see them, worked out once for all of them.

use core::cell::Cell;

use sentinel_dissect::{FiveTuple, Ip, Packet, PacketSummary, reread_v4, reread_v6, sender};
use sentinel_track::flow::{Endpoint, Role};
use sentinel_track::hash::HashKey;
use sentinel_track::table::CoarseSpan;
use sentinel_units::{Address, Mac, Port, Timestamp};

use crate::shared::home_net::HomeNet;

/// Ports of DNS servers, the destination of queries, and of DHCP servers, the source of leases.
pub(crate) use sentinel_units::port::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER, DNS};

/// State of the engine that every packet is tested with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'e> {
    /// Packet time, never before that of an earlier packet by more than the clock was set back.
    pub(crate) now: Timestamp,
    /// The internal networks.
    pub(crate) home_net: &'e HomeNet,
    /// The key of all tables.
    pub(crate) key: &'e HashKey,
}

/// A TCP segment or UDP datagram with the state of its flow.
#[derive(Debug)]
pub(crate) struct Event<'e, 'p> {
    /// State of the engine.
    pub(crate) setting: Setting<'e>,
    /// The packet itself.
    pub(crate) packet: &'e PacketSummary<'p>,
    /// Its place in the flow.
    pub(crate) role: Role,
    /// The hash of its source address.
    pub(crate) source_hash: u32,
    /// Of TCP, what a detector keeps with the flow ([`FlowRequest::Session`](crate::detectors::FlowRequest)); of UDP,
    /// [`ONE_WAY`](sentinel_track::flow::ONE_WAY) if the other endpoint has sent nothing.
    pub(crate) session: u32,
    /// True from an internal host to an external one, if a detector counts the bytes of such packets.
    pub(crate) is_egress: bool,
    /// State of the reading of a DNS message, which its detectors share.
    pub(crate) question: Cell<Question>,
    /// End of the name that a query asks for ([`name_tail`](crate::detectors::dns::name_tail)); zero if it was not measured.
    pub(crate) tail: Cell<u64>,
}

/// Findings of the first detector that read a DNS message, for the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Question {
    /// None has read it.
    #[default]
    Unread,
    /// It repeats one that all of them have taken.
    Repeated,
    /// There are too many, or it is no question of a client.
    Passed,
    /// Its question was read.
    Read(ReadQuestion),
}

/// Question of a DNS message between an internal client and a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadQuestion {
    /// Keyed hash of the registered domain that it asks for.
    pub(crate) domain: u32,
    /// Position behind the question.
    pub(crate) end: usize,
    /// True if the label before the public suffix is in punycode.
    pub(crate) is_encoded: bool,
}

/// The fields of a packet that is only counted for its source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'p> {
    /// Source address.
    pub(crate) source: Address,
    /// Destination address.
    pub(crate) destination: Address,
    /// Destination port, if it has one.
    pub(crate) destination_port: Option<Port>,
    /// Bytes of the whole frame on the wire.
    pub(crate) wire_len: u32,
    /// Hardware address that sent the frame on this link, if the link has such.
    pub(crate) sender: Option<&'p [u8; 6]>,
}

impl<'p> From<&PacketSummary<'p>> for Counted<'p> {
    #[inline]
    fn from(packet: &PacketSummary<'p>) -> Self {
        let FiveTuple { source, destination, destination_port, .. } = packet.tuple;
        let destination_port = Some(destination_port);
        Self { source, destination, destination_port, wire_len: packet.wire_len, sender: packet.sender }
    }
}

impl<'p> Counted<'p> {
    /// Rereads a frame that [`summarize_v4`](sentinel_dissect::summarize_v4) has read; `None` if it was
    /// [`summarize_v6`](sentinel_dissect::summarize_v6).
    #[inline(always)] // so that both addresses are known to be IPv4
    pub(crate) fn reread_v4(bytes: &'p [u8], wire_len: u32) -> Option<Self> {
        let (source, destination, port) = reread_v4(bytes)?;
        let (source, destination) = (Address::v4(source), Address::v4(destination));
        Some(Self::in_frame(bytes, wire_len, (source, destination, port)))
    }

    /// Rereads a frame that [`summarize_v6`](sentinel_dissect::summarize_v6) has read.
    pub(crate) fn reread_v6(bytes: &'p [u8], wire_len: u32) -> Option<Self> {
        let (source, destination, port) = reread_v6(bytes)?;
        Some(Self::in_frame(bytes, wire_len, (source, destination, port)))
    }

    #[inline(always)] // so that both addresses are known to be IPv4 after `reread_v4`
    fn in_frame(
        bytes: &'p [u8],
        wire_len: u32,
        (source, destination, port): (Address, Address, Port),
    ) -> Self {
        let wire_len = wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        Self { source, destination, destination_port: Some(port), wire_len, sender: sender(bytes) }
    }

    /// A packet without ports; `None` if it has no addresses either.
    pub(crate) fn without_ports(packet: &'p Packet<'_>) -> Option<Self> {
        let Ip { source, destination, .. } = *packet.ip()?;
        let sender = packet.ethernet.as_ref().map(|ethernet| &ethernet.source.0);
        Some(Self { source, destination, destination_port: None, wire_len: packet.wire_len, sender })
    }

    /// Hardware address of the sender, if the link has such.
    pub(crate) fn sender_mac(&self) -> Option<Mac> {
        self.sender.map(|bytes| Mac(*bytes))
    }
}

/// A packet without ports: ICMP, ARP, later fragments, other protocols.
#[derive(Debug)]
pub(crate) struct OtherEvent<'e, 'p> {
    /// State of the engine.
    pub(crate) setting: Setting<'e>,
    /// The packet itself.
    pub(crate) packet: &'e Packet<'p>,
}

impl<'e, 'p> Event<'e, 'p> {
    /// A message that was reassembled, of the initiator; `packet` is one of those that carried it.
    pub(crate) fn of_message(setting: Setting<'e>, packet: &'e PacketSummary<'p>) -> Self {
        let role =
            Role { from_initiator: true, certain: false, is_first: false, idle: CoarseSpan::default() };
        let source_hash = setting.key.address(packet.tuple.source);
        let (question, tail) = (Cell::default(), Cell::default());
        Self { setting, packet, role, source_hash, session: 0, is_egress: false, question, tail }
    }
}

impl Event<'_, '_> {
    /// Sender.
    #[inline]
    pub(crate) const fn source(&self) -> Endpoint {
        Endpoint { address: self.packet.tuple.source, port: self.packet.tuple.source_port }
    }

    /// Receiver.
    #[inline]
    pub(crate) const fn destination(&self) -> Endpoint {
        Endpoint { address: self.packet.tuple.destination, port: self.packet.tuple.destination_port }
    }
}
