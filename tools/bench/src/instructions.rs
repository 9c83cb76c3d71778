//! Instructions per packet, counted by valgrind's callgrind as the difference between a short and a long capture.
//!
//! There are two figures for each kind of traffic. *Whole* counts everything that the process does for a packet, reading
//! the file included. *Analysis* is *whole* less the count of `--count-only` for the same packets, which reads the file and
//! does nothing else. Counting inside a function (`--toggle-collect`) is not used: shipped programs have no symbols, and
//! code that the compiler moves out of a function would not be counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sentinel_trafficgen::stream::Traffic;
use serde_json::{Value, json};

use crate::child;
use crate::report::{Report, per};

/// Packets of the short capture, which fill tables and caches before those that are counted.
const WARM_UP: u32 = 1_000;
/// Packets that are counted for the figures of `ci/budgets.toml`.
pub(crate) const PACKETS: u32 = 10_000;

/// Instructions per packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) whole: f64,
    pub(crate) analysis: f64,
    /// Instructions of start-up and warm-up together.
    start: u64,
}

impl Counted {
    fn to_json(self, traffic: Traffic, packets: u32) -> Value {
        json!({
            "bench": "instructions",
            "capture": traffic.name(),
            "packets": packets,
            "instructions_per_packet": self.whole,
            "analysis_instructions_per_packet": self.analysis,
            "instructions_to_start": self.start,
        })
    }
}

/// Measures one kind of traffic, or all. Prints that it is skipped and succeeds if valgrind is not installed.
pub(crate) fn measure(
    sentinel: &Path,
    only: Option<Traffic>,
    packets: u32,
    top: usize,
    report: &mut Report,
) -> Result<()> {
    if !valgrind_is_installed() {
        eprintln!("bench: instructions skipped, valgrind is not installed");
        return Ok(());
    }
    let kinds: Vec<Traffic> =
        Traffic::ALL.into_iter().filter(|traffic| only.is_none_or(|only| only == *traffic)).collect();
    let directory = tempfile::tempdir()?;
    eprintln!("{:<14} {:>10} {:>10}", "instructions", "whole", "analysis");
    for (traffic, counted) in count(sentinel, &kinds, packets, directory.path())? {
        eprintln!("{:<14} {:>10.1} {:>10.1}", traffic.name(), counted.whole, counted.analysis);
        let mut line = counted.to_json(traffic, packets);
        if let (true, Some(line)) = (top > 0, line.as_object_mut()) {
            let file = traffic.capture(directory.path(), WARM_UP.saturating_add(packets))?;
            let own = directory.path().to_owned();
            let profile = callgrind(sentinel, &Run { file, view: "--alerts", setting: None, own })?;
            line.insert("top".into(), json!(functions(&profile, top)));
        }
        report.line(line);
        if packets == PACKETS {
            // The analysis has no budget: as a difference it grows when reading gets cheaper.
            report.figure(format!("instructions.{}", traffic.name()), counted.whole);
        }
    }
    Ok(())
}

/// Returns true if valgrind can be run.
pub(crate) fn valgrind_is_installed() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// One run under callgrind: capture, view, setting, and a directory of its own for the profile.
pub(crate) struct Run {
    pub(crate) file: PathBuf,
    pub(crate) view: &'static str,
    /// Of the form `NAME=VALUE`.
    pub(crate) setting: Option<String>,
    pub(crate) own: PathBuf,
}

/// Views whose counts are subtracted: the analysis, and reading alone.
const VIEWS: [&str; 2] = ["--alerts", "--count-only"];

/// Counts every kind. Runs one process per processor at a time, because counts do not depend on load.
pub(crate) fn count(
    sentinel: &Path,
    kinds: &[Traffic],
    packets: u32,
    directory: &Path,
) -> Result<Vec<(Traffic, Counted)>> {
    let mut runs = Vec::new();
    for traffic in kinds {
        for length in [WARM_UP, WARM_UP.saturating_add(packets)] {
            let file = traffic.capture(directory, length)?;
            for view in VIEWS {
                let own = directory.join(format!("{}-{length}{view}", traffic.name()));
                fs::create_dir_all(&own)?;
                runs.push(Run { file: file.clone(), view, setting: None, own });
            }
        }
    }
    let totals = totals(sentinel, &runs)?;
    // Four runs of each kind, in the order of the loops above.
    kinds
        .iter()
        .zip(totals.as_chunks().0)
        .map(|(traffic, four)| Ok((*traffic, counted(*four, packets).with_context(|| traffic.name())?)))
        .collect()
}

/// Figures of the four totals of one kind: short and long capture, each analysed and only read.
fn counted([start, start_reading, long, long_reading]: [u64; 4], packets: u32) -> Result<Counted> {
    ensure!(
        long > start && long_reading >= start_reading,
        "{long} instructions, and {start} for fewer packets"
    );
    let (whole, reading) = (long - start, long_reading - start_reading);
    Ok(Counted {
        whole: per(whole, packets.into()),
        analysis: per(whole.saturating_sub(reading), packets.into()),
        start,
    })
}

/// Instructions of each run.
pub(crate) fn totals(sentinel: &Path, runs: &[Run]) -> Result<Vec<u64>> {
    let totals = Mutex::new(vec![0_u64; runs.len()]);
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(index) else { return Ok(()) };
            let profile = callgrind(sentinel, run)?;
            let counted = total(&fs::read_to_string(&profile)?)?;
            let mut totals = totals.lock().map_err(|_| anyhow!("another count failed"))?;
            if let Some(slot) = totals.get_mut(index) {
                *slot = counted;
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a count panicked"))?)
    })?;
    totals.into_inner().map_err(|_| anyhow!("a count failed"))
}

/// Runs the program under callgrind and returns the path of the profile.
fn callgrind(sentinel: &Path, Run { file, view, setting, own }: &Run) -> Result<PathBuf> {
    let out = own.join("callgrind.out");
    let mut read = child::read(sentinel, file, view);
    if let Some(setting) = setting {
        read.args(["--set", setting]);
    }
    let mut command = Command::new("valgrind");
    // As `child::sentinel` does: without settings from the environment.
    for (name, _) in read.get_envs() {
        command.env_remove(name);
    }
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(read.get_program()).args(read.get_args());
    let output = command.stdout(Stdio::null()).output().context("valgrind")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {}", messages.trim());
    Ok(out)
}

/// Number in the line `summary: 123456` or `totals: 123456` of a profile.
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

/// First `top` lines of `callgrind_annotate` that name functions; empty if it is not installed.
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
