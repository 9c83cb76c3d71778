//! Tests of lists of names and addresses, by frames.

extern crate std;
use std::net::Ipv4Addr;
use std::string::{String, ToString};
use std::vec::Vec;

use sentinel_alert::{Evidence, Kind, Phase, Severity, Test};

use super::address_list::SINGLE_ADDRESS;
use super::address_list::tests::packed;
use super::indicators::{ADDRESSES, IndicatorLookup, KeyHash, KeyKind};
use super::name_list::name_entry;
use super::signatures::{
    ABUSED_ZONE, ALLOWED, MALICIOUS, MALICIOUS_FINGERPRINT, signatures_header, signatures_need,
};
use crate::detectors::payload::tests::{Connection, Side};
use crate::engine::memory::Capacities;
use crate::testkit::{
    ACK, CLIENT, GATEWAY, KEY, OUTSIDE, ROOMY, SYN, SYN_ACK, Sensor, VICTIM, alone, configs, dns, ipv4,
    segment, tcp, udp,
};
use crate::{Configs, TableCapacities};

const DAY: u64 = 86_400_000;
const NAMES: &[(&str, u8)] = &[
    ("signal.org", 0),
    ("signal.me", 0),
    ("dropbox.com", 1),
    ("xyz", ABUSED_ZONE),
    ("evil.xyz", MALICIOUS),
    ("a.evil.xyz", MALICIOUS),
    ("good.evil.xyz", ALLOWED),
    ("fine.xyz", ALLOWED),
];
const SERVICES: &[u8] = b"\x00\x06Signal\x01\x07Dropbox";
const CLASSES: [(u8, Test); 6] = [
    (0, Test::MaliciousIp),
    (1, Test::TorExitNode),
    (2, Test::TorRelay),
    (3, Test::TorBridge),
    (4, Test::DatacenterIp),
    (5, Test::ProxyVpn),
];

/// 198.51.100.N is in the class N.
const fn of_class(class: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, class)
}

fn lists(names: &[(&str, u8)], ranges: &[(&str, u8)]) -> Vec<u8> {
    let mut entries: Vec<_> = names.iter().map(|(name, value)| name_entry(name.as_bytes(), *value)).collect();
    entries.sort_unstable();
    let (addresses, (v4, v6)) = packed(ranges);
    let [names, v4, v6] = [entries.len(), v4, v6].map(|count| u32::try_from(count).unwrap());
    let entries: Vec<_> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    [&signatures_header(names, v4, v6)[..], &entries, &addresses, SERVICES].concat()
}

fn sensor(configs: &Configs) -> Sensor {
    let single = |class: u8| class | SINGLE_ADDRESS;
    let ranges = [
        ("10.20.30.10", single(1)),
        ("192.0.2.0", 1),
        ("192.0.2.9", 1 | 1 << 6),
        ("192.0.2.10", 1),
        ("192.0.3.0", 0),
        ("198.51.100.0", single(1)),
        ("198.51.100.1", single(1 << 1)),
        ("198.51.100.2", single(1 << 2)),
        ("198.51.100.3", single(1 << 3)),
        ("198.51.100.4", single(1 << 4)),
        ("198.51.100.5", single(1 << 5)),
        ("198.51.100.8", single(1 | 1 << 1 | 1 << 2)),
    ];
    let mut configs = configs.clone();
    crate::testkit::config_of(&mut configs, Kind::NewDevice).enabled = false;
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    assert!(sensor.engine.set_signatures(Some(&lists(NAMES, &ranges)), &[]));
    sensor
}

fn question(from: Ipv4Addr, name: &str) -> Vec<u8> {
    udp((from, 40_000), (GATEWAY, 53), &dns(name, false))
}

