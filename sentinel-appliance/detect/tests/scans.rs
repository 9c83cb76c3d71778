//! Scans and sweeps by failed contacts and by crafted packets, tricks against them, and ordinary hosts that fail.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use std::net::{Ipv4Addr, Ipv6Addr};

use sentinel_alert::{Alert, Evidence, Phase, Severity, Test};
use testkit::{
    ACK, ATTACKER, CLIENT, GATEWAY, KEY, MAC, OUTSIDE, ROOMY, Random, SYN, SYN_ACK, Sensor, TINY, VICTIM,
    arp, configs, datagram, dns, echo, ethernet, ipv4, ipv6, other, segment, tcp, udp,
};

const RST_ACK: u8 = 0x14;
const RST: u8 = 0x04;
const FIVE_MINUTES: u64 = 300_000;
const SCAN: [Test; 1] = [Test::PortScanFailedContacts];
const SWEEP: [Test; 1] = [Test::HostSweep];

/// A destination answers a probe in this way.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Reset,
    Unreachable,
    Silence,
}

fn unreachable(probe: &[u8], from: Ipv4Addr) -> Vec<u8> {
    let quoted = &probe[14..probe.len().min(14 + 28)];
    let source = Ipv4Addr::new(probe[26], probe[27], probe[28], probe[29]);
    ipv4(from, source, 1, &[&[3, 3, 0, 0, 0, 0, 0, 0], quoted].concat())
}

fn external(number: u16) -> Ipv4Addr {
    Ipv4Addr::from(0xc633_6400 + u32::from(number))
}

/// A probe of `from` to a port, and its answer a millisecond later.
fn probe(
    sensor: &mut Sensor,
    millis: u64,
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    flags: Option<u8>,
    answer: Answer,
) {
    let frame = match flags {
        Some(flags) => tcp(from, to, flags),
        None => udp(from, to, &[]),
    };
    sensor.fast(millis, &frame);
    match answer {
        Answer::Reset => sensor.fast(millis + 1, &tcp(to, from, RST_ACK)),
        Answer::Unreachable => sensor.fast(millis + 1, &unreachable(&frame, to.0)),
        Answer::Silence => {}
    }
}

/// Contacts of a vertical scan, one in `gap_ms`, that suffice for an alert; zero if ten do not.
fn vertical(gap_ms: u64, flags: Option<u8>, answer: Answer, source_port: u16) -> u16 {
    for contacts in 1..=10_u16 {
        let mut sensor = Sensor::new();
        for number in 0..contacts {
            let millis = u64::from(number) * gap_ms;
            probe(&mut sensor, millis, (ATTACKER, source_port), (VICTIM, 100 + number * 41), flags, answer);
        }
        sensor.tick(u64::from(contacts) * gap_ms + 4_000);
        sensor.finish();
        if !sensor.raised.is_empty() {
            assert_eq!(sensor.opened(), SCAN);
            assert_eq!(sensor.raised[0].subject.source, Some(std::net::IpAddr::V4(ATTACKER).into()));
            assert_eq!(sensor.raised[0].subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()));
            return contacts;
        }
    }
    0
}

#[test]
fn a_scan_of_one_host_is_named_by_the_fifth_failed_contact_at_any_rate() {
    for gap in [1_000, 4_000, 60_000, FIVE_MINUTES] {
        for answer in [Answer::Reset, Answer::Unreachable, Answer::Silence] {
            for (flags, name) in
                [(Some(SYN), "SYN"), (None, "UDP"), (Some(ACK), "ACK"), (Some(0x11), "Maimon")]
            {
                let is_stray = flags.is_some_and(|flags| flags & ACK != 0);
                if flags.is_none() && matches!(answer, Answer::Reset)
                    || is_stray && !matches!(answer, Answer::Reset)
                {
                    continue;
                }
                let found = vertical(gap, flags, answer, 50_000);
                assert!((3..=5).contains(&found), "{name}, {answer:?}, one in {gap} ms: {found}");
            }
        }
    }
}

