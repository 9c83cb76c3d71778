//! One function per state machine: takes bytes for a series of events and checks what must always hold.
//!
//! `tools/fuzz` calls these with what it makes up; `tests/fuzz_corpus.rs` replays the committed corpus and mutations of it.

use sentinel_dissect::{Fragment, Ip, Tcp, TcpFlags, protocol};
use sentinel_units::{Address, Port, Timestamp};

use crate::flow::Endpoint;
use crate::flow_record::{FlowRecord, FlowRecords, FlowTuple, Observation};
use crate::fragment::{DatagramSlot, Fragments, Outcome};
use crate::hash::HashKey;
use crate::hashed_lru::LruLink;
use crate::reassembly::{
    CHUNK_LEN, CryptoData, MAX_MESSAGE_LEN, Message, StreamSlot, StreamStorage, Streams,
};

/// A state machine by name; the name is that of its corpus directory.
pub type Body = (&'static str, fn(&[u8]));

/// All of them.
pub const BODIES: &[Body] = &[("fragments", fragments), ("streams", streams), ("flow_records", flow_records)];

const KEY: HashKey = HashKey::new(1);

fn at(seconds: u8) -> Timestamp {
    Timestamp::from_parts(1_000 + u64::from(seconds), 0)
}

/// What every byte of a datagram or stream is, so that whatever comes out can be checked.
const fn content(identification: u8, position: usize) -> u8 {
    let [low, high, ..] = position.to_le_bytes();
    low.wrapping_mul(7).wrapping_add(high).wrapping_add(identification)
}

const SPAN: usize = 1024;

/// Bytes `from` up to `to` of the content of one stream; with `is_other`, others.
fn fill(buffer: &mut [u8; SPAN], identification: u8, from: usize, is_other: bool) {
    for (position, byte) in buffer.iter_mut().enumerate() {
        *byte = content(identification, from + position) ^ u8::from(is_other);
    }
}

/// Parts of datagrams, six bytes each: which datagram and how, offset (in eight bytes), length, seconds.
pub fn fragments(bytes: &[u8]) {
    let (mut heads, mut links, mut slots, mut store) =
        ([0; 4], [LruLink::default(); 4], [DatagramSlot::default(); 4], [0; 4 * 512]);
    let mut table = Fragments::new(&mut heads, &mut links, &mut slots, &mut store);
    let mut buffer = [0; SPAN];
    let (mut given, mut back, mut lied) = (0_u64, 0_u64, false);
    for event in bytes.as_chunks::<6>().0 {
        let [which, how, high, low, len, seconds] = *event;
        let offset = u16::from_be_bytes([high & 0x1f, low]) << 3;
        let is_other = how & 2 != 0;
        lied |= is_other;
        fill(&mut buffer, which & 7, usize::from(offset), is_other);
        let payload = buffer.get(..usize::from(len)).unwrap_or_default();
        let payload_wire_len = u32::from(len) + u32::from(how & 4 != 0);
        let v6 = how & 8 != 0;
        let address = |last| if v6 { Address::v6([1, 0, 0, last]) } else { Address::v4(last) };
        let ip = Ip {
            source: address(1),
            destination: address(2),
            protocol: if how & 16 != 0 { protocol::TCP } else { protocol::UDP },
            hop_limit: 64,
            traffic_class: 0,
            fragment: Some(Fragment {
                identification: u32::from(which & 7),
                offset,
                more: how & 1 != 0,
                skipped_words: if offset == 0 { how >> 6 } else { 0 },
            }),
            wire_len: 20 + payload_wire_len,
            payload,
            payload_wire_len,
        };
        let skipped = usize::from(ip.fragment.map_or(0, |fragment| fragment.skipped_words)) * 4;
        given += 1;
        let mut abandon = |given_up: &DatagramSlot| back += u64::from(given_up.observation().packets);
        if let Outcome::Reassembled(whole) = table.insert(&KEY, &ip, at(seconds), &mut abandon) {
            back += u64::from(whole.observation.packets);
            assert!(whole.payload.len() <= 512);
            if !lied && skipped == 0 && !has_skips(bytes) {
                let fits = |(position, byte): (usize, &u8)| *byte == content(which & 7, position);
                assert!(whole.payload.iter().enumerate().all(fits), "other bytes came out than went in");
            }
        }
    }
    table.finish(&mut |given_up| back += u64::from(given_up.observation().packets));
    assert_eq!(given, back, "every part is counted once");
}

/// Whether any first part has headers that were read already: the content then starts elsewhere.
fn has_skips(bytes: &[u8]) -> bool {
    bytes.as_chunks::<6>().0.iter().any(|[_, how, ..]| how >> 6 != 0)
}

/// Segments of streams, eight bytes each: which stream and flags, how, place, length, seconds. The first byte of all
/// chooses what the streams start with.
pub fn streams(bytes: &[u8]) {
    const STARTS: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nA: ", &[22, 3, 1, 3, 0, 1, 0, 2, 252], b"SSH-2.0-", &[1, 0, 1, 0]];
    let [choice, events @ ..] = bytes else { return };
    let (mut heads, mut links, mut slots) = ([0; 4], [LruLink::default(); 4], [StreamSlot::default(); 4]);
    let (mut chunks, mut free, mut message) = ([[0; CHUNK_LEN]; 6], [0; 6], [0; MAX_MESSAGE_LEN]);
    let mut table = Streams::new(StreamStorage {
        heads: &mut heads,
        links: &mut links,
        slots: &mut slots,
        chunks: &mut chunks,
        free: &mut free,
        message: &mut message,
    });
    let start = STARTS.get(usize::from(choice & 3)).copied().unwrap_or_default();
    let mut buffer = [0; SPAN];
    let mut deliver = |message: &Message<'_>| {
        assert!(!message.bytes.is_empty() && message.bytes.len() <= MAX_MESSAGE_LEN + SPAN);
    };
    for event in events.as_chunks::<8>().0 {
        let [which, flags, how, high, low, len_high, len_low, seconds] = *event;
        let tuple = (
            Endpoint { address: Address::v4(u32::from(which)), port: Port(40_000) },
            Endpoint { address: Address::v4(9), port: Port(if how & 1 != 0 { 53 } else { 80 }) },
        );
        let place = u32::from(u16::from_be_bytes([high, low]));
        let len = usize::from(u16::from_be_bytes([len_high & 3, len_low]));
        fill(&mut buffer, which, usize::try_from(place).unwrap_or(0), how & 2 != 0);
        if place == 1 {
            for (byte, first) in buffer.iter_mut().zip(start) {
                *byte = *first;
            }
        }
        let payload = buffer.get(..len).unwrap_or_default();
        if how & 4 != 0 {
            let data = CryptoData { channel: u32::from(which) | 1, offset: place, bytes: payload };
            table.crypto_data(&KEY, tuple, &data, at(seconds), &mut deliver);
            continue;
        }
        let tcp = Tcp {
            source_port: tuple.0.port,
            destination_port: tuple.1.port,
            // near the place where numbers run over
            sequence: 0xffff_f000_u32.wrapping_add(place),
            acknowledgement: 0,
            flags: TcpFlags(flags),
            window: 0,
            options: &[],
            payload,
            payload_wire_len: u32::try_from(len).unwrap_or(0) + u32::from(how & 8 != 0),
        };
        table.segment(&KEY, tuple, &tcp, at(seconds), &mut deliver);
    }
    table.finish(&mut deliver);
    assert_eq!(table.chunks_in_use(), 0, "a chunk was lost");
}

