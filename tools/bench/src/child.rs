//! Cost of a program: CPU time, run time and peak memory, measured with ptrace and wait4.

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

/// Run time after which a program is killed and its measurement fails.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// Cost of a program, from the moment it is loaded to its exit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time, user and kernel.
    pub(crate) cpu_ns: u64,
    /// Run time.
    pub(crate) wall_ns: u64,
    /// Peak resident memory.
    pub(crate) peak_rss_kib: u64,
}

/// Command for `sentinel` with default settings: neither this machine's file nor its environment is read.
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

/// Command `sentinel read FILE VIEW`.
pub(crate) fn read(program: &Path, file: &Path, view: &str) -> Command {
    let mut command = sentinel(program);
    command.arg("read").arg(file).arg(view);
    command
}

/// Runs `command` with its output discarded.
#[expect(unsafe_code, reason = "pre_exec is the only way to have a child traced from its start")]
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
    measured(child).with_context(|| name)
}

/// Waits for the child, or kills it after [`RUN_TIMEOUT`].
fn measured(mut child: Child) -> Result<Cost> {
    let pid = libc::pid_t::try_from(child.id())?;
    let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let (done, is_done) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || kill_after_timeout(&handle, &is_done));
    let exit = trace_to_exit(pid);
    drop(done);
    // The child was reaped above; try_wait records that in the standard library's handle.
    let _reaped = child.try_wait();
    let was_killed = watchdog.join().unwrap_or(false);
    ensure!(!was_killed, "took longer than {RUN_TIMEOUT:?}");
    let Exit { status, usage, peak_rss_kib, took } = exit?;
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

/// Kills the process if `is_done` is not disconnected within [`RUN_TIMEOUT`]. Returns true if it did.
fn kill_after_timeout(process: &OwnedFd, is_done: &mpsc::Receiver<()>) -> bool {
    let is_late = is_done.recv_timeout(RUN_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout);
    if is_late {
        let _already_gone = pidfd_send_signal(process, Signal::KILL);
    }
    is_late
}

/// Exit of a traced child.
struct Exit {
    status: i32,
    usage: libc::rusage,
    peak_rss_kib: u64,
    took: Duration,
}

/// Traces one child from its start to its exit.
///
/// The child stops twice: when the program is loaded, where its run time begins because until then it is a copy of this
/// process; and before it exits, where its peak of memory is read from `/proc`. The peak in `rusage` is not used: it begins
/// with the memory of the parent, so a small program would appear as large as this one.
fn trace_to_exit(pid: libc::pid_t) -> io::Result<Exit> {
    let mut peak_rss_kib = 0;
    let mut begin = None;
    loop {
        let (status, usage) = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            let took = begin.map_or(Duration::ZERO, |begin: Instant| begin.elapsed());
            return Ok(Exit { status, usage, peak_rss_kib, took });
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

/// Peak resident memory in KiB, `VmHWM` in `/proc`.
fn peak(pid: libc::pid_t) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Makes one ptrace request whose only argument is a number.
#[expect(unsafe_code, reason = "ptrace is a system call without a safe wrapper")]
fn trace(request: libc::c_uint, pid: libc::pid_t, argument: libc::c_long) -> io::Result<()> {
    // SAFETY: none of the requests made here has the kernel write to this process's memory: the address is not used, and
    // the data is a number.
    let result = unsafe { libc::ptrace(request, pid, 0_usize, argument) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for one child and returns its own usage, which the standard library does not offer.
#[expect(unsafe_code, reason = "wait4 is a system call without a safe wrapper")]
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
    fn the_peak_is_that_of_the_child_and_not_of_this_process() {
        // More than any shell takes, and resident because it is written.
        let ours = vec![1_u8; 64 << 20];
        let small = cost(Command::new("sh").args(["-c", "exit 0"])).unwrap();
        assert!(small.peak_rss_kib > 100 && small.peak_rss_kib < 16_384, "{small:?}, beside {}", ours.len());
        assert!(small.wall_ns > 0);
    }

    #[test]
    fn a_program_that_fails_or_does_not_exist_is_an_error() {
        assert!(cost(Command::new("sh").args(["-c", "exit 3"])).is_err());
        assert!(cost(&mut Command::new("/no/such/program")).is_err());
    }
}
