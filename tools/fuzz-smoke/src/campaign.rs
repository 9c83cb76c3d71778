//! Inputs of many bodies in turns: what each has done, where it goes on, and the table at the end.
//!
//! Input `i` of a body depends on the seed, the name of the body and `i / BLOCK` alone. So a run that ended early goes on where
//! it was, on any number of threads, and two runs of one seed and one corpus do the same.

use std::collections::VecDeque;
use std::fmt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bodies::Body;
use crate::mutate::Mutator;
use crate::structure::structure;

/// Inputs of one generator.
pub(crate) const BLOCK: u64 = 256;
/// Longest turn of a body before the next one has a turn and the state is saved.
const TURN: Duration = Duration::from_secs(2);
/// A body is not run any more after this many panics: each prints its input.
const MAX_PANICS: u64 = 10;

/// When a body has done enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// Time for each body.
    Time(Duration),
    /// Inputs of all bodies together, divided by their weights.
    Inputs(u64),
}

pub(crate) struct Campaign {
    pub(crate) seed: u64,
    pub(crate) goal: Goal,
    /// Time after which no body has another turn.
    pub(crate) within: Duration,
    pub(crate) threads: usize,
    /// Folder of additional samples: one folder for each body.
    pub(crate) corpus: Option<PathBuf>,
    /// File that a run leaves and the next one goes on from.
    pub(crate) state: Option<PathBuf>,
}

/// One body with what was done of it.
pub(crate) struct Job {
    pub(crate) body: Body,
    samples: Vec<Vec<u8>>,
    goal_blocks: u64,
    pub(crate) done: Done,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Done {
    blocks: u64,
    pub(crate) inputs: u64,
    pub(crate) panics: u64,
    time: Duration,
}

impl Campaign {
    /// Runs the bodies; returns what was done of each, in the order given.
    pub(crate) fn run(&self, bodies: Vec<Body>) -> Result<Vec<Job>> {
        let weights: u64 = bodies.iter().map(Body::weight).sum();
        let saved = self.load()?;
        let jobs =
            bodies.into_iter().map(|body| self.job(body, weights, &saved)).collect::<Result<Vec<_>>>()?;
        let order: Vec<&str> = jobs.iter().map(|job| job.body.name).collect();
        let mut jobs = self.take_turns(jobs)?;
        jobs.sort_by_key(|job| order.iter().position(|name| *name == job.body.name));
        Ok(jobs)
    }

    fn job(&self, body: Body, weights: u64, saved: &[(String, Done)]) -> Result<Job> {
        let mut samples = read_samples(&body.corpus)?;
        ensure!(!samples.is_empty(), "{}: no samples", body.corpus.display());
        if let Some(folder) =
            self.corpus.as_ref().map(|all| all.join(body.name)).filter(|folder| folder.is_dir())
        {
            samples.extend(read_samples(&folder)?);
        }
        let goal_blocks = match self.goal {
            Goal::Time(_) => u64::MAX,
            Goal::Inputs(all) => {
                let share = u128::from(all) * u128::from(body.weight()) / u128::from(weights.max(1));
                u64::try_from(share).unwrap_or(u64::MAX).div_ceil(BLOCK)
            }
        };
        let done =
            saved.iter().find(|(name, _)| name == body.name).map_or_else(Done::default, |(_, done)| *done);
        Ok(Job { body, samples, goal_blocks, done })
    }

    fn take_turns(&self, jobs: Vec<Job>) -> Result<Vec<Job>> {
        let end = Instant::now() + self.within;
        let table: Mutex<Vec<(&'static str, Done)>> = Mutex::default();
        let (waiting, finished) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(Vec::new()));
        let fault: Mutex<Result<()>> = Mutex::new(Ok(()));
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while let Some(mut job) = locked(&waiting, VecDeque::pop_front) {
                        if !self.is_over(&job) && Instant::now() < end {
                            self.turn(&mut job, end);
                            let saved = locked(&table, |table| self.save(table, &job));
                            locked(&waiting, |queue| queue.push_back(job));
                            saved.unwrap_or_else(|error| locked(&fault, |fault| *fault = Err(error)));
                        } else {
                            locked(&finished, |jobs| jobs.push(job));
                        }
                    }
                });
            }
        });
        locked(&fault, |fault| std::mem::replace(fault, Ok(())))?;
        Ok(locked(&finished, std::mem::take))
    }

    fn is_over(&self, job: &Job) -> bool {
        let is_late = matches!(self.goal, Goal::Time(time) if job.done.time >= time && job.done.inputs > 0);
        is_late || job.done.blocks >= job.goal_blocks || job.done.panics >= MAX_PANICS
    }

    /// Runs blocks until the turn, the body or the campaign is over; the samples first.
    fn turn(&self, job: &mut Job, end: Instant) {
        let (began, before) = (Instant::now(), job.done.time);
        let turn_end = end.min(began + TURN);
        if job.done.inputs == 0 {
            for sample in &job.samples {
                attempt(&job.body, sample, &mut job.done);
            }
        }
        let mut input = Vec::new();
        while !self.is_over(job) && Instant::now() < turn_end {
            let seed = self.seed.wrapping_add(hash(job.body.name)).wrapping_add(job.done.blocks);
            let mut mutator = Mutator::new(seed, &job.samples, structure(job.body.name));
            for _ in 0..BLOCK {
                mutator.input(&mut input);
                attempt(&job.body, &input, &mut job.done);
            }
            job.done.blocks = job.done.blocks.saturating_add(1);
            job.done.time = before.saturating_add(began.elapsed());
        }
    }

    fn load(&self) -> Result<Vec<(String, Done)>> {
        let Some(path) = self.state.as_ref().filter(|path| path.exists()) else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut lines = text.lines();
        let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.parse::<u64>().ok());
        ensure!(
            seed == Some(self.seed),
            "{}: of another seed; name it with --seed, or remove the file",
            path.display()
        );
        let jobs =
            lines.map(|line| line_of_state(line).with_context(|| format!("{}: {line}", path.display())));
        jobs.collect()
    }

    fn save(&self, table: &mut Vec<(&'static str, Done)>, job: &Job) -> Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        table.retain(|(name, _)| *name != job.body.name);
        table.push((job.body.name, job.done));
        // What bodies that had no turn yet did in an earlier run.
        let earlier = self.load()?;
        let untouched = earlier.iter().filter(|(name, _)| table.iter().all(|(known, _)| known != name));
        let lines = untouched.map(|(name, done)| (name.as_str(), *done)).chain(table.iter().copied());
        let mut text = format!("seed {}\n", self.seed);
        for (name, done) in lines {
            let millis = done.time.as_millis();
            text.push_str(&format!("{name} {} {} {} {millis}\n", done.blocks, done.inputs, done.panics));
        }
        let new = path.with_extension("new");
        std::fs::write(&new, text).with_context(|| new.display().to_string())?;
        std::fs::rename(&new, path).with_context(|| path.display().to_string())
    }
}

