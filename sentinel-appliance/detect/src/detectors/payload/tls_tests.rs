//! Servers of TLS with every property that is a finding, and those with none.

extern crate std;
use std::net::Ipv4Addr;
use std::string::{String, ToString};
use std::vec::Vec;

use sentinel_alert::{Kind, Severity};

use super::tests::{Client, Connection, PUSH, Server, Side, opened, sensor};
use crate::testkit::{CLIENT, OUTSIDE, Sensor, VICTIM};

/// 2023-11-14, the time of the frames of tests.
const VALID: (&str, &str) = ("230101000000Z", "330101000000Z");

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, high, low][..], content].concat()
}

fn name(text: &str) -> Vec<u8> {
    let part = [der(6, &[0x55, 4, 3]), der(0x0c, text.as_bytes())].concat();
    der(0x30, &der(0x31, &der(0x30, &part)))
}

fn certificate(issuer: &str, subject: &str, (from, to): (&str, &str), key: usize) -> Vec<u8> {
    let time = |text: &str| der(if text.len() == 13 { 0x17 } else { 0x18 }, text.as_bytes());
    let fields = [
        der(0xa0, &der(2, &[2])),
        der(2, &[7]),
        der(0x30, &[5, 0]),
        name(issuer),
        der(0x30, &[time(from), time(to)].concat()),
        name(subject),
        der(0x30, &std::vec![9; key]),
    ];
    der(0x30, &[der(0x30, &fields.concat()), der(0x30, &[]), der(3, &[0; 64])].concat())
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, a, b, c][..], body].concat()
}

fn record(minor: u8, messages: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(messages.len()).unwrap().to_be_bytes();
    [&[22, 3, minor, high, low][..], messages].concat()
}

