//! Floods: what is sent, from one source or from made-up ones, at a rate.
//!
//! Read first: Wang, Zhang and Shin, "Detecting SYN Flooding Attacks", INFOCOM 2002; RFC 4987.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::application::dns::{self, Answer, record};
use crate::packet::{Family, Icmp, Path, Tcp, flags, protocol};
use crate::{Host, Packets, Parameters, TimedFrame};

/// Packets of a flood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FloodKind {
    /// Connection requests.
    Syn,
    /// Datagrams to one port.
    Udp,
    /// Echo requests.
    Icmp,
    /// Segments with ACK alone, of no connection.
    Ack,
    /// Segments with RST alone.
    Rst,
    /// First fragments of datagrams that never become complete.
    Fragments,
    /// SYN-ACKs of servers that the attacker asked in the victim's name.
    SynAckReflection,
    /// DNS responses that the attacker asked for in the victim's name.
    DnsReflection,
}

impl FloodKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Syn,
        Self::Udp,
        Self::Icmp,
        Self::Ack,
        Self::Rst,
        Self::Fragments,
        Self::SynAckReflection,
        Self::DnsReflection,
    ];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Ack => "ack",
            Self::Rst => "rst",
            Self::Fragments => "fragments",
            Self::SynAckReflection => "syn-ack-reflection",
            Self::DnsReflection => "dns-reflection",
        }
    }
}

/// Origin of the packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// One host of the observed segment.
    OneInside,
    /// One host on the Internet.
    OneOutside,
    /// A made-up address on the Internet for each packet; of reflections, one of 200 real servers.
    Spoofed,
}

/// Flood of the victim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flood {
    /// Packets sent.
    pub kind: FloodKind,
    /// From where.
    pub origin: Origin,
    /// Packets per second.
    pub rate: u32,
    /// IP version.
    pub family: Family,
    /// Time that it lasts.
    pub span: Duration,
}

impl Flood {
    /// Frames of the flood, a stream.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        let flood = *self;
        let topology = parameters.topology;
        let mut random = parameters.random();
        let count = self.span.as_secs() * u64::from(self.rate);
        let gap = Duration::from_secs(1) / self.rate.max(1);
        Box::new((0..count).map(move |index| {
            let offset = gap * u32::try_from(index).unwrap_or(u32::MAX);
            let from = match flood.origin {
                Origin::OneInside => topology.attacker,
                Origin::OneOutside => topology.outside,
                Origin::Spoofed if flood.is_reflection() => topology.external(random.word() % 200 + 500),
                Origin::Spoofed => spoofed(&topology.gateway, random.word()),
            };
            let (port, number, bits) = (random.ephemeral_port(), random.half(), random.word());
            TimedFrame { offset, bytes: flood.frame((&from, &topology.victim), port, number, bits) }
        }))
    }

    const fn is_reflection(&self) -> bool {
        matches!(self.kind, FloodKind::SynAckReflection | FloodKind::DnsReflection)
    }

    fn frame(&self, (from, to): (&Host, &Host), port: u16, number: u16, bits: u32) -> Vec<u8> {
        let mut path = Path::between(from, to, self.family);
        path.network.identification = number;
        let tcp = |source, destination, control| Tcp {
            source,
            destination,
            sequence: bits,
            acknowledgement: if control & flags::ACK == 0 { 0 } else { bits.rotate_left(9) },
            flags: control,
            window: 64_240,
            ..Tcp::default()
        };
        match self.kind {
            FloodKind::Syn => path.tcp(&tcp(port, 443, flags::SYN), &[]),
            FloodKind::Ack => path.tcp(&tcp(port, 443, flags::ACK), &[]),
            FloodKind::Rst => path.tcp(&tcp(port, 443, flags::RST), &[]),
            FloodKind::SynAckReflection => path.tcp(&tcp(443, port, flags::SYN | flags::ACK), &[]),
            FloodKind::Udp => path.udp(port, 9_999, &[0x55; 64]),
            FloodKind::Icmp => {
                path.icmp(&Icmp::EchoRequest { identifier: number, sequence: 1, payload: &[0x55; 32] })
            }
            FloodKind::Fragments => {
                let packets = path.network.fragments(protocol::UDP, &[0; 48], 24);
                packets.first().map(|first| path.wrap(first)).unwrap_or_default()
            }
            FloodKind::DnsReflection => {
                let text: Vec<_> = (0..4).map(|_| Answer::Txt(vec![0x61; 240])).collect();
                path.udp(dns::PORT, port, &dns::response(number, "amplified.example.net", record::TXT, &text))
            }
        }
    }
}

/// Host on the Internet with an address that nobody has chosen.
pub(super) fn spoofed(gateway: &Host, word: u32) -> Host {
    let [a, b, c, d] = word.to_be_bytes();
    // 11.0.0.0 to 126.255.255.255 without private, loopback and test ranges.
    let first = 11 + a % 88;
    let v6 = Ipv6Addr::from_bits((0x2a00_u128 << 112) | (u128::from(word) << 64) | u128::from(word ^ 0x5555));
    Host::external(gateway, Ipv4Addr::new(first, b, c, d)).with_v6(v6)
}
