//! Brute force: thirty connection requests from one source to one login service of one target in thirty seconds.

use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, background, straddle_times};
use crate::application::http;
use crate::packet::{Encapsulation, Family, Path};
use crate::{Connection, Host, Packets, Random, Timeline};

const FIRES: &[Expected] = &[("brute_force", "syn_in_window")];
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
];

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
