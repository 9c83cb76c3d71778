//! Allow-list of system calls, enforced by the kernel for every thread of the process.
//!
//! Read first: `seccomp(2)`, `Documentation/userspace-api/seccomp_filter.rst` of the kernel.
//!
//! - `calls`: the system calls with their numbers on each architecture, by purpose;
//! - `program`: the lists compiled to classic BPF.
//!
//! Outcome of a call that is not on a list:
//!
//! - **Fails with `ENOSYS`** by default. A kernel that lacks the call says the same, so the C library and the standard library
//!   have another way or an error for it, and a call that was forgotten here costs a feature, not the sensor. Under
//!   [`Unlisted::Kill`] the process is killed instead: tests run with it, so that a forgotten call does not stay unnoticed.
//! - **Kills the process** if the sensor could make it only under foreign control (`execve`, `ptrace`, `mount`, ...), or if it
//!   comes through another system-call interface than the program was built for. The supervisor starts the sensor again, with
//!   other addresses, and the kernel logs the kill.
//!
//! All denials are logged by the kernel where it can (`SECCOMP_FILTER_FLAG_LOG`, since 4.14).

mod calls;
mod program;

use rustix::io::Errno;

use crate::kernel::set_filter;

/// Effect of a system call that is on no list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unlisted {
    /// It fails with `ENOSYS`.
    Fail,
    /// The process is killed.
    Kill,
}

/// Installs the filter for all threads of the process, for good. Needs `no_new_privs`.
///
/// # Errors
/// - [`Errno::OPNOTSUPP`]: there is no table for this architecture.
/// - [`Errno::NOSYS`] or [`Errno::INVAL`]: the kernel has no seccomp filters.
/// - [`Errno::BUSY`]: a thread has a filter of its own.
pub fn install(unlisted: Unlisted) -> Result<(), Errno> {
    const ALL_THREADS: u8 = 1; // SECCOMP_FILTER_FLAG_TSYNC
    const LOG: u8 = 2; // SECCOMP_FILTER_FLAG_LOG
    let program = program::native(unlisted).ok_or(Errno::OPNOTSUPP)?;
    match set_filter(&program, (ALL_THREADS | LOG).into()) {
        // Before 4.14.
        Err(Errno::INVAL) => set_filter(&program, ALL_THREADS.into()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own, because a filter cannot be removed: this test runs itself again.
    #[test]
    fn listed_calls_work_and_others_fail() {
        const INSIDE: &str = "SENTINEL_PRIVILEGE_TEST_INSIDE";
        if std::env::var_os(INSIDE).is_none() {
            let name = "seccomp::tests::listed_calls_work_and_others_fail";
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let output = command.args([name, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            return;
        }
        crate::capability::no_new_privileges().unwrap();
        match install(Unlisted::Fail) {
            Ok(()) => {}
            Err(Errno::NOSYS | Errno::INVAL) => return eprintln!("skipped: no seccomp here"),
            Err(errno) => panic!("{errno}"),
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("Seccomp:\t2\n"), "{status}");
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        assert_eq!(
            rustix::fs::mknodat(
                rustix::fs::CWD,
                "/tmp/never",
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::empty(),
                0
            ),
            Err(Errno::NOSYS)
        );
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::from_raw(38),
            rustix::net::SocketType::SEQPACKET,
            None,
        );
        assert_eq!(socket.unwrap_err(), Errno::PERM, "AF_ALG");
    }
}
