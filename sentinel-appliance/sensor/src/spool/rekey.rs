//! Forward security: the key in the state directory moves past what is delivered, segments are closed so that it can, and new
//! segments are sealed to the evidence key.
//!
//! Bound: with the flash and the key file, whoever steals the device reads the alerts that are not delivered, and of the
//! delivered ones those in the open segment: at most one segment, written within the last `log_rotate_hours`.

use std::time::Duration;

use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_seal::Recipient;
use sentinel_units::Uptime;
use sentinel_uplink::PublicKey;

use super::{Item, Medium, Purpose, Record, Spool, decode};
use crate::settings::Settings;
use crate::system::keys;
use crate::terminal::log;

/// Treatment of delivered alerts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct EvidencePolicy {
    /// Public key to which new segments are sealed.
    pub(crate) recipient: Option<PublicKey>,
    /// The key stays behind what is delivered, until the ring overwrites it.
    pub(crate) keep_readable: bool,
    /// Age at which an open segment is closed, if everything in it is delivered.
    pub(crate) rotate: Duration,
}

impl EvidencePolicy {
    /// From settings, with the key of the collector at which the sensor is enrolled.
    pub(crate) fn new(settings: &Settings, collector: Option<PublicKey>) -> Self {
        Self {
            recipient: settings.log_evidence_key.public_key(collector),
            keep_readable: settings.log_delivered_readable,
            rotate: Duration::from_secs(u64::from(settings.log_rotate_hours) * 3_600),
        }
    }

    /// From settings, with the collector that the state directory names. A file that cannot be read is reported when the uplink
    /// reads it.
    pub(super) fn stored(settings: &Settings) -> Self {
        let collector = keys::collector(&settings.state_dir).ok().flatten();
        Self::new(settings, collector.map(|collector| collector.key))
    }
}

/// State of the key of the log.
#[derive(Debug, Default)]
pub(super) struct Rekey {
    pub(super) policy: EvidencePolicy,
    /// Epoch of the key in the state directory; `None` if it could not be stored yet. The log advances its own key when the ring
    /// wraps.
    pub(super) stored_epoch: Option<u64>,
    /// Error of storing the key, until it is stored.
    pub(super) error: Option<String>,
    /// The key is not stored: this log is not the one in the state directory yet.
    pub(super) is_frozen: bool,
    /// Epoch of the open segment, and when its first block was seen on flash. `None` before the first look: what an earlier
    /// run left may be of any age, so it is closed as soon as it is delivered.
    open: Option<(u64, Uptime)>,
}

/// Readers of delivered alerts in the log, as `sentinel status` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DeliveredAlerts {
    /// Nobody on the device; who has the private key of this public key.
    SealedTo(PublicKey),
    /// Nobody.
    Unreadable,
    /// The device, and whoever steals it.
    Readable,
}

/// Records at the end of a segment that are looked at for one that is not delivered: it bounds the work of an
/// acknowledgement. More of them are starts of the program without an alert in between; they are only kept longer.
const MAX_TRAILING: u64 = 64;

impl Rekey {
    /// State at the start; `has_open_segment` if an earlier run left one. Nobody is the recipient until
    /// [`Spool::set_evidence`] names one.
    pub(super) fn new(settings: &Settings, stored_epoch: Option<u64>, has_open_segment: bool) -> Self {
        let policy = EvidencePolicy { recipient: None, ..EvidencePolicy::new(settings, None) };
        // No segment has this epoch, so the age of one that is begun counts from the first look.
        let open = (!has_open_segment).then_some((u64::MAX, Uptime::ZERO));
        Self { policy, stored_epoch, open, ..Self::default() }
    }
}

impl<S: Medium> Spool<S> {
    /// Replaces the rule for delivered alerts. If the recipient is another one, the next flush begins a segment for it.
    pub(crate) fn set_evidence(&mut self, policy: EvidencePolicy) {
        self.apply_evidence(policy);
        self.advance_key();
    }

    /// As [`Self::set_evidence`], before the records of an opening are written: the key stays where it is until the first flush.
    pub(super) fn apply_evidence(&mut self, policy: EvidencePolicy) {
        self.rekey.policy = policy;
        let recipient = policy.recipient.and_then(|key| match Recipient::new(*key.as_bytes()) {
            Ok(recipient) => Some(recipient),
            Err(error) => {
                log::warn(format_args!("evidence key {key}: {error}; delivered alerts are not sealed to it"));
                None
            }
        });
        self.log.seal_to(recipient);
        let wanted = recipient.map(|recipient| *recipient.as_bytes());
        if wanted.is_some() && self.log.open_segment().is_some() && self.log.sealed_to() != wanted {
            // Fails only without an epoch left; then the segment stays open.
            let _begun = self.log.begin_segment();
        }
    }

