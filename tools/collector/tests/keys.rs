//! Keys that are replaced, and keys that are copied, over real sockets on the loopback interface.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sentinel_alert::{AlertId, Severity};
use sentinel_collector::enroll::{key_status, rotate_key};
use sentinel_collector::model::Role;
use sentinel_collector::service::{Caller, acknowledge_runs, rotate_sensor_key};
use sentinel_units::{Address, Uptime};
use sentinel_uplink::{
    BatchBuilder, Cipher, CollectorKey, EndCause, KeyAnswer, KeyPair, Limits, PublicKey, RejectReason,
    RunEnd, SensorSession, Telemetry, ToCollector,
};
use support::http::{get_json, metric};
use support::sensor::{
    Received, SensorClient, alert, connect, connected, connected_run, enroll, enrolled, hello, hello_of_run,
};
use support::{eventually, files, listed, log_text, revoke, start, token, try_token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MINUTE: Duration = Duration::from_secs(60);

/// Announces `key`; gives the answer.
async fn announce(peer: &mut SensorClient, key: PublicKey) -> bool {
    peer.send(&ToCollector::NextKey(key)).await;
    match peer.next().await {
        Received::KeyAnswer(KeyAnswer { key: answered, is_accepted }) if answered == key => is_accepted,
        other => panic!("{other:?} instead of an answer"),
    }
}

/// Preface and first handshake message of a sensor.
fn first_message(pair: &KeyPair, collector: &PublicKey) -> Vec<u8> {
    let session = SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO);
    session.unwrap().pending().to_vec()
}

async fn until_listed(directory: &Path, text: &str) {
    eventually(text, || async { listed(directory, false).contains(text) }).await;
}

/// Sends telemetry, which a sensor does only once it is welcomed.
async fn show_life(peer: &mut SensorClient) {
    peer.send(&ToCollector::Telemetry(Telemetry::new())).await;
}

