//! Scans and sweeps: technique, interval and family.
//!
//! Read first: the reference guide of nmap, chapters 5 and 12 (techniques and what a closed, an open and a filtered port answer), and RFC
//! 9293 section 3.10.7 (why). The scanned host has two open ports, refuses three quarters of the others and ignores the rest.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::packet::{Arp, Family, Icmp, Options, Path, Tcp, flags, protocol, udp};
use crate::{Host, Packets, Parameters, Random, Timeline};

/// Way in which a scanner asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Technique {
    /// SYN, and RST if it is answered.
    Syn,
    /// Complete connections.
    Connect,
    /// ACK alone; also the window scan, which differs in what the scanner reads.
    Ack,
    /// FIN and ACK.
    Maimon,
    /// FIN alone.
    Fin,
    /// No flag.
    Null,
    /// FIN, PSH and URG.
    Xmas,
    /// Empty datagrams, which closed ports answer by ICMP.
    Udp,
    /// IP packets of one protocol number after the other.
    IpProtocol,
    /// SCTP INIT chunks.
    SctpInit,
    /// SYN in two fragments, of 8 and 12 bytes.
    FragmentedSyn,
    /// SYN among SYNs of four addresses that do not exist.
    Decoys,
    /// SYN to one port of one host after the other.
    SynSweep,
    /// Echo request to one host after the other.
    PingSweep,
    /// ARP request for one address after the other.
    ArpSweep,
}

impl Technique {
    /// Every technique.
    pub const ALL: [Self; 15] = [
        Self::Syn,
        Self::Connect,
        Self::Ack,
        Self::Maimon,
        Self::Fin,
        Self::Null,
        Self::Xmas,
        Self::Udp,
        Self::IpProtocol,
        Self::SctpInit,
        Self::FragmentedSyn,
        Self::Decoys,
        Self::SynSweep,
        Self::PingSweep,
        Self::ArpSweep,
    ];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Connect => "connect",
            Self::Ack => "ack",
            Self::Maimon => "maimon",
            Self::Fin => "fin",
            Self::Null => "null",
            Self::Xmas => "xmas",
            Self::Udp => "udp",
            Self::IpProtocol => "ip-protocol",
            Self::SctpInit => "sctp-init",
            Self::FragmentedSyn => "fragmented-syn",
            Self::Decoys => "decoys",
            Self::SynSweep => "syn-sweep",
            Self::PingSweep => "ping-sweep",
            Self::ArpSweep => "arp-sweep",
        }
    }

    /// True if it exists over this family.
    #[must_use]
    pub const fn exists_over(self, family: Family) -> bool {
        matches!(family, Family::V4) || !matches!(self, Self::ArpSweep)
    }

    const fn flags(self) -> u8 {
        match self {
            Self::Ack => flags::ACK,
            Self::Maimon => flags::FIN | flags::ACK,
            Self::Fin => flags::FIN,
            Self::Null => 0,
            Self::Xmas => flags::FIN | flags::PSH | flags::URG,
            _ => flags::SYN,
        }
    }
}

/// Scan of the victim (or, in a sweep, of its network) by the attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scan {
    /// Way of asking.
    pub technique: Technique,
    /// Time between two probes.
    pub interval: Duration,
    /// IP version.
    pub family: Family,
    /// Number of probes.
    pub probes: u32,
}

