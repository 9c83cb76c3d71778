//! Claims that are forged, and claims that have a reason.

extern crate std;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use sentinel_alert::{Alert, Evidence, Phase, Severity, Test};
use sentinel_units::Mac;

use crate::testkit::{
    self, CLIENT, FALSE_MAC, GATEWAY, GATEWAY_MAC, MAC, OUTSIDE, SYN_ACK, Sensor, VICTIM, arp, datagram,
    dhcp_ack_from, ethernet, ipv4, other, play, segment, tagged,
};

const VICTIM_MAC: testkit::Mac = [2, 0, 0, 0, 0, 0x10];
const OTHER_MAC: testkit::Mac = [2, 0, 0, 0, 0, 0x77];
const VIRTUAL: testkit::Mac = [0, 0, 0x5e, 0, 1, 9];
const BROADCAST: testkit::Mac = [0xff; 6];

type Frames = Vec<(u64, Vec<u8>)>;

fn to(destination: testkit::Mac, mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&destination);
    frame
}

fn request(from: (testkit::Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    arp(1, from, ([0; 6], target))
}

fn reply(from: (testkit::Mac, Ipv4Addr), target: (testkit::Mac, Ipv4Addr)) -> Vec<u8> {
    to(target.0, arp(2, from, target))
}

fn announce(mac: testkit::Mac, address: Ipv4Addr) -> Vec<u8> {
    arp(1, (mac, address), ([0; 6], address))
}

/// `requester` asks for an address, and its holder answers.
fn resolve(millis: u64, requester: (testkit::Mac, Ipv4Addr), holder: (testkit::Mac, Ipv4Addr)) -> Frames {
    std::vec![(millis, request(requester, holder.1)), (millis + 1, reply(holder, requester))]
}

/// Two stations find the gateway, and it finds them.
fn peace() -> Frames {
    let gateway = (GATEWAY_MAC, GATEWAY);
    [(MAC, CLIENT), (VICTIM_MAC, VICTIM)]
        .into_iter()
        .flat_map(|host| [resolve(0, host, gateway), resolve(10, gateway, host)].concat())
        .collect()
}

/// A packet of an external host, which the gateway forwards.
fn forwarded(millis: u64, mac: testkit::Mac) -> (u64, Vec<u8>) {
    let packet = ipv4(OUTSIDE, CLIENT, 6, &segment(443, 50_000, SYN_ACK, &[]));
    (millis, [&packet[..6], &mac, &packet[12..]].concat())
}

/// The gateway is proven by the traffic that it forwards.
fn traffic(from: u64, mac: testkit::Mac) -> Frames {
    (0..40).map(|number| forwarded(from + number * 100, mac)).collect()
}

/// Opening severities, and the severity that the last message of each has.
fn severities(frames: Frames) -> Vec<(Test, Severity)> {
    last_of_each(&play(frames).raised)
}

fn last_of_each(raised: &[Alert]) -> Vec<(Test, Severity)> {
    let opened = raised.iter().filter(|alert| alert.phase == Phase::Open);
    opened
        .map(|open| {
            let of_it = raised.iter().filter(|alert| alert.incident == open.incident);
            (open.test, of_it.map(|alert| alert.severity).max().unwrap())
        })
        .collect()
}

const FORGED: [(Test, Severity); 1] = [(Test::ArpSpoof, Severity::High)];
const TAKEN: [(Test, Severity); 1] = [(Test::ArpSpoof, Severity::Low)];

#[test]
fn an_answer_that_nobody_asked_for_is_forged() {
    let forged = reply((FALSE_MAC, GATEWAY), (VICTIM_MAC, VICTIM));
    let sensor = play([peace(), std::vec![(5_000, forged.clone())]].concat());
    let alert = testkit::only(&sensor.raised);
    let (before, after) = (Mac(GATEWAY_MAC), Mac(FALSE_MAC));
    assert_eq!(alert.evidence, Evidence::Binding { before, after, changes: 1 });
    assert_eq!((alert.subject.mac, alert.severity), (Some(after), Severity::High));
    // Also if it is of a single host, in a virtual router's name, to everybody, or an announcement to one station.
    let seen = (0, announce(GATEWAY_MAC, GATEWAY));
    for frame in [
        forged.clone(),
        reply((VIRTUAL, GATEWAY), (VICTIM_MAC, VICTIM)),
        to(BROADCAST, forged),
        to(VICTIM_MAC, arp(2, (FALSE_MAC, GATEWAY), (VICTIM_MAC, GATEWAY))),
    ] {
        assert_eq!(severities(std::vec![seen.clone(), (5_000, frame)]), FORGED);
    }
    // A second after a request an answer is none to it; and of another station's request it never is.
    let asked = |requester: (testkit::Mac, Ipv4Addr), at| {
        let answer = reply((FALSE_MAC, GATEWAY), (VICTIM_MAC, VICTIM));
        severities(std::vec![seen.clone(), (1_000, request(requester, GATEWAY)), (at, answer)])
    };
    assert_eq!(asked((VICTIM_MAC, VICTIM), 1_900), TAKEN);
    assert_eq!(asked((VICTIM_MAC, VICTIM), 2_200), FORGED);
    assert_eq!(asked((OTHER_MAC, other(1)), 1_001), FORGED);
}

#[test]
fn claims_of_each_form_are_judged() {
    let forms = [
        request((FALSE_MAC, GATEWAY), CLIENT),
        announce(FALSE_MAC, GATEWAY),
        arp(2, (FALSE_MAC, GATEWAY), (BROADCAST, GATEWAY)),
    ];
    for frame in forms.clone() {
        let seen = (0, announce(GATEWAY_MAC, GATEWAY));
        assert_eq!(severities(std::vec![seen, (10, frame)]), TAKEN, "of a station that was never seen");
    }
    // In the gateway's name, while it forwards, only an announcement may be that of a failover.
    for (frame, expected) in forms.into_iter().zip([FORGED, TAKEN, TAKEN]) {
        assert_eq!(
            severities([traffic(0, GATEWAY_MAC), peace(), std::vec![(4_000, frame)]].concat()),
            expected
        );
    }
    let to_one = to(VICTIM_MAC, request((FALSE_MAC, GATEWAY), VICTIM));
    assert_eq!(
        severities([peace(), std::vec![(5_000, to_one.clone())]].concat()),
        FORGED,
        "popular and active"
    );
    assert_eq!(
        severities([peace(), std::vec![(31_100, to_one)]].concat()),
        TAKEN,
        "silent for half a minute"
    );
}

#[test]
fn an_announcement_is_forged_if_the_gateway_goes_on() {
    let announced =
        || [traffic(0, GATEWAY_MAC), peace(), std::vec![(4_100, announce(FALSE_MAC, GATEWAY))]].concat();
    assert_eq!(severities(announced()), TAKEN);
    assert_eq!(severities([announced(), std::vec![forwarded(4_500, GATEWAY_MAC)]].concat()), FORGED);
    assert_eq!(
        severities([announced(), std::vec![forwarded(64_500, GATEWAY_MAC)]].concat()),
        TAKEN,
        "a minute later"
    );
    assert_eq!(severities([announced(), std::vec![forwarded(4_500, FALSE_MAC)]].concat()), TAKEN, "failover");
    let back = |frame| severities([announced(), std::vec![(5_000, frame)]].concat());
    assert_eq!(back(request((GATEWAY_MAC, GATEWAY), CLIENT)), FORGED);
    assert_eq!(back(announce(GATEWAY_MAC, GATEWAY)), TAKEN, "the first of a pair comes back");
    let answer = udp_from(GATEWAY_MAC, (GATEWAY, 53));
    assert_eq!(back(answer), FORGED, "it uses its address");
    // A router with a virtual address forwards from its own.
    let shared = [traffic(0, GATEWAY_MAC), peace(), std::vec![(4_100, announce(VIRTUAL, GATEWAY))]].concat();
    assert_eq!(severities([shared, traffic(4_200, GATEWAY_MAC)].concat()), []);
}

fn udp_from(mac: testkit::Mac, from: (Ipv4Addr, u16)) -> Vec<u8> {
    let packet = ipv4(from.0, CLIENT, 17, &datagram(from.1, 40_000, &[0; 8]));
    [&packet[..6], &mac, &packet[12..]].concat()
}

#[test]
fn the_attacker_may_come_first() {
    let first = std::vec![(0, announce(FALSE_MAC, GATEWAY))];
    let later: Frames = peace().into_iter().map(|(millis, frame)| (millis + 2_000, frame)).collect();
    let sensor = play([first.clone(), later.clone()].concat());
    assert_eq!(last_of_each(&sensor.raised), FORGED);
    // Of a proven gateway its first request tells.
    let known = [traffic(0, GATEWAY_MAC), std::vec![(4_000, announce(FALSE_MAC, GATEWAY))]].concat();
    let sensor = play([known, std::vec![(4_100, request((GATEWAY_MAC, GATEWAY), CLIENT))]].concat());
    assert_eq!(
        (last_of_each(&sensor.raised), sensor.raised[0].subject.mac),
        (FORGED.to_vec(), Some(Mac(FALSE_MAC)))
    );
    // One station alone that asks proves nothing, and a leased address is its holder's.
    assert_eq!(severities([first, later[..2].to_vec()].concat()), TAKEN);
    let leased = std::vec![
        (0, dhcp_ack_from((GATEWAY_MAC, GATEWAY), FALSE_MAC, CLIENT)),
        (900, announce(FALSE_MAC, CLIENT)),
    ];
    let roamed = [
        resolve(2_000, (GATEWAY_MAC, GATEWAY), (OTHER_MAC, CLIENT)),
        resolve(3_000, (VICTIM_MAC, VICTIM), (OTHER_MAC, CLIENT)),
    ];
    assert_eq!(severities([leased, roamed.concat()].concat()), TAKEN);
}

#[test]
fn leases_explain_moves_if_the_server_is_the_first() {
    let lease = |server, client| (10, dhcp_ack_from(server, client, CLIENT));
    let gateway = (GATEWAY_MAC, GATEWAY);
    let before = || (0, announce(MAC, CLIENT));
    let moved = || (20, announce(FALSE_MAC, CLIENT));
    assert_eq!(severities(std::vec![before(), lease(gateway, FALSE_MAC), moved()]), []);
    // The lease explains its holder and nobody else.
    assert_eq!(severities(std::vec![before(), lease(gateway, OTHER_MAC), moved()]), TAKEN);
    // A second server, and one whose address another station holds, explain nothing.
    let first = (5, dhcp_ack_from(gateway, MAC, CLIENT));
    let rogue = (10, dhcp_ack_from((OTHER_MAC, VICTIM), FALSE_MAC, CLIENT));
    let claims: Vec<_> = severities(std::vec![before(), first, rogue, moved()]);
    assert!(claims.contains(&TAKEN[0]), "{claims:?}");
    let forged = std::vec![
        (0, announce(GATEWAY_MAC, GATEWAY)),
        before(),
        lease((FALSE_MAC, GATEWAY), FALSE_MAC),
        moved(),
    ];
    assert_eq!(severities(forged), TAKEN);
    // The gateway's own address is leased to nobody.
    let gateways = [
        traffic(0, GATEWAY_MAC),
        peace(),
        std::vec![
            (4_100, dhcp_ack_from(gateway, FALSE_MAC, GATEWAY)),
            (4_200, request((FALSE_MAC, GATEWAY), CLIENT)),
        ],
    ];
    assert_eq!(severities(gateways.concat()), FORGED);
}

#[test]
fn ordinary_life_is_silent() {
    let seen = || std::vec![(0, announce(MAC, CLIENT)), (1, announce(OTHER_MAC, other(1)))];
    let silent = |frames: Frames| assert_eq!(severities([seen(), frames].concat()), []);
    silent(std::vec![(10, arp(1, (FALSE_MAC, Ipv4Addr::UNSPECIFIED), ([0; 6], CLIENT)))]); // a probe claims nothing
    silent(std::vec![(10, announce(MAC, other(2))), (20, announce(MAC, other(3)))]); // one machine, several addresses
    silent(std::vec![(86_402_000, announce(FALSE_MAC, CLIENT))]); // older than a day
    silent(std::vec![(10, announce(VIRTUAL, CLIENT))]); // VRRP begins
    // A repeater that replaces MAC addresses, there and back.
    silent(std::vec![
        (60_000, request((OTHER_MAC, CLIENT), GATEWAY)),
        (600_000, request((MAC, CLIENT), GATEWAY)),
        (900_000, request((OTHER_MAC, CLIENT), GATEWAY)),
    ]);
    // A pair of machines without virtual MAC addresses.
    silent(std::vec![(60_000, announce(OTHER_MAC, CLIENT)), (60_100, announce(OTHER_MAC, CLIENT))]);
    // The gateway answers for a host that answers as well: proxy ARP.
    let requester = (VICTIM_MAC, VICTIM);
    let twice =
        |at| [resolve(at, requester, (MAC, CLIENT)), resolve(at, requester, (GATEWAY_MAC, CLIENT))].concat();
    let proxied: Frames = (10..30).flat_map(|number| twice(number * 1_000)).collect();
    silent([traffic(2, GATEWAY_MAC), proxied].concat());
}

#[test]
fn changes_back_and_forth_are_forged_at_the_fourth_within_a_minute() {
    let swap = |count: u64, gap: u64| {
        let seen = std::vec![(0, announce(MAC, CLIENT)), (1, announce(OTHER_MAC, other(1)))];
        let swaps = (1..=count).map(|number| {
            let mac = if number % 2 == 1 { OTHER_MAC } else { MAC };
            (number * gap, request((mac, CLIENT), GATEWAY))
        });
        severities(seen.into_iter().chain(swaps).collect())
    };
    assert_eq!(swap(3, 10_000), []);
    assert_eq!(swap(4, 10_000), FORGED);
    assert_eq!(swap(4, 30_000), []);
}

#[test]
fn links_are_kept_apart() {
    let gateways = |first: Vec<u8>, second: Vec<u8>| severities(std::vec![(0, first), (10, second)]);
    let frame = |mac| announce(mac, GATEWAY);
    assert_eq!(gateways(tagged(5, frame(MAC)), tagged(6, frame(OTHER_MAC))), []);
    assert_eq!(gateways(frame(MAC), tagged(6, frame(OTHER_MAC))), []);
    assert_eq!(gateways(tagged(5, tagged(7, frame(MAC))), tagged(5, tagged(8, frame(OTHER_MAC)))), []);
    assert_eq!(gateways(tagged(5, frame(MAC)), tagged(5, frame(OTHER_MAC))), TAKEN);
    // A tag that the card took off, a priority tag (VLAN 0), and interfaces.
    let mut sensor = Sensor::new();
    for (interface, vlan, mac) in
        [(0, None, MAC), (1, None, OTHER_MAC), (0, Some(5), FALSE_MAC), (0, Some(0x6000), MAC)]
    {
        sensor.captured(10, &frame(mac), interface, vlan);
    }
    sensor.fast(20, &tagged(5, frame(FALSE_MAC)));
    assert_eq!(last_of_each(&sensor.raised), []);
    sensor.captured(30, &frame(VIRTUAL), 1, Some(5));
    sensor.captured(30, &frame(GATEWAY_MAC), 1, None);
    assert_eq!(last_of_each(&sensor.raised), TAKEN);
}

fn neighbour(
    kind: u8,
    (mac, source): (testkit::Mac, Ipv6Addr),
    target: Ipv6Addr,
    receiver: testkit::Mac,
) -> Vec<u8> {
    let (flags, option) = if kind == 136 { (0x60, 2) } else { (0, 1) };
    let destination = if receiver[0] & 1 == 1 { "ff02::1".parse().unwrap() } else { V6[1] };
    let message = [&[kind, 0, 0, 0, flags, 0, 0, 0][..], &target.octets(), &[option, 1], &mac].concat();
    let front = [0x60, 0, 0, 0, 0, 32, 58, 255];
    let packet = [&front[..], &source.octets(), &destination.octets(), &message].concat();
    ethernet(mac, receiver, 0x86dd, &packet)
}

const V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 0x10)];
const NODES: testkit::Mac = [0x33, 0x33, 0, 0, 0, 1];

