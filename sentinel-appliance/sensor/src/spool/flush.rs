//! Writes to flash: when, after failures, and what is relocated before.

use sentinel_ringlog::FlushError;
use sentinel_units::Uptime;

use crate::terminal::log;

use super::Spool;

const DAY_MS: u64 = 86_400_000;

impl Spool {
    /// Flushes, unless the daily limit is reached.
    pub(super) fn flush_within_budget(&mut self, now: Uptime) {
        let is_within = self.is_within_budget(now);
        self.counts.deferred += u64::from(!is_within);
        self.try_flush_if(is_within);
    }

    /// Returns true if the daily limit of writes is not reached.
    pub(super) fn is_within_budget(&mut self, now: Uptime) -> bool {
        // A fixed window that begins with the first check after the last one ended: across its edge, twice the limit may
        // be written within hours.
        if now.since(self.day_start).as_millis() >= DAY_MS.into() {
            (self.day_start, self.day_bytes) = (now, self.log.stats().main_bytes);
        }
        self.log.stats().main_bytes - self.day_bytes < self.policy.daily_bytes
    }

    /// Flushes if `is_due`, and the backoff after a failed write is over.
    pub(super) fn try_flush_if(&mut self, is_due: bool) {
        if is_due && !self.main_backoff.is_waiting(self.now) {
            self.flush();
        }
    }

    /// Repeats a flush that failed, once its backoff is over.
    pub(crate) fn retry_flush(&mut self, now: Uptime) {
        self.now = now;
        if self.main_backoff.is_due(now) {
            let is_due = self.log.needs_flush() || self.is_within_budget(now);
            self.try_flush_if(is_due);
        }
    }

    /// Relocates undelivered records that the next write to flash would overwrite.
    fn relocate_before_overwrite(&mut self) {
        if let Some(range) = self.log.about_to_overwrite() {
            self.relocate(range);
        }
    }

    /// Writes everything to flash. Undelivered records that the ring overwrites for it are relocated first.
    pub(crate) fn flush(&mut self) {
        // Before the range to be overwritten is computed, because this record takes room too. While flushes fail, the room that
        // the log reserves for it may be used up.
        if self.flush_error.is_none() {
            self.log_delivered();
        }
        self.relocate_before_overwrite();
        // Read before the flush, which empties it. Without records nothing is written, and the backoffs learn nothing.
        let is_tried = self.log.waiting() > 0;
        match self.log.flush() {
            Ok(()) => {
                self.flush_error = None;
                if is_tried {
                    self.main_recovered();
                    self.journal_recovered();
                }
                self.advance_key();
                // Again if it could not be stored, or if the log advanced its key while it wrote.
                self.store_key();
            }
            Err(error) => {
                self.flush_error = Some(error.to_string());
                // The records are in main then, and only the reset of the journal failed.
                if let FlushError::Journal(error) = &error {
                    self.main_recovered();
                    self.journal_failed(error);
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
