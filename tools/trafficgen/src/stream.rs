//! Kinds of generated traffic, each a stream of any length.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use sentinel_units::Timestamp;

use crate::application::{dns, http, tls};
use crate::packet::{Addresses, Family, Network, Options, Path as PacketPath, Tcp, flags, protocol};
use crate::pcap::{Resolution, Writer};
use crate::{Connection, Packets, Parameters, Random, TimedFrame, Timeline, Topology, scenario};

/// Bytes of one write to a capture. The page cache keeps a file that was written in large blocks in large folios, as it does
/// with one that was read from a disk or copied; after small writes every reader pays for many small folios.
pub const WRITE_BYTES: usize = 1 << 20;

/// Kind of traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Traffic {
    /// An ordinary network
    Mixed,
    /// SYNs of one source, 100,000 per second
    SynFlood,
    /// SYNs of as many sources as packets
    SynSpoofed,
    /// One download: full segments, every second one acknowledged
    Bulk,
    /// DNS queries and responses for fifty names
    WarmDns,
    /// DNS queries and responses for a new name each time
    UniqueDns,
    /// Connections that end after both hellos: SYN, SYN-ACK, ACK, hello and its ACK, hello and its ACK
    TlsHello,
    /// Connections of one request and its response, also seven packets
    Http,
    /// First fragments of datagrams that are never completed, each from another source
    Fragments,
    /// Segments of new connections whose addresses, and whose ports, always have the same exclusive or
    Colliding,
}

