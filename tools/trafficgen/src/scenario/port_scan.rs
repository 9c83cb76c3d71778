//! Port scans: fifteen distinct ports from one source in ten seconds.

use std::time::Duration;

use super::{Burst, Expected, MILLISECOND, Parameters, Scenario, background, straddle_times};
use crate::application::{dns, tls};
use crate::packet::{Encapsulation, Extension, Family, Path, Tcp, flags};
use crate::{Connection, Packets, Random, Timeline, refused_datagram, udp_exchange};

/// No probe is answered; in all others the incident opens by probes that are refused.
const FIRES: &[Expected] = &[("port_scan", "ports_in_window")];
const CRAFTED: &[Expected] = &[("port_scan", "crafted_packets")];
/// Fewer ports than the simple test wants, and none that answers.
const FAILED: &[Expected] = &[("port_scan", "failed_contacts")];
const WINDOW: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("port-scan-below", "14 TCP ports of one host in 2 s", FAILED, |p| {
        scan(p, Probe::Syn, quick(14))
    }),
    Scenario::fires("port-scan-at", "15 TCP ports of one host in 2 s", FAILED, |p| {
        scan(p, Probe::Syn, quick(15))
    }),
    Scenario::fires("port-scan-above", "60 TCP ports of one host in 2 s", FAILED, |p| {
        scan(p, Probe::Syn, quick(60))
    }),
    Scenario::fires("port-scan-two-windows", "20 TCP ports, one a second", FAILED, |p| {
        scan(p, Probe::Syn, Burst::of(20, SECOND.saturating_mul(20)))
    }),
    Scenario::fires(
        "port-scan-straddle",
        "16 TCP ports in 1 s across a window boundary, one earlier",
        FAILED,
        straddle,
    ),
    Scenario::fires("port-scan-udp", "20 UDP ports, answered by port unreachable", FAILED, |p| {
        scan(p, Probe::Udp, quick(20))
    }),
    Scenario::fires("port-scan-fin", "20 TCP ports probed with FIN alone", CRAFTED, |p| {
        scan(p, Probe::Flags(flags::FIN), quick(20))
    }),
    Scenario::fires("port-scan-null", "20 TCP ports probed without any flag", CRAFTED, |p| {
        scan(p, Probe::Flags(0), quick(20))
    }),
    Scenario::fires("port-scan-xmas", "20 TCP ports probed with FIN, PSH and URG", CRAFTED, |p| {
        scan(p, Probe::Flags(flags::FIN | flags::PSH | flags::URG), quick(20))
    }),
    Scenario::fires(
        "port-scan-connect",
        "20 TCP ports, every fourth open, by complete handshakes",
        FAILED,
        connect,
    ),
    Scenario::fires(
        "port-scan-outside",
        "20 TCP ports of an internal host, from an external one",
        FAILED,
        |p| {
            probes(
                p,
                &Path::between(&p.topology.outside, &p.topology.victim, Family::V4),
                Probe::Syn,
                quick(20),
            )
        },
    ),
    Scenario::fires(
        "port-scan-extensions",
        "20 TCP ports behind four IPv6 extension headers",
        FAILED,
        extended,
    ),
    Scenario::fires("port-scan-ipv6", "20 TCP ports over IPv6", FAILED, |p| {
        scan(p, Probe::Syn, quick(20).v6())
    }),
    Scenario::fires("port-scan-vlan", "20 TCP ports inside a VLAN", FAILED, |p| {
        scan(p, Probe::Syn, quick(20).within(Encapsulation::Vlan(100)))
    }),
    Scenario::fires("port-scan-qinq", "20 TCP ports inside two VLAN tags", FAILED, |p| {
        scan(p, Probe::Syn, quick(20).within(Encapsulation::QinQ { outer: 200, inner: 100 }))
    }),
    Scenario::fires("port-scan-pppoe", "20 TCP ports inside a PPPoE session", FAILED, |p| {
        scan(p, Probe::Syn, quick(20).within(Encapsulation::Pppoe { session: 17 }))
    }),
    Scenario::fires(
        "port-scan-table-full",
        "20 TCP ports, after and among thousands of other sources",
        FIRES,
        crowded,
    )
    .allowing(super::link::MANY_STATIONS),
    Scenario::fires("port-scan-two-sources", "10 TCP ports from each of two sources", FAILED, two_sources),
    Scenario::fires("port-scan-retries", "14 TCP ports, three attempts each", FAILED, retries),
    Scenario::fires(
        "port-scan-same-ports",
        "the same 10 UDP ports, 100 times each in 10 s",
        FAILED,
        same_ports,
    ),
    Scenario::silent("port-scan-server", "a server answers 60 client ports", server),
    Scenario::silent("port-scan-resolver", "a resolver answers 60 client ports", resolver),
    Scenario::silent(
        "port-scan-browser",
        "a browser opens 60 connections to port 443 of 20 servers",
        browser,
    ),
];

