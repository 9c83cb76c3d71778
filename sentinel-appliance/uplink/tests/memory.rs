//! Allocations of a session: some during the handshake, none after it.

#![cfg(test)]

mod support;

use sentinel_alert::AlertId;
use sentinel_testkit::{CountingAllocator, allocations, held_bytes};
use sentinel_uplink::{
    BatchBuilder, Cipher, CollectorEvent, CollectorSession, Limits, SensorEvent, SensorSession, ToCollector,
    ToSensor,
};
use support::{HELLO, NOW, alert, collector_key, sensor_key, welcomed};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn nothing_is_allocated_after_the_handshake() {
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        let (mut sensor, mut collector) = welcomed(cipher);
        let before = allocations();
        for round in 0..200_u64 {
            let mut buffer = [0; 2048];
            let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
            for seq in 0..16 {
                let id = AlertId { boot: HELLO.boot, seq: round * 16 + seq + 1 };
                builder.push(id, &alert(seq)).unwrap();
            }
            let last = builder.last().unwrap();
            sensor.send(&ToCollector::Alerts(builder.batch().unwrap()), NOW).unwrap();
            assert_eq!(collector.receive(sensor.pending()), Ok(sensor.pending().len()));
            sensor.sent(usize::MAX, NOW);
            let Ok(CollectorEvent::Message(ToCollector::Alerts(batch))) = collector.poll(NOW) else {
                panic!()
            };
            assert_eq!(batch.iter().filter(Result::is_ok).count(), 16);
            collector.send(&ToSensor::Ack(last), NOW).unwrap();
            assert_eq!(sensor.receive(collector.pending()), Ok(collector.pending().len()));
            collector.sent(usize::MAX, NOW);
            assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(ToSensor::Ack(last))));
        }
        assert_eq!(allocations() - before, 0);
    }
}

#[test]
fn a_session_holds_what_the_docs_say() {
    let key = collector_key();
    let mut sensor =
        SensorSession::connect(&sensor_key(), &key.public(), Cipher::AesGcm, Limits::SENSOR, NOW).unwrap();
    let before = held_bytes();
    let mut collector = CollectorSession::accept(&key, Limits::COLLECTOR, NOW);
    let silent = held_bytes() - before;
    collector.receive(sensor.pending()).unwrap();
    collector.poll(NOW).unwrap();
    let undecided = held_bytes() - before;
    collector.admit(NOW).unwrap();
    let established = held_bytes() - before;
    sensor.sent(usize::MAX, NOW);
    let own = size_of::<CollectorSession>();
    println!("session {own}, heap: silent {silent}, handshake {undecided}, established {established}");
    println!("batch builder {}", size_of::<BatchBuilder<'_>>());
    assert!(own + silent <= 1_024, "{own} + {silent}");
    assert!(undecided <= 8 * 1_024, "{undecided}");
    let frames = 2 * usize::from(Limits::COLLECTOR.receive_len) + usize::from(Limits::COLLECTOR.send_len);
    assert!(established <= frames + 4 * 1_024, "{established}");
}
