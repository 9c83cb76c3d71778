//! Flow records: packets, bytes and TCP state of each flow from its first packet to its last (what IPFIX exports, RFC 7011).
//!
//! Read first: the Community ID specification, <https://github.com/corelight/community-id-spec> (which ICMP messages form a
//! flow).
//!
//! Unlike [`crate::flow`], which keeps just enough to know the initiator, this counts, and no count is lost: every record is
//! passed to the caller exactly once, when it ends. A record ends by idle timeout, by a SYN that opens the next connection on
//! the same 5-tuple, because its slot is needed ([`FlowRecords::evictions`]), or at [`FlowRecords::finish`].

mod observation;
mod sort;
mod tcp_state;

use core::time::Duration;

use sentinel_dissect::{TcpFlags, protocol};
use sentinel_units::Timestamp;

use crate::clock::CLOCK_SET_BACK;
use crate::flow::{Endpoint, looks_like_initiator};
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, LruLink};
use observation::is_request;
use sort::{heap_sort, partition};
use tcp_state::TcpHistory;

pub use observation::{FlowTuple, Observation};
pub use tcp_state::TcpState;

/// Idle timeout of everything but TCP connections: other protocols, and SYNs without response.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Idle timeout of an open TCP connection.
pub const ESTABLISHED_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Idle timeout of a TCP connection that was reset or closed by both sides; late segments still count for it.
pub const CLOSED_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// LRU lists, one for each idle timeout, of whole seconds: within a list the least recently used record times out first.
const LISTS: [(u8, Duration); 3] = [
    (IDLE_LIST, IDLE_TIMEOUT),
    (ESTABLISHED_LIST, ESTABLISHED_IDLE_TIMEOUT),
    (CLOSED_LIST, CLOSED_IDLE_TIMEOUT),
];
const IDLE_LIST: u8 = 0;
const ESTABLISHED_LIST: u8 = 1;
const CLOSED_LIST: u8 = 2;

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// IP packets.
    pub packets: u64,
    /// Bytes of these packets, with IP headers, without link headers.
    pub bytes: u64,
}

/// Key of a record: endpoints in ascending order, so that both directions have one. One-way messages (ICMP errors) keep the
/// order of the packet, so that each direction has its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Key {
    low: Endpoint,
    high: Endpoint,
    protocol: u8,
}

impl Key {
    fn hash(&self, key: &HashKey) -> u32 {
        let ports = u32::from(self.low.port.0) << 16 | u32::from(self.high.port.0);
        let ([a, b, c, d], [e, f, g, h]) = (self.low.address.words(), self.high.address.words());
        key.hash32([a, b, c, d, e, f, g, h, ports, u32::from(self.protocol)])
    }
}

const _: () = assert!(
    size_of::<FlowRecord>() + size_of::<LruLink>() + 2 * size_of::<u32>() <= 168,
    "the documented memory of the setting flow_entries; up to two chain heads, as their number is a power of two"
);

/// Record of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowRecord {
    key: Key,
    first: Timestamp,
    last: Timestamp,
    /// Time of the table when the last packet was counted; unlike `last` it never goes back with packets out of order.
    last_used: Timestamp,
    low: Traffic,
    high: Traffic,
    tcp: TcpHistory,
    initiated_by_low: bool,
    is_certain: bool,
    /// Application protocol, in numbers of the caller; zero at the start.
    pub app: u8,
    /// Number of attempts of the caller to identify the application; zero at the start.
    pub app_attempts: u8,
}

impl FlowRecord {
    /// Time of the first packet.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// Time of the last packet.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// IP protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.key.protocol
    }

    /// Endpoint that initiated the flow.
    #[must_use]
    pub const fn initiator(&self) -> Endpoint {
        if self.initiated_by_low { self.key.low } else { self.key.high }
    }

    /// Endpoint that the initiator contacted.
    #[must_use]
    pub const fn responder(&self) -> Endpoint {
        if self.initiated_by_low { self.key.high } else { self.key.low }
    }

    /// Both endpoints, the lower one first; those of one-way messages (ICMP errors) in the order of the packets.
    #[must_use]
    pub const fn ordered_endpoints(&self) -> (Endpoint, Endpoint) {
        (self.key.low, self.key.high)
    }

    /// Packets and bytes that the initiator sent.
    #[must_use]
    pub const fn initiator_traffic(&self) -> Traffic {
        if self.initiated_by_low { self.low } else { self.high }
    }

    /// Packets and bytes that the responder sent.
    #[must_use]
    pub const fn responder_traffic(&self) -> Traffic {
        if self.initiated_by_low { self.high } else { self.low }
    }

    /// State of the TCP connection; `None` for other protocols.
    #[must_use]
    pub fn tcp_state(&self) -> Option<TcpState> {
        (self.key.protocol == protocol::TCP).then(|| self.tcp.state(self.initiated_by_low))
    }

    /// LRU list, and thereby idle timeout, for the state that the flow is in.
    fn list(&self) -> u8 {
        if self.key.protocol != protocol::TCP {
            IDLE_LIST
        } else if self.tcp.is_closed() {
            CLOSED_LIST
        } else if self.tcp.is_answered() {
            ESTABLISHED_LIST
        } else {
            IDLE_LIST
        }
    }
}

