//! Sessions: the order of messages on top of the channel, once for each end.

mod collector;
mod sensor;

use sentinel_units::Uptime;
use serde::Serialize;

use crate::channel::Channel;
use crate::error::{SendError, SessionError};

pub use collector::{CollectorEvent, CollectorSession};
pub use sensor::{SensorEvent, SensorSession};

/// One end of a connection. `R` is its role: [`SensorSession`] or [`CollectorSession`].
///
/// The owner moves bytes. Bytes from the socket go into [`receive`](Self::receive), then `poll` is called until it
/// returns `Idle`; [`pending`](Self::pending) bytes go to the socket and are reported with [`sent`](Self::sent).
/// Wait for the socket at most until `next_deadline`, then poll again. Every [`SessionError`] is final: drop
/// session and socket.
#[derive(Debug)]
pub struct Session<R> {
    channel: Channel,
    role: R,
}

/// State of one end besides the channel, and the messages that it sends.
pub trait Role {
    /// Messages of this end.
    type Outbound<'m>: Serialize;
}

impl<R: Role> Session<R> {
    /// Takes bytes from the socket, up to the end of one frame, and returns how many. After each call, poll
    /// until idle, then call again with the remaining bytes. A collector takes none while a peer waits for
    /// admission.
    ///
    /// # Errors
    /// - [`SessionError::BadMagic`], [`SessionError::Version`], [`SessionError::Suite`]: wrong preface (collector).
    /// - [`SessionError::FrameLength`]: a frame of that length is not allowed now.
    ///
    /// The session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        self.channel.receive(bytes)
    }

    /// Queues a message.
    ///
    /// # Errors
    /// - [`SendError::Busy`], [`SendError::TooLarge`], [`SendError::NotEstablished`]: the message was not queued,
    ///   the session is unchanged.
    /// - [`SendError::Closed`]: the session is over.
    pub fn send(&mut self, message: &R::Outbound<'_>, now: Uptime) -> Result<(), SendError> {
        self.channel.send(message, now)
    }

    /// Bytes for the socket, in order. Empty if there is nothing to write.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.channel.pending()
    }

    /// Removes the first `count` bytes of [`pending`](Self::pending), which the socket accepted.
    pub fn sent(&mut self, count: usize, now: Uptime) {
        self.channel.sent(count, now);
    }
}
