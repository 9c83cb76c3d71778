//! States of sensors and the verdict over them: no false calm, and no false alarm after a restart.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sentinel_collector::clock;
use sentinel_collector::run::RunningCollector;
use sentinel_uplink::{Counter, EndCause, Gap, GapReason, Limits, RunEnd, Telemetry, ToCollector};
use serde_json::Value;
use support::http::{get, get_json};
use support::sensor::{SensorClient, connected_version_2, enrolled};
use support::{eventually, revoke, start_with};

/// Time without a sign after which a sensor is offline here.
const SILENCE: Duration = Duration::from_secs(2);

async fn start(directory: &std::path::Path) -> RunningCollector {
    start_with(directory, Limits { silence: SILENCE, ..Limits::COLLECTOR }, 100).await
}

/// Reading `number` of a sensor that sees everything: 10,000 frames and 10 MB more than the one before.
fn reading(number: u64) -> Telemetry {
    let mut reading = Telemetry::new();
    for (counter, value) in [
        (Counter::UptimeMs, number * 30_000),
        (Counter::FramesSeen, number * 10_000),
        (Counter::FramesAnalysed, number * 10_000),
        (Counter::InterfaceBytes, number * 10_000_000),
        (Counter::ClockMs, clock::now().as_micros() / 1_000),
    ] {
        reading.set(counter, value);
    }
    reading
}

async fn verdict(http: SocketAddr) -> Value {
    get_json(http, "/api/v1/stats").await.1["verdict"].clone()
}

/// A sensor that has sent two readings, changed by `fault`.
async fn sensor(
    directory: &std::path::Path,
    collector: &RunningCollector,
    name: &str,
    fault: impl Fn(&mut Telemetry),
) -> SensorClient {
    let (pair, key) = enrolled(directory, collector.listen, name).await;
    let (mut peer, _) = connected_version_2(collector.listen, &pair, &key, 1).await;
    for number in 1..=2 {
        let mut reading = reading(number);
        fault(&mut reading);
        peer.send(&ToCollector::Telemetry(reading)).await;
    }
    peer
}

/// Waits for a reason of `name` whose cause has `words`; the verdict is never quiet beside it.
async fn until_doubted(http: SocketAddr, name: &str, words: &str) {
    eventually(&format!("{name}: {words}"), || async move {
        let verdict = verdict(http).await;
        let reasons = verdict["reasons"].as_array().unwrap();
        let found = reasons.iter().any(|reason| {
            reason["sensor"] == name
                && reason["cause"].as_str().unwrap().contains(words)
                && reason["next_step"].is_string()
        });
        assert!(!found || verdict["verdict"] == "cannot_tell", "{verdict}");
        found
    })
    .await;
}

/// History of a sensor, newest first.
async fn states_of(http: SocketAddr, name: &str) -> Vec<String> {
    let detail = get_json(http, &format!("/api/v1/sensors/{name}")).await.1;
    let state = |row: &Value| row["state"].as_str().map(str::to_owned);
    detail["history"].as_array().unwrap().iter().filter_map(state).collect()
}

async fn until_quiet(http: SocketAddr) {
    eventually("quiet", || async move { verdict(http).await["verdict"] == "quiet" }).await;
}

/// Keeps the sensor heard while others are looked at.
fn keep_alive(mut peer: SensorClient) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            peer.send(&ToCollector::Pong).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
}

