//! Floods on one victim, or on the hosts of one network, by many sources: forged ones, or reflectors; and by one that is not forged.
//!
//! Two hundred packets a second are a flood, forty are not, and neither are as many that complete what they begin.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario};
use crate::application::http;
use crate::packet::{Encapsulation, Family, Icmp, Options, Path, Tcp, flags, protocol};
use crate::{Host, Packets, Random, Timeline};

const SYN: &[Expected] = &[("syn_flood", "per_victim")];
const TCP: &[Expected] = &[("tcp_flood", "tcp_flood")];
const UDP: &[Expected] = &[("udp_flood", "per_victim")];
const ICMP: &[Expected] = &[("icmp_flood", "per_victim")];
const FRAGMENTS: &[Expected] = &[("fragment_flood", "fragment_flood")];
const TCP_OF_ONE: &[Expected] = &[("tcp_flood", "per_source")];
const UDP_OF_ONE: &[Expected] = &[("udp_flood", "per_source")];
const FRAGMENTS_OF_ONE: &[Expected] = &[("fragment_flood", "per_source")];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("victim-syn", "400 SYN in 2 s, each of another source", SYN, |p| {
        flood(p, at(400), Kind::Syn, Spread::Host)
    }),
    Scenario::fires("victim-syn-answered", "the same, and the victim answers each", SYN, |p| {
        flood(p, at(400), Kind::SynAnswered, Spread::Host)
    }),
    Scenario::fires("victim-syn-ipv6", "400 SYN over IPv6, each of another source", SYN, |p| {
        flood(p, at(400).v6(), Kind::Syn, Spread::Host)
    }),
    Scenario::fires("victim-syn-vlan", "400 SYN inside a VLAN, each of another source", SYN, |p| {
        flood(p, at(400).within(Encapsulation::Vlan(100)), Kind::SynAnswered, Spread::Host)
    }),
    Scenario::fires(
        "victim-syn-network",
        "400 SYN to the hosts of a network, each of another source",
        SYN,
        |p| flood(p, at(400), Kind::Syn, Spread::Network),
    ),
    Scenario::fires("victim-syn-14-sources", "600 SYN in 3 s of 14 sources", SYN, |p| {
        flood(p, Burst::of(600, Duration::from_secs(3)), Kind::SynOfFew, Spread::Host)
    }),
    Scenario::silent("victim-syn-below", "400 SYN in 10 s, each of another source", |p| {
        flood(p, Burst::of(400, Duration::from_secs(10)), Kind::Syn, Spread::Host)
    }),
    Scenario::silent(
        "victim-syn-restart",
        "60 clients try a server that restarts, at once, five times",
        restart,
    ),
    Scenario::silent("victim-syn-crowd", "1,500 handshakes of as many clients in 5 s, over 60 ms", |p| {
        crowd(p, false)
    }),
    Scenario::fires("victim-syn-in-crowd", "the same, and 1,000 SYN that are not completed", SYN, |p| {
        crowd(p, true)
    }),
    Scenario::fires("victim-ack", "400 ACK in 2 s, each of another source and of no connection", TCP, |p| {
        flood(p, at(400), Kind::Tcp(flags::ACK), Spread::Host)
    }),
    Scenario::fires("victim-ack-ipv6", "the same over IPv6", TCP, |p| {
        flood(p, at(400).v6(), Kind::Tcp(flags::ACK), Spread::Host)
    }),
    Scenario::fires("victim-fin-vlan", "400 FIN with ACK inside a VLAN, of no connection", TCP, |p| {
        flood(p, at(400).within(Encapsulation::Vlan(100)), Kind::Tcp(flags::FIN | flags::ACK), Spread::Host)
    }),
    Scenario::fires("victim-ack-network", "400 ACK to the hosts of a network", TCP, |p| {
        flood(p, at(400), Kind::Tcp(flags::ACK), Spread::Network)
    }),
    Scenario::fires(
        "victim-rst",
        "1,600 RST in 2 s, each of another source and of no connection",
        TCP,
        |p| flood(p, at(1_600), Kind::Tcp(flags::RST), Spread::Host),
    ),
    Scenario::fires("victim-syn-ack", "1,600 SYN-ACK in 2 s of reflectors", TCP, |p| {
        flood(p, at(1_600), Kind::Tcp(flags::SYN | flags::ACK), Spread::Host)
    }),
    Scenario::silent("victim-syn-ack-asked", "a host opens 190 connections to as many servers in 2 s", asked),
    Scenario::silent(
        "victim-ack-below",
        "400 ACK in 10 s, each of another source and of no connection",
        |p| flood(p, Burst::of(400, Duration::from_secs(10)), Kind::Tcp(flags::ACK), Spread::Host),
    ),
    Scenario::fires("victim-udp", "400 datagrams in 2 s, each of another source", UDP, |p| {
        flood(p, at(400), Kind::Udp, Spread::Host)
    }),
    Scenario::fires("victim-udp-ipv6", "the same over IPv6", UDP, |p| {
        flood(p, at(400).v6(), Kind::Udp, Spread::Host)
    }),
    Scenario::fires("victim-udp-network", "400 datagrams to the hosts of a network", UDP, |p| {
        flood(p, at(400), Kind::Udp, Spread::Network)
    }),
    Scenario::fires(
        "victim-udp-dns",
        "1,600 DNS answers in 2 s that nobody asked for, of reflectors",
        UDP,
        |p| flood(p, at(1_600), Kind::Reflected, Spread::Host),
    ),
    Scenario::fires("victim-udp-dns-vlan", "the same inside a VLAN", UDP, |p| {
        flood(p, at(1_600).within(Encapsulation::Vlan(7)), Kind::Reflected, Spread::Host)
    }),
    Scenario::silent("victim-udp-answered", "400 datagrams in 2 s of as many clients, all answered", |p| {
        flood(p, at(400), Kind::UdpAnswered, Spread::Host)
    }),
    Scenario::silent(
        "victim-udp-collector",
        "30 exporters send 30 datagrams a second each, one way",
        exporters,
    ),
    Scenario::fires("victim-icmp", "400 echo requests in 2 s, each of another source", ICMP, |p| {
        flood(p, at(400), Kind::Echo, Spread::Host)
    }),
    Scenario::fires("victim-icmp-answered", "the same, and the victim answers each", ICMP, |p| {
        flood(p, at(400), Kind::EchoAnswered, Spread::Host)
    }),
    Scenario::fires("victim-icmp-ipv6", "400 echo requests over IPv6", ICMP, |p| {
        flood(p, at(400).v6(), Kind::Echo, Spread::Host)
    }),
    Scenario::fires("victim-icmp-network", "400 echo requests to the hosts of a network", ICMP, |p| {
        flood(p, at(400), Kind::Echo, Spread::Network)
    }),
    Scenario::fires(
        "victim-icmp-replies",
        "800 echo replies in 2 s that nobody asked for, of reflectors",
        ICMP,
        |p| flood(p, at(800), Kind::EchoReply, Spread::Host),
    ),
    Scenario::silent(
        "victim-icmp-monitors",
        "12 monitors send a host 8 echo requests a second each",
        monitors,
    ),
    Scenario::fires(
        "victim-fragments",
        "400 first fragments in 2 s, each of another source",
        FRAGMENTS,
        |p| flood(p, at(400), Kind::FirstFragment, Spread::Host),
    ),
    Scenario::fires("victim-fragments-ipv6", "the same over IPv6", FRAGMENTS, |p| {
        flood(p, at(400).v6(), Kind::FirstFragment, Spread::Host)
    }),
    Scenario::fires("victim-fragments-vlan", "the same inside a VLAN", FRAGMENTS, |p| {
        flood(p, at(400).within(Encapsulation::Vlan(7)), Kind::FirstFragment, Spread::Host)
    }),
    Scenario::fires(
        "victim-fragments-network",
        "400 first fragments to the hosts of a network",
        FRAGMENTS,
        |p| flood(p, at(400), Kind::FirstFragment, Spread::Network),
    ),
    Scenario::fires(
        "victim-fragments-fast",
        "4,000 first fragments in 2 s, each of another source",
        FRAGMENTS,
        |p| flood(p, at(4_000), Kind::FirstFragment, Spread::Host),
    ),
    Scenario::silent("victim-fragments-whole", "400 datagrams in two fragments each, in 2 s", |p| {
        flood(p, at(400), Kind::WholeFragments, Spread::Host)
    }),
    Scenario::fires("source-ack", "400 ACK in 2 s of one source and of no connection", TCP_OF_ONE, |p| {
        flood(p, at(400), Kind::Tcp(flags::ACK), Spread::OneSource)
    }),
    Scenario::fires("source-ack-ipv6", "the same over IPv6", TCP_OF_ONE, |p| {
        flood(p, at(400).v6(), Kind::Tcp(flags::ACK), Spread::OneSource)
    }),
    Scenario::fires("source-rst-vlan", "400 RST in 2 s inside a VLAN, of one source", TCP_OF_ONE, |p| {
        flood(p, at(400).within(Encapsulation::Vlan(7)), Kind::Tcp(flags::RST), Spread::OneSource)
    }),
    Scenario::silent("source-ack-below", "400 ACK in 10 s of one source and of no connection", |p| {
        flood(p, Burst::of(400, Duration::from_secs(10)), Kind::Tcp(flags::ACK), Spread::OneSource)
    }),
    Scenario::silent("source-ack-pool", "150 connections whose peer has failed over are used at once", |p| {
        flood(p, Burst::of(150, MILLISECOND * 80), Kind::Tcp(flags::ACK | flags::PSH), Spread::OneSource)
    }),
    Scenario::fires(
        "source-udp",
        "400 datagrams in 2 s of one source, each of another port",
        UDP_OF_ONE,
        |p| flood(p, at(400), Kind::Udp, Spread::OneSource),
    ),
    Scenario::silent("source-udp-answered", "400 connections over QUIC in 2 s of one source", |p| {
        flood(p, at(400), Kind::UdpAnswered, Spread::OneSource)
    }),
    Scenario::silent("source-metrics", "400 metrics in 2 s, of a socket each", |p| {
        flood(p, at(400), Kind::Metric, Spread::OneSource)
    }),
    Scenario::fires("source-fragments", "400 first fragments in 2 s of one source", FRAGMENTS_OF_ONE, |p| {
        flood(p, at(400), Kind::FirstFragment, Spread::OneSource)
    }),
    Scenario::silent("source-nfs", "100 datagrams of 32 KiB in 2 s, in 24 fragments each", |p| {
        flood(p, at(100), Kind::LargeFragments, Spread::OneSource)
    }),
];

