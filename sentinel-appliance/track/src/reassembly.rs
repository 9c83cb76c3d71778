//! TCP stream reassembly, limited to the first messages of each direction.
//!
//! Read first: RFC 9293 section 3.4 (sequence numbers); "Transport and Application Protocol Scrubbing" (Malan, Watson,
//! Jahanian, Howell, 2000) for why overlaps matter.
//!
//! A message (TLS hello, HTTP head, DNS message) that one segment holds is delivered as it is: nothing is copied and no state
//! is kept. Only a message that continues past the end of its segment is buffered, in chunks from a pool, until the remainder
//! arrives. A direction whose SYN was captured has a known start, so its first message may arrive in any order. Reassembly of
//! a direction ends with the first payload that is no message.
//!
//! If bytes are received twice with different values, the first stay. Operating systems differ in this;
//! [`StreamCounts::conflicts`] counts how often it happened.

mod buffer;
mod pool;
mod stream;

use core::time::Duration;

use sentinel_dissect::framing::MessageLen;
use sentinel_dissect::{Tcp, TcpFlags};
use sentinel_units::Timestamp;

use crate::flow::Endpoint;
use crate::hash::HashKey;
use crate::hashed_lru::HashedLru;
use crate::range_set::RangeSet;
use pool::{ChunkPool, NO_CHUNK};
use stream::Key;

pub use stream::{CryptoData, Message, StreamCounts, StreamSlot, StreamStorage};

/// Bytes of a chunk of the pool.
pub const CHUNK_LEN: usize = 1024;
/// Maximum number of chunks of one direction.
const MAX_CHUNKS: usize = 16;
/// Maximum number of bytes buffered of one direction: a hello with post-quantum keys has 2 KiB, a certificate chain 3 to 6.
pub const MAX_MESSAGE_LEN: usize = CHUNK_LEN * MAX_CHUNKS;
/// Time after the last segment of an incomplete message at which the part received is delivered.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of times that a message may turn out longer than its start announced. Each costs a copy of what is
/// buffered, so this bounds the copying.
const MAX_PROBES: u8 = 16;

/// LRU list of directions with nothing buffered.
const EMPTY: u8 = 0;
/// LRU list of directions that buffer part of a message.
const BUFFERING: u8 = 1;

/// Payload of one segment or CRYPTO frame.
#[derive(Clone, Copy)]
struct Arrival<'b> {
    sequence: u32,
    bytes: &'b [u8],
    /// True if the snap length cut off its end.
    is_truncated: bool,
    at: Timestamp,
}

/// Classification of the buffered bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    /// A message or the start of one.
    Message,
    /// Something else; the buffer was freed and the slot released.
    Other,
}

/// Directions of streams that are within their first messages, in a chained hash table ([`HashedLru`]) with a pool of
/// chunks.
///
/// Capacity: the slots and chunks lent. Key: source, destination and channel. Lifetime: a direction that buffers bytes
/// expires [`REASSEMBLY_TIMEOUT`] after its last segment; one with an empty buffer stays until its slot is needed. If slots
/// run out, the least recently used empty one is evicted (no loss, not counted); if there is none, or if chunks run out, the
/// least recently used one that buffers bytes, whose bytes are delivered first ([`StreamCounts::evictions`]).
#[derive(Debug)]
pub struct Streams<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [StreamSlot],
    pool: ChunkPool<'m>,
    message: &'m mut [u8],
    /// Counters since the start.
    pub counts: StreamCounts,
}

impl<'m> Streams<'m> {
    /// Makes an empty table over lent storage.
    #[must_use]
    pub fn new(storage: StreamStorage<'m>) -> Self {
        let StreamStorage { heads, links, slots, chunks, free, message } = storage;
        let count = links.len().min(slots.len());
        let lru = HashedLru::new(heads, links.get_mut(..count).unwrap_or_default());
        Self { lru, slots, pool: ChunkPool::new(chunks, free), message, counts: StreamCounts::default() }
    }

    /// Processes a TCP segment. Passes the messages that it completes to `deliver`, and those of other streams that expire or
    /// are evicted meanwhile.
    pub fn segment(
        &mut self,
        key: &HashKey,
        endpoints: (Endpoint, Endpoint),
        tcp: &Tcp<'_>,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        self.expire(now, deliver);
        let wanted = Key { source: endpoints.0, destination: endpoints.1, channel: 0 };
        let hash = wanted.hash(key);
        let mut found = self.find(hash, &wanted);
        // A SYN takes one sequence number; data sent with it (RFC 7413, Fast Open) follows.
        let mut sequence = tcp.sequence;
        if tcp.flags.has(TcpFlags::SYN) {
            sequence = sequence.wrapping_add(1);
            // A SYN of a known direction is a retransmission, or opens another connection: what was buffered
            // is dropped.
            if let Some(slot) = found {
                self.free_chunks(slot);
            } else {
                found = self.claim(hash, deliver);
            }
            self.start(found, wanted, sequence, now);
        }
        // Bytes in a RST are a diagnostic text and not part of the stream (RFC 9293 section 3.5.3).
        if !tcp.payload.is_empty() && !tcp.flags.has(TcpFlags::RST) {
            let is_truncated = u32::try_from(tcp.payload.len()).is_ok_and(|len| len < tcp.payload_wire_len);
            let arrival = Arrival { sequence, bytes: tcp.payload, is_truncated, at: now };
            self.accept(hash, &wanted, found, arrival, deliver);
        }
        if tcp.flags.has_any(TcpFlags(TcpFlags::FIN.0 | TcpFlags::RST.0)) {
            self.close(hash, &wanted, tcp, deliver);
        }
    }

