//! What ends a session, and why a message could not be sent.

use core::fmt;

/// Why a session is over. Close the connection; every later call on the session gives the same error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionError {
    /// The first bytes are those of another protocol.
    Foreign {
        /// Position of the first wrong byte, from 0.
        at: u8,
        /// The byte found there.
        found: u8,
    },
    /// The peer speaks another version of the framing than ours.
    Version(u8),
    /// The peer asks for a cipher suite that we do not know.
    Suite(u8),
    /// A frame announces a length that nothing may have at this point.
    FrameLength(u16),
    /// A frame is not what its sender encrypted, or was encrypted with other keys: during the handshake
    /// a wrong key or secret, later damage, replay or attack.
    Authentication,
    /// A public key of the peer leads to an all-zero shared secret.
    WeakKey,
    /// A frame decrypts to something that is not a message of this version.
    Malformed,
    /// A well-formed message came when it may not, such as alerts before the hello.
    UnexpectedMessage,
    /// The handshake took longer than [`crate::Limits::handshake`], or its welcome than
    /// [`crate::Limits::welcome`].
    HandshakeTimeout,
    /// Nothing valid came for [`crate::Limits::idle`].
    Idle,
    /// The peer took none of our bytes for [`crate::Limits::stall`].
    Stalled,
    /// The counter of messages ran out.
    NonceExhausted,
    /// The system gave no random bytes.
    Randomness,
    /// The session was used wrongly by its owner, or keys do not fit the suite. Our bug.
    Internal,
}

impl fmt::Display for SessionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { at, found } => {
                write!(out, "the peer speaks another protocol: byte {at} is 0x{found:02x}")
            }
            Self::Version(version) => write!(out, "the peer speaks version {version} of the framing"),
            Self::Suite(suite) => write!(out, "the peer asks for unknown cipher suite 0x{suite:02x}"),
            Self::FrameLength(length) => write!(out, "a frame of {length} bytes may not come here"),
            Self::Authentication => out.write_str("a frame does not authenticate"),
            Self::WeakKey => out.write_str("the peer sent a public key without entropy"),
            Self::Malformed => out.write_str("a frame holds no message of this version"),
            Self::UnexpectedMessage => out.write_str("a message came when it may not"),
            Self::HandshakeTimeout => out.write_str("the handshake took too long"),
            Self::Idle => out.write_str("the peer has been silent for too long"),
            Self::Stalled => out.write_str("the peer takes no bytes"),
            Self::NonceExhausted => out.write_str("the message counter ran out"),
            Self::Randomness => out.write_str("the system has no random bytes"),
            Self::Internal => out.write_str("the session was used out of order"),
        }
    }
}

impl core::error::Error for SessionError {}

/// Why a message was not taken for sending. The session stays as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The buffer still holds earlier bytes: write [`pending`](crate::SensorSession::pending) to the
    /// socket, report with `sent`, and try again.
    Busy,
    /// The message is longer than a frame may be.
    TooLarge,
    /// The handshake is not done yet.
    NotEstablished,
    /// The session is over.
    Closed(SessionError),
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => out.write_str("earlier bytes are not written yet"),
            Self::TooLarge => out.write_str("the message is longer than a frame may be"),
            Self::NotEstablished => out.write_str("the handshake is not done"),
            Self::Closed(reason) => write!(out, "the session is over: {reason}"),
        }
    }
}

impl core::error::Error for SendError {}
