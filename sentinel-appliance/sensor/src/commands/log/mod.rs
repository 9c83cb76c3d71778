//! `sentinel log`: the sealed log, also while the sensor runs, and copies of it elsewhere.

mod evidence;
mod explain;
mod open;
mod records;

use std::fmt::Write;
use std::path::PathBuf;

use sentinel_ringlog::{Head, SegmentState};
use sentinel_uplink::PublicKey;

use crate::settings::Settings;
use crate::spool::{Log, Record};
use crate::terminal::count::count;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

pub(crate) use evidence::keygen;
pub(crate) use explain::{Which, explain};
use open::open;

/// Action on the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// One line for each segment.
    List,
    /// One line for each record, for people.
    Show,
    /// Checks seals, chain and order.
    Verify,
    /// One JSON object for each record.
    Export,
}

/// Files to read, and the keys for them.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// A log copied elsewhere, without its journal; else the log of the settings.
    pub(crate) file: Option<PathBuf>,
    /// Key file other than the sensor's.
    pub(crate) key: Option<PathBuf>,
    /// File with the private key to which segments were sealed.
    pub(crate) evidence_key: Option<PathBuf>,
}

/// Runs the action. `count` limits `show` and `export` to the newest records; `head` is what `verify` compares with.
///
/// # Errors
/// Damage is one too, after everything that can be read was printed.
pub(crate) fn log(
    action: Action,
    count: Option<u64>,
    head: Option<&Head>,
    source: &Source,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut opened = open(source, settings)?;
    let mut output = Output::new();
    match action {
        Action::List => list(&mut opened.log, &mut output)?,
        Action::Verify => {
            verify(&mut opened.log, head, output)?;
            return opened.missing_key();
        }
        Action::Show | Action::Export => {
            let print = if action == Action::Show { records::show } else { records::export };
            records::records(&mut opened.log, count, &mut |id, record| {
                output.line(|line| print(id, record, line))
            })?;
        }
    }
    output.flush()?;
    opened.report_unreadable();
    opened.damage()
}

/// The newest records as JSON: `most` alerts, then, behind `],"records":[`, at most as many other records, each kind newest first and
/// `room` bytes in all. Four times as many records are read, because others stand between alerts.
pub(crate) fn newest(settings: &Settings, most: u64, mut room: usize) -> Result<String, Failure> {
    let mut opened = open(&Source::default(), settings)?;
    let mut found: Vec<(bool, String)> = Vec::new();
    records::records(&mut opened.log, Some(most * 4), &mut |id, record| {
        let is_alert =
            matches!(record, Record::Alert { .. } | Record::Relocated { .. } | Record::LogOnly { .. });
        let mut line = String::new();
        records::export(id, record, &mut line).map_err(Failure::new)?;
        found.push((is_alert, line));
        Ok(())
    })?;
    let mut text = String::new();
    for wanted in [true, false] {
        text.push_str(if wanted { "" } else { "],\"records\":[" });
        let (mut separator, mut left) = ("", most);
        for (_, line) in found.iter().rev().filter(|(is_alert, _)| *is_alert == wanted) {
            if left == 0 || line.len() >= room {
                break;
            }
            text.push_str(separator);
            text.push_str(line);
            separator = ",";
            left -= 1;
            room -= line.len() + 1;
        }
    }
    Ok(text)
}

fn list(log: &mut Log, output: &mut Output) -> Result<(), Failure> {
    output.line(|line| line.write_str("slot    segment    first record    records    bytes  state"))?;
    let mut outcome = Ok(());
    log.list(&mut |segment| {
        let state = match segment.state {
            SegmentState::Open => "open",
            SegmentState::Sealed => "sealed",
            SegmentState::OlderKey => "unreadable with this key",
            SegmentState::Damaged => "damaged",
            _ => "unknown",
        };
        let count = segment.records.end.since(segment.records.start);
        let written = output.line(|line| {
            write!(line, "{:>4} {:>10} {:>15}", segment.slot, segment.epoch, segment.records.start.0)?;
            write!(line, " {count:>10} {:>8}  {state}", segment.bytes)?;
            match segment.sealed_to {
                Some(key) => write!(line, ", evidence for {}", PublicKey::from_bytes(key)),
                None => Ok(()),
            }
        });
        if outcome.is_ok() {
            outcome = written;
        }
    })
    .map_err(|error| Failure::new(format!("reading the log: {error}")))?;
    outcome?;
    let (oldest, next) = (log.oldest(), log.next_id());
    output.line(|line| write!(line, "{} records can be read", next.since(oldest)))
}

fn verify(log: &mut Log, head: Option<&Head>, mut output: Output) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let report = log
        .verify(head, &mut |finding| {
            let written = output.line(|line| write!(line, "{finding}"));
            if outcome.is_ok() {
                outcome = written;
            }
        })
        .map_err(|error| Failure::new(format!("reading the log: {error}")))?;
    outcome?;
    output.line(|line| {
        let parts =
            [(u64::from(report.segments), "segment"), (report.blocks, "block"), (report.records, "record")];
        line.push_str(&parts.map(|(number, noun)| count(number, noun)).join(", "));
        write!(line, ", {} in the journal, {} findings", report.journal_records, report.findings)
    })?;
    if report.older_key_segments > 0 {
        output.line(|line| {
            write!(line, "{} segments cannot be opened with this key", report.older_key_segments)?;
            line.write_str("; of these the chain was checked, not the seals")
        })?;
    }
    output.line(|line| write!(line, "head {}", log.head()))?;
    output.flush()?;
    if report.findings > 0 {
        return Err(Failure::new(format!("verification failed: {} findings", report.findings)));
    }
    Ok(())
}
