//! Attacks in short form: what one peer does must not keep another from connecting, delivering and being seen.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, Test};
use sentinel_collector::store::StoreLimits;
use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{
    BatchBuilder, Cipher, Counter, Gap, GapReason, Hello, KeyPair, Limits, PublicKey, RejectReason,
    SensorSession, Telemetry, ToCollector,
};
use support::http::{get, get_json, metric};
use support::sensor::{Received, SensorClient, alert, connect, connected, enrolled, hello};
use support::{eventually, listed, log_text, revoke, start, start_limited, start_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

const REJECTED: &str = "sentinel_collector_connections_rejected_total";
const LIMITS: &str = "sentinel_collector_limits_total";
/// Bound of the time to an acknowledgement and of a handshake in these tests, in which attacker, sensor and an unoptimised
/// collector share the processors.
const PROMPT: Duration = Duration::from_secs(2);

/// Every path of the interface and every command of the operator gives an answer.
async fn everything_answers(http: SocketAddr, directory: &std::path::Path) {
    for path in [
        "/health",
        "/metrics",
        "/",
        "/api/v1/sensors",
        "/api/v1/stats?minutes=1440",
        "/api/v1/alerts?limit=1000",
        "/api/v1/alerts?sensor=liar&since=1d",
    ] {
        let (status, body) = get(http, path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    for as_json in [true, false] {
        assert!(listed(directory, as_json).contains("liar"));
    }
}

/// Time to the acknowledgement of each of `count` alerts, longest first.
async fn ack_times(peer: &mut SensorClient, first: u64, count: u64) -> Vec<Duration> {
    let mut times = Vec::new();
    for seq in first..first + count {
        let started = Instant::now();
        let last = peer.send_alerts(1, seq..=seq).await;
        peer.until_acked(last).await;
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    times.reverse();
    times
}

/// An attack that goes on until it is stopped.
struct Attack {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Attack {
    /// Calls `step` without a pause, and keeps the newest `kept` of its results.
    fn start<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        kept: usize,
        mut step: impl FnMut() -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut results = std::collections::VecDeque::new();
            while !stopped.load(Ordering::Relaxed) {
                results.push_back(step().await);
                if results.len() > kept {
                    results.pop_front();
                }
            }
        });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// A connection from another address than that of the sensors.
async fn connection_from(source: [u8; 4], to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).ok()?;
    socket.connect(to).await.ok()
}

/// Preface and first message of an owner of `pair`.
fn first_message(pair: &KeyPair, collector: &PublicKey) -> Vec<u8> {
    let session =
        SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    session.pending().to_vec()
}

/// Two sensors: the first delivers and reconnects while `attack` runs, promptly each time.
async fn undisturbed(listen: SocketAddr, pair: &KeyPair, key: &PublicKey, attack: Attack) {
    let mut acks = Vec::new();
    let mut handshakes = Vec::new();
    for round in 0..10 {
        let started = Instant::now();
        let (mut peer, _) = connected(listen, pair, key, 1).await;
        handshakes.push(started.elapsed());
        acks.extend(ack_times(&mut peer, round * 10 + 1, 10).await);
    }
    attack.stop().await;
    let (ack, handshake) = (acks.iter().max().unwrap(), handshakes.iter().max().unwrap());
    println!("longest ack {ack:?}, longest handshake {handshake:?}");
    assert!(*ack < PROMPT && *handshake < PROMPT, "ack {ack:?}, handshake {handshake:?}");
}

/// Three alerts of under 200 bytes, number 2^62 - 1 in three runs: their sum overflowed in the store, and sensors, statistics,
/// metrics and page failed for good, and the revocation of the culprit as well.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_jump_end_the_session_and_break_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "liar").await;
    let highest = (1 << 62) - 1;
    for boot in 1..=3 {
        let (mut peer, acked) = connected(collector.listen, &pair, &key, boot).await;
        assert_eq!(acked, None);
        peer.send_alerts(boot, highest..=highest).await;
        assert_eq!(peer.next().await, Received::Rejected(RejectReason::Busy));
    }
    everything_answers(collector.http, directory.path()).await;
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &answer["sensors"][0];
    assert_eq!((&sensor["alerts_stored"], &sensor["alerts_missing"]), (&0.into(), &0.into()));
    assert_eq!((&sensor["limit_hits"], &sensor["last_limit"]), (&3.into(), &"numbers".into()));
    let counted = [format!("{LIMITS}{{limit=\"numbers\"}}"), format!("{REJECTED}{{reason=\"limit\"}}")];
    for line in counted {
        assert_eq!(metric(collector.http, &line).await.as_deref(), Some("3"), "{line}");
    }
    let log = log_text(directory.path());
    assert_eq!(log.matches("(limit): its alert numbers jump").count(), 1, "{log}");
    assert!(listed(directory.path(), false).contains("3 (last numbers)"));
    // It goes on with honest numbers, and can be revoked.
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=3).await;
    peer.until_acked(last).await;
    revoke(directory.path(), "liar").unwrap();
    assert_eq!(peer.next().await, Received::Rejected(RejectReason::Revoked));
    collector.stop().await;
}

/// A hello with the largest value in each field.
fn extreme_hello(boot: u32) -> Hello<'static> {
    Hello { protocol: u16::MAX, boot, started_us: u64::MAX, ..hello(boot) }
}

