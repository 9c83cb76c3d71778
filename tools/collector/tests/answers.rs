//! Characterisation of every answer: each byte that clients see, with only times, ports and sizes masked.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sentinel_alert::Kind;
use sentinel_collector::run::RunningCollector;
use sentinel_uplink::{Counter, KeyPair, Telemetry, ToCollector};
use support::http::{get, get_json, request_with_headers};
use support::sensor::{Received, SensorClient, connected, enroll};
use support::{eventually, listed, start, token};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// `body` with the value of each member called one of `names` replaced by `*`. Values may be anything
/// without a comma or a brace.
fn masked(body: &str, names: &[&str]) -> String {
    let mut text = body.to_owned();
    for name in names {
        let member = format!("\"{name}\":");
        let mut done = String::new();
        let mut remaining = text.as_str();
        while let Some((before, after)) = remaining.split_once(&member) {
            done.push_str(before);
            done.push_str(&member);
            done.push('*');
            remaining = &after[after.find([',', '}']).expect("a value ends")..];
        }
        done.push_str(remaining);
        text = done;
    }
    text
}

fn without_date(header: &str) -> String {
    header
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("date: "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Counts of all kinds, in the order of their names.
fn by_kind() -> String {
    let mut names = Kind::ALL.map(Kind::name);
    names.sort_unstable();
    names.map(|name| format!("\"{name}\":{}", if name == "port_scan" { 2 } else { 0 })).join(",")
}

/// Names and labels of every series but those of histograms, sorted; values are left out.
fn series(metrics: &str) -> Vec<String> {
    let mut names: Vec<String> = metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("_seconds_"))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect();
    names.sort_unstable();
    names
}

fn expected_series() -> Vec<String> {
    let mut names: Vec<String> = SERIES.lines().map(str::to_owned).collect();
    names.extend(
        Counter::ALL
            .map(|counter| format!("sentinel_sensor_telemetry_{}{{sensor=\"branch-7\"}}", counter.name())),
    );
    names.sort_unstable();
    names
}

fn telemetry(uptime_ms: u64, frames: u64) -> ToCollector<'static> {
    let mut telemetry = Telemetry::new();
    telemetry.set(Counter::UptimeMs, uptime_ms);
    telemetry.set(Counter::FramesSeen, frames);
    telemetry.set(Counter::FramesDropped, 4);
    ToCollector::Telemetry(telemetry)
}

/// Opens the event stream at `path` and reads its header.
async fn event_stream(http: SocketAddr, path: &str) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(TcpStream::connect(http).await.unwrap());
    let request = format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let header = read_until(&mut stream, "\r\n\r\n").await;
    (stream, header)
}

/// Reads lines until the text ends with `end`.
async fn read_until(stream: &mut BufReader<TcpStream>, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let read = tokio::time::timeout(support::WAIT_TIMEOUT, stream.read_line(&mut text));
        assert!(read.await.expect("no line").unwrap() > 0, "the stream ended: {text}");
    }
    text
}

