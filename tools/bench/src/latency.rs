//! Time from a packet on the wire to its alert at somebody who listens: the lab has the whole way, and measures it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::report::Report;

/// The test that measures, and the name in the line that it prints.
const TEST: &str = "latency_from_packet_to_listener";
const MEASURE: &str = "latency";

/// Runs the test with an optimised build of everything, and repeats its figures.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The programs that the lab starts, then the lab.
    let programs = ["sentinel-appliance", "sentinel-collector", "sentinel-trafficgen"];
    let mut build = Command::new(&cargo);
    build.args(["build", "--quiet", "--release", "--bins"]);
    for program in programs {
        build.args(["--package", program]);
    }
    ensure!(build.stdin(Stdio::null()).status().context("cargo")?.success(), "building the programs failed");
    let mut test = Command::new(&cargo);
    test.args(["test", "--quiet", "--release", "--package", "sentinel-lab", "--test", "performance", "--"]);
    test.args(["--exact", TEST, "--nocapture"]);
    let output = test.stdin(Stdio::null()).output().context("cargo")?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(output.status.success(), "{TEST}: {}", text.trim());
    let Some(figures) = figures(&text) else {
        eprintln!("bench: latency skipped, wants root: {}", text.trim());
        return Ok(());
    };
    for (short, long) in
        [("latency_p50_ms", "packet_to_listener_p50_ms"), ("latency_p99_ms", "packet_to_listener_p99_ms")]
    {
        let figure = figures.get(long).and_then(Value::as_f64).with_context(|| format!("no {long}"))?;
        eprintln!("{short}: {figure}");
        report.figure(short, figure);
    }
    report.line(json!({"bench": "latency", "figures": figures}));
    Ok(())
}

/// The line of the test, among what cargo says.
fn figures(text: &str) -> Option<Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    lines.into_iter().find(|line| line.get("measure").is_some_and(|measure| measure == MEASURE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_test_is_found() {
        let text = "running 1 test\n{\"measure\":\"start\"}\n{\"measure\":\"latency\",\"rounds\":60}\nok\n";
        assert_eq!(figures(text).unwrap()["rounds"], 60);
        assert!(figures("skipped: no root\n").is_none());
    }
}
