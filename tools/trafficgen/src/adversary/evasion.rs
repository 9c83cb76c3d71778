//! Evasions: scans, log-ins and uploads made so that a sensor takes them for something else, or never sees them whole.

use std::time::Duration;

use crate::application::tls;
use crate::packet::{
    Arp, Encapsulation, Extension, Family, Network, Path, Tcp, ethertype, flags, gre, protocol, udp,
};
use crate::{Connection, Host, Packets, Parameters, Random, TimedFrame, Timeline};

const MILLISECOND: Duration = Duration::from_millis(1);

/// SYN probes from `from` to the victim, `gap` apart, each wrapped by `wrap` into frames.
pub(super) fn probes(
    parameters: &Parameters,
    count: u32,
    gap: Duration,
    family: Family,
    wrap: impl Fn(&mut Timeline, &Path, &Tcp, &mut Random),
) -> Packets {
    let (from, to) = (parameters.topology.attacker, parameters.topology.victim);
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..count {
        timeline.seek(gap * index);
        let path = Path::between(&from, &to, family);
        let syn = Tcp::syn(random.ephemeral_port(), port(index), random.word());
        wrap(&mut timeline, &path, &syn, &mut random);
    }
    timeline.play()
}

/// Ports in an order that is not that of their numbers.
fn port(index: u32) -> u16 {
    u16::try_from(index.wrapping_mul(40_503) % 64_000 + 1).unwrap_or(1)
}

/// The RST of a closed port.
fn refusal(timeline: &mut Timeline, path: &Path, syn: &Tcp) {
    timeline.wait_us(300);
    let back = Tcp {
        source: syn.destination,
        destination: syn.source,
        acknowledgement: syn.sequence.wrapping_add(1),
        flags: flags::RST | flags::ACK,
        ..Tcp::default()
    };
    timeline.push(path.reversed().tcp(&back, &[]));
}

/// Datagrams to many ports from a port that servers answer from.
pub(super) fn scan_from_port(parameters: &Parameters, source: u16) -> Packets {
    probes(parameters, 200, MILLISECOND * 50, Family::V4, move |timeline, path, syn, _| {
        timeline.push(path.udp(source, syn.destination, b"probe"));
    })
}

/// 5,000 datagrams a second to a high port, from a port that servers answer from.
pub(super) fn flood_from_port(parameters: &Parameters, source: u16) -> Packets {
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    Box::new((0..40_000_u32).map(move |index| TimedFrame {
        offset: Duration::from_micros(200) * index,
        bytes: path.udp(source, 51_515, &[0x55; 64]),
    }))
}

/// A segment with `first` alone before each SYN, so that the flow exists when the SYN comes.
pub(super) fn segment_before_syn(parameters: &Parameters, first: u8) -> Packets {
    probes(parameters, 200, MILLISECOND * 50, Family::V4, move |timeline, path, syn, _| {
        timeline.push(path.tcp(&Tcp { flags: first, acknowledgement: 1, ..syn.clone() }, &[]));
        timeline.wait_us(500);
        timeline.push(path.tcp(syn, &[]));
        refusal(timeline, path, syn);
    })
}

/// An accomplice outside sends the first SYN of the flow; then 8 MB leave.
pub(super) fn peer_first(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let up = Path::between(&topology.attacker, &topology.outside, Family::V4);
    let syn = Tcp::syn(40_001, 443, 5);
    timeline.push(up.reversed().tcp(&Tcp { source: 443, destination: 40_001, ..syn }, &[]));
    timeline.wait_us(20_000);
    let mut connection = Connection::from_port(up, 40_001, 443, MILLISECOND * 5, &mut random);
    connection.open(&mut timeline);
    for _ in 0..40 {
        connection.send(&mut timeline, &tls::data(200_000, &mut random));
        timeline.wait(MILLISECOND * 300);
    }
    timeline.play()
}

/// Scan in fragments of `length` bytes.
pub(super) fn fragmented(parameters: &Parameters, length: usize, family: Family) -> Packets {
    probes(parameters, 200, MILLISECOND * 50, family, move |timeline, path, syn, random| {
        let network = Network { identification: random.half(), ..path.network.clone() };
        for packet in network.fragments(protocol::TCP, &syn.segment(&network.addresses, &[]), length) {
            timeline.push(path.wrap(&packet));
            timeline.wait_us(20);
        }
        refusal(timeline, path, syn);
    })
}