    /// Rule for delivered alerts, for status.
    pub(crate) const fn evidence(&self) -> EvidencePolicy {
        self.rekey.policy
    }

    /// Readers of delivered alerts, apart from those in the open segment.
    pub(crate) const fn delivered_alerts(&self) -> DeliveredAlerts {
        match self.rekey.policy {
            EvidencePolicy { keep_readable: true, .. } => DeliveredAlerts::Readable,
            EvidencePolicy { recipient: Some(key), .. } => DeliveredAlerts::SealedTo(key),
            EvidencePolicy { recipient: None, .. } => DeliveredAlerts::Unreadable,
        }
    }

    /// Record from which on the device must be able to read: the first that is not delivered, or the oldest in the ring.
    fn keep_from(&mut self) -> RecordId {
        let oldest = self.log.oldest();
        if self.rekey.policy.keep_readable {
            return oldest;
        }
        let after = self.delivery.last_acked().map_or(oldest, |last| last.next().max(oldest));
        // Records that the collector does not get may follow, up to the end of a segment. They are read: what a counter says must
        // not make an alert unreadable that nobody has.
        let end = match self.log.segment_after(after) {
            Some(first) => first,
            None if self.waiting_items() == 0 => self.log.next_id(),
            None => return after,
        };
        if end.since(after) <= MAX_TRAILING && !self.has_items(after, end) { end } else { after }
    }

    /// Advances the key past segments that are delivered or overwritten, so that no copy of them can be read any more, and
    /// stores it. If it cannot be stored, the next flush tries again: until then the older key in the file opens the log too.
    pub(super) fn advance_key(&mut self) {
        let before = self.log.key().epoch();
        let keep_from = self.keep_from();
        if self.log.advance_key(keep_from).epoch() != before {
            self.store_key();
        }
    }

    /// Stores the key of the log, if that in the state directory is older. After the flush that wrote a segment of its epoch:
    /// killed before, the program finds the older key, which opens the new segments as well.
    pub(super) fn store_key(&mut self) {
        let key = self.log.key();
        if Some(key.epoch()) == self.rekey.stored_epoch || self.rekey.is_frozen {
            return;
        }
        match keys::store_log_key(&self.state_dir, key) {
            Ok(()) => (self.rekey.stored_epoch, self.rekey.error) = (Some(key.epoch()), None),
            Err(failure) => self.rekey.error = Some(failure.to_string()),
        }
    }

    /// Returns true if the state directory has a key that opens what is written. If it has none yet, it is stored now.
    pub(super) fn has_stored_key(&mut self) -> bool {
        if self.rekey.stored_epoch.is_none() {
            self.store_key();
        }
        self.rekey.stored_epoch.is_some() || self.rekey.is_frozen
    }

    /// Closes the open segment once it is old enough and everything in main is delivered: pending records and a record of
    /// delivery begin the next one, and the key moves there. One page of flash in `log_rotate_hours`, and none while no
    /// alert reaches main.
    pub(super) fn close_delivered(&mut self, now: Uptime) {
        let Some(first) = self.log.open_segment() else { return };
        let head = self.log.head();
        if self.rekey.open.is_some_and(|(epoch, _)| epoch != head.epoch) {
            self.rekey.open = Some((head.epoch, now));
        }
        let is_old = self.rekey.open.is_none_or(|(_, since)| now.since(since) >= self.rekey.policy.rotate);
        if !is_old || self.rekey.policy.keep_readable || self.keep_from() < head.next_id {
            return;
        }
        if !self.has_items(first, head.next_id) {
            self.rekey.open = Some((head.epoch, now));
            return;
        }
        if self.main_backoff.is_waiting(now) || !self.may_write(Purpose::Bulk) {
            return;
        }
        if self.log.begin_segment().is_ok() {
            let before = self.delivery.last_acked().map_or(0, |last| last.next().0);
            // The log needs a record to begin a segment with. One of this run is pending since the last flush, so the next run
            // finds its number.
            let _in_memory_at_least = self.append(&Record::Delivered { before });
            self.flush();
            self.rekey.open = Some((self.log.head().epoch, now));
        }
    }

    /// Returns true if there is an alert or a gap from `first` up to `end`.
    fn has_items(&mut self, first: RecordId, end: RecordId) -> bool {
        let (mut cursor, mut buffer) = (Cursor::new(first), [0; MAX_RECORD]);
        while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
            if record >= end {
                return false;
            }
            let item = buffer.get(..length).and_then(decode);
            // A collector of version 1 does not get the ends of runs.
            if item.is_some_and(|item| self.takes_run_ends || !matches!(item, Item::End(_))) {
                return true;
            }
        }
        false
    }
}
