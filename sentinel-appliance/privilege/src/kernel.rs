//! System calls without a safe interface: `seccomp(2)`, Landlock, and `madvise(2)` for code and stack.
//!
//! JUSTIFICATION for all `unsafe` calls of this file: neither rustix nor the standard library has a safe form of these calls, and
//! a package for Landlock adds 16 KiB to the program.

#![allow(unsafe_code, reason = "seccomp(2), landlock(7) and madvise(2) have no safe interface")]

use std::ffi::{c_int, c_long, c_uint, c_ulong};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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

/// Number of the last system call that the filter has stopped, with [`NOTED`] set beside it.
static STOPPED: AtomicU32 = AtomicU32::new(0);
/// Set if a stopped call is to be noted only, for [`trial`].
static IS_TRIAL: AtomicBool = AtomicBool::new(false);
const NOTED: u32 = 1 << 31;
/// Place of the number in `siginfo_t`: behind three integers, padding to the size of a pointer, and the address of the call.
const NUMBER_OFFSET: usize = 12_usize.next_multiple_of(size_of::<usize>()) + size_of::<usize>();
/// Exit code of a program that is to be started again.
const EXIT_CODE: c_int = 3;

/// Has the program end with a message when the filter stops a system call (`SIGSYS`).
///
/// # Errors
/// The error of the kernel.
#[expect(clippy::as_conversions, reason = "the only way from a function to the type of the field")]
pub(crate) fn end_at_stopped_call() -> Result<(), Errno> {
    // SAFETY: all-zero bytes are an action without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *const libc::siginfo_t, *mut libc::c_void) = stopped;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `action` outlives the call, and names a handler of the type that `SA_SIGINFO` asks for.
    checked(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) }.into()).map(drop)
}

/// Handler of `SIGSYS`: writes the number on standard error, and ends the process. It takes no lock and allocates nothing.
extern "C" fn stopped(_: c_int, info: *const libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with `SA_SIGINFO` a valid structure, which has this field for `SIGSYS`.
    let number = unsafe { info.cast::<u8>().add(NUMBER_OFFSET).cast::<c_int>().read_unaligned() };
    let number = u32::try_from(number).unwrap_or(0);
    if IS_TRIAL.load(Ordering::Relaxed) {
        return STOPPED.store(number | NOTED, Ordering::Relaxed);
    }
    let mut line = *b"sentinel: ended by its sandbox at system call 00000\n";
    // From the last digit, before the line feed; no number has more than five digits but for two of ARM.
    let mut rest = number;
    for digit in line.iter_mut().rev().skip(1).take(5) {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    // SAFETY: the pointer and the length describe `line`; both calls may be made in a handler.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(EXIT_CODE)
    }
}

/// Makes a system call with arguments that do no harm, should the kernel take it. Returns true if it was refused: stopped by the
/// filter, or for want of a right.
pub(crate) fn is_refused(number: c_long, arguments: [c_long; 4]) -> bool {
    IS_TRIAL.store(true, Ordering::Relaxed);
    STOPPED.store(0, Ordering::Relaxed);
    let [a, b, c, d] = arguments;
    // SAFETY: the callers of `trial` give null pointers, and numbers that name nothing.
    let result = checked(unsafe { libc::syscall(number, a, b, c, d, 0_usize) });
    IS_TRIAL.store(false, Ordering::Relaxed);
    STOPPED.load(Ordering::Relaxed) & NOTED != 0 || matches!(result, Err(Errno::PERM | Errno::ACCESS))
}

/// Takes the pages that lie between two functions of the program out of memory (`MADV_DONTNEED`). They are read again from its file
/// when they are used.
pub(crate) fn discard_code(from: fn() -> u8, to: fn() -> u8) -> Result<(), Errno> {
    // SAFETY: no arguments but a constant.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    #[expect(clippy::as_conversions, reason = "the address of a function is a number only by a cast")]
    let (from, to) = ((from as usize).checked_next_multiple_of(page).ok_or(Errno::INVAL)?, to as usize);
    // None, if there is no whole page between them.
    let length = to.saturating_sub(from) / page * page;
    let start = ptr::without_provenance_mut(from);
    // SAFETY: whole pages of the program's code, because a function is on either side of them. Code is never written to, so
    // these pages are those of the file before and after the call.
    let result = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    checked(result.into()).map(|_| ())
}

/// Takes the pages of the stack out of memory that lie so many bytes below the frame of this function (`MADV_DONTNEED`): they read as zeros
/// and nobody reads them, because a frame is written to before it is read.
///
/// The caller sees to it that the range belongs to the stack, or to nothing, and begins some KiB below.
pub(crate) fn discard_stack(below: Range<usize>) -> Result<(), Errno> {
    // SAFETY: no arguments but a constant.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    let frame = std::hint::black_box(0_u8);
    let top = ptr::from_ref(&frame).addr();
    let from = top.saturating_sub(below.end).checked_next_multiple_of(page).ok_or(Errno::INVAL)?;
    let length = top.saturating_sub(below.start).saturating_sub(from) / page * page;
    // SAFETY: whole pages at least `below.start` under the frame of this function. That is more than the frames of `madvise` and of signal
    // handlers take, so no live frame is in them; the caller sees to the lower end.
    let result = unsafe { libc::madvise(ptr::without_provenance_mut(from), length, libc::MADV_DONTNEED) };
    checked(result.into()).map(|_| ())
}

fn checked(result: c_long) -> Result<c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