const fn at(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(2))
}

/// Packets of a flood, and what the victim answers.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Syn,
    SynAnswered,
    SynOfFew,
    Tcp(u8),
    Udp,
    UdpAnswered,
    Reflected,
    Echo,
    EchoAnswered,
    EchoReply,
    FirstFragment,
    WholeFragments,
    LargeFragments,
    Metric,
}

/// Receivers of a flood.
#[derive(Clone, Copy)]
enum Spread {
    Host,
    Network,
    /// One host, of one source.
    OneSource,
}

const SYSLOG: u16 = 514;
const QUIC: u16 = 443;
const DNS: u16 = 53;

fn flood(parameters: &Parameters, burst: Burst, kind: Kind, spread: Spread) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..burst.count {
        timeline.seek(burst.time(index));
        let number = if kind == Kind::SynOfFew { index % 14 } else { index };
        let victim = match spread {
            Spread::Host | Spread::OneSource => parameters.topology.victim,
            Spread::Network => neighbour(&parameters.topology.victim, index),
        };
        let source = match spread {
            Spread::OneSource => parameters.topology.attacker,
            _ => parameters.topology.external(number),
        };
        // Forged source addresses; the source MAC stays the attacker's.
        let mut path = burst.path(&source, &victim);
        path.link.source = parameters.topology.attacker.mac;
        path.network.identification = random.half();
        // One source repeats no number so soon.
        if matches!(spread, Spread::OneSource) {
            path.network.identification = u16::try_from(index).unwrap_or_default();
        }
        packets(&mut timeline, &path, kind, &mut random);
    }
    timeline.play()
}

