//! Each detector one below, at and above its threshold, over two windows, and on its harmless twins.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};

use sentinel_alert::{Alert, Evidence, Phase, Test};
use sentinel_units::{Address, Mac, Port};
use support::{
    ACK, ATTACKER, CLIENT, FALSE_MAC, GATEWAY, GATEWAY_MAC, KEY, MAC, OUTSIDE, PACE, ROOMY, SYN, SYN_ACK,
    Sensor, VICTIM, arp, configs, dhcp_ack, dns, echo, home_net, ipv4, ipv6, name_of, segment, tcp, udp,
};

/// Plays events at their times and gives what opened.
fn opened(events: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<Test> {
    play(events).opened()
}

fn play(events: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Sensor {
    let mut sensor = Sensor::new();
    for (millis, frame) in events {
        sensor.frame(millis, &frame);
    }
    sensor
}

/// `count` times, `gap_ms` apart.
fn each(
    count: u16,
    gap_ms: u64,
    frame: impl Fn(u16) -> Vec<u8>,
) -> impl Iterator<Item = (u64, Vec<u8>)> + Clone {
    let frames: Vec<_> = (0..count).map(|number| (u64::from(number) * gap_ms, frame(number))).collect();
    frames.into_iter()
}

/// The second half `pause_ms` later, so that the whole is not within one window.
fn halves(
    events: impl Iterator<Item = (u64, Vec<u8>)>,
    first: usize,
    pause_ms: u64,
) -> impl Iterator<Item = (u64, Vec<u8>)> {
    events.enumerate().map(move |(number, (millis, frame))| {
        (if number < first { millis } else { millis + pause_ms }, frame)
    })
}

fn only(alerts: &[Alert]) -> &Alert {
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    &alerts[0]
}

fn probe(number: u16) -> Vec<u8> {
    tcp((ATTACKER, 50_000 + number), (VICTIM, 1_000 + number), SYN)
}

#[test]
fn port_scan_edges() {
    assert_eq!(opened(each(14, 10, probe)), []);
    let at = play(each(15, 10, probe));
    let alert = only(&at.raised);
    assert_eq!(alert.test, Test::PortScanPortsInWindow);
    assert_eq!((alert.first, alert.time), (support::at(0), support::at(140)));
    assert_eq!(alert.evidence, Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 });
    assert_eq!(alert.subject.source, Some(Address::from(std::net::IpAddr::V4(ATTACKER))));
    assert_eq!(alert.subject.mac, Some(Mac(MAC)));
    assert_eq!(opened(each(40, 10, probe)), [Test::PortScanPortsInWindow]);
}

#[test]
fn port_scan_windows() {
    assert_eq!(opened(halves(each(28, 10, probe), 14, 10_100)), [], "14 in each of two windows");
    // Seven before and eight after the edge of any counting window: within 10 s all the same.
    assert_eq!(opened(halves(each(15, 10, probe), 7, 9_500)), [Test::PortScanPortsInWindow]);
    assert_eq!(opened(each(40, 800, probe)), [], "13 in any 10 s, without end");
}

#[test]
fn port_scan_counts_distinct_ports_of_the_side_that_asks() {
    assert_eq!(opened(each(150, 5, |number| probe(number % 14))), [], "the same 14 again and again");
    let answers = |number| tcp((VICTIM, 443), (CLIENT, 40_000 + number), SYN_ACK);
    assert_eq!(opened(each(100, 5, answers)), [], "a busy server");
    let resolver = |number| udp((GATEWAY, 53), (CLIENT, 40_000 + number), &dns("example.com", true));
    assert_eq!(opened(each(100, 5, resolver)), [], "a busy resolver");
    let group = |number| udp((CLIENT, 40_000), (Ipv4Addr::new(239, 1, 2, 3), 2_000 + number), &[0]);
    assert_eq!(opened(each(100, 5, group)), [], "a group has no ports to scan");
    for (flags, name) in [(0, "null"), (0x01, "FIN"), (0x29, "Xmas")] {
        let stealth = |number| tcp((ATTACKER, 50_000), (VICTIM, 1_000 + number), flags);
        assert_eq!(opened(each(15, 5, stealth)), [Test::PortScanPortsInWindow], "{name}");
    }
    let over_udp = |number| udp((ATTACKER, 50_000), (VICTIM, 1_000 + number), &[0]);
    assert_eq!(opened(each(15, 5, over_udp)), [Test::PortScanPortsInWindow], "UDP");
    assert_eq!(opened(each(14, 5, over_udp)), []);
}

fn request(number: u16) -> Vec<u8> {
    tcp((ATTACKER, 20_000 + number), (VICTIM, 80), SYN)
}

#[test]
fn syn_flood_edges_and_windows() {
    assert_eq!(opened(each(199, 5, request)), []);
    let at = play(each(200, 5, request));
    let alert = only(&at.raised);
    assert_eq!(alert.test, Test::SynFloodPerSource);
    assert_eq!(alert.evidence, Evidence::Packets { count: 200, threshold: 200, window_s: 5 });
    assert_eq!(alert.time, support::at(995));
    assert_eq!(opened(each(600, 5, request)), [Test::SynFloodPerSource]);
    assert_eq!(opened(halves(each(398, 5, request), 199, 5_100)), [], "199 in each of two windows");
    assert_eq!(
        opened(halves(each(200, 5, request), 100, 3_500)),
        [Test::SynFloodPerSource],
        "across an edge"
    );
}

#[test]
fn syn_flood_counts_requests_of_one_source() {
    let answers = |number| tcp((VICTIM, 80), (ATTACKER, 20_000 + number), SYN_ACK);
    assert_eq!(opened(each(400, 5, answers)), [], "backscatter");
    let spread = |number: u16| {
        let [high, low] = number.to_be_bytes();
        tcp((Ipv4Addr::new(198, 51, high, low), 20_000), (VICTIM, 80), SYN)
    };
    assert_eq!(opened(each(400, 5, spread)), [], "no source has more than one");
    let v6 = |number| {
        let [source, target]: [Ipv6Addr; 2] = ["fd00::66", "fd00::10"].map(|text| text.parse().unwrap());
        ipv6(source, target, 6, &segment(20_000 + number, 80, SYN, &[]))
    };
    assert_eq!(opened(each(200, 5, v6)), [Test::SynFloodPerSource]);
    assert_eq!(opened(each(199, 5, v6)), []);
}

#[test]
fn icmp_flood_edges_and_windows() {
    let ping = |_| echo(ATTACKER, VICTIM, 8);
    assert_eq!(opened(each(99, 10, ping)), []);
    let at = play(each(100, 10, ping));
    assert_eq!(only(&at.raised).evidence, Evidence::Packets { count: 100, threshold: 100, window_s: 5 });
    assert_eq!(only(&at.raised).test, Test::IcmpFloodPerSource);
    assert_eq!(opened(each(300, 10, ping)), [Test::IcmpFloodPerSource]);
    assert_eq!(opened(halves(each(198, 10, ping), 99, 5_100)), []);
    assert_eq!(opened(halves(each(100, 10, ping), 50, 3_500)), [Test::IcmpFloodPerSource]);
    assert_eq!(opened(each(300, 10, |_| echo(VICTIM, ATTACKER, 0))), [], "replies were asked for");
    let v6 = |kind: u8| {
        let [source, target]: [Ipv6Addr; 2] = ["fd00::66", "fd00::10"].map(|text| text.parse().unwrap());
        ipv6(source, target, 58, &[kind, 0, 0, 0, 0, 1, 0, 1])
    };
    assert_eq!(opened(each(100, 10, |_| v6(128))), [Test::IcmpFloodPerSource]);
    assert_eq!(opened(each(300, 10, |_| v6(129))), []);
}

#[test]
fn suspicious_port_looks_at_the_side_that_was_called() {
    let called = tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN);
    let answered = tcp((OUTSIDE, 4444), (CLIENT, 40_000), SYN_ACK);
    for (name, frames) in [("SYN", vec![called.clone(), answered.clone()]), ("SYN-ACK", vec![answered])] {
        let sensor = play((0..).zip(frames));
        let alert = only(&sensor.raised);
        assert_eq!(alert.test, Test::SuspiciousPort, "{name}");
        let tuple = (alert.subject.source, alert.subject.destination, alert.subject.destination_port);
        let v4 = |address| Some(Address::from(std::net::IpAddr::V4(address)));
        assert_eq!(tuple, (v4(CLIENT), v4(OUTSIDE), Some(Port(4444))), "{name}");
    }
    for (name, frame) in [
        ("a client's own port", tcp((CLIENT, 4444), (OUTSIDE, 443), SYN)),
        ("an answer to a client's own port", tcp((OUTSIDE, 443), (CLIENT, 4444), SYN_ACK)),
        ("one port beside", tcp((CLIENT, 40_000), (OUTSIDE, 4445), SYN)),
        ("the middle of a conversation", tcp((CLIENT, 40_000), (OUTSIDE, 4444), ACK)),
        ("the other transport", udp((CLIENT, 40_000), (OUTSIDE, 4444), &[0])),
        ("the other transport", tcp((CLIENT, 40_000), (OUTSIDE, 31_337), SYN)),
    ] {
        assert_eq!(opened([(0, frame)]), [], "{name}");
    }
    assert_eq!(opened([(0, udp((CLIENT, 40_000), (OUTSIDE, 31_337), &[0]))]), [Test::SuspiciousPort]);
}

