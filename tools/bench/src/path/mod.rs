//! CPU time per packet of whole processes, net of start-up: a read floor, `sentinel` and peers, interleaved in one run.

mod files;
mod results;
mod rounds;
mod subjects;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::results::{Results, round};
use self::rounds::{Rounds, figures, interleaved};
use self::subjects::{SENTINEL, subjects};
use crate::child;
use crate::corpus;
use crate::peers::Peer;
use crate::report::Report;
use sentinel_trafficgen::stream::Traffic;

/// Number of rounds, and the peers to measure beside the reference.
#[derive(Clone, Debug)]
pub(crate) struct PathOptions {
    pub(crate) rounds: u32,
    /// True if every known peer is measured, false if only the reference is.
    pub(crate) with_peers: bool,
    /// Further peers, from the command line.
    pub(crate) more_peers: Vec<Peer>,
}

/// Measures `packets` frames of generated traffic.
pub(crate) fn generated(
    sentinel: &Path,
    traffic: Traffic,
    packets: u32,
    options: &PathOptions,
    report: &mut Report,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = traffic.capture(directory.path(), packets)?;
    let measured = measure(sentinel, traffic.name(), &file, options, report)?;
    if traffic == Traffic::Mixed {
        report.figure("mixed_ns", measured.ns);
        if let Some(ratio) = measured.ratio_to_reference {
            report.figure("mixed_to_tcpdump", ratio);
        }
    }
    Ok(())
}

/// Measures a capture of the user's.
pub(crate) fn capture(sentinel: &Path, file: &Path, options: &PathOptions, report: &Report) -> Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let directory = tempfile::tempdir()?;
    let file = files::as_pcap(file, directory.path())?;
    measure(sentinel, &name, &file, options, report).map(drop)
}

/// Measures the captures below a directory, merged into one of at least `packets`.
pub(crate) fn corpus(
    sentinel: &Path,
    captures: &Path,
    packets: u32,
    options: &PathOptions,
    report: &Report,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("corpus.pcap");
    let merged = corpus::merge(captures, packets.into(), &file)?;
    eprintln!(
        "{} captures, {} packets of {} bytes on average",
        merged.captures,
        merged.packets,
        merged.bytes / merged.packets.max(1)
    );
    measure(sentinel, "corpus", &file, options, report).map(drop)
}

/// Figures of `sentinel read --alerts`: nanoseconds per packet, and their ratio to the reference.
struct Measured {
    ns: f64,
    ratio_to_reference: Option<f64>,
}

fn measure(
    sentinel: &Path,
    name: &str,
    file: &Path,
    options: &PathOptions,
    report: &Report,
) -> Result<Measured> {
    let packets = files::count(sentinel, file)?;
    ensure!(packets > 1, "{}: {packets} packets; two are needed to subtract start-up", file.display());
    let directory = tempfile::tempdir()?;
    let first = directory.path().join("first.pcap");
    files::copy(file, &first, 1)?;
    let scratch = directory.path().join("scratch");
    std::fs::create_dir(&scratch)?;
    let (subjects, absent) = subjects(sentinel, &scratch, options)?;
    let (rounds, failed) = interleaved(&subjects, file, &first, options.rounds);
    let figures = subjects
        .iter()
        .filter_map(|subject| Some((subject.name.clone(), figures(rounds.get(&subject.name)?, packets)?)))
        .collect();
    let results = Results { capture: name, packets, figures, absent, failed };
    let ours =
        results.of(SENTINEL).with_context(|| results.failed.get(SENTINEL).cloned().unwrap_or_default())?;
    eprint!("{}", results.to_table());
    report.line(results.to_json(ours));
    Ok(Measured { ns: round(ours.best_ns), ratio_to_reference: results.ratio_to_reference(ours) })
}

/// One capture of [`side_by_side`].
struct Candidate<'f> {
    name: &'static str,
    file: &'f Path,
    /// Capture of its first packet only.
    first: PathBuf,
    packets: u64,
    rounds: Rounds,
}

/// Nanoseconds per packet of `sentinel read --alerts` for each capture: the best of `rounds`, in each of which every
/// capture is read once.
pub(crate) fn side_by_side(
    sentinel: &Path,
    captures: &[(&'static str, PathBuf)],
    rounds: u32,
) -> Result<Vec<(&'static str, f64)>> {
    let directory = tempfile::tempdir()?;
    let mut candidates = Vec::new();
    for (name, file) in captures {
        let first = directory.path().join(format!("{name}-first.pcap"));
        files::copy(file, &first, 1)?;
        let packets = files::count(sentinel, file)?;
        candidates.push(Candidate { name, file, first, packets, rounds: Rounds::default() });
    }
    let cost = |file: &Path| child::cost(&mut child::read(sentinel, file, "--alerts"));
    for _ in 0..rounds.max(1) {
        for candidate in &mut candidates {
            candidate.rounds.start.push(cost(&candidate.first)?);
            candidate.rounds.whole.push(cost(candidate.file)?);
        }
    }
    candidates
        .iter()
        .map(|candidate| {
            let figures = figures(&candidate.rounds, candidate.packets).context("no round")?;
            Ok((candidate.name, figures.best_ns))
        })
        .collect()
}
