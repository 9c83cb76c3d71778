//! One-time tokens, names and revocation over real sockets on the loopback interface.

mod support;

use std::time::Duration;

use sentinel_uplink::{KeyPair, RejectReason, Secret, Token};
use support::http::{get_json, metric};
use support::sensor::{Received, connect, connected, enroll, enrolled};
use support::{log_text, revoke, start, token, try_token};

const REJECTED: &str = "sentinel_collector_connections_rejected_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrolls_one_sensor() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let token = token(directory.path(), "branch-7", Duration::from_secs(60));
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let welcome = Received::Welcome { name: "branch-7".into(), acked: None };
    assert_eq!(enroll(&first, &token, collector.listen, "ignored").await, welcome);
    assert_eq!(
        enroll(&second, &token, collector.listen, "").await,
        Received::Rejected(RejectReason::TokenUsed)
    );
    let answer = connect(collector.listen, &second, token.collector(), 1).await.next().await;
    assert_eq!(answer, Received::Rejected(RejectReason::UnknownSensor));
    let (_peer, _) = connected(collector.listen, &first, token.collector(), 1).await;
    assert_eq!(
        metric(collector.http, &format!("{REJECTED}{{reason=\"token\"}}")).await.as_deref(),
        Some("1")
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let token = token(directory.path(), "branch-7", Duration::ZERO);
    let answer = enroll(&KeyPair::generate().unwrap(), &token, collector.listen, "").await;
    assert_eq!(answer, Received::Rejected(RejectReason::TokenExpired));
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
    assert!(matches!(answer, Received::Closed | Received::Failed(_)), "{answer:?}");
    let unknown = Token::generate(token.address(), *token.collector()).unwrap();
    let answer = enroll(&KeyPair::generate().unwrap(), &unknown, collector.listen, "").await;
    assert_eq!(answer, Received::Closed);
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    assert_eq!(answer["sensors"].as_array().unwrap().len(), 0, "no sensor is enrolled");
    // A peer without the secret does not use the token up.
    let answer = enroll(&KeyPair::generate().unwrap(), &token, collector.listen, "").await;
    assert_eq!(answer, Received::Welcome { name: "branch-7".into(), acked: None });
    let text = log_text(directory.path());
    assert!(!text.contains(token.to_string().as_str()) && text.contains("there is no token"), "{text}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_may_be_left_to_the_sensor() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (first, _) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let taken = try_token(directory.path(), "branch-7", Duration::from_secs(60));
    assert!(taken.unwrap_err().to_string().contains("the name branch-7 is taken"));
    let open = token(directory.path(), "", Duration::from_secs(60));
    let second = KeyPair::generate().unwrap();
    let answer = enroll(&second, &open, collector.listen, "branch-7").await;
    assert_eq!(answer, Received::Rejected(RejectReason::NameTaken), "the token stays good");
    let answer = enroll(&second, &open, collector.listen, "at home; \"x\"").await;
    assert_eq!(answer, Received::Welcome { name: "at-home---x-".into(), acked: None });
    assert_ne!(first.public(), second.public());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_sensor_is_disconnected_and_can_be_enrolled_again() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    revoke(directory.path(), "branch-7").unwrap(); // as another process does
    assert_eq!(peer.next().await, Received::Rejected(RejectReason::Revoked));
    let answer = connect(collector.listen, &pair, &key, 1).await.next().await;
    assert_eq!(answer, Received::Rejected(RejectReason::Revoked));
    assert!(revoke(directory.path(), "nobody").unwrap_err().to_string().contains("branch-7"));

    let token = token(directory.path(), "branch-7", Duration::from_secs(60));
    let answer = enroll(&pair, &token, collector.listen, "").await;
    assert_eq!(answer, Received::Welcome { name: "branch-7".into(), acked: Some(last) });
    let (_peer, acked) = connected(collector.listen, &pair, &key, 1).await;
    assert_eq!(acked, Some(last), "alerts and acknowledged position are kept");
    collector.stop().await;
}
