//! The sorts of traffic that are measured, each a stream of any length.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use sentinel_trafficgen::application::{dns, http, tls};
use sentinel_trafficgen::packet::{Addresses, Family, Network, Options, Path as Way, Tcp, flags, protocol};
use sentinel_trafficgen::pcap::{Resolution, Writer};
use sentinel_trafficgen::{Connection, Parameters, Random, TimedFrame, Timeline, Topology, scenario};
use sentinel_units::Timestamp;

/// Captures are written in pieces of so many bytes. The kernel keeps such a file in large pieces, as it keeps one that was
/// read from a disk or copied; of one that was written in small pieces every reader pays for many small ones.
pub(crate) const WRITE_BYTES: usize = 1 << 20;

/// A sort of traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Traffic {
    /// An ordinary network
    Mixed,
    /// Connection requests of one source, 100,000 a second
    SynFlood,
    /// Connection requests of as many sources as packets
    SynSpoofed,
    /// One download: full segments and every second one acknowledged
    Bulk,
    /// Questions and answers about fifty names
    WarmDns,
    /// Questions and answers about a new name each time
    UniqueDns,
    /// Connections that end after both hellos: SYN, SYN-ACK, ACK, hello and its ACK, hello and its ACK
    TlsHello,
    /// Connections of one request and its answer, seven packets as well
    Http,
    /// First pieces of datagrams that never become whole, each from another source
    Fragments,
    /// Segments of new connections whose addresses, and whose ports, have the same exclusive or each time
    Colliding,
}

impl Traffic {
    /// Those that `instructions` goes through.
    pub(crate) const ALL: [Self; 10] = [
        Self::SynFlood,
        Self::Bulk,
        Self::WarmDns,
        Self::UniqueDns,
        Self::TlsHello,
        Self::Http,
        Self::Mixed,
        Self::SynSpoofed,
        Self::Fragments,
        Self::Colliding,
    ];
    /// Those that somebody sends to hurt, each in its own way.
    pub(crate) const HOSTILE: [Self; 4] =
        [Self::SynSpoofed, Self::Colliding, Self::UniqueDns, Self::Fragments];

    /// Name on the command line and in results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::SynFlood => "syn-flood",
            Self::SynSpoofed => "syn-spoofed",
            Self::Bulk => "bulk",
            Self::WarmDns => "warm-dns",
            Self::UniqueDns => "unique-dns",
            Self::TlsHello => "tls-hello",
            Self::Http => "http",
            Self::Fragments => "fragments",
            Self::Colliding => "colliding",
        }
    }

    /// The first `packets` frames; a longer stream begins with the shorter one.
    pub(crate) fn frames(self, packets: u32) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
        let topology = Topology::default();
        let mut random = Random::new(1);
        let at = |number: u32, gap_us: u32| Duration::from_micros(u64::from(number) * u64::from(gap_us));
        match self {
            Self::Mixed => mixed(packets),
            Self::SynFlood => {
                let way = Way::between(&topology.attacker, &topology.victim, Family::V4);
                Box::new((0..packets).map(move |number| TimedFrame {
                    offset: at(number, 10),
                    bytes: way.tcp(&request(&mut random), &[]),
                }))
            }
            Self::SynSpoofed => Box::new((0..packets).map(move |number| {
                let way = Way::between(&topology.external(random.word()), &topology.victim, Family::V4);
                TimedFrame { offset: at(number, 10), bytes: way.tcp(&request(&mut random), &[]) }
            })),
            Self::Bulk => {
                let down = Way::between(&topology.outside, &topology.client, Family::V4);
                let up = down.reversed();
                let segment = random.bytes(down.segment_size(0));
                Box::new((0..packets).map(move |number| {
                    let bytes = match number {
                        0 => up.tcp(&control(flags::SYN, true), &[]),
                        1 => down.tcp(&control(flags::SYN | flags::ACK, false), &[]),
                        _ if number % 3 == 2 => up.tcp(&control(flags::ACK, true), &[]),
                        _ => down.tcp(&control(flags::ACK, false), &segment),
                    };
                    TimedFrame { offset: at(number, 20), bytes }
                }))
            }
            Self::WarmDns => names(packets, |number| format!("www{}.example.net", number % 50)),
            Self::UniqueDns => names(packets, |number| format!("host-{number:08x}.cdn.example.net")),
            Self::TlsHello => exchanges(packets, tls::PORT, |number, random| {
                let hello = tls::client_hello(&format!("www{}.example.net", number % 1_000), random);
                (hello, tls::server_hello(900, random))
            }),
            Self::Http => exchanges(packets, http::PORT, |number, random| {
                let host = format!("www{}.example.net", number % 1_000);
                let body = random.bytes(700);
                (http::request("GET", &host, "/index.html"), http::response("200 OK", "text/html", &body))
            }),
            Self::Fragments => Box::new((0..packets).map(move |number| TimedFrame {
                offset: at(number, 10),
                bytes: fragment(&topology, &mut random),
            })),
            Self::Colliding => Box::new((0..packets).map(move |number| TimedFrame {
                offset: at(number, 10),
                bytes: colliding(&topology, &mut random),
            })),
        }
    }

    /// The first `packets` frames as a capture in `directory`.
    pub(crate) fn capture(self, directory: &Path, packets: u32) -> Result<PathBuf> {
        let path = directory.join(format!("{}-{packets}.pcap", self.name()));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Writer::new(BufWriter::with_capacity(WRITE_BYTES, file), Resolution::Nanoseconds)?
            .all(Timestamp::from_parts(1_700_000_000, 0), self.frames(packets))?;
        Ok(path)
    }
}

