//! `kill -9` of the program at random moments under load: what was acknowledged is there, once, and the incidents are those of the
//! stored alerts.
//!
//! ```sh
//! CRASHES=1000 cargo nextest run --release -p sentinel-collector --test crash
//! ```
//!
//! `CRASH_SEED` gives another sequence of moments, `COLLECTOR` names another program.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sentinel_uplink::{KeyPair, PublicKey};
use support::http::{get_json, request};
use support::sensor::{Received, connect, enrolled};
use support::{eventually, files};

/// Numbers of the last acknowledged message and of the notes that were answered, by incident.
#[derive(Default)]
struct Promised {
    acked: u64,
    notes: BTreeMap<i64, u64>,
    /// Notes that were asked for, answered or not.
    asked: BTreeMap<i64, u64>,
}

/// Linear congruential generator (Knuth, MMIX): the moments of one seed are the same in each run.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn spawn(data: &Path) -> Child {
    let program = std::env::var("COLLECTOR");
    Command::new(program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_sentinel-collector").into()))
        .args(["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
        .arg(data)
        .env("SENTINEL_DB_KEY", "0f".repeat(32))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Addresses for sensors and of the interface.
fn addresses(child: &mut Child) -> (SocketAddr, SocketAddr) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("sensors connect to ")).unwrap();
    let (listen, rest) = line.split_once("sensors connect to ").unwrap().1.split_once(';').unwrap();
    let http = rest.rsplit_once("http://").unwrap().1.trim_end_matches('/');
    let found = (listen.parse().unwrap(), http.parse().unwrap());
    std::thread::spawn(move || lines.for_each(drop)); // so that it can write its log
    found
}

/// Sends messages and notes until `until`, and remembers what is acknowledged.
async fn load(
    (listen, http): (SocketAddr, SocketAddr),
    (pair, key): (&KeyPair, &PublicKey),
    promised: &mut Promised,
    (until, size): (Instant, u64),
) {
    let mut peer = connect(listen, pair, key, 1).await;
    let Received::Welcome { acked, .. } = peer.next().await else { panic!("no welcome") };
    let stored = acked.map_or(0, |id| id.seq);
    assert!(stored >= promised.acked, "acknowledged up to {}, and {stored} are stored", promised.acked);
    promised.acked = stored;
    let mut next = stored + 1;
    while Instant::now() < until {
        let last = peer.send_messages(1, next..=next + size).await;
        next += size + 1;
        let id = i64::try_from(next % 50 + 1).unwrap();
        *promised.asked.entry(id).or_default() += 1;
        let body = "{\"note\":\"looked at\",\"state\":\"seen\"}";
        let text = format!(
            "PATCH /api/v1/incidents/{id} HTTP/1.0\r\nHost: {http}\r\nOrigin: http://{http}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if request(http, &text).await.0 == 200 {
            *promised.notes.entry(id).or_default() += 1;
        }
        while let Some(Received::Ack(id)) = peer.next_within(Duration::from_secs(5)).await {
            promised.acked = id.seq;
            if id == last {
                break;
            }
        }
    }
    // More of it is under way when the program is killed.
    for _ in 0..8 {
        peer.send_messages(1, next..=next + size).await;
        next += size + 1;
    }
    if let Some(Received::Ack(id)) = peer.next_within(Duration::from_millis(3)).await {
        promised.acked = id.seq;
    }
}

/// Waits until every stored alert is part of an incident.
async fn taken(http: SocketAddr) {
    eventually("everything is taken", || async {
        let (status, page) = get_json(http, "/api/v1/incidents?limit=1").await;
        status == 200 && page["behind"] == 0
    })
    .await;
}

fn number(connection: &Connection, sql: &str) -> u64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn check(connection: &Connection, promised: &Promised) {
    let stored = number(connection, "SELECT count(*) FROM alerts");
    assert!(stored >= promised.acked, "{stored} of {} acknowledged", promised.acked);
    assert_eq!(number(connection, "SELECT max(seq) FROM alerts"), stored, "a hole, or one twice");
    assert_eq!(number(connection, "SELECT stored FROM sensors"), stored);
    // Messages 3n - 2 to 3n are those of incident n.
    assert_eq!(number(connection, "SELECT count(*) FROM incidents"), stored.div_ceil(3));
    assert_eq!(number(connection, "SELECT sum(messages) FROM incidents"), stored);
    assert_eq!(number(connection, "SELECT count(*) FROM incident_messages"), stored);
    let wrong = "SELECT count(*) FROM incident_messages m JOIN incidents i ON i.id = m.incident
                 JOIN alerts a ON a.id = m.alert WHERE i.number <> (a.seq + 2) / 3";
    assert_eq!(number(connection, wrong), 0, "messages of another incident");
    let wrong = "SELECT count(*) FROM incidents WHERE messages <> 3 OR phase <> 1 OR last_seq <> number * 3";
    assert!(number(connection, wrong) <= 1, "all but the last one are whole and closed");
    let wrong = "SELECT count(*) FROM incidents i WHERE
                 (SELECT count(*) FROM incident_addresses WHERE incident = i.id) <> 2";
    assert_eq!(number(connection, wrong), 0, "addresses");
    assert_eq!(
        number(connection, "SELECT position FROM consumers"),
        number(connection, "SELECT max(id) FROM alerts")
    );
    for (id, answered) in &promised.notes {
        let sql = format!("SELECT count(*) FROM incident_changes WHERE incident = {id}");
        let (kept, asked) = (number(connection, &sql), promised.asked[id]);
        assert!(
            (*answered..=asked).contains(&kept),
            "incident {id}: {answered} answered, {kept} kept, {asked} asked"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let (crashes, mut moments) = (setting("CRASHES", 8), Moments(setting("CRASH_SEED", 1)));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut child = spawn(data);
    let (listen, http) = addresses(&mut child);
    let (pair, key) = enrolled(data, listen, "branch-7").await;
    let mut promised = Promised::default();
    // The first fifty incidents, which the notes are about.
    let mut peer = connect(listen, &pair, &key, 1).await;
    assert!(matches!(peer.next().await, Received::Welcome { .. }));
    for first in (1..=150).step_by(30) {
        let last = peer.send_messages(1, first..=first + 29).await;
        peer.until_acked(last).await;
    }
    promised.acked = 150;
    taken(http).await;
    child.kill().unwrap();
    child.wait().unwrap();
    for crash in 1..=crashes {
        let mut child = spawn(data);
        if moments.below(5) == 0 {
            // While it starts.
            tokio::time::sleep(Duration::from_micros(moments.below(60_000))).await;
        } else {
            let found = addresses(&mut child);
            let until = Instant::now() + Duration::from_micros(moments.below(60_000));
            load(found, (&pair, &key), &mut promised, (until, moments.below(38))).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if crash.is_multiple_of(50) {
            println!("{crash} kills, {} acknowledged", promised.acked);
        }
    }
    let mut child = spawn(data);
    let (_, http) = addresses(&mut child);
    taken(http).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(promised.acked > 0 && !promised.notes.is_empty(), "nothing was under way");
    check(&files(data).open_reader().unwrap(), &promised);
    println!("{} acknowledged, {} notes", promised.acked, promised.notes.values().sum::<u64>());
}
