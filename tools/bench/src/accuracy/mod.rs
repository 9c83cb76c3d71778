//! `accuracy`: the measuring stick of detection.
//!
//! Frames go into `sentinel read - --alerts` through a pipe, whatever the build: kinds are names here, and one that the program
//! under test does not have is shown as "not built". [`households`] counts claims of attack on ordinary networks, [`tricks`] what
//! is said of attacks made to be missed, [`matrix`] of scans and floods by their parameters.

mod alerts;
mod corpus;
mod feed;
pub(crate) mod form;
pub(crate) mod households;
mod matrix;
mod published;
mod sites;
mod tricks;
mod verdict;

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::report::Report;
use crate::settings::Settings;
use form::Form;
use households::HouseholdOptions;
use matrix::{Matrix, Runner};

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
    /// DNS tunnels and beacons by their parameters
    Channels,
    /// Captures with known alerts, in the directory that `SENTINEL_CORPUS` names
    Corpus,
}

impl Suite {
    const ALL: [Self; 6] =
        [Self::Household, Self::Adversary, Self::Scans, Self::Floods, Self::Channels, Self::Corpus];

    const fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Adversary => "adversary",
            Self::Scans => "scans",
            Self::Floods => "floods",
            Self::Channels => "channels",
            Self::Corpus => "corpus",
        }
    }
}

/// Suites to run.
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
        let (table, value) = run_suite(sentinel, &detectors, suite, options)?;
        eprintln!("{table}{}", published::lines(suite.name()));
        line.insert(suite.name().into(), value);
        let peers = published::to_json(suite.name());
        if peers != json!([]) {
            line.insert(format!("{}_peers", suite.name()), peers);
        }
    }
    report.line(Value::Object(line));
    Ok(())
}

/// Runs one suite; returns its table and its result in JSON.
fn run_suite(
    sentinel: &Path,
    detectors: &[String],
    suite: Suite,
    options: &AccuracyOptions,
) -> Result<(String, Value)> {
    let runner = &Runner { sentinel, detectors, form: options.form };
    let both = |matrix: &Matrix| (matrix.to_table(), matrix.to_json());
    Ok(match suite {
        Suite::Household => {
            let results = households::run(sentinel, &options.household)?;
            (results.to_table(), results.to_json())
        }
        Suite::Adversary => {
            let results = tricks::run(sentinel, detectors, options.form)?;
            (results.to_table(), results.to_json())
        }
        Suite::Scans => both(&matrix::scans(runner)?),
        Suite::Floods => both(&matrix::floods(runner)?),
        Suite::Channels => {
            let (tunnels, beacons) = (matrix::tunnels(runner)?, matrix::beacons(runner)?);
            let sites = sites::run(sentinel, options.form)?;
            let table = format!("{}\n{}\n{}", tunnels.to_table(), beacons.to_table(), sites.to_table());
            let json =
                json!({"tunnels": tunnels.to_json(), "beacons": beacons.to_json(), "sites": sites.to_json()});
            (table, json)
        }
        Suite::Corpus => match corpus::directory() {
            Some(directory) => {
                let results = corpus::run(sentinel, detectors, &directory)?;
                (results.to_table(), results.to_json())
            }
            None => (
                "corpus: skipped, SENTINEL_CORPUS is not set\n".into(),
                json!("skipped: SENTINEL_CORPUS is not set"),
            ),
        },
    })
}
