//! Session of a sensor.

use sentinel_units::Uptime;

use super::{Role, Session};
use crate::batch::BATCH_OVERHEAD_LEN;
use crate::channel::{Channel, Ephemeral, Received};
use crate::error::SessionError;
use crate::key::{KeyPair, PublicKey};
use crate::limits::Limits;
use crate::message::{ToCollector, ToSensor};
use crate::suite::{Cipher, Suite};
use crate::token::Token;

/// Result of [`SensorSession::poll`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SensorEvent<'s> {
    /// Nothing until bytes come or [`SensorSession::next_deadline`] passes.
    Idle,
    /// The collector has proved its key: send the hello, or the enrollment request if this session enrolls.
    Established,
    /// Message of the collector; never a ping.
    Message(ToSensor<'s>),
}

/// Session of a sensor.
pub type SensorSession = Session<SensorRole>;

/// State of a sensor's session.
#[derive(Debug)]
pub struct SensorRole {
    /// A ping came and its answer is not queued yet, for want of room.
    is_pong_due: bool,
    welcome: WelcomeState,
}

impl Role for SensorRole {
    type Outbound<'m> = ToCollector<'m>;
}

/// Progress of the introduction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WelcomeState {
    /// The handshake is not done.
    Handshake,
    /// The answer to the first message must come by this time.
    Due(Uptime),
    /// Welcome or rejection has come.
    Done,
}

impl Session<SensorRole> {
    /// Starts a session with a collector that knows this sensor. The first bytes are pending at once.
    ///
    /// # Errors
    /// - [`SessionError::Randomness`] if the system gave no random bytes.
    /// - [`SessionError::WeakKey`] if `collector` is a key of small order, which no one can have.
    ///
    /// No session exists then.
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

    /// Starts a session that enrolls this sensor at the collector named in `token`. It carries one
    /// [`ToCollector::Enroll`] and its answer; after [`ToSensor::Welcome`], connect again with
    /// [`SensorSession::connect`].
    ///
    /// A collector that does not know the token closes the connection without an answer.
    ///
    /// # Errors
    /// - [`SessionError::Randomness`] if the system gave no random bytes.
    /// - [`SessionError::WeakKey`] if the key of the collector in the token is of small order.
    ///
    /// No session exists then.
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
        let role = SensorRole { is_pong_due: false, welcome: WelcomeState::Handshake };
        Self { channel, role }
    }

    /// Returns the next event. Answers pings itself.
    ///
    /// # Errors
    /// The reason why the session is over, see [`SessionError`].
    pub fn poll(&mut self, now: Uptime) -> Result<SensorEvent<'_>, SessionError> {
        // A pong that found no room is tried at every poll.
        self.send_due_pong(now);
        match self.channel.read(now)? {
            Received::Nothing => match self.role.welcome {
                WelcomeState::Due(due) if now >= due => {
                    Err(self.channel.close(SessionError::HandshakeTimeout))
                }
                _ => {
                    self.send_due_heartbeat(now);
                    Ok(SensorEvent::Idle)
                }
            },
            Received::Established => {
                // Counted from here: until now the handshake timeout of the channel ran.
                self.role.welcome = WelcomeState::Due(now.after(self.channel.limits().welcome));
                Ok(SensorEvent::Established)
            }
            Received::Message(len) => self.message(len, now),
            // Only a responder identifies a peer, and this channel was made by `initiator`.
            Received::Peer { .. } => Err(self.channel.close(SessionError::Internal)),
        }
    }

    /// Checks that the message is allowed now. It is decoded a second time for the caller, because the first
    /// result borrows the session, which the error path must change.
    fn message(&mut self, len: usize, now: Uptime) -> Result<SensorEvent<'_>, SessionError> {
        let is_welcomed = self.role.welcome == WelcomeState::Done;
        let fault = match decode(self.channel.plaintext(len)) {
            Ok(ToSensor::Ping) => {
                self.role.is_pong_due = true;
                self.send_due_pong(now);
                return Ok(SensorEvent::Idle);
            }
            // The welcome sets the position from which acknowledgements count, so none may come before.
            Ok(
                ToSensor::Ack(_) | ToSensor::KeyAnswer(_) | ToSensor::CollectorKey(_) | ToSensor::ReplaceKey,
            ) if !is_welcomed => SessionError::UnexpectedMessage,
            Ok(ToSensor::Welcome(_)) if is_welcomed => SessionError::UnexpectedMessage,
            Ok(message) => {
                // A rejection is an answer too: it ends the wait for the welcome.
                if matches!(message, ToSensor::Welcome(_) | ToSensor::Rejected(_)) {
                    self.role.welcome = WelcomeState::Done;
                }
                return decode(self.channel.plaintext(len)).map(SensorEvent::Message);
            }
            Err(fault) => fault,
        };
        Err(self.channel.close(fault))
    }

    /// Sends the pong as soon as there is room; several pings before that need one answer.
    fn send_due_pong(&mut self, now: Uptime) {
        if self.role.is_pong_due && self.channel.send(&ToCollector::Pong, now).is_ok() {
            self.role.is_pong_due = false;
        }
    }

    /// Sends a heartbeat if nothing was sent for [`Limits::heartbeat`].
    fn send_due_heartbeat(&mut self, now: Uptime) {
        if self.next_heartbeat().is_some_and(|due| now >= due) {
            // Succeeds: nothing is pending, so there is room.
            let _sent = self.channel.send(&ToCollector::Pong, now);
        }
    }

    /// Time of the next heartbeat; none before the welcome, nor while bytes are pending: then the stall timeout runs.
    fn next_heartbeat(&self) -> Option<Uptime> {
        let runs =
            self.role.welcome == WelcomeState::Done && self.channel.is_open() && self.pending().is_empty();
        runs.then(|| self.channel.last_sent().after(self.channel.limits().heartbeat))
    }

    /// Time by which [`poll`](Self::poll) must be called even if no bytes come.
    #[must_use]
    pub fn next_deadline(&self) -> Uptime {
        let deadline = self.channel.next_deadline();
        match self.role.welcome {
            WelcomeState::Due(due) => deadline.min(due),
            WelcomeState::Handshake => deadline,
            WelcomeState::Done => self.next_heartbeat().map_or(deadline, |due| deadline.min(due)),
        }
    }

    /// Returns true if the collector has proved its key and messages may be sent.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.channel.is_open()
    }

    /// Longest buffer, in bytes, that a [`crate::BatchBuilder`] may fill so that its batch fits into a frame.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.channel.limits().max_send_len().saturating_sub(BATCH_OVERHEAD_LEN)
    }
}

fn decode(plaintext: &[u8]) -> Result<ToSensor<'_>, SessionError> {
    let (message, _) =
        postcard::take_from_bytes::<ToSensor<'_>>(plaintext).map_err(|_| SessionError::Malformed)?;
    message.check()?;
    Ok(message)
}