/// A contact is a conversation, not a packet.
#[test]
fn suspicious_port_counts_each_conversation_once() {
    let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 4444));
    let mut sensor = play([
        (0, tcp(client, server, SYN)),
        (1, tcp(server, client, SYN_ACK)),
        (2, tcp(client, server, ACK)),
        (3, tcp(client, server, SYN)),
        (4, tcp((CLIENT, 40_001), server, SYN)),
    ]);
    sensor.finish();
    let counts: Vec<_> = sensor
        .raised
        .iter()
        .map(|alert| match &alert.evidence {
            Evidence::ListedPort { count, label } => (alert.phase, *count, label.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(Phase::Open, 1, "test"), (Phase::Close, 2, "test")]);
}

/// A source that never rests: its entry is never forgotten, so only the times inside it can tell the windows apart.
#[test]
fn what_has_left_the_window_does_not_count_though_the_source_goes_on() {
    // At 0 almost enough, one in the middle that keeps the entry alive, the rest when the first have left the window.
    let slowly = |almost: u16, rest: u16, window_ms: u64, frame: &dyn Fn(u16) -> Vec<u8>| {
        let first = (0..almost).map(|number| (0, frame(number)));
        let middle = std::iter::once((window_ms * 8 / 10, frame(almost)));
        let last = (0..rest).map(|number| (window_ms * 16 / 10, frame(almost + 1 + number)));
        opened(first.chain(middle).chain(last))
    };
    let knock = |number| tcp((ATTACKER, 40_000 + number), (VICTIM, 22), SYN);
    let ping = |_| echo(ATTACKER, VICTIM, 8);
    assert_eq!(slowly(13, 13, 10_000, &probe), [], "14 ports in any window, 27 in all");
    assert_eq!(slowly(198, 198, 5_000, &request), [], "199 requests in any window");
    assert_eq!(slowly(98, 98, 5_000, &ping), [], "99 echo requests in any window");
    assert_eq!(slowly(28, 28, 30_000, &knock), [], "29 attempts in any window");
    // One more in either half is enough: the one in the middle belongs to both.
    assert_eq!(slowly(14, 13, 10_000, &probe), [Test::PortScanPortsInWindow]);
    assert_eq!(slowly(198, 199, 5_000, &request), [Test::SynFloodPerSource]);
    assert_eq!(slowly(98, 99, 5_000, &ping), [Test::IcmpFloodPerSource]);
    assert_eq!(slowly(29, 28, 30_000, &knock), [Test::BruteForceSynInWindow]);
}

