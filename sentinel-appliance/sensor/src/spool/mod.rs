//! Spool: numbers alerts, keeps them in the sealed log, and reads them back for the collector.
//!
//! The ring log is the spool: an alert stays readable until the collector has acknowledged it, or until the ring wraps
//! around to it. Then undelivered alerts are relocated to the front of the ring, the most severe first, as many as fit into
//! an eighth of a segment; a gap record counts the others.
//!
//! Invariants:
//! - Numbers (`seq`) of a run begin at 1 and have no holes. Each number is in an alert record, or in the range of a gap
//!   record that counts it by severity, or in `unwritten_gaps` until the log takes that gap record.
//! - A gap that may have been sent keeps its range, so that the collector recognises it; others of the same run and reason
//!   are merged.
//! - The collector's acknowledgement is of records in the order of the log. A relocated record is therefore sent where it
//!   lies now, even if its first place was sent before: the collector drops it by its number.

use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, ShortName, Subject, Test, wire};
use sentinel_ringlog::{
    AppendError, FileStorage, Geometry, MAX_RECORD, RecordId, Recovery, RingLog, Storage, Suspended,
};
#[cfg(test)]
use sentinel_ringlog::{LogKey, Mode, Salt};
use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{Delivery, Gap, GapReason, RunEnd, WINDOW_LEN};

use crate::settings::Settings;
use crate::system::damage::{Damage, Damages};
use crate::system::{clock, keys};
use crate::terminal::failure::Failure;

mod budget;
mod deliver;
mod flush;
mod messages;
mod open;
mod record;
mod rekey;
mod relocate;
pub(crate) mod repair;
mod resize;
mod retry;
mod runs;

use budget::{DailyBudget, Purpose};
use deliver::Backlog;
pub(crate) use deliver::SentRecords;
use messages::MessageBudget;
use open::{Past, boot_number, survey};
use record::decode;
pub(crate) use record::{Item, Record, read_record};
use rekey::Rekey;
pub(crate) use rekey::{DeliveredAlerts, EvidencePolicy};
use relocate::{lost_alert, merge_gap};
use retry::RetryBackoff;

/// Name of the log in the state directory.
pub(crate) const MAIN_FILE: &str = "log";
/// Name of the journal in the run directory.
pub(crate) const JOURNAL_FILE: &str = "journal";

/// The log; as it lies on this machine, in files.
pub(crate) type Log<S = FileStorage> = RingLog<S, S>;

/// Storage of the log: files, or those of a test.
pub(crate) trait Medium: Storage<Error = std::io::Error> {}

impl<S: Storage<Error = std::io::Error>> Medium for S {}

/// Record that the log did not take. [`Spool::last_error`] has the cause, until a write succeeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotStored;

/// Counters of the spool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpoolCounts {
    /// Alerts received from the workers.
    pub(crate) enqueued: u64,
    /// Alerts stored in the log.
    pub(crate) stored: u64,
    /// Alerts lost before delivery because the ring overwrote them.
    pub(crate) lost_full: u64,
    /// Alerts lost because the queue of a worker was full.
    pub(crate) lost_queue: u64,
    /// Alerts lost because the log did not take them.
    pub(crate) lost_storage: u64,
    /// Alerts lost because memory was full and the daily limit of writes to flash was reached.
    pub(crate) lost_limit: u64,
    /// Of `lost_full` and `lost_storage`, alerts of earlier runs.
    pub(crate) lost_earlier: u64,
    /// Delivered records dropped from memory because the daily limit was reached; they never reached flash.
    pub(crate) dropped: u64,
    /// Alerts relocated to the front of the ring because they were not delivered yet.
    pub(crate) relocated: u64,
    /// Alerts beyond the daily budget of messages, which only the log has.
    pub(crate) log_only: u64,
    /// Flushes deferred because the daily limit was reached.
    pub(crate) deferred: u64,
}

impl SpoolCounts {
    /// Alerts lost, for whatever reason.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost_full + self.lost_queue + self.lost_storage + self.lost_limit
    }
}

