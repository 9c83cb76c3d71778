//! IP fragment reassembly.
//!
//! Read first: RFC 791 section 3.2; RFC 8200 section 4.5; RFC 5722 (overlapping fragments); RFC 815 (reassembly by ranges).
//!
//! A fragment that overlaps another discards its datagram, in IPv4 as in IPv6, as Linux has done since 2018; only an exact
//! repetition of received bytes is accepted. Hosts disagree on which bytes of an overlap win, and an attacker who knows the
//! difference can hide a payload in it; discarding leaves no such difference.

mod datagram;

use core::ops::Range;
use core::time::Duration;

use sentinel_dissect::{Fragment, Ip};
use sentinel_units::Timestamp;

use crate::flow_record::Observation;
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, LruLink};

pub use datagram::DatagramSlot;
use datagram::{InsertError, Key};

/// Time after its first fragment at which an incomplete datagram is discarded. RFC 8200 allows 60 s; Linux uses 30 s for
/// both versions.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest datagram without jumbo payload (RFC 791 section 3.1), in bytes.
pub const MAX_DATAGRAM_LEN: usize = 65_535;

/// Result of [`Fragments::insert`].
#[derive(Debug)]
pub enum Outcome<'f> {
    /// The datagram lacks fragments, or was discarded.
    Pending,
    /// The fragment completed its datagram.
    Reassembled(Reassembled<'f>),
}

/// A complete datagram.
#[derive(Debug)]
pub struct Reassembled<'f> {
    /// IP protocol number of the payload.
    pub protocol: u8,
    /// Payload of the datagram, without the headers that were parsed in the first fragment.
    pub payload: &'f [u8],
    /// All its fragments as one observation. Ports are zero unless the protocol is TCP, UDP or SCTP.
    pub observation: Observation,
}

/// A complete datagram whose payload is still in the table; [`Fragments::reassembled`] gives access to it.
#[derive(Clone, Debug)]
pub struct CompleteDatagram {
    protocol: u8,
    /// Place of the payload in the bytes of the table.
    payload: Range<usize>,
    splits_header: bool,
    observation: Observation,
}

impl CompleteDatagram {
    /// Returns true if the first fragment ended within the TCP header, as those of no host do (RFC 1858 section 3).
    #[must_use]
    pub const fn splits_header(&self) -> bool {
        self.splits_header
    }
}

/// Counters of a [`Fragments`] table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FragmentCounts {
    /// Fragments received.
    pub fragments: u64,
    /// Datagrams reassembled.
    pub reassembled: u64,
    /// Datagrams discarded because fragments overlap or contradict each other about the end (teardrop attacks).
    pub overlaps: u64,
    /// Datagrams discarded because a fragment is empty, is not the last and has a length that is no multiple of eight, or ends
    /// past [`MAX_DATAGRAM_LEN`] (ping of death).
    pub malformed: u64,
    /// Datagrams discarded because they exceed the buffer of a slot, have more than 16 gaps at a time, or were truncated by the
    /// snap length.
    pub over_limit: u64,
    /// Datagrams discarded because fragments were missing after [`REASSEMBLY_TIMEOUT`].
    pub timeouts: u64,
    /// Datagrams discarded because all slots were in use: the one whose first fragment is oldest.
    pub evictions: u64,
}

/// Incomplete datagrams, in a chained hash table ([`HashedLru`]).
///
/// Capacity: the number of slots lent. Key: addresses, identification and, in IPv4, protocol. Lifetime:
/// [`REASSEMBLY_TIMEOUT`] from the first fragment. When all slots are in use, the datagram begun first is evicted and
/// [`FragmentCounts::evictions`] counts it.
//
// Invariants:
// - Slot `n` owns the bytes `n * buffer_len..(n + 1) * buffer_len` of `bytes`.
// - Slots are never touched in `lru`, so list 0 is in order of the first fragment and only its head can have timed out.
// - A discarded datagram keeps its slot until it times out or is evicted, so that its later fragments are discarded too
//   (RFC 5722 section 4) instead of beginning a new datagram.
#[derive(Debug)]
pub struct Fragments<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [DatagramSlot],
    bytes: &'m mut [u8],
    /// Bytes of `bytes` for each slot.
    buffer_len: usize,
    /// Counters since the start.
    pub counts: FragmentCounts,
}

