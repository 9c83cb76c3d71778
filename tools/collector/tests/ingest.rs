//! Sensors over real sockets on the loopback interface.

mod support;

use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_uplink::{
    EndCause, Gap, GapReason, KeyPair, Limits, LogHead, RejectReason, RunEnd, ToCollector,
};
use support::http::{get_json, metric};
use support::sensor::{Received, SensorClient, connect, connected, connected_version_2, enrolled};
use support::{eventually, files, log_text, start, start_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REJECTED: &str = "sentinel_collector_connections_rejected_total";

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_sent_twice_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, acked) = connected(collector.listen, &pair, &key, 9).await;
    assert_eq!(acked, None);
    let last = peer.send_alerts(9, 1..=40).await;
    peer.until_acked(last).await;
    drop(peer); // without closing the session, as when a cable is pulled

    // The sensor has missed the acknowledgement and sends the end again, with new alerts.
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
async fn a_restart_keeps_alerts_and_acknowledged_position() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 9).await;
    let last = peer.send_alerts(9, 1..=5).await;
    peer.until_acked(last).await;
    collector.stop().await;
    assert_eq!(peer.next().await, Received::Rejected(RejectReason::ShuttingDown));

    let collector = start(directory.path()).await;
    let (_peer, acked) = connected(collector.listen, &pair, &key, 9).await;
    assert_eq!(acked, Some(last));
    let stored = "sentinel_collector_alerts_stored_total{kind=\"port_scan\",severity=\"medium\"}";
    assert_eq!(metric(collector.http, stored).await.as_deref(), Some("5"), "totals survive a restart");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_acknowledges_only_stored_alerts() {
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
            Received::Ack(id) => acked = id.seq,
            Received::Rejected(reason) => assert_eq!(reason, RejectReason::ShuttingDown),
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
async fn an_unknown_key_is_rejected_and_logged_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let unknown = KeyPair::generate().unwrap();
    for _ in 0..3 {
        let answer = connect(collector.listen, &unknown, &key, 1).await.next().await;
        assert_eq!(answer, Received::Rejected(RejectReason::UnknownSensor));
    }
    let line = format!("{REJECTED}{{reason=\"unknown_key\"}}");
    assert_eq!(metric(collector.http, &line).await.as_deref(), Some("3"));
    assert_eq!(log_text(directory.path()).matches(&unknown.public().to_string()).count(), 1);
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await; // other sensors are not affected
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_protocol_is_rejected_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n"] {
        let mut stream = TcpStream::connect(collector.listen).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await; // a reset is as good as an end
        assert!(answer.is_empty(), "a foreign protocol gets no answer");
    }
    let line = format!("{REJECTED}{{reason=\"foreign_protocol\"}}");
    eventually("three rejections", || async { metric(collector.http, &line).await.as_deref() == Some("3") })
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
async fn an_unfinished_handshake_times_out() {
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
    eventually("two rejections", || async { metric(collector.http, &line).await.as_deref() == Some("2") })
        .await;
    eventually("no connection", || async {
        metric(collector.http, "sentinel_collector_connections").await.as_deref() == Some("0")
    })
    .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_peers_cannot_take_every_connection() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start_with(directory.path(), Limits::COLLECTOR, 64).await; // 32 without a proved key
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let mut unauthenticated = Vec::new();
    for _ in 0..36 {
        unauthenticated.push(TcpStream::connect(collector.listen).await.unwrap());
    }
    let line = format!("{REJECTED}{{reason=\"crowded\"}}");
    eventually("four that made room", || async {
        metric(collector.http, &line).await.as_deref() == Some("4")
    })
    .await;
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
    drop(unauthenticated);
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
    assert_eq!(first.next().await, Received::Closed);
    let last = second.send_alerts(1, 1..=3).await;
    second.until_acked(last).await;
    let connected = "sentinel_collector_sensors_connected";
    eventually("one sensor", || async { metric(collector.http, connected).await.as_deref() == Some("1") })
        .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_handshake_does_not_end_the_session() {
    // A replayed first message claims the key of its sensor but cannot prove it, and must not end the session of that
    // sensor.
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
async fn gaps_are_lost_and_skipped_numbers_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 5).await;
    let first = peer.send_alerts(5, 1..=10).await;
    peer.until_acked(first).await;
    // 11 to 15 and 18 were discarded; 16 and 17 were more severe and are sent.
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
    let counters = |answer: serde_json::Value| {
        let sensor = &answer["sensors"][0];
        ["alerts_stored", "alerts_lost", "alerts_missing"].map(|name| sensor[name].as_u64().unwrap())
    };
    assert_eq!(counters(get_json(collector.http, "/api/v1/sensors").await.1), [12, 6, 0]);
    // Numbers that are neither sent nor in a gap are missing.
    let last = peer.send_alerts(5, 22..=23).await;
    peer.until_acked(last).await;
    assert_eq!(counters(get_json(collector.http, "/api/v1/sensors").await.1), [14, 6, 3]);
    let line = "sentinel_sensor_missing{sensor=\"branch-7\"}";
    assert_eq!(metric(collector.http, line).await.as_deref(), Some("3"));
    collector.stop().await;
}

