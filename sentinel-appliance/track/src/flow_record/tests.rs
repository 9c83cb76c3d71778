//! Packets in, records out.

extern crate std;
use super::observation::{ICMP_PAIRS, icmp};
use super::*;
use sentinel_units::{Address, Port};
use std::vec;
use std::vec::Vec;

const KEY: HashKey = HashKey::new(1);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const RST: u8 = 0x04;

fn end(last: u32, port: u16) -> Endpoint {
    Endpoint { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_parts(1_000 + seconds, 0)
}

fn seen(
    protocol: u8,
    source: Endpoint,
    destination: Endpoint,
    seconds: u64,
    flags: Option<u8>,
) -> Observation {
    let tuple = FlowTuple { source, destination, protocol, is_one_way: false };
    let time = at(seconds);
    Observation { tuple, first: time, last: time, packets: 1, bytes: 100, flags: flags.map(TcpFlags) }
}

fn tcp(source: Endpoint, destination: Endpoint, seconds: u64, flags: u8) -> Observation {
    seen(protocol::TCP, source, destination, seconds, Some(flags))
}

/// Opener, packets out, packets back, state.
type Ended = (Endpoint, u64, u64, Option<&'static str>);

/// What ended after each observation, and at the end.
fn run(slots: usize, all: &[Observation]) -> (Vec<Vec<Ended>>, u64) {
    let (mut heads, mut links, mut slots) =
        (vec![0; slots], vec![LruLink::default(); slots], vec![FlowRecord::default(); slots]);
    let mut flow_records = FlowRecords::new(&mut heads, &mut links, &mut slots);
    let mut steps = Vec::new();
    for step in all.iter().map(Some).chain([None]) {
        let mut ended = Vec::new();
        let mut end = |it: &FlowRecord| {
            let state = it.tcp_state().map(TcpState::name);
            ended.push((
                it.initiator(),
                it.initiator_traffic().packets,
                it.responder_traffic().packets,
                state,
            ));
        };
        match step {
            Some(seen) => assert!(flow_records.note(&KEY, seen, &mut end).is_some()),
            None => flow_records.finish(&mut end),
        }
        steps.push(ended);
    }
    (steps, flow_records.evictions())
}

#[test]
fn both_directions_are_one_conversation_of_the_opener() {
    let (client, server) = (end(9, 40_000), end(2, 80));
    let all = [
        tcp(server, client, 0, 0x12), // its SYN was not seen
        tcp(client, server, 1, ACK),
        tcp(client, server, 2, ACK),
    ];
    let (steps, evictions) = run(4, &all);
    assert_eq!(steps, [vec![], vec![], vec![], vec![(client, 2, 1, Some("S1"))]]);
    assert_eq!(evictions, 0);
}

#[test]
fn a_syn_seen_later_turns_a_conversation_round_with_its_counts() {
    let (one, other) = (end(1, 443), end(2, 50_000));
    let all = [tcp(one, other, 0, ACK), tcp(one, other, 0, ACK), tcp(one, other, 1, SYN)];
    assert_eq!(run(4, &all).0.last().unwrap(), &[(one, 3, 0, Some("S0"))]);
}

#[test]
fn idle_times_are_by_protocol_and_state() {
    let (a, b) = (end(1, 40_000), end(2, 53));
    // the last observation of each list only lets time pass
    let tick = |seconds| seen(17, end(7, 1), end(8, 1), seconds, None);
    let open = [tcp(a, b, 0, SYN), tcp(b, a, 0, 0x12)];
    let over = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST)];
    for (observations, idle) in
        [(&[seen(17, a, b, 0, None)][..], 120), (&[tcp(a, b, 0, SYN)], 120), (&open, 600), (&over, 10)]
    {
        for (wait, tuple) in [(idle, false), (idle + 1, true)] {
            let (steps, _) = run(4, &[observations, &[tick(wait)]].concat());
            assert_eq!(steps[observations.len()].len(), usize::from(tuple), "{idle} {wait}");
        }
    }
}

