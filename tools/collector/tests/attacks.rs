//! Attacks and load at full strength against the program, with figures. Not part of a normal run, and of use only optimised:
//!
//! ```sh
//! cargo test --release -p sentinel-collector --test attacks -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `SENSORS`, `ALERTS` (of each full spool) and `SECONDS` (of each attack) change the size.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sentinel_units::Uptime;
use sentinel_uplink::{Cipher, Gap, GapReason, KeyPair, Limits, PublicKey, SensorSession, ToCollector};
use support::files;
use support::http::get;
use support::sensor::{Received, SensorClient, connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The program in a process of its own; killed when dropped.
struct Collector {
    child: Child,
    listen: SocketAddr,
    http: SocketAddr,
    key: PublicKey,
}

impl Collector {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sentinel-collector"))
            .args(["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("SENTINEL_DB_KEY", "0f".repeat(32))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let key = lines.find_map(|line| Some(line.split_once(" key ")?.1.parse().unwrap())).unwrap();
        let line = lines.find(|line| line.contains("sensors connect to ")).unwrap();
        let (listen, rest) = line.split_once("sensors connect to ").unwrap().1.split_once(';').unwrap();
        let http = rest.rsplit_once("http://").unwrap().1.trim_end_matches('/');
        let (listen, http) = (listen.parse().unwrap(), http.parse().unwrap());
        std::thread::spawn(move || lines.for_each(drop)); // so that it can write its log
        Self { child, listen, http, key }
    }

    fn resident_kib(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line =
            |name| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace('\t', " ");
        format!("{}, {}", line("VmRSS"), line("VmHWM"))
    }

    /// Lines of the metrics about rejections and limits that are not zero.
    async fn refusals(&self) -> String {
        let (_, text) = get(self.http, "/metrics").await;
        let shown = |line: &&str| {
            (line.contains("rejected_total{") || line.contains("limits_total{")) && !line.ends_with(" 0")
        };
        let lines: Vec<&str> = text.lines().filter(shown).collect();
        lines.join(", ").replace("sentinel_collector_", "")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Enrolls `count` sensors, in the store itself.
fn sensors(data: &Path, count: usize) -> Vec<KeyPair> {
    let pairs: Vec<KeyPair> = (0..count).map(|_| KeyPair::generate().unwrap()).collect();
    let mut sql = String::from("BEGIN;");
    for (number, pair) in pairs.iter().enumerate() {
        let key: String = pair.public().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        sql += &format!(
            "INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (x'{key}', 's{number}', 0);"
        );
    }
    files(data).open_writer().unwrap().execute_batch(&(sql + "COMMIT;")).unwrap();
    pairs
}

/// Median, 99th percentile and longest.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "a place in a short list"
        )]
        let place = ((times.len() as f64) * share) as usize;
        times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    format!("{} times: p50 {:?}, p99 {:?}, longest {:?}", times.len(), at(0.5), at(0.99), at(1.0))
}

/// One sensor with a full spool: `alerts` in batches of 64, at most 16 unacknowledged. Returns how often it was refused or
/// disconnected, its handshakes and the age of each acknowledgement.
async fn drain(
    to: SocketAddr,
    pair: KeyPair,
    key: PublicKey,
    alerts: usize,
) -> (usize, Vec<Duration>, Vec<Duration>) {
    let last = u64::try_from(alerts).unwrap();
    let (mut failures, mut handshakes, mut acks, mut acked) = (0, Vec::new(), Vec::new(), 0);
    while acked < last {
        let started = Instant::now();
        let mut peer = connect(to, &pair, &key, 1).await;
        match peer.next_within(Duration::from_secs(60)).await {
            Some(Received::Welcome { acked: known, .. }) => acked = known.map_or(0, |id| id.seq),
            _ => {
                failures += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        }
        handshakes.push(started.elapsed());
        let (mut next, mut in_flight) = (acked + 1, std::collections::VecDeque::new());
        while acked < last {
            while in_flight.len() < 16 && next <= last {
                let end = last.min(next + 63);
                in_flight.push_back((peer.send_alerts(1, next..=end).await, Instant::now()));
                next = end + 1;
            }
            let Some(Received::Ack(id)) = peer.next_within(Duration::from_secs(30)).await else {
                failures += 1;
                break;
            };
            acked = id.seq;
            while let Some((_, sent)) = in_flight.pop_front_if(|(end, _)| end.seq <= acked) {
                acks.push(sent.elapsed());
            }
        }
    }
    (failures, handshakes, acks)
}

/// All sensors behind one address come back at once, each with a full spool.
#[test]
#[ignore = "minutes"]
fn full_spools_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(directory.path());
    let (count, alerts) = (setting("SENSORS", 2_500), setting("ALERTS", 1_000));
    let pairs = sensors(directory.path(), count);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (to, key, started) = (collector.listen, collector.key, Instant::now());
    let results = runtime.block_on(async {
        let tasks: Vec<_> =
            pairs.into_iter().map(|pair| tokio::spawn(drain(to, pair, key, alerts))).collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    });
    let took = started.elapsed();
    let failures: usize = results.iter().map(|(failures, ..)| failures).sum();
    println!("{count} sensors, {alerts} alerts each: {took:?}, {} alerts/s", rate(count * alerts, took));
    println!("refused or disconnected {failures}; {}", runtime.block_on(collector.refusals()));
    println!("handshakes {}", figures(results.iter().flat_map(|(_, times, _)| times.clone()).collect()));
    println!("acks {}", figures(results.into_iter().flat_map(|(.., times)| times).collect()));
    println!("{}", collector.resident_kib());
    assert_eq!(failures, 0, "an honest sensor was refused");
}

fn rate(count: usize, took: Duration) -> u128 {
    u128::try_from(count).unwrap() * 1_000 / took.as_millis().max(1)
}

/// One step of an attacker; the connection stays open until it is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attack {
    Nothing,
    Idle,
    HalfHandshakes,
    Foreign,
    Gaps,
    Alerts,
    SlowQueries,
}

