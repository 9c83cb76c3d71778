extern crate std;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use sentinel_alert::{Alert, Evidence, Kind, Phase, Severity, Test};
use sentinel_units::{Address, Timestamp};

use super::cusum::Cusum;
use crate::testkit::{
    self, ACK, ATTACKER, CLIENT, KEY, ROOMY, Random, SYN, SYN_ACK, Sensor, VICTIM, alone, configs_with,
    datagram, echo, ipv4, ipv6, other, segment, tcp, threshold, udp,
};

const RST: u8 = 0x04;

/// Frames of the event with that number.
type Frames<'f> = &'f dyn Fn(u64) -> Vec<Vec<u8>>;

/// The `number`-th forged source.
fn forged(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(0x0c00_0000 + u32::try_from(number * 7_919 % 0x00ff_ffff).unwrap())
}

/// Plays `count` events of a rate; each may be several frames.
fn rate(sensor: &mut Sensor, per_s: u64, count: u64, frames: impl Fn(u64) -> Vec<Vec<u8>>) {
    for number in 0..count {
        for frame in frames(number) {
            sensor.fast(number * 1_000 / per_s, &frame);
        }
    }
}

fn raised(per_s: u64, count: u64, frames: impl Fn(u64) -> Vec<Vec<u8>>) -> Vec<Alert> {
    let mut sensor = Sensor::new();
    rate(&mut sensor, per_s, count, frames);
    sensor.raised
}

fn names(per_s: u64, count: u64, frames: impl Fn(u64) -> Vec<Vec<u8>>) -> Vec<Test> {
    let raised = raised(per_s, count, frames);
    raised.iter().filter(|alert| alert.phase == Phase::Open).map(|alert| alert.test).collect()
}

fn syn(number: u64) -> Vec<u8> {
    tcp((forged(number), 40_000 + u16::try_from(number % 20_000).unwrap()), (VICTIM, 80), SYN)
}

fn numbered(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8, numbers: [u32; 2]) -> Vec<u8> {
    let mut bytes = segment(from.1, to.1, flags, &[]);
    bytes[4..8].copy_from_slice(&numbers[0].to_be_bytes());
    bytes[8..12].copy_from_slice(&numbers[1].to_be_bytes());
    ipv4(from.0, to.0, 6, &bytes)
}

/// SYN, SYN-ACK and, with the difference to the right number, the last segment.
fn handshake(client: Ipv4Addr, port: u16, number: u64, last: Option<u32>) -> Vec<Vec<u8>> {
    let (client, server) = ((client, port), (VICTIM, 80));
    let serial = u32::try_from(number).unwrap().wrapping_mul(0x9e37_79b1);
    let mut frames = std::vec![
        numbered(client, server, SYN, [serial, 0]),
        numbered(server, client, SYN_ACK, [!serial, serial.wrapping_add(1)]),
    ];
    frames.extend(last.map(|wrong| {
        let acknowledged = (!serial).wrapping_add(1).wrapping_add(wrong);
        numbered(client, server, ACK, [serial.wrapping_add(1), acknowledged])
    }));
    frames
}

fn datagram_of(number: u64) -> Vec<Vec<u8>> {
    std::vec![udp((forged(number), 5_000), (VICTIM, 443), &[0; 9])]
}

fn fragment(source: Ipv4Addr, number: u64, offset: u16, more: bool) -> Vec<u8> {
    let mut frame = ipv4(source, VICTIM, 17, &datagram(5_000, 443, &[0; 24]));
    frame[18..20].copy_from_slice(&u16::try_from(number % 65_536).unwrap().to_be_bytes());
    let flags = if more { 0x2000 } else { 0 } | (offset / 8);
    frame[20..22].copy_from_slice(&flags.to_be_bytes());
    frame
}

