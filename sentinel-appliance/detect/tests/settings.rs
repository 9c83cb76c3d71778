//! Settings of the detectors, and changes of them while the sensor runs.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use sentinel_alert::{Kind, Phase, Severity, Test};
use testkit::{
    ACK, ATTACKER, CLIENT, FALSE_MAC, GATEWAY, GATEWAY_MAC, KEY, LIMITS, MAC, OUTSIDE, ROOMY, SYN, Sensor,
    VICTIM, arp, config_of, configs, configs_with, dns, each, echo, home_net, name_of, probe, request, tcp,
    threshold, udp,
};

/// Detectors can be turned off one by one, and take their severity from their settings.
#[test]
fn detectors_take_switch_and_severity_from_their_settings() {
    let play_all = |sensor: &mut Sensor| {
        let mut events: Vec<(u64, Vec<u8>)> = each(200, 5, request).collect();
        events.extend(each(15, 5, probe));
        events.extend(each(100, 5, |_| echo(ATTACKER, VICTIM, 8)));
        events.extend(each(30, 5, |number| tcp((ATTACKER, 10_000 + number), (VICTIM, 22), SYN)));
        events.push((1_000, tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN)));
        events.push((1_000, arp(2, (GATEWAY_MAC, GATEWAY), (MAC, CLIENT))));
        events.push((1_001, arp(2, (FALSE_MAC, GATEWAY), (MAC, CLIENT))));
        events.push((1_002, udp((CLIENT, 40_000), (GATEWAY, 53), &dns(&name_of(51), false))));
        events.sort_by_key(|(millis, _)| *millis);
        for (millis, frame) in events {
            sensor.frame(millis, &frame);
        }
        let data = tcp((CLIENT, 40_001), (OUTSIDE, 443), ACK);
        (0..100).for_each(|number| sensor.frame_of(1_100 + number, &data, 50_000));
    };
    let mut sensor = Sensor::new();
    play_all(&mut sensor);
    let mut fired = sensor.opened();
    fired.sort_unstable();
    assert!(fired.len() >= 8 && fired.windows(2).all(|pair| pair[0] < pair[1]), "each once: {fired:?}");

    for off in &fired {
        let configs = configs_with(off.kind(), |config| config.enabled = false);
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        play_all(&mut sensor);
        let mut left = sensor.opened();
        left.sort_unstable();
        let expected: Vec<Test> = fired.iter().copied().filter(|test| test != off).collect();
        assert_eq!(left, expected, "without {off:?}");
    }
    let mut configs = configs();
    for config in &mut configs {
        config.severity = Severity::Critical;
    }
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    play_all(&mut sensor);
    assert!(sensor.raised.iter().all(|alert| alert.severity == Severity::Critical));
    assert!(sensor.raised.iter().all(|alert| alert.phase == Phase::Open));
}

/// Counts made before a change of settings are kept.
#[test]
fn new_settings_keep_what_was_counted() {
    let mut sensor = Sensor::new();
    let scan = |sensor: &mut Sensor, ports: std::ops::Range<u16>| {
        ports.for_each(|port| sensor.frame(10, &tcp((ATTACKER, 50_000), (VICTIM, port), SYN)));
    };
    scan(&mut sensor, 1_000..1_010);
    let mut lower = configs();
    *threshold(&mut lower, Kind::PortScan, "ports") = 12;
    config_of(&mut lower, Kind::PortScan).severity = Severity::Critical;
    *threshold(&mut lower, Kind::BruteForce, "attempts") = 5;
    sensor.engine.configure(home_net(), LIMITS, &lower);
    scan(&mut sensor, 1_010..1_011);
    assert_eq!(sensor.opened(), []);
    scan(&mut sensor, 1_011..1_012);
    assert_eq!(sensor.opened(), [Test::PortScanPortsInWindow]);
    assert_eq!(sensor.raised[0].severity, Severity::Critical);

    // Bindings stay, and so do open incidents: the same attack goes on in the one that is open.
    sensor.frame(20, &arp(2, (GATEWAY_MAC, GATEWAY), (MAC, CLIENT)));
    sensor.engine.configure(home_net(), LIMITS, &configs());
    sensor.frame(30, &arp(2, (FALSE_MAC, GATEWAY), (MAC, CLIENT)));
    scan(&mut sensor, 1_012..1_100);
    assert_eq!(sensor.opened(), [Test::PortScanPortsInWindow, Test::ArpSpoof]);
    assert_eq!(sensor.engine.open_incidents().0, 2);
}

/// A detector that is switched off and on again does not count what came in between, and keeps what it counted before.
#[test]
fn what_happens_while_a_detector_is_off_is_not_counted() {
    let mut sensor = Sensor::new();
    let off = configs_with(Kind::SynFlood, |config| config.enabled = false);
    let flood = |sensor: &mut Sensor, count: u16, millis| {
        (0..count).for_each(|port| sensor.frame(millis, &tcp((ATTACKER, 20_000 + port), (VICTIM, 80), SYN)));
    };
    flood(&mut sensor, 150, 10);
    sensor.engine.configure(home_net(), LIMITS, &off);
    flood(&mut sensor, 1_000, 20);
    assert_eq!(sensor.opened(), []);
    sensor.engine.configure(home_net(), LIMITS, &configs());
    flood(&mut sensor, 49, 30);
    assert_eq!(sensor.opened(), []);
    flood(&mut sensor, 1, 40);
    assert_eq!(sensor.opened(), [Test::SynFloodPerSource]);
}