/// A collector with an event stream that was open before a sensor enrolled, connected and sent two alerts.
async fn with_two_alerts(directory: &Path) -> (RunningCollector, SensorClient, BufReader<TcpStream>) {
    let collector = start(directory).await;
    let (live, header) = event_stream(collector.http, "/api/v1/events").await;
    assert_eq!(without_date(&header), STREAM_HEADER);
    let pair = KeyPair::from_bytes(&[7; 32]);
    let one_time = token(directory, "branch-7", Duration::from_secs(60));
    let welcome = Received::Welcome { name: "branch-7".into(), acked: None };
    assert_eq!(enroll(&pair, &one_time, collector.listen, "").await, welcome);
    let (mut peer, _) = connected(collector.listen, &pair, one_time.collector(), 3).await;
    let last = peer.send_alerts(3, 1..=2).await;
    peer.until_acked(last).await;
    (collector, peer, live)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer, _live) = with_two_alerts(directory.path()).await;
    let http = collector.http;
    peer.send(&telemetry(1_000, 100)).await;
    peer.send(&telemetry(3_000, 500)).await;
    eventually("a rate", || async {
        get_json(http, "/api/v1/sensors").await.1["sensors"][0]["telemetry"]["frames_seen"] == 500
    })
    .await;
    let (_, alerts) = get(http, "/api/v1/alerts?limit=1").await;
    assert_eq!(
        masked(&alerts, &["received"]),
        format!("{{\"alerts\":[{}],\"next\":\"2-811c9dc5\",\"partial\":false,\"reached\":null}}\n", alert(2))
    );
    let (_, sensors) = get(http, "/api/v1/sensors").await;
    assert_eq!(masked(&sensors, &VARYING), SENSORS);
    let listed = listed(directory.path(), true);
    assert_eq!(masked(&listed, &VARYING), LISTED);
    let (_, stats) = get(http, "/api/v1/stats?minutes=2").await;
    let stats = masked(&stats, &["time", "minute", "store_bytes", "uptime_s"]);
    assert_eq!(stats, STATS.replace("BY_KIND", &by_kind()));
    let (_, health) = get(http, "/health").await;
    assert_eq!(masked(&health, &["uptime_s", "version"]), HEALTH);
    let (_, metrics) = get(http, "/metrics").await;
    assert_eq!(series(&metrics), expected_series());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, peer, mut live) = with_two_alerts(directory.path()).await;
    let (mut resumed, _) = event_stream(collector.http, "/api/v1/events?recent=1").await;
    let event = read_until(&mut resumed, "\n\n").await;
    assert_eq!(masked(&event, &["received"]), alert_event(2));
    drop(peer);
    let expected = [
        sensor_event("enrolled", "null"),
        sensor_event("connected", "null"),
        alert_event(1),
        alert_event(2),
        sensor_event("disconnected", "\"the sensor closed the connection\""),
    ];
    for expected in expected {
        let mut event = read_until(&mut live, "\n\n").await;
        while event.contains("\"event\":\"state\"") {
            event = read_until(&mut live, "\n\n").await; // by the clock, in between
        }
        let varying: &[&str] =
            if event.starts_with("event: sensor") { &["peer", "time"] } else { &["received"] };
        assert_eq!(masked(&event, varying), expected);
    }
    collector.stop().await;
}

fn alert_event(seq: u32) -> String {
    format!("event: alert\nid: {seq}\ndata: {}\n\n", alert(seq))
}

fn sensor_event(event: &str, reason: &str) -> String {
    format!(
        "event: sensor\ndata: {{\"event\":\"{event}\",\"peer\":*,\"reason\":{reason},\"sensor\":\"branch-7\",\"time\":*}}\n\n"
    )
}

fn alert(seq: u32) -> String {
    ALERT.replace("SEQ", &seq.to_string()).replace("SECOND", &format!("{:02}", 20 + seq))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    // The first twenty: none of them is like the given one.
    let kinds = Kind::ALL.iter().take(20).map(|kind| format!("\"{}\"", kind.name()));
    let kinds = kinds.collect::<Vec<_>>().join(",");
    for (path, status, body) in PROBLEMS {
        let (given, answer) = get(http, path).await;
        assert_eq!((given, masked(&answer, &["request"])), (status, body.replace("KINDS", &kinds)), "{path}");
    }
    let text = "GET /api/v1/alerts HTTP/1.0\r\nHost: evil.example\r\n\r\n";
    let (status, _, body) = request_with_headers(http, text).await;
    assert_eq!((status, masked(&body, &["request"]).as_str()), (403, FOREIGN_HOST));
    let (_, header, body) =
        request_with_headers(http, &format!("GET /api/v1/alerts HTTP/1.0\r\nHost: {http}\r\n\r\n")).await;
    assert_eq!(without_date(&header), ALERTS_HEADER);
    assert_eq!(body, "{\"alerts\":[],\"next\":null,\"partial\":false,\"reached\":null}\n");
    collector.stop().await;
}

const VARYING: [&str; 6] =
    ["peer", "connected_since", "enrolled", "last_seen", "stored_bytes", "telemetry_time"];

const ALERT: &str = r#"{"id":SEQ,"sensor":"branch-7","received":*,"boot":3,"seq":SEQ,"time":"2023-11-14T22:13:SECOND.000000Z","kind":"port_scan","test":"ports_in_window","severity":"medium","src":"10.20.30.66","dst":"10.20.30.10","src_port":null,"dst_port":null,"summary":"10.20.30.66 tried 15 ports of 10.20.30.10 within 10 s","evidence":{"ports_at_least":15,"ports_at_most":15,"threshold_ports":15,"window_s":10},"phase":"open","first_time":"2023-11-14T22:13:SECOND.000000Z","incident":1,"suppressed":0,"technique":"T1046"}"#;

