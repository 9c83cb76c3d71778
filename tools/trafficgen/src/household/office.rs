//! Home servers and small offices: monitoring, exporters, provisioning, databases, automation, visitors, mail.

use std::net::Ipv4Addr;

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::house::{DAY, Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::{Tcp, Way};
use crate::application::dns::{Answer, record};
use crate::application::tls;

pub(super) fn devices(builder: &mut Builder) {
    if builder.random.chance(30) {
        monitoring(builder);
    }
    if builder.random.chance(25) {
        let (router, collector) = (builder.device(), builder.device());
        let is_busy = builder.random.chance(30);
        builder.add(Behaviour::Exporter, MINUTE, move |scene| exporter(scene, &router, &collector, is_busy));
    }
    if builder.random.chance(20) {
        let (phone, server) = (builder.device(), builder.device());
        builder.add(Behaviour::Netboot, 10 * HOUR, move |scene| netboot(scene, &phone, &server));
    }
    if builder.random.chance(25) {
        let (application, database) = (builder.device(), builder.device());
        let port = *[5_432, 3_306, 1_433, 6_379].get(builder.random.length(0..4)).unwrap_or(&5_432);
        builder.add(Behaviour::ConnectionPool, 4 * HOUR, move |scene| {
            pool(scene, &application, &database, port)
        });
    }
    if builder.random.chance(15) {
        let (control, target) = (builder.device(), builder.device());
        builder.add(Behaviour::SshAutomation, 8 * HOUR, move |scene| automation(scene, &control, &target));
    }
    if builder.random.chance(20) {
        let server = builder.device();
        builder.add(Behaviour::FlashCrowd, 16 * HOUR, move |scene| flash_crowd(scene, &server));
    }
    if builder.random.chance(20) {
        let server = builder.device();
        builder.add(Behaviour::GameServer, 8 * HOUR, move |scene| game_server(scene, &server));
    }
    if builder.random.chance(15) {
        let server = builder.device();
        builder.add(Behaviour::Blocklists, HOUR, move |scene| blocklists(scene, &server));
    }
}

/// Twenty hosts that a monitor asks: some are off, as printers and laptops are.
fn monitoring(builder: &mut Builder) {
    let monitor = builder.device();
    let hosts: Vec<Device> = (0..builder.random.within(4..12)).map(|_| builder.device()).collect();
    let (pinged, checked) = (hosts.clone(), hosts);
    let is_smokeping = builder.random.chance(40);
    builder.add(Behaviour::Pings, MINUTE, move |scene| pings(scene, &monitor, &pinged, is_smokeping));
    builder.add(Behaviour::Checks, MINUTE, move |scene| checks(scene, &monitor, &checked));
}

/// Echo requests: one to each host every ten seconds, or `SmokePing`'s default of twenty to each target within some seconds, each
/// 300 s.
fn pings(scene: &mut Scene<'_>, monitor: &Device, hosts: &[Device], is_smokeping: bool) -> Option<u64> {
    let from = scene.v4(monitor);
    let begin = scene.now;
    let rounds = if is_smokeping { 20 } else { 1 };
    for round in 0..rounds {
        for (index, host) in (0_u16..).zip(hosts) {
            scene.now = begin + u64::from(round) * 110_000 + u64::from(index) * 10_000;
            let to = scene.v4(host);
            scene.ping(&from, &to, (index, round), !host.number.is_multiple_of(7));
        }
        for index in 0..6_u64 {
            scene.now = begin + u64::from(round) * 110_000 + 60_000 + index * 5_000;
            let to = scene.server(monitor, 99_000 + index, false);
            scene.ping(&from, &to, (100, round), true);
        }
    }
    Some(if is_smokeping { 300 * SECOND } else { 10 * SECOND })
}

/// Checks of services each minute: a few ports of each host, SNMP, and names outside; hosts that are off do not answer, stopped services
/// refuse.
fn checks(scene: &mut Scene<'_>, monitor: &Device, hosts: &[Device]) -> Option<u64> {
    let from = scene.v4(monitor);
    for host in hosts {
        let to = scene.v4(host);
        let is_off = host.number.is_multiple_of(7);
        for port in [22, 80, 443, 9_100, 3_000, 8_123] {
            let mut connection = Tcp::new(scene, from, to, port);
            match (is_off, u16::from(host.number).wrapping_add(port) % 5) {
                (true, _) => connection.unanswered(scene),
                (false, 0) => connection.refused(scene),
                _ => {
                    connection.request(scene, b"GET /metrics HTTP/1.1\r\n\r\n", 120, 4_000);
                }
            }
            scene.wait_us(25_000);
        }
        if !is_off {
            let port = scene.random.ephemeral_port();
            scene.udp_exchange(
                &from,
                &to,
                (port, 161),
                2_000,
                ((&[0x30, 0x26, 2, 1, 1], 43), (&[0x30, 0x40, 2, 1, 1], 80)),
            );
        }
    }
    Some(MINUTE)
}

/// Records that nobody answers: syslog on port 514, `NetFlow` on 2055, sFlow on 6343; on a busy router in bursts of 1,500 datagrams a
/// second.
fn exporter(scene: &mut Scene<'_>, router: &Device, collector: &Device, is_busy: bool) -> Option<u64> {
    let (from, to) = (scene.v4(router), scene.v4(collector));
    let burst = if is_busy && scene.random.chance(3) { 12_000 } else { scene.random.within(4..60) };
    for index in 0..burst {
        let (port, head): (u16, &[u8]) = match index % 3 {
            0 => (514, b"<134>1 2024-01-01T00:00:00Z router kernel"),
            1 => (2_055, &[0, 9, 0, 12]),
            _ => (6_343, &[0, 0, 0, 5]),
        };
        scene.udp(&from, &to, (41_000 + index_port(port), port), head, 600);
        scene.wait_us(650);
    }
    Some(scene.random.within(10 * SECOND..40 * SECOND))
}

const fn index_port(port: u16) -> u16 {
    port % 97
}

/// PXE (DHCP with boot options, TFTP by RFC 1350: the server chooses a port for each file), or a telephone that fetches its
/// configuration: twenty files, half of which do not exist.
fn netboot(scene: &mut Scene<'_>, client: &Device, server: &Device) -> Option<u64> {
    let (from, to) = (scene.v4(client), scene.v4(server));
    for file in 0..20_u16 {
        let (port, server_port) = (scene.random.ephemeral_port(), scene.random.ephemeral_port());
        scene.udp(&from, &to, (port, 69), b"\0\x01pxelinux.cfg/01-02-03\0octet\0", 40);
        scene.wait_us(2_000);
        if file % 2 == 0 {
            scene.udp(&to, &from, (server_port, port), b"\0\x05\0\x01File not found\0", 19);
            continue;
        }
        for block in 0..40_u16 {
            let [high, low] = block.to_be_bytes();
            scene.udp(&to, &from, (server_port, port), &[0, 3, high, low], 516);
            scene.wait_us(300);
            scene.udp(&from, &to, (port, server_port), &[0, 4, high, low], 4);
        }
        scene.wait_us(100_000);
    }
    Some(scene.random.within(8 * HOUR..24 * HOUR))
}

/// An application starts: a pool of 20 to 80 connections in a second (`HikariCP`: 10 for each process), then one each time a connection
/// is too old, or, without a pool, one for each request of a web page.
fn pool(scene: &mut Scene<'_>, application: &Device, database: &Device, port: u16) -> Option<u64> {
    let (from, to) = (scene.v4(application), scene.v4(database));
    for _ in 0..scene.random.within(20..80) {
        let begin = scene.now;
        Tcp::new(scene, from, to, port).request(scene, &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], 300, 900);
        let gap_us = scene.random.within(3_000..60_000);
        scene.now = begin + gap_us;
    }
    Some(scene.random.within(3 * HOUR..12 * HOUR))
}

