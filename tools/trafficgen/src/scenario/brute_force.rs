//! Brute force: thirty connection requests from one source to one login service of one target in thirty seconds.

use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, background, straddle_times};
use crate::application::http;
use crate::packet::{Encapsulation, Family, Path};
use crate::{Connection, Host, Packets, Random, Timeline};

const FIRES: &[Expected] = &[("brute_force", "syn_in_window")];
const FAILED: &[Expected] = &[("brute_force", "failed_sessions")];
const WINDOW: Duration = Duration::from_secs(30);
const SSH: u16 = 22;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("brute-force-below", "29 connections to SSH in 20 s", |p| service(p, SSH, steady(29))),
    Scenario::fires("brute-force-at", "30 connections to SSH in 20 s", FIRES, |p| {
        service(p, SSH, steady(30))
    }),
    Scenario::fires("brute-force-above", "60 connections to SSH in 20 s", FIRES, |p| {
        service(p, SSH, steady(60))
    }),
    Scenario::silent("brute-force-two-windows", "40 connections to SSH over 80 s", |p| {
        service(p, SSH, Burst::of(40, Duration::from_secs(80)))
    }),
    Scenario::fires(
        "brute-force-straddle",
        "32 connections in 3 s across a window boundary, one earlier",
        FIRES,
        |p| {
            let topology = &p.topology;
            let path = Path::between(&topology.attacker, &topology.victim, Family::V4);
            attempts(p, &[(path, SSH)], straddle_times(WINDOW, 32))
        },
    ),
    Scenario::fires("brute-force-ftp", "30 connections to FTP in 20 s", FIRES, |p| {
        service(p, 21, steady(30))
    }),
    Scenario::fires("brute-force-telnet", "30 connections to Telnet in 20 s", FIRES, |p| {
        service(p, 23, steady(30))
    }),
    Scenario::fires("brute-force-smb", "30 connections to SMB in 20 s", FIRES, |p| {
        service(p, 445, steady(30))
    }),
    Scenario::fires("brute-force-mysql", "30 connections to MySQL in 20 s", FIRES, |p| {
        service(p, 3_306, steady(30))
    }),
    Scenario::fires("brute-force-rdp", "30 connections to RDP in 20 s", FIRES, |p| {
        service(p, 3_389, steady(30))
    }),
    Scenario::fires("brute-force-postgresql", "30 connections to PostgreSQL in 20 s", FIRES, |p| {
        service(p, 5_432, steady(30))
    }),
    Scenario::fires("brute-force-vnc", "30 connections to VNC in 20 s", FIRES, |p| {
        service(p, 5_900, steady(30))
    }),
    Scenario::fires("brute-force-ipv6", "30 connections to SSH over IPv6", FIRES, |p| {
        service(p, SSH, steady(30).v6())
    }),
    Scenario::fires("brute-force-vlan", "30 connections to SSH inside a VLAN", FIRES, |p| {
        service(p, SSH, steady(30).within(Encapsulation::Vlan(100)))
    }),
    Scenario::fires(
        "brute-force-table-full",
        "30 connections to SSH, after and among thousands of other sources",
        FIRES,
        crowded,
    )
    .allowing(super::link::MANY_STATIONS),
    Scenario::silent("brute-force-web", "60 connections to port 80 in 20 s", |p| {
        service(p, http::PORT, steady(60))
    }),
    Scenario::silent("brute-force-two-targets", "20 connections to SSH of each of two hosts in 20 s", |p| {
        let topology = &p.topology;
        spread(p, [(topology.attacker, topology.victim, SSH), (topology.attacker, topology.client, SSH)])
    }),
    Scenario::silent(
        "brute-force-two-sources",
        "20 connections to SSH from each of two hosts in 20 s",
        |p| {
            let topology = &p.topology;
            spread(p, [(topology.attacker, topology.victim, SSH), (topology.client, topology.victim, SSH)])
        },
    ),
    Scenario::silent("brute-force-two-services", "20 connections to each of SSH and FTP in 20 s", |p| {
        let topology = &p.topology;
        spread(p, [(topology.attacker, topology.victim, SSH), (topology.attacker, topology.victim, 21)])
    }),
    Scenario::fires("brute-force-slow", "25 refused SSH sessions, one in five minutes", FAILED, |p| {
        sessions(p, Sessions { count: 25, gap: WINDOW * 10, ..SESSIONS }, &REFUSED)
    }),
    Scenario::fires(
        "brute-force-port-2222",
        "30 refused SSH sessions on port 2222 in a minute",
        FAILED,
        |p| sessions(p, Sessions { count: 30, port: 2_222, ..SESSIONS }, &REFUSED),
    ),
    Scenario::fires("brute-force-spray", "a refused SSH session at each of 25 hosts", FAILED, |p| {
        sessions(p, Sessions { count: 25, hosts: 25, gap: WINDOW, ..SESSIONS }, &REFUSED)
    }),
    Scenario::fires("brute-force-many-sources", "a refused SSH session from each of 40 hosts", FAILED, |p| {
        sessions(p, Sessions { count: 40, sources: 40, gap: WINDOW, ..SESSIONS }, &REFUSED)
    })
    // The stations were not seen before, hours after the start: each, or the number of those beyond the limits.
    .allowing(&[("new_device", "*")]),
    Scenario::fires("brute-force-ftp-codes", "25 passwords refused in one FTP connection", FAILED, |p| {
        let answers =
            [&[(&b"220 ftp\r\n"[..], 9)][..], &[(&b"530 Login incorrect.\r\n"[..], 22); 25]].concat();
        sessions(p, Sessions { count: 1, port: 21, ..SESSIONS }, &answers)
    }),
    Scenario::fires("brute-force-401", "30 refused requests of one web page", FAILED, |p| {
        let unauthorized = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        sessions(p, Sessions { count: 30, port: http::PORT, ..SESSIONS }, &[(unauthorized, 48)])
    }),
    Scenario::silent("brute-force-works", "120 SSH sessions that work, one in five minutes", |p| {
        sessions(p, Sessions { count: 120, gap: WINDOW * 10, ..SESSIONS }, &WORKS)
    }),
    Scenario::fires("brute-force-tool", "60 SSH sessions that work, in half a minute", FIRES, |p| {
        sessions(p, Sessions { count: 60, gap: WINDOW / 60, ..SESSIONS }, &WORKS)
    }),
];

