//! Life of an incident through the whole engine, and clocks that are set back.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use sentinel_alert::{Evidence, Phase, Test};
use sentinel_units::Timestamp;
use testkit::{ATTACKER, CLIENT, OUTSIDE, SYN, Sensor, VICTIM, at, echo, tcp};

fn messages(sensor: &Sensor) -> Vec<(Phase, Timestamp, u32, u32)> {
    sensor.raised.iter().map(|alert| (alert.phase, alert.time, alert.incident, alert.suppressed)).collect()
}

fn flood(sensor: &mut Sensor, millis: impl Iterator<Item = u64>) {
    let ping = echo(ATTACKER, VICTIM, 8);
    millis.for_each(|millis| sensor.frame(millis, &ping));
}

/// A flood of 70 s: an opening at the threshold, an update each 30 s, a closing 60 s after the last packet.
#[test]
fn a_long_attack_is_one_incident() {
    let mut sensor = Sensor::new();
    flood(&mut sensor, (0..7_000).map(|number| number * 10));
    let opened = 990;
    let last = 69_990;
    sensor.tick(last + 59_999);
    assert_eq!(
        messages(&sensor),
        [
            (Phase::Open, at(opened), 1, 0),
            (Phase::Update, at(opened + 30_000), 1, 2_999),
            (Phase::Update, at(opened + 60_000), 1, 2_999),
        ]
    );
    // However late the clock is looked at, the closing carries the time at which it was due.
    sensor.tick(last + 500_000);
    assert_eq!(messages(&sensor)[3], (Phase::Close, at(last + 60_000), 1, 900));
    let count = |index: usize| match sensor.raised[index].evidence {
        Evidence::Packets { count, .. } => count,
        _ => 0,
    };
    assert_eq!([count(0), count(1), count(2), count(3)], [100, 3_100, 6_100, 7_000]);
    assert!(sensor.raised.iter().all(|alert| alert.first == sensor.raised[0].first));
    assert_eq!(sensor.engine.open_incidents().0, 0);
}

#[test]
fn a_second_attack_after_the_closing_is_another_incident() {
    let mut sensor = Sensor::new();
    flood(&mut sensor, 0..100);
    flood(&mut sensor, 70_000..70_100);
    sensor.finish();
    let phases: Vec<_> = sensor.raised.iter().map(|alert| (alert.phase, alert.incident)).collect();
    assert_eq!(phases, [(Phase::Open, 1), (Phase::Close, 1), (Phase::Open, 2), (Phase::Close, 2)]);
    // The first was closed by the packet that came after its time, before that packet was looked at.
    assert_eq!(sensor.raised[1].time, at(60_099));
}

#[test]
fn closings_come_in_the_order_of_time() {
    let mut sensor = Sensor::new();
    sensor.frame(0, &tcp((CLIENT, 1_000), (OUTSIDE, 4444), SYN));
    sensor.frame(10, &tcp((ATTACKER, 1_000), (OUTSIDE, 4444), SYN));
    sensor.frame(20, &tcp((CLIENT, 1_001), (OUTSIDE, 4444), SYN));
    sensor.tick(1_000_000);
    let closed: Vec<_> = messages(&sensor).into_iter().filter(|message| message.0 == Phase::Close).collect();
    assert_eq!(closed, [(Phase::Close, at(60_010), 2, 0), (Phase::Close, at(60_020), 1, 1)]);
}

/// Stamps a little out of order, as from two rings, neither close anything nor lose a count.
#[test]
fn disorder_of_seconds_is_no_change_of_the_clock() {
    let mut sensor = Sensor::new();
    flood(&mut sensor, (0..99).map(|number| 100_000 + number));
    flood(&mut sensor, std::iter::once(96_000));
    assert_eq!(sensor.opened(), [Test::IcmpFloodPerSource]);
    assert_eq!(sensor.raised[0].time, at(100_098), "the clock does not go back");
    flood(&mut sensor, std::iter::once(95_100));
    assert!(sensor.raised.iter().all(|alert| alert.phase != Phase::Close));
}

/// A clock set back by an hour: what was open is closed, and attacks of the new time are seen as any.
#[test]
fn a_clock_set_back_closes_what_was_open_and_goes_on() {
    const HOUR: u64 = 3_600_000;
    let mut sensor = Sensor::new();
    flood(&mut sensor, HOUR..HOUR + 150);
    flood(&mut sensor, 0..1);
    assert_eq!(
        messages(&sensor),
        [(Phase::Open, at(HOUR + 99), 1, 0), (Phase::Close, at(HOUR + 149 + 60_000), 1, 50)]
    );
    // Counts of the time that was left do not help the new one over the threshold.
    flood(&mut sensor, 1..99);
    assert_eq!(sensor.opened().len(), 1);
    flood(&mut sensor, 99..100);
    assert_eq!(sensor.opened().len(), 2);
    sensor.finish();
    // The end of the traffic closes it, and no closing lies after that end.
    assert_eq!(messages(&sensor).last().map(|message| (message.0, message.1)), Some((Phase::Close, at(99))));
}

/// Every table that keeps times: a complete attack after the clock was set back is exactly one more incident.
#[test]
fn every_detector_works_after_the_clock_was_set_back() {
    const DAY: u64 = 86_400_000;
    let attack = |sensor: &mut Sensor, from: u64| {
        for number in 0..30 {
            sensor.frame(from, &tcp((ATTACKER, 50_000 + number), (VICTIM, 1_000 + number), SYN));
            sensor.frame(from, &tcp((ATTACKER, 40_000 + number), (VICTIM, 22), SYN));
        }
        (0..200).for_each(|number| sensor.frame(from, &tcp((CLIENT, 20_000 + number), (VICTIM, 80), SYN)));
        let data = echo(CLIENT, OUTSIDE, 0);
        (0..100).for_each(|_| sensor.frame_of(from, &data, 50_000));
    };
    let mut sensor = Sensor::new();
    attack(&mut sensor, 2 * DAY);
    let mut first = sensor.opened();
    attack(&mut sensor, DAY);
    let mut second = sensor.opened().split_off(first.len());
    first.sort_unstable();
    second.sort_unstable();
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(first, second);
}

/// A capture without stamps has every packet at the epoch; it is analysed all the same.
#[test]
fn packets_without_time_are_all_at_once() {
    let mut sensor = Sensor::new();
    let frame = echo(ATTACKER, VICTIM, 8);
    let packet = sentinel_dissect::packet(sentinel_units::LinkType::ETHERNET, None, &frame, 0);
    let Sensor { engine, raised } = &mut sensor;
    for _ in 0..150 {
        engine.packet(Timestamp::ZERO, &packet, &mut |alert| raised.push(alert));
    }
    assert_eq!(sensor.opened(), [Test::IcmpFloodPerSource]);
    let max = sensor.raised.len();
    let Sensor { engine, raised } = &mut sensor;
    engine.packet(Timestamp::MAX, &packet, &mut |alert| raised.push(alert));
    sensor.finish();
    assert!(sensor.raised.len() > max);
}
