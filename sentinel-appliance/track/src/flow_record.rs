//! Conversations from their first packet to their last: who, how much, and how TCP went.
//!
//! Read first: the Community ID specification, <https://github.com/corelight/community-id-spec> (which ICMP messages belong
//! together).
//!
//! Unlike [`crate::flow`], which remembers just enough to tell who opened a conversation, this counts, and nothing it
//! counted gets lost: every conversation is handed to the caller once, when it ends. It ends by idle time, by its own
//! closing, because its slot is needed ([`FlowRecords::evictions`]), or at [`FlowRecords::finish`].

use core::time::Duration;

use sentinel_dissect::{Icmp, Icmpv6, Packet, TcpFlags, Transport, protocol};
use sentinel_units::{Port, Timestamp};

use crate::flow::{Endpoint, looks_like_initiator};
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, Link};
use crate::tcp_state::TcpHistory;
pub use crate::tcp_state::TcpState;

/// An open TCP connection ends after this long without a packet.
pub const IDLE_OPEN: Duration = Duration::from_secs(600);
/// Everything else, attempts to open a TCP connection included.
pub const IDLE: Duration = Duration::from_secs(120);
/// A TCP connection that was reset, or closed by both sides, ends after this long without a packet: late ones still count.
pub const IDLE_CLOSED: Duration = Duration::from_secs(10);
/// A stamp older than the newest by more than this means that the clock was set back.
const SET_BACK: Duration = Duration::from_secs(5);

const LISTS: [(u8, Duration); 3] = [(0, IDLE), (1, IDLE_OPEN), (2, IDLE_CLOSED)];

/// Both ends of a conversation as its packets have them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Endpoints {
    /// Who sent this packet. The port of an ICMP message is its type.
    pub source: Endpoint,
    /// Who it is for. The port of an ICMP message is the type of its answer or question; if there is none, its code.
    pub destination: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// Whether there are no answers: what goes the other way is another conversation.
    pub is_one_way: bool,
}

impl Endpoints {
    /// Those of an IP packet. Protocols without ports, and parts of datagrams, have zero for both.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let ip = packet.ip()?;
        let (source, destination, is_one_way) = match &packet.transport {
            Transport::Tcp(tcp) => (tcp.source_port, tcp.destination_port, false),
            Transport::Udp(udp) => (udp.source_port, udp.destination_port, false),
            Transport::Icmp(Icmp { kind, code, .. }) => icmp(*kind, *code, ICMP_PAIRS),
            Transport::Icmpv6(Icmpv6 { kind, code, .. }) => icmp(*kind, *code, ICMPV6_PAIRS),
            Transport::Other(protocol::SCTP) => match *ip.payload {
                [s0, s1, d0, d1, ..] => {
                    (Port(u16::from_be_bytes([s0, s1])), Port(u16::from_be_bytes([d0, d1])), false)
                }
                _ => (Port(0), Port(0), false),
            },
            Transport::Other(_) | Transport::None => (Port(0), Port(0), false),
        };
        Some(Self {
            source: Endpoint { address: ip.source, port: source },
            destination: Endpoint { address: ip.destination, port: destination },
            protocol: ip.protocol,
            is_one_way,
        })
    }
}

/// Questions and their answers, question first.
const ICMP_PAIRS: &[(u8, u8)] = &[(8, 0), (10, 9), (13, 14), (15, 16), (17, 18)];
const ICMPV6_PAIRS: &[(u8, u8)] = &[(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];

fn icmp(kind: u8, code: u8, pairs: &[(u8, u8)]) -> (Port, Port, bool) {
    let other = pairs.iter().find_map(|(question, answer)| match kind {
        _ if kind == *question => Some(*answer),
        _ if kind == *answer => Some(*question),
        _ => None,
    });
    (Port(u16::from(kind)), Port(u16::from(other.unwrap_or(code))), other.is_none())
}

/// Whether an ICMP message of a pair is the question.
fn is_question(endpoints: &Endpoints) -> bool {
    let pairs = if endpoints.protocol == protocol::ICMP { ICMP_PAIRS } else { ICMPV6_PAIRS };
    pairs.iter().any(|(question, _)| u16::from(*question) == endpoints.source.port.0)
}

/// What one packet, or all parts of one datagram, add to a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Who to whom.
    pub endpoints: Endpoints,
    /// When; of several parts, when the first came.
    pub first: Timestamp,
    /// When the last came.
    pub last: Timestamp,
    /// IP packets.
    pub packets: u32,
    /// Bytes of them, IP headers included.
    pub bytes: u32,
    /// Control bits, if it is TCP.
    pub flags: Option<TcpFlags>,
}

