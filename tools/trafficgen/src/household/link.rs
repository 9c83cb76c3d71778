//! The link: leases, ARP, router advertisements, repeaters, failover, VLANs, proxy ARP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_units::Mac;

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::frame::Node;
use super::house::{DAY, Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use crate::application::dhcp::{self, Lease, MessageType};
use crate::packet::{Arp, Operation, protocol};

/// Protocol number of VRRP and CARP.
const VRRP: u8 = 112;
/// Lease time: a day, renewed at half of it (RFC 2131 section 4.4.5).
const LEASE_S: u32 = 86_400;

/// Behaviour of every device: a lease when it joins, ARP, IPv6 autoconfiguration.
pub(super) fn every_device(builder: &mut Builder, device: Device) {
    let joins_us = builder.random.within(0..2 * MINUTE);
    builder.add_at(Behaviour::Dhcp, joins_us, move |scene| {
        join(scene, &device);
        Some(DAY / 2)
    });
    builder.add_at(Behaviour::Arp, joins_us, move |scene| {
        resolve_gateway(scene, &device);
        Some(scene.random.within(2 * MINUTE..25 * MINUTE))
    });
    builder.add_at(Behaviour::Slaac, joins_us, move |scene| {
        configure_v6(scene, &device);
        Some(scene.house.until_midnight(scene.now) + scene.random.within(0..MINUTE))
    });
    // Every device joins again after the network was renumbered, and when it draws a new MAC address.
    let renumbered_at = builder.house.renumbered_at();
    if renumbered_at != u64::MAX {
        let at_us = renumbered_at + builder.random.within(SECOND..30 * SECOND);
        builder.add_at(Behaviour::Dhcp, at_us, move |scene| {
            join(scene, &device);
            resolve_gateway(scene, &device);
            None
        });
    }
    if device.is_random {
        let midnight = builder.house.until_midnight(0);
        builder.add_at(Behaviour::RandomMac, midnight, move |scene| {
            join(scene, &device);
            resolve_gateway(scene, &device);
            Some(scene.house.until_midnight(scene.now))
        });
    }
}

pub(super) fn devices(builder: &mut Builder) {
    let any = builder.device();
    builder.add(Behaviour::Slaac, MINUTE, move |scene| advertise(scene, &any));
    if builder.random.chance(40) {
        let (first, second) = (builder.guest(), builder.guest());
        builder.add(Behaviour::Dhcp, 6 * HOUR, move |scene| {
            release_to_another(scene, &first, &second);
            Some(DAY)
        });
    }
    if builder.random.chance(25) {
        let (device, repeater) = (builder.guest(), builder.device());
        builder.add(Behaviour::Roaming, 4 * HOUR, roaming(device, repeater));
    }
    if builder.random.chance(12) {
        let pair = [builder.device(), builder.device()];
        let is_carp = builder.random.chance(50);
        builder.add(Behaviour::VirtualRouter, MINUTE, virtual_router(pair, is_carp));
    }
    if builder.random.chance(12) {
        let pair = [builder.device(), builder.device()];
        builder.add(Behaviour::Keepalived, 6 * HOUR, keepalived(pair));
    }
    if builder.random.chance(15) {
        let guests = [builder.device_with(30, false), builder.device_with(40, false)];
        builder.add(Behaviour::TwoVlans, MINUTE, move |scene| two_vlans(scene, &guests));
    }
    if builder.random.chance(12) {
        let host = builder.device();
        builder.add(Behaviour::ProxyArp, HOUR, move |scene| proxy_arp(scene, &host));
    }
}

fn own_v4(node: &Node) -> Ipv4Addr {
    match node.ip {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// The four messages of a lease, the probe (RFC 5227) and the announcement of the address.
fn join(scene: &mut Scene<'_>, device: &Device) {
    let (own, gateway) = (scene.v4(device), scene.gateway(device));
    let lease = Lease {
        transaction: scene.random.word(),
        client: own.mac,
        address: own_v4(&own),
        server: own_v4(&gateway),
        seconds: LEASE_S,
    };
    exchange_lease(scene, device, &lease);
    scene.arp(&Arp::probe(own.mac, lease.address), device.vlan);
    scene.wait_us(900_000);
    scene.arp(&Arp::announcement(own.mac, lease.address), device.vlan);
}

fn exchange_lease(scene: &mut Scene<'_>, device: &Device, lease: &Lease) {
    let broadcast = scene.group(device, Ipv4Addr::BROADCAST.into());
    let nobody = Node { mac: lease.client, ip: Ipv4Addr::UNSPECIFIED.into(), vlan: device.vlan };
    let server = scene.gateway(device);
    for message in [MessageType::Discover, MessageType::Offer, MessageType::Request, MessageType::Acknowledge]
    {
        let bytes = lease.message(message);
        let from_server = matches!(message, MessageType::Offer | MessageType::Acknowledge);
        let (from, ports) = if from_server {
            (&server, (dhcp::SERVER_PORT, dhcp::CLIENT_PORT))
        } else {
            (&nobody, (dhcp::CLIENT_PORT, dhcp::SERVER_PORT))
        };
        scene.udp(from, &broadcast, ports, &bytes, bytes.len());
        scene.wait_us(30_000);
    }
}

/// Request for the gateway's address and its reply, and the gateway's request for the device.
fn resolve_gateway(scene: &mut Scene<'_>, device: &Device) {
    let (own, gateway) = (scene.v4(device), scene.gateway(device));
    ask(scene, &own, &gateway, device.vlan);
    scene.wait_us(40_000);
    ask(scene, &gateway, &own, device.vlan);
}

/// ARP request of one node for another's address, and the reply.
fn ask(scene: &mut Scene<'_>, from: &Node, to: &Node, vlan: u16) {
    let request = Arp {
        operation: Operation::Request,
        sender: (from.mac, own_v4(from)),
        target: (Mac::ZERO, own_v4(to)),
    };
    scene.arp(&request, vlan);
    scene.wait_us(300);
    let reply =
        Arp { operation: Operation::Reply, sender: (to.mac, own_v4(to)), target: (from.mac, own_v4(from)) };
    scene.arp(&reply, vlan);
}

/// Solicitation of routers, duplicate address detection for the temporary address of the day, resolution of the router.
fn configure_v6(scene: &mut Scene<'_>, device: &Device) {
    let node = scene.v6(device);
    let local = Node { ip: scene.house.link_local(device, scene.now).into(), ..node };
    let routers = scene.group(device, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).into());
    let source = [&[1, 1][..], &node.mac.0].concat();
    icmp6(scene, &local, &routers, &[&[133, 0, 0, 0, 0, 0, 0, 0], &source[..]].concat());
    scene.wait_us(20_000);
    let IpAddr::V6(target) = node.ip else { return };
    let [.., a, b, c] = target.octets();
    let solicited =
        Ipv6Addr::from_bits((0xff02 << 112) | 0x1_ff00_0000 | u128::from(u32::from_be_bytes([0, a, b, c])));
    let group = scene.group(device, solicited.into());
    let unspecified = Node { ip: Ipv6Addr::UNSPECIFIED.into(), ..node };
    let solicitation = [&[135, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..]].concat();
    icmp6(scene, &unspecified, &group, &solicitation);
    scene.wait_us(900_000);
    // The router asks for the device, which answers (RFC 4861 section 7.2).
    let router = router_v6(scene, device);
    let source = [&[1, 1][..], &router.mac.0].concat();
    icmp6(scene, &router, &group, &[&solicitation[..], &source].concat());
    let target_mac = [&[2, 1][..], &node.mac.0].concat();
    let advertisement = [&[136, 0, 0, 0, 0x60, 0, 0, 0], &target.octets()[..], &target_mac].concat();
    icmp6(scene, &node, &router, &advertisement);
}

fn router_v6(scene: &Scene<'_>, device: &Device) -> Node {
    let gateway = scene.gateway(device);
    let [a, b, c, d, e, f] = gateway.mac.0;
    let interface = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Node { ip: Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(interface)).into(), ..gateway }
}

/// Neighbour discovery message, hop limit 255.
fn icmp6(scene: &mut Scene<'_>, from: &Node, to: &Node, message: &[u8]) {
    scene.packet_with_ttl(from, to, protocol::ICMPV6, 255, (message, message.len()));
}

/// Router advertisement each 200 to 600 s (RFC 4861 section 6.2.1), with the prefix.
fn advertise(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    let router = router_v6(scene, device);
    let everybody = scene.group(device, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into());
    let IpAddr::V6(inside) = scene.v6(device).ip else { return None };
    let prefix = Ipv6Addr::from_bits(inside.to_bits() & !u128::from(u64::MAX));
    let message = [
        &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0],
        &prefix.octets(),
        &[1, 1],
        &router.mac.0,
    ]
    .concat();
    icmp6(scene, &router, &everybody, &message);
    Some(scene.random.within(200 * SECOND..600 * SECOND))
}

