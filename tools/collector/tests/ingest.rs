//! Sensors over real sockets on the loopback interface.

mod support;

use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_collector::enroll;
use sentinel_uplink::{Gap, GapReason, KeyPair, Limits, RejectReason, Secret, ToCollector, Token};
use support::{
    Heard, Peer, connect, connected, enroll, enrolled, eventually, files, get_json, log_text, metric, start,
    start_with, token,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REJECTED: &str = "sentinel_collector_connections_rejected_total";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, acked) = connected(collector.listen, &pair, &key, 9).await;
    assert_eq!(acked, None);
    let last = peer.send_alerts(9, 1..=40).await;
    peer.until_acked(last).await;
    drop(peer); // without a goodbye, as when a cable is pulled

    // The sensor does not know of the acknowledgement and sends the end again, with some more.
    let (mut peer, acked) = connected(collector.listen, &pair, &key, 9).await;
    assert_eq!(acked, Some(AlertId { boot: 9, seq: 40 }));
    let last = peer.send_alerts(9, 21..=60).await;
    peer.until_acked(last).await;

    let (_, answer) = get_json(collector.http, "/api/v1/alerts?limit=1000").await;
    let seqs: Vec<u64> =
        answer["alerts"].as_array().unwrap().iter().map(|alert| alert["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=60).rev().collect::<Vec<_>>());
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &answer["sensors"][0];
    assert_eq!((&sensor["alerts_stored"], &sensor["alerts_duplicate"]), (&60.into(), &20.into()));
    assert_eq!((&sensor["alerts_missing"], &sensor["state"]), (&0.into(), &"connected".into()));
    assert_eq!((&sensor["host"], &sensor["interfaces"]), (&"router".into(), &"br-lan".into()));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_and_remembers_the_position() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 9).await;
    let last = peer.send_alerts(9, 1..=5).await;
    peer.until_acked(last).await;
    collector.stop().await;
    assert_eq!(peer.next().await, Heard::Rejected(RejectReason::ShuttingDown));

    let collector = start(directory.path()).await;
    let (_peer, acked) = connected(collector.listen, &pair, &key, 9).await;
    assert_eq!(acked, Some(last));
    let stored = "sentinel_collector_alerts_stored_total{kind=\"port_scan\",severity=\"medium\"}";
    assert_eq!(metric(collector.http, stored).await.as_deref(), Some("5"), "sums outlive a restart");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_acknowledges_only_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 9).await;
    for batch in 0..10 {
        peer.send_alerts(9, batch * 50 + 1..=batch * 50 + 50).await;
    }
    let stopping = tokio::spawn(collector.stop());
    let mut acked = 0;
    loop {
        match peer.next().await {
            Heard::Ack(id) => acked = id.seq,
            Heard::Rejected(reason) => assert_eq!(reason, RejectReason::ShuttingDown),
            _ => break,
        }
    }
    drop(peer);
    stopping.await.unwrap();

    let collector = start(directory.path()).await;
    let (_, answer) = get_json(collector.http, "/api/v1/stats").await;
    let stored = answer["alerts"]["stored"].as_u64().unwrap();
    assert!(acked <= stored, "acknowledged up to {acked}, stored {stored}");
    assert_eq!(stored % 50, 0, "a batch is stored as a whole or not at all");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let token = token(directory.path(), "branch-7", Duration::from_secs(60));
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let welcome = Heard::Welcome { name: "branch-7".into(), acked: None };
    assert_eq!(enroll(&first, &token, collector.listen, "ignored").await, welcome);
    assert_eq!(enroll(&second, &token, collector.listen, "").await, Heard::Rejected(RejectReason::TokenUsed));
    let refused = connect(collector.listen, &second, token.collector(), 1).await.next().await;
    assert_eq!(refused, Heard::Rejected(RejectReason::UnknownSensor));
    let (_peer, _) = connected(collector.listen, &first, token.collector(), 1).await;
    assert_eq!(
        metric(collector.http, &format!("{REJECTED}{{reason=\"token\"}}")).await.as_deref(),
        Some("1")
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let token = token(directory.path(), "branch-7", Duration::ZERO);
    let answer = enroll(&KeyPair::generate().unwrap(), &token, collector.listen, "").await;
    assert_eq!(answer, Heard::Rejected(RejectReason::TokenExpired));
    let line = format!("{REJECTED}{{reason=\"expired_token\"}}");
    assert_eq!(metric(collector.http, &line).await.as_deref(), Some("1"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_or_an_unknown_token_gets_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let token = token(directory.path(), "branch-7", Duration::from_secs(60));
    let forged =
        Token::new(token.address(), *token.collector(), token.id(), Secret::from_bytes([7; 16])).unwrap();
    let answer = enroll(&KeyPair::generate().unwrap(), &forged, collector.listen, "").await;
    assert!(matches!(answer, Heard::Closed | Heard::Failed(_)), "{answer:?}");
    let unknown = Token::generate(token.address(), *token.collector()).unwrap();
    let answer = enroll(&KeyPair::generate().unwrap(), &unknown, collector.listen, "").await;
    assert_eq!(answer, Heard::Closed);
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    assert_eq!(answer["sensors"].as_array().unwrap().len(), 0, "nobody was enrolled");
    // The token is not used up by somebody who does not know its secret.
    let answer = enroll(&KeyPair::generate().unwrap(), &token, collector.listen, "").await;
    assert_eq!(answer, Heard::Welcome { name: "branch-7".into(), acked: None });
    let text = log_text(directory.path());
    assert!(!text.contains(token.to_string().as_str()) && text.contains("there is no token"), "{text}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_may_be_left_to_the_sensor() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (first, _) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let taken = enroll::token(&files(directory.path()), "branch-7", "127.0.0.1:1", Duration::from_secs(60));
    assert!(taken.unwrap_err().to_string().contains("the name branch-7 is taken"));
    let open = token(directory.path(), "", Duration::from_secs(60));
    let second = KeyPair::generate().unwrap();
    let answer = enroll(&second, &open, collector.listen, "branch-7").await;
    assert_eq!(answer, Heard::Rejected(RejectReason::NameTaken), "the token stays good");
    let answer = enroll(&second, &open, collector.listen, "at home; \"x\"").await;
    assert_eq!(answer, Heard::Welcome { name: "at-home---x-".into(), acked: None });
    assert_ne!(first.public(), second.public());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_and_logged_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let stranger = KeyPair::generate().unwrap();
    for _ in 0..3 {
        let answer = connect(collector.listen, &stranger, &key, 1).await.next().await;
        assert_eq!(answer, Heard::Rejected(RejectReason::UnknownSensor));
    }
    let line = format!("{REJECTED}{{reason=\"unknown_key\"}}");
    assert_eq!(metric(collector.http, &line).await.as_deref(), Some("3"));
    assert_eq!(log_text(directory.path()).matches(&stranger.public().to_string()).count(), 1);
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await; // the others are not disturbed
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_protocol_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n"] {
        let mut stream = TcpStream::connect(collector.listen).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await; // a reset is as good as an end
        assert!(answer.is_empty(), "nothing is told to strangers");
    }
    let line = format!("{REJECTED}{{reason=\"foreign_protocol\"}}");
    eventually("three refusals", || async { metric(collector.http, &line).await.as_deref() == Some("3") })
        .await;
    assert_eq!(
        log_text(directory.path()).matches("foreign_protocol").count(),
        1,
        "{}",
        log_text(directory.path())
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_in_the_handshake_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::COLLECTOR };
    let collector = start_with(directory.path(), limits, 100).await;
    let mut silent = TcpStream::connect(collector.listen).await.unwrap();
    let mut half = TcpStream::connect(collector.listen).await.unwrap();
    half.write_all(b"SA\x01\x01\x00").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(support::WAIT_TIMEOUT, silent.read_to_end(&mut answer))
        .await
        .expect("still open");
    let _ =
        tokio::time::timeout(support::WAIT_TIMEOUT, half.read_to_end(&mut answer)).await.expect("still open");
    assert!(answer.is_empty());
    let line = format!("{REJECTED}{{reason=\"handshake_timeout\"}}");
    eventually("two refusals", || async { metric(collector.http, &line).await.as_deref() == Some("2") })
        .await;
    eventually("no connection", || async {
        metric(collector.http, "sentinel_collector_connections").await.as_deref() == Some("0")
    })
    .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_take_every_place() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start_with(directory.path(), Limits::COLLECTOR, 64).await; // 16 without a proved key
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(collector.listen).await.unwrap());
    }
    let line = format!("{REJECTED}{{reason=\"too_many\"}}");
    eventually("four too many", || async { metric(collector.http, &line).await.as_deref() == Some("4") })
        .await;
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
    drop(strangers);
    eventually("room again", || async {
        metric(collector.http, "sentinel_collector_connections").await.as_deref() == Some("1")
    })
    .await;
    let (_second, _) = connected(collector.listen, &pair, &key, 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_replaces_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut first, _) = connected(collector.listen, &pair, &key, 1).await;
    let (mut second, _) = connected(collector.listen, &pair, &key, 1).await;
    assert_eq!(first.next().await, Heard::Closed);
    let last = second.send_alerts(1, 1..=3).await;
    second.until_acked(last).await;
    let connected = "sentinel_collector_sensors_connected";
    eventually("one sensor", || async { metric(collector.http, connected).await.as_deref() == Some("1") })
        .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_handshake_disturbs_nobody() {
    // Whoever replays the first message of a sensor claims its key but cannot prove it, and must not
    // end the session of the real one.
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut real, _) = connected(collector.listen, &pair, &key, 1).await;
    let recording = sentinel_uplink::SensorSession::connect(
        &pair,
        &key,
        sentinel_uplink::Cipher::AesGcm,
        Limits::SENSOR,
        sentinel_units::Uptime::ZERO,
    )
    .unwrap();
    let mut replay = TcpStream::connect(collector.listen).await.unwrap();
    replay.write_all(recording.pending()).await.unwrap();
    let mut answer = [0; 8];
    replay.read_exact(&mut answer).await.unwrap(); // the collector has answered the claim
    let last = real.send_alerts(1, 1..=1).await;
    real.until_acked(last).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_sensor_is_out_within_seconds_and_can_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    enroll::revoke(&files(directory.path()), "branch-7").unwrap(); // as another process does
    assert_eq!(peer.next().await, Heard::Rejected(RejectReason::Revoked));
    let answer = connect(collector.listen, &pair, &key, 1).await.next().await;
    assert_eq!(answer, Heard::Rejected(RejectReason::Revoked));
    assert!(enroll::revoke(&files(directory.path()), "nobody").unwrap_err().to_string().contains("branch-7"));

    let token = token(directory.path(), "branch-7", Duration::from_secs(60));
    let answer = enroll(&pair, &token, collector.listen, "").await;
    assert_eq!(answer, Heard::Welcome { name: "branch-7".into(), acked: Some(last) });
    let (_peer, acked) = connected(collector.listen, &pair, &key, 1).await;
    assert_eq!(acked, Some(last), "it keeps its alerts and its position");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_balance_the_books() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 5).await;
    let first = peer.send_alerts(5, 1..=10).await;
    peer.until_acked(first).await;
    // 11 to 15 and 18 were thrown away; 16 and 17 were more severe and come.
    let gap = Gap {
        boot: 5,
        first_seq: 11,
        last_seq: 18,
        lost_by_severity: [5, 1, 0, 0, 0],
        reason: GapReason::SpoolFull,
    };
    for _ in 0..2 {
        peer.send(&ToCollector::Gap(gap)).await; // the second time as after a reconnect
        peer.until_acked(gap.last()).await;
    }
    let rest = peer.send_alerts(5, 16..=17).await;
    peer.until_acked(rest).await;
    let books = |answer: serde_json::Value| {
        let sensor = &answer["sensors"][0];
        ["alerts_stored", "alerts_lost", "alerts_missing"].map(|name| sensor[name].as_u64().unwrap())
    };
    assert_eq!(books(get_json(collector.http, "/api/v1/sensors").await.1), [12, 6, 0]);
    // Numbers skipped without a word are missing.
    let last = peer.send_alerts(5, 22..=23).await;
    peer.until_acked(last).await;
    assert_eq!(books(get_json(collector.http, "/api/v1/sensors").await.1), [14, 6, 3]);
    let line = "sentinel_sensor_missing{sensor=\"branch-7\"}";
    assert_eq!(metric(collector.http, line).await.as_deref(), Some("3"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_holds_the_acknowledgement_back() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let first = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(first).await; // everything before is committed
    let other = files(directory.path()).open_writer().unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let last = peer.send_alerts(1, 2..=10).await;
    assert_eq!(peer.next_within(Duration::from_millis(300)).await, None);
    other.execute_batch("COMMIT").unwrap();
    peer.until_acked(last).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_breaks_the_rules_harms_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    peer.send(&ToCollector::Hello(support::hello(1))).await; // out of turn
    assert_eq!(peer.next().await, Heard::Closed);
    let line = format!("{REJECTED}{{reason=\"malformed\"}}");
    eventually("one refusal", || async { metric(collector.http, &line).await.as_deref() == Some("1") }).await;
    let (peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let Peer { mut stream, .. } = peer;
    stream.write_all(&[0, 40]).await.unwrap();
    stream.write_all(&[7; 40]).await.unwrap(); // a frame that does not authenticate
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let line = format!("{REJECTED}{{reason=\"authentication\"}}");
    eventually("one refusal", || async { metric(collector.http, &line).await.as_deref() == Some("1") }).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_batches_is_stored_in_order_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let mut last = AlertId::default();
    for batch in 0..100 {
        last = peer.send_alerts(1, batch * 80 + 1..=batch * 80 + 80).await;
    }
    peer.until_acked(last).await;
    let (_, answer) = get_json(collector.http, "/api/v1/stats").await;
    assert_eq!(answer["alerts"]["stored"], 8_000);
    assert_eq!(answer["alerts"]["missing"], 0);
    collector.stop().await;
}
