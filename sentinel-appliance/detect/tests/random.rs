//! Seeded random streams: the key of the tables changes nothing, and nothing panics.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use std::net::Ipv4Addr;

use sentinel_alert::Alert;
use sentinel_detect::{Capacities, Counts, Losses, RawFrame, TableCapacities};
use sentinel_track::hash::HashKey;
use sentinel_units::LinkType;
use testkit::{
    ACK, KEY, ROOMY, Random, SYN, SYN_ACK, Sensor, TINY, arp, at, configs, dhcp_ack_from, dns, echo, name_of,
    tcp, udp,
};

/// Frames of a busy and hostile day in a small network, with their times.
fn stream(seed: u64, count: usize) -> Frames {
    let mut random = Random(seed);
    let mut millis = 0;
    let host = |random: &mut Random| match random.below(4) {
        0 => Ipv4Addr::from(0xcb00_7100 + u32::try_from(random.below(8)).unwrap()),
        _ => Ipv4Addr::from(0x0a14_1e00 + u32::try_from(random.below(8)).unwrap()),
    };
    let port = |random: &mut Random| match random.below(3) {
        0 => [22, 23, 53, 80, 443, 3_389, 4_444][usize::try_from(random.below(7)).unwrap()],
        1 => 1_000 + u16::try_from(random.below(40)).unwrap(),
        _ => 40_000 + u16::try_from(random.below(40)).unwrap(),
    };
    let mut frames = Vec::new();
    while frames.len() < count {
        millis += random.below(40);
        // Now and then silence, so that windows and incidents end.
        if random.below(2_000) == 0 {
            millis += random.below(120_000);
        }
        if random.below(400) == 0 {
            burst(&mut random, &mut millis, &mut frames, host);
        }
        let (from, to) = ((host(&mut random), port(&mut random)), (host(&mut random), port(&mut random)));
        let mac = [2, 0, 0, 0, 1, u8::try_from(random.below(3)).unwrap()];
        let frame = match random.below(20) {
            0..9 => {
                let flags = [SYN, SYN, SYN, SYN_ACK, ACK, 0, 0x29][usize::try_from(random.below(7)).unwrap()];
                tcp(from, to, flags)
            }
            9..12 => udp(from, to, &[0; 40]),
            12..15 => echo(from.0, to.0, if random.below(4) == 0 { 0 } else { 8 }),
            15 | 16 => arp(1 + u8::try_from(random.below(2)).unwrap(), (mac, from.0), (mac, to.0)),
            17 => dhcp_ack_from((mac, from.0), mac, from.0),
            _ => {
                let name = name_of(20 + usize::try_from(random.below(60)).unwrap());
                udp(from, (to.0, 53), &dns(&name, random.below(3) == 0))
            }
        };
        let wire_len = u32::try_from(frame.len() + usize::try_from(random.below(60_000)).unwrap()).unwrap();
        frames.push((millis, frame, wire_len));
    }
    frames
}

type Frames = Vec<(u64, Vec<u8>, u32)>;

/// One host does one thing 210 times within three seconds.
fn burst(random: &mut Random, millis: &mut u64, frames: &mut Frames, host: impl Fn(&mut Random) -> Ipv4Addr) {
    let (mut from, mut to, what) = (host(random), host(random), random.below(5));
    if what == 4 {
        (from, to) = (Ipv4Addr::new(10, 20, 30, 1), Ipv4Addr::new(203, 0, 113, 1));
    }
    for number in 0..210 {
        *millis += random.below(28);
        let frame = match what {
            0 => tcp((from, 20_000 + number), (to, 80), SYN),
            1 => tcp((from, 20_000 + number), (to, 22), SYN),
            2 => tcp((from, 50_000), (to, 100 + number), SYN),
            3 => echo(from, to, 8),
            _ => udp((from, 50_000), (to, 443), &[0; 40]),
        };
        frames.push((*millis, frame, if what == 4 { 60_000 } else { 60 }));
    }
}

fn alerts(frames: &[(u64, Vec<u8>, u32)], capacities: Capacities, key: HashKey) -> (Vec<Alert>, Losses) {
    let mut sensor = Sensor::with(capacities, key, &configs());
    for (millis, frame, wire_len) in frames {
        sensor.frame_of(*millis, frame, *wire_len);
    }
    sensor.finish();
    (sensor.raised, sensor.engine.losses())
}

#[test]
fn without_evictions_the_key_changes_nothing() {
    // So many slots that no set of four ever fills.
    // Contacts are kept in Bloom filters, whose errors depend on the key; first payloads are read in samples, which do so too.
    let tables = TableCapacities {
        login_attempts: 1 << 16,
        contacts: 0,
        payload_servers: 0,
        ..TableCapacities::uniform(1 << 12)
    };
    let capacities = Capacities { flows: 1 << 19, incidents: 512, tables };
    for seed in [1, 77] {
        let frames = stream(seed, 20_000);
        let (expected, losses) = alerts(&frames, capacities, KEY);
        assert_eq!(losses, Losses::default(), "seed {seed}");
        let kinds: std::collections::BTreeSet<_> = expected.iter().map(|alert| alert.test).collect();
        assert!(kinds.len() >= 8, "the stream of seed {seed} sets off most detectors: {kinds:?}");
        for key in [0, 1, u64::MAX] {
            let (found, losses) = alerts(&frames, capacities, HashKey::new(key));
            assert_eq!(losses, Losses::default(), "seed {seed}, key {key}");
            assert!(
                found == expected,
                "seed {seed}, key {key}: {} and {} alerts",
                found.len(),
                expected.len()
            );
        }
    }
}

