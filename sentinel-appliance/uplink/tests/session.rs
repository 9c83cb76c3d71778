//! Sessions between both ends, through the public interface.

#![cfg(test)]

mod support;

use sentinel_alert::AlertId;
use sentinel_uplink::{
    BatchBuilder, BatchError, Cipher, CollectorEvent, CollectorKey, CollectorSession, Gap, GapReason,
    KeyAnswer, KeyPair, Limits, PushError, SensorEvent, SensorSession, SessionError, ToCollector, ToSensor,
    Token,
};
use support::{HELLO, NOW, alert, established, sensor_key, to_collector, to_sensor, welcomed};

#[test]
fn alerts_of_two_runs_arrive_unchanged() {
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        let (mut sensor, mut collector) = welcomed(cipher);
        for (boot, seqs) in [(77, [3, 4, 900]), (HELLO.boot, [1, 2, (1 << 62) - 1])] {
            let mut buffer = [0; 1024];
            let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
            assert_eq!((builder.count(), builder.last(), builder.batch()), (0, None, None));
            for seq in seqs {
                builder.push(AlertId { boot, seq }, &alert(seq % 1_000)).unwrap();
            }
            assert_eq!(builder.last(), Some(AlertId { boot, seq: seqs[2] }));
            sensor.send(&ToCollector::Alerts(builder.batch().unwrap()), NOW).unwrap();
            to_collector(&mut sensor, &mut collector);
            let Ok(CollectorEvent::Message(ToCollector::Alerts(batch))) = collector.poll(NOW) else {
                panic!()
            };
            assert_eq!(batch.boot(), boot);
            let entries: Vec<_> = batch.into_iter().map(Result::unwrap).collect();
            for (entry, seq) in entries.iter().zip(seqs) {
                assert_eq!(entry.id, AlertId { boot, seq });
                assert_eq!(entry.alert, Ok(alert(seq % 1_000)));
                let (again, rest) = sentinel_alert::wire::decode(&entry.bytes, entry.base).unwrap();
                assert_eq!((again, rest), (alert(seq % 1_000), &[][..]));
            }
            assert_eq!(entries.len(), 3);
        }
    }
}

#[test]
fn a_gap_and_its_acknowledgement() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    let gap = Gap {
        boot: 3,
        first_seq: 10,
        last_seq: 40,
        lost_by_severity: [20, 1, 0, 0, 0],
        reason: GapReason::Other(99),
    };
    sensor.send(&ToCollector::Gap(gap), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Gap(gap))));
    assert_eq!((gap.last(), gap.lost()), (AlertId { boot: 3, seq: 40 | 1 << 62 }, 21));
    collector.send(&ToSensor::Ack(gap.last()), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(ToSensor::Ack(gap.last()))));
}

#[test]
fn a_batch_takes_rising_numbers_of_one_run_until_it_is_full() {
    let mut buffer = [0; 100];
    let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
    let id = |boot, seq| AlertId { boot, seq };
    assert_eq!(builder.push(id(1, 0), &alert(1)), Err(PushError::InvalidSeq));
    assert_eq!(builder.push(id(1, 1 << 62), &alert(1)), Err(PushError::InvalidSeq));
    builder.push(id(1, 5), &alert(1)).unwrap();
    assert_eq!(builder.push(id(1, 5), &alert(2)), Err(PushError::NewBatchNeeded));
    assert_eq!(builder.push(id(1, 4), &alert(2)), Err(PushError::NewBatchNeeded));
    assert_eq!(builder.push(id(2, 6), &alert(2)), Err(PushError::NewBatchNeeded));
    let mut seq = 6;
    while builder.push(id(1, seq), &alert(seq)).is_ok() {
        seq += 1;
    }
    assert_eq!(builder.push(id(1, seq), &alert(seq)), Err(PushError::Full));
    // The alert that did not fit changed nothing: all others are read back.
    let read: Vec<_> = builder.batch().unwrap().iter().map(|entry| entry.unwrap()).collect();
    assert_eq!(read.len(), usize::try_from(builder.count()).unwrap());
    assert_eq!(read.last().unwrap().id, id(1, seq - 1));
    for (entry, seq) in read.iter().skip(1).zip(6..) {
        assert_eq!(entry.alert, Ok(alert(seq)));
    }
}

/// An older collector gets a kind of alert that it does not know between two that it does.
#[test]
fn an_unknown_alert_does_not_affect_its_neighbours() {
    let mut buffer = [0; 256];
    let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
    builder.push(AlertId { boot: 1, seq: 1 }, &alert(0)).unwrap();
    let mut bytes = [0; 256];
    let batch = postcard::to_slice(&builder.batch().unwrap(), &mut bytes).unwrap().to_vec();
    // Step 1, then length and codes: a run of three literals that starts with the number of the test. No test has
    // number 0x7e yet.
    let entries = [raw_entry(1, &batch).as_slice(), &[1, 4, 2, 0x7e, 1, 1], &[1, 2, 0, 0]].concat();
    let bytes = [&[1, 1, 1, 0, u8::try_from(entries.len()).unwrap()][..], &entries].concat();
    let batch: sentinel_uplink::Batch<'_> = postcard::from_bytes(&bytes).unwrap();
    let read: Vec<_> = batch.iter().map(|entry| entry.unwrap()).collect();
    assert!(read[0].alert.is_ok());
    assert!(read[1].alert.is_err() && read[1].bytes == [0x7e, 1, 1]);
    assert_eq!(read[2].id, AlertId { boot: 1, seq: 3 });
}

