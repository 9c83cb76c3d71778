//! Nanoseconds per packet of whole processes, net of start-up: the floor, ourselves, and peers, all in one run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sentinel_capture::file::{FileKind, MAX_FRAME, Reader};
use sentinel_capture::write::PcapWriter;
use serde_json::{Map, json};

use crate::child::{self, Cost};
use crate::corpus;
use crate::peers::{self, Peer, REFERENCE};
use crate::report::{Report, median, per};
use crate::settings::Settings;
use crate::touch::Way;
use crate::traffic::Traffic;

/// Detectors that look no further than the headers: what `sentinel-headers` keeps on.
const HEADERS_ONLY: [&str; 5] = ["port_scan", "host_sweep", "syn_flood", "icmp_flood", "udp_flood"];
/// A program whose whole run takes longer than this is run twice, not in every round.
const SLOW_NS: u64 = 3_000_000_000;

/// What is measured: a name, and a command for a capture.
struct Subject<'s> {
    name: String,
    command: Box<dyn Fn(&Path) -> Command + 's>,
}

/// What one subject cost in each round: the capture, and only its first packet.
#[derive(Default)]
struct Rounds {
    whole: Vec<Cost>,
    start: Vec<Cost>,
}

/// Figures of one subject.
struct Figures {
    best_ns: f64,
    median_ns: f64,
    start_ms: f64,
    peak_rss_kib: u64,
    rounds: usize,
}

/// How thoroughly.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Also known peers other than the reference.
    pub(crate) with_peers: bool,
    /// And these.
    pub(crate) more_peers: Vec<Peer>,
}

/// Measures made-up traffic.
pub(crate) fn made_up(
    sentinel: &Path,
    traffic: Traffic,
    packets: u32,
    plan: &Plan,
    report: &mut Report,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = traffic.capture(directory.path(), packets)?;
    let measured = measure(sentinel, traffic.name(), &file, plan, report)?;
    if traffic == Traffic::Mixed {
        report.figure("mixed_ns", measured.ns);
        if let Some(ratio) = measured.ratio_to_reference {
            report.figure("mixed_to_tcpdump", ratio);
        }
    }
    Ok(())
}

/// Measures a capture of the user's own.
pub(crate) fn capture(sentinel: &Path, file: &Path, plan: &Plan, report: &Report) -> Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let directory = tempfile::tempdir()?;
    let file = as_pcap(file, directory.path())?;
    measure(sentinel, &name, &file, plan, report).map(drop)
}

/// Measures the captures below a directory, as one.
pub(crate) fn corpus(
    sentinel: &Path,
    captures: &Path,
    packets: u32,
    plan: &Plan,
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
    measure(sentinel, "corpus", &file, plan, report).map(drop)
}

/// What callers go on with.
pub(crate) struct Measured {
    pub(crate) ns: f64,
    pub(crate) ratio_to_reference: Option<f64>,
}

