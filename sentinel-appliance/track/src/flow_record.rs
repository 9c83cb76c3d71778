//! Conversations from their first packet to their last: who, how much, and how TCP went.
//!
//! Read first: the Community ID specification, <https://github.com/corelight/community-id-spec> (which ICMP messages belong
//! together).
//!
//! Unlike [`crate::flow`], which remembers just enough to tell who opened a conversation, this counts, and nothing it
//! counted gets lost: every conversation is handed to the caller once, when it ends. It ends by idle time, by its own
//! closing, because its slot is needed ([`FlowRecords::evictions`]), or at [`FlowRecords::finish`].

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
use observation::is_question;
use sort::{partition, sort};
use tcp_state::TcpHistory;

pub use observation::{FlowTuple, Observation};
pub use tcp_state::TcpState;

/// An open TCP connection ends after this long without a packet.
pub const ESTABLISHED_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Everything else, attempts to open a TCP connection included.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// A TCP connection that was reset, or closed by both sides, ends after this long without a packet: late ones still count.
pub const CLOSED_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

const LISTS: [(u8, Duration); 3] =
    [(0, IDLE_TIMEOUT), (1, ESTABLISHED_IDLE_TIMEOUT), (2, CLOSED_IDLE_TIMEOUT)];

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// IP packets.
    pub packets: u64,
    /// Bytes of them, IP headers included, link headers not.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Key {
    low: Endpoint,
    high: Endpoint,
    protocol: u8,
}

const _: () = assert!(
    size_of::<FlowRecord>() + size_of::<LruLink>() + 2 * size_of::<u32>() <= 168,
    "what the setting flow_entries says of its memory"
);

/// One conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowRecord {
    key: Key,
    first: Timestamp,
    last: Timestamp,
    touched: Timestamp,
    low: Traffic,
    high: Traffic,
    tcp: TcpHistory,
    initiated_by_low: bool,
    is_certain: bool,
    /// What the caller thinks it carries; zero at the start.
    pub app: u8,
    /// Free for the caller; zero at the start.
    pub app_attempts: u8,
}

impl FlowRecord {
    /// When its first packet came.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// When its last packet came.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// IP protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.key.protocol
    }

    /// Who opened it.
    #[must_use]
    pub const fn initiator(&self) -> Endpoint {
        if self.initiated_by_low { self.key.low } else { self.key.high }
    }

    /// The other end.
    #[must_use]
    pub const fn responder(&self) -> Endpoint {
        if self.initiated_by_low { self.key.high } else { self.key.low }
    }

    /// Both ends, the lower one first; those of one-way messages (ICMP errors) in the order of the packets.
    #[must_use]
    pub const fn ordered_endpoints(&self) -> (Endpoint, Endpoint) {
        (self.key.low, self.key.high)
    }

    /// What the opener sent.
    #[must_use]
    pub const fn initiator_traffic(&self) -> Traffic {
        if self.initiated_by_low { self.low } else { self.high }
    }

    /// What the opener got.
    #[must_use]
    pub const fn responder_traffic(&self) -> Traffic {
        if self.initiated_by_low { self.high } else { self.low }
    }

    /// How TCP went; `None` for other protocols.
    #[must_use]
    pub fn tcp_state(&self) -> Option<TcpState> {
        (self.key.protocol == protocol::TCP).then(|| self.tcp.state(self.initiated_by_low))
    }

    /// Which idle time holds.
    fn list(&self) -> u8 {
        if self.key.protocol != protocol::TCP {
            0
        } else if self.tcp.is_over() {
            2
        } else {
            u8::from(self.tcp.is_answered())
        }
    }
}

/// All conversations that go on.
#[derive(Debug)]
pub struct FlowRecords<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [FlowRecord],
    now: Timestamp,
    evictions: u64,
}

impl<'m> FlowRecords<'m> {
    /// Over lent storage: as many conversations as the shorter of `links` and `slots`, `heads` best as many.
    #[must_use]
    pub fn new(heads: &'m mut [u32], links: &'m mut [LruLink], slots: &'m mut [FlowRecord]) -> Self {
        let count = links.len().min(slots.len());
        let links = links.get_mut(..count).unwrap_or_default();
        Self { lru: HashedLru::new(heads, links), slots, now: Timestamp::ZERO, evictions: 0 }
    }

    /// Conversations that ended before their time because the table was full: those longest without a packet, of any kind.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Takes in what was seen, and hands conversations that ended meanwhile to `end`, in the order of their last use. Gives
    /// the conversation, and whether its opener sent this; `None` only for a table without slots.
    pub fn note(
        &mut self,
        key: &HashKey,
        seen: &Observation,
        end: &mut dyn FnMut(&FlowRecord),
    ) -> Option<(&mut FlowRecord, bool)> {
        if seen.last != Timestamp::ZERO {
            self.advance(seen.last, end);
        }
        let tuple = &seen.tuple;
        let from_low = tuple.is_one_way || tuple.source <= tuple.destination;
        let (low, high) =
            if from_low { (tuple.source, tuple.destination) } else { (tuple.destination, tuple.source) };
        let wanted = Key { low, high, protocol: tuple.protocol };
        let hash = hash(key, &wanted);
        let slots = &*self.slots;
        let mut found =
            self.lru.find(hash, &mut |slot| slots.get(slot).is_some_and(|other| other.key == wanted));
        if let Some(slot) = found.filter(|slot| self.starts_again(*slot, seen)) {
            self.end(slot, end);
            found = None;
        }
        let slot = match found {
            Some(slot) => slot,
            None => self.open(hash, wanted, seen, end)?,
        };
        let conversation = self.slots.get_mut(slot)?;
        conversation.add(from_low, seen, self.now);
        self.lru.touch(slot, conversation.list());
        let from_initiator = from_low == conversation.initiated_by_low;
        Some((conversation, from_initiator))
    }

