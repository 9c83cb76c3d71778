//! Backup of a running collector, and the way back: keys, alerts, and what was delivered in between.

#![expect(
    clippy::unwrap_used,
    reason = "the lint spares test functions only, and what they call serves tests alone"
)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use sentinel_collector::backup::{self, Cost};
use sentinel_uplink::{Counter, Telemetry, ToCollector};
use support::http::get_json;
use support::sensor::{connected_version_2, enrolled};
use support::{eventually, files, start};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSPHRASE: &str = "correct horse battery";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_after_the_backup_is_missing_since_the_restore() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new, file) =
        (directory.path().join("old"), directory.path().join("new"), directory.path().join("b"));
    std::fs::create_dir(&old).unwrap();
    let collector = start(&old).await;
    let (pair, key) = enrolled(&old, collector.listen, "branch-7").await;
    let (mut peer, _) = connected_version_2(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    let made = backup::make(&files(&old), true, &file, PASSPHRASE, CHEAP).unwrap();
    assert_eq!((made.manifest.store.alerts, made.manifest.store.sensors), (3, 1));
    assert_eq!(made.names, ["collector.key", "sentinel.db"]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "no temporary file stays");
    let last = peer.send_alerts(1, 4..=6).await;
    peer.until_acked(last).await;
    drop(peer);
    collector.stop().await;

    let contents = backup::restore(&file, PASSPHRASE, &new, Some(&"0f".repeat(32))).unwrap();
    assert_eq!(contents.manifest, made.manifest);
    let collector = start(&new).await;
    let http = collector.http;
    let (mut peer, acked) = connected_version_2(collector.listen, &pair, &key, 1).await;
    assert_eq!(acked.map(|id| id.seq), Some(3), "the key is the same, the position that of the backup");
    let mut telemetry = Telemetry::new();
    telemetry.set(Counter::RunDelivered, 6);
    peer.send(&ToCollector::Telemetry(telemetry)).await;
    let missing = || async move {
        get_json(http, "/api/v1/sensors").await.1["sensors"][0]["alerts_missing_since_restore"].clone()
    };
    eventually("three are missing", || async { missing().await == 3 }).await;
    let last = peer.send_alerts(1, 7..=7).await;
    peer.until_acked(last).await;
    assert_eq!(missing().await, 3);
    let verdict = get_json(http, "/api/v1/stats").await.1["verdict"].to_string();
    assert!(verdict.contains("3 alerts are missing since the store was restored"), "{verdict}");
    // It sends them again after all: none is missing any more.
    let last = peer.send_alerts(1, 4..=6).await;
    peer.until_acked(last).await;
    assert_eq!(missing().await, 0);
    collector.stop().await;
}

/// A sensor of a restored store that tells of any number of delivered alerts: bounded, and nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_position_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new, file) =
        (directory.path().join("old"), directory.path().join("new"), directory.path().join("b"));
    std::fs::create_dir(&old).unwrap();
    let collector = start(&old).await;
    let (pair, key) = enrolled(&old, collector.listen, "liar").await;
    collector.stop().await;
    backup::make(&files(&old), true, &file, PASSPHRASE, CHEAP).unwrap();
    backup::restore(&file, PASSPHRASE, &new, Some(&"0f".repeat(32))).unwrap();
    let collector = start(&new).await;
    let (mut peer, _) = connected_version_2(collector.listen, &pair, &key, 1).await;
    let mut telemetry = Telemetry::new();
    telemetry.set(Counter::RunDelivered, u64::MAX);
    peer.send(&ToCollector::Telemetry(telemetry)).await;
    let http = collector.http;
    eventually("bounded", || async move {
        get_json(http, "/api/v1/sensors").await.1["sensors"][0]["alerts_missing"] == 100_000
    })
    .await;
    let last = peer.send_alerts(1, 1..=2).await;
    peer.until_acked(last).await;
    assert_eq!(get_json(http, "/api/v1/sensors").await.1["sensors"][0]["alerts_missing"], 99_998);
    collector.stop().await;
}

/// The program with these arguments, and the passphrase in a file.
fn program(directory: &Path, arguments: &[&str], passphrase: &str) -> Output {
    let path = directory.join("passphrase");
    let _ = std::fs::remove_file(&path);
    sentinel_collector::store::key::write_private(&path, passphrase.as_bytes()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sentinel-collector"))
        .args(arguments)
        .arg("--passphrase-file")
        .arg(path)
        .env_remove("SENTINEL_DB_KEY")
        .current_dir(directory)
        .output()
        .unwrap()
}

#[test]
fn each_mistake_says_which_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let run = |arguments: &[&str], passphrase: &str| {
        let output = program(at, arguments, passphrase);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let enroll = Command::new(env!("CARGO_BIN_EXE_sentinel-collector"))
        .args(["enroll", "--create", "--data", "old", "--name", "a"])
        .env_remove("SENTINEL_DB_KEY")
        .current_dir(at)
        .status();
    assert!(enroll.unwrap().success());
    let backup = ["backup", "--data", "old", "--to", "b"];
    let fails = |arguments: &[&str], passphrase: &str, words: &str| {
        let (is_done, text) = run(arguments, passphrase);
        assert!(!is_done && text.contains(words), "{arguments:?}: {text}");
    };
    fails(&backup, "short", "passphrase");
    fails(&["backup", "--data", "nowhere", "--to", "b"], PASSPHRASE, "no collector in nowhere");
    let (is_done, text) = run(&backup, PASSPHRASE);
    assert!(is_done && text.contains("0 sensors, 0 alerts, 3 files"), "{text}");
    fails(&backup, PASSPHRASE, "b exists");
    let check = ["restore", "--check", "--from", "b"];
    let (is_done, text) = run(&check, PASSPHRASE);
    assert!(is_done && text.contains("complete and unaltered") && text.contains("db.key"), "{text}");
    fails(&check, "correct horse batterz", "the passphrase is not that of this backup");
    fails(&["restore", "--check", "--from", "c"], PASSPHRASE, "c: ");
    fails(&["restore", "--check", "--from", "passphrase"], PASSPHRASE, "no backup of a collector");
    let bytes = std::fs::read(at.join("b")).unwrap();
    std::fs::write(at.join("cut"), &bytes[..bytes.len() / 2]).unwrap();
    fails(&["restore", "--from", "cut", "--data", "new"], PASSPHRASE, "the backup is cut");
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    std::fs::write(at.join("altered"), &altered).unwrap();
    fails(&["restore", "--from", "altered", "--data", "new"], PASSPHRASE, "the backup was altered");
    fails(&["restore", "--from", "b", "--data", "old"], PASSPHRASE, "not empty");
    assert!(!at.join("new").exists(), "a restore that fails leaves nothing");
    assert!(
        std::fs::read_dir(at)
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("restoring") })
    );
    let (is_done, text) = run(&["restore", "--from", "b", "--data", "new"], PASSPHRASE);
    assert!(is_done && text.contains("restored into new"), "{text}");
    for name in ["db.key", "collector.key"] {
        assert_eq!(
            std::fs::read(at.join("old").join(name)).unwrap(),
            std::fs::read(at.join("new").join(name)).unwrap()
        );
    }
}