const ALL: [Attack; 7] = [
    Attack::Nothing,
    Attack::Idle,
    Attack::HalfHandshakes,
    Attack::Foreign,
    Attack::Gaps,
    Attack::Alerts,
    Attack::SlowQueries,
];

struct Target {
    listen: SocketAddr,
    http: SocketAddr,
    key: PublicKey,
    stop: AtomicBool,
    steps: AtomicUsize,
}

async fn connection(to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).ok()?;
    socket.connect(to).await.ok()
}

async fn attack(kind: Attack, target: &Target, pair: &KeyPair) {
    let recorded =
        SensorSession::connect(pair, &target.key, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let message = recorded.pending().to_vec();
    let mut enrolled = matches!(kind, Attack::Gaps | Attack::Alerts).then_some(());
    let mut peer: Option<SensorClient> = None;
    if enrolled.take().is_some() {
        let mut client = connect(target.listen, pair, &target.key, 1).await;
        assert!(matches!(client.next().await, Received::Welcome { .. }));
        peer = Some(client);
    }
    let mut open = std::collections::VecDeque::new();
    let mut seq = 1;
    while !target.stop.load(Ordering::Relaxed) {
        match kind {
            Attack::Nothing => tokio::time::sleep(Duration::from_millis(50)).await,
            Attack::Idle => open.push_back(connection(target.listen).await),
            Attack::HalfHandshakes | Attack::Foreign => {
                let bytes = if kind == Attack::Foreign { &b"GET / HTTP/1.1\r\n\r\n"[..] } else { &message };
                let mut stream = connection(target.listen).await;
                if let Some(stream) = &mut stream {
                    let _ = stream.write_all(bytes).await;
                }
                open.push_back(stream);
            }
            Attack::Gaps => flood(&mut peer, seq, true).await,
            Attack::Alerts => flood(&mut peer, seq, false).await,
            Attack::SlowQueries => {
                if let Some(mut stream) = connection(target.http).await {
                    let query =
                        "GET /api/v1/alerts?kind=dns_tunnel&until=1 HTTP/1.0\r\nHost: localhost\r\n\r\n";
                    let _ = stream.write_all(query.as_bytes()).await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            }
        }
        seq += 64;
        target.steps.fetch_add(1, Ordering::Relaxed);
        if open.len() > 2_000 {
            open.pop_front();
        }
    }
}

/// Sends without reading: acknowledgements pile up in the buffers of the kernel, as an attacker would let them.
async fn flood(peer: &mut Option<SensorClient>, seq: u64, gaps: bool) {
    let Some(peer) = peer else { return };
    let work = async {
        if gaps {
            let (lost_by_severity, reason) = ([u32::MAX; 5], GapReason::SpoolFull);
            let gap = Gap { boot: 1, first_seq: 1, last_seq: seq + 1, lost_by_severity, reason };
            peer.send(&ToCollector::Gap(gap)).await;
        } else {
            peer.send_alerts(1, seq..=seq + 63).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), work).await;
}

/// Honest sensors that send an alert ten times a second, and others that connect again and again.
async fn honest(target: Arc<Target>, pairs: Vec<KeyPair>, span: Duration) -> (Vec<Duration>, Vec<Duration>) {
    let until = Instant::now() + span;
    let (mut deliver, mut reconnect) = (Vec::new(), Vec::new());
    for (number, pair) in pairs.into_iter().enumerate() {
        let target = Arc::clone(&target);
        if number < 20 {
            deliver.push(tokio::spawn(async move { acks(&target, &pair, until).await }));
        } else {
            reconnect.push(tokio::spawn(async move { handshakes(&target, &pair, until).await }));
        }
    }
    let (mut acks, mut handshakes) = (Vec::new(), Vec::new());
    for task in deliver {
        acks.extend(task.await.unwrap());
    }
    for task in reconnect {
        handshakes.extend(task.await.unwrap());
    }
    (acks, handshakes)
}

async fn acks(target: &Target, pair: &KeyPair, until: Instant) -> Vec<Duration> {
    let mut peer = connect(target.listen, pair, &target.key, 1).await;
    let Received::Welcome { acked, .. } = peer.next().await else { panic!("no welcome") };
    let (mut times, mut seq) = (Vec::new(), acked.map_or(0, |id| id.seq));
    while Instant::now() < until {
        seq += 1;
        let started = Instant::now();
        let last = peer.send_alerts(1, seq..=seq).await;
        peer.until_acked(last).await;
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    times
}

async fn handshakes(target: &Target, pair: &KeyPair, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let started = Instant::now();
        let mut peer = connect(target.listen, pair, &target.key, 1).await;
        let answer = peer.next().await;
        assert!(matches!(answer, Received::Welcome { .. }), "{answer:?}");
        times.push(started.elapsed());
        drop(peer);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    times
}

#[test]
#[ignore = "minutes"]
fn honest_sensors_under_each_attack() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(directory.path());
    let pairs = sensors(directory.path(), 48);
    let span = Duration::from_secs(u64::try_from(setting("SECONDS", 10)).unwrap());
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (measured, attackers) = (runtime(), runtime());
    for kinds in ALL.iter().map(|kind| vec![*kind]).chain([ALL.to_vec()]) {
        let target = Arc::new(Target {
            listen: collector.listen,
            http: collector.http,
            key: collector.key,
            stop: AtomicBool::new(false),
            steps: AtomicUsize::new(0),
        });
        let bytes: Vec<_> = pairs.iter().map(KeyPair::secret_bytes).collect();
        let pair = |number: usize| KeyPair::from_bytes(bytes.get(number).expect("a sensor"));
        let tasks: Vec<_> = (0..4)
            .flat_map(|copy| kinds.iter().enumerate().map(move |(number, kind)| (copy, number, *kind)))
            .map(|(copy, number, kind)| {
                let (target, pair) = (Arc::clone(&target), pair(20 + (copy * 7 + number) % 14));
                attackers.spawn(async move { attack(kind, &target, &pair).await })
            })
            .collect();
        let honest_pairs = (0..20).chain(34..48).map(pair).collect();
        let (acks, handshakes) = measured.block_on(honest(Arc::clone(&target), honest_pairs, span));
        target.stop.store(true, Ordering::Relaxed);
        println!("{kinds:?}, {} steps/s", rate(target.steps.load(Ordering::Relaxed), span));
        println!("  acks {}\n  handshakes {}", figures(acks), figures(handshakes));
        println!("  {}; {}", measured.block_on(collector.refusals()), collector.resident_kib());
        measured.block_on(async { drop(tokio::time::timeout(Duration::from_secs(2), futures(tasks)).await) });
    }
}

async fn futures(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        let _ = task.await;
    }
}
