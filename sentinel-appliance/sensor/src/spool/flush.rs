//! Writes to flash: when, after failures, and what is relocated before.

use std::time::Duration;

use sentinel_ringlog::{FlushError, PAGE_BYTES, RecordId};
use sentinel_units::Uptime;

use crate::system::clock;
use crate::system::damage::crash_point;
use crate::terminal::log;

use super::budget::hour_of;
use super::{Medium, Purpose, Record, Spool};

/// Interval of the calls of [`Spool::tick`], by which a due flush may be late.
const TICK: Duration = Duration::from_secs(1);
/// Wait of a flush that the budget does not allow.
const BUDGET_RETRY: Duration = Duration::from_secs(60);

impl<S: Medium> Spool<S> {
    /// Flushes, unless the daily limit or the backoff after a failed write forbids it.
    pub(super) fn flush_within_budget(&mut self, purpose: Purpose) {
        let is_allowed = self.may_write(purpose);
        self.counts.deferred += u64::from(!is_allowed);
        if is_allowed && !self.main_backoff.is_waiting(self.now) {
            self.flush();
        }
    }

    /// Returns true if the budget allows a flush now.
    pub(super) fn may_write(&mut self, purpose: Purpose) -> bool {
        self.budget.update(self.now, self.log.stats().main_bytes);
        self.budget.allows(purpose, self.flush_cost(), self.policy.daily_bytes)
    }

    /// Upper bound of the bytes that a flush writes: all of memory without deflating, what may be relocated, and for each of
    /// two blocks the headers and a page of padding.
    fn flush_cost(&self) -> u64 {
        let raw = self.log.pending_bytes().min(self.segment_bytes) + self.segment_bytes / 8;
        u64::try_from(raw).unwrap_or(u64::MAX) + 2 * (u64::from(PAGE_BYTES) + 512)
    }

    /// Bytes written to flash in the last day.
    pub(crate) fn day_bytes(&self) -> u64 {
        self.budget.used()
    }

    /// Returns true while the budget keeps all but severe alerts off the flash.
    pub(crate) fn is_limit_reached(&self) -> bool {
        !self.budget.allows(Purpose::Bulk, self.flush_cost(), self.policy.daily_bytes)
    }

    /// Makes room if memory is nearly full: flushes if that is allowed and succeeds, otherwise drops records that are all
    /// delivered. Returns false if there is none then.
    pub(super) fn make_room(&mut self, purpose: Purpose) -> bool {
        if !self.log.needs_flush() {
            return true;
        }
        if self.may_write(purpose) && !self.main_backoff.is_waiting(self.now) {
            self.flush();
        }
        if self.log.needs_flush() && self.waiting_items() == 0 {
            self.drop_delivered();
        }
        !self.log.needs_flush()
    }

    /// Drops the records in memory if all are delivered, they take half of it, and the daily limit or a failing flash keeps them
    /// there: there is room then when alerts come faster than acknowledgements.
    pub(super) fn drop_early(&mut self) {
        let is_half_full = self.log.pending_bytes() > self.segment_bytes / 2;
        let is_kept_off = self.main_backoff.is_failing() || !self.may_write(Purpose::Bulk);
        if is_half_full && self.waiting_items() == 0 && is_kept_off {
            self.drop_delivered();
        }
    }

    /// Drops the records in memory, which are all delivered, because flash must not be written: the collector has them.
    fn drop_delivered(&mut self) {
        let records = u64::from(self.log.waiting());
        let first = self.log.next_id().0.saturating_sub(records);
        if let Err(error) = self.log.discard_pending() {
            self.journal_failed(&error);
        }
        self.counts.dropped += records;
        // Their record numbers are used again, so what is delivered must not be stated beyond them.
        self.delivery.rewind(first.checked_sub(1).map(RecordId));
        self.sent.clear();
        self.delivered_logged = None;
        // The numbers of the alerts are not: the next run must know that they were used.
        let _only_a_kill_needs_it = self.append_numbered(self.is_marked_open);
    }

