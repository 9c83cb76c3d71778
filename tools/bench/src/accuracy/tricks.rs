//! Adversary suite: every trick alone and in noise.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sentinel_trafficgen::Parameters;
use sentinel_trafficgen::adversary::{NOISE_RATE, TRICKS, Trick};
use serde_json::{Value, json};

use super::form::Form;
use super::verdict::{Expectation, Outcome, Verdict, judge};

/// Verdicts on one trick.
#[derive(Debug)]
struct Judged {
    trick: &'static Trick,
    alone: Verdict,
    in_noise: Option<Verdict>,
}

/// Result of the suite.
#[derive(Debug)]
pub(crate) struct TrickResults(Vec<Judged>);

/// Longest attack that the small form repeats in noise.
const SMALL_SPAN: Duration = Duration::from_secs(12);

/// Runs every trick alone, and in noise; the small form leaves out the noise for attacks that last longer than 12 s.
pub(crate) fn run(sentinel: &Path, detectors: &[String], form: Form) -> Result<TrickResults> {
    let parameters = Parameters::default();
    let judge_one = |trick: &'static Trick, with_noise| {
        let expectation = Expectation { kinds: trick.kinds, named: trick.named };
        judge(sentinel, detectors, expectation, &parameters, trick.packets(&parameters), with_noise)
            .with_context(|| format!("trick {}", trick.name))
    };
    TRICKS
        .iter()
        .map(|trick| {
            let span = || trick.packets(&parameters).last().map_or(Duration::ZERO, |frame| frame.offset);
            let with_noise = form == Form::Full || span() <= SMALL_SPAN;
            let in_noise = with_noise.then(|| judge_one(trick, true)).transpose()?;
            Ok(Judged { trick, alone: judge_one(trick, false)?, in_noise })
        })
        .collect::<Result<Vec<_>>>()
        .map(TrickResults)
}

impl TrickResults {
    /// Number of runs with each outcome, alone and in noise.
    fn counts(&self) -> Value {
        let count = |outcome: Outcome, in_noise: bool| {
            self.0
                .iter()
                .filter_map(|judged| if in_noise { judged.in_noise.as_ref() } else { Some(&judged.alone) })
                .filter(|verdict| verdict.outcome == outcome)
                .count()
        };
        let all = [Outcome::Named, Outcome::Low, Outcome::Silent, Outcome::Wrong, Outcome::NotBuilt];
        let of = |in_noise| -> Value {
            all.into_iter()
                .map(|outcome| (outcome.name().to_owned(), json!(count(outcome, in_noise))))
                .collect()
        };
        json!({"alone": of(false), "in_noise": of(true)})
    }

    pub(crate) fn to_json(&self) -> Value {
        let tricks: Vec<Value> = self
            .0
            .iter()
            .map(|Judged { trick, alone, in_noise }| {
                json!({
                    "name": trick.name,
                    "kinds": trick.kinds,
                    "alone": verdict_json(alone),
                    "in_noise": in_noise.as_ref().map(verdict_json),
                })
            })
            .collect();
        json!({"tricks": tricks, "counts": self.counts(), "noise_packets_per_s": NOISE_RATE})
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = format!("adversary suite: {} tricks: {}\n", self.0.len(), self.counts());
        let _infallible = writeln!(
            text,
            "  {:<23} {:<17} {:>9} {:>7}  {:<17} said",
            "trick", "alone", "after", "frames", "in noise"
        );
        for Judged { trick, alone, in_noise } in &self.0 {
            let after = alone.after.map_or("-".into(), |after| format!("{:.3} s", after.as_secs_f64()));
            let frames = alone.frames.map_or("-".into(), |frames| frames.to_string());
            let noisy = in_noise.as_ref().map_or("-", |verdict| verdict.outcome.name());
            let _infallible = writeln!(
                text,
                "  {:<23} {:<17} {after:>9} {frames:>7}  {noisy:<17} {}",
                trick.name,
                alone.outcome.name(),
                alone.said.join("; ")
            );
        }
        text
    }
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "outcome": verdict.outcome.name(),
        "after_ms": verdict.after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        "frames": verdict.frames,
        "incidents": verdict.incidents,
        "said": verdict.said,
    })
}
