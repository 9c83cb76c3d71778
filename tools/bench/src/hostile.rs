//! Cost of adversarial traffic, beside ordinary traffic of the same run.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, json};

use crate::instructions::{self, PACKETS};
use crate::path;
use crate::report::Report;
use crate::traffic::Traffic;

/// Measures every kind of [`Traffic::HOSTILE`] against [`Traffic::Mixed`].
pub(crate) fn measure(sentinel: &Path, packets: u32, rounds: u32, report: &mut Report) -> Result<()> {
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
    let mut list = Map::new();
    let mut worst: f64 = 0.0;
    eprintln!("{:<14} {:>9} {:>8} {:>13} {:>8}", "", "ns/packet", "x mixed", "instructions", "x mixed");
    for (name, ns) in &times {
        let ratio = rounded(ns / mixed_ns.max(0.001));
        let (instructions, times_mixed) = match (whole(name), mixed) {
            (Some(found), Some(mixed)) => (Some(found), Some(rounded(found / mixed))),
            _ => (None, None),
        };
        if *name != Traffic::Mixed.name() {
            worst = worst.max(ratio);
        }
        eprintln!(
            "{name:<14} {ns:>9.1} {ratio:>8.2} {:>13.1} {:>8.2}",
            instructions.unwrap_or(f64::NAN),
            times_mixed.unwrap_or(f64::NAN)
        );
        let figures = json!({
            "ns_per_packet": ns,
            "ratio_to_mixed": ratio,
            "instructions_per_packet": instructions,
            "instructions_ratio_to_mixed": times_mixed,
        });
        list.insert((*name).to_owned(), figures);
    }
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

/// `figure` to three digits after the point.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}
