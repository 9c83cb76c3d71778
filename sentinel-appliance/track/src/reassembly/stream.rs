//! One direction of a stream: its key, its slot, the storage for all slots, and the messages found in it.

use sentinel_dissect::framing::{Probe, probe, probe_handshake};
use sentinel_units::Timestamp;

use super::pool::NO_CHUNK;
use super::{CHUNK_LEN, MAX_CHUNKS};
use crate::allocator::TableAllocator;
use crate::flow::Endpoint;
use crate::hash::HashKey;
use crate::hashed_lru::LruLink;
use crate::range_set::RangeSet;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    /// [`CryptoData::channel`]; zero for TCP.
    pub(super) channel: u32,
}

impl Key {
    pub(super) const fn message<'b>(&self, bytes: &'b [u8], at: Timestamp) -> Message<'b> {
        Message { source: self.source, destination: self.destination, bytes, at, channel: self.channel }
    }

    /// Returns whether `bytes` begin with a complete message, the start of one, or neither.
    pub(super) fn probe(&self, bytes: &[u8]) -> Probe {
        if self.channel == 0 {
            probe(bytes, (self.source.port, self.destination.port))
        } else {
            probe_handshake(bytes)
        }
    }

    pub(super) fn hash(&self, key: &HashKey) -> u32 {
        let ports = u32::from(self.source.port.0) << 16 | u32::from(self.destination.port.0);
        let ([a, b, c, d], [e, f, g, h]) = (self.source.address.words(), self.destination.address.words());
        key.hash32([a, b, c, d, e, f, g, h, ports, self.channel])
    }
}

/// Slot of one direction of a stream; the caller lends some.
//
// Invariants:
// - `ranges` and `chunks` count from `next_sequence`: byte `n` behind it is byte `n % CHUNK_LEN` of `chunks[n / CHUNK_LEN]`.
// - Every byte in `ranges` lies in an allocated chunk. The reverse does not hold: a chunk is allocated whole.
// - A slot is on the list `BUFFERING` if `ranges` is not empty, else on `EMPTY`.
#[derive(Clone, Copy, Debug)]
pub struct StreamSlot {
    pub(super) key: Key,
    /// Sequence number of the first byte that is not delivered.
    pub(super) next_sequence: u32,
    pub(super) last_used: Timestamp,
    pub(super) chunks: [u16; MAX_CHUNKS],
    /// Bytes buffered behind `next_sequence`.
    pub(super) ranges: RangeSet,
    pub(super) probe_count: u8,
    /// Number of bytes without gap below which the message cannot be complete, so that probing would be wasted.
    pub(super) needed_len: u16,
}

impl StreamSlot {
    /// Slot with nothing buffered.
    pub(super) fn new(key: Key, next_sequence: u32, last_used: Timestamp) -> Self {
        Self { key, next_sequence, last_used, ..Self::default() }
    }
}

impl Default for StreamSlot {
    fn default() -> Self {
        Self {
            key: Key::default(),
            next_sequence: 0,
            last_used: Timestamp::ZERO,
            chunks: [NO_CHUNK; MAX_CHUNKS],
            ranges: RangeSet::default(),
            probe_count: 0,
            needed_len: 0,
        }
    }
}

/// Storage of [`super::Streams`], lent by the caller.
#[derive(Debug)]
pub struct StreamStorage<'m> {
    /// Heads of hash chains, best as many as `slots`.
    pub heads: &'m mut [u32],
    /// Links, as many as `slots`.
    pub links: &'m mut [LruLink],
    /// Directions remembered at a time.
    pub slots: &'m mut [StreamSlot],
    /// Chunks of the pool.
    pub chunks: &'m mut [[u8; CHUNK_LEN]],
    /// Free list, as many as `chunks`.
    pub free: &'m mut [u16],
    /// Buffer in which the chunks of a message are joined: [`super::MAX_MESSAGE_LEN`] bytes. A shorter one shortens the
    /// messages.
    pub message: &'m mut [u8],
}

impl<'m> StreamStorage<'m> {
    /// Allocates storage for `slots` directions, `chunks` chunks and a message of `message_len` bytes.
    pub fn allocate(
        slots: usize,
        chunks: usize,
        message_len: usize,
        allocator: &mut impl TableAllocator<'m>,
    ) -> Self {
        Self {
            heads: allocator.allocate_default(slots),
            links: allocator.allocate_default(slots),
            slots: allocator.allocate_default(slots),
            chunks: allocator.allocate(chunks, [0; CHUNK_LEN]),
            free: allocator.allocate_default(chunks),
            message: allocator.allocate_default(message_len),
        }
    }
}

/// Message of an application protocol, or its beginning if the remainder was lost.
#[derive(Clone, Copy, Debug)]
pub struct Message<'b> {
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Bytes of the message. If one segment held it, other messages may follow in the same bytes.
    pub bytes: &'b [u8],
    /// Packet time of the last segment received of it.
    pub at: Timestamp,
    /// [`CryptoData::channel`]; zero for TCP.
    pub channel: u32,
}

/// Counters of a [`super::Streams`] table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamCounts {
    /// Messages reassembled from several segments.
    pub reassembled: u64,
    /// Messages delivered in part because the remainder did not arrive in time, was truncated by the snap length, or exceeds
    /// [`super::MAX_MESSAGE_LEN`]; evicted messages are among them.
    pub partial: u64,
    /// Streams evicted because all slots or all chunks were in use: the least recently used one that buffers bytes.
    pub evictions: u64,
    /// Segments with bytes that differ from those received earlier for the same sequence numbers. The first were kept.
    pub conflicts: u64,
}

/// Data of a QUIC CRYPTO frame (RFC 9000 section 19.6): bytes at an offset of a stream that datagrams carry.
#[derive(Clone, Copy, Debug)]
pub struct CryptoData<'b> {
    /// Identifier that distinguishes connections between the same endpoints; odd, because zero stands for TCP.
    pub channel: u32,
    /// Offset in the stream, in bytes.
    pub offset: u32,
    /// Bytes of the frame.
    pub bytes: &'b [u8],
}