#[test]
fn tricks_do_not_hide_a_scan() {
    for port in [53, 443, 123, 20] {
        let found = vertical(1_000, None, Answer::Unreachable, port);
        assert!((3..=6).contains(&found), "UDP from {port}: {found}");
    }
    // An ACK or a RST of the scanner before its SYN, and a SYN of the peer first.
    for (trick, from_peer) in [(ACK, false), (RST, false), (SYN, true), (SYN_ACK, false)] {
        let mut sensor = Sensor::new();
        for number in 0..6 {
            let millis = u64::from(number) * 10_000;
            let (from, to) = ((ATTACKER, 50_000), (VICTIM, 1_000 + number * 37));
            let frame = if from_peer { tcp(to, from, trick) } else { tcp(from, to, trick) };
            sensor.fast(millis, &frame);
            probe(&mut sensor, millis + 2, from, to, Some(SYN), Answer::Reset);
        }
        sensor.tick(70_000);
        sensor.finish();
        assert!(sensor.opened().contains(&SCAN[0]), "{trick:#x} {from_peer}: {:?}", sensor.opened());
        let attacker = std::net::IpAddr::V4(ATTACKER).into();
        assert!(
            sensor.raised.iter().all(|alert| alert.subject.source == Some(attacker)),
            "{:?}",
            sensor.raised
        );
    }
}

#[test]
fn addresses_of_one_network_are_one_scanner() {
    let victim: Ipv6Addr = "fd00::10".parse().unwrap();
    let mut sensor = Sensor::new();
    for number in 0..6_u16 {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 7, 7, 1, 2, 3, number);
        let port = 100 + number * 37;
        sensor.fast(u64::from(number) * 60_000, &ipv6(source, victim, 6, &segment(50_000, port, SYN, &[])));
        let reset = ipv6(victim, source, 6, &segment(port, 50_000, RST_ACK, &[]));
        sensor.fast(u64::from(number) * 60_000 + 1, &reset);
    }
    assert_eq!(sensor.opened(), SCAN);
    let network: Ipv6Addr = "2001:db8:7:7::".parse().unwrap();
    assert_eq!(sensor.raised[0].subject.source, Some(std::net::IpAddr::V6(network).into()));
}

