//! Numbers alerts, keeps them in the sealed log, and reads them back for the collector.
//!
//! The log is the spool: an alert stays readable until the collector has acknowledged it, or until the
//! ring comes round to it. Then the most severe ones that fit are written again at the front, and a gap
//! record says what went.

use sentinel_alert::{Alert, AlertId, Severity, wire};
use sentinel_ringlog::{
    AppendError, FileStorage, FlushError, Geometry, LogKey, MAX_RECORD, Mode, RecordId, Recovery, RingLog,
    Salt, Suspended,
};
use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{Delivery, Gap, GapReason};

use crate::settings::Settings;
use crate::system::keys;
use crate::terminal::failure::Failure;
use crate::terminal::log;

mod deliver;
mod open;
mod record;
mod relocate;
mod retry;

use deliver::Backlog;
use open::{Past, boot_number, storage, survey};
use record::decode;
pub(crate) use record::{Item, Record, read_record};
use relocate::{lost_alert, merge_gap};
use retry::RetryBackoff;

/// Name of the log in the state directory.
pub(crate) const MAIN_FILE: &str = "log";
/// Name of the journal in the run directory.
pub(crate) const JOURNAL_FILE: &str = "journal";

/// The log as it lies on this machine.
pub(crate) type Log = RingLog<FileStorage, FileStorage>;

/// Counters of the spool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpoolCounts {
    /// Alerts received from the workers.
    pub(crate) enqueued: u64,
    /// Alerts stored in the log.
    pub(crate) stored: u64,
    /// Alerts that were lost before they were delivered, by reason: spool full, queue full, storage failed.
    pub(crate) lost_full: u64,
    /// See [`SpoolCounts::lost_full`].
    pub(crate) lost_queue: u64,
    /// See [`SpoolCounts::lost_full`].
    pub(crate) lost_storage: u64,
    /// Alerts written again at the front of the ring because they were not delivered yet.
    pub(crate) relocated: u64,
    /// Flushes left out because the day's budget was spent.
    pub(crate) deferred: u64,
}

/// The spool.
#[derive(Debug)]
pub(crate) struct Spool {
    log: Log,
    state_dir: std::path::PathBuf,
    /// Epoch of the key in the state directory. The log moves its own on by itself when the ring comes round.
    stored_epoch: u64,
    segment_bytes: usize,
    boot: u32,
    next_seq: u64,
    delivery: Delivery<RecordId>,
    /// What the newest record in the log says of [`Spool::delivery`], and when it was written.
    delivered_logged: Option<RecordId>,
    delivered_logged_at: Uptime,
    /// Alerts and gaps in the log that the collector has not acknowledged, as far as we know.
    undelivered: Backlog,
    counts: SpoolCounts,
    /// Alerts that could not be stored, to be told in gap records as soon as storing works again: one for each
    /// run and reason.
    unwritten_gaps: Vec<Gap>,
    /// Gaps written again that may have been sent: they must not change.
    sent_gaps: Vec<AlertId>,
    /// Records below this were carried forward; they may still be there if the write that destroys them failed.
    relocated_until: RecordId,
    policy: FlushPolicy,
    day_start: Uptime,
    day_bytes: u64,
    /// What the last append said, if it failed.
    append_error: Option<String>,
    /// What the last flush said, if it failed.
    flush_error: Option<String>,
    /// Why the key of the log could not be stored, while it waits for the next attempt.
    key_error: Option<String>,
    /// Time of the last call that told it.
    now: Uptime,
    main_backoff: RetryBackoff,
    journal_backoff: RetryBackoff,
    /// [`SpoolCounts::lost_storage`] when main began to refuse.
    lost_before: u64,
}

/// When to write to flash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushPolicy {
    /// An alert at least so severe is written at once.
    pub(crate) severity: Severity,
    /// Most bytes in a day; `u64::MAX` for no limit.
    pub(crate) daily_bytes: u64,
}

impl FlushPolicy {
    /// From settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let daily_bytes = match settings.log_daily_kib {
            0 => u64::MAX,
            kib => u64::from(kib) * 1024,
        };
        Self { severity: settings.log_flush_severity, daily_bytes }
    }
}

/// The shape of the log by the settings.
pub(crate) fn geometry(settings: &Settings) -> Result<Geometry, Failure> {
    Geometry::new(settings.log_segment_kib * 1024, settings.log_segments)
        .map_err(|error| Failure::new(format!("log_segment_kib, log_segments: {error}")))
}

const DAY_MS: u64 = 86_400_000;