/// Another host of the network: the numbers 100 to 219.
fn neighbour(victim: &Host, index: u32) -> Host {
    let [a, b, c, _] = victim.v4.octets();
    let last = u8::try_from(100 + index * 7 % 120).unwrap_or(100);
    victim.with_v4(Ipv4Addr::new(a, b, c, last))
}

fn packets(timeline: &mut Timeline, path: &Path, kind: Kind, random: &mut Random) {
    let port = random.ephemeral_port();
    let back = path.reversed();
    match kind {
        Kind::Syn | Kind::SynAnswered | Kind::SynOfFew => {
            let syn = Tcp::syn(port, http::PORT, random.word());
            timeline.push(path.tcp(&syn, &[]));
            if kind == Kind::SynAnswered {
                timeline.wait_us(300);
                timeline.push(back.tcp(&answer(&syn, flags::SYN | flags::ACK, random), &[]));
            }
        }
        Kind::Tcp(bits) => {
            let (source, destination) =
                if bits & flags::SYN == 0 { (port, http::PORT) } else { (http::PORT, port) };
            let segment = Tcp {
                flags: bits,
                acknowledgement: random.word(),
                window: 512,
                options: Options::None,
                ..Tcp::syn(source, destination, random.word())
            };
            timeline.push(path.tcp(&segment, &[]));
        }
        Kind::Udp | Kind::UdpAnswered => {
            timeline.push(path.udp(port, QUIC, &random.bytes(60)));
            if kind == Kind::UdpAnswered {
                timeline.wait_us(300);
                timeline.push(back.udp(QUIC, port, &random.bytes(60)));
            }
        }
        Kind::Reflected => timeline.push(path.udp(DNS, port, &random.bytes(900))),
        Kind::Echo | Kind::EchoAnswered | Kind::EchoReply => echo(timeline, path, kind, port),
        Kind::Metric => timeline.push(path.udp(port, 8_125, b"web.views:1|c")),
        Kind::FirstFragment | Kind::WholeFragments | Kind::LargeFragments => {
            let bytes = random.bytes(if kind == Kind::LargeFragments { 32_768 } else { 1_900 });
            let datagram = crate::packet::udp(port, QUIC, &path.network.addresses, &bytes);
            for packet in path.network.fragments(protocol::UDP, &datagram, 1_400) {
                timeline.push(path.wrap(&packet));
                if kind == Kind::FirstFragment {
                    break;
                }
                timeline.wait_us(12);
            }
            if kind == Kind::WholeFragments {
                timeline.wait_us(300);
                timeline.push(back.udp(QUIC, port, &random.bytes(60)));
            }
        }
    }
}

