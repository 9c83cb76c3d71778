//! Datagrams put together from their parts.
//!
//! Read first: RFC 791 section 3.2; RFC 8200 section 4.5; RFC 5722 (overlapping parts); RFC 815 (the idea of holes).
//!
//! What overlaps is dropped with all its datagram, in IPv4 as well as in IPv6, as Linux does since 2018; only a part that
//! repeats bytes which are there already is let pass. So there is no question which bytes a host would keep, and
//! nothing to hide behind it.

use core::time::Duration;

use sentinel_dissect::{Fragment, Ip, protocol};
use sentinel_units::{Address, Port, Timestamp};

use crate::flow::Endpoint;
use crate::flow_record::{Endpoints, Observation};
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, Link};
use crate::range_set::RangeSet;
use crate::table::Recycle;

/// Parts are waited for this long after the first that came. RFC 8200 allows 60 s; Linux gives both versions 30.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(30);
/// What an IPv4 header says of a datagram with an authentication header, which was skipped in the first part.
const AUTHENTICATION: u8 = 51;
/// The largest datagram without jumbo payload.
pub const MAX_DATAGRAM_LEN: usize = 65_535;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// Zero in IPv6: there the identification alone decides (RFC 8200 section 4.5).
    protocol: u8,
}

/// What is known of a datagram that is not whole; the caller lends some.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatagramSlot {
    key: Key,
    first: Timestamp,
    last: Timestamp,
    packets: u32,
    bytes: u32,
    ranges: RangeSet,
    /// Where the last part ends, once that is there.
    end: Option<u16>,
    /// Of the first part: what its payload is, where it starts, and its ports.
    start: Option<Start>,
    /// Set once a part did not fit; the rest is only counted.
    is_spoilt: bool,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    protocol: u8,
    payload_at: u16,
    ports: (Port, Port),
}

/// What became of a part.
#[derive(Debug)]
pub enum Outcome<'f> {
    /// It waits for others, or its datagram cannot be put together.
    Held,
    /// It was the last that was missing.
    Reassembled(Reassembled<'f>),
}

/// A datagram that is whole.
#[derive(Debug)]
pub struct Reassembled<'f> {
    /// What the payload is.
    pub protocol: u8,
    /// All of it.
    pub payload: &'f [u8],
    /// Its parts, as one observation; of other protocols than TCP, UDP and SCTP without ports.
    pub seen: Observation,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FragmentCounts {
    /// Parts taken in.
    pub parts: u64,
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams given up because parts overlap, or disagree about the end: teardrop and its kin.
    pub overlaps: u64,
    /// Datagrams given up because a part is empty, has a length that only the last may have, or ends past the largest datagram.
    pub malformed: u64,
    /// Datagrams given up because they are longer than the room for one, in too many pieces at a time, or cut by the capture.
    pub unfit: u64,
    /// Datagrams given up because parts did not come.
    pub timeouts: u64,
    /// Datagrams given up early because all slots were taken: the one begun longest ago.
    pub evictions: u64,
}

/// Why a part did not fit.
enum Fault {
    Overlap,
    Malformed,
    Unfit,
}

/// The datagrams that are not whole.
#[derive(Debug)]
pub struct Fragments<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [DatagramSlot],
    bytes: &'m mut [u8],
    /// Bytes for each datagram.
    room: usize,
    /// How it went.
    pub counts: FragmentCounts,
}

impl<'m> Fragments<'m> {
    /// Over lent storage: as many datagrams as the shorter of `links` and `slots`, which share `bytes` in equal parts.
    #[must_use]
    pub fn new(
        heads: &'m mut [u32],
        links: &'m mut [Link],
        slots: &'m mut [DatagramSlot],
        bytes: &'m mut [u8],
    ) -> Self {
        let count = links.len().min(slots.len());
        let room = bytes.len().checked_div(count).unwrap_or(0).min(MAX_DATAGRAM_LEN);
        let links = links.get_mut(..count).unwrap_or_default();
        Self { lru: HashedLru::new(heads, links), slots, bytes, room, counts: FragmentCounts::default() }
    }

