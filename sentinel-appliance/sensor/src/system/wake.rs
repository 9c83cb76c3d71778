//! Wake-ups between threads: an `eventfd(2)` that one thread signals and another polls.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::event::EventfdFlags;

/// Event counter of the kernel, shared by the thread that signals it and the thread that polls it. Readable while
/// the count is above zero, so a signal that comes before the poll is not lost.
#[derive(Clone, Debug)]
pub(crate) struct EventFd(Arc<rustix::fd::OwnedFd>);

impl EventFd {
    /// Opens a counter that is zero.
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// Makes the descriptor readable. Signals before the next [`EventFd::clear`] wake once.
    pub(crate) fn notify(&self) {
        // Fails only if the count would pass 2^64 - 2, and then the descriptor is readable anyway.
        let _was_readable = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Sets the count back to zero.
    pub(crate) fn clear(&self) {
        let _was_zero = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags};

    use super::*;
    use crate::system::signals::poll;

    #[test]
    fn signals_before_a_poll_wake_it_once() {
        let event = EventFd::new().unwrap();
        let is_readable =
            || poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(Duration::ZERO)).unwrap() == 1;
        assert!(!is_readable());
        event.notify();
        event.clone().notify();
        assert!(is_readable());
        event.clear();
        assert!(!is_readable());
        event.clear();
    }
}