#[test]
fn neighbour_discovery_is_judged_alike() {
    let [gateway, victim] = V6;
    let ask = |at, mac, source| (at, neighbour(135, (mac, source), gateway, NODES));
    let advertise = |at, mac, receiver| (at, neighbour(136, (mac, gateway), gateway, receiver));
    let peace = || std::vec![ask(0, VICTIM_MAC, victim), advertise(1, GATEWAY_MAC, VICTIM_MAC)];
    let with = |frames: &[(u64, Vec<u8>)]| severities([peace(), frames.to_vec()].concat());
    assert_eq!(with(&[advertise(5_000, GATEWAY_MAC, VICTIM_MAC)]), []);
    assert_eq!(with(&[advertise(5_000, FALSE_MAC, VICTIM_MAC)]), [(Test::NdpSpoof, Severity::High)]);
    assert_eq!(with(&[advertise(5_000, FALSE_MAC, NODES)]), [(Test::NdpSpoof, Severity::Low)]);
    assert_eq!(
        with(&[ask(5_000, VICTIM_MAC, victim), advertise(5_001, FALSE_MAC, VICTIM_MAC)]),
        [(Test::NdpSpoof, Severity::Low)]
    );
    // The claim of a solicitation is its source.
    let claimed = (5_000, neighbour(135, (FALSE_MAC, gateway), victim, NODES));
    assert_eq!(with(&[claimed]), [(Test::NdpSpoof, Severity::Low)]);
    // Without the override flag nothing changes, forwarded messages and other codes are ignored, and a solicitation without a source
    // claims nothing.
    for (at, value) in [(58, 0x40), (21, 254), (55, 1)] {
        let (millis, mut frame) = advertise(5_000, FALSE_MAC, VICTIM_MAC);
        frame[at] = value;
        assert_eq!(with(&[(millis, frame)]), [], "byte {at}");
    }
    assert_eq!(with(&[ask(5_000, FALSE_MAC, Ipv6Addr::UNSPECIFIED)]), []);
}

