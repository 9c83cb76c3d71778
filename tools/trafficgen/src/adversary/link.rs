//! Attacks on the link: ARP, neighbour discovery, DHCP, router advertisements.
//!
//! Read first: RFC 826, RFC 4861 section 11, RFC 6104 (rogue router advertisements), RFC 7610 (DHCP servers that should not be there).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use crate::application::dhcp::{self, Lease, MessageType};
use crate::packet::{Addresses, Arp, Family, Icmp6, Link, Network, Operation, Path, ethertype, protocol};
use crate::{Host, Packets, Parameters, Timeline};

/// Claims that a script sends, one a second.
const CLAIMS: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The gateway and the victim find each other, as they do before any attack.
fn peace(timeline: &mut Timeline, parameters: &Parameters) {
    let topology = &parameters.topology;
    for (from, to) in [(topology.victim, topology.gateway), (topology.client, topology.gateway)] {
        timeline.push(Arp::request(&from, to.v4).frame());
        timeline.wait_us(200);
        timeline.push(Arp::reply(to.mac, to.v4, &from).frame());
        timeline.wait_us(200);
        timeline.push(Arp::request(&to, from.v4).frame());
        timeline.wait_us(200);
        timeline.push(Arp::reply(from.mac, from.v4, &to).frame());
        advertise(timeline, &to, &from, to.mac);
        advertise(timeline, &from, &to, from.mac);
    }
    timeline.wait(SECOND * 5);
}

/// Neighbour advertisement to `to` that `owner`'s address is at `mac`.
fn advertise(timeline: &mut Timeline, owner: &Host, to: &Host, mac: Mac) {
    let network =
        Network { hop_limit: 255, ..Network::new(Addresses::V6 { source: owner.v6, destination: to.v6 }) };
    let (_, bytes) =
        Icmp6::NeighbourAdvertisement { target: owner.v6, owner: mac }.message(&network.addresses);
    timeline.push(Link::new(mac, to.mac).frame(ethertype::IPV6, &network.packet(protocol::ICMPV6, &bytes)));
}

/// Replies to the victim that the gateway is at the attacker's MAC address, and to the gateway that the victim is: arpspoof.
pub(super) fn both_sides(parameters: &Parameters) -> Packets {
    claims(parameters, |timeline, parameters| {
        let topology = &parameters.topology;
        timeline.push(Arp::reply(topology.attacker.mac, topology.gateway.v4, &topology.victim).frame());
        timeline.push(Arp::reply(topology.attacker.mac, topology.victim.v4, &topology.gateway).frame());
    })
}

/// The claim in requests, which some detectors do not read.
pub(super) fn by_requests(parameters: &Parameters) -> Packets {
    claims(parameters, |timeline, parameters| {
        let topology = &parameters.topology;
        let forged = Arp {
            operation: Operation::Request,
            sender: (topology.attacker.mac, topology.gateway.v4),
            target: (Mac::ZERO, topology.victim.v4),
        };
        timeline.push(
            Link::new(topology.attacker.mac, topology.victim.mac).frame(ethertype::ARP, &forged.packet()),
        );
    })
}

/// The claim of a gateway that was silent until then.
pub(super) fn attacker_first(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    timeline.push(Arp::announcement(topology.attacker.mac, topology.gateway.v4).frame());
    timeline.wait(SECOND * 2);
    peace(&mut timeline, parameters);
    timeline.play()
}

/// The claim from a virtual router's MAC address, which failover explains.
pub(super) fn virtual_router(parameters: &Parameters) -> Packets {
    let forged = Mac([0, 0, 0x5e, 0, 1, 66]);
    claims(parameters, move |timeline, parameters| {
        let topology = &parameters.topology;
        let packet = Arp::reply(forged, topology.gateway.v4, &topology.victim);
        timeline.push(
            Link::new(topology.attacker.mac, topology.victim.mac).frame(ethertype::ARP, &packet.packet()),
        );
    })
}

/// A forged acknowledgement of a lease, which explains the claim that follows.
pub(super) fn forged_lease(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    peace(&mut timeline, parameters);
    let topology = &parameters.topology;
    let lease = Lease {
        transaction: 7,
        client: topology.attacker.mac,
        address: topology.gateway.v4,
        server: topology.gateway.v4,
        seconds: 3_600,
    };
    let from = Host { mac: topology.attacker.mac, ..topology.gateway };
    timeline.push(server_message(&from, &lease, MessageType::Acknowledge));
    for _ in 0..CLAIMS {
        timeline.wait(SECOND);
        timeline.push(Arp::reply(topology.attacker.mac, topology.gateway.v4, &topology.victim).frame());
    }
    timeline.play()
}

fn claims(parameters: &Parameters, claim: impl Fn(&mut Timeline, &Parameters)) -> Packets {
    let mut timeline = Timeline::default();
    peace(&mut timeline, parameters);
    for _ in 0..CLAIMS {
        claim(&mut timeline, parameters);
        timeline.wait(SECOND);
    }
    timeline.play()
}

/// Advertisements that the gateway's IPv6 address is at the attacker's MAC address.
pub(super) fn neighbour_advertisements(parameters: &Parameters) -> Packets {
    claims(parameters, |timeline, parameters| {
        let topology = &parameters.topology;
        advertise(timeline, &topology.gateway, &topology.victim, topology.attacker.mac);
    })
}

