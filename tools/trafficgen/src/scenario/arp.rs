//! Address resolution: who is the gateway, and who says so.

use std::net::Ipv4Addr;
use std::time::Duration;

use sentinel_units::Mac;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dhcp::{self, Lease, Step};
use crate::packet::{Arp, Encapsulation, Family, Icmp, Link, Path, ethertype};
use crate::{Host, Packets, Timeline};

const FIRES: &[Expected] = &[("arp_spoof", "arp_spoof")];
const SECOND: Duration = Duration::from_secs(1);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "arp-spoof-reply",
        "replies to the client move the gateway to the attacker",
        FIRES,
        |p| {
            let attack = Arp::reply(p.topology.attacker.mac, p.topology.gateway.v4, &p.topology.client);
            poison(p, attack, Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-request",
        "a request in the gateway's name moves it to the attacker",
        FIRES,
        |p| {
            let liar = Host { mac: p.topology.attacker.mac, ..p.topology.gateway };
            poison(p, Arp::request(&liar, p.topology.client.v4), Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-announcement",
        "an announcement to all moves the gateway to the attacker",
        FIRES,
        |p| {
            poison(p, Arp::announcement(p.topology.attacker.mac, p.topology.gateway.v4), Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-flip-flop",
        "attacker and gateway both claim the address in turn",
        FIRES,
        flip_flop,
    ),
    Scenario::fires(
        "arp-spoof-both-ways",
        "client and gateway are each told the attacker is the other",
        FIRES,
        both_ways,
    ),
    Scenario::fires("arp-spoof-vlan", "replies inside a VLAN move the gateway to the attacker", FIRES, |p| {
        let attack = Arp::reply(p.topology.attacker.mac, p.topology.gateway.v4, &p.topology.client);
        poison(p, attack, Encapsulation::Vlan(100))
    }),
    Scenario::fires(
        "arp-spoof-table-full",
        "the gateway moves after and among thousands of announcements",
        FIRES,
        crowded,
    ),
    Scenario::silent("arp-repeat", "the same three mappings told again and again", repeat),
    Scenario::silent(
        "arp-probe",
        "probes without a sender address ask for the gateway's and for a free one",
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

/// What everybody knows before anything happens: client and gateway resolve each other and talk.
fn preamble(timeline: &mut Timeline, parameters: &Parameters, encapsulation: Encapsulation) {
    let topology = &parameters.topology;
    push(timeline, Arp::request(&topology.client, topology.gateway.v4), encapsulation);
    timeline.wait(MILLISECOND);
    push(timeline, Arp::reply(topology.gateway.mac, topology.gateway.v4, &topology.client), encapsulation);
    timeline.wait(MILLISECOND);
    let mut path = Path::between(&topology.client, &topology.gateway, Family::V4);
    path.link.encapsulation = encapsulation;
    for sequence in 1..=2 {
        timeline.push(path.icmp(&Icmp::EchoRequest { identifier: 9, sequence, payload: &[] }));
        timeline.wait(MILLISECOND);
        timeline.push(path.reversed().icmp(&Icmp::EchoReply { identifier: 9, sequence, payload: &[] }));
        timeline.wait(SECOND);
    }
}

fn push(timeline: &mut Timeline, packet: Arp, encapsulation: Encapsulation) {
    let link = Link { encapsulation, padded: true, ..packet.link() };
    timeline.push(link.frame(ethertype::ARP, &packet.packet()));
}

fn poison(parameters: &Parameters, attack: Arp, encapsulation: Encapsulation) -> Packets {
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, encapsulation);
    for _ in 0..5 {
        push(&mut timeline, attack, encapsulation);
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn flip_flop(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for owner in [topology.attacker.mac, topology.gateway.mac] {
            push(
                &mut timeline,
                Arp::reply(owner, topology.gateway.v4, &topology.client),
                Encapsulation::Plain,
            );
            timeline.wait(SECOND / 2);
        }
    }
    timeline.play()
}

fn both_ways(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for (claimed, told) in [(topology.gateway, topology.client), (topology.client, topology.gateway)] {
            push(&mut timeline, Arp::reply(topology.attacker.mac, claimed.v4, &told), Encapsulation::Plain);
            timeline.wait(MILLISECOND);
        }
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for index in 0..parameters.sources {
        let other = topology.internal(index);
        push(&mut timeline, Arp::announcement(other.mac, other.v4), Encapsulation::Plain);
        timeline.wait_us(100);
        // The gateway is in use all the time: a table that forgets what it used last keeps it.
        if index % 100 == 0 {
            push(
                &mut timeline,
                Arp::reply(topology.gateway.mac, topology.gateway.v4, &topology.client),
                Encapsulation::Plain,
            );
        }
    }
    for _ in 0..5 {
        push(
            &mut timeline,
            Arp::reply(topology.attacker.mac, topology.gateway.v4, &topology.client),
            Encapsulation::Plain,
        );
        timeline.wait(SECOND);
    }
    timeline.play()
}

fn repeat(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for _ in 0..20 {
        for station in [topology.gateway, topology.victim, topology.attacker] {
            push(&mut timeline, Arp::request(&topology.client, station.v4), Encapsulation::Plain);
            timeline.wait(MILLISECOND);
            push(&mut timeline, Arp::reply(station.mac, station.v4, &topology.client), Encapsulation::Plain);
            timeline.wait(MILLISECOND * 300);
        }
    }
    timeline.play()
}

fn probe(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let newcomer = topology.internal(7);
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for _ in 0..3 {
        push(&mut timeline, Arp::probe(newcomer.mac, topology.gateway.v4), Encapsulation::Plain);
        timeline.wait(MILLISECOND);
        // The owner defends its address (RFC 5227 section 2.4), to the one who asked.
        let asker = Host { v4: Ipv4Addr::UNSPECIFIED, ..newcomer };
        push(
            &mut timeline,
            Arp::reply(topology.gateway.mac, topology.gateway.v4, &asker),
            Encapsulation::Plain,
        );
        timeline.wait(SECOND);
    }
    for _ in 0..3 {
        push(&mut timeline, Arp::probe(newcomer.mac, newcomer.v4), Encapsulation::Plain);
        timeline.wait(SECOND);
    }
    push(&mut timeline, Arp::announcement(newcomer.mac, newcomer.v4), Encapsulation::Plain);
    timeline.play()
}

fn alias(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    for index in 0..5 {
        let address = topology.internal(index).v4;
        push(&mut timeline, Arp::announcement(topology.victim.mac, address), Encapsulation::Plain);
        timeline.wait(MILLISECOND);
        push(&mut timeline, Arp::request(&topology.client, address), Encapsulation::Plain);
        timeline.wait(MILLISECOND);
        push(&mut timeline, Arp::reply(topology.victim.mac, address, &topology.client), Encapsulation::Plain);
        timeline.wait(SECOND);
    }
    timeline.play()
}

/// First the router's own hardware address, then the virtual one (RFC 9568 section 7.3); at the failover the
/// second machine announces the same virtual address, from the virtual and from its own hardware address.
fn vrrp(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let virtual_router = Mac([0, 0, 0x5e, 0, 1, 10]);
    let backup = topology.internal(2);
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    let announcement = Arp::announcement(virtual_router, topology.gateway.v4);
    for link_source in [virtual_router, virtual_router, backup.mac] {
        let link = Link { source: link_source, padded: true, ..announcement.link() };
        timeline.push(link.frame(ethertype::ARP, &announcement.packet()));
        timeline.wait(MILLISECOND);
        push(&mut timeline, Arp::request(&topology.client, topology.gateway.v4), Encapsulation::Plain);
        timeline.wait(MILLISECOND);
        push(
            &mut timeline,
            Arp::reply(virtual_router, topology.gateway.v4, &topology.client),
            Encapsulation::Plain,
        );
        timeline.wait(SECOND * 3);
    }
    timeline.play()
}

fn lease(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    preamble(&mut timeline, parameters, Encapsulation::Plain);
    let address = topology.internal(9).v4;
    for (turn, holder) in
        [topology.internal(40).mac, topology.internal(41).mac, topology.internal(42).mac].iter().enumerate()
    {
        let transaction = 0x1000 + u32::try_from(turn).unwrap_or_default();
        let lease = Lease { transaction, client: *holder, address, server: topology.gateway.v4, seconds: 60 };
        take(&mut timeline, parameters, &lease);
        timeline.wait(MILLISECOND * 50);
        push(&mut timeline, Arp::probe(*holder, address), Encapsulation::Plain);
        timeline.wait(MILLISECOND * 500);
        push(&mut timeline, Arp::announcement(*holder, address), Encapsulation::Plain);
        timeline.wait(MILLISECOND * 10);
        push(&mut timeline, Arp::reply(*holder, address, &topology.gateway), Encapsulation::Plain);
        // The machine goes away and its lease runs out.
        timeline.wait(SECOND * 90);
    }
    timeline.play()
}

fn take(timeline: &mut Timeline, parameters: &Parameters, lease: &Lease) {
    let nobody = Host { mac: lease.client, v4: Ipv4Addr::UNSPECIFIED, ..parameters.topology.client };
    let everybody = Host { mac: Mac::BROADCAST, v4: Ipv4Addr::BROADCAST, ..parameters.topology.client };
    for step in [Step::Discover, Step::Offer, Step::Request, Step::Acknowledge] {
        let (from, source, destination) = match step {
            Step::Discover | Step::Request => (nobody, dhcp::CLIENT_PORT, dhcp::SERVER_PORT),
            Step::Offer | Step::Acknowledge => {
                (parameters.topology.gateway, dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
            }
        };
        let path = Path::between(&from, &everybody, Family::V4);
        timeline.push(path.udp(source, destination, &lease.message(step)));
        timeline.wait(MILLISECOND * 5);
    }
}
