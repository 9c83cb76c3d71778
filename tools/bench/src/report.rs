//! Results: one JSON line per run, and the figures that are compared with budgets.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::output;

/// Prints lines and keeps the figures in them.
#[derive(Debug)]
pub(crate) struct Report {
    common: Map<String, Value>,
    figures: Vec<(String, f64)>,
}

impl Report {
    /// Report with the fields that every line has: commit, target, command and program.
    pub(crate) fn new(sentinel: &Path) -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mut common = Map::new();
        common.insert("commit".into(), json!(commit()));
        common.insert("target".into(), json!(target()));
        common.insert("command".into(), json!(format!("bench {}", words.join(" "))));
        common.insert("program".into(), json!(sentinel.display().to_string()));
        Self { common, figures: Vec::new() }
    }

    /// Prints a line of `fields`, followed by the common ones.
    pub(crate) fn line(&self, fields: Value) {
        let mut line = match fields {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        line.extend(self.common.clone());
        output::line(Value::Object(line));
    }

    /// Keeps a figure under its name in the budgets.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.push((name.into(), value));
    }

    /// Keeps the highest of several figures of one name.
    pub(crate) fn worst(&mut self, name: &str, value: f64) {
        match self.figures.iter_mut().find(|(found, _)| found == name) {
            Some((_, worst)) => *worst = worst.max(value),
            None => self.figure(name, value),
        }
    }

    /// All figures so far.
    pub(crate) fn figures(&self) -> &[(String, f64)] {
        &self.figures
    }
}

/// Commit of the working directory, with a plus sign if tracked files differ from it.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output =
            Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "+",
    }
}

fn target() -> String {
    let environment = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-{}-{environment}", std::env::consts::ARCH, std::env::consts::OS)
}

/// `part` divided by `whole`, to three digits after the point.
pub(crate) fn per(part: u64, whole: u64) -> f64 {
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "figures for people; nothing here comes near 2^53"
    )]
    let quotient = part as f64 / whole.max(1) as f64;
    (quotient * 1_000.0).round() / 1_000.0
}

/// Median; of an even number of figures the lower one of the two in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
        assert_eq!((per(10, 4), per(1, 0)), (2.5, 1.0));
    }
}
