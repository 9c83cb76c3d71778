//! Instructions on the small CPU: the emulator counts time in instructions, and the scheduler counts each thread's time.
//!
//! With `-icount shift=1` one instruction takes 2 ns of the guest's time, whatever the host does. The first number of
//! `/proc/PID/task/TID/schedstat` is then the number of instructions of that thread, its system calls and the interrupts in it included,
//! times two. `bench instructions` counts the program alone, from a file; this counts what a router pays, live. As many frames come
//! before those that are counted, so that the tables hold what they hold on a router.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sentinel_trafficgen::pcap::{Resolution, Writer};
use sentinel_trafficgen::stream::Traffic;
use sentinel_units::Timestamp;

use super::budget::Limits;
use super::judge::Checked;
use super::report::Report;
use crate::json;

/// Options of the emulator. Without `sleep` the time in which the guest is idle is skipped.
pub(super) const OPTIONS: [&str; 4] = ["-icount", "shift=1,sleep=off", "-rtc", "clock=vm"];
const NANOSECONDS_PER_INSTRUCTION: u64 = 2;
/// Growth of a count above which the check fails, in percent. Four runs of one program differed by up to 18 % (mixed; others 6 %), and
/// the budget is the highest of them.
const MAX_GROWTH: f64 = 10.0;

/// Traffic that is counted, with the number of frames that are, and the speed at which it has 10,000 frames a second. The files fit into
/// the memory of the smallest board.
pub(super) const TRAFFIC: [(Traffic, u32, &str); 3] =
    [(Traffic::Mixed, 4_000, "1"), (Traffic::Bulk, 2_000, "0.2"), (Traffic::SynSpoofed, 5_000, "0.1")];

/// Writes the frames before those that are counted to `before` and those to `counted`.
pub(super) fn write(traffic: Traffic, frames: u32, before: &Path, counted: &Path) -> Result<()> {
    for (path, skipped) in [(before, 0), (counted, usize::try_from(frames)?)] {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let part = traffic.frames(frames * 2).skip(skipped).take(usize::try_from(frames)?);
        Writer::new(BufWriter::new(file), Resolution::Nanoseconds)?
            .all(Timestamp::from_parts(1_700_000_000, 0), Box::new(part))?;
    }
    Ok(())
}

/// Counts of all traffic and of a start, each against its budget.
pub(super) fn all(report: &Report, limits: &Limits) -> Vec<Checked> {
    let counted = TRAFFIC.iter().map(|(traffic, frames, _)| {
        let name = traffic.name();
        (name, of_traffic(report, name, u64::from(*frames)))
    });
    counted
        .chain([("start", start(report))])
        .map(|(name, count)| {
            (format!("instructions {name}"), count.and_then(|count| judged(name, count, limits)))
        })
        .collect()
}

fn judged(name: &str, count: f64, limits: &Limits) -> Result<String> {
    let limit = limits.instructions.get(name).with_context(|| format!("{count:.1}, and no budget"))?;
    let percent = (count / limit - 1.0) * 100.0;
    let is_allowed = count * 100.0 <= limit * (100.0 + MAX_GROWTH);
    ensure!(is_allowed, "{count:.1}, {percent:+.1} % over {limit}, {MAX_GROWTH} % allowed");
    Ok(format!("{count:.1}, {limit} in the budget"))
}

/// Instructions of the worker for each frame.
fn of_traffic(report: &Report, name: &str, frames: u64) -> Result<f64> {
    for step in ["start", "warm", "replay", "stop"] {
        report.text(&format!("{name}.{step}"))?;
    }
    let status = report.json(&format!("{name}.status"))?;
    let analysed = json::number(&status, "/frames/analysed")?;
    ensure!(analysed == frames * 2, "{analysed} of {} frames", frames * 2);
    let worker = |moment: &str| -> Result<u64> {
        let threads = threads(report, &format!("{name}.{moment}"))?;
        let found = threads.iter().find(|(thread, _)| thread == "worker").context("no worker")?;
        Ok(found.1)
    };
    Ok(ratio(worker("after")?.saturating_sub(worker("before")?), frames))
}

/// Instructions of all threads until the program is idle.
fn start(report: &Report) -> Result<f64> {
    let threads = threads(report, "start.threads")?;
    ensure!(threads.len() >= 3, "{threads:?}");
    Ok(ratio(threads.iter().map(|(_, count)| count).sum(), 1))
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(count: u64, frames: u64) -> f64 {
    count as f64 / frames as f64
}

/// Instructions of each thread so far, by name.
fn threads(report: &Report, section: &str) -> Result<Vec<(String, u64)>> {
    let lines = report.text(section)?.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, nanoseconds) = line.rsplit_once(' ').with_context(|| format!("{section}: {line}"))?;
            Ok((name.to_owned(), nanoseconds.parse::<u64>()? / NANOSECONDS_PER_INSTRUCTION))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::report::tests::report;
    use super::*;

    fn sections(analysed: &str, after: &str) -> Report {
        report(&[
            ("bulk.start", "", 0),
            ("bulk.warm", "", 0),
            ("bulk.replay", "", 0),
            ("bulk.stop", "", 0),
            ("bulk.status", &format!("{{\"frames\":{{\"analysed\":{analysed}}}}}"), 0),
            ("bulk.before", "sentinel 900\nworker 1000\nasync-io 7", 0),
            ("bulk.after", after, 0),
        ])
    }

    #[test]
    fn the_worker_is_counted_in_instructions_of_two_nanoseconds() {
        let count = of_traffic(&sections("20", "sentinel 9900\nworker 3000"), "bulk", 10).unwrap();
        assert_eq!(judged("bulk", count, &limits(100.0)).unwrap(), "100.0, 100 in the budget");
        assert!(of_traffic(&sections("19", "worker 3000"), "bulk", 10).is_err(), "a frame was lost");
        assert!(of_traffic(&sections("20", "sentinel 3000"), "bulk", 10).is_err(), "no worker");
    }

    fn limits(bulk: f64) -> Limits {
        let instructions = BTreeMap::from([("bulk".to_owned(), bulk)]);
        Limits { rss_kib: 0, rss_tiny_kib: 0, instructions }
    }

    #[test]
    fn counts_may_grow_by_ten_percent() {
        assert!(judged("bulk", 110.0, &limits(100.0)).is_ok());
        let error = judged("bulk", 110.2, &limits(100.0)).unwrap_err().to_string();
        assert_eq!(error, "110.2, +10.2 % over 100, 10 % allowed");
        assert!(judged("mixed", 1.0, &limits(100.0)).unwrap_err().to_string().ends_with("no budget"));
    }
}