/// 2,000 made-up bindings, and what the table gives up for them.
#[test]
fn a_full_table_keeps_what_was_asked_for_and_counts() {
    let mut sensor = Sensor::new();
    sensor.frame(0, &announce(GATEWAY_MAC, GATEWAY));
    sensor.frame(0, &request((VICTIM_MAC, VICTIM), GATEWAY));
    for number in 0..2_000_u32 {
        sensor.frame(u64::from(number), &announce(OTHER_MAC, other(number)));
    }
    let evictions = sensor.engine.losses().evictions;
    assert!((976..1_300).contains(&evictions), "{evictions}");
    sensor.frame(5_000, &reply((FALSE_MAC, GATEWAY), (VICTIM_MAC, VICTIM)));
    assert_eq!(last_of_each(&sensor.raised), FORGED);
}

#[test]
fn without_a_table_nothing_fires() {
    let none = crate::Capacities { flows: 0, incidents: 0, tables: crate::TableCapacities::uniform(0) };
    let mut sensor = Sensor::with(none, testkit::KEY, &testkit::configs());
    for (millis, frame) in
        [peace(), std::vec![(5_000, reply((FALSE_MAC, GATEWAY), (VICTIM_MAC, VICTIM)))]].concat()
    {
        sensor.frame(millis, &frame);
    }
    assert_eq!(sensor.raised, []);
}

