//! Runs a program and says what it cost.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What a program cost, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Time on the CPU, in the program and in the kernel for it.
    pub(crate) cpu_ns: u64,
    /// The most memory that was resident.
    pub(crate) peak_rss_kib: u64,
}

/// `sentinel` with default settings, whatever this machine has configured.
pub(crate) fn sentinel(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
    command.args(["--config", "/dev/null"]);
    command
}

/// `sentinel read FILE --alerts`.
pub(crate) fn read(program: &Path, file: &Path) -> Command {
    let mut command = sentinel(program);
    command.arg("read").arg(file).arg("--alerts");
    command
}

/// Runs `command` with its output thrown away.
pub(crate) fn cost(command: &mut Command) -> Result<Cost> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let (status, usage) = wait(child.id()).with_context(|| format!("waiting for {name}"))?;
    // Already waited for: this only tells the standard library so.
    let _already_gone = child.try_wait();
    ensure!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{name} failed: status {status}");
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Ok(Cost {
        cpu_ns: (micros(usage.ru_utime) + micros(usage.ru_stime)) * 1_000,
        peak_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

/// The cheapest of several runs, in time.
pub(crate) fn best(repeat: u32, mut command: impl FnMut() -> Command) -> Result<Cost> {
    let mut best = cost(&mut command())?;
    for _ in 1..repeat {
        let now = cost(&mut command())?;
        let peak_rss_kib = best.peak_rss_kib.max(now.peak_rss_kib);
        best = Cost { cpu_ns: best.cpu_ns.min(now.cpu_ns), peak_rss_kib };
    }
    Ok(best)
}

/// Waits for one child and gets its own usage, which the standard library does not hand over.
fn wait(pid: u32) -> io::Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: a rusage is made of integers, for which all zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the types that wait4 writes.
    // JUSTIFICATION: RUSAGE_CHILDREN adds up all children, and its peak is that of the largest so far.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited == pid { Ok((status, usage)) } else { Err(io::Error::last_os_error()) }
}