/// Packets, four bytes each: ends, flags, seconds, protocol and how.
pub fn flow_records(bytes: &[u8]) {
    let (mut heads, mut links, mut slots) = ([0; 8], [LruLink::default(); 8], [FlowRecord::default(); 8]);
    let mut table = FlowRecords::new(&mut heads, &mut links, &mut slots);
    let (mut given, mut ended) = (0_u64, 0_u64);
    let mut end = |it: &FlowRecord| {
        ended += it.initiator_traffic().packets + it.responder_traffic().packets;
        assert!(it.first() <= it.last());
        assert_eq!(it.tcp_state().is_some(), it.protocol() == protocol::TCP);
        let (low, high) = it.ordered_endpoints();
        assert!(
            (it.initiator(), it.responder()) == (low, high)
                || (it.initiator(), it.responder()) == (high, low)
        );
    };
    for [tuple, flags, seconds, how] in bytes.as_chunks::<4>().0 {
        let one = |half: u8| Endpoint {
            address: Address::v4(u32::from(half & 3)),
            port: Port(u16::from(half >> 2)),
        };
        let protocol = if how & 1 != 0 { protocol::TCP } else { protocol::ICMP };
        let seen = Observation {
            tuple: FlowTuple {
                source: one(tuple & 15),
                destination: one(tuple >> 4),
                protocol,
                is_one_way: how & 2 != 0,
            },
            first: at(seconds.wrapping_mul(1 + how / 16)),
            last: at(seconds.wrapping_mul(1 + how / 16)),
            packets: 1,
            bytes: 40,
            flags: (how & 1 != 0).then_some(TcpFlags(*flags)),
        };
        given += 1;
        assert!(table.note(&KEY, &seen, &mut end).is_some());
    }
    table.finish(&mut end);
    assert_eq!(given, ended, "every packet is in one conversation");
}
