//! An ordinary local network: web, names, time, discovery, pings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::{MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::application::{http, tls};
use crate::packet::{Addresses, Arp, Family, Icmp, Icmp6, Link, Network, Path, ethertype, protocol};
use crate::{Cast, Connection, Packets, Random, Station, Tape, TimedFrame};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::silent(
    "mixed",
    "an ordinary network: --packets frames of some 500 bytes over --duration, nothing to report",
    mixed,
)];

pub(super) fn mixed(parameters: &Parameters) -> Packets {
    Box::new(Mixed::new(parameters))
}

/// Frames ten average activities take, measured; sets how often one begins.
const FRAMES_PER_TEN_ACTIVITIES: u64 = 115;
/// Each machine has at least this share of the frames per second, so that none looks like an attacker.
const FRAMES_PER_HOST: u64 = 50;
const FEWEST_HOSTS: u64 = 20;
const SERVERS: u64 = 400;

/// Activities begin at random times and overlap; memory is that of those under way.
struct Mixed {
    random: Random,
    cast: Cast,
    hosts: u64,
    /// Mean time between two beginnings.
    gap_ns: u64,
    next_begin: Duration,
    left: u64,
    serial: u64,
    pending: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
}

impl Mixed {
    fn new(parameters: &Parameters) -> Self {
        let nanos = u64::try_from(parameters.duration.as_nanos()).unwrap_or(u64::MAX).max(1);
        let packets = parameters.packets.max(1);
        let per_second = packets.saturating_mul(1_000_000_000) / nanos;
        Self {
            random: parameters.random(),
            cast: parameters.cast,
            hosts: (per_second / FRAMES_PER_HOST).max(FEWEST_HOSTS),
            gap_ns: nanos.saturating_mul(FRAMES_PER_TEN_ACTIVITIES) / packets / 10,
            next_begin: Duration::ZERO,
            left: parameters.packets,
            serial: 0,
            pending: BinaryHeap::new(),
        }
    }

    fn begin_one(&mut self) {
        let mut tape = Tape::starting_at(self.next_begin);
        let host = u32::try_from(self.random.within(0..self.hosts)).unwrap_or_default();
        let host = if host == 0 { self.cast.client } else { self.cast.inside(host) };
        activity(&mut tape, &self.cast, &host, &mut self.random);
        for frame in tape.into_frames() {
            self.pending.push(Reverse((frame.offset, self.serial, frame.bytes)));
            self.serial += 1;
        }
        // Uniform on 0 to twice the mean.
        self.next_begin +=
            Duration::from_nanos(self.random.within(0..self.gap_ns.saturating_mul(2).max(1)) + 1);
    }
}

impl Iterator for Mixed {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        self.left = self.left.checked_sub(1)?;
        while self.pending.peek().is_none_or(|Reverse((offset, ..))| *offset >= self.next_begin) {
            self.begin_one();
        }
        self.pending.pop().map(|Reverse((offset, _, bytes))| TimedFrame { offset, bytes })
    }
}

fn activity(tape: &mut Tape, cast: &Cast, host: &Station, random: &mut Random) {
    let family = if random.chance(30) { Family::V6 } else { Family::V4 };
    match random.within(0..100) {
        0..24 => web(tape, cast, host, family, random),
        24..30 => plain_web(tape, cast, host, random),
        30..38 => quic(tape, cast, host, family, random),
        38..66 => {
            let name = server(cast, random).1;
            look_up(tape, cast, host, family, &name, random);
        }
        66..76 => resolve(tape, cast, host),
        76..82 => ping(tape, cast, host, family, random),
        82..90 => announce(tape, host, family, random),
        90..95 => time(tape, cast, host, random),
        _ => intranet(tape, cast, host, random),
    }
}

fn path(from: &Station, to: &Station, family: Family) -> Path {
    let mut path = Path::between(from, to, family);
    path.link.padded = true;
    path
}

fn server(cast: &Cast, random: &mut Random) -> (Station, String) {
    let index = u32::try_from(random.within(0..SERVERS)).unwrap_or_default();
    let kind = random.pick(&["www", "cdn", "api", "img", "static", "login"], "www");
    (cast.beyond(index), format!("{kind}{index}.example.net"))
}

