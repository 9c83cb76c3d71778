//! Receivers on the wire: the bare ring reader, or the sensor.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::namespace::{LISTEN, Namespace};
use crate::child;

/// Time within which a receiver must have counted every frame that was sent.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Frame counters of a receiver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct FrameCounts {
    /// Frames that reached the ring.
    pub(crate) seen: u64,
    /// Frames that were dropped because the ring was full.
    pub(crate) dropped: u64,
    /// Frames that the receiver has taken out of the ring.
    pub(crate) taken: u64,
}

impl FrameCounts {
    /// Increase since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            taken: self.taken.saturating_sub(earlier.taken),
        }
    }

    /// Returns true if no frame is left in the ring.
    pub(crate) fn add_up(self) -> bool {
        self.seen == self.taken + self.dropped
    }
}

/// Receiver process, killed when dropped.
pub(crate) struct Receiver {
    process: Child,
    kind: Kind,
    /// Time from its start until it reports that it captures.
    pub(crate) start: Duration,
}

enum Kind {
    /// `bench count-ring`: answers each line with its counters.
    Bare { requests: ChildStdin, answers: Lines<BufReader<ChildStdout>> },
    /// `sentinel run`, whose counters `sentinel status` reads. Its standard error stays open, so that it does not write into a closed
    /// pipe.
    Sensor { command: Box<Command>, _messages: Lines<BufReader<ChildStderr>>, _flags: Flags },
}

/// Ring of the bare reader, with the sensor's default snap length and block timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingSize {
    pub(crate) ring_kib: u32,
    pub(crate) snap_bytes: u32,
    pub(crate) block_timeout: Duration,
}

