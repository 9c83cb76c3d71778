//! Signals as readable descriptors (self-pipe), so that a poll returns when one arrives.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::terminal::failure::Failure;

/// Signals that end the program.
pub(crate) const TERMINATION: &[c_int] = &[SIGINT, SIGTERM];
/// SIGHUP: a daemon reads its settings again; a command ends, because its terminal was closed.
pub(crate) const HANG_UP: &[c_int] = &[SIGHUP];

/// Catches `signals` from here on. The descriptor has one byte to read for each signal that arrived.
pub(crate) fn signal_pipe(signals: &[c_int]) -> Result<UnixStream, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
    let (receiver, sender) = UnixStream::pair().map_err(failed)?;
    for signal in signals {
        sender.try_clone().and_then(|sender| pipe::register(*signal, sender)).map_err(failed)?;
    }
    Ok(receiver)
}

/// SIGINT, SIGTERM and SIGHUP, caught from here on. Readable once one of them arrived.
#[derive(Debug)]
pub(crate) struct Interrupt(UnixStream);

impl Interrupt {
    /// Catches the three signals.
    pub(crate) fn catch() -> Result<Self, Failure> {
        signal_pipe(&[TERMINATION, HANG_UP].concat()).map(Self)
    }

    /// Returns true if a signal arrived.
    pub(crate) fn is_pending(&self) -> bool {
        self.arrives_within(Duration::ZERO)
    }

    /// Sleeps until a signal arrives or `timeout` passes; returns true if a signal arrived.
    pub(crate) fn arrives_within(&self, timeout: Duration) -> bool {
        let mut entries = [PollFd::new(self, PollFlags::IN)];
        let _ready = poll(&mut entries, Some(timeout));
        !entries.iter().all(|entry| entry.revents().is_empty())
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until a descriptor is ready, a signal is handled, or `timeout` passes; without a timeout, for ever.
pub(crate) fn poll(entries: &mut [PollFd<'_>], timeout: Option<Duration>) -> rustix::io::Result<usize> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    rustix::event::poll(entries, timeout.as_ref())
}
