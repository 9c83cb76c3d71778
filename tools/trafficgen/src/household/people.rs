//! People: browsing, push connections, mail, calls, games, speed tests, traceroutes.

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::frame::Node;
use super::house::{Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::{Tcp, Way};
use crate::application::tls;
use crate::packet::protocol;

/// A person with a phone, and mostly a computer.
pub(super) fn person(builder: &mut Builder) {
    let is_random = builder.random.chance(60);
    let phone = builder.device_with(0, is_random);
    builder.add(Behaviour::Web, HOUR, move |scene| browse(scene, &phone, 4));
    builder.add(Behaviour::Push, 10 * MINUTE, push(phone));
    if builder.random.chance(85) {
        let computer = builder.device();
        let pages_per_hour = builder.random.within(3..14);
        builder.add(Behaviour::Web, HOUR, move |scene| browse(scene, &computer, pages_per_hour));
        builder.add(Behaviour::BrowserProbes, 3 * HOUR, move |scene| browser_probes(scene, &computer));
        builder.add(Behaviour::Mail, 5 * MINUTE, move |scene| mail(scene, &computer));
        if builder.random.chance(50) {
            builder.add(Behaviour::VideoCall, 8 * HOUR, move |scene| video_call(scene, &computer));
        }
        if builder.random.chance(20) {
            builder.add(Behaviour::SpeedTest, 20 * HOUR, move |scene| speed_test(scene, &computer));
        }
        if builder.random.chance(20) {
            builder.add(Behaviour::Traceroute, 12 * HOUR, move |scene| traceroute(scene, &computer));
        }
        if builder.random.chance(30) {
            builder.add(Behaviour::Antivirus, HOUR, move |scene| antivirus(scene, &computer));
        }
    }
    if builder.random.chance(25) {
        let console = builder.device();
        builder.add(Behaviour::Game, 10 * HOUR, move |scene| game(scene, &console));
    }
}

/// A page now and then while people are awake: HTTP Archive, State of the Web 2024: 70 requests and 2.6 MB in the median page, from
/// about a dozen hosts. Here with a fifth of the bytes.
fn browse(scene: &mut Scene<'_>, device: &Device, pages_per_hour: u64) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(2));
    }
    let hosts = scene.random.within(3..16);
    let first = scene.random.within(0..60_000);
    for number in 0..hosts {
        let server = if number == 0 { first } else { scene.random.within(0..3_000) };
        let name = host_name(scene, server);
        let begin = scene.now;
        if scene.resolve(device, &name, server) || scene.house.outage.is_some() {
            let connections = scene.random.within(1..4);
            (0..connections).for_each(|_| fetch(scene, device, server, &name));
        }
        // Hosts are contacted side by side.
        scene.now = begin + scene.random.within(5_000..250_000);
    }
    Some(scene.pause(pages_per_hour))
}

fn host_name(scene: &mut Scene<'_>, server: u64) -> String {
    let kind =
        scene.random.pick(&["www", "cdn", "static", "api", "img", "consent", "metrics", "fonts"], "www");
    match scene.random.within(0..10) {
        // Content networks name a customer or a node by a hash.
        0 => format!("d{}.cloudfront.example.net", scene.random.base32(13)),
        1 => format!(
            "rr{server}---sn-{}-{}.googlevideo.example.com",
            scene.random.base32(8),
            scene.random.base32(4)
        ),
        _ => format!("{kind}.site{server}.example.org"),
    }
}

