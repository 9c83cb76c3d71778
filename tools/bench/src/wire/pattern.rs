//! Frame patterns, generated while they are sent: a few templates are held in memory, whatever the number of frames.

use clap::ValueEnum;
use sentinel_trafficgen::application::{dns, http};
use sentinel_trafficgen::packet::{Family, Network, Options, Path, Tcp, flags, protocol};
use sentinel_trafficgen::{Parameters, Random, Topology, scenario};

/// Kind of frames to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Pattern {
    /// Segments of 512 connections in frames of 60 bytes (64 with the check sequence, which a virtual wire omits)
    #[value(name = "64")]
    Small,
    /// Segments of the 512 connections in frames of 60, 590 and 1,514 bytes as 7 to 4 to 1
    Imix,
    /// Segments of the 512 connections in frames of 1,514 bytes
    #[value(name = "1514")]
    Large,
    /// Ordinary traffic, repeated
    Mixed,
    /// SYNs from random addresses and ports
    Sources,
    /// SYNs of one source to random ports
    Ports,
    /// DNS queries for random names
    Names,
    /// First fragments of datagrams, from random addresses with random identifications
    Fragments,
}

/// Changes a template before it is sent.
type Change = fn(&mut [u8], &mut Random);

/// Endless stream of the templates in turn, each changed before it is sent again.
pub(crate) struct Stream {
    frames: Vec<Vec<u8>>,
    change: Option<Change>,
    random: Random,
    next: usize,
}

const CONNECTIONS: u32 = 512;
/// Number of templates of a pattern whose frames are changed.
const TEMPLATES: usize = 64;
/// Frames of `mixed` before it repeats.
const MIXED_FRAMES: u64 = 50_000;
/// Offsets in a frame of Ethernet, IPv4 without options, TCP or UDP.
const IDENTIFICATION: usize = 18;
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
const UDP_CHECKSUM: usize = 40;
const TCP_CHECKSUM: usize = 50;
/// Offset of the first label of a DNS question.
const NAME: usize = 55;
const LABEL_LEN: usize = 16;

impl Pattern {
    /// Name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "64",
            Self::Imix => "imix",
            Self::Large => "1514",
            Self::Mixed => "mixed",
            Self::Sources => "sources",
            Self::Ports => "ports",
            Self::Names => "names",
            Self::Fragments => "fragments",
        }
    }

    /// Stream of the pattern, from its first frame.
    pub(crate) fn stream(self) -> Stream {
        let topology = Topology::default();
        let path = Path::between(&topology.outside, &topology.victim, Family::V4);
        let request =
            Tcp { window: 65_535, options: Options::SegmentSize(1_460), ..Tcp::syn(40_000, http::PORT, 1) };
        let changing = |frame: Vec<u8>, change: Change| (vec![frame; TEMPLATES], Some(change));
        let (frames, change) = match self {
            Self::Small => (connections(&[60]), None),
            Self::Imix => (connections(&[60, 590, 60, 590, 60, 1_514, 60, 590, 60, 60, 590, 60]), None),
            Self::Large => (connections(&[1_514]), None),
            Self::Mixed => (mixed(), None),
            Self::Sources => changing(path.tcp(&request, &[]), change_source),
            Self::Ports => changing(path.tcp(&request, &[]), change_port),
            Self::Names => {
                let up = Path::between(&topology.client, &topology.gateway, Family::V4);
                let name = format!("{}.example.net", "x".repeat(LABEL_LEN));
                let mut frame = up.udp(40_000, dns::PORT, &dns::query(1, &name, dns::record::A));
                // RFC 768: zero means no checksum, so none has to be computed for each name.
                put(&mut frame, UDP_CHECKSUM, 0);
                changing(frame, change_name)
            }
            Self::Fragments => {
                let network = Network { identification: 1, ..path.network.clone() };
                let fragments = network.fragments(protocol::UDP, &[0; 128], 64);
                changing(path.wrap(fragments.first().map_or(&[], Vec::as_slice)), change_fragment)
            }
        };
        Stream { frames, change, random: Random::new(1), next: 0 }
    }
}

impl Stream {
    /// Next frames: at least one, at most `max`.
    pub(crate) fn batch(&mut self, max: usize) -> &[Vec<u8>] {
        let end = self.frames.len().min(self.next + max.max(1));
        let begin = self.next;
        self.next = if end == self.frames.len() { 0 } else { end };
        let frames = self.frames.get_mut(begin..end).unwrap_or_default();
        if let Some(change) = self.change {
            for frame in &mut *frames {
                change(frame, &mut self.random);
            }
        }
        frames
    }
}

