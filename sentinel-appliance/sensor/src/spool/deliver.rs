//! Delivery: records that the collector has acknowledged, records that wait for it, and the record in the log about both.

use std::time::Duration;

use sentinel_alert::AlertId;
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Uptime;
use sentinel_uplink::{Delivery, NotTracked, RUN_END_VERSION, Resume};

use super::resize::OLD_FILE;
use super::{Item, Medium, Record, Spool, decode, read_record};

/// Minimum time between two records of delivery, besides those that go with a flush.
pub(super) const DELIVERED_INTERVAL: Duration = Duration::from_secs(60);

impl<S: Medium> Spool<S> {
    /// Records sent and not acknowledged.
    pub(crate) const fn delivery(&mut self) -> &mut Delivery<RecordId> {
        &mut self.delivery
    }

    /// Tracks a message that was sent; `last` acknowledges it.
    ///
    /// # Errors
    /// See [`Delivery::sent`].
    pub(crate) fn sent(
        &mut self,
        last: AlertId,
        records: SentRecords,
        now: Uptime,
    ) -> Result<(), NotTracked> {
        let count = u32::try_from(records.items.items()).unwrap_or(u32::MAX);
        self.delivery.sent(last, records.to, count, now)?;
        // As long as the window of `Delivery`, which had room.
        let _has_room = self.sent.push_back(records);
        Ok(())
    }

    /// Records that the collector has everything up to `id`. An acknowledgement of an alert that was not sent is ignored.
    pub(crate) fn acked(&mut self, id: AlertId) {
        let _durable = self.delivery.acknowledge(id);
        self.settle();
        // Nothing undelivered is left to relocate, so none of these gaps can come again.
        if self.waiting_items() == 0 {
            self.sent_gaps.clear();
        }
        self.drop_early();
        self.advance_key();
        if self.has_old_log && self.waiting_items() == 0 {
            // Tried once in a run.
            self.has_old_log = false;
            let _left_for_the_next_run = std::fs::remove_file(self.state_dir.join(OLD_FILE));
        }
    }

    /// Removes the records of acknowledged messages from the backlog.
    fn settle(&mut self) {
        let mut must_count = false;
        while let Some(message) = self.sent.front().copied() {
            if Some(message.to) > self.delivery.last_acked() {
                break;
            }
            self.sent.pop_front();
            // Records below `relocated_until` left the backlog when they were relocated or lost.
            if message.from >= self.relocated_until {
                self.undelivered.remove(&message.items);
            } else {
                must_count |= message.to >= self.relocated_until;
            }
        }
        if must_count {
            self.undelivered = self.count_undelivered();
        }
    }

    /// Messages acknowledged by the collector since the start, in records.
    pub(crate) const fn acknowledged(&self) -> u64 {
        self.delivery.delivered()
    }

    /// Numbers of alerts that add up: see [`Books`].
    pub(crate) fn books(&self) -> Books {
        let (counts, backlog) = (self.counts, self.undelivered);
        let raised = self.next_seq - 1;
        let (waiting, lost) = (backlog.own + backlog.earlier, counts.lost());
        Books {
            raised,
            kept: self.kept,
            delivered: (raised + self.kept).saturating_sub(waiting + lost),
            waiting,
            lost,
            earlier_waiting: backlog.earlier,
            earlier_lost: counts.lost_earlier,
        }
    }

    /// Starts the delivery over a new connection; `acked` is the last alert that the collector has, `protocol` its version.
    pub(crate) fn welcome(&mut self, acked: Option<AlertId>, protocol: u16) {
        self.takes_run_ends = protocol >= RUN_END_VERSION;
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
        self.sent.clear();
        self.undelivered = self.count_undelivered();
        // Another collector gets alerts that the one before had.
        self.kept = self.kept.max(self.undelivered.earlier + self.counts.lost_earlier);
    }

