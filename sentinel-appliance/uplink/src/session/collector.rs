//! The collector's end of a session.

use sentinel_units::Uptime;

use crate::batch::Origin;
use crate::channel::{Channel, Ephemeral, Limits, Received};
use crate::error::{SendError, SessionError};
use crate::key::{KeyPair, PublicKey};
use crate::message::{RejectReason, ToCollector, ToSensor};
use crate::token::{Secret, TokenId};

/// What happened, from the view of a collector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CollectorEvent<'s> {
    /// Nothing until bytes come or [`CollectorSession::next_deadline`] passes.
    Idle,
    /// Someone who knows our key asks to be served as the owner of `key`. Answer with
    /// [`CollectorSession::admit`] or [`CollectorSession::reject`].
    ///
    /// These bytes can be a recording: only the first message proves that the owner of the key is there.
    Peer {
        /// The key it claims.
        key: PublicKey,
    },
    /// Someone who knows our key wants to enroll `key` by a token. Answer with
    /// [`CollectorSession::admit_enrollment`], or drop the connection if there is no such token.
    Enrollment {
        /// The key to be made known.
        key: PublicKey,
        /// The token it claims to have; only the first message proves that it knows the secret.
        token: TokenId,
    },
    /// The sensor says something; never a pong. The first message is the hello, or the enrollment request.
    Message(ToCollector<'s>),
}

/// Which message may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expect {
    /// Hello.
    Hello,
    /// Enrollment request.
    Enroll,
    /// Anything but these two.
    Open(Origin),
    /// Nothing more: the enrollment request was taken, or the sensor was refused.
    Over,
}

/// The collector's end of one connection; used like [`crate::SensorSession`].
#[derive(Debug)]
pub struct CollectorSession {
    channel: Channel,
    turn: Expect,
}

impl CollectorSession {
    /// For a connection that has just been accepted.
    #[must_use]
    pub fn accept(local: &KeyPair, limits: Limits, now: Uptime) -> Self {
        Self::new(Channel::responder(local, limits, now, Ephemeral::Random))
    }

    pub(crate) const fn new(channel: Channel) -> Self {
        Self { channel, turn: Expect::Hello }
    }

