//! Stations of the link that claim what is not theirs, and stations that do what looks alike.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dhcp::{self, Lease, MessageType};
use crate::packet::{
    Addresses, Arp, Encapsulation, Family, Icmp6, Link, Network, Path, Tcp, ethertype, flags,
};
use crate::{Host, Packets, Timeline};

const ARP: &[Expected] = &[("arp_spoof", "arp_spoof")];
const NDP: &[Expected] = &[("ndp_spoof", "ndp_spoof")];
const DHCP: &[Expected] = &[("rogue_dhcp", "rogue_dhcp")];
const DNS: &[Expected] = &[("rogue_dns", "rogue_dns")];
const RA: &[Expected] = &[("rogue_ra", "rogue_ra")];
const STARVATION: &[Expected] = &[("dhcp_starvation", "dhcp_starvation")];
const FLOOD: &[Expected] = &[("mac_flood", "mac_flood")];
/// Kinds that thousands of hosts which begin to speak at once raise as well.
pub(super) const MANY_STATIONS: &[Expected] = FLOOD;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Added to the number of a station whose hardware address is a universal one.
const UNIVERSAL: u32 = 256;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "arp-spoof-first",
        "the attacker announces the gateway's address before it speaks",
        ARP,
        first,
    ),
    Scenario::fires(
        "arp-spoof-virtual-router",
        "forged replies from a virtual router's hardware address",
        ARP,
        |p| {
            let mut timeline = resolved(p);
            timeline.push(
                Arp::reply(Mac([0, 0, 0x5e, 0, 1, 66]), p.topology.gateway.v4, &p.topology.client).frame(),
            );
            timeline.play()
        },
    ),
    Scenario::fires(
        "arp-spoof-gateway-goes-on",
        "the attacker announces the gateway's address, and the gateway goes on forwarding",
        ARP,
        gateway_goes_on,
    ),
    Scenario::silent("arp-two-vlans", "gateways of two VLANs have one address", two_vlans),
    Scenario::silent(
        "arp-repeater",
        "a repeater puts its hardware address in place of its client's",
        repeater,
    ),
    Scenario::silent("arp-failover", "the other machine of a pair announces their address", failover),
    Scenario::silent("arp-proxy", "the gateway answers for a host that answers as well", proxy),
    Scenario::fires(
        "ndp-spoof",
        "forged advertisements map the gateway's address to the attacker",
        NDP,
        |p| {
            let mut timeline = resolved_v6(p);
            for _ in 0..3 {
                timeline.push(advertisement(
                    &p.topology.gateway,
                    p.topology.attacker.mac,
                    &p.topology.client,
                ));
                timeline.wait(SECOND);
            }
            timeline.play()
        },
    ),
    Scenario::silent("ndp-repeat", "gateway and client resolve each other again and again", |p| {
        let mut timeline = resolved_v6(p);
        for _ in 0..10 {
            timeline.wait(SECOND * 30);
            solicit(&mut timeline, &p.topology.client, &p.topology.gateway);
        }
        timeline.play()
    }),
    Scenario::fires("rogue-dhcp", "a second DHCP server names itself as router and resolver", DHCP, |p| {
        leases(p, [p.topology.gateway, p.topology.attacker], [p.topology.gateway.v4, p.topology.attacker.v4])
    }),
    Scenario::silent("rogue-dhcp-pair", "two DHCP servers name the same router and resolver", |p| {
        leases(p, [p.topology.gateway, p.topology.victim], [p.topology.gateway.v4; 2])
    }),
    Scenario::fires("rogue-dns", "the DHCP server names another resolver than before", DNS, |p| {
        leases(p, [p.topology.gateway; 2], [p.topology.gateway.v4, p.topology.outside.v4])
    }),
    Scenario::fires("rogue-ra", "a second router advertises itself for half an hour", RA, |p| {
        routers(p, 1_800)
    }),
    Scenario::silent(
        "rogue-ra-no-default",
        "a border router advertises itself with a lifetime of zero",
        |p| routers(p, 0),
    ),
    Scenario::fires(
        "dhcp-starvation",
        "one station asks for leases in the names of 100 clients",
        STARVATION,
        |p| clients(p, 100, true),
    ),
    Scenario::silent("dhcp-power-cut", "forty devices ask for leases at once", |p| clients(p, 40, false)),
    Scenario::fires("mac-flood", "announcements of 1,000 hardware addresses in a second", FLOOD, |p| {
        stations(p, 1_000)
    }),
    Scenario::fires(
        "device-new",
        "after eleven minutes a station asks for a lease that was not there before",
        &[("new_device", "new_device")],
        |p| newcomer(p, 660),
    ),
    Scenario::silent("device-early", "the same within the first ten minutes", |p| newcomer(p, 540)),
    Scenario::fires(
        "device-many",
        "after eleven minutes thirty stations come, one every half minute",
        &[("new_device", "new_device"), ("new_device", "further_devices")],
        visitors,
    ),
    Scenario::fires(
        "device-offline",
        "a camera that was seen around the clock for a week is silent",
        &[("device_offline", "device_offline")],
        |p| eight_days(p, &[(UNIVERSAL, |_| true), (UNIVERSAL + 1, |at| at < WEEK + HOUR * 8)]),
    ),
    Scenario::silent(
        "device-leaves",
        "a phone comes home in the evening, and after a week a random address goes for ever",
        |p| {
            let is_evening: IsThere = |at| !(7..18).contains(&(at.as_secs() / 3_600 % 24));
            eight_days(
                p,
                &[(UNIVERSAL, |_| true), (UNIVERSAL + 1, is_evening), (6, |at| at < WEEK + HOUR * 6)],
            )
        },
    ),
    Scenario::silent("mac-many", "announcements of 200 hardware addresses in a second", |p| stations(p, 200)),
];

