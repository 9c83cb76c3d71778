//! Allow-list of system calls, enforced by the kernel for every thread of the process.
//!
//! Read first: `seccomp(2)`, `Documentation/userspace-api/seccomp_filter.rst` of the kernel.
//!
//! - `calls`: the system calls with their numbers on each architecture, by purpose;
//! - `program`: the lists compiled to classic BPF.
//!
//! Outcome of a call that is not on a list, by default ([`Unlisted::End`]): the process ends with a message that has the number,
//! and its supervisor starts it again. Under [`Unlisted::Kill`] the kernel kills it, without a message. Under
//! [`Unlisted::Fail`] the call fails with `ENOSYS`, as on a kernel that lacks it: for a machine on which the list turns out to
//! be too short.
//!
//! Calls that the sensor could make only under foreign control (`execve`, `ptrace`, `mount`, ...), and calls through another
//! system-call interface than the program was built for, end it in any case.
//!
//! All denials are logged by the kernel where it can (`SECCOMP_FILTER_FLAG_LOG`, since 4.14).

mod calls;
mod program;

use rustix::io::Errno;

use crate::kernel::{end_at_stopped_call, set_filter};

/// Effect of a system call that is on no list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unlisted {
    /// It fails with `ENOSYS`.
    Fail,
    /// The process ends with a message that has its number.
    End,
    /// The kernel kills the process.
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
    if unlisted != Unlisted::Kill {
        end_at_stopped_call()?;
    }
    match set_filter(&program, (ALL_THREADS | LOG).into()) {
        // Before 4.14.
        Err(Errno::INVAL) => set_filter(&program, ALL_THREADS.into()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the test `name` again, in a process of its own, because a filter cannot be removed; `None` in that process.
    fn again(name: &str) -> Option<std::process::Output> {
        const INSIDE: &str = "SENTINEL_PRIVILEGE_TEST_INSIDE";
        if std::env::var_os(INSIDE).is_some() {
            return None;
        }
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let name = ["seccomp::tests::", name].concat();
        command.args([&name, "--exact", "--nocapture", "--test-threads", "1"]).env(INSIDE, "1");
        Some(command.output().unwrap())
    }

    /// Returns false if the kernel has no filters.
    fn is_installed(unlisted: Unlisted) -> bool {
        crate::capability::no_new_privileges().unwrap();
        match install(unlisted) {
            Ok(()) => true,
            Err(Errno::NOSYS | Errno::INVAL) => {
                eprintln!("skipped: no seccomp here");
                false
            }
            Err(errno) => panic!("{errno}"),
        }
    }

    #[test]
    fn what_must_be_refused_is_refused() {
        if let Some(output) = again("what_must_be_refused_is_refused") {
            return assert!(output.status.success(), "{output:?}");
        }
        if is_installed(Unlisted::End) {
            for attempt in crate::trial::SYSTEM_CALLS {
                assert!(attempt.is_refused(), "{attempt:?}");
            }
            assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
        }
    }

    /// An attempt that says "refused" of everything would show nothing.
    #[test]
    fn without_a_filter_most_attempts_are_not_refused_by_one() {
        let own = crate::trial::SYSTEM_CALLS.iter().filter(|attempt| !attempt.is_refused());
        let names: Vec<&str> = own.map(|attempt| attempt.name).collect();
        for name in ["start a program", "trace a process", "executable memory"] {
            assert!(names.contains(&name), "{names:?}");
        }
    }

    #[test]
    fn a_call_on_no_list_ends_the_process_with_its_number() {
        if let Some(output) = again("a_call_on_no_list_ends_the_process_with_its_number") {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            if errors.contains("skipped") {
                return;
            }
            assert_eq!(output.status.code(), Some(3), "{output:?}");
            let number = format!("ended by its sandbox at system call {:05}\n", libc::SYS_mknodat);
            assert!(errors.contains(&number), "{errors}");
            return;
        }
        if is_installed(Unlisted::End) {
            let kind = rustix::fs::FileType::Fifo;
            let _never = rustix::fs::mknodat(rustix::fs::CWD, "/tmp/x", kind, rustix::fs::Mode::empty(), 0);
            unreachable!("the call returned");
        }
    }

    #[test]
    fn listed_calls_work_and_others_fail() {
        if let Some(output) = again("listed_calls_work_and_others_fail") {
            return assert!(output.status.success(), "{output:?}");
        }
        if !is_installed(Unlisted::Fail) {
            return;
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