/// Times wrap: requests of a month ago once looked new, if their source had never been silent since.
#[test]
fn requests_of_long_ago_are_no_flood() {
    let mut configs = configs();
    configs[0].numbers[1] = 3_600; // what is remembered of a source lives for the longer of two windows
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    for number in 0..250 {
        sensor.frame(u64::from(number) * 6_000, &request(number));
    }
    let hours = 24 * 30;
    for hour in 1..=hours {
        sensor.frame(hour * 3_600_000, &udp((ATTACKER, 50_000), (VICTIM, 123), &[]));
    }
    sensor.frame(hours * 3_600_000 + 1_000, &request(0));
    assert_eq!(sensor.opened(), []);
}

/// A source is remembered for the longer of two windows; a scan once seemed to begin before its first probe.
#[test]
fn a_scan_begins_after_the_silence_before_it() {
    let mut configs = configs();
    configs[1].numbers[1] = 600;
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    sensor.frame(0, &probe(100));
    for (millis, frame) in each(15, 10, probe) {
        sensor.frame(30_000 + millis, &frame);
    }
    assert_eq!(only(&sensor.raised).first, support::at(30_000));
}

fn claim(mac: support::Mac) -> Vec<u8> {
    arp(2, (mac, GATEWAY), (MAC, CLIENT))
}

