//! Unauthenticated peers, wrong keys and damaged connections: each ends the session with a named error.

#![cfg(test)]

mod support;

use core::time::Duration;

use sentinel_alert::AlertId;
use sentinel_units::Uptime;
use sentinel_uplink::{
    BatchBuilder, Cipher, CollectorEvent, CollectorSession, Enroll, KeyPair, Limits, RejectReason, Secret,
    SendError, SensorEvent, SensorSession, SessionError, ToCollector, ToSensor, Token, TokenId,
};
use support::{
    HELLO, NOW, Random, WELCOME, alert, collector_key, established, sensor_key, to_collector, to_sensor,
    welcomed,
};

fn connect() -> SensorSession {
    SensorSession::connect(&sensor_key(), &collector_key().public(), Cipher::AesGcm, Limits::SENSOR, NOW)
        .unwrap()
}

fn accept() -> CollectorSession {
    CollectorSession::accept(&collector_key(), Limits::COLLECTOR, NOW)
}

fn token() -> Token {
    Token::new("a:1", collector_key().public(), TokenId([4; 8]), Secret::from_bytes([5; 16])).unwrap()
}

fn enroll(token: &Token) -> SensorSession {
    SensorSession::enroll(&sensor_key(), token, Cipher::AesGcm, Limits::SENSOR, NOW).unwrap()
}

/// Feeds all of `bytes` to a collector that admits every peer. Returns the number of messages, or the error.
fn feed(collector: &mut CollectorSession, bytes: &[u8]) -> Result<usize, SessionError> {
    let (mut remaining, mut messages) = (bytes, 0);
    loop {
        let taken = collector.receive(remaining)?;
        remaining = &remaining[taken..];
        let mut admit = false;
        match collector.poll(NOW)? {
            CollectorEvent::Peer { .. } => admit = true,
            CollectorEvent::Message(message) => {
                messages += 1;
                if let ToCollector::Alerts(batch) = message {
                    assert!(batch.iter().all(|entry| entry.is_ok_and(|entry| entry.alert.is_ok())));
                }
            }
            CollectorEvent::Idle if remaining.is_empty() => return Ok(messages),
            _ => {}
        }
        if admit {
            collector.admit(NOW)?;
        }
    }
}

#[test]
fn other_protocols_are_rejected_at_the_first_wrong_byte() {
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\r\n"[..], 0),
        (b"SSH-2.0-OpenSSH_9.2", 1),
        (b"\x16\x03\x01\x02\x00\x01", 0),
        (b"EHLO a", 0),
        (b"\0\0\0\0", 0),
    ] {
        let mut collector = accept();
        let fault = SessionError::BadMagic { at, found: bytes[usize::from(at)] };
        // Byte by byte: nothing is accepted beyond the first wrong one.
        for byte in &bytes[..usize::from(at)] {
            assert_eq!(collector.receive(&[*byte]), Ok(1));
            assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Idle));
        }
        assert_eq!(collector.receive(&bytes[usize::from(at)..]), Err(fault));
        assert_eq!(collector.poll(NOW), Err(fault), "it stays closed");
        assert_eq!(collector.receive(b"SA\x01\x01"), Err(fault));
        assert_eq!(collector.send(&ToSensor::Ping, NOW), Err(SendError::Closed(fault)));
        assert!(collector.pending().is_empty(), "nothing is sent to an unauthenticated peer");
    }
    assert_eq!(accept().receive(b"SA\x02\x01"), Err(SessionError::Version(2)));
    assert_eq!(accept().receive(b"SA\x01\x77"), Err(SessionError::Suite(0x77)));
}

