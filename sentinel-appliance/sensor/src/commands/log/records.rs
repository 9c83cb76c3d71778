//! Records of the log as text and as JSON.

use std::fmt::Write;

use sentinel_alert::{AlertId, wire};
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Timestamp;

use crate::spool::{self, Log, Record};
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Hands out the records, all or the newest `count`.
pub(super) fn records(
    log: &mut Log,
    count: Option<u64>,
    take: &mut dyn FnMut(RecordId, &Record<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
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
            Some(record) => take(id, &record)?,
            None => log::warn(format_args!("record {} was written by a later version; skipped", id.0)),
        }
    }
}

/// One line for people.
pub(super) fn show(id: RecordId, record: &Record<'_>, line: &mut String) -> std::fmt::Result {
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
        Record::LogOnly { alert, .. } => match wire::decode(alert, Timestamp::ZERO) {
            Ok((alert, _)) => {
                crate::terminal::output::alert_text(&alert, line)?;
                line.push_str(" (log only)");
                Ok(())
            }
            Err(error) => write!(line, "alert of a later version: {error}"),
        },
        Record::Gap(gap) => {
            write!(line, "{} alerts of run {} lost", gap.lost(), gap.boot)?;
            write!(line, " between {} and {}: {}", gap.first_seq, gap.last_seq, gap.reason)
        }
        Record::Delivered { before } => write!(line, "records below {before} are delivered"),
        Record::End(end) => {
            write!(line, "run {} ended ({}); its next alert was {}", end.boot, end.cause, end.next_seq)
        }
        Record::Numbered { boot, next_seq, is_open } => {
            write!(line, "numbers below {next_seq} of run {boot} are used")?;
            line.push_str(if *is_open { "; later alerts may be missing" } else { "" });
            Ok(())
        }
        Record::Written { hour, pages, .. } => {
            let at = Timestamp::from_parts(u64::from(*hour) * 3_600, 0).rfc3339();
            write!(line, "{at} {} pages written to flash within a day", page_count(pages))
        }
    }
}

/// One JSON object.
pub(super) fn export(id: RecordId, record: &Record<'_>, line: &mut String) -> std::fmt::Result {
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
        Record::LogOnly { boot, alert } => match wire::decode(alert, Timestamp::ZERO) {
            Ok((alert, _)) => {
                write!(line, "{{\"record\":\"log_only\",\"id\":{},\"boot\":{boot},", id.0)?;
                sentinel_alert::json::write_members(&alert, None, line)?;
                line.push('}');
                Ok(())
            }
            Err(_) => write!(line, "{{\"record\":\"unknown_alert\",\"boot\":{boot}}}"),
        },
        Record::Gap(gap) => {
            write!(line, "{{\"record\":\"gap\",\"id\":{},\"boot\":{}", id.0, gap.boot)?;
            write!(line, ",\"first_seq\":{},\"last_seq\":{}", gap.first_seq, gap.last_seq)?;
            write!(line, ",\"lost\":{},\"reason\":\"{}\"}}", gap.lost(), gap.reason)
        }
        Record::Delivered { before } => {
            write!(line, "{{\"record\":\"delivered\",\"id\":{},\"before\":{before}}}", id.0)
        }
        Record::End(end) => {
            write!(line, "{{\"record\":\"end\",\"id\":{},\"boot\":{}", id.0, end.boot)?;
            write!(line, ",\"next_seq\":{},\"complete\":{}", end.next_seq, end.cause.is_complete())?;
            write!(line, ",\"cause\":\"{}\"}}", end.cause)
        }
        Record::Numbered { boot, next_seq, is_open } => {
            write!(line, "{{\"record\":\"numbered\",\"id\":{},\"boot\":{boot}", id.0)?;
            write!(line, ",\"next_seq\":{next_seq},\"open\":{is_open}}}")
        }
        Record::Written { hour, pages, .. } => {
            let at = Timestamp::from_parts(u64::from(*hour) * 3_600, 0).rfc3339();
            write!(line, "{{\"record\":\"written\",\"id\":{},\"hour\":\"{at}\"", id.0)?;
            write!(line, ",\"day_pages\":{}}}", page_count(pages))
        }
    }
}

/// Pages of the account in a record, of all hours.
fn page_count(pages: &[u8]) -> u64 {
    pages.as_chunks().0.iter().map(|pages| u64::from(u16::from_le_bytes(*pages))).sum()
}
