//! Number of source files that a detector or a protocol touches.
//!
//! A file counts if its code (comments and tests apart) names the detector or protocol in any spelling: `udp_flood`,
//! `UdpFlood`, `UDP_FLOOD`, `udp-flood`. Its own files, the tables' lines and the data of tests are the price of growing; a name
//! anywhere else is wiring that the tables should generate.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::Verdict;

/// A kind of thing that grows, and the places that may name one.
struct Growth {
    /// First word of the command.
    name: &'static str,
    /// Sources in which a name would be wiring, as patterns of git. Tests, benches and the lab use detectors and protocols as their
    /// users do; the collector and the traffic generator implement protocols of their own.
    sources: &'static [&'static str],
    /// Files, or folders with a `/` at the end, that may name one.
    allowed: &'static [&'static str],
    /// Most files that may name one.
    max_files: usize,
}

const GROWTHS: &[Growth] = &[
    Growth {
        name: "detector",
        sources: &[
            ":(glob)sentinel-appliance/*/src/**",
            ":(glob)tools/collector/src/**",
            ":(glob)tools/trafficgen/src/**",
        ],
        allowed: &[
            "sentinel-appliance/alert/src/kind.rs",
            "sentinel-appliance/detect/src/detectors/",
            "sentinel-appliance/sensor/src/commands/selftest/traces.rs",
            "tools/trafficgen/src/adversary/",
            "tools/trafficgen/src/scenario/",
        ],
        // Kind, declaration, table, trace of the self-test, scenarios and their table, trick of the adversary; and two more for a test
        // per victim.
        max_files: 9,
    },
    Growth {
        name: "protocol",
        sources: &[":(glob)sentinel-appliance/*/src/**"],
        allowed: &[
            // What a password looks like is no property of the parser.
            "sentinel-appliance/detect/src/detectors/payload/",
            "sentinel-appliance/dissect/src/application/",
            "sentinel-appliance/sensor/src/packets/fields/",
            "sentinel-appliance/units/src/service.rs",
        ],
        max_files: 7,
    },
];

/// Lists of numbers that have names of their own, whether or not anything reads the protocol. They do not count.
const NUMBERS: &[&str] = &["sentinel-appliance/filter/src/names.rs", "sentinel-appliance/units/src/port.rs"];

/// Lists the files that name `name`; fails if there are more than allowed, or one in another place.
pub(crate) fn check(root: &Path, kind: &str, name: &str) -> Result<Verdict> {
    let growth = GROWTHS.iter().find(|growth| growth.name == kind);
    let growth = growth.with_context(|| format!("unknown kind `{kind}`; there are detector and protocol"))?;
    let spellings = spellings(name)?;
    let mut files = Vec::new();
    for file in sources(root, growth.sources)? {
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        if names_any(&code(&text), &spellings) {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!("no source names the {kind} `{name}`");
    }
    Ok(growth.verdict(name, &files))
}

impl Growth {
    fn verdict(&self, name: &str, files: &[String]) -> Verdict {
        let is_allowed = |file: &String| self.allowed.iter().any(|place| file.starts_with(place));
        let mut violations: Vec<String> = files
            .iter()
            .filter(|file| !is_allowed(file))
            .map(|file| format!("{file} names the {} {name}; the tables should generate that", self.name))
            .collect();
        if files.len() > self.max_files {
            violations.push(format!(
                "{} {name} touches {} files, at most {} allowed: {}",
                self.name,
                files.len(),
                self.max_files,
                files.join(", ")
            ));
        }
        Verdict::of(violations, || {
            format!("{} {name} touches {} files:\n    {}", self.name, files.len(), files.join("\n    "))
        })
    }
}

/// Spellings of a name given in `snake_case`.
fn spellings(name: &str) -> Result<Vec<String>> {
    let is_snake =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    ensure!(
        !name.is_empty() && name.chars().all(is_snake),
        "`{name}` is not in snake_case, as in `udp_flood`"
    );
    let camel = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    Ok(vec![name.to_owned(), camel.collect(), name.to_uppercase(), name.replace('_', "-")])
}

fn sources(root: &Path, patterns: &[&str]) -> Result<Vec<String>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--"])
        .args(patterns)
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    ensure!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr).trim());
    let names = String::from_utf8(listing.stdout).context("git ls-files")?;
    let counts =
        |name: &&str| !name.ends_with("/tests.rs") && !name.contains("/tests/") && !NUMBERS.contains(name);
    Ok(names.split_terminator('\0').filter(counts).map(str::to_owned).collect())
}

/// Text without lines of comments and without the tests at its end.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns true if a spelling stands in `text` as a word of its own or with more words behind it
/// (`UdpFloodPerSource`, `udp-flood-below`), but not inside another word.
fn names_any(text: &str, spellings: &[String]) -> bool {
    spellings.iter().any(|spelling| {
        text.match_indices(spelling.as_str()).any(|(at, _)| {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let after = text.get(at.saturating_add(spelling.len())..).and_then(|text| text.chars().next());
            before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
                && after.is_none_or(|after| !after.is_ascii_lowercase() && !after.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_and_parts_of_words_are_not() {
        let all = spellings("udp_flood").unwrap();
        assert_eq!(all, ["udp_flood", "UdpFlood", "UDP_FLOOD", "udp-flood"]);
        for text in ["udp_flood: UdpFlood", "Kind::UdpFloodPerSource", "\"udp-flood-below\"", "(UDP_FLOOD)"] {
            assert!(names_any(text, &all), "{text}");
        }
        for text in ["an_udp_flood", "udp_floods", "udp flood", "MyUdpFlood"] {
            assert!(!names_any(text, &all), "{text}");
        }
        assert!(spellings("UdpFlood").is_err() && spellings("").is_err());
    }

    #[test]
    fn the_newest_detector_and_protocol_stay_within_their_tables() {
        let root = crate::workspace::root();
        for (kind, name) in [("detector", "udp_flood"), ("protocol", "smtp")] {
            let verdict = check(&root, kind, name).unwrap();
            assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
        }
        assert!(check(&root, "detector", "no_such_detector").is_err());
        assert!(check(&root, "table", "udp_flood").is_err());
    }

    #[test]
    fn comments_and_tests_do_not_count() {
        let text = "fn a() {}\n    // smtp\n/// smtp\n#[cfg(test)]\nmod tests {\n    smtp\n}\n";
        assert!(!names_any(&code(text), &["smtp".to_owned()]));
        assert!(names_any(&code("mod smtp; // x"), &["smtp".to_owned()]));
    }

    #[test]
    fn more_files_or_other_places_fail() {
        let growth = Growth { name: "detector", sources: &[], allowed: &["a/", "b.rs"], max_files: 2 };
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(matches!(growth.verdict("x", &files(&["a/x.rs", "b.rs"])), Verdict::Passed(_)));
        let Verdict::Failed(violations) = growth.verdict("x", &files(&["a/x.rs", "a/y.rs", "c.rs"])) else {
            panic!("three files pass");
        };
        assert_eq!(violations.len(), 2);
        assert!(violations[0].starts_with("c.rs names the detector x"));
        assert!(violations[1].contains("touches 3 files, at most 2"));
    }
}
