//! Reassembly of datagrams, its limits and its rejections.

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

/// A fragment of datagram `identification`: UDP from 10.0.0.1 to 10.0.0.2.
fn fragment(identification: u32, offset: u16, more: bool, payload: &[u8]) -> Ip<'_> {
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
    /// Payloads reassembled.
    reassembled: Vec<Vec<u8>>,
    /// Datagrams discarded: ports, packets, bytes.
    discarded: Vec<(u16, u16, u32, u32)>,
    counts: FragmentCounts,
}

fn run(slots: usize, buffer_len: usize, fragments: &[(u64, Ip<'_>)]) -> Run {
    let (mut heads, mut links, mut store, mut bytes) = (
        vec![0; slots],
        vec![LruLink::default(); slots],
        vec![DatagramSlot::default(); slots],
        vec![0xee; slots * buffer_len],
    );
    let mut table = Fragments::new(&mut heads, &mut links, &mut store, &mut bytes);
    let (mut reassembled, mut discarded) = (Vec::new(), Vec::new());
    let mut on_discard = |slot: &DatagramSlot| {
        let observation = slot.observation();
        let ports = (observation.tuple.source.port.0, observation.tuple.destination.port.0);
        discarded.push((ports.0, ports.1, observation.packets, observation.bytes));
    };
    for (seconds, ip) in fragments {
        if let Outcome::Reassembled(datagram) = table.insert(&KEY, ip, at(*seconds), &mut on_discard) {
            assert_eq!(datagram.protocol, ip.protocol);
            reassembled.push(datagram.payload.to_vec());
        }
    }
    table.finish(&mut on_discard);
    Run { reassembled, discarded, counts: table.counts }
}

/// Inserts fragments at one moment into a table of two slots with 256 bytes each.
fn put(fragments: &[Ip<'_>]) -> Run {
    run(2, 256, &fragments.iter().map(|ip| (0, *ip)).collect::<Vec<_>>())
}

/// Payload of 60 bytes: ports 4660 and 53, then ascending numbers.
fn datagram() -> Vec<u8> {
    [&[0x12, 0x34, 0, 53][..], &(4..60).collect::<Vec<u8>>()].concat()
}

#[test]
fn fragments_in_any_order_are_reassembled() {
    let payload = datagram();
    let fragments = [
        fragment(1, 0, true, &payload[..24]),
        fragment(1, 24, true, &payload[24..40]),
        fragment(1, 40, false, &payload[40..]),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let run = put(&order.map(|index| fragments[index]));
        assert_eq!(run.reassembled, [&payload[..]], "{order:?}");
        assert_eq!((run.discarded.len(), run.counts.reassembled, run.counts.fragments), (0, 1, 3));
    }
    // the middle one is missing
    let run = put(&[fragments[0], fragments[2]]);
    assert_eq!((run.reassembled.len(), run.counts.timeouts), (0, 1));
    assert_eq!(run.discarded, [(0x1234, 53, 2, 40 + 24 + 20)]);
    let run = put(&fragments[1..]);
    assert_eq!(run.discarded, [(0, 0, 2, 40 + 16 + 20)], "the ports are in the missing fragment");
}

#[test]
fn a_repeated_fragment_is_accepted() {
    let payload = datagram();
    let first = fragment(1, 0, true, &payload[..24]);
    let run = put(&[first, first, fragment(1, 24, false, &payload[24..])]);
    assert_eq!((run.reassembled, run.counts.overlaps), (vec![payload], 0));
}

#[test]
fn an_overlap_discards_the_datagram() {
    let payload = datagram();
    let other = [0xff; 60];
    let cases: [&[Ip<'_>]; 6] = [
        // same offset, other bytes
        &[fragment(1, 0, true, &payload[..24]), fragment(1, 0, true, &other[..24])],
        // starts inside and ends behind
        &[fragment(1, 0, true, &payload[..24]), fragment(1, 16, true, &payload[16..40])],
        // starts before and ends inside
        &[fragment(1, 16, true, &payload[16..40]), fragment(1, 8, true, &payload[8..24])],
        // teardrop: the last fragment lies within the first
        &[fragment(1, 0, true, &payload[..40]), fragment(1, 24, false, &payload[24..28])],
        // two ends
        &[fragment(1, 40, false, &payload[40..]), fragment(1, 48, false, &payload[48..56])],
        // continues behind the end
        &[fragment(1, 40, false, &payload[40..48]), fragment(1, 48, true, &payload[48..56])],
    ];
    for (index, fragments) in cases.iter().enumerate() {
        // The fragments that would complete it are discarded as well (RFC 5722).
        let rest = [
            fragment(1, 0, true, &payload[..16]),
            fragment(1, 16, true, &payload[16..40]),
            fragment(1, 40, false, &payload[40..]),
        ];
        let run = put(&[fragments, &rest[..]].concat());
        assert_eq!((run.reassembled.len(), run.counts.overlaps), (0, 1), "{index}");
        assert_eq!(run.discarded.iter().map(|it| it.2).sum::<u32>(), 5, "{index}: all fragments are counted");
    }
}

#[test]
fn a_malformed_fragment_discards_the_datagram() {
    let payload = datagram();
    let run = put(&[fragment(1, 0, true, &payload[..20]), fragment(1, 24, false, &payload[24..])]);
    assert_eq!(
        (run.reassembled.len(), run.counts.malformed),
        (0, 1),
        "a length that only the last fragment may have"
    );
    let run = put(&[fragment(1, 8, false, &[])]);
    assert_eq!(run.counts.malformed, 1, "empty");
    let run = put(&[fragment(1, 65_528, false, &payload[..8])]);
    assert_eq!(run.counts.malformed, 1, "ping of death");
}

#[test]
fn datagrams_over_a_limit_are_discarded_and_counted() {
    let payload = datagram();
    let one = put(&[fragment(1, 248, false, &payload[..9])]);
    assert_eq!(one.counts.over_limit, 1, "longer than the buffer");
    let mut cut = fragment(1, 0, true, &payload[..16]);
    cut.payload_wire_len = 24;
    assert_eq!(put(&[cut]).counts.over_limit, 1, "truncated by the snap length");
    let apart: Vec<_> = (0..16).map(|index| fragment(1, 8 + index * 16, true, &payload[..8])).collect();
    let few: Vec<_> = apart.iter().map(|ip| (0, *ip)).collect();
    assert_eq!(run(1, 4096, &few).counts.over_limit, 0);
    let more = fragment(1, 8 + 16 * 16, true, &payload[..8]);
    let all: Vec<_> = apart.iter().chain([&more]).map(|ip| (0, *ip)).collect();
    assert_eq!(run(1, 4096, &all).counts.over_limit, 1, "too many gaps");
}

#[test]
fn incomplete_datagrams_time_out_and_a_flood_evicts_the_oldest() {
    let payload = datagram();
    let (first, last) = (fragment(1, 0, true, &payload[..24]), fragment(1, 24, false, &payload[24..]));
    assert_eq!(run(2, 256, &[(0, first), (30, last)]).reassembled.len(), 1);
    let late = run(2, 256, &[(0, first), (31, last)]);
    assert_eq!((late.reassembled.len(), late.counts.timeouts), (0, 2));
    let flood: Vec<_> = (0..1_000).map(|number| (0, fragment(number, 0, true, &payload[..24]))).collect();
    let run = run(16, 256, &flood);
    assert_eq!((run.counts.evictions, run.discarded.len()), (984, 1_000));
}

#[test]
fn headers_behind_the_fragment_header_are_not_payload() {
    let payload = datagram();
    let mut first = fragment(1, 0, true, &payload[..24]);
    first.fragment = first.fragment.map(|fragment| Fragment { skipped_words: 4, ..fragment });
    let mut last = fragment(1, 40, false, &payload[24..]);
    // IPv6: the next header field of a later fragment does not count.
    for ip in [&mut first, &mut last] {
        (ip.source, ip.destination) = (Address::v6([1, 0, 0, 0]), Address::v6([2, 0, 0, 0]));
    }
    last.protocol = 60;
    let (mut heads, mut links, mut slots, mut bytes) =
        ([0; 1], [LruLink::default(); 1], [DatagramSlot::default(); 1], [0; 256]);
    let mut table = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
    assert!(matches!(table.insert(&KEY, &last, at(0), &mut |_| {}), Outcome::Pending));
    let Outcome::Reassembled(found) = table.insert(&KEY, &first, at(0), &mut |_| {}) else {
        panic!("not reassembled")
    };
    assert_eq!((found.protocol, found.payload), (protocol::UDP, &payload[..]));
}

/// Inserts 50,000 seeded fragments of six datagrams: every payload reassembled equals the original.
#[test]
fn random_fragments_give_the_original_datagrams() {
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
    let mut table = Fragments::new(&mut heads, &mut links, &mut slots, &mut bytes);
    let mut reassembled = 0;
    for _ in 0..50_000 {
        let id = random(6);
        let payload = &datagrams[usize::try_from(id).unwrap()];
        let chunk_count = u32::try_from(payload.len()).unwrap().div_ceil(16);
        let start = usize::try_from(random(chunk_count)).unwrap() * 16;
        let end = (start + 16).min(payload.len());
        let ip = fragment(id, u16::try_from(start).unwrap(), end < payload.len(), &payload[start..end]);
        if let Outcome::Reassembled(found) = table.insert(&KEY, &ip, at(0), &mut |_| {}) {
            assert_eq!(found.payload, payload);
            reassembled += 1;
        }
    }
    assert!(reassembled > 100, "{reassembled}");
    assert_eq!((table.counts.overlaps, table.counts.malformed, table.counts.over_limit), (0, 0, 0));
}
