//! Connections played through the fast path, segment by segment.

extern crate std;
use std::net::Ipv4Addr;
use std::string::ToString;
use std::vec::Vec;

use sentinel_alert::{Evidence, Kind, Phase, Severity, Test};

use crate::testkit::{
    ACK, CLIENT, KEY, OUTSIDE, ROOMY, SYN, SYN_ACK, Sensor, TINY, VICTIM, alone, ipv4, ipv6, tagged, udp,
};
use crate::{Capacities, Losses, TableCapacities};

pub(crate) const PUSH: u8 = 0x18;
const FIN: u8 = 0x11;

/// Sender of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Client,
    Server,
}
pub(crate) use Side::{Client, Server};

type End = (Ipv4Addr, u16);
type Said<'s> = [(Side, &'s [u8])];

/// A TCP connection with true sequence numbers.
pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    next: [u32; 2],
}

impl Connection {
    pub(crate) const fn new(client: End, server: End) -> Self {
        Self { ends: [client, server], next: [1_000, 0xffff_ff00] }
    }

    /// A frame of one side; the sequence number advances by what it carries.
    pub(crate) fn frame(&mut self, from: Side, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (own, other) = if from == Client { (0, 1) } else { (1, 0) };
        let (source, destination) = (self.ends[own], self.ends[other]);
        let [sequence, acknowledgement] = [self.next[own], self.next[other]].map(u32::to_be_bytes);
        let ports = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
        let end = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
        let segment = [&ports[..], &sequence, &acknowledgement, &end, payload].concat();
        let advance = u32::try_from(payload.len()).unwrap() + u32::from(flags & 0x03 != 0);
        self.next[own] = self.next[own].wrapping_add(advance);
        ipv4(source.0, destination.0, 6, &segment)
    }

    pub(crate) fn opening(&mut self) -> [Vec<u8>; 3] {
        [self.frame(Client, SYN, &[]), self.frame(Server, SYN_ACK, &[]), self.frame(Client, ACK, &[])]
    }

    /// All frames of a connection: opening, payloads, and the client's end.
    pub(crate) fn frames(mut self, payloads: &[(Side, &[u8])]) -> Vec<Vec<u8>> {
        let mut frames = self.opening().to_vec();
        for (from, payload) in payloads {
            frames.push(self.frame(*from, PUSH, payload));
        }
        frames.push(self.frame(Client, FIN, &[]));
        frames
    }
}

pub(crate) fn sensor(kind: Kind) -> Sensor {
    // Small tables for all other detectors: they are never freed, and an emulated machine of 32 bits runs thousands of these.
    let tables = TableCapacities {
        payload_flight: 3_072,
        payload_servers: 1 << 10,
        payload_watches: 1 << 8,
        echo_pairs: 1 << 8,
        ..TableCapacities::uniform(4)
    };
    Sensor::with(Capacities { flows: 1 << 10, tables, ..ROOMY }, KEY, &alone(kind))
}

/// Severity and name of each incident that opened.
pub(crate) fn opened(sensor: &Sensor) -> Vec<(Severity, std::string::String)> {
    let open = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
    open.map(|alert| match &alert.evidence {
        Evidence::Observed { what, .. } => (alert.severity, what.to_string()),
        other => panic!("{other:?}"),
    })
    .collect()
}

fn said_to(server: End, payloads: &[(Side, &[u8])]) -> Vec<(Severity, std::string::String)> {
    let mut sensor = sensor(Kind::CleartextCredentials);
    for (millis, frame) in (0..).zip(Connection::new((CLIENT, 40_000), server).frames(payloads)) {
        sensor.fast(millis, &frame);
    }
    opened(&sensor)
}

/// Names raised for a connection to a server inside.
fn said(port: u16, payloads: &[(Side, &[u8])]) -> Vec<std::string::String> {
    said_to((VICTIM, port), payloads).into_iter().map(|(_, what)| what).collect()
}

const BASIC: &[u8] = b"GET / HTTP/1.1\r\nHost: nas\r\nAuthorization: Basic dTpw\r\n\r\n";
const LDAP_BIND: &[u8] = b"\x30\x13\x02\x01\x01\x60\x0e\x02\x01\x03\x04\x04cn=a\x80\x03pwd";
const MQTT_CONNECT: &[u8] = b"\x10\x15\0\x04MQTT\x04\xc2\0\x3c\0\x01a\0\x01u\0\x03pwd";
const REDIS_AUTH: &[u8] = b"*2\r\n$4\r\nAUTH\r\n$3\r\npwd\r\n";