/// Client and gateway find each other; the next frame is two seconds later.
fn resolved(parameters: &Parameters) -> Timeline {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    ask(&mut timeline, &topology.client, &topology.gateway);
    ask(&mut timeline, &topology.gateway, &topology.client);
    timeline.wait(SECOND * 2);
    timeline
}

/// Request of `from` for the address of `to`, and the reply.
fn ask(timeline: &mut Timeline, from: &Host, to: &Host) {
    timeline.push(Arp::request(from, to.v4).frame());
    timeline.wait_us(300);
    timeline.push(Arp::reply(to.mac, to.v4, from).frame());
    timeline.wait_us(300);
}

fn first(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    timeline.push(Arp::announcement(topology.attacker.mac, topology.gateway.v4).frame());
    timeline.wait(SECOND * 2);
    for host in [topology.victim, topology.client] {
        ask(&mut timeline, &host, &topology.gateway);
    }
    timeline.play()
}

/// Connections of the client to the outside, ten a second, each answered.
fn connections(timeline: &mut Timeline, parameters: &Parameters, ports: std::ops::Range<u16>) {
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    for port in ports {
        timeline.push(path.tcp(&Tcp::syn(40_000 + port, 443, 7), &[]));
        timeline.wait(MILLISECOND * 20);
        let answer =
            Tcp { acknowledgement: 8, flags: flags::SYN | flags::ACK, ..Tcp::syn(443, 40_000 + port, 9) };
        timeline.push(path.reversed().tcp(&answer, &[]));
        timeline.wait(MILLISECOND * 80);
    }
}

fn gateway_goes_on(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters);
    connections(&mut timeline, parameters, 0..10);
    ask(&mut timeline, &topology.gateway, &topology.client);
    timeline.push(Arp::announcement(topology.attacker.mac, topology.gateway.v4).frame());
    connections(&mut timeline, parameters, 10..20);
    timeline.play()
}

fn two_vlans(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    for _ in 0..5 {
        for (vlan, gateway) in [(5, topology.gateway.mac), (6, topology.victim.mac)] {
            for packet in [
                Arp::announcement(gateway, topology.gateway.v4),
                Arp::reply(gateway, topology.gateway.v4, &topology.client),
            ] {
                let link = Link { encapsulation: Encapsulation::Vlan(vlan), padded: true, ..packet.link() };
                timeline.push(link.frame(ethertype::ARP, &packet.packet()));
                timeline.wait(SECOND);
            }
        }
    }
    timeline.play()
}

fn repeater(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let behind = Host { mac: topology.victim.mac, ..topology.client };
    let mut timeline = resolved(parameters);
    ask(&mut timeline, &topology.victim, &topology.gateway);
    for client in [behind, topology.client, behind] {
        timeline.wait(SECOND * 300);
        ask(&mut timeline, &client, &topology.gateway);
    }
    timeline.play()
}

fn failover(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let shared = Ipv4Addr::new(10, 20, 30, 6);
    let mut timeline = resolved(parameters);
    ask(&mut timeline, &topology.gateway, &topology.victim);
    for owner in [topology.client, topology.victim, topology.client] {
        for _ in 0..5 {
            timeline.push(Arp::announcement(owner.mac, shared).frame());
            timeline.wait(MILLISECOND * 100);
        }
        timeline.wait(SECOND * 600);
    }
    timeline.play()
}