/// Ports that scanners try first. None is a login service or on the list of suspicious ports.
const PORTS: [u16; 60] = [
    7, 9, 13, 17, 19, 25, 37, 49, 53, 70, 79, 80, 81, 88, 106, 110, 111, 113, 119, 135, 139, 143, 144, 179,
    199, 389, 427, 443, 444, 465, 513, 514, 515, 543, 544, 548, 554, 587, 631, 636, 646, 873, 990, 993, 995,
    1_025, 1_026, 1_027, 1_028, 1_029, 1_110, 1_720, 1_723, 1_755, 2_000, 2_001, 2_049, 2_121, 2_717, 3_000,
];

/// Packet that probes one port.
#[derive(Clone, Copy)]
enum Probe {
    Syn,
    /// TCP segment with these control bits.
    Flags(u8),
    /// Empty datagram.
    Udp,
}

const fn quick(count: u32) -> Burst {
    Burst::of(count, Duration::from_secs(2))
}

fn port(index: u32) -> u16 {
    usize::try_from(index).ok().and_then(|index| PORTS.get(index % PORTS.len()).copied()).unwrap_or(7)
}

fn scan(parameters: &Parameters, probe: Probe, burst: Burst) -> Packets {
    probes(parameters, &burst.path(&parameters.topology.attacker, &parameters.topology.victim), probe, burst)
}

fn probes(parameters: &Parameters, path: &Path, probe: Probe, burst: Burst) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let source = random.ephemeral_port();
    for index in 0..burst.count {
        timeline.seek(burst.time(index));
        probe_port(&mut timeline, path, probe, (source, port(index)), &mut random);
    }
    timeline.play()
}

fn extended(parameters: &Parameters) -> Packets {
    let mut path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V6);
    // The order that RFC 8200 section 4.1 recommends.
    path.network.extensions = vec![
        Extension::HopByHop,
        Extension::Destination(3),
        Extension::Routing,
        Extension::AtomicFragment(0x5ca1_ab1e),
    ];
    probes(parameters, &path, Probe::Syn, quick(20))
}

/// Connect scan, as an unprivileged scanner does it: complete handshakes by the operating system.
fn connect(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let burst = quick(20);
    for index in 0..burst.count {
        let path = burst.path(&parameters.topology.attacker, &parameters.topology.victim);
        timeline.seek(burst.time(index));
        let mut connection = Connection::new(path, port(index), MILLISECOND, &mut random);
        if index % 4 == 0 {
            connection.open(&mut timeline);
            connection.reset(&mut timeline);
        } else {
            connection.refuse(&mut timeline);
        }
    }
    timeline.play()
}

