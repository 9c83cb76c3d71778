//! A collector on ephemeral ports, a sensor that speaks through [`SensorSession`], and an HTTP client.

#![allow(dead_code, reason = "each test program uses a part")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and these serve tests alone"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, Subject, Test};
use sentinel_collector::enroll;
use sentinel_collector::log::Log;
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_collector::store::Files;
use sentinel_units::{Address, Timestamp, Uptime};
use sentinel_uplink::{
    BatchBuilder, Cipher, Enroll, Hello, KeyPair, Limits, PublicKey, RejectReason, SendError, SensorEvent,
    SensorSession, SessionError, ToCollector, ToSensor, Token,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Nothing in these tests takes longer; if it does, the test fails instead of hanging.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// Wall-clock start of the made-up sensors: 2023-11-14T22:13:20Z.
pub(crate) const STARTED: Timestamp = Timestamp::from_parts(1_700_000_000, 0);

pub(crate) fn files(directory: &Path) -> Files {
    // A raw key, because stretching a passphrase is slow on purpose.
    Files::locate(directory, Some(&"0f".repeat(32))).unwrap()
}

pub(crate) async fn start(directory: &Path) -> RunningCollector {
    start_with(directory, Limits::COLLECTOR, 100).await
}

pub(crate) async fn start_with(directory: &Path, limits: Limits, max_connections: usize) -> RunningCollector {
    let settings = CollectorSettings {
        files: files(directory),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        http_allow_remote: false,
        log: Log::open(Some(&directory.join("log"))).unwrap(),
        max_connections,
    };
    RunningCollector::start_with(settings, limits).await.unwrap()
}

pub(crate) fn log_text(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap()
}

pub(crate) fn alert(second: u64, severity: Severity) -> Alert {
    let time = STARTED.after(Duration::from_secs(second));
    Alert {
        time,
        first: time,
        test: Test::PortScanPortsInWindow,
        severity,
        phase: Phase::Open,
        incident: 1,
        suppressed: 0,
        subject: Subject {
            source: Some(Address::v4(0x0a14_1e42)),
            destination: Some(Address::v4(0x0a14_1e0a)),
            ..Subject::default()
        },
        evidence: Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 },
    }
}

/// What a sensor hears, in a form that owns itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    Established,
    Welcome {
        name: String,
        acked: Option<AlertId>,
    },
    Ack(AlertId),
    Rejected(RejectReason),
    /// The collector closed the connection.
    Closed,
    Failed(SessionError),
}

/// The sensor's end of one connection.
pub(crate) struct Peer {
    pub(crate) session: SensorSession,
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
    started: Instant,
}

impl Peer {
    pub(crate) async fn connect(to: SocketAddr, session: SensorSession) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        Self { session, stream, input: Vec::new(), started: Instant::now() }
    }

    fn now(&self) -> Uptime {
        Uptime::ZERO.after(self.started.elapsed())
    }

    pub(crate) async fn flush(&mut self) {
        while !self.session.pending().is_empty() {
            match self.stream.write(self.session.pending()).await {
                Ok(count) => self.session.sent(count, self.now()),
                Err(_) => return, // the next read tells
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &ToCollector<'_>) {
        loop {
            match self.session.send(message, self.now()) {
                Ok(()) => break,
                Err(SendError::Busy) => self.flush().await,
                Err(error) => panic!("{error}"),
            }
        }
        self.flush().await;
    }

    pub(crate) async fn next(&mut self) -> Heard {
        tokio::time::timeout(WAIT_TIMEOUT, self.next_or_wait()).await.expect("the collector says nothing")
    }

    /// None if nothing comes within `span`.
    pub(crate) async fn next_within(&mut self, span: Duration) -> Option<Heard> {
        tokio::time::timeout(span, self.next_or_wait()).await.ok()
    }

    async fn next_or_wait(&mut self) -> Heard {
        loop {
            self.flush().await;
            let now = self.now();
            match self.session.poll(now) {
                Err(error) => return Heard::Failed(error),
                Ok(SensorEvent::Established) => return Heard::Established,
                Ok(SensorEvent::Message(ToSensor::Welcome(welcome))) => {
                    return Heard::Welcome { name: welcome.name.into(), acked: welcome.acked };
                }
                Ok(SensorEvent::Message(ToSensor::Ack(id))) => return Heard::Ack(id),
                Ok(SensorEvent::Message(ToSensor::Rejected(reason))) => return Heard::Rejected(reason),
                Ok(_) => {}
            }
            if self.input.is_empty() {
                let mut buffer = [0; 2048];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return Heard::Closed,
                    Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                }
            }
            match self.session.receive(&self.input) {
                Ok(taken) => drop(self.input.drain(..taken)),
                Err(error) => return Heard::Failed(error),
            }
        }
    }

    /// Sends the alerts `seqs` of run `boot` as one batch and returns the id that acknowledges them.
    pub(crate) async fn send_alerts(&mut self, boot: u32, seqs: std::ops::RangeInclusive<u64>) -> AlertId {
        let origin = hello(boot).origin();
        let mut buffer = vec![0; self.session.batch_limit()];
        let mut builder = BatchBuilder::new(origin, &mut buffer);
        for seq in seqs {
            builder.push(AlertId { boot, seq }, &alert(seq, Severity::Medium)).unwrap();
        }
        let last = builder.last().unwrap();
        self.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
        last
    }

    /// Reads until everything up to `last` is acknowledged.
    pub(crate) async fn until_acked(&mut self, last: AlertId) {
        loop {
            match self.next().await {
                Heard::Ack(id) if id == last => return,
                Heard::Ack(_) => {}
                other => panic!("{other:?} instead of an acknowledgement of {last:?}"),
            }
        }
    }
}

