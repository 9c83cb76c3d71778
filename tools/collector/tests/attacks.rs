//! Attacks and load at full strength against the program, with figures. Not part of a normal run, and of use only optimised:
//!
//! ```sh
//! cargo test --release -p sentinel-collector --test attacks -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `SENSORS`, `ALERTS` (of each full spool) and `ATTACK_SECONDS` (of each attack) change the size; `ACK_MS` and `HANDSHAKE_MS` are the
//! bounds of the 99th percentiles, 250 and 2,000. `COLLECTOR` names another program than that of this build.
//!
//! Attackers and honest sensors are other machines: the collector has the first half of the processors for itself, and they have the
//! rest. Attackers have the lowest priority there, and honest sensors, as root, a higher one than usual. On a machine with one
//! processor all share it. Each figure comes with the processor time that the collector took, and what attackers and sensors did
//! together.

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

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sentinel_units::Uptime;
use sentinel_uplink::{Cipher, Gap, GapReason, KeyPair, Limits, PublicKey, SensorSession, ToCollector};
use support::http::get;
use support::sensor::{Received, SensorClient, connect};
use support::{files, fill};
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
        let program = std::env::var("COLLECTOR");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_sentinel-collector").into());
        let mut child = Command::new(program)
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

    /// A collector that has the first half of the processors for itself; the calling thread, and those that it starts, have the rest.
    fn start_apart(data: &Path) -> Self {
        let (first, rest) = halves(&sched_getaffinity(None).unwrap());
        sched_setaffinity(None, &first).unwrap();
        let collector = Self::start(data);
        sched_setaffinity(None, &rest).unwrap();
        collector
    }

    fn resident_kib(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line =
            |name| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace('\t', " ");
        format!("{}, {}", line("VmRSS"), line("VmHWM"))
    }

    /// Processor time of the collector and of this process, in hundredths of a second.
    fn processor_time(&self) -> (u64, u64) {
        let of = |process: &str| -> u64 {
            let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
            // proc(5): utime and stime are 14 and 15; the name, which may have blanks, ends with the last parenthesis.
            let fields = text.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
            fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
        };
        (of(&self.child.id().to_string()), of("self"))
    }

    /// Number of transactions by upper bound of their duration in seconds.
    async fn commits(&self) -> String {
        let (_, text) = get(self.http, "/metrics").await;
        let lines =
            text.lines().filter_map(|line| line.strip_prefix("sentinel_collector_commit_seconds_bucket"));
        lines.collect::<Vec<_>>().join(" ").replace("le=", "")
    }

    /// Stored alerts that are not part of an incident yet; none of a program that makes no incidents.
    async fn behind(&self) -> usize {
        let (_, text) = get(self.http, "/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix("sentinel_collector_index_behind "));
        line.and_then(|number| number.parse().ok()).unwrap_or_default()
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

/// The first half of the processors of `all`, and the rest; both times all of them if there is only one.
fn halves(all: &CpuSet) -> (CpuSet, CpuSet) {
    let (mut first, mut rest, half) = (CpuSet::new(), CpuSet::new(), all.count() / 2);
    if half == 0 {
        return (*all, *all);
    }
    for processor in (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor)) {
        let of_half = if first.count() < half { &mut first } else { &mut rest };
        of_half.set(processor);
    }
    (first, rest)
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

/// Time that `percent` of `times`, which are sorted, do not exceed.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let place = (times.len().saturating_sub(1)) * percent / 100;
    times.get(place).copied().unwrap_or_default()
}

/// Median, 99th percentile and longest, and the 99th percentile alone.
fn figures(mut times: Vec<Duration>) -> (String, Duration) {
    times.sort_unstable();
    let [p50, p99, longest] = [50, 99, 100].map(|percent| percentile(&times, percent));
    (format!("{} times: p50 {p50:.1?}, p99 {p99:.1?}, longest {longest:.1?}", times.len()), p99)
}

/// Time for which a sensor waits for an acknowledgement: as for any message, see [`Limits::idle`].
const ACK_WAIT: Duration = Limits::SENSOR.idle;

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
                in_flight.push_back((peer.send_messages(1, next..=end).await, Instant::now()));
                next = end + 1;
            }
            let Some(Received::Ack(id)) = peer.next_within(ACK_WAIT).await else {
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
    let per_second = rate(count * alerts, took);
    println!("{count} sensors, {alerts} alerts each: {took:?}, {per_second} alerts/s");
    println!("refused or disconnected {failures}; {}", runtime.block_on(collector.refusals()));
    println!("handshakes {}", figures(results.iter().flat_map(|(_, times, _)| times.clone()).collect()).0);
    println!("acks {}", figures(results.into_iter().flat_map(|(.., times)| times).collect()).0);
    println!("{}; {}", collector.resident_kib(), runtime.block_on(collector.commits()));
    assert_eq!(failures, 0, "an honest sensor was refused");
}

