//! Rhythms around the thresholds, what raises and lowers the severity, and evasions.

extern crate std;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::testkit::*;
use sentinel_alert::Phase;

/// Milliseconds.
const MINUTE: u64 = 60_000;

fn sensor() -> Sensor {
    Sensor::with(ROOMY, KEY, &alone(Kind::Beacon))
}

/// The `number`-th request of a host to port 443, from a port of its own each time.
fn call(from: Ipv4Addr, to: Ipv4Addr, number: u16) -> Vec<u8> {
    tcp((from, 30_000 + number), (to, 443), SYN)
}

/// An answer of the resolver with these addresses.
fn answer(addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = dns("c2.example.com", true);
    message[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address.octets());
    }
    udp((GATEWAY, 53), (CLIENT, 50_001), &message)
}

/// Severities of the openings.
fn severities(sensor: &Sensor) -> Vec<Severity> {
    let open = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
    open.map(|alert| alert.severity).collect()
}

fn calls(sensor: &mut Sensor, from: Ipv4Addr, to: Ipv4Addr, count: u16, jitter: u64) {
    let mut random = Random(u64::from(from.to_bits()) << 16 | 1);
    for number in 0..count {
        let late = if jitter > 0 { random.below(jitter) } else { 0 };
        sensor.frame(u64::from(number) * MINUTE + late, &call(from, to, number));
    }
}

#[test]
fn three_contacts_are_not_watched_and_the_eleventh_after_them_is_a_beacon() {
    let mut sensor = sensor();
    calls(&mut sensor, CLIENT, OUTSIDE, 13, 0);
    assert_eq!(sensor.opened(), []);
    sensor.frame(13 * MINUTE, &call(CLIENT, OUTSIDE, 13));
    assert_eq!(sensor.opened(), [Test::Beacon]);
    let alert = &sensor.raised[0];
    assert_eq!(alert.subject.destination, Some(Address::v4(OUTSIDE.to_bits())));
    assert!(alert.first > at(3 * MINUTE - 100) && alert.first < at(3 * MINUTE + 100));
    let Evidence::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits } =
        alert.evidence
    else {
        panic!("{alert:?}");
    };
    assert_eq!((contacts, deviation_percent, hosts, is_named, prefix_bits), (11, 0, 1, false, 32));
    assert_eq!(period_s, 60);
}

#[test]
fn jitter_and_missed_calls_hide_nothing() {
    let mut sensor = sensor();
    calls(&mut sensor, CLIENT, OUTSIDE, 30, 18_000);
    assert_eq!(severities(&sensor), [Severity::Medium]);
    let mut sensor = self::sensor();
    for number in (0..40).filter(|number| number % 9 != 0) {
        sensor.frame(u64::from(number) * MINUTE, &call(CLIENT, OUTSIDE, number));
    }
    assert_eq!(severities(&sensor), [Severity::Medium]);
}

/// Three connections for each call, and a connection each second for half an hour.
#[test]
fn several_connections_of_a_call_are_one_contact_and_contacts_without_a_pause_none() {
    let mut sensor = sensor();
    for number in 0..30 {
        let millis = u64::from(number) * MINUTE;
        (0..3).for_each(|part| {
            sensor.frame(millis + u64::from(part) * 900, &call(CLIENT, OUTSIDE, number * 3 + part));
        });
    }
    assert_eq!(severities(&sensor), [Severity::Medium]);
    let mut sensor = self::sensor();
    for number in 0..2_000 {
        sensor.frame(u64::from(number) * 1_000, &call(CLIENT, OUTSIDE, number));
    }
    assert_eq!(sensor.opened(), []);
}

#[test]
fn irregular_contacts_are_silent() {
    let (mut sensor, mut random, mut millis) = (sensor(), Random(77), 0);
    for number in 0..3_000 {
        // The sum of times until the next of a few users.
        millis += 4_000 + random.below(4_000) * random.below(120);
        sensor.frame(millis, &call(CLIENT, OUTSIDE, number));
    }
    assert_eq!(sensor.opened(), []);
}

#[test]
fn a_named_destination_is_low_and_software_of_many_is_silent() {
    let mut sensor = sensor();
    sensor.frame(0, &answer(&[OUTSIDE, Ipv4Addr::new(203, 0, 113, 8)]));
    calls(&mut sensor, CLIENT, OUTSIDE, 20, 0);
    assert_eq!(severities(&sensor), [Severity::Low]);
    let mut sensor = self::sensor();
    sensor.frame(0, &answer(&[OUTSIDE]));
    for number in 0..30 {
        for host in 0..4 {
            let millis = u64::from(number) * MINUTE + u64::from(host) * 7_000;
            sensor.frame(millis, &call(other(host), OUTSIDE, number));
        }
    }
    assert_eq!(sensor.opened(), []);
}

/// Two infected machines call a bare address.
#[test]
fn a_second_host_lowers_the_severity_of_a_destination_without_name() {
    let mut sensor = sensor();
    for number in 0..20 {
        for host in 0..2 {
            let millis = u64::from(number) * MINUTE + u64::from(host) * 7_000;
            sensor.frame(millis, &call(other(host), OUTSIDE, number));
        }
    }
    assert_eq!(severities(&sensor), [Severity::Low, Severity::Low]);
}

/// A phone whose names are looked up by DNS over TLS.
#[test]
fn a_host_whose_names_are_never_seen_is_low() {
    let mut sensor = sensor();
    for number in 0..12 {
        sensor.frame(
            u64::from(number),
            &call(CLIENT, Ipv4Addr::new(198, 51, 100, u8::try_from(number).unwrap()), number),
        );
    }
    calls(&mut sensor, CLIENT, OUTSIDE, 20, 0);
    assert_eq!(severities(&sensor), [Severity::Low]);
}