#[test]
fn arp_spoof_fires_when_an_address_moves_without_a_reason() {
    let sensor = play([(0, claim(GATEWAY_MAC)), (10, claim(GATEWAY_MAC)), (20, claim(FALSE_MAC))]);
    let alert = only(&sensor.raised);
    let (before, after) = (Mac(GATEWAY_MAC), Mac(FALSE_MAC));
    assert_eq!(alert.evidence, Evidence::Binding { before, after, changes: 1 });
    assert_eq!(alert.subject.mac, Some(after));
    // Requests and announcements claim as replies do.
    for frame in [
        arp(1, (FALSE_MAC, GATEWAY), ([0; 6], CLIENT)),
        arp(1, (FALSE_MAC, GATEWAY), ([0; 6], GATEWAY)),
        arp(2, (FALSE_MAC, GATEWAY), ([0xff; 6], GATEWAY)),
    ] {
        assert_eq!(opened([(0, claim(GATEWAY_MAC)), (10, frame)]), [Test::ArpSpoof]);
    }
}

#[test]
fn arp_spoof_is_silent_when_there_is_a_reason() {
    const VIRTUAL: support::Mac = [0, 0, 0x5e, 0, 1, 9];
    let first = || (0, claim(GATEWAY_MAC));
    let lease = (10, dhcp_ack(FALSE_MAC, GATEWAY));
    assert_eq!(opened([first(), lease.clone(), (20, claim(FALSE_MAC))]), [], "re-lease");
    // The lease explains its holder and nobody else.
    assert_eq!(opened([first(), lease, (20, claim([2, 0, 0, 0, 0, 0x77]))]), [Test::ArpSpoof]);
    assert_eq!(opened([first(), (10, claim(VIRTUAL)), (20, claim(GATEWAY_MAC))]), [], "VRRP");
    let probe = arp(1, (FALSE_MAC, Ipv4Addr::UNSPECIFIED), ([0; 6], GATEWAY));
    assert_eq!(opened([first(), (10, probe)]), [], "a probe claims nothing");
    let alias = arp(2, (GATEWAY_MAC, CLIENT), (MAC, VICTIM));
    assert_eq!(opened([first(), (10, alias)]), [], "one machine may hold two addresses");
    assert_eq!(opened([first(), (86_401_000, claim(FALSE_MAC))]), [], "older than a day");
    // A lease that was seen before any claim is the first holder.
    let taken = [(0, dhcp_ack(MAC, GATEWAY)), (10, claim(FALSE_MAC))];
    assert_eq!(opened(taken), [Test::ArpSpoof]);
}

fn query(name: &str) -> Vec<u8> {
    udp((CLIENT, 40_000), (GATEWAY, 53), &dns(name, false))
}

#[test]
fn dns_tunnel_edges() {
    for (characters, fires) in [(49, false), (50, false), (51, true), (200, true)] {
        let sensor = play([(0, query(&name_of(characters)))]);
        assert_eq!(sensor.opened().len(), usize::from(fires), "{characters} characters");
        for alert in &sensor.raised {
            let Evidence::Name { length, threshold, count, suffix } = &alert.evidence else {
                panic!("{alert:?}")
            };
            let told = (usize::from(*length), *threshold, *count, suffix.as_str());
            assert_eq!(told, (characters, 50, 1, "example.com"));
        }
    }
}

