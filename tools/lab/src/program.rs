//! Process with its output in files, ended by its process id.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Running program. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    ended: Option<ExitStatus>,
}

impl Program {
    /// Starts `command` with its output appended to `STEM.out` and `STEM.err`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command, stem: &Path) -> Result<Self> {
        let (output, errors) = (stem.with_extension("out"), stem.with_extension("err"));
        let append = |path: &Path| {
            File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
        };
        command.stdout(append(&output)?).stderr(append(&errors)?);
        Self::spawn(command, output, errors)
    }

    /// Starts `command` with the standard output and error of this process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start_on_terminal(command: Command) -> Result<Self> {
        Self::spawn(command, PathBuf::new(), PathBuf::new())
    }

    fn spawn(mut command: Command, output: PathBuf, errors: PathBuf) -> Result<Self> {
        // A process group of its own: Ctrl+C on the terminal reaches only this process, which ends its children in order.
        command.stdin(Stdio::null()).process_group(0);
        let child =
            without_settings(&mut command).spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, output, errors, ended: None })
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn output(&self) -> Result<String> {
        fs::read_to_string(&self.output).with_context(|| self.output.display().to_string())
    }

    /// Standard error so far, of this program and of those before it with the same stem.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn errors(&self) -> Result<String> {
        fs::read_to_string(&self.errors).with_context(|| self.errors.display().to_string())
    }

    /// Returns true if it still runs.
    ///
    /// # Errors
    /// The error of the kernel.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended.is_none())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running()? {
            bail!("process {} has ended: {:?}; its messages: {}", self.id(), self.ended, self.errors()?);
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signal to process {}", self.id()))
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// If it does not end within `timeout`.
    pub fn end(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("end of process {}", self.id());
        wait::until(&what, timeout, || {
            self.is_running()?;
            Ok(self.ended)
        })
    }

    /// Ends it by SIGTERM, as an operator does, and expects exit status 0.
    ///
    /// # Errors
    /// If it has ended before, does not end within `timeout`, or fails.
    pub fn terminate(&mut self, timeout: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.end(timeout)?;
        if !status.success() {
            bail!("process {} ended with {status}: {}", self.id(), self.errors().unwrap_or_default());
        }
        Ok(())
    }

    /// Ends it by SIGKILL, without a chance to write, as a power cut does.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.end(wait::WAIT_TIMEOUT).map(drop)
    }

    /// Resident memory and its peak, in KiB.
    ///
    /// # Errors
    /// If it has ended.
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
            let _already_exited = self.child.kill();
            let _already_reaped = self.child.wait();
        }
    }
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// If it cannot be started, or fails; then with its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = without_settings(command)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{}: is it installed?", command.get_program().display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Removes settings of the sensor from the environment, so that those of the caller do not change the test.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
    command
}
