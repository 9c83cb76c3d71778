//! Whole sessions between both ends, through the public interface.

use sentinel_units::Uptime;
use sentinel_uplink::{
    Cipher, CollectorEvent, CollectorSession, Hello, KeyPair, Limits, PROTOCOL_VERSION, SensorEvent,
    SensorSession, ToCollector, ToSensor, Welcome,
};

const NOW: Uptime = Uptime::ZERO;

fn sensor_key() -> KeyPair {
    KeyPair::from_bytes(&[1; 32])
}

fn collector_key() -> KeyPair {
    KeyPair::from_bytes(&[2; 32])
}

const HELLO: Hello<'static> = Hello {
    protocol: PROTOCOL_VERSION,
    software: "0.1.0",
    host: "router",
    boot: 0x1234_5678,
    started_us: 1_700_000_000_000_000,
    interfaces: "br-lan",
};

#[test]
fn a_session_from_start_to_first_ack() {
    let mut sensor =
        SensorSession::connect(&sensor_key(), &collector_key().public(), Cipher::AesGcm, Limits::SENSOR, NOW)
            .unwrap();
    let mut collector = CollectorSession::accept(&collector_key(), Limits::COLLECTOR, NOW);

    let first = sensor.pending().to_vec();
    sensor.sent(first.len(), NOW);
    assert_eq!(collector.receive(&first), Ok(first.len()));
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Peer { key: sensor_key().public() }));
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Idle));
    collector.admit(NOW).unwrap();

    let second = collector.pending().to_vec();
    collector.sent(second.len(), NOW);
    assert!(first.len() + second.len() <= 240, "handshake of {} bytes", first.len() + second.len());
    assert_eq!(sensor.receive(&second), Ok(second.len()));
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Established));

    sensor.send(&ToCollector::Hello(HELLO), NOW).unwrap();
    let third = sensor.pending().to_vec();
    sensor.sent(third.len(), NOW);
    assert_eq!(collector.receive(&third), Ok(third.len()));
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Hello(HELLO))));

    let welcome = ToSensor::Welcome(Welcome { protocol: 1, sensor_id: 3, name: "attic", acked: None });
    collector.send(&welcome, NOW).unwrap();
    let fourth = collector.pending().to_vec();
    assert_eq!(sensor.receive(&fourth), Ok(fourth.len()));
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(welcome)));
}
