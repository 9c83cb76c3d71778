//! Runs: the end of the run before this one, and of this one.
//!
//! Every run has a start record on flash before its first alert, and at most one end record. A run whose newest record is not
//! followed by an end record was killed or lost its power; the next run tells them apart by the journal and writes the end
//! record in its place, in the same block as its own start record.

use std::collections::BTreeMap;

use sentinel_alert::{Alert, Phase, wire};
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{EndCause, Gap, RunEnd};

use crate::terminal::log;

use super::{Log, Medium, Record, Spool, read_record};

/// Most incidents that are closed for a killed run: 128 of each of 8 workers.
const MAX_OPEN_INCIDENTS: usize = 1_024;

/// Newest run in the log, as its records show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NewestRun {
    pub(super) boot: u32,
    /// Number after the highest one in a record.
    pub(super) next_seq: u64,
    /// Later numbers may be in no record; see [`Record::Numbered`].
    pub(super) is_open: bool,
    /// The run has its end record.
    pub(super) end: Option<RunEnd>,
}

impl NewestRun {
    const fn new(boot: u32) -> Self {
        Self { boot, next_seq: 1, is_open: false, end: None }
    }

    /// Takes the next record of the log into account.
    pub(super) fn follow(newest: &mut Option<Self>, record: &Record<'_>) {
        // Only these begin a run: a gap or a relocated alert of an earlier run may lie behind the start of this one.
        if let Record::Start { boot, .. } | Record::Numbered { boot, .. } | Record::Alert { boot, .. } =
            record
            && newest.is_none_or(|run| run.boot != *boot)
        {
            *newest = Some(Self::new(*boot));
        }
        let Some(run) = newest.as_mut().filter(|run| record.boot() == Some(run.boot)) else { return };
        match record {
            Record::Alert { seq, .. } | Record::Relocated { seq, .. } => run.reach(seq.saturating_add(1)),
            Record::Gap(Gap { last_seq, .. }) => run.reach(last_seq.saturating_add(1)),
            Record::Numbered { next_seq, is_open, .. } => {
                run.reach(*next_seq);
                run.is_open = *is_open;
            }
            Record::End(end) => run.end = Some(*end),
            Record::Start { .. }
            | Record::Delivered { .. }
            | Record::Written { .. }
            | Record::LogOnly { .. } => {}
        }
    }

    fn reach(&mut self, next_seq: u64) {
        self.next_seq = self.next_seq.max(next_seq);
    }
}

impl<S: Medium> Spool<S> {
    /// Writes the end record of the run before this one, if it has none: at the first call after opening.
    ///
    /// `is_journal_complete` is what the log said when it was opened, and that the journal held records that flash lacks. A
    /// run has at least one there, because one is appended after each flush: a journal without any may be one that a later
    /// opening began, after a power cut, and was killed before its first record.
    pub(super) fn end_previous_run(&mut self, previous: NewestRun, is_journal_complete: bool) {
        if previous.end.is_some() {
            self.previous_end = previous.end;
            return;
        }
        // Complete: the journal has every record that was appended, so no number is used that it does not show.
        let is_known = is_journal_complete && !previous.is_open;
        let mut end = RunEnd {
            boot: previous.boot,
            next_seq: previous.next_seq,
            cause: if is_known { EndCause::Killed } else { EndCause::PowerLost },
        };
        if is_known {
            end.next_seq = self.close_incidents(end.boot, end.next_seq);
            log::warn(format_args!("run {} was killed", end.boot));
        } else {
            log::warn(format_args!(
                "run {} ended without a shutdown; its alerts from number {} on may be lost",
                end.boot, end.next_seq
            ));
        }
        let _told_by_the_next_run_then = self.store(&Record::End(end));
        self.previous_end = Some(end);
    }

    /// End of the run before this one.
    pub(crate) const fn previous_end(&self) -> Option<RunEnd> {
        self.previous_end
    }

