//! Exfiltration: five million bytes of frames from one inside host to the outside in sixty seconds.
//!
//! Bytes are those of complete frames without the check sequence, as a capture counts them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::{Expected, MILLISECOND, Parameters, Scenario, background};
use crate::application::tls;
use crate::packet::{Family, Path};
use crate::{Connection, Host, Packets, Random, Timeline};

const FIRES: &[Expected] = &[("exfiltration", "bytes_in_window")];
const CLAIMED: &[Expected] = &[("exfiltration", "bytes_in_window"), ("exfiltration", "baseline")];
const THRESHOLD: usize = 5_000_000;
const WINDOW: Duration = Duration::from_secs(60);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("exfiltration-below", "5,000,000 outbound bytes in 20 s, less the last frame", |p| {
        exact(p, Last::Missing, Family::V4)
    }),
    Scenario::fires("exfiltration-at", "exactly 5,000,000 outbound bytes in 20 s", FIRES, |p| {
        exact(p, Last::Present, Family::V4)
    }),
    Scenario::fires("exfiltration-above", "6 MB outbound in 20 s", FIRES, |p| {
        let topology = &p.topology;
        upload(p, &[(topology.client, topology.outside)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::fires("exfiltration-ipv6", "exactly 5,000,000 outbound bytes in 20 s over IPv6", FIRES, |p| {
        exact(p, Last::Present, Family::V6)
    }),
    Scenario::silent("exfiltration-two-windows", "6 MB outbound, evenly over 120 s", |p| {
        let topology = &p.topology;
        upload(p, &[(topology.client, topology.outside)], 6_000_000, WINDOW * 2)
    }),
    Scenario::fires(
        "exfiltration-straddle",
        "5.4 MB outbound in 6 s across a window boundary, a little earlier",
        FIRES,
        straddle,
    ),
    Scenario::fires(
        "exfiltration-many-servers",
        "6 MB outbound in 30 s, to six external hosts",
        FIRES,
        |p| {
            let pairs: Vec<_> = (0..6).map(|index| (p.topology.client, p.topology.external(index))).collect();
            upload(p, &pairs, 1_000_000, Duration::from_secs(30))
        },
    ),
    Scenario::fires(
        "exfiltration-table-full",
        "6 MB outbound in 20 s, after and among thousands of other hosts",
        FIRES,
        crowded,
    )
    .allowing(super::link::MANY_STATIONS),
    Scenario::silent("exfiltration-inbound", "6 MB inbound within 20 s", |p| {
        let topology = &p.topology;
        upload(p, &[(topology.outside, topology.victim)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::silent(
        "exfiltration-download",
        "an internal host downloads 6 MB from an external one in 20 s",
        download,
    ),
    Scenario::silent("exfiltration-inside", "6 MB from one internal host to another within 20 s", |p| {
        let topology = &p.topology;
        upload(p, &[(topology.client, topology.victim)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::silent("exfiltration-two-hosts", "3 MB outbound from each of two hosts within 20 s", |p| {
        let topology = &p.topology;
        upload(
            p,
            &[(topology.client, topology.outside), (topology.victim, topology.outside)],
            3_000_000,
            Duration::from_secs(20),
        )
    }),
    Scenario::silent("exfiltration-multicast", "6 MB of video to a multicast group within 20 s", multicast),
    Scenario::fires("exfiltration-one-way", "6 MB in datagrams that nobody answers", CLAIMED, |p| {
        datagrams(p, (50_000, 9_999), Family::V4, false)
    }),
    Scenario::fires(
        "exfiltration-one-way-443",
        "6 MB in datagrams from port 443, unanswered",
        CLAIMED,
        |p| datagrams(p, (443, 51_000), Family::V4, false),
    ),
    Scenario::fires("exfiltration-one-way-ipv6", "6 MB in unanswered datagrams over IPv6", CLAIMED, |p| {
        datagrams(p, (50_000, 443), Family::V6, false)
    }),
    Scenario::fires("exfiltration-answered", "6 MB in datagrams that are answered", FIRES, |p| {
        datagrams(p, (50_000, 443), Family::V4, true)
    }),
    Scenario::fires(
        "exfiltration-both-open",
        "7 MB in a connection that both sides open",
        CLAIMED,
        both_open,
    ),
    Scenario::fires(
        "exfiltration-spread",
        "1.2 MB to each of thirty external hosts, 70 s apart",
        &[("exfiltration", "baseline")],
        spread,
    ),
    Scenario::silent(
        "exfiltration-peer-to-peer",
        "1.2 MB to each of thirty peers on ports of their own",
        peers,
    ),
];

/// 6 MB in 18 s, in datagrams of 1,200 bytes; every hundredth is answered, or none.
fn datagrams(parameters: &Parameters, ports: (u16, u16), family: Family, is_answered: bool) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, family);
    for index in 0..5_000 {
        timeline.push(path.udp(ports.0, ports.1, &random.bytes(1_200)));
        timeline.wait_us(1_800);
        if is_answered && index % 100 == 1 {
            timeline.push(path.reversed().udp(ports.1, ports.0, &random.bytes(30)));
        }
        timeline.wait_us(1_800);
    }
    timeline.play()
}

/// The external host's SYN comes first.
fn both_open(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    timeline.push(path.reversed().tcp(&crate::packet::Tcp::syn(tls::PORT, 40_001, 5), &[]));
    timeline.wait_us(20_000);
    let mut connection = Connection::from_port(path, 40_001, tls::PORT, MILLISECOND * 5, &mut random);
    connection.open(&mut timeline);
    trickle(&mut timeline, &mut connection, 7_000_000, Duration::from_secs(20), &mut random);
    timeline.play()
}

/// 1.2 MB to each of thirty hosts, 70 s apart.
fn parts(parameters: &Parameters, port: impl Fn(u16) -> u16) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..30_u16 {
        timeline.seek(Duration::from_secs(70) * index.into());
        let to = parameters.topology.external(u32::from(index) + 40);
        let path = Path::between(&parameters.topology.client, &to, Family::V4);
        let mut connection = Connection::new(path, port(index), MILLISECOND * 5, &mut random);
        connection.open(&mut timeline);
        trickle(&mut timeline, &mut connection, 1_200_000, Duration::from_secs(5), &mut random);
        connection.close(&mut timeline);
    }
    timeline.play()
}

fn spread(parameters: &Parameters) -> Packets {
    parts(parameters, |_| tls::PORT)
}

fn peers(parameters: &Parameters) -> Packets {
    parts(parameters, |index| 20_000 + index * 311)
}

/// Sends `total` payload bytes over `connection`, evenly over `span` from the write position on, ten full frames at a
/// time.
fn trickle(
    timeline: &mut Timeline,
    connection: &mut Connection,
    total: usize,
    span: Duration,
    random: &mut Random,
) {
    let begin = timeline.now();
    let block = 10 * connection.segment_size();
    let blocks = u32::try_from(total.div_ceil(block)).unwrap_or(u32::MAX).max(1);
    let mut left = total;
    for index in 0..blocks {
        timeline.seek(begin + span / blocks * index);
        connection.send(timeline, &random.bytes(left.min(block)));
        left = left.saturating_sub(block);
    }
}

/// Upload of `total` bytes within `span`, from the first host of each pair to the second.
fn upload(parameters: &Parameters, pairs: &[(Host, Host)], total: usize, span: Duration) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for (from, to) in pairs {
        timeline.seek(Duration::ZERO);
        let path = Path::between(from, to, Family::V4);
        let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
        connection.open(&mut timeline);
        trickle(&mut timeline, &mut connection, total, span, &mut random);
    }
    timeline.play()
}

/// Last frame of an upload that reaches the threshold with it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Present,
    Missing,
}

/// Outbound frames whose lengths add up to the threshold exactly; or all but the last of them.
fn exact(parameters: &Parameters, last: Last, family: Family) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, family);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    let size = connection.segment_size();
    let header = 1_514 - size;
    connection.open(&mut timeline);
    // Destination address: only frames towards the gateway are outbound.
    let outbound = parameters.topology.gateway.mac.0;
    let spent = timeline.bytes_where(|frame| frame.bytes.starts_with(&outbound));
    let missing = THRESHOLD - spent;
    // Full frames, then two that share the remaining bytes, so that each has room for its headers and some payload.
    let full = missing / 1_514 - 1;
    let remaining = missing - full * 1_514;
    trickle(&mut timeline, &mut connection, full * size, Duration::from_secs(20), &mut random);
    connection.send(&mut timeline, &random.bytes(remaining / 2 - header));
    if last == Last::Present {
        connection.send(&mut timeline, &random.bytes(remaining - remaining / 2 - header));
    }
    timeline.play()
}

fn straddle(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    // Boundary of a counting window that is aligned to the epoch, see `straddle_times`.
    let first = Duration::from_secs(40);
    let mut timeline = Timeline::starting_at(first);
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    connection.open(&mut timeline);
    connection.send(&mut timeline, &tls::client_hello("upload.example.net", &mut random));
    timeline.seek(first + WINDOW - WINDOW / 20);
    trickle(&mut timeline, &mut connection, 5_400_000, WINDOW / 10, &mut random);
    timeline.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    background::fill_tables(&mut timeline, parameters, tls::PORT, &mut random);
    let begin = timeline.now();
    background::keep_arriving(&mut timeline, parameters, tls::PORT, (1_000, MILLISECOND * 20), &mut random);
    let topology = &parameters.topology;
    timeline.splice(
        begin,
        upload(parameters, &[(topology.client, topology.outside)], 6_000_000, Duration::from_secs(20)),
    );
    timeline.play()
}

fn download(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    connection.open(&mut timeline);
    connection.send(&mut timeline, &tls::client_hello("www.example.net", &mut random));
    for _ in 0..100 {
        connection.receive(&mut timeline, &random.bytes(60_000));
        timeline.wait(MILLISECOND * 190);
    }
    timeline.play()
}

fn multicast(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    // RFC 1112 section 6.4: the low 23 bits of the group; 239/8 stays within a site (RFC 2365).
    let group = Host {
        mac: Mac([1, 0, 0x5e, 1, 2, 3]),
        v4: Ipv4Addr::new(239, 1, 2, 3),
        v6: Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 0x203),
    };
    let path = Path::between(&parameters.topology.victim, &group, Family::V4);
    // Seven transport stream packets of 188 bytes each, as IPTV sends them.
    for _ in 0..4_400 {
        timeline.push(path.udp(5_004, 5_004, &random.bytes(7 * 188)));
        timeline.wait_us(4_500);
    }
    timeline.play()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(packets: Packets, parameters: &Parameters) -> Vec<(Duration, usize)> {
        packets
            .filter(|frame| frame.bytes.starts_with(&parameters.topology.gateway.mac.0))
            .map(|frame| (frame.offset, frame.bytes.len()))
            .collect()
    }

    #[test]
    fn the_threshold_is_reached_to_the_byte() {
        let parameters = Parameters::default();
        for family in [Family::V4, Family::V6] {
            let at = outbound(exact(&parameters, Last::Present, family), &parameters);
            assert_eq!(at.iter().map(|(_, length)| length).sum::<usize>(), THRESHOLD);
            assert!(at.last().unwrap().0 - at.first().unwrap().0 < WINDOW);
        }
        let below = outbound(exact(&parameters, Last::Missing, Family::V4), &parameters);
        let sum = below.iter().map(|(_, length)| length).sum::<usize>();
        assert!((THRESHOLD - 1_514..THRESHOLD).contains(&sum), "{sum}");
    }

    #[test]
    fn no_window_of_the_slow_upload_reaches_the_threshold() {
        let parameters = Parameters::default();
        let topology = &parameters.topology;
        let frames = outbound(
            upload(&parameters, &[(topology.client, topology.outside)], 6_000_000, WINDOW * 2),
            &parameters,
        );
        assert!(frames.iter().map(|(_, length)| length).sum::<usize>() > 6_000_000);
        for (begin, _) in &frames {
            let within = frames.iter().filter(|(at, _)| at >= begin && *at - *begin <= WINDOW);
            assert!(within.map(|(_, length)| length).sum::<usize>() < 4_000_000);
        }
    }
}