const SENSORS: &str = r#"{"sensors":[{"accounting":{"state":"no_gap","text":"no gap up to the last alert received"},"alerts_duplicate":0,"alerts_lost":0,"alerts_missing":0,"alerts_missing_since_restore":null,"alerts_stored":2,"alerts_unknown":null,"cause":"its version does not tell what share of its traffic it sees","clock_off_ms":null,"connected_since":*,"enrolled":*,"frames_per_s":200,"host":"router","id":1,"interfaces":"br-lan","key_copied":null,"key_replacement_requested":false,"key_since":null,"last_limit":null,"last_seen":*,"limit_hits":0,"log":null,"name":"branch-7","next_key":null,"next_step":"install the version of the collector on the device","peer":*,"problems":[{"cause":"its version does not tell what share of its traffic it sees","next_step":"install the version of the collector on the device","state":"outdated"}],"public_key":"co7e72xk6icmp7jtld6jyadsdca5c5bhqeuce7wgotzx677jpnwq","revoked":null,"run_ends_reported":false,"runs_acknowledged":null,"runs_unclean":0,"seen_percent":null,"software":"0.1.0","state":"outdated","stored_bytes":*,"telemetry":{"alerts_delivered":0,"alerts_evicted":0,"alerts_raised":0,"canaries_missed":0,"clock_ms":0,"flow_offload":0,"frames_analysed":0,"frames_dropped":4,"frames_filtered":0,"frames_seen":500,"hidden_bytes":0,"interface_bytes":0,"log_bytes_written":0,"malformed":0,"open_incidents":0,"reconnects":0,"resident_kib":0,"ring_freezes":0,"run_delivered":0,"settings_set_aside":0,"spool_bytes":0,"table_evictions":0,"truncated":0,"uptime_ms":3000,"worst_interface":0,"worst_interface_percent":0},"telemetry_time":*}]}"#;

/// `sentinel-collector sensors --json`: from the file alone, so nothing of the connection.
const LISTED: &str = concat!(
    r#"{"sensors":[{"accounting":{"state":"no_gap","text":"no gap up to the last alert received"},"alerts_duplicate":0,"alerts_lost":0,"alerts_missing":0,"alerts_missing_since_restore":null,"alerts_stored":2,"alerts_unknown":null,"cause":null,"clock_off_ms":null,"connected_since":*,"enrolled":*,"frames_per_s":null,"host":"router","id":1,"interfaces":"br-lan","key_copied":null,"key_replacement_requested":false,"key_since":null,"last_limit":null,"last_seen":*,"limit_hits":0,"log":null,"name":"branch-7","next_key":null,"next_step":null,"peer":*,"problems":[],"public_key":"co7e72xk6icmp7jtld6jyadsdca5c5bhqeuce7wgotzx677jpnwq","revoked":null,"run_ends_reported":false,"runs_acknowledged":null,"runs_unclean":0,"seen_percent":null,"software":"0.1.0","state":"seen","stored_bytes":*,"telemetry":{"alerts_delivered":0,"alerts_evicted":0,"alerts_raised":0,"canaries_missed":0,"clock_ms":0,"flow_offload":0,"frames_analysed":0,"frames_dropped":4,"frames_filtered":0,"frames_seen":500,"hidden_bytes":0,"interface_bytes":0,"log_bytes_written":0,"malformed":0,"open_incidents":0,"reconnects":0,"resident_kib":0,"ring_freezes":0,"run_delivered":0,"settings_set_aside":0,"spool_bytes":0,"table_evictions":0,"truncated":0,"uptime_ms":3000,"worst_interface":0,"worst_interface_percent":0},"telemetry_time":*}]}"#,
    "\n"
);

