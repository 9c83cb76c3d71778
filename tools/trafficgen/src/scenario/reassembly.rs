//! Fragmented datagrams, first messages that span several segments, and tunnels. None is an attack.

use std::time::Duration;

use super::{MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::application::{http, tls};
use crate::packet::{Family, Icmp, Path, ethertype, gre, protocol, udp};
use crate::{Connection, Packets, Random, Timeline};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent(
        "fragments",
        "fragmented DNS responses, pings and datagrams, over IPv4 and IPv6",
        fragments,
    ),
    Scenario::silent(
        "first-flights",
        "TLS hellos, HTTP heads and SSH banners that span segments",
        segmented_messages,
    ),
    Scenario::silent("tunnels", "DNS through GRE, IP in IP and IPv6 in IPv4", tunnels),
];

const DELAY: Duration = Duration::from_millis(4);
const CLIENT_PORT: u16 = 40_000;
const SSH: u16 = 22;

/// Two fragmented datagrams at a time, whose fragments alternate.
fn fragments(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for family in [Family::V4, Family::V6] {
        let mut up = Path::between(&parameters.topology.client, &parameters.topology.gateway, family);
        let mut down = up.reversed();
        timeline.push(up.udp(CLIENT_PORT, dns::PORT, &dns::query(7, "example.net", record::TXT)));
        timeline.wait(DELAY);
        let texts: Vec<Answer> = (0..12_u8).map(|number| Answer::Txt(vec![b'a' + number; 200])).collect();
        let answer = dns::response(7, "example.net", record::TXT, &texts);
        let datagram = udp(dns::PORT, CLIENT_PORT, &down.network.addresses, &answer);
        down.network.identification = 0x1001;
        let answers = down.network.fragments(protocol::UDP, &datagram, 1_000);
        let payload: Vec<u8> = (0..=255).cycle().take(2_500).collect();
        let ping = Icmp::EchoRequest { identifier: 9, sequence: 1, payload: &payload };
        let (number, message) = match family {
            Family::V4 => ping.message(&up.network.addresses),
            // Over IPv6 a long datagram instead of an echo request.
            Family::V6 => (protocol::UDP, udp(CLIENT_PORT, 40_001, &up.network.addresses, &payload)),
        };
        up.network.identification = 0x2002;
        let pings = up.network.fragments(number, &message, 1_000);
        for (answer, ping) in answers.iter().zip(&pings) {
            timeline.push(down.wrap(answer));
            timeline.wait_us(50);
            timeline.push(up.wrap(ping));
            timeline.wait_us(50);
        }
        timeline.wait(Duration::from_secs(1));
    }
    timeline.play()
}

/// Messages that need stream reassembly: TLS hellos, an HTTP request and its response, and an SSH banner, each in several
/// segments.
fn segmented_messages(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let up = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    // A hello whose second half overtakes the first, then one in many small segments.
    for (segments, overtakes) in [(2, true), (7, false)] {
        segmented_hello(&mut timeline, &up, segments, overtakes, &mut random);
    }
    let mut connection = connect(&up, http::PORT, &mut timeline, &mut random);
    let request = http::request("GET", "split.example.net", "/a/long/path?with=a&query=too");
    request.chunks(60).for_each(|segment| connection.send(&mut timeline, segment));
    let response = http::response("200 OK", "text/plain", &[b'x'; 400]);
    let (head, body) = response.split_at(30);
    connection.receive(&mut timeline, head);
    connection.receive(&mut timeline, body);
    connection.close(&mut timeline);
    let mut connection = connect(&up, SSH, &mut timeline, &mut random);
    connection.receive(&mut timeline, b"SSH-2.0-Open");
    connection.receive(&mut timeline, b"SSH_9.9 Debian-1\r\n");
    connection.send(&mut timeline, b"SSH-2.0-dropbear_2024.86\r\n");
    connection.reset(&mut timeline);
    timeline.play()
}

/// Records the handshake of a connection to `port`.
fn connect(up: &Path, port: u16, timeline: &mut Timeline, random: &mut Random) -> Connection {
    let mut connection = Connection::new(up.clone(), port, DELAY, random);
    connection.open(timeline);
    connection
}

/// Records a TLS connection whose client hello comes in `segments` segments; with `overtakes` the first is sent last.
fn segmented_hello(
    timeline: &mut Timeline,
    up: &Path,
    segments: usize,
    overtakes: bool,
    random: &mut Random,
) {
    let mut connection = connect(up, tls::PORT, timeline, random);
    let hello = tls::client_hello("split.example.net", random);
    let (first, remaining) = hello.split_at(hello.len() / segments);
    let begin = timeline.now();
    if overtakes {
        timeline.wait(DELAY * 3);
    }
    connection.send(timeline, first);
    if overtakes {
        timeline.seek(begin);
    }
    remaining.chunks(first.len()).for_each(|segment| connection.send(timeline, segment));
    timeline.wait(DELAY * 4);
    connection.receive(timeline, &tls::server_hello(900, random));
    connection.close(timeline);
    timeline.wait(MILLISECOND);
}

/// DNS queries and responses within tunnels from gateway to gateway.
fn tunnels(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let outer = Path::between(&parameters.topology.gateway, &parameters.topology.outside, Family::V4);
    let wrap = |kind: usize, path: &Path, packet: &[u8], outer: &Path| {
        let family = path.network.addresses.ethertype();
        match kind {
            0 => outer.frame(protocol::GRE, &gre(None, family, packet)),
            1 => outer.frame(protocol::GRE, &gre(Some(0x0102_0304), family, packet)),
            _ if family == ethertype::IPV6 => outer.frame(protocol::IPV6, packet),
            _ => outer.frame(protocol::IPV4, packet),
        }
    };
    for family in [Family::V4, Family::V6] {
        let up = Path::between(&parameters.topology.client, &parameters.topology.victim, family);
        let down = up.reversed();
        for kind in 0..3 {
            let port = CLIENT_PORT + u16::try_from(kind).unwrap_or_default();
            let query = dns::query(port, "tunnel.example.net", record::A);
            let datagram = udp(port, dns::PORT, &up.network.addresses, &query);
            timeline.push(wrap(kind, &up, &up.network.packet(protocol::UDP, &datagram), &outer));
            timeline.wait(DELAY);
            let answer = [Answer::A(parameters.topology.outside.v4)];
            let answer = dns::response(port, "tunnel.example.net", record::A, &answer);
            let datagram = udp(dns::PORT, port, &down.network.addresses, &answer);
            let packet = down.network.packet(protocol::UDP, &datagram);
            timeline.push(wrap(kind, &down, &packet, &outer.reversed()));
            timeline.wait(DELAY);
        }
    }
    timeline.play()
}