/// A configuration tool or a loop of copies: one SSH connection for each task, one or two a second, each with a key and a short
/// answer.
fn automation(scene: &mut Scene<'_>, control: &Device, target: &Device) -> Option<u64> {
    let (from, to) = (scene.v4(control), scene.v4(target));
    for _ in 0..scene.random.within(15..70) {
        let mut connection = Tcp::new(scene, from, to, 22);
        connection.open(scene);
        connection.message(scene, Way::Up, b"SSH-2.0-OpenSSH_9.2\r\n", 21);
        connection.message(scene, Way::Down, b"SSH-2.0-OpenSSH_9.2\r\n", 21);
        for _ in 0..6 {
            connection.message(scene, Way::Up, &[0; 16], 700);
            connection.message(scene, Way::Down, &[0; 16], 900);
        }
        connection.close(scene);
        let gap_us = scene.random.within(200_000..900_000);
        scene.wait_us(gap_us);
    }
    Some(scene.random.within(6 * HOUR..24 * HOUR))
}

/// A page of a home server is linked somewhere: 600 visitors within half a minute, each with two connections that complete.
fn flash_crowd(scene: &mut Scene<'_>, server: &Device) -> Option<u64> {
    let to = scene.v4(server);
    let begin = scene.now;
    for _ in 0..600 {
        let offset = scene.random.within(0..30 * SECOND);
        scene.now = begin + offset;
        let visitor = scene.stranger(server);
        if scene.is_cut_off(&visitor, &to) {
            break;
        }
        for _ in 0..2 {
            let hello = tls::client_hello("home.example.net", scene.random);
            Tcp::new(scene, visitor, to, tls::PORT).request(scene, &hello, 900, 24_000);
        }
    }
    scene.now = begin;
    Some(DAY)
}