/// One connection for part of a page, by QUIC, IPv6 or IPv4. A browser that gets no answer over IPv6 tries IPv4 after 250 ms (RFC
/// 8305 section 5).
fn fetch(scene: &mut Scene<'_>, device: &Device, server: u64, name: &str) {
    let wants_v6 = scene.random.chance(45);
    if wants_v6 && scene.house.has_broken_v6 {
        let (from, to) = (scene.v6(device), scene.server(device, server, true));
        scene.under(Behaviour::BrokenIpv6, |scene| Tcp::new(scene, from, to, tls::PORT).unanswered(scene));
        scene.wait_us(250_000);
    }
    let v6 = wants_v6 && !scene.house.has_broken_v6;
    let from = if v6 { scene.v6(device) } else { scene.v4(device) };
    let to = scene.server(device, server, v6);
    let bytes = scene.random.within(2_000..70_000);
    if scene.random.chance(35) {
        return quic(scene, &from, &to, bytes);
    }
    let mut connection = Tcp::new(scene, from, to, tls::PORT);
    if !connection.open(scene) {
        return;
    }
    let hello = tls::client_hello(name, scene.random);
    connection.message(scene, Way::Up, &hello, hello.len());
    connection.message(scene, Way::Down, &[0x16, 3, 3], 3_400);
    let request = usize::try_from(scene.random.within(200..1_800)).unwrap_or(200);
    connection.message(scene, Way::Up, &[0x17, 3, 3], request);
    connection.transfer(scene, Way::Down, bytes, 25_000_000);
}

/// QUIC: full first datagrams (RFC 9000 section 14.1), then short headers.
fn quic(scene: &mut Scene<'_>, from: &Node, to: &Node, bytes: u64) {
    let ports = (scene.random.ephemeral_port(), tls::PORT);
    let first = [&[0xc3, 0, 0, 0, 1, 8][..], &scene.random.bytes(60)].concat();
    scene.udp_exchange(from, to, ports, 20_000, ((&first, 1_200), (&first, 1_200)));
    if scene.is_cut_off(from, to) {
        for wait_s in [1, 2] {
            scene.wait_s(wait_s);
            scene.udp(from, to, ports, &first, 1_200);
        }
        return;
    }
    for index in 0..bytes / 1_200 {
        scene.wait_us(300);
        scene.udp(to, from, (ports.1, ports.0), &[0x45; 20], 1_200);
        if index % 3 == 0 {
            scene.udp(from, to, ports, &[0x45; 20], 33);
        }
    }
}

/// Chromium asks for three random names of 7 to 15 letters when it starts or the network changes, to find resolvers that lie about
/// names which do not exist.
fn browser_probes(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if scene.is_awake() {
        for _ in 0..3 {
            let length = scene.random.length(7..16);
            let letters: String = (0..length)
                .map(|_| char::from(b'a' + u8::try_from(scene.random.within(0..26)).unwrap_or(0)))
                .collect();
            scene.lookup(device, &letters, 1, &[]);
            scene.wait_us(2_000);
        }
    }
    Some(scene.random.within(2 * HOUR..6 * HOUR))
}

/// One connection to the push service, a keep-alive every 15 to 28 minutes, a message now and then, for as long as the household
/// lasts.
fn push(phone: Device) -> impl FnMut(&mut Scene<'_>) -> Option<u64> {
    let mut connection: Option<Tcp> = None;
    let mut day = 0;
    move |scene| {
        let (from, to) = (scene.v4(&phone), scene.server(&phone, 90_000, false));
        let today = scene.house.day(scene.now);
        if connection.is_none() || day != today || scene.is_cut_off(&from, &to) {
            day = today;
            let mut new = Tcp::new(scene, from, to, 5_223);
            connection = new.open(scene).then_some(new);
            return Some(scene.random.within(30 * SECOND..2 * MINUTE));
        }
        if let Some(connection) = &mut connection {
            connection.message(scene, Way::Up, &[0x17, 3, 3], 64);
            connection.message(scene, Way::Down, &[0x17, 3, 3], 64);
        }
        Some(scene.random.within(15 * MINUTE..28 * MINUTE))
    }
}

/// Thunderbird's and Outlook's defaults: a check every five or ten minutes, with a connection for each of up to five folders.
fn mail(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(30 * MINUTE);
    }
    scene.resolve(device, "imap.mail.example.org", 91_000);
    for _ in 0..4 {
        let (from, to) = (scene.v4(device), scene.server(device, 91_000, false));
        let hello = tls::client_hello("imap.mail.example.org", scene.random);
        let bytes = scene.random.length(4_000..30_000);
        Tcp::new(scene, from, to, 993).request(scene, &hello, 900, bytes);
        scene.wait_us(60_000);
    }
    if scene.random.chance(4) {
        let (from, to) = (scene.v4(device), scene.server(device, 91_001, false));
        let mut connection = Tcp::new(scene, from, to, 587);
        if connection.open(scene) {
            let bytes =
                if scene.random.chance(15) { scene.random.within(1_000_000..12_000_000) } else { 60_000 };
            connection.transfer(scene, Way::Up, bytes, 15_000_000);
        }
    }
    Some(5 * MINUTE)
}

