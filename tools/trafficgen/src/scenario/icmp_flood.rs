//! ICMP floods: a hundred echo requests from one source in five seconds.

use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, background, straddle_times};
use crate::packet::{Encapsulation, Family, Icmp, Path};
use crate::{Packets, Timeline, ping, refused_datagram};

const FIRES: &[Expected] = &[("icmp_flood", "per_source")];
const VICTIM: &[Expected] = &[("icmp_flood", "per_victim")];
const WINDOW: Duration = Duration::from_secs(5);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("icmp-flood-below", "99 echo requests in 2 s, all answered", |p| flood(p, quick(99))),
    Scenario::fires("icmp-flood-at", "100 echo requests in 2 s, all answered", FIRES, |p| {
        flood(p, quick(100))
    }),
    Scenario::fires("icmp-flood-above", "300 echo requests in 2 s, all answered", FIRES, |p| {
        flood(p, quick(300))
    }),
    Scenario::silent("icmp-flood-two-windows", "120 echo requests over 10 s", |p| {
        flood(p, Burst::of(120, Duration::from_secs(10)))
    }),
    Scenario::fires(
        "icmp-flood-straddle",
        "110 echo requests in 0.5 s across a window boundary, one earlier",
        FIRES,
        |p| {
            let times = straddle_times(WINDOW, 110);
            requests(p, &quick(0), times)
        },
    ),
    Scenario::fires("icmp-flood-ipv6", "120 ICMPv6 echo requests", FIRES, |p| flood(p, quick(120).v6())),
    Scenario::fires("icmp-flood-vlan", "120 echo requests inside a VLAN", FIRES, |p| {
        flood(p, quick(120).within(Encapsulation::Vlan(100)))
    }),
    Scenario::fires(
        "icmp-flood-fragments",
        "120 echo requests of 3,000 bytes, in three fragments each",
        FIRES,
        |p| fragmented(p, Family::V4, 120),
    ),
    Scenario::fires(
        "icmp-flood-fragments-ipv6",
        "120 ICMPv6 echo requests of 3,000 bytes, in three fragments each",
        FIRES,
        |p| fragmented(p, Family::V6, 120),
    ),
    Scenario::silent(
        "icmp-flood-fragments-below",
        "99 echo requests in three fragments each: 297 packets",
        |p| fragmented(p, Family::V4, 99),
    ),
    Scenario::fires(
        "icmp-flood-table-full",
        "120 echo requests, after and among thousands of other sources",
        FIRES,
        crowded,
    )
    .allowing(super::link::MANY_STATIONS),
    Scenario::silent("icmp-flood-replies", "a host answers 150 echo requests of 15 sources", |p| {
        replies(p, Family::V4)
    }),
    Scenario::silent(
        "icmp-flood-replies-ipv6",
        "a host answers 150 ICMPv6 echo requests of 15 sources",
        |p| replies(p, Family::V6),
    ),
    Scenario::silent("icmp-flood-unreachables", "a host reports 150 unreachable ports", unreachables),
    Scenario::fires(
        "icmp-flood-spoofed",
        "300 echo requests to one host, each from another source",
        VICTIM,
        spoofed,
    ),
];

/// Closed port to which the clients of `icmp-flood-unreachables` send.
const SNMP: u16 = 161;
/// Payload of `ping` behind its timestamp.
const PAYLOAD: [u8; 24] = *b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f !\"#$%&'";

const fn quick(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(2))
}

/// Records one echo request and its reply.
fn echo(timeline: &mut Timeline, path: &Path, identifier: u16, sequence: u16) {
    ping(timeline, path, MILLISECOND, (identifier, sequence), &PAYLOAD);
}

fn flood(parameters: &Parameters, burst: Burst) -> Packets {
    requests(parameters, &burst, (0..burst.count).map(|index| burst.time(index)))
}

fn requests(parameters: &Parameters, burst: &Burst, times: impl Iterator<Item = Duration>) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
    let identifier = random.half();
    for (sequence, time) in (1_u16..).zip(times) {
        timeline.seek(time);
        echo(&mut timeline, &path, identifier, sequence);
    }
    timeline.play()
}

/// Echo requests of 3,000 bytes in fragments; only the first fragment of each has the ICMP header.
fn fragmented(parameters: &Parameters, family: Family, count: u32) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let burst = quick(count);
    let payload = random.bytes(3_000);
    for (index, sequence) in (0..count).zip(1_u16..) {
        timeline.seek(burst.time(index));
        let mut path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, family);
        path.network.identification = sequence;
        let request = Icmp::EchoRequest { identifier: 5, sequence, payload: &payload };
        let (number, message) = request.message(&path.network.addresses);
        for packet in path.network.fragments(number, &message, 1_400) {
            timeline.push(path.wrap(&packet));
            timeline.wait_us(12);
        }
    }
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    let other = |timeline: &mut Timeline, index, identifier| {
        let path = Path::between(&topology.internal(index), &topology.external(index), Family::V4);
        timeline.push(path.icmp(&Icmp::EchoRequest { identifier, sequence: 1, payload: &PAYLOAD }));
    };
    background::each_source(&mut timeline, parameters, |timeline, index| {
        other(timeline, index, random.half());
    });
    let path = Path::between(&topology.attacker, &topology.victim, Family::V4);
    for (index, sequence) in (0..120).zip(1_u16..) {
        timeline.wait(MILLISECOND * 10);
        echo(&mut timeline, &path, 7, sequence);
        other(&mut timeline, parameters.sources + index, random.half());
    }
    timeline.play()
}

fn replies(parameters: &Parameters, family: Family) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..150 {
        let path =
            Path::between(&parameters.topology.internal(index % 15), &parameters.topology.victim, family);
        timeline.seek((MILLISECOND * 20).saturating_mul(index));
        echo(&mut timeline, &path, 77, u16::try_from(index / 15).unwrap_or_default());
    }
    timeline.play()
}

/// Ten hosts that each send fifteen datagrams to the same closed port of one host.
fn unreachables(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..150 {
        let path =
            Path::between(&parameters.topology.internal(index % 10), &parameters.topology.victim, Family::V4);
        let ports = (random.ephemeral_port(), SNMP);
        refused_datagram(&mut timeline, &path, ports, MILLISECOND, &random.bytes(40));
        timeline.wait(MILLISECOND * 20);
    }
    timeline.play()
}

fn spoofed(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..300 {
        let mut path =
            Path::between(&parameters.topology.external(index), &parameters.topology.victim, Family::V4);
        path.link.source = parameters.topology.attacker.mac;
        timeline.push(path.icmp(&Icmp::EchoRequest { identifier: 7, sequence: 1, payload: &PAYLOAD }));
        timeline.wait(MILLISECOND * 5);
    }
    timeline.play()
}
