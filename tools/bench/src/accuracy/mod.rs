//! `accuracy`: the measuring stick of detection.
//!
//! Frames go into `sentinel read - --alerts` through a pipe, whatever the build: kinds are names here, and one that the program
//! under test does not have is shown as "not built". [`households`] counts claims of attack on ordinary networks, [`tricks`] what
//! is said of attacks made to be missed, [`matrix`] of scans and floods by their parameters.

mod alerts;
mod corpus;
mod feed;
pub(crate) mod households;
pub(crate) mod matrix;
mod tricks;
mod verdict;

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::report::Report;
use crate::settings::Settings;
use households::HouseholdOptions;
use matrix::Form;

/// Part of the bench.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Claims of attack on ordinary networks, days long
    Household,
    /// Attacks made to be missed, alone and in 2,000 spoofed packets a second
    Adversary,
    /// Scans: technique, rate, family
    Scans,
    /// Floods: what, origin, rate, family
    Floods,
    /// Captures with known alerts, in the directory that SENTINEL_CORPUS names
    Corpus,
}

impl Suite {
    const ALL: [Self; 5] = [Self::Household, Self::Adversary, Self::Scans, Self::Floods, Self::Corpus];
}

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct AccuracyOptions {
    /// Empty: every suite.
    pub(crate) suites: Vec<Suite>,
    pub(crate) form: Form,
    pub(crate) household: HouseholdOptions,
}

/// Runs the suites, prints a table of each on standard error and one JSON line.
pub(crate) fn measure(sentinel: &Path, options: &AccuracyOptions, report: &Report) -> Result<()> {
    let settings = Settings::of(sentinel)?;
    let detectors: Vec<String> = settings.detectors().into_iter().map(str::to_owned).collect();
    let suites = if options.suites.is_empty() { Suite::ALL.to_vec() } else { options.suites.clone() };
    let mut line = Map::new();
    line.insert("bench".into(), "accuracy".into());
    line.insert("detectors".into(), detectors.clone().into());
    for suite in suites {
        let (name, value) = run_suite(sentinel, &detectors, suite, options)?;
        line.insert(name.into(), value);
    }
    report.line(Value::Object(line));
    Ok(())
}

/// Runs one suite; returns its name and result in JSON.
fn run_suite(
    sentinel: &Path,
    detectors: &[String],
    suite: Suite,
    options: &AccuracyOptions,
) -> Result<(&'static str, Value)> {
    let (name, table, value) = match suite {
        Suite::Household => {
            let results = households::run(sentinel, &options.household)?;
            ("household", results.to_table(), results.to_json())
        }
        Suite::Adversary => {
            let results = tricks::run(sentinel, detectors, true)?;
            ("adversary", results.to_table(), results.to_json())
        }
        Suite::Scans => {
            let results = matrix::scans(sentinel, detectors, options.form)?;
            ("scans", results.to_table(), results.to_json())
        }
        Suite::Floods => {
            let results = matrix::floods(sentinel, detectors, options.form)?;
            ("floods", results.to_table(), results.to_json())
        }
        Suite::Corpus => match corpus::directory() {
            Some(directory) => {
                let results = corpus::run(sentinel, detectors, &directory)?;
                ("corpus", results.to_table(), results.to_json())
            }
            None => (
                "corpus",
                "corpus: skipped, SENTINEL_CORPUS is not set\n".into(),
                json!("skipped: SENTINEL_CORPUS is not set"),
            ),
        },
    };
    eprintln!("{table}");
    Ok((name, value))
}
