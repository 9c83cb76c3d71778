//! `sentinel log list|show|verify|export`: the sealed log, also while the sensor runs.

use std::fmt::Write;
use std::path::Path;

use sentinel_alert::{AlertId, wire};
use sentinel_ringlog::{Cursor, FileStorage, LogKey, MAX_RECORD, Mode, RecordId, SegmentState};
use sentinel_units::Timestamp;

use crate::settings::Settings;
use crate::spool::{self, JOURNAL_FILE, Log, MAIN_FILE, Record};
use crate::system::keys;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;

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

/// Runs the action. `count` limits `show` and `export` to the newest records; `key` is a key file other than the sensor's.
pub(crate) fn log(
    action: Action,
    count: Option<u64>,
    key: Option<&Path>,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut log = open(key, settings)?;
    let mut output = Output::new();
    match action {
        Action::List => list(&mut log, &mut output)?,
        Action::Verify => return verify(&mut log, output),
        Action::Show => records(&mut log, count, &mut output, show)?,
        Action::Export => records(&mut log, count, &mut output, export)?,
    }
    output.flush()
}

fn open(key: Option<&Path>, settings: &Settings) -> Result<Log, Failure> {
    let key = match key {
        None => keys::existing_log_key(&settings.state_dir)?,
        Some(path) => {
            let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
            let bytes = std::fs::read(path).map_err(|error| at(&error.to_string()))?;
            let bytes: [u8; LogKey::LEN] =
                bytes.try_into().map_err(|_| at("not a key file: want 40 bytes"))?;
            LogKey::from_bytes(&bytes)
        }
    };
    let storage = |directory: &Path, name: &str| {
        let path = directory.join(name);
        FileStorage::read_only(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    let main = storage(&settings.state_dir, MAIN_FILE)?;
    // A RAM disk is empty after a restart of the machine: then the journal is read as empty.
    let journal = match storage(&settings.run_dir, JOURNAL_FILE) {
        Err(_) if !settings.run_dir.join(JOURNAL_FILE).exists() => storage(Path::new("/dev"), "null")?,
        found => found?,
    };
    let (log, _) = Log::open(main, journal, spool::geometry(settings)?, key, Mode::ReadOnly)
        .map_err(|error| Failure::new(format!("log in {}: {error}", settings.state_dir.display())))?;
    Ok(log)
}

fn list(log: &mut Log, output: &mut Output) -> Result<(), Failure> {
    output.line(|line| line.write_str("slot    segment    first record    records    bytes  state"))?;
    let mut outcome = Ok(());
    log.list(&mut |segment| {
        let state = match segment.state {
            SegmentState::Open => "open",
            SegmentState::Sealed => "sealed",
            SegmentState::OlderKey => "sealed with an older key",
            SegmentState::Damaged => "damaged",
            _ => "unknown",
        };
        let count = segment.records.end.since(segment.records.start);
        let written = output.line(|line| {
            write!(line, "{:>4} {:>10} {:>15}", segment.slot, segment.epoch, segment.records.start.0)?;
            write!(line, " {count:>10} {:>8}  {state}", segment.bytes)
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

fn verify(log: &mut Log, mut output: Output) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let report = log
        .verify(None, &mut |finding| {
            let written = output.line(|line| write!(line, "{finding}"));
            if outcome.is_ok() {
                outcome = written;
            }
        })
        .map_err(|error| Failure::new(format!("reading the log: {error}")))?;
    outcome?;
    output.line(|line| {
        write!(line, "{} segments, {} blocks, {} records", report.segments, report.blocks, report.records)?;
        write!(line, ", {} findings", report.findings)
    })?;
    output.flush()?;
    if report.findings > 0 {
        return Err(Failure::new(format!("verification failed: {} findings", report.findings)));
    }
    Ok(())
}

type Print = fn(RecordId, &Record<'_>, &mut String) -> std::fmt::Result;

fn records(log: &mut Log, count: Option<u64>, output: &mut Output, print: Print) -> Result<(), Failure> {
    let (oldest, next) = (log.oldest(), log.next_id());
    let from = match count {
        Some(count) => RecordId(next.0.saturating_sub(count)).max(oldest),
        None => oldest,
    };
    let (mut cursor, mut buffer) = (Cursor::new(from), [0; MAX_RECORD]);
    loop {
        let read = log.read_next(&mut cursor, &mut buffer);
        let Some((id, length)) = read.map_err(|error| Failure::new(format!("reading the log: {error}")))?
        else {
            return Ok(());
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        match spool::read_record(bytes) {
            Some(record) => output.line(|line| print(id, &record, line))?,
            None => log::warn(format_args!("record {} was written by a later version; skipped", id.0)),
        }
    }
}

fn show(id: RecordId, record: &Record<'_>, line: &mut String) -> std::fmt::Result {
    write!(line, "{:>8} ", id.0)?;
    match record {
        Record::Start { boot, at_us, version } => {
            let at = Timestamp::from_micros(*at_us).rfc3339();
            write!(line, "{at} sensor {version} started, run {boot}")
        }
        Record::Alert { alert, .. } | Record::Relocated { alert, .. } => {
            match wire::decode(alert, Timestamp::ZERO) {
                Ok((alert, _)) => crate::terminal::output::alert_text(&alert, line),
                Err(error) => write!(line, "alert of a later version: {error}"),
            }
        }
        Record::Gap(gap) => {
            write!(line, "{} alerts of run {} lost", gap.lost(), gap.boot)?;
            write!(line, " between {} and {}: {}", gap.first_seq, gap.last_seq, gap.reason)
        }
        Record::Delivered { before } => write!(line, "records below {before} are delivered"),
    }
}

fn export(id: RecordId, record: &Record<'_>, line: &mut String) -> std::fmt::Result {
    match record {
        Record::Start { boot, at_us, version } => {
            let at = Timestamp::from_micros(*at_us).rfc3339();
            write!(line, "{{\"record\":\"start\",\"id\":{},\"time\":\"{at}\"", id.0)?;
            write!(line, ",\"boot\":{boot},\"version\":")?;
            sentinel_alert::json::string(version, line)?;
            line.push('}');
            Ok(())
        }
        Record::Alert { boot, seq, alert } | Record::Relocated { boot, seq, alert } => {
            match wire::decode(alert, Timestamp::ZERO) {
                Ok((alert, _)) => {
                    sentinel_alert::json::write(&alert, Some(AlertId { boot: *boot, seq: *seq }), line)
                }
                Err(_) => write!(line, "{{\"record\":\"unknown_alert\",\"boot\":{boot},\"seq\":{seq}}}"),
            }
        }
        Record::Gap(gap) => {
            write!(line, "{{\"record\":\"gap\",\"id\":{},\"boot\":{}", id.0, gap.boot)?;
            write!(line, ",\"first_seq\":{},\"last_seq\":{}", gap.first_seq, gap.last_seq)?;
            write!(line, ",\"lost\":{},\"reason\":\"{}\"}}", gap.lost(), gap.reason)
        }
        Record::Delivered { before } => {
            write!(line, "{{\"record\":\"delivered\",\"id\":{},\"before\":{before}}}", id.0)
        }
    }
}