    /// Processes the data of a QUIC CRYPTO frame, as [`Self::segment`] does for TCP. The stream starts at offset 0.
    pub fn crypto_data(
        &mut self,
        key: &HashKey,
        endpoints: (Endpoint, Endpoint),
        data: &CryptoData<'_>,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        self.expire(now, deliver);
        let wanted = Key { source: endpoints.0, destination: endpoints.1, channel: data.channel | 1 };
        let hash = wanted.hash(key);
        let mut found = self.find(hash, &wanted);
        if found.is_none() {
            found = self.claim(hash, deliver);
            self.start(found, wanted, 0, now);
        }
        if !data.bytes.is_empty() && found.is_some() {
            let arrival = Arrival { sequence: data.offset, bytes: data.bytes, is_truncated: false, at: now };
            self.accept(hash, &wanted, found, arrival, deliver);
        }
    }

    /// Number of chunks of the pool that are in use.
    #[must_use]
    pub const fn chunks_in_use(&self) -> usize {
        self.pool.in_use()
    }

    /// Delivers everything buffered, complete or not, and empties the table.
    pub fn finish(&mut self, deliver: &mut dyn FnMut(&Message<'_>)) {
        for list in [BUFFERING, EMPTY] {
            // Ends: each call releases a slot.
            while let Some(slot) = self.lru.oldest(list) {
                self.deliver_partial(slot, deliver);
            }
        }
    }

    fn find(&self, hash: u32, wanted: &Key) -> Option<usize> {
        if self.lru.is_empty() {
            return None;
        }
        self.lru.find(hash, &mut |slot| self.slots.get(slot).is_some_and(|other| other.key == *wanted))
    }

    /// Claims a slot, evicting a direction if none is free.
    fn claim(&mut self, hash: u32, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<usize> {
        if let Some(slot) = self.lru.claim(hash, EMPTY) {
            return Some(slot);
        }
        let slot = match self.lru.oldest(EMPTY) {
            Some(slot) => slot,
            None => {
                self.counts.evictions += 1;
                self.lru.oldest(BUFFERING)?
            }
        };
        self.deliver_partial(slot, deliver);
        self.lru.claim(hash, EMPTY)
    }

    /// Sets a slot to expect `next_sequence`, with nothing buffered. Its chunks must be freed.
    fn start(&mut self, slot: Option<usize>, key: Key, next_sequence: u32, now: Timestamp) {
        let Some(slot) = slot else { return };
        self.lru.touch(slot, EMPTY);
        if let Some(stream) = self.slots.get_mut(slot) {
            *stream = StreamSlot::new(key, next_sequence, now);
        }
    }

    /// Processes the payload of a segment, given the slot of its direction if there is one.
    fn accept(
        &mut self,
        hash: u32,
        key: &Key,
        found: Option<usize>,
        arrival: Arrival<'_>,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        let Some((slot, offset, bytes)) = self.locate(found, &arrival, deliver) else { return };
        let is_buffering = slot.and_then(|slot| self.slots.get(slot)).is_some_and(|it| !it.ranges.is_empty());
        if !is_buffering && offset == 0 {
            return self.accept_in_order(hash, key, slot, Arrival { bytes, ..arrival }, deliver);
        }
        let Some(slot) = slot else { return };
        if self.buffer(slot, offset, bytes, arrival.is_truncated, deliver) == Content::Other && offset > 0 {
            // The bytes before these were no message and the slot is released; these may still start a message.
            self.accept_in_order(hash, key, None, arrival, deliver);
        }
    }

    /// Finds the place of a payload in its stream: its slot, its offset from `next_sequence`, and its bytes without those
    /// already delivered. Returns `None` if nothing of it is new.
    ///
    /// The slot is `None` if the direction has none. A sequence number more than [`MAX_MESSAGE_LEN`] from the expected one
    /// means that segments were lost or that the direction was opened again; its slot is then released.
    fn locate<'b>(
        &mut self,
        found: Option<usize>,
        arrival: &Arrival<'b>,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Option<(Option<usize>, usize, &'b [u8])> {
        let Some((slot, stream)) =
            found.and_then(|slot| self.slots.get_mut(slot).map(|stream| (slot, stream)))
        else {
            return Some((found, 0, arrival.bytes));
        };
        stream.last_used = arrival.at;
        // Sequence numbers wrap (RFC 9293 section 3.4): the difference mod 2^32 is a small number ahead, or the negative of a
        // small number behind.
        let ahead = arrival.sequence.wrapping_sub(stream.next_sequence);
        // More than 65,535 bytes behind becomes 0, which the range excludes.
        let behind = u16::try_from(ahead.wrapping_neg()).map_or(0, usize::from);
        if (1..=MAX_MESSAGE_LEN).contains(&behind) {
            let new = arrival.bytes.get(behind..).filter(|new| !new.is_empty())?;
            return Some((found, 0, new));
        }
        match usize::try_from(ahead) {
            Ok(offset) if offset < MAX_MESSAGE_LEN => Some((found, offset, arrival.bytes)),
            _ => {
                self.deliver_partial(slot, deliver);
                Some((None, 0, arrival.bytes))
            }
        }
    }

    /// Processes a payload that is next in its direction while nothing is buffered there.
    fn accept_in_order(
        &mut self,
        hash: u32,
        key: &Key,
        slot: Option<usize>,
        arrival: Arrival<'_>,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        let Arrival { sequence, bytes, is_truncated, at } = arrival;
        let message = key.message(bytes, at);
        let needed_len = match key.message_len(bytes) {
            MessageLen::Complete => {
                deliver(&message);
                // All bytes were delivered, with the messages that may follow the first in the same segment.
                if let Some(stream) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                    let len = u32::try_from(bytes.len()).unwrap_or(0);
                    stream.next_sequence = stream.next_sequence.wrapping_add(len);
                }
                return;
            }
            MessageLen::Unrecognised => return self.release(slot),
            MessageLen::AtLeast(needed_len) => needed_len,
        };
        if is_truncated {
            // The missing bytes will never arrive.
            self.counts.partial += 1;
            deliver(&message);
            return self.release(slot);
        }
        let slot = match slot {
            Some(slot) => slot,
            None => {
                let Some(slot) = self.claim(hash, deliver) else { return deliver(&message) };
                self.start(Some(slot), *key, sequence, at);
                slot
            }
        };
        if let Some(stream) = self.slots.get_mut(slot) {
            stream.needed_len = u16::try_from(needed_len.min(MAX_MESSAGE_LEN)).unwrap_or(u16::MAX);
        }
        let _content = self.buffer(slot, 0, bytes, false, deliver);
    }