impl Scan {
    /// Frames of the scan. The order of the ports and what is open depend on the seed.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        let mut random = parameters.random();
        let mut timeline = Timeline::default();
        for index in 0..self.probes {
            timeline.seek(self.interval * index);
            self.probe(&mut timeline, parameters, index, &mut random);
        }
        timeline.play()
    }

    fn probe(&self, timeline: &mut Timeline, parameters: &Parameters, index: u32, random: &mut Random) {
        let (from, to) = (parameters.topology.attacker, parameters.topology.victim);
        let port = port_of(index, parameters.seed);
        match self.technique {
            Technique::SynSweep | Technique::PingSweep | Technique::ArpSweep => {
                self.sweep(timeline, parameters, index, random);
            }
            Technique::Udp => self.datagram(timeline, (&from, &to), port, random),
            Technique::IpProtocol => self.unknown_protocol(timeline, (&from, &to), index),
            Technique::SctpInit => self.sctp(timeline, (&from, &to), port, random),
            Technique::FragmentedSyn => self.fragmented(timeline, (&from, &to), port, random),
            Technique::Decoys => {
                let own = random.length(0..5);
                for place in 0..5 {
                    let decoy = parameters.topology.internal(u32::try_from(place).unwrap_or(0) + 90);
                    let source = if place == own { from } else { from.with_v4(decoy.v4).with_v6(decoy.v6) };
                    self.segment(timeline, (&source, &to), port, random);
                }
            }
            _ => self.segment(timeline, (&from, &to), port, random),
        }
    }

    /// One TCP probe and the response of the port (RFC 9293 section 3.10.7.1 for a closed one).
    fn segment(&self, timeline: &mut Timeline, (from, to): (&Host, &Host), port: u16, random: &mut Random) {
        let up = Path::between(from, to, self.family);
        let (source, sequence) = (random.ephemeral_port(), random.word());
        let control = self.technique.flags();
        let probe = Tcp {
            source,
            destination: port,
            sequence,
            acknowledgement: if control & flags::ACK == 0 { 0 } else { random.word() },
            flags: control,
            window: 1_024,
            options: if control == flags::SYN { Options::SegmentSize(1_460) } else { Options::None },
        };
        timeline.push(up.tcp(&probe, &[]));
        let is_open = OPEN.contains(&port);
        let is_syn = control == flags::SYN;
        let response = match (is_open, is_syn) {
            (true, true) => flags::SYN | flags::ACK,
            (true, false) if control & flags::ACK == 0 => return,
            _ if !is_open && is_filtered(port) => return,
            _ => flags::RST | flags::ACK,
        };
        timeline.wait_us(300);
        let back = Tcp {
            source: port,
            destination: source,
            sequence: random.word(),
            acknowledgement: sequence.wrapping_add(1),
            flags: response,
            ..Tcp::default()
        };
        timeline.push(up.reversed().tcp(&back, &[]));
        if response & flags::SYN != 0 {
            timeline.wait_us(200);
            let end = if self.technique == Technique::Connect { flags::ACK } else { flags::RST };
            let end = Tcp {
                sequence: sequence.wrapping_add(1),
                flags: end,
                acknowledgement: 0,
                options: Options::None,
                ..probe
            };
            timeline.push(up.tcp(&end, &[]));
        }
    }

    fn datagram(&self, timeline: &mut Timeline, (from, to): (&Host, &Host), port: u16, random: &mut Random) {
        let up = Path::between(from, to, self.family);
        let datagram = udp(random.ephemeral_port(), port, &up.network.addresses, &[]);
        let packet = up.network.packet(protocol::UDP, &datagram);
        timeline.push(up.wrap(&packet));
        if !OPEN.contains(&port) && !is_filtered(port) {
            timeline.wait_us(400);
            timeline.push(up.reversed().icmp(&Icmp::PortUnreachable(&packet)));
        }
    }

    /// nmap -sO: headers of each protocol number, without a payload.
    fn unknown_protocol(&self, timeline: &mut Timeline, (from, to): (&Host, &Host), index: u32) {
        let up = Path::between(from, to, self.family);
        let number = u8::try_from(index.wrapping_mul(7) % 253).unwrap_or(0);
        let extension = self.family == Family::V6 && [0, 43, 44, 51, 60, 135].contains(&number);
        let number = if extension { 253 } else { number };
        let packet = up.network.packet(number, &[0; 8]);
        timeline.push(up.wrap(&packet));
        if !number.is_multiple_of(4) {
            timeline.wait_us(400);
            timeline.push(up.reversed().icmp(&Icmp::PortUnreachable(&packet)));
        }
    }

    /// INIT chunk (RFC 9260 section 3.3.2); a closed port answers ABORT.
    fn sctp(&self, timeline: &mut Timeline, (from, to): (&Host, &Host), port: u16, random: &mut Random) {
        let up = Path::between(from, to, self.family);
        let source = random.ephemeral_port();
        let packet = |ports: [u16; 2], tag: u32, chunk: &[u8]| {
            [&ports[0].to_be_bytes()[..], &ports[1].to_be_bytes(), &tag.to_be_bytes(), &[0; 4], chunk]
                .concat()
        };
        let tag = random.word();
        let init = [
            &[1, 0, 0, 20][..],
            &tag.to_be_bytes(),
            &[0, 0, 0x80, 0, 0, 10, 8, 0],
            &random.word().to_be_bytes(),
        ]
        .concat();
        timeline.push(up.frame(SCTP, &packet([source, port], 0, &init)));
        if !is_filtered(port) {
            timeline.wait_us(300);
            timeline.push(up.reversed().frame(SCTP, &packet([port, source], tag, &[6, 1, 0, 4])));
        }
    }

    /// nmap -f: the header of the segment in fragments of eight bytes.
    fn fragmented(
        &self,
        timeline: &mut Timeline,
        (from, to): (&Host, &Host),
        port: u16,
        random: &mut Random,
    ) {
        let mut up = Path::between(from, to, self.family);
        up.network.identification = random.half();
        let source = random.ephemeral_port();
        let segment = Tcp::syn(source, port, random.word()).segment(&up.network.addresses, &[]);
        for packet in up.network.fragments(protocol::TCP, &segment, 8) {
            timeline.push(up.wrap(&packet));
            timeline.wait_us(30);
        }
        if !is_filtered(port) {
            let back =
                Tcp { source: port, destination: source, flags: flags::RST | flags::ACK, ..Tcp::default() };
            timeline.push(up.reversed().tcp(&back, &[]));
        }
    }

    /// One host after the other; a fifth of them exists.
    fn sweep(&self, timeline: &mut Timeline, parameters: &Parameters, index: u32, random: &mut Random) {
        let topology = &parameters.topology;
        let from = topology.attacker;
        let target = topology.internal(index + 300);
        let exists = index.is_multiple_of(5);
        match self.technique {
            Technique::SynSweep if exists => self.segment(timeline, (&from, &target), 445, random),
            Technique::SynSweep => {
                let up = Path::between(&from, &target, self.family);
                timeline.push(up.tcp(&Tcp::syn(random.ephemeral_port(), 445, random.word()), &[]));
            }
            Technique::PingSweep => {
                let up = Path::between(&from, &target, self.family);
                let (identifier, sequence) = (0x4242, u16::try_from(index % 65_536).unwrap_or(0));
                timeline.push(up.icmp(&Icmp::EchoRequest { identifier, sequence, payload: &[] }));
                if exists {
                    timeline.wait_us(300);
                    timeline.push(up.reversed().icmp(&Icmp::EchoReply {
                        identifier,
                        sequence,
                        payload: &[],
                    }));
                }
            }
            _ => {
                let [a, b, c, _] = from.v4.octets();
                let last = u8::try_from(index % 250).unwrap_or(0).wrapping_add(2);
                timeline.push(
                    Arp::request(
                        &from,
                        Ipv4Addr::new(a, b, c.wrapping_add(u8::try_from(index / 250).unwrap_or(0)), last),
                    )
                    .frame(),
                );
            }
        }
    }
}

/// Ports of the victim that are open.
const OPEN: [u16; 2] = [22, 443];
const SCTP: u8 = 132;

/// Ports that a firewall ignores: a quarter.
const fn is_filtered(port: u16) -> bool {
    port % 4 == 3
}

/// Port of the probe with this number: every port once, in an order that depends on the seed.
fn port_of(index: u32, seed: u64) -> u16 {
    let start = u32::try_from(seed % 9_973).unwrap_or(0);
    u16::try_from((start + index).wrapping_mul(40_503) % 65_521 + 1).unwrap_or(1)
}