const STATS: &str = r#"{"alerts":{"accounting":{"state":"no_gap","text":"no gap up to the last alert received"},"by_kind":{BY_KIND},"by_severity":{"critical":0,"high":0,"info":0,"low":0,"medium":2},"duplicate":0,"lost":0,"missing":0,"runs_unclean":0,"stored":2},"limited":{},"per_minute":[{"critical":0,"high":0,"info":0,"low":0,"medium":0,"minute":*},{"critical":0,"high":0,"info":0,"low":0,"medium":0,"minute":*}],"removed":{"age":{"alerts":0,"incidents":0,"latest":null},"disk":{"alerts":0,"incidents":0,"latest":null},"size":{"alerts":0,"incidents":0,"latest":null}},"sensors":{"connected":1,"enrolled":1,"revoked":0},"store_bytes":*,"time":*,"uptime_s":*,"verdict":{"attacks":1,"reasons":[{"cause":"its version does not tell what share of its traffic it sees","next_step":"install the version of the collector on the device","sensor":"branch-7","state":"outdated"},{"cause":"has told once what it sees","next_step":"wait for a minute","sensor":"branch-7","state":null},{"cause":"does not report how its runs ended","next_step":"install the version of the collector on the device","sensor":"branch-7","state":null}],"reasons_total":3,"verdict":"attacks"}}"#;

const HEALTH: &str = r#"{"sensors_connected":1,"status":"ok","store":"ok","uptime_s":*,"version":*}"#;

const SERIES: &str = r#"sentinel_sensor_is_behind{sensor="branch-7"}
sentinel_sensor_is_blind{sensor="branch-7"}
sentinel_sensor_is_clock_wrong{sensor="branch-7"}
sentinel_sensor_is_connected{sensor="branch-7"}
sentinel_sensor_is_never_connected{sensor="branch-7"}
sentinel_sensor_is_offline{sensor="branch-7"}
sentinel_sensor_is_outdated{sensor="branch-7"}
sentinel_sensor_is_returning{sensor="branch-7"}
sentinel_collector_alerts_duplicate_total
sentinel_collector_alerts_lost_total
sentinel_collector_alerts_stored_total{kind="port_scan",severity="medium"}
sentinel_collector_alerts_unreadable_total
sentinel_collector_connections
sentinel_collector_connections_accepted_total
sentinel_collector_connections_rejected_total{reason="authentication"}
sentinel_collector_connections_rejected_total{reason="collector_key"}
sentinel_collector_connections_rejected_total{reason="crowded"}
sentinel_collector_connections_rejected_total{reason="expired_token"}
sentinel_collector_connections_rejected_total{reason="foreign_protocol"}
sentinel_collector_connections_rejected_total{reason="handshake_timeout"}
sentinel_collector_connections_rejected_total{reason="limit"}
sentinel_collector_connections_rejected_total{reason="malformed"}
sentinel_collector_connections_rejected_total{reason="name_not_allowed"}
sentinel_collector_connections_rejected_total{reason="name_taken"}
sentinel_collector_connections_rejected_total{reason="replaced_key"}
sentinel_collector_connections_rejected_total{reason="revoked"}
sentinel_collector_connections_rejected_total{reason="token"}
sentinel_collector_connections_rejected_total{reason="too_many"}
sentinel_collector_connections_rejected_total{reason="unknown_key"}
sentinel_collector_connections_rejected_total{reason="version"}
sentinel_collector_copied_key_signs_total
sentinel_collector_http_accept_errors_total
sentinel_collector_http_connections
sentinel_collector_http_connections_accepted_total
sentinel_collector_http_event_streams
sentinel_collector_http_limited_total{limit="body"}
sentinel_collector_http_limited_total{limit="connections"}
sentinel_collector_http_limited_total{limit="connections_per_address"}
sentinel_collector_http_limited_total{limit="event_streams"}
sentinel_collector_http_limited_total{limit="event_streams_per_address"}
sentinel_collector_http_limited_total{limit="header_timeout"}
sentinel_collector_http_limited_total{limit="idempotency_keys"}
sentinel_collector_http_limited_total{limit="idle_replaced"}
sentinel_collector_http_limited_total{limit="idle_timeout"}
sentinel_collector_http_limited_total{limit="query_deadline"}
sentinel_collector_http_limited_total{limit="request_timeout"}
sentinel_collector_http_limited_total{limit="searches"}
sentinel_collector_http_limited_total{limit="searches_per_address"}
sentinel_collector_http_limited_total{limit="slow_reader"}
sentinel_collector_index_behind
sentinel_collector_limits_total{limit="alert_rate"}
sentinel_collector_limits_total{limit="gap_rate"}
sentinel_collector_limits_total{limit="numbers"}
sentinel_collector_limits_total{limit="quota"}
sentinel_collector_limits_total{limit="runs"}
sentinel_collector_limits_total{limit="sessions"}
sentinel_collector_limits_total{limit="telemetry_rate"}
sentinel_collector_log_heads_contradicted_total
sentinel_collector_removed{reason="age",what="alerts"}
sentinel_collector_removed{reason="age",what="incidents"}
sentinel_collector_removed{reason="disk",what="alerts"}
sentinel_collector_removed{reason="disk",what="incidents"}
sentinel_collector_removed{reason="size",what="alerts"}
sentinel_collector_removed{reason="size",what="incidents"}
sentinel_collector_runs_unclean_total
sentinel_collector_sensors_connected
sentinel_collector_start_time_seconds
sentinel_collector_store_age_seconds
sentinel_collector_store_bytes
sentinel_collector_store_errors_total
sentinel_collector_disk_full
sentinel_collector_store_failing
sentinel_sensor_duplicate{sensor="branch-7"}
sentinel_sensor_key_copied{sensor="branch-7"}
sentinel_sensor_last_seen_seconds{sensor="branch-7"}
sentinel_sensor_limit_hits{sensor="branch-7"}
sentinel_sensor_lost{sensor="branch-7"}
sentinel_sensor_missing{sensor="branch-7"}
sentinel_sensor_runs_unclean{sensor="branch-7"}
sentinel_sensor_stored{sensor="branch-7"}
sentinel_sensor_stored_bytes{sensor="branch-7"}
sentinel_sensor_up{sensor="branch-7"}"#;

