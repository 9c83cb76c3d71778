//! Ordinary traffic of a local network: web, QUIC, DNS, NTP, ARP and neighbour discovery, mDNS, pings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::{MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::application::{http, tls};
use crate::packet::{Addresses, Arp, Family, Icmp6, Link, Network, Path, ethertype, protocol};
use crate::{Connection, Host, Packets, Random, TimedFrame, Timeline, Topology, ping, udp_exchange};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::silent(
    "mixed",
    "ordinary traffic: --packets frames of about 500 bytes over --duration, no alert",
    mixed,
)];

pub(super) fn mixed(parameters: &Parameters) -> Packets {
    Box::new(Mixed::new(parameters))
}

/// Frames of ten average activities, measured; sets how often an activity begins.
const FRAMES_PER_TEN_ACTIVITIES: u64 = 115;
/// Frames per second for each internal host: enough hosts that none reaches a detector's threshold.
const FRAMES_PER_HOST: u64 = 50;
const MIN_HOSTS: u64 = 20;
/// External servers.
const SERVERS: u64 = 400;
const NTP: u16 = 123;

/// Iterator over activities that begin at random times and overlap, merged in time order. Holds the frames of the
/// activities under way only.
struct Mixed {
    random: Random,
    topology: Topology,
    hosts: u64,
    /// Mean time between the beginnings of two activities.
    gap_ns: u64,
    next_begin: Duration,
    frames_left: u64,
    /// Number of the next frame; orders frames of the same instant.
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
            topology: parameters.topology,
            hosts: (per_second / FRAMES_PER_HOST).max(MIN_HOSTS),
            gap_ns: nanos.saturating_mul(FRAMES_PER_TEN_ACTIVITIES) / packets / 10,
            next_begin: Duration::ZERO,
            frames_left: parameters.packets,
            serial: 0,
            pending: BinaryHeap::new(),
        }
    }

    fn begin_one(&mut self) {
        let mut timeline = Timeline::starting_at(self.next_begin);
        let host = u32::try_from(self.random.within(0..self.hosts)).unwrap_or_default();
        let host = if host == 0 { self.topology.client } else { self.topology.internal(host) };
        activity(&mut timeline, &self.topology, &host, &mut self.random);
        for frame in timeline.into_frames() {
            self.pending.push(Reverse((frame.offset, self.serial, frame.bytes)));
            self.serial += 1;
        }
        // Uniform between 0 and twice the mean.
        self.next_begin +=
            Duration::from_nanos(self.random.within(0..self.gap_ns.saturating_mul(2).max(1)) + 1);
    }
}

impl Iterator for Mixed {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        self.frames_left = self.frames_left.checked_sub(1)?;
        while self.pending.peek().is_none_or(|Reverse((offset, ..))| *offset >= self.next_begin) {
            self.begin_one();
        }
        self.pending.pop().map(|Reverse((offset, _, bytes))| TimedFrame { offset, bytes })
    }
}

fn activity(timeline: &mut Timeline, topology: &Topology, host: &Host, random: &mut Random) {
    let family = if random.chance(30) { Family::V6 } else { Family::V4 };
    match random.within(0..100) {
        0..24 => web(timeline, topology, host, family, random),
        24..30 => plain_web(timeline, topology, host, random),
        30..38 => quic(timeline, topology, host, family, random),
        38..66 => {
            let name = server(topology, random).1;
            dns_lookup(timeline, topology, host, family, &name, random);
        }
        66..76 => arp_lookup(timeline, topology, host),
        76..82 => pings(timeline, topology, host, family, random),
        82..90 => mdns(timeline, host, family, random),
        90..95 => ntp(timeline, topology, host, random),
        _ => intranet(timeline, topology, host, random),
    }
}

fn path(from: &Host, to: &Host, family: Family) -> Path {
    let mut path = Path::between(from, to, family);
    path.link.padded = true;
    path
}

fn server(topology: &Topology, random: &mut Random) -> (Host, String) {
    let index = u32::try_from(random.within(0..SERVERS)).unwrap_or_default();
    let kind = random.pick(&["www", "cdn", "api", "img", "static", "login"], "www");
    (topology.external(index), format!("{kind}{index}.example.net"))
}

fn dns_lookup(
    timeline: &mut Timeline,
    topology: &Topology,
    host: &Host,
    family: Family,
    name: &str,
    random: &mut Random,
) {
    let up = path(host, &topology.gateway, family);
    let (port, identifier) = (random.ephemeral_port(), random.half());
    let address = server(topology, random).0;
    let (kind, answer) = match family {
        Family::V4 => (record::A, Answer::A(address.v4)),
        Family::V6 => (record::AAAA, Answer::Aaaa(address.v6)),
    };
    let query = dns::query(identifier, name, kind);
    let response = dns::response(identifier, name, kind, &[answer]);
    let delay = Duration::from_micros(random.within(300..30_000));
    udp_exchange(timeline, &up, (port, dns::PORT), delay, (&query, &response));
    timeline.wait_us(random.within(100..900));
}

fn delay(random: &mut Random) -> Duration {
    Duration::from_micros(random.within(2_000..25_000))
}

fn web(timeline: &mut Timeline, topology: &Topology, host: &Host, family: Family, random: &mut Random) {
    let (address, name) = server(topology, random);
    dns_lookup(timeline, topology, host, family, &name, random);
    let mut connection = Connection::new(path(host, &address, family), tls::PORT, delay(random), random);
    let hello = tls::client_hello(&name, random);
    let certificate = random.length(2_000..4_000);
    connection.exchange(timeline, &hello, &tls::server_hello(certificate, random));
    for _ in 0..random.within(1..4) {
        let request = random.length(80..400);
        connection.send(timeline, &tls::data(request, random));
        // Most objects are small, a few are large.
        let largest = if random.chance(15) { 40_000 } else { 5_000 };
        let object = random.length(200..largest);
        connection.receive(timeline, &tls::data(object, random));
        timeline.wait_us(random.within(1_000..80_000));
    }
    connection.close(timeline);
}