/// DHCP answers of a server that names `router` and `resolver`.
fn answer(server: (testkit::Mac, Ipv4Addr), router: Ipv4Addr, resolver: Ipv4Addr) -> Vec<u8> {
    testkit::dhcp_answer(server, (OTHER_MAC, other(9)), (router, resolver))
}

fn kinds(frames: Frames) -> Vec<(Test, Severity, Option<Mac>)> {
    let raised = play(frames).raised;
    let opened = raised.iter().filter(|alert| alert.phase == Phase::Open);
    opened.map(|alert| (alert.test, alert.severity, alert.subject.mac)).collect()
}

#[test]
fn a_second_dhcp_server_is_rogue_if_it_names_others() {
    let (known, rogue) = ((GATEWAY_MAC, GATEWAY), (FALSE_MAC, testkit::ATTACKER));
    let first = || (0, answer(known, GATEWAY, GATEWAY));
    let second = |at, router, resolver| kinds(std::vec![first(), (at, answer(rogue, router, resolver))]);
    let expected = [(Test::RogueDhcp, Severity::High, Some(Mac(FALSE_MAC)))];
    assert_eq!(second(10_000, testkit::ATTACKER, GATEWAY), expected);
    assert_eq!(second(10_000, GATEWAY, OUTSIDE), expected);
    assert_eq!(second(10_000, GATEWAY, GATEWAY), [], "the second of a pair");
    assert_eq!(second(10_000, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED), [], "names nothing");
    // After ten minutes of silence it may be a new router; not while the gateway forwards.
    let late = [(Test::RogueDhcp, Severity::Low, Some(Mac(FALSE_MAC)))];
    assert_eq!(second(599_000, testkit::ATTACKER, GATEWAY), expected);
    assert_eq!(second(601_000, testkit::ATTACKER, GATEWAY), late);
    let busy = [std::vec![first()], traffic(590_000, GATEWAY_MAC)].concat();
    let at_last = (601_000, answer(rogue, testkit::ATTACKER, GATEWAY));
    assert_eq!(kinds([busy, std::vec![at_last.clone()]].concat()), expected);
    // Reported once a day.
    let again = |at| (at, answer(rogue, testkit::ATTACKER, GATEWAY));
    let day = std::vec![
        first(),
        again(10_000),
        first(),
        again(400_000),
        (86_400_000, first().1),
        again(86_500_000)
    ];
    assert_eq!(kinds(day).len(), 2);
    // If the proven gateway comes second, the first one is the rogue.
    let attacker_first = [traffic(0, GATEWAY_MAC), std::vec![again(4_100), (5_000, first().1)]].concat();
    assert_eq!(kinds(attacker_first), expected);
    assert_eq!(kinds(std::vec![(0, tagged(5, first().1)), (10, tagged(6, again(0).1))]), [], "another VLAN");
}

