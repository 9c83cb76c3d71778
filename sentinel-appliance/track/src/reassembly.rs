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

use sentinel_dissect::flight::{Probe, probe, probe_handshake};
use sentinel_dissect::{Tcp, TcpFlags};
use sentinel_units::Timestamp;

use crate::flow::End;
use crate::hash::HashKey;
use crate::places::{Link, Places};
use crate::stretch::Stretches;

/// Bytes of a chunk of the pool.
pub const CHUNK_LEN: usize = 1024;
/// Most chunks of one direction.
const MAX_CHUNKS: usize = 16;
/// Most bytes held of one direction: a hello with post-quantum keys has 2 KiB, a chain of certificates 3 to 6.
pub const LONGEST_FLIGHT: usize = CHUNK_LEN * MAX_CHUNKS;
/// The rest of a message is waited for this long after the last of it that came.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often a message may turn out longer than thought, which bounds the copying.
const MAX_PROBES: u8 = 16;
const NO_CHUNK: u16 = u16::MAX;

/// Nothing is held; the direction may start, or go on, with a message.
const WAITING: u8 = 0;
/// Part of a message is held.
const HOLDING: u8 = 1;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Key {
    source: End,
    destination: End,
    /// Tells streams of datagrams between the same ends apart; zero for TCP.
    channel: u32,
}

impl Key {
    const fn message<'b>(&self, bytes: &'b [u8], at: Timestamp) -> Message<'b> {
        Message { source: self.source, destination: self.destination, bytes, at, channel: self.channel }
    }

    fn probe(&self, bytes: &[u8]) -> Probe {
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
    key: Key,
    /// Number of the first byte that is not handed on yet.
    base: u32,
    touched: Timestamp,
    chunks: [u16; MAX_CHUNKS],
    /// What is there behind `base`.
    stretches: Stretches,
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
            stretches: Stretches::default(),
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
    /// Where a message is put together: [`LONGEST_FLIGHT`] bytes.
    pub joined: &'m mut [u8],
}

