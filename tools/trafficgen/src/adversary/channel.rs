//! Channels: DNS tunnels, beacons, and data that leaves slowly.
//!
//! Read first: the protocol notes of iodine 0.8, dns2tcp and dnscat2 (shapes of their names), and RFC 1035 section 3.1 (what fits a name).

use std::time::Duration;

use sentinel_units::ByteCount;

use crate::application::dns::{self, Answer, record};
use crate::application::tls;
use crate::packet::{Family, Icmp, Path};
use crate::{Connection, Packets, Parameters, Random, Timeline};

/// Where the bytes of a DNS tunnel are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// In names of this many characters at most.
    Names(usize),
    /// In names of 49 characters, below the length at which a long name is told.
    ShortNames,
    /// In TXT answers to short names.
    Answers,
    /// In the nibbles of reverse names.
    ReverseNibbles,
    /// In names of messages that call themselves responses.
    QueryResponseBit,
    /// In names sent to this port.
    Port(u16),
    /// In names over TCP.
    Stream,
}

/// DNS tunnel of the attacker to a resolver outside, or through the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tunnel {
    /// Where the bytes are.
    pub carrier: Carrier,
    /// Record type that is asked for.
    pub record: u16,
    /// Time between two queries.
    pub interval: Duration,
    /// Number of queries.
    pub queries: u32,
}

impl Tunnel {
    /// Frames of the tunnel.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        let mut random = parameters.random();
        let mut timeline = Timeline::default();
        for index in 0..self.queries {
            timeline.seek(self.interval * index);
            self.query(&mut timeline, parameters, &mut random);
        }
        timeline.play()
    }

    fn query(&self, timeline: &mut Timeline, parameters: &Parameters, random: &mut Random) {
        let topology = &parameters.topology;
        let up = Path::between(&topology.attacker, &topology.gateway, Family::V4);
        let name = self.name(random);
        let (identifier, source) = (random.half(), random.ephemeral_port());
        let mut query = dns::query(identifier, &name, self.record);
        if self.carrier == Carrier::QueryResponseBit
            && let Some(flags) = query.get_mut(2)
        {
            *flags |= 0x80;
        }
        let length = if self.carrier == Carrier::Answers { 230 } else { 24 };
        let response = dns::response(identifier, &name, record::TXT, &[Answer::Txt(random.bytes(length))]);
        match self.carrier {
            Carrier::Stream => {
                let mut connection = Connection::new(up, dns::PORT, Duration::from_millis(4), random);
                connection.exchange(timeline, &dns::over_stream(&query), &dns::over_stream(&response));
                connection.close(timeline);
            }
            Carrier::Port(port) => {
                let up = Path::between(&topology.attacker, &topology.outside, Family::V4);
                crate::udp_exchange(
                    timeline,
                    &up,
                    (source, port),
                    Duration::from_millis(20),
                    (&query, &response),
                );
            }
            _ => crate::udp_exchange(
                timeline,
                &up,
                (source, dns::PORT),
                Duration::from_millis(20),
                (&query, &response),
            ),
        }
    }

    fn name(&self, random: &mut Random) -> String {
        const DOMAIN: &str = "t.example.com";
        match self.carrier {
            Carrier::ReverseNibbles => {
                let nibbles: String =
                    random.bytes(12).iter().map(|byte| format!("{:x}.{:x}.", byte >> 4, byte & 15)).collect();
                format!("{nibbles}7.6.6.6.8.b.d.0.ip6.arpa")
            }
            Carrier::Answers => format!("{}.{DOMAIN}", random.base32(6)),
            Carrier::ShortNames => format!("{}.{DOMAIN}", random.base32(49 - DOMAIN.len() - 1)),
            Carrier::Names(length) => long_name(length.saturating_sub(DOMAIN.len() + 1), DOMAIN, random),
            _ => long_name(100, DOMAIN, random),
        }
    }
}

/// Name of `length` characters of data in labels of 57 (iodine) below `domain`.
fn long_name(length: usize, domain: &str, random: &mut Random) -> String {
    let mut name = String::new();
    let mut left = length;
    while left > 0 {
        let part = left.min(57);
        name.push_str(&random.base32(part));
        name.push('.');
        left = left.saturating_sub(part + 1);
    }
    name + domain
}

/// Calls home of the attacker's machine to a host outside, in TLS connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beacon {
    /// Time between two calls.
    pub period: Duration,
    /// Uniform variation of each gap, in percent of the period.
    pub jitter_percent: u32,
    /// Share of calls that do not take place, in percent.
    pub missed_percent: u32,
    /// Number of periods.
    pub calls: u32,
}

impl Beacon {
    /// Frames of the calls.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        let topology = &parameters.topology;
        let mut random = parameters.random();
        let mut timeline = Timeline::default();
        for index in 0..self.calls {
            let spread = self.period * self.jitter_percent / 100;
            let micros = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
            let late = Duration::from_micros(random.within(0..micros.max(1)));
            let is_missed = random.chance(self.missed_percent.into());
            if is_missed {
                continue;
            }
            timeline.seek(self.period * index + late);
            let path = Path::between(&topology.attacker, &topology.outside, Family::V4);
            let mut connection = Connection::new(path, tls::PORT, Duration::from_millis(15), &mut random);
            let hello = tls::client_hello("cdn.updates.example.net", &mut random);
            connection.exchange(&mut timeline, &hello, &tls::server_hello(900, &mut random));
            connection.send(&mut timeline, &tls::data(180, &mut random));
            connection.receive(&mut timeline, &tls::data(120, &mut random));
            connection.close(&mut timeline);
        }
        timeline.play()
    }
}

/// `bytes` to each of `hosts` outside, one after the other, `gap` apart: each below what one transfer may be.
pub(super) fn spread_exfiltration(
    parameters: &Parameters,
    bytes: ByteCount,
    hosts: u32,
    gap: Duration,
) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for host in 0..hosts {
        timeline.seek(gap * host);
        let path = Path::between(&topology.attacker, &topology.external(host + 40), Family::V4);
        let mut connection = Connection::new(path, tls::PORT, Duration::from_millis(5), &mut random);
        connection.open(&mut timeline);
        connection.send(&mut timeline, &tls::data(usize::try_from(bytes.0).unwrap_or(0), &mut random));
        connection.close(&mut timeline);
    }
    timeline.play()
}

/// Upload by UDP from source port 443, as if it were a server's answer: 8 MB in 20 s.
pub(super) fn from_server_port(parameters: &Parameters, source: u16) -> Packets {
    let topology = parameters.topology;
    let path = Path::between(&topology.attacker, &topology.outside, Family::V4);
    let mut random = parameters.random();
    let payload = random.bytes(1_400);
    Box::new((0..5_800_u32).map(move |index| crate::TimedFrame {
        offset: Duration::from_micros(3_400) * index,
        bytes: path.udp(source, 51_000, &payload),
    }))
}

/// Data in echo requests of 1,200 bytes, ten a second, answered with as much.
pub(super) fn icmp_tunnel(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let path = Path::between(&topology.attacker, &topology.outside, Family::V4);
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for sequence in 0..1_200_u16 {
        timeline.seek(Duration::from_millis(100) * u32::from(sequence));
        let (up, down) = (random.bytes(1_200), random.bytes(1_200));
        timeline.push(path.icmp(&Icmp::EchoRequest { identifier: 9, sequence, payload: &up }));
        timeline.wait_us(12_000);
        timeline.push(path.reversed().icmp(&Icmp::EchoReply { identifier: 9, sequence, payload: &down }));
    }
    timeline.play()
}