#[test]
fn invalid_lengths_are_rejected_before_their_bytes_come() {
    for length in [0_u16, 1, 95, 97, 104, 4096, u16::MAX] {
        let mut collector = accept();
        let bytes = [&b"SA\x01\x01"[..], &length.to_be_bytes()].concat();
        assert_eq!(collector.receive(&bytes), Err(SessionError::FrameLength(length)));
    }
    for length in [0_u16, 1, 16, 4097, u16::MAX] {
        let (_, mut collector) = welcomed(Cipher::AesGcm);
        assert_eq!(collector.receive(&length.to_be_bytes()), Err(SessionError::FrameLength(length)));
    }
    for length in [0_u16, 16, 2049] {
        let (mut sensor, _) = welcomed(Cipher::AesGcm);
        assert_eq!(sensor.receive(&length.to_be_bytes()), Err(SessionError::FrameLength(length)));
    }
}

#[test]
fn every_cut_of_the_first_flight_waits_and_times_out() {
    let bytes = connect().pending().to_vec();
    for cut in 0..bytes.len() {
        let mut collector = accept();
        assert_eq!(feed(&mut collector, &bytes[..cut]), Ok(0), "cut at {cut}");
        let deadline = NOW.after(Limits::COLLECTOR.handshake);
        assert_eq!(collector.next_deadline(), deadline);
        assert_eq!(collector.poll(deadline), Err(SessionError::HandshakeTimeout));
    }
}

/// Bytes of a sensor with three messages, and the collector that expects them.
fn some_messages() -> (Vec<u8>, CollectorSession) {
    let (mut sensor, collector) = established(Cipher::ChaChaPoly);
    let mut buffer = [0; 512];
    let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
    for index in 0..4 {
        builder.push(AlertId { boot: 9, seq: index + 1 }, &alert(index)).unwrap();
    }
    for message in [
        ToCollector::Hello(HELLO),
        ToCollector::Alerts(builder.batch().unwrap()),
        ToCollector::Telemetry(sentinel_uplink::Telemetry::new()),
    ] {
        sensor.send(&message, NOW).unwrap();
    }
    (sensor.pending().to_vec(), collector)
}

#[test]
fn every_flipped_bit_of_the_handshake_is_found() {
    let sensor = connect();
    let first = sensor.pending().to_vec();
    for at in 0..first.len() {
        for bit in 0..8 {
            let mut wrong = first.clone();
            wrong[at] ^= 1 << bit;
            let mut collector = accept();
            // A shorter announced length ends before the bytes do, a longer one waits: neither gets anywhere.
            match feed(&mut collector, &wrong) {
                Ok(messages) => panic!("byte {at}: {messages} messages"),
                // The highest bit of an ephemeral key is not used (RFC 7748 section 5), but hashed.
                Err(_) => assert!(collector.pending().is_empty(), "byte {at} got an answer"),
            }
        }
    }
    let mut sensor = connect();
    let mut collector = accept();
    to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit(NOW).unwrap();
    let second = collector.pending().to_vec();
    // One session per byte: a failed one is over. Its handshake differs, so the flip is made anew each time.
    for at in 0..second.len() {
        let mut sensor = connect();
        let mut collector = accept();
        to_collector(&mut sensor, &mut collector);
        collector.poll(NOW).unwrap();
        collector.admit(NOW).unwrap();
        let mut wrong = collector.pending().to_vec();
        wrong[at] ^= 1 << (at % 8);
        let outcome = sensor.receive(&wrong).and_then(|_| sensor.poll(NOW).map(|_| ()));
        assert!(outcome.is_err(), "byte {at}");
    }
}

