//! Delivery of records: Go-Back-N with cumulative acknowledgements and a window of 16 messages. Tracks which records
//! were sent, which are durable at the collector, and which must be sent again.
//!
//! The records are in a spool that the owner reads forwards by a cursor (a record number); this type holds positions
//! only.
//!
//! Every alert is stored exactly once because of three rules: the spool keeps a record until it is acknowledged, a
//! new connection sends again everything after the last acknowledged record, and the collector stores each alert
//! id once.
//!
//! ```text
//!       last_acked                     next_after = highest_sent
//!           |                              |
//!  durable  |  in flight (<= 16 messages)  |  not sent
//! ```
//!
//! A disconnect moves `next_after` back to `last_acked`. `highest_sent` stays, because the collector may have stored
//! records whose acknowledgement was lost; the next welcome decides.

use core::time::Duration;

use heapless::Deque;
use sentinel_alert::AlertId;
use sentinel_units::Uptime;

/// Largest number of unacknowledged messages.
pub const WINDOW_LEN: usize = 16;
/// Time without an acknowledgement after which the connection, or the collector, counts as broken.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Position after which a new connection starts to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resume<C> {
    /// After this record; it and everything before it is durable at the collector and may leave the spool.
    After(C),
    /// After [`Delivery::next_after`], unless the owner finds the record of this alert, the last one that the
    /// collector has. Its record is not known here because the sensor was restarted: look it up in the spool and
    /// pass it to [`Delivery::resume_after`]. Without that everything in the spool is sent again, which costs
    /// bytes and nothing else. An alert that was written again behind later records is not the record to look
    /// for: the records between its old and its new position have not arrived.
    Lookup(AlertId),
    /// After [`Delivery::next_after`]: the collector has nothing to add.
    FromLastAcked,
}

/// Reason why [`Delivery::sent`] does not track a message. The message must not be sent then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotTracked {
    /// No session is up.
    Disconnected,
    /// [`WINDOW_LEN`] messages are in flight.
    WindowFull,
    /// The cursor is not above that of the message before.
    NotRising,
}

impl core::fmt::Display for NotTracked {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Self::Disconnected => "not connected",
            Self::WindowFull => "too many messages are unacknowledged",
            Self::NotRising => "records are not in order",
        })
    }
}

impl core::error::Error for NotTracked {}

#[derive(Clone, Copy, Debug)]
struct InFlight<C> {
    last: AlertId,
    cursor: C,
    records: u32,
    sent_at: Uptime,
}

/// Send window over the spool. `C` is the cursor, which orders the records.
#[derive(Debug)]
pub struct Delivery<C> {
    /// Last record that is durable at the collector.
    acked: Option<C>,
    /// Unacknowledged messages, oldest first. Their cursors rise and are above `acked`.
    in_flight: Deque<InFlight<C>, WINDOW_LEN>,
    /// Last record that was sent, also on a connection that is lost.
    highest_sent: Option<C>,
    /// True if `in_flight` was sent on the connection that is up now. After a disconnect the messages stay, so that
    /// the next welcome can acknowledge them by id.
    connected: bool,
    delivered: u64,
}

impl<C: Copy + Ord> Delivery<C> {
    /// Starts disconnected. `acked` is the last record known to be durable at the collector, if the spool has it.
    #[must_use]
    pub const fn new(acked: Option<C>) -> Self {
        Self { acked, in_flight: Deque::new(), highest_sent: acked, connected: false, delivered: 0 }
    }

    /// Marks the connection as lost: messages in flight count as not sent. Nothing may be sent until
    /// [`Delivery::welcome`].
    pub const fn disconnected(&mut self) {
        self.connected = false;
    }

    /// Begins a session. `acked` is the last alert or gap that the collector has, from its welcome.
    pub fn welcome(&mut self, acked: Option<AlertId>) -> Resume<C> {
        // Before the window is cleared: the welcome may acknowledge a message of the lost connection.
        let known = acked.and_then(|id| self.pop_through(id));
        self.in_flight.clear();
        self.highest_sent = self.acked;
        self.connected = true;
        match (known, acked) {
            (Some(cursor), _) => Resume::After(cursor),
            (None, Some(id)) => Resume::Lookup(id),
            (None, None) => Resume::FromLastAcked,
        }
    }