fn plain_web(timeline: &mut Timeline, topology: &Topology, host: &Host, random: &mut Random) {
    let (address, name) = server(topology, random);
    dns_lookup(timeline, topology, host, Family::V4, &name, random);
    let mut connection = Connection::new(path(host, &address, Family::V4), http::PORT, delay(random), random);
    let request = http::request("GET", &name, &format!("/files/{}", random.base32(8)));
    let length = random.length(100..12_000);
    let response = http::response("200 OK", "application/octet-stream", &random.bytes(length));
    connection.exchange(timeline, &request, &response);
    connection.close(timeline);
}

/// Datagrams with the headers of QUIC (RFC 9000 sections 14.1 and 17): full first ones, then short headers. The payload
/// is random and does not decrypt.
fn quic(timeline: &mut Timeline, topology: &Topology, host: &Host, family: Family, random: &mut Random) {
    let up = path(host, &server(topology, random).0, family);
    let down = up.reversed();
    let (port, one_way) = (random.ephemeral_port(), delay(random));
    let mut initial = vec![0xc3, 0, 0, 0, 1, 8];
    initial.extend(random.bytes(1_200 - 6));
    timeline.push(up.udp(port, tls::PORT, &initial));
    timeline.wait(one_way * 2);
    timeline.push(down.udp(tls::PORT, port, &initial));
    for _ in 0..random.within(2..16) {
        let short = |length, random: &mut Random| [&[0x45][..], &random.bytes(length)].concat();
        timeline.wait_us(random.within(20..4_000));
        let length = random.length(300..1_250);
        timeline.push(down.udp(tls::PORT, port, &short(length, random)));
        if random.chance(50) {
            timeline.push(up.udp(port, tls::PORT, &short(32, random)));
        }
    }
}

/// The host's ARP request for the gateway, and the reply.
fn arp_lookup(timeline: &mut Timeline, topology: &Topology, host: &Host) {
    let request = Arp::request(host, topology.gateway.v4);
    let reply = Arp::reply(topology.gateway.mac, topology.gateway.v4, host);
    for packet in [request, reply] {
        let link = Link { padded: true, ..packet.link() };
        timeline.push(link.frame(ethertype::ARP, &packet.packet()));
        timeline.wait_us(250);
    }
}

/// Three echo requests a second apart; over IPv6 a neighbour discovery instead.
fn pings(timeline: &mut Timeline, topology: &Topology, host: &Host, family: Family, random: &mut Random) {
    if family == Family::V6 {
        return discover_neighbour(timeline, topology, host);
    }
    let up = path(host, &topology.outside, family);
    let identifier = random.half();
    let payload = random.bytes(56);
    for sequence in 1..=3 {
        ping(timeline, &up, MILLISECOND * 15, (identifier, sequence), &payload);
        timeline.wait(MILLISECOND * 985);
    }
}

/// Neighbour discovery (RFC 4861 section 7.2): the solicitation goes to the solicited-node group, hop limit 255.
fn discover_neighbour(timeline: &mut Timeline, topology: &Topology, host: &Host) {
    let target = topology.gateway.v6;
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
            Link::new(topology.gateway.mac, host.mac),
            neighbour(target, host.v6),
            Icmp6::NeighbourAdvertisement { target, owner: topology.gateway.mac },
        ),
    ] {
        let (_, bytes) = message.message(&network.addresses);
        timeline.push(link.frame(ethertype::IPV6, &network.packet(protocol::ICMPV6, &bytes)));
        timeline.wait_us(400);
    }
}

/// Multicast DNS: an announcement of the host, or a query.
fn mdns(timeline: &mut Timeline, host: &Host, family: Family, random: &mut Random) {
    let group = Host {
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
    timeline.push(path.udp(dns::MULTICAST_PORT, dns::MULTICAST_PORT, &message));
}

/// NTP request and response (RFC 5905 section 7.3): version 4, modes 3 and 4.
fn ntp(timeline: &mut Timeline, topology: &Topology, host: &Host, random: &mut Random) {
    let up = path(host, &server(topology, random).0, Family::V4);
    let mut request = vec![0x23, 0, 6, 0xec];
    request.resize(48, 0);
    let mut response = vec![0x24, 2, 6, 0xec];
    response.extend(random.bytes(44));
    let ports = (random.ephemeral_port(), NTP);
    udp_exchange(timeline, &up, ports, delay(random), (&request, &response));
}

fn intranet(timeline: &mut Timeline, topology: &Topology, host: &Host, random: &mut Random) {
    let mut connection = Connection::new(
        path(host, &topology.victim, Family::V4),
        http::PORT,
        Duration::from_micros(150),
        random,
    );
    let request = http::request("GET", "intranet.example.net", "/");
    let length = random.length(400..6_000);
    let response = http::response("200 OK", "text/html", &random.bytes(length));
    connection.exchange(timeline, &request, &response);
    connection.close(timeline);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_duration_are_those_requested() {
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
    fn the_first_frames_of_an_endless_stream_come_without_delay() {
        let parameters =
            Parameters { packets: u64::MAX, duration: Duration::from_secs(3_600), ..Parameters::default() };
        assert_eq!(mixed(&parameters).take(10).count(), 10);
    }
}
