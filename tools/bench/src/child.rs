//! Runs a program and says what it cost.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A program that takes longer is ended, and that is an error.
const MAX_RUN: Duration = Duration::from_secs(120);

/// What a program cost, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Time on the CPU, in the program and in the kernel for it.
    pub(crate) cpu_ns: u64,
    /// From the moment that it is loaded to its end, by the clock.
    pub(crate) wall_ns: u64,
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

/// `sentinel read FILE` and how to look at it.
pub(crate) fn read(program: &Path, file: &Path, view: &str) -> Command {
    let mut command = sentinel(program);
    command.arg("read").arg(file).arg(view);
    command
}

/// Runs `command` with its output thrown away.
pub(crate) fn cost(command: &mut Command) -> Result<Cost> {
    let name = format!("{command:?}");
    // SAFETY: between fork and exec only ptrace is called, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(|| trace(libc::PTRACE_TRACEME, 0, 0)) };
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    watched(child).with_context(|| name)
}

fn watched(mut child: Child) -> Result<Cost> {
    let pid = libc::pid_t::try_from(child.id())?;
    let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let (done, is_done) = mpsc::channel::<()>();
    let guard = thread::spawn(move || end_late(&handle, &is_done));
    let followed = follow(pid);
    drop(done);
    // Already waited for: this only tells the standard library so.
    let _already_gone = child.try_wait();
    let was_late = guard.join().unwrap_or(false);
    ensure!(!was_late, "took longer than {MAX_RUN:?}");
    let Followed { status, usage, peak_rss_kib, took } = followed?;
    ensure!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "failed: status {status}");
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Ok(Cost {
        cpu_ns: (micros(usage.ru_utime) + micros(usage.ru_stime)) * 1_000,
        wall_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        peak_rss_kib,
    })
}

/// Ends the program if nobody says in time that it has ended. Says whether that was so.
fn end_late(process: &OwnedFd, is_done: &mpsc::Receiver<()>) -> bool {
    let is_late = is_done.recv_timeout(MAX_RUN) == Err(mpsc::RecvTimeoutError::Timeout);
    if is_late {
        let _already_gone = pidfd_send_signal(process, Signal::KILL);
    }
    is_late
}

/// A child that has ended.
struct Followed {
    status: i32,
    usage: libc::rusage,
    peak_rss_kib: u64,
    took: Duration,
}

/// Waits for one child, which is traced from its start.
///
/// It stops twice: when the program is loaded, which is when its time begins, because what comes before is a copy of
/// ourselves; and at its end, when its peak of memory is read from `/proc`. The peak in `rusage` would not do: it begins with
/// the memory of whoever started the program, so that a small program would be as large as this one.
fn follow(pid: libc::pid_t) -> io::Result<Followed> {
    let mut peak_rss_kib = 0;
    let mut begin = None;
    loop {
        let (status, usage) = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            let took = begin.map_or(Duration::ZERO, |begin: Instant| begin.elapsed());
            return Ok(Followed { status, usage, peak_rss_kib, took });
        }
        let signal = match status >> 16 {
            0 if begin.is_none() && libc::WSTOPSIG(status) == libc::SIGTRAP => {
                trace(libc::PTRACE_SETOPTIONS, pid, libc::PTRACE_O_TRACEEXIT.into())?;
                begin = Some(Instant::now());
                0
            }
            0 => libc::WSTOPSIG(status),
            event => {
                if event == libc::PTRACE_EVENT_EXIT {
                    peak_rss_kib = peak(pid).unwrap_or(0);
                }
                0
            }
        };
        let _already_gone = trace(libc::PTRACE_CONT, pid, signal.into());
    }
}

fn peak(pid: libc::pid_t) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// One request, whose only argument is a number.
fn trace(request: libc::c_uint, pid: libc::pid_t, argument: libc::c_long) -> io::Result<()> {
    // SAFETY: none of the requests that are made here has the kernel write to memory of ours: the address is not used, and
    // the data is a number.
    let result = unsafe { libc::ptrace(request, pid, 0_usize, argument) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for one child and gets its own usage, which the standard library does not hand over.
fn wait(pid: libc::pid_t) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: a rusage is made of integers, for which all zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the types that wait4 writes.
    // JUSTIFICATION: RUSAGE_CHILDREN adds up all children.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited == pid { Ok((status, usage)) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_its_own_peak_and_not_ours() {
        // More than any shell takes, and touched.
        let ours = vec![1_u8; 64 << 20];
        let small = cost(Command::new("sh").args(["-c", "exit 0"])).unwrap();
        assert!(small.peak_rss_kib > 100 && small.peak_rss_kib < 16_384, "{small:?}, beside {}", ours.len());
        assert!(small.wall_ns > 0);
    }

    #[test]
    fn a_failure_is_told() {
        assert!(cost(Command::new("sh").args(["-c", "exit 3"])).is_err());
        assert!(cost(&mut Command::new("/no/such/program")).is_err());
    }
}
