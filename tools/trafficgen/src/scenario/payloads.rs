//! First payloads of a connection: passwords in clear text, poor TLS; and exchanges that look alike.

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::tls::{self, Certificate};
use crate::packet::{Encapsulation, Family, Icmp, Path, Tcp, protocol};
use crate::{Connection, Packets, Random, Timeline};

const CREDENTIALS: &[Expected] = &[("cleartext_credentials", "cleartext_credentials")];
const ICMP: &[Expected] = &[("icmp_tunnel", "icmp_tunnel")];
const TLS: &[Expected] = &[("tls_risk", "tls_risk")];
const AGENT: &[Expected] = &[("bot", "user_agent")];
const BEHAVIOUR: &[Expected] = &[("bot", "behaviour")];
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const HEADERS: &str = "Accept: */*\r\nAccept-Language: en-GB,en\r\nAccept-Encoding: gzip, deflate\r\n";
const FOREIGN: &[Expected] = &[("protocol_anomaly", "other_protocol")];
const LAND: &[Expected] = &[("protocol_anomaly", "land")];
const LENGTHS: &[Expected] = &[("protocol_anomaly", "malformed")];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "credentials-http",
        "HTTP Basic to a server outside, on its second request",
        CREDENTIALS,
        |p| outside(p, 80, &[Up(GET), Down(UNAUTHORIZED), Up(BASIC), Down(OK)]),
    ),
    Scenario::fires(
        "credentials-http-split",
        "HTTP Basic on port 8080 inside, in three segments",
        CREDENTIALS,
        |p| {
            let (first, rest) = BASIC.split_at(30);
            let (second, third) = rest.split_at(20);
            inside(p, 8_080, &[Up(first), Up(second), Up(third), Down(OK)])
        },
    ),
    Scenario::fires("credentials-ftp", "log-in to an FTP server outside", CREDENTIALS, |p| {
        outside(
            p,
            21,
            &[Down(b"220 ready\r\n"), Up(b"USER ann\r\n"), Down(b"331 password\r\n"), Up(b"PASS secret\r\n")],
        )
    }),
    Scenario::fires(
        "credentials-pop3-vlan",
        "log-in to POP3 inside a VLAN, in lower case",
        CREDENTIALS,
        |p| {
            let topology = &p.topology;
            let mut path = Path::between(&topology.client, &topology.victim, Family::V4);
            path.link.encapsulation = Encapsulation::Vlan(100);
            talk(
                p,
                path,
                110,
                &[Down(b"+OK ready\r\n"), Up(b"user ann\r\n"), Down(b"+OK\r\n"), Up(b"pass secret\r\n")],
            )
        },
    ),
    Scenario::fires("credentials-imap-ipv6", "log-in to an IMAP server over IPv6", CREDENTIALS, |p| {
        let path = Path::between(&p.topology.client, &p.topology.outside, Family::V6);
        talk(
            p,
            path,
            1_143,
            &[
                Down(b"* OK IMAP4rev1\r\n"),
                Up(b"a1 CAPABILITY\r\n"),
                Down(b"a1 OK\r\n"),
                Up(b"a2 LOGIN ann secret\r\n"),
            ],
        )
    }),
    Scenario::fires("credentials-smtp", "SMTP AUTH LOGIN without TLS", CREDENTIALS, |p| {
        outside(
            p,
            587,
            &[
                Down(b"220 mx ESMTP\r\n"),
                Up(b"EHLO a\r\n"),
                Down(b"250 AUTH LOGIN\r\n"),
                Up(b"AUTH LOGIN\r\n"),
                Down(b"334 VXNlcm5hbWU6\r\n"),
                Up(b"YW5u\r\n"),
            ],
        )
    }),
    Scenario::fires("credentials-telnet", "Telnet: a password typed key by key", CREDENTIALS, |p| {
        inside(
            p,
            2_300,
            &[
                Down(b"\xff\xfd\x18\xff\xfd\x1f"),
                Up(b"\xff\xfb\x18\xff\xfc\x1f"),
                Down(b"login: "),
                Up(b"a"),
                Down(b"a"),
                Up(b"\r\n"),
                Down(b"\r\nPassword: "),
                Up(b"s"),
                Up(b"e"),
            ],
        )
    }),
    Scenario::fires("tls-1-0", "a server outside chooses TLS 1.0", TLS, |p| {
        hello(p, path(p, Family::V4, false), 443, (1, 0xc013, &GOOD))
    }),
    Scenario::fires("tls-rc4-ipv6", "a server chooses RC4 on port 8443, over IPv6", TLS, |p| {
        hello(p, path(p, Family::V6, false), 8_443, (3, 0x0005, &GOOD))
    }),
    Scenario::fires("tls-expired", "an expired certificate", TLS, |p| {
        let expired = Certificate { validity: ("190101000000Z", "210101000000Z"), key: 800, ..GOOD };
        hello(p, path(p, Family::V4, false), 443, (3, 0xc02f, &expired))
    }),
    Scenario::fires(
        "tls-self-signed-vlan",
        "a self-signed certificate of a server outside, in a VLAN",
        TLS,
        |p| {
            let mut path = path(p, Family::V4, false);
            path.link.encapsulation = Encapsulation::Vlan(100);
            hello(p, path, 443, (3, 0xc02f, &Certificate { issuer: GOOD.subject, ..GOOD }))
        },
    ),
    Scenario::fires("tls-other-name", "a certificate of another name than the client asked for", TLS, |p| {
        let mut timeline = Timeline::default();
        let mut random = p.random();
        let mut connection = Connection::new(path(p, Family::V4, false), 443, MILLISECOND, &mut random);
        let hello = tls::client_hello("login.example.org", &mut random);
        let flight = tls::first_flight(3, 0xc02f, &GOOD, &mut random);
        connection.exchange(&mut timeline, &hello, &flight);
        connection.close(&mut timeline);
        timeline.play()
    }),
    Scenario::fires("tls-old-inside", "TLS 1.1 and 3DES of an appliance inside", TLS, |p| {
        hello(p, path(p, Family::V4, true), 443, (2, 0x000a, &GOOD))
    }),
    Scenario::silent("tls-none", "TLS 1.2 and 1.3, and a self-signed certificate inside", |p| {
        let mut timeline = Timeline::default();
        let own = Certificate { issuer: GOOD.subject, ..GOOD };
        greet(&mut timeline, p, path(p, Family::V4, false), 443, (3, 0xc02f, &GOOD));
        greet(&mut timeline, p, path(p, Family::V4, true), 443, (3, 0xc02f, &own));
        let mut random = p.random();
        let mut connection = Connection::new(path(p, Family::V6, false), 443, MILLISECOND, &mut random);
        let hello = tls::client_hello("www.example.net", &mut random);
        connection.exchange(&mut timeline, &hello, &tls::server_hello(3_000, &mut random));
        timeline.play()
    }),
    Scenario::fires(
        "bot-agents",
        "user agents of libraries and crawlers, to one server outside",
        AGENT,
        |p| {
            let agents = [
                "curl/8.5.0",
                "python-requests/2.31.0",
                "Mozilla/5.0 (compatible; somebot/2.1; +http://a.test/bot)",
            ];
            requests(p, Family::V4, &agents, HEADERS)
        },
    ),
    Scenario::fires("bot-attack-ipv6", "the user agent of an attack tool, over IPv6", AGENT, |p| {
        requests(p, Family::V6, &["sqlmap/1.7.2#stable (https://sqlmap.org)"], HEADERS)
    }),
    Scenario::fires(
        "bot-behaviour",
        "a browser by its user agent at 8 servers, without the headers of one",
        BEHAVIOUR,
        |p| at_servers(p, 8, ""),
    ),
    Scenario::silent("bot-behaviour-below", "the same at 5 servers", |p| at_servers(p, 5, "")),
    Scenario::silent("bot-none", "browsers at many servers, and applications", |p| {
        let mut timeline = Timeline::default();
        browse(&mut timeline, p, 40, HEADERS);
        let agents = [
            "Mozilla/5.0 (Linux; Android 8.1.0; CUBOT_P20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/91.0 Mobile Safari/537.36",
            "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
            "Debian APT-HTTP/1.3 (2.6.1)",
        ];
        for agent in agents {
            request(&mut timeline, path(p, Family::V6, false), &mut p.random(), (agent, ""));
        }
        timeline.play()
    }),
    Scenario::fires("icmp-tunnel-replies", "5 echo replies with other data than their requests", ICMP, |p| {
        echoes(p, &path(p, Family::V4, false), 5, &|number, random| (ping(number, 56), random.bytes(80)))
    }),
    Scenario::fires("icmp-tunnel-shell", "commands in replies to empty echo requests", ICMP, |p| {
        echoes(p, &path(p, Family::V4, false), 20, &|_, random| (Vec::new(), random.bytes(12)))
    }),
    Scenario::fires("icmp-tunnel-ipv6", "IP packets in echo messages over IPv6", ICMP, |p| {
        echoes(p, &path(p, Family::V6, false), 40, &|_, random| (random.bytes(300), random.bytes(900)))
    }),
    Scenario::fires("icmp-tunnel-vlan", "the same to a host inside, in a VLAN", ICMP, |p| {
        let mut path = path(p, Family::V4, true);
        path.link.encapsulation = Encapsulation::Vlan(100);
        echoes(p, &path, 40, &|_, random| (random.bytes(300), random.bytes(300)))
    }),
    Scenario::fires("icmp-tunnel-out", "data in 31 requests, echoed as they should be", ICMP, |p| {
        echoes(p, &path(p, Family::V4, false), 31, &|_, random| {
            let data = random.bytes(64);
            (data.clone(), data)
        })
    }),
    Scenario::silent("icmp-tunnel-below", "4 wrong replies; data in 30 requests to another host", |p| {
        let mut timeline = Timeline::default();
        let mut random = p.random();
        echo(&mut timeline, &path(p, Family::V4, false), 4, &mut random, &|number, random| {
            (ping(number, 56), random.bytes(80))
        });
        echo(&mut timeline, &path(p, Family::V4, true), 30, &mut random, &|_, random| {
            let data = random.bytes(64);
            (data.clone(), data)
        });
        timeline.play()
    }),
    Scenario::silent(
        "icmp-tunnel-none",
        "ping of several systems and sizes, and replies that are cut",
        |p| {
            let mut timeline = Timeline::default();
            let mut random = p.random();
            let (outside, inside) = (path(p, Family::V4, false), path(p, Family::V4, true));
            echo(&mut timeline, &outside, 60, &mut random, &|number, _| (ping(number, 56), ping(number, 56)));
            echo(&mut timeline, &outside, 60, &mut random, &|number, _| {
                (ping(number, 1_400), ping(number, 68))
            });
            echo(&mut timeline, &inside, 60, &mut random, &|number, _| {
                let data = ping(number, 64 + usize::from(number) * 20);
                (data.clone(), data)
            });
            let windows = b"abcdefghijklmnopqrstuvwabcdefghi";
            echo(&mut timeline, &inside, 60, &mut random, &|_, _| (windows.to_vec(), windows.to_vec()));
            timeline.play()
        },
    ),
    Scenario::fires("anomaly-ssh-web", "SSH to port 443 of a server outside", FOREIGN, |p| {
        outside(p, 443, &[Down(b"SSH-2.0-OpenSSH_9.2p1\r\n"), Up(b"SSH-2.0-OpenSSH_9.2p1\r\n")])
    }),
    Scenario::fires("anomaly-dns-port", "a tunnel to port 53 of a server outside", FOREIGN, |p| {
        let mut random = p.random();
        let mut timeline = Timeline::default();
        for _ in 0..20 {
            let path = path(p, Family::V4, false);
            timeline.push(path.udp(51_820, 53, &[&[1, 0, 0, 0][..], &random.bytes(144)].concat()));
            timeline.wait(MILLISECOND * 30);
            timeline.push(path.reversed().udp(53, 51_820, &[&[2, 0, 0, 0][..], &random.bytes(88)].concat()));
            timeline.wait(MILLISECOND * 500);
        }
        timeline.play()
    }),
    Scenario::fires("anomaly-land", "20 SYN from the address of the victim itself", LAND, |p| {
        land(p, Family::V4)
    }),
    Scenario::fires("anomaly-land-ipv6", "the same over IPv6", LAND, |p| land(p, Family::V6)),
    Scenario {
        well_formed: false,
        ..Scenario::fires(
            "anomaly-lengths",
            "TCP headers and UDP lengths that have no room",
            LENGTHS,
            lengths,
        )
    },
    Scenario::silent("credentials-none", "anonymous FTP, a bearer token, SMTP with STARTTLS, SSH", harmless),
];