#[test]
fn a_resolver_that_was_not_named_before_is_reported() {
    let known = (GATEWAY_MAC, GATEWAY);
    let named = |at, resolver| (at, answer(known, GATEWAY, resolver));
    // The transaction of all messages is the same: two answers to one request.
    let twice = kinds(std::vec![named(0, GATEWAY), named(5, OUTSIDE)]);
    assert_eq!(twice, [(Test::RogueDns, Severity::High, Some(Mac(GATEWAY_MAC)))]);
    let (at, mut later) = named(5_000, OUTSIDE);
    later[14 + 20 + 8 + 4] = 7;
    let changed = kinds(std::vec![named(0, GATEWAY), (at, later)]);
    assert_eq!(changed, [(Test::RogueDns, Severity::Low, Some(Mac(GATEWAY_MAC)))]);
    assert_eq!(
        kinds(std::vec![named(0, GATEWAY), named(5_000, GATEWAY), named(9_000, Ipv4Addr::UNSPECIFIED)]),
        []
    );
}

fn udp_v6(mac: testkit::Mac, source: Ipv6Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let packet = testkit::ipv6(source, V6[1], 17, &datagram(ports.0, ports.1, payload));
    [&packet[..6], &mac, &packet[12..]].concat()
}

#[test]
fn dhcp_for_ipv6_is_judged_alike() {
    let answer = |mac, source: Ipv6Addr, resolver: Ipv6Addr| {
        let message = [&[7, 1, 2, 3, 0, 23, 0, 16][..], &resolver.octets()].concat();
        udp_v6(mac, source, (547, 546), &message)
    };
    let [known, other] = V6;
    let frames = |resolver| {
        std::vec![(0, answer(GATEWAY_MAC, known, known)), (10, answer(FALSE_MAC, other, resolver))]
    };
    assert_eq!(kinds(frames(known)), []);
    assert_eq!(kinds(frames(other)), [(Test::RogueDhcp, Severity::High, Some(Mac(FALSE_MAC)))]);
}

