//! A collector on ephemeral ports, sensors that connect to it, and an HTTP client.

#![allow(dead_code, reason = "each test program uses a part")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and these serve tests alone"
)]

pub(crate) mod description;
pub(crate) mod http;
pub(crate) mod sensor;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_collector::enroll;
use sentinel_collector::http::HttpLimits;
use sentinel_collector::log::Log;
use sentinel_collector::model::{Loopback, Sensor};
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_collector::service::{
    Caller, EnrollError, RevokeError, TokenRequest, create_token, revoke_sensor, stored_sensors,
};
use sentinel_collector::store::{Files, ReadLimits, StoreLimits};
use sentinel_uplink::{Limits, Token};

/// Upper bound of every wait: a test fails instead of hanging.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) fn files(directory: &Path) -> Files {
    // A raw key: a passphrase would be stretched, which is slow by design.
    Files::locate(directory, Some(&"0f".repeat(32))).unwrap()
}

pub(crate) async fn start(directory: &Path) -> RunningCollector {
    start_with(directory, Limits::COLLECTOR, 100).await
}

pub(crate) async fn start_with(directory: &Path, limits: Limits, max_connections: usize) -> RunningCollector {
    start_limited(directory, limits, max_connections, StoreLimits::default()).await
}

pub(crate) async fn start_limited(
    directory: &Path,
    limits: Limits,
    max_connections: usize,
    store_limits: StoreLimits,
) -> RunningCollector {
    let settings = CollectorSettings { store_limits, ..settings(directory, max_connections) };
    RunningCollector::start_with(settings, limits).await.unwrap()
}

/// A collector with limits of HTTP clients and of searches that a test can reach.
pub(crate) async fn start_http_limited(
    directory: &Path,
    http: HttpLimits,
    searches: ReadLimits,
) -> RunningCollector {
    let settings = settings(directory, 100);
    RunningCollector::start_with_limits(settings, Limits::COLLECTOR, Some(http), searches).await.unwrap()
}

pub(crate) fn settings(directory: &Path, max_connections: usize) -> CollectorSettings {
    CollectorSettings {
        files: files(directory),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        certificate: None,
        loopback: Loopback::Unset,
        log: Log::open(Some(&directory.join("log"))).unwrap(),
        max_connections,
        store_limits: StoreLimits::default(),
    }
}

pub(crate) fn log_text(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap()
}

pub(crate) fn token(directory: &Path, name: &str, expires: Duration) -> Token {
    try_token(directory, name, expires).unwrap()
}

pub(crate) fn try_token(directory: &Path, name: &str, expires: Duration) -> Result<Token, EnrollError> {
    let files = files(directory);
    let collector = enroll::identity(&files).unwrap().public();
    let request = TokenRequest { name, address: "127.0.0.1:4477", collector, expires };
    create_token(&files, &Caller::Operator, &request)
}

pub(crate) fn revoke(directory: &Path, sensor: &str) -> Result<Sensor, RevokeError> {
    revoke_sensor(&files(directory), &Caller::Operator, sensor)
}

/// Waits until `check` holds; for effects that follow the close of a connection.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !check().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stores `count` copies of the first alert, numbered on, as if its sensor had sent them: kinds and severities alternate so
/// that no index finds the pairs that do not occur.
pub(crate) fn fill(directory: &Path, count: u32) {
    let connection = files(directory).open_writer().unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO alerts (sensor, boot, seq, time_us, received_at_us, kind, severity, wire)
               SELECT sensor, boot + 1, i, time_us + i, received_at_us, i % 2, i % 2, wire
               FROM (SELECT * FROM alerts ORDER BY id LIMIT 1), n";
    connection.execute(sql, [count]).unwrap();
}

/// The sensors as `sentinel-collector sensors` prints them.
pub(crate) fn listed(directory: &Path, as_json: bool) -> String {
    enroll::listing(&stored_sensors(&files(directory), &Caller::Operator).unwrap(), as_json)
}