const GOOD: Certificate = Certificate {
    issuer: "Example Authority",
    subject: "www.example.net",
    validity: ("220101000000Z", "490101000000Z"),
    key: 270,
};

/// From the client to the victim, which is inside, or to a server outside.
fn path(parameters: &Parameters, family: Family, is_inside: bool) -> Path {
    let topology = &parameters.topology;
    Path::between(&topology.client, if is_inside { &topology.victim } else { &topology.outside }, family)
}

/// Requests of the client with these user agents to one server outside.
fn requests(parameters: &Parameters, family: Family, agents: &[&str], headers: &str) -> Packets {
    let mut timeline = Timeline::default();
    let mut random = parameters.random();
    for agent in agents {
        request(&mut timeline, path(parameters, family, false), &mut random, (agent, headers));
    }
    timeline.play()
}

fn at_servers(parameters: &Parameters, servers: u32, headers: &str) -> Packets {
    let mut timeline = Timeline::default();
    browse(&mut timeline, parameters, servers, headers);
    timeline.play()
}

/// A request in the name of a browser to each of several servers outside.
fn browse(timeline: &mut Timeline, parameters: &Parameters, servers: u32, headers: &str) {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    for server in 0..servers {
        let path = Path::between(&topology.client, &topology.external(server), Family::V4);
        request(timeline, path, &mut random, (BROWSER, headers));
    }
}