#[test]
fn other_protocols_are_scanned_too() {
    let sctp = |port: u16, chunk: u8, reverse: bool| {
        let ports = if reverse { [port, 50_000] } else { [50_000, port] };
        let ports = [ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat();
        let pair = if reverse { (VICTIM, ATTACKER) } else { (ATTACKER, VICTIM) };
        ipv4(pair.0, pair.1, 132, &[&ports[..], &[0; 8], &[chunk, 0, 0, 20], &[0; 16]].concat())
    };
    let mut sensor = Sensor::new();
    for number in 0..6 {
        sensor.fast(u64::from(number) * 9_000, &sctp(100 + number, 1, false));
        sensor.fast(u64::from(number) * 9_000 + 1, &sctp(100 + number, 6, true));
    }
    assert_eq!(sensor.opened(), SCAN, "SCTP");
    let mut sensor = Sensor::new();
    for number in 0..6_u8 {
        let frame = ipv4(ATTACKER, VICTIM, 140 + number, &[0; 20]);
        sensor.fast(u64::from(number) * 9_000, &frame);
        sensor.fast(u64::from(number) * 9_000 + 1, &unreachable(&frame, VICTIM));
    }
    assert_eq!(sensor.opened(), SCAN, "IP protocols");
}

fn sweep(sensor: &mut Sensor, count: u16, frame: impl Fn(u16) -> Vec<u8>) -> Vec<Test> {
    for number in 0..count {
        sensor.fast(u64::from(number) * 1_000, &frame(number));
    }
    sensor.tick(u64::from(count) * 1_000 + 4_000);
    sensor.opened()
}

#[test]
fn one_port_of_many_hosts_is_a_sweep() {
    let host = |number: u16| other(u32::from(number));
    let syn = |number| tcp((ATTACKER, 50_000), (host(number), 445), SYN);
    let mut sensor = Sensor::new();
    assert_eq!(sweep(&mut sensor, 6, syn), SWEEP);
    let alert = sensor.raised[0].clone();
    assert_eq!(alert.subject.destination_port, Some(sentinel_units::Port(445)));
    assert_eq!((alert.severity, alert.subject.destination), (Severity::Medium, None));
    assert!(
        matches!(alert.evidence, Evidence::Contacts { failed: 4..=6, hosts: 3..=6, ports: 1 }),
        "{alert:?}"
    );
    let ping = |number| echo(ATTACKER, host(number), 8);
    assert_eq!(sweep(&mut Sensor::new(), 6, ping), SWEEP);
    let datagrams = |number| udp((ATTACKER, 50_000), (host(number), 5_060), &[0]);
    assert_eq!(sweep(&mut Sensor::new(), 6, datagrams), SWEEP);
    let mut sensor = Sensor::new();
    let who_has = |number| arp(1, (MAC, ATTACKER), ([0; 6], host(number)));
    assert_eq!(sweep(&mut sensor, 6, who_has), SWEEP);
    assert_eq!(sensor.raised[0].severity, Severity::Low, "programs search their neighbours too");
    let worm = |number| tcp((CLIENT, 50_000), (external(number), 23), SYN);
    assert_eq!(sweep(&mut Sensor::new(), 8, worm), [], "nothing outside answers: the uplink may be down");
    let mut sensor = Sensor::new();
    for number in 0..8 {
        sensor.fast(u64::from(number) * 1_000, &worm(number));
        let server = (external(100 + number), 443);
        sensor.fast(u64::from(number) * 1_000 + 10, &tcp((VICTIM, 50_000), server, SYN));
        sensor.fast(u64::from(number) * 1_000 + 20, &tcp(server, (VICTIM, 50_000), SYN_ACK));
    }
    sensor.tick(30_000);
    assert_eq!(sensor.opened(), SWEEP, "the uplink works for others");
}

#[test]
fn three_crafted_packets_are_a_scan() {
    for (flags, name) in [(0, "NULL"), (0x29, "Xmas"), (0x01, "FIN"), (0x03, "SYN FIN"), (0x06, "SYN RST")] {
        let mut sensor = Sensor::new();
        for number in 0..3 {
            assert_eq!(sensor.opened(), [], "{name}");
            sensor.fast(
                u64::from(number) * FIVE_MINUTES,
                &tcp((ATTACKER, 50_000), (VICTIM, 80 + number), flags),
            );
        }
        assert_eq!(sensor.opened(), [Test::PortScanCraftedPackets], "{name}");
    }
}

/// One behaviour is one incident, whatever tests see it.
#[test]
fn a_scan_is_one_incident() {
    let mut sensor = Sensor::new();
    for number in 0..1_000_u16 {
        let (from, to) = ((ATTACKER, 50_000), (VICTIM, 1 + number * 5));
        probe(&mut sensor, u64::from(number) * 3, from, to, Some(SYN), Answer::Reset);
    }
    sensor.finish();
    let incidents: std::collections::BTreeSet<u32> =
        sensor.raised.iter().map(|alert| alert.incident).collect();
    assert_eq!(incidents.len(), 1, "{:?}", sensor.raised);
    // The simple test fires later and is named from then on.
    let messages: Vec<(Phase, Test)> = sensor.raised.iter().map(|alert| (alert.phase, alert.test)).collect();
    assert_eq!(messages, [(Phase::Open, SCAN[0]), (Phase::Close, Test::PortScanPortsInWindow)]);
    // A scan that begins slowly and gets fast.
    let mut sensor = Sensor::new();
    for number in 0..30_u16 {
        let millis = if number < 8 { u64::from(number) * 20_000 } else { 160_000 + u64::from(number) };
        probe(&mut sensor, millis, (ATTACKER, 50_000), (VICTIM, 1 + number * 5), Some(SYN), Answer::Reset);
    }
    sensor.finish();
    let messages: Vec<(Phase, Test)> = sensor.raised.iter().map(|alert| (alert.phase, alert.test)).collect();
    assert_eq!(messages.first(), Some(&(Phase::Open, SCAN[0])));
    assert_eq!(messages.last(), Some(&(Phase::Close, Test::PortScanPortsInWindow)));
}

fn claims(sensor: &mut Sensor) -> Vec<Alert> {
    sensor.finish();
    sensor.raised.iter().filter(|alert| alert.severity >= Severity::Medium).cloned().collect()
}

#[test]
fn ordinary_hosts_that_fail_are_no_scanners() {
    // A server that is down: one destination and port, tried for an hour.
    let mut sensor = Sensor::new();
    for number in 0..360 {
        sensor.fast(number * 10_000, &tcp((CLIENT, 40_000), (OUTSIDE, 443), SYN));
    }
    assert_eq!(claims(&mut sensor), []);
    // Peers of file sharing: a random port on each host; one of three answers, by TCP or UDP. Their user opens pages meanwhile.
    let mut sensor = Sensor::new();
    let mut random = Random(5);
    for number in 0..2_000_u16 {
        let peer = (external(number), 1_024 + u16::try_from(random.below(60_000)).unwrap());
        let millis = u64::from(number) * 200;
        if number.is_multiple_of(2) {
            sensor.fast(millis, &tcp((CLIENT, 40_000), peer, SYN));
        } else {
            sensor.fast(millis, &udp((CLIENT, 6_881), peer, &[1; 30]));
        }
        match number % 6 {
            0 => sensor.fast(millis + 50, &tcp(peer, (CLIENT, 40_000), SYN_ACK)),
            3 => sensor.fast(millis + 50, &udp(peer, (CLIENT, 6_881), &[1; 30])),
            2 => sensor.fast(millis + 50, &tcp(peer, (CLIENT, 40_000), RST_ACK)),
            _ => {}
        }
        if number.is_multiple_of(20) {
            let server = (external(10_000 + number), [80, 443][usize::from(number / 20 % 2)]);
            sensor.fast(millis + 60, &tcp((CLIENT, 41_000), server, SYN));
            sensor.fast(millis + 70, &tcp(server, (CLIENT, 41_000), SYN_ACK));
        }
    }
    assert_eq!(claims(&mut sensor), []);
    // The uplink fails while ten hosts browse; the router says so.
    let mut sensor = Sensor::new();
    for number in 0..400_u16 {
        let client = other(u32::from(number % 10));
        let frame = tcp(
            (client, 40_000 + number),
            (external(number), [80, 443, 22, 5_228][usize::from(number % 4)]),
            SYN,
        );
        sensor.fast(u64::from(number) * 100, &frame);
        if number.is_multiple_of(3) {
            sensor.fast(u64::from(number) * 100 + 1, &unreachable(&frame, GATEWAY));
        }
    }
    assert_eq!(claims(&mut sensor), []);
}

#[test]
fn traceroute_calls_and_transfers_are_no_scans() {
    let mut sensor = Sensor::new();
    for number in 0..90 {
        let frame = udp((CLIENT, 40_000), (OUTSIDE, 33_434 + number), &[0; 12]);
        sensor.fast(u64::from(number) * 50, &frame);
        if number > 80 {
            sensor.fast(u64::from(number) * 50 + 5, &unreachable(&frame, OUTSIDE));
        }
    }
    assert_eq!(claims(&mut sensor), [], "traceroute");
    // Passive FTP: a data connection for each file.
    let mut sensor = Sensor::new();
    for number in 0..60 {
        let (from, to) = ((CLIENT, 50_000 + number), (VICTIM, 30_000 + number * 11));
        sensor.fast(u64::from(number) * 100, &tcp(from, to, SYN));
        sensor.fast(u64::from(number) * 100 + 1, &tcp(to, from, SYN_ACK));
    }
    assert_eq!(claims(&mut sensor), [], "passive FTP");
    // TFTP: the server answers each request from a port of its own.
    let mut sensor = Sensor::new();
    for number in 0..60 {
        let client = (CLIENT, 2_000 + number);
        sensor.fast(u64::from(number) * 100, &udp(client, (GATEWAY, 69), b"\0\x01pxelinux\0octet\0"));
        sensor.fast(u64::from(number) * 100 + 1, &udp((GATEWAY, 40_000 + number), client, &[0, 3, 0, 1, 9]));
        if number % 3 == 0 {
            continue; // an error: there is no such file
        }
        sensor.fast(u64::from(number) * 100 + 2, &udp(client, (GATEWAY, 40_000 + number), &[0, 4, 0, 1]));
    }
    assert_eq!(claims(&mut sensor), [], "TFTP");
    // A call: candidates of the other side on several of its addresses, two ports each, none of which answers.
    let mut sensor = Sensor::new();
    for number in 0..16_u16 {
        for round in 0..5 {
            let host =
                [Ipv4Addr::new(192, 168, 7, 2), Ipv4Addr::new(172, 17, 0, 1), external(1), external(2)];
            let to = (host[usize::from(number / 4)], 50_000 + number);
            let mut request = [0; 28];
            request[..8].copy_from_slice(&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42]);
            sensor.fast(u64::from(number) * 50 + round * 5_000, &udp((CLIENT, 40_000), to, &request));
        }
    }
    sensor.tick(40_000);
    assert_eq!(claims(&mut sensor), [], "candidates of a call");
}

