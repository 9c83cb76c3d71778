//! Limits of HTTP clients: half a request, no request, too many of them, and readers that do not read.

#![expect(
    clippy::expect_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::time::{Duration, Instant};

use sentinel_collector::http::HttpLimits;
use sentinel_collector::run::RunningCollector;
use sentinel_collector::store::ReaderPool;
use support::http::{connect_from, exchange, get, get_json, limited, metric};
use support::sensor::{connected, enrolled};
use support::{WAIT_TIMEOUT, eventually, fill, start_http_limited};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LOCAL: [u8; 4] = [127, 0, 0, 1];
/// Another client: the whole network 127.0.0.0/8 is the loopback interface.
const OTHER: [u8; 4] = [127, 0, 0, 2];

async fn start(directory: &std::path::Path, limits: HttpLimits) -> RunningCollector {
    start_http_limited(directory, limits, ReaderPool::SEARCH).await
}

/// A collector that stores `count` alerts more than one.
async fn start_filled(directory: &std::path::Path, limits: HttpLimits, count: u32) -> RunningCollector {
    let collector = start(directory, limits).await;
    let (pair, key) = enrolled(directory, collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
    fill(directory, count);
    collector
}

/// Waits until the server closes.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the server does not close"); // a reset is an end as well
}

fn request(path: &str, host: std::net::SocketAddr) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_keep_no_client_out() {
    // 10,256 of them took every descriptor of the process.
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits { header_timeout: Duration::from_secs(60), ..HttpLimits::new(64) };
    let collector = start(directory.path(), limits).await;
    let http = collector.http;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let mut open = Vec::new();
    for round in 0..400_u32 {
        let from = [127, 0, 1, u8::try_from(round % 8).unwrap() + 1];
        let mut stream = connect_from(from, http).await;
        let _ = stream.write_all(b"GET /api/v1/alerts HTTP/1.1\r\nHost: 127").await; // may be replaced already
        open.push(stream);
    }
    let started = Instant::now();
    assert_eq!(get(http, "/health").await.0, 200);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let served: usize = metric(http, "sentinel_collector_http_connections").await.unwrap().parse().unwrap();
    assert!(served <= 64 + 1, "{served}");
    assert!(limited(http, "idle_replaced").await >= 300);
    let (_peer, _) = connected(collector.listen, &pair, &key, 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_and_no_request_are_closed_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits { header_timeout: Duration::from_millis(300), ..HttpLimits::default() };
    let collector = start(directory.path(), limits).await;
    let http = collector.http;
    let mut half = connect_from(LOCAL, http).await;
    half.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    // Byte by byte does not help: the time is that of the whole header.
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = half.write_all(b"A").await;
    }
    closed(&mut half).await;
    let mut idle = connect_from(LOCAL, http).await;
    idle.write_all(format!("GET /favicon.svg HTTP/1.1\r\nHost: {http}\r\n\r\n").as_bytes()).await.unwrap();
    let started = Instant::now();
    closed(&mut idle).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    eventually("both are counted", || async {
        limited(http, "header_timeout").await == 1 && limited(http, "idle_timeout").await >= 1
    })
    .await;
    assert!(support::log_text(directory.path()).contains("HTTP client 127.0.0.1: the header of a request"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_the_limit_of_its_address_is_told_so_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits { connections_per_address: 2, streams_per_address: 2, ..HttpLimits::new(64) };
    let collector = start(directory.path(), limits).await;
    let http = collector.http;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_from(OTHER, http).await;
        stream.write_all(request("/api/v1/events", http).as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap(); // the stream is open: never idle
        streams.push(stream);
    }
    let started = Instant::now();
    let mut third = connect_from(OTHER, http).await;
    let (status, body) = exchange(&mut third, &request("/health", http)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["limit"], "connections_per_address", "{body}");
    assert_eq!(get(http, "/health").await.0, 200, "another address is not concerned");
    assert_eq!(limited(http, "connections_per_address").await, 1);
    drop(streams);
    eventually("a place is free", || async {
        let mut stream = connect_from(OTHER, http).await;
        exchange(&mut stream, &request("/health", http)).await.0 == 200
    })
    .await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_are_limited_for_each_address_and_in_all() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits { streams: 3, streams_per_address: 2, ..HttpLimits::new(64) };
    let collector = start(directory.path(), limits).await;
    let http = collector.http;
    let mut open = Vec::new();
    for (from, expected) in [(LOCAL, None), (LOCAL, None), (LOCAL, Some("event_streams_per_address"))]
        .into_iter()
        .chain([(OTHER, None), ([127, 0, 0, 3], Some("event_streams"))])
    {
        let mut stream = connect_from(from, http).await;
        if let Some(limit) = expected {
            let (status, body) = exchange(&mut stream, &request("/api/v1/events", http)).await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &body["limit"]), (503, &limit.into()), "{body}");
            assert!(body["allowed"].to_string().contains("/api/v1/alerts?after=ID"), "{body}");
            assert_eq!(limited(http, limit).await, 1);
        } else {
            stream.write_all(request("/api/v1/events", http).as_bytes()).await.unwrap();
            stream.read_u8().await.unwrap();
            open.push(stream);
        }
    }
    let gauge = "sentinel_collector_http_event_streams";
    assert_eq!(metric(http, gauge).await.as_deref(), Some("3"));
    drop(open);
    eventually("closed streams leave their places", || async {
        metric(http, gauge).await.as_deref() == Some("0")
    })
    .await;
    let (_, stats) = get_json(http, "/api/v1/stats").await;
    assert_eq!(stats["limited"], serde_json::json!({ "event_streams": 1, "event_streams_per_address": 1 }));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits { write_timeout: Duration::from_millis(500), ..HttpLimits::default() };
    let collector = start_filled(directory.path(), limits, 20_000).await;
    let http = collector.http;
    let mut stream = connect_from(LOCAL, http).await;
    let path = "/api/v1/events?last_event_id=0"; // more than the buffers of both sides hold
    stream.write_all(request(path, http).as_bytes()).await.unwrap();
    eventually("the reader is dropped", || async { limited(http, "slow_reader").await == 1 }).await;
    assert_eq!(metric(http, "sentinel_collector_http_event_streams").await.as_deref(), Some("0"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_leave_in_time_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HttpLimits {
        request_timeout: Duration::from_millis(500),
        write_timeout: Duration::from_secs(600),
        ..HttpLimits::default()
    };
    let collector = start_filled(directory.path(), limits, 20_000).await;
    let http = collector.http;
    // Several answers on one connection, so that the buffers do not take all of them.
    let mut stream = connect_from(LOCAL, http).await;
    let one = format!("GET /api/v1/alerts?limit=1000 HTTP/1.1\r\nHost: {http}\r\n\r\n");
    stream.write_all(one.repeat(20).as_bytes()).await.unwrap();
    eventually("it is given up", || async { limited(http, "request_timeout").await == 1 }).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_and_an_endless_header_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path(), HttpLimits::default()).await;
    let http = collector.http;
    for header in ["Content-Length: 5", "Content-Length: 1000000000000", "Transfer-Encoding: chunked"] {
        let mut stream = connect_from(LOCAL, http).await;
        let text = format!("GET /health HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n{header}\r\n\r\n");
        let (status, body) = exchange(&mut stream, &text).await;
        assert_eq!(status, 413, "{header}: {body}");
        assert!(body.contains("\"limit\":\"body\""), "{header}: {body}");
    }
    assert_eq!(limited(http, "body").await, 3);
    let mut stream = connect_from(LOCAL, http).await;
    let text = format!("GET /health HTTP/1.1\r\nHost: {http}\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let _ = stream.write_all(text.as_bytes()).await;
    let mut start = [0; 12];
    // The rest of the header is not read, so the answer may be lost to the reset.
    if stream.read_exact(&mut start).await.is_ok() {
        assert_eq!(&start, b"HTTP/1.1 431");
    }
    assert_eq!(get(http, "/health").await.0, 200);
    collector.stop().await;
}
