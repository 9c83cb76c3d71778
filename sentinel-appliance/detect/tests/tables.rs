//! Full tables of the engine itself; those of the detectors are filled in the tests beside each detector.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use sentinel_alert::{Phase, Test};
use sentinel_detect::{Capacities, TableCapacities};
use testkit::{ACK, CLIENT, KEY, OUTSIDE, ROOMY, SYN, Sensor, TINY, VICTIM, configs, other, tcp};

/// A SYN creates no flow entry if its ports identify the initiator and no detector watches its port.
#[test]
fn a_syn_flood_evicts_no_flow() {
    let lost = |port: u16| {
        let mut configs = configs();
        configs.iter_mut().for_each(|config| config.enabled = false);
        let mut sensor = Sensor::with(TINY, KEY, &configs);
        sensor.frame(0, &tcp((CLIENT, 40_000), (OUTSIDE, 443), ACK));
        for number in 0..1_000 {
            sensor.frame(1, &tcp((other(number), 40_000), (VICTIM, port), SYN));
        }
        sensor.engine.losses().evictions
    };
    assert_eq!(lost(80), 0);
    assert!(lost(22) > 900, "a login service");
    assert!(lost(4_444) > 900, "a listed port");
    assert!(lost(50_000) > 900, "a port that does not identify the initiator");
}

/// No slots at all: nothing is remembered, nothing panics, and a detector without memory of its own still fires.
#[test]
fn an_engine_without_memory_still_runs() {
    let tables = TableCapacities { listed_ports: 1, ..TableCapacities::uniform(0) };
    let mut sensor = Sensor::with(Capacities { flows: 0, incidents: 0, tables }, KEY, &configs());
    sensor.frame(1, &tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN));
    assert_eq!(sensor.opened(), [Test::SuspiciousPort]);
    sensor.finish();
}

/// More open incidents than slots: the one idle for longest is closed early and counted.
#[test]
fn when_incidents_have_no_room_the_longest_idle_is_closed() {
    let mut sensor = Sensor::with(Capacities { incidents: 4, ..ROOMY }, KEY, &configs());
    for number in 0..10 {
        let listed = (OUTSIDE, 4444);
        sensor.frame(u64::from(number), &tcp((other(number), 40_000), listed, SYN));
    }
    assert_eq!(sensor.engine.losses().closed_early, 6);
    assert_eq!(sensor.engine.open_incidents(), (4, 4));
    sensor.finish();
    let numbers = |phase| -> Vec<u32> {
        sensor.raised.iter().filter(|alert| alert.phase == phase).map(|alert| alert.incident).collect()
    };
    assert_eq!(numbers(Phase::Open), (1..=10).collect::<Vec<_>>());
    assert_eq!(numbers(Phase::Close), (1..=10).collect::<Vec<_>>());
}