fn answer(request: &Tcp, flags: u8, random: &mut Random) -> Tcp {
    Tcp {
        source: request.destination,
        destination: request.source,
        sequence: random.word(),
        acknowledgement: request.sequence.wrapping_add(1),
        flags,
        window: 64_240,
        options: Options::SegmentSize(1_460),
    }
}

fn echo(timeline: &mut Timeline, path: &Path, kind: Kind, identifier: u16) {
    let (sequence, payload) = (1, b"0123456789abcdef".as_slice());
    let reply = Icmp::EchoReply { identifier, sequence, payload };
    if kind == Kind::EchoReply {
        return timeline.push(path.icmp(&reply));
    }
    timeline.push(path.icmp(&Icmp::EchoRequest { identifier, sequence, payload }));
    if kind == Kind::EchoAnswered {
        timeline.wait_us(300);
        timeline.push(path.reversed().icmp(&reply));
    }
}

/// Clients whose server does not answer send their request again after 1, 3, 7 and 15 s (RFC 6298 section 2.1).
fn restart(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let requests: Vec<_> =
        (0..60).map(|_| Tcp::syn(random.ephemeral_port(), http::PORT, random.word())).collect();
    for second in [0, 1, 3, 7, 15] {
        timeline.seek(Duration::from_secs(second));
        for (number, syn) in (0..).zip(&requests) {
            let client = parameters.topology.internal(number);
            let path = Path::between(&client, &parameters.topology.victim, Family::V4);
            timeline.push(path.tcp(syn, &[]));
            timeline.wait_us(1_500);
        }
    }
    timeline.play()
}

