//! Nanoseconds per packet of the whole process, net of start-up.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::child::{self, Cost};
use crate::report::{Report, per};
use crate::traffic::Traffic;

/// Measures made-up traffic.
pub(crate) fn made_up(
    sentinel: &Path,
    traffic: Traffic,
    packets: u32,
    repeat: u32,
    report: &mut Report,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = traffic.capture(directory.path(), packets)?;
    let ns = measure(sentinel, traffic.name(), &file, repeat, report)?;
    if traffic == Traffic::Mixed {
        report.figure("mixed_ns", ns);
    }
    Ok(())
}

/// Measures a capture of the user's own.
pub(crate) fn capture(sentinel: &Path, file: &Path, repeat: u32, report: &mut Report) -> Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    measure(sentinel, &name, file, repeat, report).map(|_| ())
}

fn measure(sentinel: &Path, name: &str, file: &Path, repeat: u32, report: &Report) -> Result<f64> {
    let packets = count(sentinel, file)?;
    let directory = tempfile::tempdir()?;
    let empty = Traffic::Mixed.capture(directory.path(), 0)?;
    // Each program against itself on a capture without packets, so that its start does not count.
    let net = |command: &dyn Fn(&Path) -> Command| -> Result<(Cost, u64)> {
        let whole = child::best(repeat, || command(file))?;
        let start = child::best(repeat, || command(&empty))?;
        Ok((whole, whole.cpu_ns.saturating_sub(start.cpu_ns)))
    };
    let (cost, cpu_ns) = net(&|file| child::read(sentinel, file))?;
    let bench = std::env::current_exe().context("where am I?")?;
    let touch = net(&|file| {
        let mut command = Command::new(&bench);
        command.arg("touch").arg(file);
        command
    });
    let tcpdump = net(&|file| {
        let mut command = Command::new("tcpdump");
        command.args(["-w", "/dev/null", "-r"]).arg(file);
        command
    });
    // A reference that is not there, or cannot read this capture, gives null.
    let reference = |measured: &Result<(Cost, u64)>| {
        measured.as_ref().ok().map(|(_, ns)| (per(*ns, packets), per(cpu_ns, *ns)))
    };
    let (touch, tcpdump) = (reference(&touch), reference(&tcpdump));
    let ns = per(cpu_ns, packets);
    report.line(json!({
        "bench": "path",
        "capture": name,
        "packets": packets,
        "ns_per_packet": ns,
        "touch_ns_per_packet": touch.map(|(ns, _)| ns),
        "ratio_to_touch": touch.map(|(_, ratio)| ratio),
        "tcpdump_ns_per_packet": tcpdump.map(|(ns, _)| ns),
        "ratio_to_tcpdump": tcpdump.map(|(_, ratio)| ratio),
        "peak_rss_kib": cost.peak_rss_kib,
        "runs": repeat,
    }));
    Ok(ns)
}

fn count(sentinel: &Path, file: &Path) -> Result<u64> {
    let output = child::sentinel(sentinel).arg("read").arg(file).arg("--count-only").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| {
        format!("counting {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim())
    })
}