fn request(timeline: &mut Timeline, path: Path, random: &mut Random, (agent, headers): (&str, &str)) {
    let mut connection = Connection::new(path, 80, MILLISECOND, random);
    let request =
        format!("GET /page HTTP/1.1\r\nHost: www.example.net\r\nUser-Agent: {agent}\r\n{headers}\r\n");
    connection.exchange(timeline, request.as_bytes(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    connection.close(timeline);
    timeline.wait(MILLISECOND * 1_000);
}

fn hello(parameters: &Parameters, path: Path, port: u16, flight: (u8, u16, &Certificate)) -> Packets {
    let mut timeline = Timeline::default();
    greet(&mut timeline, parameters, path, port, flight);
    timeline.play()
}

/// A connection up to the first flight of its server: minor version, suite and certificate.
fn greet(
    timeline: &mut Timeline,
    parameters: &Parameters,
    path: Path,
    port: u16,
    (minor, suite, certificate): (u8, u16, &Certificate),
) {
    let mut random = parameters.random();
    let mut connection = Connection::new(path, port, MILLISECOND, &mut random);
    let hello = tls::client_hello(certificate.subject, &mut random);
    let flight = tls::first_flight(minor, suite, certificate, &mut random);
    connection.exchange(timeline, &hello, &flight);
    connection.close(timeline);
}

/// Data of a request and of its reply, by number.
type Data<'d> = &'d dyn Fn(u16, &mut Random) -> (Vec<u8>, Vec<u8>);

fn echoes(parameters: &Parameters, path: &Path, count: u16, data: Data<'_>) -> Packets {
    let mut timeline = Timeline::default();
    echo(&mut timeline, path, count, &mut parameters.random(), data);
    timeline.play()
}

/// Requests and replies, one in half a second.
fn echo(timeline: &mut Timeline, path: &Path, count: u16, random: &mut Random, data: Data<'_>) {
    let identifier = random.half();
    for sequence in 1..=count {
        let (request, reply) = data(sequence, random);
        timeline.push(path.icmp(&Icmp::EchoRequest { identifier, sequence, payload: &request }));
        timeline.wait(MILLISECOND * 20);
        timeline.push(path.reversed().icmp(&Icmp::EchoReply { identifier, sequence, payload: &reply }));
        timeline.wait(MILLISECOND * 480);
    }
}

/// Data of ping: a time, and behind it a byte for each place.
fn ping(number: u16, length: usize) -> Vec<u8> {
    let time = u64::from(number).wrapping_mul(1_000_003).to_be_bytes();
    let pattern = (16..=u8::MAX).chain(0..16).cycle();
    time.iter().copied().chain([0; 8]).chain(pattern).take(length).collect()
}

/// Requests that name the victim as their source.
fn land(parameters: &Parameters, family: Family) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let victim = parameters.topology.victim;
    let mut path = Path::between(&victim, &victim, family);
    path.link.source = parameters.topology.attacker.mac;
    for _ in 0..20 {
        timeline.push(path.tcp(&Tcp::syn(139, 139, random.word()), &[]));
        timeline.wait(MILLISECOND * 200);
    }
    timeline.play()
}

fn lengths(parameters: &Parameters) -> Packets {
    const SEGMENT: [u8; 20] = [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0x10, 2, 0, 0, 0, 0, 0];
    const DATAGRAM: [u8; 8] = [0x9c, 0x40, 0x13, 0x88, 0, 4, 0, 0];
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for _ in 0..5 {
        timeline.push(path.frame(protocol::TCP, &SEGMENT));
        timeline.wait(MILLISECOND * 40);
        timeline.push(path.frame(protocol::UDP, &DATAGRAM));
        timeline.wait(MILLISECOND * 40);
    }
    timeline.play()
}

/// Bytes of one side.
#[derive(Clone, Copy)]
enum Said {
    Up(&'static [u8]),
    Down(&'static [u8]),
}
use Said::{Down, Up};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: nas.example\r\n\r\n";
const UNAUTHORIZED: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
const BASIC: &[u8] = b"GET / HTTP/1.1\r\nHost: nas.example\r\nauthorization: Basic YW5uOnNlY3JldA==\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn inside(parameters: &Parameters, port: u16, said: &[Said]) -> Packets {
    let topology = &parameters.topology;
    talk(parameters, Path::between(&topology.client, &topology.victim, Family::V4), port, said)
}

fn outside(parameters: &Parameters, port: u16, said: &[Said]) -> Packets {
    let topology = &parameters.topology;
    talk(parameters, Path::between(&topology.client, &topology.outside, Family::V4), port, said)
}

fn talk(parameters: &Parameters, path: Path, port: u16, said: &[Said]) -> Packets {
    let mut timeline = Timeline::default();
    exchange(&mut timeline, parameters, path, port, said);
    timeline.play()
}

fn exchange(timeline: &mut Timeline, parameters: &Parameters, path: Path, port: u16, said: &[Said]) {
    let mut random = parameters.random();
    let mut connection = Connection::new(path, port, MILLISECOND, &mut random);
    connection.open(timeline);
    for said in said {
        timeline.wait(MILLISECOND * 40);
        match said {
            Up(bytes) => connection.send(timeline, bytes),
            Down(bytes) => connection.receive(timeline, bytes),
        }
    }
    connection.close(timeline);
}

fn harmless(parameters: &Parameters) -> Packets {
    const BEARER: &[u8] =
        b"GET / HTTP/1.1\r\nHost: nas.example\r\nAuthorization: Bearer YW5uOnNlY3JldA==\r\n\r\n";
    let mut timeline = Timeline::default();
    let exchanges: [(u16, &[Said]); 4] = [
        (
            21,
            &[
                Down(b"220 mirror\r\n"),
                Up(b"USER anonymous\r\n"),
                Down(b"331 mail address\r\n"),
                Up(b"PASS wget@\r\n"),
            ],
        ),
        (80, &[Up(BEARER), Down(OK)]),
        (
            587,
            &[
                Down(b"220 mx ESMTP\r\n"),
                Up(b"STARTTLS\r\n"),
                Down(b"220 go\r\n"),
                Up(b"\x16\x03\x01\0\x04\x01\0\0\0"),
            ],
        ),
        (22, &[Down(b"SSH-2.0-OpenSSH_9.2p1\r\n"), Up(b"SSH-2.0-OpenSSH_9.2p1\r\n")]),
    ];
    for (port, said) in exchanges {
        let topology = &parameters.topology;
        let path = Path::between(&topology.client, &topology.outside, Family::V4);
        exchange(&mut timeline, parameters, path, port, said);
    }
    timeline.play()
}
