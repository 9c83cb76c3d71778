//! One process, its output in files, its end by its process id.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A program that runs until it ends or is ended. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    ended: Option<ExitStatus>,
}

impl Program {
    /// Starts `command` with its output in `STEM.out` and `STEM.err`, appended to what is there.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn start(mut command: Command, stem: &Path) -> Result<Self> {
        let (output, errors) = (stem.with_extension("out"), stem.with_extension("err"));
        let append = |path: &Path| {
            File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
        };
        command.stdout(append(&output)?).stderr(append(&errors)?);
        Self::start_as_it_is(command, output, errors)
    }

    /// Starts `command`, whose output goes where that of this process goes.
    ///
    /// # Errors
    /// That it cannot be started.
    pub(crate) fn start_on_terminal(command: Command) -> Result<Self> {
        Self::start_as_it_is(command, PathBuf::new(), PathBuf::new())
    }

    fn start_as_it_is(mut command: Command, output: PathBuf, errors: PathBuf) -> Result<Self> {
        // A group of its own: Ctrl+C on the terminal reaches only us, and we end what we started in order.
        command.stdin(Stdio::null()).process_group(0);
        let child = own_environment(&mut command).spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, output, errors, ended: None })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    ///
    /// # Errors
    /// That the file cannot be read.
    pub fn output(&self) -> Result<String> {
        fs::read_to_string(&self.output).with_context(|| self.output.display().to_string())
    }

    /// What it, and those before it with the same stem, have written to standard error so far.
    ///
    /// # Errors
    /// That the file cannot be read.
    pub fn errors(&self) -> Result<String> {
        fs::read_to_string(&self.errors).with_context(|| self.errors.display().to_string())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// That the kernel does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended.is_none())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// That it has ended before.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running()? {
            bail!("process {} has ended: {:?}; it said: {}", self.id(), self.ended, self.errors()?);
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signal to process {}", self.id()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// That it does not end in time.
    pub fn end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("end of process {}", self.id());
        wait::until(&what, patience, || {
            self.is_running()?;
            Ok(self.ended)
        })
    }

    /// Ends it as an operator does, by SIGTERM, and expects success.
    ///
    /// # Errors
    /// That it has ended before, does not end in time, or reports a failure.
    pub fn terminate(&mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.end(patience)?;
        if !status.success() {
            bail!("process {} ended with {status}: {}", self.id(), self.errors().unwrap_or_default());
        }
        Ok(())
    }

    /// Ends it as a power cut does, by SIGKILL.
    ///
    /// # Errors
    /// That it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.end(wait::WAIT_TIMEOUT).map(drop)
    }

    /// Resident memory in KiB, and the highest there was.
    ///
    /// # Errors
    /// That it has ended.
    pub fn resident_kib(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(&path).context(path)?;
        let value = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        value("VmRSS:").zip(value("VmHWM:")).context("no memory in /proc: the process has ended")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.is_running(), Ok(true)) {
            let _gone_in_between = self.child.kill();
            let _no_zombie = self.child.wait();
        }
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// That it cannot be started, or its message if it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = own_environment(command)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{}: is it installed?", command.get_program().display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Settings in the environment of whoever runs the lab must not change what is tested.
fn own_environment(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
    command
}