/// Broadcast of a DHCP server.
fn server_message(from: &Host, lease: &Lease, message: MessageType) -> Vec<u8> {
    let everybody = Host { mac: Mac::BROADCAST, ..from.with_v4(Ipv4Addr::BROADCAST) };
    Path::between(from, &everybody, Family::V4).udp(
        dhcp::SERVER_PORT,
        dhcp::CLIENT_PORT,
        &lease.message(message),
    )
}

fn client_message(client: Mac, lease: &Lease, message: MessageType) -> Vec<u8> {
    let nobody = Host { mac: client, v4: Ipv4Addr::UNSPECIFIED, v6: Ipv6Addr::UNSPECIFIED };
    let everybody = Host { mac: Mac::BROADCAST, v4: Ipv4Addr::BROADCAST, ..nobody };
    Path::between(&nobody, &everybody, Family::V4).udp(
        dhcp::CLIENT_PORT,
        dhcp::SERVER_PORT,
        &lease.message(message),
    )
}

/// Two leases by the gateway, then the same by the attacker, who names himself as router and resolver.
pub(super) fn rogue_dhcp(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    let clients = [topology.client, topology.victim, topology.client, topology.victim];
    for (index, client) in clients.into_iter().enumerate() {
        let server = if index < 2 { topology.gateway } else { topology.attacker };
        let lease = Lease {
            transaction: 5,
            client: client.mac,
            address: client.v4,
            server: server.v4,
            seconds: 3_600,
        };
        timeline.push(client_message(client.mac, &lease, MessageType::Discover));
        timeline.wait_us(3_000);
        timeline.push(server_message(&server, &lease, MessageType::Offer));
        timeline.wait_us(3_000);
        timeline.push(client_message(client.mac, &lease, MessageType::Request));
        timeline.wait_us(3_000);
        timeline.push(server_message(&server, &lease, MessageType::Acknowledge));
        timeline.wait(SECOND * 10);
    }
    timeline.play()
}

/// Requests for leases from made-up MAC addresses, 50 a second: dhcpstarv, yersinia.
pub(super) fn starvation(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    let mut random = parameters.random();
    for _ in 0..500 {
        let [a, b, c, d, e, ..] = random.bits().to_be_bytes();
        let client = Mac([2, a, b, c, d, e]);
        let lease = Lease {
            transaction: random.word(),
            client,
            address: topology.internal(random.word() & 0xff).v4,
            server: topology.gateway.v4,
            seconds: 3_600,
        };
        // The frame itself comes from the attacker's card.
        timeline.push(client_message(topology.attacker.mac, &lease, MessageType::Discover));
        timeline.wait_us(2_000);
        timeline.push(server_message(&topology.gateway, &lease, MessageType::Offer));
        timeline.wait_us(18_000);
    }
    timeline.play()
}

/// Frames from made-up MAC addresses, 1,000 a second for five seconds: macof.
pub(super) fn mac_flood(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    let mut random = parameters.random();
    for _ in 0..5_000 {
        let [a, b, c, d, e, f, g, h] = random.bits().to_be_bytes();
        let from = Host {
            mac: Mac([a & 0xfe, b, c, d, e, f]),
            ..topology.internal(u32::from(g) << 8 | u32::from(h))
        };
        let mut to = topology.internal(random.word() & 0xffff);
        to.mac = Mac([f & 0xfe, e, d, c, b, a]);
        let syn = crate::packet::Tcp::syn(random.ephemeral_port(), random.half(), random.word());
        timeline.push(Path::between(&from, &to, Family::V4).tcp(&syn, &[]));
        timeline.wait_us(1_000);
    }
    timeline.play()
}

/// Advertisements of the gateway for ten minutes, then the attacker's with a prefix and a resolver of its own.
pub(super) fn rogue_router(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    for index in 0..6_u16 {
        let (router, prefix) =
            if index < 3 { (topology.gateway, 0xfd10_2030) } else { (topology.attacker, 0xfd66_6666) };
        let link_local = Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(router.v4.to_bits()));
        let message = router_advertisement(&router, Ipv6Addr::from_bits(prefix << 96));
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let network = Network {
            hop_limit: 255,
            ..Network::new(Addresses::V6 { source: link_local, destination: group })
        };
        let link = Link::new(router.mac, Mac([0x33, 0x33, 0, 0, 0, 1]));
        timeline.push(link.frame(ethertype::IPV6, &network.packet(protocol::ICMPV6, &message)));
        timeline.wait(SECOND * 200);
    }
    timeline.play()
}

/// Router advertisement (RFC 4861 section 4.2) with a prefix, a resolver (RFC 8106) and the link-layer address. Its checksum is left
/// out: no receiver of ours verifies it.
fn router_advertisement(router: &Host, prefix: Ipv6Addr) -> Vec<u8> {
    [
        &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0],
        &prefix.octets(),
        &[25, 3, 0, 0, 0, 0, 7, 8],
        &router.v6.octets(),
        &[1, 1],
        &router.mac.0,
    ]
    .concat()
}
