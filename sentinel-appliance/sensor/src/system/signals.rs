//! Ctrl+C and the like: caught from where they are asked for, and told by a descriptor.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::terminal::failure::Failure;

/// What ends a program, but for SIGHUP.
pub(crate) const END: &[c_int] = &[SIGINT, SIGTERM];
/// The terminal is gone; asks a program without one to read its settings again.
pub(crate) const HANG_UP: &[c_int] = &[SIGHUP];

/// Catches `signals` from here on. What this gives has bytes to read once one of them has come.
pub(crate) fn caught(signals: &[c_int]) -> Result<UnixStream, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
    let (come, wake) = UnixStream::pair().map_err(failed)?;
    for signal in signals {
        wake.try_clone().and_then(|wake| pipe::register(*signal, wake)).map_err(failed)?;
    }
    Ok(come)
}

/// SIGINT, SIGTERM and SIGHUP, caught from here on. Readable once one of them has come.
#[derive(Debug)]
pub(crate) struct Interrupt(UnixStream);

impl Interrupt {
    /// Catches them.
    pub(crate) fn catch() -> Result<Self, Failure> {
        caught(&[END, HANG_UP].concat()).map(Self)
    }

    /// Whether one has come.
    pub(crate) fn has_come(&self) -> bool {
        self.comes_within(Duration::ZERO)
    }

    /// Sleeps until one comes or the time is over; says whether one came.
    pub(crate) fn comes_within(&self, patience: Duration) -> bool {
        let mut entries = [PollFd::new(self, PollFlags::IN)];
        let _woken = poll(&mut entries, Some(patience));
        !entries.iter().all(|entry| entry.revents().is_empty())
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of the descriptors is ready, or a signal is handled, or the time is over.
pub(crate) fn poll(entries: &mut [PollFd<'_>], patience: Option<Duration>) -> rustix::io::Result<usize> {
    let timeout = patience.map(|patience| Timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: patience.subsec_nanos().into(),
    });
    rustix::event::poll(entries, timeout.as_ref())
}
