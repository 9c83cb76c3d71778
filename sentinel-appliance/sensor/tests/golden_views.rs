//! Golden captures: what `--records` and `--flows` print of them, byte by byte.
//!
//! After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-appliance --test golden_views`, and state the reason in
//! the commit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use support::{golden, run, stderr, stdout};

/// Captures between which every kind of record and flow occurs; the others would add length and nothing else.
const CAPTURES: [&str; 13] = [
    "arp-spoof-both-ways",
    "bad",
    "brute-force-straddle",
    "dns-content-network",
    "dns-tunnel-longest",
    "dns-tunnel-tcp-above",
    "dns-tunnel-vlan",
    "first-flights",
    "fragments",
    "icmp-flood-below",
    "port-scan-connect",
    "port-scan-pppoe",
    "tunnels",
];

fn print(name: &str, words: &[&str]) -> String {
    let path = golden().join(format!("{name}.pcap"));
    let output = run(&[&["read", path.to_str().unwrap()], words].concat());
    assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
    stdout(&output)
}

fn beside(name: &str, view: &str) -> PathBuf {
    golden().join(format!("{name}.{view}.ndjson"))
}

#[test]
fn records_and_flows_are_those_committed() {
    let bless = std::env::var_os("GOLDEN_BLESS").is_some();
    let mut wrong = Vec::new();
    for name in CAPTURES {
        for view in ["records", "flows"] {
            let (now, path) = (print(name, &[&format!("--{view}")]), beside(name, view));
            if bless {
                fs::write(&path, &now).unwrap();
            }
            if fs::read_to_string(&path).ok().as_ref() != Some(&now) {
                wrong.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "differ from those committed: {}", wrong.join(", "));
}

/// Captures made by hand, one or more for each protocol that the golden ones lack: every view of every one of them.
#[test]
fn views_of_protocols_are_those_committed() {
    let bless = std::env::var_os("GOLDEN_BLESS").is_some();
    let directory = golden().with_file_name("views");
    let origin = fs::read_to_string(directory.join("ORIGIN.md")).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        count += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(origin.contains(&format!("`{name}`")), "{name} has no line in ORIGIN.md");
        for (option, extension) in [
            ("--color=never", "lines.txt"),
            ("--json", "json.ndjson"),
            ("--records", "records.ndjson"),
            ("--flows", "flows.ndjson"),
        ] {
            let output = run(&["read", path.to_str().unwrap(), option]);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
            let (now, committed) = (stdout(&output), path.with_extension(extension));
            if extension.ends_with("ndjson") {
                now.lines().for_each(names_are_unique);
            }
            if bless {
                fs::write(&committed, &now).unwrap();
            }
            if fs::read_to_string(&committed).ok().as_ref() != Some(&now) {
                wrong.push(committed.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(
        count > 0 && wrong.is_empty(),
        "{count} captures; differ from those committed: {}",
        wrong.join(", ")
    );
}

/// A field of a protocol must not have the name of one that every object has: a parser of JSON would keep either.
fn names_are_unique(line: &str) {
    let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    for name in object.keys() {
        assert_eq!(line.matches(&format!("\"{name}\":")).count(), 1, "{name}: {line}");
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(flows: &[Value], fields: [&str; 2]) -> u64 {
    flows.iter().flat_map(|flow| fields.map(|field| flow[field].as_u64().unwrap())).sum()
}

/// Every IP packet is in one line, also when the table is far too small, and the key of the tables changes nothing.
#[test]
fn flows_count_every_packet_once_whatever_the_size_of_the_table() {
    for name in ["syn-flood-spoofed", "port-scan-connect", "attack-mix", "dns-content-network", "fragments"] {
        let whole = print(name, &["--flows"]);
        let packets: u64 = print(name, &["--count-only", "ip", "or", "ip6"]).trim().parse().unwrap();
        let flows = lines(&whole);
        assert_eq!(sum(&flows, ["packets_out", "packets_in"]), packets, "{name}");
        assert_eq!(print(name, &["--flows", "--seed", "77"]), whole, "{name}");
        let small = lines(&print(name, &["--flows", "--set", "flow_entries=64"]));
        assert_eq!(sum(&small, ["packets_out", "packets_in"]), packets, "{name}");
        assert_eq!(sum(&small, ["bytes_out", "bytes_in"]), sum(&flows, ["bytes_out", "bytes_in"]), "{name}");
    }
}

/// Flows that are printed early because the table is full are counted on standard error.
#[test]
fn a_table_that_is_too_small_is_reported() {
    let path = golden().join("syn-flood-spoofed.pcap");
    let output = run(&["read", path.to_str().unwrap(), "--flows", "--set", "flow_entries=64"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("printed before they ended"), "{}", stderr(&output));
    assert!(!stderr(&run(&["read", path.to_str().unwrap(), "--flows"])).contains("printed before"));
}

/// The fields that `OUTPUT.md` promises, in its order.
#[test]
fn every_line_has_the_documented_fields() {
    const FLOW: [&str; 14] = [
        "first_time",
        "last_time",
        "protocol",
        "app",
        "src",
        "src_port",
        "dst",
        "dst_port",
        "packets_out",
        "packets_in",
        "bytes_out",
        "bytes_in",
        "tcp_state",
        "community_id",
    ];
    let fields = |line: &str| -> Vec<String> {
        let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        let mut names: Vec<String> = object.keys().cloned().collect();
        names.sort_by_key(|name| line.find(&format!("\"{name}\":")));
        names
    };
    for name in CAPTURES {
        for line in print(name, &["--flows"]).lines() {
            assert_eq!(fields(line), FLOW, "{name}");
        }
        for line in print(name, &["--records"]).lines() {
            let names = fields(line);
            assert_eq!(
                names.get(..6).unwrap(),
                ["time", "record", "src", "src_port", "dst", "dst_port"],
                "{name}"
            );
        }
    }
}

/// The outer packets of a tunnel and the packets inside are separate flows.
#[test]
fn tunnels_are_opened_and_their_ends_kept() {
    let flows = lines(&print("tunnels", &["--flows"]));
    let count = |protocol: &str| flows.iter().filter(|flow| flow["protocol"] == protocol).count();
    assert_eq!((count("gre"), count("ipv4"), count("ipv6"), count("udp")), (1, 1, 1, 6));
    let records = lines(&print("tunnels", &["--records"]));
    assert_eq!(records.len(), 12);
    assert!(records.iter().all(|record| record["query"] == "tunnel.example.net"));
}
