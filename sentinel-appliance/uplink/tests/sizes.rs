//! Bytes on the wire, as PROTOCOL.md states them. Run with `--nocapture` to see the figures.

#![cfg(test)]

mod support;

use sentinel_alert::AlertId;
use sentinel_uplink::{
    BatchBuilder, Cipher, CollectorSession, Counter, Limits, Secret, SensorSession, Telemetry, ToCollector,
    ToSensor, Token, TokenId,
};
use support::{HELLO, NOW, WELCOME, alert, collector_key, sensor_key, to_collector, to_sensor, welcomed};

fn frame_len(message: &ToCollector<'_>) -> usize {
    let (mut sensor, _) = welcomed(Cipher::AesGcm);
    sensor.send(message, NOW).unwrap();
    sensor.pending().len()
}

fn answer_len(message: &ToSensor<'_>) -> usize {
    let (_, mut collector) = welcomed(Cipher::AesGcm);
    collector.send(message, NOW).unwrap();
    collector.pending().len()
}

/// Bytes of the frame that carries `count` alerts from `first` on.
fn batch_len(first: u64, count: u64) -> usize {
    let mut buffer = [0; 4096];
    let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
    for index in first..first + count {
        builder.push(AlertId { boot: HELLO.boot, seq: index + 1 }, &alert(index)).unwrap();
    }
    frame_len(&ToCollector::Alerts(builder.batch().unwrap()))
}

#[test]
fn the_handshake_takes_152_bytes() {
    let key = collector_key();
    let mut sensor =
        SensorSession::connect(&sensor_key(), &key.public(), Cipher::AesGcm, Limits::SENSOR, NOW).unwrap();
    let mut collector = CollectorSession::accept(&key, Limits::COLLECTOR, NOW);
    let up = to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit(NOW).unwrap();
    let down = to_sensor(&mut collector, &mut sensor);
    assert_eq!((up, down), (4 + 2 + 96, 2 + 48));
}

#[test]
fn the_handshake_of_an_enrollment_takes_160_bytes() {
    let key = collector_key();
    let secret = Secret::from_bytes([5; 16]);
    let token = Token::new("a:1", key.public(), TokenId([4; 8]), secret.clone()).unwrap();
    let mut sensor =
        SensorSession::enroll(&sensor_key(), &token, Cipher::AesGcm, Limits::SENSOR, NOW).unwrap();
    let mut collector = CollectorSession::accept(&key, Limits::COLLECTOR, NOW);
    let up = to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit_enrollment(&secret, NOW).unwrap();
    let down = to_sensor(&mut collector, &mut sensor);
    assert_eq!((up, down), (4 + 2 + 104, 2 + 48));
}

/// Sizes of complete frames (length, message, tag), one hour after the start, so that times have their usual length.
#[test]
fn alerts_alone_and_in_batches() {
    let mut alone: Vec<usize> = (96..128).map(|index| batch_len(index, 1)).collect();
    alone.sort_unstable();
    let in_16 = batch_len(96, 16);
    let in_64 = batch_len(96, 64);
    println!("alone: {} to {} bytes, median {}", alone[0], alone[31], alone[16]);
    println!("in batches of 16: {}.{:02} bytes each", in_16 / 16, in_16 % 16 * 100 / 16);
    println!("in batches of 64: {}.{:02} bytes each", in_64 / 64, in_64 % 64 * 100 / 64);
    assert!(alone[16] <= 64, "median of an alert alone: {} bytes", alone[16]);
    assert!(alone[31] <= 80, "longest of the alerts alone: {} bytes", alone[31]);
    assert!(in_16 <= 32 * 16, "batch of 16: {in_16} bytes");
    assert!(in_64 <= 24 * 64, "batch of 64: {in_64} bytes");
}

/// Limit: 2 bytes per second, with a heartbeat each 12 s, a reading each 240 s and a ping each 200 s. The counters of a busy sensor are
/// large: up to 268 million frames and bytes, 100,000 alerts.
#[test]
fn an_idle_hour_takes_less_than_2_bytes_per_second() {
    let mut telemetry = Telemetry::new();
    for counter in Counter::ALL {
        let value = match counter {
            Counter::OpenIncidents | Counter::SettingsSetAside | Counter::CanariesMissed => 100,
            Counter::WorstInterface | Counter::FlowOffload => 2,
            Counter::ResidentKib | Counter::Reconnects | Counter::RingFreezes => 10_000,
            Counter::AlertsRaised | Counter::AlertsDelivered | Counter::AlertsEvicted => 100_000,
            Counter::RunDelivered | Counter::Malformed => 100_000,
            Counter::SpoolBytes => 1_000_000,
            Counter::WorstInterfacePercent => 99,
            Counter::ClockMs => 1_800_000_000_000,
            _ => 10_000_000,
        };
        telemetry.set(counter, value);
    }
    let reading = frame_len(&ToCollector::Telemetry(telemetry));
    let (ping, pong) = (answer_len(&ToSensor::Ping), frame_len(&ToCollector::Pong));
    // A reading, or the answer to a ping, takes the place of a heartbeat.
    let hour = 15 * reading + 18 * ping + (3_600 / 12 - 15) * pong;
    println!("reading {reading} bytes, ping {ping}, pong {pong}; an idle hour {hour}");
    assert!(hour <= 2 * 3_600, "{hour} bytes in an hour");
}

#[test]
fn acknowledgements_are_small() {
    let ack = answer_len(&ToSensor::Ack(AlertId { boot: u32::MAX, seq: 1_000_000 }));
    println!("ack {ack} bytes, hello {}", frame_len(&ToCollector::Hello(HELLO)));
    println!("welcome {}", answer_len(&ToSensor::Welcome(WELCOME)));
    assert!(ack <= 28, "{ack} bytes");
}

/// The largest batch that [`SensorSession::batch_limit`] allows still fits a frame, whatever its numbers.
#[test]
fn a_full_batch_fits_its_frame() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    let mut buffer = [0; 4096];
    let limit = sensor.batch_limit();
    let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer[..limit]);
    let mut seq = (1 << 62) - 1_000;
    while builder.push(AlertId { boot: u32::MAX, seq }, &alert(seq % 1_000)).is_ok() {
        seq += 1;
    }
    assert!(builder.count() > 100);
    sensor.send(&ToCollector::Alerts(builder.batch().unwrap()), NOW).unwrap();
    let len = to_collector(&mut sensor, &mut collector);
    assert!(len > limit - 80 && len <= 2 + 4096, "{len} bytes");
}
