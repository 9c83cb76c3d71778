//! Instructions per packet, counted by valgrind's callgrind: the difference between two lengths of one stream.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::child;
use crate::report::{Report, per};
use crate::traffic::Traffic;

/// Packets that come before those that are counted, so that tables and caches are as they are later.
const WARM_UP: u32 = 1_000;

/// Measures one sort of traffic, or all.
pub(crate) fn measure(
    sentinel: &Path,
    only: Option<Traffic>,
    packets: u32,
    top: usize,
    report: &mut Report,
) -> Result<()> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("bench: instructions skipped: no valgrind");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    for traffic in Traffic::ALL.into_iter().filter(|traffic| only.is_none_or(|only| only == *traffic)) {
        let run = |packets| -> Result<(u64, Vec<String>)> {
            let file = traffic.capture(directory.path(), packets)?;
            let counted = callgrind(sentinel, &file, directory.path(), top);
            fs::remove_file(file)?;
            counted
        };
        let (short, _) = run(WARM_UP)?;
        let (long, functions) = run(WARM_UP.saturating_add(packets))?;
        ensure!(long > short, "{}: {long} instructions, and {short} for fewer packets", traffic.name());
        let mut line = json!({
            "bench": "instructions",
            "capture": traffic.name(),
            "packets": packets,
            "instructions_per_packet": per(long - short, packets.into()),
            "instructions_to_start": short,
        });
        if let (true, Some(line)) = (top > 0, line.as_object_mut()) {
            line.insert("top".into(), json!(functions));
        }
        report.line(line);
    }
    Ok(())
}

/// Instructions of one run, and the functions that took most of them.
fn callgrind(sentinel: &Path, file: &Path, directory: &Path, top: usize) -> Result<(u64, Vec<String>)> {
    let out = directory.join("callgrind.out");
    let read = child::read(sentinel, file);
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(read.get_program()).args(read.get_args());
    let output = command.stdout(Stdio::null()).output().context("valgrind")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {}", messages.trim());
    let profile = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
    Ok((total(&profile)?, if top > 0 { functions(&out, top) } else { Vec::new() }))
}

/// `summary: 123456` or `totals: 123456` of a profile.
fn total(profile: &str) -> Result<u64> {
    let line = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    match line.and_then(|numbers| numbers.split_whitespace().next()).map(str::parse) {
        Some(Ok(total)) => Ok(total),
        _ => bail!("callgrind wrote no total"),
    }
}

/// The lines of `callgrind_annotate` that name functions; none if it is not there.
fn functions(profile: &Path, top: usize) -> Vec<String> {
    let annotated = Command::new("callgrind_annotate").arg("--auto=no").arg(profile).output();
    let Ok(output) = annotated else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains('%') && line.contains(':') && !line.contains("PROGRAM TOTALS"))
        .take(top)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_the_profile() {
        assert_eq!(total("version: 1\nsummary: 17\nfn=(1)\ntotals: 18\n").unwrap(), 18);
        assert_eq!(total("summary: 17\n").unwrap(), 17);
        assert!(total("version: 1\n").is_err() && total("totals: many\n").is_err());
    }
}