/// Two hundred packets a second of forged sources: the victim is named within a second, and is not the source.
#[test]
fn every_flood_is_named_within_a_second() {
    let floods: [(Test, &str, Frames<'_>); 10] = [
        (Test::SynFloodPerVictim, "SYN", &|n| std::vec![syn(n)]),
        (Test::SynFloodPerVictim, "SYN, answered", &|n| handshake(forged(n), 40_000, n, None)),
        (Test::TcpFlood, "ACK", &|n| std::vec![tcp((forged(n), 4_000), (VICTIM, 80), ACK)]),
        (Test::TcpFlood, "ACK, answered by RST", &|n| {
            let (from, to) = ((forged(n), 4_000), (VICTIM, 80));
            std::vec![tcp(from, to, ACK), tcp(to, from, RST)]
        }),
        (Test::TcpFlood, "FIN", &|n| std::vec![tcp((forged(n), 4_000), (VICTIM, 80), 0x11)]),
        (Test::UdpFloodPerVictim, "UDP", &datagram_of),
        (Test::IcmpFloodPerVictim, "ICMP", &|n| std::vec![echo(forged(n), VICTIM, 8)]),
        (Test::IcmpFloodPerVictim, "ICMP, answered", &|n| {
            std::vec![echo(forged(n), VICTIM, 8), echo(VICTIM, forged(n), 0)]
        }),
        (Test::UdpFloodPerVictim, "UDP from 443", &|n| std::vec![udp((forged(n), 443), (VICTIM, 443), &[0])]),
        (Test::SynFloodPerVictim, "a login service", &|n| {
            std::vec![tcp((forged(n), 40_000), (VICTIM, 22), SYN)]
        }),
    ];
    for (test, name, frames) in floods {
        for start in [0, 13, 29, 41] {
            let mut sensor = Sensor::new();
            for number in 0..400 {
                frames(number).iter().for_each(|frame| sensor.fast(start + number * 5, frame));
            }
            let alert = testkit::only(&sensor.raised);
            assert_eq!((alert.test, alert.subject.source), (test, None), "{name}");
            assert_eq!(alert.subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()), "{name}");
            assert!(
                alert.time <= testkit::at(start + 1_000),
                "{name}: {:?}",
                alert.time.since(testkit::at(start))
            );
            let Evidence::ManySources { packets, sources, threshold_per_s: 60, prefix_bits: 32 } =
                alert.evidence
            else {
                panic!("{name}: {:?}", alert.evidence);
            };
            assert!((30..=200).contains(&packets) && (20..=packets).contains(&sources.into()), "{name}");
        }
    }
}

#[test]
fn reflectors_are_not_accused_and_their_victim_is_named() {
    let answer = |n: u64| std::vec![udp((forged(n % 300), 53), (VICTIM, 40_000), &[0; 400])];
    let syn_ack =
        |n: u64| std::vec![tcp((forged(n % 300), 80), (VICTIM, 40_000 + u16::try_from(n).unwrap()), SYN_ACK)];
    let reply = |n: u64| std::vec![echo(forged(n % 300), VICTIM, 0)];
    let floods: [(Test, u64, Frames<'_>); 3] = [
        (Test::UdpFloodPerVictim, 200, &answer),
        (Test::TcpFlood, 200, &syn_ack),
        (Test::IcmpFloodPerVictim, 300, &reply),
    ];
    for (test, per_s, frames) in floods {
        let raised = raised(per_s, 2_000, frames);
        let alert = &raised[0];
        assert_eq!((alert.test, alert.subject.source), (test, None));
        assert!(alert.time <= testkit::at(1_000), "{test:?} after {:?}", alert.time.since(testkit::at(0)));
        assert_eq!(alert.subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()));
        assert!(raised.iter().all(|alert| alert.test == test));
    }
}

#[test]
fn the_setting_is_the_rate_and_can_be_switched_off() {
    for (per_s, limit, fires) in
        [(40, 60, false), (60, 60, false), (200, 60, true), (200, 200, false), (700, 200, true)]
    {
        let mut configs = alone(Kind::SynFlood);
        *threshold(&mut configs, Kind::SynFlood, "victim_rate") = limit;
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        rate(&mut sensor, per_s, per_s * 20, |n| std::vec![syn(n)]);
        assert_eq!(sensor.opened().len(), usize::from(fires), "{per_s}/s, {limit} configured");
    }
    let configs = configs_with(Kind::SynFlood, |config| config.enabled = false);
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    rate(&mut sensor, 500, 1_000, |n| std::vec![syn(n)]);
    assert_eq!(sensor.opened(), []);
    let configs = configs_with(Kind::SynFlood, |config| config.severity = Severity::Low);
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    rate(&mut sensor, 500, 1_000, |n| std::vec![syn(n)]);
    assert_eq!(sensor.raised[0].severity, Severity::Low);
}

