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
    /// there. Without that everything in the spool is sent again, which costs bytes and nothing else. An
    /// alert that was written again behind later records is not the record to look for: what stands between
    /// its old and its new place has not arrived.
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
    /// Last record that the collector may have, if a connection died before it could say so.
    maybe_delivered: Option<C>,
    /// Whether `in_flight` was sent on the connection that is up now.
    connected: bool,
    delivered: u64,
}

impl<C: Copy + Ord> Delivery<C> {
    /// `acked` is the last record known to be durable upstream, if the spool remembers one.
    #[must_use]
    pub const fn new(acked: Option<C>) -> Self {
        Self { acked, in_flight: Deque::new(), maybe_delivered: acked, connected: false, delivered: 0 }
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
        self.maybe_delivered = self.acked;
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
            self.maybe_delivered = self.acked;
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
        self.maybe_delivered = Some(cursor);
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

    /// The last record that the collector has or may have. A full spool gives up records after this one
    /// first: one before it may have arrived, and a gap that names it would count a loss that never was.
    #[must_use]
    pub const fn maybe_delivered(&self) -> Option<C> {
        self.maybe_delivered
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Uptime = Uptime::ZERO;

    fn id(seq: u64) -> AlertId {
        AlertId { boot: 1, seq }
    }

    /// Connected, with messages that end in alerts 1, 2 and 3 and records 10, 20 and 30 on their way.
    fn three_sent() -> Delivery<u64> {
        let mut delivery = Delivery::new(None);
        assert_eq!(delivery.welcome(None), Resume::AsKnown);
        for seq in 1..=3 {
            assert!(delivery.sent(id(seq), seq * 10, 2, NOW));
        }
        delivery
    }

    #[test]
    fn an_ack_covers_everything_before_it() {
        let mut delivery = three_sent();
        assert_eq!((delivery.in_flight(), delivery.next_after()), (3, Some(30)));
        assert_eq!(delivery.acked(id(2)), Some(20));
        assert_eq!((delivery.in_flight(), delivery.durable(), delivery.delivered()), (1, Some(20), 4));
        assert_eq!(delivery.acked(id(2)), None, "a second time");
        assert_eq!(delivery.acked(id(9)), None, "never sent");
        assert_eq!(delivery.durable(), Some(20));
        assert_eq!(delivery.acked(id(3)), Some(30));
        assert_eq!((delivery.in_flight(), delivery.next_after(), delivery.deadline()), (0, Some(30), None));
    }

    #[test]
    fn after_a_break_everything_unacknowledged_is_sent_again() {
        let mut delivery = three_sent();
        delivery.acked(id(1));
        delivery.disconnected();
        assert_eq!((delivery.in_flight(), delivery.next_after(), delivery.has_room()), (0, Some(10), false));
        assert_eq!(delivery.maybe_delivered(), Some(30));
        assert!(!delivery.sent(id(4), 40, 1, NOW), "not while disconnected");
        assert_eq!(delivery.acked(id(2)), None, "an ack of the old connection");
        assert_eq!(delivery.welcome(Some(id(1))), Resume::Find(id(1)), "known and gone");
        assert_eq!((delivery.next_after(), delivery.maybe_delivered()), (Some(10), Some(10)));
    }

    #[test]
    fn a_welcome_can_acknowledge_what_a_lost_ack_did_not() {
        let mut delivery = three_sent();
        delivery.disconnected();
        assert_eq!(delivery.welcome(Some(id(2))), Resume::After(20));
        assert_eq!(
            (delivery.durable(), delivery.next_after(), delivery.delivered()),
            (Some(20), Some(20), 4)
        );
        assert!(delivery.sent(id(3), 30, 2, NOW));
    }

    #[test]
    fn after_a_restart_the_spool_knows() {
        let mut delivery = Delivery::new(Some(5));
        assert_eq!(delivery.welcome(Some(id(7))), Resume::Find(id(7)));
        delivery.found(8);
        delivery.found(6); // older than what is known by now
        assert_eq!((delivery.durable(), delivery.next_after()), (Some(8), Some(8)));
        assert!(delivery.sent(id(8), 9, 1, NOW));
        delivery.found(20);
        assert_eq!(delivery.durable(), Some(8), "too late once something is on its way");
    }

    #[test]
    fn the_window_is_bounded_and_cursors_rise() {
        let mut delivery = Delivery::new(None);
        delivery.welcome(None);
        assert!(delivery.sent(id(1), 10, 1, NOW));
        assert!(!delivery.sent(id(2), 10, 1, NOW), "the same record again");
        for seq in 2..=16 {
            assert!(delivery.has_room() && delivery.sent(id(seq), seq * 10, 1, NOW));
        }
        assert!(!delivery.has_room() && !delivery.sent(id(17), 170, 1, NOW));
        assert_eq!(delivery.next_after(), Some(160), "what was not booked was not sent");
        delivery.acked(id(1));
        assert!(delivery.sent(id(17), 170, 1, NOW));
    }
}