fn proxy(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = resolved(parameters);
    connections(&mut timeline, parameters, 0..10);
    for _ in 0..10 {
        ask(&mut timeline, &topology.victim, &topology.client);
        timeline.push(Arp::reply(topology.gateway.mac, topology.client.v4, &topology.victim).frame());
        timeline.wait(SECOND * 20);
    }
    timeline.play()
}

/// Neighbour message of `source` to `destination`, in a frame to `receiver`.
fn neighbour(source: (Mac, Ipv6Addr), destination: (Mac, Ipv6Addr), message: &Icmp6) -> Vec<u8> {
    let addresses = Addresses::V6 { source: source.1, destination: destination.1 };
    let network = Network { hop_limit: 255, ..Network::new(addresses) };
    let (protocol, bytes) = message.message(&network.addresses);
    Link::new(source.0, destination.0).frame(ethertype::IPV6, &network.packet(protocol, &bytes))
}

fn advertisement(owner: &Host, mac: Mac, to: &Host) -> Vec<u8> {
    let message = Icmp6::NeighbourAdvertisement { target: owner.v6, owner: mac };
    neighbour((mac, owner.v6), (to.mac, to.v6), &message)
}

/// Solicitation of `to` by `from`, and its advertisement.
fn solicit(timeline: &mut Timeline, from: &Host, to: &Host) {
    let [.., a, b, c] = to.v6.octets();
    let group =
        Ipv6Addr::from_bits((0xff02 << 112) | 0x1_ff00_0000 | u128::from(u32::from_be_bytes([0, a, b, c])));
    let message = Icmp6::NeighbourSolicitation { target: to.v6, source: from.mac };
    timeline.push(neighbour((from.mac, from.v6), (Mac([0x33, 0x33, 0xff, a, b, c]), group), &message));
    timeline.wait_us(300);
    timeline.push(advertisement(to, to.mac, from));
    timeline.wait_us(300);
}

fn resolved_v6(parameters: &Parameters) -> Timeline {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    solicit(&mut timeline, &topology.client, &topology.gateway);
    solicit(&mut timeline, &topology.gateway, &topology.client);
    timeline.wait(SECOND * 5);
    timeline
}

/// Frame of a DHCP message from `sender`, whose addresses are those of a server or of a client without one.
fn dhcp_frame(sender: &Host, from_server: bool, bytes: &[u8]) -> Vec<u8> {
    let everybody = Host { mac: Mac::BROADCAST, v4: Ipv4Addr::BROADCAST, v6: Ipv6Addr::UNSPECIFIED };
    let (source, destination) = if from_server {
        (dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
    } else {
        (dhcp::CLIENT_PORT, dhcp::SERVER_PORT)
    };
    Path::between(sender, &everybody, Family::V4).udp(source, destination, bytes)
}

/// A lease of each server, which names the address beside it as router, if it is its own, and as resolver.
fn leases(parameters: &Parameters, servers: [Host; 2], named: [Ipv4Addr; 2]) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    for (index, (server, named)) in servers.into_iter().zip(named).enumerate() {
        let client = topology.internal(u32::try_from(index).unwrap_or_default());
        let lease = Lease {
            transaction: 7 + u32::try_from(index).unwrap_or_default(),
            client: client.mac,
            address: client.v4,
            server: if named == topology.outside.v4 { server.v4 } else { named },
            seconds: 3_600,
        };
        let nobody = Host { v4: Ipv4Addr::UNSPECIFIED, ..client };
        for message in
            [MessageType::Discover, MessageType::Offer, MessageType::Request, MessageType::Acknowledge]
        {
            let from_server = matches!(message, MessageType::Offer | MessageType::Acknowledge);
            let mut bytes = lease.message(message);
            if from_server && named != lease.server {
                resolver_of(&mut bytes, named);
            }
            timeline.push(dhcp_frame(if from_server { &server } else { &nobody }, from_server, &bytes));
            timeline.wait(MILLISECOND * 5);
        }
        timeline.wait(SECOND * 30);
    }
    timeline.play()
}

/// Puts another address into the option of resolvers.
fn resolver_of(message: &mut [u8], resolver: Ipv4Addr) {
    if let Some(at) = message.windows(2).rposition(|option| option == [6, 4])
        && let Some(value) = message.get_mut(at + 2..at + 6)
    {
        value.copy_from_slice(&resolver.octets());
    }
}