#[test]
fn listed_ports_inside_hosts_and_strangers_are_silent() {
    let mut sensor = sensor();
    for number in 0..30 {
        let millis = u64::from(number) * MINUTE;
        sensor.frame(millis, &udp((CLIENT, 30_000 + number), (OUTSIDE, 123), &[0x23; 48]));
        sensor.frame(millis + 1, &tcp((CLIENT, 31_000 + number), (VICTIM, 443), SYN));
        sensor.frame(millis + 2, &tcp((OUTSIDE, 32_000 + number), (CLIENT, 443), SYN));
        sensor.frame(millis + 3, &tcp((OUTSIDE, 443), (CLIENT, 33_000 + number), SYN_ACK));
    }
    assert_eq!(sensor.opened(), []);
}

/// Calls over four addresses of a /24 in a random order: none of them has a rhythm.
#[test]
fn several_addresses_of_one_network_are_one_destination() {
    let (mut sensor, mut random) = (sensor(), Random(5));
    for number in 0..60 {
        let to = Ipv4Addr::new(198, 51, 100, 4 + u8::try_from(random.below(6)).unwrap());
        sensor.frame(u64::from(number) * MINUTE, &call(CLIENT, to, number));
    }
    assert_eq!(severities(&sensor), [Severity::Medium]);
    assert_eq!(sensor.raised[0].subject.destination, Some(Address::v4(0xc633_6400)));
    assert!(matches!(sensor.raised[0].evidence, Evidence::Rhythm { prefix_bits: 24, .. }));
}

#[test]
fn addresses_of_one_ipv6_network_are_one_destination() {
    let (mut sensor, mut random) = (sensor(), Random(6));
    for number in 0..60_u16 {
        let to = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, u16::try_from(random.below(6)).unwrap());
        let request = segment(30_000 + number, 443, SYN, &[]);
        let from = "fd00::11".parse().unwrap();
        sensor.frame(u64::from(number) * MINUTE, &ipv6(from, to, 6, &request));
    }
    assert_eq!(severities(&sensor), [Severity::Medium]);
    assert!(matches!(sensor.raised[0].evidence, Evidence::Rhythm { prefix_bits: 64, .. }));
}

#[test]
fn datagrams_of_one_length_are_as_suspicious_as_requests_and_others_less() {
    for (greatest, severity) in [(1, Severity::Medium), (200, Severity::Low)] {
        let (mut sensor, mut random) = (sensor(), Random(8));
        for number in 0..20 {
            let payload = vec![7; 40 + usize::try_from(random.below(greatest)).unwrap()];
            let frame = udp((CLIENT, 30_000 + number), (OUTSIDE, 4_000), &payload);
            sensor.frame(u64::from(number) * MINUTE, &frame);
        }
        assert_eq!(severities(&sensor), [severity]);
    }
}

#[test]
fn a_beacon_is_reported_once_a_day_and_then_less_often() {
    let mut sensor = sensor();
    for number in 0..u16::try_from(8 * 24 * 6).unwrap() {
        sensor.frame(u64::from(number) * 10 * MINUTE, &call(CLIENT, OUTSIDE, number));
    }
    // After some two hours, a day later, two days later, four days later.
    assert_eq!(severities(&sensor), [Severity::Medium; 4]);
}

/// Made-up pairs of another host, eight times as many as the table has room for, delay that a pair is watched.
#[test]
fn made_up_pairs_do_not_hide_a_beacon() {
    let tables = sentinel_detect::TableCapacities { beacon_pairs: 64, beacon_filters: 512, ..ROOMY.tables };
    let capacities = sentinel_detect::Capacities { tables, ..ROOMY };
    let mut sensor = Sensor::with(capacities, KEY, &alone(Kind::Beacon));
    let mut random = Random(4);
    for number in 0..180 {
        let millis = u64::from(number) * MINUTE;
        sensor.frame(millis, &call(CLIENT, OUTSIDE, number));
        for made_up in 0..200_u16 {
            let to = Ipv4Addr::from_bits(0xc612_0000 | u32::try_from(random.below(1 << 9)).unwrap());
            sensor.frame(millis + 1 + u64::from(made_up) * 200, &call(ATTACKER, to, number * 150 + made_up));
        }
    }
    let victims = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
    assert_eq!(
        victims.filter(|alert| alert.subject.source == Some(Address::v4(CLIENT.to_bits()))).count(),
        1
    );
}

#[test]
fn names_of_answers_are_found_and_every_cut_is_harmless() {
    let mut message = dns("a.example", true);
    message[7] = 3;
    message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]); // CNAME
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]); // A
    message.extend([1, b'a', 0, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]); // AAAA
    message.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let all = |bytes: &[u8]| {
        let mut found = Vec::new();
        each_address(bytes, |address| found.push(address));
        found
    };
    assert_eq!(all(&message), [Address::v4(0xcb00_7109), Address::v6([0x2001_0db8, 0, 0, 9])]);
    for cut in 0..message.len() {
        assert!(all(&message[..cut]).len() < 2, "cut at {cut}");
    }
    message[2] = 1;
    assert_eq!(all(&message), [], "a query");
}

#[test]
fn without_a_table_nothing_fires() {
    let none = sentinel_detect::Capacities {
        flows: 0,
        incidents: 0,
        tables: sentinel_detect::TableCapacities::uniform(0),
    };
    let mut sensor = Sensor::with(none, KEY, &configs());
    calls(&mut sensor, CLIENT, OUTSIDE, 30, 0);
    assert_eq!(sensor.opened(), []);
}