/// Ten thousand packets a second, of two hundred machines.
fn mixed(packets: u32) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
    /// Fixed, because machines and times depend on it: a longer stream must begin with the shorter one.
    const MAX: u32 = 10_000_000;
    let parameters = Parameters {
        packets: MAX.into(),
        duration: Duration::from_secs(u64::from(MAX / 10_000)),
        ..Parameters::default()
    };
    let frames = scenario::find("mixed").map(|mixed| mixed.packets(&parameters));
    let count = usize::try_from(packets).unwrap_or(usize::MAX);
    Box::new(frames.into_iter().flatten().take(count))
}

fn request(random: &mut Random) -> Tcp {
    Tcp {
        source: random.ephemeral_port(),
        destination: 80,
        sequence: random.word(),
        acknowledgement: 0,
        flags: flags::SYN,
        window: 65_535,
        options: Options::SegmentSize(1_460),
    }
}

fn control(flags: u8, from_client: bool) -> Tcp {
    let (source, destination) = if from_client { (40_000, 443) } else { (443, 40_000) };
    let (sequence, acknowledgement) = (1, 1);
    Tcp { source, destination, sequence, acknowledgement, flags, window: 65_535, options: Options::None }
}

/// One connection after the other, a hundred clients in turn: opened, `messages` of both sides, and no more.
fn exchanges(
    packets: u32,
    port: u16,
    messages: impl Fn(u32, &mut Random) -> (Vec<u8>, Vec<u8>) + Send + 'static,
) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
    const DELAY: Duration = Duration::from_micros(100);
    const GAP: Duration = Duration::from_millis(1);
    let topology = Topology::default();
    let connections = (0..packets).flat_map(move |number| {
        // Each its own, so that none depends on how many there were before.
        let mut random = Random::new(number.into());
        let up =
            Way::between(&topology.internal(number % 100), &topology.external(number % 1_000), Family::V4);
        let mut connection = Connection::new(up, port, DELAY, &mut random);
        let mut timeline = Timeline::starting_at(GAP * number);
        let (request, answer) = messages(number, &mut random);
        connection.open(&mut timeline);
        connection.send(&mut timeline, &request);
        connection.receive(&mut timeline, &answer);
        timeline.into_frames()
    });
    Box::new(connections.take(usize::try_from(packets).unwrap_or(usize::MAX)))
}

/// The first of two pieces, from anybody.
fn fragment(topology: &Topology, random: &mut Random) -> Vec<u8> {
    const PIECE: usize = 64;
    let way = Way::between(&topology.external(random.word()), &topology.victim, Family::V4);
    let network = Network { identification: random.half(), ..way.network.clone() };
    let pieces = network.fragments(protocol::UDP, &[0; 2 * PIECE], PIECE);
    way.wrap(pieces.first().map_or(&[], Vec::as_slice))
}

/// A segment whose key gives nothing to a hash that only combines its words: whatever `x` is, the source differs from
/// its usual value in the same bits as the destination.
fn colliding(topology: &Topology, random: &mut Random) -> Vec<u8> {
    let mut way = Way::between(&topology.outside, &topology.victim, Family::V4);
    // Within a /16 each, so that the victim's side stays inside.
    let (address, port) = (u32::from(random.half()), random.half());
    if let Addresses::V4 { source, destination } = &mut way.network.addresses {
        *source = (source.to_bits() ^ address).into();
        *destination = (destination.to_bits() ^ address).into();
    }
    let header = Tcp { source: 40_000 ^ port, destination: 443 ^ port, ..control(flags::ACK, true) };
    way.tcp(&header, &[])
}

/// Each question, then its answer, from fifty machines in turn.
fn names(
    packets: u32,
    name: impl Fn(u32) -> String + Send + 'static,
) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
    let topology = Topology::default();
    Box::new((0..packets).map(move |number| {
        let turn = number / 2;
        let up = Way::between(&topology.internal(turn % 50), &topology.gateway, Family::V4);
        // The port of a stub resolver changes with each question.
        let port = 32_768 + u16::try_from(turn.wrapping_mul(40_503) % 28_000).unwrap_or(0);
        let identifier = u16::try_from(turn & 0xffff).unwrap_or(0);
        let name = name(turn);
        let bytes = if number % 2 == 0 {
            up.udp(port, dns::PORT, &dns::query(identifier, &name, dns::record::A))
        } else {
            let answer = dns::Answer::A(topology.external(turn % 1_000).v4);
            let message = dns::response(identifier, &name, dns::record::A, &[answer]);
            up.reversed().udp(dns::PORT, port, &message)
        };
        TimedFrame { offset: Duration::from_micros(u64::from(number) * 500), bytes }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_stream_begins_with_the_shorter_one() {
        for traffic in Traffic::ALL {
            let short: Vec<_> = traffic.frames(50).collect();
            let long: Vec<_> = traffic.frames(120).collect();
            assert_eq!((short.len(), long.len()), (50, 120), "{}", traffic.name());
            assert_eq!(short, long[..50], "{}", traffic.name());
            assert!(long.windows(2).all(|pair| pair[0].offset <= pair[1].offset), "{}", traffic.name());
        }
    }
}
