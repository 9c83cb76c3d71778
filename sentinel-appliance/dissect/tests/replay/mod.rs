//! Replays a committed corpus, and mutations of it, through fuzz bodies. Other crates use this file as well.
//!
//! The mutations are the same in every run and on every target: a seeded xorshift, no clock.

use std::fs;
use std::path::{Path, PathBuf};

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

/// A fuzz body by its name, which is that of its directory in `tests/fuzz-corpus`.
pub(crate) type Body = (&'static str, fn(&[u8]));

pub(crate) fn corpus_and_all_prefixes(bodies: &[Body]) {
    for (name, body) in bodies {
        let samples = corpus(name);
        assert!(samples.len() >= 3, "{name}: only {} samples", samples.len());
        for (_, sample) in samples {
            for end in 0..=sample.len() {
                body(&sample[..end]);
            }
        }
    }
}

pub(crate) fn mutations(bodies: &[Body], each: usize) {
    for (name, body) in bodies {
        let samples = corpus(name);
        let mut random = Xorshift(0x5e17_1e11);
        for round in 0..each {
            let (path, sample) = &samples[round % samples.len()];
            let (_, other) = &samples[random.below(samples.len())];
            let bytes = random.mutate(sample, other);
            let outcome = std::panic::catch_unwind(|| body(&bytes));
            assert!(outcome.is_ok(), "{name}: round {round}, from {}: {bytes:02x?}", path.display());
        }
    }
}

pub(crate) fn every_directory_has_a_body(bodies: &[Body]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz-corpus");
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_dir() {
            continue; // where the samples come from
        }
        let name = entry.file_name().into_string().unwrap();
        assert!(bodies.iter().any(|(known, _)| *known == name), "{name}");
    }
}

/// Tests of a crate over its corpus and mutations of it, as many as given for each body.
macro_rules! corpus_tests {
    ($bodies:expr, $mutations:expr) => {
        #[test]
        fn the_corpus_and_all_its_prefixes_hold() {
            $crate::replay::corpus_and_all_prefixes($bodies);
        }

        #[test]
        fn mutations_of_the_corpus_hold() {
            $crate::replay::mutations($bodies, $mutations);
        }

        #[test]
        fn every_corpus_directory_has_a_body() {
            $crate::replay::every_directory_has_a_body($bodies);
        }
    };
}
pub(crate) use corpus_tests;
