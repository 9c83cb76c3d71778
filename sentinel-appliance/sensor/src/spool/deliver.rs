//! How far delivering has come: what the collector has, what waits for it, and what the log remembers of that.

use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Uptime;
use sentinel_uplink::{Delivery, Resume};

use super::{Item, Record, Spool, decode, read_record};

/// Least time between two records that everything is delivered, but for those that go with a flush.
pub(super) const REMEMBER_INTERVAL: Duration = Duration::from_secs(60);

impl Spool {
    /// The books of what was sent.
    pub(crate) const fn delivery(&mut self) -> &mut Delivery<RecordId> {
        &mut self.delivery
    }

    /// The collector has everything up to `id`. An acknowledgement of nothing that was sent changes nothing.
    pub(crate) fn acked(&mut self, id: AlertId) {
        let before = self.delivery.delivered();
        let _durable = self.delivery.acknowledge(id);
        self.undelivered.take(self.delivery.delivered() - before);
        if self.waiting() == 0 {
            self.sent_gaps.clear();
        }
    }

    /// Alerts acknowledged by the collector since the start.
    pub(crate) const fn delivered(&self) -> u64 {
        self.delivery.delivered()
    }

    /// A new connection is up and the collector says what it has.
    pub(crate) fn welcome(&mut self, acked: Option<AlertId>) {
        if acked.is_none() && self.delivery.delivered() == 0 {
            // Another collector than the one that took what the log remembers, or it has forgotten us.
            self.delivery = Delivery::new(None);
        }
        if let Resume::Lookup(id) = self.delivery.welcome(acked) {
            // We have been restarted: look up how far the collector is.
            let (mut cursor, mut buffer) = (Cursor::new(self.log.oldest()), [0; MAX_RECORD]);
            let mut found = None;
            while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
                let named = match buffer.get(..length).and_then(read_record) {
                    Some(Record::Alert { boot, seq, .. }) => AlertId { boot, seq } == id,
                    // The collector may have had these from their first place: what lies between the two
                    // places would count as delivered. Not finding them costs only sending again.
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

    /// Reads on after what was sent: calls `visit` with each record until it says stop or there are no more.
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

    /// Alerts and gaps in the log that the collector has not acknowledged, as far as we know.
    pub(crate) const fn waiting(&self) -> u64 {
        self.undelivered.items
    }

    /// About how many bytes these take as records, before the log deflates and seals them.
    pub(crate) const fn waiting_bytes(&self) -> u64 {
        self.undelivered.bytes
    }

    /// Alerts and gaps among the records after those that are delivered; nothing may be on its way.
    pub(super) fn count_undelivered(&mut self) -> Waiting {
        let from = self.delivery.next_after().map_or(self.log.oldest(), RecordId::next);
        let (range, mut waiting) = (from..self.log.next_id(), Waiting::default());
        self.each_item(range, |_, _, length| waiting.add(length));
        waiting
    }

    /// From time to time: remembers that everything is delivered, so that a killed program finds it in the journal.
    /// Not after each acknowledgement, which would double what goes into the journal.
    pub(crate) fn note_delivered(&mut self, now: Uptime) {
        self.now = now;
        let is_due = now.since(self.remembered_at) >= REMEMBER_INTERVAL;
        if self.waiting() == 0 && is_due && !self.log.needs_flush() {
            self.remembered_at = now;
            self.remember_delivered();
        }
    }

    /// Writes into the log how far delivering has come, if it has come further since.
    pub(super) fn remember_delivered(&mut self) {
        let durable = self.delivery.last_acked();
        let before = durable.map_or(0, |last| last.next().0);
        if durable != self.remembered && self.append(&Record::Delivered { before }) {
            self.remembered = durable;
        }
    }
}

/// Alerts and gaps that the collector has not acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Waiting {
    pub(super) fn add(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// So many of them are there no longer. Nobody remembers how long each was: they count as of average length, and
    /// the last takes the rest.
    pub(super) fn take(&mut self, items: u64) {
        let left = self.items.saturating_sub(items);
        self.bytes = (self.bytes * left).checked_div(self.items).unwrap_or(0);
        self.items = left;
    }
}
