//! Parts in, datagrams out.

extern crate std;
use super::*;
use sentinel_dissect::protocol;
use sentinel_units::Address;
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
        vec![LruLink::default(); slots],
        vec![DatagramSlot::default(); slots],
        vec![0xee; slots * room],
    );
    let mut fragments = Fragments::new(&mut heads, &mut links, &mut store, &mut bytes);
    let (mut reassembled, mut abandoned) = (Vec::new(), Vec::new());
    let mut abandon = |given_up: &DatagramSlot| {
        let seen = given_up.observation();
        let ports = (seen.tuple.source.port.0, seen.tuple.destination.port.0);
        abandoned.push((ports.0, ports.1, seen.packets, seen.bytes));
    };
    for (seconds, ip) in parts {
        if let Outcome::Reassembled(whole) = fragments.insert(&KEY, ip, at(*seconds), &mut abandon) {
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
    let parts =
        [part(1, 0, true, &whole[..24]), part(1, 24, true, &whole[24..40]), part(1, 40, false, &whole[40..])];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let run = put(&order.map(|index| parts[index]));
        assert_eq!(run.reassembled, [&whole[..]], "{order:?}");
        assert_eq!((run.abandoned.len(), run.counts.reassembled, run.counts.fragments), (0, 1, 3));
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
        assert_eq!(run.abandoned.iter().map(|seen| seen.2).sum::<u32>(), 5, "{index}: all parts are counted");
    }
}

#[test]
fn parts_that_no_sender_makes_spoil_it_too() {
    let whole = datagram();
    let run = put(&[part(1, 0, true, &whole[..20]), part(1, 24, false, &whole[24..])]);
    assert_eq!((run.reassembled.len(), run.counts.malformed), (0, 1), "a length that only the last may have");
    let run = put(&[part(1, 8, false, &[])]);
    assert_eq!(run.counts.malformed, 1, "empty");
    let run = put(&[part(1, 65_528, false, &whole[..8])]);
    assert_eq!(run.counts.malformed, 1, "ping of death");
}

#[test]
fn limits_are_counted() {
    let whole = datagram();
    let one = put(&[part(1, 248, false, &whole[..9])]);
    assert_eq!(one.counts.over_limit, 1, "longer than the room");
    let mut cut = part(1, 0, true, &whole[..16]);
    cut.payload_wire_len = 24;
    assert_eq!(put(&[cut]).counts.over_limit, 1, "cut by the capture");
    let apart: Vec<_> = (0..16).map(|index| part(1, 8 + index * 16, true, &whole[..8])).collect();
    let few: Vec<_> = apart.iter().map(|ip| (0, *ip)).collect();
    assert_eq!(run(1, 4096, &few).counts.over_limit, 0);
    let more = part(1, 8 + 16 * 16, true, &whole[..8]);
    let all: Vec<_> = apart.iter().chain([&more]).map(|ip| (0, *ip)).collect();
    assert_eq!(run(1, 4096, &all).counts.over_limit, 1, "too many pieces apart");
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
        ([0; 1], [LruLink::default(); 1], [DatagramSlot::default(); 1], [0; 256]);
    let mut fragments = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
    assert!(matches!(fragments.insert(&KEY, &last, at(0), &mut |_| {}), Outcome::Pending));
    let Outcome::Reassembled(found) = fragments.insert(&KEY, &first, at(0), &mut |_| {}) else {
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
        ([0; 4], [LruLink::default(); 4], [DatagramSlot::default(); 4], [0; 4 * 256]);
    let mut fragments = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
    let mut reassembled = 0;
    for _ in 0..50_000 {
        let id = random(6);
        let whole = &datagrams[usize::try_from(id).unwrap()];
        let pieces = u32::try_from(whole.len()).unwrap().div_ceil(16);
        let start = usize::try_from(random(pieces)).unwrap() * 16;
        let end = (start + 16).min(whole.len());
        let ip = part(id, u16::try_from(start).unwrap(), end < whole.len(), &whole[start..end]);
        if let Outcome::Reassembled(found) = fragments.insert(&KEY, &ip, at(0), &mut |_| {}) {
            assert_eq!(found.payload, whole);
            reassembled += 1;
        }
    }
    assert!(reassembled > 100, "{reassembled}");
    assert_eq!(
        (fragments.counts.overlaps, fragments.counts.malformed, fragments.counts.over_limit),
        (0, 0, 0)
    );
}