    /// Calls `visit` with each alert and gap after those that were sent, until it returns false or there are no more.
    pub(crate) fn unsent(&mut self, mut visit: impl FnMut(RecordId, Item) -> bool) {
        let from = self.delivery.next_after().map_or(self.log.oldest(), RecordId::next);
        let (mut cursor, mut buffer) = (Cursor::new(from), [0; MAX_RECORD]);
        while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
            let item = buffer.get(..length).and_then(decode);
            // A collector of version 1 would end the session at the end of a run.
            let item = item.filter(|item| self.takes_run_ends || !matches!(item, Item::End(_)));
            if item.is_some_and(|item| !visit(record, item)) {
                return;
            }
        }
    }

    /// Alerts, gaps and ends of runs in the log that the collector is not known to have acknowledged.
    pub(crate) const fn waiting_items(&self) -> u64 {
        self.undelivered.items()
    }

    /// Approximate bytes of these as records, before the log compresses and seals them.
    pub(crate) const fn waiting_bytes(&self) -> u64 {
        self.undelivered.bytes
    }

    /// Counts what is undelivered in the log: after the last acknowledged record, and not relocated.
    pub(super) fn count_undelivered(&mut self) -> Backlog {
        let after = self.delivery.last_acked().map_or(self.log.oldest(), RecordId::next);
        let range = after.max(self.relocated_until)..self.log.next_id();
        let (mut waiting, boot, takes_run_ends) = (Backlog::default(), self.boot, self.takes_run_ends);
        self.each_item(range, |_, item, length| {
            if takes_run_ends || !matches!(item, Item::End(_)) {
                waiting.count(&item, boot);
                waiting.bytes += u64::try_from(length).unwrap_or(u64::MAX);
            }
        });
        waiting
    }

    /// Writes a record of delivery if everything is delivered and the last record is a minute old, so that a program that is
    /// killed finds it in the journal. Not after each acknowledgement, which would double the writes to the journal.
    pub(crate) fn note_delivered(&mut self, now: Uptime) {
        self.now = now;
        let is_due = now.since(self.delivered_logged_at) >= DELIVERED_INTERVAL;
        // With a flush due the record can wait: the flush writes one.
        if self.waiting_items() == 0 && is_due && !self.log.needs_flush() {
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

/// Records of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentRecords {
    /// First record.
    pub(crate) from: RecordId,
    /// Last record.
    pub(crate) to: RecordId,
    pub(crate) items: Backlog,
}

impl SentRecords {
    /// None yet; `boot` is the run of the spool.
    pub(crate) fn add(sent: &mut Option<Self>, record: RecordId, item: &Item, boot: u32) {
        let sent = sent.get_or_insert(Self { from: record, to: record, items: Backlog::default() });
        sent.to = record;
        sent.items.count(item, boot);
    }
}

/// Alerts of this run, and of earlier runs as far as they were undelivered at its start:
/// `raised + kept = delivered + waiting + lost`. Gaps, starts and ends of runs are not alerts.
///
/// Waiting and lost are counted, delivered is the difference: an alert that counts as lost although the collector had it
/// already is not delivered, and one that is sent twice is delivered once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Books {
    /// Alerts numbered by this run.
    pub(crate) raised: u64,
    /// Alerts of earlier runs that were undelivered at the start of this one.
    pub(crate) kept: u64,
    pub(crate) delivered: u64,
    pub(crate) waiting: u64,
    pub(crate) lost: u64,
    /// Of `waiting`, alerts of earlier runs.
    pub(crate) earlier_waiting: u64,
    /// Of `lost`, alerts of earlier runs.
    pub(crate) earlier_lost: u64,
}

impl Books {
    /// Of `delivered`, alerts of earlier runs.
    pub(crate) const fn earlier_delivered(&self) -> u64 {
        self.kept.saturating_sub(self.earlier_waiting + self.earlier_lost)
    }
}

/// Numbers and bytes of records that the collector has not acknowledged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Backlog {
    /// Alerts of this run.
    pub(super) own: u64,
    /// Alerts of earlier runs.
    pub(super) earlier: u64,
    /// Gaps and ends of runs.
    pub(super) others: u64,
    pub(super) bytes: u64,
}

impl Backlog {
    pub(super) const fn items(&self) -> u64 {
        self.own + self.earlier + self.others
    }

    /// Adds a record that was appended.
    pub(super) fn add(&mut self, record: &Record<'_>, own_boot: u32, bytes: usize) {
        match record {
            Record::Alert { boot, .. } | Record::Relocated { boot, .. } => self.count_alert(*boot, own_boot),
            Record::Gap(_) | Record::End(_) => self.others += 1,
            Record::Start { .. }
            | Record::Delivered { .. }
            | Record::Numbered { .. }
            | Record::Written { .. }
            | Record::LogOnly { .. } => return,
        }
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Adds an item, without its bytes.
    pub(super) fn count(&mut self, item: &Item, own_boot: u32) {
        match item {
            Item::Alert(id, _) => self.count_alert(id.boot, own_boot),
            Item::Gap(_) | Item::End(_) => self.others += 1,
        }
    }

    fn count_alert(&mut self, boot: u32, own_boot: u32) {
        let alerts = if boot == own_boot { &mut self.own } else { &mut self.earlier };
        *alerts += 1;
    }

    /// Removes `records`. Their lengths are not kept: each counts with the average, and the last with all that remains.
    pub(super) fn remove(&mut self, records: &Self) {
        let before = self.items();
        self.own = self.own.saturating_sub(records.own);
        self.earlier = self.earlier.saturating_sub(records.earlier);
        self.others = self.others.saturating_sub(records.others);
        self.bytes = (self.bytes * self.items()).checked_div(before).unwrap_or(0);
    }
}
