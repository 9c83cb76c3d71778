//! Wires and files of one experiment.

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

/// One experiment: a network, a directory, the programs. All of it goes when dropped.
#[derive(Debug)]
pub struct Lab {
    /// The wires.
    pub network: Network,
    /// The programs.
    pub binaries: Binaries,
    directory: TempDir,
    _turn: File,
}

impl Lab {
    /// Builds the network. Waits while another lab exists on this machine; deletes what a killed one left behind.
    ///
    /// # Errors
    /// What keeps it from being built; see [`impossible`].
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let binaries = Binaries::locate()?;
        let turn = take_turn()?;
        Namespace::names().iter().filter(|name| is_left_behind(name)).for_each(|name| {
            Namespace::delete_left_behind(name);
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Network::build(&format!("{PREFIX}{}-{number}", process::id()))?;
        let directory = TempDir::with_prefix(PREFIX).context("a temporary directory")?;
        Ok(Self { network, binaries, directory, _turn: turn })
    }

    /// Where files of this experiment lie.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", last_words(self.directory.path()));
        }
    }
}

/// Does `work` in a lab of its own. Where none can be built it says `skipped: ` and why, and that is no failure.
///
/// # Errors
/// What `work` says, after the end of what every program has said.
pub fn experiment(work: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    if let Some(reason) = impossible() {
        // Not with a macro: the test harness would keep it for itself.
        writeln!(io::stderr(), "skipped: {reason}")?;
        return Ok(());
    }
    let lab = Lab::new()?;
    work(&lab).inspect_err(|_| eprintln!("{}", last_words(lab.directory.path())))
}

/// Why no lab can be built here, if so.
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

/// Begins the name of every namespace.
const PREFIX: &str = "sentinel-lab-";

fn is_left_behind(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

fn take_turn() -> Result<File> {
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

/// The end of what every program said.
fn last_words(directory: &Path) -> String {
    const LINES: usize = 15;
    let mut text = String::new();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|is| is == "err" || is == "out")) {
        let said = fs::read(path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().collect();
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
    fn only_namespaces_of_ended_labs_are_left_behind() {
        assert!(!is_left_behind(&format!("{PREFIX}{}-0-router", process::id())));
        assert!(!is_left_behind("router"));
        assert!(!is_left_behind("sentinel-lab-router"));
        assert!(is_left_behind("sentinel-lab-4294967295-0-router"), "no process has this number");
    }

    #[test]
    fn last_words_are_the_last_lines_of_each_program() {
        let directory = tempfile::tempdir().unwrap();
        let lines: String = (0..40).map(|line| format!("line {line}\n")).collect();
        fs::write(directory.path().join("sensor.err"), lines).unwrap();
        fs::write(directory.path().join("empty.out"), "").unwrap();
        let words = last_words(directory.path());
        assert!(words.starts_with("--- sensor.err\nline 25\n") && words.ends_with("line 39\n"), "{words}");
    }
}
