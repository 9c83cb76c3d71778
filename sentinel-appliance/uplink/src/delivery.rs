//! The books of what was sent, what is durable upstream, and what must be sent again.
//!
//! Records stand in a spool that their owner reads forwards by a cursor (a record number). This type knows
//! how far the collector has acknowledged and how far we have sent; it holds no records.
//!
//! The rule that makes delivery exactly once: the spool keeps a record until it is acknowledged, a new
//! connection sends again everything after the last acknowledged record, and the collector stores each
//! alert id once.

use core::time::Duration;

use heapless::Deque;
use sentinel_alert::AlertId;
use sentinel_units::Uptime;

/// Messages that may be on their way at once.
pub const WINDOW_LEN: usize = 16;
/// A message not acknowledged for so long means that the connection, or the collector, is broken.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a new connection starts to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resume<C> {
    /// After this record; it and everything before it is durable upstream and may leave the spool.
    After(C),
    /// After [`Delivery::next_after`], as known here. The collector names an alert whose record is not
    /// known here (we have been restarted): look it up in the spool and call [`Delivery::found`] if it is
    /// there. Without that everything in the spool is sent again, which costs bytes and nothing else.
    Find(AlertId),
    /// After [`Delivery::next_after`], as known here.
    AsKnown,
}

#[derive(Clone, Copy, Debug)]
struct InFlight<C> {
    last: AlertId,
    cursor: C,
    records: u32,
    sent_at: Uptime,
}

/// What the collector has, and what is on its way. `C` orders the records of the spool.
#[derive(Debug)]
pub struct Delivery<C> {
    /// Last record that is durable upstream.
    acked: Option<C>,
    /// Messages sent and not acknowledged, oldest first, cursors rising.
    in_flight: Deque<InFlight<C>, WINDOW_LEN>,
    /// Whether `in_flight` was sent on the connection that is up now.
    connected: bool,
    delivered: u64,
}

impl<C: Copy + Ord> Delivery<C> {
    /// `acked` is the last record known to be durable upstream, if the spool remembers one.
    #[must_use]
    pub const fn new(acked: Option<C>) -> Self {
        Self { acked, in_flight: Deque::new(), connected: false, delivered: 0 }
    }

    /// The connection is lost: what was in flight counts as not sent. Nothing may be sent until
    /// [`Delivery::welcome`].
    pub const fn disconnected(&mut self) {
        self.connected = false;
    }

    /// A new session is up, and the collector says what it has.
    pub fn welcome(&mut self, acked: Option<AlertId>) -> Resume<C> {
        let known = acked.and_then(|id| self.settle(id));
        self.in_flight.clear();
        self.connected = true;
        match (known, acked) {
            (Some(cursor), _) => Resume::After(cursor),
            (None, Some(id)) => Resume::Find(id),
            (None, None) => Resume::AsKnown,
        }
    }

    /// The record of the alert that [`Resume::Find`] named, found in the spool before anything was sent.
    /// Ignored if it is not newer than what is known already.
    pub fn found(&mut self, cursor: C) {
        if self.in_flight.is_empty() {
            self.acked = self.acked.max(Some(cursor));
        }
    }

    /// The record after which the next one to send stands; `None` means from the start of the spool.
    #[must_use]
    pub fn next_after(&self) -> Option<C> {
        match self.in_flight.back() {
            Some(latest) if self.connected => Some(latest.cursor),
            _ => self.acked,
        }
    }

    /// Whether another message may be sent now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.connected && !self.in_flight.is_full()
    }

    /// A message of `records` records went out: `last` is the alert that acknowledges it, `cursor` its last
    /// record. Returns whether it was booked; not booked if there was no room or the cursor does not rise,
    /// and then the message must not go out.
    #[must_use]
    pub fn sent(&mut self, last: AlertId, cursor: C, records: u32, now: Uptime) -> bool {
        if !self.has_room() || Some(cursor) <= self.next_after() {
            return false;
        }
        self.in_flight.push_back(InFlight { last, cursor, records, sent_at: now }).is_ok()
    }

    /// The collector acknowledged everything up to `id`. Returns the last record that may leave the spool,
    /// or `None` if nothing sent on this connection ends with that alert: the collector is wrong, count it.
    pub fn acked(&mut self, id: AlertId) -> Option<C> {
        if self.connected { self.settle(id) } else { None }
    }

    /// The last record that is durable upstream.
    #[must_use]
    pub const fn durable(&self) -> Option<C> {
        self.acked
    }

    /// Records acknowledged since this was made.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Messages on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        if self.connected { self.in_flight.len() } else { 0 }
    }

    /// When to give up on the oldest message on its way; `None` if there is none.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        let oldest = self.in_flight.front().filter(|_| self.connected)?;
        Some(oldest.sent_at.after(ACK_TIMEOUT))
    }

    /// Whether the oldest message has waited too long: close the connection and make a new one.
    #[must_use]
    pub fn is_overdue(&self, now: Uptime) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Books everything up to the message that ends with `id` as durable.
    fn settle(&mut self, id: AlertId) -> Option<C> {
        self.in_flight.iter().find(|message| message.last == id)?;
        // Bounded by the window; the message looked for is in it.
        while let Some(message) = self.in_flight.pop_front() {
            self.acked = Some(message.cursor);
            self.delivered = self.delivered.saturating_add(u64::from(message.records));
            if message.last == id {
                break;
            }
        }
        self.acked
    }
}
