//! Address resolution: who is the gateway, and who says so.

use std::net::Ipv4Addr;
use std::time::Duration;

use sentinel_units::Mac;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dhcp::{self, Lease, Step};
use crate::packet::{Arp, Encapsulation, Family, Icmp, Link, Path, ethertype};
use crate::{Packets, Station, Tape};

const FIRES: &[Expected] = &[("arp_spoof", "arp_spoof")];
const SECOND: Duration = Duration::from_secs(1);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "arp-spoof-reply",
        "replies to the client move the gateway to the attacker",
        FIRES,
        |p| {
            let attack = Arp::reply(p.cast.attacker.mac, p.cast.gateway.v4, &p.cast.client);
            poison(p, attack, Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-request",
        "a request in the gateway's name moves it to the attacker",
        FIRES,
        |p| {
            let liar = Station { mac: p.cast.attacker.mac, ..p.cast.gateway };
            poison(p, Arp::request(&liar, p.cast.client.v4), Encapsulation::Plain)
        },
    ),
    Scenario::fires(
        "arp-spoof-announcement",
        "an announcement to all moves the gateway to the attacker",
        FIRES,
        |p| poison(p, Arp::announcement(p.cast.attacker.mac, p.cast.gateway.v4), Encapsulation::Plain),
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
        let attack = Arp::reply(p.cast.attacker.mac, p.cast.gateway.v4, &p.cast.client);
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
fn preamble(tape: &mut Tape, parameters: &Parameters, encapsulation: Encapsulation) {
    let cast = &parameters.cast;
    push(tape, Arp::request(&cast.client, cast.gateway.v4), encapsulation);
    tape.wait(MILLISECOND);
    push(tape, Arp::reply(cast.gateway.mac, cast.gateway.v4, &cast.client), encapsulation);
    tape.wait(MILLISECOND);
    let mut path = Path::between(&cast.client, &cast.gateway, Family::V4);
    path.link.encapsulation = encapsulation;
    for sequence in 1..=2 {
        tape.push(path.icmp(&Icmp::EchoRequest { identifier: 9, sequence, payload: &[] }));
        tape.wait(MILLISECOND);
        tape.push(path.reversed().icmp(&Icmp::EchoReply { identifier: 9, sequence, payload: &[] }));
        tape.wait(SECOND);
    }
}

fn push(tape: &mut Tape, packet: Arp, encapsulation: Encapsulation) {
    let link = Link { encapsulation, padded: true, ..packet.link() };
    tape.push(link.frame(ethertype::ARP, &packet.packet()));
}

fn poison(parameters: &Parameters, attack: Arp, encapsulation: Encapsulation) -> Packets {
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, encapsulation);
    for _ in 0..5 {
        push(&mut tape, attack, encapsulation);
        tape.wait(SECOND);
    }
    tape.play()
}

fn flip_flop(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for owner in [cast.attacker.mac, cast.gateway.mac] {
            push(&mut tape, Arp::reply(owner, cast.gateway.v4, &cast.client), Encapsulation::Plain);
            tape.wait(SECOND / 2);
        }
    }
    tape.play()
}

fn both_ways(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for _ in 0..5 {
        for (claimed, told) in [(cast.gateway, cast.client), (cast.client, cast.gateway)] {
            push(&mut tape, Arp::reply(cast.attacker.mac, claimed.v4, &told), Encapsulation::Plain);
            tape.wait(MILLISECOND);
        }
        tape.wait(SECOND);
    }
    tape.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for index in 0..parameters.sources {
        let other = cast.inside(index);
        push(&mut tape, Arp::announcement(other.mac, other.v4), Encapsulation::Plain);
        tape.wait_us(100);
        // The gateway is in use all the time: a table that forgets what it used last keeps it.
        if index % 100 == 0 {
            push(
                &mut tape,
                Arp::reply(cast.gateway.mac, cast.gateway.v4, &cast.client),
                Encapsulation::Plain,
            );
        }
    }
    for _ in 0..5 {
        push(&mut tape, Arp::reply(cast.attacker.mac, cast.gateway.v4, &cast.client), Encapsulation::Plain);
        tape.wait(SECOND);
    }
    tape.play()
}

fn repeat(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for _ in 0..20 {
        for station in [cast.gateway, cast.victim, cast.attacker] {
            push(&mut tape, Arp::request(&cast.client, station.v4), Encapsulation::Plain);
            tape.wait(MILLISECOND);
            push(&mut tape, Arp::reply(station.mac, station.v4, &cast.client), Encapsulation::Plain);
            tape.wait(MILLISECOND * 300);
        }
    }
    tape.play()
}

