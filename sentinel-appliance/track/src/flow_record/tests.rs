//! Records by direction, timeout, eviction and order of their end.

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

fn endpoint(last: u32, port: u16) -> Endpoint {
    Endpoint { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_parts(1_000 + seconds, 0)
}

fn observation(
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
    observation(protocol::TCP, source, destination, seconds, Some(flags))
}

/// Initiator, packets of the initiator, packets of the responder, TCP state.
type Ended = (Endpoint, u64, u64, Option<&'static str>);

/// Returns the records that ended after each observation and at the end, and the number of evictions.
fn run(slots: usize, all: &[Observation]) -> (Vec<Vec<Ended>>, u64) {
    let (mut heads, mut links, mut slots) =
        (vec![0; slots], vec![LruLink::default(); slots], vec![FlowRecord::default(); slots]);
    let mut table = FlowRecords::new(&mut heads, &mut links, &mut slots);
    let mut steps = Vec::new();
    for step in all.iter().map(Some).chain([None]) {
        let mut ended = Vec::new();
        let mut on_end = |it: &FlowRecord| {
            let state = it.tcp_state().map(TcpState::name);
            ended.push((
                it.initiator(),
                it.initiator_traffic().packets,
                it.responder_traffic().packets,
                state,
            ));
        };
        match step {
            Some(observation) => assert!(table.note(&KEY, observation, &mut on_end).is_some()),
            None => table.finish(&mut on_end),
        }
        steps.push(ended);
    }
    (steps, table.evictions())
}

#[test]
fn both_directions_are_one_record_of_the_initiator() {
    let (client, server) = (endpoint(9, 40_000), endpoint(2, 80));
    let all = [
        tcp(server, client, 0, 0x12), // the SYN was not captured
        tcp(client, server, 1, ACK),
        tcp(client, server, 2, ACK),
    ];
    let (steps, evictions) = run(4, &all);
    assert_eq!(steps, [vec![], vec![], vec![], vec![(client, 2, 1, Some("S1"))]]);
    assert_eq!(evictions, 0);
}

#[test]
fn a_later_syn_swaps_initiator_and_responder_with_their_counts() {
    let (one, other) = (endpoint(1, 443), endpoint(2, 50_000));
    let all = [tcp(one, other, 0, ACK), tcp(one, other, 0, ACK), tcp(one, other, 1, SYN)];
    assert_eq!(run(4, &all).0.last().unwrap(), &[(one, 3, 0, Some("S0"))]);
}

#[test]
fn idle_timeouts_depend_on_protocol_and_tcp_state() {
    let (a, b) = (endpoint(1, 40_000), endpoint(2, 53));
    // The last observation of each case only advances the time.
    let tick = |seconds| observation(17, endpoint(7, 1), endpoint(8, 1), seconds, None);
    let open = [tcp(a, b, 0, SYN), tcp(b, a, 0, 0x12)];
    let over = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST)];
    for (observations, idle) in
        [(&[observation(17, a, b, 0, None)][..], 120), (&[tcp(a, b, 0, SYN)], 120), (&open, 600), (&over, 10)]
    {
        for (wait, tuple) in [(idle, false), (idle + 1, true)] {
            let (steps, _) = run(4, &[observations, &[tick(wait)]].concat());
            assert_eq!(steps[observations.len()].len(), usize::from(tuple), "{idle} {wait}");
        }
    }
}

#[test]
fn a_syn_after_a_reset_is_the_next_connection() {
    let (a, b) = (endpoint(1, 40_000), endpoint(2, 22));
    let round = [tcp(a, b, 0, SYN), tcp(b, a, 0, RST | ACK)];
    let (steps, evictions) = run(4, &[round, round].concat());
    let rejected = (a, 1, 1, Some("REJ"));
    assert_eq!(steps, [vec![], vec![], vec![rejected], vec![], vec![rejected]]);
    assert_eq!(evictions, 0, "it ended by itself");
}

#[test]
fn a_full_table_evicts_the_least_recently_used_and_loses_nothing() {
    let all: Vec<_> = (0..40)
        .map(|number| {
            observation(17, endpoint(number, 5_000), endpoint(200, 53), u64::from(number / 10), None)
        })
        .collect();
    let (steps, evictions) = run(8, &all);
    assert_eq!(evictions, 32);
    let initiators: Vec<_> = steps.iter().flatten().map(|(initiator, ..)| initiator.address).collect();
    let expected: Vec<_> = (0..40).map(|number| endpoint(number, 0).address).collect();
    assert_eq!(initiators, expected);
}

#[test]
fn records_from_before_a_clock_set_back_end() {
    let (a, b) = (endpoint(1, 40_000), endpoint(2, 53));
    let all = [
        observation(17, a, b, 5_000, None),
        observation(17, b, a, 4_996, None),
        observation(17, endpoint(3, 9), b, 10, None),
    ];
    let (steps, _) = run(4, &all);
    assert_eq!(steps[..3], [vec![], vec![], vec![(a, 1, 1, None)]]);
}

#[test]
fn echo_request_and_reply_are_one_record_and_errors_one_each_way() {
    let (a, b) = (endpoint(9, 0), endpoint(2, 0));
    let message = |from: Endpoint, to: Endpoint, kind, code| {
        let (source, destination, is_one_way) = icmp(kind, code, ICMP_PAIRS);
        let tuple = FlowTuple {
            source: Endpoint { port: source, ..from },
            destination: Endpoint { port: destination, ..to },
            protocol: protocol::ICMP,
            is_one_way,
        };
        Observation { tuple, ..observation(protocol::ICMP, from, to, 0, None) }
    };
    let all = [
        message(b, a, 0, 0), // the reply was captured first
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
fn open_records_end_in_the_order_of_their_first_packet() {
    for count in [0, 1, 2, 3, 7, 64, 100] {
        // a permutation: 37 has no factor in common with 101
        let all: Vec<_> = (0..count)
            .map(|number| {
                observation(
                    17,
                    endpoint(number * 37 % 101, 5_000),
                    endpoint(200, 53),
                    u64::from(number) % 3,
                    None,
                )
            })
            .collect();
        let mut expected: Vec<_> = all.iter().map(|it| (it.first, it.tuple.source.address)).collect();
        expected.sort();
        let (steps, _) = run(128, &all);
        let initiators: Vec<_> =
            steps.last().unwrap().iter().map(|(initiator, ..)| initiator.address).collect();
        let expected: Vec<_> = expected.into_iter().map(|(_, address)| address).collect();
        assert_eq!(initiators, expected, "{count}");
    }
}

#[test]
fn a_table_without_storage_has_no_records() {
    let mut table = FlowRecords::new(&mut [], &mut [], &mut []);
    let observation = tcp(endpoint(1, 1), endpoint(2, 2), 0, SYN);
    assert!(table.note(&KEY, &observation, &mut |_| panic!("none")).is_none());
    table.finish(&mut |_| panic!("none"));
}