/// One connection attempt: answered, refused, or neither.
fn attempt(sensor: &mut Sensor, millis: u64, to: (Ipv4Addr, u16), is_open: Option<bool>) {
    let from = (CLIENT, 40_000 + to.1 % 1_000);
    sensor.fast(millis, &tcp(from, to, SYN));
    if let Some(is_open) = is_open {
        sensor.fast(millis + 1, &tcp(to, from, if is_open { SYN_ACK } else { RST_ACK }));
    }
}

#[test]
fn a_printer_driver_is_no_scanner() {
    let open = [9_100, 631, 80, 5_357, 3_910, 7_627];
    let refused = [515, 443, 8_080, 3_911, 8_290, 9_101, 9_102, 21, 23, 6_839, 139];
    let mut sensor = Sensor::new();
    for run in 0..6_u64 {
        let begin = run * 1_800_000;
        sensor.fast(begin, &udp((CLIENT, 50_000), (GATEWAY, 161), &[0x30; 40]));
        sensor.fast(begin + 3, &udp((GATEWAY, 161), (CLIENT, 50_000), &[0x30; 40]));
        let ports = open.iter().map(|port| (*port, true)).chain(refused.map(|port| (port, false)));
        for (number, (port, is_open)) in (1..).zip(ports) {
            attempt(&mut sensor, begin + number * 120, (GATEWAY, port), Some(is_open));
        }
    }
    assert_eq!(claims(&mut sensor), []);
    // Other ports of the same host are a scan, and so is the port of printers at many hosts.
    let mut sensor = Sensor::new();
    (0..60_u16).for_each(|number| {
        attempt(
            &mut sensor,
            u64::from(number) * 120,
            (GATEWAY, 1_000 + number),
            Some(number.is_multiple_of(3)),
        );
    });
    assert!(!claims(&mut sensor).is_empty());
    let mut sensor = Sensor::new();
    (0..6).for_each(|number| attempt(&mut sensor, u64::from(number) * 120, (other(number), 9_100), None));
    sensor.tick(10_000);
    assert_eq!(claims(&mut sensor).first().map(|alert| alert.test), Some(Test::HostSweep));
}

