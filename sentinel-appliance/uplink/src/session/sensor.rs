//! The sensor's end of a session.

use sentinel_units::Uptime;

use crate::batch::BATCH_OVERHEAD_LEN;
use crate::channel::{Channel, Ephemeral, Limits, Received};
use crate::error::{SendError, SessionError};
use crate::key::{KeyPair, PublicKey};
use crate::message::{ToCollector, ToSensor};
use crate::suite::{Cipher, Suite};
use crate::token::Token;

/// What happened, from the view of a sensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SensorEvent<'s> {
    /// Nothing until bytes come or [`SensorSession::next_deadline`] passes.
    Idle,
    /// The collector has proved its key: send the hello, or when enrolling the enrollment request.
    Established,
    /// The collector says something; never a ping.
    Message(ToSensor<'s>),
}

/// The sensor's end of one connection.
///
/// The owner moves bytes: what the socket gives goes into [`receive`](Self::receive), then
/// [`poll`](Self::poll) until it says [`SensorEvent::Idle`]; what is [`pending`](Self::pending) goes to the
/// socket and is reported by [`sent`](Self::sent). Wait for the socket at most until
/// [`next_deadline`](Self::next_deadline), then poll again. Every error is final: drop session and socket.
#[derive(Debug)]
pub struct SensorSession {
    channel: Channel,
    owes_pong: bool,
    welcome: WelcomeState,
}

/// How far the collector has come to know us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WelcomeState {
    /// The handshake goes on.
    Handshake,
    /// Due by then.
    Due(Uptime),
    /// It came, or the refusal did.
    Over,
}

impl SensorSession {
    /// Starts a session with a collector that knows this sensor. The first bytes are pending at once.
    ///
    /// # Errors
    /// - [`SessionError::Randomness`] if the system gave no random bytes.
    /// - [`SessionError::WeakKey`] if `collector` is a key that no one can have.
    pub fn connect(
        local: &KeyPair,
        collector: &PublicKey,
        cipher: Cipher,
        limits: Limits,
        now: Uptime,
    ) -> Result<Self, SessionError> {
        let suite = Suite { cipher, enrollment: false };
        Channel::initiator(local, collector, suite, None, limits, now, &Ephemeral::Random).map(Self::new)
    }

    /// Starts a session that makes this sensor known to the collector named in `token`. It carries one
    /// [`ToCollector::Enroll`] and its answer; after [`ToSensor::Welcome`] connect anew.
    ///
    /// A collector that does not know the token closes the connection without an answer.
    ///
    /// # Errors
    /// The same as [`SensorSession::connect`].
    pub fn enroll(
        local: &KeyPair,
        token: &Token,
        cipher: Cipher,
        limits: Limits,
        now: Uptime,
    ) -> Result<Self, SessionError> {
        let suite = Suite { cipher, enrollment: true };
        Channel::initiator(local, token.collector(), suite, Some(token), limits, now, &Ephemeral::Random)
            .map(Self::new)
    }

    pub(crate) const fn new(channel: Channel) -> Self {
        Self { channel, owes_pong: false, welcome: WelcomeState::Handshake }
    }

    /// Takes bytes from the socket, up to the end of one frame, and returns how many. After each call poll
    /// until idle, then call again with the rest.
    ///
    /// # Errors
    /// [`SessionError::FrameLength`]; the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        self.channel.receive(bytes)
    }

    /// What happened. Answers pings by itself.
    ///
    /// # Errors
    /// Whatever ends the session, see [`SessionError`].
    pub fn poll(&mut self, now: Uptime) -> Result<SensorEvent<'_>, SessionError> {
        self.pay_pong(now);
        match self.channel.read(now)? {
            Received::Nothing => match self.welcome {
                WelcomeState::Due(due) if now >= due => {
                    Err(self.channel.close(SessionError::HandshakeTimeout))
                }
                _ => Ok(SensorEvent::Idle),
            },
            Received::Established => {
                self.welcome = WelcomeState::Due(now.after(self.channel.limits().welcome));
                Ok(SensorEvent::Established)
            }
            Received::Message(len) => self.message(len, now),
            Received::Peer { .. } => Err(self.channel.close(SessionError::Internal)),
        }
    }

    fn message(&mut self, len: usize, now: Uptime) -> Result<SensorEvent<'_>, SessionError> {
        let first = self.welcome != WelcomeState::Over;
        let fault = match decode(self.channel.plain(len)) {
            Ok(ToSensor::Ping) => {
                self.owes_pong = true;
                self.pay_pong(now);
                return Ok(SensorEvent::Idle);
            }
            Ok(ToSensor::Ack(_)) if first => SessionError::UnexpectedMessage,
            Ok(ToSensor::Welcome(_)) if !first => SessionError::UnexpectedMessage,
            Ok(message) => {
                if matches!(message, ToSensor::Welcome(_) | ToSensor::Rejected(_)) {
                    self.welcome = WelcomeState::Over;
                }
                return decode(self.channel.plain(len)).map(SensorEvent::Message);
            }
            Err(fault) => fault,
        };
        Err(self.channel.close(fault))
    }

    /// A ping is answered as soon as there is room; several pings in the meantime need one answer.
    fn pay_pong(&mut self, now: Uptime) {
        if self.owes_pong && self.channel.send(&ToCollector::Pong, now).is_ok() {
            self.owes_pong = false;
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// See [`SendError`]; the message was not queued.
    pub fn send(&mut self, message: &ToCollector<'_>, now: Uptime) -> Result<(), SendError> {
        self.channel.send(message, now)
    }

    /// Bytes for the socket, in order. Empty if there is nothing to write.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.channel.pending()
    }

    /// The socket took the first `count` bytes of [`pending`](Self::pending).
    pub fn sent(&mut self, count: usize, now: Uptime) {
        self.channel.sent(count, now);
    }

    /// When to call [`poll`](Self::poll) even if no bytes come.
    #[must_use]
    pub fn next_deadline(&self) -> Uptime {
        match self.welcome {
            WelcomeState::Due(due) => self.channel.next_deadline().min(due),
            WelcomeState::Handshake | WelcomeState::Over => self.channel.next_deadline(),
        }
    }

    /// Whether the collector has proved its key and messages may be sent.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.channel.is_open()
    }

    /// Largest buffer that may be lent to a [`crate::BatchBuilder`] so that its batch fits a frame.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.channel.limits().send_room().saturating_sub(BATCH_OVERHEAD_LEN)
    }
}

fn decode(plain: &[u8]) -> Result<ToSensor<'_>, SessionError> {
    let (message, _) =
        postcard::take_from_bytes::<ToSensor<'_>>(plain).map_err(|_| SessionError::Malformed)?;
    message.check()?;
    Ok(message)
}