    /// Raises the closing alerts of the incidents that a killed run left open, with its numbers from `next_seq` on and the
    /// state of their last alert. Returns the number after the last one.
    fn close_incidents(&mut self, boot: u32, mut next_seq: u64) -> u64 {
        for record in open_incidents(&mut self.log, boot).into_values() {
            let Some(closing) = self.closing_alert(record) else { continue };
            let mut bytes = [0; wire::MAX_ALERT_LEN];
            let Ok(bytes) = wire::encode(&closing, Timestamp::ZERO, &mut bytes) else { continue };
            if self.store(&Record::Alert { boot, seq: next_seq, alert: bytes }).is_ok() {
                next_seq += 1;
            }
        }
        next_seq
    }

    /// Closing alert of an incident whose last record is `record`.
    fn closing_alert(&mut self, record: RecordId) -> Option<Alert> {
        let (mut buffer, mut cursor) = ([0; MAX_RECORD], Cursor::new(record));
        let (_, length) = self.log.read_next(&mut cursor, &mut buffer).ok()??;
        let (_, _, alert) = alert_of(buffer.get(..length)?)?;
        Some(Alert { phase: Phase::Close, suppressed: 0, ..alert })
    }

    /// Writes the end record of this run after a fault of a worker, and the closing alerts of incidents before it, which the
    /// worker cannot raise any more. Writes to flash only what the journal may lack.
    pub(crate) fn end_run_after_fault(&mut self, now: Uptime) {
        for record in open_incidents(&mut self.log, self.boot).into_values() {
            if let Some(closing) = self.closing_alert(record) {
                self.enqueue(&closing, now);
            }
        }
        self.end_run(EndCause::Fault);
        if self.is_journal_behind {
            self.flush();
        }
    }

    /// Writes the end record of this run. No alert may follow.
    pub(crate) fn end_run(&mut self, cause: EndCause) {
        // A gap that the log does not take leaves its numbers missing at the collector, because they are below `next_seq`.
        let _missing = self.write_gaps();
        let end = RunEnd { boot: self.boot, next_seq: self.next_seq, cause };
        self.is_ended = true;
        let _told_by_the_next_run_then = self.store(&Record::End(end));
    }

    /// Writes which numbers of this run are used; see [`Record::Numbered`].
    pub(super) fn append_numbered(&mut self, is_open: bool) -> bool {
        let record = Record::Numbered { boot: self.boot, next_seq: self.next_seq, is_open };
        self.append(&record).is_ok()
    }
}

/// Last record of each incident of run `boot` that has no closing alert in the log, by number of the incident.
fn open_incidents<S: Medium>(log: &mut Log<S>, boot: u32) -> BTreeMap<u32, RecordId> {
    let mut open = BTreeMap::new();
    each_alert_of(log, boot, |id, alert| {
        if alert.phase != Phase::Close
            && (open.len() < MAX_OPEN_INCIDENTS || open.contains_key(&alert.incident))
        {
            open.insert(alert.incident, id);
        }
    });
    // A second pass, because a relocated alert may lie behind the closing one.
    each_alert_of(log, boot, |_, alert| {
        if alert.phase == Phase::Close {
            open.remove(&alert.incident);
        }
    });
    open
}

fn each_alert_of<S: Medium>(log: &mut Log<S>, boot: u32, mut visit: impl FnMut(RecordId, &Alert)) {
    let (mut cursor, mut buffer) = (Cursor::new(log.oldest()), [0; MAX_RECORD]);
    while let Ok(Some((id, length))) = log.read_next(&mut cursor, &mut buffer) {
        if let Some((of, _, alert)) = buffer.get(..length).and_then(alert_of)
            && of == boot
        {
            visit(id, &alert);
        }
    }
}

fn alert_of(bytes: &[u8]) -> Option<(u32, u64, Alert)> {
    match read_record(bytes)? {
        Record::Alert { boot, seq, alert } | Record::Relocated { boot, seq, alert } => {
            Some((boot, seq, wire::decode(alert, Timestamp::ZERO).ok()?.0))
        }
        _ => None,
    }
}
