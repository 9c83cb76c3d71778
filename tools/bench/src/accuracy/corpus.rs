//! Corpus: expected alerts of captures against those of the program, and claims on the captures of ordinary traffic.
//!
//! The corpus (`SENTINEL_CORPUS`) holds `pcap/CATEGORY/FILE` and `expected/CATEGORY/FILE.json`, whose `expected_alerts` uses names of
//! other projects; an appended question mark makes one optional. They judge the simple thresholds: what another test raises
//! in addition is counted apart, and nothing of it is wrong by them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::alerts::Raised;
use crate::child;

/// Names of the corpus and the kinds that each stands for.
const NAMES: &[(&str, &[&str])] = &[
    ("PortScan", &["port_scan", "host_sweep"]),
    ("SynFlood", &["syn_flood"]),
    ("IcmpFlood", &["icmp_flood"]),
    ("UdpFlood", &["udp_flood"]),
    ("SuspiciousPort", &["suspicious_port"]),
    ("ArpSpoof", &["arp_spoof", "ndp_spoof"]),
    ("DnsTunnel", &["dns_tunnel"]),
    ("DnsTunneling", &["dns_tunnel"]),
    ("Exfiltration", &["exfiltration"]),
    ("BruteForce", &["brute_force"]),
    ("DgaDetected", &["dga"]),
    ("FastFlux", &["fast_flux"]),
    ("SuspiciousTld", &["suspicious_tld"]),
    ("TorConnection", &["tor"]),
    ("MaliciousIp", &["malicious_ip"]),
    ("MaliciousDomain", &["malicious_domain"]),
    ("DatacenterIp", &["datacenter_ip"]),
    ("LargeTransfer", &["large_transfer"]),
    ("ChatApplication", &["chat_app"]),
    ("CloudStorage", &["cloud_storage"]),
    ("BotDetected", &["bot"]),
];
/// Tests of kinds with several, that are simple thresholds; a kind with one test repeats its name.
const SIMPLE: [&str; 5] =
    ["ports_in_window", "per_source", "name_length", "bytes_in_window", "syn_in_window"];
/// Folder of ordinary traffic.
const BENIGN: &str = "benign";

/// Comparison of one capture that is not as expected, or of which there is something to tell.
#[derive(Debug)]
struct Difference {
    file: String,
    missing: Vec<String>,
    not_built: Vec<String>,
    unexpected: Vec<String>,
    stronger: Vec<String>,
}

/// Result of the corpus.
#[derive(Debug, Default)]
pub(crate) struct CorpusResults {
    captures: u64,
    right: u64,
    /// Captures of which only alerts of kinds are missing that the program does not have.
    not_built: u64,
    differences: Vec<Difference>,
    benign: u64,
    benign_claims: Vec<String>,
}

/// Directory of the corpus, if there is one.
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os("SENTINEL_CORPUS").map(PathBuf::from)
}

