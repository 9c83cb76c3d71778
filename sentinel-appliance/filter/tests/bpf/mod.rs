//! Shared by the comparisons with tcpdump: the captures of the corpus, their frames, and tcpdump's programs.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;

use sentinel_filter::{Instruction, Packet};
use sentinel_units::LinkType;

/// Directory of the corpus: `SENTINEL_CORPUS`, or beside the workspace.
pub fn corpus() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus");
    let found = std::env::var_os("SENTINEL_CORPUS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    found.join("bpf").is_dir().then_some(found)
}

/// A little-endian pcap file.
pub struct Capture {
    pub name: String,
    pub path: PathBuf,
    pub link: LinkType,
    /// The seconds of the timestamp, the length on the wire, the bytes.
    pub frames: Vec<(u32, u32, Vec<u8>)>,
}

impl Capture {
    pub fn read(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(0), 0xa1b2_c3d4, "{}", path.display());
        let mut frames = Vec::new();
        let mut at = 24;
        while at < bytes.len() {
            let captured = usize::try_from(word(at + 8)).unwrap();
            frames.push((word(at), word(at + 12), bytes[at + 16..at + 16 + captured].to_vec()));
            at += 16 + captured;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, link: LinkType(u16::try_from(word(20)).unwrap()), path, frames }
    }

    /// Numbers of the frames that `program` selects.
    pub fn selected(&self, program: &[Instruction]) -> Vec<u32> {
        let matches = |(number, wire_len, bytes): &(u32, u32, Vec<u8>)| {
            let packet = Packet { bytes, wire_len: *wire_len, vlan: None };
            (sentinel_filter::run(program, &packet) != 0).then_some(*number)
        };
        self.frames.iter().filter_map(matches).collect()
    }
}

pub fn captures(corpus: &std::path::Path) -> Vec<Capture> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(corpus.join("bpf")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(Capture::read).collect()
}

/// Returns false for captures of the corpus with a link type that is not supported: 802.11.
pub fn is_supported(link: LinkType) -> bool {
    link != LinkType(127)
}

/// tcpdump's program for the expression, or its error message; `None` if there is no tcpdump.
pub fn tcpdump(capture: &Capture, expression: &str) -> Option<Result<Vec<Instruction>, String>> {
    let mut command = Command::new("tcpdump");
    command.arg("-ddd");
    let out = command.arg("-r").arg(&capture.path).arg("--").arg(expression).output().ok()?;
    if !out.status.success() {
        let message = String::from_utf8_lossy(&out.stderr);
        return Some(Err(message.lines().last().unwrap_or("").to_owned()));
    }
    let text = String::from_utf8(out.stdout).unwrap();
    let numbers =
        |line: &str| -> Vec<u32> { line.split(' ').map(|number| number.parse().unwrap()).collect() };
    let instruction = |line: &str| match numbers(line)[..] {
        [code, jt, jf, k] => Instruction::branch(
            u16::try_from(code).unwrap(),
            k,
            u8::try_from(jt).unwrap(),
            u8::try_from(jf).unwrap(),
        ),
        _ => panic!("{line}"),
    };
    Some(Ok(text.lines().skip(1).map(instruction).collect()))
}
