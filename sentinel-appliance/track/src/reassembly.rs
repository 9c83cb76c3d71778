//! The first messages of a stream, put together from the segments that they span.
//!
//! Read first: RFC 9293 section 3.4 (sequence numbers); "Transport and Application Protocol Scrubbing" (Malan, Watson,
//! Jahanian, Howell, 2000) for why overlaps matter.
//!
//! A hello, a request head or a DNS message that one segment holds is handed on as it is; nothing is copied and nothing
//! remembered. Only one that is cut by the end of its segment is held, in chunks from a pool, until the rest has come. A
//! direction whose opening was seen is also known to start there, so its first message may come in any order. What follows
//! the first flight is not put together: the first payload that is no message ends it.
//!
//! Of bytes that come twice the first stay. Systems differ in this; that it happened is counted ([`StreamCounts::conflicts`]).

use core::time::Duration;

use sentinel_dissect::application::message_len;
use sentinel_dissect::framing::MessageLen;
use sentinel_dissect::{Tcp, TcpFlags, quic};
use sentinel_units::Timestamp;

use crate::allocator::TableAllocator;
use crate::flow::Endpoint;
use crate::hash::HashKey;
use crate::hashed_lru::{HashedLru, Link};
use crate::range_set::RangeSet;

/// Bytes of a chunk of the pool.
pub const CHUNK_LEN: usize = 1024;
/// Most chunks of one direction.
const MAX_CHUNKS: usize = 16;
/// Most bytes held of one direction: a hello with post-quantum keys has 2 KiB, a chain of certificates 3 to 6.
pub const MAX_MESSAGE_LEN: usize = CHUNK_LEN * MAX_CHUNKS;
/// The rest of a message is waited for this long after the last of it that came.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a message may turn out longer than thought, which bounds the copying.
const MAX_PROBES: u8 = 16;
const NO_CHUNK: u16 = u16::MAX;

/// Nothing is held; the direction may start, or go on, with a message.
const WAITING: u8 = 0;
/// Part of a message is held.
const HOLDING: u8 = 1;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Key {
    source: Endpoint,
    destination: Endpoint,
    /// Tells streams of datagrams between the same ends apart; zero for TCP.
    channel: u32,
}

impl Key {
    const fn message<'b>(&self, bytes: &'b [u8], at: Timestamp) -> Message<'b> {
        Message { source: self.source, destination: self.destination, bytes, at, channel: self.channel }
    }

    fn message_len(&self, bytes: &[u8]) -> MessageLen {
        if self.channel == 0 {
            message_len(bytes, (self.source.port, self.destination.port))
        } else {
            quic::message_len(bytes)
        }
    }
}

/// One direction; the caller lends some.
#[derive(Clone, Copy, Debug)]
pub struct StreamSlot {
    key: Key,
    /// Number of the first byte that is not handed on yet.
    base: u32,
    touched: Timestamp,
    chunks: [u16; MAX_CHUNKS],
    /// What is there behind `base`.
    ranges: RangeSet,
    probes: u8,
    /// Bytes from `base` on before it is worth another look.
    need: u16,
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
    pub links: &'m mut [Link],
    /// Directions that are remembered at a time.
    pub slots: &'m mut [StreamSlot],
    /// The pool.
    pub chunks: &'m mut [[u8; CHUNK_LEN]],
    /// As many as `chunks`.
    pub free: &'m mut [u16],
    /// Where a message is put together: [`MAX_MESSAGE_LEN`] bytes.
    pub joined: &'m mut [u8],
}