/// A guest comes and leaves; later the server leases the address to another guest, and after that to the first again.
fn release_to_another(scene: &mut Scene<'_>, first: &Device, second: &Device) {
    let (old, gateway) = (scene.v4(first), scene.gateway(first));
    for guest in [first, second, first] {
        let own = Node { mac: scene.v4(guest).mac, ..old };
        let lease = Lease {
            transaction: scene.random.word(),
            client: own.mac,
            address: own_v4(&old),
            server: own_v4(&gateway),
            seconds: 600,
        };
        exchange_lease(scene, guest, &lease);
        scene.arp(&Arp::probe(own.mac, lease.address), guest.vlan);
        scene.wait_us(900_000);
        scene.arp(&Arp::announcement(own.mac, lease.address), guest.vlan);
        ask(scene, &own, &gateway, guest.vlan);
        scene.wait_s(3_600);
    }
}

/// A device walks between the router's own radio and a repeater that puts its MAC address in place of its clients' (three-address
/// bridging): the address moves without a lease.
fn roaming(device: Device, repeater: Device) -> impl FnMut(&mut Scene<'_>) -> Option<u64> {
    let mut is_behind = false;
    move |scene| {
        let (own, gateway) = (scene.v4(&device), scene.gateway(&device));
        let mac = if is_behind { own.mac } else { scene.v4(&repeater).mac };
        is_behind = !is_behind;
        ask(scene, &Node { mac, ..own }, &gateway, device.vlan);
        Some(scene.pause(2))
    }
}

