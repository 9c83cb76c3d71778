//! Delivery: records that the collector has acknowledged, records that wait for it, and the record in the log about both.

use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Uptime;
use sentinel_uplink::{Delivery, Resume};

use super::{Item, Record, Spool, decode, read_record};

/// Minimum time between two records of delivery, besides those that go with a flush.
pub(super) const DELIVERED_INTERVAL: Duration = Duration::from_secs(60);

impl Spool {
    /// Records sent and not acknowledged.
    pub(crate) const fn delivery(&mut self) -> &mut Delivery<RecordId> {
        &mut self.delivery
    }

    /// Records that the collector has everything up to `id`. An acknowledgement of an alert that was not sent is ignored.
    pub(crate) fn acked(&mut self, id: AlertId) {
        let before = self.delivery.delivered();
        let _durable = self.delivery.acknowledge(id);
        self.undelivered.remove(self.delivery.delivered() - before);
        // Nothing undelivered is left to relocate, so none of these gaps can come again.
        if self.waiting() == 0 {
            self.sent_gaps.clear();
        }
        self.advance_key();
    }

    /// Alerts acknowledged by the collector since the start.
    pub(crate) const fn delivered(&self) -> u64 {
        self.delivery.delivered()
    }

    /// Starts the delivery over a new connection; `acked` is the last alert that the collector has.
    pub(crate) fn welcome(&mut self, acked: Option<AlertId>) {
        if acked.is_none() && self.delivery.delivered() == 0 {
            // Another collector than the one that acknowledged the records so far, or it has lost its store.
            self.delivery = Delivery::new(None);
        }
        if let Resume::Lookup(id) = self.delivery.welcome(acked) {
            // This run has sent nothing yet: find the record of that alert.
            let (mut cursor, mut buffer) = (Cursor::new(self.log.oldest()), [0; MAX_RECORD]);
            let mut found = None;
            while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
                let named = match buffer.get(..length).and_then(read_record) {
                    Some(Record::Alert { boot, seq, .. }) => AlertId { boot, seq } == id,
                    // A relocated copy does not count: the alert may have been sent from its first place, and every record
                    // between the two places would count as delivered. Not finding it only costs sending again.
                    Some(_) | None => false,
                };
                if named {
                    found = Some(record);
                }
            }
            if let Some(record) = found {
                self.delivery.resume_after(record);
            }
        }
        self.undelivered = self.count_undelivered();
    }

    /// Calls `visit` with each alert and gap after those that were sent, until it returns false or there are no more.
    pub(crate) fn unsent(&mut self, mut visit: impl FnMut(RecordId, Item) -> bool) {
        let from = self.delivery.next_after().map_or(self.log.oldest(), RecordId::next);
        let (mut cursor, mut buffer) = (Cursor::new(from), [0; MAX_RECORD]);
        while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
            let item = buffer.get(..length).and_then(decode);
            if item.is_some_and(|item| !visit(record, item)) {
                return;
            }
        }
    }

    /// Alerts and gaps in the log that the collector is not known to have acknowledged.
    pub(crate) const fn waiting(&self) -> u64 {
        self.undelivered.items
    }

    /// Approximate bytes of these as records, before the log compresses and seals them.
    pub(crate) const fn waiting_bytes(&self) -> u64 {
        self.undelivered.bytes
    }

    /// Counts alerts and gaps after the last delivered record. Nothing may be sent and unacknowledged.
    pub(super) fn count_undelivered(&mut self) -> Backlog {
        let from = self.delivery.next_after().map_or(self.log.oldest(), RecordId::next);
        let (range, mut waiting) = (from..self.log.next_id(), Backlog::default());
        self.each_item(range, |_, _, length| waiting.add(length));
        waiting
    }

    /// Writes a record of delivery if everything is delivered and the last record is a minute old, so that a program that is
    /// killed finds it in the journal. Not after each acknowledgement, which would double the writes to the journal.
    pub(crate) fn note_delivered(&mut self, now: Uptime) {
        self.now = now;
        let is_due = now.since(self.delivered_logged_at) >= DELIVERED_INTERVAL;
        // With a flush due the record can wait: the flush writes one.
        if self.waiting() == 0 && is_due && !self.log.needs_flush() {
            self.delivered_logged_at = now;
            self.log_delivered();
        }
        self.close_delivered(now);
    }

    /// Writes a record of delivery if more is delivered than the last one states.
    pub(super) fn log_delivered(&mut self) {
        let durable = self.delivery.last_acked();
        let before = durable.map_or(0, |last| last.next().0);
        if durable != self.delivered_logged && self.append(&Record::Delivered { before }).is_ok() {
            self.delivered_logged = durable;
        }
    }
}

/// Number and bytes of the alerts and gaps that the collector has not acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Backlog {
    pub(super) fn add(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Removes `items`. Their lengths are not kept: each counts with the average, and the last with all that remains.
    pub(super) fn remove(&mut self, items: u64) {
        let left = self.items.saturating_sub(items);
        self.bytes = (self.bytes * left).checked_div(self.items).unwrap_or(0);
        self.items = left;
    }
}