impl<'m> StreamStorage<'m> {
    /// For so many directions, chunks of a pool, and bytes of one message.
    pub fn allocate(
        slots: usize,
        chunks: usize,
        joined: usize,
        allocator: &mut impl TableAllocator<'m>,
    ) -> Self {
        Self {
            heads: allocator.allocate_default(slots),
            links: allocator.allocate_default(slots),
            slots: allocator.allocate_default(slots),
            chunks: allocator.allocate(chunks, [0; CHUNK_LEN]),
            free: allocator.allocate_default(chunks),
            joined: allocator.allocate_default(joined),
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
    /// [`Piece::channel`]; zero for TCP.
    pub channel: u32,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamCounts {
    /// Messages put together from several segments.
    pub joined: u64,
    /// Messages handed on in part: the rest did not come, was cut by the capture, or is more than is held.
    pub partial: u64,
    /// Messages handed on in part because their slot or chunks were needed: those longest without a segment.
    pub evictions: u64,
    /// Segments that say other bytes than an earlier one in the same place. The first were kept.
    pub conflicts: u64,
}

/// A piece of a stream that datagrams carry (QUIC).
#[derive(Clone, Copy, Debug)]
pub struct Piece<'b> {
    /// Tells streams between the same ends apart; odd.
    pub channel: u32,
    /// Where in the stream it belongs, in bytes.
    pub offset: u32,
    /// Its bytes.
    pub bytes: &'b [u8],
}

/// What bytes that were kept turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    /// A message, or its start.
    Message,
    /// Nothing that is read; it was let go.
    NoMessage,
}

/// Directions whose first flight goes on.
#[derive(Debug)]
pub struct Streams<'m> {
    lru: HashedLru<'m>,
    slots: &'m mut [StreamSlot],
    chunks: &'m mut [[u8; CHUNK_LEN]],
    free: &'m mut [u16],
    free_count: usize,
    joined: &'m mut [u8],
    /// How it went.
    pub counts: StreamCounts,
}

impl<'m> Streams<'m> {
    /// Over lent storage.
    #[must_use]
    pub fn new(storage: StreamStorage<'m>) -> Self {
        let StreamStorage { heads, links, slots, chunks, free, joined } = storage;
        let count = links.len().min(slots.len());
        let lru = HashedLru::new(heads, links.get_mut(..count).unwrap_or_default());
        let chunk_count = chunks.len().min(free.len()).min(usize::from(NO_CHUNK));
        let mut streams =
            Self { lru, slots, chunks, free, free_count: 0, joined, counts: StreamCounts::default() };
        for index in 0..chunk_count {
            streams.give_back(u16::try_from(index).unwrap_or(NO_CHUNK));
        }
        streams
    }