fn measure(sentinel: &Path, name: &str, file: &Path, plan: &Plan, report: &Report) -> Result<Measured> {
    let packets = count(sentinel, file)?;
    ensure!(packets > 1, "{}: {packets} packets; start-up alone cannot be told apart", file.display());
    let directory = tempfile::tempdir()?;
    let first = directory.path().join("first.pcap");
    copy(file, &first, 1)?;
    let scratch = directory.path().join("scratch");
    std::fs::create_dir(&scratch)?;
    let (subjects, absent) = subjects(sentinel, &scratch, plan)?;
    let (rounds, failed) = interleaved(&subjects, file, &first, plan.rounds);
    let figures: Vec<(String, Figures)> = subjects
        .iter()
        .filter_map(|subject| Some((subject.name.clone(), figures(rounds.get(&subject.name)?, packets)?)))
        .collect();
    let of = |name: &str| figures.iter().find(|(found, _)| found == name).map(|(_, figures)| figures);
    let ours = of(SENTINEL).with_context(|| failed.get(SENTINEL).cloned().unwrap_or_default())?;
    let floor = figures
        .iter()
        .filter(|(name, _)| name.starts_with("touch-"))
        .min_by(|(_, a), (_, b)| a.best_ns.total_cmp(&b.best_ns));
    let (reference, floor_ns) = (of(REFERENCE), floor.map(|(_, floor)| floor.best_ns));
    let mut list = Map::new();
    for (name, figures) in &figures {
        list.insert(
            name.clone(),
            json!({
                "ns": round(figures.best_ns),
                "ns_median": round(figures.median_ns),
                "ratio_to_tcpdump": ratio(figures.best_ns, reference.map(|reference| reference.best_ns)),
                "ratio_to_tcpdump_median": ratio(figures.median_ns, reference.map(|it| it.median_ns)),
                "ratio_to_floor": ratio(figures.best_ns, floor_ns),
                "peak_rss_kib": figures.peak_rss_kib,
                "start_ms": round(figures.start_ms),
                "rounds": figures.rounds,
            }),
        );
    }
    let ratio_to_reference = ratio(ours.best_ns, reference.map(|reference| reference.best_ns));
    eprint!("{}", table(name, packets, &figures, reference.map(|it| it.best_ns), &absent, &failed));
    report.line(json!({
        "bench": "path",
        "capture": name,
        "packets": packets,
        "ns_per_packet": round(ours.best_ns),
        "floor": floor.map(|(name, _)| name),
        "floor_ns_per_packet": floor_ns.map(round),
        "ratio_to_floor": ratio(ours.best_ns, floor_ns),
        "ratio_to_tcpdump": ratio_to_reference,
        "peak_rss_kib": ours.peak_rss_kib,
        "start_ms": round(ours.start_ms),
        "subjects": list,
        "not_installed": absent,
        "failed": failed,
    }));
    Ok(Measured { ns: round(ours.best_ns), ratio_to_reference })
}

const SENTINEL: &str = "sentinel-alerts";

/// Everything that can be measured here, and the names of those that are not installed.
fn subjects<'s>(
    sentinel: &'s Path,
    scratch: &'s Path,
    plan: &Plan,
) -> Result<(Vec<Subject<'s>>, Vec<String>)> {
    let bench = std::env::current_exe().context("where am I?")?;
    let mut subjects = Vec::new();
    for way in Way::ALL {
        let bench = bench.clone();
        let command = move |file: &Path| {
            let mut command = Command::new(&bench);
            command.arg("touch").arg(file).arg(way.name());
            command
        };
        subjects.push(Subject { name: format!("touch-{}", way.name()), command: Box::new(command) });
    }
    for (name, view) in [("sentinel-count", "--count-only"), (SENTINEL, "--alerts")] {
        let command = move |file: &Path| child::read(sentinel, file, view);
        subjects.push(Subject { name: name.into(), command: Box::new(command) });
    }
    let switched_off = without_payloads(sentinel)?;
    let command = move |file: &Path| {
        let mut command = child::read(sentinel, file, "--alerts");
        command.args(&switched_off);
        command
    };
    subjects.push(Subject { name: "sentinel-headers".into(), command: Box::new(command) });
    let mut absent = Vec::new();
    let known = peers::known().into_iter().filter(|peer| plan.with_peers || peer.name == REFERENCE);
    for peer in known.chain(plan.more_peers.iter().cloned()) {
        let name = peer.name.clone();
        match peer.installed() {
            Some(program) => {
                let command = move |file: &Path| peer.command(&program, file, scratch);
                subjects.push(Subject { name, command: Box::new(command) });
            }
            None => absent.push(name),
        }
    }
    Ok((subjects, absent))
}

/// Flags that switch off every detector that is not in [`HEADERS_ONLY`].
fn without_payloads(sentinel: &Path) -> Result<Vec<String>> {
    let settings = Settings::of(sentinel)?;
    let names = settings.detectors();
    ensure!(!names.is_empty(), "`sentinel config show` names no detector");
    let off = names.iter().filter(|name| !HEADERS_ONLY.contains(name));
    Ok(off.flat_map(|name| ["--set".to_owned(), format!("{name}.enabled=off")]).collect())
}