#[test]
fn every_flipped_byte_of_a_session_is_found() {
    let (bytes, _) = some_messages();
    for at in 0..bytes.len() {
        let (mut wrong, mut collector) = some_messages();
        wrong[at] ^= 0x80 >> (at % 8);
        let outcome = feed(&mut collector, &wrong);
        match outcome {
            Err(SessionError::Authentication | SessionError::FrameLength(_)) => {}
            // A length that grew swallows what follows and waits for more; nothing damaged came out.
            Ok(messages) => {
                assert!(messages < 3, "byte {at} went unnoticed");
                let idle = NOW.after(Limits::COLLECTOR.idle);
                assert!(collector.poll(idle).is_err(), "byte {at}: {messages} messages, then waits for ever");
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn every_cut_of_a_session_gives_a_shorter_session() {
    let (bytes, _) = some_messages();
    let mut before = 0;
    for cut in 0..=bytes.len() {
        let (bytes, mut collector) = some_messages();
        let messages = feed(&mut collector, &bytes[..cut]).unwrap();
        assert!(messages == before || messages == before + 1, "cut at {cut}");
        before = messages;
    }
    assert_eq!(before, 3);
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let (bytes, mut collector) = some_messages();
    let messages: usize = bytes.iter().map(|byte| feed(&mut collector, &[*byte]).unwrap()).sum();
    assert_eq!(messages, 3);
}

#[test]
fn a_replayed_message_is_rejected() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    sensor.send(&ToCollector::Pong, NOW).unwrap();
    let frame = sensor.pending().to_vec();
    assert_eq!(feed(&mut collector, &frame), Ok(0));
    assert_eq!(feed(&mut collector, &frame), Err(SessionError::Authentication));
}

/// A recorded first flight gets an answer that only the owner of the key can use, and no message after it.
#[test]
fn a_replayed_session_gets_no_further_than_the_handshake() {
    let (mut sensor, mut collector) = (connect(), accept());
    let mut recording = sensor.pending().to_vec();
    to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit(NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    sensor.poll(NOW).unwrap();
    sensor.send(&ToCollector::Hello(HELLO), NOW).unwrap();
    recording.extend_from_slice(sensor.pending());
    assert_eq!(feed(&mut accept(), &recording), Err(SessionError::Authentication));
}

#[test]
fn a_collector_with_another_key_cannot_answer() {
    let mut sensor = connect();
    let mut impostor = CollectorSession::accept(&KeyPair::from_bytes(&[3; 32]), Limits::COLLECTOR, NOW);
    to_collector(&mut sensor, &mut impostor);
    assert_eq!(impostor.poll(NOW), Err(SessionError::Authentication));
}

/// The preface is the prologue of the handshake.
#[test]
fn the_cipher_cannot_be_changed_on_the_way() {
    let mut bytes = connect().pending().to_vec();
    bytes[3] = 2;
    let mut collector = accept();
    assert_eq!(feed(&mut collector, &bytes), Err(SessionError::Authentication));
}

#[test]
fn keys_of_small_order_are_rejected() {
    let zero = sentinel_uplink::PublicKey::from_bytes([0; 32]);
    let outcome = SensorSession::connect(&sensor_key(), &zero, Cipher::AesGcm, Limits::SENSOR, NOW);
    assert_eq!(outcome.err(), Some(SessionError::WeakKey));
    let mut bytes = connect().pending().to_vec();
    bytes[6..38].fill(0); // the ephemeral key, after preface and length
    assert_eq!(feed(&mut accept(), &bytes), Err(SessionError::WeakKey));
}

#[test]
fn enrollment_needs_the_secret_on_both_sides() {
    let token = token();
    let (mut sensor, mut collector) = (enroll(&token), accept());
    to_collector(&mut sensor, &mut collector);
    let key = sensor_key().public();
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Enrollment { key, token: token.id() }));
    assert_eq!(collector.admit(NOW), Err(SessionError::Internal), "not without the secret");
    assert_eq!(collector.reject(RejectReason::Busy, NOW), Err(SendError::NotEstablished));
    collector.admit_enrollment(token.secret(), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Established));
    let request = Enroll { protocol: 1, name: "attic", software: "0.1.0" };
    sensor.send(&ToCollector::Enroll(request), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Message(ToCollector::Enroll(request))));
    collector.send(&ToSensor::Welcome(WELCOME), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(ToSensor::Welcome(WELCOME))));
}

#[test]
fn the_sensor_detects_a_wrong_secret() {
    let token = token();
    let (mut sensor, mut collector) = (enroll(&token), accept());
    to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.admit_enrollment(&Secret::from_bytes([6; 16]), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Err(SessionError::Authentication));
}

