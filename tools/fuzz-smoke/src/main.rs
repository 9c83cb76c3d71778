//! Fuzz smoke: every fuzz body of the device crates for some seconds or inputs, on the stable tool chain.
//!
//! In: the corpora in `sentinel-appliance/*/tests/fuzz-corpus`. Out: a table with the number of inputs, inputs per second and
//! panics of each body; exit code 1 and the failing input in hexadecimal if there are panics. Inputs are mutations of the
//! samples by a seeded generator that knows tokens, length fields and records of the formats, without coverage feedback: this
//! finds what is broken, `tools/fuzz` (libFuzzer) finds what is rare. What libFuzzer found can be mutated here, with `--corpus`.
//!
//!     fuzz-smoke [--seconds N | --inputs N] [--within SECONDS] [--seed N] [--threads N]
//!                [--corpus FOLDER] [--state FILE] [BODY...]
//!
//! `--seconds` is for each body. `--inputs` is for all together: bodies that seal or shake hands for each input get a smaller
//! share. With `--state` a run that ended at `--within` goes on where it was.

#![forbid(unsafe_code)]

mod bodies;
mod campaign;
mod mutate;
mod structure;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use bodies::Body;
use campaign::{Campaign, Goal};

const DEFAULT_SECONDS: u64 = 5;
const DEFAULT_SEED: u64 = 0x5e17_1e11;
/// Time bound if none is given: a day.
const DEFAULT_WITHIN: Duration = Duration::from_secs(86_400);
const USAGE: &str = "usage: fuzz-smoke [--seconds N | --inputs N] [--within SECONDS] [--seed N] [--threads N] [--corpus FOLDER] \
     [--state FILE] [BODY...]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz-smoke: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (campaign, names) = parse(std::env::args().skip(1))?;
    let all = bodies::all();
    if let Some(name) = names.iter().find(|name| all.iter().all(|body| body.name != **name)) {
        let known: Vec<&str> = all.iter().map(|body| body.name).collect();
        bail!("no body `{name}`; there are {}", known.join(", "));
    }
    let is_chosen = |body: &Body| names.is_empty() || names.iter().any(|name| name == body.name);
    let jobs = campaign.run(all.into_iter().filter(is_chosen).collect())?;
    print(campaign::HEADING);
    jobs.iter().for_each(|job| print(&job.to_string()));
    let total = campaign::total(&jobs);
    print(&format!("{:<20} {total}", "all"));
    if let Goal::Inputs(wanted) = campaign.goal
        && total.inputs < wanted
    {
        print(&format!("the time is over: {} of {wanted} inputs", total.inputs));
    }
    let failed = jobs.iter().filter(|job| job.done.panics > 0).count();
    print(&format!("{} passed, {failed} failed", jobs.len().saturating_sub(failed)));
    ensure!(failed == 0, "{failed} bodies failed");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn print(line: &str) {
    println!("{line}");
}

/// Reads the options; returns the names of the bodies as well, none for all.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<(Campaign, Vec<String>)> {
    let mut campaign = Campaign {
        seed: DEFAULT_SEED,
        goal: Goal::Time(Duration::from_secs(DEFAULT_SECONDS)),
        within: DEFAULT_WITHIN,
        threads: thread::available_parallelism().map_or(1, usize::from),
        corpus: None,
        state: None,
    };
    let mut names = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value; {USAGE}"));
        let number = |text: String| text.parse::<u64>().with_context(|| format!("{argument} {text}"));
        match argument.as_str() {
            "--seconds" => campaign.goal = Goal::Time(Duration::from_secs(number(value()?)?)),
            "--inputs" => campaign.goal = Goal::Inputs(number(value()?)?),
            "--within" => {
                campaign.within = Duration::from_secs(number(value()?)?).min(DEFAULT_WITHIN);
            }
            "--seed" => campaign.seed = number(value()?)?,
            "--threads" => campaign.threads = usize::try_from(number(value()?)?.clamp(1, 1_024))?,
            "--corpus" => campaign.corpus = Some(value()?.into()),
            "--state" => campaign.state = Some(value()?.into()),
            _ if argument.starts_with('-') => bail!("unknown option {argument}; {USAGE}"),
            _ => names.push(argument),
        }
    }
    Ok((campaign, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<(Campaign, Vec<String>)> {
        parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let (campaign, names) = words("--seconds 2 dns_message --seed 7").unwrap();
        assert_eq!((campaign.goal, campaign.seed), (Goal::Time(Duration::from_secs(2)), 7));
        assert_eq!(names, ["dns_message"]);
        let (campaign, _) = words("--inputs 1000 --within 60 --threads 0 --state s --corpus c").unwrap();
        assert_eq!((campaign.goal, campaign.within.as_secs()), (Goal::Inputs(1_000), 60));
        assert_eq!(campaign.threads, 1);
        assert!(words("--seconds").is_err() && words("--seconds x").is_err() && words("--fast").is_err());
    }
}
