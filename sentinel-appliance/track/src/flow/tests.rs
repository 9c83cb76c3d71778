//! Roles of packets, by flags, ports and what was recorded before.

extern crate std;
use super::*;
use crate::hash::HashKey;
use sentinel_dissect::FiveTuple;
use std::vec;

fn endpoint(last: u32, port: u16) -> Endpoint {
    Endpoint { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
}

const KEY: HashKey = HashKey::new(1);
const NOW: Timestamp = Timestamp::from_parts(1_700_000_000, 0);
const SYN: TcpFlags = TcpFlags(0x02);
const SYN_ACK: TcpFlags = TcpFlags(0x12);
const ACK: TcpFlags = TcpFlags(0x10);

fn flow(source: Endpoint, destination: Endpoint, tcp_flags: Option<TcpFlags>) -> FlowId {
    let tuple = FiveTuple {
        source: source.address,
        destination: destination.address,
        source_port: source.port,
        destination_port: destination.port,
        tcp_flags,
    };
    FlowId::of(&KEY, &tuple)
}

fn tcp<'t>(
    flows: &'t mut Flows<'_>,
    source: Endpoint,
    destination: Endpoint,
    flags: TcpFlags,
) -> FlowEntry<'t> {
    flows.note(flow(source, destination, Some(flags)), Some(flags), NOW)
}

fn udp<'t>(
    flows: &'t mut Flows<'_>,
    source: Endpoint,
    destination: Endpoint,
    now: Timestamp,
) -> FlowEntry<'t> {
    flows.note(flow(source, destination, None), None, now)
}

#[test]
fn the_sender_of_the_syn_is_the_initiator() {
    for (client, server) in [(endpoint(1, 40_000), endpoint(2, 80)), (endpoint(9, 40_000), endpoint(2, 80))] {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        let first = tcp(&mut flows, client, server, SYN).role;
        assert_eq!(
            first,
            Role { from_initiator: true, certain: true, is_first: true, idle: CoarseSpan::default() }
        );
        let response = tcp(&mut flows, server, client, SYN_ACK).role;
        assert_eq!(
            response,
            Role { from_initiator: false, certain: true, is_first: false, idle: CoarseSpan::default() }
        );
    }
}

#[test]
fn a_syn_ack_alone_identifies_the_initiator() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    // The ports alone would say the opposite.
    assert!(!tcp(&mut flows, endpoint(1, 50_000), endpoint(2, 80), SYN_ACK).role.from_initiator);
    assert!(tcp(&mut flows, endpoint(2, 80), endpoint(1, 50_000), ACK).role.from_initiator);
}

#[test]
fn without_a_syn_the_ports_decide_and_a_later_syn_corrects() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    let role = tcp(&mut flows, endpoint(1, 443), endpoint(2, 50_000), ACK).role;
    assert_eq!(
        role,
        Role { from_initiator: false, certain: false, is_first: true, idle: CoarseSpan::default() }
    );
    let role = tcp(&mut flows, endpoint(1, 443), endpoint(2, 50_000), SYN).role;
    assert_eq!(
        role,
        Role { from_initiator: true, certain: true, is_first: false, idle: CoarseSpan::default() }
    );
}

#[test]
fn a_response_of_a_resolver_is_not_from_the_initiator() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    assert!(!udp(&mut flows, endpoint(1, 53), endpoint(2, 33_000), NOW).role.from_initiator);
    assert!(udp(&mut flows, endpoint(2, 33_001), endpoint(1, 53), NOW).role.from_initiator);
    assert!(udp(&mut flows, endpoint(2, 5_000), endpoint(1, 5_001), NOW).role.from_initiator);
}

#[test]
fn an_initiator_set_by_another_worker_is_kept() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    let (here, there) = (endpoint(1, 5_000), endpoint(2, 5_001));
    let id = flow(there, here, None);
    assert!(id.is_ambiguous() && !flow(endpoint(1, 53), endpoint(2, 5_000), None).is_ambiguous());
    assert!(flows.set_initiator(id, true, false, false, NOW));
    assert!(!udp(&mut flows, here, there, NOW).role.from_initiator);
    assert!(!flows.set_initiator(id, false, false, false, NOW), "known already");
    assert!(!udp(&mut flows, here, there, NOW).role.from_initiator);
    assert!(!flows.set_initiator(id, false, false, true, NOW));
    assert!(udp(&mut flows, here, there, NOW).role.from_initiator);
}

#[test]
fn without_storage_each_packet_is_a_first_one() {
    let mut flows = Flows::new(&mut []);
    assert!(tcp(&mut flows, endpoint(1, 1), endpoint(2, 2), SYN).role.from_initiator);
}