impl<'m> Fragments<'m> {
    /// Makes an empty table over lent storage: one slot for each of the shorter of `links` and `slots`, which share `bytes`
    /// equally.
    #[must_use]
    pub fn new(
        heads: &'m mut [u32],
        links: &'m mut [LruLink],
        slots: &'m mut [DatagramSlot],
        bytes: &'m mut [u8],
    ) -> Self {
        let count = links.len().min(slots.len());
        let buffer_len = bytes.len().checked_div(count).unwrap_or(0).min(MAX_DATAGRAM_LEN);
        let links = links.get_mut(..count).unwrap_or_default();
        Self {
            lru: HashedLru::new(heads, links),
            slots,
            bytes,
            buffer_len,
            counts: FragmentCounts::default(),
        }
    }

    /// Inserts a fragment. Datagrams that time out or are evicted meanwhile are passed to `on_discard`.
    pub fn insert(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        at: Timestamp,
        on_discard: &mut dyn FnMut(&DatagramSlot),
    ) -> Outcome<'_> {
        match self.insert_fragment(key, ip, at, on_discard) {
            Some(complete) => Outcome::Reassembled(self.reassembled(&complete)),
            None => Outcome::Pending,
        }
    }

    /// Inserts a fragment as [`Self::insert`] does, without a borrow of the datagram that it completes.
    pub fn insert_fragment(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        at: Timestamp,
        on_discard: &mut dyn FnMut(&DatagramSlot),
    ) -> Option<CompleteDatagram> {
        let fragment = ip.fragment?;
        self.expire(at, on_discard);
        let slot = self.find_or_claim(key, ip, fragment, at, on_discard)?;
        self.counts.fragments += 1;
        let from = slot.saturating_mul(self.buffer_len);
        let buffer = self.bytes.get_mut(from..from.saturating_add(self.buffer_len)).unwrap_or_default();
        let datagram = self.slots.get_mut(slot)?;
        datagram.count(ip, at);
        if datagram.is_discarded {
            return None;
        }
        if let Err(error) = datagram.insert(ip, fragment, buffer) {
            datagram.is_discarded = true;
            match error {
                InsertError::Overlap => self.counts.overlaps += 1,
                InsertError::Malformed => self.counts.malformed += 1,
                InsertError::OverLimit => self.counts.over_limit += 1,
            }
            return None;
        }
        let (first, end) = datagram.complete()?;
        let observation = datagram.observation();
        self.lru.release(slot);
        self.counts.reassembled += 1;
        let payload = from + usize::from(first.payload_at)..from + usize::from(end);
        let splits_header = first.splits_header;
        Some(CompleteDatagram { protocol: first.protocol, payload, splits_header, observation })
    }

    /// The datagram that the last call of [`Self::insert_fragment`] completed. The next call may overwrite its payload.
    #[must_use]
    pub fn reassembled(&self, complete: &CompleteDatagram) -> Reassembled<'_> {
        let CompleteDatagram { protocol, ref payload, observation, .. } = *complete;
        Reassembled { protocol, payload: self.bytes.get(payload.clone()).unwrap_or_default(), observation }
    }

    /// Discards all incomplete datagrams, oldest first, and counts them as timed out.
    pub fn finish(&mut self, on_discard: &mut dyn FnMut(&DatagramSlot)) {
        while let Some(slot) = self.lru.oldest(0) {
            self.counts.timeouts += 1;
            self.discard(slot, on_discard);
        }
    }

    fn expire(&mut self, now: Timestamp, on_discard: &mut dyn FnMut(&DatagramSlot)) {
        while let Some(slot) = self.lru.oldest(0) {
            let Some(datagram) = self.slots.get(slot) else { return };
            let timeout = Timestamp::ZERO.after(REASSEMBLY_TIMEOUT).as_nanos();
            // Absolute difference: after the clock was set back, datagrams from before it expire too.
            if now.as_nanos().abs_diff(datagram.first.as_nanos()) <= timeout {
                return;
            }
            self.counts.timeouts += u64::from(!datagram.is_discarded);
            self.discard(slot, on_discard);
        }
    }

    /// Finds the slot of the datagram that a fragment belongs to, or claims one, evicting the oldest if needed.
    fn find_or_claim(
        &mut self,
        key: &HashKey,
        ip: &Ip<'_>,
        fragment: Fragment,
        at: Timestamp,
        on_discard: &mut dyn FnMut(&DatagramSlot),
    ) -> Option<usize> {
        let wanted = Key::of(ip, fragment);
        let hash = wanted.hash(key, ip.is_v4());
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
                self.discard(oldest, on_discard);
                self.lru.claim(hash, 0)?
            }
        };
        self.slots.get_mut(slot)?.reset(wanted, at);
        Some(slot)
    }

    fn discard(&mut self, slot: usize, on_discard: &mut dyn FnMut(&DatagramSlot)) {
        self.lru.release(slot);
        if let Some(datagram) = self.slots.get(slot) {
            on_discard(datagram);
        }
    }
}

#[cfg(test)]
mod tests;
