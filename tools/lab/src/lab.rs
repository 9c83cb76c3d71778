//! Lab: network, directory and programs of one experiment.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::binaries::Binaries;
use crate::namespace::Namespace;
use crate::network::Network;

/// Network, directory and programs of one experiment. Network and directory are deleted when it is dropped.
#[derive(Debug)]
pub struct Lab {
    /// Network namespaces.
    pub network: Network,
    /// Programs under test.
    pub binaries: Binaries,
    directory: TempDir,
    /// Lock file: one lab at a time on a machine.
    _machine_lock: File,
}

impl Lab {
    /// Builds the network. Waits while another lab exists on this machine; deletes the namespaces of labs that were killed.
    ///
    /// # Errors
    /// The reason why it cannot be built; see [`impossible`].
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let binaries = Binaries::locate()?;
        let machine_lock = lock_machine()?;
        Namespace::names().iter().filter(|name| is_orphaned(name)).for_each(|name| {
            Namespace::delete_orphaned(name);
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Network::build(&format!("{PREFIX}{}-{number}", process::id()))?;
        let directory = TempDir::with_prefix(PREFIX).context("a temporary directory")?;
        Ok(Self { network, binaries, directory, _machine_lock: machine_lock })
    }

    /// Path of a file of this experiment.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", last_lines(self.directory.path()));
        }
    }
}

/// Runs `work` in a lab of its own. Where none can be built it prints `skipped: ` with the reason and succeeds.
///
/// # Errors
/// The error of `work`; the last lines of every program's output are printed before.
pub fn experiment(work: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    if let Some(reason) = impossible() {
        // Written directly: the test harness captures the output of macros.
        writeln!(io::stderr(), "skipped: {reason}")?;
        return Ok(());
    }
    let lab = Lab::new()?;
    work(&lab).inspect_err(|_| eprintln!("{}", last_lines(lab.directory.path())))
}

/// Reason why no lab can be built here; `None` if one can.
#[must_use]
pub fn impossible() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces need root");
    }
    let mut unshare = process::Command::new("unshare");
    match crate::program::run(unshare.args(["--net", "true"])) {
        Ok(_) => None,
        Err(_) => Some("this kernel or container gives no network namespaces"),
    }
}

/// Prefix of the name of every namespace.
const PREFIX: &str = "sentinel-lab-";

/// Returns true if the process that created this namespace has ended.
fn is_orphaned(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

/// Waits until no other lab exists on this machine.
fn lock_machine() -> Result<File> {
    let path = std::env::temp_dir().join("sentinel-lab.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another lab on this machine to end"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| path.display().to_string()),
    }
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Last lines of every program's output.
fn last_lines(directory: &Path) -> String {
    const LINES: usize = 15;
    let mut text = String::new();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|is| is == "err" || is == "out")) {
        let output = fs::read(path).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<_> = output.lines().collect();
        if !lines.is_empty() {
            let name = path.file_name().unwrap_or_default().display();
            let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
            text.push_str(&format!("--- {name}\n{}\n", tail.join("\n")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_ended_labs_are_orphaned() {
        assert!(!is_orphaned(&format!("{PREFIX}{}-0-router", process::id())));
        assert!(!is_orphaned("router"));
        assert!(!is_orphaned("sentinel-lab-router"));
        assert!(is_orphaned("sentinel-lab-4294967295-0-router"), "no process has this number");
    }

    #[test]
    fn the_last_lines_of_each_program_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let lines: String = (0..40).map(|line| format!("line {line}\n")).collect();
        fs::write(directory.path().join("sensor.err"), lines).unwrap();
        fs::write(directory.path().join("empty.out"), "").unwrap();
        let text = last_lines(directory.path());
        assert!(text.starts_with("--- sensor.err\nline 25\n") && text.ends_with("line 39\n"), "{text}");
    }
}
