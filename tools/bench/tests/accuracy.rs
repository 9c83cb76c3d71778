//! The small form of `bench accuracy` gives what `data/accuracy.txt` holds: every change of detection shows there.
//!
//! After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-bench --test accuracy`, with the reason in the commit.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Fields of the line that differ from one machine or commit to the next.
const OF_THE_RUN: [&str; 4] = ["commit", "target", "command", "program"];

#[test]
fn the_small_form_gives_the_golden_result() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["accuracy", "--small", "--jobs", "2", "--sentinel"])
        .arg(support::sentinel())
        .env_remove("SENTINEL_CORPUS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fields = result.as_object_mut().unwrap();
    fields.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
    let text = lines("", &result);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/accuracy.txt");
    if std::env::var_os("GOLDEN_BLESS").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    let differs = text.lines().zip(expected.lines()).find(|(found, wanted)| found != wanted);
    assert!(text == expected, "{} differs, first at {differs:?}", golden.display());
}

/// One line for each element of a list and each plain field, after its place.
fn lines(place: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| lines(&format!("{place}/{name}"), value)).collect()
        }
        Value::Array(elements) => elements.iter().map(|element| format!("{place} {element}\n")).collect(),
        plain => format!("{place} {plain}\n"),
    }
}