fn advertisement(mac: testkit::Mac, source: Ipv6Addr, lifetime: u8, resolver: Option<Ipv6Addr>) -> Vec<u8> {
    let resolver =
        resolver.map_or(std::vec![], |address| [&[25, 3, 0, 0, 0, 0, 7, 8][..], &address.octets()].concat());
    let prefix =
        [&[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0][..], &V6[1].octets()].concat();
    let front = [134, 0, 0, 0, 64, 0, 0, lifetime, 0, 0, 0, 0, 0, 0, 0, 0];
    let message = [&front[..], &prefix, &resolver, &[1, 1], &mac].concat();
    let length = u8::try_from(message.len()).unwrap();
    let packet = [0x60, 0, 0, 0, 0, length, 58, 255];
    let group: Ipv6Addr = "ff02::1".parse().unwrap();
    ethernet(mac, NODES, 0x86dd, &[&packet[..], &source.octets(), &group.octets(), &message].concat())
}

#[test]
fn a_second_router_is_rogue_while_the_first_is_active() {
    let (first, second): (Ipv6Addr, Ipv6Addr) = (V6[0], "fe80::66".parse().unwrap());
    let known = |at| (at, advertisement(GATEWAY_MAC, first, 200, None));
    let rogue = |at, lifetime| (at, advertisement(FALSE_MAC, second, lifetime, None));
    let expected = [(Test::RogueRa, Severity::Medium, Some(Mac(FALSE_MAC)))];
    assert_eq!(kinds(std::vec![known(0), known(200_000), rogue(400_000, 200)]), expected);
    assert_eq!(kinds(std::vec![known(0), rogue(400_000, 0)]), [], "it is no default router");
    assert_eq!(kinds(std::vec![known(0), rogue(701_000, 200)]), [], "the first one is gone");
    assert_eq!(
        kinds(std::vec![known(0), (5_000, advertisement(GATEWAY_MAC, first, 0, None)), rogue(9_000, 200)]),
        []
    );
    let in_its_name = (5_000, advertisement(FALSE_MAC, first, 0, None));
    assert_eq!(kinds(std::vec![known(0), in_its_name]), expected, "in the name of the first");
    let shared = (5_000, advertisement([0, 0, 0x5e, 0, 2, 9], first, 200, None));
    assert_eq!(kinds(std::vec![known(0), shared]), [], "it becomes a virtual router");
    let resolver = |at, last| {
        (at, advertisement(GATEWAY_MAC, first, 200, Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last))))
    };
    let changed = kinds(std::vec![resolver(0, 1), resolver(5_000, 1), resolver(9_000, 2)]);
    assert_eq!(changed, [(Test::RogueDns, Severity::Low, Some(Mac(GATEWAY_MAC)))]);
    // Forwarded advertisements, and those of global addresses, are ignored.
    let (_, mut forwarded) = rogue(0, 200);
    forwarded[21] = 64;
    assert_eq!(kinds(std::vec![known(0), (5_000, forwarded)]), []);
    assert_eq!(kinds(std::vec![known(0), (5_000, advertisement(FALSE_MAC, V6[1], 200, None))]), []);
}

