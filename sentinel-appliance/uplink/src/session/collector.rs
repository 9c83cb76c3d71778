//! Session of a collector.

use alloc::sync::Arc;

use sentinel_units::Uptime;

use super::{Role, Session};
use crate::batch::Origin;
use crate::channel::{Channel, Ephemeral, Received};
use crate::error::{SendError, SessionError};
use crate::key::{KeyPair, PublicKey};
use crate::limits::Limits;
use crate::message::{RejectReason, ToCollector, ToSensor};
use crate::token::{Secret, TokenId};

/// Result of [`CollectorSession::poll`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CollectorEvent<'s> {
    /// Nothing until bytes come or [`CollectorSession::next_deadline`] passes.
    Idle,
    /// A peer that knows our key requests service as the owner of `key`. Answer with
    /// [`CollectorSession::admit`] or [`CollectorSession::reject`].
    ///
    /// These bytes can be a recording: only the first message proves that the peer owns the key.
    Peer {
        /// Claimed key.
        key: PublicKey,
    },
    /// A peer that knows our key requests enrollment of `key` with a token. Answer with
    /// [`CollectorSession::admit_enrollment`], or drop the connection if there is no such token.
    Enrollment {
        /// Key to be enrolled.
        key: PublicKey,
        /// Claimed token; only the first message proves that the peer knows its secret.
        token: TokenId,
    },
    /// Message of the sensor; never a pong. The first one is the hello, or the enrollment request.
    Message(ToCollector<'s>),
}

/// Messages that are allowed next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expect {
    /// Hello.
    Hello,
    /// Enrollment request.
    Enroll,
    /// Any other; batches refer to this origin.
    Any(Origin),
    /// None: the enrollment request has come, or the sensor was rejected. Messages in flight are ignored.
    Nothing,
}

/// Session of a collector.
pub type CollectorSession = Session<CollectorRole>;

/// State of a collector's session.
#[derive(Debug)]
pub struct CollectorRole {
    expect: Expect,
}

impl Role for CollectorRole {
    type Outbound<'m> = ToSensor<'m>;
}

impl Session<CollectorRole> {
    /// Makes the session for a connection that has just been accepted.
    #[must_use]
    pub fn accept(local: &KeyPair, limits: Limits, now: Uptime) -> Self {
        Self::accept_any(Arc::new([local.clone()]), limits, now)
    }

    /// As [`accept`](Self::accept), with several keys, the one that most peers ask for first. Each further key costs one X25519
    /// operation for a peer that asks for none of those before it.
    #[must_use]
    pub fn accept_any(local: Arc<[KeyPair]>, limits: Limits, now: Uptime) -> Self {
        Self::new(Channel::responder(local, limits, now, Ephemeral::Random))
    }

    /// Key of ours for which the peer asked, from [`CollectorEvent::Peer`] or [`CollectorEvent::Enrollment`] on.
    #[must_use]
    pub const fn local_key(&self) -> Option<PublicKey> {
        self.channel.local_key()
    }

    pub(crate) const fn new(channel: Channel) -> Self {
        Self { channel, role: CollectorRole { expect: Expect::Hello } }
    }

