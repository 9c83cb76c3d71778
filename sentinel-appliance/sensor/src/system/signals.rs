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
    /// Catches the three signals; SIGHUP stays ignored if it was at the start, as `nohup` asks for.
    pub(crate) fn catch() -> Result<Self, Failure> {
        // Without `/proc` the mask is not known, and SIGHUP ends the command as it does by default.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if is_ignored(SIGHUP, &status) {
            return signal_pipe(TERMINATION).map(Self);
        }
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

/// Returns true if `status`, the text of `/proc/self/status`, has `signal` in the mask of ignored signals (`SigIgn`). The safe
/// way to ask: `sigaction(2)` is an unsafe call.
fn is_ignored(signal: c_int, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1.
    let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
    mask.zip(bit).and_then(|(mask, bit)| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        // Bits from the lowest: SIGHUP 1, SIGINT 2, SIGPIPE 13.
        let status = "Name:\tsentinel\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(is_ignored(SIGHUP, status));
        assert!(!is_ignored(SIGINT, status));
        // MIPS has 128 signals, and a mask of 32 digits; without `/proc` there is no mask.
        for other in ["SigIgn:\t0000000000001000\n", "SigIgn:\tx\n", ""] {
            assert!(!is_ignored(SIGHUP, other), "{other:?}");
        }
    }
}