/// Most frames end in the fast path; all of them parsed in full give the same alerts.
#[test]
fn the_fast_path_gives_the_same_alerts() {
    for seed in [1, 77, 100] {
        let mut random = Random(seed);
        let mut frames = stream(seed, 10_000);
        for (_, frame, wire_len) in &mut frames {
            // Padding behind the datagram, captures that are cut, and bytes that are wrong.
            match random.below(10) {
                0 => frame.extend([0xee; 9]),
                1 => frame.truncate(usize::try_from(random.below(80)).unwrap()),
                2 => *wire_len = u32::try_from(random.below(100)).unwrap(),
                3 => {
                    let place = usize::try_from(random.below(60)).unwrap() % frame.len();
                    frame[place] = random.byte();
                }
                _ => {}
            }
        }
        let mut sensors = [(); 2].map(|()| Sensor::with(ROOMY, KEY, &configs()));
        let (mut malformed, mut truncated) = (0, 0);
        for (millis, frame, wire_len) in &frames {
            let packet = sentinel_dissect::packet(LinkType::ETHERNET, None, frame, *wire_len);
            malformed += u64::from(packet.malformed.is_some());
            truncated += u64::from(usize::try_from(*wire_len).unwrap() > frame.len());
            let [Sensor { engine, raised }, other] = &mut sensors;
            engine.packet(at(*millis), &packet, &mut |alert| raised.push(alert));
            let Sensor { engine, raised } = other;
            let raw = RawFrame {
                at: at(*millis),
                link: LinkType::ETHERNET,
                bytes: frame,
                wire_len: *wire_len,
                interface: 0,
                vlan: None,
            };
            engine.frame(raw, &mut |alert| raised.push(alert));
        }
        sensors.iter_mut().for_each(Sensor::finish);
        let [long, short] = &sensors;
        assert!(long.raised.len() > 100 && long.raised == short.raised, "seed {seed}");
        let analysed = u64::try_from(frames.len()).unwrap();
        assert_eq!(short.engine.counts(), Counts { analysed, unsupported: 0, malformed, truncated });
    }
}

/// With hardly any memory every loss is counted, and the engine still raises alerts.
#[test]
fn with_tiny_tables_losses_are_counted() {
    let frames = stream(5, 20_000);
    let (raised, losses) = alerts(&frames, TINY, KEY);
    assert!(losses.evictions > 1_000 && losses.closed_early > 0, "{losses:?}");
    assert!(!raised.is_empty());
}

/// Two runs over the same frames give the same alerts: the only inputs are frames, times and key.
#[test]
fn runs_repeat() {
    let frames = stream(9, 5_000);
    assert_eq!(alerts(&frames, TINY, KEY), alerts(&frames, TINY, KEY));
}

/// Frames of noise, and sound frames with bytes changed and cut, on every link type, with wild times.
#[test]
fn no_bytes_make_the_engine_panic() {
    const ROUNDS: usize = 60_000;
    let sound = stream(3, 2_000);
    let links = LinkType::SUPPORTED;
    let mut sensor = Sensor::with(Capacities { incidents: 16, ..TINY }, KEY, &configs());
    let mut random = Random(11);
    let mut raised = 0_u32;
    for round in 0..ROUNDS {
        let mut bytes = if random.below(4) == 0 {
            (0..random.below(120)).map(|_| random.byte()).collect()
        } else {
            sound[round % sound.len()].1.clone()
        };
        for _ in 0..random.below(6) {
            if let Some(at) = usize::try_from(random.below(200)).ok().filter(|at| *at < bytes.len()) {
                bytes[at] = random.byte();
            }
        }
        bytes.truncate(usize::try_from(random.below(400)).unwrap());
        let link = links[usize::try_from(random.below(8)).unwrap()];
        let link = if random.below(2) == 0 { LinkType::ETHERNET } else { link };
        let wire_len = u32::try_from(random.next() >> 32 & 0xffff_ffff).unwrap();
        let when = match random.below(100) {
            0 => at(random.below(1 << 40)),
            _ => at(u64::try_from(round).unwrap() * 10),
        };
        let packet = sentinel_dissect::packet(link, None, &bytes, wire_len);
        sensor.engine.packet(when, &packet, &mut |_| raised += 1);
    }
    sensor.engine.finish(&mut |_| raised += 1);
    assert!(raised > 100, "{raised}");
    assert_eq!(sensor.engine.open_incidents().0, 0);
}