#[test]
fn a_laptop_away_from_its_company_is_no_scanner() {
    /// Tries the gateway of the company, and a directory at so many addresses.
    fn away(controllers: u8) -> Vec<Alert> {
        let mut sensor = Sensor::new();
        let mut millis = 0;
        for port in [500, 4_500, 1_194, 51_820] {
            millis += 3_000;
            sensor.fast(millis, &udp((CLIENT, 50_000 + port % 100), (OUTSIDE, port), &[1; 420]));
        }
        for port in [443, 10_443, 8_443, 4_433, 80, 1_723] {
            millis += 500;
            attempt(&mut sensor, millis, (OUTSIDE, port), None);
            // The uplink works.
            attempt(&mut sensor, millis + 10, (external(port), 443), Some(true));
        }
        for host in 0..controllers {
            for port in [389, 88, 445, 135, 3_268] {
                millis += 300;
                attempt(&mut sensor, millis, (other(100 + u32::from(host)), port), None);
            }
        }
        sensor.tick(millis + 10_000);
        claims(&mut sensor)
    }
    assert_eq!(away(4), []);
    assert!(!away(16).is_empty(), "many hosts are searched whatever comes before port 445");
}

#[test]
fn a_monitor_that_meets_stopped_services_is_no_scanner() {
    let mut sensor = Sensor::new();
    for minute in 0..30_u64 {
        let mut millis = minute * 60_000;
        for host in 0..10_u32 {
            for (number, port) in (0..).zip([22, 80, 443, 9_100, 3_000, 8_123]) {
                millis += 25;
                let is_refused = (host * 7 + number).is_multiple_of(5);
                let answer = if host == 6 { None } else { Some(!is_refused) };
                attempt(&mut sensor, millis, (other(host), port), answer);
            }
        }
    }
    assert_eq!(claims(&mut sensor), []);
}