fn extreme_alert(time: Timestamp) -> Alert {
    Alert {
        time,
        first: Timestamp::ZERO,
        test: Test::PortScanPortsInWindow,
        phase: Phase::Close,
        incident: u32::MAX,
        suppressed: u32::MAX,
        evidence: Evidence::Ports {
            at_least: u32::MAX,
            at_most: u32::MAX,
            threshold: u32::MAX,
            window_s: u32::MAX,
        },
        ..alert(1, Severity::Critical)
    }
}

/// Every integer field at its extremes, over several runs; gaps with numbers as high as the rate of numbers allows.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_at_its_extremes_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "liar").await;
    let mut telemetry = Telemetry::new();
    for counter in Counter::ALL {
        telemetry.set(counter, u64::MAX);
    }
    for boot in [0, 1, u32::MAX - 1, u32::MAX] {
        let session =
            SensorSession::connect(&pair, &key, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
        let mut peer = SensorClient::connect(collector.listen, session).await;
        assert_eq!(peer.next().await, Received::Established);
        let introduction = extreme_hello(boot);
        peer.send(&ToCollector::Hello(introduction)).await;
        assert!(matches!(peer.next().await, Received::Welcome { .. }));
        peer.send(&ToCollector::Telemetry(Telemetry::new())).await;
        peer.send(&ToCollector::Telemetry(telemetry)).await;
        for (seq, time) in [(1, Timestamp::ZERO), (2, Timestamp::from_micros(u64::MAX))] {
            let mut buffer = vec![0; peer.session.batch_limit()];
            let mut builder = BatchBuilder::new(introduction.origin(), &mut buffer);
            let id = AlertId { boot, seq };
            builder.push(id, &extreme_alert(time)).unwrap();
            peer.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
            peer.until_acked(id).await;
        }
        for first_seq in [0, 1] {
            let gap = Gap {
                boot,
                first_seq,
                last_seq: 500_000_000,
                lost_by_severity: [u32::MAX; 5],
                reason: GapReason::Other(u32::MAX),
            };
            peer.send(&ToCollector::Gap(gap)).await;
            peer.until_acked(gap.last()).await;
        }
        everything_answers(collector.http, directory.path()).await;
    }
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &answer["sensors"][0];
    let counts =
        ["alerts_stored", "alerts_lost", "alerts_missing"].map(|name| sensor[name].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 4 * 500_000_000, "{counts:?}");
    revoke(directory.path(), "liar").unwrap();
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_over_its_quota_is_told_so_and_others_are_not_concerned() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { sensor_bytes: 20_000, ..StoreLimits::default() };
    let collector = start_limited(directory.path(), Limits::COLLECTOR, 100, limits).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "liar").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let mut first = 1;
    let answer = loop {
        peer.send_alerts(1, first..=first + 19).await;
        first += 20;
        match peer.next().await {
            Received::Ack(_) => {}
            other => break other,
        }
    };
    assert_eq!(answer, Received::Rejected(RejectReason::OverQuota));
    assert!((40..=100).contains(&first), "{first} alerts of some 360 bytes");
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    assert_eq!(answer["sensors"][0]["last_limit"], "quota");
    assert!(answer["sensors"][0]["stored_bytes"].as_u64().unwrap() >= 20_000);
    let (honest, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut honest, _) = connected(collector.listen, &honest, &key, 1).await;
    let last = honest.send_alerts(1, 1..=5).await;
    honest.until_acked(last).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_connects_without_end_has_to_wait() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "liar").await;
    let mut busy = 0;
    for _ in 0..300 {
        let mut peer = connect(collector.listen, &pair, &key, 1).await;
        match peer.next().await {
            Received::Welcome { .. } => {}
            Received::Rejected(RejectReason::Busy) => {
                busy += 1;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(busy, 1, "300 sessions were admitted");
    let line = format!("{LIMITS}{{limit=\"sessions\"}}");
    assert_eq!(metric(collector.http, &line).await.as_deref(), Some("1"));
    eventually("the row names it", || async {
        get_json(collector.http, "/api/v1/sensors").await.1["sensors"][0]["last_limit"] == "sessions"
    })
    .await;
    collector.stop().await;
}

/// 2,500 idle connections of one address kept every sensor out.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_out() {
    for source in [[127, 0, 0, 2], [127, 0, 0, 1]] {
        let directory = tempfile::tempdir().unwrap();
        let collector = start_with(directory.path(), Limits::COLLECTOR, 64).await; // 32 without a proved key
        let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
        let listen = collector.listen;
        let attack = Attack::start(200, move || async move {
            tokio::time::sleep(Duration::from_millis(2)).await; // the sensor behind the same address needs its round trip
            connection_from(source, listen).await
        });
        let crowded = format!("{REJECTED}{{reason=\"crowded\"}}");
        eventually("a full table", || async {
            metric(collector.http, &crowded).await.as_deref() != Some("0")
        })
        .await;
        undisturbed(listen, &pair, &key, attack).await;
        let connections = metric(collector.http, "sentinel_collector_connections").await.unwrap();
        assert!(connections.parse::<u32>().unwrap() <= 32 + 1, "{connections}");
        collector.stop().await;
    }
}

/// First messages that were recorded cost the collector five Diffie-Hellman operations each.
#[tokio::test(flavor = "multi_thread")]
async fn half_handshakes_keep_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start_with(directory.path(), Limits::COLLECTOR, 64).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (recorded, _) = enrolled(directory.path(), collector.listen, "recorded").await;
    let (listen, message) = (collector.listen, Arc::new(first_message(&recorded, &key)));
    let attack = Attack::start(100, move || {
        let message = Arc::clone(&message);
        async move {
            let mut stream = connection_from([127, 0, 0, 2], listen).await?;
            stream.write_all(&message).await.ok()?;
            Some(stream)
        }
    });
    undisturbed(listen, &pair, &key, attack).await;
    collector.stop().await;
}

