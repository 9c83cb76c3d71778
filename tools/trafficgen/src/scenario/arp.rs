//! ARP spoofing of the gateway's address, and legitimate changes of address mappings.

use std::net::Ipv4Addr;
use std::time::Duration;

use sentinel_units::Mac;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dhcp::{self, Lease, MessageType};
use crate::packet::{Arp, Encapsulation, Family, Link, Path, ethertype};
use crate::{Host, Packets, Timeline, Topology, ping};

const FIRES: &[Expected] = &[("arp_spoof", "arp_spoof")];
const SECOND: Duration = Duration::from_secs(1);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "arp-spoof-reply",
        "forged replies to the client map the gateway's address to the attacker",
        FIRES,
        |p| poison(p, forged_reply(&p.topology), Encapsulation::Plain),
    ),
    Scenario::fires(
        "arp-spoof-request",
        "a request with the gateway's sender address maps it to the attacker",
        FIRES,
        |p| {
            let forged = Host { mac: p.topology.attacker.mac, ..p.topology.gateway };
            poison(p, Arp::request(&forged, p.topology.client.v4), Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-announcement",
        "an announcement to all maps the gateway's address to the attacker",
        FIRES,
        |p| {
            poison(p, Arp::announcement(p.topology.attacker.mac, p.topology.gateway.v4), Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-flip-flop",
        "replies map the gateway's address to attacker and gateway alternately",
        FIRES,
        flip_flop,
    ),
    Scenario::fires(
        "arp-spoof-both-ways",
        "forged replies to client and gateway map each to the attacker",
        FIRES,
        both_ways,
    ),
    Scenario::fires(
        "arp-spoof-vlan",
        "forged replies inside a VLAN map the gateway's address to the attacker",
        FIRES,
        |p| poison(p, forged_reply(&p.topology), Encapsulation::Vlan(100)),
    ),
    Scenario::fires(
        "arp-spoof-table-full",
        "the gateway's mapping changes after and among thousands of announcements",
        FIRES,
        crowded,
    )
    .allowing(super::link::MANY_STATIONS),
    Scenario::silent("arp-repeat", "three mappings that stay the same, resolved twenty times each", repeat),
    Scenario::silent(
        "arp-probe",
        "probes without a sender address for the gateway's address and a free one",
        probe,
    ),
    Scenario::silent("arp-alias", "one hardware address announces five addresses of its own", alias),
    Scenario::silent(
        "arp-vrrp",
        "the gateway becomes a virtual router, which then moves to a second machine",
        vrrp,
    ),
    Scenario::silent(
        "arp-dhcp-release",
        "an address is leased to another machine, which announces it",
        lease,
    ),
];

/// Timeline that begins with client and gateway resolving each other and two pings: the legitimate mapping is known.
fn resolved(parameters: &Parameters, encapsulation: Encapsulation) -> Timeline {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    push(&mut timeline, Arp::request(&topology.client, topology.gateway.v4), encapsulation);
    timeline.wait(MILLISECOND);
    push(&mut timeline, true_reply(topology), encapsulation);
    timeline.wait(MILLISECOND);
    let mut path = Path::between(&topology.client, &topology.gateway, Family::V4);
    path.link.encapsulation = encapsulation;
    for sequence in 1..=2 {
        ping(&mut timeline, &path, MILLISECOND, (9, sequence), &[]);
        timeline.wait(SECOND);
    }
    timeline
}

/// The gateway's own reply to the client.
const fn true_reply(topology: &Topology) -> Arp {
    Arp::reply(topology.gateway.mac, topology.gateway.v4, &topology.client)
}

/// The attacker's reply to the client, with the gateway's address.
const fn forged_reply(topology: &Topology) -> Arp {
    Arp::reply(topology.attacker.mac, topology.gateway.v4, &topology.client)
}

/// Records an ARP packet, padded to 60 bytes.
fn push(timeline: &mut Timeline, packet: Arp, encapsulation: Encapsulation) {
    let link = Link { encapsulation, padded: true, ..packet.link() };
    timeline.push(link.frame(ethertype::ARP, &packet.packet()));
}

/// Records an ARP packet in an untagged frame.
fn plain(timeline: &mut Timeline, packet: Arp) {
    push(timeline, packet, Encapsulation::Plain);
}

fn poison(parameters: &Parameters, attack: Arp, encapsulation: Encapsulation) -> Packets {
    let mut timeline = resolved(parameters, encapsulation);
    for _ in 0..5 {
        push(&mut timeline, attack, encapsulation);
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn flip_flop(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for owner in [topology.attacker.mac, topology.gateway.mac] {
            plain(&mut timeline, Arp::reply(owner, topology.gateway.v4, &topology.client));
            timeline.wait(SECOND / 2);
        }
    }
    timeline.play()
}

fn both_ways(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for (claimed, target) in [(topology.gateway, topology.client), (topology.client, topology.gateway)] {
            plain(&mut timeline, Arp::reply(topology.attacker.mac, claimed.v4, &target));
            timeline.wait(MILLISECOND);
        }
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for index in 0..parameters.sources {
        let other = topology.internal(index);
        plain(&mut timeline, Arp::announcement(other.mac, other.v4));
        timeline.wait_us(100);
        // The gateway stays in use, so a table with least-recently-used eviction keeps its entry.
        if index % 100 == 0 {
            plain(&mut timeline, true_reply(topology));
        }
    }
    for _ in 0..5 {
        plain(&mut timeline, forged_reply(topology));
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn repeat(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for _ in 0..20 {
        for host in [topology.gateway, topology.victim, topology.attacker] {
            plain(&mut timeline, Arp::request(&topology.client, host.v4));
            timeline.wait(MILLISECOND);
            plain(&mut timeline, Arp::reply(host.mac, host.v4, &topology.client));
            timeline.wait(MILLISECOND * 300);
        }
    }
    timeline.play()
}

fn probe(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let newcomer = topology.internal(7);
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for _ in 0..3 {
        plain(&mut timeline, Arp::probe(newcomer.mac, topology.gateway.v4));
        timeline.wait(MILLISECOND);
        // The owner defends its address (RFC 5227 section 2.4) with a reply to the prober.
        let prober = Host { v4: Ipv4Addr::UNSPECIFIED, ..newcomer };
        plain(&mut timeline, Arp::reply(topology.gateway.mac, topology.gateway.v4, &prober));
        timeline.wait(SECOND);
    }
    for _ in 0..3 {
        plain(&mut timeline, Arp::probe(newcomer.mac, newcomer.v4));
        timeline.wait(SECOND);
    }
    plain(&mut timeline, Arp::announcement(newcomer.mac, newcomer.v4));
    timeline.play()
}

fn alias(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    for index in 0..5 {
        let address = topology.internal(index).v4;
        plain(&mut timeline, Arp::announcement(topology.victim.mac, address));
        timeline.wait(MILLISECOND);
        plain(&mut timeline, Arp::request(&topology.client, address));
        timeline.wait(MILLISECOND);
        plain(&mut timeline, Arp::reply(topology.victim.mac, address, &topology.client));
        timeline.wait(SECOND);
    }
    timeline.play()
}

/// VRRP failover: first the router's own MAC, then the virtual one (RFC 9568 section 7.3); then the second router
/// announces the same address, from the virtual and from its own MAC.
fn vrrp(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let virtual_router = Mac([0, 0, 0x5e, 0, 1, 10]);
    let backup = topology.internal(2);
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    let announcement = Arp::announcement(virtual_router, topology.gateway.v4);
    for link_source in [virtual_router, virtual_router, backup.mac] {
        let link = Link { source: link_source, padded: true, ..announcement.link() };
        timeline.push(link.frame(ethertype::ARP, &announcement.packet()));
        timeline.wait(MILLISECOND);
        plain(&mut timeline, Arp::request(&topology.client, topology.gateway.v4));
        timeline.wait(MILLISECOND);
        plain(&mut timeline, Arp::reply(virtual_router, topology.gateway.v4, &topology.client));
        timeline.wait(SECOND * 3);
    }
    timeline.play()
}

fn lease(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters, Encapsulation::Plain);
    let address = topology.internal(9).v4;
    for (number, holder) in
        [topology.internal(40).mac, topology.internal(41).mac, topology.internal(42).mac].iter().enumerate()
    {
        let transaction = 0x1000 + u32::try_from(number).unwrap_or_default();
        let lease = Lease { transaction, client: *holder, address, server: topology.gateway.v4, seconds: 60 };
        obtain(&mut timeline, parameters, &lease);
        timeline.wait(MILLISECOND * 50);
        plain(&mut timeline, Arp::probe(*holder, address));
        timeline.wait(MILLISECOND * 500);
        plain(&mut timeline, Arp::announcement(*holder, address));
        timeline.wait(MILLISECOND * 10);
        plain(&mut timeline, Arp::reply(*holder, address, &topology.gateway));
        // The host leaves and its lease expires.
        timeline.wait(SECOND * 90);
    }
    timeline.play()
}

/// Records the four DHCP messages of a lease, 5 ms apart.
fn obtain(timeline: &mut Timeline, parameters: &Parameters, lease: &Lease) {
    let without_address = Host { mac: lease.client, v4: Ipv4Addr::UNSPECIFIED, ..parameters.topology.client };
    let broadcast = Host { mac: Mac::BROADCAST, v4: Ipv4Addr::BROADCAST, ..parameters.topology.client };
    for message_type in
        [MessageType::Discover, MessageType::Offer, MessageType::Request, MessageType::Acknowledge]
    {
        let (from, source, destination) = match message_type {
            MessageType::Discover | MessageType::Request => {
                (without_address, dhcp::CLIENT_PORT, dhcp::SERVER_PORT)
            }
            MessageType::Offer | MessageType::Acknowledge => {
                (parameters.topology.gateway, dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
            }
        };
        let path = Path::between(&from, &broadcast, Family::V4);
        timeline.push(path.udp(source, destination, &lease.message(message_type)));
        timeline.wait(MILLISECOND * 5);
    }
}
