//! A collector on ephemeral ports, sensors that connect to it, and an HTTP client.

#![allow(dead_code, reason = "each test program uses a part")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and these serve tests alone"
)]

pub(crate) mod http;
pub(crate) mod sensor;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_collector::enroll;
use sentinel_collector::log::Log;
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_collector::store::{Files, StoreLimits};
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
    let settings = CollectorSettings {
        files: files(directory),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        http_allow_remote: false,
        log: Log::open(Some(&directory.join("log"))).unwrap(),
        max_connections,
        store_limits,
    };
    RunningCollector::start_with(settings, limits).await.unwrap()
}

pub(crate) fn log_text(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap()
}

pub(crate) fn token(directory: &Path, name: &str, expires: Duration) -> Token {
    enroll::token(&files(directory), name, "127.0.0.1:4477", expires).unwrap()
}

/// Waits until `check` holds; for effects that follow the close of a connection.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !check().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
