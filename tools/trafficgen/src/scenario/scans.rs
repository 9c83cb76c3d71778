//! Scans that no window sees: slow ones, crafted packets, one port of many hosts.

use std::time::Duration;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::packet::{Family, Path, Tcp, flags};
use crate::{Connection, Packets, Timeline, refused_datagram};

const FAILED: &[Expected] = &[("port_scan", "failed_contacts")];
const CRAFTED: &[Expected] = &[("port_scan", "crafted_packets")];
const SWEEP: &[Expected] = &[("host_sweep", "host_sweep")];
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("scan-slow-refused", "6 TCP ports, one in 5 minutes, refused", FAILED, |p| {
        requests(p, FIVE_MINUTES, Family::V4, true)
    }),
    Scenario::fires("scan-slow-silent", "6 TCP ports, one in 5 minutes, no answer", FAILED, |p| {
        requests(p, FIVE_MINUTES, Family::V4, false)
    }),
    Scenario::fires("scan-slow-ipv6", "6 TCP ports over IPv6, one a minute, refused", FAILED, |p| {
        requests(p, MINUTE, Family::V6, true)
    }),
    Scenario::fires("scan-slow-udp", "6 UDP ports, one a minute, port unreachable", FAILED, |p| {
        datagrams(p, 50_000)
    }),
    Scenario::fires("scan-slow-udp-as-dns", "the same from port 53", FAILED, |p| datagrams(p, 53)),
    Scenario::fires(
        "scan-slow-addresses",
        "6 TCP ports, each from another address of one /64",
        FAILED,
        addresses,
    ),
    Scenario::fires("crafted-null", "3 segments without a flag, one a minute", CRAFTED, |p| crafted(p, 0)),
    Scenario::fires("crafted-fin", "3 segments with FIN alone, one a minute", CRAFTED, |p| {
        crafted(p, flags::FIN)
    }),
    Scenario::fires("crafted-xmas", "3 segments with FIN, PSH and URG, one a minute", CRAFTED, |p| {
        crafted(p, flags::FIN | flags::PSH | flags::URG)
    }),
    Scenario::fires("crafted-syn-fin", "3 segments with SYN and FIN, one a minute", CRAFTED, |p| {
        crafted(p, flags::SYN | flags::FIN)
    }),
    Scenario::fires("crafted-syn-rst", "3 segments with SYN and RST, one a minute", CRAFTED, |p| {
        crafted(p, flags::SYN | flags::RST)
    }),
    Scenario::fires("sweep-smb", "port 445 of 12 hosts in 12 s, no answer", SWEEP, |p| {
        sweep(p, 445, Duration::from_secs(1), Family::V4, false)
    }),
    Scenario::fires("sweep-refused", "port 3389 of 12 hosts, one a minute, refused", SWEEP, |p| {
        sweep(p, 3_389, MINUTE, Family::V4, true)
    }),
    Scenario::fires("sweep-slow", "port 22 of 12 hosts, one in 5 minutes, no answer", SWEEP, |p| {
        sweep(p, 22, FIVE_MINUTES, Family::V4, false)
    }),
    Scenario::fires("sweep-ipv6", "port 22 of 12 hosts over IPv6, refused", SWEEP, |p| {
        sweep(p, 22, Duration::from_secs(2), Family::V6, true)
    }),
    Scenario::fires("sweep-udp", "UDP port 5060 of 12 hosts, port unreachable", SWEEP, sweep_udp),
];

/// Ports of the probes: none is a login service or on the list of suspicious ports.
fn ports() -> impl Iterator<Item = (u32, u16)> {
    (0..6).zip([25, 80, 111, 139, 631, 8_080])
}

fn requests(parameters: &Parameters, gap: Duration, family: Family, is_refused: bool) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for (index, port) in ports() {
        timeline.seek(gap * index);
        let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, family);
        request(&mut timeline, path, port, is_refused, &mut random);
    }
    timeline.play()
}

/// A SYN, and the RST of a closed port if it `is_refused`.
fn request(timeline: &mut Timeline, path: Path, port: u16, is_refused: bool, random: &mut crate::Random) {
    if is_refused {
        Connection::new(path, port, MILLISECOND, random).refuse(timeline);
    } else {
        timeline.push(path.tcp(&Tcp::syn(random.ephemeral_port(), port, random.word()), &[]));
    }
}

fn datagrams(parameters: &Parameters, source: u16) -> Packets {
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for (index, port) in ports() {
        timeline.seek(MINUTE * index);
        refused_datagram(&mut timeline, &path, (source, port), MILLISECOND, &[]);
    }
    timeline.play()
}

fn addresses(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for (index, port) in ports() {
        timeline.seek(MINUTE * index);
        let network = parameters.topology.outside.v6.to_bits() & !u128::from(u64::MAX);
        let suffix = u128::from(random.word()) << 32 | u128::from(random.word());
        let source = parameters.topology.outside.with_v6((network | suffix).into());
        let path = Path::between(&source, &parameters.topology.victim, Family::V6);
        request(&mut timeline, path, port, true, &mut random);
    }
    timeline.play()
}

fn crafted(parameters: &Parameters, control: u8) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.attacker, &parameters.topology.victim, Family::V4);
    for (index, destination) in ports().take(3) {
        timeline.seek(MINUTE * index);
        let (source, sequence) = (random.ephemeral_port(), random.word());
        let header = Tcp { source, destination, sequence, flags: control, window: 1_024, ..Tcp::default() };
        timeline.push(path.tcp(&header, &[]));
    }
    timeline.play()
}

fn sweep(parameters: &Parameters, port: u16, gap: Duration, family: Family, is_refused: bool) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..12 {
        timeline.seek(gap * index);
        let host = parameters.topology.internal(index);
        let path = Path::between(&parameters.topology.attacker, &host, family);
        request(&mut timeline, path, port, is_refused, &mut random);
    }
    timeline.play()
}

fn sweep_udp(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for index in 0..12 {
        timeline.seek(Duration::from_secs(1) * index);
        let path =
            Path::between(&parameters.topology.attacker, &parameters.topology.internal(index), Family::V4);
        refused_datagram(&mut timeline, &path, (50_000, 5_060), MILLISECOND, &[]);
    }
    timeline.play()
}