/// Records one probe and the answer of a host on which that port is closed.
fn probe_port(timeline: &mut Timeline, path: &Path, probe: Probe, ports: (u16, u16), random: &mut Random) {
    let (source, destination) = ports;
    let control = match probe {
        Probe::Udp => {
            return refused_datagram(timeline, path, ports, MILLISECOND, &[]);
        }
        Probe::Syn => flags::SYN,
        Probe::Flags(control) => control,
    };
    let sequence = random.word();
    let header = Tcp { source, destination, sequence, flags: control, window: 1_024, ..Tcp::default() };
    timeline.push(path.tcp(&header, &[]));
    timeline.wait(MILLISECOND);
    // A closed port answers everything but RST with RST (RFC 9293 section 3.10.7.1).
    let occupied = u32::from(control & flags::SYN != 0) + u32::from(control & flags::FIN != 0);
    let reset = Tcp {
        source: destination,
        destination: source,
        acknowledgement: sequence.wrapping_add(occupied),
        flags: flags::RST | flags::ACK,
        ..Tcp::default()
    };
    timeline.push(path.reversed().tcp(&reset, &[]));
}

fn straddle(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for (index, time) in (0..).zip(straddle_times(WINDOW, 16)) {
        timeline.seek(time);
        probe_port(&mut timeline, &path, Probe::Syn, (40_000, port(index)), &mut random);
    }
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    background::fill_tables(&mut timeline, parameters, tls::PORT, &mut random);
    let begin = timeline.now();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for index in 0..20 {
        timeline.seek(begin + (MILLISECOND * 50).saturating_mul(index));
        probe_port(&mut timeline, &path, Probe::Syn, (40_000, port(index)), &mut random);
        for other in 0..5 {
            let source = parameters.sources + index * 5 + other;
            background::syn(&mut timeline, parameters, source, tls::PORT, &mut random);
        }
    }
    timeline.play()
}

fn two_sources(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let topology = &parameters.topology;
    for index in 0..20 {
        let source = if index % 2 == 0 { topology.attacker } else { topology.client };
        let path = Path::between(&source, &topology.victim, Family::V4);
        timeline.seek((MILLISECOND * 100).saturating_mul(index));
        probe_port(&mut timeline, &path, Probe::Syn, (40_000, port(index)), &mut random);
    }
    timeline.play()
}

fn retries(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    for index in 0..42 {
        timeline.seek((MILLISECOND * 100).saturating_mul(index));
        probe_port(&mut timeline, &path, Probe::Syn, (40_000, port(index % 14)), &mut random);
    }
    timeline.play()
}

fn same_ports(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    // Datagrams, because a thousand SYN in ten seconds are a SYN flood. Port 53 is left out: the payload is no DNS message.
    for index in 0..1_000 {
        timeline.seek((MILLISECOND * 10).saturating_mul(index));
        timeline.push(path.udp(40_000, port(10 + index % 10), &random.bytes(16)));
    }
    timeline.play()
}

fn server(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    for (index, port) in (0..60).zip(40_000_u16..) {
        timeline.seek((MILLISECOND * 100).saturating_mul(index));
        let mut connection = Connection::from_port(path.clone(), port, tls::PORT, MILLISECOND, &mut random);
        connection.exchange(&mut timeline, &random.bytes(100), &random.bytes(200));
        connection.close(&mut timeline);
    }
    timeline.play()
}

fn resolver(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let up = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    for (index, port) in (0..60).zip(50_000_u16..) {
        timeline.seek((MILLISECOND * 50).saturating_mul(index));
        let (identifier, name) = (random.half(), format!("host{index}.example.net"));
        let address = parameters.topology.external(index).v4;
        let query = dns::query(identifier, &name, dns::record::A);
        let response = dns::response(identifier, &name, dns::record::A, &[dns::Answer::A(address)]);
        udp_exchange(&mut timeline, &up, (port, dns::PORT), MILLISECOND * 5, (&query, &response));
    }
    timeline.play()
}

fn browser(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..60 {
        timeline.seek((MILLISECOND * 30).saturating_mul(index));
        let server = parameters.topology.external(index % 20);
        let path = Path::between(&parameters.topology.client, &server, Family::V4);
        let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 10, &mut random);
        let hello = tls::client_hello(&format!("cdn{}.example.net", index % 20), &mut random);
        connection.exchange(&mut timeline, &hello, &tls::server_hello(800, &mut random));
    }
    timeline.play()
}