/// Alerts that a power cut took left no trace, and the page said that every alert is accounted for.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_later_alerts_of_the_run_are_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected_version_2(collector.listen, &pair, &key, 5).await;
    let last = peer.send_alerts(5, 1..=70).await;
    peer.until_acked(last).await;
    let unknown = || async {
        let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
        let sensor = &answer["sensors"][0];
        assert_eq!(sensor["run_ends_reported"], true);
        (sensor["runs_unclean"].as_u64().unwrap(), sensor["alerts_unknown"].clone())
    };
    assert_eq!(unknown().await, (0, serde_json::Value::Null), "the run goes on");
    drop(peer);

    // The next run, before it has told how the one before ended.
    let (mut peer, acked) = connected_version_2(collector.listen, &pair, &key, 6).await;
    assert_eq!(acked, Some(last));
    let from_71 = serde_json::json!({ "boot": 5, "from": 71 });
    eventually("unknown", || async { unknown().await == (1, from_71.clone()) }).await;
    let end = RunEnd { boot: 5, next_seq: 51, cause: EndCause::PowerLost };
    for _ in 0..2 {
        peer.send(&ToCollector::RunEnd(end)).await; // the second time as after a reconnect
        peer.until_acked(end.last()).await;
    }
    assert_eq!(unknown().await, (1, from_71));
    let (_, stats) = get_json(collector.http, "/api/v1/stats").await;
    assert_eq!((&stats["alerts"]["runs_unclean"], &stats["alerts"]["missing"]), (&1.into(), &0.into()));
    let line = "sentinel_collector_runs_unclean_total";
    assert_eq!(metric(collector.http, line).await.as_deref(), Some("1"));
    drop(peer);

    // The identity of the end names the position, and a run that was stopped is none of the unclean ones.
    let (mut peer, acked) = connected_version_2(collector.listen, &pair, &key, 7).await;
    assert_eq!(acked, Some(end.last()));
    let end = RunEnd { boot: 6, next_seq: 4, cause: EndCause::Stopped };
    peer.send(&ToCollector::RunEnd(end)).await;
    peer.until_acked(end.last()).await;
    assert_eq!(unknown().await.0, 1);
    let (_, stats) = get_json(collector.http, "/api/v1/stats").await;
    assert_eq!(stats["alerts"]["missing"], 3, "alerts 1 to 3 of run 6 never arrived");
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
async fn a_protocol_violation_ends_only_its_own_connection() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    peer.send(&ToCollector::Hello(support::sensor::hello(1))).await; // a second time, which the protocol forbids
    assert_eq!(peer.next().await, Received::Closed);
    let line = format!("{REJECTED}{{reason=\"malformed\"}}");
    eventually("one rejection", || async { metric(collector.http, &line).await.as_deref() == Some("1") })
        .await;
    let (peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let SensorClient { mut stream, .. } = peer;
    stream.write_all(&[0, 40]).await.unwrap();
    stream.write_all(&[7; 40]).await.unwrap(); // a frame that does not authenticate
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let line = format!("{REJECTED}{{reason=\"authentication\"}}");
    eventually("one rejection", || async { metric(collector.http, &line).await.as_deref() == Some("1") })
        .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_batches_are_stored_in_order_and_completely() {
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

/// A stopped process and a cut cable look alike: the connection stands, and nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sensor_is_offline_until_it_is_heard_again() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { silence: Duration::from_secs(1), ..Limits::COLLECTOR };
    let collector = start_with(directory.path(), limits, 100).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut sensor, _) = connected_version_2(collector.listen, &pair, &key, 1).await;
    let collector_http = collector.http;
    let is = |number: &'static str| async move {
        metric(collector_http, "sentinel_collector_sensors_connected").await.as_deref() == Some(number)
    };
    assert!(is("1").await);
    // All of its alerts, none, have arrived; that is said only while it is heard.
    let mut telling = sentinel_uplink::Telemetry::new();
    telling.set(sentinel_uplink::Counter::ClockMs, sentinel_collector::clock::now().as_micros() / 1_000);
    sensor.send(&ToCollector::Telemetry(telling)).await;
    let accounting = || async move {
        get_json(collector_http, "/api/v1/sensors").await.1["sensors"][0]["accounting"]["state"].clone()
    };
    eventually("complete", || async { accounting().await == "complete" }).await;
    eventually("silent", || is("0")).await;
    let state =
        || async move { get_json(collector_http, "/api/v1/sensors").await.1["sensors"][0]["state"].clone() };
    assert_eq!(state().await, "offline");
    assert_ne!(accounting().await, "complete");
    assert!(log_text(directory.path()).contains("branch-7 is not heard any more: no message for 1 s"));
    sensor.send(&ToCollector::Pong).await;
    eventually("heard", || is("1")).await;
    assert_eq!(state().await, "connected");
    let last = sensor.send_alerts(1, 1..=1).await;
    sensor.until_acked(last).await;
    eventually("silent again", || is("0")).await;
    drop(sensor);
    let is_logged = || async { log_text(directory.path()).contains("branch-7 disconnected") };
    eventually("the end of the connection", is_logged).await;
    assert!(is("0").await, "counted once");
    collector.stop().await;
}

