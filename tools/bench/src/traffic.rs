//! The sorts of traffic that are measured, each a stream of any length.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use sentinel_trafficgen::application::dns;
use sentinel_trafficgen::packet::{Family, Options, Path as Way, Tcp, flags};
use sentinel_trafficgen::pcap::{Resolution, Writer};
use sentinel_trafficgen::{Cast, Parameters, Random, TimedFrame, scenario};
use sentinel_units::Timestamp;

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
}

impl Traffic {
    /// Those that `instructions` goes through.
    pub(crate) const ALL: [Self; 6] =
        [Self::Mixed, Self::SynFlood, Self::SynSpoofed, Self::Bulk, Self::WarmDns, Self::UniqueDns];

    /// Name on the command line and in results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::SynFlood => "syn-flood",
            Self::SynSpoofed => "syn-spoofed",
            Self::Bulk => "bulk",
            Self::WarmDns => "warm-dns",
            Self::UniqueDns => "unique-dns",
        }
    }

    /// The first `packets` frames; a longer stream begins with the shorter one.
    pub(crate) fn frames(self, packets: u32) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
        let cast = Cast::default();
        let mut random = Random::new(1);
        let at = |number: u32, gap_us: u32| Duration::from_micros(u64::from(number) * u64::from(gap_us));
        match self {
            Self::Mixed => mixed(packets),
            Self::SynFlood => {
                let way = Way::between(&cast.attacker, &cast.victim, Family::V4);
                Box::new((0..packets).map(move |number| TimedFrame {
                    offset: at(number, 10),
                    bytes: way.tcp(&request(&mut random), &[]),
                }))
            }
            Self::SynSpoofed => Box::new((0..packets).map(move |number| {
                let way = Way::between(&cast.beyond(random.word()), &cast.victim, Family::V4);
                TimedFrame { offset: at(number, 10), bytes: way.tcp(&request(&mut random), &[]) }
            })),
            Self::Bulk => {
                let down = Way::between(&cast.outside, &cast.client, Family::V4);
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
        }
    }

    /// The first `packets` frames as a capture in `directory`.
    pub(crate) fn capture(self, directory: &Path, packets: u32) -> Result<PathBuf> {
        let path = directory.join(format!("{}-{packets}.pcap", self.name()));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Writer::new(BufWriter::new(file), Resolution::Nanoseconds)?
            .all(Timestamp::from_parts(1_700_000_000, 0), self.frames(packets))?;
        Ok(path)
    }
}

/// Ten thousand packets a second, of two hundred machines.
fn mixed(packets: u32) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
    /// Fixed, because machines and times depend on it: a longer stream must begin with the shorter one.
    const MOST: u32 = 10_000_000;
    let parameters = Parameters {
        packets: MOST.into(),
        duration: Duration::from_secs(u64::from(MOST / 10_000)),
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

/// Each question, then its answer, from fifty machines in turn.
fn names(
    packets: u32,
    name: impl Fn(u32) -> String + Send + 'static,
) -> Box<dyn Iterator<Item = TimedFrame> + Send> {
    let cast = Cast::default();
    Box::new((0..packets).map(move |number| {
        let turn = number / 2;
        let up = Way::between(&cast.inside(turn % 50), &cast.gateway, Family::V4);
        // The port of a stub resolver changes with each question.
        let port = 32_768 + u16::try_from(turn.wrapping_mul(40_503) % 28_000).unwrap_or(0);
        let identifier = u16::try_from(turn & 0xffff).unwrap_or(0);
        let name = name(turn);
        let bytes = if number % 2 == 0 {
            up.udp(port, dns::PORT, &dns::query(identifier, &name, dns::record::A))
        } else {
            let answer = dns::Answer::A(cast.beyond(turn % 1_000).v4);
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