#[test]
fn dns_tunnel_counts_questions_to_resolvers_only() {
    let long = name_of(100);
    let nibbles = "1.".repeat(32);
    for (name, frame) in [
        ("an answer repeats the name", udp((GATEWAY, 53), (CLIENT, 40_000), &dns(&long, true))),
        ("an answer sent to port 53", udp((GATEWAY, 53), (CLIENT, 53), &dns(&long, true))),
        ("multicast DNS", udp((CLIENT, 5353), (Ipv4Addr::new(224, 0, 0, 251), 5353), &dns(&long, false))),
        ("a reverse name of 72 characters", query(&format!("{nibbles}ip6.arpa"))),
        ("in capitals", query(&format!("{nibbles}IP6.ARPA"))),
    ] {
        assert_eq!(opened([(0, frame)]), [], "{name}");
    }
    for name in [
        format!("x.{nibbles}ip6.arpa"),
        format!("{nibbles}ip6.arpa.example.com"),
        format!("g.{}ip6.arpa", "1.".repeat(31)),
    ] {
        assert_eq!(opened([(0, query(&name))]), [Test::DnsTunnelNameLength], "{name}");
    }
    let message = dns(&long, false);
    let stream = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
    let over_tcp = ipv4(CLIENT, GATEWAY, 6, &segment(40_000, 53, 0x18, &stream));
    assert_eq!(opened([(0, over_tcp)]), [Test::DnsTunnelNameLength]);
}

/// A conversation that `initiator` opens and in which `from` then sends `frames` of 50,000 bytes and one of `last`.
fn transfer(
    initiator: Ipv4Addr,
    from: Ipv4Addr,
    to: Ipv4Addr,
    frames: u64,
    last: u32,
    gap_ms: u64,
) -> Vec<Test> {
    let mut sensor = Sensor::new();
    let peer = if initiator == from { to } else { from };
    let port = |address| if address == initiator { 40_000 } else { 443 };
    sensor.frame_of(0, &tcp((initiator, port(initiator)), (peer, port(peer)), SYN), 0);
    let data = tcp((from, port(from)), (to, port(to)), ACK);
    for number in 0..frames {
        sensor.frame_of(number * gap_ms, &data, 50_000);
    }
    if last > 0 {
        sensor.frame_of(frames * gap_ms, &data, last);
    }
    sensor.opened()
}

/// Both ask at once: a machine outside must not become the one that asked by answering a SYN with a SYN.
#[test]
fn a_server_that_asks_back_hides_no_upload() {
    let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
    for answers in [&[][..], &[(server, client, SYN)], &[(server, client, SYN), (client, server, SYN_ACK)]] {
        let mut sensor = Sensor::new();
        sensor.frame(0, &tcp(client, server, SYN));
        answers.iter().for_each(|(from, to, flags)| sensor.frame(1, &tcp(*from, *to, *flags)));
        (0..200).for_each(|_| sensor.frame_of(2, &tcp(client, server, ACK), 50_000));
        assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow], "{} answers", answers.len());
    }
}

#[test]
fn exfiltration_edges_and_windows() {
    const FIRES: [Test; 1] = [Test::ExfiltrationBytesInWindow];
    // The SYN is 54 bytes of the five million.
    assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_945, 100), []);
    assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_946, 100), FIRES);
    assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 150, 0, 100), FIRES);
    // 90 frames in any window of 60 s, and in any 64 s, which is what the sum may cover.
    assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 715), []);
    assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 590), FIRES);
}

#[test]
fn exfiltration_is_inside_to_outside_and_asked_for_inside() {
    let far = Ipv4Addr::new(198, 51, 100, 1);
    for (name, initiator, from, to) in [
        ("an upload of the outside", OUTSIDE, OUTSIDE, CLIENT),
        ("a download", CLIENT, OUTSIDE, CLIENT),
        ("a server answers the outside", OUTSIDE, CLIENT, OUTSIDE),
        ("a copy inside", CLIENT, CLIENT, VICTIM),
        ("passing by", OUTSIDE, OUTSIDE, far),
        ("to a group", CLIENT, CLIENT, Ipv4Addr::new(239, 1, 2, 3)),
        ("to everyone", CLIENT, CLIENT, Ipv4Addr::BROADCAST),
    ] {
        assert_eq!(transfer(initiator, from, to, 300, 0, 10), [], "{name}");
    }
    // What is inside is a setting.
    let mut sensor = Sensor::new();
    let mut wide = home_net();
    wide.add("203.0.113.0/24".parse().unwrap()).unwrap();
    sensor.engine.configure(wide, PACE, &configs());
    let data = udp((CLIENT, 40_000), (OUTSIDE, 443), &[0]);
    for number in 0..300 {
        sensor.frame_of(number, &data, 50_000);
    }
    assert_eq!(sensor.opened(), []);
    let data = udp((CLIENT, 40_000), (far, 443), &[0]);
    for number in 300..400 {
        sensor.frame_of(number, &data, 50_000);
    }
    assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow]);
}