/// Alerts a second, sensors included, beside rows a second of a loop that does nothing but insert.
#[test]
#[ignore = "minutes"]
fn alerts_per_second() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(directory.path());
    let (count, alerts) = (setting("SENSORS", 64), setting("ALERTS", 4_000));
    let pairs = sensors(directory.path(), count);
    let rows = count * alerts;
    let plain = rate(rows, insert_loop(&directory.path().join("plain.db"), rows));
    let own = tempfile::tempdir().unwrap();
    drop(files(own.path()).open_writer().unwrap());
    let same_tables = rate(rows, insert_rows(&files(own.path()).open_writer().unwrap(), rows));
    let (to, key, started) = (collector.listen, collector.key, Instant::now());
    runtime(0).block_on(async {
        let tasks: Vec<_> =
            pairs.into_iter().map(|pair| tokio::spawn(drain(to, pair, key, alerts))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().0, 0, "refused");
        }
    });
    let collected = rate(rows, started.elapsed());
    let (behind, followed) = (runtime(0).block_on(collector.behind()), Instant::now());
    while runtime(0).block_on(collector.behind()) > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (caught_up, in_all) = (rate(behind, followed.elapsed()), rate(rows, started.elapsed()));
    println!("incidents: {behind} behind at the end, then {caught_up} alerts/s; {in_all} alerts/s in all");
    println!("{count} sensors, {alerts} alerts each: {collected} alerts/s, {}", collector.resident_kib());
    println!(
        "plain SQLite, one table without an index: {plain} rows/s, of which {} %",
        collected * 100 / plain
    );
    println!(
        "SQLCipher, the same table and indexes: {same_tables} rows/s, of which {} %",
        collected * 100 / same_tables
    );
}

/// Inserts rows like those of alerts into one plain table, 4,096 a transaction.
fn insert_loop(path: &Path, rows: usize) -> Duration {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
               CREATE TABLE alerts (id INTEGER PRIMARY KEY AUTOINCREMENT, sensor INTEGER, boot INTEGER, seq INTEGER,
                   time_us INTEGER, received_at_us INTEGER, kind INTEGER, severity INTEGER, wire BLOB);";
    connection.execute_batch(sql).unwrap();
    insert_rows(&connection, rows)
}

fn insert_rows(connection: &rusqlite::Connection, rows: usize) -> Duration {
    let started = Instant::now();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let sql = "INSERT INTO alerts (sensor, boot, seq, time_us, received_at_us, kind, severity, wire)
               VALUES (?, 1, ?, ?, ?, 1, 2, zeroblob(40))";
    for first in (0..rows).step_by(4_096) {
        let transaction = connection.unchecked_transaction().unwrap();
        let mut statement = transaction.prepare_cached(sql).unwrap();
        for row in first..rows.min(first + 4_096) {
            let row = i64::try_from(row).unwrap();
            statement.execute([row / 64 % 64, row, row, row]).unwrap();
        }
        drop(statement);
        transaction.commit().unwrap();
    }
    started.elapsed()
}

/// Cost of scrapes and of the list of sensors with 5,000 sensors, each with telemetry, and what an acknowledgement takes meanwhile.
#[test]
#[ignore = "half a minute"]
fn scrapes_each_second() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(directory.path());
    let pairs = sensors(directory.path(), setting("SENSORS", 5_000));
    let names =
        sentinel_uplink::Counter::ALL.iter().map(|counter| format!("\"{}\":123456789", counter.name()));
    let telemetry = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
    let sql = "UPDATE sensors SET telemetry = ?, telemetry_at_us = 1, last_seen_at_us = 1, host = 'router',
               interfaces = 'br-lan', software = '0.1.0'";
    files(directory.path()).open_writer().unwrap().execute(sql, [telemetry]).unwrap();
    let target = Arc::new(Target::of(&collector));
    for path in ["", "/metrics", "/api/v1/sensors", "/api/v1/stats"] {
        let before = collector.processor_time();
        let (seconds, runtime) = (setting("ATTACK_SECONDS", 8), runtime(0));
        let scraper = Arc::clone(&target);
        let scrapes = runtime.spawn(async move {
            let (mut times, mut bytes) = (Vec::new(), 0);
            for _ in 0..if path.is_empty() { 0 } else { seconds } {
                let started = Instant::now();
                let (status, body) = get(scraper.http, path).await;
                assert_eq!(status, 200);
                times.push(started.elapsed());
                bytes = body.len();
                tokio::time::sleep(Duration::from_secs(1).saturating_sub(started.elapsed())).await;
            }
            (times, bytes)
        });
        let span = Duration::from_secs(u64::try_from(seconds).unwrap());
        let (acks, _) = runtime.block_on(honest(Arc::clone(&target), pairs[..DELIVERING].to_vec(), span));
        let (times, bytes) = runtime.block_on(scrapes).unwrap();
        let took = collector.processor_time().0 - before.0;
        let milliseconds = took * 10 / u64::try_from(seconds).unwrap();
        println!(
            "{path} of {bytes} bytes: {}; {milliseconds} ms of processor time a second",
            figures(times).0
        );
        println!("  acks {}; {}", figures(acks).0, collector.resident_kib());
    }
}