/// Request for a lease of the `number`-th client, in a frame of `sender`.
fn lease_request(number: u8, sender: testkit::Mac) -> Vec<u8> {
    let mut message = std::vec![0; 240];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 9, number]);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, 1, 255]);
    let frame = testkit::udp((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), &message);
    [&BROADCAST[..], &sender, &frame[12..]].concat()
}

#[test]
fn requests_in_the_names_of_many_clients_are_starvation() {
    let many = |count: u8, gap: u64, sender: fn(u8) -> testkit::Mac| {
        kinds(
            (0..count)
                .map(|number| (u64::from(number) * gap, lease_request(number, sender(number))))
                .collect(),
        )
    };
    let own: fn(u8) -> testkit::Mac = |number| [2, 0, 0, 0, 9, number];
    assert_eq!(many(19, 20, |_| FALSE_MAC), []);
    assert_eq!(many(20, 20, |_| FALSE_MAC), [(Test::DhcpStarvation, Severity::High, Some(Mac(FALSE_MAC)))]);
    assert_eq!(many(20, 1_000, |_| FALSE_MAC), [], "two seconds for each");
    assert_eq!(many(59, 20, own), [], "a house after a power cut");
    assert_eq!(many(60, 20, own), [(Test::DhcpStarvation, Severity::High, None)]);
    // One client that repeats itself, and the clients of a relay.
    assert_eq!(kinds((0..100).map(|number| (number, lease_request(1, FALSE_MAC))).collect()), []);
    let relayed = (0..40).map(|number| {
        let mut frame = lease_request(number, GATEWAY_MAC);
        frame[14 + 20 + 8 + 24..][..4].copy_from_slice(&GATEWAY.octets());
        (u64::from(number), frame)
    });
    assert_eq!(kinds(relayed.collect()), []);
    let solicit = |number: u8| udp_v6(FALSE_MAC, V6[0], (546, 547), &[1, 1, 2, 3, 0, 1, 0, 2, 7, number]);
    let found = kinds((0..20).map(|number| (u64::from(number), solicit(number))).collect());
    assert_eq!(found, [(Test::DhcpStarvation, Severity::High, Some(Mac(FALSE_MAC)))]);
}