    /// Continues after the record of the alert that [`Resume::Lookup`] named. Ignored if messages are in flight, or
    /// if the record is not newer than the last acknowledged one.
    pub fn resume_after(&mut self, cursor: C) {
        // With messages in flight the position would lie behind them, and their acknowledgements would move it back.
        if self.in_flight.is_empty() {
            self.acked = self.acked.max(Some(cursor));
            self.highest_sent = self.acked;
        }
    }

    /// Record after which the next one to send is; `None` means from the start of the spool.
    #[must_use]
    pub fn next_after(&self) -> Option<C> {
        // After a disconnect the messages in flight count as not sent.
        match self.in_flight.back() {
            Some(latest) if self.connected => Some(latest.cursor),
            _ => self.acked,
        }
    }

    /// Returns true if another message may be sent now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.connected && !self.in_flight.is_full()
    }

    /// Tracks a message of `records` records: `last` is the alert or gap that acknowledges it, `cursor` its last
    /// record.
    ///
    /// # Errors
    /// - [`NotTracked::Disconnected`]: no session is up.
    /// - [`NotTracked::WindowFull`]: the window is full; see [`Delivery::has_room`].
    /// - [`NotTracked::NotRising`]: `cursor` is not above [`Delivery::next_after`].
    ///
    /// Nothing changes, and the message must not be sent.
    pub fn sent(&mut self, last: AlertId, cursor: C, records: u32, now: Uptime) -> Result<(), NotTracked> {
        if !self.connected {
            return Err(NotTracked::Disconnected);
        }
        // `None`, the start of the spool, is less than every cursor.
        if Some(cursor) <= self.next_after() {
            return Err(NotTracked::NotRising);
        }
        let message = InFlight { last, cursor, records, sent_at: now };
        self.in_flight.push_back(message).map_err(|_| NotTracked::WindowFull)?;
        self.highest_sent = Some(cursor);
        Ok(())
    }

    /// Acknowledges everything up to `id`. Returns the last record that may leave the spool, or `None` if no message
    /// in flight ends with that id: the collector is wrong, count it.
    pub fn acknowledge(&mut self, id: AlertId) -> Option<C> {
        if self.connected { self.pop_through(id) } else { None }
    }

    /// Last record that is durable at the collector.
    #[must_use]
    pub const fn last_acked(&self) -> Option<C> {
        self.acked
    }

    /// Last record that the collector has or may have. A full spool evicts records after this one first: one before
    /// it may have arrived, and a gap that names it would count a loss that did not happen.
    #[must_use]
    pub const fn highest_sent(&self) -> Option<C> {
        self.highest_sent
    }

    /// Number of records acknowledged since [`Delivery::new`].
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Number of unacknowledged messages on this connection.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        if self.connected { self.in_flight.len() } else { 0 }
    }

    /// Time at which the oldest message in flight is overdue; `None` if there is none.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        // Messages are sent in order and with one timeout, so the oldest is overdue first.
        let oldest = self.in_flight.front().filter(|_| self.connected)?;
        Some(oldest.sent_at.after(ACK_TIMEOUT))
    }

    /// Returns true if the oldest message was not acknowledged in time: close the connection and make a new one.
    #[must_use]
    pub fn is_overdue(&self, now: Uptime) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Moves back to `cursor`, because the spool has dropped the records after it, which were all durable, and uses their
    /// cursors again. Forgets the messages in flight.
    pub fn rewind(&mut self, cursor: Option<C>) {
        self.in_flight.clear();
        self.acked = self.acked.min(cursor);
        self.highest_sent = self.acked;
    }

    /// Removes all messages up to the one that ends with `id`, as durable. `None` if there is no such message; then
    /// nothing changes.
    fn pop_through(&mut self, id: AlertId) -> Option<C> {
        // Looked for first: an id of an older connection, or of none, must not empty the window.
        self.in_flight.iter().find(|message| message.last == id)?;
        // Bounded by the window; the message with this id is in it.
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

    /// Connected, with messages in flight that end in alerts 1, 2 and 3 and in records 10, 20 and 30.
    fn three_sent() -> Delivery<u64> {
        let mut delivery = Delivery::new(None);
        assert_eq!(delivery.welcome(None), Resume::FromLastAcked);
        for seq in 1..=3 {
            assert_eq!(delivery.sent(id(seq), seq * 10, 2, NOW), Ok(()));
        }
        delivery
    }

    #[test]
    fn an_ack_covers_everything_before_it() {
        let mut delivery = three_sent();
        assert_eq!((delivery.in_flight(), delivery.next_after()), (3, Some(30)));
        assert_eq!(delivery.acknowledge(id(2)), Some(20));
        assert_eq!((delivery.in_flight(), delivery.last_acked(), delivery.delivered()), (1, Some(20), 4));
        assert_eq!(delivery.acknowledge(id(2)), None, "a second time");
        assert_eq!(delivery.acknowledge(id(9)), None, "never sent");
        assert_eq!(delivery.last_acked(), Some(20));
        assert_eq!(delivery.acknowledge(id(3)), Some(30));
        assert_eq!((delivery.in_flight(), delivery.next_after(), delivery.deadline()), (0, Some(30), None));
    }

    #[test]
    fn after_a_disconnect_everything_unacknowledged_is_sent_again() {
        let mut delivery = three_sent();
        delivery.acknowledge(id(1));
        delivery.disconnected();
        assert_eq!((delivery.in_flight(), delivery.next_after(), delivery.has_room()), (0, Some(10), false));
        assert_eq!(delivery.highest_sent(), Some(30));
        assert_eq!(delivery.sent(id(4), 40, 1, NOW), Err(NotTracked::Disconnected));
        assert_eq!(delivery.acknowledge(id(2)), None, "an ack of the old connection");
        assert_eq!(delivery.welcome(Some(id(1))), Resume::Lookup(id(1)), "acknowledged before");
        assert_eq!((delivery.next_after(), delivery.highest_sent()), (Some(10), Some(10)));
    }

    #[test]
    fn a_welcome_acknowledges_like_a_lost_ack() {
        let mut delivery = three_sent();
        delivery.disconnected();
        assert_eq!(delivery.welcome(Some(id(2))), Resume::After(20));
        assert_eq!(
            (delivery.last_acked(), delivery.next_after(), delivery.delivered()),
            (Some(20), Some(20), 4)
        );
        assert_eq!(delivery.sent(id(3), 30, 2, NOW), Ok(()));
    }

    #[test]
    fn after_a_restart_the_record_is_looked_up_in_the_spool() {
        let mut delivery = Delivery::new(Some(5));
        assert_eq!(delivery.welcome(Some(id(7))), Resume::Lookup(id(7)));
        delivery.resume_after(8);
        delivery.resume_after(6); // older than the last acknowledged one
        assert_eq!((delivery.last_acked(), delivery.next_after()), (Some(8), Some(8)));
        assert_eq!(delivery.sent(id(8), 9, 1, NOW), Ok(()));
        delivery.resume_after(20);
        assert_eq!(delivery.last_acked(), Some(8), "ignored while a message is in flight");
    }

    #[test]
    fn after_a_rewind_cursors_are_used_again() {
        let mut delivery = three_sent();
        delivery.acknowledge(id(3));
        delivery.rewind(Some(12));
        assert_eq!((delivery.last_acked(), delivery.next_after()), (Some(12), Some(12)));
        assert_eq!((delivery.highest_sent(), delivery.delivered()), (Some(12), 6));
        assert_eq!(delivery.sent(id(4), 13, 1, NOW), Ok(()));
        delivery.rewind(Some(50));
        assert_eq!((delivery.last_acked(), delivery.in_flight()), (Some(12), 0), "never forwards");
    }

    #[test]
    fn the_window_is_bounded_and_cursors_must_rise() {
        let mut delivery = Delivery::new(None);
        delivery.welcome(None);
        assert_eq!(delivery.sent(id(1), 10, 1, NOW), Ok(()));
        assert_eq!(delivery.sent(id(2), 10, 1, NOW), Err(NotTracked::NotRising), "the same record again");
        for seq in 2..=16 {
            assert!(delivery.has_room() && delivery.sent(id(seq), seq * 10, 1, NOW).is_ok());
        }
        assert!(!delivery.has_room());
        assert_eq!(delivery.sent(id(17), 170, 1, NOW), Err(NotTracked::WindowFull));
        assert_eq!(delivery.next_after(), Some(160), "a message that is not tracked counts as not sent");
        delivery.acknowledge(id(1));
        assert_eq!(delivery.sent(id(17), 170, 1, NOW), Ok(()));
    }
}