/// Scan over IPv6 behind `count` destination options.
pub(super) fn behind_extensions(parameters: &Parameters, count: usize) -> Packets {
    probes(parameters, 200, MILLISECOND * 50, Family::V6, move |timeline, path, syn, _| {
        let mut path = path.clone();
        path.network.extensions = vec![Extension::Destination(1); count];
        timeline.push(path.tcp(syn, &[]));
        path.network.extensions.clear();
        refusal(timeline, &path, syn);
    })
}

/// Scan with `count` VLAN tags.
pub(super) fn behind_tags(parameters: &Parameters, count: usize) -> Packets {
    probes(parameters, 200, MILLISECOND * 50, Family::V4, move |timeline, path, syn, _| {
        let mut path = path.clone();
        path.link.encapsulation = Encapsulation::Vlan(7);
        let frame = path.tcp(syn, &[]);
        let (addresses, rest) = frame.split_at(12);
        let more: Vec<u8> = (1..count).flat_map(|_| [0x81, 0, 0, 9]).collect();
        timeline.push([addresses, &more, rest].concat());
    })
}

/// Tunnel that a scan hides in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wrapping {
    Gre,
    Ipip,
    SixInFour,
    Vxlan,
}

/// Scan whose packets, and the responses, are inside a tunnel between two machines of the network.
pub(super) fn wrapped(parameters: &Parameters, wrapping: Wrapping) -> Packets {
    let topology = parameters.topology;
    let family = if wrapping == Wrapping::SixInFour { Family::V6 } else { Family::V4 };
    probes(parameters, 200, MILLISECOND * 50, family, move |timeline, path, syn, _| {
        let outer = Path::between(&topology.internal(5), &topology.internal(6), Family::V4);
        let inner = path.network.packet(protocol::TCP, &syn.segment(&path.network.addresses, &[]));
        let frame = match wrapping {
            Wrapping::Gre => outer.frame(protocol::GRE, &gre(None, ethertype::IPV4, &inner)),
            Wrapping::Ipip => outer.frame(protocol::IPV4, &inner),
            Wrapping::SixInFour => outer.frame(protocol::IPV6, &inner),
            Wrapping::Vxlan => {
                let header = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &path.wrap(&inner)].concat();
                outer.frame(protocol::UDP, &udp(50_000, 4_789, &outer.network.addresses, &header))
            }
        };
        timeline.push(frame);
    })
}

/// One port less than the threshold in each window, without end: 14 in 10.1 s.
pub(super) fn below_the_window(parameters: &Parameters) -> Packets {
    probes(parameters, 140, MILLISECOND * 722, Family::V4, |timeline, path, syn, _| {
        timeline.push(path.tcp(syn, &[]));
        refusal(timeline, path, syn);
    })
}

/// Source of the attacker's /64 that changes with each probe (`2001:db8:66::/64` belongs to the attacker's machine outside).
pub(super) fn many_addresses(parameters: &Parameters) -> Packets {
    let topology = parameters.topology;
    probes(parameters, 200, MILLISECOND * 50, Family::V6, move |timeline, _, syn, random| {
        let suffix = u128::from(random.bits());
        let from = topology.outside.with_v6(std::net::Ipv6Addr::from_bits((0x2001_0db8_0066 << 80) | suffix));
        let path = Path::between(&from, &topology.victim, Family::V6);
        timeline.push(path.tcp(syn, &[]));
        refusal(timeline, &path, syn);
    })
}

/// Five ports of the victim from each of sixty machines outside, in ten minutes.
pub(super) fn distributed_scan(parameters: &Parameters) -> Packets {
    let topology = parameters.topology;
    let next = std::cell::Cell::new(0);
    let spread = move || {
        next.set(next.get() + 1);
        topology.external(1_000 + next.get() % 60)
    };
    probes(parameters, 300, MILLISECOND * 2_000, Family::V4, move |timeline, _, syn, _| {
        let path = Path::between(&spread(), &topology.victim, Family::V4);
        timeline.push(path.tcp(syn, &[]));
        refusal(timeline, &path, syn);
    })
}

/// Packets between an attack and its discovery, which may make a table evict the attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Eviction {
    /// 512 made-up sources that scan 20 ports each, while the attacker asks for one port a second.
    Scanners,
    /// First fragments of 300 datagrams a second, while the attacker's scan is in fragments.
    HalfDatagrams,
    /// 200 made-up sources that scan 20 ports each in the first second, before the attacker begins.
    Openings,
}