/// Clients whose requests complete, at any rate and after any usual round trip, with up to a tenth of the requests lost.
#[test]
fn a_crowd_whose_requests_complete_is_no_flood() {
    for (per_s, round_trip_ms, lost) in [
        (100, 20, 0),
        (200, 300, 0),
        (400, 120, 0),
        (400, 40, 10),
        (1_000, 40, 0),
        (3_000, 20, 20),
        (10_000, 10, 0),
    ] {
        let mut sensor = Sensor::new();
        let mut frames = Vec::new();
        for number in 0..per_s * 6 {
            let begin = number * 1_000_000 / per_s;
            let is_lost = lost > 0 && number % lost == 0;
            let segments = handshake(forged(number), 40_000, number, Some(0));
            let times = [0, 300, round_trip_ms * 1_000];
            frames.extend(
                times
                    .into_iter()
                    .zip(segments)
                    .take(if is_lost { 1 } else { 3 })
                    .map(|(after, frame)| (begin + after, frame)),
            );
        }
        frames.sort_by_key(|(micros, _)| *micros);
        frames.iter().for_each(|(micros, frame)| sensor.fast(micros / 1_000, frame));
        assert_eq!(sensor.opened(), [], "{per_s}/s after {round_trip_ms} ms, one of {lost} lost");
    }
}

/// A flood of 300 a second inside a crowd of 1,000 a second.
#[test]
fn a_flood_inside_a_crowd_is_named() {
    let mut sensor = Sensor::new();
    rate(&mut sensor, 1_000, 6_000, |n| {
        let mut frames =
            handshake(Ipv4Addr::from(0x0d00_0000 + u32::try_from(n).unwrap()), 40_000, n, Some(0));
        if n % 10 < 3 {
            frames.extend(handshake(forged(n), 40_000, n, None));
        }
        frames
    });
    assert_eq!(sensor.opened(), [Test::SynFloodPerVictim]);
}