/// A roll-back of the whole state directory was not noticed anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rolled_back_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let row = async || get_json(collector.http, "/api/v1/sensors").await.1["sensors"][0]["log"].clone();
    let head = LogHead { next_id: 300, epoch: 5, chain: [0xa5; 32] };
    let text = format!("300:5:{}", "a5".repeat(32));
    // A head for each connection: a second one within seconds is ignored.
    for (head, contradictions) in
        [(head, 0), (head, 0), (LogHead { next_id: 200, epoch: 4, chain: [1; 32] }, 1)]
    {
        let (mut peer, _) = connected(collector.listen, &pair, &key, 9).await;
        peer.send(&ToCollector::LogHead(head)).await;
        peer.send(&ToCollector::LogHead(LogHead { next_id: 1, ..head })).await;
        eventually("the head is stored", || async {
            let log = row().await;
            log["head"].as_str().is_some_and(|text| text.starts_with(&format!("{}:", head.next_id)))
                && log["contradictions"] == contradictions
        })
        .await;
    }
    assert_eq!(row().await["contradicted_head"], text.as_str());
    assert!(log_text(directory.path()).contains("branch-7: log rolled back or rewritten"));
    let contradicted = "sentinel_collector_log_heads_contradicted_total";
    assert_eq!(metric(collector.http, contradicted).await.as_deref(), Some("1"));
    collector.stop().await;
}