impl Spool {
    /// Opens the log in the directories of the settings and writes the start record.
    pub(crate) fn open(settings: &Settings, key: LogKey) -> Result<(Self, Recovery), Failure> {
        let main = storage(&settings.state_dir.join(MAIN_FILE))?;
        let journal = storage(&settings.run_dir.join(JOURNAL_FILE))?;
        let stored_epoch = key.epoch();
        let mut salt = [0; 16];
        keys::random(&mut salt)?;
        let (mut log, recovery) =
            Log::open(main, journal, geometry(settings)?, key, Mode::Append(Salt(salt)))
                .map_err(|error| Failure::new(format!("log in {}: {error}", settings.state_dir.display())))?;
        let Past { delivered, boots } = survey(&mut log);
        let boot = boot_number(&boots, keys::random_u64)?;
        let mut spool = Self {
            log,
            state_dir: settings.state_dir.clone(),
            stored_epoch,
            segment_bytes: usize::try_from(settings.log_segment_kib * 1024).unwrap_or(usize::MAX),
            boot,
            next_seq: 1,
            delivery: Delivery::new(delivered),
            delivered_logged: delivered,
            delivered_logged_at: Uptime::ZERO,
            undelivered: Backlog::default(),
            counts: SpoolCounts::default(),
            unwritten_gaps: Vec::new(),
            sent_gaps: Vec::new(),
            relocated_until: RecordId(0),
            policy: FlushPolicy::new(settings),
            day_start: Uptime::ZERO,
            day_bytes: 0,
            append_error: None,
            flush_error: None,
            key_error: None,
            now: Uptime::ZERO,
            main_backoff: RetryBackoff::default(),
            journal_backoff: RetryBackoff::default(),
            lost_before: 0,
        };
        spool.undelivered = spool.count_undelivered();
        let start = Record::Start {
            boot,
            at_us: crate::system::clock::wall().as_micros(),
            version: env!("CARGO_PKG_VERSION"),
        };
        // A log that cannot take the start record will not take alerts either, and they are counted.
        let _counted_by_later_appends = spool.store(&start);
        Ok((spool, recovery))
    }

    /// Random number of this run.
    pub(crate) const fn boot(&self) -> u32 {
        self.boot
    }

    /// Counters.
    pub(crate) const fn counts(&self) -> SpoolCounts {
        self.counts
    }

