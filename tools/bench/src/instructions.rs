//! Instructions per packet, counted by valgrind's callgrind: the difference between two lengths of one stream.
//!
//! Two figures for each sort of traffic. *Whole* is all that the process does for a packet, reading the file included.
//! *Analysis* is that less what `--count-only` takes for the same packets: the same program reads them and does nothing
//! else. Counting inside of a function (`--toggle-collect`) would not be better: the programs that are shipped have no
//! symbols, and what the compiler moves out of a function would go missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::json;

use crate::child;
use crate::report::{Report, per};
use crate::traffic::Traffic;

/// Packets that come before those that are counted, so that tables and caches are as they are later.
const WARM_UP: u32 = 1_000;
/// Packets that are counted; the counts of `ci/budgets.toml` are of so many.
pub(crate) const PACKETS: u32 = 10_000;

/// Instructions for one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) whole: f64,
    pub(crate) analysis: f64,
    /// Up to and with the warm-up.
    start: u64,
}

/// Measures one sort of traffic, or all.
pub(crate) fn measure(
    sentinel: &Path,
    only: Option<Traffic>,
    packets: u32,
    top: usize,
    report: &mut Report,
) -> Result<()> {
    if !is_there() {
        eprintln!("bench: instructions skipped: no valgrind");
        return Ok(());
    }
    let sorts: Vec<Traffic> =
        Traffic::ALL.into_iter().filter(|traffic| only.is_none_or(|only| only == *traffic)).collect();
    let directory = tempfile::tempdir()?;
    eprintln!("{:<14} {:>10} {:>10}", "instructions", "whole", "analysis");
    for (traffic, counted) in count(sentinel, &sorts, packets, directory.path())? {
        eprintln!("{:<14} {:>10.1} {:>10.1}", traffic.name(), counted.whole, counted.analysis);
        let mut line = json!({
            "bench": "instructions",
            "capture": traffic.name(),
            "packets": packets,
            "instructions_per_packet": counted.whole,
            "analysis_instructions_per_packet": counted.analysis,
            "instructions_to_start": counted.start,
        });
        if let (true, Some(line)) = (top > 0, line.as_object_mut()) {
            let file = traffic.capture(directory.path(), WARM_UP.saturating_add(packets))?;
            let profile = callgrind(sentinel, &file, "--alerts", directory.path())?;
            line.insert("top".into(), json!(functions(&profile, top)));
        }
        report.line(line);
        if packets == PACKETS {
            // Not the analysis: it is a difference, and would grow when reading gets cheaper.
            report.figure(format!("instructions.{}", traffic.name()), counted.whole);
        }
    }
    Ok(())
}

/// Whether valgrind can be called.
pub(crate) fn is_there() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Counts every sort, as many runs at a time as there are processors: counts do not mind.
pub(crate) fn count(
    sentinel: &Path,
    sorts: &[Traffic],
    packets: u32,
    directory: &Path,
) -> Result<Vec<(Traffic, Counted)>> {
    const VIEWS: [&str; 2] = ["--alerts", "--count-only"];
    let mut runs: Vec<(PathBuf, &str, PathBuf)> = Vec::new();
    for traffic in sorts {
        for length in [WARM_UP, WARM_UP.saturating_add(packets)] {
            let file = traffic.capture(directory, length)?;
            for view in VIEWS {
                let own = directory.join(format!("{}-{length}{view}", traffic.name()));
                fs::create_dir_all(&own)?;
                runs.push((file.clone(), view, own));
            }
        }
    }
    let totals = Mutex::new(vec![0_u64; runs.len()]);
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, view, own)) = runs.get(index) else { return Ok(()) };
            let profile = callgrind(sentinel, file, view, own)?;
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
    let totals = totals.into_inner().map_err(|_| anyhow!("a count failed"))?;
    let mut counted = Vec::new();
    for (traffic, four) in sorts.iter().zip(totals.chunks_exact(4)) {
        let [start, start_reading, long, long_reading] = *four else { continue };
        ensure!(
            long > start && long_reading >= start_reading,
            "{}: {long} instructions, and {start} for fewer packets",
            traffic.name()
        );
        let reading = long_reading - start_reading;
        let whole = long - start;
        counted.push((
            *traffic,
            Counted {
                whole: per(whole, packets.into()),
                analysis: per(whole.saturating_sub(reading), packets.into()),
                start,
            },
        ));
    }
    Ok(counted)
}

/// Runs the program under callgrind; gives the profile.
fn callgrind(sentinel: &Path, file: &Path, view: &str, directory: &Path) -> Result<PathBuf> {
    let out = directory.join("callgrind.out");
    let read = child::read(sentinel, file, view);
    let mut command = Command::new("valgrind");
    // As `sentinel` is: without settings from the environment.
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