    /// Ends all, the one that began first before the others.
    pub fn finish(&mut self, end: &mut dyn FnMut(&FlowRecord)) {
        // Sorting needs room; the storage has it: everything in use moves to the front, and the chains are not used again.
        for (list, _) in LISTS {
            while let Some(slot) = self.lru.oldest(list) {
                self.lru.release(slot);
                if let Some(conversation) = self.slots.get_mut(slot) {
                    conversation.touched = Timestamp::MAX;
                }
            }
        }
        let used = partition(self.slots, |conversation| conversation.touched == Timestamp::MAX);
        let ended = self.slots.get_mut(..used).unwrap_or_default();
        sort(ended);
        for conversation in ended {
            end(conversation);
            conversation.touched = Timestamp::ZERO;
        }
    }

    /// A SYN after the end of a connection opens the next one on the same ports.
    fn starts_again(&self, slot: usize, seen: &Observation) -> bool {
        seen.flags.is_some_and(TcpFlags::syn_only)
            && self.slots.get(slot).is_some_and(|conversation| conversation.tcp.is_over())
    }

    fn open(
        &mut self,
        hash: u32,
        key: Key,
        seen: &Observation,
        end: &mut dyn FnMut(&FlowRecord),
    ) -> Option<usize> {
        let slot = match self.lru.claim(hash, 0) {
            Some(slot) => slot,
            None => {
                let touched = |slot: &usize| self.slots.get(*slot).map(|it| it.touched);
                let oldest =
                    LISTS.iter().filter_map(|(list, _)| self.lru.oldest(*list)).min_by_key(touched)?;
                self.evictions += 1;
                self.end(oldest, end);
                self.lru.claim(hash, 0)?
            }
        };
        *self.slots.get_mut(slot)? =
            FlowRecord { key, first: seen.first, last: seen.last, ..FlowRecord::default() };
        Some(slot)
    }

    fn end(&mut self, slot: usize, end: &mut dyn FnMut(&FlowRecord)) {
        self.lru.release(slot);
        if let Some(conversation) = self.slots.get(slot) {
            end(conversation);
        }
    }

    /// Lets time pass: ends those that were idle for long enough, in the order of their last use. Each is ended once, so the
    /// work is that of taking them in.
    pub fn advance(&mut self, now: Timestamp, end: &mut dyn FnMut(&FlowRecord)) {
        if now > self.now || self.now.since(now) > CLOCK_SET_BACK {
            self.now = now;
        }
        for (list, idle) in LISTS {
            while let Some(slot) = self.lru.oldest(list) {
                // Both ways: after the clock was set back, those from before it end as well.
                let touched = self.slots.get(slot).map_or(Timestamp::ZERO, |it| it.touched);
                if self.now.since(touched).max(touched.since(self.now)) <= idle {
                    break;
                }
                self.end(slot, end);
            }
        }
    }
}

impl FlowRecord {
    fn add(&mut self, from_low: bool, seen: &Observation, now: Timestamp) {
        self.infer_initiator(from_low, seen);
        self.first = self.first.min(seen.first);
        self.last = self.last.max(seen.last);
        self.touched = now;
        let side = if from_low { &mut self.low } else { &mut self.high };
        side.packets += u64::from(seen.packets);
        side.bytes += u64::from(seen.bytes);
        if let Some(flags) = seen.flags {
            self.tcp.note(from_low, flags);
        }
    }

    /// The rules of [`crate::flow`]; of ICMP, the question opens.
    fn infer_initiator(&mut self, from_low: bool, seen: &Observation) {
        let is_new = self.low.packets + self.high.packets == 0;
        let proof = match seen.flags {
            Some(flags) if flags.syn_only() => Some(true),
            Some(flags) if flags.syn_ack() => Some(false),
            _ => None,
        };
        if !is_new && (proof.is_none() || self.is_certain) {
            return;
        }
        let tuple = &seen.tuple;
        let from_initiator = match proof {
            Some(from_initiator) => from_initiator,
            None if tuple.is_one_way => true,
            None if matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6) => is_question(tuple),
            None => looks_like_initiator(tuple.source.port, tuple.destination.port),
        };
        (self.initiated_by_low, self.is_certain) = (from_initiator == from_low, proof.is_some());
    }
}

fn hash(key: &HashKey, wanted: &Key) -> u32 {
    let ports = u32::from(wanted.low.port.0) << 16 | u32::from(wanted.high.port.0);
    let ([a, b, c, d], [e, f, g, h]) = (wanted.low.address.words(), wanted.high.address.words());
    key.hash32([a, b, c, d, e, f, g, h, ports, u32::from(wanted.protocol)])
}

#[cfg(test)]
mod tests;