impl Observation {
    /// Of one packet. `None` if it is not IP.
    #[must_use]
    pub fn of(packet: &Packet<'_>, at: Timestamp) -> Option<Self> {
        let (endpoints, ip) = (Endpoints::of(packet)?, packet.ip()?);
        let flags = packet.tcp().map(|tcp| tcp.flags);
        Some(Self { endpoints, first: at, last: at, packets: 1, bytes: ip.wire_len, flags })
    }
}

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
    size_of::<FlowRecord>() + size_of::<Link>() + 2 * size_of::<u32>() <= 168,
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
    pub tries: u8,
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
    pub const fn out(&self) -> Traffic {
        if self.initiated_by_low { self.low } else { self.high }
    }

    /// What the opener got.
    #[must_use]
    pub const fn back(&self) -> Traffic {
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
    pub fn new(heads: &'m mut [u32], links: &'m mut [Link], slots: &'m mut [FlowRecord]) -> Self {
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
        let endpoints = &seen.endpoints;
        let from_low = endpoints.is_one_way || endpoints.source <= endpoints.destination;
        let (low, high) = if from_low {
            (endpoints.source, endpoints.destination)
        } else {
            (endpoints.destination, endpoints.source)
        };
        let wanted = Key { low, high, protocol: endpoints.protocol };
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
        if now > self.now || self.now.since(now) > SET_BACK {
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
        let endpoints = &seen.endpoints;
        let from_initiator = match proof {
            Some(from_initiator) => from_initiator,
            None if endpoints.is_one_way => true,
            None if matches!(endpoints.protocol, protocol::ICMP | protocol::ICMPV6) => is_question(endpoints),
            None => looks_like_initiator(endpoints.source.port, endpoints.destination.port),
        };
        (self.initiated_by_low, self.is_certain) = (from_initiator == from_low, proof.is_some());
    }
}

fn hash(key: &HashKey, wanted: &Key) -> u32 {
    let ports = u32::from(wanted.low.port.0) << 16 | u32::from(wanted.high.port.0);
    let ([a, b, c, d], [e, f, g, h]) = (wanted.low.address.words(), wanted.high.address.words());
    key.words([a, b, c, d, e, f, g, h, ports, u32::from(wanted.protocol)])
}

/// Sorts by first packet, then by last, then by ends: heapsort (Williams, 1964). That of the standard library would be
/// faster, and adds several KiB to the program.
fn sort(list: &mut [FlowRecord]) {
    for root in (0..list.len() / 2).rev() {
        sift(list, root);
    }
    for end in (1..list.len()).rev() {
        list.swap(0, end);
        sift(list.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Lets the entry at `root` sink to its place in a heap with the last on top.
fn sift(heap: &mut [FlowRecord], root: usize) {
    let order = |it: &FlowRecord| (it.first, it.last, it.key.protocol, it.key.low, it.key.high);
    let is_before = |heap: &[FlowRecord], one: usize, other: usize| match (heap.get(one), heap.get(other)) {
        (Some(one), Some(other)) => order(one) < order(other),
        _ => false,
    };
    let mut parent = root;
    loop {
        let left = 2 * parent + 1;
        let right = left + 1;
        let child = if is_before(heap, left, right) { right } else { left };
        if !is_before(heap, parent, child) {
            return;
        }
        heap.swap(parent, child);
        parent = child;
    }
}

/// Moves those that are `wanted` to the front; gives how many they are.
fn partition(slots: &mut [FlowRecord], wanted: impl Fn(&FlowRecord) -> bool) -> usize {
    let mut front = 0;
    for index in 0..slots.len() {
        if slots.get(index).is_some_and(&wanted) {
            slots.swap(front, index);
            front += 1;
        }
    }
    front
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Address;
    use std::vec;
    use std::vec::Vec;

    const KEY: HashKey = HashKey::new(1);
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const RST: u8 = 0x04;

    fn end(last: u32, port: u16) -> Endpoint {
        Endpoint { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_000 + seconds, 0)
    }

    fn seen(
        protocol: u8,
        source: Endpoint,
        destination: Endpoint,
        seconds: u64,
        flags: Option<u8>,
    ) -> Observation {
        let endpoints = Endpoints { source, destination, protocol, is_one_way: false };
        let time = at(seconds);
        Observation { endpoints, first: time, last: time, packets: 1, bytes: 100, flags: flags.map(TcpFlags) }
    }

    fn tcp(source: Endpoint, destination: Endpoint, seconds: u64, flags: u8) -> Observation {
        seen(protocol::TCP, source, destination, seconds, Some(flags))
    }

    /// Opener, packets out, packets back, state.
    type Ended = (Endpoint, u64, u64, Option<&'static str>);

    /// What ended after each observation, and at the end.
    fn run(slots: usize, all: &[Observation]) -> (Vec<Vec<Ended>>, u64) {
        let (mut heads, mut links, mut slots) =
            (vec![0; slots], vec![Link::default(); slots], vec![FlowRecord::default(); slots]);
        let mut flow_records = FlowRecords::new(&mut heads, &mut links, &mut slots);
        let mut steps = Vec::new();
        for step in all.iter().map(Some).chain([None]) {
            let mut ended = Vec::new();
            let mut end = |it: &FlowRecord| {
                let state = it.tcp_state().map(TcpState::name);
                ended.push((it.initiator(), it.out().packets, it.back().packets, state));
            };
            match step {
                Some(seen) => assert!(flow_records.note(&KEY, seen, &mut end).is_some()),
                None => flow_records.finish(&mut end),
            }
            steps.push(ended);
        }
        (steps, flow_records.evictions())
    }

    #[test]
    fn both_directions_are_one_conversation_of_the_opener() {
        let (client, server) = (end(9, 40_000), end(2, 80));
        let all = [
            tcp(server, client, 0, 0x12), // its SYN was not seen
            tcp(client, server, 1, ACK),
            tcp(client, server, 2, ACK),
        ];
        let (steps, evictions) = run(4, &all);
        assert_eq!(steps, [vec![], vec![], vec![], vec![(client, 2, 1, Some("S1"))]]);
        assert_eq!(evictions, 0);
    }

    #[test]
    fn a_syn_seen_later_turns_a_conversation_round_with_its_counts() {
        let (one, other) = (end(1, 443), end(2, 50_000));
        let all = [tcp(one, other, 0, ACK), tcp(one, other, 0, ACK), tcp(one, other, 1, SYN)];
        assert_eq!(run(4, &all).0.last().unwrap(), &[(one, 3, 0, Some("S0"))]);
    }

    #[test]
    fn idle_times_are_by_protocol_and_state() {
        let (a, b) = (end(1, 40_000), end(2, 53));
        // the last observation of each list only lets time pass
        let tick = |seconds| seen(17, end(7, 1), end(8, 1), seconds, None);
        let open = [tcp(a, b, 0, SYN), tcp(b, a, 0, 0x12)];
        let over = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST)];
        for (observations, idle) in
            [(&[seen(17, a, b, 0, None)][..], 120), (&[tcp(a, b, 0, SYN)], 120), (&open, 600), (&over, 10)]
        {
            for (wait, endpoints) in [(idle, false), (idle + 1, true)] {
                let (steps, _) = run(4, &[observations, &[tick(wait)]].concat());
                assert_eq!(steps[observations.len()].len(), usize::from(endpoints), "{idle} {wait}");
            }
        }
    }

    #[test]
    fn a_syn_after_a_reset_is_the_next_connection() {
        let (a, b) = (end(1, 40_000), end(2, 22));
        let round = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST | ACK)];
        let (steps, evictions) = run(4, &[round, round].concat());
        let rejected = (a, 1, 1, Some("REJ"));
        assert_eq!(steps, [vec![], vec![], vec![rejected], vec![], vec![rejected]]);
        assert_eq!(evictions, 0, "it ended by itself");
    }

    #[test]
    fn a_full_table_ends_the_one_longest_silent_and_loses_nothing() {
        let all: Vec<_> = (0..40)
            .map(|number| seen(17, end(number, 5_000), end(200, 53), u64::from(number / 10), None))
            .collect();
        let (steps, evictions) = run(8, &all);
        assert_eq!(evictions, 32);
        let openers: Vec<_> = steps.iter().flatten().map(|(initiator, ..)| initiator.address).collect();
        let expected: Vec<_> = (0..40).map(|number| end(number, 0).address).collect();
        assert_eq!(openers, expected);
    }

    #[test]
    fn after_the_clock_was_set_back_old_ones_end() {
        let (a, b) = (end(1, 40_000), end(2, 53));
        let all =
            [seen(17, a, b, 5_000, None), seen(17, b, a, 4_996, None), seen(17, end(3, 9), b, 10, None)];
        let (steps, _) = run(4, &all);
        assert_eq!(steps[..3], [vec![], vec![], vec![(a, 1, 1, None)]]);
    }

    #[test]
    fn ping_and_answer_are_one_and_errors_are_one_each_way() {
        let (a, b) = (end(9, 0), end(2, 0));
        let message = |from: Endpoint, to: Endpoint, kind, code| {
            let (source, destination, is_one_way) = icmp(kind, code, ICMP_PAIRS);
            let endpoints = Endpoints {
                source: Endpoint { port: source, ..from },
                destination: Endpoint { port: destination, ..to },
                protocol: protocol::ICMP,
                is_one_way,
            };
            Observation { endpoints, ..seen(protocol::ICMP, from, to, 0, None) }
        };
        let all = [
            message(b, a, 0, 0), // the answer was captured first
            message(a, b, 8, 0),
            message(a, b, 3, 1),
            message(b, a, 3, 1),
        ];
        let (steps, _) = run(8, &all);
        let mut ended = steps.concat();
        ended.sort();
        let from = |address: Endpoint, port| Endpoint { port: Port(port), ..address };
        assert_eq!(ended, [(from(b, 3), 1, 0, None), (from(a, 3), 1, 0, None), (from(a, 8), 1, 1, None)]);
    }

    #[test]
    fn those_that_go_on_end_in_the_order_of_their_first_packet() {
        for count in [0, 1, 2, 3, 7, 64, 100] {
            // a permutation: 37 has no factor in common with 101
            let all: Vec<_> = (0..count)
                .map(|number| {
                    seen(17, end(number * 37 % 101, 5_000), end(200, 53), u64::from(number) % 3, None)
                })
                .collect();
            let mut expected: Vec<_> = all.iter().map(|it| (it.first, it.endpoints.source.address)).collect();
            expected.sort();
            let (steps, _) = run(128, &all);
            let openers: Vec<_> =
                steps.last().unwrap().iter().map(|(initiator, ..)| initiator.address).collect();
            let expected: Vec<_> = expected.into_iter().map(|(_, address)| address).collect();
            assert_eq!(openers, expected, "{count}");
        }
    }

    #[test]
    fn without_storage_there_is_nothing() {
        let mut flow_records = FlowRecords::new(&mut [], &mut [], &mut []);
        let observation = tcp(end(1, 1), end(2, 2), 0, SYN);
        assert!(flow_records.note(&KEY, &observation, &mut |_| panic!("none")).is_none());
        flow_records.finish(&mut |_| panic!("none"));
    }
}
