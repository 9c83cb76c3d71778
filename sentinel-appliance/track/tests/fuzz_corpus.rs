//! Replays the committed corpus, and mutations of it, through the fuzz bodies of every state machine.
//!
//! The mutations are the same in every run and on every target: a seeded xorshift, no clock.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use sentinel_track::fuzzing::BODIES;

const MUTATIONS_PER_PARSER: usize = 4_000;
/// Values that lengths and counts go wrong at.
const EDGES: [u8; 10] = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

fn corpus(parser: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz-corpus").join(parser);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Marsaglia's xorshift with 32 bits of state ("Xorshift RNGs", 2003, page 4).
struct Xorshift(u32);

impl Xorshift {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        usize::try_from(self.0).unwrap()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// One to four changes: a byte, a bit, an edge value, a cut, a piece repeated or taken from another sample.
    fn mutate(&mut self, sample: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    let piece = other[self.below(other.len())..].to_vec();
                    bytes.splice(at..at, piece);
                }
                2 => {
                    let piece = bytes[at..].to_vec();
                    bytes.extend_from_slice(&piece);
                }
                3 => {
                    let end = (at + 1 + self.below(4)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                choice => {
                    let value = match choice {
                        4 => self.byte(),
                        5 => EDGES[self.below(EDGES.len())],
                        _ => bytes.get(at).copied().unwrap_or(0) ^ (1 << self.below(8)),
                    };
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value;
                    }
                }
            }
            bytes.truncate(4096);
        }
        bytes
    }
}

#[test]
fn the_corpus_and_all_its_prefixes_hold() {
    for (parser, body) in BODIES {
        let samples = corpus(parser);
        assert!(samples.len() >= 3, "{parser}: only {} samples", samples.len());
        for (_, sample) in samples {
            for end in 0..=sample.len() {
                body(&sample[..end]);
            }
        }
    }
}

#[test]
fn mutations_of_the_corpus_hold() {
    for (parser, body) in BODIES {
        let samples = corpus(parser);
        let mut random = Xorshift(0x5e17_1e11);
        for round in 0..MUTATIONS_PER_PARSER {
            let (path, sample) = &samples[round % samples.len()];
            let (_, other) = &samples[random.below(samples.len())];
            let bytes = random.mutate(sample, other);
            let outcome = std::panic::catch_unwind(|| body(&bytes));
            assert!(outcome.is_ok(), "{parser}: round {round}, from {}: {bytes:02x?}", path.display());
        }
    }
}

#[test]
fn every_corpus_directory_has_a_parser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz-corpus");
    for entry in fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(BODIES.iter().any(|(parser, _)| *parser == name), "{name}");
    }
}
