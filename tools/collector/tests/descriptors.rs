//! The program under a low limit of open files: HTTP clients cannot take those of the sensors.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use sentinel_uplink::KeyPair;
use support::http::{connect_from, get, limited, metric};
use support::sensor::{Received, connected, enroll};
use support::{eventually, token};
use tokio::io::AsyncWriteExt as _;

/// Killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// Starts the program with at most `files` open files; its addresses and the lines that it logged until then.
fn start(directory: &std::path::Path, files: u32) -> (Process, SocketAddr, SocketAddr, Vec<String>) {
    let program = env!("CARGO_BIN_EXE_sentinel-collector");
    let command = format!(
        "ulimit -n {files}; exec {program} run --listen 127.0.0.1:0 --http 127.0.0.1:0 --max-connections 40"
    );
    let child = Command::new("sh")
        .args(["-c", &command])
        .env("SENTINEL_COLLECTOR_DATA", directory)
        .env("SENTINEL_DB_KEY", "0f".repeat(32))
        .stderr(Stdio::piped())
        .spawn();
    let mut process = Process(child.unwrap());
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut logged = Vec::new();
    loop {
        let line = lines.next().expect("the addresses are not logged");
        logged.push(line.clone());
        let Some((_, rest)) = line.split_once("sensors connect to ") else { continue };
        let (listen, rest) = rest.split_once(';').unwrap();
        let http = rest.rsplit_once("http://").unwrap().1.trim_end_matches('/');
        let addresses = (listen.parse().unwrap(), http.parse().unwrap());
        std::thread::spawn(move || lines.for_each(drop)); // a full pipe would stop the program
        return (process, addresses.0, addresses.1, logged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_connect_while_http_clients_hold_all_that_they_can() {
    let directory = tempfile::tempdir().unwrap();
    let (_process, listen, http, logged) = start(directory.path(), 256);
    let shares =
        "open files: 256; for 40 connections of sensors and 20 without a proved key, 36 of HTTP clients";
    assert!(logged.iter().any(|line| line.contains(shares)), "{logged:?}");
    let mut flood = Vec::new();
    for client in 0..300_u32 {
        let from = [127, 0, 1, u8::try_from(client % 30).unwrap() + 1];
        let mut stream = connect_from(from, http).await;
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await; // may be closed for another one already
        flood.push(stream);
    }
    let mut peers = Vec::new();
    for number in 0..20 {
        let token = token(directory.path(), &format!("sensor-{number}"), std::time::Duration::from_secs(60));
        let pair = KeyPair::generate().unwrap();
        let welcome = Received::Welcome { name: format!("sensor-{number}"), acked: None };
        assert_eq!(enroll(&pair, &token, listen, "").await, welcome);
        let (mut peer, _) = connected(listen, &pair, token.collector(), 1).await;
        let last = peer.send_alerts(1, 1..=5).await;
        peer.until_acked(last).await;
        peers.push(peer);
    }
    assert_eq!(get(http, "/health").await.0, 200);
    assert_eq!(metric(http, "sentinel_collector_sensors_connected").await.as_deref(), Some("20"));
    assert_eq!(metric(http, "sentinel_collector_http_accept_errors_total").await.as_deref(), Some("0"));
    assert!(limited(http, "idle_replaced").await > 200);
    drop(flood);
    eventually("the page is served", || async { get(http, "/").await.0 == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_descriptors_passes() {
    let directory = tempfile::tempdir().unwrap();
    let (process, listen, http, _) = start(directory.path(), 256);
    assert_eq!(get(http, "/health").await.0, 200);
    let pid = rustix::process::Pid::from_child(&process.0);
    let limit = |files| {
        let limit = rustix::process::Rlimit { current: Some(files), maximum: Some(256) };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limit).unwrap();
    };
    limit(3); // fewer than are open: every accept fails
    let waiting = tokio::spawn(async move { get(http, "/health").await.0 });
    let pair = KeyPair::generate().unwrap();
    let token = token(directory.path(), "branch-7", std::time::Duration::from_secs(60));
    let enrolled = tokio::spawn(async move { enroll(&pair, &token, listen, "").await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!waiting.is_finished() && !enrolled.is_finished(), "both wait in the queues of the kernel");
    limit(256);
    assert_eq!(waiting.await.unwrap(), 200);
    assert_eq!(enrolled.await.unwrap(), Received::Welcome { name: "branch-7".into(), acked: None });
    let errors = metric(http, "sentinel_collector_http_accept_errors_total").await.unwrap();
    let errors: u32 = errors.parse().unwrap();
    assert!((2..50).contains(&errors), "{errors}: counted, and tried again with a growing wait");
}
