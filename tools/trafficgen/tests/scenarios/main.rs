//! Every scenario has correct frames, raises the alerts of its entry in the registry, and stays the same to the byte.

#[cfg(test)]
mod beacon;
#[cfg(test)]
mod link;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod payloads;
#[cfg(test)]
mod victims;
#[cfg(test)]
mod walk;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use sentinel_alert::Test;
use sentinel_trafficgen::{Parameters, Scenario, scenario};
use sha2::{Digest, Sha256};

const FEW: [&str; 11] = [
    "bot",
    "protocol_anomaly",
    "ndp_spoof",
    "rogue_dhcp",
    "rogue_ra",
    "rogue_dns",
    "dhcp_starvation",
    "mac_flood",
    "new_device",
    "device_offline",
    "large_transfer",
];

const LOOKUPS: [&str; 4] = ["nxdomain_burst", "dns_rebinding", "punycode_lookalike", "fast_flux"];

/// Kinds that the reference finds. A scenario of thousands of hosts is a flood of hardware addresses too, which those of other kinds do
/// not state; and made-up sources of one /64 are one source that finds nobody, and their names look generated,
/// which the sensor leaves to the flood.
fn raised(oracle: oracle::Oracle, scenario: &Scenario) -> BTreeSet<&'static str> {
    let is_stated = |kind: &&str| match *kind {
        "mac_flood" => scenario.name.starts_with("mac-"),
        "new_device" => scenario.name.starts_with("device-"),
        "port_scan" | "host_sweep" | "dga" => !scenario.name.starts_with("victim-"),
        _ => true,
    };
    oracle.raised().into_iter().filter(is_stated).collect()
}

/// Scenarios with correct frames, of which the oracle knows the alerts. Of ordinary life it does not: it takes definitions
/// literally.
fn well_formed() -> impl Iterator<Item = &'static Scenario> {
    scenario::all().filter(|scenario| scenario.well_formed && !scenario.name.starts_with("ordinary-"))
}

#[test]
fn every_scenario_raises_its_expected_alerts_and_no_others() {
    let parameters = Parameters::default();
    for scenario in well_formed() {
        let mut oracle = oracle::Oracle::default();
        let mut last = Duration::ZERO;
        for frame in scenario.packets(&parameters) {
            assert!(frame.offset >= last, "{}: not in time order after {last:?}", scenario.name);
            last = frame.offset;
            oracle.observe(&frame);
        }
        let expected: BTreeSet<_> = scenario.expected.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(raised(oracle, scenario), expected, "{}", scenario.name);
    }
}

#[test]
fn other_seeds_raise_the_same_alerts() {
    for seed in [0, u64::MAX] {
        let parameters = Parameters { seed, sources: 50, ..Parameters::default() };
        for scenario in well_formed() {
            let mut oracle = oracle::Oracle::default();
            scenario.packets(&parameters).for_each(|frame| oracle.observe(&frame));
            let expected: BTreeSet<_> = scenario.expected.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(raised(oracle, scenario), expected, "{} with seed {seed}", scenario.name);
        }
    }
}

#[test]
fn malformed_frames_keep_their_order_and_stay_small() {
    for scenario in scenario::all().filter(|scenario| !scenario.well_formed) {
        let frames: Vec<_> = scenario.packets(&Parameters::default()).collect();
        assert!(frames.is_sorted_by_key(|frame| frame.offset), "{}", scenario.name);
        assert!(frames.iter().all(|frame| frame.bytes.len() <= 1_514), "{}", scenario.name);
        // Every cut of many frames; the other scenarios have wrong lengths only.
        if scenario.name == "bad" {
            assert!(
                frames.len() > 500 && frames.iter().any(|frame| frame.bytes.is_empty()),
                "the shortest cut"
            );
        }
    }
}

#[test]
fn names_are_unique_short_and_valid_file_names() {
    let mut names = BTreeSet::new();
    for scenario in scenario::all() {
        assert!(names.insert(scenario.name), "{} twice", scenario.name);
        assert!(scenario.name.len() <= 26, "{}", scenario.name);
        assert!(
            scenario
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
        assert_eq!(scenario::find(scenario.name).map(|found| found.name), Some(scenario.name));
    }
}

/// A name that the sensor does not know would be an alert that can never come.
#[test]
fn expected_alerts_are_those_the_sensor_knows() {
    let known = Test::ALL.map(|test| (test.kind().name(), test.name()));
    for scenario in scenario::all() {
        for expected in scenario.expected {
            assert!(known.contains(expected), "{} expects {expected:?}", scenario.name);
        }
    }
    // Alerts of the sensor about itself come from no traffic, nor do those of lists that are empty unless an operator fills them.
    let is_listed = |test: &Test| {
        ["malicious_domain", "malicious_ip", "malicious_fingerprint", "tor", "datacenter_ip", "proxy_vpn"]
            .contains(&test.kind().name())
    };
    for expected in Test::ALL.iter().filter(|test| test.kind().is_detected() && !is_listed(test)) {
        let expected = (expected.kind().name(), expected.name());
        let fires = |scenario: &&Scenario| scenario.expected.contains(&expected);
        // Kinds of the link, of look-ups, and large transfers, have one attack each, and what looks alike; their boundaries are unit tests of the detectors. A scan of 15
        // ports opens as failed contacts, unless others crowd those out. Floods of one source differ from those of many in that alone.
        let is_single = FEW.contains(&expected.0) || LOOKUPS.contains(&expected.0);
        let least = if is_single || ["ports_in_window", "per_source"].contains(&expected.1) { 1 } else { 5 };
        assert!(scenario::all().filter(fires).count() >= least, "{expected:?} is hardly played");
    }
}

/// One line per scenario: name, frames, SHA-256 over time, length and bytes of each frame.
/// After an intended change: `TRAFFICGEN_BLESS=1 cargo test -p sentinel-trafficgen`, with the reason in the commit.
#[test]
fn bytes_are_those_of_the_golden_file() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/golden.txt");
    let mut now = String::new();
    for scenario in scenario::all() {
        let (mut frames, mut hash) = (0, Sha256::new());
        for frame in scenario.packets(&Parameters::default()) {
            frames += 1;
            hash.update(frame.offset.as_nanos().to_be_bytes());
            hash.update(u64::try_from(frame.bytes.len()).unwrap().to_be_bytes());
            hash.update(&frame.bytes);
        }
        write!(now, "{} {frames} ", scenario.name).unwrap();
        hash.finalize().iter().for_each(|byte| write!(now, "{byte:02x}").unwrap());
        now.push('\n');
    }
    if std::env::var_os("TRAFFICGEN_BLESS").is_some() {
        std::fs::write(golden, &now).unwrap();
    }
    let before = std::fs::read_to_string(golden).unwrap();
    for (before, now) in before.lines().zip(now.lines()) {
        assert_eq!(before, now);
    }
    assert_eq!(before.lines().count(), now.lines().count());
}