fn rate(count: usize, took: Duration) -> u128 {
    u128::try_from(count).unwrap() * 1_000 / took.as_millis().max(1)
}

/// Step that attackers repeat as often as they can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attack {
    Nothing,
    /// Connections that send nothing.
    Idle,
    /// Recorded first messages of an enrolled sensor.
    HalfHandshakes,
    /// First messages of keys that are not enrolled.
    Strangers,
    /// Bytes of another protocol.
    Foreign,
    /// Gaps over everything stored, from enrolled sensors.
    Gaps,
    /// Alerts, from enrolled sensors.
    Alerts,
    /// 1,000 enrolled sensors with a spool that has no end.
    Overload,
    /// Half of the header of an HTTP request, on connections that stay open.
    HalfRequests,
    /// Twelve searches at a time that find nothing.
    SlowQueries,
}

const ALL: [Attack; 10] = [
    Attack::Nothing,
    Attack::Idle,
    Attack::HalfHandshakes,
    Attack::Strangers,
    Attack::Foreign,
    Attack::Gaps,
    Attack::Alerts,
    Attack::Overload,
    Attack::HalfRequests,
    Attack::SlowQueries,
];

impl Attack {
    /// Tasks at a time, and connections that each of them keeps open. `share` is the number of attacks that run together: they
    /// share the descriptors of this process.
    const fn size(self, share: usize) -> (usize, usize) {
        match self {
            Self::Nothing => (1, 0),
            Self::Idle | Self::HalfHandshakes | Self::Strangers | Self::Foreign => (4, 2_500 / 4),
            Self::Gaps | Self::Alerts => (LIARS / 2, 0),
            Self::Overload => (OVERLOAD, 0),
            Self::HalfRequests if share > 1 => (4, 1_000),
            Self::HalfRequests => (4, 10_256 / 4),
            Self::SlowQueries => (12, 0),
        }
    }
}

/// Enrolled sensors: those that deliver, those that connect again and again, those that flood, and those with a spool.
const DELIVERING: usize = 20;
const CONNECTING: usize = 14;
const LIARS: usize = 14;
const OVERLOAD: usize = 1_000;

struct Target {
    listen: SocketAddr,
    http: SocketAddr,
    key: PublicKey,
    stop: AtomicBool,
    steps: AtomicUsize,
}

impl Target {
    fn of(collector: &Collector) -> Self {
        let (stop, steps) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { listen: collector.listen, http: collector.http, key: collector.key, stop, steps }
    }
}

async fn connection(to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    // Closed by a reset: a port that waits for its time-out makes the next `bind` search, and the attack slow.
    socket.set_zero_linger().ok()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).ok()?;
    socket.connect(to).await.ok()
}

