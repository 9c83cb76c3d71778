//! Matrices of scans, floods, beacons and tunnels: share of runs detected, time and packets until then.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sentinel_trafficgen::adversary::{
    Beacon, Carrier, Flood, FloodKind, Named, Origin, Scan, Technique, Tunnel,
};
use sentinel_trafficgen::packet::Family;
use sentinel_trafficgen::{Packets, Parameters};
use serde_json::{Value, json};

use super::form::Form;
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
    in_noise: bool,
    verdicts: Vec<Verdict>,
}

/// Result of a matrix.
#[derive(Debug)]
pub(crate) struct Matrix {
    title: &'static str,
    cells: Vec<Cell>,
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

/// Longest scan that the small form repeats in noise.
const SMALL_SPAN: Duration = Duration::from_secs(4);

/// Parameters of every cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runner<'r> {
    pub(crate) sentinel: &'r Path,
    pub(crate) detectors: &'r [String],
    pub(crate) form: Form,
}

impl Runner<'_> {
    /// Cell of an attack that is built from parameters.
    fn cell(
        &self,
        (name, column): (String, String),
        family: Family,
        in_noise: bool,
        expectation: Expectation<'_>,
        attack: &dyn Fn(&Parameters) -> Packets,
    ) -> Result<Cell> {
        let verdicts = (1..=self.form.seeds(in_noise))
            .map(|seed| {
                let parameters = Parameters { seed, ..Parameters::default() };
                judge(self.sentinel, self.detectors, expectation, &parameters, attack(&parameters), in_noise)
                    .with_context(|| format!("{name} {column}"))
            })
            .collect::<Result<_>>()?;
        Ok(Cell { name, column, family, in_noise, verdicts })
    }
}

/// Technique x rate x family, alone and in noise.
pub(crate) fn scans(runner: &Runner<'_>) -> Result<Matrix> {
    let mut cells = Vec::new();
    for technique in Technique::ALL {
        for family in [Family::V4, Family::V6].into_iter().filter(|family| technique.exists_over(*family)) {
            for in_noise in [false, true] {
                for (column, interval, probes) in INTERVALS {
                    if in_noise && runner.form == Form::Small && interval * probes > SMALL_SPAN {
                        continue;
                    }
                    let scan = Scan { technique, interval, family, probes };
                    let labels = (technique.name().into(), column.into());
                    let attack = |parameters: &Parameters| scan.packets(parameters);
                    cells.push(runner.cell(labels, family, in_noise, SCANS, &attack)?);
                }
            }
        }
    }
    Ok(Matrix { title: "scan matrix", cells })
}