#[test]
fn a_password_of_each_protocol_is_found_on_any_port() {
    let cases: &[(&str, &Said<'_>)] = &[
        ("HTTP Basic", &[(Client, BASIC)]),
        ("HTTP Basic", &[(Client, b"get / HTTP/1.1\r\n\r\nGET /"), (Client, BASIC)]),
        ("HTTP Basic", &[(Client, b"POST /x HTTP/1.0\nPROXY-authorization:\tbAsIC dTpw\n\n")]),
        ("FTP", &[(Server, b"220 ready\r\n"), (Client, b"USER ann\r\n"), (Client, b"PASS pw\r\n")]),
        ("FTP", &[(Server, b"220-hello\r\n"), (Client, b"user ann\r\npass p")]),
        ("POP3", &[(Server, b"+OK ready\r\n"), (Client, b"USER a\r\n"), (Client, b"PASS pw\r\n")]),
        ("IMAP", &[(Server, b"* OK ready\r\n"), (Client, b"a01 login ann pw\r\n")]),
        (
            "IMAP",
            &[
                (Server, b"* OK\r\n"),
                (Client, b"a AUTHENTICATE PLAIN\r\n"),
                (Server, b"+ \r\n"),
                (Client, b"AGEAcA==\r\n"),
            ],
        ),
        (
            "SMTP",
            &[(Server, b"220 mx ESMTP\r\n"), (Client, b"EHLO a\r\n"), (Client, b"AUTH PLAIN AGEAcA==\r\n")],
        ),
        (
            "SMTP",
            &[
                (Server, b"220 mx\r\n"),
                (Client, b"AUTH LOGIN\r\n"),
                (Server, b"334 x\r\n"),
                (Client, b"YQ==\r\n"),
            ],
        ),
        (
            "Telnet",
            &[
                (Server, b"\xff\xfd\x18"),
                (Client, b"\xff\xfb\x18"),
                (Server, b"login: "),
                (Client, b"a\r\n"),
                (Server, b"\r\nPassword: "),
                (Client, b"s"),
            ],
        ),
        ("LDAP simple bind", &[(Client, LDAP_BIND)]),
        ("MQTT", &[(Client, MQTT_CONNECT)]),
        ("Redis", &[(Client, REDIS_AUTH)]),
        ("Redis", &[(Client, b"AUTH pwd\r\n")]),
    ];
    for port in [21, 2_121, 8_080] {
        for (name, payloads) in cases {
            assert_eq!(said(port, payloads), [*name], "{port} {payloads:?}");
        }
    }
}

#[test]
fn what_is_no_password_is_silent() {
    let cases: &[&[(Side, &[u8])]] = &[
        &[(Client, b"GET / HTTP/1.1\r\nAuthorization: Bearer abc\r\n\r\n")],
        &[(Client, b"GET / HTTP/1.1\r\nAuthorization: Basic \r\n\r\n")],
        &[(Client, b"POST / HTTP/1.1\r\nHost: a\r\n\r\nAuthorization: Basic in the body\r\nPASS no\r\n")],
        &[(Server, b"220 ftp\r\n"), (Client, b"USER anonymous\r\n"), (Client, b"PASS me@example.org\r\n")],
        &[(Server, b"220 ftp\r\n"), (Client, b"USER FTP\r\nPASS x\r\n")],
        &[(Server, b"220 ftp\r\n"), (Client, b"USER a\r\n"), (Client, b"PASS \r\n")],
        &[(Server, b"+OK <1896@x>\r\n"), (Client, b"APOP ann c4c9334bac560ecc979e58001b3e22fb\r\n")],
        &[(Server, b"220 mx\r\n"), (Client, b"AUTH CRAM-MD5\r\n"), (Client, b"YQ==\r\n")],
        &[(Server, b"220 mx\r\n"), (Client, b"STARTTLS\r\n"), (Client, b"\x16\x03\x01\0\x05\x01PASS x\r\n")],
        &[(Server, b"220 mx\r\n"), (Client, b"MAIL FROM:<a@b>\r\n"), (Client, b"DATA\r\nPASS the salt\r\n")],
        &[(Server, b"220 mx\r\n"), (Client, b"AUTH LOGIN\r\n"), (Client, b"*\r\n"), (Client, b"QUIT\r\n")],
        &[(Server, b"* OK\r\n"), (Client, b"a LOGOUT\r\n")],
        &[(Server, b"\xff\xfd\x18"), (Client, b"\xff\xfb\x18"), (Server, b"\r\nmenu> "), (Client, b"3\r\n")],
        &[(Server, b"\xff\xfd\x18"), (Server, b"Password: "), (Client, b"\xff\xfb\x18")],
        // Anonymous: the password is empty.
        &[(Client, b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0")],
        // SASL.
        &[(Client, b"\x30\x13\x02\x01\x01\x60\x0e\x02\x01\x03\x04\0\xa3\x07\x04\x03pwd\x04\0")],
        &[(Client, b"\x10\x0f\0\x04MQTT\x04\x82\0\x3c\0\x01a\0\x01u")],
        &[(Client, b"\x10\x15\xff\x04MQTX\x04\xc2\0\x3c\0\x01a\0\x01u\0\x03pwd")],
        &[(Client, &[0x10; 200])],
        &[(Client, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nAUTH\r\n")],
        &[(Server, b"SSH-2.0-x\r\n"), (Client, b"SSH-2.0-y\r\nPASS x\r\n")],
        &[(Client, b"PASS"), (Client, b"ION of the year\r\n")],
    ];
    for payloads in cases {
        assert_eq!(said(2_000, payloads), [""; 0], "{payloads:?}");
    }
}

/// Every cut of a payload into two segments, and one byte at a time.
#[test]
fn a_split_hides_nothing() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"", BASIC),
        (b"220 x\r\n", b"USER a\r\nPASS pw\r\n"),
        (b"* OK\r\n", b"tag LOGIN a b\r\n"),
        (b"220 x\r\n", b"AUTH LOGIN\r\nYQ==\r\n"),
        (b"", LDAP_BIND),
        (b"", MQTT_CONNECT),
        (b"", REDIS_AUTH),
    ];
    for (greeting, payload) in cases {
        let greet = |rest: &[(Side, &'static [u8])]| {
            let mut payloads: Vec<(Side, &[u8])> = Vec::new();
            if !greeting.is_empty() {
                payloads.push((Server, greeting));
            }
            payloads.extend_from_slice(rest);
            said(9_000, &payloads).len()
        };
        for cut in 1..payload.len() {
            let (first, second) = payload.split_at(cut);
            assert_eq!(greet(&[(Client, first), (Client, second)]), 1, "{cut} of {payload:?}");
        }
        if payload.len() < 24 {
            let bytes: Vec<_> = payload.chunks(1).map(|byte| (Client, byte)).collect();
            assert_eq!(greet(&bytes), 1, "{payload:?}");
        }
    }
}

#[test]
fn what_leaves_for_the_internet_is_a_claim() {
    let login: &[(Side, &[u8])] = &[(Server, b"220 x\r\n"), (Client, b"USER a\r\nPASS p\r\n")];
    assert_eq!(said_to((VICTIM, 21), login), [(Severity::Low, "FTP".to_string())]);
    assert_eq!(said_to((OUTSIDE, 21), login), [(Severity::Medium, "FTP".to_string())]);
    // Side outside to a server inside: who tries passwords from there is not careless with one of his own.
    let mut sensor = sensor(Kind::CleartextCredentials);
    for frame in Connection::new((OUTSIDE, 40_000), (VICTIM, 21)).frames(login) {
        sensor.fast(1, &frame);
    }
    assert_eq!(opened(&sensor), [(Severity::Low, "FTP".to_string())]);
}

#[test]
fn the_alert_names_neither_user_nor_password() {
    let mut sensor = sensor(Kind::CleartextCredentials);
    let login: &[(Side, &[u8])] = &[(Server, b"220 x\r\n"), (Client, b"USER annabel\r\nPASS hunter22\r\n")];
    for frame in Connection::new((CLIENT, 40_000), (OUTSIDE, 21)).frames(login) {
        sensor.fast(1, &frame);
    }
    let alert = &sensor.raised[0];
    assert_eq!(
        alert.summary().to_string(),
        "10.20.30.11 sent credentials in clear text (FTP) to 203.0.113.7 port 21"
    );
    let everything = std::format!("{:?}", sensor.engine);
    for secret in ["hunter", "annabel"] {
        let bytes = std::format!("{:?}", secret.as_bytes());
        let list = bytes.trim_matches(['[', ']']);
        assert!(!everything.contains(list) && !std::format!("{alert:?}").contains(secret), "{secret}");
    }
}

/// A server is reported once, whoever logs in; another port is another server; after a day it is told again.
#[test]
fn a_server_is_reported_about_once_a_day() {
    let mut sensor = sensor(Kind::CleartextCredentials);
    let mut login = |millis: u64, client: u16, port: u16| {
        for frame in Connection::new((CLIENT, client), (VICTIM, port)).frames(&[(Client, BASIC)]) {
            sensor.fast(millis, &frame);
        }
        sensor.opened().len()
    };
    assert_eq!((login(0, 40_000, 80), login(500_000, 40_001, 80)), (1, 1));
    assert_eq!(login(600_000, 40_002, 8_080), 2);
    assert_eq!(login(17 * 3_600_000, 40_003, 80), 2);
    assert_eq!(login(24 * 3_600_000, 40_004, 80), 3);
}

/// Browsers send the password when the server has asked for it, on the same connection.
#[test]
fn the_second_request_is_read_too() {
    let get: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let refused: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(said(80, &[(Client, get), (Server, refused), (Client, BASIC)]), ["HTTP Basic"]);
}

/// Connections of no content, and thousands of others, do not make a server known; one that is known is looked at by samples.
#[test]
fn other_connections_hide_a_password_at_most_for_samples() {
    let mut sensor = sensor(Kind::CleartextCredentials);
    let get: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let play = |sensor: &mut Sensor, number: u16, payload: &[u8]| {
        let mut connection = Connection::new((CLIENT, 10_000 + number), (VICTIM, 80));
        for frame in connection.opening() {
            sensor.fast(u64::from(number) * 200, &frame);
        }
        let end = if payload.is_empty() { 0x04 } else { PUSH };
        let frame = connection.frame(Client, end, payload);
        sensor.fast(u64::from(number) * 200, &frame);
    };
    for number in 0..200 {
        play(&mut sensor, number, b"");
    }
    for number in 200..215 {
        play(&mut sensor, number, b"garbage");
    }
    play(&mut sensor, 215, BASIC);
    assert_eq!(sensor.opened(), [Test::CleartextCredentials], "unanswered and empty ones count for nothing");

    let mut sensor = self::sensor(Kind::CleartextCredentials);
    for number in 0..500 {
        play(&mut sensor, number, get);
    }
    let mut until = 500;
    while sensor.opened().is_empty() && until < 5_000 {
        play(&mut sensor, until, BASIC);
        until += 1;
    }
    assert!((501..900).contains(&until), "{until}");
}

#[test]
fn tags_and_ipv6_hide_nothing() {
    let mut sensor = sensor(Kind::CleartextCredentials);
    for frame in Connection::new((CLIENT, 40_000), (VICTIM, 80)).frames(&[(Client, BASIC)]) {
        sensor.fast(1, &tagged(7, tagged(9, frame)));
    }
    let (client, server) = ("fd00::11".parse().unwrap(), "2001:db8::7".parse().unwrap());
    let mut connection = Connection::new((CLIENT, 40_000), (VICTIM, 80));
    for frame in connection.frames_v6(client, server, &[(Client, BASIC)]) {
        sensor.fast(2, &frame);
    }
    assert_eq!(sensor.opened().len(), 2);
    assert_eq!(opened(&sensor)[1].0, Severity::Medium);
}

impl Connection {
    fn frames_v6(
        &mut self,
        client: std::net::Ipv6Addr,
        server: std::net::Ipv6Addr,
        payloads: &[(Side, &[u8])],
    ) -> Vec<Vec<u8>> {
        let mut frames = self.opening().to_vec();
        for (from, payload) in payloads {
            frames.push(self.frame(*from, PUSH, payload));
        }
        frames
            .iter()
            .map(|frame| {
                let (segment, is_client) = (&frame[34..], frame[26..30] == CLIENT.octets());
                if is_client { ipv6(client, server, 6, segment) } else { ipv6(server, client, 6, segment) }
            })
            .collect()
    }
}

#[test]
fn retransmissions_count_once_and_gaps_are_given_up() {
    let mut connection = Connection::new((CLIENT, 40_000), (VICTIM, 2_000));
    let mut frames = connection.opening().to_vec();
    frames.push(connection.frame(Server, PUSH, b"220 x\r\n"));
    frames.push(connection.frame(Client, PUSH, b"PA"));
    let again = frames.last().cloned().unwrap();
    frames.extend([again.clone(), again]);
    frames.push(connection.frame(Client, PUSH, b"SS pw\r\n"));
    let mut sensor = sensor(Kind::CleartextCredentials);
    frames.iter().for_each(|frame| sensor.fast(1, frame));
    assert_eq!(sensor.opened(), [Test::CleartextCredentials]);

    let mut connection = Connection::new((CLIENT, 40_000), (VICTIM, 2_001));
    let mut frames = connection.opening().to_vec();
    frames.push(connection.frame(Server, PUSH, b"220 x\r\n"));
    frames.push(connection.frame(Client, PUSH, b"PA"));
    let _lost = connection.frame(Client, PUSH, b"TH a\r\nLONG ");
    frames.push(connection.frame(Client, PUSH, b"SS pw\r\n"));
    let mut sensor = self::sensor(Kind::CleartextCredentials);
    frames.iter().for_each(|frame| sensor.fast(1, frame));
    assert_eq!(sensor.opened(), []);
}

/// Found without the opening: the capture began later, or another worker sees the server.
#[test]
fn a_connection_without_its_opening_is_watched() {
    let mut connection = Connection::new((CLIENT, 40_000), (VICTIM, 80));
    let _opening = connection.opening();
    let mut sensor = sensor(Kind::CleartextCredentials);
    sensor.fast(1, &connection.frame(Client, PUSH, BASIC));
    assert_eq!(sensor.opened(), [Test::CleartextCredentials]);
    let mut sensor = self::sensor(Kind::CleartextCredentials);
    sensor.engine.set_shard(0, 2);
    for (number, server) in (0..).zip([OUTSIDE, VICTIM]) {
        let mut connection = Connection::new((CLIENT, 40_000 + number), (server, 80));
        let [syn, _, ack] = connection.opening();
        let request = connection.frame(Client, PUSH, BASIC);
        [syn, ack, request].iter().for_each(|frame| sensor.fast(1, frame));
    }
    assert_eq!(sensor.opened().len(), 2);
}

#[test]
fn communities_of_snmp_are_passwords() {
    let message = |community: &[u8], pdu: u8| {
        let body = [
            &[2, 1, 1, 4, u8::try_from(community.len()).unwrap()][..],
            community,
            &[pdu, 11, 2, 1, 7, 2, 1, 0, 2, 1, 0, 0x30, 0],
        ]
        .concat();
        [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat()
    };
    for (community, pdu, port, count) in [
        (&b"public"[..], 0xa0, 161, 0),
        (b"public", 0xa3, 161, 1),
        (b"s3cret", 0xa0, 161, 1),
        (b"s3cret", 0xa1, 162, 1),
        (b"", 0xa0, 161, 0),
    ] {
        let mut sensor = sensor(Kind::CleartextCredentials);
        for _ in 0..3 {
            sensor.fast(1, &udp((CLIENT, 40_000), (VICTIM, port), &message(community, pdu)));
        }
        assert_eq!(sensor.opened().len(), count, "{community:?} {pdu}");
    }
}

/// A long session costs the slow path nothing once it is judged, and the bits of a flow are given back.
#[test]
fn a_watch_ends() {
    let mut connection = Connection::new((CLIENT, 40_000), (VICTIM, 5_000));
    let mut sensor = sensor(Kind::CleartextCredentials);
    connection.opening().iter().for_each(|frame| sensor.fast(1, frame));
    for _ in 0..100 {
        let frame = connection.frame(Client, PUSH, b"\x00\x01\x02\x03");
        sensor.fast(1, &frame);
    }
    let late = connection.frame(Client, PUSH, BASIC);
    sensor.fast(1, &late);
    assert_eq!(sensor.opened(), []);
}

/// With every place in use, or in the second of too many others, a connection is not watched, and that is counted; places come back
/// after their time.
#[test]
fn full_places_are_counted() {
    let mut few = Sensor::with(TINY, KEY, &alone(Kind::CleartextCredentials));
    for number in 0..8 {
        let mut connection = Connection::new((CLIENT, 10_000 + number), (VICTIM, 1_000 + number));
        connection.opening().iter().for_each(|frame| few.fast(1, frame));
    }
    assert!(few.engine.losses().unread_payloads >= 4);
    let mut sensor = sensor(Kind::CleartextCredentials);
    for number in 0..64 {
        let mut connection = Connection::new((CLIENT, 10_000 + number), (VICTIM, 1_000 + number));
        connection.opening().iter().for_each(|frame| sensor.fast(1, frame));
    }
    assert_eq!(sensor.engine.losses(), Losses { unread_payloads: 32, ..Losses::default() }, "32 a second");
    for frame in Connection::new((CLIENT, 40_000), (VICTIM, 80)).frames(&[(Client, BASIC)]) {
        sensor.fast(5_000, &frame);
    }
    assert_eq!(sensor.opened(), [Test::CleartextCredentials]);
}
