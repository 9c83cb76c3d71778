//! Report of the guest: sections of text, each with the exit status of the command that wrote it.
//!
//! A section begins with the line `=== NAME` and ends with `=== NAME status N`, see `guest.sh`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const MARK: &str = "=== ";

/// Output and exit status of one command in the guest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Section {
    pub(super) text: String,
    pub(super) status: i32,
}

/// Sections that are complete, by name.
#[derive(Debug, Default)]
pub(super) struct Report(BTreeMap<String, Section>);

impl Report {
    /// Reads what has arrived. The last section may be incomplete and is left out.
    pub(super) fn read(text: &str) -> Self {
        let mut sections = BTreeMap::new();
        let mut open: Option<(&str, String)> = None;
        for line in text.split_inclusive('\n') {
            let Some(head) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix('\n')) else {
                if let Some((_, text)) = &mut open {
                    text.push_str(line);
                }
                continue;
            };
            match head.split_once(" status ") {
                Some((name, status)) if open.as_ref().is_some_and(|(open, _)| *open == name) => {
                    let text = open.take().map(|(_, text)| text).unwrap_or_default();
                    let status = status.parse().unwrap_or(i32::MAX);
                    // The guest ends every output with a line of its own.
                    let text = text.strip_suffix('\n').map(str::to_owned).unwrap_or(text);
                    sections.insert(name.to_owned(), Section { text, status });
                }
                _ => open = Some((head, String::new())),
            }
        }
        Self(sections)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Section that must be there, whatever its status.
    pub(super) fn section(&self, name: &str) -> Result<&Section> {
        self.0.get(name).with_context(|| format!("the guest did not reach {name}"))
    }

    /// Output of a command that must have ended with 0.
    pub(super) fn text(&self, name: &str) -> Result<&str> {
        let section = self.section(name)?;
        ensure!(section.status == 0, "{name} ended with {}: {}", section.status, section.text.trim());
        Ok(&section.text)
    }

    /// Answer in JSON.
    pub(super) fn json(&self, name: &str) -> Result<Value> {
        let text = self.text(name)?;
        serde_json::from_str(text).with_context(|| format!("{name}: {text}"))
    }

    /// Lines of JSON.
    pub(super) fn json_lines(&self, name: &str) -> Result<Vec<Value>> {
        let lines = self.text(name)?.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("{name}: {line}"))).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Report with these sections, each with its name, its output and its status.
    pub(in crate::machine::board) fn report(sections: &[(&str, &str, i32)]) -> Report {
        let text: String = sections
            .iter()
            .map(|(name, text, status)| format!("=== {name}\n{text}\n=== {name} status {status}\n"))
            .collect();
        Report::read(&text)
    }

    #[test]
    fn sections_have_text_and_status() {
        let report = report(&[("a.status", "{\"n\":1}\n", 0), ("b", "no newline", 3), ("c", "", 0)]);
        assert_eq!(report.json("a.status").unwrap()["n"], 1);
        assert_eq!(report.section("b").unwrap(), &Section { text: "no newline".to_owned(), status: 3 });
        assert_eq!(report.text("b").unwrap_err().to_string(), "b ended with 3: no newline");
        assert_eq!(report.text("c").unwrap(), "");
        assert_eq!(report.text("d").unwrap_err().to_string(), "the guest did not reach d");
    }

    #[test]
    fn an_unfinished_section_is_not_there() {
        for cut in ["=== a\ntext\n", "=== a\ntext\n=== a status", "=== a\ntext\n\n=== a status 0", "=== "] {
            assert!(!Report::read(cut).has("a"), "{cut}");
        }
        assert!(Report::read("=== a\ntext\n\n=== a status 0\n=== b\n").has("a"));
    }
}