/// A message, or what there is of it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'b> {
    /// Who sent it.
    pub source: End,
    /// To whom.
    pub destination: End,
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
    places: Places<'m>,
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
        let places = Places::new(heads, links.get_mut(..count).unwrap_or_default());
        let chunk_count = chunks.len().min(free.len()).min(usize::from(NO_CHUNK));
        let mut streams =
            Self { places, slots, chunks, free, free_count: 0, joined, counts: StreamCounts::default() };
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
        ends: (End, End),
        tcp: &Tcp<'_>,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        self.expire(now, deliver);
        let wanted = Key { source: ends.0, destination: ends.1, channel: 0 };
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
                .is_some_and(|it| end.wrapping_sub(it.base) <= u32::from(it.stretches.ready()));
            if is_last || tcp.flags.has(TcpFlags::RST) {
                self.give_up(slot, deliver);
            }
        }
    }

    /// The same for a piece of a stream that datagrams carry.
    pub fn piece(
        &mut self,
        key: &HashKey,
        ends: (End, End),
        piece: &Piece<'_>,
        now: Timestamp,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) {
        self.expire(now, deliver);
        let wanted = Key { source: ends.0, destination: ends.1, channel: piece.channel | 1 };
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

    /// Hands on what is held, whole or not.
    pub fn finish(&mut self, deliver: &mut dyn FnMut(&Message<'_>)) {
        for list in [HOLDING, WAITING] {
            while let Some(slot) = self.places.oldest(list) {
                self.give_up(slot, deliver);
            }
        }
    }

    fn find(&self, hash: u32, wanted: &Key) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        self.places.find(hash, &mut |slot| self.slots.get(slot).is_some_and(|other| other.key == *wanted))
    }

    /// A slot that is free, or made free.
    fn claim(&mut self, hash: u32, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<usize> {
        if let Some(slot) = self.places.claim(hash, WAITING) {
            return Some(slot);
        }
        let slot = match self.places.oldest(WAITING) {
            Some(slot) => slot,
            None => {
                self.counts.evictions += 1;
                self.places.oldest(HOLDING)?
            }
        };
        self.give_up(slot, deliver);
        self.places.claim(hash, WAITING)
    }

    fn start(&mut self, slot: Option<usize>, key: Key, base: u32, now: Timestamp) {
        let Some(slot) = slot else { return };
        self.places.touch(slot, WAITING);
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
            if !is_ahead && known <= LONGEST_FLIGHT {
                match bytes.get(known..) {
                    Some(rest) if !rest.is_empty() => bytes = rest,
                    _ => return, // sent again
                }
            } else if usize::try_from(ahead).is_ok_and(|ahead| ahead < LONGEST_FLIGHT) {
                offset = usize::try_from(ahead).unwrap_or(0);
            } else {
                // Much was missed, or somebody opened this direction again with other numbers.
                if let Some(slot) = slot.take() {
                    self.give_up(slot, deliver);
                }
            }
        }
        let holds = slot.and_then(|slot| self.slots.get(slot)).is_some_and(|it| !it.stretches.is_empty());
        if holds || offset > 0 {
            let Some(slot) = slot else { return };
            if self.hold(slot, offset, bytes, is_cut, deliver) == Held::NoMessage && offset > 0 {
                // What came before was no message; this may still start one.
                self.bytes(hash, key, None, sequence, bytes, is_cut, now, deliver);
            }
            return;
        }
        let message = key.message(bytes, now);
        let need = match key.probe(bytes) {
            Probe::Whole => {
                deliver(&message);
                if let Some(stream) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                    stream.base = stream.base.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
                }
                return;
            }
            Probe::Other => {
                if let Some(slot) = slot {
                    self.places.release(slot);
                }
                return;
            }
            Probe::More(need) => need,
        };
        if is_cut {
            self.counts.partial += 1;
            deliver(&message);
            if let Some(slot) = slot {
                self.places.release(slot);
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
            stream.need = u16::try_from(need.min(LONGEST_FLIGHT)).unwrap_or(u16::MAX);
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
        let kept = bytes.get(..LONGEST_FLIGHT.saturating_sub(offset)).unwrap_or(bytes);
        let is_stored = self.store(slot, offset, kept, deliver);
        let Some(stream) = self.slots.get(slot) else { return Held::Message };
        let ready = stream.stretches.ready();
        self.places.touch(slot, HOLDING);
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
            let (is_known, border) = stream.stretches.run_from(at);
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
        self.slots.get_mut(slot).is_some_and(|stream| stream.stretches.add(from, to))
    }

    /// Looks whether what is ready is a whole message.
    fn look(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Held {
        let Some(stream) = self.slots.get(slot) else { return Held::Message };
        let (key, touched) = (stream.key, stream.touched);
        let ready = self.join(slot);
        let bytes = self.joined.get(..ready).unwrap_or_default();
        match key.probe(bytes) {
            Probe::More(need) if ready < LONGEST_FLIGHT => {
                let Some(stream) = self.slots.get_mut(slot) else { return Held::Message };
                stream.probes += 1;
                stream.need = u16::try_from(need.clamp(ready + 1, LONGEST_FLIGHT)).unwrap_or(u16::MAX);
                if stream.probes > MAX_PROBES {
                    self.give_up(slot, deliver);
                }
            }
            Probe::More(_) => self.give_up(slot, deliver),
            Probe::Other => {
                self.drop_chunks(slot);
                self.places.release(slot);
                return Held::NoMessage;
            }
            Probe::Whole => {
                self.counts.joined += 1;
                deliver(&key.message(bytes, touched));
                self.drop_chunks(slot);
                self.places.touch(slot, WAITING);
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
        let ready = usize::from(stream.stretches.ready()).min(self.joined.len());
        let places = self.joined.get_mut(..ready).unwrap_or_default().chunks_mut(CHUNK_LEN);
        for (place, chunk) in places.zip(stream.chunks) {
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
        self.places.release(slot);
    }

    fn expire(&mut self, now: Timestamp, deliver: &mut dyn FnMut(&Message<'_>)) {
        while let Some(slot) = self.places.oldest(HOLDING) {
            let Some(stream) = self.slots.get(slot) else { return };
            if now.since(stream.touched).max(stream.touched.since(now)) <= PATIENCE {
                return;
            }
            self.give_up(slot, deliver);
        }
    }

    /// A chunk that is free, or was held by another stream.
    fn take_chunk(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<u16> {
        if self.free_count == 0 {
            let oldest = self.places.oldest(HOLDING)?;
            let victim = if oldest == slot { self.places.newer(oldest)? } else { oldest };
            self.counts.evictions += 1;
            self.give_up(victim, deliver);
        }
        self.free_count = self.free_count.checked_sub(1)?;
        self.free.get(self.free_count).copied()
    }

    fn drop_chunks(&mut self, slot: usize) {
        let Some(stream) = self.slots.get_mut(slot) else { return };
        let chunks = core::mem::replace(&mut stream.chunks, [NO_CHUNK; MAX_CHUNKS]);
        (stream.stretches, stream.need, stream.probes) = (Stretches::default(), 0, 0);
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
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::{Address, Port};
    use std::vec;
    use std::vec::Vec;

    const KEY: HashKey = HashKey::new(1);
    const CLIENT: End = End { address: Address::v4(0x0a00_0001), port: Port(40_000) };
    const SERVER: End = End { address: Address::v4(0x0a00_0002), port: Port(80) };
    const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: test\r\n\r\n";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_000 + seconds, 0)
    }

    fn segment(sequence: u32, flags: u8, payload: &[u8]) -> Tcp<'_> {
        Tcp {
            source_port: CLIENT.port,
            destination_port: SERVER.port,
            sequence,
            acknowledgement: 0,
            flags: TcpFlags(flags),
            window: 0,
            options: &[],
            payload,
            payload_wire_len: u32::try_from(payload.len()).unwrap(),
        }
    }

    /// What comes out of segments of one direction, each with its second, and the counters.
    fn run(slots: usize, chunks: usize, segments: &[(u64, End, Tcp<'_>)]) -> (Vec<Vec<u8>>, StreamCounts) {
        let (mut heads, mut links, mut store) =
            (vec![0; slots], vec![Link::default(); slots], vec![StreamSlot::default(); slots]);
        let (mut pool, mut free, mut joined) =
            (vec![[0; CHUNK_LEN]; chunks], vec![0; chunks], vec![0; LONGEST_FLIGHT]);
        let mut streams = Streams::new(StreamStorage {
            heads: &mut heads,
            links: &mut links,
            slots: &mut store,
            chunks: &mut pool,
            free: &mut free,
            joined: &mut joined,
        });
        let mut out = Vec::new();
        let mut deliver = |message: &Message<'_>| out.push(message.bytes.to_vec());
        for (seconds, source, tcp) in segments {
            streams.segment(&KEY, (*source, SERVER), tcp, at(*seconds), &mut deliver);
        }
        streams.finish(&mut deliver);
        assert_eq!(streams.free_count, chunks, "a chunk was lost");
        assert!(streams.places.is_empty());
        (out, streams.counts)
    }

    /// One direction, all at once.
    fn put(segments: &[Tcp<'_>]) -> (Vec<Vec<u8>>, StreamCounts) {
        let segments: Vec<_> = segments.iter().map(|tcp| (0, CLIENT, *tcp)).collect();
        run(8, 32, &segments)
    }

    const SYN: u8 = 2;
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x11;
    const RST: u8 = 4;

    #[test]
    fn a_message_in_one_segment_is_handed_on_as_it_is() {
        let (out, counts) = put(&[segment(7, SYN, &[]), segment(8, ACK, REQUEST)]);
        assert_eq!((out, counts), (vec![REQUEST.to_vec()], StreamCounts::default()));
        let (out, _) = put(&[segment(8, ACK, REQUEST)]);
        assert_eq!(out, [REQUEST], "the SYN need not be seen");
    }

    #[test]
    fn every_way_to_cut_a_message_in_two_gives_it_whole() {
        // numbers that run over, and the second half first
        for start in [0, u32::MAX - 20] {
            for cut in 1..REQUEST.len() {
                let (first, second) = REQUEST.split_at(cut);
                let behind = start.wrapping_add(1 + u32::try_from(cut).unwrap());
                let syn = segment(start, SYN, &[]);
                let (one, two) = (segment(start.wrapping_add(1), ACK, first), segment(behind, ACK, second));
                for order in [[one, two], [two, one]] {
                    let (out, counts) = put(&[syn, order[0], order[1]]);
                    assert_eq!(out, [REQUEST], "{cut}");
                    assert_eq!((counts.joined, counts.partial, counts.conflicts), (1, 0, 0));
                }
                if cut >= 5 {
                    assert_eq!(put(&[one, two]).0, [REQUEST], "known by its content, {cut}");
                }
            }
        }
    }

    #[test]
    fn bytes_that_come_again_do_not_count_and_the_first_stay() {
        let (head, tail) = REQUEST.split_at(30);
        let evil = [b'X'; 20];
        let segments = [
            segment(0, SYN, &[]),
            segment(1, ACK, head),
            segment(1, ACK, head),   // sent again
            segment(11, ACK, &evil), // inside what is there
            segment(31, ACK, tail),
            segment(1, ACK, REQUEST), // after it was handed on
        ];
        let (out, counts) = put(&segments);
        assert_eq!(out, [REQUEST]);
        assert_eq!((counts.conflicts, counts.joined), (1, 1));
    }

    #[test]
    fn an_overlap_fills_what_is_missing_only() {
        let segments = [
            segment(0, SYN, &[]),
            segment(11, ACK, &REQUEST[10..20]),
            segment(31, ACK, &REQUEST[30..40]),
            segment(1, ACK, REQUEST),
        ];
        assert_eq!(put(&segments).0, [REQUEST]);
    }

    #[test]
    fn the_end_of_a_connection_hands_on_what_there_is() {
        let half = &REQUEST[..30];
        for last in [segment(31, FIN, &[]), segment(31, RST, &[])] {
            let (out, counts) = put(&[segment(0, SYN, &[]), segment(1, ACK, half), last]);
            assert_eq!((out, counts.partial), (vec![half.to_vec()], 1));
        }
        // a FIN that overtook the rest
        let tail = &REQUEST[30..];
        let end = u32::try_from(REQUEST.len()).unwrap() + 1;
        let (out, _) = put(&[segment(1, ACK, half), segment(end, FIN, &[]), segment(31, ACK, tail)]);
        assert_eq!(out, [REQUEST]);
    }

    #[test]
    fn bytes_that_came_with_the_syn_count() {
        let (head, tail) = REQUEST.split_at(30);
        let (out, _) = put(&[segment(0, SYN, head), segment(31, ACK, tail)]);
        assert_eq!(out, [REQUEST]);
        // the server did not take them
        let (out, _) = put(&[segment(0, SYN, head), segment(1, ACK, REQUEST)]);
        assert_eq!(out, [REQUEST]);
    }

    #[test]
    fn numbers_that_do_not_fit_start_afresh() {
        // a second server that answers the same SYN
        for other in [1_000_000, 0x9000_0000] {
            let (out, _) = put(&[segment(0, SYN, &[]), segment(other, ACK, REQUEST)]);
            assert_eq!(out, [REQUEST]);
        }
    }

    #[test]
    fn a_message_is_found_behind_what_is_none() {
        // PostgreSQL answers with one letter before TLS begins
        let hello = [&[22, 3, 1, 0, 44, 1, 0, 0, 40][..], &[9; 40]].concat();
        let (head, tail) = hello.split_at(20);
        let start = [segment(0, SYN, &[]), segment(1, ACK, b"S")];
        let (out, _) = put(&[&start[..], &[segment(2, ACK, &hello)]].concat());
        assert_eq!(out, [&hello[..]]);
        let (out, _) = put(&[&start[..], &[segment(2, ACK, head), segment(22, ACK, tail)]].concat());
        assert_eq!(out, [&hello[..]]);
    }

    #[test]
    fn patience_ends() {
        let half = (0, CLIENT, segment(1, ACK, &REQUEST[..30]));
        let rest = |seconds| (seconds, CLIENT, segment(31, ACK, &REQUEST[30..]));
        assert_eq!(run(8, 32, &[half, rest(10)]).0, [REQUEST]);
        assert_eq!(run(8, 32, &[half, rest(11)]).0, [&REQUEST[..30]]);
    }

    #[test]
    fn other_streams_are_not_remembered() {
        let bulk = [0x80; 1400];
        let segments: Vec<_> = (0..9).map(|number| segment(1 + number * 1400, ACK, &bulk)).collect();
        let (out, counts) = put(&[&[segment(0, SYN, &[])], &segments[..]].concat());
        assert_eq!((out.len(), counts), (0, StreamCounts::default()));
    }

    #[test]
    fn what_is_longer_than_the_room_is_handed_on_in_part() {
        let long = [b"GET /".to_vec(), vec![b'a'; 20_000]].concat();
        let segments: Vec<_> = long
            .chunks(1_400)
            .enumerate()
            .map(|(index, bytes)| segment(1 + u32::try_from(index * 1_400).unwrap(), ACK, bytes))
            .collect();
        let (out, counts) = put(&segments);
        assert_eq!((out.len(), counts.partial), (1, 1));
        assert!(long.starts_with(&out[0]) && out[0].len() >= 8_000, "{}", out[0].len());
    }

    #[test]
    fn a_cut_capture_is_handed_on_as_far_as_it_goes() {
        let mut cut = segment(1, ACK, &REQUEST[..30]);
        cut.payload_wire_len = 60;
        let (out, counts) = put(&[segment(0, SYN, &[]), cut]);
        assert_eq!((out, counts.partial), (vec![REQUEST[..30].to_vec()], 1));
    }

    #[test]
    fn a_flood_of_streams_takes_slots_in_order_of_use() {
        let client = |number: u16| End { port: Port(number), ..CLIENT };
        let half = &REQUEST[..30];
        let flood: Vec<_> = (0..100).map(|number| (0, client(number), segment(1, ACK, half))).collect();
        let (out, counts) = run(8, 32, &flood);
        assert_eq!((out.len(), counts.evictions, counts.partial), (100, 92, 100));
        // fewer chunks than slots
        let (out, counts) = run(8, 2, &flood);
        assert_eq!((out.len(), counts.evictions), (100, 98));
        // openings alone push nothing out that is held
        let mut mixed = vec![(0, client(7), segment(1, ACK, half))];
        mixed.extend((100..200).map(|number| (0, client(number), segment(0, SYN, &[]))));
        mixed.push((0, client(7), segment(31, ACK, &REQUEST[30..])));
        let (out, counts) = run(8, 32, &mixed);
        assert_eq!((out, counts.evictions), (vec![REQUEST.to_vec()], 0));
        // no storage at all
        assert_eq!(run(0, 0, &mixed[..1]).0, [half]);
    }

    #[test]
    fn pieces_in_datagrams_find_their_place() {
        let hello = [&[1, 0, 0, 40][..], &[9; 40]].concat();
        let (mut heads, mut links, mut slots) = ([0; 4], [Link::default(); 4], [StreamSlot::default(); 4]);
        let (mut chunks, mut free, mut joined) = ([[0; CHUNK_LEN]; 4], [0; 4], [0; LONGEST_FLIGHT]);
        let mut streams = Streams::new(StreamStorage {
            heads: &mut heads,
            links: &mut links,
            slots: &mut slots,
            chunks: &mut chunks,
            free: &mut free,
            joined: &mut joined,
        });
        let mut out = Vec::new();
        for (channel, offset, end) in
            [(8, 30, 44), (6, 0, 10), (8, 0, 9), (8, 9, 30), (8, 0, 44), (6, 10, 44)]
        {
            let piece = Piece { channel, offset, bytes: &hello[usize::try_from(offset).unwrap()..end] };
            let mut deliver = |message: &Message<'_>| out.push((message.channel, message.bytes.to_vec()));
            streams.piece(&KEY, (CLIENT, SERVER), &piece, at(0), &mut deliver);
        }
        assert_eq!(out, [(9, hello.clone()), (7, hello)], "each once");
    }
}
