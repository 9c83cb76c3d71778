//! Entertainment and discovery: televisions, tuners, speakers, and how devices find each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::house::{Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::{Tcp, Way};
use crate::application::dns::{self, Answer, record};
use crate::application::tls;
use crate::packet::protocol;

const MDNS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const MDNS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const SSDP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const LLMNR: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 252);
const SSDP_PORT: u16 = 1_900;
const WSD_PORT: u16 = 3_702;

const NAMES: [&str; 4] = ["speaker", "tv", "printer", "hub"];
/// Ports at which devices offer their `UPnP` description.
const DESCRIPTION_PORTS: [u16; 16] = [
    1_400, 8_060, 49_152, 49_153, 7_676, 9_197, 2_869, 5_000, 8_200, 1_990, 56_789, 8_008, 9_080, 16_422,
    52_235, 60_006,
];

pub(super) fn devices(builder: &mut Builder) {
    let mut all = Vec::new();
    for _ in 0..builder.random.within(1..3) {
        let television = builder.device();
        all.push(television);
        builder.add(Behaviour::Television, 6 * HOUR, move |scene| television_evening(scene, &television));
    }
    for _ in 0..builder.random.within(1..6) {
        all.push(builder.device());
    }
    for device in &all {
        let device = *device;
        builder.add(Behaviour::Discovery, 10 * MINUTE, move |scene| announce(scene, &device));
    }
    let seeker = builder.device();
    let found = all.clone();
    builder.add(Behaviour::Discovery, 20 * MINUTE, move |scene| search(scene, &seeker, &found));
    if builder.random.chance(60) {
        let (computer, printer) = (builder.device(), builder.device());
        builder.add(Behaviour::Discovery, 10 * MINUTE, move |scene| announce(scene, &printer));
        let finds_by_scan = builder.random.chance(30);
        builder.add(Behaviour::PrinterDriver, 2 * HOUR, move |scene| {
            printer_driver(scene, &computer, &printer, finds_by_scan)
        });
    }
    if builder.random.chance(15) {
        let (tuner, television) = (builder.device(), builder.device());
        builder.add(Behaviour::IptvUnicast, 8 * HOUR, move |scene| tuner_stream(scene, &tuner, &television));
    }
    if builder.random.chance(40) {
        let television = builder.device();
        builder.add(Behaviour::Multicast, HOUR, move |scene| multicast(scene, &television));
    }
}

/// Segments of 4 s at 5 Mbit/s (Rao et al., `CoNEXT` 2011: streaming alternates between a burst and silence); 25 of them stand for an
/// evening.
fn television_evening(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !(scene.hour() >= 17 && scene.hour() < 24) {
        return Some(scene.pause(1));
    }
    let server = scene.random.within(80_000..80_400);
    let name = format!("ipv4-c{server}-ix.video.example.com");
    scene.resolve(device, &name, server);
    let (from, to) = (scene.v4(device), scene.server(device, server, false));
    let mut connection = Tcp::new(scene, from, to, tls::PORT);
    if connection.open(scene) {
        let hello = tls::client_hello(&name, scene.random);
        connection.message(scene, Way::Up, &hello, hello.len());
        let segment = if scene.house.merges { 2_500_000 } else { 600_000 };
        let mut left = 25;
        scene.spawn(Box::new(move |scene| {
            let begin = scene.now;
            connection.message(scene, Way::Up, &[0x17, 3, 3], 900);
            connection.bulk(scene, Way::Down, segment, 40_000_000);
            left -= 1;
            scene.now = begin;
            (left > 0).then_some(4 * SECOND)
        }));
    }
    Some(scene.random.within(HOUR..4 * HOUR))
}

