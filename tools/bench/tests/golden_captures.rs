//! The golden captures of the sensor are identical to the output of the traffic generator.
//!
//! The test is here because crates of the device must not use crates of `tools`; the sensor's own tests only read the
//! captures. After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-bench --test golden_captures`, then
//! `GOLDEN_BLESS=1 cargo test -p sentinel-appliance --test golden`, with the reason in the commit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use sentinel_trafficgen::pcap::{Resolution, Writer};
use sentinel_trafficgen::{Parameters, Scenario, scenario};
use sentinel_units::Timestamp;
use serde_json::json;

const START: Timestamp = Timestamp::from_parts(1_700_000_000, 0);
/// Largest size in bytes of a capture that is committed by default.
const MAX_BYTES: usize = 30_000;
/// Scenarios below [`MAX_BYTES`] that are not committed: they differ from others in one port or host only.
const LEFT_OUT: [&str; 10] = [
    "brute-force-ftp",
    "brute-force-telnet",
    "brute-force-smb",
    "brute-force-mysql",
    "brute-force-postgresql",
    "brute-force-vnc",
    "brute-force-vlan",
    "brute-force-two-services",
    "brute-force-two-sources",
    "icmp-flood-replies-ipv6",
];
/// Scenarios above [`MAX_BYTES`] that are committed.
const LARGE: [&str; 4] = ["bad", "attack-mix", "udp-flood", "source-udp"];
/// Scenarios committed with cut frames, as a capture with a short snap length has them.
const HEADERS_ONLY: [&str; 1] = ["attack-mix"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sentinel-appliance/sensor/tests/data/golden")
}

/// Capture file of a scenario.
fn complete(scenario: &Scenario) -> Vec<u8> {
    let mut file = Vec::new();
    Writer::new(&mut file, Resolution::Nanoseconds)
        .and_then(|mut writer| writer.all(START, scenario.packets(&Parameters::default())))
        .unwrap();
    file
}

/// Cuts frames over 200 bytes, except DNS, to their first 54 bytes (Ethernet, IPv4, TCP) or 74 (IPv6). The length on the
/// wire is kept.
fn headers_only(file: &[u8]) -> Vec<u8> {
    let (header, mut remaining) = file.split_at(24);
    let mut short = header.to_vec();
    while !remaining.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(remaining[8..12].try_into().unwrap())).unwrap();
        let (record, next) = remaining.split_at(16 + length);
        let frame = &record[16..];
        let is_dns = frame.get(23) == Some(&17) && frame.get(36..38) == Some(&53_u16.to_be_bytes());
        let kept = match frame.get(12..14) {
            Some([0x08, 0x00]) if length > 200 && !is_dns => 54,
            Some([0x86, 0xdd]) if length > 200 => 74,
            _ => length,
        };
        short.extend(&record[..8]);
        short.extend(u32::try_from(kept).unwrap().to_le_bytes());
        short.extend(&record[12..16]);
        short.extend(&frame[..kept]);
        remaining = next;
    }
    short
}

/// Scenarios that are committed, each with its file: small ones, those of `LARGE`, and the smallest that fires a test which
/// none of these fires.
fn committed() -> Vec<(&'static Scenario, Vec<u8>)> {
    let files: Vec<(&Scenario, Vec<u8>)> = scenario::all()
        .filter(|scenario| !LEFT_OUT.contains(&scenario.name))
        .map(|scenario| (scenario, complete(scenario)))
        .collect();
    let is_chosen =
        |scenario: &Scenario, file: &[u8]| file.len() <= MAX_BYTES || LARGE.contains(&scenario.name);
    let is_smallest_of_a_test = |scenario: &Scenario, file: &[u8]| {
        scenario.expected.iter().any(|test| {
            let mut firing = files.iter().filter(|(other, _)| other.expected.contains(test));
            firing.all(|(other, bytes)| !is_chosen(other, bytes) && bytes.len() >= file.len())
        })
    };
    let chosen = files
        .iter()
        .filter(|(scenario, file)| is_chosen(scenario, file) || is_smallest_of_a_test(scenario, file));
    let short = |scenario: &Scenario, file: &[u8]| match HEADERS_ONLY.contains(&scenario.name) {
        true => headers_only(file),
        false => file.to_vec(),
    };
    chosen.map(|(scenario, file)| (*scenario, short(scenario, file))).collect()
}

