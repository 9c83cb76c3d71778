//! Sessions of protocol versions 1 and 2, recorded with fixed keys, that every later version must decode.

extern crate std;

use sentinel_alert::testing::sample;
use sentinel_alert::{Alert, AlertId, Evidence, Severity, ShortName, Subject, Test};
use sentinel_units::{Address, Port, Timestamp, Uptime};
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::channel::{Channel, Ephemeral};
use crate::suite::{Cipher, Suite};
use crate::*;

const NOW: Uptime = Uptime::ZERO;
const RECORDING: &str = include_str!("../tests/data/session-1.txt");
const RECORDING_2: &str = include_str!("../tests/data/session-2.txt");

fn sessions() -> (SensorSession, CollectorSession) {
    let (local, remote) = (KeyPair::from_bytes(&[0x11; 32]), KeyPair::from_bytes(&[0x22; 32]));
    let suite = Suite { cipher: Cipher::AesGcm, enrollment: false };
    let ephemeral = Ephemeral::Fixed([0x33; 32]);
    let sensor = Channel::initiator(&local, &remote.public(), suite, None, Limits::SENSOR, NOW, &ephemeral);
    let collector =
        Channel::responder([remote.clone()].into(), Limits::COLLECTOR, NOW, Ephemeral::Fixed([0x44; 32]));
    (SensorSession::new(sensor.unwrap()), CollectorSession::new(collector))
}

fn hello() -> Hello<'static> {
    Hello {
        protocol: 1,
        software: "0.1.0",
        host: "router",
        boot: 0xdead_beef,
        started_us: 1_700_000_000_000_000,
        interfaces: "br-lan, eth1",
        run: RunIdentity::default(),
    }
}

fn alerts() -> Vec<(AlertId, Alert)> {
    let time = Timestamp::from_parts(1_700_000_060, 123_456_000);
    let scan = Alert {
        time,
        first: Timestamp::from_parts(1_700_000_055, 0),
        evidence: Evidence::Ports { at_least: 15, at_most: 16, threshold: 15, window_s: 10 },
        ..sample()
    };
    let listed = Alert {
        time: Timestamp::from_parts(1_700_000_061, 0),
        first: Timestamp::from_parts(1_700_000_061, 0),
        test: Test::SuspiciousPort,
        severity: Severity::High,
        incident: 2,
        subject: Subject {
            source: Some(Address::v6([0x2001_0db8, 0, 0, 1])),
            destination_port: Some(Port(4444)),
            host: Some(ShortName::try_from("printer").unwrap()),
            ..scan.subject.clone()
        },
        evidence: Evidence::Listed { count: 1, label: ShortName::try_from("metasploit").unwrap() },
        ..scan.clone()
    };
    let boot = hello().boot;
    [(3, scan), (7, listed)].into_iter().map(|(seq, alert)| (AlertId { boot, seq }, alert)).collect()
}

/// Messages that version 2 adds.
fn run_end() -> RunEnd {
    RunEnd { boot: 5, next_seq: 13, cause: EndCause::PowerLost }
}

fn gap() -> Gap {
    Gap {
        boot: 5,
        first_seq: 1,
        last_seq: 9,
        lost_by_severity: [4, 3, 0, 0, 0],
        reason: GapReason::SpoolFull,
    }
}

fn telemetry() -> Telemetry {
    let mut telemetry = Telemetry::new();
    for (value, counter) in (1_000..).zip(Counter::ALL.into_iter().take(17)) {
        telemetry.set(counter, value);
    }
    telemetry
}

fn welcome() -> Welcome<'static> {
    Welcome { protocol: 1, sensor_id: 300, name: "attic", acked: Some(AlertId { boot: 5, seq: 12 }) }
}

