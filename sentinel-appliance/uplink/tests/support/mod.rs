//! Alerts, keys and a pair of connected sessions for the tests of this folder.

#![cfg(test)]
#![allow(dead_code, reason = "each test program uses a part")]

use sentinel_alert::{Alert, Evidence, Phase, Severity, ShortName, Subject, Test};
use sentinel_units::{Address, ByteCount, Mac, Port, Timestamp, Uptime};
use sentinel_uplink::{
    Cipher, CollectorEvent, CollectorSession, Hello, KeyPair, Limits, PROTOCOL_VERSION, RunIdentity,
    SensorEvent, SensorSession, ToCollector, ToSensor, Welcome,
};

pub(crate) const NOW: Uptime = Uptime::ZERO;
/// 2023-11-14 22:13:20 UTC.
pub(crate) const START_S: u64 = 1_700_000_000;

pub(crate) const HELLO: Hello<'static> = Hello {
    protocol: PROTOCOL_VERSION,
    software: "0.1.0",
    host: "router",
    boot: 0x1234_5678,
    started_us: START_S * 1_000_000,
    interfaces: "br-lan",
    run: RunIdentity { previous: 0x0102_0304, witness: 0x0506_0708_090a_0b0c },
};
pub(crate) const WELCOME: Welcome<'static> =
    Welcome { protocol: PROTOCOL_VERSION, sensor_id: 3, name: "attic", acked: None };

pub(crate) fn sensor_key() -> KeyPair {
    KeyPair::from_bytes(&[1; 32])
}

pub(crate) fn collector_key() -> KeyPair {
    KeyPair::from_bytes(&[2; 32])
}

/// Seeded generator with the same numbers on every machine (xorshift64*, Vigna 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Random number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((self.next() >> 11) % bound).unwrap()
    }
}

/// Alert number `index` of a mix of eight detectors, 2.3 s after the one before, about one of three hosts.
pub(crate) fn alert(index: u64) -> Alert {
    let (test, evidence) = match index % 8 {
        0 => (
            Test::PortScanPortsInWindow,
            Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 },
        ),
        1 => (Test::SynFloodPerSource, Evidence::Packets { count: 200, threshold: 200, window_s: 5 }),
        2 => (Test::IcmpFloodPerSource, Evidence::Packets { count: 100, threshold: 100, window_s: 5 }),
        3 => (
            Test::SuspiciousPort,
            Evidence::Listed { count: 1, label: ShortName::try_from("metasploit").unwrap() },
        ),
        4 => (
            Test::ArpSpoof,
            Evidence::Binding {
                before: Mac([2, 0x20, 0x30, 0, 0, 1]),
                after: Mac([2, 0x20, 0x30, 0, 0, 0x66]),
                changes: 1,
            },
        ),
        5 => (
            Test::DnsTunnelNameLength,
            Evidence::Name {
                length: 71,
                threshold: 50,
                count: 1,
                suffix: ShortName::try_from("tunnel.example").unwrap(),
            },
        ),
        6 => (
            Test::ExfiltrationBytesInWindow,
            Evidence::Bytes { count: ByteCount(5_242_880), threshold: ByteCount(5_000_000), window_s: 60 },
        ),
        _ => (Test::BruteForceSynInWindow, Evidence::Attempts { count: 30, threshold: 30, window_s: 30 }),
    };
    let host = u32::try_from(index / 8 % 3).unwrap();
    let time_us = (START_S + 3_600) * 1_000_000 + index * 2_345_678;
    let lasted_us = if index % 8 == 3 { 0 } else { 4_321_000 + index % 7 * 100_003 };
    Alert {
        time: Timestamp::from_micros(time_us),
        first: Timestamp::from_micros(time_us - lasted_us),
        test,
        severity: if index.is_multiple_of(2) { Severity::Medium } else { Severity::High },
        phase: Phase::Open,
        incident: u32::try_from(index + 1).unwrap(),
        suppressed: 0,
        subject: Subject {
            source: Some(Address::v4(0x0a14_1e42 + host)),
            destination: Some(Address::v4(0x0a14_1e0a)),
            source_port: None,
            destination_port: if matches!(index % 8, 1 | 3 | 7) { Some(Port(22)) } else { None },
            mac: Some(Mac([2, 0x20, 0x30, 0, 0, u8::try_from(0x66 + host).unwrap()])),
            host: None,
        },
        evidence,
    }
}

/// Moves what is pending to the collector and returns how many bytes it was.
pub(crate) fn to_collector(sensor: &mut SensorSession, collector: &mut CollectorSession) -> usize {
    let bytes = sensor.pending().to_vec();
    assert_eq!(collector.receive(&bytes), Ok(bytes.len()));
    sensor.sent(bytes.len(), NOW);
    bytes.len()
}

/// Moves what is pending to the sensor and returns how many bytes it was.
pub(crate) fn to_sensor(collector: &mut CollectorSession, sensor: &mut SensorSession) -> usize {
    let bytes = collector.pending().to_vec();
    assert_eq!(sensor.receive(&bytes), Ok(bytes.len()));
    collector.sent(bytes.len(), NOW);
    bytes.len()
}

/// Both ends after the handshake, before the hello.
pub(crate) fn established(cipher: Cipher) -> (SensorSession, CollectorSession) {
    let mut sensor =
        SensorSession::connect(&sensor_key(), &collector_key().public(), cipher, Limits::SENSOR, NOW)
            .unwrap();
    let mut collector = CollectorSession::accept(&collector_key(), Limits::COLLECTOR, NOW);
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Peer { key: sensor_key().public() }));
    collector.admit(NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Established));
    (sensor, collector)
}

/// Both ends after the welcome.
pub(crate) fn welcomed(cipher: Cipher) -> (SensorSession, CollectorSession) {
    let (mut sensor, mut collector) = established(cipher);
    sensor.send(&ToCollector::Hello(HELLO), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Hello(HELLO))));
    collector.send(&ToSensor::Welcome(WELCOME), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(ToSensor::Welcome(WELCOME))));
    (sensor, collector)
}
