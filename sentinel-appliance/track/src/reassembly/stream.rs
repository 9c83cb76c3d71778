//! One direction of a stream, and the messages in it.

use sentinel_dissect::framing::{Probe, probe, probe_handshake};
use sentinel_units::Timestamp;

use super::{CHUNK_LEN, MAX_CHUNKS, NO_CHUNK};
use crate::allocator::TableAllocator;
use crate::flow::Endpoint;
use crate::hashed_lru::LruLink;
use crate::range_set::RangeSet;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    /// Tells streams of datagrams between the same ends apart; zero for TCP.
    pub(super) channel: u32,
}

impl Key {
    pub(super) const fn message<'b>(&self, bytes: &'b [u8], at: Timestamp) -> Message<'b> {
        Message { source: self.source, destination: self.destination, bytes, at, channel: self.channel }
    }

    pub(super) fn probe(&self, bytes: &[u8]) -> Probe {
        if self.channel == 0 {
            probe(bytes, (self.source.port, self.destination.port))
        } else {
            probe_handshake(bytes)
        }
    }
}

/// One direction; the caller lends some.
#[derive(Clone, Copy, Debug)]
pub struct StreamSlot {
    pub(super) key: Key,
    /// Number of the first byte that is not handed on yet.
    pub(super) base: u32,
    pub(super) touched: Timestamp,
    pub(super) chunks: [u16; MAX_CHUNKS],
    /// What is there behind `base`.
    pub(super) ranges: RangeSet,
    pub(super) probes: u8,
    /// Bytes from `base` on before it is worth another look.
    pub(super) need: u16,
}

impl Default for StreamSlot {
    fn default() -> Self {
        Self {
            key: Key::default(),
            base: 0,
            touched: Timestamp::ZERO,
            chunks: [NO_CHUNK; MAX_CHUNKS],
            ranges: RangeSet::default(),
            probes: 0,
            need: 0,
        }
    }
}

/// What the caller lends.
#[derive(Debug)]
pub struct StreamStorage<'m> {
    /// Best as many as `slots`.
    pub heads: &'m mut [u32],
    /// As many as `slots`.
    pub links: &'m mut [LruLink],
    /// Directions that are remembered at a time.
    pub slots: &'m mut [StreamSlot],
    /// The pool.
    pub chunks: &'m mut [[u8; CHUNK_LEN]],
    /// As many as `chunks`.
    pub free: &'m mut [u16],
    /// Where a message is put together: [`MAX_MESSAGE_LEN`] bytes.
    pub message: &'m mut [u8],
}

impl<'m> StreamStorage<'m> {
    /// For so many directions, chunks of a pool, and bytes of one message.
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

/// A message, or what there is of it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'b> {
    /// Who sent it.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// Its bytes.
    pub bytes: &'b [u8],
    /// When the last of them came.
    pub at: Timestamp,
    /// [`CryptoData::channel`]; zero for TCP.
    pub channel: u32,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamCounts {
    /// Messages put together from several segments.
    pub reassembled: u64,
    /// Messages handed on in part: the rest did not come, was cut by the capture, or is more than is held.
    pub partial: u64,
    /// Messages handed on in part because their slot or chunks were needed: those longest without a segment.
    pub evictions: u64,
    /// Segments that say other bytes than an earlier one in the same place. The first were kept.
    pub conflicts: u64,
}

/// A piece of a stream that datagrams carry (QUIC).
#[derive(Clone, Copy, Debug)]
pub struct CryptoData<'b> {
    /// Tells streams between the same ends apart; odd.
    pub channel: u32,
    /// Where in the stream it belongs, in bytes.
    pub offset: u32,
    /// Its bytes.
    pub bytes: &'b [u8],
}