fn probe(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let newcomer = cast.inside(7);
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for _ in 0..3 {
        push(&mut tape, Arp::probe(newcomer.mac, cast.gateway.v4), Encapsulation::Plain);
        tape.wait(MILLISECOND);
        // The owner defends its address (RFC 5227 section 2.4), to the one who asked.
        let asker = Station { v4: Ipv4Addr::UNSPECIFIED, ..newcomer };
        push(&mut tape, Arp::reply(cast.gateway.mac, cast.gateway.v4, &asker), Encapsulation::Plain);
        tape.wait(SECOND);
    }
    for _ in 0..3 {
        push(&mut tape, Arp::probe(newcomer.mac, newcomer.v4), Encapsulation::Plain);
        tape.wait(SECOND);
    }
    push(&mut tape, Arp::announcement(newcomer.mac, newcomer.v4), Encapsulation::Plain);
    tape.play()
}

fn alias(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    for index in 0..5 {
        let address = cast.inside(index).v4;
        push(&mut tape, Arp::announcement(cast.victim.mac, address), Encapsulation::Plain);
        tape.wait(MILLISECOND);
        push(&mut tape, Arp::request(&cast.client, address), Encapsulation::Plain);
        tape.wait(MILLISECOND);
        push(&mut tape, Arp::reply(cast.victim.mac, address, &cast.client), Encapsulation::Plain);
        tape.wait(SECOND);
    }
    tape.play()
}

/// First the router's own hardware address, then the virtual one (RFC 9568 section 7.3); at the failover the
/// second machine announces the same virtual address, from the virtual and from its own hardware address.
fn vrrp(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let virtual_router = Mac([0, 0, 0x5e, 0, 1, 10]);
    let backup = cast.inside(2);
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    let announcement = Arp::announcement(virtual_router, cast.gateway.v4);
    for link_source in [virtual_router, virtual_router, backup.mac] {
        let link = Link { source: link_source, padded: true, ..announcement.link() };
        tape.push(link.frame(ethertype::ARP, &announcement.packet()));
        tape.wait(MILLISECOND);
        push(&mut tape, Arp::request(&cast.client, cast.gateway.v4), Encapsulation::Plain);
        tape.wait(MILLISECOND);
        push(&mut tape, Arp::reply(virtual_router, cast.gateway.v4, &cast.client), Encapsulation::Plain);
        tape.wait(SECOND * 3);
    }
    tape.play()
}

fn lease(parameters: &Parameters) -> Packets {
    let cast = &parameters.cast;
    let mut tape = Tape::default();
    preamble(&mut tape, parameters, Encapsulation::Plain);
    let address = cast.inside(9).v4;
    for (turn, holder) in [cast.inside(40).mac, cast.inside(41).mac, cast.inside(42).mac].iter().enumerate() {
        let transaction = 0x1000 + u32::try_from(turn).unwrap_or_default();
        let lease = Lease { transaction, client: *holder, address, server: cast.gateway.v4, seconds: 60 };
        take(&mut tape, parameters, &lease);
        tape.wait(MILLISECOND * 50);
        push(&mut tape, Arp::probe(*holder, address), Encapsulation::Plain);
        tape.wait(MILLISECOND * 500);
        push(&mut tape, Arp::announcement(*holder, address), Encapsulation::Plain);
        tape.wait(MILLISECOND * 10);
        push(&mut tape, Arp::reply(*holder, address, &cast.gateway), Encapsulation::Plain);
        // The machine goes away and its lease runs out.
        tape.wait(SECOND * 90);
    }
    tape.play()
}

fn take(tape: &mut Tape, parameters: &Parameters, lease: &Lease) {
    let nobody = Station { mac: lease.client, v4: Ipv4Addr::UNSPECIFIED, ..parameters.cast.client };
    let everybody = Station { mac: Mac::BROADCAST, v4: Ipv4Addr::BROADCAST, ..parameters.cast.client };
    for step in [Step::Discover, Step::Offer, Step::Request, Step::Acknowledge] {
        let (from, source, destination) = match step {
            Step::Discover | Step::Request => (nobody, dhcp::CLIENT_PORT, dhcp::SERVER_PORT),
            Step::Offer | Step::Acknowledge => {
                (parameters.cast.gateway, dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
            }
        };
        let path = Path::between(&from, &everybody, Family::V4);
        tape.push(path.udp(source, destination, &lease.message(step)));
        tape.wait(MILLISECOND * 5);
    }
}
