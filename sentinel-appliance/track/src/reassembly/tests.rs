//! Messages from segments in any order, and what eviction, timeouts and overlaps do to them.

extern crate std;
use super::*;
use crate::hashed_lru::LruLink;
use sentinel_units::{Address, Port};
use std::vec;
use std::vec::Vec;

const KEY: HashKey = HashKey::new(1);
const CLIENT: Endpoint = Endpoint { address: Address::v4(0x0a00_0001), port: Port(40_000) };
const SERVER: Endpoint = Endpoint { address: Address::v4(0x0a00_0002), port: Port(80) };
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

/// Processes segments, each with its second and sender; returns the messages delivered, and the counters.
fn run(slots: usize, chunks: usize, segments: &[(u64, Endpoint, Tcp<'_>)]) -> (Vec<Vec<u8>>, StreamCounts) {
    let (mut heads, mut links, mut store) =
        (vec![0; slots], vec![LruLink::default(); slots], vec![StreamSlot::default(); slots]);
    let (mut pool, mut free, mut message) =
        (vec![[0; CHUNK_LEN]; chunks], vec![0; chunks], vec![0; MAX_MESSAGE_LEN]);
    let mut streams = Streams::new(StreamStorage {
        heads: &mut heads,
        links: &mut links,
        slots: &mut store,
        chunks: &mut pool,
        free: &mut free,
        message: &mut message,
    });
    let mut out = Vec::new();
    let mut deliver = |message: &Message<'_>| out.push(message.bytes.to_vec());
    for (seconds, source, tcp) in segments {
        streams.segment(&KEY, (*source, SERVER), tcp, at(*seconds), &mut deliver);
    }
    streams.finish(&mut deliver);
    assert_eq!(streams.chunks_in_use(), 0, "a chunk was lost");
    assert!(streams.lru.is_empty());
    (out, streams.counts)
}

/// Processes segments of one direction at one moment.
fn put(segments: &[Tcp<'_>]) -> (Vec<Vec<u8>>, StreamCounts) {
    let segments: Vec<_> = segments.iter().map(|tcp| (0, CLIENT, *tcp)).collect();
    run(8, 32, &segments)
}

const SYN: u8 = 2;
const ACK: u8 = 0x10;
const FIN: u8 = 0x11;
const RST: u8 = 4;

#[test]
fn a_message_in_one_segment_is_delivered_as_it_is() {
    let (out, counts) = put(&[segment(7, SYN, &[]), segment(8, ACK, REQUEST)]);
    assert_eq!((out, counts), (vec![REQUEST.to_vec()], StreamCounts::default()));
    let (out, _) = put(&[segment(8, ACK, REQUEST)]);
    assert_eq!(out, [REQUEST], "the SYN is not needed");
}

#[test]
fn a_message_split_anywhere_in_two_is_reassembled() {
    // Sequence numbers that wrap, and the second half first.
    for start in [0, u32::MAX - 20] {
        for cut in 1..REQUEST.len() {
            let (first, second) = REQUEST.split_at(cut);
            let behind = start.wrapping_add(1 + u32::try_from(cut).unwrap());
            let syn = segment(start, SYN, &[]);
            let (one, two) = (segment(start.wrapping_add(1), ACK, first), segment(behind, ACK, second));
            for order in [[one, two], [two, one]] {
                let (out, counts) = put(&[syn, order[0], order[1]]);
                assert_eq!(out, [REQUEST], "{cut}");
                assert_eq!((counts.reassembled, counts.partial, counts.conflicts), (1, 0, 0));
            }
            if cut >= 5 {
                assert_eq!(put(&[one, two]).0, [REQUEST], "recognised by content, {cut}");
            }
        }
    }
}

#[test]
fn retransmitted_bytes_are_ignored_and_the_first_stay() {
    let (head, tail) = REQUEST.split_at(30);
    let evil = [b'X'; 20];
    let segments = [
        segment(0, SYN, &[]),
        segment(1, ACK, head),
        segment(1, ACK, head),   // retransmitted
        segment(11, ACK, &evil), // overlaps bytes received
        segment(31, ACK, tail),
        segment(1, ACK, REQUEST), // after delivery
    ];
    let (out, counts) = put(&segments);
    assert_eq!(out, [REQUEST]);
    assert_eq!((counts.conflicts, counts.reassembled), (1, 1));
}

#[test]
fn an_overlapping_segment_fills_gaps_only() {
    let segments = [
        segment(0, SYN, &[]),
        segment(11, ACK, &REQUEST[10..20]),
        segment(31, ACK, &REQUEST[30..40]),
        segment(1, ACK, REQUEST),
    ];
    assert_eq!(put(&segments).0, [REQUEST]);
}

#[test]
fn fin_and_rst_deliver_the_partial_message() {
    let half = &REQUEST[..30];
    for last in [segment(31, FIN, &[]), segment(31, RST, &[])] {
        let (out, counts) = put(&[segment(0, SYN, &[]), segment(1, ACK, half), last]);
        assert_eq!((out, counts.partial), (vec![half.to_vec()], 1));
    }
    // A FIN that arrives before earlier data.
    let tail = &REQUEST[30..];
    let end = u32::try_from(REQUEST.len()).unwrap() + 1;
    let (out, _) = put(&[segment(1, ACK, half), segment(end, FIN, &[]), segment(31, ACK, tail)]);
    assert_eq!(out, [REQUEST]);
}

#[test]
fn data_on_a_syn_is_part_of_the_stream() {
    let (head, tail) = REQUEST.split_at(30);
    let (out, _) = put(&[segment(0, SYN, head), segment(31, ACK, tail)]);
    assert_eq!(out, [REQUEST]);
    // The server did not accept it, and it is sent again.
    let (out, _) = put(&[segment(0, SYN, head), segment(1, ACK, REQUEST)]);
    assert_eq!(out, [REQUEST]);
}

#[test]
fn distant_sequence_numbers_start_a_new_stream() {
    // A second host that answers the same SYN.
    for other in [1_000_000, 0x9000_0000] {
        let (out, _) = put(&[segment(0, SYN, &[]), segment(other, ACK, REQUEST)]);
        assert_eq!(out, [REQUEST]);
    }
}

#[test]
fn a_message_is_found_after_other_bytes() {
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
fn an_incomplete_message_expires() {
    let half = (0, CLIENT, segment(1, ACK, &REQUEST[..30]));
    let rest = |seconds| (seconds, CLIENT, segment(31, ACK, &REQUEST[30..]));
    assert_eq!(run(8, 32, &[half, rest(10)]).0, [REQUEST]);
    assert_eq!(run(8, 32, &[half, rest(11)]).0, [&REQUEST[..30]]);
}

#[test]
fn streams_without_messages_keep_no_state() {
    let bulk = [0x80; 1400];
    let segments: Vec<_> = (0..9).map(|number| segment(1 + number * 1400, ACK, &bulk)).collect();
    let (out, counts) = put(&[&[segment(0, SYN, &[])], &segments[..]].concat());
    assert_eq!((out.len(), counts), (0, StreamCounts::default()));
}

#[test]
fn a_message_over_the_maximum_is_delivered_in_part() {
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
fn a_truncated_segment_is_delivered_in_part() {
    let mut cut = segment(1, ACK, &REQUEST[..30]);
    cut.payload_wire_len = 60;
    let (out, counts) = put(&[segment(0, SYN, &[]), cut]);
    assert_eq!((out, counts.partial), (vec![REQUEST[..30].to_vec()], 1));
}

#[test]
fn a_flood_of_streams_evicts_the_least_recently_used() {
    let client = |number: u16| Endpoint { port: Port(number), ..CLIENT };
    let half = &REQUEST[..30];
    let flood: Vec<_> = (0..100).map(|number| (0, client(number), segment(1, ACK, half))).collect();
    let (out, counts) = run(8, 32, &flood);
    assert_eq!((out.len(), counts.evictions, counts.partial), (100, 92, 100));
    // Fewer chunks than slots.
    let (out, counts) = run(8, 2, &flood);
    assert_eq!((out.len(), counts.evictions), (100, 98));
    // SYNs alone evict no stream that buffers bytes.
    let mut mixed = vec![(0, client(7), segment(1, ACK, half))];
    mixed.extend((100..200).map(|number| (0, client(number), segment(0, SYN, &[]))));
    mixed.push((0, client(7), segment(31, ACK, &REQUEST[30..])));
    let (out, counts) = run(8, 32, &mixed);
    assert_eq!((out, counts.evictions), (vec![REQUEST.to_vec()], 0));
    // No storage.
    assert_eq!(run(0, 0, &mixed[..1]).0, [half]);
}

#[test]
fn crypto_frames_in_any_order_are_reassembled() {
    let hello = [&[1, 0, 0, 40][..], &[9; 40]].concat();
    let (mut heads, mut links, mut slots) = ([0; 4], [LruLink::default(); 4], [StreamSlot::default(); 4]);
    let (mut chunks, mut free, mut message) = ([[0; CHUNK_LEN]; 4], [0; 4], [0; MAX_MESSAGE_LEN]);
    let mut streams = Streams::new(StreamStorage {
        heads: &mut heads,
        links: &mut links,
        slots: &mut slots,
        chunks: &mut chunks,
        free: &mut free,
        message: &mut message,
    });
    let mut out = Vec::new();
    for (channel, offset, end) in [(8, 30, 44), (6, 0, 10), (8, 0, 9), (8, 9, 30), (8, 0, 44), (6, 10, 44)] {
        let data = CryptoData { channel, offset, bytes: &hello[usize::try_from(offset).unwrap()..end] };
        let mut deliver = |message: &Message<'_>| out.push((message.channel, message.bytes.to_vec()));
        streams.crypto_data(&KEY, (CLIENT, SERVER), &data, at(0), &mut deliver);
    }
    assert_eq!(out, [(9, hello.clone()), (7, hello)], "each delivered once");
}