/// Settings on the command line, and the directories that they name.
struct Flags {
    words: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Flags {
    fn new(settings: &[(&str, String)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let own =
            ["state_dir", "run_dir"].map(|name| format!("{name}={}", directory.path().join(name).display()));
        // Every alert is measured.
        let unlimited = std::iter::once("alert_daily_messages=0".to_owned());
        let given = settings.iter().map(|(name, value)| format!("{name}={value}")).chain(unlimited);
        let words = given.chain(own).flat_map(|assignment| ["--set".to_owned(), assignment]).collect();
        Ok(Self { words, _directory: directory })
    }
}

/// Command for `sentinel` in the namespace, without settings from the environment.
fn sentinel_in(sentinel: &Path, namespace: &Namespace, cpu: Option<usize>) -> Command {
    let plain = child::sentinel(sentinel);
    let mut command = namespace.command_on(cpu, plain.get_program());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    command.args(plain.get_args());
    command
}

impl Receiver {
    /// Starts `bench count-ring`.
    pub(crate) fn bare(namespace: &Namespace, size: RingSize, cpu: Option<usize>) -> Result<Self> {
        let bench = std::env::current_exe().context("path of the running program")?;
        let mut command = namespace.command_on(cpu, &bench);
        command.args(["count-ring", LISTEN]);
        command.args([size.ring_kib.to_string(), size.snap_bytes.to_string()]);
        command.arg(size.block_timeout.as_millis().to_string());
        let begin = Instant::now();
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = process.stdin.take().context("no standard input")?;
        let mut answers = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let first = answers.next().context("count-ring ended")??;
        ensure!(first == "ready", "count-ring: {first}");
        Ok(Self { process, kind: Kind::Bare { requests, answers }, start: begin.elapsed() })
    }

    /// Starts `sentinel run` with these settings, and waits until it reports that it captures.
    pub(crate) fn sensor(
        sentinel: &Path,
        namespace: &Namespace,
        settings: &[(&str, String)],
        cpu: Option<usize>,
    ) -> Result<Self> {
        Self::run(sentinel, namespace, Flags::new(settings)?, cpu)
    }

    /// Starts `sentinel run`, enrolled at the collector of this token.
    pub(crate) fn enrolled(
        sentinel: &Path,
        namespace: &Namespace,
        settings: &[(&str, String)],
        token: &str,
    ) -> Result<Self> {
        let flags = Flags::new(settings)?;
        let output =
            sentinel_in(sentinel, namespace, None).args(["enroll", token]).args(&flags.words).output()?;
        ensure!(output.status.success(), "enrolling: {}", String::from_utf8_lossy(&output.stderr).trim());
        Self::run(sentinel, namespace, flags, None)
    }

    fn run(sentinel: &Path, namespace: &Namespace, flags: Flags, cpu: Option<usize>) -> Result<Self> {
        let mut command = sentinel_in(sentinel, namespace, cpu);
        command.args(["run", "-i", LISTEN]).args(&flags.words);
        let begin = Instant::now();
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut messages = BufReader::new(process.stderr.take().context("no standard error")?).lines();
        let mut logged = String::new();
        loop {
            let Some(line) = messages.next() else { bail!("sentinel run: {logged}") };
            let line = line?;
            if line.contains("capturing on") {
                break;
            }
            logged.push_str(&line);
        }
        let start = begin.elapsed();
        let mut command = child::sentinel(sentinel);
        command.args(["status", "--json"]).args(&flags.words);
        let kind = Kind::Sensor { command: Box::new(command), _messages: messages, _flags: flags };
        Ok(Self { process, kind, start })
    }

    /// Current counters. The sensor reads those of the kernel once a second, so its counters are up to a second old.
    pub(crate) fn counts(&mut self) -> Result<FrameCounts> {
        match &mut self.kind {
            Kind::Bare { requests, answers } => {
                requests.write_all(b"\n")?;
                let answer: Value = serde_json::from_str(&answers.next().context("count-ring ended")??)?;
                let number = |name: &str| answer.get(name).and_then(Value::as_u64).context("no number");
                Ok(FrameCounts {
                    seen: number("seen")?,
                    dropped: number("dropped")?,
                    taken: number("taken")?,
                })
            }
            Kind::Sensor { command, .. } => {
                let output = command.output()?;
                let status: Value = serde_json::from_slice(&output.stdout)
                    .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
                let frames = |name: &str| status.pointer(&format!("/frames/{name}")).and_then(Value::as_u64);
                let number =
                    |name: &str| frames(name).with_context(|| format!("status without frames.{name}"));
                Ok(FrameCounts {
                    seen: number("seen")?,
                    dropped: number("dropped")?,
                    taken: number("analysed")? + number("filtered")?,
                })
            }
        }
    }

    /// Waits until it has counted `sent` frames since `before`, or its counters no longer change, because frames can be lost
    /// before the ring. Returns the increase since `before`.
    pub(crate) fn wait_for(&mut self, before: FrameCounts, sent: u64) -> Result<FrameCounts> {
        /// Longer than the second by which the sensor's counters may be late.
        const UNCHANGED: Duration = Duration::from_millis(1_300);
        const INTERVAL: Duration = Duration::from_millis(50);
        let begin = Instant::now();
        let (mut last, mut since) = (FrameCounts::default(), begin);
        loop {
            let counts = self.counts()?.since(before);
            if counts.seen >= sent && counts.add_up() {
                return Ok(counts);
            }
            if counts != last {
                (last, since) = (counts, Instant::now());
            } else if since.elapsed() >= UNCHANGED {
                return Ok(counts);
            }
            ensure!(begin.elapsed() < COUNT_TIMEOUT, "{sent} frames sent, the receiver counts {counts:?}");
            thread::sleep(INTERVAL);
        }
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let cpu_ns = text.split_whitespace().next().context("empty schedstat")?;
            sum += cpu_ns.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Resident memory, from `smaps_rollup` and `status` in `/proc`.
    pub(crate) fn resident(&self) -> Result<Resident> {
        let path = format!("/proc/{}/smaps_rollup", self.process.id());
        let text = fs::read_to_string(&path).with_context(|| path)?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let number = |text: &str, name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let first = line.and_then(|value| value.split_whitespace().next());
            first.with_context(|| format!("no {name}"))?.parse().map_err(Into::into)
        };
        Ok(Resident {
            all_kib: number(&text, "Rss")?,
            anonymous_kib: number(&text, "Anonymous")?,
            file_kib: number(&status, "RssFile")?,
            shared_kib: number(&status, "RssShmem")?,
            peak_kib: number(&status, "VmHWM")?,
        })
    }
}

/// Resident memory: total, anonymous, of mapped files (program and ring) and shared; and the peak since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Resident {
    pub(crate) all_kib: u64,
    pub(crate) anonymous_kib: u64,
    pub(crate) file_kib: u64,
    pub(crate) shared_kib: u64,
    pub(crate) peak_kib: u64,
}

impl Resident {
    /// Memory that the system cannot reclaim; pages of files can be read again.
    pub(crate) const fn own_kib(self) -> u64 {
        self.anonymous_kib + self.shared_kib
    }

    /// Higher value of each field.
    pub(crate) fn highest(self, other: Self) -> Self {
        Self {
            all_kib: self.all_kib.max(other.all_kib),
            anonymous_kib: self.anonymous_kib.max(other.anonymous_kib),
            file_kib: self.file_kib.max(other.file_kib),
            shared_kib: self.shared_kib.max(other.shared_kib),
            peak_kib: self.peak_kib.max(other.peak_kib),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _already_exited = self.process.kill();
        let _already_reaped = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_subtracted_field_by_field() {
        let before = FrameCounts { seen: 10, dropped: 1, taken: 9 };
        let now = FrameCounts { seen: 30, dropped: 4, taken: 25 };
        assert_eq!(now.since(before), FrameCounts { seen: 20, dropped: 3, taken: 16 });
        assert!(before.add_up() && !now.add_up());
    }
}
