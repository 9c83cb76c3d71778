//! Waiting for a descriptor with `poll(2)`.

#![allow(unsafe_code, reason = "poll with milliseconds, see below")]

use std::ffi::{c_int, c_short};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::errno::last_errno;

/// Waits until `fd` is readable or has an error, and returns the events; `None` after `timeout`, which is
/// rounded up to milliseconds, at most 24 days.
pub(crate) fn wait(fd: BorrowedFd<'_>, timeout: Duration) -> Result<Option<c_short>, Errno> {
    let millis = c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX);
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer and the count describe `entry`, which outlives the call.
    // JUSTIFICATION: the safe `rustix::event::poll` takes a `timespec`, which on 32-bit musl has one of two
    // layouts, depending on build flags; milliseconds in an int have one.
    match unsafe { libc::poll(&raw mut entry, 1, millis) } {
        0 => Ok(None),
        1.. => Ok(Some(entry.revents)),
        _ => Err(last_errno()),
    }
}
