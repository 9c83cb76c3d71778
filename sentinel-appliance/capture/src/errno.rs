//! Error numbers of calls that are made without a safe interface.

use rustix::io::Errno;

/// Error number of the last failed call of this thread.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