/// Sends alerts of run `boot` in a session of run `session`, and waits until they are stored. The alerts of a thief have the same
/// numbers and another source.
async fn deliver(
    peer: &mut SensorClient,
    session: u32,
    boot: u32,
    seqs: std::ops::RangeInclusive<u64>,
    is_forged: bool,
) {
    let mut buffer = vec![0; peer.session.batch_limit()];
    let mut builder = BatchBuilder::new(hello(session).origin(), &mut buffer);
    for seq in seqs {
        let mut alert = alert(seq, Severity::Medium);
        if is_forged {
            alert.subject.source = Some(Address::v4(0x0101_0101));
        }
        builder.push(AlertId { boot, seq }, &alert).unwrap();
    }
    let last = builder.last().unwrap();
    peer.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
    peer.until_acked(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_replaces_its_key_and_loses_no_alert_and_no_answer_matters() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (old, key) = enrolled(directory.path(), to, "a").await;
    let new = KeyPair::generate().unwrap();
    let run = (1, 0, 11);
    let (mut peer, _) = connected_run(to, &old, &key, run).await;
    let sent = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(sent).await;
    peer.send(&ToCollector::NextKey(new.public())).await;
    drop(peer); // the answer is lost, maybe the announcement
    let (mut peer, acked) = connected_run(to, &old, &key, run).await;
    assert_eq!(acked, Some(sent), "the old key is served");
    let unacked = peer.send_alerts(1, 4..=6).await;
    peer.send(&ToCollector::NextKey(new.public())).await;
    loop {
        match peer.next().await {
            Received::Ack(_) => {}
            Received::KeyAnswer(answer) => break assert!(answer.is_accepted),
            other => panic!("{other:?}"),
        }
    }
    drop(peer);
    // A crash of the device before it used the new key.
    let (mut peer, _) = connected_run(to, &old, &key, run).await;
    assert!(announce(&mut peer, new.public()).await, "again");
    let (mut peer, acked) = connected_run(to, &new, &key, run).await;
    assert_eq!(acked, Some(unacked), "the same sensor");
    let last = peer.send_alerts(1, 7..=9).await;
    peer.until_acked(last).await;
    let (_, answer) = hello_of_run(to, &old, &key, run).await;
    assert_eq!(answer, Received::Rejected(RejectReason::KeyReplaced));
    until_listed(directory.path(), "KEY COPIED: a key that it had replaced is still in use").await;
    let (_, body) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &body["sensors"][0];
    assert_eq!((&sensor["alerts_stored"], &sensor["alerts_missing"]), (&9.into(), &0.into()));
    assert_eq!((&sensor["alerts_duplicate"], &sensor["id"]), (&0.into(), &1.into()));
    assert_eq!(sensor["public_key"], new.public().to_string());
    assert_eq!(sensor["key_copied"]["sign"], "replaced_key");
    assert_eq!(
        metric(collector.http, "sentinel_sensor_key_copied{sensor=\"a\"}").await.as_deref(),
        Some("1")
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_sensor_an_old_announcement_and_a_revoked_sensor_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (a, key) = enrolled(directory.path(), to, "a").await;
    let (b, _) = enrolled(directory.path(), to, "b").await;
    let (mut peer, _) = connected_run(to, &a, &key, (1, 0, 11)).await;
    assert!(!announce(&mut peer, b.public()).await && !announce(&mut peer, a.public()).await);
    let [first, second] = [(); 2].map(|()| KeyPair::generate().unwrap());
    assert!(announce(&mut peer, first.public()).await);
    let (mut peer, _) = connected_run(to, &first, &key, (1, 0, 11)).await;
    assert!(announce(&mut peer, second.public()).await);
    let (mut peer, _) = connected_run(to, &second, &key, (1, 0, 11)).await;
    for replaced in [&a, &first] {
        assert!(!announce(&mut peer, replaced.public()).await, "as in a recording of the session before");
    }
    // Announced by somebody who does not have it, then enrolled by who does.
    let stranger = KeyPair::generate().unwrap();
    assert!(announce(&mut peer, stranger.public()).await);
    let c = token(directory.path(), "c", MINUTE);
    assert_eq!(enroll(&stranger, &c, to, "").await, Received::Welcome { name: "c".into(), acked: None });
    let (_peer, _) = connected_run(to, &stranger, &key, (2, 0, 12)).await;
    let third = KeyPair::generate().unwrap();
    let (mut peer, _) = connected_run(to, &second, &key, (1, 0, 11)).await;
    assert!(announce(&mut peer, third.public()).await);
    revoke(directory.path(), "a").unwrap();
    for pair in [&second, &third] {
        let (_, answer) = hello_of_run(to, pair, &key, (1, 0, 11)).await;
        assert_eq!(answer, Received::Rejected(RejectReason::Revoked));
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_asks_for_a_new_key() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (pair, key) = enrolled(directory.path(), to, "a").await;
    rotate_sensor_key(&files(directory.path()), &Caller::Operator, "a").unwrap();
    let asked = || async {
        let (mut peer, _) = connected_run(to, &pair, &key, (1, 0, 11)).await;
        peer.next_within(Duration::from_millis(100)).await == Some(Received::ReplaceKey)
    };
    eventually("the sensor is not asked", asked).await;
    let (_version_2, _) = support::sensor::connected_version_2(to, &pair, &key, 1).await;
    let (mut peer, _) = connected_run(to, &pair, &key, (1, 0, 11)).await;
    assert_eq!(peer.next().await, Received::ReplaceKey);
    let new = KeyPair::generate().unwrap();
    assert!(announce(&mut peer, new.public()).await);
    // A session right after was asked again, and replaced its key some twenty times within a second.
    let (mut peer, _) = connected_run(to, &new, &key, (1, 0, 11)).await;
    show_life(&mut peer).await;
    assert_eq!(peer.next_within(Duration::from_millis(100)).await, None);
    let (_, body) = get_json(collector.http, "/api/v1/sensors").await;
    assert_eq!(body["sensors"][0]["key_replacement_requested"], false);
    rotate_sensor_key(&files(directory.path()), &Caller::Operator, "a").unwrap();
    let mut is_asked = false;
    for _ in 0..50 {
        show_life(&mut peer).await;
        is_asked |= peer.next_within(Duration::from_millis(100)).await == Some(Received::ReplaceKey);
        if is_asked {
            break;
        }
    }
    assert!(is_asked, "within the session");
    collector.stop().await;
}

/// A thief who replaces the key first locks the honest device out, which must not pass unnoticed, nor for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_replaces_the_key_first_is_named_and_shut_out() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (honest, key) = enrolled(directory.path(), to, "a").await;
    let thief = KeyPair::generate().unwrap();
    let (mut peer, _) = connected_run(to, &honest, &key, (2, 1, 22)).await;
    assert!(announce(&mut peer, thief.public()).await);
    let (_thief, _) = connected_run(to, &thief, &key, (2, 1, 22)).await;
    let (_, answer) = hello_of_run(to, &honest, &key, (1, 0, 11)).await;
    assert_eq!(answer, Received::Rejected(RejectReason::KeyReplaced));
    until_listed(directory.path(), "KEY COPIED").await;
    assert!(log_text(directory.path()).contains("a key that it had replaced is still in use"));
    // A recording of a first message is no use of the key.
    eventually("not counted", || async { collector.metrics.copied_keys.get() == 1 }).await;
    let (mut opened, mut input) = (TcpStream::connect(to).await.unwrap(), [0; 512]);
    opened.write_all(&first_message(&honest, &key)).await.unwrap();
    assert!(opened.read(&mut input).await.unwrap() > 0, "it is answered");
    drop(opened);
    // Revoked, and enrolled again: with another key only, under the same name.
    revoke(directory.path(), "a").unwrap();
    assert_eq!(collector.metrics.copied_keys.get(), 1);
    let again = token(directory.path(), "a", MINUTE);
    for spoilt in [&honest, &thief] {
        assert_eq!(enroll(spoilt, &again, to, "").await, Received::Rejected(RejectReason::KeyReplaced));
    }
    let new = KeyPair::generate().unwrap();
    assert_eq!(enroll(&new, &again, to, "").await, Received::Welcome { name: "a".into(), acked: None });
    let (_peer, _) = connected_run(to, &new, &key, (1, 0, 11)).await;
    let (_, answer) = hello_of_run(to, &thief, &key, (2, 1, 22)).await;
    assert_eq!(answer, Received::Rejected(RejectReason::Revoked));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_with_one_key_are_named() {
    for runs in [
        // At the same time; the copy continues the run of the original.
        &[(1, 0, 11), (2, 1, 22), (1, 0, 11)][..],
        // One after the other, each with restarts.
        &[(1, 0, 11), (2, 1, 22), (3, 1, 33), (4, 2, 44)],
        // A copy that gives out the run of the original.
        &[(1, 0, 11), (1, 0, 22)],
        // The copy was first.
        &[(1, 0, 22), (1, 0, 11)],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let collector = start(directory.path()).await;
        let (pair, key) = enrolled(directory.path(), collector.listen, "a").await;
        for (index, run) in runs.iter().enumerate() {
            assert!(!listed(directory.path(), false).contains("COPIED"), "{runs:?} {index}");
            let (mut peer, _) = connected_run(collector.listen, &pair, &key, *run).await;
            show_life(&mut peer).await;
            let last = peer.send_alerts(run.0, 1..=1).await;
            peer.until_acked(last).await;
        }
        show_until_named(directory.path(), collector.listen, &pair, &key, runs[runs.len() - 1]).await;
        assert!(log_text(directory.path()).contains("two devices use its key in turn"));
        collector.stop().await;
    }
}

/// The verdict is stored with the next message after it is known.
async fn show_until_named(
    directory: &Path,
    to: SocketAddr,
    pair: &KeyPair,
    key: &PublicKey,
    run: (u32, u32, u64),
) {
    eventually("the copy is not named", || async {
        let (mut peer, _) = connected_run(to, pair, key, run).await;
        show_life(&mut peer).await;
        let _ = peer.next_within(Duration::from_millis(50)).await;
        show_life(&mut peer).await;
        let _ = peer.next_within(Duration::from_millis(50)).await;
        listed(directory, false).contains("KEY COPIED: two devices use its key in turn")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_does_is_no_sign_of_a_copy() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "a").await;
    let mut half_open = Vec::new();
    for run in [
        (1, 0, 11),
        (1, 0, 11), // another address after the network was changed; the session before stays half-open
        (2, 1, 22),
        (2, 1, 22),
        (5, 4, 55), // two runs without a connection
        (6, 2, 66), // a restored backup
        (7, 6, 77),
        (8, 0, 88), // wiped
        (9, 8, 99),
    ] {
        let (mut peer, _) = connected_run(collector.listen, &pair, &key, run).await;
        let last = peer.send_alerts(run.0, 1..=2).await;
        peer.until_acked(last).await;
        show_life(&mut peer).await;
        show_life(&mut peer).await;
        half_open.push(peer);
    }
    // Deliveries are stored in the order of the queue: everything before is in the store.
    let last = half_open.last_mut().unwrap().send_alerts(9, 3..=3).await;
    half_open.last_mut().unwrap().until_acked(last).await;
    assert!(!listed(directory.path(), false).contains("COPIED"));
    assert_eq!(collector.metrics.copied_keys.get(), 0);
    collector.stop().await;
}

/// The position in the store was that of the thief: the honest sensor, started again, took its own alerts for delivered.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_cannot_make_alerts_of_the_honest_device_disappear() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (pair, key) = enrolled(directory.path(), to, "a").await;
    let (mut peer, _) = connected_run(to, &pair, &key, (1, 0, 11)).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    drop(peer);
    // Alerts 4 to 6 wait at the honest device. The thief has its files and gives out others under their numbers.
    let (mut thief, acked) = connected_run(to, &pair, &key, (2, 1, 22)).await;
    assert_eq!(acked, Some(last));
    deliver(&mut thief, 2, 1, 4..=6, true).await;
    let (mut peer, acked) = connected_run(to, &pair, &key, (3, 1, 33)).await;
    assert_eq!(acked, None, "not the position of the thief");
    deliver(&mut peer, 3, 1, 4..=6, false).await;
    let (_, body) = get_json(collector.http, "/api/v1/alerts").await;
    let alerts = body["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 3 + 3 + 3);
    let of = |source: &str| alerts.iter().filter(|alert| alert["src"] == source).count();
    assert_eq!((of("1.1.1.1"), of("10.20.30.66")), (3, 6), "both are shown: nobody knows which is right");
    let (_, body) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &body["sensors"][0];
    assert_eq!((&sensor["key_copied"]["sign"], &sensor["alerts_missing"]), (&"numbers".into(), &0.into()));
    // From then on no device of this key gets a position.
    let (_, acked) = connected_run(to, &pair, &key, (3, 1, 33)).await;
    assert_eq!(acked, None);
    collector.stop().await;
}

async fn until_told(peer: &mut SensorClient) -> CollectorKey {
    loop {
        show_life(peer).await;
        match peer.next_within(Duration::from_millis(100)).await {
            Some(Received::CollectorKey(key)) => return key,
            None => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_replaces_its_key_when_every_sensor_has_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (a, old) = enrolled(directory.path(), to, "a").await;
    let (b, _) = enrolled(directory.path(), to, "b").await;
    let waiting = token(directory.path(), "c", MINUTE);
    let (mut peer_a, _) = connected_run(to, &a, &old, (1, 0, 11)).await;
    let (mut peer_b, _) = connected_run(to, &b, &old, (1, 0, 12)).await;
    rotate_key(&files(directory.path()), MINUTE, MINUTE).unwrap();
    rotate_key(&files(directory.path()), MINUTE, MINUTE).unwrap(); // twice changes nothing
    let next = until_told(&mut peer_a).await;
    assert!(!next.is_in_force && next.key != old);
    assert_eq!(until_told(&mut peer_b).await, next);
    // A confirmation of another key is none.
    peer_a.send(&ToCollector::KeyPinned(old)).await;
    peer_b.send(&ToCollector::KeyPinned(next.key)).await;
    eventually("b has not confirmed", || async {
        let status = key_status(&files(directory.path())).unwrap();
        !status.contains("not stored by b") && status.contains("not stored by a, last seen")
    })
    .await;
    // The new key is answered already: a sensor whose present key fails may try it.
    let (_early, _) = connected_run(to, &b, &next.key, (1, 0, 12)).await;
    let last = peer_a.send_alerts(1, 1..=5).await;
    peer_a.until_acked(last).await;
    peer_a.send(&ToCollector::KeyPinned(next.key)).await;
    assert_eq!(until_told(&mut peer_a).await, CollectorKey { is_in_force: true, ..next });
    let (mut peer_a, acked) = connected_run(to, &a, &next.key, (1, 0, 11)).await;
    assert_eq!(acked, Some(last));
    let last = peer_a.send_alerts(1, 6..=7).await;
    peer_a.until_acked(last).await;
    assert_eq!(*token(directory.path(), "d", MINUTE).collector(), next.key, "new tokens have the new key");
    // With the old key: a token that was made before, a sensor that was away, one of version 2.
    let c = KeyPair::generate().unwrap();
    assert_eq!(enroll(&c, &waiting, to, "").await, Received::Welcome { name: "c".into(), acked: None });
    let (mut peer_c, _) = connected_run(to, &c, &old, (1, 0, 13)).await;
    assert_eq!(until_told(&mut peer_c).await, CollectorKey { is_in_force: true, ..next });
    let (mut version_2, _) = connected(to, &b, &old, 1).await;
    let last = version_2.send_alerts(1, 1..=1).await;
    version_2.until_acked(last).await;
    collector.stop().await;
    // After a restart.
    let collector = start(directory.path()).await;
    let (_peer, _) = connected_run(collector.listen, &a, &next.key, (1, 0, 11)).await;
    let (_peer, _) = connected_run(collector.listen, &c, &old, (1, 0, 13)).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_was_away_for_too_long_is_told_to_enroll_again() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let (pair, old) = enrolled(directory.path(), to, "a").await;
    let stale = token(directory.path(), "b", MINUTE);
    rotate_key(&files(directory.path()), Duration::from_secs(1), Duration::from_secs(2)).unwrap();
    let told = || async {
        tokio::time::sleep(Duration::from_millis(300)).await; // within the rate of sessions
        let (_, answer) = hello_of_run(to, &pair, &old, (1, 0, 11)).await;
        answer == Received::Rejected(RejectReason::CollectorKeyReplaced)
    };
    eventually("the old key is served for ever", told).await;
    let answer = enroll(&KeyPair::generate().unwrap(), &stale, to, "").await;
    assert_eq!(answer, Received::Rejected(RejectReason::CollectorKeyReplaced));
    revoke(directory.path(), "a").unwrap();
    let again = token(directory.path(), "a", MINUTE);
    let identity = sentinel_collector::enroll::identity(&files(directory.path())).unwrap();
    assert_eq!(again.collector(), &identity.public());
    assert!(matches!(enroll(&pair, &again, to, "").await, Received::Welcome { .. }));
    let (_peer, _) = connected_run(to, &pair, again.collector(), (1, 0, 11)).await;
    // The old private key opens old logs.
    let status = key_status(&files(directory.path())).unwrap();
    assert!(status.contains(&format!("replaced  {old}  kept to open logs")), "{status}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrollment_can_be_repeated_by_the_same_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let to = collector.listen;
    let token = token(directory.path(), "a", MINUTE);
    let pair = KeyPair::generate().unwrap();
    let welcome = Received::Welcome { name: "a".into(), acked: None };
    assert_eq!(enroll(&pair, &token, to, "").await, welcome);
    let (mut peer, _) = connected(to, &pair, token.collector(), 1).await;
    let last = peer.send_alerts(1, 1..=2).await;
    peer.until_acked(last).await;
    let again = Received::Welcome { name: "a".into(), acked: Some(last) };
    assert_eq!(enroll(&pair, &token, to, "other").await, again, "the answer was lost");
    let used = Received::Rejected(RejectReason::TokenUsed);
    assert_eq!(enroll(&KeyPair::generate().unwrap(), &token, to, "").await, used);
    revoke(directory.path(), "a").unwrap();
    assert_eq!(
        enroll(&pair, &token, to, "").await,
        used,
        "a revocation is not undone by the token of before"
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_numbers_or_options_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    for name in ["7", "0042", "-x", "--json", "a b", "x\u{1b}", &"n".repeat(49)] {
        let error = try_token(directory.path(), name, MINUTE).unwrap_err().to_string();
        assert!(error.contains("is not allowed") && error.contains("number"), "{error}");
    }
    let open = token(directory.path(), "", MINUTE);
    let pair = KeyPair::generate().unwrap();
    let answer = enroll(&pair, &open, collector.listen, "1234").await;
    assert_eq!(answer, Received::Rejected(RejectReason::NameNotAllowed));
    let answer = enroll(&pair, &open, collector.listen, "--json").await;
    assert_eq!(answer, Received::Welcome { name: "json".into(), acked: None }, "the token was good still");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_run_is_not_open_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "a").await;
    let (mut peer, _) = connected_run(collector.listen, &pair, &key, (2, 1, 22)).await;
    let end = RunEnd { boot: 1, next_seq: 5, cause: EndCause::PowerLost };
    peer.send(&ToCollector::RunEnd(end)).await;
    peer.until_acked(end.last()).await;
    let state = || async { get_json(collector.http, "/api/v1/sensors").await.1["sensors"][0].clone() };
    assert_eq!(state().await["accounting"]["state"], "unknown");
    let files = files(directory.path());
    assert!(acknowledge_runs(&files, &Caller::Loopback(Role::Operator), "a", "anna").is_err());
    assert!(
        acknowledge_runs(&files, &Caller::Operator, "b", "anna")
            .unwrap_err()
            .to_string()
            .contains("there are a")
    );
    let acknowledged = acknowledge_runs(&files, &Caller::Operator, "a", "anna").unwrap();
    assert_eq!(acknowledged, ("a".into(), 1));
    let sensor = state().await;
    assert_eq!(sensor["runs_unclean"], 0);
    assert_eq!(
        (&sensor["runs_acknowledged"]["by"], &sensor["runs_acknowledged"]["runs"]),
        (&"anna".into(), &1.into())
    );
    assert!(listed(directory.path(), false).contains("1 unclean runs acknowledged"), "who and when is kept");
    // The numbers that never came stay missing.
    assert_eq!((&sensor["accounting"]["state"], &sensor["alerts_missing"]), (&"lost".into(), &4.into()));
    let (answer, _) = (connect(collector.listen, &pair, &key, 2).await.next().await, ());
    assert!(matches!(answer, Received::Welcome { .. }));
    collector.stop().await;
}