/// Datagrams a second of a call in one direction: 50 of sound (20 ms each, RFC 7587) and 90 of video, about 1 Mbit/s (`MacMillan` et
/// al., IMC 2021: 0.8 to 1.9 Mbit/s for Zoom, Meet and Teams).
const SOUND_PER_S: u64 = 50;
const VIDEO_PER_S: u64 = 90;

/// A call: ICE checks of every pair of candidates, one each 50 ms (RFC 8445 section 14.2), most of them in vain; then media both
/// ways for two minutes.
fn video_call(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let from = scene.v4(device);
    let port = scene.random.ephemeral_port();
    let binding = |kind: u16| {
        [&kind.to_be_bytes()[..], &[0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9]]
            .concat()
    };
    let (request, response) = (binding(1), binding(0x0101));
    for index in 0..4 {
        let server = scene.server(device, 92_000 + index, false);
        scene.udp_exchange(&from, &server, (port, 3_478), 20_000, ((&request, 28), (&response, 40)));
    }
    let peer = scene.stranger(device);
    let peer_port = scene.random.ephemeral_port();
    // Host candidates of the other side: private addresses of its networks, which nobody here has.
    for index in 0..scene.random.within(6..22) {
        let candidate = match index % 3 {
            0 => scene
                .beyond(device, std::net::Ipv4Addr::new(172, 27, u8::try_from(index).unwrap_or(0), 9).into()),
            1 => scene
                .beyond(device, std::net::Ipv4Addr::new(10, 99, u8::try_from(index).unwrap_or(0), 4).into()),
            _ => peer,
        };
        let candidate_port = scene.random.ephemeral_port();
        for _ in 0..2 {
            scene.udp(&from, &candidate, (port, candidate_port), &request, 96);
            scene.wait_us(50_000);
        }
    }
    scene.udp_exchange(&from, &peer, (port, peer_port), 25_000, ((&request, 96), (&response, 64)));
    if !scene.is_cut_off(&from, &peer) {
        let seconds = scene.random.within(60..180);
        scene.spawn(Box::new(media_both_ways(from, peer, (port, peer_port), seconds)));
    }
    Some(scene.random.within(3 * HOUR..9 * HOUR))
}

