//! The program `trafficgen`, run as a process.

use std::fs;
use std::process::{Command, Output};

#[expect(clippy::unwrap_used, reason = "a test: without the program there is nothing to test")]
fn trafficgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trafficgen")).args(arguments).output().unwrap()
}

#[test]
fn a_file_holds_the_frames_that_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scan.pcap");
    let written = trafficgen(&["write", "port-scan-at", "-o", path.to_str().unwrap(), "--start", "5"]);
    assert!(written.status.success());
    assert_eq!(String::from_utf8(written.stderr).unwrap(), "port-scan-at: 30 frames, 1620 bytes\n");
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len(), 24 + 30 * 16 + 1_620);
    assert_eq!(bytes[24..28], [5, 0, 0, 0]);
}

#[test]
fn roles_can_have_the_addresses_of_real_machines() {
    let written = trafficgen(&[
        "write",
        "arp-spoof-reply",
        "-o",
        "-",
        "--attacker-mac",
        "02:00:00:00:00:66",
        "--gateway-ip",
        "192.0.2.1",
    ]);
    let claim = [&[2, 0, 0, 0, 0, 0x66][..], &[192, 0, 2, 1]].concat();
    assert_eq!(written.stdout.windows(claim.len()).filter(|window| **window == claim).count(), 5);
}

#[test]
fn the_json_list_has_the_expected_alerts() {
    let listed = trafficgen(&["list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let scan = list.as_array().unwrap().iter().find(|line| line["name"] == "port-scan-at").unwrap();
    assert_eq!(scan["expected"], serde_json::json!([{"kind": "port_scan", "test": "failed_contacts"}]));
}

#[test]
fn errors_name_the_cause() {
    let unknown = trafficgen(&["write", "port-scam", "-o", "-"]);
    assert!(!unknown.status.success());
    assert_eq!(
        String::from_utf8(unknown.stderr).unwrap(),
        "trafficgen: no scenario port-scam; `trafficgen list` shows all\n"
    );
    // Sending requires an interface; there is no default.
    let nowhere = trafficgen(&["send", "mixed"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("--interface"));
    let elsewhere = trafficgen(&["send", "mixed", "-i", "no-such-wire"]);
    assert_eq!(elsewhere.status.code(), Some(1));
}