pub(crate) fn hello(boot: u32) -> Hello<'static> {
    Hello {
        protocol: 1,
        software: "0.1.0",
        host: "router",
        boot,
        started_us: STARTED.as_micros(),
        interfaces: "br-lan",
    }
}

/// A connection with the hello sent.
pub(crate) async fn connect(to: SocketAddr, pair: &KeyPair, collector: &PublicKey, boot: u32) -> Peer {
    let session =
        SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = Peer::connect(to, session).await;
    if peer.next().await == Heard::Established {
        peer.send(&ToCollector::Hello(hello(boot))).await;
    }
    peer
}

/// A connection that was welcomed, and what was acknowledged before.
pub(crate) async fn connected(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    boot: u32,
) -> (Peer, Option<AlertId>) {
    let mut peer = connect(to, pair, collector, boot).await;
    match peer.next().await {
        Heard::Welcome { acked, .. } => (peer, acked),
        other => panic!("{other:?} instead of a welcome"),
    }
}

/// Tries to enroll `pair` and returns the answer.
pub(crate) async fn enroll(pair: &KeyPair, token: &Token, to: SocketAddr, name: &str) -> Heard {
    let session = SensorSession::enroll(pair, token, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = Peer::connect(to, session).await;
    match peer.next().await {
        Heard::Established => {
            peer.send(&ToCollector::Enroll(Enroll { protocol: 1, name, software: "0.1.0" })).await;
            peer.next().await
        }
        other => other,
    }
}

pub(crate) fn token(directory: &Path, name: &str, expires: Duration) -> Token {
    enroll::token(&files(directory), name, "127.0.0.1:4477", expires).unwrap()
}

/// A new sensor that is enrolled under `name`, and the collector's key.
pub(crate) async fn enrolled(directory: &Path, to: SocketAddr, name: &str) -> (KeyPair, PublicKey) {
    let token = token(directory, name, Duration::from_secs(60));
    let pair = KeyPair::generate().unwrap();
    assert_eq!(enroll(&pair, &token, to, "").await, Heard::Welcome { name: name.into(), acked: None });
    (pair, *token.collector())
}

/// Status and body of `GET path`.
pub(crate) async fn get(http: SocketAddr, path: &str) -> (u16, String) {
    request(http, &format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n")).await
}

pub(crate) async fn get_json(http: SocketAddr, path: &str) -> (u16, serde_json::Value) {
    let (status, body) = get(http, path).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

pub(crate) async fn request(http: SocketAddr, text: &str) -> (u16, String) {
    let (status, _, body) = request_with_headers(http, text).await;
    (status, body)
}

pub(crate) async fn request_with_headers(http: SocketAddr, text: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(http).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.into())
}

/// The value of one line of the metrics.
pub(crate) async fn metric(http: SocketAddr, line: &str) -> Option<String> {
    let (status, body) = get(http, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    body.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned))
}

/// Waits until `check` holds; for what happens behind a closed connection.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !check().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