fn expected(scenarios: &[(&'static Scenario, Vec<u8>)]) -> String {
    let pairs = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(kind, test)| json!({"kind": kind, "test": test})).collect()
    };
    let list: serde_json::Value = scenarios
        .iter()
        .map(|(scenario, _)| {
            let (expected, allowed) = (pairs(scenario.expected), pairs(scenario.allowed));
            json!({"name": scenario.name, "expected": expected, "allowed": allowed})
        })
        .collect();
    serde_json::to_string_pretty(&list).unwrap() + "\n"
}

fn origin(scenarios: &[(&'static Scenario, Vec<u8>)]) -> String {
    let mut text = String::from(
        "# Where the golden captures come from\n\n\
         All are synthetic, written by `tools/trafficgen` with its default seed and start (`trafficgen write NAME`), and hold no\n\
         packet of a real network. `NAME.alerts.ndjson` is what `sentinel read NAME.pcap --alerts` prints;\n\
         `expected.json` lists the kinds and tests that must be in it. `tools/bench/tests/golden_captures.rs` compares captures,\n\
         `expected.json` and this file with the generator, `golden.rs` compares the alerts with those of the sensor.\n\n\
         `attack-mix` has complete DNS messages; of other frames over 200 bytes it has the headers only.\n\n",
    );
    for (scenario, _) in scenarios {
        writeln!(text, "- `{}.pcap`: {}", scenario.name, scenario.description).unwrap();
    }
    text
}

#[test]
fn committed_captures_equal_the_output_of_the_generator() {
    let directory = directory();
    let scenarios = committed();
    let mut files: Vec<(PathBuf, Vec<u8>)> = scenarios
        .iter()
        .map(|(scenario, file)| (directory.join(format!("{}.pcap", scenario.name)), file.clone()))
        .collect();
    files.push((directory.join("expected.json"), expected(&scenarios).into_bytes()));
    files.push((directory.join("ORIGIN.md"), origin(&scenarios).into_bytes()));
    let bless = std::env::var_os("GOLDEN_BLESS").is_some();
    let mut captures = 0;
    for (path, bytes) in &files {
        if bless {
            fs::write(path, bytes).unwrap();
        }
        let found = fs::read(path).unwrap_or_default();
        assert!(found == *bytes, "{} is not what trafficgen makes", path.display());
        captures += usize::from(path.extension().is_some_and(|extension| extension == "pcap"));
    }
    let there = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let there = there.filter(|path| path.extension().is_some_and(|extension| extension == "pcap")).count();
    assert_eq!(there, captures, "captures without a scenario in {}", directory.display());
}

/// Every detector has captures at and below its threshold, across windows and without an alert in the committed set; those
/// that are large run in `scenarios.rs`.
#[test]
fn captures_around_the_threshold_of_every_detector_are_committed() {
    let names: Vec<&str> = committed().iter().map(|(scenario, _)| scenario.name).collect();
    for detection in ["port-scan", "syn-flood", "icmp-flood", "brute-force"] {
        for edge in ["below", "at", "two-windows", "straddle", "ipv6"] {
            assert!(names.contains(&format!("{detection}-{edge}").as_str()), "{detection}-{edge}");
        }
    }
    for kind in scenario::all().flat_map(|scenario| scenario.expected) {
        let fires = |name: &&str| scenario::find(name).is_some_and(|found| found.expected.contains(kind));
        assert!(names.iter().any(fires), "nothing committed fires {kind:?}");
    }
    assert!(names.iter().filter(|name| scenario::find(name).unwrap().expected.is_empty()).count() >= 20);
}
