//! SYN floods: two hundred SYN-only segments from one source in five seconds.

use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, background, straddle_times};
use crate::application::http;
use crate::packet::{Encapsulation, Family, Options, Path, Tcp, flags};
use crate::{Connection, Packets, Random, Timeline};

const FIRES: &[Expected] = &[("syn_flood", "per_source")];
const VICTIM: &[Expected] = &[("syn_flood", "per_victim")];
const WINDOW: Duration = Duration::from_secs(5);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("syn-flood-below", "199 SYN from one source in 2 s", |p| flood(p, quick(199))),
    Scenario::fires("syn-flood-at", "200 SYN from one source in 2 s", FIRES, |p| flood(p, quick(200))),
    Scenario::fires("syn-flood-above", "400 SYN from one source in 2 s", FIRES, |p| flood(p, quick(400))),
    Scenario::silent("syn-flood-two-windows", "240 SYN from one source over 10 s", |p| {
        flood(p, Burst::of(240, Duration::from_secs(10)))
    }),
    Scenario::fires(
        "syn-flood-straddle",
        "220 SYN in 0.5 s across a window boundary, one earlier",
        FIRES,
        straddle,
    ),
    Scenario::fires("syn-flood-ipv6", "250 SYN over IPv6", FIRES, |p| flood(p, quick(250).v6())),
    Scenario::fires("syn-flood-vlan", "250 SYN inside a VLAN", FIRES, |p| {
        flood(p, quick(250).within(Encapsulation::Vlan(100)))
    }),
    Scenario::fires(
        "syn-flood-table-full",
        "250 SYN, after and among thousands of other sources",
        FIRES,
        crowded,
    )
    .allowing(&[("syn_flood", "per_victim"), ("mac_flood", "mac_flood")]),
    Scenario::silent("syn-flood-backscatter", "300 SYN-ACK of a server to spoofed clients", backscatter),
    Scenario::silent("syn-flood-handshakes", "150 completed connections of one source in 5 s", |p| {
        handshakes(p, 1)
    }),
    Scenario::silent(
        "syn-flood-busy-server",
        "300 completed connections of 30 sources to one server in 5 s",
        |p| handshakes(p, 30),
    ),
    Scenario::fires("syn-flood-spoofed", "400 SYN to one host, each from another source", VICTIM, spoofed),
];

const fn quick(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(2))
}

/// SYN as flood tools send it: a small window and one option.
fn syn(random: &mut Random) -> Tcp {
    Tcp {
        window: 512,
        options: Options::SegmentSize(1_460),
        ..Tcp::syn(random.ephemeral_port(), http::PORT, random.word())
    }
}

fn flood(parameters: &Parameters, burst: Burst) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    for index in 0..burst.count {
        timeline.seek(burst.time(index));
        timeline.push(path.tcp(&syn(&mut random), &[]));
    }
    timeline.play()
}

fn straddle(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for time in straddle_times(WINDOW, 220) {
        timeline.seek(time);
        timeline.push(path.tcp(&syn(&mut random), &[]));
    }
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    background::fill_tables(&mut timeline, parameters, http::PORT, &mut random);
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for index in 0..250 {
        timeline.wait(MILLISECOND * 5);
        timeline.push(path.tcp(&syn(&mut random), &[]));
        background::syn(&mut timeline, parameters, parameters.sources + index, http::PORT, &mut random);
    }
    timeline.play()
}

fn backscatter(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..300 {
        let path =
            Path::between(&parameters.topology.victim, &parameters.topology.external(index), Family::V4);
        let request = syn(&mut random);
        let answer = Tcp {
            source: request.destination,
            destination: request.source,
            sequence: random.word(),
            acknowledgement: request.sequence.wrapping_add(1),
            flags: flags::SYN | flags::ACK,
            window: 64_240,
            options: Options::SegmentSize(1_460),
        };
        timeline.push(path.tcp(&answer, &[]));
        timeline.wait(MILLISECOND * 10);
    }
    timeline.play()
}

/// 150 complete connections of one source, or ten of each of several `sources`.
fn handshakes(parameters: &Parameters, sources: u32) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let burst = Burst::of(if sources == 1 { 150 } else { sources * 10 }, WINDOW);
    for index in 0..burst.count {
        let source = if sources == 1 {
            parameters.topology.client
        } else {
            parameters.topology.internal(index % sources)
        };
        let path = burst.path(&source, &parameters.topology.victim);
        timeline.seek(burst.time(index));
        let mut connection = Connection::new(path, http::PORT, MILLISECOND, &mut random);
        connection.open(&mut timeline);
        connection.close(&mut timeline);
    }
    timeline.play()
}

fn spoofed(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..400 {
        // Forged source addresses; the source MAC stays the attacker's.
        let mut path =
            Path::between(&parameters.topology.external(index), &parameters.topology.victim, Family::V4);
        path.link.source = parameters.topology.attacker.mac;
        timeline.push(path.tcp(&syn(&mut random), &[]));
        timeline.wait(MILLISECOND * 5);
    }
    timeline.play()
}