    /// Notes that an alert of `high` or above waits for flash.
    pub(super) fn schedule_flush(&mut self) {
        let Some(seconds) = self.policy.severe_s.checked_sub(1) else { return };
        // A tick earlier, because the flush happens at the first tick after it.
        let due = self.now.after(TICK * seconds);
        self.flush_due = Some(self.flush_due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Flushes what is due; to be called every [`TICK`].
    pub(crate) fn tick(&mut self, now: Uptime) {
        self.now = now;
        if self.main_backoff.is_due(now) {
            if self.log.needs_flush() && self.may_write(Purpose::Severe) || self.may_write(Purpose::Bulk) {
                self.flush();
            }
        } else if self.flush_due.is_some_and(|due| now >= due) {
            // Before the flush, which clears it.
            self.flush_due = Some(now.after(BUDGET_RETRY));
            self.flush_within_budget(Purpose::Severe);
        }
    }

    /// Relocates undelivered records that the next write to flash would overwrite.
    fn relocate_before_overwrite(&mut self) {
        if let Some(range) = self.log.about_to_overwrite() {
            self.relocate(range);
            // The start record of this run, or its highest number, may be in the range.
            let _the_next_overwriting_states_it = self.append_numbered(self.is_marked_open);
        }
    }

    /// Writes the account of writes to flash, for the next run, if there is anything else to write.
    fn log_written(&mut self) {
        if self.log.waiting() > 0 {
            self.budget.update(self.now, self.log.stats().main_bytes);
            let (hour, end) = (hour_of(clock::wall()), self.log.end_position());
            let _account_before_it_then =
                self.append(&Record::Written { hour, end, pages: &self.budget.account() });
        }
    }

    /// Writes everything to flash at the end of the run, also after a failed write; see [`Purpose::End`]. What the budget
    /// refuses is in the journal, and survives a restart of the program.
    pub(crate) fn flush_at_end(&mut self) {
        if self.may_write(Purpose::End) {
            self.flush();
        }
    }

    /// Writes everything to flash. Undelivered records that the ring overwrites for it are relocated first.
    pub(crate) fn flush(&mut self) {
        // Before the range to be overwritten is computed, because this record takes room too. While flushes fail, the room that
        // the log reserves for it may be used up.
        if self.flush_error.is_none() {
            self.log_delivered();
            self.log_written();
        }
        self.relocate_before_overwrite();
        // A log on flash without its key would be lost at the next start.
        if !self.has_stored_key() {
            let error = FlushError::Main(std::io::Error::other("its key could not be stored"));
            self.flush_error = Some(error.to_string());
            return self.main_failed(&error);
        }
        // Read before the flush, which empties it. Without records nothing is written, and the backoffs learn nothing.
        let is_tried = self.log.waiting() > 0;
        crash_point();
        let outcome = self.log.flush();
        crash_point();
        self.budget.update(self.now, self.log.stats().main_bytes);
        match outcome {
            Ok(()) => {
                self.flush_error = None;
                self.flush_due = None;
                self.is_journal_behind = false;
                if is_tried {
                    self.main_recovered();
                    self.journal_recovered();
                }
                self.advance_key();
                // Again if it could not be stored, or if the log advanced its key while it wrote.
                self.store_key();
                // The journal is empty now; see `end_previous_run`. After the end record nothing needs it.
                if is_tried && !self.is_ended {
                    let _the_next_run_is_told_of_a_power_cut_then = self.append_numbered(self.is_marked_open);
                }
            }
            Err(error) => {
                self.flush_error = Some(error.to_string());
                // The records are in main then, and only the reset of the journal failed.
                if let FlushError::Journal(error) = &error {
                    self.main_recovered();
                    self.flush_due = None;
                    self.journal_failed(error);
                    self.is_journal_behind = false;
                } else {
                    self.main_failed(&error);
                }
            }
        }
    }

    /// Records a failed write to flash. Of several failures in a row the first is logged, and then the first success.
    pub(super) fn main_failed(&mut self, error: &FlushError<std::io::Error>) {
        if let Some(wait) = self.main_backoff.record_failure(self.now) {
            self.lost_before = self.counts.lost_storage;
            let wait_s = wait.as_secs();
            log::warn(format_args!("{error}; alerts are kept in memory, next attempt in {wait_s} s"));
        }
    }

    /// Records a write to flash.
    pub(super) fn main_recovered(&mut self) {
        if let Some(span) = self.main_backoff.record_success(self.now) {
            let (span_s, lost) = (span.as_secs(), self.counts.lost_storage - self.lost_before);
            log::info(format_args!("log written again after {span_s} s; {lost} alerts lost meanwhile"));
        }
    }

    /// Records a failed write to the journal; logged like those to flash.
    pub(super) fn journal_failed(&mut self, error: &std::io::Error) {
        if let Some(wait) = self.journal_backoff.record_failure(self.now) {
            self.is_journal_behind = true;
            let wait_s = wait.as_secs();
            log::warn(format_args!(
                "journal not written: {error}; a killed program would lose new alerts, next attempt in {wait_s} s"
            ));
        }
    }

    /// Records a write to the journal.
    pub(super) fn journal_recovered(&mut self) {
        if let Some(span) = self.journal_backoff.record_success(self.now) {
            log::info(format_args!("journal written again after {} s", span.as_secs()));
        }
    }

    /// Allocates the buffers of flushing and reading once: see [`RingLog::preallocate`](sentinel_ringlog::RingLog).
    pub(crate) fn preallocate(&mut self) {
        self.log.preallocate();
    }

    /// Frees the buffers that only flushing and reading need.
    pub(crate) fn release_buffers(&mut self) {
        self.log.release_buffers();
    }
}
