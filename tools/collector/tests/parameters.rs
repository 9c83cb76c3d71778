//! Every parameter of every route at its extremes: an error of the client names what is allowed, and none is one of the
//! server.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use support::http::{exchange, get};
use support::sensor::{connected, enrolled};
use support::{eventually, start};
use tokio::net::TcpStream;

/// Every route with its parameters.
const ROUTES: [(&str, &[&str]); 15] = [
    ("/", &[]),
    ("/page.css", &[]),
    ("/feed.js", &[]),
    ("/page.js", &[]),
    ("/incidents.js", &[]),
    ("/kinds.js", &[]),
    ("/health", &[]),
    ("/metrics", &[]),
    ("/api/v1/alerts", &["sensor", "kind", "severity", "since", "until", "limit", "cursor", "after"]),
    (
        "/api/v1/incidents",
        &[
            "q", "state", "phase", "kind", "severity", "sensor", "src", "dst", "since", "until", "limit",
            "cursor",
        ],
    ),
    ("/api/v1/incidents/1", &[]),
    ("/api/v1/incidents/1/messages", &["limit", "cursor"]),
    ("/api/v1/sensors", &[]),
    ("/api/v1/stats", &["minutes"]),
    ("/api/v1/events", &["recent", "last_event_id"]),
];

/// Values as they stand in a URL.
fn extremes() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        "0",
        "-0",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "00000000000000000000000000000001",
        "65535",
        "65536",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "99999999999999999999s",
        "18446744073709551615d",
        "213503982334601d",
        "9999-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2500-12-31T23:59:59.999999999Z",
        "NaN",
        "inf",
        "null",
        ",",
        ",,,,",
        "port_scan,",
        "%00",
        "%FF%FE",
        "%C3%28",
        "%",
        "%zz",
        "%F0%9F%98%80",
        "%E2%80%AE",
        "'%20OR%201=1--",
        "%22%3Cscript%3E",
        "..%2F..%2Fetc%2Fpasswd",
        "%0d%0aX-Header:%20x",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push("9".repeat(4_000));
    values.push("a".repeat(8_000));
    values.push("port_scan,".repeat(700));
    values
}

/// Status of `GET path`; of an event stream without waiting for its end. A client error has to say what is allowed.
async fn checked(http: std::net::SocketAddr, path: &str) -> u16 {
    let shown: String = path.chars().take(100).collect();
    let mut stream = TcpStream::connect(http).await.unwrap();
    // HEAD: the answer to GET, which may be a stream, without its body.
    let text = format!("HEAD {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    let (status, _) = exchange(&mut stream, &text).await;
    assert!(status == 200 || (400..500).contains(&status), "{shown}: {status}");
    if status == 400 {
        let (again, body) = get(http, path).await;
        assert_eq!(again, 400, "{shown}");
        let answer: serde_json::Value =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{shown}: {body}"));
        let is_listed = answer["allowed"].as_array().is_some_and(|allowed| !allowed.is_empty());
        let is_without_parameters = answer["error"].as_str().unwrap().starts_with("there is no parameter");
        assert!(is_listed || is_without_parameters, "{shown}: {body}");
        assert!(body.len() < 8_192, "{shown}: the answer repeats the request: {} bytes", body.len());
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn extremes_of_every_parameter_are_errors_of_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    eventually("the incident", || async { get(http, "/api/v1/incidents/1").await.0 == 200 }).await;
    let (mut accepted, mut rejected) = (0, 0);
    for (route, parameters) in ROUTES {
        assert_eq!(checked(http, route).await, 200, "{route}");
        for value in extremes() {
            for name in parameters.iter().copied().chain(["unknown"]) {
                match checked(http, &format!("{route}?{name}={value}")).await {
                    200 => accepted += 1,
                    _ => rejected += 1,
                }
            }
        }
        for name in parameters {
            assert_eq!(checked(http, &format!("{route}?{name}=1&{name}=1")).await, 400, "{route} {name}");
            assert_eq!(checked(http, &format!("{route}?{name}=1&%FF=1")).await, 400, "{route} {name}");
        }
        for query in
            ["?", "?&&&", "?=", "?%", "?%FF%FE=%FF", "?a[]=1&a[0]=2", &format!("?{}", "&".repeat(4_000))]
        {
            checked(http, &format!("{route}{query}")).await;
        }
    }
    // Both happen: a test that only meets unknown routes would pass as well.
    assert!(accepted > 50 && rejected > 300, "{accepted} accepted, {rejected} rejected");
    assert_eq!(get(http, "/health").await.0, 200);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extremes_of_the_position_of_a_stream_are_errors_of_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    for value in [b"-1".as_slice(), b"x", b"9223372036854775808", b"\xff\xfe", b"1 2", b"1,2", b"0x1"] {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let mut request =
            format!("GET /api/v1/events HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nLast-Event-ID: ")
                .into_bytes();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await.unwrap();
        let (status, body) = exchange(&mut stream, "").await;
        assert_eq!(status, 400, "{value:?}: {body}");
        assert!(body.contains("0 to 9223372036854775807"), "{body}");
    }
    collector.stop().await;
}
