//! Scan and flood matrices: share of runs detected, time and packets until then.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sentinel_trafficgen::adversary::{Flood, FloodKind, Named, Origin, Scan, Technique};
use sentinel_trafficgen::packet::Family;
use sentinel_trafficgen::{Packets, Parameters};
use serde_json::{Value, json};

use super::verdict::{Expectation, Outcome, Verdict, judge};

const SCANS: Expectation<'_> = Expectation { kinds: &["port_scan", "host_sweep"], named: Named::Source };
/// Kinds that a flood may be told as; later ones keep the suffix.
const FLOOD_KINDS: &[&str] = &[
    "syn_flood",
    "udp_flood",
    "icmp_flood",
    "ack_flood",
    "rst_flood",
    "fragment_flood",
    "tcp_flood",
    "reflection",
];

/// Cell of a matrix: one attack over several seeds.
#[derive(Debug)]
struct Cell {
    name: String,
    column: String,
    family: Family,
    verdicts: Vec<Verdict>,
}

/// Result of a matrix.
#[derive(Debug)]
pub(crate) struct Matrix {
    title: &'static str,
    cells: Vec<Cell>,
}

/// Size of the matrices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// One seed, the rates that take no time.
    Small,
    /// Five seeds, every rate.
    Full,
}

impl Form {
    const fn seeds(self) -> u64 {
        match self {
            Self::Small => 1,
            Self::Full => 5,
        }
    }
}

/// Intervals of a scan, their name, and the probes of a run: enough for what the slowest test is to need six of.
const INTERVALS: [(&str, Duration, u32); 6] = [
    ("100/s", Duration::from_millis(10), 400),
    ("10/s", Duration::from_millis(100), 200),
    ("1/s", Duration::from_secs(1), 60),
    ("1 in 15 s", Duration::from_secs(15), 40),
    ("1 in 1 min", Duration::from_secs(60), 30),
    ("1 in 5 min", Duration::from_secs(300), 20),
];

/// Technique x rate x family.
pub(crate) fn scans(sentinel: &Path, detectors: &[String], form: Form) -> Result<Matrix> {
    let mut cells = Vec::new();
    for technique in Technique::ALL {
        for family in [Family::V4, Family::V6].into_iter().filter(|family| technique.exists_over(*family)) {
            for (column, interval, probes) in INTERVALS {
                let scan = Scan { technique, interval, family, probes };
                let attack = |parameters: &Parameters| scan.packets(parameters);
                let verdicts = over_seeds(sentinel, detectors, SCANS, form, &attack)
                    .with_context(|| format!("scan {} {column}", technique.name()))?;
                cells.push(Cell { name: technique.name().into(), column: column.into(), family, verdicts });
            }
        }
    }
    Ok(Matrix { title: "scan matrix", cells })
}

/// What x origin x rate x family.
pub(crate) fn floods(sentinel: &Path, detectors: &[String], form: Form) -> Result<Matrix> {
    let rates: &[u32] = if form == Form::Small { &[200, 2_000] } else { &[50, 200, 2_000, 10_000] };
    let mut cells = Vec::new();
    for kind in FloodKind::ALL {
        for origin in [Origin::OneInside, Origin::OneOutside, Origin::Spoofed] {
            let is_reflection = matches!(kind, FloodKind::SynAckReflection | FloodKind::DnsReflection);
            if is_reflection && origin != Origin::Spoofed {
                continue;
            }
            for family in [Family::V4, Family::V6] {
                for rate in rates {
                    let flood = Flood { kind, origin, rate: *rate, family, span: Duration::from_secs(10) };
                    let named = if origin == Origin::Spoofed { Named::Victim } else { Named::Either };
                    let expectation = Expectation { kinds: FLOOD_KINDS, named };
                    let name = format!("{} {}", kind.name(), origin_name(origin));
                    let verdicts = over_seeds(sentinel, detectors, expectation, form, &|parameters| {
                        flood.packets(parameters)
                    })
                    .with_context(|| format!("flood {name}"))?;
                    cells.push(Cell { name, column: format!("{rate}/s"), family, verdicts });
                }
            }
        }
    }
    Ok(Matrix { title: "flood matrix", cells })
}

const fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::OneInside => "inside",
        Origin::OneOutside => "outside",
        Origin::Spoofed => "spoofed",
    }
}

fn over_seeds(
    sentinel: &Path,
    detectors: &[String],
    expectation: Expectation<'_>,
    form: Form,
    attack: &dyn Fn(&Parameters) -> Packets,
) -> Result<Vec<Verdict>> {
    (1..=form.seeds())
        .map(|seed| {
            let parameters = Parameters { seed, ..Parameters::default() };
            judge(sentinel, detectors, expectation, &parameters, attack(&parameters), false)
        })
        .collect()
}

impl Cell {
    fn named(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Named).count()
    }

    fn worst(&self) -> Outcome {
        self.verdicts.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::Silent)
    }

    /// Median of a figure over the runs that have it.
    fn median<T: Ord + Copy>(&self, figure: impl Fn(&Verdict) -> Option<T>) -> Option<T> {
        let mut all: Vec<T> = self.verdicts.iter().filter_map(figure).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    }

    /// Text of the cell: packets and time until detection, or why there are none.
    fn text(&self) -> String {
        if self.worst() > Outcome::Named {
            let share = if self.named() > 0 {
                format!("{}/{} ", self.named(), self.verdicts.len())
            } else {
                String::new()
            };
            let outcome = if self.worst() == Outcome::Wrong { "WRONG" } else { self.worst().name() };
            return format!("{share}{outcome}");
        }
        let frames = self.median(|verdict| verdict.frames).unwrap_or(0);
        let after = self.median(|verdict| verdict.after).unwrap_or_default();
        format!("{frames} p {:.2} s", after.as_secs_f64())
    }
}

impl Matrix {
    pub(crate) fn to_json(&self) -> Value {
        let cells: Vec<Value> = self
            .cells
            .iter()
            .map(|cell| {
                json!({
                    "attack": cell.name,
                    "rate": cell.column,
                    "family": family_name(cell.family),
                    "runs": cell.verdicts.len(),
                    "named": cell.named(),
                    "worst": cell.worst().name(),
                    "frames": cell.median(|verdict| verdict.frames),
                    "after_ms": cell.median(|verdict| verdict.after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX))),
                    "said": cell.verdicts.first().map(|verdict| verdict.said.clone()),
                })
            })
            .collect();
        json!({"cells": cells, "named": self.named(), "all": self.cells.len()})
    }

    /// Cells in which every run named the attack.
    fn named(&self) -> usize {
        self.cells.iter().filter(|cell| cell.worst() == Outcome::Named).count()
    }

    /// Table with a line for each attack and family and a column for each rate: frames and time to detection.
    pub(crate) fn to_table(&self) -> String {
        let mut columns: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !columns.contains(&cell.column.as_str()) {
                columns.push(&cell.column);
            }
        }
        let mut text = format!(
            "{}: {} of {} cells named in every run\n  {:<30}",
            self.title,
            self.named(),
            self.cells.len(),
            ""
        );
        columns.iter().for_each(|column| {
            let _infallible = write!(text, "{column:>18}");
        });
        let mut line = None;
        for cell in &self.cells {
            let this = (&cell.name, cell.family);
            if line != Some(this) {
                let _infallible = write!(text, "\n  {:<24}{:<6}", cell.name, family_name(cell.family));
                line = Some(this);
            }
            let _infallible = write!(text, "{:>18}", cell.text());
        }
        text.push('\n');
        text
    }
}

const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