fn first_message(pair: &KeyPair, to: &PublicKey) -> Vec<u8> {
    let session = SensorSession::connect(pair, to, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    session.pending().to_vec()
}

/// Repeats the step of an attack until it is stopped.
async fn attack(kind: Attack, target: &Target, pair: &KeyPair, kept: usize) {
    let sender = if kind == Attack::Strangers { &KeyPair::generate().unwrap() } else { pair };
    let (to, message) = match kind {
        Attack::Foreign => (target.listen, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        Attack::HalfRequests => (target.http, b"GET / HTTP/1.1\r\nHost: local".to_vec()),
        Attack::Idle => (target.listen, Vec::new()),
        _ => (target.listen, first_message(sender, &target.key)),
    };
    let mut peer = None;
    // May take several attempts, as attackers have what processor time is left.
    while peer.is_none()
        && matches!(kind, Attack::Gaps | Attack::Alerts)
        && !target.stop.load(Ordering::Relaxed)
    {
        let mut client = connect(target.listen, pair, &target.key, 1).await;
        if let Some(Received::Welcome { .. }) = client.next_within(Duration::from_secs(30)).await {
            peer = Some(client);
        }
    }
    let (mut open, mut seq) = (std::collections::VecDeque::new(), 1);
    while !target.stop.load(Ordering::Relaxed) {
        match kind {
            Attack::Nothing => tokio::time::sleep(Duration::from_millis(50)).await,
            Attack::Gaps => flood(&mut peer, seq, true).await,
            Attack::Alerts => flood(&mut peer, seq, false).await,
            Attack::Overload => {
                let endless = drain(target.listen, pair.clone(), target.key, 1_000_000);
                let _ = tokio::time::timeout(Duration::from_secs(60), endless).await;
            }
            Attack::SlowQueries => search(target.http).await,
            _ => {
                let mut stream = connection(to).await;
                if let Some(stream) = &mut stream {
                    let _ = stream.write_all(&message).await;
                }
                open.push_back(stream);
            }
        }
        seq += 64;
        target.steps.fetch_add(1, Ordering::Relaxed);
        if open.len() > kept {
            open.pop_front();
        }
    }
}

/// Half of the rows have to be looked at, see [`fill`].
async fn search(http: SocketAddr) {
    let query = "GET /api/v1/alerts?kind=syn_flood&severity=info HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if let Some(mut stream) = connection(http).await {
        let _ = stream.write_all(query.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
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
        if number < DELIVERING {
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

/// A runtime of two threads; `niceness` is that of the threads.
fn runtime(niceness: i32) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let start = move || {
        let _ = rustix::process::nice(niceness); // less than zero for root only
    };
    builder.worker_threads(2).enable_all().on_thread_start(start).build().unwrap()
}

#[test]
#[ignore = "minutes"]
fn honest_sensors_under_each_attack() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start_apart(directory.path());
    let pairs = sensors(directory.path(), DELIVERING + CONNECTING + LIARS + OVERLOAD);
    let (honest_pairs, others) = pairs.split_at(DELIVERING + CONNECTING);
    let span = Duration::from_secs(u64::try_from(setting("ATTACK_SECONDS", 10)).unwrap());
    let bound = |name, ms| Duration::from_millis(u64::try_from(setting(name, ms)).unwrap());
    let bounds = (bound("ACK_MS", 250), bound("HANDSHAKE_MS", 2_000));
    let measured = runtime(-5);
    measured.block_on(one_alert(&collector, &honest_pairs[0]));
    fill(directory.path(), 300_000);
    let mut missed = Vec::new();
    for kinds in ALL.iter().map(|kind| vec![*kind]).chain([ALL.to_vec()]).filter(|kinds| is_chosen(kinds)) {
        let mut attackers = Vec::new();
        let target = Arc::new(Target::of(&collector));
        let before = collector.processor_time();
        for kind in &kinds {
            let (copies, kept) = kind.size(kinds.len());
            let of_kind = match kind {
                Attack::Gaps => &others[..LIARS / 2],
                Attack::Alerts => &others[LIARS / 2..LIARS],
                _ => &others[LIARS..],
            };
            let of_kind_only = runtime(10); // so that each has its share of what is left
            for pair in of_kind.iter().cycle().take(copies) {
                let (target, pair, kind) = (Arc::clone(&target), pair.clone(), *kind);
                of_kind_only.spawn(async move { attack(kind, &target, &pair, kept).await });
            }
            attackers.push(of_kind_only);
        }
        std::thread::sleep(span / 4); // at full strength from here on
        let (acks, handshakes) = measured.block_on(honest(Arc::clone(&target), honest_pairs.to_vec(), span));
        target.stop.store(true, Ordering::Relaxed);
        let after = collector.processor_time();
        println!("{kinds:?}, {} steps/s", rate(target.steps.load(Ordering::Relaxed), span * 5 / 4));
        let (acks, handshakes) = (figures(acks), figures(handshakes));
        println!("  acks {}\n  handshakes {}", acks.0, handshakes.0);
        let percent = |before, after| (after - before) / span.as_secs().max(1) * 4 / 5;
        println!(
            "  % of a processor: collector {}, attackers and sensors {}; {}",
            percent(before.0, after.0),
            percent(before.1, after.1),
            collector.resident_kib()
        );
        println!("  {}", measured.block_on(collector.refusals()));
        println!("  transactions {}", measured.block_on(collector.commits()));
        if acks.1 > bounds.0 || handshakes.1 > bounds.1 {
            missed.push(format!("{kinds:?}: acks {:?}, handshakes {:?}", acks.1, handshakes.1));
        }
        attackers.into_iter().for_each(|runtime| runtime.shutdown_timeout(Duration::from_millis(500)));
    }
    assert!(missed.is_empty(), "over {bounds:?}: {missed:#?}");
}

/// `ATTACK` names the attack to run, or `together` for all at once.
fn is_chosen(kinds: &[Attack]) -> bool {
    let Ok(chosen) = std::env::var("ATTACK") else { return true };
    match kinds {
        [kind] => format!("{kind:?}") == chosen,
        _ => chosen == "together",
    }
}

/// Stores one alert of `pair`.
async fn one_alert(collector: &Collector, pair: &KeyPair) {
    let mut peer = connect(collector.listen, pair, &collector.key, 1).await;
    assert!(matches!(peer.next().await, Received::Welcome { .. }));
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
}