const PROBLEMS: [(&str, u16, &str); 8] = [
    (
        "/api/v1/alerts?kind=0&limit=1",
        400,
        r#"{"allowed":[KINDS],"code":"parameter","error":"there is no kind \"0\"","parameter":"kind","request":*}"#,
    ),
    (
        "/api/v1/alerts?sensor=nobody",
        400,
        r#"{"code":"parameter","error":"there is no sensor \"nobody\"","parameter":"sensor","request":*}"#,
    ),
    (
        "/api/v1/alerts?since=yesterday",
        400,
        r#"{"allowed":["RFC 3339 in UTC, such as 2025-05-15T10:30:00Z","seconds since 1970, such as 1747305000","a span before now, such as 90s, 15m, 24h or 7d"],"code":"parameter","error":"since is not a time: \"yesterday\"","parameter":"since","request":*}"#,
    ),
    (
        "/api/v1/alerts?limit=0",
        400,
        r#"{"allowed":["1 to 1000"],"code":"parameter","error":"limit is not a number in range: \"0\"","parameter":"limit","request":*}"#,
    ),
    (
        "/api/v1/alerts?cursor=5&after=1",
        400,
        r#"{"allowed":["one of cursor and after"],"code":"parameter","error":"cursor and after exclude each other","parameter":"after","request":*}"#,
    ),
    (
        "/api/v1/events?recent=1001",
        400,
        r#"{"allowed":["0 to 1000"],"code":"parameter","error":"recent is not a number in range: \"1001\"","parameter":"recent","request":*}"#,
    ),
    (
        "/api/v1/sensors?x=1",
        400,
        r#"{"allowed":["limit","cursor"],"code":"unknown","error":"there is no parameter \"x\" here","parameter":"x","request":*}"#,
    ),
    (
        "/api/v2",
        404,
        r#"{"allowed":["/api/v1/me","/api/v1/keys","/api/v1/stats","/api/v1/login","/api/v1/users","/api/v1/audit","/api/v1/alerts","/api/v1/events","/api/v1/logout","/api/v1/tokens","/api/v1/sensors","/api/v1/me/totp","/api/v1/incidents","/api/v1/me/password","/api/v1/keys/{name}","/api/v1/openapi.json","/api/v1/users/{name}","/api/v1/administrator","/api/v1/incidents/{id}","/api/v1/sensors/{sensor}"],"code":"path","error":"there is no /api/v2","request":*}"#,
    ),
];

const FOREIGN_HOST: &str = r#"{"allowed":["localhost","an IP address"],"code":"host","error":"the Host header does not name this machine","request":*}"#;

const ALERTS_HEADER: &str = "http/1.0 200 ok
content-type: application/json
x-content-type-options: nosniff
referrer-policy: no-referrer
cache-control: no-store
content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
content-length: 57
";

const STREAM_HEADER: &str = "HTTP/1.0 200 OK
content-type: text/event-stream
cache-control: no-cache
x-content-type-options: nosniff
referrer-policy: no-referrer
content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'

";
