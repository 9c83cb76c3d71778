//! UDP floods: five thousand datagrams from one source to one destination in five seconds, without a response.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, straddle_times};
use crate::application::tls;
use crate::packet::{Encapsulation, Family, Icmp, Path, protocol, udp};
use crate::{Host, Packets, Timeline};

const FIRES: &[Expected] = &[("udp_flood", "per_source")];
const VICTIM: &[Expected] = &[("udp_flood", "per_victim")];
const WINDOW: Duration = Duration::from_secs(5);
/// Discard service (RFC 863): nothing is ever sent back.
const DISCARD: u16 = 9;
const WIREGUARD: u16 = 51_820;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("udp-flood-below", "4,999 datagrams in 2 s, none answered", |p| flood(p, quick(4_999))),
    Scenario::fires("udp-flood", "5,000 datagrams in 2 s, none answered", FIRES, |p| flood(p, quick(5_000))),
    Scenario::fires("udp-flood-above", "9,000 datagrams in 2 s, none answered", FIRES, |p| {
        flood(p, quick(9_000))
    }),
    Scenario::silent("udp-flood-two-windows", "6,000 datagrams over 10 s", |p| {
        flood(p, Burst::of(6_000, Duration::from_secs(10)))
    }),
    Scenario::fires(
        "udp-flood-straddle",
        "5,100 datagrams in 0.5 s across a window boundary, one earlier",
        FIRES,
        |p| datagrams(p, &quick(0), straddle_times(WINDOW, 5_100)),
    ),
    Scenario::fires("udp-flood-ipv6", "5,100 datagrams over IPv6", FIRES, |p| flood(p, quick(5_100).v6())),
    Scenario::fires("udp-flood-vlan", "5,100 datagrams inside a VLAN", FIRES, |p| {
        flood(p, quick(5_100).within(Encapsulation::Vlan(100)))
    }),
    Scenario::fires("udp-flood-source-ports", "5,100 datagrams, each from another port", FIRES, source_ports),
    Scenario::fires(
        "udp-flood-unreachable",
        "5,100 datagrams, of which ten are answered by port unreachable",
        FIRES,
        unreachable,
    ),
    Scenario::silent(
        "udp-flood-answered",
        "a QUIC upload and a WireGuard tunnel, each 2,000 datagrams a second for 5 s, with an occasional answer",
        answered,
    ),
    Scenario::silent("udp-flood-multicast", "IPTV: 10,000 datagrams to a group in 5 s", multicast),
    Scenario::fires(
        "udp-flood-spoofed",
        "6,000 datagrams to one host, each from another source",
        VICTIM,
        spoofed,
    ),
];

const fn quick(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(2))
}

fn flood(parameters: &Parameters, burst: Burst) -> Packets {
    datagrams(parameters, &burst, (0..burst.count).map(|index| burst.time(index)))
}

fn datagrams(parameters: &Parameters, burst: &Burst, times: impl Iterator<Item = Duration>) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    let port = random.ephemeral_port();
    for time in times {
        timeline.seek(time);
        timeline.push(path.udp(port, DISCARD, &[]));
    }
    timeline.play()
}

fn source_ports(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let burst = quick(5_100);
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    for (index, port) in (0..burst.count).zip(20_000..) {
        timeline.seek(burst.time(index));
        timeline.push(path.udp(port, DISCARD, &random.bytes(64)));
    }
    timeline.play()
}

/// Hosts limit the rate of such errors (RFC 1812 section 4.3.2.8).
fn unreachable(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let burst = quick(5_100);
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    let (port, payload) = (random.ephemeral_port(), random.bytes(64));
    for index in 0..burst.count {
        timeline.seek(burst.time(index));
        let datagram = udp(port, DISCARD, &path.network.addresses, &payload);
        let packet = path.network.packet(protocol::UDP, &datagram);
        timeline.push(path.wrap(&packet));
        if index % 510 == 0 {
            timeline.push(path.reversed().icmp(&Icmp::PortUnreachable(&packet)));
        }
    }
    timeline.play()
}

/// Uploads: the QUIC server acknowledges every tenth datagram, the other end of the tunnel sends four times a second.
fn answered(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    let quic = Path::between(&topology.client, &topology.victim, Family::V4);
    let tunnel = Path::between(&topology.client, &topology.internal(7), Family::V4);
    let port = random.ephemeral_port();
    for index in 0..10_000 {
        timeline.seek(WINDOW / 10_000 * index);
        timeline.push(quic.udp(port, tls::PORT, &random.bytes(40)));
        timeline.push(tunnel.udp(WIREGUARD, WIREGUARD, &random.bytes(40)));
        if index % 10 == 3 {
            timeline.push(quic.reversed().udp(tls::PORT, port, &random.bytes(30)));
        }
        if index % 500 == 3 {
            timeline.push(tunnel.reversed().udp(WIREGUARD, WIREGUARD, &random.bytes(30)));
        }
    }
    timeline.play()
}

fn multicast(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    // RFC 1112 section 6.4: the low 23 bits of the group; 239/8 stays within a site (RFC 2365).
    let group = Host {
        mac: Mac([1, 0, 0x5e, 1, 2, 3]),
        v4: Ipv4Addr::new(239, 1, 2, 3),
        v6: Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 0x203),
    };
    let path = Path::between(&parameters.topology.victim, &group, Family::V4);
    for index in 0..10_000 {
        timeline.seek(WINDOW / 10_000 * index);
        timeline.push(path.udp(5_004, 5_004, &random.bytes(40)));
    }
    timeline.play()
}

fn spoofed(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..6_000 {
        let mut path =
            Path::between(&parameters.topology.external(index), &parameters.topology.victim, Family::V4);
        path.link.source = parameters.topology.attacker.mac;
        timeline.push(path.udp(40_000, DISCARD, &[0; 16]));
        timeline.wait(MILLISECOND / 2);
    }
    timeline.play()
}