/// Answers of a server: how each begins, and its length.
type Answers = [(&'static [u8], usize)];

/// Lengths of a session with OpenSSH 9.2: banner, key exchange, service, a password refused.
const REFUSED: [(&[u8], usize); 5] =
    [(b"SSH-2.0-OpenSSH_9.2p1\r\n", 41), (b"", 1_088), (b"", 524), (b"", 44), (b"", 76)];
/// The same, until a second password is right: success, host keys, output.
const WORKS: [(&[u8], usize); 8] = [
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", 41),
    (b"", 1_088),
    (b"", 524),
    (b"", 44),
    (b"", 76),
    (b"", 28),
    (b"", 628),
    (b"", 176),
];

/// Sessions, one after the other, of hosts in turn.
#[derive(Clone, Copy)]
struct Sessions {
    count: u32,
    gap: Duration,
    port: u16,
    hosts: u32,
    sources: u32,
}

const SESSIONS: Sessions =
    Sessions { count: 30, gap: Duration::from_secs(2), port: SSH, hosts: 1, sources: 1 };

fn sessions(parameters: &Parameters, sessions: Sessions, answers: &Answers) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..sessions.count {
        timeline.seek(sessions.gap * index);
        let one_of = |count: u32, only: Host| {
            if count == 1 { only } else { topology.internal(600 + index % count) }
        };
        let (from, to) =
            (one_of(sessions.sources, topology.attacker), one_of(sessions.hosts, topology.victim));
        let path = Path::between(&from, &to, Family::V4);
        let mut connection = Connection::new(path, sessions.port, MILLISECOND, &mut random);
        connection.open(&mut timeline);
        for (start, length) in answers {
            connection.send(&mut timeline, &random.bytes(76));
            let more = random.bytes(length.saturating_sub(start.len()));
            connection.receive(&mut timeline, &[start, &more[..]].concat());
        }
        connection.close(&mut timeline);
    }
    timeline.play()
}

const fn steady(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(20))
}

fn service(parameters: &Parameters, port: u16, burst: Burst) -> Packets {
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    attempts(parameters, &[(path, port)], (0..burst.count).map(|index| burst.time(index)))
}

/// Forty attempts in 20 s, which alternate between two triples of source, target and port.
fn spread(parameters: &Parameters, targets: [(Host, Host, u16); 2]) -> Packets {
    let targets = targets.map(|(from, to, port)| (Path::between(&from, &to, Family::V4), port));
    let burst = steady(40);
    attempts(parameters, &targets, (0..burst.count).map(|index| burst.time(index)))
}

/// Attempts at `times`, over the `targets` round robin.
fn attempts(
    parameters: &Parameters,
    targets: &[(Path, u16)],
    times: impl Iterator<Item = Duration>,
) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for (time, (path, port)) in times.zip(targets.iter().cycle()) {
        timeline.seek(time);
        attempt(&mut timeline, path, *port, &mut random);
    }
    timeline.play()
}

/// One login attempt: handshake, a banner or an opaque request and its response, RST.
fn attempt(timeline: &mut Timeline, path: &Path, port: u16, random: &mut Random) {
    let mut connection = Connection::new(path.clone(), port, MILLISECOND, random);
    connection.open(timeline);
    if port == SSH {
        connection.receive(timeline, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
        connection.send(timeline, b"SSH-2.0-libssh_0.10.6\r\n");
    } else {
        connection.send(timeline, &random.bytes(40));
        connection.receive(timeline, &random.bytes(20));
    }
    connection.reset(timeline);
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    background::fill_tables(&mut timeline, parameters, SSH, &mut random);
    let begin = timeline.now();
    background::keep_arriving(&mut timeline, parameters, SSH, (300, MILLISECOND * 66), &mut random);
    timeline.splice(begin, service(parameters, SSH, steady(30)));
    timeline.play()
}