fn look_up(tape: &mut Tape, cast: &Cast, host: &Station, family: Family, name: &str, random: &mut Random) {
    let up = path(host, &cast.gateway, family);
    let (port, identifier) = (random.ephemeral_port(), random.half());
    let address = server(cast, random).0;
    let (kind, answer) = match family {
        Family::V4 => (record::A, Answer::A(address.v4)),
        Family::V6 => (record::AAAA, Answer::Aaaa(address.v6)),
    };
    tape.push(up.udp(port, dns::PORT, &dns::query(identifier, name, kind)));
    tape.wait_us(random.within(300..30_000));
    tape.push(up.reversed().udp(dns::PORT, port, &dns::response(identifier, name, kind, &[answer])));
    tape.wait_us(random.within(100..900));
}

fn delay(random: &mut Random) -> Duration {
    Duration::from_micros(random.within(2_000..25_000))
}

fn web(tape: &mut Tape, cast: &Cast, host: &Station, family: Family, random: &mut Random) {
    let (address, name) = server(cast, random);
    look_up(tape, cast, host, family, &name, random);
    let mut connection = Connection::new(path(host, &address, family), tls::PORT, delay(random), random);
    connection.open(tape);
    connection.send(tape, &tls::client_hello(&name, random));
    let certificate = random.length(2_000..4_000);
    connection.receive(tape, &tls::server_hello(certificate, random));
    for _ in 0..random.within(1..4) {
        let request = random.length(80..400);
        connection.send(tape, &tls::data(request, random));
        // Most objects are small, a few are large.
        let largest = if random.chance(15) { 40_000 } else { 5_000 };
        let object = random.length(200..largest);
        connection.receive(tape, &tls::data(object, random));
        tape.wait_us(random.within(1_000..80_000));
    }
    connection.close(tape);
}

fn plain_web(tape: &mut Tape, cast: &Cast, host: &Station, random: &mut Random) {
    let (address, name) = server(cast, random);
    look_up(tape, cast, host, Family::V4, &name, random);
    let mut connection = Connection::new(path(host, &address, Family::V4), http::PORT, delay(random), random);
    connection.open(tape);
    let target = format!("/files/{}", random.base32(8));
    connection.send(tape, &http::request("GET", &name, &target));
    let length = random.length(100..12_000);
    let body = random.bytes(length);
    connection.receive(tape, &http::response("200 OK", "application/octet-stream", &body));
    connection.close(tape);
}

/// Shapes of QUIC (RFC 9000 sections 14.1 and 17): full first datagrams, then short headers. Nothing decrypts.
fn quic(tape: &mut Tape, cast: &Cast, host: &Station, family: Family, random: &mut Random) {
    let up = path(host, &server(cast, random).0, family);
    let down = up.reversed();
    let (port, one_way) = (random.ephemeral_port(), delay(random));
    let mut initial = vec![0xc3, 0, 0, 0, 1, 8];
    initial.extend(random.bytes(1_200 - 6));
    tape.push(up.udp(port, tls::PORT, &initial));
    tape.wait(one_way * 2);
    tape.push(down.udp(tls::PORT, port, &initial));
    for _ in 0..random.within(2..16) {
        let short = |length, random: &mut Random| [&[0x45][..], &random.bytes(length)].concat();
        tape.wait_us(random.within(20..4_000));
        let length = random.length(300..1_250);
        tape.push(down.udp(tls::PORT, port, &short(length, random)));
        if random.chance(50) {
            tape.push(up.udp(port, tls::PORT, &short(32, random)));
        }
    }
}

fn resolve(tape: &mut Tape, cast: &Cast, host: &Station) {
    let request = Arp::request(host, cast.gateway.v4);
    let reply = Arp::reply(cast.gateway.mac, cast.gateway.v4, host);
    for packet in [request, reply] {
        let link = Link { padded: true, ..packet.link() };
        tape.push(link.frame(ethertype::ARP, &packet.packet()));
        tape.wait_us(250);
    }
}

fn ping(tape: &mut Tape, cast: &Cast, host: &Station, family: Family, random: &mut Random) {
    if family == Family::V6 {
        return discover(tape, cast, host);
    }
    let up = path(host, &cast.outside, family);
    let identifier = random.half();
    let payload = random.bytes(56);
    for sequence in 1..=3 {
        tape.push(up.icmp(&Icmp::EchoRequest { identifier, sequence, payload: &payload }));
        tape.wait(MILLISECOND * 15);
        tape.push(up.reversed().icmp(&Icmp::EchoReply { identifier, sequence, payload: &payload }));
        tape.wait(MILLISECOND * 985);
    }
}

