//! `sentinel explain`: one alert of the log, with the test that fired, the settings that decide it now, and its first packets.

use std::fmt::Write;
use std::path::Path;

use sentinel_alert::{Alert, AlertId, json, wire};
use sentinel_detect::DETECTORS;
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Timestamp;

use super::Source;
use super::open::open;
use crate::commands::ctl;
use crate::packets::show::line;
use crate::settings::{self, Settings};
use crate::spool::{self, Log, Record};
use crate::terminal::failure::Failure;
use crate::terminal::output::{Output, alert_text};

/// Packets that are shown.
const FIRST_PACKETS: u64 = 5;

/// Alert to explain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    /// Number of its record, as `log show` prints it.
    Record(u64),
    /// Run and number of the alert, as machine output has them.
    Alert(AlertId),
}

impl Which {
    /// Reads `NUMBER` or `BOOT:SEQ`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some((boot, seq)) => {
                Some(Self::Alert(AlertId { boot: boot.parse().ok()?, seq: seq.parse().ok()? }))
            }
            None => text.parse().ok().map(Self::Record),
        }
    }
}

/// Explains one alert.
///
/// # Errors
/// The log cannot be read, or has no such alert.
pub(crate) fn explain(which: Which, source: &Source, settings: &Settings) -> Result<(), Failure> {
    let mut opened = open(source, settings)?;
    let found = find(&mut opened.log, which)?;
    let Some((id, alert)) = found else {
        opened.report_unreadable();
        opened.missing_key()?;
        return Err(Failure::new(
            "the log has no alert of this number; 'sentinel log show' lists those that it has",
        ));
    };
    let mut output = Output::new();
    output.line(|line| alert_text(&alert, line))?;
    output.line(|line| {
        line.push('\n');
        about(&alert, line)
    })?;
    output.line(|line| {
        line.push_str("\nRecord:\n  ");
        json::write(&alert, Some(id), line)
    })?;
    output.text(&format!("\nSettings of {} now:\n", alert.test.kind()))?;
    output.line(|line| settings::of_detector(settings, alert.test.kind().name(), line))?;
    output.text("First packets:\n")?;
    packets(&alert, &settings.run_dir, &mut output)?;
    output.flush()
}

fn find(log: &mut Log, which: Which) -> Result<Option<(AlertId, Alert)>, Failure> {
    let from = match which {
        Which::Record(number) => RecordId(number).max(log.oldest()),
        Which::Alert(_) => log.oldest(),
    };
    let (mut cursor, mut buffer) = (Cursor::new(from), [0; MAX_RECORD]);
    loop {
        let read = log.read_next(&mut cursor, &mut buffer);
        let Some((number, length)) =
            read.map_err(|error| Failure::new(format!("reading the log: {error}")))?
        else {
            return Ok(None);
        };
        if matches!(which, Which::Record(wanted) if number.0 > wanted) {
            return Ok(None);
        }
        let (id, alert) = match spool::read_record(buffer.get(..length).unwrap_or_default()) {
            Some(Record::Alert { boot, seq, alert } | Record::Relocated { boot, seq, alert }) => {
                (AlertId { boot, seq }, alert)
            }
            // Numbers of alerts begin at 1.
            Some(Record::LogOnly { boot, alert }) => (AlertId { boot, seq: 0 }, alert),
            _ => continue,
        };
        if matches!(which, Which::Alert(wanted) if id != wanted) {
            continue;
        }
        let (alert, _) = wire::decode(alert, Timestamp::ZERO).map_err(|error| {
            Failure::new(format!("record {} is an alert of a later version: {error}", number.0))
        })?;
        return Ok(Some((id, alert)));
    }
}

fn about(alert: &Alert, out: &mut String) -> std::fmt::Result {
    let kind = alert.test.kind();
    writeln!(out, "Test {} of {kind} (MITRE ATT&CK {})", alert.test.name(), kind.technique())?;
    if let Some(detector) = DETECTORS.iter().find(|detector| detector.kind == kind) {
        writeln!(out, "Fires when {}", detector.about)?;
        writeln!(out, "Defaults from: {}", detector.source)?;
    }
    write!(out, "Incident {}, first evidence at {}", alert.incident, alert.first.rfc3339())
}

/// Prints the first packets between the addresses of the alert that the running sensor has in memory.
fn packets(alert: &Alert, run_dir: &Path, output: &mut Output) -> Result<(), Failure> {
    let subject = &alert.subject;
    let hosts: Vec<String> = [subject.source, subject.destination]
        .into_iter()
        .flatten()
        .map(|address| format!("host {address}"))
        .collect();
    let answer = match ctl::ask(&format!("packets 0 {}\n", hosts.join(" and ")), run_dir) {
        Ok(answer) => answer,
        Err(failure) => return output.line(|line| write!(line, "none: {failure}")),
    };
    if ctl::show(answer, alert.first, FIRST_PACKETS, line::Style::default(), output)? == 0 {
        output.text("none in memory any more; max_packets sets how many are kept\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::log::open::testing::written;

    #[test]
    fn an_alert_is_found_by_its_record_and_by_its_own_number() {
        let (_directory, settings) = written();
        let mut log = open(&Source::default(), &settings).unwrap().log;
        let numbers: Vec<u64> =
            (0..20).filter(|number| find(&mut log, Which::Record(*number)).unwrap().is_some()).collect();
        assert_eq!(numbers.len(), 8, "of the records only those of alerts: {numbers:?}");
        let (id, alert) = find(&mut log, Which::Record(numbers[4])).unwrap().unwrap();
        assert_eq!(id.seq, 5);
        assert_eq!(find(&mut log, Which::Alert(id)).unwrap(), Some((id, alert)));
        assert_eq!(find(&mut log, Which::Alert(AlertId { seq: 9, ..id })).unwrap(), None);
        explain(Which::Alert(id), &Source::default(), &settings).unwrap();
        let failure = explain(Which::Record(0), &Source::default(), &settings).unwrap_err().to_string();
        assert!(failure.starts_with("the log has no alert of this number"), "{failure}");
    }

    #[test]
    fn an_alert_is_named_by_its_record_or_by_run_and_number() {
        assert_eq!(Which::parse("17"), Some(Which::Record(17)));
        assert_eq!(Which::parse("99:3"), Some(Which::Alert(AlertId { boot: 99, seq: 3 })));
        for wrong in ["", "x", "1:", ":2", "1:2:3", "-1", "4294967296:1"] {
            assert_eq!(Which::parse(wrong), None, "{wrong}");
        }
    }
}