/// The first entry of an encoded batch, found by its step and length at the end.
fn raw_entry(step: u8, batch: &[u8]) -> Vec<u8> {
    let start = (0..batch.len() - 1)
        .find(|at| batch[*at] == step && usize::from(batch[at + 1]) == batch.len() - at - 2)
        .unwrap();
    batch[start..].to_vec()
}

#[test]
fn invalid_entries_end_the_batch() {
    for (entries, error) in [
        (&[1][..], BatchError::Truncated),
        (&[1, 5, 0], BatchError::Truncated),
        (&[0, 1, 0], BatchError::Sequence),
        (&[1, 2, 0x80, 0xff], BatchError::Decompression),
    ] {
        let len = u8::try_from(entries.len()).unwrap();
        let bytes = [&[0, 1, 0, len][..], entries].concat();
        let batch: sentinel_uplink::Batch<'_> = postcard::from_bytes(&bytes).unwrap();
        let mut entries = batch.iter();
        assert_eq!(entries.next(), Some(Err(error)));
        assert_eq!(entries.next(), None);
    }
    // Sequence numbers that start at 0, or reach 2^62 with the second alert.
    for first in [&[0][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]] {
        let bytes = [&[0][..], first, &[0, 6, 1, 2, 0, 0, 1, 0]].concat();
        let batch: sentinel_uplink::Batch<'_> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(batch.iter().last(), Some(Err(BatchError::Sequence)));
    }
}

#[test]
fn a_collector_with_several_keys_answers_as_the_one_that_the_sensor_asks_for() {
    let keys: Vec<KeyPair> = (2..=5).map(|byte| KeyPair::from_bytes(&[byte; 32])).collect();
    let token = |key| Token::generate("127.0.0.1:1", key).unwrap();
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        for key in &keys {
            for enrolls in [false, true] {
                let token = token(key.public());
                let sensor = if enrolls {
                    SensorSession::enroll(&sensor_key(), &token, cipher, Limits::SENSOR, NOW)
                } else {
                    SensorSession::connect(&sensor_key(), &key.public(), cipher, Limits::SENSOR, NOW)
                };
                let mut sensor = sensor.unwrap();
                let mut collector = CollectorSession::accept_any(keys.clone().into(), Limits::COLLECTOR, NOW);
                assert_eq!(collector.local_key(), None);
                feed(&mut collector, sensor.pending());
                match collector.poll(NOW).unwrap() {
                    CollectorEvent::Peer { key } => {
                        assert_eq!((key, enrolls), (sensor_key().public(), false));
                        collector.admit(NOW).unwrap();
                    }
                    CollectorEvent::Enrollment { key, token: id } => {
                        assert_eq!((key, id, enrolls), (sensor_key().public(), token.id(), true));
                        collector.admit_enrollment(token.secret(), NOW).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(collector.local_key(), Some(key.public()));
                let pending = collector.pending().to_vec();
                let mut rest = &pending[..];
                while !rest.is_empty() {
                    let taken = sensor.receive(rest).unwrap();
                    rest = &rest[taken..];
                }
                assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Established));
            }
        }
    }
    // A key that it has not, and a damaged message, are refused by all of them.
    let other = KeyPair::from_bytes(&[9; 32]);
    let mut collector = CollectorSession::accept_any(keys.clone().into(), Limits::COLLECTOR, NOW);
    let sensor =
        SensorSession::connect(&sensor_key(), &other.public(), Cipher::AesGcm, Limits::SENSOR, NOW).unwrap();
    feed(&mut collector, sensor.pending());
    assert_eq!(collector.poll(NOW), Err(SessionError::Authentication));
    let mut collector = CollectorSession::accept_any(keys.into(), Limits::COLLECTOR, NOW);
    let weak = [&[0x53, 0x41, 1, 1, 0, 96][..], &[0; 96]].concat();
    feed(&mut collector, &weak);
    assert_eq!(collector.poll(NOW), Err(SessionError::WeakKey));
}

/// Gives all bytes to a session that is not polled in between.
fn feed(session: &mut CollectorSession, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = session.receive(bytes).unwrap();
        assert!(taken > 0, "{} bytes are not taken", bytes.len());
        bytes = &bytes[taken..];
    }
}

#[test]
fn messages_about_keys_come_after_the_welcome() {
    let key = KeyPair::from_bytes(&[7; 32]).public();
    let messages = [
        ToSensor::KeyAnswer(KeyAnswer { key, is_accepted: true }),
        ToSensor::CollectorKey(CollectorKey { key, is_in_force: false }),
        ToSensor::ReplaceKey,
    ];
    for message in messages {
        let (mut sensor, mut collector) = established(Cipher::AesGcm);
        collector.send(&message, NOW).unwrap();
        to_sensor(&mut collector, &mut sensor);
        assert_eq!(sensor.poll(NOW), Err(SessionError::UnexpectedMessage), "{message:?}");
        let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
        collector.send(&message, NOW).unwrap();
        to_sensor(&mut collector, &mut sensor);
        assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(message)));
    }
}
