//! Observation of a packet: the flow that it belongs to, and what it adds to the counts.
//!
//! Read first: RFC 792 and RFC 4443 (ICMP types); the Community ID specification for the pairs of request and reply types.

use sentinel_dissect::{Icmp, Icmpv6, Packet, TcpFlags, Transport, protocol};
use sentinel_units::{Port, Timestamp};

use crate::flow::Endpoint;

/// Endpoints and protocol of a packet, in the direction of the packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowTuple {
    /// Sender. The port of an ICMP message is its type.
    pub source: Endpoint,
    /// Receiver. The port of an ICMP message is the type of the matching reply or request; its code if it has none.
    pub destination: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// True for ICMP messages without reply: the opposite direction is a flow of its own.
    pub is_one_way: bool,
}

impl FlowTuple {
    /// Returns the tuple of an IP packet, or `None` of another. Protocols without ports, and fragments, have ports of zero.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let ip = packet.ip()?;
        let (source, destination, is_one_way) = match &packet.transport {
            Transport::Tcp(tcp) => (tcp.source_port, tcp.destination_port, false),
            Transport::Udp(udp) => (udp.source_port, udp.destination_port, false),
            Transport::Icmp(Icmp { kind, code, .. }) => icmp(*kind, *code, ICMP_PAIRS),
            Transport::Icmpv6(Icmpv6 { kind, code, .. }) => icmp(*kind, *code, ICMPV6_PAIRS),
            Transport::Other(protocol::SCTP) => match *ip.payload {
                [s0, s1, d0, d1, ..] => {
                    (Port(u16::from_be_bytes([s0, s1])), Port(u16::from_be_bytes([d0, d1])), false)
                }
                _ => (Port(0), Port(0), false),
            },
            Transport::Other(_) | Transport::None => (Port(0), Port(0), false),
        };
        Some(Self {
            source: Endpoint { address: ip.source, port: source },
            destination: Endpoint { address: ip.destination, port: destination },
            protocol: ip.protocol,
            is_one_way,
        })
    }
}

/// ICMP types of requests with their replies.
pub(super) const ICMP_PAIRS: &[(u8, u8)] = &[(8, 0), (10, 9), (13, 14), (15, 16), (17, 18)];
/// ICMPv6 types of requests with their replies.
const ICMPV6_PAIRS: &[(u8, u8)] = &[(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];

/// Returns the ports that stand for an ICMP type and code, and whether the message has no reply.
pub(super) fn icmp(kind: u8, code: u8, pairs: &[(u8, u8)]) -> (Port, Port, bool) {
    let other = pairs.iter().find_map(|(request, reply)| match kind {
        _ if kind == *request => Some(*reply),
        _ if kind == *reply => Some(*request),
        _ => None,
    });
    // A request has (type, reply type) and its reply the mirror image, so both have one key in ascending order.
    (Port(u16::from(kind)), Port(u16::from(other.unwrap_or(code))), other.is_none())
}

/// Returns true if an ICMP message is a request.
pub(super) fn is_request(tuple: &FlowTuple) -> bool {
    let pairs = if tuple.protocol == protocol::ICMP { ICMP_PAIRS } else { ICMPV6_PAIRS };
    pairs.iter().any(|(request, _)| u16::from(*request) == tuple.source.port.0)
}

/// Contribution of one packet, or of all fragments of one datagram, to a flow record.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Endpoints and protocol.
    pub tuple: FlowTuple,
    /// Time of the packet, or of the first fragment.
    pub first: Timestamp,
    /// Time of the packet, or of the last fragment.
    pub last: Timestamp,
    /// IP packets.
    pub packets: u32,
    /// Bytes of these packets, with IP headers.
    pub bytes: u32,
    /// TCP flags; `None` for other protocols.
    pub flags: Option<TcpFlags>,
}

impl Observation {
    /// Returns the observation of one packet, or `None` if it is not IP.
    #[must_use]
    pub fn of(packet: &Packet<'_>, at: Timestamp) -> Option<Self> {
        let (tuple, ip) = (FlowTuple::of(packet)?, packet.ip()?);
        let flags = packet.tcp().map(|tcp| tcp.flags);
        Some(Self { tuple, first: at, last: at, packets: 1, bytes: ip.wire_len, flags })
    }
}