type Fault = fn(&mut Telemetry);

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_gives_quiet() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    let none = verdict(http).await;
    assert_eq!((&none["verdict"], &none["reasons_total"]), (&"cannot_tell".into(), &1.into()));
    let good = keep_alive(sensor(directory.path(), &collector, "good", |_| {}).await);
    until_quiet(http).await;
    // States are compared once a second.
    eventually("connected", || async move { states_of(http, "good").await == ["connected"] }).await;
    let faults: [(&str, &str, Fault); 6] = [
        ("hidden", "sees 40 % of the bytes of its interfaces: software flow offload", |reading| {
            reading.set(Counter::HiddenBytes, reading.value(Counter::InterfaceBytes) * 6 / 10);
            reading.set(Counter::FlowOffload, 1);
        }),
        ("drops", "the kernel drops 30 % of its frames", |reading| {
            reading.set(Counter::FramesDropped, reading.value(Counter::FramesSeen) * 3 / 10);
        }),
        ("dark", "has told once what it sees", |reading| reading.set(Counter::FramesAnalysed, 7)),
        ("clock", "its clock is 60 min ahead of that of the collector", |reading| {
            reading.set(Counter::ClockMs, reading.value(Counter::ClockMs) + 3_600_000 + 500);
        }),
        ("spool", "9 alerts wait in its spool", |reading| reading.set(Counter::AlertsRaised, 9)),
        ("old", "its version does not tell", |reading| reading.set(Counter::ClockMs, 0)),
    ];
    for (name, words, fault) in faults {
        let peer = keep_alive(sensor(directory.path(), &collector, name, fault).await);
        until_doubted(http, name, words).await;
        revoke(directory.path(), name).unwrap();
        until_quiet(http).await;
        peer.abort();
    }
    let mut lossy = sensor(directory.path(), &collector, "lossy", |_| {}).await;
    let gap = Gap {
        boot: 1,
        first_seq: 1,
        last_seq: 4,
        lost_by_severity: [0, 0, 4, 0, 0],
        reason: GapReason::SpoolFull,
    };
    lossy.send(&ToCollector::Gap(gap)).await;
    let lossy = keep_alive(lossy);
    until_doubted(http, "lossy", "4").await;
    revoke(directory.path(), "lossy").unwrap();
    until_quiet(http).await;
    lossy.abort();
    good.abort();
    until_doubted(http, "good", "closed the connection").await;
    eventually("offline", || async move {
        let detail = get_json(http, "/api/v1/sensors/good").await.1;
        detail["state"] == "offline" && detail["problems"][0]["state"] == "offline"
    })
    .await;
    eventually("the history", || async move {
        let states = states_of(http, "good").await;
        states.first().is_some_and(|state| state == "offline") && states.contains(&"connected".into())
    })
    .await;
    collector.stop().await;
}

/// Numbers of any size from a sensor: every answer stays one, and none says quiet.
#[tokio::test(flavor = "multi_thread")]
async fn absurd_numbers_break_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let liar = |reading: &mut Telemetry| {
        let value = if reading.value(Counter::UptimeMs) > 30_000 { u64::MAX } else { 1 };
        for counter in Counter::ALL {
            reading.set(counter, value);
        }
    };
    let peer = keep_alive(sensor(directory.path(), &collector, "liar", liar).await);
    until_doubted(collector.http, "liar", "its clock is").await;
    for path in ["/metrics", "/api/v1/sensors", "/api/v1/sensors/liar", "/api/v1/stats", "/health"] {
        assert_eq!(get(collector.http, path).await.0, 200, "{path}");
    }
    assert_eq!(get(collector.http, "/api/v1/sensors/nobody").await.0, 404);
    peer.abort();
    collector.stop().await;
}

/// After a restart a sensor that comes back in time was never called offline, and one that does not is afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_returns_after_a_restart_was_not_offline() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "returns").await;
    let (stays, _) = enrolled(directory.path(), collector.listen, "stays-away").await;
    for pair in [&pair, &stays] {
        let (mut peer, _) = connected_version_2(collector.listen, pair, &key, 1).await;
        peer.send(&ToCollector::RunEnd(RunEnd { boot: 1, next_seq: 1, cause: EndCause::Stopped })).await;
    }
    collector.stop().await;
    let collector = start(directory.path()).await;
    let (begun, http) = (Instant::now(), collector.http);
    let mut peer = None;
    let state = |name: &'static str| async move {
        get_json(http, &format!("/api/v1/sensors/{name}")).await.1["state"].clone()
    };
    while begun.elapsed() < SILENCE * 3 {
        let now = state("returns").await;
        assert!(now == "returning" || now == "connected", "{now} after {:?}", begun.elapsed());
        assert_ne!(verdict(http).await["verdict"], "quiet");
        if peer.is_none() && begun.elapsed() > SILENCE * 3 / 2 {
            peer = Some(keep_alive(connected_version_2(collector.listen, &pair, &key, 2).await.0));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("offline", || async { state("stays-away").await == "offline" }).await;
    let (_, detail) = get_json(http, "/api/v1/sensors/returns").await;
    let history = detail["history"].as_array().unwrap();
    assert!(history.iter().all(|row| row["state"] != "offline"), "{history:?}");
    if let Some(peer) = peer {
        peer.abort();
    }
    collector.stop().await;
}