fn media_both_ways(
    from: Node,
    peer: Node,
    ports: (u16, u16),
    seconds: u64,
) -> impl FnMut(&mut Scene<'_>) -> Option<u64> {
    let mut left = seconds;
    move |scene| {
        let begin = scene.now;
        let count = SOUND_PER_S + VIDEO_PER_S;
        for index in 0..count {
            let length = if index % 3 == 0 { 120 } else { 1_080 };
            scene.now = begin + index * SECOND / count;
            scene.udp(&from, &peer, ports, &[0x80, 0x6f, 0, 1], length);
            scene.wait_us(3_000);
            scene.udp(&peer, &from, (ports.1, ports.0), &[0x80, 0x6f, 0, 1], length);
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(SECOND)
    }
}

/// A match: a lobby that asks each of up to 18 players for a path, then 60 datagrams a second both ways (Feng et al., IEEE/ACM Transactions on Networking
/// 2005, for an older generation: 20 to 40).
fn game(scene: &mut Scene<'_>, console: &Device) -> Option<u64> {
    if !(scene.hour() >= 15 && scene.hour() < 23) {
        return Some(scene.pause(1));
    }
    let from = scene.v4(console);
    let port = 3_074;
    for _ in 0..scene.random.within(3..19) {
        let player = scene.stranger(console);
        let player_port = if scene.random.chance(40) { port } else { scene.random.ephemeral_port() };
        let is_answered = scene.random.chance(70);
        for _ in 0..3 {
            scene.udp(&from, &player, (port, player_port), &[1; 24], 60);
            if is_answered {
                scene.wait_us(30_000);
                scene.udp(&player, &from, (player_port, port), &[1; 24], 60);
            }
            scene.wait_us(20_000);
        }
    }
    let server = scene.server(console, 93_000 + scene.house.seed % 50, false);
    let server_port = u16::try_from(scene.random.within(27_015..27_100)).unwrap_or(27_015);
    let seconds = scene.random.within(60..200);
    let mut left = seconds;
    scene.spawn(Box::new(move |scene| {
        let begin = scene.now;
        for tick in 0..60 {
            scene.now = begin + tick * 16_666;
            scene.udp(&from, &server, (port, server_port), &[2; 16], 70);
            scene.wait_us(5_000);
            scene.udp(&server, &from, (server_port, port), &[2; 16], 180);
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(SECOND)
    }));
    Some(scene.random.within(20 * MINUTE..3 * HOUR))
}

/// Ookla's method: latency to the ten nearest servers on port 8080, then eight connections for some seconds, down and up, at the
/// rate of the line.
fn speed_test(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let from = scene.v4(device);
    for index in 0..10 {
        let to = scene.server(device, 94_000 + index, false);
        Tcp::new(scene, from, to, 8_080).request(scene, b"HI\n", 3, 60);
    }
    let rate = scene.random.within(10..45) * 1_000_000;
    for way in [Way::Down, Way::Up] {
        let begin = scene.now;
        for _ in 0..8 {
            let to = scene.server(device, 94_000, false);
            let mut connection = Tcp::new(scene, from, to, 8_080);
            scene.now = begin;
            if connection.open(scene) {
                let seconds = if way == Way::Up { 8 } else { 2 };
                connection.transfer(scene, way, rate / 64 * seconds, rate / 8);
            }
        }
        scene.wait_s(10);
    }
    Some(scene.random.within(8 * HOUR..40 * HOUR))
}

/// Three probes for each of up to 24 hops, as of traceroute (UDP from port 33434 on, or echo requests) and `tcptraceroute`.
fn traceroute(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let (from, to) = (scene.v4(device), scene.server(device, 95_000, false));
    let kind = scene.random.within(0..3);
    let hops = scene.random.within(8..24);
    for hop in 1..=hops {
        for probe in 0..3 {
            let port = u16::try_from(33_434 + (hop - 1) * 3 + probe).unwrap_or(33_434);
            let ttl = u8::try_from(hop).unwrap_or(64);
            let source = scene.random.ephemeral_port();
            match kind {
                0 => scene.udp_with_ttl(&from, &to, (source, port), ttl, (&[0x40; 32], 32)),
                1 => {
                    scene.packet_with_ttl(&from, &to, protocol::ICMP, ttl, (&[8, 0, 0, 0, 1, 1, 0, ttl], 40));
                }
                _ => {
                    let [high, low] = source.to_be_bytes();
                    let syn = [high, low, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
                    scene.packet_with_ttl(&from, &to, protocol::TCP, ttl, (&syn, 20));
                }
            }
            let delay_us = scene.random_delay();
            scene.wait_us(delay_us);
            if !scene.is_cut_off(&from, &to) && scene.random.chance(80) {
                let router = scene.server(device, 95_100 + hop, false);
                let error = if hop == hops { (3, 3) } else { (11, 0) };
                scene.icmp_error(&router, &from, error, &[0x45; 28]);
            }
            scene.wait_us(4_000);
        }
    }
    Some(scene.random.within(5 * HOUR..30 * HOUR))
}

/// Reputation lookups of an antivirus program and of content networks: hashes in long names under one domain, with answers that do
/// not repeat.
fn antivirus(scene: &mut Scene<'_>, device: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    for _ in 0..scene.random.within(2..30) {
        let length = scene.random.length(26..33);
        let (hash, token) = (scene.random.base32(length), scene.random.base32(8));
        let name = format!("0.0.0.0.1.0.0.4e.{hash}.{token}.avqs.antivirus.example.com");
        let answer = std::net::Ipv4Addr::new(127, 0, 0, u8::try_from(scene.random.within(1..9)).unwrap_or(1));
        scene.lookup(device, &name, 1, &[crate::application::dns::Answer::A(answer)]);
        scene.wait_us(40_000);
    }
    Some(scene.pause(3))
}