/// Compares every capture that has expected alerts, and counts claims on the ordinary ones.
pub(crate) fn run(sentinel: &Path, detectors: &[String], directory: &Path) -> Result<CorpusResults> {
    let mut results = CorpusResults::default();
    for category in sorted(&directory.join("expected"))? {
        for file in sorted(&category)? {
            let text = fs::read(&file).with_context(|| file.display().to_string())?;
            let value: Value = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
            let Some(expected) = value.get("expected_alerts").and_then(Value::as_array) else { continue };
            let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
            let name = value.get("file").and_then(Value::as_str).unwrap_or_default();
            let capture = directory.join(name);
            if !capture.is_file() {
                continue;
            }
            let difference = compare(name, detectors, &expected, &read(sentinel, &capture)?);
            results.captures += 1;
            let is_right = difference.missing.is_empty() && difference.unexpected.is_empty();
            results.right += u64::from(is_right && difference.not_built.is_empty());
            results.not_built += u64::from(is_right && !difference.not_built.is_empty());
            results.differences.push(difference);
        }
    }
    for capture in sorted(&directory.join("pcap").join(BENIGN))? {
        results.benign += 1;
        let name = capture.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for alert in read(sentinel, &capture)?.iter().filter(|alert| alert.opens() && alert.claims()) {
            results.benign_claims.push(format!("{name}: {} {}: {}", alert.kind, alert.test, alert.summary));
        }
    }
    Ok(results)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Alerts of a capture; none of a file that the program refuses.
fn read(sentinel: &Path, capture: &Path) -> Result<Vec<Raised>> {
    let output = child::read(sentinel, capture, "--alerts").output()?;
    String::from_utf8_lossy(&output.stdout).lines().map(Raised::parse).collect()
}

fn compare(file: &str, detectors: &[String], expected: &[&str], raised: &[Raised]) -> Difference {
    let kinds_of = |name: &str| {
        let name = name.trim_end_matches('?');
        NAMES.iter().find(|(found, _)| *found == name).map_or(&[][..], |(_, kinds)| *kinds)
    };
    let is_raised = |name: &str| raised.iter().any(|alert| kinds_of(name).contains(&alert.kind.as_str()));
    let is_built = |name: &str| detectors.iter().any(|kind| kinds_of(name).contains(&kind.as_str()));
    let required = || expected.iter().filter(|name| !name.ends_with('?') && !is_raised(name));
    let names = |is_right: &dyn Fn(&str) -> bool| -> Vec<String> {
        required().filter(|name| is_right(name)).map(|name| (*name).to_owned()).collect()
    };
    let unnamed = |is_simple: bool| -> Vec<String> {
        let mut list: Vec<String> = raised
            .iter()
            .filter(|alert| alert.opens())
            .filter(|alert| !expected.iter().any(|name| kinds_of(name).contains(&alert.kind.as_str())))
            .filter(|alert| (SIMPLE.contains(&alert.test.as_str()) || alert.test == alert.kind) == is_simple)
            .map(|alert| format!("{} {} {}", alert.kind, alert.test, alert.severity.name()))
            .collect();
        list.sort();
        list.dedup();
        list
    };
    Difference {
        file: file.to_owned(),
        missing: names(&is_built),
        not_built: names(&|name| !is_built(name)),
        unexpected: unnamed(true),
        stronger: unnamed(false),
    }
}

impl CorpusResults {
    pub(crate) fn to_json(&self) -> Value {
        let differences: Vec<Value> = self
            .told()
            .map(|difference| {
                json!({
                    "file": difference.file,
                    "missing": difference.missing,
                    "not_built": difference.not_built,
                    "unexpected": difference.unexpected,
                    "stronger_tests": difference.stronger,
                })
            })
            .collect();
        json!({
            "captures": self.captures,
            "as_expected": self.right,
            "not_built": self.not_built,
            "differences": differences,
            "benign_captures": self.benign,
            "benign_claims": self.benign_claims,
        })
    }

    /// Captures of which there is something to tell.
    fn told(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| {
            [&difference.missing, &difference.not_built, &difference.unexpected, &difference.stronger]
                .iter()
                .any(|list| !list.is_empty())
        })
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = format!(
            "corpus: {} of {} captures as expected, {} need kinds that are not built; {} claims on {} captures of ordinary traffic\n",
            self.right,
            self.captures,
            self.not_built,
            self.benign_claims.len(),
            self.benign
        );
        for difference in self.told() {
            let _infallible = write!(text, "  {:<52}", difference.file);
            for (name, list) in [
                ("missing", &difference.missing),
                ("not built", &difference.not_built),
                ("unexpected", &difference.unexpected),
                ("stronger test", &difference.stronger),
            ] {
                if !list.is_empty() {
                    let _infallible = write!(text, " {name}: {}.", list.join(", "));
                }
            }
            text.push('\n');
        }
        self.benign_claims.iter().for_each(|claim| {
            let _infallible = writeln!(text, "  benign {claim}");
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_unexpected_and_stronger_are_told_apart() {
        let line = |kind: &str, test: &str| {
            Raised::parse(&format!(
                r#"{{"time":"2023-11-15T00:00:02.000000Z","kind":"{kind}","test":"{test}","severity":"low","src":null,"dst":null,"phase":"open","incident":1}}"#
            ))
            .unwrap()
        };
        let detectors = ["port_scan", "syn_flood"].map(str::to_owned);
        let raised = [line("syn_flood", "per_victim"), line("icmp_flood", "per_source")];
        let difference = compare("f", &detectors, &["PortScan", "DgaDetected", "SynFlood?"], &raised);
        assert_eq!(difference.missing, ["PortScan"]);
        assert_eq!(difference.not_built, ["DgaDetected"]);
        assert_eq!(difference.unexpected, ["icmp_flood per_source low"]);
        assert!(difference.stronger.is_empty(), "what is expected is no difference");
        assert_eq!(compare("f", &detectors, &[], &raised).stronger, ["syn_flood per_victim low"]);
    }
}