    /// Takes bytes from the socket, up to the end of one frame, and returns how many. After each call poll
    /// until idle, then call again with the rest. Takes none while a peer waits to be admitted.
    ///
    /// # Errors
    /// [`SessionError::Foreign`], [`SessionError::Version`], [`SessionError::Suite`] or
    /// [`SessionError::FrameLength`]; the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        self.channel.receive(bytes)
    }

    /// What happened. Sends pings by itself.
    ///
    /// # Errors
    /// Whatever ends the session, see [`SessionError`].
    pub fn poll(&mut self, now: Uptime) -> Result<CollectorEvent<'_>, SessionError> {
        match self.channel.read(now)? {
            Received::Nothing => {
                self.keep_alive(now);
                Ok(CollectorEvent::Idle)
            }
            Received::Peer { key, token: None } => Ok(CollectorEvent::Peer { key }),
            Received::Peer { key, token: Some(token) } => {
                self.turn = Expect::Enroll;
                Ok(CollectorEvent::Enrollment { key, token })
            }
            Received::Message(len) => self.message(len),
            Received::Established => Err(self.channel.close(SessionError::Internal)),
        }
    }

    fn message(&mut self, len: usize) -> Result<CollectorEvent<'_>, SessionError> {
        let fault = match (self.turn, decode(self.channel.plain(len))) {
            (_, Err(fault)) => fault,
            (Expect::Over, Ok(_)) | (Expect::Open(_), Ok(ToCollector::Pong)) => {
                return Ok(CollectorEvent::Idle);
            }
            (Expect::Hello, Ok(ToCollector::Hello(hello))) => {
                self.turn = Expect::Open(hello.origin());
                return self.decoded(len, Origin::default());
            }
            (Expect::Enroll, Ok(ToCollector::Enroll(_))) => {
                self.turn = Expect::Over;
                return self.decoded(len, Origin::default());
            }
            (Expect::Open(origin), Ok(message))
                if !matches!(message, ToCollector::Hello(_) | ToCollector::Enroll(_)) =>
            {
                return self.decoded(len, origin);
            }
            (Expect::Hello | Expect::Enroll | Expect::Open(_), Ok(_)) => SessionError::UnexpectedMessage,
        };
        Err(self.channel.close(fault))
    }

    fn decoded(&self, len: usize, origin: Origin) -> Result<CollectorEvent<'_>, SessionError> {
        Ok(CollectorEvent::Message(match decode(self.channel.plain(len))? {
            ToCollector::Alerts(batch) => ToCollector::Alerts(batch.with_origin(origin)),
            other => other,
        }))
    }

    /// Takes the peer announced by [`CollectorEvent::Peer`]. Its hello comes next.
    ///
    /// # Errors
    /// - [`SessionError::Internal`] if no such peer waits.
    /// - [`SessionError::Randomness`] or [`SessionError::WeakKey`]; the session is over.
    pub fn admit(&mut self, now: Uptime) -> Result<(), SessionError> {
        if self.turn == Expect::Hello { self.channel.admit(None, now) } else { Err(SessionError::Internal) }
    }

    /// Goes on with the enrollment announced by [`CollectorEvent::Enrollment`]; `secret` is that of its
    /// token. Its request comes next, which proves that the peer knows the secret too. A token that was used
    /// or has expired is best refused then: the answer reaches only those who hold the token.
    ///
    /// # Errors
    /// The same as [`CollectorSession::admit`].
    pub fn admit_enrollment(&mut self, secret: &Secret, now: Uptime) -> Result<(), SessionError> {
        if self.turn == Expect::Enroll {
            self.channel.admit(Some(secret), now)
        } else {
            Err(SessionError::Internal)
        }
    }

    /// Turns the sensor away, at any time from [`CollectorEvent::Peer`] on. Write what is pending, then
    /// close the connection; whatever else comes is ignored.
    ///
    /// # Errors
    /// [`SendError::NotEstablished`] if an enrollment was not admitted yet: nothing can be said without the
    /// secret of its token, just close the connection.
    pub fn reject(&mut self, reason: RejectReason, now: Uptime) -> Result<(), SendError> {
        if !self.channel.is_open() && self.turn == Expect::Hello {
            // A failure here is one of the send below too.
            let _admitted = self.channel.admit(None, now);
        }
        self.channel.send(&ToSensor::Rejected(reason), now)?;
        self.turn = Expect::Over;
        Ok(())
    }

    /// Queues a message.
    ///
    /// # Errors
    /// See [`SendError`]; the message was not queued.
    pub fn send(&mut self, message: &ToSensor<'_>, now: Uptime) -> Result<(), SendError> {
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
        let deadline = self.channel.next_deadline();
        if self.pings() { deadline.min(self.ping_at()) } else { deadline }
    }

    /// A stalled connection needs no pings: it has bytes pending already.
    fn pings(&self) -> bool {
        matches!(self.turn, Expect::Open(_)) && self.channel.is_open() && self.pending().is_empty()
    }

    fn ping_at(&self) -> Uptime {
        self.channel.spoke.after(self.channel.limits().keep_alive)
    }

    fn keep_alive(&mut self, now: Uptime) {
        if self.pings() && now >= self.ping_at() {
            // There is room: nothing is pending.
            let _sent = self.channel.send(&ToSensor::Ping, now);
        }
    }
}

fn decode(plain: &[u8]) -> Result<ToCollector<'_>, SessionError> {
    let (message, _) =
        postcard::take_from_bytes::<ToCollector<'_>>(plain).map_err(|_| SessionError::Malformed)?;
    message.check()?;
    Ok(message)
}