#[test]
fn inspection_is_kept_until_the_rules_or_the_initiator_change() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    let (client, server) = (endpoint(1, 40_000), endpoint(2, 80));
    let mut up = tcp(&mut flows, client, server, ACK);
    assert_eq!(up.inspection(), Inspection::Full);
    up.set_inspection(Inspection::LengthOnly);
    assert_eq!(tcp(&mut flows, client, server, ACK).inspection(), Inspection::LengthOnly);
    let mut down = tcp(&mut flows, server, client, ACK);
    assert_eq!(down.inspection(), Inspection::Full, "set for one direction only");
    down.set_inspection(Inspection::Bypass);
    assert_eq!(tcp(&mut flows, server, client, ACK).inspection(), Inspection::Bypass);
    assert_eq!(tcp(&mut flows, client, server, ACK).inspection(), Inspection::LengthOnly);
    tcp(&mut flows, client, server, ACK).set_response_inspection(Inspection::LengthOnly);
    assert_eq!(tcp(&mut flows, server, client, ACK).inspection(), Inspection::LengthOnly);
    flows.reset_inspection();
    let mut up = tcp(&mut flows, client, server, ACK);
    assert_eq!(up.inspection(), Inspection::Full);
    up.set_inspection(Inspection::Bypass);
    let proof = tcp(&mut flows, client, server, SYN);
    assert_eq!(proof.inspection(), Inspection::Full, "the SYN proves what was only inferred");
}

#[test]
fn certain_ports_give_one_initiator_for_either_first_packet() {
    let ports = [0, 80, 1_023, 1_024, 8_080, 32_767, 32_768, 65_535].map(Port);
    for (source, destination) in ports.iter().flat_map(|one| ports.map(|other| (*one, other))) {
        let inferred = (looks_like_initiator(source, destination), looks_like_initiator(destination, source));
        assert_eq!(is_certain_initiator(source, destination), inferred == (true, false));
    }
}

#[test]
fn idle_time_is_measured() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    udp(&mut flows, endpoint(1, 5_000), endpoint(2, 5_001), NOW);
    let later =
        udp(&mut flows, endpoint(2, 5_001), endpoint(1, 5_000), NOW.after(Duration::from_secs(30))).role;
    assert!(later.idle >= CoarseSpan::at_least(Duration::from_millis(29_900)) && !later.is_first);
}

/// The initiator's packets are inspected in full again once a whole period had no response.
#[test]
fn a_response_lasts_for_its_period_and_the_next() {
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    let (client, server) = (endpoint(1, 50_000), endpoint(2, 443));
    let period = |number: u64| Timestamp::from_nanos((100_000_000 + number) << 34);
    assert_eq!(COARSE_RESPONSE_PERIOD.elapsed(period(0)), CoarseSpan::default());
    let mut entry = udp(&mut flows, client, server, period(0));
    entry.set_inspection(Inspection::LengthOnly);
    entry.set_response_inspection(Inspection::Bypass);
    // The first packet of a period, from either side.
    let mut begin = |number: u64, response: bool| {
        let (source, destination) = if response { (server, client) } else { (client, server) };
        let id = flow(source, destination, None);
        let touched = flows.touch(id, COARSE_RESPONSE_PERIOD, period(number));
        assert_eq!(touched, Inspection::Full, "period {number} begins");
        let mut entry = udp(&mut flows, source, destination, period(number));
        let own = entry.inspection();
        if response {
            entry.set_inspection(Inspection::Bypass);
        }
        own
    };
    assert_eq!(begin(1, false), Inspection::LengthOnly, "answered in period 0");
    assert_eq!(begin(2, true), Inspection::Full, "the response itself; none in period 1");
    assert_eq!(begin(3, false), Inspection::Full, "period 1 had none, and nothing has changed it back since");
    let mut entry = udp(&mut flows, client, server, period(3));
    entry.set_inspection(Inspection::Bypass);
    assert!(flows.set_answered(flow(server, client, None), Inspection::LengthOnly, period(3)));
    assert!(!flows.set_answered(flow(client, server, None), Inspection::LengthOnly, period(3)), "a request");
    assert!(
        !flows.set_answered(flow(server, endpoint(3, 9), None), Inspection::Bypass, period(3)),
        "unknown"
    );
    assert_eq!(udp(&mut flows, client, server, period(3)).inspection(), Inspection::LengthOnly);
    assert_eq!(udp(&mut flows, server, client, period(3)).inspection(), Inspection::Bypass);
}

#[test]
fn a_flow_keeps_bits_beside_what_it_knows() {
    let (client, server) = (endpoint(1, 40_000), endpoint(2, 22));
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    let mut entry = tcp(&mut flows, client, server, SYN);
    assert_eq!(entry.session(), 0);
    entry.set_inspection(Inspection::Bypass);
    entry.set_session(u32::MAX);
    let entry = tcp(&mut flows, server, client, SYN_ACK);
    assert_eq!((entry.session(), entry.role.from_initiator), (u32::MAX >> (32 - SESSION_BITS), false));
    assert_eq!(tcp(&mut flows, client, server, ACK).inspection(), Inspection::Bypass);
}

#[test]
fn a_flow_is_one_way_until_the_other_endpoint_sends() {
    let (one, other) = (endpoint(1, 443), endpoint(2, 50_000));
    let mut sets = vec![FlowSet::default(); 16];
    let mut flows = Flows::new(&mut sets);
    for _ in 0..3 {
        assert_eq!(udp(&mut flows, one, other, NOW).note_sender(), ONE_WAY);
    }
    assert_eq!(udp(&mut flows, other, one, NOW).note_sender(), 0);
    assert_eq!(udp(&mut flows, one, other, NOW).note_sender(), 0);
}
