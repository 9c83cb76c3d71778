//! Alert latency: time from a packet on the wire to its alert, decrypted, at the collector's end of the connection.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::report::{Report, per};
use crate::settings::Settings;
use crate::wire::namespace::{Namespace, SEND};
use crate::wire::receiver::Receiver;

/// Setting for the burst of incidents, with its old name; here each packet opens one.
const INCIDENT_BURST: [&str; 2] = ["incident_burst", "incident_openings"];

/// Measures `rounds` alerts. Where no namespace can be created it prints that it is skipped and succeeds.
pub(crate) fn measure(sentinel: &Path, rounds: u32, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: latency skipped, needs root: {error:#}");
            return Ok(());
        }
    };
    let took_ns = probe(sentinel, &namespace, rounds)?;
    let at = |percent: usize| -> Result<f64> {
        let index = (took_ns.len() * percent / 100).min(took_ns.len().saturating_sub(1));
        Ok(per(*took_ns.get(index).context("no round")?, 1_000_000))
    };
    let (p50, p99, worst) = (at(50)?, at(99)?, at(100)?);
    eprintln!("latency: p50 {p50} ms, p99 {p99} ms, worst {worst} ms of {rounds} alerts");
    report.line(json!({
        "bench": "latency",
        "rounds": rounds,
        "p50_ms": p50,
        "p99_ms": p99,
        "worst_ms": worst,
    }));
    report.figure("latency_p50_ms", p50);
    report.figure("latency_p99_ms", p99);
    Ok(())
}

/// Runs the probe and a sensor that is enrolled with it. Returns the latencies of all rounds in rising order.
fn probe(sentinel: &Path, namespace: &Namespace, rounds: u32) -> Result<Vec<u64>> {
    let bench = std::env::current_exe().context("path of the running program")?;
    let mut command = namespace.command(bench);
    command.args(["probe", SEND, &rounds.to_string()]);
    let mut probe = Probe(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(probe.0.stdout.take().context("no standard output")?).lines();
    let token = lines.next().context("the probe ended")??;
    let mut settings = Vec::new();
    let known = Settings::of(sentinel)?;
    if let Some(name) = INCIDENT_BURST.into_iter().find(|name| known.has(name)) {
        settings.push((name, "1000000".to_owned()));
    }
    let _sensor = Receiver::enrolled(sentinel, namespace, &settings, &token)?;
    let text = lines.next().context("the probe ended")??;
    ensure!(probe.0.wait()?.success(), "the probe failed");
    let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let list = answer.get("took_ns").and_then(Value::as_array).with_context(|| text.clone())?;
    let mut took_ns: Vec<u64> = list.iter().filter_map(Value::as_u64).collect();
    took_ns.sort_unstable();
    Ok(took_ns)
}

/// Process `bench probe`; killed when dropped.
struct Probe(Child);

impl Drop for Probe {
    fn drop(&mut self) {
        let _already_exited = self.0.kill();
        let _already_reaped = self.0.wait();
    }
}