    /// Ends a direction at a FIN or RST and delivers what it buffers.
    fn close(&mut self, hash: u32, key: &Key, tcp: &Tcp<'_>, deliver: &mut dyn FnMut(&Message<'_>)) {
        let Some(slot) = self.find(hash, key) else { return };
        let end = tcp.sequence.wrapping_add(u32::try_from(tcp.payload.len()).unwrap_or(0));
        // A FIN that arrived before earlier data ends nothing yet.
        let is_last = self
            .slots
            .get(slot)
            .is_some_and(|it| end.wrapping_sub(it.next_sequence) <= u32::from(it.ranges.prefix_len()));
        if is_last || tcp.flags.has(TcpFlags::RST) {
            self.deliver_partial(slot, deliver);
        }
    }

    /// Delivers the bytes buffered without gap, if any, and releases the slot.
    fn deliver_partial(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) {
        let ready = self.join(slot);
        let Some(stream) = self.slots.get(slot) else { return };
        if ready > 0 {
            self.counts.partial += 1;
            let bytes = self.message.get(..ready).unwrap_or_default();
            deliver(&stream.key.message(bytes, stream.last_used));
        }
        self.release(Some(slot));
    }

    fn expire(&mut self, now: Timestamp, deliver: &mut dyn FnMut(&Message<'_>)) {
        while let Some(slot) = self.lru.oldest(BUFFERING) {
            let Some(stream) = self.slots.get(slot) else { return };
            // Absolute difference: after the clock was set back, streams from before it expire too.
            if now.since(stream.last_used).max(stream.last_used.since(now)) <= REASSEMBLY_TIMEOUT {
                return;
            }
            self.deliver_partial(slot, deliver);
        }
    }

    /// Frees the chunks of a slot and the slot itself; nothing for `None`.
    fn release(&mut self, slot: Option<usize>) {
        if let Some(slot) = slot {
            self.free_chunks(slot);
            self.lru.release(slot);
        }
    }

    fn free_chunks(&mut self, slot: usize) {
        let Some(stream) = self.slots.get_mut(slot) else { return };
        let chunks = core::mem::replace(&mut stream.chunks, [NO_CHUNK; MAX_CHUNKS]);
        (stream.ranges, stream.needed_len, stream.probe_count) = (RangeSet::default(), 0, 0);
        for chunk in chunks {
            self.pool.release(chunk);
        }
    }
}

#[cfg(test)]
mod tests;
