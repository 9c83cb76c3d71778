//! Errors of requests to the kernel about interfaces.

use std::fmt;

use rustix::io::Errno;

/// A request to the kernel about its interfaces failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InterfaceError {
    /// The kernel refused a call.
    System {
        /// The call.
        call: &'static str,
        /// The reason.
        errno: Errno,
    },
    /// The kernel's reply does not follow its own format.
    Malformed,
    /// The interfaces changed during each of several attempts to list them.
    Unstable,
}

impl InterfaceError {
    /// Returns true if the kernel answers only a process with more privileges.
    #[must_use]
    #[inline]
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::System { errno: Errno::PERM | Errno::ACCESS, .. })
    }
}

impl fmt::Display for InterfaceError {
    #[inline]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { call, errno } => {
                write!(out, "{call}: {errno}")?;
                if self.is_denied() {
                    out.write_str("; needs root or the capability CAP_NET_ADMIN")?;
                }
                Ok(())
            }
            Self::Malformed => out.write_str("the kernel's reply is malformed"),
            Self::Unstable => out.write_str("the interfaces keep changing"),
        }
    }
}

impl std::error::Error for InterfaceError {}
