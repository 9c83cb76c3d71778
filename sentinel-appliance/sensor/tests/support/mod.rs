//! The built program, and files to feed it.

#![allow(dead_code, reason = "each test crate uses a part")]

pub(crate) mod engine;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Folder of the golden captures.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden")
}

/// The program with the default settings: neither the system's settings file nor `SENTINEL_*` variables apply.
pub(crate) fn sentinel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
    remove_settings_variables(&mut command);
    command.stdin(Stdio::null()).arg("--config").arg(golden().with_file_name("default.uci"));
    command
}

/// `command` as the last arguments of `wrapper`, a program that executes them; no `SENTINEL_*` variables apply.
pub(crate) fn wrapped(mut wrapper: Command, command: &Command) -> Command {
    remove_settings_variables(&mut wrapper);
    wrapper.arg(command.get_program()).args(command.get_args());
    wrapper
}

fn remove_settings_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
}

/// Runs the program with these words.
pub(crate) fn run(words: &[&str]) -> Output {
    sentinel().args(words).output().unwrap()
}

/// Runs the program with `input` as its standard input.
pub(crate) fn run_with_input(words: &[&str], input: &[u8]) -> Output {
    let mut child = sentinel()
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The program may stop reading at any byte; then the write fails, which is no fault.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    let _whole = writer.join().unwrap();
    output
}

/// Text of standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Text of standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One frame of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) seconds: u32,
    pub(crate) nanos: u32,
    pub(crate) wire_len: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The frames of a little-endian pcap file with nanoseconds, as the golden ones are.
pub(crate) fn records(file: &[u8]) -> Vec<Record> {
    assert_eq!(file[..4], 0xa1b2_3c4d_u32.to_le_bytes(), "golden captures count nanoseconds");
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut rest, mut records) = (&file[24..], Vec::new());
    while !rest.is_empty() {
        let end = 16 + usize::try_from(word(rest, 8)).unwrap();
        let (seconds, nanos, wire_len) = (word(rest, 0), word(rest, 4), word(rest, 12));
        records.push(Record { seconds, nanos, wire_len, bytes: rest[16..end].to_vec() });
        rest = &rest[end..];
    }
    records
}

/// Byte order of a capture file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    fn half(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn word(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// A pcap file of these frames.
pub(crate) fn pcap(records: &[Record], order: Order, nanoseconds: bool, link: u32) -> Vec<u8> {
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = order.word(magic).to_vec();
    file.extend(order.half(2));
    file.extend(order.half(4));
    for word in [0, 0, 262_144, link] {
        file.extend(order.word(word));
    }
    for record in records {
        let part = if nanoseconds { record.nanos } else { record.nanos / 1_000 };
        for word in [record.seconds, part, length(&record.bytes), record.wire_len] {
            file.extend(order.word(word));
        }
        file.extend(&record.bytes);
    }
    file
}

/// A pcapng file of these frames: one section, one Ethernet interface, enhanced packet blocks.
pub(crate) fn pcapng(records: &[Record], order: Order, nanoseconds: bool) -> Vec<u8> {
    let mut section = order.word(0x1a2b_3c4d).to_vec();
    section.extend(order.half(1));
    section.extend(order.half(0));
    section.extend([0xff; 8]); // length not given
    let mut file = block(order, 0x0a0d_0d0a, &section);
    let mut interface = order.half(1).to_vec();
    interface.extend(order.half(0));
    interface.extend(order.word(0));
    if nanoseconds {
        interface.extend(order.half(9)); // if_tsresol: 10^-9
        interface.extend(order.half(1));
        interface.extend([9, 0, 0, 0]);
        interface.extend([0; 4]); // end of options
    }
    file.extend(block(order, 1, &interface));
    for record in records {
        let scale = if nanoseconds { 1_000_000_000 } else { 1_000_000 };
        let part = if nanoseconds { record.nanos } else { record.nanos / 1_000 };
        let stamp = u64::from(record.seconds) * scale + u64::from(part);
        let [high, low] = [stamp >> 32, stamp & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let mut packet = Vec::new();
        for word in [0, high, low, length(&record.bytes), record.wire_len] {
            packet.extend(order.word(word));
        }
        packet.extend(&record.bytes);
        packet.resize(packet.len().next_multiple_of(4), 0);
        file.extend(block(order, 6, &packet));
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let total = order.word(12 + length(body));
    [&order.word(kind)[..], &total, body, &total].concat()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}