#[test]
fn messages_out_of_order_end_the_session() {
    let gap = ToCollector::Telemetry(sentinel_uplink::Telemetry::new());
    let (mut sensor, mut collector) = established(Cipher::AesGcm);
    sensor.send(&gap, NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Err(SessionError::UnexpectedMessage), "before the hello");

    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    sensor.send(&ToCollector::Hello(HELLO), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Err(SessionError::UnexpectedMessage), "a second hello");

    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    sensor.send(&ToCollector::Enroll(Enroll { protocol: 1, name: "", software: "" }), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Err(SessionError::UnexpectedMessage), "an enrollment without a token");

    let (mut sensor, mut collector) = established(Cipher::AesGcm);
    collector.send(&ToSensor::Ack(AlertId { boot: 1, seq: 1 }), NOW).unwrap();
    to_sensor(&mut collector, &mut sensor);
    assert_eq!(sensor.poll(NOW), Err(SessionError::UnexpectedMessage), "an ack before the welcome");
}

#[test]
fn strings_beyond_their_limit_are_rejected() {
    let long = "x".repeat(65);
    let (mut sensor, mut collector) = established(Cipher::AesGcm);
    sensor.send(&ToCollector::Hello(sentinel_uplink::Hello { host: &long, ..HELLO }), NOW).unwrap();
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Err(SessionError::Malformed));
}

#[test]
fn a_rejected_sensor_gets_the_reason_and_its_messages_are_ignored() {
    let (mut sensor, mut collector) = (connect(), accept());
    to_collector(&mut sensor, &mut collector);
    collector.poll(NOW).unwrap();
    collector.reject(RejectReason::UnknownSensor, NOW).unwrap();
    let bytes = collector.pending().to_vec();
    let taken = sensor.receive(&bytes).unwrap();
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Established));
    sensor.send(&ToCollector::Hello(HELLO), NOW).unwrap();
    assert_eq!(sensor.receive(&bytes[taken..]), Ok(bytes.len() - taken));
    assert_eq!(sensor.poll(NOW), Ok(SensorEvent::Message(ToSensor::Rejected(RejectReason::UnknownSensor))));
    to_collector(&mut sensor, &mut collector);
    assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Idle), "the hello of a rejected sensor is ignored");
}

#[test]
fn timeouts_end_the_session_on_both_sides() {
    let limits = Limits::COLLECTOR;
    let at = |span: Duration| NOW.after(span);
    let just_before = |span: Duration| Uptime::from_millis(at(span).as_millis() - 1);

    let mut sensor = connect();
    sensor.sent(usize::MAX, NOW);
    assert_eq!(sensor.next_deadline(), at(limits.handshake));
    assert_eq!(sensor.poll(just_before(limits.handshake)), Ok(SensorEvent::Idle));
    assert_eq!(sensor.poll(at(limits.handshake)), Err(SessionError::HandshakeTimeout));

    let (mut sensor, _) = established(Cipher::AesGcm);
    assert_eq!(sensor.next_deadline(), at(limits.welcome));
    assert_eq!(sensor.poll(just_before(limits.welcome)), Ok(SensorEvent::Idle));
    assert_eq!(sensor.poll(at(limits.welcome)), Err(SessionError::HandshakeTimeout), "no welcome");

    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    assert_eq!(sensor.next_deadline(), at(limits.heartbeat));
    assert_eq!(sensor.poll(at(limits.idle)), Err(SessionError::Idle));
    assert_eq!(collector.next_deadline(), at(limits.keep_alive));
    assert_eq!(collector.poll(just_before(limits.keep_alive)), Ok(CollectorEvent::Idle));
    assert!(collector.pending().is_empty());
    assert_eq!(collector.poll(at(limits.keep_alive)), Ok(CollectorEvent::Idle));
    assert!(!collector.pending().is_empty(), "a ping");
    // The peer does not accept the ping: the connection is stalled.
    let stalled = at(limits.keep_alive + limits.stall);
    assert_eq!(collector.next_deadline(), stalled);
    assert_eq!(collector.poll(stalled), Err(SessionError::Stalled));
}