#[test]
fn a_syn_after_a_reset_is_the_next_connection() {
    let (a, b) = (end(1, 40_000), end(2, 22));
    let round = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST | ACK)];
    let (steps, evictions) = run(4, &[round, round].concat());
    let rejected = (a, 1, 1, Some("REJ"));
    assert_eq!(steps, [vec![], vec![], vec![rejected], vec![], vec![rejected]]);
    assert_eq!(evictions, 0, "it ended by itself");
}

#[test]
fn a_full_table_ends_the_one_longest_silent_and_loses_nothing() {
    let all: Vec<_> = (0..40)
        .map(|number| seen(17, end(number, 5_000), end(200, 53), u64::from(number / 10), None))
        .collect();
    let (steps, evictions) = run(8, &all);
    assert_eq!(evictions, 32);
    let openers: Vec<_> = steps.iter().flatten().map(|(initiator, ..)| initiator.address).collect();
    let expected: Vec<_> = (0..40).map(|number| end(number, 0).address).collect();
    assert_eq!(openers, expected);
}

#[test]
fn after_the_clock_was_set_back_old_ones_end() {
    let (a, b) = (end(1, 40_000), end(2, 53));
    let all = [seen(17, a, b, 5_000, None), seen(17, b, a, 4_996, None), seen(17, end(3, 9), b, 10, None)];
    let (steps, _) = run(4, &all);
    assert_eq!(steps[..3], [vec![], vec![], vec![(a, 1, 1, None)]]);
}

#[test]
fn ping_and_answer_are_one_and_errors_are_one_each_way() {
    let (a, b) = (end(9, 0), end(2, 0));
    let message = |from: Endpoint, to: Endpoint, kind, code| {
        let (source, destination, is_one_way) = icmp(kind, code, ICMP_PAIRS);
        let tuple = FlowTuple {
            source: Endpoint { port: source, ..from },
            destination: Endpoint { port: destination, ..to },
            protocol: protocol::ICMP,
            is_one_way,
        };
        Observation { tuple, ..seen(protocol::ICMP, from, to, 0, None) }
    };
    let all = [
        message(b, a, 0, 0), // the answer was captured first
        message(a, b, 8, 0),
        message(a, b, 3, 1),
        message(b, a, 3, 1),
    ];
    let (steps, _) = run(8, &all);
    let mut ended = steps.concat();
    ended.sort();
    let from = |address: Endpoint, port| Endpoint { port: Port(port), ..address };
    assert_eq!(ended, [(from(b, 3), 1, 0, None), (from(a, 3), 1, 0, None), (from(a, 8), 1, 1, None)]);
}

#[test]
fn those_that_go_on_end_in_the_order_of_their_first_packet() {
    for count in [0, 1, 2, 3, 7, 64, 100] {
        // a permutation: 37 has no factor in common with 101
        let all: Vec<_> = (0..count)
            .map(|number| seen(17, end(number * 37 % 101, 5_000), end(200, 53), u64::from(number) % 3, None))
            .collect();
        let mut expected: Vec<_> = all.iter().map(|it| (it.first, it.tuple.source.address)).collect();
        expected.sort();
        let (steps, _) = run(128, &all);
        let openers: Vec<_> = steps.last().unwrap().iter().map(|(initiator, ..)| initiator.address).collect();
        let expected: Vec<_> = expected.into_iter().map(|(_, address)| address).collect();
        assert_eq!(openers, expected, "{count}");
    }
}

#[test]
fn without_storage_there_is_nothing() {
    let mut flow_records = FlowRecords::new(&mut [], &mut [], &mut []);
    let observation = tcp(end(1, 1), end(2, 2), 0, SYN);
    assert!(flow_records.note(&KEY, &observation, &mut |_| panic!("none")).is_none());
    flow_records.finish(&mut |_| panic!("none"));
}