    /// Returns the next event. Sends pings itself.
    ///
    /// # Errors
    /// The reason why the session is over, see [`SessionError`].
    pub fn poll(&mut self, now: Uptime) -> Result<CollectorEvent<'_>, SessionError> {
        match self.channel.read(now)? {
            Received::Nothing => {
                self.send_due_ping(now);
                Ok(CollectorEvent::Idle)
            }
            Received::Peer { key, token: None } => Ok(CollectorEvent::Peer { key }),
            Received::Peer { key, token: Some(token) } => {
                self.role.expect = Expect::Enroll;
                Ok(CollectorEvent::Enrollment { key, token })
            }
            Received::Message(len) => self.message(len),
            // Only the channel of an initiator reports this.
            Received::Established => Err(self.channel.close(SessionError::Internal)),
        }
    }

    /// Checks that the message is allowed now; see [`Expect`].
    fn message(&mut self, len: usize) -> Result<CollectorEvent<'_>, SessionError> {
        let fault = match (self.role.expect, decode(self.channel.plaintext(len))) {
            (_, Err(fault)) => fault,
            // A rejected sensor may have sent more before it read the rejection. A pong has done its work: the
            // channel has noted the time.
            (Expect::Nothing, Ok(_)) | (Expect::Any(_), Ok(ToCollector::Pong)) => {
                return Ok(CollectorEvent::Idle);
            }
            // The origin of all later batches comes from the hello; the batches do not repeat it.
            (Expect::Hello, Ok(ToCollector::Hello(hello))) => {
                self.role.expect = Expect::Any(hello.origin());
                return self.decoded(len, Origin::default());
            }
            (Expect::Enroll, Ok(ToCollector::Enroll(_))) => {
                self.role.expect = Expect::Nothing;
                return self.decoded(len, Origin::default());
            }
            (Expect::Any(origin), Ok(message))
                if !matches!(message, ToCollector::Hello(_) | ToCollector::Enroll(_)) =>
            {
                return self.decoded(len, origin);
            }
            (Expect::Hello | Expect::Enroll | Expect::Any(_), Ok(_)) => SessionError::UnexpectedMessage,
        };
        Err(self.channel.close(fault))
    }

    fn decoded(&self, len: usize, origin: Origin) -> Result<CollectorEvent<'_>, SessionError> {
        Ok(CollectorEvent::Message(match decode(self.channel.plaintext(len))? {
            ToCollector::Alerts(batch) => ToCollector::Alerts(batch.with_origin(origin)),
            other => other,
        }))
    }

    /// Admits the peer announced by [`CollectorEvent::Peer`]. Its hello comes next.
    ///
    /// # Errors
    /// - [`SessionError::Internal`] if no such peer waits; the session is unchanged.
    /// - [`SessionError::Randomness`] or [`SessionError::WeakKey`]; the session is over.
    pub fn admit(&mut self, now: Uptime) -> Result<(), SessionError> {
        if self.role.expect == Expect::Hello {
            self.channel.admit(None, now)
        } else {
            Err(SessionError::Internal)
        }
    }

    /// Admits the enrollment announced by [`CollectorEvent::Enrollment`]; `secret` is that of its token. The
    /// request comes next and proves that the peer knows the secret too. Reject a used or expired token only
    /// then: the answer reaches only a peer that holds the token.
    ///
    /// # Errors
    /// - [`SessionError::Internal`] if no such enrollment waits; the session is unchanged.
    /// - [`SessionError::Randomness`] or [`SessionError::WeakKey`]; the session is over.
    pub fn admit_enrollment(&mut self, secret: &Secret, now: Uptime) -> Result<(), SessionError> {
        if self.role.expect == Expect::Enroll {
            self.channel.admit(Some(secret), now)
        } else {
            Err(SessionError::Internal)
        }
    }

    /// Queues a rejection, at any time from [`CollectorEvent::Peer`] on. Write the pending bytes, then close the
    /// connection; messages that still come are ignored.
    ///
    /// # Errors
    /// - [`SendError::NotEstablished`] if an enrollment was not admitted: nothing can be encrypted without the
    ///   secret of its token. Close the connection.
    /// - Those of [`Session::send`] otherwise.
    pub fn reject(&mut self, reason: RejectReason, now: Uptime) -> Result<(), SendError> {
        if !self.channel.is_open() && self.role.expect == Expect::Hello {
            // If this fails, the channel is not open and the send below returns the error.
            let _admitted = self.channel.admit(None, now);
        }
        self.channel.send(&ToSensor::Rejected(reason), now)?;
        self.role.expect = Expect::Nothing;
        Ok(())
    }

    /// Time by which [`poll`](Self::poll) must be called even if no bytes come.
    #[must_use]
    pub fn next_deadline(&self) -> Uptime {
        let deadline = self.channel.next_deadline();
        if self.sends_pings() { deadline.min(self.next_ping()) } else { deadline }
    }

    /// Returns true if the keep-alive timer runs. It does not while bytes are pending: then the stall timeout
    /// does.
    fn sends_pings(&self) -> bool {
        matches!(self.role.expect, Expect::Any(_)) && self.channel.is_open() && self.pending().is_empty()
    }

    fn next_ping(&self) -> Uptime {
        self.channel.last_sent().after(self.channel.limits().keep_alive)
    }

    fn send_due_ping(&mut self, now: Uptime) {
        if self.sends_pings() && now >= self.next_ping() {
            // Succeeds: nothing is pending, so there is room.
            let _sent = self.channel.send(&ToSensor::Ping, now);
        }
    }
}

fn decode(plaintext: &[u8]) -> Result<ToCollector<'_>, SessionError> {
    let (message, _) =
        postcard::take_from_bytes::<ToCollector<'_>>(plaintext).map_err(|_| SessionError::Malformed)?;
    message.check()?;
    Ok(message)
}
