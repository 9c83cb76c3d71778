//! Ctrl+C and the like, for commands that run until told to stop.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use async_signal::{Signal, Signals};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::failure::Failure;

/// SIGINT, SIGTERM and SIGHUP, caught from here on. Readable once one of them has come.
#[derive(Debug)]
pub(crate) struct Interrupt(Signals);

impl Interrupt {
    /// Catches them.
    pub(crate) fn catch() -> Result<Self, Failure> {
        Signals::new([Signal::Int, Signal::Term, Signal::Hup])
            .map(Self)
            .map_err(|error| Failure::new(format!("signals: {error}")))
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