/// Kind x origin x rate x family; the full form in noise as well.
pub(crate) fn floods(runner: &Runner<'_>) -> Result<Matrix> {
    let is_small = runner.form == Form::Small;
    let rates: &[u32] = if is_small { &[200, 2_000] } else { &[50, 200, 2_000, 10_000] };
    let noise: &[bool] = if is_small { &[false] } else { &[false, true] };
    let span = Duration::from_secs(if is_small { 4 } else { 10 });
    let mut cells = Vec::new();
    for kind in FloodKind::ALL {
        for origin in [Origin::OneInside, Origin::OneOutside, Origin::Spoofed] {
            let is_reflection = matches!(kind, FloodKind::SynAckReflection | FloodKind::DnsReflection);
            if is_reflection && origin != Origin::Spoofed {
                continue;
            }
            let named = if origin == Origin::Spoofed { Named::Victim } else { Named::Either };
            let expectation = Expectation { kinds: FLOOD_KINDS, named };
            for family in [Family::V4, Family::V6] {
                for in_noise in noise {
                    for rate in rates {
                        let flood = Flood { kind, origin, rate: *rate, family, span };
                        let labels =
                            (format!("{} {}", kind.name(), origin_name(origin)), format!("{rate}/s"));
                        let attack = |parameters: &Parameters| flood.packets(parameters);
                        cells.push(runner.cell(labels, family, *in_noise, expectation, &attack)?);
                    }
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

/// Share of a period by which calls vary, in percent, and share of calls that are missed.
const RHYTHMS: [(u32, u32); 7] = [(0, 0), (10, 0), (20, 0), (30, 0), (50, 0), (0, 10), (30, 10)];
/// Periods of a beacon and the calls of a run.
const PERIODS: [(&str, Duration, u32); 5] = [
    ("10 s", Duration::from_secs(10), 120),
    ("1 min", Duration::from_secs(60), 120),
    ("5 min", Duration::from_secs(300), 72),
    ("1 h", Duration::from_secs(3_600), 48),
    ("1 day", Duration::from_secs(86_400), 14),
];

/// Beacons by period, jitter and missed calls.
pub(crate) fn beacons(runner: &Runner<'_>) -> Result<Matrix> {
    let expectation = Expectation { kinds: &["beacon"], named: Named::Source };
    let mut cells = Vec::new();
    for (jitter_percent, missed_percent) in RHYTHMS {
        for (column, period, calls) in PERIODS {
            let beacon = Beacon { period, jitter_percent, missed_percent, calls };
            let labels = (format!("jitter {jitter_percent} %, missed {missed_percent} %"), column.into());
            let attack = |parameters: &Parameters| beacon.packets(parameters);
            cells.push(runner.cell(labels, Family::V4, false, expectation, &attack)?);
        }
    }
    Ok(Matrix { title: "beacon matrix", cells })
}

/// Record types that iodine can use, with their numbers.
const RECORDS: [(&str, u16); 7] =
    [("NULL", 10), ("PRIVATE", 65_399), ("TXT", 16), ("SRV", 33), ("MX", 15), ("CNAME", 5), ("A", 1)];
/// Rates of queries and the queries of a run.
const QUERY_RATES: [(&str, Duration, u32); 3] = [
    ("10/s", Duration::from_millis(100), 500),
    ("1/s", Duration::from_secs(1), 300),
    ("1 in 40 s", Duration::from_secs(40), 150),
];

/// DNS tunnels by record type, length of names and rate, and the carriers that are not names to port 53.
pub(crate) fn tunnels(runner: &Runner<'_>) -> Result<Matrix> {
    let expectation = Expectation { kinds: &["dns_tunnel"], named: Named::Source };
    let lengths: &[usize] = if runner.form == Form::Small { &[45, 250] } else { &[45, 80, 150, 250] };
    let mut shapes = Vec::new();
    for (record_name, record) in RECORDS {
        for length in lengths {
            shapes.push((format!("{record_name}, {length} characters"), Carrier::Names(*length), record));
        }
    }
    for (name, carrier, record) in [
        ("A, 49 characters", Carrier::ShortNames, 1),
        ("TXT answers", Carrier::Answers, 16),
        ("reverse nibbles", Carrier::ReverseNibbles, 12),
        ("TXT, QR bit set", Carrier::QueryResponseBit, 16),
        ("TXT to port 5300", Carrier::Port(5_300), 16),
        ("TXT over TCP", Carrier::Stream, 16),
    ] {
        shapes.push((name.to_owned(), carrier, record));
    }
    let mut cells = Vec::new();
    for (name, carrier, record) in shapes {
        for (column, interval, queries) in QUERY_RATES {
            let tunnel = Tunnel { carrier, record, interval, queries };
            let attack = |parameters: &Parameters| tunnel.packets(parameters);
            cells.push(runner.cell(
                (name.clone(), column.into()),
                Family::V4,
                false,
                expectation,
                &attack,
            )?);
        }
    }
    Ok(Matrix { title: "tunnel matrix", cells })
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
                    "in_noise": cell.in_noise,
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

    /// Table with a line for each attack and family and a column for each rate: packets and time to detection.
    pub(crate) fn to_table(&self) -> String {
        let mut columns: Vec<&str> = Vec::new();
        let mut rows: Vec<(&str, Family, bool)> = Vec::new();
        for cell in &self.cells {
            let row = (cell.name.as_str(), cell.family, cell.in_noise);
            if !columns.contains(&cell.column.as_str()) {
                columns.push(&cell.column);
            }
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        let mut text = format!(
            "{}: {} of {} cells named in every run\n  {:<38}",
            self.title,
            self.named(),
            self.cells.len(),
            ""
        );
        let column_names: String = columns.iter().map(|column| format!("{column:>18}")).collect();
        let _infallible = writeln!(text, "{column_names}");
        for (name, family, in_noise) in rows {
            let noise = if in_noise { "noise" } else { "" };
            let _infallible = write!(text, "  {name:<26} {:<5}{noise:<6}", family_name(family));
            for column in &columns {
                let found = self.cells.iter().find(|cell| {
                    cell.column == *column
                        && (cell.name.as_str(), cell.family, cell.in_noise) == (name, family, in_noise)
                });
                let _infallible = write!(text, "{:>18}", found.map_or("-".into(), Cell::text));
            }
            text.push('\n');
        }
        text
    }
}

const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
