//! Every scenario of the traffic generator, read by the built program, raises its expected alerts and no others.
//!
//! Small scenarios are committed with their alerts and tested with the sensor; this test runs all of them, including the
//! megabytes of `exfiltration`, the uncut `attack-mix` and the full tables.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_trafficgen::pcap::{Resolution, Writer};
use sentinel_trafficgen::{Parameters, Scenario, scenario};
use sentinel_units::Timestamp;
use serde_json::Value;

use support::sentinel;

/// Kind and test of every opening alert.
fn opened(sentinel: &Path, file: &Path) -> BTreeSet<(String, String)> {
    let mut command = Command::new(sentinel);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
    let output = command.args(["--config", "/dev/null", "read"]).arg(file).arg("--alerts").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|alert| alert.get("phase").is_some_and(|phase| phase == "open"))
        .map(|alert| (text(&alert["kind"]), text(&alert["test"])))
        .collect()
}

/// Difference between a scenario's alerts and those expected; `None` if there is none.
fn difference(sentinel: &Path, directory: &Path, scenario: &Scenario, seed: u64) -> Option<String> {
    let path = directory.join(format!("{}-{seed}.pcap", scenario.name));
    let parameters = Parameters { seed, ..Parameters::default() };
    let out = BufWriter::new(File::create(&path).unwrap());
    Writer::new(out, Resolution::Nanoseconds)
        .and_then(|mut writer| {
            writer.all(Timestamp::from_parts(1_700_000_000, 0), scenario.packets(&parameters))
        })
        .unwrap();
    let opened = opened(sentinel, &path);
    fs::remove_file(path).unwrap();
    let is = |pair: &(String, String), (kind, test): &(&str, &str)| {
        pair.0 == *kind && (*test == "*" || pair.1 == *test)
    };
    let missing: Vec<_> =
        scenario.expected.iter().filter(|expected| !opened.iter().any(|pair| is(pair, expected))).collect();
    let known = || scenario.expected.iter().chain(scenario.allowed);
    let extra: Vec<_> = opened.iter().filter(|pair| !known().any(|expected| is(pair, expected))).collect();
    let wrong = !missing.is_empty() || !extra.is_empty();
    wrong.then(|| format!("{} seed {seed}: missing {missing:?}, unexpected {extra:?}", scenario.name))
}

#[test]
fn every_scenario_raises_its_expected_alerts_and_no_others() {
    let sentinel = sentinel();
    let directory = tempfile::tempdir().unwrap();
    let runs: Vec<(&Scenario, u64)> =
        [1, 2].into_iter().flat_map(|seed| scenario::all().map(move |scenario| (scenario, seed))).collect();
    assert!(runs.len() > 200);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some((scenario, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(difference(&sentinel, directory.path(), scenario, *seed));
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