#[test]
fn monitoring_and_leases_are_no_sweeps() {
    let mut sensor = Sensor::new();
    for round in 0..20_u64 {
        for number in 0..40_u16 {
            let (millis, host) = (round * 60_000 + u64::from(number) * 100, other(number.into()));
            sensor.fast(millis, &echo(CLIENT, host, 8));
            // Every fifth host is down.
            if !number.is_multiple_of(5) {
                sensor.fast(millis + 1, &echo(host, CLIENT, 0));
            }
        }
    }
    assert_eq!(claims(&mut sensor), [], "monitoring");
    let mut sensor = Sensor::new();
    sensor.fast(0, &testkit::dhcp_ack_from((testkit::GATEWAY_MAC, GATEWAY), MAC, CLIENT));
    for number in 0..40_u16 {
        sensor.fast(u64::from(number) * 1_000 + 10, &echo(GATEWAY, other(number.into()), 8));
    }
    sensor.tick(60_000);
    assert_eq!(claims(&mut sensor), [], "a server pings addresses before it leases them");
    let mut sensor = Sensor::new();
    for number in 0..40_u16 {
        sensor.fast(u64::from(number) * 1_000, &arp(1, (MAC, GATEWAY), ([0; 6], other(number.into()))));
    }
    sensor.tick(60_000);
    assert_eq!(claims(&mut sensor), [], "a router looks for its neighbours");
}

#[test]
fn answers_nobody_asked_for_accuse_nobody() {
    let mut sensor = Sensor::new();
    for number in 0..3_000_u16 {
        let (from, to) = ((external(number % 200), 80), (VICTIM, 1_024 + number));
        sensor.fast(u64::from(number), &tcp(from, to, if number % 2 == 0 { SYN_ACK } else { RST_ACK }));
        let quoted = tcp((VICTIM, 40_000), (from.0, 100 + number), SYN);
        sensor.fast(u64::from(number), &unreachable(&quoted, from.0));
    }
    sensor.tick(10_000);
    let victim = Some(std::net::IpAddr::V4(VICTIM).into());
    assert!(sensor.raised.iter().all(|alert| alert.subject.source != victim), "{:?}", sensor.raised);
}

/// Answers of a resolver whose queries were not seen, as a scan from port 53 would look like.
#[test]
fn a_resolver_seen_one_way_is_no_scanner() {
    let mut sensor = Sensor::new();
    for number in 0..100 {
        sensor.fast(
            u64::from(number),
            &udp((GATEWAY, 53), (CLIENT, 40_000 + number), &dns("example.com", true)),
        );
    }
    assert_eq!(claims(&mut sensor), []);
}