    /// Takes in a part. Datagrams that are given up meanwhile are handed to `abandon`.
    pub fn part(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        at: Timestamp,
        abandon: &mut dyn FnMut(&DatagramSlot),
    ) -> Outcome<'_> {
        let Some(fragment) = ip.fragment else { return Outcome::Held };
        self.expire(at, abandon);
        let Some(slot) = self.slot(key, ip, fragment, at, abandon) else { return Outcome::Held };
        self.counts.parts += 1;
        let from = slot.saturating_mul(self.room);
        let room = self.bytes.get_mut(from..from.saturating_add(self.room)).unwrap_or_default();
        let Some(datagram) = self.slots.get_mut(slot) else { return Outcome::Held };
        datagram.packets += 1;
        datagram.bytes = datagram.bytes.saturating_add(ip.wire_len);
        (datagram.first, datagram.last) = (datagram.first.min(at), datagram.last.max(at));
        if datagram.is_spoilt {
            return Outcome::Held;
        }
        if let Err(fault) = datagram.place(ip, fragment, room) {
            datagram.is_spoilt = true;
            match fault {
                Fault::Overlap => self.counts.overlaps += 1,
                Fault::Malformed => self.counts.malformed += 1,
                Fault::Unfit => self.counts.unfit += 1,
            }
            return Outcome::Held;
        }
        let Some((start, end)) = datagram.whole() else { return Outcome::Held };
        let seen = datagram.seen();
        self.lru.release(slot);
        self.counts.reassembled += 1;
        let payload = self.bytes.get(from + usize::from(start.payload_at)..from + usize::from(end));
        Outcome::Reassembled(Reassembled {
            protocol: start.protocol,
            payload: payload.unwrap_or_default(),
            seen,
        })
    }

    /// Gives up all that is not whole.
    pub fn finish(&mut self, abandon: &mut dyn FnMut(&DatagramSlot)) {
        while let Some(slot) = self.lru.oldest(0) {
            self.counts.timeouts += 1;
            self.give_up(slot, abandon);
        }
    }

    fn expire(&mut self, now: Timestamp, abandon: &mut dyn FnMut(&DatagramSlot)) {
        while let Some(slot) = self.lru.oldest(0) {
            let Some(datagram) = self.slots.get(slot) else { return };
            let patience = Timestamp::ZERO.after(REASSEMBLY_TIMEOUT).as_nanos();
            if now.as_nanos().abs_diff(datagram.first.as_nanos()) <= patience {
                return;
            }
            self.counts.timeouts += u64::from(!datagram.is_spoilt);
            self.give_up(slot, abandon);
        }
    }

    /// The slot of the datagram that a part belongs to.
    fn slot(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        fragment: Fragment,
        at: Timestamp,
        abandon: &mut dyn FnMut(&DatagramSlot),
    ) -> Option<usize> {
        let wanted = Key {
            source: ip.source,
            destination: ip.destination,
            identification: fragment.identification,
            protocol: match (ip.is_v4(), fragment.skipped_words) {
                (true, 0) => ip.protocol,
                (true, _) => AUTHENTICATION,
                (false, _) => 0,
            },
        };
        let ([a, b, c, d], [e, f, g, h]) = (ip.source.words(), ip.destination.words());
        let (identification, protocol) = (wanted.identification, u32::from(wanted.protocol));
        let hash = if ip.is_v4() {
            key.words([d, h, identification, protocol])
        } else {
            key.words([a, b, c, d, e, f, g, h, identification, protocol])
        };
        let slots = &*self.slots;
        let found = self.lru.find(hash, &mut |slot| slots.get(slot).is_some_and(|other| other.key == wanted));
        if found.is_some() {
            return found;
        }
        let slot = match self.lru.claim(hash, 0) {
            Some(slot) => slot,
            None => {
                let oldest = self.lru.oldest(0)?;
                self.counts.evictions += 1;
                self.give_up(oldest, abandon);
                self.lru.claim(hash, 0)?
            }
        };
        self.slots.get_mut(slot)?.begin(wanted, at);
        Some(slot)
    }

    fn give_up(&mut self, slot: usize, abandon: &mut dyn FnMut(&DatagramSlot)) {
        self.lru.release(slot);
        if let Some(datagram) = self.slots.get(slot) {
            abandon(datagram);
        }
    }
}

impl DatagramSlot {
    /// Begins anew, with what is not written here left as it was: it means nothing.
    fn begin(&mut self, key: Key, at: Timestamp) {
        (self.key, self.first, self.last, self.packets, self.bytes) = (key, at, at, 0, 0);
        self.ranges.recycle();
        (self.end, self.start, self.is_spoilt) = (None, None, false);
    }

