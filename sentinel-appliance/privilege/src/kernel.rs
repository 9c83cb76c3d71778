//! System calls without a safe interface: `seccomp(2)` and Landlock.
//!
//! JUSTIFICATION for all `unsafe` calls of this file: neither rustix nor the standard library has these calls, and a
//! package for Landlock adds 16 KiB to the program.

#![allow(unsafe_code, reason = "seccomp(2) and landlock(7) have no safe interface")]

use std::ffi::{c_int, c_long, c_uint, c_ulong};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use sentinel_filter::Instruction;

/// Calls since Linux 5.2 have the same number everywhere, behind the offset of the o32 interface on MIPS.
const OFFSET: c_long = if cfg!(target_arch = "mips") { 4000 } else { 0 };
const LANDLOCK_CREATE_RULESET: c_long = OFFSET + 444;
const LANDLOCK_ADD_RULE: c_long = OFFSET + 445;
const LANDLOCK_RESTRICT_SELF: c_long = OFFSET + 446;
const NO_FLAGS: c_uint = 0;

/// `struct landlock_ruleset_attr`: rights that are denied unless a rule allows them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Ruleset {
    pub(crate) files: u64,
    /// Since ABI 4.
    pub(crate) network: u64,
    /// Since ABI 6.
    pub(crate) scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: c_int,
}

/// Installs a seccomp filter (`SECCOMP_SET_MODE_FILTER`). Needs `no_new_privs`, or `CAP_SYS_ADMIN`.
pub(crate) fn set_filter(program: &[Instruction], flags: c_ulong) -> Result<(), Errno> {
    const SET_MODE_FILTER: c_uint = 1;
    let mut lines: Vec<libc::sock_filter> = program
        .iter()
        .map(|line| libc::sock_filter { code: line.code, jt: line.jt, jf: line.jf, k: line.k })
        .collect();
    let length = u16::try_from(lines.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: lines.as_mut_ptr() };
    // SAFETY: `program` points to `lines`, of that length; both outlive the call, and the kernel copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    match checked(result)? {
        0 => Ok(()),
        // With SECCOMP_FILTER_FLAG_TSYNC: a thread has a filter that this one does not extend.
        _ => Err(Errno::BUSY),
    }
}

/// Version of Landlock that the kernel supports.
pub(crate) fn landlock_version() -> Result<u32, Errno> {
    const VERSION: c_uint = 1;
    // SAFETY: with this flag the kernel wants no attributes, and reads none.
    let result = unsafe { libc::syscall(LANDLOCK_CREATE_RULESET, ptr::null::<Ruleset>(), 0_usize, VERSION) };
    checked(result).map(|version| u32::try_from(version).unwrap_or(0))
}

/// Makes a rule set of the first `size` bytes of `ruleset`.
pub(crate) fn landlock_ruleset(ruleset: &Ruleset, size: usize) -> Result<OwnedFd, Errno> {
    let size = size.min(size_of::<Ruleset>());
    // SAFETY: the pointer and the length describe `ruleset` or its beginning; the kernel only reads it.
    let result = unsafe { libc::syscall(LANDLOCK_CREATE_RULESET, &raw const *ruleset, size, NO_FLAGS) };
    let fd = c_int::try_from(checked(result)?).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Allows `rights` on the file, or on everything in the directory, `parent`.
pub(crate) fn landlock_allow(
    ruleset: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    rights: u64,
) -> Result<(), Errno> {
    const PATH_BENEATH: c_uint = 1;
    let rule = PathBeneath { allowed: rights, parent: parent.as_raw_fd() };
    // SAFETY: the pointer is to a rule of the type that is named; the kernel only reads it.
    let result = unsafe {
        libc::syscall(LANDLOCK_ADD_RULE, ruleset.as_raw_fd(), PATH_BENEATH, &raw const rule, NO_FLAGS)
    };
    checked(result).map(drop)
}

/// Restricts the calling thread, and those that it starts, to the rules.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: numbers only.
    let result = unsafe { libc::syscall(LANDLOCK_RESTRICT_SELF, ruleset.as_raw_fd(), NO_FLAGS) };
    checked(result).map(drop)
}

fn checked(result: c_long) -> Result<c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
