//! DNS tunnels: names of more than fifty characters, counted as text without the final dot.

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::packet::{Encapsulation, Family, Path};
use crate::{Connection, Packets, Random, Timeline, udp_exchange};

const FIRES: &[Expected] = &[("dns_tunnel", "name_length")];
const FIRES_TWICE: &[Expected] = &[("dns_tunnel", "name_length"), ("dns_tunnel", "bytes_leaked")];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("dns-tunnel-below", "one name of 49 characters", |p| {
        one(p, 49, Family::V4, Encapsulation::Plain)
    }),
    Scenario::silent("dns-tunnel-at", "one name of 50 characters, the threshold", |p| {
        one(p, 50, Family::V4, Encapsulation::Plain)
    }),
    Scenario::fires("dns-tunnel-above", "one name of 51 characters", FIRES, |p| {
        one(p, 51, Family::V4, Encapsulation::Plain)
    }),
    Scenario::fires(
        "dns-tunnel-longest",
        "one name of 253 characters, the maximum of RFC 1035",
        FIRES,
        |p| one(p, 253, Family::V4, Encapsulation::Plain),
    ),
    Scenario::fires("dns-tunnel-ipv6", "one name of 51 characters over IPv6", FIRES, |p| {
        one(p, 51, Family::V6, Encapsulation::Plain)
    }),
    Scenario::fires("dns-tunnel-vlan", "one name of 51 characters inside a VLAN", FIRES, |p| {
        one(p, 51, Family::V4, Encapsulation::Vlan(100))
    }),
    Scenario::silent("dns-tunnel-tcp-at", "one name of 50 characters over TCP", |p| stream(p, 50)),
    Scenario::fires("dns-tunnel-tcp-above", "one name of 51 characters over TCP", FIRES, |p| stream(p, 51)),
    Scenario::fires("dns-tunnel-tcp-longest", "one name of 253 characters over TCP", FIRES, |p| {
        stream(p, 253)
    }),
    Scenario::fires(
        "dns-tunnel-data",
        "40 names that encode data under one domain, answered with TXT records",
        FIRES_TWICE,
        data,
    ),
    Scenario::silent(
        "dns-content-network",
        "names of content delivery networks, none over 50 characters",
        content_network,
    ),
    Scenario::silent(
        "dns-reverse-ipv6",
        "reverse lookups of IPv6 addresses, 72 characters in ip6.arpa",
        reverse,
    ),
];

/// Names of the form that content networks use: 36, 49, 50 and 33 characters.
const CONTENT_NETWORK: [&str; 4] = [
    "d111111abcdef8.cloudfront.example.net",
    "r4---sn-4g5e6nzz.googlevideo-content.example.net",
    "a1234.dscq.akamai-edge-content-network.example.net",
    "e8652.dscx.akamaiedge.example.net",
];

/// A name of exactly `length` characters that ends in `example.net`.
fn name(length: usize, random: &mut Random) -> String {
    const SUFFIX: &str = "example.net";
    let mut text = String::with_capacity(length);
    let mut missing = length.saturating_sub(SUFFIX.len());
    while missing > 1 {
        // Labels of 60 characters; of 59 where 60 would leave one character, too few for a label and its dot.
        let label =
            if missing - 1 > 60 { (missing - 1).min(60) - usize::from(missing == 62) } else { missing - 1 };
        text.push_str(&random.base32(label));
        text.push('.');
        missing -= label + 1;
    }
    text.push_str(SUFFIX);
    text
}

/// One query for a name of `length` characters, and its response.
fn one(parameters: &Parameters, length: usize, family: Family, encapsulation: Encapsulation) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let mut up = Path::between(&parameters.topology.client, &parameters.topology.gateway, family);
    up.link.encapsulation = encapsulation;
    let name = name(length, &mut random);
    let answer = Answer::A(parameters.topology.outside.v4);
    exchange(&mut timeline, &up, &name, record::A, &[answer], &mut random);
    timeline.play()
}

/// Records a query from a new ephemeral port, and its response 12 ms later.
fn exchange(
    timeline: &mut Timeline,
    up: &Path,
    name: &str,
    kind: u16,
    answers: &[Answer],
    random: &mut Random,
) {
    let (port, identifier) = (random.ephemeral_port(), random.half());
    let query = dns::query(identifier, name, kind);
    let response = dns::response(identifier, name, kind, answers);
    udp_exchange(timeline, up, (port, dns::PORT), MILLISECOND * 12, (&query, &response));
    timeline.wait(MILLISECOND * 40);
}

/// One query over TCP for a name of `length` characters, and its response.
fn stream(parameters: &Parameters, length: usize) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    let (identifier, name) = (random.half(), name(length, &mut random));
    let mut connection = Connection::new(path, dns::PORT, MILLISECOND, &mut random);
    let query = dns::query(identifier, &name, record::A);
    let response = dns::response(identifier, &name, record::A, &[Answer::A(parameters.topology.outside.v4)]);
    connection.exchange(&mut timeline, &dns::over_stream(&query), &dns::over_stream(&response));
    connection.close(&mut timeline);
    timeline.play()
}

/// Forty TXT queries whose names and answers encode data.
fn data(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    for _ in 0..40 {
        let name = name(200, &mut random);
        let answer = Answer::Txt(random.base32(180).into_bytes());
        exchange(&mut timeline, &path, &name, record::TXT, &[answer], &mut random);
    }
    timeline.play()
}

fn content_network(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    for name in CONTENT_NETWORK {
        let address = parameters.topology.outside;
        exchange(&mut timeline, &path, name, record::A, &[Answer::A(address.v4)], &mut random);
        exchange(&mut timeline, &path, name, record::AAAA, &[Answer::Aaaa(address.v6)], &mut random);
    }
    timeline.play()
}

fn reverse(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    for index in 0..10 {
        let host = parameters.topology.external(index);
        let answer = Answer::Ptr(format!("host{index}.example.net"));
        exchange(&mut timeline, &path, &reverse_name(host.v6), record::PTR, &[answer], &mut random);
    }
    timeline.play()
}

/// Name in `ip6.arpa` (RFC 3596 section 2.5): the 32 digits in reverse order, each a label.
fn reverse_name(address: std::net::Ipv6Addr) -> String {
    let digits = format!("{:032x}", address.to_bits());
    digits.chars().rev().flat_map(|digit| [digit, '.']).chain("ip6.arpa".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_exactly_the_requested_length() {
        let mut random = Random::new(1);
        for length in 13..=253 {
            let name = name(length, &mut random);
            assert_eq!(name.len(), length);
            assert!(name.split('.').all(|label| (1..=63).contains(&label.len())), "{name}");
        }
        assert!(CONTENT_NETWORK.iter().all(|name| name.len() <= 50));
        assert_eq!(CONTENT_NETWORK.iter().map(|name| name.len()).max(), Some(50));
    }

    #[test]
    fn a_reverse_name_has_72_characters() {
        let name = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(name.len(), 72);
        assert!(name.starts_with("1.0.0.") && name.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"));
    }
}