/// A channel of 19.4 Mbit/s (ATSC A/53) in datagrams of seven transport-stream packets: 1,840 a second, which nobody answers.
fn tuner_stream(scene: &mut Scene<'_>, tuner: &Device, television: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let port = scene.random.ephemeral_port();
    let mut left = 12;
    let (tuner, television) = (*tuner, *television);
    scene.spawn(Box::new(move |scene| {
        let (from, to, begin) = (scene.v4(&tuner), scene.v4(&television), scene.now);
        for index in 0..1_840 {
            scene.now = begin + index * SECOND / 1_840;
            scene.udp(&from, &to, (49_000, port), &[0x47, 0, 0x11, 0x10], 1_316);
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(SECOND)
    }));
    Some(scene.random.within(4 * HOUR..12 * HOUR))
}

/// mDNS announcement in both families, SSDP notifications of each service (`UPnP` Device Architecture 2.0 section 1.2: at least
/// every 1,800 s), and a `NetBIOS` host announcement.
fn announce(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    let from = scene.v4(device);
    let IpAddr::V4(own) = from.ip else { return None };
    let name = format!(
        "{}-{}.local",
        NAMES.get(usize::from(device.number % 4)).copied().unwrap_or("hub"),
        device.number
    );
    let message = dns::announcement(&name, &Answer::A(own));
    let port = dns::MULTICAST_PORT;
    let group = scene.group(device, MDNS.into());
    scene.udp(&from, &group, (port, port), &message, message.len());
    let v6 = scene.house.link_local(device, scene.now);
    let (from_v6, group) =
        (super::frame::Node { ip: v6.into(), ..from }, scene.group(device, MDNS_V6.into()));
    scene.udp(&from_v6, &group, (port, port), &message, message.len());
    let group = scene.group(device, SSDP.into());
    for service in 0..scene.random.within(3..9) {
        let text = format!(
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: urn:x:service:{service}\r\nNTS: ssdp:alive\r\n\r\n"
        );
        scene.udp(&from, &group, (1_900, SSDP_PORT), text.as_bytes(), text.len());
        scene.wait_us(80_000);
    }
    if device.number.is_multiple_of(3) {
        let broadcast = scene.group(device, scene.house.broadcast(scene.now).into());
        scene.udp(&from, &broadcast, (138, 138), &[0x11, 2, 3, 4], 201);
    }
    Some(scene.random.within(8 * MINUTE..15 * MINUTE))
}

/// A control point: M-SEARCH, to which every device responds from a port of its choice; then the description of each, at its own
/// port. LLMNR, `NetBIOS` and WSD searches of the same computer.
fn search(scene: &mut Scene<'_>, seeker: &Device, found: &[Device]) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let from = scene.v4(seeker);
    let port = scene.random.ephemeral_port();
    let text = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n";
    for (group, group_port) in [(SSDP, SSDP_PORT), (SSDP, WSD_PORT)] {
        let group = scene.group(seeker, group.into());
        scene.udp(&from, &group, (port, group_port), text.as_bytes(), text.len());
    }
    for device in found {
        let to = scene.v4(device);
        for service in 0..4_u16 {
            let own_port = if device.number.is_multiple_of(2) { SSDP_PORT } else { 50_000 + service };
            scene.udp(&to, &from, (own_port, port), b"HTTP/1.1 200 OK\r\n", 340);
            scene.wait_us(30_000);
        }
        for service in 0..2_usize {
            let index = usize::from(device.number) * 2 + service;
            let port = DESCRIPTION_PORTS.get(index % DESCRIPTION_PORTS.len()).copied().unwrap_or(80);
            let request = format!("GET /description{service}.xml HTTP/1.1\r\nHost: {}\r\n\r\n", to.ip);
            Tcp::new(scene, from, to, port).request(scene, request.as_bytes(), request.len(), 3_500);
        }
    }
    let query = dns::query(scene.random.half(), "wpad", record::A);
    let group = scene.group(seeker, LLMNR.into());
    for _ in 0..2 {
        let source = scene.random.ephemeral_port();
        scene.udp(&from, &group, (source, 5_355), &query, query.len());
        scene.wait_us(410_000);
    }
    let broadcast = scene.group(seeker, scene.house.broadcast(scene.now).into());
    for _ in 0..3 {
        scene.udp(&from, &broadcast, (137, 137), &[0x81, 0x10, 1, 0x10], 50);
        scene.wait_us(750_000);
    }
    let query = dns::query(0, "_googlecast._tcp.local", record::PTR);
    let group = scene.group(seeker, MDNS.into());
    scene.udp(&from, &group, (dns::MULTICAST_PORT, dns::MULTICAST_PORT), &query, query.len());
    Some(scene.pause(4))
}

/// SNMP requests to the printer, its status and its ports (raw printing, LPD, IPP, HTTP, WSD), half of which are closed. Some drivers look
/// for a printer that moved at every address of the network.
fn printer_driver(
    scene: &mut Scene<'_>,
    computer: &Device,
    printer: &Device,
    finds_by_scan: bool,
) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let (from, to) = (scene.v4(computer), scene.v4(printer));
    let get = [0x30, 0x26, 2, 1, 0, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x19];
    if finds_by_scan && scene.random.chance(40) {
        let IpAddr::V4(own) = from.ip else { return None };
        let [a, b, c, _] = own.octets();
        let port = scene.random.ephemeral_port();
        for last in 1..255 {
            // Nobody has most of these addresses: the computer asks by ARP first, and sends to those that answer.
            if last == printer.number {
                scene.udp_exchange(&from, &to, (port, 161), 2_000, ((&get, 40), (&get, 90)));
            } else {
                let request = crate::packet::Arp {
                    operation: crate::packet::Operation::Request,
                    sender: (from.mac, own),
                    target: (sentinel_units::Mac::ZERO, Ipv4Addr::new(a, b, c, last)),
                };
                scene.arp(&request, computer.vlan);
            }
            scene.wait_us(8_000);
        }
    }
    for _ in 0..5 {
        let port = scene.random.ephemeral_port();
        scene.udp_exchange(&from, &to, (port, 161), 3_000, ((&get, 40), (&get, 90)));
        scene.wait_us(40_000);
    }
    for (port, is_open) in [
        (9_100, true),
        (515, false),
        (631, true),
        (80, true),
        (443, false),
        (8_080, false),
        (5_357, true),
        (3_910, true),
        (3_911, false),
        (8_290, false),
        (9_101, false),
        (9_102, false),
        (21, false),
        (23, false),
        (7_627, true),
        (6_839, false),
        (139, false),
    ] {
        let mut connection = Tcp::new(scene, from, to, port);
        if is_open {
            connection.request(scene, b"GET / HTTP/1.1\r\n\r\n", 60, 800);
        } else {
            connection.refused(scene);
        }
        scene.wait_us(120_000);
    }
    Some(scene.pause(1))
}

/// IGMP membership report and MLD report, then a multicast channel of 8 Mbit/s.
fn multicast(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    let from = scene.v4(device);
    let channel = scene.group(device, Ipv4Addr::new(239, 35, 20, 10).into());
    scene.packet_with_ttl(&from, &channel, 2, 1, (&[0x16, 0, 0xf9, 0xe9, 239, 35, 20, 10], 8));
    let v6 = super::frame::Node { ip: scene.house.link_local(device, scene.now).into(), ..from };
    let routers = scene.group(device, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16).into());
    scene.packet_with_ttl(&v6, &routers, protocol::ICMPV6, 1, (&[143, 0, 0, 0, 0, 0, 0, 0], 28));
    if scene.is_awake() {
        let source = scene.server(device, 96_000, false);
        let begin = scene.now;
        for index in 0..4 * 760 {
            scene.now = begin + index * SECOND / 760;
            scene.udp(&source, &channel, (5_000, 10_000), &[0x80, 0x21], 1_316);
        }
    }
    Some(scene.random.within(20 * MINUTE..HOUR))
}