/// Handshakes of ever new clients over a path of 60 ms, from the beginning at the full rate; `has_flood` adds SYN of forged
/// sources that the server answers too.
fn crowd(parameters: &Parameters, has_flood: bool) -> Packets {
    const DELAYS_MS: [u32; 3] = [0, 2, 60];
    let mut random = parameters.random();
    let mut frames = Vec::new();
    for index in 0..1_500_u32 {
        let client = parameters.topology.external(index);
        let path = Path::between(&client, &parameters.topology.victim, Family::V4);
        let syn = Tcp::syn(random.ephemeral_port(), http::PORT, random.word());
        let accepted = answer(&syn, flags::SYN | flags::ACK, &mut random);
        let last = answer(&accepted, flags::ACK, &mut random);
        let last = Tcp { sequence: syn.sequence.wrapping_add(1), options: Options::None, ..last };
        let begin = MILLISECOND * 10 / 3 * index;
        let segments = [path.tcp(&syn, &[]), path.reversed().tcp(&accepted, &[]), path.tcp(&last, &[])];
        let times = DELAYS_MS.map(|delay| begin + MILLISECOND * delay);
        frames.extend(times.into_iter().zip(segments));
        if has_flood && index % 3 != 0 {
            let forged = parameters.topology.external(10_000 + index);
            let path = Path::between(&forged, &parameters.topology.victim, Family::V4);
            let syn = Tcp::syn(random.ephemeral_port(), http::PORT, random.word());
            let accepted = answer(&syn, flags::SYN | flags::ACK, &mut random);
            frames.push((begin, path.tcp(&syn, &[])));
            frames.push((begin + MILLISECOND, path.reversed().tcp(&accepted, &[])));
        }
    }
    frames.sort_by_key(|(time, _)| *time);
    let mut timeline = Timeline::default();
    for (time, frame) in frames {
        timeline.seek(time);
        timeline.push(frame);
    }
    timeline.play()
}

/// A monitor on the segment connects to many servers there, and closes each connection by RST.
fn asked(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..190 {
        timeline.seek(MILLISECOND * 10 * index);
        let path =
            Path::between(&parameters.topology.client, &parameters.topology.internal(index), Family::V4);
        let syn = Tcp::syn(random.ephemeral_port(), http::PORT, random.word());
        timeline.push(path.tcp(&syn, &[]));
        timeline.wait(MILLISECOND);
        let accepted = answer(&syn, flags::SYN | flags::ACK, &mut random);
        timeline.push(path.reversed().tcp(&accepted, &[]));
        timeline.wait(MILLISECOND);
        let last = answer(&accepted, flags::ACK, &mut random);
        timeline.push(
            path.tcp(&Tcp { sequence: syn.sequence.wrapping_add(1), options: Options::None, ..last }, &[]),
        );
    }
    timeline.play()
}

fn exporters(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..30 * 30 * 5 {
        timeline.seek(Duration::from_secs(1) / 900 * index);
        let exporter = parameters.topology.internal(index % 30);
        let path = Path::between(&exporter, &parameters.topology.victim, Family::V4);
        timeline.push(path.udp(40_000, SYSLOG, &random.bytes(80)));
    }
    timeline.play()
}

fn monitors(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..12 * 8 * 5 {
        timeline.seek(Duration::from_secs(1) / 96 * index);
        let monitor = parameters.topology.internal(index % 12);
        let path = Path::between(&monitor, &parameters.topology.victim, Family::V4);
        echo(&mut timeline, &path, Kind::EchoAnswered, 77);
    }
    timeline.play()
}