/// Segments of [`CONNECTIONS`] connections round robin, in both directions, in frames of `lengths` round robin.
fn connections(lengths: &[usize]) -> Vec<Vec<u8>> {
    const HEADERS: usize = 54;
    let topology = Topology::default();
    let mut random = Random::new(1);
    let payload = random.bytes(1_514);
    // Four rounds, so that each connection has frames of each length.
    let frames = (0..CONNECTIONS * 4).zip(lengths.iter().cycle());
    frames
        .map(|(number, length)| {
            let connection = number % CONNECTIONS;
            let up = Path::between(
                &topology.internal(connection % 200),
                &topology.external(connection),
                Family::V4,
            );
            let from_client = (number / CONNECTIONS).is_multiple_of(2);
            let client_port = 40_000 + u16::try_from(connection).unwrap_or(0);
            let (path, source, destination) =
                if from_client { (up, client_port, 443) } else { (up.reversed(), 443, client_port) };
            let header = Tcp {
                source,
                destination,
                sequence: number,
                acknowledgement: number,
                flags: flags::ACK,
                window: 502,
                options: Options::None,
            };
            path.tcp(&header, payload.get(..length.saturating_sub(HEADERS)).unwrap_or_default())
        })
        .collect()
}

/// Frames of the scenario `mixed`.
fn mixed() -> Vec<Vec<u8>> {
    let parameters = Parameters { packets: MIXED_FRAMES, ..Parameters::default() };
    scenario::find("mixed")
        .into_iter()
        .flat_map(|mixed| mixed.packets(&parameters))
        .map(|it| it.bytes)
        .collect()
}

fn change_source(frame: &mut [u8], random: &mut Random) {
    change_address(frame, random.bits(), &[IP_CHECKSUM, TCP_CHECKSUM]);
    replace(frame, SOURCE_PORT, random.half() | 1_024, &[TCP_CHECKSUM]);
}

fn change_port(frame: &mut [u8], random: &mut Random) {
    replace(frame, DESTINATION_PORT, random.half(), &[TCP_CHECKSUM]);
}

fn change_name(frame: &mut [u8], random: &mut Random) {
    let mut bits = random.bits();
    for letter in frame.get_mut(NAME..NAME + LABEL_LEN).unwrap_or_default() {
        *letter = b'a' + u8::try_from(bits & 0xf).unwrap_or(0);
        bits >>= 4;
    }
}

fn change_fragment(frame: &mut [u8], random: &mut Random) {
    change_address(frame, random.bits(), &[IP_CHECKSUM]);
    replace(frame, IDENTIFICATION, random.half(), &[IP_CHECKSUM]);
}

/// Sets a source in 44.0.0.0/8, from the low 24 bits of `bits`.
fn change_address(frame: &mut [u8], bits: u64, checksums: &[usize]) {
    let [low, high, next, ..] = bits.to_le_bytes();
    replace(frame, SOURCE, u16::from_be_bytes([44, low]), checksums);
    replace(frame, SOURCE + 2, u16::from_be_bytes([high, next]), checksums);
}

/// Writes `new` and updates the checksums incrementally (RFC 1624, equation 3).
fn replace(frame: &mut [u8], at: usize, new: u16, checksums: &[usize]) {
    let old = half(frame, at);
    put(frame, at, new);
    for checksum in checksums {
        let mut sum = u32::from(!half(frame, *checksum)) + u32::from(!old) + u32::from(new);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        put(frame, *checksum, !u16::try_from(sum & 0xffff).unwrap_or(0));
    }
}

fn half(frame: &[u8], at: usize) -> u16 {
    frame.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn put(frame: &mut [u8], at: usize, value: u16) {
    if let Some(bytes) = frame.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
        *bytes = value.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of all 16-bit words, all ones if the checksum among them is correct (RFC 1071).
    fn sum(bytes: &[u8], start: u32) -> u32 {
        let mut sum = start;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    }

    #[test]
    fn changed_frames_differ_and_have_correct_checksums() {
        for pattern in [Pattern::Sources, Pattern::Ports, Pattern::Names, Pattern::Fragments] {
            let mut stream = pattern.stream();
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..10 {
                for frame in stream.batch(50).to_vec() {
                    assert_eq!(sum(&frame[14..34], 0), 0xffff, "{}", pattern.name());
                    if frame[23] == protocol::TCP {
                        let length = u32::try_from(frame.len() - 34).unwrap();
                        let pseudo = sum(&frame[26..34], 6 + length);
                        assert_eq!(sum(&frame[34..], pseudo), 0xffff, "{}", pattern.name());
                    }
                    seen.insert(frame);
                }
            }
            assert!(seen.len() > 300, "{}: {}", pattern.name(), seen.len());
        }
    }

    #[test]
    fn changed_names_stay_in_their_label() {
        let mut stream = Pattern::Names.stream();
        let frame = &stream.batch(1)[0];
        assert_eq!((frame[NAME - 1], frame[NAME + LABEL_LEN]), (16, 7), "lengths of the first two labels");
        assert_eq!(&frame[NAME + LABEL_LEN + 1..][..7], b"example");
    }

    #[test]
    fn frames_have_the_lengths_of_their_pattern() {
        let lengths = |pattern: Pattern| -> Vec<usize> {
            let mut stream = pattern.stream();
            stream.batch(2_048).iter().map(Vec::len).collect()
        };
        assert!(lengths(Pattern::Small).iter().all(|length| *length == 60));
        assert!(lengths(Pattern::Large).iter().all(|length| *length == 1_514));
        let imix = lengths(Pattern::Imix);
        let of = |expected: usize| imix[..12].iter().filter(|length| **length == expected).count();
        assert_eq!((of(60), of(590), of(1_514)), (7, 4, 1));
    }
}