    /// Takes in a TCP segment and hands the messages that it completes to `deliver`, among them those of other streams
    /// that are given up meanwhile.
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
        let hash = hash(key, &wanted);
        let mut found = self.find(hash, &wanted);
        // A SYN takes one number; bytes with it (RFC 7413) come behind that.
        let mut sequence = tcp.sequence;
        if tcp.flags.has(TcpFlags::SYN) {
            sequence = sequence.wrapping_add(1);
            found = match found {
                Some(slot) => {
                    self.drop_chunks(slot);
                    Some(slot)
                }
                None => self.claim(hash, deliver),
            };
            self.start(found, wanted, sequence, now);
        }
        if !tcp.payload.is_empty() && !tcp.flags.has(TcpFlags::RST) {
            let is_cut = u32::try_from(tcp.payload.len()).is_ok_and(|len| len < tcp.payload_wire_len);
            self.bytes(hash, &wanted, found, sequence, tcp.payload, is_cut, now, deliver);
        }
        if tcp.flags.has_any(TcpFlags(TcpFlags::FIN.0 | TcpFlags::RST.0))
            && let Some(slot) = self.find(hash, &wanted)
        {
            let end = tcp.sequence.wrapping_add(u32::try_from(tcp.payload.len()).unwrap_or(0));
            // A FIN that overtook what comes before it ends nothing yet.
            let is_last = self
                .slots
                .get(slot)
                .is_some_and(|it| end.wrapping_sub(it.base) <= u32::from(it.ranges.ready()));
            if is_last || tcp.flags.has(TcpFlags::RST) {
                self.give_up(slot, deliver);
            }
        }
    }

    /// The same for a piece of a stream that datagrams carry.
    pub fn piece(
        &mut self,
        key: &HashKey,
        endpoints: (Endpoint, Endpoint),
        piece: &Piece<'_>,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        self.expire(now, deliver);
        let wanted = Key { source: endpoints.0, destination: endpoints.1, channel: piece.channel | 1 };
        let hash = hash(key, &wanted);
        let mut found = self.find(hash, &wanted);
        if found.is_none() {
            found = self.claim(hash, deliver);
            self.start(found, wanted, 0, now);
        }
        if !piece.bytes.is_empty() && found.is_some() {
            self.bytes(hash, &wanted, found, piece.offset, piece.bytes, false, now, deliver);
        }
    }

    /// Chunks of the pool that hold something.
    #[must_use]
    pub fn chunks_in_use(&self) -> usize {
        self.chunks.len().min(self.free.len()).saturating_sub(self.free_count)
    }

    /// Hands on what is held, whole or not.
    pub fn finish(&mut self, deliver: &mut dyn FnMut(&Message<'_>)) {
        for list in [HOLDING, WAITING] {
            while let Some(slot) = self.lru.oldest(list) {
                self.give_up(slot, deliver);
            }
        }
    }

    fn find(&self, hash: u32, wanted: &Key) -> Option<usize> {
        if self.lru.is_empty() {
            return None;
        }
        self.lru.find(hash, &mut |slot| self.slots.get(slot).is_some_and(|other| other.key == *wanted))
    }

    /// A slot that is free, or made free.
    fn claim(&mut self, hash: u32, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<usize> {
        if let Some(slot) = self.lru.claim(hash, WAITING) {
            return Some(slot);
        }
        let slot = match self.lru.oldest(WAITING) {
            Some(slot) => slot,
            None => {
                self.counts.evictions += 1;
                self.lru.oldest(HOLDING)?
            }
        };
        self.give_up(slot, deliver);
        self.lru.claim(hash, WAITING)
    }

    fn start(&mut self, slot: Option<usize>, key: Key, base: u32, now: Timestamp) {
        let Some(slot) = slot else { return };
        self.lru.touch(slot, WAITING);
        if let Some(stream) = self.slots.get_mut(slot) {
            *stream = StreamSlot { key, base, touched: now, ..StreamSlot::default() };
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one caller for TCP and one for datagrams")]
    fn bytes(
        &mut self,
        hash: u32,
        key: &Key,
        found: Option<usize>,
        sequence: u32,
        bytes: &[u8],
        is_cut: bool,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        let (mut bytes, mut offset, mut slot) = (bytes, 0, found);
        if let Some(stream) = found.and_then(|slot| self.slots.get_mut(slot)) {
            stream.touched = now;
            let ahead = sequence.wrapping_sub(stream.base);
            let (known, is_ahead) = match u16::try_from(ahead.wrapping_neg()) {
                Ok(known) if known > 0 => (usize::from(known), false),
                _ => (0, true),
            };
            if !is_ahead && known <= MAX_MESSAGE_LEN {
                match bytes.get(known..) {
                    Some(rest) if !rest.is_empty() => bytes = rest,
                    _ => return, // sent again
                }
            } else if usize::try_from(ahead).is_ok_and(|ahead| ahead < MAX_MESSAGE_LEN) {
                offset = usize::try_from(ahead).unwrap_or(0);
            } else {
                // Much was missed, or somebody opened this direction again with other numbers.
                if let Some(slot) = slot.take() {
                    self.give_up(slot, deliver);
                }
            }
        }
        let holds = slot.and_then(|slot| self.slots.get(slot)).is_some_and(|it| !it.ranges.is_empty());
        if holds || offset > 0 {
            let Some(slot) = slot else { return };
            if self.hold(slot, offset, bytes, is_cut, deliver) == Held::NoMessage && offset > 0 {
                // What came before was no message; this may still start one.
                self.bytes(hash, key, None, sequence, bytes, is_cut, now, deliver);
            }
            return;
        }
        let message = key.message(bytes, now);
        let need = match key.message_len(bytes) {
            MessageLen::Complete => {
                deliver(&message);
                if let Some(stream) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                    stream.base = stream.base.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
                }
                return;
            }
            MessageLen::Unrecognised => {
                if let Some(slot) = slot {
                    self.lru.release(slot);
                }
                return;
            }
            MessageLen::AtLeast(need) => need,
        };
        if is_cut {
            self.counts.partial += 1;
            deliver(&message);
            if let Some(slot) = slot {
                self.lru.release(slot);
            }
            return;
        }
        let slot = match slot {
            Some(slot) => slot,
            None => {
                let Some(slot) = self.claim(hash, deliver) else { return deliver(&message) };
                self.start(Some(slot), *key, sequence, now);
                slot
            }
        };
        if let Some(stream) = self.slots.get_mut(slot) {
            stream.need = u16::try_from(need.min(MAX_MESSAGE_LEN)).unwrap_or(u16::MAX);
        }
        let _waits = self.hold(slot, 0, bytes, false, deliver);
    }

    /// Keeps bytes, and hands the message on once it is whole. Holds nothing any more if it was none.
    fn hold(
        &mut self,
        slot: usize,
        offset: usize,
        bytes: &[u8],
        is_cut: bool,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Held {
        let kept = bytes.get(..MAX_MESSAGE_LEN.saturating_sub(offset)).unwrap_or(bytes);
        let is_stored = self.store(slot, offset, kept, deliver);
        let Some(stream) = self.slots.get(slot) else { return Held::Message };
        let ready = stream.ranges.ready();
        self.lru.touch(slot, HOLDING);
        if !is_stored || is_cut {
            self.give_up(slot, deliver);
        } else if ready > 0 && ready >= stream.need {
            return self.look(slot, deliver);
        }
        Held::Message
    }

    /// Copies to the chunks what is not there yet. False if there was no room.
    fn store(
        &mut self,
        slot: usize,
        offset: usize,
        bytes: &[u8],
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> bool {
        let end = offset + bytes.len();
        let mut conflict = false;
        let mut at = offset;
        while at < end {
            let Some(stream) = self.slots.get(slot) else { return false };
            let (is_known, border) = stream.ranges.run_from(at);
            let stop = border.min(end).min((at / CHUNK_LEN + 1) * CHUNK_LEN);
            let index = at / CHUNK_LEN;
            let chunk = match stream.chunks.get(index).copied() {
                Some(NO_CHUNK) => {
                    let Some(chunk) = self.take_chunk(slot, deliver) else { return false };
                    if let Some(place) = self.slots.get_mut(slot).and_then(|it| it.chunks.get_mut(index)) {
                        *place = chunk;
                    }
                    chunk
                }
                Some(chunk) => chunk,
                None => return false,
            };
            let start = at % CHUNK_LEN;
            let (Some(from), Some(to)) = (
                bytes.get(at - offset..stop - offset),
                self.chunks.get_mut(usize::from(chunk)).and_then(|it| it.get_mut(start..start + (stop - at))),
            ) else {
                return false;
            };
            if is_known {
                conflict |= from != to;
            } else {
                to.copy_from_slice(from);
            }
            at = stop;
        }
        self.counts.conflicts += u64::from(conflict);
        let (Ok(from), Ok(to)) = (u16::try_from(offset), u16::try_from(end)) else { return false };
        self.slots.get_mut(slot).is_some_and(|stream| stream.ranges.add(from, to))
    }

    /// Looks whether what is ready is a whole message.
    fn look(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Held {
        let Some(stream) = self.slots.get(slot) else { return Held::Message };
        let (key, touched) = (stream.key, stream.touched);
        let ready = self.join(slot);
        let bytes = self.joined.get(..ready).unwrap_or_default();
        match key.message_len(bytes) {
            MessageLen::AtLeast(need) if ready < MAX_MESSAGE_LEN => {
                let Some(stream) = self.slots.get_mut(slot) else { return Held::Message };
                stream.probes += 1;
                stream.need = u16::try_from(need.clamp(ready + 1, MAX_MESSAGE_LEN)).unwrap_or(u16::MAX);
                if stream.probes > MAX_PROBES {
                    self.give_up(slot, deliver);
                }
            }
            MessageLen::AtLeast(_) => self.give_up(slot, deliver),
            MessageLen::Unrecognised => {
                self.drop_chunks(slot);
                self.lru.release(slot);
                return Held::NoMessage;
            }
            MessageLen::Complete => {
                self.counts.joined += 1;
                deliver(&key.message(bytes, touched));
                self.drop_chunks(slot);
                self.lru.touch(slot, WAITING);
                if let Some(stream) = self.slots.get_mut(slot) {
                    let base = stream.base.wrapping_add(u32::try_from(ready).unwrap_or(0));
                    *stream = StreamSlot { key, base, touched: stream.touched, ..StreamSlot::default() };
                }
            }
        }
        Held::Message
    }

    /// Copies what is ready to one place; gives its length.
    fn join(&mut self, slot: usize) -> usize {
        let Some(stream) = self.slots.get(slot) else { return 0 };
        let ready = usize::from(stream.ranges.ready()).min(self.joined.len());
        let lru = self.joined.get_mut(..ready).unwrap_or_default().chunks_mut(CHUNK_LEN);
        for (place, chunk) in lru.zip(stream.chunks) {
            if let Some(bytes) = self.chunks.get(usize::from(chunk)).and_then(|it| it.get(..place.len())) {
                place.copy_from_slice(bytes);
            }
        }
        ready
    }

    /// Hands on what there is and forgets the direction.
    fn give_up(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) {
        let ready = self.join(slot);
        let Some(stream) = self.slots.get(slot) else { return };
        if ready > 0 {
            self.counts.partial += 1;
            let bytes = self.joined.get(..ready).unwrap_or_default();
            deliver(&stream.key.message(bytes, stream.touched));
        }
        self.drop_chunks(slot);
        self.lru.release(slot);
    }

    fn expire(&mut self, now: Timestamp, deliver: &mut dyn FnMut(&Message<'_>)) {
        while let Some(slot) = self.lru.oldest(HOLDING) {
            let Some(stream) = self.slots.get(slot) else { return };
            if now.since(stream.touched).max(stream.touched.since(now)) <= REASSEMBLY_TIMEOUT {
                return;
            }
            self.give_up(slot, deliver);
        }
    }

    /// A chunk that is free, or was held by another stream.
    fn take_chunk(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<u16> {
        if self.free_count == 0 {
            let oldest = self.lru.oldest(HOLDING)?;
            let victim = if oldest == slot { self.lru.newer(oldest)? } else { oldest };
            self.counts.evictions += 1;
            self.give_up(victim, deliver);
        }
        self.free_count = self.free_count.checked_sub(1)?;
        self.free.get(self.free_count).copied()
    }

    fn drop_chunks(&mut self, slot: usize) {
        let Some(stream) = self.slots.get_mut(slot) else { return };
        let chunks = core::mem::replace(&mut stream.chunks, [NO_CHUNK; MAX_CHUNKS]);
        (stream.ranges, stream.need, stream.probes) = (RangeSet::default(), 0, 0);
        for chunk in chunks {
            self.give_back(chunk);
        }
    }

    fn give_back(&mut self, chunk: u16) {
        if chunk != NO_CHUNK
            && let Some(place) = self.free.get_mut(self.free_count)
        {
            *place = chunk;
            self.free_count += 1;
        }
    }
}

fn hash(key: &HashKey, wanted: &Key) -> u32 {
    let ports = u32::from(wanted.source.port.0) << 16 | u32::from(wanted.destination.port.0);
    let ([a, b, c, d], [e, f, g, h]) = (wanted.source.address.words(), wanted.destination.address.words());
    key.words([a, b, c, d, e, f, g, h, ports, wanted.channel])
}

#[cfg(test)]
mod tests;