    /// Copies a part to its place.
    fn place(&mut self, ip: &Ip<'_>, fragment: Fragment, room: &mut [u8]) -> Result<(), Fault> {
        let skipped = usize::from(fragment.skipped_words) * 4;
        let start = usize::from(fragment.offset);
        let payload_len = usize::try_from(ip.payload_wire_len).map_err(|_| Fault::Malformed)?;
        let end = start + skipped + payload_len;
        if end == start || end > MAX_DATAGRAM_LEN || fragment.more && !end.is_multiple_of(8) {
            return Err(Fault::Malformed);
        }
        if ip.payload.len() < payload_len || fragment.skipped_words == u8::MAX || end > room.len() {
            return Err(Fault::Unfit);
        }
        let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(end)) else {
            return Err(Fault::Malformed);
        };
        self.check_end(end, fragment.more)?;
        let bytes = ip.payload.get(..payload_len).unwrap_or_default();
        let place = room.get_mut(usize::from(start) + skipped..usize::from(end)).ok_or(Fault::Unfit)?;
        if self.ranges.holds(start, end) {
            // Sent twice, or copied on the way. With other bytes it would be an overlap.
            return if place == bytes { Ok(()) } else { Err(Fault::Overlap) };
        }
        if self.ranges.touches(start, end) {
            return Err(Fault::Overlap);
        }
        if !self.ranges.add(start, end) {
            return Err(Fault::Unfit);
        }
        place.copy_from_slice(bytes);
        if start == 0 {
            let ports = match (ip.protocol, bytes) {
                (protocol::TCP | protocol::UDP | protocol::SCTP, [s0, s1, d0, d1, ..]) => {
                    (Port(u16::from_be_bytes([*s0, *s1])), Port(u16::from_be_bytes([*d0, *d1])))
                }
                _ => (Port(0), Port(0)),
            };
            let payload_at = u16::from(fragment.skipped_words) * 4;
            self.start = Some(Start { protocol: ip.protocol, payload_at, ports });
        }
        Ok(())
    }

    /// All parts must agree about where the datagram ends.
    fn check_end(&mut self, end: u16, more: bool) -> Result<(), Fault> {
        let reached = self.ranges.end();
        match self.end {
            Some(known) if more && end < known || !more && end == known => Ok(()),
            Some(_) => Err(Fault::Overlap),
            None if more => Ok(()),
            None if end < reached => Err(Fault::Overlap),
            None => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// Its start and end, once nothing is missing between them.
    fn whole(&self) -> Option<(Start, u16)> {
        let (start, end) = (self.start?, self.end?);
        self.ranges.is_complete(end).then_some((start, end))
    }

    /// What was seen of it. Its ports are those of the first part, or zero if that never came.
    #[must_use]
    pub fn seen(&self) -> Observation {
        let (protocol, ports) =
            self.start.map_or((self.key.protocol, (Port(0), Port(0))), |start| (start.protocol, start.ports));
        let endpoints = Endpoints {
            source: Endpoint { address: self.key.source, port: ports.0 },
            destination: Endpoint { address: self.key.destination, port: ports.1 },
            protocol,
            is_one_way: false,
        };
        let Self { first, last, packets, bytes, .. } = *self;
        Observation { endpoints, first, last, packets, bytes, flags: None }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const KEY: HashKey = HashKey::new(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_000 + seconds, 0)
    }

    /// A part of datagram `identification`: UDP from 10.0.0.1 to 10.0.0.2.
    fn part(identification: u32, offset: u16, more: bool, payload: &[u8]) -> Ip<'_> {
        let len = u32::try_from(payload.len()).unwrap();
        Ip {
            source: Address::v4(0x0a00_0001),
            destination: Address::v4(0x0a00_0002),
            protocol: protocol::UDP,
            hop_limit: 64,
            traffic_class: 0,
            fragment: Some(Fragment { identification, offset, more, skipped_words: 0 }),
            wire_len: 20 + len,
            payload,
            payload_wire_len: len,
        }
    }

    struct Run {
        /// Payloads put together.
        reassembled: Vec<Vec<u8>>,
        /// What was given up: ports, packets, bytes.
        abandoned: Vec<(u16, u16, u32, u32)>,
        counts: FragmentCounts,
    }

    fn run(slots: usize, room: usize, parts: &[(u64, Ip<'_>)]) -> Run {
        let (mut heads, mut links, mut store, mut bytes) = (
            vec![0; slots],
            vec![Link::default(); slots],
            vec![DatagramSlot::default(); slots],
            vec![0xee; slots * room],
        );
        let mut fragments = Fragments::new(&mut heads, &mut links, &mut store, &mut bytes);
        let (mut reassembled, mut abandoned) = (Vec::new(), Vec::new());
        let mut abandon = |given_up: &DatagramSlot| {
            let seen = given_up.seen();
            let ports = (seen.endpoints.source.port.0, seen.endpoints.destination.port.0);
            abandoned.push((ports.0, ports.1, seen.packets, seen.bytes));
        };
        for (seconds, ip) in parts {
            if let Outcome::Reassembled(whole) = fragments.part(&KEY, ip, at(*seconds), &mut abandon) {
                assert_eq!(whole.protocol, ip.protocol);
                reassembled.push(whole.payload.to_vec());
            }
        }
        fragments.finish(&mut abandon);
        Run { reassembled, abandoned, counts: fragments.counts }
    }

    /// Of one datagram, all at once, with room for two of 256 bytes.
    fn put(parts: &[Ip<'_>]) -> Run {
        run(2, 256, &parts.iter().map(|ip| (0, *ip)).collect::<Vec<_>>())
    }

    /// Ports 4660 and 53, then numbers.
    fn datagram() -> Vec<u8> {
        [&[0x12, 0x34, 0, 53][..], &(4..60).collect::<Vec<u8>>()].concat()
    }

    #[test]
    fn parts_in_any_order_make_the_datagram() {
        let whole = datagram();
        let parts = [
            part(1, 0, true, &whole[..24]),
            part(1, 24, true, &whole[24..40]),
            part(1, 40, false, &whole[40..]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let run = put(&order.map(|index| parts[index]));
            assert_eq!(run.reassembled, [&whole[..]], "{order:?}");
            assert_eq!((run.abandoned.len(), run.counts.reassembled, run.counts.parts), (0, 1, 3));
        }
        // one that is missing
        let run = put(&[parts[0], parts[2]]);
        assert_eq!((run.reassembled.len(), run.counts.timeouts), (0, 1));
        assert_eq!(run.abandoned, [(0x1234, 53, 2, 40 + 24 + 20)]);
        let run = put(&parts[1..]);
        assert_eq!(run.abandoned, [(0, 0, 2, 40 + 16 + 20)], "the ports were in the part that is missing");
    }

    #[test]
    fn parts_that_are_sent_twice_do_no_harm() {
        let whole = datagram();
        let first = part(1, 0, true, &whole[..24]);
        let run = put(&[first, first, part(1, 24, false, &whole[24..])]);
        assert_eq!((run.reassembled, run.counts.overlaps), (vec![whole], 0));
    }

    #[test]
    fn overlaps_spoil_the_datagram() {
        let whole = datagram();
        let other = [0xff; 60];
        let cases: [&[Ip<'_>]; 6] = [
            // the same place, other bytes
            &[part(1, 0, true, &whole[..24]), part(1, 0, true, &other[..24])],
            // starts inside and ends behind
            &[part(1, 0, true, &whole[..24]), part(1, 16, true, &whole[16..40])],
            // starts before and ends inside
            &[part(1, 16, true, &whole[16..40]), part(1, 8, true, &whole[8..24])],
            // teardrop: the last part lies within the first
            &[part(1, 0, true, &whole[..40]), part(1, 24, false, &whole[24..28])],
            // two ends
            &[part(1, 40, false, &whole[40..]), part(1, 48, false, &whole[48..56])],
            // goes on behind the end
            &[part(1, 40, false, &whole[40..48]), part(1, 48, true, &whole[48..56])],
        ];
        for (index, parts) in cases.iter().enumerate() {
            // What would make it whole comes too late.
            let rest = [
                part(1, 0, true, &whole[..16]),
                part(1, 16, true, &whole[16..40]),
                part(1, 40, false, &whole[40..]),
            ];
            let run = put(&[parts, &rest[..]].concat());
            assert_eq!((run.reassembled.len(), run.counts.overlaps), (0, 1), "{index}");
            assert_eq!(
                run.abandoned.iter().map(|seen| seen.2).sum::<u32>(),
                5,
                "{index}: all parts are counted"
            );
        }
    }

    #[test]
    fn parts_that_no_sender_makes_spoil_it_too() {
        let whole = datagram();
        let run = put(&[part(1, 0, true, &whole[..20]), part(1, 24, false, &whole[24..])]);
        assert_eq!(
            (run.reassembled.len(), run.counts.malformed),
            (0, 1),
            "a length that only the last may have"
        );
        let run = put(&[part(1, 8, false, &[])]);
        assert_eq!(run.counts.malformed, 1, "empty");
        let run = put(&[part(1, 65_528, false, &whole[..8])]);
        assert_eq!(run.counts.malformed, 1, "ping of death");
    }

    #[test]
    fn limits_are_counted() {
        let whole = datagram();
        let one = put(&[part(1, 248, false, &whole[..9])]);
        assert_eq!(one.counts.unfit, 1, "longer than the room");
        let mut cut = part(1, 0, true, &whole[..16]);
        cut.payload_wire_len = 24;
        assert_eq!(put(&[cut]).counts.unfit, 1, "cut by the capture");
        let apart: Vec<_> = (0..16).map(|index| part(1, 8 + index * 16, true, &whole[..8])).collect();
        let few: Vec<_> = apart.iter().map(|ip| (0, *ip)).collect();
        assert_eq!(run(1, 4096, &few).counts.unfit, 0);
        let more = part(1, 8 + 16 * 16, true, &whole[..8]);
        let all: Vec<_> = apart.iter().chain([&more]).map(|ip| (0, *ip)).collect();
        assert_eq!(run(1, 4096, &all).counts.unfit, 1, "too many pieces apart");
    }

    #[test]
    fn patience_ends_and_floods_push_out_the_oldest() {
        let whole = datagram();
        let (first, last) = (part(1, 0, true, &whole[..24]), part(1, 24, false, &whole[24..]));
        assert_eq!(run(2, 256, &[(0, first), (30, last)]).reassembled.len(), 1);
        let late = run(2, 256, &[(0, first), (31, last)]);
        assert_eq!((late.reassembled.len(), late.counts.timeouts), (0, 2));
        let flood: Vec<_> = (0..1_000).map(|number| (0, part(number, 0, true, &whole[..24]))).collect();
        let run = run(16, 256, &flood);
        assert_eq!((run.counts.evictions, run.abandoned.len()), (984, 1_000));
    }

    #[test]
    fn headers_behind_the_fragment_header_are_left_out() {
        let whole = datagram();
        let mut first = part(1, 0, true, &whole[..24]);
        first.fragment = first.fragment.map(|fragment| Fragment { skipped_words: 4, ..fragment });
        let mut last = part(1, 40, false, &whole[24..]);
        // IPv6: what the fragment header of a later part says is next does not count
        for ip in [&mut first, &mut last] {
            (ip.source, ip.destination) = (Address::v6([1, 0, 0, 0]), Address::v6([2, 0, 0, 0]));
        }
        last.protocol = 60;
        let (mut heads, mut links, mut slots, mut bytes) =
            ([0; 1], [Link::default(); 1], [DatagramSlot::default(); 1], [0; 256]);
        let mut fragments = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
        assert!(matches!(fragments.part(&KEY, &last, at(0), &mut |_| {}), Outcome::Held));
        let Outcome::Reassembled(found) = fragments.part(&KEY, &first, at(0), &mut |_| {}) else {
            panic!("not whole")
        };
        assert_eq!((found.protocol, found.payload), (protocol::UDP, &whole[..]));
    }

    /// Random parts of random datagrams against a map of bytes: what comes out is what went in.
    #[test]
    fn what_comes_out_is_what_went_in() {
        let mut state = 0x5e17_1e11_u32;
        let mut random = |limit: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % limit
        };
        let content = |id: u32, len: usize| -> Vec<u8> {
            (0..len).map(|at| u8::try_from((at * 7 + usize::try_from(id).unwrap()) % 251).unwrap()).collect()
        };
        let datagrams: Vec<Vec<u8>> =
            (0..6).map(|id| content(id, 64 + 8 * usize::try_from(id).unwrap())).collect();
        let (mut heads, mut links, mut slots, mut bytes) =
            ([0; 4], [Link::default(); 4], [DatagramSlot::default(); 4], [0; 4 * 256]);
        let mut fragments = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
        let mut reassembled = 0;
        for _ in 0..50_000 {
            let id = random(6);
            let whole = &datagrams[usize::try_from(id).unwrap()];
            let pieces = u32::try_from(whole.len()).unwrap().div_ceil(16);
            let start = usize::try_from(random(pieces)).unwrap() * 16;
            let end = (start + 16).min(whole.len());
            let ip = part(id, u16::try_from(start).unwrap(), end < whole.len(), &whole[start..end]);
            if let Outcome::Reassembled(found) = fragments.part(&KEY, &ip, at(0), &mut |_| {}) {
                assert_eq!(found.payload, whole);
                reassembled += 1;
            }
        }
        assert!(reassembled > 100, "{reassembled}");
        assert_eq!(
            (fragments.counts.overlaps, fragments.counts.malformed, fragments.counts.unfit),
            (0, 0, 0)
        );
    }
}
