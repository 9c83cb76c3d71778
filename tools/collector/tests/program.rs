//! The program as a process: signals, kill -9, two processes on one database, messages for operators.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_uplink::{KeyPair, Token};
use support::WAIT_TIMEOUT;
use support::http::get_json;
use support::sensor::{Received, connected, enroll};

const KEY: &str = "a passphrase for tests";

fn program(arguments: &[&str], data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel-collector"));
    command.args(arguments).env_clear().env("SENTINEL_COLLECTOR_DATA", data).env("SENTINEL_DB_KEY", KEY);
    command
}

fn output(arguments: &[&str], data: &Path) -> Output {
    program(arguments, data).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running collector; killed when dropped.
struct Collector {
    child: Child,
    listen: SocketAddr,
    http: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Collector {
    fn start(data: &Path) -> Self {
        let arguments = ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let mut child = program(&arguments, data).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        loop {
            let line = log.recv_timeout(WAIT_TIMEOUT).expect("the addresses are not logged");
            let Some((_, rest)) = line.split_once("sensors connect to ") else { continue };
            let (listen, rest) = rest.split_once(';').unwrap();
            let http = rest.rsplit_once("http://").unwrap().1.trim_end_matches('/');
            return Self { child, listen: listen.parse().unwrap(), http: http.parse().unwrap(), log };
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a token by the program and enrolls with it.
async fn enroll_by_program(collector: &Collector, data: &Path, name: &str) -> (KeyPair, Token) {
    let address = collector.listen.to_string();
    let made = output(&["enroll", "--name", name, "--address", &address], data);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let token: Token = text(&made.stdout).trim().parse().unwrap();
    assert_eq!(token.address(), address);
    let pair = KeyPair::generate().unwrap();
    let answer = enroll(&pair, &token, collector.listen, "").await;
    assert_eq!(answer, Received::Welcome { name: name.into(), acked: None });
    (pair, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_acknowledged_alert() {
    let directory = tempfile::tempdir().unwrap();
    let mut sent = 0;
    let mut identity = None;
    for round in 0..4_u64 {
        let mut collector = Collector::start(directory.path());
        let (pair, key) = match &identity {
            Some(known) => known,
            None => {
                let (pair, token) = enroll_by_program(&collector, directory.path(), "branch-7").await;
                identity.insert((pair, *token.collector()))
            }
        };
        let (mut peer, acked) = connected(collector.listen, pair, key, 1).await;
        let kept = acked.map_or(0, |id: AlertId| id.seq);
        assert!(kept >= sent, "acknowledged up to {sent}, and only {kept} are stored");
        let mut next = kept + 1;
        for _ in 0..20 + round * 3 {
            peer.send_alerts(1, next..=next + 29).await;
            next += 30;
        }
        for _ in 0..=round {
            if let Received::Ack(id) = peer.next().await {
                sent = id.seq;
            }
        }
        collector.child.kill().unwrap(); // SIGKILL, with deliveries on their way
        collector.child.wait().unwrap();
    }
    let collector = Collector::start(directory.path());
    let (_, answer) = get_json(collector.http, "/api/v1/sensors").await;
    let sensor = &answer["sensors"][0];
    let (_, newest) = get_json(collector.http, "/api/v1/alerts?limit=1").await;
    assert_eq!(sensor["alerts_stored"], newest["alerts"][0]["seq"], "every number once");
    assert!(sensor["alerts_stored"].as_u64().unwrap() >= sent && sensor["alerts_missing"] == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_stop_it_orderly() {
    for signal in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut collector = Collector::start(directory.path());
        let (pair, token) = enroll_by_program(&collector, directory.path(), "branch-7").await;
        let (mut peer, _) = connected(collector.listen, &pair, token.collector(), 1).await;
        let last = peer.send_alerts(1, 1..=9).await;
        peer.until_acked(last).await;
        drop(peer);
        collector.signal(signal);
        let status = tokio::task::spawn_blocking(move || {
            let status = collector.child.wait().unwrap();
            (status, collector.log.iter().collect::<Vec<_>>())
        });
        let (status, lines) = tokio::time::timeout(Duration::from_secs(20), status).await.unwrap().unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(lines.last().unwrap().ends_with("info stopped"), "{lines:?}");
        // The write-ahead log has been moved into the main file.
        assert!(!directory.path().join("sentinel.db-wal").exists());
        let listed = output(&["sensors", "--json"], directory.path());
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(listed["sensors"][0]["alerts_stored"], 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_work_beside_a_running_collector() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(data);
    let (pair, token) = enroll_by_program(&collector, data, "branch-7").await;
    let listed = output(&["sensors"], data);
    assert!(text(&listed.stdout).contains("branch-7"), "{}", text(&listed.stdout));
    let (mut peer, _) = connected(collector.listen, &pair, token.collector(), 1).await;
    let revoked = output(&["revoke", "branch-7"], data);
    assert_eq!(text(&revoked.stdout), "revoked branch-7\n");
    assert_eq!(peer.next().await, Received::Rejected(sentinel_uplink::RejectReason::Revoked));
    let again = output(&["revoke", "branch-7"], data);
    assert!(!again.status.success() && text(&again.stderr).contains("is revoked already"), "{again:?}");
    let second = output(&["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"], data);
    assert!(text(&second.stderr).contains("another sentinel-collector runs on"), "{second:?}");
    let nobody = output(&["revoke", "nobody"], data);
    assert!(text(&nobody.stderr).contains("there are branch-7"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_resumes_after_a_restart_of_the_collector() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let collector = Collector::start(data);
    let (pair, token) = enroll_by_program(&collector, data, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, token.collector(), 1).await;
    let last = peer.send_alerts(1, 1..=5).await;
    peer.until_acked(last).await;
    let url = format!("http://{}", collector.http);
    let mut watch = program(&["watch", "--url", &url, "-n", "2"], data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let line = |seconds: u64| {
        format!(
            "2023-11-14 22:13:{:02}.000000  MEDIUM    port_scan        branch-7          \
             10.20.30.66 tried 15 ports of 10.20.30.10 within 10 s",
            20 + seconds
        )
    };
    for seconds in [4, 5] {
        assert_eq!(lines.next().unwrap().unwrap(), line(seconds));
    }
    // Restart on the same HTTP port, with alerts that arrive before `watch` has connected again.
    let http = collector.http.to_string();
    drop(collector);
    let arguments = ["run", "--listen", "127.0.0.1:0", "--http", &http];
    let mut child = program(&arguments, data).stderr(Stdio::piped()).spawn().unwrap();
    let mut started = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = started
        .find_map(|line| Some(line.split_once("sensors connect to ")?.1.split_once(';')?.0.to_owned()));
    let (mut peer, _) = connected(address.unwrap().parse().unwrap(), &pair, token.collector(), 1).await;
    let last = peer.send_alerts(1, 6..=7).await;
    peer.until_acked(last).await;
    let shown: Vec<String> =
        lines.by_ref().map(Result::unwrap).filter(|line| line.contains("port_scan")).take(2).collect();
    assert_eq!(shown, [line(6), line(7)], "no hole and no repeat");
    let _ = (watch.kill(), watch.wait(), child.kill(), child.wait());
}

#[test]
fn operator_mistakes_get_an_explanation() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (arguments, complaint) in [
        (&["run", "--http", "0.0.0.0:0"][..], "needs TLS and a log-in: run `sentinel-collector init --name"),
        (
            &["run", "--http", "0.0.0.0:0", "--http-allow-remote"],
            "is gone: other machines get in only over TLS",
        ),
        (&["run", "--loopback", "all"], "none of none, viewer"),
        (&["run", "--certificate", "x"], "--certificate-key"),
        (&["init", "--name", "a b"], "is no host name"),
        (&["run", "--listen", "somewhere"], "--listen"),
        (&["run", "--log", "/proc/nowhere/log"], "cannot open the log /proc/nowhere/log: No such file"),
        (&["enroll", "--create", "--name", "a b", "--address", "a:1"], "letters, digits"),
        (&["enroll", "--create", "--address", "nowhere"], "address \"nowhere\""),
        (&["enroll", "--expires", "5w"], "30m"),
        (&["enroll", "--expires", "0s"], "30m"),
        (&["watch", "--url", "ftp://x"], "http:// or https://"),
        (&["watch", "--url", "https://x", "--ca", "/nowhere"], "cannot read /nowhere"),
        (&["watch", "--key-file", "/nowhere"], "cannot read the key"),
        (&["watch", "--sensors", "--url", "http://127.0.0.1:1"], "is `sentinel-collector run` running?"),
        (&["frobnicate"], "--help"),
    ] {
        let output = output(arguments, &data);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output.stderr).contains(complaint), "{arguments:?}: {}", text(&output.stderr));
    }
    // A misspelt directory: enroll made a collector there, and a token for it that no running collector knew.
    for arguments in [&["sensors"][..], &["revoke", "branch-7"], &["enroll", "--address", "a:1"]] {
        let empty = output(arguments, &directory.path().join("nothing"));
        assert!(!empty.status.success() && empty.stdout.is_empty(), "{empty:?}");
        assert!(text(&empty.stderr).contains("there is no collector in"), "{empty:?}");
        assert!(!directory.path().join("nothing").exists());
    }

    let made = output(&["enroll", "--create", "--address", "a:1"], &data);
    assert!(made.status.success());
    let wrong = program(&["sensors"], &data).env("SENTINEL_DB_KEY", "another").output().unwrap();
    assert!(text(&wrong.stderr).contains("is not opened by this key"), "{wrong:?}");
    let none = program(&["sensors"], &data).env_remove("SENTINEL_DB_KEY").output().unwrap();
    assert!(text(&none.stderr).contains("restore the key"), "{none:?}");
}

/// `sudo sentinel-collector init` beside a service that runs as a user of its own made files that this user could not read.
#[test]
fn root_works_with_the_rights_of_the_directory_s_owner() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    const OWNER: u32 = 65_533;
    let parent = tempfile::tempdir().unwrap();
    // Other users may pass through the directory above.
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let data = parent.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chown(&data, Some(OWNER), Some(OWNER)).unwrap();
    for arguments in
        [&["enroll", "--create", "--address", "192.0.2.1:4477"][..], &["init", "--name", "c.example"]]
    {
        let done = output(arguments, &data);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    let made: Vec<_> = std::fs::read_dir(&data).unwrap().map(Result::unwrap).collect();
    assert!(made.len() >= 4, "{made:?}");
    for file in made {
        let found = file.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (OWNER, OWNER), "{}", file.path().display());
    }
}

#[test]
fn the_file_on_disk_is_ciphertext_and_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = program(&["enroll", "--create", "--name", "branch-7", "--address", "a:1"], &data)
        .env_remove("SENTINEL_DB_KEY")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!((mode(&data.join("db.key")), mode(&data.join("collector.key"))), (0o600, 0o600));
    assert_eq!(mode(&data.join("sentinel.db")), 0o600);
    let mut bytes = Vec::new();
    std::fs::File::open(data.join("sentinel.db")).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(!bytes.starts_with(b"SQLite format 3"));
    assert!(!bytes.windows(8).any(|window| window == b"branch-7"), "the name is in the clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_the_collector_is_replaced_by_commands() {
    let directory = tempfile::tempdir().unwrap();
    let refused = output(&["key", "rotate"], directory.path());
    assert!(text(&refused.stderr).contains("there is no collector in"), "{}", text(&refused.stderr));
    let collector = Collector::start(directory.path());
    let (pair, token) = enroll_by_program(&collector, directory.path(), "a").await;
    let old = *token.collector();
    let (_peer, _) = connected(collector.listen, &pair, &old, 1).await;
    let rotated = output(&["key", "rotate", "--overlap", "1h", "--keep", "1h"], directory.path());
    let status = text(&rotated.stdout);
    assert!(status.contains(&format!("in force  {old}  from the beginning")), "{status}");
    assert!(status.contains("next      ") && status.contains("not stored by a, last seen"), "{status}");
    // A revoked sensor is not waited for.
    assert!(output(&["revoke", "a"], directory.path()).status.success());
    let switched =
        || text(&output(&["key", "status"], directory.path()).stdout).contains(&format!("replaced  {old}"));
    for _ in 0..200 {
        if switched() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(switched());
    let unknown = output(&["sensors", "acknowledge", "b"], directory.path());
    assert!(text(&unknown.stderr).contains("there is no sensor \"b\"; there are a"));
    let known = output(&["sensors", "acknowledge", "a"], directory.path());
    assert_eq!(
        text(&known.stdout),
        "0 unclean runs of a acknowledged, and its lost and missing alerts up to now\n"
    );
    assert!(
        text(&output(&["sensors", "rotate", "a"], directory.path()).stderr).contains("a is revoked already")
    );
    let names = output(&["enroll", "--name", "42"], directory.path());
    assert!(text(&names.stderr).contains("not a number"), "{}", text(&names.stderr));
}

/// A collector that `init` has set up, over TLS, as a process: its output, and its child.
fn run_set_up(data: &Path) -> (Child, String, mpsc::Receiver<String>) {
    let arguments = ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut child = program(&arguments, data).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (lines, log) = mpsc::channel();
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    loop {
        let line = log.recv_timeout(WAIT_TIMEOUT).expect("the addresses are not logged");
        let Some((_, rest)) = line.split_once("page and API on https://127.0.0.1:") else { continue };
        return (child, format!("https://localhost:{}", rest.trim_end_matches('/')), log);
    }
}

#[test]
fn watch_reads_over_tls_with_a_key_and_the_authority_of_init() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = text(&output(&["init", "--name", "collector.example"], &data).stdout);
    let key = made.lines().find_map(|line| line.strip_prefix("API key (viewer)")).unwrap();
    let key = key.split_whitespace().next().unwrap();
    let again = output(&["init", "--name", "collector.example"], &data);
    assert!(text(&again.stdout).contains("exists, unchanged   certs/server.crt"), "{again:?}");
    let (mut child, url, log) = run_set_up(&data);
    let authority = data.join("certs/ca.crt");
    let authority = authority.to_str().unwrap();
    let watch = |key: Option<&str>, extra: &[&str]| {
        let mut command = program(&["watch", "--sensors", "--url", &url], &data);
        command.args(extra);
        if let Some(key) = key {
            command.env("SENTINEL_COLLECTOR_KEY", key);
        }
        command.output().unwrap()
    };
    let shown = watch(Some(key), &["--ca", authority]);
    assert!(text(&shown.stdout).contains("no sensor is enrolled"), "{shown:?}");
    let file = data.join("watch.key");
    std::fs::write(&file, key).unwrap();
    let exposed = watch(None, &["--ca", authority, "--key-file", file.to_str().unwrap()]);
    assert!(text(&exposed.stderr).contains("others can read it"), "{exposed:?}");
    assert!(Command::new("chmod").args(["600", file.to_str().unwrap()]).status().unwrap().success());
    assert!(watch(None, &["--ca", authority, "--key-file", file.to_str().unwrap()]).status.success());
    for (key, extra, complaint) in [
        (None, &["--ca", authority][..], "a key is given by SENTINEL_COLLECTOR_KEY or --key-file"),
        (Some("wrong"), &["--ca", authority], "is not known, or has expired"),
        (Some(key), &["--ca", data.join("certs/server.key").to_str().unwrap()], "holds no certificate"),
    ] {
        let refused = watch(key, extra);
        assert!(!refused.status.success() && text(&refused.stderr).contains(complaint), "{refused:?}");
    }
    let status = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let is_reloaded = |line: String| line.contains("certificate ").then_some(());
    let mut waited = std::iter::from_fn(|| log.recv_timeout(WAIT_TIMEOUT).ok());
    assert!(waited.find_map(is_reloaded).is_some(), "SIGHUP ended it, or did nothing");
    let _ = (child.kill(), child.wait());
}

#[test]
fn the_audit_is_checked_by_a_command_that_names_the_row() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    assert!(output(&["init", "--name", "collector.example"], data).status.success());
    let added =
        output(&["keys", "add", "backup", "--role", "operator", "--group", "wien", "--expires", "90d"], data);
    assert_eq!(text(&added.stdout).trim().len(), 43, "{added:?}");
    let listed = text(&output(&["keys", "list"], data).stdout);
    let row = listed.lines().find(|line| line.starts_with("backup")).unwrap();
    assert!(
        row.contains("operator") && row.ends_with("wien") && !listed.contains(text(&added.stdout).trim()),
        "{listed}"
    );
    assert!(output(&["keys", "remove", "backup"], data).status.success());
    let unknown = output(&["keys", "remove", "backup"], data);
    assert!(text(&unknown.stderr).contains("there is no key \"backup\""), "{unknown:?}");
    let shown = text(&output(&["audit", "-n", "2"], data).stdout);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown.contains("operator ") && shown.contains("from command line  remove_key  key backup: ok"),
        "{shown}"
    );
    let whole = text(&output(&["audit", "--verify"], data).stdout);
    assert!(whole.starts_with("4 rows, every one in its place; newest "), "{whole}");
    let key = sentinel_collector::store::Files::locate(data, Some(KEY)).unwrap();
    let database = key.open_writer().unwrap();
    database
        .execute_batch("DROP TRIGGER audit_is_not_changed; UPDATE audit SET who = 'eve' WHERE id = 3")
        .unwrap();
    drop(database);
    let broken = output(&["audit", "--verify"], data);
    assert!(!broken.status.success() && text(&broken.stderr).contains("broken at row 3"), "{broken:?}");
}