/// Records of the flows in progress, in a chained hash table ([`HashedLru`]).
///
/// Capacity: the number of slots lent. Key: endpoints and protocol ([`FlowTuple`]). Lifetime: [`IDLE_TIMEOUT`],
/// [`ESTABLISHED_IDLE_TIMEOUT`] or [`CLOSED_IDLE_TIMEOUT`] by TCP state. When all slots are in use, the least recently used
/// record of any state is evicted: it is passed to the caller like one that ended, and [`FlowRecords::evictions`] counts it.
//
// Invariants:
// - Slot numbers of `lru` index `slots`.
// - Every slot in use is on the list that `FlowRecord::list` names, in order of `last_used`. `last_used` is the time of the
//   table, which only goes back if the clock was set back, so `advance` may stop at the first record that has not timed out.
#[derive(Debug)]
pub struct FlowRecords<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [FlowRecord],
    now: Timestamp,
    evictions: u64,
}

impl<'m> FlowRecords<'m> {
    /// Makes an empty table over lent storage: as many records as the shorter of `links` and `slots`; as many `heads` are best.
    #[must_use]
    pub fn new(heads: &'m mut [u32], links: &'m mut [LruLink], slots: &'m mut [FlowRecord]) -> Self {
        let count = links.len().min(slots.len());
        let links = links.get_mut(..count).unwrap_or_default();
        Self { lru: HashedLru::new(heads, links), slots, now: Timestamp::ZERO, evictions: 0 }
    }

    /// Number of records that ended early because the table was full.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Counts an observation. Passes records that end meanwhile to `on_end`, in the order of their last use.
    ///
    /// Returns the record, and whether its initiator sent the observation; `None` only for a table without slots.
    pub fn note(
        &mut self,
        key: &HashKey,
        observation: &Observation,
        on_end: &mut dyn FnMut(&FlowRecord),
    ) -> Option<(&mut FlowRecord, bool)> {
        if observation.last != Timestamp::ZERO {
            self.advance(observation.last, on_end);
        }
        let tuple = &observation.tuple;
        let from_low = tuple.is_one_way || tuple.source <= tuple.destination;
        let (low, high) =
            if from_low { (tuple.source, tuple.destination) } else { (tuple.destination, tuple.source) };
        let wanted = Key { low, high, protocol: tuple.protocol };
        let hash = wanted.hash(key);
        let slots = &*self.slots;
        let mut found =
            self.lru.find(hash, &mut |slot| slots.get(slot).is_some_and(|other| other.key == wanted));
        if let Some(slot) = found.filter(|slot| self.is_next_connection(*slot, observation)) {
            self.end(slot, on_end);
            found = None;
        }
        let slot = match found {
            Some(slot) => slot,
            None => self.open(hash, wanted, observation, on_end)?,
        };
        let record = self.slots.get_mut(slot)?;
        record.add(from_low, observation, self.now);
        self.lru.touch(slot, record.list());
        let from_initiator = from_low == record.initiated_by_low;
        Some((record, from_initiator))
    }

    /// Ends all records, in the order of their first packet.
    pub fn finish(&mut self, on_end: &mut dyn FnMut(&FlowRecord)) {
        // Sorting in place needs no memory: all slots are released, then the records that were in use, marked by a time that
        // no packet has, move to the front of the storage and are sorted there.
        for (list, _) in LISTS {
            while let Some(slot) = self.lru.oldest(list) {
                self.lru.release(slot);
                if let Some(record) = self.slots.get_mut(slot) {
                    record.last_used = Timestamp::MAX;
                }
            }
        }
        let used = partition(self.slots, |record| record.last_used == Timestamp::MAX);
        let ended = self.slots.get_mut(..used).unwrap_or_default();
        heap_sort(ended);
        for record in ended {
            on_end(record);
            record.last_used = Timestamp::ZERO;
        }
    }