#[test]
fn a_scan_is_seen_among_spoofed_sources() {
    let mut sensor = Sensor::with(sentinel_detect::Capacities { incidents: 128, ..ROOMY }, KEY, &configs());
    let mut random = Random(9);
    for number in 0..8_u16 {
        for spoofed in 0..2_000_u64 {
            let source = Ipv4Addr::from(u32::try_from(random.below(1 << 32)).unwrap());
            let millis = u64::from(number) * 1_000 + spoofed / 2;
            sensor.fast(millis, &tcp((source, 40_000), (VICTIM, 80), SYN));
            sensor.fast(millis, &tcp((VICTIM, 80), (source, 40_000), RST_ACK));
        }
        let millis = u64::from(number + 1) * 1_000;
        probe(&mut sensor, millis, (ATTACKER, 50_000), (VICTIM, 100 + number), Some(SYN), Answer::Reset);
    }
    sensor.finish();
    assert!(sensor.raised.iter().any(|alert| {
        alert.test == SCAN[0] && alert.subject.source == Some(std::net::IpAddr::V4(ATTACKER).into())
    }));
}

/// A contact that is answered before each probe makes the source trusted for a while, but not for all of its probes.
#[test]
fn answered_contacts_do_not_hide_a_scan() {
    let mut sensor = Sensor::new();
    for number in 0..100_u16 {
        let (from, server) = ((ATTACKER, 50_000), (VICTIM, 80));
        let millis = u64::from(number) * 10_007;
        sensor.fast(millis, &tcp(from, server, SYN));
        sensor.fast(millis + 1, &tcp(server, from, SYN_ACK));
        let port = 1_000 + number * 37;
        probe(&mut sensor, millis + 100, from, (VICTIM, port), Some(SYN), Answer::Reset);
    }
    assert_eq!(sensor.opened()[..1], SCAN);
}

/// Full tables count what they lose, and no table at all finds nothing.
#[test]
fn little_memory_loses_and_counts() {
    let mut sensor = Sensor::with(TINY, KEY, &configs());
    for number in 0..2_000_u16 {
        let host = other(u32::from(number % 40));
        sensor.fast(u64::from(number), &tcp((host, 40_000), (VICTIM, 1_000 + number), SYN));
    }
    assert!(sensor.engine.losses().evictions > 0);
    sensor.finish();
    assert!(sensor.raised.iter().all(|alert| alert.phase != Phase::Update || alert.suppressed > 0));
}

#[test]
fn a_probe_in_fragments_is_a_probe() {
    use sentinel_detect::{ReassemblyCapacities, ReassemblyStorage};
    for size in [8, 16, 24] {
        let mut sensor = Sensor::new();
        let capacities = ReassemblyCapacities::within(64 * 1024);
        sensor.engine.enable_reassembly(ReassemblyStorage::allocate(&capacities, &mut testkit::Leaked));
        for number in 0..15_u16 {
            let mut bytes = segment(50_000, 100 + number, SYN, &[2, 4, 5, 0xb4]);
            bytes[12] = 0x60; // with an option: 24 bytes
            for (place, part) in bytes.chunks(size).enumerate() {
                let more = (place + 1) * size < bytes.len();
                let offset = u16::try_from(place * size / 8).unwrap() | if more { 0x2000 } else { 0 };
                let mut frame = ipv4(ATTACKER, VICTIM, 6, part);
                frame[18..20].copy_from_slice(&number.to_be_bytes());
                frame[20..22].copy_from_slice(&offset.to_be_bytes());
                sensor.fast(u64::from(number), &frame);
            }
        }
        assert_eq!(sensor.opened(), [Test::PortScanPortsInWindow], "{size}");
        let alert = &sensor.raised[0];
        assert!(matches!(alert.evidence, Evidence::Ports { at_least: 15, at_most: 15, .. }), "counted once");
    }
    let _unused = (datagram(1, 2, &[]), ethernet(MAC, MAC, 0, &[]));
}