/// 12 KB of gap messages over a large run took the writer minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_gaps_delays_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (liar, _) = enrolled(directory.path(), collector.listen, "liar").await;
    let (peer, _) = connected(collector.listen, &liar, &key, 1).await;
    let flood = Arc::new(tokio::sync::Mutex::new((peer, 1_u64)));
    let attack = Attack::start(0, move || {
        let flood = Arc::clone(&flood);
        async move {
            let (peer, last_seq) = &mut *flood.lock().await;
            *last_seq += 1;
            let reason = GapReason::SpoolFull;
            let lost_by_severity = [u32::MAX; 5];
            let gap = Gap { boot: 1, first_seq: 1, last_seq: *last_seq, lost_by_severity, reason };
            peer.send(&ToCollector::Gap(gap)).await;
        }
    });
    undisturbed_without_reconnecting(&collector.listen, &pair, &key, attack).await;
    let line = format!("{LIMITS}{{limit=\"gap_rate\"}}");
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    println!(
        "{} lost of the liar, {:?} times slowed down",
        answer["sensors"][1]["alerts_lost"],
        metric(collector.http, &line).await
    );
    collector.stop().await;
}

async fn undisturbed_without_reconnecting(
    listen: &SocketAddr,
    pair: &KeyPair,
    key: &PublicKey,
    attack: Attack,
) {
    let (mut peer, _) = connected(*listen, pair, key, 1).await;
    let times = ack_times(&mut peer, 1, 150).await;
    attack.task.abort(); // it may wait for a socket that nobody reads
    println!("longest ack {:?}, median {:?}", times[0], times[times.len() / 2]);
    assert!(times[1] < PROMPT, "{:?}", times[1]);
}

/// One line for each stranger, and each key was a stranger: 28 GB of log a day.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_fill_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let (_, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    for _ in 0..40 {
        let stranger = KeyPair::generate().unwrap();
        let mut stream = TcpStream::connect(collector.listen).await.unwrap();
        stream.write_all(&first_message(&stranger, &key)).await.unwrap();
    }
    let line = format!("{REJECTED}{{reason=\"unknown_key\"}}");
    eventually("all are counted", || async { metric(collector.http, &line).await.as_deref() == Some("40") })
        .await;
    let log = log_text(directory.path());
    assert_eq!(log.matches("(unknown_key)").count(), 10, "{log}");
    collector.stop().await;
}