/// First flight of a server.
fn flight(minor: u8, suite: u16, certificate: &[u8]) -> Vec<u8> {
    let hello = [&[3, minor][..], &[7; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    let [_, a, b, c] = u32::try_from(certificate.len()).unwrap().to_be_bytes();
    let [_, d, e, f] = u32::try_from(certificate.len() + 3).unwrap().to_be_bytes();
    let list = [&[d, e, f, a, b, c][..], certificate].concat();
    record(minor, &[message(2, &hello), message(11, &list), message(14, &[])].concat())
}

const HELLO: &[u8] = b"\x16\x03\x01\0\x06\x01\0\0\x02\x03\x03";

fn judged_by(server: Ipv4Addr, port: u16, payloads: &[(Side, &[u8])]) -> Vec<(Severity, String)> {
    let mut sensor = sensor(Kind::TlsRisk);
    for frame in Connection::new((CLIENT, 40_000), (server, port)).frames(payloads) {
        sensor.fast(1, &frame);
    }
    opened(&sensor)
}

fn judged(flight: &[u8]) -> Vec<String> {
    let found = judged_by(OUTSIDE, 8_443, &[(Client, HELLO), (Server, flight)]);
    found.into_iter().map(|(_, what)| what).collect()
}

fn good() -> Vec<u8> {
    certificate("An authority", "www.example.org", VALID, 300)
}

/// A hello that asks for a name.
fn hello_for(name: &str) -> Vec<u8> {
    let len = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let list = [&len(name.len() + 3)[..], &[0], &len(name.len()), name.as_bytes()].concat();
    let extensions = [&[0, 0][..], &len(list.len()), &list].concat();
    let body =
        [&[3, 3][..], &[9; 32], &[0], &[0, 2, 0xc0, 0x2f], &[1, 0], &len(extensions.len()), &extensions];
    record(1, &message(1, &body.concat()))
}

/// The good certificate with these names beside its common name.
fn with_names(names: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| der(0x82, name.as_bytes())).collect();
    let extension = [der(6, &[0x55, 0x1d, 17]), der(4, &der(0x30, &list))].concat();
    let extensions = der(0xa3, &der(0x30, &der(0x30, &extension)));
    let plain = good();
    // Behind two headers, before signature and algorithm.
    let fields = [&plain[8..plain.len() - 4 - 68], &extensions].concat();
    der(0x30, &[der(0x30, &fields), der(0x30, &[]), der(3, &[0; 64])].concat())
}

#[test]
fn the_name_asked_for_is_compared_with_those_of_the_certificate() {
    let at = |server, asked: &str, certificate: &[u8]| {
        let payloads = [(Client, &hello_for(asked)[..]), (Server, &flight(3, 0xc02f, certificate)[..])];
        judged_by(server, 443, &payloads)
            .into_iter()
            .map(|(severity, what)| {
                assert_eq!(severity, Severity::Low);
                what
            })
            .collect::<Vec<_>>()
    };
    let other = ["certificate of another name"];
    for (names, asked, is_covered) in [
        (&["example.org", "*.example.org"][..], "example.org", true),
        (&["example.org", "*.example.org"], "WWW.Example.org", true),
        (&["example.org", "*.example.org"], "www.example.org.", true),
        (&["example.org", "*.example.org"], "a.b.example.org", false),
        (&["*.example.org"], "example.org", false),
        (&["example.org", "*.example.org"], "login.bank.example", false),
        // The common name does not count beside others.
        (&["example.net"], "www.example.org", false),
        (&["f*.example.org"], "foo.example.org", true),
        (&[], "www.example.org", false),
        // Certificates hold addresses in another form.
        (&["example.org"], "192.0.2.1", true),
        (&["example.org"], "localhost", true),
    ] {
        let expected: &[&str] = if is_covered { &[] } else { &other };
        assert_eq!(at(OUTSIDE, asked, &with_names(names)), expected, "{names:?} {asked}");
        assert_eq!(at(VICTIM, asked, &with_names(names)), [""; 0], "inside");
    }
    assert_eq!(at(OUTSIDE, "www.example.org", &good()), [""; 0], "common name");
    assert_eq!(at(OUTSIDE, "login.bank.example", &good()), other);
    assert_eq!(judged(&flight(3, 0xc02f, &with_names(&["example.net"]))), [""; 0], "no name asked for");
    // Names in a part that was not captured: nobody knows.
    let certificate = with_names(&["example.net"]);
    let whole = flight(3, 0xc02f, &certificate);
    let head = whole.len() - 120;
    let hello = hello_for("login.bank.example");
    assert_eq!(judged_by(OUTSIDE, 443, &[(Client, &hello), (Server, &whole[..head])]), [], "cut");
}

#[test]
fn versions_and_suites_are_judged() {
    for (minor, suite, what) in [
        (3, 0xc02f, ""),
        (3, 0x009c, ""),
        (2, 0xc013, "TLS 1.1"),
        (1, 0xc013, "TLS 1.0"),
        (0, 0x0035, "SSL 3.0"),
        (3, 0x0005, "RC4"),
        (3, 0x000a, "3DES"),
        (3, 0xc012, "3DES"),
        (3, 0x0009, "DES"),
        (3, 0x0002, "no encryption"),
        (3, 0x0018, "no authentication"),
        (3, 0xc018, "no authentication"),
        (1, 0x0003, "TLS 1.0, export cipher"),
    ] {
        let expected: &[&str] = if what.is_empty() { &[] } else { &[what] };
        assert_eq!(judged(&flight(minor, suite, &good())), expected, "{minor} {suite:#x}");
    }
    assert_eq!(judged(b"\x80\x0b\x04\0\x01\0\x02\0\0\0\0\0\x10"), ["SSL 2.0"]);
}

/// The version of TLS 1.3 is in an extension; its hello says 1.2.
#[test]
fn tls_1_3_is_no_finding() {
    let hello = [&[3, 3][..], &[7; 32], &[0], &[0x13, 1], &[0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
    assert_eq!(
        judged(&[record(3, &message(2, &hello)), b"\x14\x03\x03\0\x01\x01".to_vec()].concat()),
        [""; 0]
    );
}

#[test]
fn certificates_are_judged_by_the_time_of_the_packet() {
    let of = |issuer, times| judged(&flight(3, 0xc02f, &certificate(issuer, "www.example.org", times, 300)));
    assert_eq!(of("An authority", VALID), [""; 0]);
    assert_eq!(of("An authority", ("200101000000Z", "231101000000Z")), ["expired certificate"]);
    assert_eq!(of("An authority", ("19990101000000Z", "20230101000000Z")), ["expired certificate"]);
    // Within a day of the end, and of the begin: clocks differ.
    assert_eq!(of("An authority", ("200101000000Z", "231114100000Z")), [""; 0]);
    assert_eq!(of("An authority", ("231115100000Z", "330101000000Z")), [""; 0]);
    assert_eq!(of("An authority", ("240101000000Z", "330101000000Z")), ["certificate not valid yet"]);
    assert_eq!(of("www.example.org", VALID), ["self-signed certificate"]);
    assert_eq!(
        of("www.example.org", ("200101000000Z", "210101000000Z")),
        ["expired certificate, self-signed certificate"]
    );
}

/// A clock that was never set says nothing about a certificate.
#[test]
fn without_a_clock_no_time_is_judged() {
    let expired = flight(3, 0xc02f, &certificate("A", "B", ("230101000000Z", "230201000000Z"), 300));
    let mut sensor = sensor(Kind::TlsRisk);
    for frame in
        Connection::new((CLIENT, 40_000), (OUTSIDE, 443)).frames(&[(Client, HELLO), (Server, &expired)])
    {
        let at = sentinel_units::Timestamp::from_parts(946_684_900, 0);
        let wire_len = u32::try_from(frame.len()).unwrap();
        let Sensor { engine, raised } = &mut sensor;
        let raw = crate::RawFrame {
            at,
            link: sentinel_units::LinkType::ETHERNET,
            bytes: &frame,
            wire_len,
            interface: 0,
            vlan: None,
        };
        engine.frame(raw, &mut |alert| raised.push(alert));
    }
    assert_eq!(opened(&sensor), []);
}

#[test]
fn appliances_inside_sign_for_themselves() {
    let own = flight(3, 0xc02f, &certificate("nas", "nas", VALID, 300));
    assert_eq!(judged_by(VICTIM, 443, &[(Client, HELLO), (Server, &own)]), []);
    let old = flight(1, 0x0005, &certificate("nas", "nas", VALID, 300));
    let found = judged_by(VICTIM, 443, &[(Client, HELLO), (Server, &old)]);
    assert_eq!(found, [(Severity::Info, "TLS 1.0, RC4".to_string())]);
    let found = judged_by(OUTSIDE, 443, &[(Client, HELLO), (Server, &old)]);
    assert_eq!(found, [(Severity::Low, "TLS 1.0, RC4, self-signed certificate".to_string())]);
}

/// Every cut of a flight into two segments, small segments, and certificates longer than the memory for them.
#[test]
fn flights_in_several_segments_are_judged() {
    let whole = flight(1, 0x0005, &certificate("a", "a", VALID, 200));
    let expected = "TLS 1.0, RC4, self-signed certificate".to_string();
    for cut in 6..whole.len() {
        let (first, second) = whole.split_at(cut);
        let found = judged_by(OUTSIDE, 443, &[(Client, HELLO), (Server, first), (Server, second)]);
        assert_eq!(found, [(Severity::Low, expected.clone())], "{cut}");
    }
    let long = flight(1, 0x0005, &certificate("a", "a", VALID, 6_000));
    for size in [536, 1_448] {
        let mut payloads: Vec<(Side, &[u8])> = std::vec![(Client, HELLO)];
        payloads.extend(long.chunks(size).map(|part| (Server, part)));
        assert_eq!(judged_by(OUTSIDE, 443, &payloads), [(Severity::Low, expected.clone())], "{size}");
    }
}

#[test]
fn tls_after_clear_text_is_judged() {
    let old = flight(1, 0xc013, &good());
    let smtp: &[(Side, &[u8])] = &[
        (Server, b"220 mx ESMTP\r\n"),
        (Client, b"EHLO a\r\n"),
        (Server, b"250 STARTTLS\r\n"),
        (Client, b"STARTTLS\r\n"),
        (Server, b"220 go\r\n"),
        (Client, HELLO),
        (Server, &old),
    ];
    assert_eq!(judged_by(OUTSIDE, 587, smtp), [(Severity::Low, "TLS 1.0".to_string())]);
}

/// A flight that waits for its end takes nothing away from others: those that come in one segment are judged meanwhile.
#[test]
fn an_unfinished_flight_blocks_nobody() {
    let mut sensor = sensor(Kind::TlsRisk);
    let old = flight(1, 0xc013, &good());
    let mut first = Connection::new((CLIENT, 40_000), (OUTSIDE, 443));
    first.opening().iter().for_each(|frame| sensor.fast(1, frame));
    for (side, payload) in [(Client, HELLO), (Server, &old[..50])] {
        let frame = first.frame(side, PUSH, payload);
        sensor.fast(1, &frame);
    }
    for frame in Connection::new((CLIENT, 40_001), (OUTSIDE, 444)).frames(&[(Client, HELLO), (Server, &old)])
    {
        sensor.fast(2, &frame);
    }
    assert_eq!(opened(&sensor).len(), 1);
    let rest = first.frame(Server, PUSH, &old[50..]);
    sensor.fast(3, &rest);
    assert_eq!(opened(&sensor).len(), 2);
}

#[test]
fn a_server_is_told_once() {
    let mut sensor = sensor(Kind::TlsRisk);
    let old = flight(1, 0xc013, &good());
    for number in 0..100 {
        for frame in Connection::new((CLIENT, 40_000 + number), (OUTSIDE, 443))
            .frames(&[(Client, HELLO), (Server, &old)])
        {
            sensor.fast(u64::from(number) * 600_000, &frame);
        }
    }
    assert_eq!(opened(&sensor).len(), 1, "16 hours");
}
