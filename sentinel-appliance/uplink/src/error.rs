//! Errors of a session and of sending.

use core::fmt;

/// Reason why a session is over. Close the connection; every later call on the session returns the same error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionError {
    /// The first bytes are not the magic of the preface: the peer uses another protocol.
    BadMagic {
        /// Position of the first wrong byte, from 0.
        at: u8,
        /// Byte found there.
        found: u8,
    },
    /// The peer uses another version of the framing. Holds that version.
    Version(u8),
    /// The peer requests an unknown cipher suite. Holds its number.
    Suite(u8),
    /// A frame announces a length that is not allowed now. Holds that length.
    FrameLength(u16),
    /// A frame does not decrypt. During the handshake: wrong key or secret. Later: damage, replay or attack.
    Authentication,
    /// A public key of the peer has small order: the shared secret would be all zero (RFC 7748 section 6.1).
    WeakKey,
    /// A frame decrypts to bytes that are not a message of this version.
    Malformed,
    /// A well-formed message came when it is not allowed, such as alerts before the hello.
    UnexpectedMessage,
    /// The handshake took longer than [`crate::Limits::handshake`], or the answer to the first message longer than
    /// [`crate::Limits::welcome`].
    HandshakeTimeout,
    /// No valid message came for [`crate::Limits::idle`].
    Idle,
    /// The peer accepted none of the pending bytes for [`crate::Limits::stall`].
    Stalled,
    /// The message counter of a direction ran out (2^64 - 1 messages).
    NonceExhausted,
    /// The system gave no random bytes.
    Randomness,
    /// The session was used out of order, or keys do not fit the suite. A bug of this program.
    Internal,
}

impl fmt::Display for SessionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic { at, found } => {
                write!(out, "the peer speaks another protocol: byte {at} is 0x{found:02x}")
            }
            Self::Version(version) => write!(out, "the peer speaks version {version} of the framing"),
            Self::Suite(suite) => write!(out, "the peer asks for unknown cipher suite 0x{suite:02x}"),
            Self::FrameLength(length) => write!(out, "a frame of {length} bytes is not allowed now"),
            Self::Authentication => out.write_str("a frame does not authenticate"),
            Self::WeakKey => out.write_str("the peer sent a public key of small order"),
            Self::Malformed => out.write_str("a frame does not hold a message of this version"),
            Self::UnexpectedMessage => out.write_str("a message came when it is not allowed"),
            Self::HandshakeTimeout => out.write_str("the handshake took too long"),
            Self::Idle => out.write_str("no message of the peer for too long"),
            Self::Stalled => out.write_str("the peer accepts no bytes"),
            Self::NonceExhausted => out.write_str("the message counter ran out"),
            Self::Randomness => out.write_str("the system has no random bytes"),
            Self::Internal => out.write_str("the session was used out of order"),
        }
    }
}

impl core::error::Error for SessionError {}

/// Reason why a message was not queued. Apart from [`SendError::Closed`], the session is unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The send buffer holds earlier bytes: write [`pending`](crate::SensorSession::pending) to the
    /// socket, report with `sent`, and try again.
    Busy,
    /// The message does not fit into a frame ([`crate::Limits::send_len`]).
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
