//! Datagrams put together from their parts.
//!
//! Read first: RFC 791 section 3.2; RFC 8200 section 4.5; RFC 5722 (overlapping parts); RFC 815 (the idea of holes).
//!
//! What overlaps is dropped with all its datagram, in IPv4 as well as in IPv6, as Linux does since 2018; only a part that
//! repeats bytes which are there already is let pass. So there is no question which bytes a host would keep, and
//! nothing to hide behind it.

mod datagram;

use core::time::Duration;

use sentinel_dissect::{Fragment, Ip};
use sentinel_units::Timestamp;

use crate::flow_record::Observation;
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, LruLink};

pub use datagram::DatagramSlot;
use datagram::{Fault, Key};

/// Parts are waited for this long after the first that came. RFC 8200 allows 60 s; Linux gives both versions 30.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(30);
/// What an IPv4 header says of a datagram with an authentication header, which was skipped in the first part.
const AUTHENTICATION: u8 = 51;
/// The largest datagram without jumbo payload.
pub const MAX_DATAGRAM_LEN: usize = 65_535;

/// What became of a part.
#[derive(Debug)]
pub enum Outcome<'f> {
    /// It waits for others, or its datagram cannot be put together.
    Pending,
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
    pub observation: Observation,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FragmentCounts {
    /// Parts taken in.
    pub fragments: u64,
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams given up because parts overlap, or disagree about the end: teardrop and its kin.
    pub overlaps: u64,
    /// Datagrams given up because a part is empty, has a length that only the last may have, or ends past the largest datagram.
    pub malformed: u64,
    /// Datagrams given up because they are longer than the room for one, in too many pieces at a time, or cut by the capture.
    pub over_limit: u64,
    /// Datagrams given up because parts did not come.
    pub timeouts: u64,
    /// Datagrams given up early because all slots were taken: the one begun longest ago.
    pub evictions: u64,
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
        links: &'m mut [LruLink],
        slots: &'m mut [DatagramSlot],
        bytes: &'m mut [u8],
    ) -> Self {
        let count = links.len().min(slots.len());
        let room = bytes.len().checked_div(count).unwrap_or(0).min(MAX_DATAGRAM_LEN);
        let links = links.get_mut(..count).unwrap_or_default();
        Self { lru: HashedLru::new(heads, links), slots, bytes, room, counts: FragmentCounts::default() }
    }

    /// Takes in a part. Datagrams that are given up meanwhile are handed to `abandon`.
    pub fn insert(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        at: Timestamp,
        abandon: &mut dyn FnMut(&DatagramSlot),
    ) -> Outcome<'_> {
        let Some(fragment) = ip.fragment else { return Outcome::Pending };
        self.expire(at, abandon);
        let Some(slot) = self.slot(key, ip, fragment, at, abandon) else { return Outcome::Pending };
        self.counts.fragments += 1;
        let from = slot.saturating_mul(self.room);
        let room = self.bytes.get_mut(from..from.saturating_add(self.room)).unwrap_or_default();
        let Some(datagram) = self.slots.get_mut(slot) else { return Outcome::Pending };
        datagram.packets += 1;
        datagram.bytes = datagram.bytes.saturating_add(ip.wire_len);
        (datagram.first, datagram.last) = (datagram.first.min(at), datagram.last.max(at));
        if datagram.is_spoilt {
            return Outcome::Pending;
        }
        if let Err(fault) = datagram.place(ip, fragment, room) {
            datagram.is_spoilt = true;
            match fault {
                Fault::Overlap => self.counts.overlaps += 1,
                Fault::Malformed => self.counts.malformed += 1,
                Fault::Unfit => self.counts.over_limit += 1,
            }
            return Outcome::Pending;
        }
        let Some((start, end)) = datagram.whole() else { return Outcome::Pending };
        let observation = datagram.observation();
        self.lru.release(slot);
        self.counts.reassembled += 1;
        let payload = self.bytes.get(from + usize::from(start.payload_at)..from + usize::from(end));
        Outcome::Reassembled(Reassembled {
            protocol: start.protocol,
            payload: payload.unwrap_or_default(),
            observation,
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
            key.hash32([d, h, identification, protocol])
        } else {
            key.hash32([a, b, c, d, e, f, g, h, identification, protocol])
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

#[cfg(test)]
mod tests;