/// VRRP (RFC 9568) or CARP: the master's advertisements each second for a minute, then the other machine's, with the virtual MAC
/// address and a gratuitous ARP.
fn virtual_router(pair: [Device; 2], is_carp: bool) -> impl FnMut(&mut Scene<'_>) -> Option<u64> {
    let mut master = 0;
    move |scene| {
        let [first, second] = pair;
        let device = if master == 0 { first } else { second };
        let own = scene.v4(&device);
        let address =
            Ipv4Addr::new(own_v4(&own).octets()[0], own_v4(&own).octets()[1], own_v4(&own).octets()[2], 5);
        let shared = Mac([0, 0, 0x5e, 0, 1, if is_carp { 7 } else { 9 }]);
        scene.arp(&Arp::announcement(shared, address), 0);
        let group = scene.group(&device, Ipv4Addr::new(224, 0, 0, 18).into());
        for _ in 0..60 {
            let message = [0x21, 9, 100, 1, 1, 1, 0, 0];
            let from = Node { mac: shared, ..own };
            scene.packet_with_ttl(&from, &group, VRRP, 255, (&message, 20));
            scene.wait_s(1);
        }
        if scene.random.chance(2) {
            master = 1 - master;
        }
        Some(1_000)
    }
}

/// Keepalived without virtual MAC addresses (its default), or heartbeat: at a failover the new owner announces the address five times
/// with its own MAC address; later it goes back.
fn keepalived(pair: [Device; 2]) -> impl FnMut(&mut Scene<'_>) -> Option<u64> {
    let mut owner = 0;
    move |scene| {
        let [first, second] = pair;
        let node = scene.v4(if owner == 0 { &first } else { &second });
        let [a, b, c, _] = own_v4(&node).octets();
        for _ in 0..5 {
            scene.arp(&Arp::announcement(node.mac, Ipv4Addr::new(a, b, c, 6)), 0);
            scene.wait_us(100_000);
        }
        owner = 1 - owner;
        Some(scene.random.within(2 * HOUR..8 * HOUR))
    }
}

/// Guests and cameras in VLANs of their own, where the gateway has the address that it has in the main network.
fn two_vlans(scene: &mut Scene<'_>, guests: &[Device; 2]) -> Option<u64> {
    for guest in guests {
        let (own, gateway) = (scene.v4(guest), scene.gateway(guest));
        ask(scene, &own, &gateway, guest.vlan);
        scene.lookup(guest, "connectivity.check.example.com", 1, &[]);
    }
    Some(scene.random.within(5 * MINUTE..25 * MINUTE))
}

/// A gateway with proxy ARP (RFC 1027) answers for a host that is here as well: two replies to one request.
fn proxy_arp(scene: &mut Scene<'_>, host: &Device) -> Option<u64> {
    let (own, gateway) = (scene.v4(host), scene.gateway(host));
    ask(scene, &gateway, &own, host.vlan);
    scene.wait_us(1_500);
    let reply = Arp {
        operation: Operation::Reply,
        sender: (gateway.mac, own_v4(&own)),
        target: (gateway.mac, own_v4(&gateway)),
    };
    scene.arp(&reply, host.vlan);
    Some(scene.random.within(30 * MINUTE..3 * HOUR))
}