/// Runs a session with the message that version 2 adds and its acknowledgement.
fn record_2() -> String {
    let (mut sensor, mut collector) = sessions();
    let mut lines = up(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit(NOW).unwrap();
    lines += &down(&mut collector, &mut sensor);
    sensor.poll(NOW).unwrap();
    for message in [ToCollector::Hello(Hello { protocol: 2, ..hello() }), ToCollector::RunEnd(run_end())] {
        sensor.send(&message, NOW).unwrap();
        lines += &up(&mut sensor, &mut collector);
        collector.poll(NOW).unwrap();
    }
    for message in [ToSensor::Welcome(Welcome { protocol: 2, ..welcome() }), ToSensor::Ack(run_end().last())]
    {
        collector.send(&message, NOW).unwrap();
        lines += &down(&mut collector, &mut sensor);
        sensor.poll(NOW).unwrap();
    }
    lines
}

/// Moves the pending bytes of the sensor to the collector; returns them as a line of the recording.
fn up(sensor: &mut SensorSession, collector: &mut CollectorSession) -> String {
    let bytes = sensor.pending().to_vec();
    sensor.sent(bytes.len(), NOW);
    assert_eq!(collector.receive(&bytes), Ok(bytes.len()));
    format!("sensor {}\n", hex(&bytes))
}

/// Moves the pending bytes of the collector to the sensor; returns them as a line of the recording.
fn down(collector: &mut CollectorSession, sensor: &mut SensorSession) -> String {
    let bytes = collector.pending().to_vec();
    collector.sent(bytes.len(), NOW);
    assert_eq!(sensor.receive(&bytes), Ok(bytes.len()));
    format!("collector {}\n", hex(&bytes))
}

/// Runs a session with every message of version 1 and returns one line for each flight: sender and bytes in hexadecimal.
fn record() -> String {
    let (mut sensor, mut collector) = sessions();
    // Ephemeral keys are fixed and nonces are counters, so the bytes are the same in every run.
    let mut lines = up(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit(NOW).unwrap();
    lines += &down(&mut collector, &mut sensor);
    sensor.poll(NOW).unwrap();
    let mut buffer = [0; 256];
    let mut builder = BatchBuilder::new(hello().origin(), &mut buffer);
    for (id, alert) in alerts() {
        builder.push(id, &alert).unwrap();
    }
    let batch = builder.batch().unwrap();
    // Each side polls after each message: a receiver takes no byte of the next frame before.
    for message in [
        ToCollector::Hello(hello()),
        ToCollector::Alerts(batch),
        ToCollector::Gap(gap()),
        ToCollector::Telemetry(telemetry()),
        ToCollector::Pong,
    ] {
        sensor.send(&message, NOW).unwrap();
        lines += &up(&mut sensor, &mut collector);
        collector.poll(NOW).unwrap();
    }
    for message in [
        ToSensor::Welcome(welcome()),
        ToSensor::Ack(AlertId { boot: 0xdead_beef, seq: 7 }),
        ToSensor::Ping,
        ToSensor::Rejected(RejectReason::Revoked),
    ] {
        collector.send(&message, NOW).unwrap();
        lines += &down(&mut collector, &mut sensor);
        sensor.poll(NOW).unwrap();
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of every flight of `side` in the recording of version 1.
fn flights(side: &str) -> Vec<Vec<u8>> {
    flights_of(RECORDING, side)
}

fn flights_of(recording: &str, side: &str) -> Vec<Vec<u8>> {
    let flights = recording.lines().filter_map(|line| line.strip_prefix(side)?.strip_prefix(' '));
    flights
        .map(|hex| {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        })
        .collect()
}

/// After an addition to the protocol this test gets a new recording; the two below keep the old one.
#[test]
fn this_version_still_writes_the_same_bytes() {
    assert_eq!(record(), RECORDING);
    assert_eq!(record_2(), RECORDING_2);
}

#[test]
fn both_ends_decode_the_recording_of_version_2() {
    let (mut sensor, mut collector) = sessions();
    let (up, down) = (flights_of(RECORDING_2, "sensor"), flights_of(RECORDING_2, "collector"));
    assert_eq!((up.len(), down.len()), (3, 3));
    for flight in &up {
        assert_eq!(collector.receive(flight), Ok(flight.len()));
        match collector.poll(NOW).unwrap() {
            CollectorEvent::Peer { .. } => collector.admit(NOW).unwrap(),
            CollectorEvent::Message(ToCollector::Hello(read)) => assert_eq!(read.protocol, 2),
            CollectorEvent::Message(ToCollector::RunEnd(read)) => assert_eq!(read, run_end()),
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        SensorEvent::Established,
        SensorEvent::Message(ToSensor::Welcome(Welcome { protocol: 2, ..welcome() })),
        SensorEvent::Message(ToSensor::Ack(run_end().last())),
    ];
    for (flight, expected) in down.iter().zip(expected) {
        assert_eq!(sensor.receive(flight), Ok(flight.len()));
        assert_eq!(sensor.poll(NOW), Ok(expected));
    }
}

#[test]
fn the_collector_decodes_the_recording() {
    let (_, mut collector) = sessions();
    let mut flights = flights("sensor").into_iter();
    let mut next = |collector: &mut CollectorSession| {
        let bytes = flights.next().unwrap();
        assert_eq!(collector.receive(&bytes), Ok(bytes.len()));
    };
    next(&mut collector);
    let key = KeyPair::from_bytes(&[0x11; 32]).public();
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Peer { key }));
    collector.admit(NOW).unwrap();
    next(&mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Hello(hello()))));
    next(&mut collector);
    let Ok(CollectorEvent::Message(ToCollector::Alerts(batch))) = collector.poll(NOW) else { panic!() };
    let read: Vec<_> =
        batch.iter().map(|entry| entry.map(|entry| (entry.id, entry.alert.unwrap())).unwrap()).collect();
    assert_eq!(read, alerts());
    next(&mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Gap(gap()))));
    next(&mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Telemetry(telemetry()))));
    next(&mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Idle), "a pong is not reported");
}

#[test]
fn the_sensor_decodes_the_recording() {
    let (mut sensor, _) = sessions();
    let mut expected = [
        SensorEvent::Established,
        SensorEvent::Message(ToSensor::Welcome(welcome())),
        SensorEvent::Message(ToSensor::Ack(AlertId { boot: 0xdead_beef, seq: 7 })),
        SensorEvent::Idle, // a ping is answered, not reported
        SensorEvent::Message(ToSensor::Rejected(RejectReason::Revoked)),
    ]
    .into_iter();
    for flight in flights("collector") {
        assert_eq!(sensor.receive(&flight), Ok(flight.len()));
        assert_eq!(sensor.poll(NOW).ok(), expected.next());
    }
    assert_eq!(expected.next(), None);
}

/// Only for a new protocol version, and then into a new file.
#[test]
#[ignore = "writes tests/data"]
fn write_the_recording() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/session-2.txt"), record_2()).unwrap();
}