    /// The log, for its counters.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// What the last failed write said, until one of its sort succeeds.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.flush_error.as_deref().or(self.append_error.as_deref()).or(self.key_error.as_deref())
    }

    /// Takes over a changed policy.
    pub(crate) const fn set_policy(&mut self, policy: FlushPolicy) {
        self.policy = policy;
    }

    /// Numbers an alert and stores it.
    pub(crate) fn enqueue(&mut self, alert: &Alert, now: Uptime) {
        self.now = now;
        let id = AlertId { boot: self.boot, seq: self.next_seq };
        self.next_seq += 1;
        self.counts.enqueued += 1;
        let mut bytes = [0; wire::MAX_ALERT_LEN];
        let stored = wire::encode(alert, Timestamp::ZERO, &mut bytes).is_ok_and(|bytes| {
            let bytes: &[u8] = bytes;
            self.store_after_gaps(&Record::Alert { boot: id.boot, seq: id.seq, alert: bytes })
        });
        if stored {
            self.counts.stored += 1;
            if alert.severity >= self.policy.severity {
                self.flush_within_budget(now);
            }
        } else {
            self.counts.lost_storage += 1;
            merge_gap(&mut self.unwritten_gaps, lost_alert(id, alert.severity, GapReason::StorageLost));
        }
    }

    /// The worker could not hand over so many alerts, least severe first: they get numbers and a gap.
    pub(crate) fn record_queue_overflow(&mut self, by_severity: [u32; 5]) {
        let count = by_severity.iter().map(|count| u64::from(*count)).sum::<u64>();
        if count == 0 {
            return;
        }
        let first_seq = self.next_seq;
        self.next_seq += count;
        self.counts.lost_queue += count;
        let gap = Gap {
            boot: self.boot,
            first_seq,
            last_seq: first_seq + count - 1,
            lost_by_severity: by_severity,
            reason: GapReason::QueueFull,
        };
        merge_gap(&mut self.unwritten_gaps, gap);
        self.write_gaps();
    }

    /// Stores the gaps that could not be stored before; says whether none is left.
    pub(crate) fn write_gaps(&mut self) -> bool {
        while let Some(gap) = self.unwritten_gaps.pop() {
            if !self.store(&Record::Gap(gap)) {
                merge_gap(&mut self.unwritten_gaps, gap);
                return false;
            }
        }
        true
    }

    fn store_after_gaps(&mut self, record: &Record<'_>) -> bool {
        self.write_gaps() && self.store(record)
    }

    /// Brings a record into the log; makes room first if the open segment is full. That is no matter of the
    /// day's budget: the log would do it by itself, and destroy what nobody has carried forward.
    fn store(&mut self, record: &Record<'_>) -> bool {
        self.try_flush_if(self.log.needs_flush());
        self.append(record)
    }

    fn append(&mut self, record: &Record<'_>) -> bool {
        let mut bytes = [0; MAX_RECORD];
        let Ok(bytes) = postcard::to_slice(record, &mut bytes) else { return false };
        let suspended = Suspended {
            main: self.main_backoff.is_waiting(self.now),
            journal: self.journal_backoff.is_waiting(self.now),
        };
        self.log.suspend_writes(suspended);
        let outcome = self.log.append(bytes);
        let is_tried = match &outcome {
            Ok(_) if !suspended.journal => {
                self.journal_recovered();
                true
            }
            Err(AppendError::NotJournalled(_, error)) => {
                self.journal_failed(error);
                true
            }
            Err(AppendError::Full(error)) => {
                self.main_failed(error);
                true
            }
            // What it said when it was last tried stands.
            Ok(_) | Err(AppendError::Suspended) => false,
            Err(_) => true,
        };
        if is_tried {
            self.append_error = outcome.as_ref().err().map(ToString::to_string);
        }
        // Not in the journal is in memory still: it is sent, and goes to flash with the next flush.
        let stored = matches!(outcome, Ok(_) | Err(AppendError::NotJournalled(..)));
        if stored && !matches!(record, Record::Start { .. } | Record::Delivered { .. }) {
            self.undelivered.add(bytes.len());
        }
        stored
    }

    fn flush_within_budget(&mut self, now: Uptime) {
        let is_within = self.is_within_budget(now);
        self.counts.deferred += u64::from(!is_within);
        self.try_flush_if(is_within);
    }

    fn is_within_budget(&mut self, now: Uptime) -> bool {
        if now.since(self.day_start).as_millis() >= DAY_MS.into() {
            (self.day_start, self.day_bytes) = (now, self.log.stats().main_bytes);
        }
        self.log.stats().main_bytes - self.day_bytes < self.policy.daily_bytes
    }

    /// Flushes, but not again and again onto a storage that has just refused.
    fn try_flush_if(&mut self, is_wanted: bool) {
        if is_wanted && !self.main_backoff.is_waiting(self.now) {
            self.flush();
        }
    }

    /// Flushes what waits because main refused, once its retry is over.
    pub(crate) fn retry_flush(&mut self, now: Uptime) {
        self.now = now;
        if self.main_backoff.is_due(now) {
            let is_wanted = self.log.needs_flush() || self.is_within_budget(now);
            self.try_flush_if(is_wanted);
        }
    }

    /// Carries forward what the next write to flash would destroy.
    fn relocate_before_overwrite(&mut self) {
        if let Some(range) = self.log.about_to_overwrite() {
            self.relocate(range);
        }
    }

    /// Writes everything to flash. What the ring gives up for it is carried forward first.
    pub(crate) fn flush(&mut self) {
        // Before asking what the ring gives up, because this record takes room too. While flushes fail, the room
        // that the log keeps free for us may be gone.
        if self.flush_error.is_none() {
            self.log_delivered();
        }
        self.relocate_before_overwrite();
        let is_tried = self.log.waiting() > 0;
        match self.log.flush() {
            Ok(()) => {
                self.flush_error = None;
                if is_tried {
                    self.main_recovered();
                    self.journal_recovered();
                }
                self.store_advanced_key();
            }
            Err(error) => {
                self.flush_error = Some(error.to_string());
                if let FlushError::Journal(error) = &error {
                    self.main_recovered();
                    self.journal_failed(error);
                } else {
                    self.main_failed(&error);
                }
            }
        }
    }

    /// Of many refusals in a row the first is told, and of many successes the first after that.
    fn main_failed(&mut self, error: &FlushError<std::io::Error>) {
        if let Some(wait) = self.main_backoff.record_failure(self.now) {
            self.lost_before = self.counts.lost_storage;
            let wait_s = wait.as_secs();
            log::warn(format_args!("{error}; alerts are kept in memory, next attempt in {wait_s} s"));
        }
    }

    fn main_recovered(&mut self) {
        if let Some(span) = self.main_backoff.record_success(self.now) {
            let (span_s, lost) = (span.as_secs(), self.counts.lost_storage - self.lost_before);
            log::info(format_args!("log written again after {span_s} s; {lost} alerts found no room"));
        }
    }

    /// As for main.
    fn journal_failed(&mut self, error: &std::io::Error) {
        if let Some(wait) = self.journal_backoff.record_failure(self.now) {
            let wait_s = wait.as_secs();
            log::warn(format_args!(
                "journal not written: {error}; a killed program would lose new alerts, next attempt in {wait_s} s"
            ));
        }
    }

    fn journal_recovered(&mut self) {
        if let Some(span) = self.journal_backoff.record_success(self.now) {
            log::info(format_args!("journal written again after {} s", span.as_secs()));
        }
    }

    /// Makes segments unreadable that have been overwritten, wherever a copy may lie. Tried again at the next flush if the
    /// key cannot be stored: until then the older key in the file opens the log just as well.
    fn store_advanced_key(&mut self) {
        let oldest = self.log.oldest();
        let key = self.log.advance_key(oldest);
        if key.epoch() == self.stored_epoch {
            return;
        }
        match keys::store_log_key(&self.state_dir, key) {
            Ok(()) => (self.stored_epoch, self.key_error) = (key.epoch(), None),
            Err(failure) => self.key_error = Some(failure.to_string()),
        }
    }

    /// Flushes and reads back for show: see [`RingLog::preallocate`].
    pub(crate) fn preallocate(&mut self) {
        self.log.preallocate();
    }

    /// Gives back memory that only flushing and reading back need.
    pub(crate) fn release_buffers(&mut self) {
        self.log.release_buffers();
    }
}

#[cfg(test)]
mod tests;