/// Eight players from outside, 20 datagrams a second each way, and the list server's probes.
fn game_server(scene: &mut Scene<'_>, server: &Device) -> Option<u64> {
    let players: Vec<_> = (0..8).map(|_| (scene.stranger(server), scene.random.ephemeral_port())).collect();
    let server = *server;
    let mut left = 120;
    scene.spawn(Box::new(move |scene| {
        let (own, begin) = (scene.v4(&server), scene.now);
        for tick in 0..20 {
            for (player, port) in &players {
                scene.now = begin + tick * 50_000 + u64::from(*port) % 40_000;
                if !scene.is_cut_off(player, &own) {
                    scene.udp(player, &own, (*port, 19_132), &[0x84; 12], 90);
                    scene.udp(&own, player, (19_132, *port), &[0x84; 12], 420);
                }
            }
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(SECOND)
    }));
    Some(scene.random.within(6 * HOUR..20 * HOUR))
}

/// A mail server asks lists of senders for each message: names of four numbers under three domains, most of which do not exist, and
/// the reverse name of the sender in both families.
fn blocklists(scene: &mut Scene<'_>, server: &Device) -> Option<u64> {
    for _ in 0..scene.random.within(1..12) {
        let [a, b, c, d] = scene.random.word().to_be_bytes();
        for list in ["zen.blocklist.example.org", "bl.score.example.net", "dnsbl.sender.example.com"] {
            let answer = Answer::A(Ipv4Addr::new(127, 0, 0, 2));
            let listed = [answer];
            let answers = if scene.random.chance(30) { &listed[..] } else { &[] };
            scene.lookup(server, &format!("{d}.{c}.{b}.{a}.{list}"), record::A, answers);
        }
        scene.lookup(server, &format!("{d}.{c}.{b}.{a}.in-addr.arpa"), record::PTR, &[]);
        let nibbles: String = scene
            .random
            .bytes(8)
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|nibble| format!("{nibble:x}."))
            .collect();
        let reverse = format!("{nibbles}8.b.d.0.1.0.0.2.0.0.0.0.0.0.0.0.ip6.arpa");
        scene.lookup(server, &reverse, record::PTR, &[]);
        scene.wait_us(300_000);
    }
    Some(scene.pause(30))
}