/// Scan under an attempt to push it out of the tables.
pub(super) fn evicted(parameters: &Parameters, eviction: Eviction) -> Packets {
    let topology = parameters.topology;
    let mut timeline = Timeline::default();
    let mut random = Random::new(parameters.seed ^ 0x6576);
    let sources = match eviction {
        Eviction::Scanners => 512,
        Eviction::HalfDatagrams => 0,
        Eviction::Openings => 200,
    };
    let span = if eviction == Eviction::Scanners { MILLISECOND * 60_000 } else { MILLISECOND * 1_000 };
    for index in 0..sources * 20 {
        timeline.seek(span / (sources * 20) * index);
        let from = super::flood::spoofed(&topology.gateway, 0x7700_0000 + index % sources * 257);
        let to = topology.internal(0x3f_0000 + index % 16);
        timeline.push(
            Path::between(&from, &to, Family::V4).tcp(&Tcp::syn(50_000, port(index / sources + 1), 1), &[]),
        );
    }
    if eviction == Eviction::HalfDatagrams {
        for index in 0..9_000_u32 {
            timeline.seek(MILLISECOND * index * 10 / 3);
            let from = super::flood::spoofed(&topology.gateway, random.word());
            let mut path = Path::between(&from, &topology.internal(0x3f_0000), Family::V4);
            path.network.identification = random.half();
            if let Some(first) = path.network.fragments(protocol::UDP, &[0; 48], 24).first() {
                timeline.push(path.wrap(first));
            }
        }
        timeline.splice(MILLISECOND * 500, fragmented(parameters, 8, Family::V4));
    } else {
        let own = probes(parameters, 60, MILLISECOND * 1_000, Family::V4, |timeline, path, syn, _| {
            timeline.push(path.tcp(syn, &[]));
            refusal(timeline, path, syn);
        });
        timeline.splice(MILLISECOND * 1_500, own);
    }
    timeline.play()
}

/// The claim of the gateway's address after 2,000 made-up bindings have pushed out the true one.
pub(super) fn evicted_binding(parameters: &Parameters) -> Packets {
    let topology = parameters.topology;
    let mut timeline = Timeline::default();
    timeline.push(Arp::announcement(topology.gateway.mac, topology.gateway.v4).frame());
    timeline.push(Arp::request(&topology.victim, topology.gateway.v4).frame());
    for index in 0..2_000 {
        timeline.wait_us(1_000);
        let host = topology.internal(0x10_0000 + index);
        timeline.push(Arp::announcement(host.mac, host.v4).frame());
    }
    for _ in 0..10 {
        timeline.wait(MILLISECOND * 1_000);
        timeline.push(Arp::reply(topology.attacker.mac, topology.gateway.v4, &topology.victim).frame());
    }
    timeline.play()
}

/// Log-in attempts: connections to `port` of hosts in turn, each with `tries` refused passwords.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logins {
    pub(super) port: u16,
    pub(super) connections: u32,
    pub(super) tries: u32,
    pub(super) gap: Duration,
    /// Hosts that are tried in turn.
    pub(super) hosts: u32,
    /// Sources in turn.
    pub(super) sources: u32,
    /// True if a segment with ACK alone comes before each SYN.
    pub(super) ack_first: bool,
}

/// SSH sessions that fail: banners, key exchange, and an exchange for each password.
pub(super) fn logins(parameters: &Parameters, logins: Logins) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..logins.connections {
        timeline.seek(logins.gap * index);
        let from = if logins.sources == 1 {
            topology.attacker
        } else {
            topology.external(2_000 + index % logins.sources)
        };
        let to: Host =
            if logins.hosts == 1 { topology.victim } else { topology.internal(400 + index % logins.hosts) };
        let path = Path::between(&from, &to, Family::V4);
        let source = random.ephemeral_port();
        if logins.ack_first {
            timeline.push(path.tcp(&Tcp { flags: flags::ACK, ..Tcp::syn(source, logins.port, 7) }, &[]));
            timeline.wait_us(2_000);
        }
        let mut connection =
            Connection::from_port(path, source, logins.port, Duration::from_micros(400), &mut random);
        connection.exchange(&mut timeline, b"SSH-2.0-libssh2_1.11.0\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n");
        for length in [1_100, 480] {
            connection.send(&mut timeline, &random.bytes(length));
            connection.receive(&mut timeline, &random.bytes(length));
        }
        for _ in 0..logins.tries {
            connection.send(&mut timeline, &random.bytes(148));
            timeline.wait(MILLISECOND * 40);
            connection.receive(&mut timeline, &random.bytes(52));
        }
        connection.close(&mut timeline);
    }
    timeline.play()
}