impl Traffic {
    /// Kinds that `instructions` measures.
    pub const ALL: [Self; 10] = [
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
    /// Adversarial kinds, each of which attacks another part of the sensor.
    pub const HOSTILE: [Self; 4] = [Self::SynSpoofed, Self::Colliding, Self::UniqueDns, Self::Fragments];

    /// Name on the command line and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

    /// First `packets` frames; a longer stream begins with the same frames.
    #[must_use]
    pub fn frames(self, packets: u32) -> Packets {
        let topology = Topology::default();
        let mut random = Random::new(1);
        match self {
            Self::Mixed => mixed(packets),
            Self::SynFlood => {
                let path = PacketPath::between(&topology.attacker, &topology.victim, Family::V4);
                evenly(packets, 10, move |_| path.tcp(&request(&mut random), &[]))
            }
            Self::SynSpoofed => evenly(packets, 10, move |_| {
                let source = topology.external(random.word());
                PacketPath::between(&source, &topology.victim, Family::V4).tcp(&request(&mut random), &[])
            }),
            Self::Bulk => download(packets, &topology, &mut random),
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
            Self::Fragments => evenly(packets, 10, move |_| fragment(&topology, &mut random)),
            Self::Colliding => evenly(packets, 10, move |_| colliding(&topology, &mut random)),
        }
    }

    /// Writes the first `packets` frames as a capture into `directory` and returns its path.
    ///
    /// # Errors
    /// The errors of the file.
    pub fn capture(self, directory: &Path, packets: u32) -> Result<PathBuf> {
        let path = directory.join(format!("{}-{packets}.pcap", self.name()));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Writer::new(BufWriter::with_capacity(WRITE_BYTES, file), Resolution::Nanoseconds)?
            .all(Timestamp::from_parts(1_700_000_000, 0), self.frames(packets))?;
        Ok(path)
    }
}

/// Frames `gap_us` microseconds apart; `bytes` makes the frame of each number.
fn evenly(packets: u32, gap_us: u64, mut bytes: impl FnMut(u32) -> Vec<u8> + Send + 'static) -> Packets {
    Box::new((0..packets).map(move |number| TimedFrame {
        offset: Duration::from_micros(u64::from(number) * gap_us),
        bytes: bytes(number),
    }))
}

/// Handshake without its last ACK, then two full segments and one acknowledgement, repeatedly.
fn download(packets: u32, topology: &Topology, random: &mut Random) -> Packets {
    let down = PacketPath::between(&topology.outside, &topology.client, Family::V4);
    let up = down.reversed();
    let segment = random.bytes(down.segment_size(0));
    evenly(packets, 20, move |number| match number {
        0 => up.tcp(&control(flags::SYN, true), &[]),
        1 => down.tcp(&control(flags::SYN | flags::ACK, false), &[]),
        _ if number % 3 == 2 => up.tcp(&control(flags::ACK, true), &[]),
        _ => down.tcp(&control(flags::ACK, false), &segment),
    })
}

/// Ordinary traffic, ten thousand packets per second of two hundred hosts.
fn mixed(packets: u32) -> Packets {
    /// Length of the stream of which `packets` are taken. Fixed, because hosts and times depend on it and a longer stream
    /// must begin with the frames of a shorter one.
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

/// SYN to port 80.
fn request(random: &mut Random) -> Tcp {
    Tcp {
        window: 65_535,
        options: Options::SegmentSize(1_460),
        ..Tcp::syn(random.ephemeral_port(), http::PORT, random.word())
    }
}

/// Header of the one connection of `bulk` and `colliding`.
fn control(flags: u8, from_client: bool) -> Tcp {
    let (source, destination) = if from_client { (40_000, 443) } else { (443, 40_000) };
    let (sequence, acknowledgement) = (1, 1);
    Tcp { source, destination, sequence, acknowledgement, flags, window: 65_535, options: Options::None }
}

/// Connections of a hundred clients, round robin, 1 ms apart: handshake and the two `messages`, never closed.
fn exchanges(
    packets: u32,
    port: u16,
    messages: impl Fn(u32, &mut Random) -> (Vec<u8>, Vec<u8>) + Send + 'static,
) -> Packets {
    const DELAY: Duration = Duration::from_micros(100);
    const GAP: Duration = Duration::from_millis(1);
    let topology = Topology::default();
    let connections = (0..packets).flat_map(move |number| {
        // A seed of its own for each connection, so that none depends on those before it.
        let mut random = Random::new(number.into());
        let up = PacketPath::between(
            &topology.internal(number % 100),
            &topology.external(number % 1_000),
            Family::V4,
        );
        let mut connection = Connection::new(up, port, DELAY, &mut random);
        let mut timeline = Timeline::starting_at(GAP * number);
        let (request, response) = messages(number, &mut random);
        connection.exchange(&mut timeline, &request, &response);
        timeline.into_frames()
    });
    Box::new(connections.take(usize::try_from(packets).unwrap_or(usize::MAX)))
}

/// First of two fragments, from a random source.
fn fragment(topology: &Topology, random: &mut Random) -> Vec<u8> {
    const FRAGMENT_LEN: usize = 64;
    let path = PacketPath::between(&topology.external(random.word()), &topology.victim, Family::V4);
    let network = Network { identification: random.half(), ..path.network.clone() };
    let fragments = network.fragments(protocol::UDP, &[0; 2 * FRAGMENT_LEN], FRAGMENT_LEN);
    path.wrap(fragments.first().map_or(&[], Vec::as_slice))
}

/// Segment that collides in any hash which combines addresses and ports by exclusive or: the source differs from a fixed
/// value in the same bits as the destination.
fn colliding(topology: &Topology, random: &mut Random) -> Vec<u8> {
    let mut path = PacketPath::between(&topology.outside, &topology.victim, Family::V4);
    // Only the low 16 bits change, so that the victim's side stays in the home network.
    let (address, port) = (u32::from(random.half()), random.half());
    if let Addresses::V4 { source, destination } = &mut path.network.addresses {
        *source = (source.to_bits() ^ address).into();
        *destination = (destination.to_bits() ^ address).into();
    }
    let header = Tcp { source: 40_000 ^ port, destination: 443 ^ port, ..control(flags::ACK, true) };
    path.tcp(&header, &[])
}

/// DNS queries, each followed by its response, of fifty hosts round robin.
fn names(packets: u32, name: impl Fn(u32) -> String + Send + 'static) -> Packets {
    let topology = Topology::default();
    evenly(packets, 500, move |number| {
        let exchange = number / 2;
        let up = PacketPath::between(&topology.internal(exchange % 50), &topology.gateway, Family::V4);
        // A stub resolver takes a new port for each query.
        let port = 32_768 + u16::try_from(exchange.wrapping_mul(40_503) % 28_000).unwrap_or(0);
        let identifier = u16::try_from(exchange & 0xffff).unwrap_or(0);
        let name = name(exchange);
        if number % 2 == 0 {
            return up.udp(port, dns::PORT, &dns::query(identifier, &name, dns::record::A));
        }
        let answer = dns::Answer::A(topology.external(exchange % 1_000).v4);
        let message = dns::response(identifier, &name, dns::record::A, &[answer]);
        up.reversed().udp(dns::PORT, port, &message)
    })
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
