//! DETECTORS.md: a page for each detector, made from its declaration, its file, its tables and its measured cost.
//!
//! After a change: `GOLDEN_BLESS=1 cargo test -p sentinel-detect --test pages`. Costs: `bench costs`, see tools/bench/README.md.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sentinel_alert::{Kind, Test};
use sentinel_detect::registry::Detector;
use sentinel_detect::{Capacities, DETECTORS};

const HEAD: &str = "\
# Detectors

This page is made from the declarations of the detectors, the notes at the head of their files, the sizes of their tables and the
costs in [costs.txt](tests/data/costs.txt); a test keeps it up to date.

- *Memory* is that of the table in the profiles `tiny`, `default` and `full` of `memory_kib`. What is not in a table (counters, filters)
  is part of the program's data.
- *Cost* is the number of instructions a packet that the sensor takes less when the detector is off, on x86-64, by class of traffic
  (`bench costs`). Negative numbers are other code that runs instead: without `dns_tunnel` the other tests of names read every message
  themselves. What several detectors share is
  paid for by whichever stays on.
- *To silence it*: `option enabled '0'` in its section (`config detector 'NAME'`), `option severity` to rank it, or, for what is
  expected only, a rule: `list allow 'kind=NAME+source=192.168.1.10'`. `sentinel tune FILE --set ...` shows beforehand what changes.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// All source files below a directory.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// Text of the file that declares the detector of a kind.
fn source_of(kind: Kind, sources: &[String]) -> &str {
    let declaration = format!("kind: Kind::{kind:?},\n        about:");
    sources
        .iter()
        .find(|source| source.contains(&declaration))
        .unwrap_or_else(|| panic!("{kind} has no file"))
}

/// Notes at the head of a file, with links of the reference as plain text.
fn notes(source: &str) -> String {
    let lines = source.lines().take_while(|line| line.starts_with("//!"));
    let text: Vec<&str> =
        lines.map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default()).collect();
    without_links(&text.join("\n"))
}

fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('[') {
        out.push_str(before);
        let Some((label, after)) = behind.split_once(']') else { break };
        match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((target, after)) if !target.starts_with("http") => {
                out.push_str(label);
                rest = after;
            }
            _ if label.starts_with('`') => {
                out.push_str(label);
                rest = after;
            }
            _ => {
                write!(out, "[{label}]").unwrap();
                rest = after;
            }
        }
    }
    out + rest
}

/// Name of the table of each kind, from the table of detectors.
fn tables(wiring: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    for line in wiring.lines().map(str::trim).filter(|line| line.contains(" detects: [")) {
        let names = |key: &str| -> Vec<String> {
            line.split(key)
                .skip(1)
                .filter_map(|rest| rest.split_once([' ', ']']).map(|(name, _)| name.to_owned()))
                .collect()
        };
        let own: Vec<String> = [names("table: "), names("list: "), names("spare: ")].concat();
        let kinds = line.split_once("detects: [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
        let reads = line.split_once("reads: [").and_then(|(_, rest)| rest.split_once(']'));
        let detected = kinds.split(", ").filter_map(|kind| kind.split_once(':')).map(|(kind, _)| kind);
        for kind in detected.chain(reads.iter().flat_map(|(kinds, _)| kinds.split(", "))) {
            tables.entry(kind.to_owned()).or_insert_with(Vec::new).extend(own.clone());
        }
    }
    tables
}

/// Costs by kind: class of traffic and instructions a packet.
fn costs(text: &str) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut costs = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [kind, class, instructions] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("'{line}' is not KIND CLASS INSTRUCTIONS")
        };
        costs.entry(kind).or_insert_with(Vec::new).push((class, instructions));
    }
    costs
}

fn page(detector: &Detector, notes: &str, memory: &[String], costs: &[(&str, &str)]) -> String {
    let Detector { kind, about, source, severity, thresholds, ports } = detector;
    let mut out = format!("\n## `{kind}`: {}\n\n{}\n\n", kind.title(), capitalised(about));
    writeln!(out, "Severity {severity}. Technique {}. Defaults: {source}.\n", kind.technique()).unwrap();
    let tests: Vec<String> = Test::ALL
        .iter()
        .filter(|test| test.kind() == *kind)
        .map(|test| format!("`{}`", test.name()))
        .collect();
    writeln!(out, "Tests: {}.\n", tests.join(", ")).unwrap();
    if !thresholds.is_empty() || ports.is_some() {
        writeln!(out, "| setting | default | range | meaning |\n|---|---|---|---|").unwrap();
        for setting in *thresholds {
            let (name, default, unit) = (setting.name, setting.default, setting.unit);
            writeln!(
                out,
                "| `{name}` | {default} {unit} | {} to {} | {} |",
                setting.min, setting.max, setting.help
            )
            .unwrap();
        }
        if let Some(ports) = ports {
            let default: Vec<String> = ports.default.iter().map(ToString::to_string).collect();
            writeln!(out, "| `{}` | {} | 1 to 65535 | {} |", ports.name, default.join(" "), ports.help)
                .unwrap();
        }
        out.push('\n');
    }
    writeln!(out, "{notes}\n").unwrap();
    let memory = if memory.is_empty() { "no table of its own".into() } else { memory.join("; ") };
    writeln!(out, "Memory: {memory}.\n").unwrap();
    let costs: Vec<String> = costs.iter().map(|(class, number)| format!("{class} {number}")).collect();
    writeln!(
        out,
        "Cost: {}.",
        if costs.is_empty() {
            "less than one instruction a packet of every class".into()
        } else {
            costs.join(", ")
        }
    )
    .unwrap();
    out
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn document() -> String {
    let mut found = Vec::new();
    files(&root().join("src/detectors"), &mut found);
    let sources: Vec<String> = found.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let tables = tables(&fs::read_to_string(root().join("src/detectors/mod.rs")).unwrap());
    let measured = fs::read_to_string(root().join("tests/data/costs.txt")).unwrap();
    let costs = costs(&measured);
    let size = |kib: usize, name: &str| {
        let mut sizes = Capacities::within(kib * 1_024).sizes();
        sizes.find(|table| table.name == name).map_or(0, |table| table.bytes().div_ceil(1_024))
    };
    let mut out = HEAD.to_owned();
    for detector in &DETECTORS {
        let kind = detector.kind.name();
        let memory: Vec<String> = tables
            .get(kind)
            .into_iter()
            .flatten()
            .map(|table| {
                let [tiny, default, full] = [384, 2_048, 8_192].map(|kib| size(kib, table));
                format!("`{table}` {tiny}, {default}, {full} KiB")
            })
            .collect();
        let cost = costs.get(kind).map(Vec::as_slice).unwrap_or_default();
        out.push_str(&page(detector, &notes(source_of(detector.kind, &sources)), &memory, cost));
    }
    out
}

#[test]
fn the_pages_are_up_to_date() {
    let (path, text) = (root().join("DETECTORS.md"), document());
    if std::env::var_os("GOLDEN_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(text == written, "DETECTORS.md is out of date (see the head of this file), first at {first:?}");
}

#[test]
fn links_of_the_reference_become_text() {
    assert_eq!(without_links("a [`B`](c::d), [e](super::f) and [`G`] in [x]"), "a `B`, e and `G` in [x]");
    assert_eq!(without_links("none"), "none");
}