    /// Returns true for a SYN after the end of a connection: it opens the next connection on the same 5-tuple.
    fn is_next_connection(&self, slot: usize, observation: &Observation) -> bool {
        observation.flags.is_some_and(TcpFlags::syn_only)
            && self.slots.get(slot).is_some_and(|record| record.tcp.is_closed())
    }

    /// Claims a slot for a new record, evicting the least recently used one if none is free.
    fn open(
        &mut self,
        hash: u32,
        key: Key,
        observation: &Observation,
        on_end: &mut dyn FnMut(&FlowRecord),
    ) -> Option<usize> {
        let slot = match self.lru.claim(hash, IDLE_LIST) {
            Some(slot) => slot,
            None => {
                let last_used = |slot: &usize| self.slots.get(*slot).map(|record| record.last_used);
                let oldest =
                    LISTS.iter().filter_map(|(list, _)| self.lru.oldest(*list)).min_by_key(last_used)?;
                self.evictions += 1;
                self.end(oldest, on_end);
                self.lru.claim(hash, IDLE_LIST)?
            }
        };
        *self.slots.get_mut(slot)? =
            FlowRecord { key, first: observation.first, last: observation.last, ..FlowRecord::default() };
        Some(slot)
    }

    fn end(&mut self, slot: usize, on_end: &mut dyn FnMut(&FlowRecord)) {
        self.lru.release(slot);
        if let Some(record) = self.slots.get(slot) {
            on_end(record);
        }
    }

    /// Sets the time and ends records that have timed out, in the order of their last use.
    ///
    /// The work is amortised: each record is ended once.
    pub fn advance(&mut self, now: Timestamp, on_end: &mut dyn FnMut(&FlowRecord)) {
        // Packets out of order do not turn the time back; a clock set back does.
        if now > self.now || self.now.since(now) > CLOCK_SET_BACK {
            self.now = now;
        }
        for (list, timeout) in LISTS {
            // In nanoseconds: a `Duration` costs divisions for each list and packet.
            let timeout = timeout.as_secs() * 1_000_000_000;
            while let Some(slot) = self.lru.oldest(list) {
                // Absolute difference: after the clock was set back, records from before it time out too.
                let last_used = self.slots.get(slot).map_or(Timestamp::ZERO, |record| record.last_used);
                if self.now.as_nanos().abs_diff(last_used.as_nanos()) <= timeout {
                    break;
                }
                self.end(slot, on_end);
            }
        }
    }
}

impl FlowRecord {
    fn add(&mut self, from_low: bool, observation: &Observation, now: Timestamp) {
        self.infer_initiator(from_low, observation);
        self.first = self.first.min(observation.first);
        self.last = self.last.max(observation.last);
        self.last_used = now;
        let side = if from_low { &mut self.low } else { &mut self.high };
        side.packets += u64::from(observation.packets);
        side.bytes += u64::from(observation.bytes);
        if let Some(flags) = observation.flags {
            self.tcp.note(from_low, flags);
        }
    }

    /// Sets the initiator by the rules of [`crate::flow::Flows::note`]; of ICMP, the sender of the request.
    // Decided by the first packet. A later one changes it only by a proof (SYN or SYN-ACK), and only if there was none
    // before. Counts are kept for `low` and `high`, so they stay right when the initiator changes.
    fn infer_initiator(&mut self, from_low: bool, observation: &Observation) {
        let is_new = self.low.packets + self.high.packets == 0;
        let proof = match observation.flags {
            Some(flags) if flags.syn_only() => Some(true),
            Some(flags) if flags.syn_ack() => Some(false),
            _ => None,
        };
        if !is_new && (proof.is_none() || self.is_certain) {
            return;
        }
        let tuple = &observation.tuple;
        let from_initiator = match proof {
            Some(from_initiator) => from_initiator,
            None if tuple.is_one_way => true,
            None if matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6) => is_request(tuple),
            None => looks_like_initiator(tuple.source.port, tuple.destination.port),
        };
        (self.initiated_by_low, self.is_certain) = (from_initiator == from_low, proof.is_some());
    }
}

#[cfg(test)]
mod tests;
