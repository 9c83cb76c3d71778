//! Fuzz smoke: every fuzz body of the device crates for a few seconds, on the stable tool chain.
//!
//! In: the corpora in `sentinel-appliance/*/tests/fuzz-corpus`. Out: a line per body with the number of inputs run; exit
//! code 1 and the failing input in hexadecimal at the first panic. Inputs are mutations of corpus files by a seeded
//! generator, without coverage feedback: this finds what is broken, `tools/fuzz` (libFuzzer) finds what is rare.
//!
//!     fuzz-smoke [--seconds N] [--seed N] [BODY...]

#![forbid(unsafe_code)]

mod bodies;
mod mutate;

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use bodies::Body;
use mutate::Mutator;

const DEFAULT_SECONDS: u64 = 5;
const DEFAULT_SEED: u64 = 0x5e17_1e11;
/// Inputs between two looks at the clock.
const ROUND: u64 = 64;

struct Options {
    duration: Duration,
    seed: u64,
    /// Bodies to run; all if empty.
    names: Vec<String>,
}

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
    let options = parse(std::env::args().skip(1))?;
    let all = bodies::all();
    let unknown = options.names.iter().find(|name| all.iter().all(|body| body.name != **name));
    if let Some(name) = unknown {
        let known: Vec<&str> = all.iter().map(|body| body.name).collect();
        bail!("no body `{name}`; there are {}", known.join(", "));
    }
    let chosen: Vec<Body> = all
        .into_iter()
        .filter(|body| options.names.is_empty() || options.names.iter().any(|name| name == body.name))
        .collect();
    let count = chosen.len();
    let failures = on_all_cores(chosen, &options);
    for failure in &failures {
        eprintln!("{failure:#}");
    }
    print(&format!("{} passed, {} failed", count.saturating_sub(failures.len()), failures.len()));
    ensure!(failures.is_empty(), "{} bodies failed", failures.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn print(line: &str) {
    println!("{line}");
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options =
        Options { duration: Duration::from_secs(DEFAULT_SECONDS), seed: DEFAULT_SEED, names: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let text = arguments.next().with_context(|| format!("{argument} needs a number"))?;
            text.parse().with_context(|| format!("{argument} {text}"))
        };
        match argument.as_str() {
            "--seconds" => options.duration = Duration::from_secs(number()?),
            "--seed" => options.seed = number()?,
            _ if argument.starts_with('-') => {
                bail!("unknown option {argument}; usage: fuzz-smoke [--seconds N] [--seed N] [BODY...]")
            }
            _ => options.names.push(argument),
        }
    }
    Ok(options)
}

/// Runs the bodies on as many threads as there are cores; returns one error for each body that failed.
fn on_all_cores(bodies: Vec<Body>, options: &Options) -> Vec<anyhow::Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (queue, failures) = (Mutex::new(bodies), Mutex::new(Vec::new()));
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(body) = next() {
                    match fuzz(&body, options) {
                        Ok(inputs) => print(&format!("{:<20} {inputs:>10} inputs", body.name)),
                        Err(error) => failures.lock().map(|mut all| all.push(error)).unwrap_or_default(),
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap_or_default()
}

/// Returns the number of inputs run: each corpus file once, then mutations until the time is over.
fn fuzz(body: &Body, options: &Options) -> Result<u64> {
    let corpus = corpus(&body.corpus).with_context(|| body.name.to_owned())?;
    let mut mutator = Mutator::new(options.seed);
    let mut inputs = 0_u64;
    for sample in &corpus {
        attempt(body, sample)?;
        inputs = inputs.saturating_add(1);
    }
    let end = Instant::now() + options.duration;
    while Instant::now() < end {
        for _ in 0..ROUND {
            attempt(body, &mutator.input(&corpus))?;
        }
        inputs = inputs.saturating_add(ROUND);
    }
    Ok(inputs)
}

fn attempt(body: &Body, input: &[u8]) -> Result<()> {
    let outcome = catch_unwind(|| (body.run)(input));
    ensure!(outcome.is_ok(), "{}: panic at input {}", body.name, hexadecimal(input));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Samples of one body, in the order of their names.
fn corpus(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{}: no samples", folder.display());
    files.iter().map(|file| std::fs::read(file).with_context(|| file.display().to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Options> {
        parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options = words("--seconds 2 dns_message --seed 7").unwrap();
        assert_eq!((options.duration, options.seed), (Duration::from_secs(2), 7));
        assert_eq!(options.names, ["dns_message"]);
        assert!(words("--seconds").is_err() && words("--seconds x").is_err() && words("--fast").is_err());
    }

    #[test]
    fn a_panic_is_reported_with_its_input() {
        let folder = bodies::all().first().unwrap().corpus.clone();
        let body =
            Body { target: "t", name: "breaks", run: |bytes| assert!(bytes.is_empty()), corpus: folder };
        let error = attempt(&body, &[0xab, 1]).unwrap_err();
        assert_eq!(error.to_string(), "breaks: panic at input ab01");
    }

    #[test]
    fn every_body_has_a_corpus_that_it_survives() {
        let options = Options { duration: Duration::ZERO, seed: 1, names: Vec::new() };
        for body in bodies::all() {
            assert!(fuzz(&body, &options).unwrap() >= 3, "{}: fewer than three samples", body.name);
        }
    }
}
