//! Cost of adversarial traffic, beside ordinary traffic of the same run.

use std::path::Path;

use anyhow::{Context, Result};
use sentinel_trafficgen::stream::Traffic;
use serde_json::{Map, Value, json};

use crate::instructions::{self, PACKETS};
use crate::path;
use crate::report::Report;

/// Measures every kind of [`Traffic::HOSTILE`] against [`Traffic::Mixed`].
pub(crate) fn measure(sentinel: &Path, packets: u32, rounds: u32, report: &mut Report) -> Result<()> {
    let rows = rows(sentinel, packets, rounds)?;
    eprintln!("{:<14} {:>9} {:>8} {:>13} {:>8}", "", "ns/packet", "x mixed", "instructions", "x mixed");
    rows.iter().for_each(Row::print);
    let hostile = rows.iter().filter(|row| row.name != Traffic::Mixed.name());
    let worst = hostile.map(|row| row.ratio).fold(0.0, f64::max);
    let list: Map<String, Value> = rows.iter().map(|row| (row.name.to_owned(), row.to_json())).collect();
    report.line(json!({
        "bench": "hostile",
        "packets": packets,
        "rounds": rounds,
        "worst_ratio": worst,
        "traffic": list,
    }));
    report.figure("hostile_ratio", worst);
    Ok(())
}

/// Cost of one kind of traffic, and its ratio to that of [`Traffic::Mixed`].
struct Row {
    name: &'static str,
    ns: f64,
    ratio: f64,
    /// Instructions per packet, and their ratio; `None` without valgrind.
    instructions: Option<(f64, f64)>,
}

impl Row {
    fn print(&self) {
        let Self { name, ns, ratio, instructions } = self;
        let (count, times_mixed) = instructions.unwrap_or((f64::NAN, f64::NAN));
        eprintln!("{name:<14} {ns:>9.1} {ratio:>8.2} {count:>13.1} {times_mixed:>8.2}");
    }

    fn to_json(&self) -> Value {
        json!({
            "ns_per_packet": self.ns,
            "ratio_to_mixed": self.ratio,
            "instructions_per_packet": self.instructions.map(|(count, _)| count),
            "instructions_ratio_to_mixed": self.instructions.map(|(_, times_mixed)| times_mixed),
        })
    }
}

/// Measures [`Traffic::Mixed`] and every hostile kind, in this order.
fn rows(sentinel: &Path, packets: u32, rounds: u32) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let kinds = [&[Traffic::Mixed][..], &Traffic::HOSTILE].concat();
    let files: Vec<_> = kinds
        .iter()
        .map(|traffic| Ok((traffic.name(), traffic.capture(directory.path(), packets)?)))
        .collect::<Result<_>>()?;
    let times = path::side_by_side(sentinel, &files, rounds)?;
    let counted = if instructions::valgrind_is_installed() {
        instructions::count(sentinel, &kinds, PACKETS, directory.path())?
    } else {
        eprintln!("bench: instructions skipped, valgrind is not installed");
        Vec::new()
    };
    let whole = |traffic: &str| {
        counted.iter().find(|(found, _)| found.name() == traffic).map(|(_, counted)| counted.whole)
    };
    let (_, mixed_ns) = *times.first().context("nothing was measured")?;
    let mixed = whole(Traffic::Mixed.name());
    let row = |(name, ns): &(&'static str, f64)| {
        let instructions = whole(name).zip(mixed).map(|(count, mixed)| (count, rounded(count / mixed)));
        Row { name, ns: *ns, ratio: rounded(ns / mixed_ns.max(0.001)), instructions }
    };
    Ok(times.iter().map(row).collect())
}

/// `figure` to three digits after the point.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}