/// Tests and labels of what opened.
fn told(sensor: &Sensor) -> Vec<(Test, &str)> {
    let opened = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
    opened
        .map(|alert| match &alert.evidence {
            Evidence::Listed { label, .. } => (alert.test, label.as_str()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn closed(sensor: &mut Sensor) -> Vec<String> {
    sensor.finish();
    let closed = sensor.raised.iter().filter(|alert| alert.phase == Phase::Close);
    let mut closed: Vec<_> = closed.map(|alert| alert.summary().to_string()).collect();
    closed.sort();
    closed
}

/// A client that resolves names over HTTPS asks for none in sight.
#[test]
fn the_server_that_a_first_payload_names_is_looked_up() {
    let request = |host: &str| {
        let request = std::format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        ipv4(CLIENT, OUTSIDE, 6, &segment(40_000, 80, 0x18, request.as_bytes()))
    };
    for (host, expected) in [
        ("chat.signal.org:80", &[(Test::ChatApp, "Signal")][..]),
        ("a.evil.xyz", &[(Test::SuspiciousTld, "a.evil.xyz"), (Test::MaliciousDomain, "a.evil.xyz")]),
        ("good.evil.xyz", &[]),
        ("xyz", &[]),
        ("192.0.2.9", &[]),
    ] {
        let mut sensor = sensor(&configs());
        sensor.fast(0, &request(host));
        sensor.fast(1, &request(host));
        assert_eq!(told(&sensor), expected, "{host}");
    }
    let mut sensor = sensor(&configs());
    sensor.fast(0, &question(CLIENT, "signal.org"));
    sensor.fast(1, &request("signal.org"));
    assert_eq!(told(&sensor), [(Test::ChatApp, "Signal")], "once a day");
}

/// Hello of TLS 1.2 with one suite, padding of so many bytes, and a name behind it.
fn hello(padding: u16, name: &str) -> Vec<u8> {
    let counted = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let padding = [&[0, 21][..], &counted(&std::vec![0; padding.into()])].concat();
    let name = [&[0, 0][..], &counted(&counted(&[&[0][..], &counted(name.as_bytes())].concat()))].concat();
    let extensions = counted(&[padding, name].concat());
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

/// JA3 `771,4865,21-0,,`, and JA4.
const JA3: &str = "a89bab8eb05fa15a7ac7b256b0257612";
const JA4: &str = "t12d010200_0f2cb44170f4_4298e3b3ed58";

/// Memory with room for a hello.
const fn with_flight() -> Capacities {
    let tables = TableCapacities { payload_flight: 3_072, ..ROOMY.tables };
    Capacities { tables, ..ROOMY }
}

fn with_fingerprints(fingerprints: &[&str]) -> Sensor {
    let mut sensor = Sensor::with(with_flight(), KEY, &alone(Kind::MaliciousFingerprint));
    let list: Vec<_> = fingerprints.iter().map(|text| (*text, MALICIOUS_FINGERPRINT)).collect();
    assert!(
        sensor
            .engine
            .set_signatures(Some(&lists(&[&[("evil.xyz", MALICIOUS)], &list[..]].concat(), &[])), &[])
    );
    sensor
}

/// Severity and fingerprint of what opened.
fn programs(sensor: &Sensor) -> Vec<(Severity, String)> {
    let opened = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
    opened
        .map(|alert| match &alert.evidence {
            Evidence::Observed { what, .. } => (alert.severity, what.to_string()),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Frames of a client that sends these segments.
fn client(segments: &[&[u8]]) -> Vec<Vec<u8>> {
    let said: Vec<_> = segments.iter().map(|bytes| (Side::Client, *bytes)).collect();
    Connection::new((CLIENT, 40_000), (OUTSIDE, 8_443)).frames(&said)
}

fn seen(fingerprints: &[&str], frames: &[Vec<u8>]) -> Vec<(Severity, String)> {
    let mut sensor = with_fingerprints(fingerprints);
    for (millis, frame) in (0..).zip(frames) {
        sensor.fast(millis, frame);
    }
    programs(&sensor)
}

#[test]
fn a_listed_fingerprint_is_weak_alone_and_a_claim_with_the_other_one() {
    let hello = hello(9, "a.test");
    let frames = client(&[&hello]);
    let ja3 = std::format!("JA3 {JA3}");
    let ja4 = std::format!("JA4 {JA4}");
    assert_eq!(seen(&[JA3], &frames), [(Severity::Low, ja3)]);
    assert_eq!(seen(&[JA4], &frames), [(Severity::Low, ja4)]);
    assert_eq!(seen(&[JA3, JA4], &frames), [(Severity::Medium, std::format!("JA3 and JA4 {JA4}"))]);
    assert_eq!(seen(&["00000000000000000000000000000000"], &frames), []);
    assert_eq!(seen(&[JA3], &client(&[&hello[..hello.len() - 1]])), [], "cut");
    let mut sensor = with_fingerprints(&[JA3]);
    sensor.frame(0, &question(CLIENT, JA3));
    assert_eq!(sensor.opened(), [], "a fingerprint is no name");
}

/// Keys of post-quantum groups make a hello longer than a segment.
#[test]
fn a_hello_of_several_segments_is_put_together() {
    let hello = hello(1_600, "a.test");
    let (first, rest) = hello.split_at(1_400);
    assert_eq!(seen(&[JA3], &client(&[first, rest])).len(), 1);
    let (second, third) = rest.split_at(100);
    assert_eq!(seen(&[JA3], &client(&[first, second, third])).len(), 1);
    let frames = client(&[first, second, third]);
    let without = |missing: usize| -> Vec<_> {
        frames.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, frame)| frame.clone()).collect()
    };
    assert_eq!(
        [3, 4, 5].map(|missing| seen(&[JA3], &without(missing)).len()),
        [0; 3],
        "a segment is missing"
    );
    let mut repeated = frames.clone();
    repeated.insert(4, frames[3].clone());
    repeated.insert(6, frames[4].clone());
    assert_eq!(seen(&[JA3], &repeated).len(), 1, "segments are sent twice");
    // While one hello waits, another one that is complete is read.
    let mut sensor = with_fingerprints(&[JA3]);
    let short = self::hello(9, "b.test");
    let other = Connection::new((CLIENT, 41_000), (VICTIM, 8_443)).frames(&[(Side::Client, &short[..])]);
    for (millis, frame) in (0..).zip(frames[..4].iter().chain(&other).chain(&frames[4..])) {
        sensor.fast(millis, frame);
    }
    sensor.finish();
    let counts: Vec<_> = sensor
        .raised
        .iter()
        .filter(|alert| alert.phase == Phase::Close)
        .map(|alert| alert.summary().to_string())
        .collect();
    assert_eq!(counts.len(), 1, "one program, one incident");
    assert!(
        counts[0].contains("began TLS like a program that a list calls malicious (JA3 a89b"),
        "{counts:?}"
    );
}

#[test]
fn a_name_in_the_second_segment_of_a_hello_is_looked_up_once() {
    for (padding, expected) in [(1_600, 1), (9, 1)] {
        let mut configs = alone(Kind::MaliciousDomain);
        crate::testkit::config_of(&mut configs, Kind::MaliciousFingerprint).enabled = true;
        let mut sensor = Sensor::with(with_flight(), KEY, &configs);
        let list = lists(&[("evil.xyz", MALICIOUS), (JA4, MALICIOUS_FINGERPRINT)], &[]);
        assert!(sensor.engine.set_signatures(Some(&list), &[]));
        let hello = hello(padding, "a.evil.xyz");
        let (first, rest) = hello.split_at(hello.len() - 4);
        for (millis, frame) in (0..).zip(client(&[first, rest])) {
            sensor.fast(millis, &frame);
        }
        let found = sensor.opened().into_iter().filter(|test| *test == Test::MaliciousDomain).count();
        assert_eq!(found, expected, "{padding}");
    }
}

/// A compiled list: texts that are listed, those of them that are not confirmed, and 198.51.100.7.
#[derive(Debug)]
struct Compiled(&'static [(KeyKind, &'static [u8], bool)]);

impl IndicatorLookup for Compiled {
    fn contents(&self) -> u32 {
        ADDRESSES | self.0.iter().fold(0, |bits, (kind, _, _)| bits | kind.bit())
    }

    fn has_address(&self, address: u32) -> bool {
        address == 0xc633_6407
    }

    fn find(&self, key: u64) -> Option<bool> {
        let is_it =
            |(kind, text, _): &&(KeyKind, &[u8], bool)| KeyHash::default().before(text).key(*kind) == key;
        self.0.iter().find(is_it).map(|(_, _, is_confirmed)| *is_confirmed)
    }
}

const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
static COMPILED: Compiled = Compiled(&[
    (KeyKind::Name, b"bad.test", true),
    (KeyKind::Name, b"worse.bad.test", true),
    (KeyKind::Name, b"doubt.test", false),
    (KeyKind::Name, b"good.evil.xyz", true),
    (KeyKind::Name, b"test", true),
    (KeyKind::Url, b"host.test:8080/a/B?c", true),
    (KeyKind::Url, b"plain.test/", false),
    (KeyKind::Fingerprint, JA3.as_bytes(), true),
    (KeyKind::Ipv6, &V6, true),
]);

fn with_compiled() -> Sensor {
    let mut sensor = sensor(&configs());
    sensor.engine.set_indicators(Some(&COMPILED));
    sensor
}

#[test]
fn names_of_a_compiled_list_are_told_with_those_below_them_and_what_is_allowed_is_not() {
    let malicious = |name: &'static str| (Test::MaliciousDomain, name);
    for (name, expected) in [
        ("bad.test", &[malicious("bad.test")][..]),
        ("A.Worse.BAD.test", &[malicious("a.worse.bad.test")]),
        ("notbad.test", &[]),
        ("bad.test.example", &[]),
        ("doubt.test", &[(Test::MaliciousUnconfirmed, "doubt.test")]),
        ("good.evil.xyz", &[]),
        ("evil.xyz", &[(Test::SuspiciousTld, "evil.xyz"), malicious("evil.xyz")]),
    ] {
        for is_fast in [false, true] {
            let mut sensor = with_compiled();
            let frame = question(CLIENT, name);
            if is_fast {
                sensor.fast(0, &frame);
            } else {
                sensor.frame(0, &frame);
            }
            assert_eq!(told(&sensor), expected, "{name}");
        }
    }
    let severity = |sensor: &Sensor| sensor.raised[0].severity;
    let mut sensor = with_compiled();
    sensor.frame(0, &question(CLIENT, "doubt.test"));
    assert_eq!(severity(&sensor), Severity::Low);
    assert_eq!(
        sensor.raised[0].summary().to_string(),
        "10.20.30.11 asked for doubt.test (perhaps listed as malicious) at 10.20.30.1 port 53"
    );
}

#[test]
fn addresses_and_requests_of_a_compiled_list_are_told() {
    for (to, expected) in [(7, &[(Test::MaliciousIp, "malicious_ip")][..]), (6, &[])] {
        let mut sensor = with_compiled();
        sensor.fast(0, &tcp((CLIENT, 40_000), (of_class(to), 443), SYN));
        assert_eq!(told(&sensor), expected, "{to}");
    }
    let request = |host: &str, target: &str| {
        let request = std::format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        ipv4(CLIENT, OUTSIDE, 6, &segment(40_000, 80, 0x18, request.as_bytes()))
    };
    for (host, target, expected) in [
        ("Host.test:8080", "/a/B?c", &[(Test::MaliciousUrl, "host.test:8080/a/B?c")][..]),
        ("host.test:8080", "/a/b?c", &[]),
        ("host.test", "/a/B?c", &[]),
        ("plain.test:80", "/", &[(Test::MaliciousUnconfirmed, "plain.test:80/")]),
        ("www.bad.test", "/", &[(Test::MaliciousDomain, "www.bad.test")]),
    ] {
        let mut sensor = with_compiled();
        sensor.fast(0, &request(host, target));
        let found: Vec<_> = told(&sensor);
        let expected: Vec<_> = expected
            .iter()
            .map(|(test, label)| {
                (
                    *test,
                    label.strip_suffix(":80/").map_or((*label).to_string(), |host| std::format!("{host}/")),
                )
            })
            .collect();
        assert_eq!(
            found.iter().map(|(test, label)| (*test, (*label).to_string())).collect::<Vec<_>>(),
            expected,
            "{host}{target}"
        );
    }
    let mut sensor = Sensor::with(with_flight(), KEY, &alone(Kind::MaliciousFingerprint));
    sensor.engine.set_indicators(Some(&COMPILED));
    for (millis, frame) in (0..).zip(client(&[&hello(9, "a.test")])) {
        sensor.fast(millis, &frame);
    }
    assert_eq!(programs(&sensor), [(Severity::Low, std::format!("JA3 {JA3}"))]);
}

#[test]
fn a_rule_of_the_operator_allows_the_host_of_a_url() {
    let request = b"GET /a/B?c HTTP/1.1\r\nHost: HOST.test:8080\r\n\r\n";
    for (rule, expected) in [("name=host.test", 0), ("name=other.test", 1), ("name=a", 1)] {
        let mut sensor = with_compiled();
        assert_eq!(sensor.engine.set_allow_rules(&[rule.parse().unwrap()]), 0);
        sensor.fast(0, &ipv4(CLIENT, OUTSIDE, 6, &segment(40_000, 80, 0x18, request)));
        assert_eq!(told(&sensor).len(), expected, "{rule}");
    }
}

/// A host that asks for one name again and again would never be told of a list that came later.
#[test]
fn a_name_is_new_to_a_list_that_comes_later() {
    let mut sensor = sensor(&configs());
    for second in 0..5 {
        sensor.fast(second * 1_000, &question(CLIENT, "bad.test"));
    }
    assert_eq!(told(&sensor), []);
    sensor.engine.set_indicators(Some(&COMPILED));
    for second in 5..9 {
        sensor.fast(second * 1_000, &question(CLIENT, "bad.test"));
    }
    assert_eq!(told(&sensor), [(Test::MaliciousDomain, "bad.test")]);
    sensor.engine.set_indicators(None);
    sensor.fast(DAY, &question(CLIENT, "bad.test"));
    assert_eq!(told(&sensor).len(), 1);
}

/// Storage services have a threshold of their own, by the name that the client asked for; all others that of the lists or the setting.
#[test]
fn transfers_with_storage_services_have_a_threshold_of_their_own() {
    let told = |host: &str, sizes: Option<[u32; 2]>, setting: Option<u32>, megabytes: u32| {
        let mut configs = configs();
        for config in &mut configs {
            config.enabled = true;
        }
        crate::testkit::config_of(&mut configs, Kind::Exfiltration).enabled = false;
        if let Some(bytes) = setting {
            *crate::testkit::threshold(&mut configs, Kind::LargeTransfer, "bytes") = bytes;
        }
        let mut sensor = sensor(&configs);
        if let Some(sizes) = sizes {
            sensor.engine.set_transfer_sizes(sizes);
        }
        let segment_of = |flags: u8, number: u32, payload: &[u8]| {
            let mut bytes = segment(40_000, 443, flags, payload);
            bytes[4..8].copy_from_slice(&number.to_be_bytes());
            ipv4(CLIENT, OUTSIDE, 6, &bytes)
        };
        let request = std::format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        sensor.fast(0, &segment_of(0x18, 100, request.as_bytes()));
        (0..=megabytes / 10).for_each(|step| {
            sensor.fast(u64::from(step) * 10_000 + 20, &segment_of(ACK, 200 + step * 10_000_000, &[]));
        });
        sensor.opened().contains(&Test::LargeTransfer)
    };
    let sizes = Some([104_857_600, 1 << 30]);
    assert!(told("www.example.org", sizes, None, 130) && !told("www.example.org", sizes, None, 90));
    assert!(!told("www.dropbox.com", sizes, None, 900) && told("www.dropbox.com", sizes, None, 1_200));
    assert!(told("chat.signal.org", sizes, None, 130), "no storage");
    assert!(told("www.example.org", Some([20_000_000, 1 << 30]), None, 40), "lists");
    assert!(!told("www.example.org", Some([20_000_000, 1 << 30]), Some(60_000_000), 40), "the setting");
    assert!(told("www.dropbox.com", Some([20_000_000, 1]), None, 40), "never less than for others");
    assert!(told("www.dropbox.com", None, None, 130), "without sizes");
}

#[test]
fn listed_names_and_those_below_them_are_told() {
    for (name, expected) in [
        ("signal.org", &[(Test::ChatApp, "Signal")][..]),
        ("CHAT.Signal.ORG", &[(Test::ChatApp, "Signal")]),
        ("www.dropbox.com", &[(Test::CloudStorage, "Dropbox")]),
        ("notdropbox.com", &[]),
        ("dropbox.com.evil.example", &[]),
        ("shop.xyz", &[(Test::SuspiciousTld, "shop.xyz")]),
        ("xyz.example", &[]),
        ("a.evil.xyz", &[(Test::SuspiciousTld, "a.evil.xyz"), (Test::MaliciousDomain, "a.evil.xyz")]),
        ("good.evil.xyz", &[]),
        ("www.fine.xyz", &[]),
        ("www.example.org", &[]),
    ] {
        for is_fast in [false, true] {
            let mut sensor = sensor(&configs());
            let frame = question(CLIENT, name);
            if is_fast {
                sensor.fast(0, &frame);
            } else {
                sensor.frame(0, &frame);
            }
            assert_eq!(told(&sensor), expected, "{name}");
        }
        // Without the detectors that measure the name first.
        let mut configs = configs();
        crate::testkit::config_of(&mut configs, Kind::DnsTunnel).enabled = false;
        crate::testkit::config_of(&mut configs, Kind::Dga).enabled = false;
        let mut sensor = sensor(&configs);
        sensor.frame(0, &question(CLIENT, name));
        assert_eq!(told(&sensor), expected, "{name}");
    }
}

#[test]
fn answers_other_ports_strangers_and_other_bytes_tell_nothing() {
    let mut sensor = sensor(&configs());
    for frame in [
        udp((GATEWAY, 53), (CLIENT, 40_000), &dns("evil.xyz", true)),
        udp((GATEWAY, 53), (CLIENT, 53), &dns("evil.xyz", true)),
        udp((CLIENT, 5353), (GATEWAY, 5353), &dns("evil.xyz", false)),
        udp((CLIENT, 40_000), (GATEWAY, 53), b"evil.xyz"),
        question(OUTSIDE, "evil.xyz"),
    ] {
        sensor.frame(0, &frame);
    }
    assert_eq!(told(&sensor), []);
}

/// A name that is asked for again counts again, though other detectors pass over it; so does one among so many that they sample.
#[test]
fn names_that_other_detectors_pass_over_are_looked_up() {
    let mut sensor = sensor(&configs());
    for number in 0..2_000 {
        sensor.frame(number / 10, &question(CLIENT, &std::format!("n{number}.example.org")));
    }
    for millis in 200..203 {
        sensor.frame(millis, &question(CLIENT, "a.evil.xyz"));
    }
    let closed = closed(&mut sensor);
    let expected = "10.20.30.11 asked for a.evil.xyz or others of the same entry (listed as malicious) 3 times at 10.20.30.1 port 53";
    assert!(closed.iter().any(|summary| summary.starts_with(expected)), "{closed:?}");
}

#[test]
fn a_service_is_told_once_a_day_for_each_host_and_malicious_names_are_counted() {
    let mut sensor = sensor(&configs());
    for hour in 0..10 {
        sensor.frame(hour * 500_000, &question(CLIENT, "signal.org"));
        sensor.frame(hour * 500_000, &question(CLIENT, "signal.me"));
    }
    assert_eq!(told(&sensor).len(), 1);
    sensor.frame(5_000_000, &question(VICTIM, "signal.me"));
    sensor.frame(5_000_000, &question(CLIENT, "dropbox.com"));
    sensor.frame(5_000_000 + DAY, &question(CLIENT, "signal.me"));
    assert_eq!(told(&sensor).len(), 4);
    let mut sensor = self::sensor(&configs());
    for name in ["a.evil.xyz", "b.evil.xyz", "a.evil.xyz"] {
        sensor.frame(0, &question(CLIENT, name));
    }
    assert_eq!(
        closed(&mut sensor),
        [
            "10.20.30.11 asked for a.evil.xyz (in an often abused zone) \
             at 10.20.30.1 port 53, over 0 s after it began",
            "10.20.30.11 asked for a.evil.xyz or others of the same entry (listed as malicious) 3 times \
             at 10.20.30.1 port 53, over 0 s after it began",
        ]
    );
}

#[test]
fn a_rule_of_the_operator_allows_a_name_and_what_is_below_it() {
    let mut sensor = sensor(&configs());
    let rule = "kind=malicious_domain+name=evil.xyz".parse().unwrap();
    assert_eq!(sensor.engine.set_allow_rules(&[rule]), 0);
    sensor.frame(0, &question(CLIENT, "b.evil.xyz"));
    assert_eq!(told(&sensor), [(Test::SuspiciousTld, "b.evil.xyz")]);
}

/// A resolver at home asks for what its clients ask for: they are named, it is not.
#[test]
fn what_a_resolver_forwards_is_its_clients() {
    let mut sensor = sensor(&configs());
    let to = |from, to, name: &str| udp((from, 40_000), (to, 53), &dns(name, false));
    sensor.frame(0, &to(CLIENT, VICTIM, "a.evil.xyz"));
    sensor.frame(5, &to(VICTIM, OUTSIDE, "a.evil.xyz"));
    let sources = |sensor: &Sensor| {
        let opened = sensor.raised.iter().filter(|alert| alert.test == Test::MaliciousDomain);
        opened.map(|alert| alert.subject.source.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sources(&sensor), ["10.20.30.11"]);
    sensor.frame(59_000, &to(VICTIM, OUTSIDE, "b.evil.xyz"));
    assert_eq!(sources(&sensor), ["10.20.30.11"]);
    sensor.frame(61_000, &to(VICTIM, OUTSIDE, "a.evil.xyz"));
    assert!(sources(&sensor).contains(&"10.20.30.10".to_string()), "asked by itself");
}

#[test]
fn a_flow_to_a_listed_address_is_told_answered_or_not() {
    for (class, test) in CLASSES {
        let (client, server) = ((CLIENT, 40_000), (of_class(class), 443));
        for frame in [tcp(client, server, SYN), udp(client, server, &[0]), tcp(client, server, ACK)] {
            let mut sensor = sensor(&configs());
            for millis in 0..3 {
                sensor.frame(millis, &frame);
            }
            assert_eq!(sensor.opened(), [test]);
            let subject = &sensor.raised[0].subject;
            assert_eq!(subject.destination, Some(std::net::IpAddr::V4(of_class(class)).into()));
        }
        let mut sensor = sensor(&alone(test.kind()));
        sensor.fast(0, &tcp(client, server, SYN));
        assert_eq!(sensor.opened(), [test], "with no detector that counts bytes");
    }
}

#[test]
fn what_comes_from_outside_accuses_nobody() {
    let mut sensor = sensor(&configs());
    for (name, frame) in [
        ("a request of a listed address", tcp((of_class(0), 40_000), (CLIENT, 22), SYN)),
        ("its backscatter", tcp((of_class(0), 443), (CLIENT, 40_000), SYN_ACK)),
        ("the reset of that", tcp((CLIENT, 40_000), (of_class(0), 443), 4)),
        ("a reset that looks like an opening", tcp((CLIENT, 50_000), (of_class(0), 443), 0x14)),
        ("an answer that looks like an opening", tcp((CLIENT, 50_001), (of_class(0), 443), SYN_ACK)),
        ("a datagram like an answer", udp((of_class(0), 53), (CLIENT, 40_001), &[0])),
        ("another address", tcp((CLIENT, 40_002), (OUTSIDE, 443), SYN)),
        ("an internal address", tcp((CLIENT, 40_003), (VICTIM, 443), SYN)),
        (
            "an allowed address of a listed network",
            tcp((CLIENT, 40_004), (Ipv4Addr::new(192, 0, 2, 9), 443), SYN),
        ),
    ] {
        sensor.frame(0, &frame);
        assert_eq!(sensor.opened(), [], "{name}");
    }
    sensor.frame(0, &tcp((CLIENT, 40_005), (Ipv4Addr::new(192, 0, 2, 8), 443), SYN));
    assert_eq!(sensor.opened(), [Test::MaliciousIp]);
}

#[test]
fn flows_are_counted_and_classes_of_information_told_once_a_day() {
    let mut sensor = sensor(&configs());
    for flow in 0..5 {
        for class in [0, 4, 5] {
            sensor.frame(u64::from(flow), &tcp((CLIENT, 41_000 + flow), (of_class(class), 443), SYN));
        }
    }
    sensor.frame(10, &tcp((CLIENT, 42_000), (of_class(8), 443), SYN));
    sensor.frame(11, &tcp((CLIENT, 42_001), (of_class(1), 9_001), SYN));
    let with = |middle: &str| {
        std::format!("10.20.30.11 contacted an address listed as {middle} port 443, over 0 s after it began")
    };
    assert_eq!(
        closed(&mut sensor),
        [
            "10.20.30.11 contacted an address listed as Tor exit node 2 times, over 0 s after it began"
                .to_string(),
            with("malicious 5 times at 198.51.100.0"),
            with("malicious at 198.51.100.8"),
            with("proxy or VPN at 198.51.100.5"),
            with("that of a data centre at 198.51.100.4"),
        ]
    );
}

#[test]
fn each_kind_is_switched_alone_and_nothing_is_told_without_a_list() {
    for (kind, name) in [
        (Kind::ChatApp, "signal.org"),
        (Kind::CloudStorage, "dropbox.com"),
        (Kind::SuspiciousTld, "evil.xyz"),
        (Kind::MaliciousDomain, "evil.xyz"),
    ] {
        let mut sensor = sensor(&alone(kind));
        for (name, _) in NAMES {
            sensor.frame(0, &question(CLIENT, name));
        }
        let kinds: Vec<_> = told(&sensor).iter().map(|(test, _)| test.kind()).collect();
        assert!(!kinds.is_empty() && kinds.iter().all(|told| *told == kind), "{name}: {kinds:?}");
    }
    let mut sensor = Sensor::new();
    sensor.frame(0, &question(CLIENT, "evil.xyz"));
    sensor.frame(0, &tcp((CLIENT, 40_000), (of_class(0), 443), SYN));
    assert_eq!(told(&sensor), []);
}

#[test]
fn lists_that_do_not_fit_leave_those_before() {
    let large: Vec<_> = (0..200).map(|number| std::format!("{number}.test")).collect();
    let large: Vec<_> = large.iter().map(|name| (name.as_str(), MALICIOUS)).collect();
    let large = lists(&large, &[]);
    assert!(signatures_need(&large) > ROOMY.tables.signatures);
    let mut sensor = sensor(&configs());
    assert!(!sensor.engine.set_signatures(Some(&large), &[]));
    assert!(!sensor.engine.set_signatures(Some(b"no lists"), &[]));
    sensor.frame(0, &question(CLIENT, "signal.org"));
    sensor.frame(0, &tcp((CLIENT, 40_000), (of_class(0), 443), SYN));
    assert_eq!(sensor.opened(), [Test::ChatApp, Test::MaliciousIp]);
    // The same room is enough for just as much.
    let small = lists(NAMES, &[]);
    let tables = TableCapacities { signatures: signatures_need(&small), ..ROOMY.tables };
    let mut sensor = Sensor::with(Capacities { tables, ..ROOMY }, KEY, &configs());
    assert!(sensor.engine.set_signatures(Some(&small), &[]));
    sensor.frame(0, &question(CLIENT, "signal.org"));
    assert_eq!(sensor.opened(), [Test::ChatApp]);
}

/// The lists that are built in come back when the operator's file is no longer named.
#[test]
fn lists_are_replaced_while_running() {
    let built_in: &'static [u8] = lists(&[("dropbox.com", 1)], &[]).leak();
    let mut sensor = Sensor::with(ROOMY, KEY, &configs());
    assert!(sensor.engine.set_signatures(None, built_in));
    sensor.frame(0, &question(CLIENT, "dropbox.com"));
    assert!(sensor.engine.set_signatures(Some(&lists(&[("signal.org", 0)], &[])), built_in));
    sensor.frame(1, &question(VICTIM, "dropbox.com"));
    sensor.frame(1, &question(VICTIM, "signal.org"));
    assert!(sensor.engine.set_signatures(None, built_in));
    sensor.frame(2, &question(VICTIM, "dropbox.com"));
    sensor.frame(2, &question(VICTIM, "a.signal.org"));
    assert_eq!(sensor.opened(), [Test::CloudStorage, Test::ChatApp, Test::CloudStorage]);
}

#[test]
fn queries_over_tcp_are_read_once_they_are_complete() {
    let message = dns("a.evil.xyz", false);
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let stream = [&length[..], &message].concat();
    let mut sensor = sensor(&alone(Kind::MaliciousDomain));
    let storage = crate::ReassemblyStorage::allocate(
        &crate::ReassemblyCapacities::within(1 << 16),
        &mut crate::testkit::Leaked,
    );
    sensor.engine.enable_reassembly(storage);
    let syn = tcp((CLIENT, 40_000), (GATEWAY, 53), SYN);
    sensor.frame(0, &syn);
    let mut at = 8;
    for part in stream.chunks(9) {
        let mut bytes = segment(40_000, 53, 0x18, part);
        bytes[4..8].copy_from_slice(&u32::to_be_bytes(at));
        sensor.frame(1, &ipv4(CLIENT, GATEWAY, 6, &bytes));
        at += u32::try_from(part.len()).unwrap();
    }
    assert_eq!(told(&sensor), [(Test::MaliciousDomain, "a.evil.xyz")]);
}
