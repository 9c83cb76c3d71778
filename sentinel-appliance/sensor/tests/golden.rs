//! Golden captures: the alerts of `sentinel read FILE --alerts`, byte by byte.
//!
//! After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-appliance --test golden`, and state the reason in
//! the commit. Blessing cannot hide a wrong detector: `expected.json` lists the incidents that must open, and the generator
//! of the captures wrote it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Order, golden, pcap, pcapng, records, run, stderr, stdout};

fn captures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng"))
        .collect();
    found.sort();
    assert!(found.len() > 50, "golden captures are missing");
    found
}

fn alerts(path: &Path) -> String {
    let output = run(&["read", path.to_str().unwrap(), "--alerts"]);
    assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), stderr(&output));
    stdout(&output)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("alerts.ndjson")
}

#[test]
fn alerts_are_those_committed() {
    let bless = std::env::var_os("GOLDEN_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in captures() {
        let now = alerts(&path);
        if bless {
            fs::write(beside(&path), &now).unwrap();
        }
        let then = fs::read_to_string(beside(&path)).unwrap_or_default();
        if now != then || !beside(&path).exists() {
            wrong.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(wrong.is_empty(), "alerts differ from those committed: {}", wrong.join(", "));
}

fn pairs(list: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|pair| (text(&pair["kind"]), text(&pair["test"]))).collect()
}

/// The incidents that open are exactly those that the generator declares for each capture.
#[test]
fn exactly_the_expected_incidents_open() {
    let list: Value = serde_json::from_slice(&fs::read(golden().join("expected.json")).unwrap()).unwrap();
    let list = list.as_array().unwrap();
    let mut wrong = Vec::new();
    for entry in list {
        let name = entry["name"].as_str().unwrap();
        let text = fs::read_to_string(golden().join(format!("{name}.alerts.ndjson"))).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let opened: Value = lines.iter().filter(|line| line["phase"] == "open").cloned().collect();
        let (opened, expected, allowed) =
            (pairs(&opened), pairs(&entry["expected"]), pairs(&entry["allowed"]));
        let is_allowed = |pair: &(String, String)| {
            allowed.iter().any(|(kind, test)| *kind == pair.0 && (test == "*" || *test == pair.1))
        };
        let missing: Vec<_> = expected.difference(&opened).collect();
        let extra: Vec<_> = opened.difference(&expected).filter(|pair| !is_allowed(pair)).collect();
        if !missing.is_empty() || !extra.is_empty() {
            wrong.push(format!("{name}: missing {missing:?}, unexpected {extra:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let names: BTreeSet<_> = list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    let files: BTreeSet<_> =
        captures().iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, files, "expected.json and the captures differ");
}

/// Every incident that opens is closed once, and raises nothing after that.
#[test]
fn incidents_open_update_and_close() {
    for path in captures() {
        let text = fs::read_to_string(beside(&path)).unwrap();
        let (mut open, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            let alert: Value = serde_json::from_str(line).unwrap();
            let number = alert["incident"].as_u64().unwrap();
            let in_order = match alert["phase"].as_str().unwrap() {
                "open" => seen.insert(number) && open.insert(number),
                "update" => open.contains(&number),
                "close" => open.remove(&number),
                _ => false,
            };
            assert!(in_order, "{}: {line}", path.display());
        }
        assert!(open.is_empty(), "{}: left open {open:?}", path.display());
    }
}

/// One set of frames in every form of capture file.
#[test]
fn the_form_of_the_file_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["port-scan-at", "arp-spoof-both-ways", "dns-tunnel-data", "brute-force-straddle"] {
        let file = fs::read(golden().join(format!("{name}.pcap"))).unwrap();
        let expected = fs::read_to_string(golden().join(format!("{name}.alerts.ndjson"))).unwrap();
        let records = records(&file);
        assert_eq!(pcap(&records, Order::Little, true, 1)[24..], file[24..], "the records were read right");
        for order in [Order::Little, Order::Big] {
            for nanoseconds in [true, false] {
                for (kind, bytes) in [
                    ("pcap", pcap(&records, order, nanoseconds, 1)),
                    ("pcapng", pcapng(&records, order, nanoseconds)),
                ] {
                    let path = directory.path().join(format!("variant.{kind}"));
                    fs::write(&path, bytes).unwrap();
                    let now = alerts(&path);
                    assert!(now == expected, "{name} as {kind}, {order:?}, nanoseconds {nanoseconds}: {now}");
                }
            }
        }
    }
}

/// The committed pcapng file, which also runs on every board, is the pcap file of the same name.
#[test]
fn the_committed_pcapng_file_holds_the_frames_of_its_twin() {
    let path = golden().join("dns-tunnel-data.pcapng");
    let bytes = pcapng(&records(&fs::read(path.with_extension("pcap")).unwrap()), Order::Big, true);
    if std::env::var_os("GOLDEN_BLESS").is_some() {
        fs::write(&path, &bytes).unwrap();
    }
    assert!(fs::read(&path).unwrap() == bytes, "run with GOLDEN_BLESS=1");
}

/// Output is repeatable, and does not depend on the key of the hash tables.
#[test]
fn the_key_of_the_tables_changes_nothing() {
    for name in ["port-scan-above", "syn-flood-two-windows", "brute-force-at", "icmp-flood-straddle"] {
        let path = golden().join(format!("{name}.pcap"));
        let expected = fs::read_to_string(beside(&path)).unwrap();
        for seed in ["0", "1", "18446744073709551615"] {
            let output = run(&["read", path.to_str().unwrap(), "--alerts", "--seed", seed]);
            assert!(stdout(&output) == expected, "{name} with seed {seed}");
        }
    }
}

/// Lists of addresses are empty unless the operator fills them, so that no capture alone has alerts of them.
#[test]
fn lists_of_the_operator_stand_beside_those_built_in() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("signatures.json");
    let setting = format!("signatures_file={}", list.display());
    let opened = |capture: &str, lists: &str| -> Vec<String> {
        fs::write(&list, lists).unwrap();
        let file = golden().join(capture);
        let output = run(&["read", file.to_str().unwrap(), "--alerts", "--set", &setting]);
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = stdout(&output);
        let alerts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let opened = alerts.filter(|alert| alert["phase"] == "open");
        opened.map(|alert| alert["test"].as_str().unwrap().to_owned()).collect()
    };
    let (address, names, hellos) = ("suspicious-port-ordinary.pcap", "listed-names.pcap", "tls-none.pcap");
    for (capture, lists, tests) in [
        (address, "{}", &[][..]),
        (address, r#"{"malicious":{"addresses":["203.0.113.50"]}}"#, &["malicious_ip"]),
        (address, r#"{"tor":{"exit_nodes":["203.0.113.50"],"relays":["203.0.113.50"]}}"#, &["exit_node"]),
        (
            address,
            r#"{"tor":{"bridges":["203.0.113.0/24"]},"datacenter":["203.0.0.0/16"]}"#,
            &["bridge", "datacenter_ip"],
        ),
        (address, r#"{"proxy_vpn":["203.0.113.50"],"allowed":{"addresses":["203.0.113.50"]}}"#, &[]),
        (
            address,
            r#"{"proxy_vpn":["203.0.113.50"],"allowed":{"addresses":["203.0.113.51"]}}"#,
            &["proxy_vpn"],
        ),
        (
            names,
            r#"{"malicious":{"domains":["example.net"]}}"#,
            &["chat_app", "malicious_domain", "cloud_storage", "suspicious_tld"],
        ),
        (
            hellos,
            r#"{"malicious":{"fingerprints":["b32309a26951912be7dba376398abc3b"]}}"#,
            &["malicious_fingerprint", "malicious_fingerprint"],
        ),
        (hellos, r#"{"malicious":{"fingerprints":["00000000000000000000000000000000"]}}"#, &[]),
        (names, r#"{"chat":[],"allowed":{"domains":["dropbox.com"]}}"#, &["suspicious_tld"]),
    ] {
        assert_eq!(opened(capture, lists), tests, "{lists}");
    }
}
