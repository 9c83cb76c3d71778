//! Instructions that each detector takes, by class of traffic: the difference between all detectors and all but one.
//!
//! Counted by callgrind over the captures of `instructions`, so that load makes no difference. What several detectors share is paid for as
//! long as one of them is on, and counts for none.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sentinel_trafficgen::stream::Traffic;

use crate::instructions::{PACKETS, Run, totals, valgrind_is_installed};
use crate::output;
use crate::report::per;
use crate::settings::Settings;

/// First line of the table.
const HEAD: &str =
    "# KIND CLASS INSTRUCTIONS: instructions a packet that a detector takes, by `bench costs` on x86-64";

/// Prints a line for each detector and class of traffic that differ by at least one instruction a packet.
pub(crate) fn measure(sentinel: &Path) -> Result<()> {
    ensure!(valgrind_is_installed(), "valgrind is not installed");
    let settings = Settings::of(sentinel)?;
    let detectors = settings.detectors();
    let directory = tempfile::tempdir()?;
    let mut runs = Vec::new();
    for traffic in Traffic::ALL {
        let file = traffic.capture(directory.path(), PACKETS)?;
        let off = detectors.iter().map(|detector| Some(format!("{detector}.enabled=off")));
        // A setting takes instructions too: the run with all detectors has one that changes nothing.
        let all = Some("log_level=info".to_owned());
        for (index, setting) in std::iter::once(all).chain(off).enumerate() {
            let own = directory.path().join(format!("{}-{index}", traffic.name()));
            fs::create_dir_all(&own)?;
            runs.push(Run { file: file.clone(), view: "--alerts", setting, own });
        }
    }
    eprintln!("bench: {} runs under valgrind", runs.len());
    let totals = totals(sentinel, &runs)?;
    output::line(HEAD);
    for (index, detector) in detectors.iter().enumerate() {
        for (traffic, totals) in Traffic::ALL.iter().zip(totals.chunks(detectors.len() + 1)) {
            let (all, without) = (totals.first(), totals.get(index + 1));
            let (all, without) = all.zip(without).context("a run is missing")?;
            let sign = if without > all { "-" } else { "" };
            let cost = per(all.abs_diff(*without), PACKETS.into()).round();
            if cost >= 1.0 {
                output::line(format_args!("{detector} {} {sign}{cost}", traffic.name()));
            }
        }
    }
    Ok(())
}