#[test]
fn brute_force_edges_and_windows() {
    let knock = |number| tcp((ATTACKER, 40_000 + number), (VICTIM, 22), SYN);
    assert_eq!(opened(each(29, 100, knock)), []);
    let at = play(each(30, 100, knock));
    assert_eq!(only(&at.raised).evidence, Evidence::Attempts { count: 30, threshold: 30, window_s: 30 });
    assert_eq!(only(&at.raised).subject.destination_port, Some(Port(22)));
    assert_eq!(opened(each(90, 100, knock)), [Test::BruteForceSynInWindow]);
    assert_eq!(opened(halves(each(58, 100, knock), 29, 30_100)), []);
    assert_eq!(opened(halves(each(30, 100, knock), 15, 26_000)), [Test::BruteForceSynInWindow]);
    let web = |number| tcp((ATTACKER, 40_000 + number), (VICTIM, 443), SYN);
    assert_eq!(opened(each(90, 100, web)), [], "no login service");
    // Another host, another service, another source: each is counted alone.
    let two_hosts = |number: u16| {
        let host = if number.is_multiple_of(2) { VICTIM } else { CLIENT };
        tcp((ATTACKER, 40_000 + number), (host, 22), SYN)
    };
    assert_eq!(opened(each(58, 100, two_hosts)), []);
    let two_services = |number: u16| {
        tcp((ATTACKER, 40_000 + number), (VICTIM, if number.is_multiple_of(2) { 22 } else { 3389 }), SYN)
    };
    assert_eq!(opened(each(58, 100, two_services)), []);
    let two_sources = |number: u16| {
        let source = if number.is_multiple_of(2) { ATTACKER } else { CLIENT };
        tcp((source, 40_000 + number), (VICTIM, 22), SYN)
    };
    assert_eq!(opened(each(58, 100, two_sources)), []);
    assert_eq!(opened(each(60, 100, two_sources)).len(), 2);
}

/// Every detector can be turned off, and takes its severity and numbers from its settings.
#[test]
fn settings_rule_every_detector() {
    let play_all = |sensor: &mut Sensor| {
        let mut events: Vec<(u64, Vec<u8>)> = each(200, 5, request).collect();
        events.extend(each(15, 5, probe));
        events.extend(each(100, 5, |_| echo(ATTACKER, VICTIM, 8)));
        events.extend(each(30, 5, |number| tcp((ATTACKER, 10_000 + number), (VICTIM, 22), SYN)));
        events.push((1_000, tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN)));
        events.push((1_000, claim(GATEWAY_MAC)));
        events.push((1_001, claim(FALSE_MAC)));
        events.push((1_002, query(&name_of(51))));
        events.sort_by_key(|(millis, _)| *millis);
        for (millis, frame) in events {
            sensor.frame(millis, &frame);
        }
        let data = udp((CLIENT, 40_001), (OUTSIDE, 443), &[0]);
        (0..100).for_each(|number| sensor.frame_of(1_100 + number, &data, 50_000));
    };
    let mut sensor = Sensor::new();
    play_all(&mut sensor);
    let mut fired = sensor.opened();
    fired.sort_unstable();
    assert_eq!(fired.len(), 8, "{fired:?}");
    fired.dedup();
    assert_eq!(fired.len(), 8, "each of the eight once");

    for off in 0..8 {
        let mut configs = configs();
        configs[off].enabled = false;
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        play_all(&mut sensor);
        let mut left = sensor.opened();
        left.sort_unstable();
        let expected: Vec<Test> =
            fired.iter().enumerate().filter(|(at, _)| *at != off).map(|(_, test)| *test).collect();
        assert_eq!(left, expected, "without {:?}", fired[off]);
    }
    let mut configs = configs();
    for config in &mut configs {
        config.severity = sentinel_alert::Severity::Critical;
    }
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    play_all(&mut sensor);
    assert!(sensor.raised.iter().all(|alert| alert.severity == sentinel_alert::Severity::Critical));
    assert!(sensor.raised.iter().all(|alert| alert.phase == Phase::Open));
}