#[test]
fn new_hardware_addresses_in_one_second_are_a_flood() {
    // Each from a hardware address of its own; `at(0)` begins a second.
    let play = |count: u16, before: u64| {
        let mut sensor = Sensor::new();
        sensor.fast(0, &testkit::tcp((CLIENT, 5_000), (VICTIM, 80), testkit::SYN));
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let frame = testkit::tcp((CLIENT, 5_000), (VICTIM, 80), testkit::SYN);
            let frame = [&frame[..6], &[2, 0, 7, 7, high, low], &frame[12..]].concat();
            sensor.fast(before + u64::from(number), &frame);
        }
        sensor.opened().contains(&Test::MacFlood)
    };
    // Some of the addresses fall on one bit of the filter.
    assert!(!play(249, 20_000) && play(256, 20_000));
    assert!(!play(499, 1_000) && play(515, 1_000), "twice the threshold in the first ten seconds");
}

#[test]
fn known_hardware_addresses_are_no_flood() {
    let mut sensor = Sensor::new();
    for round in 0..200_u64 {
        for number in 0..100_u8 {
            sensor.frame(
                20_000 + round * 1_000 + u64::from(number),
                &announce([2, 0, 7, 7, 0, number], other(number.into())),
            );
        }
    }
    assert_eq!(sensor.opened(), []);
}