/// A flood of 200 a second, after three seconds in which a thousand connections a second to many networks complete after 40 ms.
#[test]
fn a_flood_on_a_busy_network_is_named_within_two_seconds() {
    let floods: [(Test, &str, Frames<'_>); 4] = [
        (Test::SynFloodPerVictim, "SYN", &|n| std::vec![syn(n)]),
        (Test::SynFloodPerVictim, "SYN, answered", &|n| handshake(forged(n), 40_000, n, None)),
        (Test::TcpFlood, "ACK", &|n| std::vec![tcp((forged(n), 4_000), (VICTIM, 80), ACK)]),
        (Test::UdpFloodPerVictim, "UDP", &datagram_of),
    ];
    for (test, name, flood) in floods {
        let mut sensor = Sensor::new();
        for millis in 0..6_000_u64 {
            let connection = |number: u64| {
                let low = u32::try_from(number).unwrap();
                let (client, server) =
                    ((other(low % 200), 20_000 + u16::try_from(number / 200).unwrap()), 0x0d00_0000);
                let server = (Ipv4Addr::from(server + low % 997 * 256), 443);
                let last = numbered(client, server, ACK, [8, low + 1]);
                [numbered(client, server, SYN, [7, 0]), numbered(server, client, SYN_ACK, [low, 8]), last]
            };
            let [request, _, _] = connection(millis);
            sensor.fast(millis, &request);
            if let Some(number) = millis.checked_sub(40) {
                let [_, answer, last] = connection(number);
                sensor.fast(millis, &answer);
                sensor.fast(millis, &last);
            }
            if millis >= 3_000 && millis % 5 == 0 {
                flood(millis / 5).iter().for_each(|frame| sensor.fast(millis, frame));
            }
        }
        assert_eq!(sensor.opened(), [test], "{name}");
        let after = sensor.raised[0].time.since(testkit::at(3_000));
        assert!(after.as_millis() <= 2_000, "{name}: {after:?}");
    }
}

/// A hundred thousand a second, of which few are looked at.
#[test]
fn a_fast_flood_is_named() {
    let floods: [(Test, Frames<'_>); 3] = [
        (Test::SynFloodPerVictim, &|n| std::vec![syn(n)]),
        (Test::TcpFlood, &|n| std::vec![tcp((forged(n), 4_000), (VICTIM, 80), ACK)]),
        (Test::UdpFloodPerVictim, &datagram_of),
    ];
    for (test, frames) in floods {
        let raised = raised(100_000, 100_000, frames);
        let alert = &raised[0];
        assert_eq!((alert.test, alert.subject.source), (test, None));
        assert!(raised.iter().all(|alert| alert.test == test));
        let Some(Evidence::ManySources { packets, sources, .. }) =
            raised.last().map(|last| last.evidence.clone())
        else {
            panic!("{raised:?}");
        };
        assert!(packets > 2_000 && sources > 2_000, "{packets} of {sources}");
    }
}

/// A segment that acknowledges another number than that of the SYN-ACK completes nothing, before the SYN or after it.
#[test]
fn forged_last_segments_complete_nothing() {
    let after = |n| handshake(forged(n), 40_000, n, Some(0x1234_5678));
    assert_eq!(names(200, 600, after), [Test::SynFloodPerVictim]);
    let before = |n: u64| {
        let mut frames = handshake(forged(n), 40_000, n, None);
        frames.insert(0, tcp((forged(n), 40_000), (VICTIM, 80), ACK));
        frames.insert(0, tcp((forged(n), 40_000), (VICTIM, 80), RST));
        frames
    };
    let tests = names(200, 600, before);
    assert!(tests.contains(&Test::SynFloodPerVictim), "{tests:?}");
}

#[test]
fn few_sources_below_their_threshold_are_a_flood_and_one_is_not() {
    let of = |sources: u64| {
        move |n: u64| {
            std::vec![tcp((forged(n % sources), 20_000 + u16::try_from(n).unwrap()), (VICTIM, 80), SYN)]
        }
    };
    assert_eq!(names(500, 1_500, of(14)), [Test::SynFloodPerVictim]);
    assert_eq!(names(36, 199, of(1)), []);
    assert_eq!(names(250, 300, of(2)), [], "less than 200 of each in 5 s");
}

/// One source sends most of a flood: the test per source names it, and there is one incident.
#[test]
fn a_source_that_crosses_its_threshold_is_part_of_the_incident() {
    let mostly_one = |n: u64| {
        let source = if n.is_multiple_of(4) { forged(n) } else { ATTACKER };
        std::vec![tcp((source, 20_000 + u16::try_from(n).unwrap()), (VICTIM, 80), SYN)]
    };
    assert_eq!(names(200, 2_000, mostly_one), [Test::SynFloodPerSource]);
    let bots = |n: u64| {
        std::vec![tcp(
            (other(u32::try_from(n % 10).unwrap()), 20_000 + u16::try_from(n % 40_000).unwrap()),
            (VICTIM, 80),
            SYN
        )]
    };
    assert_eq!(names(2_000, 20_000, bots), [Test::SynFloodPerVictim]);
}

#[test]
fn hosts_of_one_network_are_one_victim() {
    let spread = |n: u64| {
        let host = Ipv4Addr::new(10, 20, 30, u8::try_from(1 + n % 250).unwrap());
        std::vec![tcp((forged(n), 40_000), (host, 80), SYN)]
    };
    let raised_v4 = raised(200, 600, spread);
    let alert = testkit::only(&raised_v4);
    assert_eq!(alert.subject.destination, Some(Address::v4(0x0a14_1e00)));
    assert!(matches!(alert.evidence, Evidence::ManySources { prefix_bits: 24, .. }));
    let spread_v6 = |n: u64| {
        let [source, target] =
            [0x2001_0db8_u128 << 96 | u128::from(n), 0xfd00 << 112 | 1 << 64 | u128::from(n) << 7];
        let bytes = segment(40_000, 80, SYN, &[]);
        std::vec![ipv6(Ipv6Addr::from(source), Ipv6Addr::from(target), 6, &bytes)]
    };
    let raised_v6 = raised(200, 600, spread_v6);
    let alert = testkit::only(&raised_v6);
    assert_eq!(alert.subject.destination, Some(Address::v6([0xfd00_0000, 1, 0, 0])));
    assert!(matches!(alert.evidence, Evidence::ManySources { prefix_bits: 64, .. }));
}

/// A tenth of a second each second or every other one.
#[test]
fn pulses_add_up() {
    for (every_ms, in_pulse) in [(1_000, 200), (2_000, 1_000)] {
        let mut sensor = Sensor::new();
        for pulse in 0..12 {
            for number in 0..in_pulse {
                sensor.fast(pulse * every_ms + number * 100 / in_pulse, &syn(pulse * in_pulse + number));
            }
        }
        assert_eq!(sensor.opened(), [Test::SynFloodPerVictim], "{in_pulse} in 0.1 s every {every_ms} ms");
    }
}

/// Clients of a server that is down: all at once, and again after 1, 3, 7 and 15 s.
#[test]
fn clients_of_a_server_that_restarts_are_no_flood() {
    let mut sensor = Sensor::new();
    for second in [0, 1, 3, 7, 15] {
        for client in 0..100_u64 {
            sensor.fast(
                second * 1_000 + client,
                &tcp((other(u32::try_from(client).unwrap()), 40_000), (VICTIM, 80), SYN),
            );
        }
    }
    assert_eq!(sensor.opened(), []);
}

/// Noise to ever other networks takes all entries, and hides nothing.
#[test]
fn made_up_destinations_do_not_hide_a_flood() {
    let mut random = Random(7);
    let mut sensor = Sensor::new();
    for number in 0..1_000_u64 {
        for noise in 0..20 {
            // Half of it to 40 networks, each of which gets 50 a second.
            let network = if noise % 2 == 0 {
                0x0b00_0000 + u32::try_from(random.below(40)).unwrap() * 256
            } else {
                0x1000_0000 | u32::try_from(random.below(1 << 28)).unwrap()
            };
            let source = Ipv4Addr::from(0x2000_0000 + u32::try_from(random.below(1 << 24)).unwrap());
            sensor.fast(number * 5, &tcp((source, 40_000), (Ipv4Addr::from(network), 80), SYN));
        }
        sensor.fast(number * 5, &syn(number));
    }
    let victims: Vec<_> = sensor.raised.iter().filter_map(|alert| alert.subject.destination).collect();
    assert!(victims.contains(&std::net::IpAddr::V4(VICTIM).into()), "{victims:?}");
    assert!(victims.len() < 4, "{victims:?}");
}

fn reassembling() -> Sensor {
    let mut sensor = Sensor::new();
    let capacities = crate::ReassemblyCapacities::within(64 << 10);
    sensor.engine.enable_reassembly(crate::ReassemblyStorage::allocate(&capacities, &mut testkit::Leaked));
    sensor
}

fn ephemeral(number: u64) -> u16 {
    20_000 + u16::try_from(number % 40_000).unwrap()
}

/// One source that is not forged: named with its victim within a second, at any rate, beside a few packets of others, in one incident.
#[test]
fn one_source_is_named_with_its_victim() {
    let floods: [(Test, &str, Frames<'_>); 6] = [
        (Test::TcpFloodPerSource, "ACK", &|n| std::vec![tcp((ATTACKER, ephemeral(n)), (VICTIM, 443), ACK)]),
        (Test::TcpFloodPerSource, "ACK, answered by RST", &|n| {
            let (from, to) = ((ATTACKER, ephemeral(n)), (VICTIM, 443));
            std::vec![tcp(from, to, ACK), tcp(to, from, RST)]
        }),
        (Test::TcpFloodPerSource, "RST", &|n| std::vec![tcp((ATTACKER, ephemeral(n)), (VICTIM, 443), RST)]),
        (Test::TcpFloodPerSource, "FIN", &|n| std::vec![tcp((ATTACKER, ephemeral(n)), (VICTIM, 443), 0x11)]),
        (Test::UdpFloodPerSource, "UDP", &|n| {
            std::vec![udp((ATTACKER, ephemeral(n)), (VICTIM, 9_999), &[0x55; 64])]
        }),
        (Test::FragmentFloodPerSource, "fragments", &|n| std::vec![fragment(ATTACKER, n, 0, true)]),
    ];
    for (test, name, frames) in floods {
        for (per_s, others) in [(200, false), (200, true), (2_000, false), (10_000, false), (10_000, true)] {
            let mut sensor = reassembling();
            rate(&mut sensor, per_s, per_s * 4, |n| {
                let mut frames = frames(n);
                if others && n % 5 == 0 {
                    frames.extend(datagram_of(n));
                    frames.push(tcp((forged(n), 4_000), (VICTIM, 80), ACK));
                }
                frames
            });
            let case = std::format!("{name}, {per_s} a second, others {others}");
            let of_source =
                |alert: &&Alert| alert.subject.source == Some(std::net::IpAddr::V4(ATTACKER).into());
            let opened: Vec<_> = sensor.raised.iter().filter(of_source).collect();
            let [alert, ..] = opened[..] else { panic!("{case}: {:?}", sensor.raised) };
            // 5,000 datagrams in less time than the counts per victim need.
            let is_first = per_s == 10_000 && test == Test::FragmentFloodPerSource;
            let test = if is_first { Test::UdpFloodPerSource } else { test };
            assert_eq!(
                (alert.test, alert.phase, alert.severity),
                (test, Phase::Open, Severity::Medium),
                "{case}"
            );
            assert_eq!(alert.subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()), "{case}");
            assert!(alert.time <= testkit::at(1_000), "{case}: {:?}", alert.time.since(testkit::at(0)));
            let incidents = opened.iter().filter(|alert| alert.phase == Phase::Open).count();
            assert_eq!(incidents, 1, "{case}: {opened:?}");
            sensor.engine.finish(&mut |alert| sensor.raised.push(alert));
            let last = sensor.raised.iter().rfind(of_source).unwrap();
            let Evidence::Packets { count, .. } = last.evidence else { panic!("{case}: {last:?}") };
            let sent = per_s * 4;
            assert!(count <= sent && count >= sent / 2, "{case}: {count} of {sent}");
        }
    }
}

/// Below the rate, in bursts, or with another meaning.
#[test]
fn one_source_that_does_nothing_wrong_is_no_flood() {
    let ack = |n: u64| std::vec![tcp((CLIENT, ephemeral(n)), (VICTIM, 443), ACK)];
    assert_eq!(names(50, 2_000, ack), [], "below the rate");
    // A pool of 150 connections whose peer has failed over: each is used once, and reset.
    let pool = |n: u64| match n {
        0..150 => std::vec![
            tcp((CLIENT, ephemeral(n)), (VICTIM, 5_432), 0x18),
            tcp((VICTIM, 5_432), (CLIENT, ephemeral(n)), RST)
        ],
        _ => Vec::new(),
    };
    assert_eq!(names(2_000, 2_000, pool), [], "failed over, all at once");
    // One connection, into which its sender goes on sending.
    let upload =
        |_| std::vec![tcp((CLIENT, 40_000), (VICTIM, 443), 0x18), tcp((VICTIM, 443), (CLIENT, 40_000), RST)];
    assert_eq!(names(1_000, 5_000, upload), [], "failed over, one connection");
    // A server that ends resets its clients behind one address.
    let reset = |n: u64| std::vec![tcp((VICTIM, 443), (CLIENT, ephemeral(n)), RST)];
    assert_eq!(names(1_000, 3_000, reset), [], "resets to many ports");
    let metrics = |n: u64| std::vec![udp((CLIENT, ephemeral(n)), (VICTIM, 8_125), b"page.views:1|c")];
    assert_eq!(names(400, 4_000, metrics), [], "a socket for each metric");
    let log = |n: u64| std::vec![udp((CLIENT, ephemeral(n)), (VICTIM, 514), b"<134>1 2024-01-01 x")];
    assert_eq!(names(400, 4_000, log), [], "a socket for each line of a log");
    let tunnel =
        |n: u64| std::vec![udp((CLIENT, 51_820), (VICTIM, 51_820), &[u8::try_from(n % 251).unwrap(); 90])];
    assert_eq!(names(900, 4_000, tunnel), [], "a tunnel of which one direction is seen");
    let quic = |n: u64| {
        std::vec![
            udp((CLIENT, ephemeral(n)), (VICTIM, 443), &[0xc0; 90]),
            udp((VICTIM, 443), (CLIENT, ephemeral(n)), &[0xc0; 90])
        ]
    };
    assert_eq!(names(300, 3_000, quic), [], "connections that are answered");
    let sweep = |n: u64| std::vec![tcp((CLIENT, 40_000), (VICTIM, ephemeral(n)), ACK)];
    assert!(!names(300, 3_000, sweep).contains(&Test::TcpFloodPerSource), "a scan is none");
}

/// Datagrams of 32 KiB (NFS), which are longer than those that are reassembled: complete, with losses, and in reverse order.
#[test]
fn large_datagrams_of_one_source_are_no_flood() {
    for (lost, is_reversed) in [(None, false), (Some(50), false), (Some(9), false), (None, true)] {
        let mut sensor = reassembling();
        rate(&mut sensor, 4_000, 24_000, |n| {
            let (datagram, part) = (n / 22, if is_reversed { 21 - n % 22 } else { n % 22 });
            // A hash of the number, so that losses are spread over the parts.
            if lost.is_some_and(|every| (n.wrapping_mul(0x9e37_79b9) >> 7) % every == 0) {
                return Vec::new();
            }
            std::vec![fragment(CLIENT, datagram, u16::try_from(part * 32).unwrap(), part < 21)]
        });
        assert_eq!(sensor.opened(), [], "{lost:?}, reversed {is_reversed}");
    }
    // First and last fragments alone, and middle ones alone.
    for parts in [[0_u16, 21], [7, 8]] {
        let mut sensor = reassembling();
        rate(&mut sensor, 200, 800, |n| {
            let part = parts[usize::try_from(n % 2).unwrap()];
            std::vec![fragment(CLIENT, n / 2, part * 32, part < 21)]
        });
        assert_eq!(sensor.opened(), [Test::FragmentFloodPerSource], "{parts:?}");
    }
}

#[test]
fn fragments_of_incomplete_datagrams_are_a_flood_and_complete_ones_are_not() {
    use reassembling as sensor;
    let mut flooded = sensor();
    rate(&mut flooded, 200, 400, |n| std::vec![fragment(forged(n), n, 0, true)]);
    assert_eq!(flooded.opened(), [Test::FragmentFlood]);
    assert!(flooded.raised[0].time <= testkit::at(1_000));
    let mut ordinary = sensor();
    rate(&mut ordinary, 400, 2_000, |n| {
        let source = forged(n % 50);
        std::vec![
            fragment(source, n, 0, true),
            fragment(source, n, 32, false),
            udp((VICTIM, 443), (source, 5_000), &[0]),
        ]
    });
    assert_eq!(ordinary.opened(), []);
}

/// One direction only: the sensor sees what clients send and no answer.
#[test]
fn on_a_sensor_that_sees_no_answers_clients_are_no_flood() {
    let clients = |n: u64| {
        let mut frames = handshake(forged(n), 40_000, n, Some(0));
        frames.remove(1);
        frames
    };
    assert_eq!(names(300, 3_000, clients), []);
    let queries = |n: u64| {
        std::vec![udp((forged(n % 80), 20_000 + u16::try_from(n % 40_000).unwrap()), (VICTIM, 4_500), &[0])]
    };
    assert_eq!(names(300, 3_000, queries), []);
}

/// Ordinary traffic at a high rate.
#[test]
fn ordinary_traffic_is_no_flood() {
    let monitors = |n: u64| {
        let monitor = other(u32::try_from(n % 20).unwrap());
        std::vec![echo(monitor, VICTIM, 8), echo(VICTIM, monitor, 0)]
    };
    assert_eq!(names(60, 1_200, monitors), [], "monitors");
    let asks = |n: u64| {
        let server = Ipv4Addr::from(0x0d00_0000 + u32::try_from(n).unwrap());
        std::vec![echo(CLIENT, server, 8), echo(server, CLIENT, 0)]
    };
    assert_eq!(names(19, 400, asks), [], "one monitor of many hosts");
    let peers = |n: u64| {
        let (peer, own) = ((forged(n), 6_881), (VICTIM, 6_881));
        std::vec![udp(peer, own, &[0]), udp(own, peer, &[0])]
    };
    assert_eq!(names(500, 5_000, peers), [], "a torrent client that many peers ask");
    let exporters =
        |n: u64| std::vec![udp((other(u32::try_from(n % 30).unwrap()), 40_000), (VICTIM, 514), &[0])];
    assert_eq!(names(900, 9_000, exporters), [], "syslog, one way");
    let group = |n: u64| std::vec![udp((forged(n), 5_004), (Ipv4Addr::new(239, 1, 2, 3), 5_004), &[0])];
    assert_eq!(names(2_000, 9_000, group), [], "IPTV");
    let scraper = |n: u64| {
        let (client, server) =
            ((CLIENT, 20_000 + u16::try_from(n).unwrap()), (other(u32::try_from(n % 100).unwrap()), 80));
        std::vec![tcp(client, server, SYN), tcp(server, client, SYN_ACK), tcp(client, server, ACK)]
    };
    let opened = names(39, 3_000, scraper);
    assert_eq!(opened, [], "a host that connects to many servers");
}

/// The sensor begins in the middle of eight downloads, of which the client acknowledges one datagram in ten.
#[test]
fn downloads_from_before_the_sensor_are_no_flood() {
    let downloads = |n: u64| {
        let (client, server) = ((CLIENT, 40_000), (forged(n % 8), 443));
        let mut frames = std::vec![udp(server, client, &[0; 100])];
        if n % 80 > 71 {
            frames.push(udp(client, server, &[0; 9]));
        }
        frames
    };
    assert_eq!(names(2_000, 6_000, downloads), []);
}

/// The sensor begins in the middle of 3,000 connections.
#[test]
fn connections_from_before_the_sensor_are_no_flood() {
    let connections = |n: u64| {
        let (client, server) = ((forged(n), 40_000), (VICTIM, 443));
        std::vec![
            tcp(client, server, 0x18),
            tcp(server, client, ACK),
            tcp(server, client, 0x18),
            tcp(client, server, ACK)
        ]
    };
    assert_eq!(names(2_000, 3_000, connections), []);
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut sensor = Sensor::new();
    for number in 0..100 {
        sensor.fast(100_000 + number * 5, &syn(number));
    }
    for number in 0..400 {
        sensor.fast(number * 5, &syn(number));
    }
    assert_eq!(sensor.opened(), [Test::SynFloodPerVictim]);
}

#[test]
fn the_sum_forgets_in_silence_and_judges_after_the_grace() {
    let at = |millis: u64| Timestamp::from_nanos(1_000_000_000_000 + millis * 1_000_000);
    let mut cusum = Cusum::new(at(0));
    let mut named_at = None;
    for millis in (0..2_000).step_by(5) {
        cusum.advance(at(millis), 60);
        cusum.request(1);
        if cusum.is_over(60) {
            named_at.get_or_insert(millis);
        }
    }
    assert!(named_at.is_some_and(|millis| (700..=850).contains(&millis)), "{named_at:?}");
    cusum.advance(at(3_000), 60);
    cusum.advance(at(12_000), 60);
    assert!(!cusum.is_over_by_half(60));
    cusum.advance(at(100_000), 60);
    assert!(cusum.is_usual());
    let mut completed = Cusum::new(at(0));
    for millis in (0..5_000).step_by(5) {
        completed.advance(at(millis), 60);
        completed.request(1);
        completed.complete(1);
    }
    assert!(completed.is_usual());
    assert_eq!(size_of::<super::Victim>() * super::MAX_VICTIMS / 1_024, 16, "KiB of lent memory");
}
