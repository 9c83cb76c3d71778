//! Resident memory and start of a live sensor with default settings.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::child;
use crate::namespace::{LISTEN, Namespace, SEND};
use crate::report::Report;
use crate::traffic::Traffic;

/// How long the sensor may take to analyse what is in its ring.
const PATIENCE: Duration = Duration::from_secs(10);
/// Starts, of which the quickest counts.
const STARTS: u32 = 5;

/// Measures; says so and passes where no namespace can be made.
pub(crate) fn measure(sentinel: &Path, packets: u32, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: memory skipped, wants root: {error:#}");
            return Ok(());
        }
    };
    let mut start_ms = u128::MAX;
    for _ in 1..STARTS {
        start_ms = start_ms.min(Sensor::start(sentinel, &namespace)?.start.as_millis());
    }
    let sensor = Sensor::start(sentinel, &namespace)?;
    let start_ms = start_ms.min(sensor.start.as_millis());
    // A first packet, so that everything that is touched once is touched.
    flood(&namespace, Traffic::Mixed, 100)?;
    sensor.analysed(sentinel, 100)?;
    let ready_kib = sensor.resident_kib("VmRSS")?;
    let mut sent = 100;
    for traffic in [Traffic::Mixed, Traffic::SynSpoofed, Traffic::UniqueDns] {
        flood(&namespace, traffic, packets)?;
        sent += u64::from(packets);
    }
    let seen = sensor.analysed(sentinel, sent)?;
    let after_kib = sensor.resident_kib("VmRSS")?;
    report.line(json!({
        "bench": "memory",
        "rss_kib": ready_kib,
        "rss_after_flood_kib": after_kib,
        "anonymous_kib": sensor.resident_kib("RssAnon")?,
        "file_kib": sensor.resident_kib("RssFile")?,
        "shared_kib": sensor.resident_kib("RssShmem")?,
        "growth_kib": after_kib.saturating_sub(ready_kib),
        "flood_packets": sent,
        "analysed": seen.analysed,
        "dropped": seen.dropped,
        "start_ms": u64::try_from(start_ms).unwrap_or(u64::MAX),
    }));
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "far below 2^53")]
    {
        report.figure("rss_kib", after_kib.max(ready_kib) as f64);
        report.figure("start_ms", start_ms as f64);
    }
    Ok(())
}

/// Sends on the other end of the wire, as fast as it goes.
fn flood(namespace: &Namespace, traffic: Traffic, packets: u32) -> Result<()> {
    let bench = std::env::current_exe().context("where am I?")?;
    let mut command = namespace.command(bench);
    command.args(["flood", SEND, traffic.name(), &packets.to_string()]);
    let output = command.output()?;
    ensure!(output.status.success(), "flood: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// What became of the packets that were sent.
struct Seen {
    analysed: u64,
    dropped: u64,
}

/// A running `sentinel run`, which ends with this value.
struct Sensor {
    process: Child,
    /// Kept open: the sensor would else write into a closed pipe.
    _messages: Lines<BufReader<ChildStderr>>,
    directory: tempfile::TempDir,
    start: Duration,
}

impl Sensor {
    /// Starts one and waits until it says that it captures.
    fn start(sentinel: &Path, namespace: &Namespace) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let settings = child::sentinel(sentinel);
        let mut command = namespace.command(settings.get_program());
        command.args(settings.get_args()).args(["run", "-i", LISTEN]);
        own_directories(&mut command, directory.path());
        for (name, value) in settings.get_envs() {
            if value.is_none() {
                command.env_remove(name);
            }
        }
        let begin = Instant::now();
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = process.stderr.take().context("no standard error")?;
        let mut sensor =
            Self { process, _messages: BufReader::new(stderr).lines(), directory, start: Duration::ZERO };
        let mut said = String::new();
        for line in sensor._messages.by_ref() {
            let line = line?;
            if line.contains("capturing on") {
                sensor.start = begin.elapsed();
                return Ok(sensor);
            }
            said.push_str(&line);
        }
        anyhow::bail!("sentinel run: {said}")
    }

    /// `VmRSS`, or one of its parts: `RssAnon` (own memory), `RssFile` (program and libraries), `RssShmem` (the ring).
    fn resident_kib(&self, part: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(part)?.strip_prefix(':'));
        let number =
            line.and_then(|rest| rest.split_whitespace().next()).with_context(|| format!("no {part}"))?;
        Ok(number.parse()?)
    }

    /// Waits until so many packets are accounted for.
    fn analysed(&self, sentinel: &Path, sent: u64) -> Result<Seen> {
        let begin = Instant::now();
        loop {
            let mut command = child::sentinel(sentinel);
            command.args(["status", "--json"]);
            own_directories(&mut command, self.directory.path());
            let output = command.output()?;
            let status: Value = serde_json::from_slice(&output.stdout)
                .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
            let frames = |name: &str| status.pointer(&format!("/frames/{name}")).and_then(Value::as_u64);
            let (analysed, dropped) = (frames("analysed"), frames("dropped"));
            let seen = Seen {
                analysed: analysed.context("status without frames.analysed")?,
                dropped: dropped.context("status without frames.dropped")?,
            };
            if seen.analysed + seen.dropped >= sent {
                return Ok(seen);
            }
            ensure!(begin.elapsed() < PATIENCE, "of {sent} packets sent the sensor tells of fewer: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn own_directories(command: &mut Command, directory: &Path) {
    for name in ["state_dir", "run_dir"] {
        command.arg("--set").arg(format!("{name}={}", directory.join(name).display()));
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}