/// RFC 4861 section 7.2: the question goes to the solicited-node group, with the largest hop limit.
fn discover(tape: &mut Tape, cast: &Cast, host: &Station) {
    let target = cast.gateway.v6;
    let [.., a, b, c] = target.octets();
    let group =
        Ipv6Addr::from_bits((0xff02 << 112) | (0x1_ff00_0000 | u128::from(u32::from_be_bytes([0, a, b, c]))));
    let neighbour = |source, destination| Network {
        hop_limit: 255,
        ..Network::new(Addresses::V6 { source, destination })
    };
    for (link, network, message) in [
        (
            Link::new(host.mac, Mac([0x33, 0x33, 0xff, a, b, c])),
            neighbour(host.v6, group),
            Icmp6::NeighbourSolicitation { target, source: host.mac },
        ),
        (
            Link::new(cast.gateway.mac, host.mac),
            neighbour(target, host.v6),
            Icmp6::NeighbourAdvertisement { target, owner: cast.gateway.mac },
        ),
    ] {
        let (_, bytes) = message.message(&network.addresses);
        tape.push(link.frame(ethertype::IPV6, &network.packet(protocol::ICMPV6, &bytes)));
        tape.wait_us(400);
    }
}

fn announce(tape: &mut Tape, host: &Station, family: Family, random: &mut Random) {
    let group = Station {
        mac: match family {
            Family::V4 => Mac([1, 0, 0x5e, 0, 0, 0xfb]),
            Family::V6 => Mac([0x33, 0x33, 0, 0, 0, 0xfb]),
        },
        v4: Ipv4Addr::new(224, 0, 0, 251),
        v6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb),
    };
    let mut path = path(host, &group, family);
    path.network.hop_limit = 255;
    let message = if random.chance(50) {
        dns::announcement(&format!("host-{}.local", random.base32(6)), &Answer::A(host.v4))
    } else {
        dns::query(0, "_googlecast._tcp.local", record::PTR)
    };
    tape.push(path.udp(dns::MULTICAST_PORT, dns::MULTICAST_PORT, &message));
}

/// A client's NTP exchange (RFC 5905 section 7.3): version 4, modes 3 and 4.
fn time(tape: &mut Tape, cast: &Cast, host: &Station, random: &mut Random) {
    let up = path(host, &server(cast, random).0, Family::V4);
    let mut question = vec![0x23, 0, 6, 0xec];
    question.resize(48, 0);
    let mut answer = vec![0x24, 2, 6, 0xec];
    answer.extend(random.bytes(44));
    let port = random.ephemeral_port();
    tape.push(up.udp(port, 123, &question));
    tape.wait(delay(random));
    tape.push(up.reversed().udp(123, port, &answer));
}

fn intranet(tape: &mut Tape, cast: &Cast, host: &Station, random: &mut Random) {
    let mut connection =
        Connection::new(path(host, &cast.victim, Family::V4), http::PORT, Duration::from_micros(150), random);
    connection.open(tape);
    connection.send(tape, &http::request("GET", "intranet.example.net", "/"));
    let length = random.length(400..6_000);
    let body = random.bytes(length);
    connection.receive(tape, &http::response("200 OK", "text/html", &body));
    connection.close(tape);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_duration_are_as_asked() {
        for (packets, seconds) in [(10_000_u64, 60_u64), (40_000, 20), (60_000, 10)] {
            let duration = Duration::from_secs(seconds);
            let frames: Vec<_> = mixed(&Parameters { packets, duration, ..Parameters::default() }).collect();
            assert_eq!(u64::try_from(frames.len()).unwrap(), packets);
            let mean = frames.iter().map(|frame| frame.bytes.len()).sum::<usize>() / frames.len();
            assert!((450..=550).contains(&mean), "mean {mean}");
            let end = frames.last().unwrap().offset.as_secs_f64() / duration.as_secs_f64();
            assert!((0.9..1.15).contains(&end), "ends at {end} of the duration for {packets}");
        }
    }

    #[test]
    fn a_stream_without_end_begins_at_once() {
        let parameters =
            Parameters { packets: u64::MAX, duration: Duration::from_secs(3_600), ..Parameters::default() };
        assert_eq!(mixed(&parameters).take(10).count(), 10);
    }
}
