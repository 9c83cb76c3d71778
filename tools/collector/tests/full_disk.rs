//! A disk that is full: a small tmpfs in a mount namespace of its own.

#![expect(
    clippy::unwrap_used,
    reason = "the lint spares test functions only, and what they call serves tests alone"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sentinel_uplink::{KeyPair, Token};
use support::eventually;
use support::http::{get, get_json};
use support::sensor::{Received, connected, enroll};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sentinel-collector");

/// A collector on a tmpfs of 12 MiB, of which 8 are taken.
struct Collector {
    child: Child,
    listen: SocketAddr,
    http: SocketAddr,
    /// The file that takes most of it, as this process sees it.
    ballast: PathBuf,
}

impl Collector {
    fn start(directory: &Path, made: &Path) -> Self {
        let script = "mount -t tmpfs -o size=12m tmpfs \"$0\" && cp -r \"$2\" \"$0/data\" &&
            head -c 8388608 /dev/zero > \"$0/ballast\" &&
            exec \"$1\" run --data \"$0/data\" --listen 127.0.0.1:0 --http 127.0.0.1:0";
        let mut child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(directory)
            .arg(PROGRAM)
            .arg(made)
            .env_remove("SENTINEL_DB_KEY")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("sensors connect to")).unwrap();
        // The rest is read, so that the program never waits for it.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        let (_, rest) = line.split_once("sensors connect to ").unwrap();
        let (listen, rest) = rest.split_once(';').unwrap();
        let http = rest.rsplit_once("http://").unwrap().1.trim_end_matches('/');
        let inside = directory.strip_prefix("/").unwrap();
        let ballast =
            Path::new("/proc").join(child.id().to_string()).join("root").join(inside).join("ballast");
        Self { child, listen: listen.parse().unwrap(), http: http.parse().unwrap(), ballast }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing is acknowledged, that is said, nothing acknowledged is lost, and with room it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledging_and_says_so() {
    let may = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("no namespaces here; the writer's own test covers a file that may not grow");
        return;
    }
    let (directory, first) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = first.path().join("data");
    // Before: the library resolves links, and would look for the file outside of the namespace.
    let enrolled = Command::new(PROGRAM)
        .args(["enroll", "--create", "--name", "a", "--address", "127.0.0.1:4477", "--data"])
        .arg(&made)
        .env_remove("SENTINEL_DB_KEY")
        .output()
        .unwrap();
    let token: Token = String::from_utf8(enrolled.stdout).unwrap().trim().parse().unwrap();
    let collector = Collector::start(directory.path(), &made);
    let (listen, http) = (collector.listen, collector.http);
    let pair = KeyPair::generate().unwrap();
    assert_eq!(enroll(&pair, &token, listen, "").await, Received::Welcome { name: "a".into(), acked: None });
    let (mut peer, _) = connected(listen, &pair, token.collector(), 1).await;
    let (mut sent, mut acked) = (0, 0);
    loop {
        let last = peer.send_messages(1, sent + 1..=sent + 60).await;
        sent = last.seq;
        while acked < sent {
            match peer.next_within(Duration::from_secs(3)).await {
                Some(Received::Ack(id)) => acked = id.seq,
                Some(other) => unreachable!("{other:?}"),
                None => break,
            }
        }
        if acked < sent {
            break;
        }
        assert!(sent < 100_000, "the disk does not become full");
    }
    println!("{acked} alerts acknowledged until the disk was full");
    let (status, health) = get_json(http, "/health").await;
    assert_eq!(status, 503);
    assert!(health["store"].as_str().unwrap().starts_with("the disk is full"), "{health}");
    let (_, stats) = get_json(http, "/api/v1/stats").await;
    let reasons = stats["verdict"]["reasons"].to_string();
    assert!(stats["verdict"]["verdict"] != "quiet" && reasons.contains("the disk is full"), "{reasons}");
    let terminal = Command::new(PROGRAM)
        .args(["watch", "--sensors", "--url", &format!("http://{http}")])
        .output()
        .unwrap();
    let terminal = String::from_utf8(terminal.stdout).unwrap();
    assert!(terminal.contains("the disk is full"), "{terminal}");
    std::fs::remove_file(&collector.ballast).unwrap();
    while acked < sent {
        match peer.next().await {
            Received::Ack(id) => acked = id.seq,
            other => unreachable!("{other:?}"),
        }
    }
    eventually("it is well again", || async { get(http, "/health").await.0 == 200 }).await;
    assert_eq!(get_json(http, "/api/v1/stats").await.1["alerts"]["stored"], sent);
}