/// Line of a body in the table.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {}", self.body.name, self.done)
    }
}

/// Sum of all bodies, with the time that they took together.
pub(crate) fn total(jobs: &[Job]) -> Done {
    jobs.iter().fold(Done::default(), |sum, job| Done {
        blocks: sum.blocks.saturating_add(job.done.blocks),
        inputs: sum.inputs.saturating_add(job.done.inputs),
        panics: sum.panics.saturating_add(job.done.panics),
        time: sum.time.saturating_add(job.done.time),
    })
}

pub(crate) const HEADING: &str = "body                        inputs      inputs/s  panics";

/// Inputs, inputs per second of the time that this body ran, panics.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = u128::from(self.inputs) * 1_000 / self.time.as_millis().max(1);
        write!(f, "{:>13} {rate:>13} {:>7}", self.inputs, self.panics)
    }
}

fn line_of_state(line: &str) -> Option<(String, Done)> {
    let mut words = line.split(' ');
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (blocks, inputs, panics) = (number()?, number()?, number()?);
    Some((name, Done { blocks, inputs, panics, time: Duration::from_millis(number()?) }))
}

fn attempt(body: &Body, input: &[u8], done: &mut Done) {
    done.inputs = done.inputs.saturating_add(1);
    if catch_unwind(|| (body.run)(input)).is_err() {
        done.panics = done.panics.saturating_add(1);
        eprintln!("{}: panic at input {}", body.name, hexadecimal(input));
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// FNV-1a: bodies of one seed must not get the same generators.
fn hash(name: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Samples of one body, in the order of their names.
fn read_samples(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(|file| std::fs::read(file).with_context(|| file.display().to_string())).collect()
}

/// No thread panics while it has a lock: those of a body are caught.
fn locked<T, R>(mutex: &Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
    f(&mut mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies;

    fn campaign(goal: Goal) -> Campaign {
        let within = Duration::from_secs(600);
        Campaign { seed: 1, goal, within, threads: 1, corpus: None, state: None }
    }

    fn body(name: &'static str, run: fn(&[u8])) -> Body {
        let corpus = bodies::all().swap_remove(0).corpus;
        Body { target: "t", name, run, corpus }
    }

    #[test]
    fn every_body_has_a_corpus_that_it_survives() {
        for job in campaign(Goal::Time(Duration::ZERO)).run(bodies::all()).unwrap() {
            assert!(job.done.inputs >= 3, "{}: fewer than three samples", job.body.name);
            assert_eq!(job.done.panics, 0);
        }
    }

    #[test]
    fn a_panic_is_counted_and_ends_a_body_only_after_some() {
        let jobs = vec![body("breaks", |bytes| assert!(bytes.is_empty())), body("holds", |_| ())];
        let jobs = campaign(Goal::Inputs(4 * BLOCK)).run(jobs).unwrap();
        let sums: Vec<_> = jobs.iter().map(|job| (job.body.name, job.done.panics)).collect();
        assert!(matches!(sums.as_slice(), [("breaks", MAX_PANICS..), ("holds", 0)]), "{sums:?}");
        assert!(total(&jobs).panics >= MAX_PANICS);
    }

    /// A run that ended early and went on has done what one run does, and a finished one is not repeated.
    #[test]
    fn a_saved_run_goes_on_where_it_was() {
        static SEEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
        let run = |campaign: &Campaign| {
            locked(&SEEN, Vec::clear);
            let jobs = campaign
                .run(vec![body("kept", |bytes| locked(&SEEN, |all| all.push(bytes.to_vec())))])
                .unwrap();
            (locked(&SEEN, std::mem::take), total(&jobs).inputs)
        };
        let folder = tempfile::tempdir().unwrap();
        let mut saved = campaign(Goal::Inputs(4 * BLOCK));
        let (at_once, count) = run(&saved);
        saved.state = Some(folder.path().join("state"));
        saved.goal = Goal::Inputs(BLOCK);
        let (mut in_parts, _) = run(&saved);
        saved.goal = Goal::Inputs(4 * BLOCK);
        in_parts.extend(run(&saved).0);
        assert!(at_once == in_parts && count > 4 * BLOCK, "{count}");
        assert_eq!(run(&saved), (Vec::new(), count));
        saved.seed = 2;
        assert!(saved.run(vec![body("kept", |_| ())]).is_err(), "of another seed");
    }
}