#[test]
fn pings_keep_both_ends_connected() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    let mut now = NOW;
    for _ in 0..10 {
        now = now.after(Limits::COLLECTOR.keep_alive);
        assert_eq!(collector.poll(now), Ok(CollectorEvent::Idle));
        let ping = collector.pending().to_vec();
        collector.sent(ping.len(), now);
        assert_eq!(sensor.receive(&ping), Ok(19));
        assert_eq!(sensor.poll(now), Ok(SensorEvent::Idle));
        let pong = sensor.pending().to_vec();
        sensor.sent(pong.len(), now);
        assert_eq!(collector.receive(&pong), Ok(19));
        assert_eq!(collector.poll(now), Ok(CollectorEvent::Idle));
    }
    assert_eq!(sensor.next_deadline(), now.after(Limits::SENSOR.heartbeat));
}

/// A collector never waits longer than `silence` for a byte of a sensor that lives.
#[test]
fn a_sensor_that_has_nothing_to_send_sends_heartbeats() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    let heartbeat = Limits::SENSOR.heartbeat;
    assert!(heartbeat + Duration::from_secs(3) <= Limits::COLLECTOR.silence);
    let mut now = NOW;
    for _ in 0..20 {
        assert_eq!(sensor.next_deadline(), now.after(heartbeat));
        assert_eq!(sensor.poll(now), Ok(SensorEvent::Idle));
        assert!(sensor.pending().is_empty(), "not before it is due");
        now = now.after(heartbeat);
        assert_eq!(sensor.poll(now), Ok(SensorEvent::Idle));
        let pong = sensor.pending().to_vec();
        assert_eq!(pong.len(), 19);
        sensor.sent(pong.len(), now);
        assert_eq!(collector.receive(&pong), Ok(19));
        assert_eq!(collector.poll(now), Ok(CollectorEvent::Idle));
    }
    // Any message takes the place of a heartbeat.
    sensor.send(&ToCollector::Telemetry(sentinel_uplink::Telemetry::new()), now).unwrap();
    let sent = sensor.pending().len();
    sensor.sent(sent, now);
    assert_eq!(sensor.next_deadline(), now.after(heartbeat));
}

#[test]
fn a_full_send_buffer_is_busy_and_loses_nothing() {
    let (mut sensor, mut collector) = welcomed(Cipher::AesGcm);
    let message = ToCollector::Telemetry(sentinel_uplink::Telemetry::new());
    let mut queued = 0;
    while sensor.send(&message, NOW).is_ok() {
        queued += 1;
    }
    assert_eq!(sensor.send(&message, NOW), Err(SendError::Busy));
    assert!(queued > 50);
    let bytes = sensor.pending().to_vec();
    assert!(bytes.len() <= 2 + 4096);
    // The socket accepts a part: there is room again, and the order is kept.
    sensor.sent(100, NOW);
    sensor.send(&message, NOW).unwrap();
    assert_eq!(
        feed(&mut collector, &bytes[..100]).unwrap() + feed(&mut collector, sensor.pending()).unwrap(),
        queued + 1
    );
}

/// Both ends rekey a direction after 65,536 messages, without a message about it.
#[test]
fn both_ends_rekey_after_the_same_message() {
    let (mut sensor, mut collector) = welcomed(Cipher::ChaChaPoly);
    for _ in 0..(1 << 16) + 10 {
        sensor.send(&ToCollector::Pong, NOW).unwrap();
        to_collector(&mut sensor, &mut collector);
        assert_eq!(collector.poll(NOW), Ok(CollectorEvent::Idle));
    }
}

#[test]
fn random_bytes_after_the_welcome_end_the_session() {
    let mut random = Random::new(7);
    for _ in 0..300 {
        let (_, mut collector) = welcomed(Cipher::AesGcm);
        let noise: Vec<u8> = (0..5_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        assert!(feed(&mut collector, &noise).is_err());
    }
}