/// Spool over the sealed log.
#[derive(Debug)]
pub(crate) struct Spool<S = FileStorage> {
    /// In memory of its own: a record of 5 KiB, which the start would copy from stack frame to stack frame.
    log: Box<Log<S>>,
    state_dir: std::path::PathBuf,
    rekey: Rekey,
    /// Treatment of a log of another size, or of one that cannot be read or written, for status.
    notice: Option<String>,
    damages: Damages,
    /// The state directory has the log that this one replaced; it is removed once everything is delivered.
    has_old_log: bool,
    /// Lock of the state directory.
    lock: Option<std::os::fd::OwnedFd>,
    segment_bytes: usize,
    boot: u32,
    /// Run before this one; 0 without one.
    previous_boot: u32,
    next_seq: u64,
    delivery: Delivery<RecordId>,
    /// Last delivered record as of the newest record about it in the log, and the time of that record.
    delivered_logged: Option<RecordId>,
    delivered_logged_at: Uptime,
    /// Messages in flight, with what they hold.
    sent: heapless::Deque<SentRecords, WINDOW_LEN>,
    /// The collector reads the ends of runs.
    takes_run_ends: bool,
    /// Alerts, gaps and ends of runs in the log that the collector is not known to have acknowledged.
    undelivered: Backlog,
    /// Alerts of earlier runs that were undelivered at the start.
    kept: u64,
    previous_end: Option<RunEnd>,
    /// Runs in the log that the watchdog ended.
    faults: u32,
    counts: SpoolCounts,
    /// Gaps of alerts that could not be stored, one for each run and reason; written once the log takes records again.
    unwritten_gaps: Vec<Gap>,
    /// The log states that numbers of this run may be in no record.
    is_marked_open: bool,
    /// The end record of this run is written.
    is_ended: bool,
    /// Last numbers of relocated gaps that may have been sent: these gaps must not change.
    sent_gaps: Vec<AlertId>,
    /// Records below this were relocated. They may still be readable, if the write that overwrites them failed.
    relocated_until: RecordId,
    policy: FlushPolicy,
    budget: DailyBudget,
    messages: MessageBudget,
    /// Time by which an alert of `high` or above must be on flash.
    flush_due: Option<Uptime>,
    /// The journal failed, and what it lacks is not on flash yet.
    is_journal_behind: bool,
    /// Error of the last append, if it failed.
    append_error: Option<String>,
    /// Error of the last flush, if it failed.
    flush_error: Option<String>,
    /// Time given by the last call.
    now: Uptime,
    main_backoff: RetryBackoff,
    journal_backoff: RetryBackoff,
    /// [`SpoolCounts::lost_storage`] when writes to flash began to fail.
    lost_before: u64,
}

/// Rule for writes to flash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushPolicy {
    /// Alerts of this severity or above are written immediately.
    pub(crate) severity: Severity,
    /// Limit of bytes written in 24 hours; `u64::MAX` for none.
    pub(crate) daily_bytes: u64,
    /// Seconds within which an alert of `high` or above is written; 0 for no such write.
    pub(crate) severe_s: u32,
}

impl FlushPolicy {
    /// From settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let daily_bytes = match settings.log_daily_kib {
            0 => u64::MAX,
            kib => u64::from(kib) * 1024,
        };
        let severe_s = settings.log_high_severity_flush_s;
        Self { severity: settings.log_flush_severity, daily_bytes, severe_s }
    }
}

/// Geometry of the log, from settings.
pub(crate) fn geometry(settings: &Settings) -> Result<Geometry, Failure> {
    Geometry::new(settings.log_segment_kib * 1024, settings.log_segments)
        .map_err(|error| Failure::new(format!("log_segment_kib, log_segments: {error}")))
}

#[cfg(test)]
impl Spool {
    /// Opens the log in the directories of the settings with a key, as [`repair::open`] does for undamaged directories.
    pub(crate) fn open(settings: &Settings, key: &LogKey) -> Result<(Self, Recovery), Failure> {
        keys::store_log_key(&settings.state_dir, key)?;
        let repair::State { spool, recovery, .. } = repair::open(settings)?;
        Ok((spool, recovery))
    }
}

impl<S: Medium> Spool<S> {
    /// As [`Spool::open`], on these storages, which hold a log of the sizes in the settings.
    #[cfg(test)]
    pub(crate) fn open_on(
        main: S,
        journal: S,
        settings: &Settings,
        key: LogKey,
    ) -> Result<(Self, Recovery), Failure> {
        let stored_epoch = key.epoch();
        let mut salt = [0; 16];
        keys::random(&mut salt)?;
        let (log, recovery) = Log::open(main, journal, geometry(settings)?, key, Mode::Append(Salt(salt)))
            .map_err(|error| Failure::new(format!("log in {}: {error}", settings.state_dir.display())))?;
        let policy = EvidencePolicy::new(settings, None);
        let damages = Damages::default();
        Ok((Self::begin(settings, Box::new(log), &recovery, Some(stored_epoch), policy, damages)?, recovery))
    }

