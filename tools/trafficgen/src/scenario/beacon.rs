//! Calls home at regular times, and what looks alike.

use std::time::Duration;

use super::{Expected, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::application::tls;
use crate::packet::{Family, Path};
use crate::{Connection, Host, Packets, Random, Timeline, udp_exchange};

const BEACON: &[Expected] = &[("beacon", "beacon")];
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("beacon-at", "a connection to a bare address each minute, 14 times", BEACON, |p| {
        calls(p, (14, MINUTE, 0), Family::V4, |p, _, _| p.topology.outside)
    }),
    Scenario::silent("beacon-below", "a connection to a bare address each minute, 13 times", |p| {
        calls(p, (13, MINUTE, 0), Family::V4, |p, _, _| p.topology.outside)
    }),
    Scenario::fires("beacon-jitter", "one each five minutes, 30 % jitter", BEACON, |p| {
        calls(p, (20, MINUTE * 5, 30), Family::V4, |p, _, _| p.topology.outside)
    }),
    Scenario::fires("beacon-ipv6", "one each ten seconds over IPv6, 20 % jitter", BEACON, |p| {
        calls(p, (20, SECOND * 10, 20), Family::V6, |p, _, _| p.topology.outside)
    }),
    Scenario::fires("beacon-network", "six addresses of a /24 in a random order", BEACON, |p| {
        calls(p, (40, MINUTE, 10), Family::V4, |p, _, random| {
            let [a, b, c, _] = p.topology.outside.v4.octets();
            let last = u8::try_from(random.within(60..66)).unwrap_or(60);
            p.topology.outside.with_v4([a, b, c, last].into())
        })
    }),
    Scenario::fires("beacon-named", "a device that looks its service up before each call", BEACON, named),
    Scenario::silent("beacon-irregular", "connections at times without memory", irregular),
    Scenario::silent(
        "beacon-software",
        "ten machines ask one service for updates each ten minutes",
        software,
    ),
    Scenario::silent("beacon-clock", "a clock asks a time server each 64 s", |p| {
        let path = Path::between(&p.topology.client, &p.topology.outside, Family::V4);
        let mut random = p.random();
        let mut timeline = Timeline::default();
        for number in 0..30 {
            timeline.seek(SECOND * 64 * number);
            let ports = (random.ephemeral_port(), 123);
            udp_exchange(&mut timeline, &path, ports, SECOND / 50, (&[0x23; 48], &[0x24; 48]));
        }
        timeline.play()
    }),
];

/// Call in a connection of its own.
fn call(timeline: &mut Timeline, from: &Host, to: &Host, family: Family, random: &mut Random) {
    let path = Path::between(from, to, family);
    let mut connection = Connection::new(path, tls::PORT, Duration::from_millis(15), random);
    connection.open(timeline);
    connection.send(timeline, &tls::data(180, random));
    connection.receive(timeline, &tls::data(120, random));
    connection.close(timeline);
}

/// Calls of the attacker's machine: number, period, jitter in percent of it.
fn calls(
    parameters: &Parameters,
    (count, period, jitter): (u32, Duration, u32),
    family: Family,
    to: fn(&Parameters, u32, &mut Random) -> Host,
) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for number in 0..count {
        timeline.seek(period * number + late(period * jitter / 100, &mut random));
        let to = to(parameters, number, &mut random);
        call(&mut timeline, &parameters.topology.attacker, &to, family, &mut random);
    }
    timeline.play()
}

/// Time below `span`.
fn late(span: Duration, random: &mut Random) -> Duration {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random.within(0..micros.max(1)))
}

fn named(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for number in 0..20 {
        timeline.seek(MINUTE * 5 * number);
        look_up(&mut timeline, (&topology.client, &topology.gateway), &topology.outside, &mut random);
        call(&mut timeline, &topology.client, &topology.outside, Family::V4, &mut random);
    }
    timeline.play()
}

fn look_up(timeline: &mut Timeline, (client, resolver): (&Host, &Host), server: &Host, random: &mut Random) {
    let path = Path::between(client, resolver, Family::V4);
    let (identifier, name) = (random.half(), "api.weather.example.com");
    let query = dns::query(identifier, name, record::A);
    let response = dns::response(identifier, name, record::A, &[Answer::A(server.v4)]);
    let ports = (random.ephemeral_port(), dns::PORT);
    udp_exchange(timeline, &path, ports, SECOND / 100, (&query, &response));
}

/// Pauses between 5 s and 25 min, each ten times as likely to be short.
fn irregular(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let mut at = Duration::ZERO;
    for _ in 0..40 {
        at += Duration::from_millis(5_000 + random.within(0..1_200) * random.within(0..1_200));
        timeline.seek(at);
        call(&mut timeline, &topology.client, &topology.outside, Family::V4, &mut random);
    }
    timeline.play()
}

fn software(parameters: &Parameters) -> Packets {
    let topology = &parameters.topology;
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for number in 0..18 {
        for machine in 0..10 {
            timeline.seek(MINUTE * 10 * number + SECOND * 31 * machine);
            let client = topology.internal(machine);
            look_up(&mut timeline, (&client, &topology.gateway), &topology.outside, &mut random);
            call(&mut timeline, &client, &topology.outside, Family::V4, &mut random);
        }
    }
    timeline.play()
}
