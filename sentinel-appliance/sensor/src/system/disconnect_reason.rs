//! Reasons for the end of a connection to the collector, from the lookup of its name to the session on top.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use sentinel_uplink::{RejectReason, SendError, SessionError};

/// Reason for the end of a connection to the collector.
#[derive(Debug)]
pub(crate) enum DisconnectReason {
    /// The name of the collector was not resolved in time.
    ResolveTimeout(String, Duration),
    /// The name of the collector has no address.
    NoAddress(String),
    /// None of the addresses could be reached; the last error.
    Unreachable(SocketAddr, std::io::Error),
    /// The socket failed.
    Socket(std::io::Error),
    /// The collector closed the connection.
    Closed,
    /// The session failed.
    Session(SessionError),
    /// A message could not be sent.
    Send(SendError),
    /// The collector rejected the sensor.
    Rejected(RejectReason),
    /// An acknowledgement took longer than the protocol allows.
    AcknowledgementTimeout,
    /// The sensor closed the connection: settings or enrollment changed, or the program ends.
    Local,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResolveTimeout(name, timeout) => {
                write!(out, "{name}: not resolved within {} s", timeout.as_secs())
            }
            Self::NoAddress(name) => write!(out, "{name}: the name has no address"),
            Self::Unreachable(address, error) => write!(out, "{address}: {error}"),
            Self::Socket(error) => error.fmt(out),
            Self::Closed => out.write_str("the collector closed the connection"),
            Self::Session(error) => error.fmt(out),
            Self::Send(error) => error.fmt(out),
            Self::Rejected(reason) => reason.fmt(out),
            Self::AcknowledgementTimeout => out.write_str("no acknowledgement within 30 s"),
            Self::Local => out.write_str("closed by the sensor"),
        }
    }
}

impl From<SessionError> for DisconnectReason {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<std::io::Error> for DisconnectReason {
    fn from(error: std::io::Error) -> Self {
        Self::Socket(error)
    }
}