    /// Begins a run: finds out what the last one left, writes the start record, and raises alerts about `damages`.
    /// `stored_epoch` is that of the key in the file. Opening may have advanced the key of the log; the difference makes the
    /// next flush store it.
    fn begin(
        settings: &Settings,
        mut log: Box<Log<S>>,
        recovery: &Recovery,
        stored_epoch: Option<u64>,
        policy: EvidencePolicy,
        mut damages: Damages,
    ) -> Result<Self, Failure> {
        let Past { delivered, boots, faults, newest, written } = survey(&mut log);
        let boot = boot_number(&boots, keys::random_u64)?;
        let is_journal_complete = log.was_journal_complete();
        let damaged_blocks = log.stats().damaged_blocks;
        if damaged_blocks > 0 {
            damages.note(MAIN_FILE, format!("{damaged_blocks} blocks unreadable"));
        }
        let mut spool = Self::new(settings, log, stored_epoch, boot, delivered);
        if let Some(written) = &written {
            spool.budget.restore(written, spool.log.end_position(), clock::wall());
        }
        // Before the first flush, which may begin a segment.
        spool.apply_evidence(policy);
        spool.previous_boot = newest.map_or(0, |previous| previous.boot);
        if let Some(previous) = newest {
            // See `end_previous_run`: a run has a record in the journal after each flush.
            let is_complete = recovery.from_journal > 0 && is_journal_complete;
            spool.end_previous_run(previous, is_complete);
        }
        spool.faults = faults;
        spool.undelivered = spool.count_undelivered();
        spool.kept = spool.undelivered.earlier;
        let start =
            Record::Start { boot, at_us: clock::wall().as_micros(), version: env!("CARGO_PKG_VERSION") };
        // A log that does not take the start record does not take alerts either, and those are counted.
        let _counted_with_alerts = spool.store(&start);
        spool.raise_damage(damages);
        // Before the first alert of the workers: after a power cut the start record is all that is known of this run. One page in most cases.
        // Not without limit, because a crash loop would write a page at each start; what is left is for severe alerts.
        let is_damaged = !spool.damages.list().is_empty();
        spool.flush_within_budget(if is_damaged { Purpose::Severe } else { Purpose::Bulk });
        // From here on a power cut does not take the alerts back.
        let is_written = spool.flush_error.is_none() && spool.log.stats().main_bytes > 0;
        // Besides the record that follows a flush.
        if is_written && spool.log.waiting() <= 1 {
            spool.damages.told();
        }
        Ok(spool)
    }

    fn new(
        settings: &Settings,
        log: Box<Log<S>>,
        stored_epoch: Option<u64>,
        boot: u32,
        delivered: Option<RecordId>,
    ) -> Self {
        // Of the log, which has other sizes than the settings if it could not be replaced.
        let segment_bytes = usize::try_from(log.geometry().segment_bytes()).unwrap_or(usize::MAX);
        let has_open_segment = log.open_segment().is_some();
        Self {
            log,
            state_dir: settings.state_dir.clone(),
            rekey: Rekey::new(settings, stored_epoch, has_open_segment),
            notice: None,
            damages: Damages::default(),
            has_old_log: std::fs::symlink_metadata(settings.state_dir.join(resize::OLD_FILE)).is_ok(),
            lock: None,
            segment_bytes,
            boot,
            previous_boot: 0,
            next_seq: 1,
            delivery: Delivery::new(delivered),
            delivered_logged: delivered,
            delivered_logged_at: Uptime::ZERO,
            sent: heapless::Deque::new(),
            takes_run_ends: true,
            undelivered: Backlog::default(),
            kept: 0,
            previous_end: None,
            faults: 0,
            counts: SpoolCounts::default(),
            unwritten_gaps: Vec::new(),
            is_marked_open: false,
            is_ended: false,
            sent_gaps: Vec::new(),
            relocated_until: RecordId(0),
            policy: FlushPolicy::new(settings),
            budget: DailyBudget::new(clock::wall()),
            messages: MessageBudget::new(settings.alert_daily_messages),
            flush_due: None,
            is_journal_behind: false,
            append_error: None,
            flush_error: None,
            now: Uptime::ZERO,
            main_backoff: RetryBackoff::default(),
            journal_backoff: RetryBackoff::default(),
            lost_before: 0,
        }
    }

