//! Attempts at what the sandbox must refuse, for `sentinel selftest --sandbox`.
//!
//! Each is one system call with arguments that do nothing where the kernel takes them. One that the filter stops is noted
//! instead of ending the program, while the attempt lasts.

use std::ffi::c_long;

use crate::kernel::is_refused;

/// Something that the sandbox must refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Action that is tried.
    pub name: &'static str,
    number: c_long,
    arguments: [c_long; 4],
}

const AF_INET: c_long = 2;
const SOCK_RAW: c_long = 3;
const PROT_WRITE_EXEC: c_long = 2 | 4;
/// `PTRACE_CONT`, of process 0, which nobody traces.
const PTRACE_CONT: c_long = 7;
/// `CLONE_NEWUTS`
const NEW_HOST_NAME: c_long = 0x0400_0000;

const fn attempt(name: &'static str, number: c_long, arguments: [c_long; 4]) -> Attempt {
    Attempt { name, number, arguments }
}

/// Attempts that the filter of system calls refuses.
pub const SYSTEM_CALLS: [Attempt; 11] = [
    attempt("start a program", libc::SYS_execve, [0; 4]),
    attempt("trace a process", libc::SYS_ptrace, [PTRACE_CONT, 0, 0, 0]),
    attempt("read memory of a process", libc::SYS_process_vm_readv, [0; 4]),
    attempt("become root", libc::SYS_setuid, [0; 4]),
    attempt("mount", libc::SYS_mount, [0; 4]),
    attempt("another root directory", libc::SYS_chroot, [0; 4]),
    attempt("another name space", libc::SYS_unshare, [NEW_HOST_NAME, 0, 0, 0]),
    attempt("load a kernel module", libc::SYS_init_module, [0; 4]),
    attempt("load a BPF program", libc::SYS_bpf, [-1, 0, 0, 0]),
    attempt("raw IP socket", libc::SYS_socket, [AF_INET, SOCK_RAW, 1, 0]),
    attempt("executable memory", libc::SYS_mprotect, [0, 0, PROT_WRITE_EXEC, 0]),
];

impl Attempt {
    /// Tries it; returns true if it was refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        is_refused(self.number, self.arguments)
    }
}
