//! Exfiltration: five million bytes of frames from one inside host to the outside in sixty seconds.
//!
//! Bytes are those of whole frames without the check sequence, as a capture counts them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_units::Mac;

use super::port_scan::opening;
use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::tls;
use crate::packet::{Family, Path};
use crate::{Connection, Packets, Random, Station, Tape};

const FIRES: &[Expected] = &[("exfiltration", "bytes_in_window")];
const THRESHOLD: usize = 5_000_000;
const WINDOW: Duration = Duration::from_secs(60);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("exfiltration-below", "5,000,000 bytes out in 20 s but for the last frame", |p| {
        exact(p, Last::Missing, Family::V4)
    }),
    Scenario::fires("exfiltration-at", "exactly 5,000,000 bytes out in 20 s", FIRES, |p| {
        exact(p, Last::Present, Family::V4)
    }),
    Scenario::fires("exfiltration-above", "6 MB out in 20 s", FIRES, |p| {
        let cast = &p.cast;
        upload(p, &[(cast.client, cast.outside)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::fires("exfiltration-ipv6", "exactly 5,000,000 bytes out in 20 s over IPv6", FIRES, |p| {
        exact(p, Last::Present, Family::V6)
    }),
    Scenario::silent("exfiltration-two-windows", "6 MB out evenly over 120 s", |p| {
        let cast = &p.cast;
        upload(p, &[(cast.client, cast.outside)], 6_000_000, WINDOW * 2)
    }),
    Scenario::fires(
        "exfiltration-straddle",
        "5.4 MB out in 6 s across a window's edge, a little before",
        FIRES,
        straddle,
    ),
    Scenario::fires("exfiltration-many-servers", "6 MB out in 30 s, to six machines outside", FIRES, |p| {
        let pairs: Vec<_> = (0..6).map(|index| (p.cast.client, p.cast.beyond(index))).collect();
        upload(p, &pairs, 1_000_000, Duration::from_secs(30))
    }),
    Scenario::fires(
        "exfiltration-table-full",
        "6 MB out in 20 s, after and among thousands of other hosts",
        FIRES,
        crowded,
    ),
    Scenario::silent("exfiltration-inbound", "6 MB in within 20 s", |p| {
        let cast = &p.cast;
        upload(p, &[(cast.outside, cast.victim)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::silent("exfiltration-download", "an inside host fetches 6 MB from outside in 20 s", download),
    Scenario::silent("exfiltration-inside", "6 MB from one inside host to another within 20 s", |p| {
        let cast = &p.cast;
        upload(p, &[(cast.client, cast.victim)], 6_000_000, Duration::from_secs(20))
    }),
    Scenario::silent("exfiltration-two-hosts", "3 MB out from each of two hosts within 20 s", |p| {
        let cast = &p.cast;
        upload(
            p,
            &[(cast.client, cast.outside), (cast.victim, cast.outside)],
            3_000_000,
            Duration::from_secs(20),
        )
    }),
    Scenario::silent("exfiltration-multicast", "6 MB of video to a multicast group within 20 s", multicast),
];

/// Sends `total` bytes of payload over `connection` between now and `span` later, ten full frames at a time.
fn trickle(tape: &mut Tape, connection: &mut Connection, total: usize, span: Duration, random: &mut Random) {
    let begin = tape.now();
    let block = 10 * connection.segment_size();
    let blocks = u32::try_from(total.div_ceil(block)).unwrap_or(u32::MAX).max(1);
    let mut left = total;
    for index in 0..blocks {
        tape.seek(begin + span / blocks * index);
        connection.send(tape, &random.bytes(left.min(block)));
        left = left.saturating_sub(block);
    }
}

/// Each pair: the first opens a connection to the second and sends `total` bytes within `span`.
fn upload(parameters: &Parameters, pairs: &[(Station, Station)], total: usize, span: Duration) -> Packets {
    let mut random = parameters.random();
    let mut tape = Tape::default();
    for (from, to) in pairs {
        tape.seek(Duration::ZERO);
        let path = Path::between(from, to, Family::V4);
        let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
        connection.open(&mut tape);
        trickle(&mut tape, &mut connection, total, span, &mut random);
    }
    tape.play()
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Present,
    Missing,
}

/// Outbound frames whose lengths add up to the threshold exactly; or all but the last of them.
fn exact(parameters: &Parameters, last: Last, family: Family) -> Packets {
    let mut random = parameters.random();
    let mut tape = Tape::default();
    let path = Path::between(&parameters.cast.client, &parameters.cast.outside, family);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    let size = connection.segment_size();
    let header = 1_514 - size;
    connection.open(&mut tape);
    // Destination address: only frames towards the gateway are outbound.
    let outbound = parameters.cast.gateway.mac.0;
    let spent = tape.bytes_where(|frame| frame.bytes.starts_with(&outbound));
    let left = THRESHOLD - spent;
    // Full frames, then two that share the rest, so that each has room for its header and some payload.
    let full = left / 1_514 - 1;
    let rest = left - full * 1_514;
    trickle(&mut tape, &mut connection, full * size, Duration::from_secs(20), &mut random);
    connection.send(&mut tape, &random.bytes(rest / 2 - header));
    if last == Last::Present {
        connection.send(&mut tape, &random.bytes(rest - rest / 2 - header));
    }
    tape.play()
}

fn straddle(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    // The start of a counting window of the epoch, see `straddle_times`.
    let first = Duration::from_secs(40);
    let mut tape = Tape::starting_at(first);
    let path = Path::between(&parameters.cast.client, &parameters.cast.outside, Family::V4);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    connection.open(&mut tape);
    connection.send(&mut tape, &tls::client_hello("upload.example.net", &mut random));
    tape.seek(first + WINDOW - WINDOW / 20);
    trickle(&mut tape, &mut connection, 5_400_000, WINDOW / 10, &mut random);
    tape.play()
}

fn crowded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut tape = Tape::default();
    for index in 0..parameters.sources {
        tape.seek(Duration::from_micros(100).saturating_mul(index));
        opening(&mut tape, parameters, index, tls::PORT, &mut random);
    }
    let begin = tape.now();
    for index in 0..1_000 {
        tape.seek(begin + (MILLISECOND * 20).saturating_mul(index));
        opening(&mut tape, parameters, parameters.sources + index, tls::PORT, &mut random);
    }
    let cast = &parameters.cast;
    tape.splice(
        begin,
        upload(parameters, &[(cast.client, cast.outside)], 6_000_000, Duration::from_secs(20)),
    );
    tape.play()
}

fn download(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut tape = Tape::default();
    let path = Path::between(&parameters.cast.client, &parameters.cast.outside, Family::V4);
    let mut connection = Connection::new(path, tls::PORT, MILLISECOND * 5, &mut random);
    connection.open(&mut tape);
    connection.send(&mut tape, &tls::client_hello("www.example.net", &mut random));
    for _ in 0..100 {
        connection.receive(&mut tape, &random.bytes(60_000));
        tape.wait(MILLISECOND * 190);
    }
    tape.play()
}

fn multicast(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut tape = Tape::default();
    // RFC 1112 section 6.4: the low 23 bits of the group; 239/8 stays within a site (RFC 2365).
    let group = Station {
        mac: Mac([1, 0, 0x5e, 1, 2, 3]),
        v4: Ipv4Addr::new(239, 1, 2, 3),
        v6: Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 0x203),
    };
    let path = Path::between(&parameters.cast.victim, &group, Family::V4);
    // Seven transport stream packets of 188 bytes each, as IPTV sends them.
    for _ in 0..4_400 {
        tape.push(path.udp(5_004, 5_004, &random.bytes(7 * 188)));
        tape.wait_us(4_500);
    }
    tape.play()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(packets: Packets, parameters: &Parameters) -> Vec<(Duration, usize)> {
        packets
            .filter(|frame| frame.bytes.starts_with(&parameters.cast.gateway.mac.0))
            .map(|frame| (frame.offset, frame.bytes.len()))
            .collect()
    }

    #[test]
    fn the_edge_is_exact() {
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
    fn two_windows_never_hold_enough() {
        let parameters = Parameters::default();
        let cast = &parameters.cast;
        let frames =
            outbound(upload(&parameters, &[(cast.client, cast.outside)], 6_000_000, WINDOW * 2), &parameters);
        assert!(frames.iter().map(|(_, length)| length).sum::<usize>() > 6_000_000);
        for (begin, _) in &frames {
            let within = frames.iter().filter(|(at, _)| at >= begin && *at - *begin <= WINDOW);
            assert!(within.map(|(_, length)| length).sum::<usize>() < 4_000_000);
        }
    }
}