    /// Random number of the run before this one; 0 if the log has none.
    pub(crate) const fn previous_boot(&self) -> u32 {
        self.previous_boot
    }

    /// Random number of this run.
    pub(crate) const fn boot(&self) -> u32 {
        self.boot
    }

    /// Runs in the log, as it was at the start, that the watchdog ended.
    pub(crate) const fn faults(&self) -> u32 {
        self.faults
    }

    /// Counters.
    pub(crate) const fn counts(&self) -> SpoolCounts {
        self.counts
    }

    /// Log, for its counters.
    pub(crate) fn log(&self) -> &Log<S> {
        &self.log
    }

    /// Error of the last failed flush, append or key, until one of the same kind succeeds.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.flush_error.as_deref().or(self.append_error.as_deref()).or(self.rekey.error.as_deref())
    }

    /// Treatment of a log of another size, or of one that cannot be read or written, at the start.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Damage found at the start.
    pub(crate) fn damages(&self) -> &[Damage] {
        self.damages.list()
    }

    /// Raises two alerts about each damaged file, an opening and a closing one, so that no incident stays open.
    fn raise_damage(&mut self, damages: Damages) {
        let time = clock::wall();
        // Workers number their incidents from 1 on.
        for (incident, damage) in (0..=u32::MAX).rev().zip(damages.list()) {
            let text = format!("{}: {}", damage.file, damage.problem);
            let mut what = ShortName::new();
            // Cut to the length of a name; the status has all of it.
            let _is_cut = text.chars().try_for_each(|char| what.push(char));
            let severity = if damage.moved_in.is_some() { Severity::High } else { Severity::Medium };
            for phase in [Phase::Open, Phase::Close] {
                let alert = Alert {
                    time,
                    first: time,
                    test: Test::StateDamage,
                    severity,
                    phase,
                    incident,
                    suppressed: 0,
                    subject: Subject::default(),
                    evidence: Evidence::Damage { what: what.clone() },
                };
                self.enqueue(&alert, Uptime::ZERO);
            }
        }
        self.damages = damages;
    }

    /// Replaces the rule for writes to flash.
    pub(crate) const fn set_policy(&mut self, policy: FlushPolicy) {
        self.policy = policy;
    }

    /// Replaces the number of messages of one kind that the collector gets in 24 hours; 0 for no limit.
    pub(crate) const fn set_daily_messages(&mut self, daily: u32) {
        self.messages.set_daily(daily);
    }

    /// Numbers an alert and stores it; if the log does not take it, it becomes part of a gap. One beyond the budget of messages is
    /// stored without a number.
    pub(crate) fn enqueue(&mut self, alert: &Alert, now: Uptime) {
        self.now = now;
        if !self.messages.admits(alert, now) {
            self.counts.log_only += 1;
            let _counted_above = self.store_log_only(alert);
            return;
        }
        let id = AlertId { boot: self.boot, seq: self.next_seq };
        // Before it is stored: a number is used once, also if the log does not take the alert.
        self.next_seq += 1;
        self.counts.enqueued += 1;
        let is_severe = alert.severity >= Severity::High;
        let purpose = if is_severe { Purpose::Severe } else { Purpose::Bulk };
        let has_room = self.make_room(purpose);
        // An eighth of memory is for severe alerts, gaps, and what rotation relocates.
        let outcome =
            if has_room || is_severe { self.store_alert(id, alert, has_room) } else { Err(NotStored) };
        if outcome.is_err() {
            return self.lose(id, alert.severity, purpose);
        }
        self.counts.stored += 1;
        // Normally it is in the journal by now, on a RAM disk: a kill loses nothing, a power cut before the next
        // flush loses the alert.
        if self.is_journal_behind {
            // What only memory has must not look as if the journal were complete.
            self.flush_within_budget(Purpose::Severe);
        } else if alert.severity >= self.policy.severity {
            self.flush_within_budget(purpose);
        } else if is_severe {
            self.schedule_flush();
        }
    }

    /// Stores an alert that the collector does not get, if there is room: it makes none, and it causes no write to flash.
    fn store_log_only(&mut self, alert: &Alert) -> Result<(), NotStored> {
        if !self.make_room(Purpose::Bulk) {
            return Err(NotStored);
        }
        let mut bytes = [0; wire::MAX_ALERT_LEN];
        let bytes = wire::encode(alert, Timestamp::ZERO, &mut bytes).map_err(|_| NotStored)?;
        self.append(&Record::LogOnly { boot: self.boot, alert: bytes })
    }

    fn store_alert(&mut self, id: AlertId, alert: &Alert, has_room: bool) -> Result<(), NotStored> {
        let mut bytes = [0; wire::MAX_ALERT_LEN];
        let bytes = wire::encode(alert, Timestamp::ZERO, &mut bytes).map_err(|_| NotStored)?;
        // Without room a gap record for each lost alert would fill what is left.
        if has_room {
            self.write_gaps()?;
        }
        self.append(&Record::Alert { boot: id.boot, seq: id.seq, alert: bytes })
    }

    /// Counts an alert of this run that the log did not take, and adds it to the gap.
    fn lose(&mut self, id: AlertId, severity: Severity, purpose: Purpose) {
        let is_limited = !self.main_backoff.is_waiting(self.now) && !self.may_write(purpose);
        let (count, reason) = if is_limited {
            (&mut self.counts.lost_limit, GapReason::SpoolFull)
        } else {
            (&mut self.counts.lost_storage, GapReason::StorageLost)
        };
        *count += 1;
        self.mark_open();
        merge_gap(&mut self.unwritten_gaps, lost_alert(id, severity, reason));
    }

    /// States in the log that numbers may be used and in no record: a gap in memory does not survive a kill.
    fn mark_open(&mut self) {
        if !self.is_marked_open {
            self.is_marked_open = self.append_numbered(true);
        }
    }

    /// Records alerts that a full queue of a worker lost, by severity, least severe first: they get numbers and a gap.
    pub(crate) fn record_queue_overflow(&mut self, by_severity: [u32; 5]) {
        let count = by_severity.iter().map(|count| u64::from(*count)).sum::<u64>();
        if count == 0 {
            return;
        }
        // Numbered although their content is lost: the collector sees the hole, and the gap record explains it.
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
        let _retried_with_the_next_alert = self.write_gaps();
    }

    /// Writes the gaps that the log has not taken before.
    ///
    /// # Errors
    /// The log does not take one of them; it stays for the next call.
    pub(crate) fn write_gaps(&mut self) -> Result<(), NotStored> {
        if self.unwritten_gaps.is_empty() {
            return Ok(());
        }
        if !self.make_room(Purpose::Bulk) {
            self.mark_open();
            return Err(NotStored);
        }
        // Taken out first: storing a gap may flush, and relocating what the flush overwrites may add gaps to the list.
        while let Some(gap) = self.unwritten_gaps.pop() {
            if let Err(error) = self.store(&Record::Gap(gap)) {
                merge_gap(&mut self.unwritten_gaps, gap);
                return Err(error);
            }
        }
        // After the gaps: a kill in between leaves the statement that numbers may be missing.
        if self.is_marked_open && self.append_numbered(false) {
            self.is_marked_open = false;
        }
        Ok(())
    }

    /// Appends a record; makes room first if memory is full.
    fn store(&mut self, record: &Record<'_>) -> Result<(), NotStored> {
        let _tried_without = self.make_room(Purpose::Bulk);
        self.append(record)
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), NotStored> {
        let mut bytes = [0; MAX_RECORD];
        let bytes = postcard::to_slice(record, &mut bytes).map_err(|_| NotStored)?;
        // Main is written by `flush` only: the log by itself would overwrite undelivered records that have not been relocated,
        // and would not ask the budget.
        let suspended = Suspended { main: true, journal: self.journal_backoff.is_waiting(self.now) };
        // Before each append, because the log keeps the last setting.
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
            // Not tried: the error of the last attempt stands.
            Ok(_) | Err(AppendError::Suspended) => false,
            Err(_) => true,
        };
        if is_tried {
            self.append_error = outcome.as_ref().err().map(ToString::to_string);
        }
        // A record that the journal did not take is in memory: it is sent, and goes to flash with the next flush.
        let stored = matches!(outcome, Ok(_) | Err(AppendError::NotJournalled(..)));
        if stored {
            self.undelivered.add(record, self.boot, bytes.len());
        }
        if stored { Ok(()) } else { Err(NotStored) }
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
