//! What one packet adds to a conversation.

use sentinel_dissect::{Icmp, Icmpv6, Packet, TcpFlags, Transport, protocol};
use sentinel_units::{Port, Timestamp};

use crate::flow::Endpoint;

/// Both ends of a conversation as its packets have them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowTuple {
    /// Who sent this packet. The port of an ICMP message is its type.
    pub source: Endpoint,
    /// Who it is for. The port of an ICMP message is the type of its answer or question; if there is none, its code.
    pub destination: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// Whether there are no answers: what goes the other way is another conversation.
    pub is_one_way: bool,
}

impl FlowTuple {
    /// Those of an IP packet. Protocols without ports, and parts of datagrams, have zero for both.
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

/// Questions and their answers, question first.
pub(super) const ICMP_PAIRS: &[(u8, u8)] = &[(8, 0), (10, 9), (13, 14), (15, 16), (17, 18)];
const ICMPV6_PAIRS: &[(u8, u8)] = &[(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];

pub(super) fn icmp(kind: u8, code: u8, pairs: &[(u8, u8)]) -> (Port, Port, bool) {
    let other = pairs.iter().find_map(|(question, answer)| match kind {
        _ if kind == *question => Some(*answer),
        _ if kind == *answer => Some(*question),
        _ => None,
    });
    (Port(u16::from(kind)), Port(u16::from(other.unwrap_or(code))), other.is_none())
}

/// Whether an ICMP message of a pair is the question.
pub(super) fn is_question(tuple: &FlowTuple) -> bool {
    let pairs = if tuple.protocol == protocol::ICMP { ICMP_PAIRS } else { ICMPV6_PAIRS };
    pairs.iter().any(|(question, _)| u16::from(*question) == tuple.source.port.0)
}

/// What one packet, or all parts of one datagram, add to a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Who to whom.
    pub tuple: FlowTuple,
    /// When; of several parts, when the first came.
    pub first: Timestamp,
    /// When the last came.
    pub last: Timestamp,
    /// IP packets.
    pub packets: u32,
    /// Bytes of them, IP headers included.
    pub bytes: u32,
    /// Control bits, if it is TCP.
    pub flags: Option<TcpFlags>,
}

impl Observation {
    /// Of one packet. `None` if it is not IP.
    #[must_use]
    pub fn of(packet: &Packet<'_>, at: Timestamp) -> Option<Self> {
        let (tuple, ip) = (FlowTuple::of(packet)?, packet.ip()?);
        let flags = packet.tcp().map(|tcp| tcp.flags);
        Some(Self { tuple, first: at, last: at, packets: 1, bytes: ip.wire_len, flags })
    }
}
