//! Who listens on the wire: the bare ring reader, or the sensor.

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

/// How long a receiver may take to tell of every frame that was sent.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of the frames, as a receiver tells it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Books {
    /// Those that came to the ring.
    pub(crate) seen: u64,
    /// Those that found no room in it.
    pub(crate) dropped: u64,
    /// Those that were taken out of it.
    pub(crate) taken: u64,
}

impl Books {
    /// What was added since.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            taken: self.taken.saturating_sub(earlier.taken),
        }
    }

    /// Nothing is in between.
    pub(crate) fn balance(self) -> bool {
        self.seen == self.taken + self.dropped
    }
}

/// A process, and how to ask it.
pub(crate) struct Receiver {
    process: Child,
    kind: Kind,
    /// From starting it to its saying that it captures.
    pub(crate) start: Duration,
}

enum Kind {
    Bare {
        questions: ChildStdin,
        answers: Lines<BufReader<ChildStdout>>,
    },
    /// Its messages are kept open: it would else write into a closed pipe.
    Sensor {
        command: Box<Command>,
        _messages: Lines<BufReader<ChildStderr>>,
        _flags: Flags,
    },
}

/// What the bare reader is given: the same as the sensor has by default.
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
        let given = settings.iter().map(|(name, value)| format!("{name}={value}"));
        let words = given.chain(own).flat_map(|assignment| ["--set".to_owned(), assignment]).collect();
        Ok(Self { words, _directory: directory })
    }
}

/// The program in the namespace, without settings from the environment.
fn home_net(sentinel: &Path, namespace: &Namespace, cpu: Option<usize>) -> Command {
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
        let bench = std::env::current_exe().context("where am I?")?;
        let mut command = namespace.command_on(cpu, &bench);
        command.args(["count-ring", LISTEN]);
        command.args([size.ring_kib.to_string(), size.snap_bytes.to_string()]);
        command.arg(size.block_timeout.as_millis().to_string());
        let begin = Instant::now();
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = process.stdin.take().context("no standard input")?;
        let mut answers = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let said = answers.next().context("count-ring ended")??;
        ensure!(said == "ready", "count-ring: {said}");
        Ok(Self { process, kind: Kind::Bare { questions, answers }, start: begin.elapsed() })
    }

    /// Starts `sentinel run` with these settings, and waits until it says that it captures.
    pub(crate) fn sensor(
        sentinel: &Path,
        namespace: &Namespace,
        settings: &[(&str, String)],
        cpu: Option<usize>,
    ) -> Result<Self> {
        Self::run(sentinel, namespace, Flags::new(settings)?, cpu)
    }

    /// The same, known to the collector of this token.
    pub(crate) fn enrolled(
        sentinel: &Path,
        namespace: &Namespace,
        settings: &[(&str, String)],
        token: &str,
    ) -> Result<Self> {
        let flags = Flags::new(settings)?;
        let output =
            home_net(sentinel, namespace, None).args(["enroll", token]).args(&flags.words).output()?;
        ensure!(output.status.success(), "enrolling: {}", String::from_utf8_lossy(&output.stderr).trim());
        Self::run(sentinel, namespace, flags, None)
    }

    fn run(sentinel: &Path, namespace: &Namespace, flags: Flags, cpu: Option<usize>) -> Result<Self> {
        let mut command = home_net(sentinel, namespace, cpu);
        command.args(["run", "-i", LISTEN]).args(&flags.words);
        let begin = Instant::now();
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut messages = BufReader::new(process.stderr.take().context("no standard error")?).lines();
        let mut said = String::new();
        loop {
            let Some(line) = messages.next() else { bail!("sentinel run: {said}") };
            let line = line?;
            if line.contains("capturing on") {
                break;
            }
            said.push_str(&line);
        }
        let start = begin.elapsed();
        let mut command = child::sentinel(sentinel);
        command.args(["status", "--json"]).args(&flags.words);
        let kind = Kind::Sensor { command: Box::new(command), _messages: messages, _flags: flags };
        Ok(Self { process, kind, start })
    }

    /// What it tells now. The sensor asks the kernel once a second: until then it knows of fewer.
    pub(crate) fn books(&mut self) -> Result<Books> {
        match &mut self.kind {
            Kind::Bare { questions, answers } => {
                questions.write_all(b"\n")?;
                let answer: Value = serde_json::from_str(&answers.next().context("count-ring ended")??)?;
                let number = |name: &str| answer.get(name).and_then(Value::as_u64).context("no number");
                Ok(Books { seen: number("seen")?, dropped: number("dropped")?, taken: number("taken")? })
            }
            Kind::Sensor { command, .. } => {
                let output = command.output()?;
                let status: Value = serde_json::from_slice(&output.stdout)
                    .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
                let frames = |name: &str| status.pointer(&format!("/frames/{name}")).and_then(Value::as_u64);
                let number =
                    |name: &str| frames(name).with_context(|| format!("status without frames.{name}"));
                Ok(Books {
                    seen: number("seen")?,
                    dropped: number("dropped")?,
                    taken: number("analysed")? + number("filtered")?,
                })
            }
        }
    }

    /// Waits until it tells of `sent` frames since `before`, or nothing changes any more: frames may be lost on the way.
    pub(crate) fn settled(&mut self, before: Books, sent: u64) -> Result<Books> {
        /// The sensor's books are a second old at most.
        const UNCHANGED: Duration = Duration::from_millis(1_300);
        const PAUSE: Duration = Duration::from_millis(50);
        let begin = Instant::now();
        let (mut last, mut since) = (Books::default(), begin);
        loop {
            let books = self.books()?.since(before);
            if books.seen >= sent && books.balance() {
                return Ok(books);
            }
            if books != last {
                (last, since) = (books, Instant::now());
            } else if since.elapsed() >= UNCHANGED {
                return Ok(books);
            }
            ensure!(begin.elapsed() < WAIT_TIMEOUT, "of {sent} frames sent the receiver tells {books:?}");
            thread::sleep(PAUSE);
        }
    }

    /// Time on the CPU so far, of all its threads, to the nanosecond.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let ran = text.split_whitespace().next().context("empty schedstat")?;
            sum += ran.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// A line of its `smaps_rollup`, in KiB: `Rss`, `Anonymous`, ...
    pub(crate) fn resident(&self) -> Result<Resident> {
        let path = format!("/proc/{}/smaps_rollup", self.process.id());
        let text = fs::read_to_string(&path).with_context(|| path)?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let number = |text: &str, name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let first = line.and_then(|rest| rest.split_whitespace().next());
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

/// Resident memory, all of it and its parts: own, of files (program and ring), shared; and the most there ever was, for
/// however short.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Resident {
    pub(crate) all_kib: u64,
    pub(crate) anonymous_kib: u64,
    pub(crate) file_kib: u64,
    pub(crate) shared_kib: u64,
    pub(crate) peak_kib: u64,
}

impl Resident {
    /// What the system cannot take back: pages of files it can read again.
    pub(crate) const fn own_kib(self) -> u64 {
        self.anonymous_kib + self.shared_kib
    }

    /// The higher of each.
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
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_are_taken_from_where_they_were() {
        let before = Books { seen: 10, dropped: 1, taken: 9 };
        let now = Books { seen: 30, dropped: 4, taken: 25 };
        assert_eq!(now.since(before), Books { seen: 20, dropped: 3, taken: 16 });
        assert!(before.balance() && !now.balance());
    }
}