/// Four advertisements of the gateway, and between them one of the attacker with this lifetime.
fn routers(parameters: &Parameters, lifetime_s: u16) -> Packets {
    let topology = &parameters.topology;
    let all_nodes = (Mac([0x33, 0x33, 0, 0, 0, 1]), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let mut timeline = Timeline::default();
    for (router, lifetime_s) in [
        (topology.gateway, 1_800),
        (topology.gateway, 1_800),
        (topology.attacker, lifetime_s),
        (topology.gateway, 1_800),
    ] {
        let link_local = Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(router.v4.to_bits()));
        let prefix = Ipv6Addr::from_bits(router.v6.to_bits() >> 64 << 64);
        let message =
            Icmp6::RouterAdvertisement { lifetime_s, prefix, resolver: router.v6, source: router.mac };
        timeline.push(neighbour((router.mac, link_local), all_nodes, &message));
        timeline.wait(SECOND * 200);
    }
    timeline.play()
}

/// Requests for leases of so many clients, 20 ms apart; `is_forged` if one station sends them all.
fn clients(parameters: &Parameters, count: u32, is_forged: bool) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    for index in 0..count {
        let client = topology.internal(index);
        let lease = Lease {
            transaction: index,
            client: client.mac,
            address: client.v4,
            server: topology.gateway.v4,
            seconds: 3_600,
        };
        let mac = if is_forged { topology.attacker.mac } else { client.mac };
        let sender = Host { mac, v4: Ipv4Addr::UNSPECIFIED, ..client };
        timeline.push(dhcp_frame(&sender, false, &lease.message(MessageType::Discover)));
        timeline.wait(MILLISECOND * 20);
    }
    timeline.play()
}

/// A station that announces itself at the start, and one that asks for a lease so many seconds later and uses it.
fn newcomer(parameters: &Parameters, after_s: u64) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    timeline.push(Arp::announcement(topology.client.mac, topology.client.v4).frame());
    timeline.seek(Duration::from_secs(after_s));
    let host = Host { mac: Mac([0x3c, 0x5a, 0xb4, 0x00, 0x11, 0x22]), ..topology.internal(7) };
    let lease = Lease {
        transaction: 7,
        client: host.mac,
        address: host.v4,
        server: topology.gateway.v4,
        seconds: 3_600,
    };
    let mut message = lease.message(MessageType::Request);
    let end = message.iter().rposition(|byte| *byte == 255).unwrap_or(message.len());
    message.splice(end..end, [&[12, 9][..], b"galaxy-s9"].concat());
    let sender = Host { v4: Ipv4Addr::UNSPECIFIED, ..host };
    timeline.push(dhcp_frame(&sender, false, &message));
    timeline.wait(SECOND * 2);
    timeline.push(Arp::announcement(host.mac, host.v4).frame());
    timeline.wait(SECOND * 30);
    timeline.push(Arp::announcement(topology.client.mac, topology.client.v4).frame());
    timeline.play()
}

/// A station that announces itself at the start and at the end, and thirty that do so once, later.
fn visitors(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut timeline = Timeline::default();
    timeline.push(Arp::announcement(topology.client.mac, topology.client.v4).frame());
    timeline.seek(SECOND * 660);
    for last in 0..30 {
        let mac = Mac([0x3c, 0x5a, 0xb4, 0, 0x11, last]);
        timeline.push(Arp::announcement(mac, topology.internal(u32::from(last) + 7).v4).frame());
        timeline.wait(SECOND * 30);
    }
    timeline.wait(SECOND * 900);
    timeline.push(Arp::announcement(topology.client.mac, topology.client.v4).frame());
    timeline.play()
}

/// Returns true while a station is there.
type IsThere = fn(Duration) -> bool;

/// Eight days of stations that announce themselves every 55 minutes, at different times, as long as they are there: each by the last byte of its address, or that
/// and [`UNIVERSAL`] for one with a universal hardware address.
fn eight_days(parameters: &Parameters, stations: &[(u32, IsThere)]) -> Packets {
    let mut timeline = Timeline::default();
    for cycle in 0..209 {
        let at = SECOND * 3_300 * cycle;
        for (index, (number, is_there)) in (0..).zip(stations) {
            timeline.seek(at + SECOND * if cycle == 0 { 299 } else { 1_500 } * index);
            let [.., kind, last] = number.to_be_bytes();
            let host = parameters.topology.internal(u32::from(last) + 3);
            let mac = if kind > 0 { Mac([0xb8, 0x27, 0xeb, 0, 0, last]) } else { host.mac };
            if is_there(at) {
                timeline.push(Arp::announcement(mac, host.v4).frame());
            }
        }
    }
    timeline.play()
}

/// Announcements of so many hosts in a second.
fn stations(parameters: &Parameters, count: u32) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..count {
        timeline.seek(SECOND / count * index);
        let host = parameters.topology.internal(index);
        timeline.push(Arp::announcement(host.mac, host.v4).frame());
    }
    timeline.play()
}