/// Runs every subject in every round, so that whatever disturbs the machine disturbs all alike.
fn interleaved(
    subjects: &[Subject<'_>],
    file: &Path,
    first: &Path,
    rounds: u32,
) -> (BTreeMap<String, Rounds>, BTreeMap<String, String>) {
    let failed = RefCell::new(BTreeMap::new());
    let mut costs: BTreeMap<String, Rounds> = BTreeMap::new();
    for round in 0..rounds.max(1) {
        for subject in subjects {
            let entry = costs.entry(subject.name.clone()).or_default();
            let is_slow = entry.whole.iter().any(|cost| cost.cpu_ns > SLOW_NS);
            if failed.borrow().contains_key(&subject.name) || round >= 2 && is_slow {
                continue;
            }
            let run = |file| child::cost(&mut (subject.command)(file));
            match run(first).and_then(|start| Ok((start, run(file)?))) {
                Ok((start, whole)) => {
                    entry.start.push(start);
                    entry.whole.push(whole);
                }
                Err(error) => {
                    failed.borrow_mut().insert(subject.name.clone(), format!("{error:#}"));
                }
            }
        }
    }
    costs.retain(|name, _| !failed.borrow().contains_key(name));
    (costs, failed.into_inner())
}

fn figures(rounds: &Rounds, packets: u64) -> Option<Figures> {
    let of = |costs: &[Cost], figure: fn(&Cost) -> u64| -> Option<u64> { costs.iter().map(figure).min() };
    let whole = of(&rounds.whole, |cost| cost.cpu_ns)?;
    let start = of(&rounds.start, |cost| cost.cpu_ns)?;
    // The first packet is in both.
    let net = packets - 1;
    let each: Vec<f64> =
        rounds.whole.iter().map(|cost| per(cost.cpu_ns.saturating_sub(start), net)).collect();
    Some(Figures {
        best_ns: per(whole.saturating_sub(start), net),
        median_ns: median(each)?,
        start_ms: per(of(&rounds.start, |cost| cost.wall_ns)?, 1_000_000),
        peak_rss_kib: rounds.whole.iter().map(|cost| cost.peak_rss_kib).max()?,
        rounds: rounds.whole.len(),
    })
}

fn ratio(part: f64, whole: Option<f64>) -> Option<f64> {
    whole.filter(|whole| *whole > 0.0).map(|whole| ((part / whole) * 1_000.0).round() / 1_000.0)
}

fn round(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// The same for people.
fn table(
    capture: &str,
    packets: u64,
    figures: &[(String, Figures)],
    reference_ns: Option<f64>,
    absent: &[String],
    failed: &BTreeMap<String, String>,
) -> String {
    let mut text = format!("{capture}: {packets} packets\n");
    let head = ["", "ns/packet", "median", "x tcpdump", "peak KiB", "start ms", "rounds"];
    let mut line = |cells: [&str; 7]| {
        let [name, best, median, ratio, peak, start, rounds] = cells;
        let _infallible =
            writeln!(text, "{name:<24} {best:>9} {median:>9} {ratio:>9} {peak:>9} {start:>9} {rounds:>6}");
    };
    line(head);
    for (name, figures) in figures {
        let ratio =
            ratio(figures.best_ns, reference_ns).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        line([
            name,
            &format!("{:.1}", figures.best_ns),
            &format!("{:.1}", figures.median_ns),
            &ratio,
            &figures.peak_rss_kib.to_string(),
            &format!("{:.1}", figures.start_ms),
            &figures.rounds.to_string(),
        ]);
    }
    for name in absent {
        let _infallible = writeln!(text, "{name}: skipped, not installed");
    }
    for (name, reason) in failed {
        let _infallible = writeln!(text, "{name}: skipped, {reason}");
    }
    text
}

fn count(sentinel: &Path, file: &Path) -> Result<u64> {
    let output = child::read(sentinel, file, "--count-only").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| {
        format!("counting {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim())
    })
}

/// The capture itself if every reader takes it, else a copy that every reader takes.
fn as_pcap(file: &Path, directory: &Path) -> Result<PathBuf> {
    let open = || File::open(file).with_context(|| file.display().to_string());
    let reader = Reader::open(open()?).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let mut magic = [0; 4];
    std::io::Read::read_exact(&mut open()?, &mut magic)?;
    let is_little = [0xa1b2_c3d4_u32, 0xa1b2_3c4d].contains(&u32::from_le_bytes(magic));
    if reader.kind() == FileKind::Pcap && is_little {
        return Ok(file.canonicalize()?);
    }
    let copied = directory.join("copy.pcap");
    copy(file, &copied, u64::MAX)?;
    Ok(copied)
}

/// Copies the first `most` frames into a little-endian pcap file. A file has one link type: others are left out.
fn copy(from: &Path, to: &Path, most: u64) -> Result<()> {
    let in_file = |error: sentinel_capture::file::FileError| anyhow::anyhow!("{}: {error}", from.display());
    let mut reader = Reader::open(File::open(from)?).map_err(in_file)?;
    let mut writer = None;
    let mut written = 0;
    while written < most {
        let Some(frame) = reader.next().map_err(in_file)? else { break };
        let (link, writer) = match &mut writer {
            Some(writer) => writer,
            none => none.insert((
                frame.link,
                PcapWriter::new(BufWriter::new(File::create(to)?), frame.link, MAX_FRAME)?,
            )),
        };
        if frame.link == *link {
            writer.write(&frame)?;
            written += 1;
        }
    }
    let (_, writer) = writer.with_context(|| format!("{}: no packets", from.display()))?;
    writer.into_inner().into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(())
}

/// Nanoseconds per packet of `sentinel read --alerts` for several sorts of traffic, measured in turn: best of `rounds`.
pub(crate) fn side_by_side(
    sentinel: &Path,
    files: &[(&'static str, PathBuf)],
    rounds: u32,
) -> Result<Vec<(&'static str, f64)>> {
    let directory = tempfile::tempdir()?;
    let mut prepared = Vec::new();
    for (name, file) in files {
        let first = directory.path().join(format!("{name}-first.pcap"));
        copy(file, &first, 1)?;
        prepared.push((*name, file, first, count(sentinel, file)?, Rounds::default()));
    }
    for _ in 0..rounds.max(1) {
        for (_, file, first, _, rounds) in &mut prepared {
            rounds.start.push(child::cost(&mut child::read(sentinel, first, "--alerts"))?);
            rounds.whole.push(child::cost(&mut child::read(sentinel, file, "--alerts"))?);
        }
    }
    prepared
        .iter()
        .map(|(name, _, _, packets, rounds)| {
            let figures = figures(rounds, *packets).context("no round")?;
            Ok((*name, figures.best_ns))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_ns: u64) -> Cost {
        Cost { cpu_ns, wall_ns: 2_000_000, peak_rss_kib: 100 }
    }

    #[test]
    fn start_up_and_the_first_packet_do_not_count() {
        let rounds =
            Rounds { whole: [1_600, 1_100, 3_000].map(cost).into(), start: [150, 100, 700].map(cost).into() };
        let figures = figures(&rounds, 11).unwrap();
        assert_eq!((figures.best_ns, figures.median_ns, figures.start_ms), (100.0, 150.0, 2.0));
        assert_eq!(ratio(100.0, Some(300.0)), Some(0.333));
        assert_eq!((ratio(1.0, Some(0.0)), ratio(1.0, None)), (None, None));
    }

    #[test]
    fn a_copy_has_the_first_frames_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = Traffic::Bulk.capture(directory.path(), 5).unwrap();
        let copied = directory.path().join("copy");
        copy(&file, &copied, 2).unwrap();
        let mut reader = Reader::open(File::open(&copied).unwrap()).unwrap();
        let mut frames = 0;
        while reader.next().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!(frames, 2);
        assert_eq!(as_pcap(&file, directory.path()).unwrap(), file.canonicalize().unwrap());
    }
}
