//! The HTTP interface over real sockets: each path, its parameters and its errors.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;

use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_uplink::{Counter, Telemetry, ToCollector};
use support::http::{get, get_json, metric, request, request_with_headers};
use support::sensor::{SensorClient, connected, enrolled};
use support::{WAIT_TIMEOUT, eventually, settings, start};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A collector with one sensor that has sent `count` alerts.
async fn with_alerts(directory: &std::path::Path, count: u64) -> (RunningCollector, SensorClient) {
    let collector = start(directory).await;
    let (pair, key) = enrolled(directory, collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let mut first = 1;
    while first <= count {
        let end = count.min(first + 49);
        let last = peer.send_alerts(1, first..=end).await;
        peer.until_acked(last).await;
        first = end + 1;
    }
    (collector, peer)
}

fn seqs(answer: &serde_json::Value) -> Vec<u64> {
    answer["alerts"].as_array().unwrap().iter().map(|alert| alert["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reports_a_failing_store() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (status, answer) = get_json(collector.http, "/health").await;
    assert_eq!((status, &answer["status"]), (200, &"ok".into()));
    collector.metrics.store_failing.set(1);
    let (status, answer) = get_json(collector.http, "/health").await;
    assert_eq!((status, &answer["status"]), (503, &"failing".into()));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_paged_without_holes_or_repeats() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_alerts(directory.path(), 25).await;
    let mut all = Vec::new();
    let mut path = "/api/v1/alerts?limit=10".to_owned();
    loop {
        let (status, answer) = get_json(collector.http, &path).await;
        assert_eq!(status, 200);
        all.extend(seqs(&answer));
        if all.len() == 10 {
            let last = peer.send_alerts(1, 26..=30).await; // new ones do not shift the pages
            peer.until_acked(last).await;
        }
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/api/v1/alerts?limit=10&cursor={next}");
    }
    assert_eq!(all, (1..=25).rev().collect::<Vec<_>>());
    let (_, answer) = get_json(collector.http, "/api/v1/alerts?after=25").await;
    assert_eq!(seqs(&answer), (26..=30).collect::<Vec<_>>(), "oldest first when following");
    let (mut all, mut path) = (Vec::new(), "/api/v1/alerts?limit=7&after=3&kind=port_scan".to_owned());
    loop {
        let (status, answer) = get_json(collector.http, &path).await;
        assert_eq!(status, 200, "{answer}");
        all.extend(seqs(&answer));
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/api/v1/alerts?limit=7&kind=port_scan&cursor={next}");
    }
    assert_eq!(all, (4..=30).collect::<Vec<_>>(), "a cursor keeps the direction");
    let (_, answer) = get_json(collector.http, "/api/v1/alerts?limit=30").await;
    assert_eq!((seqs(&answer).len(), &answer["next"]), (30, &serde_json::Value::Null));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_selects_its_alerts() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_alerts(directory.path(), 20).await;
    // Alert n has packet time 22:13:20 plus n seconds, kind port_scan, severity medium.
    for (filter, count) in [
        ("", 20),
        ("sensor=branch-7", 20),
        ("sensor=1", 20),
        ("kind=port_scan", 20),
        ("kind=port_scan,syn_flood", 20),
        ("kind=syn_flood", 0),
        ("severity=medium", 20),
        ("severity=high,critical", 0),
        ("since=2023-11-14T22:13:35Z", 6),
        ("since=1700000015", 6),
        ("until=2023-11-14T22:13:35Z", 14),
        ("since=1700000005&until=1700000010", 5),
        ("since=24h", 0),
        ("limit=3", 3),
    ] {
        let (status, answer) = get_json(collector.http, &format!("/api/v1/alerts?{filter}")).await;
        assert_eq!((status, seqs(&answer).len()), (200, count), "{filter}");
    }
    let (_, answer) = get_json(collector.http, "/api/v1/alerts?limit=1").await;
    let alert = &answer["alerts"][0];
    assert_eq!(alert["sensor"], "branch-7");
    assert_eq!(alert["time"], "2023-11-14T22:13:40.000000Z");
    assert_eq!(alert["evidence"]["ports_at_least"], 15);
    assert!(alert["received"].as_str().unwrap().ends_with('Z') && alert["id"].is_i64());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_answered_with_the_allowed_values() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_alerts(directory.path(), 1).await;
    for (path, parameter, allowed) in [
        ("/api/v1/alerts?kind=portscan", "kind", "port_scan"),
        ("/api/v1/alerts?severity=bad", "severity", "critical"),
        ("/api/v1/alerts?severity=", "severity", "critical"),
        ("/api/v1/alerts?sensor=nobody", "sensor", "branch-7"),
        ("/api/v1/alerts?since=yesterday", "since", "2025-05-15T10:30:00Z"),
        ("/api/v1/alerts?limit=0", "limit", "1 to 1000"),
        ("/api/v1/alerts?limit=1001", "limit", "1 to 1000"),
        ("/api/v1/alerts?limit=-1", "limit", "1 to 1000"),
        ("/api/v1/alerts?cursor=x", "cursor", "next of the page"),
        ("/api/v1/alerts?colour=red", "colour", "severity"),
        ("/api/v1/alerts?kind=port_scan%27--", "kind", "port_scan"),
        ("/api/v1/sensors?x=1", "x", ""),
        ("/api/v1/stats?minutes=0", "minutes", "1 to 1440"),
        ("/api/v1/events?last_event_id=x", "last_event_id", "0 to"),
        ("/api/v1/events?recent=1001", "recent", "0 to 1000"),
    ] {
        let (status, answer) = get_json(collector.http, path).await;
        assert_eq!((status, &answer["parameter"]), (400, &parameter.into()), "{path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        assert!(answer["allowed"].to_string().contains(allowed), "{path}: {answer}");
    }
    let (status, answer) = get_json(collector.http, "/api/v1/alerts?limit=1&limit=2").await;
    assert_eq!((status, &answer["parameter"]), (400, &"limit".into()));
    let (status, answer) = get_json(collector.http, "/api/v1/alerts?cursor=5&after=1").await;
    assert_eq!((status, &answer["parameter"]), (400, &"after".into()));
    let (status, answer) = get_json(collector.http, "/api/v2").await;
    assert_eq!(status, 404);
    assert!(answer["allowed"].to_string().contains("/api/v1/alerts"));
    let http = collector.http;
    let (status, body) =
        request(http, &format!("DELETE /api/v1/alerts HTTP/1.0\r\nHost: {http}\r\n\r\n")).await;
    assert_eq!(status, 405);
    assert!(body.contains("\"allowed\":[\"GET\"]"), "{body}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_reaches_sensors_and_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_alerts(directory.path(), 3).await;
    for (uptime_ms, frames) in [(1_000, 100), (3_000, 500)] {
        let mut telemetry = Telemetry::new();
        telemetry.set(Counter::UptimeMs, uptime_ms);
        telemetry.set(Counter::FramesSeen, frames);
        telemetry.set(Counter::FramesDropped, 4);
        peer.send(&ToCollector::Telemetry(telemetry)).await;
    }
    let http = collector.http;
    eventually("a rate", || async {
        get_json(http, "/api/v1/sensors").await.1["sensors"][0]["telemetry"]["frames_seen"] == 500
    })
    .await;
    let (_, answer) = get_json(http, "/api/v1/sensors").await;
    let sensor = &answer["sensors"][0];
    assert_eq!((&sensor["frames_per_s"], &sensor["telemetry"]["frames_dropped"]), (&200.into(), &4.into()));
    for (line, value) in [
        ("sentinel_sensor_telemetry_frames_dropped{sensor=\"branch-7\"}", "4"),
        ("sentinel_sensor_up{sensor=\"branch-7\"}", "1"),
        ("sentinel_sensor_stored{sensor=\"branch-7\"}", "3"),
        ("sentinel_collector_sensors_connected", "1"),
        ("sentinel_collector_alerts_stored_total{kind=\"port_scan\",severity=\"medium\"}", "3"),
        ("sentinel_collector_alerts_duplicate_total", "0"),
        ("sentinel_collector_connections_rejected_total{reason=\"unknown_key\"}", "0"),
        ("sentinel_collector_ingest_seconds_count", "1"),
    ] {
        assert_eq!(metric(http, line).await.as_deref(), Some(value), "{line}");
    }
    let (_, body) = get(http, "/metrics").await;
    assert!(body.ends_with("# EOF\n") && body.contains("sentinel_collector_store_bytes "), "{body}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_are_paged_without_holes_or_repeats() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    for number in [3, 1, 7, 5, 9] {
        enrolled(directory.path(), collector.listen, &format!("branch-{number}")).await;
    }
    eventually("all are listed", || async {
        let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
        answer["sensors"].as_array().unwrap().len() == 5
    })
    .await;
    let (mut names, mut path) = (Vec::new(), "/api/v1/sensors?limit=2".to_owned());
    loop {
        let (status, answer) = get_json(collector.http, &path).await;
        assert_eq!(status, 200, "{answer}");
        let sensors = answer["sensors"].as_array().unwrap();
        names.extend(sensors.iter().map(|sensor| sensor["name"].as_str().unwrap().to_owned()));
        if names.len() == 2 {
            // Before and behind the position: the first is not seen, and moves nothing.
            for number in [0, 8] {
                enrolled(directory.path(), collector.listen, &format!("branch-{number}")).await;
            }
            eventually("both are listed", || async {
                let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
                answer["sensors"].as_array().unwrap().len() == 7
            })
            .await;
        }
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/api/v1/sensors?limit=2&cursor={next}");
    }
    assert_eq!(names, [1, 3, 5, 7, 8, 9].map(|number| format!("branch-{number}")));
    let (status, answer) = get_json(collector.http, "/api/v1/sensors?cursor=5").await;
    assert_eq!((status, &answer["parameter"]), (400, &"cursor".into()));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_alerts(directory.path(), 7).await;
    let (_, answer) = get_json(collector.http, "/api/v1/stats?minutes=5").await;
    assert_eq!(answer["alerts"]["stored"], 7);
    assert_eq!(answer["alerts"]["by_kind"]["port_scan"], 7);
    assert_eq!(answer["alerts"]["by_severity"]["medium"], 7);
    assert_eq!(answer["alerts"]["by_severity"]["high"], 0);
    assert_eq!(answer["sensors"], serde_json::json!({ "enrolled": 1, "connected": 1, "revoked": 0 }));
    assert_eq!(answer["per_minute"].as_array().unwrap().len(), 5);
    assert!(answer["store_bytes"].as_u64().unwrap() > 4_096);
    collector.stop().await;
}

/// A client of the event stream.
struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(http: SocketAddr, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).await.unwrap() > 0);
        }
        Self(reader)
    }

    async fn next(&mut self) -> Option<(String, Option<i64>, serde_json::Value)> {
        let (mut name, mut id, mut data) = (String::new(), None, None);
        loop {
            let mut line = String::new();
            let read =
                tokio::time::timeout(WAIT_TIMEOUT, self.0.read_line(&mut line)).await.expect("no event");
            if read.unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", value)) => name = value.trim().into(),
                Some(("id", value)) => id = Some(value.trim().parse().unwrap()),
                Some(("data", value)) => data = Some(serde_json::from_str(value.trim()).unwrap()),
                _ if line == "\n" && data.is_some() => return Some((name, id, data.unwrap())),
                _ => {}
            }
        }
    }

    async fn alerts(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let (name, id, data) = self.next().await.unwrap();
            if name == "alert" {
                assert_eq!(data["id"].as_i64(), id);
                ids.push(id.unwrap());
            }
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_from_the_store_and_continues_live() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_alerts(directory.path(), 20).await;
    let http = collector.http;
    let mut new = Stream::open(http, "/api/v1/events", "").await;
    let mut recent = Stream::open(http, "/api/v1/events?recent=3", "").await;
    let mut resumed = Stream::open(http, "/api/v1/events?recent=3", "Last-Event-ID: 12\r\n").await;
    let mut from_start = Stream::open(http, "/api/v1/events?last_event_id=0", "").await;
    assert_eq!(recent.alerts(3).await, [18, 19, 20]);
    assert_eq!(resumed.alerts(8).await, (13..=20).collect::<Vec<_>>(), "the header wins");
    let last = peer.send_alerts(1, 21..=25).await;
    peer.until_acked(last).await;
    for stream in [&mut new, &mut recent, &mut resumed] {
        assert_eq!(stream.alerts(5).await, (21..=25).collect::<Vec<_>>());
    }
    assert_eq!(from_start.alerts(25).await, (1..=25).collect::<Vec<_>>());
    collector.stop().await;
    assert_eq!(new.next().await, None, "the stream ends when the collector stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_the_filters_of_incidents() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_alerts(directory.path(), 20).await;
    let http = collector.http;
    // Alert n has packet time 22:13:20 plus n seconds, kind port_scan, severity medium, from 10.20.30.66.
    let mut streams = Vec::new();
    for (filter, first) in [
        ("kind=port_scan&severity=medium,high&sensor=branch-7", 1),
        ("src=10.20.30.0/24&dst=10.20.30.10&q=10.20.30.66%20scan%20branch", 1),
        ("since=1700000015&phase=open", 15),
        ("state=new", 1),
    ] {
        let path = format!("/api/v1/events?last_event_id=0&{filter}");
        let mut stream = Stream::open(http, &path, "").await;
        let count = usize::try_from(21 - first).unwrap();
        assert_eq!(stream.alerts(count).await, (first..=20).collect::<Vec<_>>(), "{filter}");
        streams.push(stream);
    }
    for filter in [
        "kind=syn_flood",
        "severity=high",
        "src=10.20.30.67",
        "until=1700000001",
        "phase=closed",
        "q=nowhere",
        "state=seen",
    ] {
        // What is left out is not sent: the first event is the disconnect below.
        streams.push(Stream::open(http, &format!("/api/v1/events?last_event_id=0&{filter}"), "").await);
    }
    let last = peer.send_alerts(1, 21..=21).await;
    peer.until_acked(last).await;
    drop(peer);
    for (index, stream) in streams.iter_mut().enumerate() {
        let (name, id, data) = stream.next().await.unwrap();
        if index < 4 {
            assert_eq!((name.as_str(), id), ("alert", Some(21)), "{index}");
        } else {
            assert_eq!((name.as_str(), &data["event"]), ("sensor", &"disconnected".into()), "{index}");
        }
    }
    let (status, answer) = get_json(http, "/api/v1/events?sensor=nobody").await;
    assert_eq!((status, &answer["parameter"]), (400, &"sensor".into()));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lags_behind_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_alerts(directory.path(), 1).await;
    let mut slow = Stream::open(collector.http, "/api/v1/events", "").await;
    // More than listeners may lag behind, and more than the socket buffers hold.
    let count = 12_000;
    let mut last = sentinel_alert::AlertId::default();
    for batch in 0..count / 80 {
        last = peer.send_alerts(1, batch * 80 + 2..=batch * 80 + 81).await;
    }
    peer.until_acked(last).await;
    let ids = slow.alerts(usize::try_from(count).unwrap()).await;
    assert_eq!(ids, (2..=i64::try_from(count).unwrap() + 1).collect::<Vec<_>>());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_and_disconnects_are_events() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let mut stream = Stream::open(collector.http, "/api/v1/events", "").await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (peer, _) = connected(collector.listen, &pair, &key, 1).await;
    drop(peer);
    let mut events = Vec::new();
    while events.len() < 3 {
        let (name, id, data) = stream.next().await.unwrap();
        assert_eq!((name.as_str(), id, &data["sensor"]), ("sensor", None, &"branch-7".into()));
        if data["event"] != "state" {
            events.push(data["event"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(events, ["enrolled", "connected", "disconnected"]);
    collector.stop().await;
}

/// Addresses that a file of the page may name: of namespaces of XML, which nobody asks, and of the descriptions of techniques, to which
/// a link leads.
const NAMED: [&str; 2] = ["http://www.w3.org/", "https://attack.mitre.org/techniques/"];

fn foreign_addresses(body: &str) -> Vec<&str> {
    let is_address = |at: &usize| body[*at..].starts_with("http://") || body[*at..].starts_with("https://");
    let starts = body.match_indices("http").map(|(at, _)| at).filter(is_address);
    let texts = starts.map(|at| body[at..].split(['"', '\'', '`', ' ', '<']).next().unwrap_or_default());
    texts.filter(|text| !NAMED.iter().any(|named| text.starts_with(named))).collect()
}

fn is_strict(head: &str) {
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
}

async fn page(http: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    request_with_headers(http, &format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n")).await
}

async fn raw_page(http: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let text = format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_complete_and_foreign_hosts_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    let mut paths = Vec::new();
    for path in ["/", "/login", "/start"] {
        let (status, head, body) = page(http, path, "").await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("content-type: text/html"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        is_strict(&head);
        assert!(
            !body.contains("http") && !body.contains("style=") && !body.contains("onload"),
            "{path}: {body}"
        );
        paths.extend(body.split('"').filter(|text| text.starts_with("/assets/")).map(str::to_owned));
    }
    paths.sort();
    paths.dedup();
    let types = [("css", "text/css"), ("js", "text/javascript"), ("svg", "image/svg+xml")];
    assert!(types.iter().all(|(end, _)| paths.iter().any(|path| path.ends_with(end))), "{paths:?}");
    for path in &paths {
        let (status, head, body) = page(http, path, "").await;
        assert_eq!(status, 200, "{path}");
        let (_, media_type) = types.iter().find(|(end, _)| path.ends_with(end)).unwrap();
        assert!(head.contains(&format!("content-type: {media_type}")), "{head}");
        assert!(head.contains("immutable") && head.contains("vary: accept-encoding"), "{head}");
        assert!(!head.contains("content-encoding"), "{head}");
        is_strict(&head);
        assert_eq!(foreign_addresses(&body), Vec::<&str>::new(), "{path} names another host");
    }
    let packed = raw_page(http, &paths[0], "Accept-Encoding: gzip\r\n").await;
    let at = packed.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&packed[..at]).contains("content-encoding: gzip"));
    assert_eq!(packed[at + 4..at + 6], [0x1f, 0x8b], "gzip (RFC 1952)");
    // A page of another site whose name was pointed at this machine (DNS rebinding).
    let (status, body) = request(http, "GET /api/v1/alerts HTTP/1.0\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(status, 403, "{body}");
    let (status, _) = request(http, "GET /api/v1/alerts HTTP/1.0\r\n\r\n").await;
    assert_eq!(status, 403);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_http_address_needs_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let http = SocketAddr::from(([0, 0, 0, 0], 0));
    let settings = CollectorSettings { http, ..settings(directory.path(), 10) };
    let error = RunningCollector::start(settings).await.unwrap_err().to_string();
    assert!(error.contains("needs TLS and a log-in") && error.contains("init --name"), "{error}");
}
