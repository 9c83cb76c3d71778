//! Preface, frames and Noise under the messages: bytes in, plain messages out, and back.
//!
//! One type for both ends; [`crate::SensorSession`] and [`crate::CollectorSession`] put messages and their
//! order on top.

use alloc::boxed::Box;
use alloc::vec;
use core::mem;
use core::time::Duration;

use sentinel_units::Uptime;
use serde::Serialize;
use snow::error::StateProblem;
use snow::{HandshakeState, TransportState};

use crate::error::{SendError, SessionError};
use crate::frame::{HANDSHAKE_ROOM_LEN, Incoming, LENGTH_LEN, Outgoing, Stage};
use crate::key::{KeyPair, PublicKey};
use crate::noise::{Resolver, TAG_LEN};
use crate::suite::Suite;
use crate::token::{Secret, Token, TokenId};

/// First handshake message of IK: ephemeral key, sealed static key, sealed payload.
const FIRST_LEN: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Second handshake message: ephemeral key, empty sealed payload.
const SECOND_LEN: usize = 32 + TAG_LEN;
/// After so many messages of one direction its key moves on (Noise section 11.3).
pub(crate) const REKEY_INTERVAL: u64 = 1 << 16;

/// Sizes and times of a session. Both ends of a connection may have different ones; what one sends
/// must fit into what the other receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest Noise message to send, in bytes (without its length), at least 256.
    pub send_len: u16,
    /// Longest Noise message to take, in bytes (without its length), at least 256.
    pub receive_len: u16,
    /// From the start until the peer has proved that it is there.
    pub handshake: Duration,
    /// From then until the collector has answered the first message of the sensor.
    pub welcome: Duration,
    /// Without any message of the peer.
    pub idle: Duration,
    /// Without the peer taking a byte of what waits to be sent.
    pub stall: Duration,
    /// A collector that has sent nothing for so long sends a ping.
    pub keep_alive: Duration,
}

impl Limits {
    /// For a sensor: 4 KiB up, 2 KiB down.
    pub const SENSOR: Self = Self { send_len: 4096, receive_len: 2048, ..Self::COLLECTOR };
    /// For a collector: 2 KiB down, 4 KiB up.
    pub const COLLECTOR: Self = Self {
        send_len: 2048,
        receive_len: 4096,
        handshake: Duration::from_secs(10),
        welcome: Duration::from_secs(30),
        idle: Duration::from_secs(300),
        stall: Duration::from_secs(60),
        keep_alive: Duration::from_secs(120),
    };
    const MIN_LEN: u16 = 256;

    pub(crate) fn send_room(self) -> usize {
        usize::from(self.send_len.max(Self::MIN_LEN))
    }

    fn receive_room(self) -> usize {
        usize::from(self.receive_len.max(Self::MIN_LEN))
    }
}

/// Where the ephemeral key of a handshake comes from.
#[derive(Clone)]
pub(crate) enum Ephemeral {
    /// The random source of the system.
    Random,
    /// The test that replays a recorded session.
    #[cfg(test)]
    Fixed([u8; 32]),
}

impl Ephemeral {
    fn give_to<'k>(&'k self, builder: snow::Builder<'k>) -> snow::Builder<'k> {
        match self {
            Self::Random => builder,
            #[cfg(test)]
            Self::Fixed(key) => builder.fixed_ephemeral_key_for_testing_only(key),
        }
    }
}

/// Where the cryptography stands.
enum Phase {
    /// Responder: waits for the preface.
    Preface(KeyPair, Ephemeral),
    /// Initiator: waits for the second message. Responder: waits for the first.
    Handshake(Box<HandshakeState>, Suite),
    /// Responder: knows who asks, waits for its owner to admit or refuse.
    Decision(Box<HandshakeState>, Option<TokenId>),
    /// Messages flow.
    Transport(Box<TransportState>),
    /// It is over.
    Closed(SessionError),
}

/// What [`Channel::read`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// Nothing until more bytes come.
    Nothing,
    /// Responder: who asks. Goes on with [`Channel::admit`].
    Peer { key: PublicKey, token: Option<TokenId> },
    /// Initiator: the responder has proved itself, messages may flow.
    Established,
    /// A message of so many bytes stands in [`Channel::plain`].
    Message(usize),
}

pub(crate) struct Channel {
    phase: Phase,
    limits: Limits,
    incoming: Incoming,
    outgoing: Outgoing,
    plain: Box<[u8]>,
    started: Uptime,
    /// Last valid transport message.
    heard: Option<Uptime>,
    /// Last message handed over for sending.
    pub(crate) spoke: Uptime,
    /// Since when bytes wait without one being taken.
    waiting_since: Uptime,
}

impl Channel {
    /// The side that connects. The first message is pending at once.
    pub(crate) fn initiator(
        local: &KeyPair,
        remote: &PublicKey,
        suite: Suite,
        token: Option<&Token>,
        limits: Limits,
        now: Uptime,
        ephemeral: &Ephemeral,
    ) -> Result<Self, SessionError> {
        let psk = token.map(|token| token.secret().psk(token.id()));
        let preface = suite.preface();
        let secret = local.secret_bytes();
        let mut builder = builder(suite)?
            .prologue(&preface)
            .and_then(|builder| builder.local_private_key(secret.as_slice()))
            .and_then(|builder| builder.remote_public_key(remote.as_bytes()))
            .map_err(close_reason)?;
        if let Some(psk) = &psk {
            builder = builder.psk(2, psk).map_err(close_reason)?;
        }
        let mut handshake = ephemeral.give_to(builder).build_initiator().map_err(close_reason)?;
        let mut outgoing = Outgoing::new(HANDSHAKE_ROOM_LEN);
        outgoing.put(&preface).ok_or(SessionError::Internal)?;
        let id = token.map(Token::id);
        let payload: &[u8] = id.as_ref().map_or(&[], |id| &id.0);
        outgoing.put_frame(|room| handshake.write_message(payload, room).map_err(close_reason))?;
        let phase = Phase::Handshake(Box::new(handshake), suite);
        let mut channel = Self::new(phase, Incoming::new(Stage::Length), outgoing, limits, now);
        channel.incoming.allowed = (SECOND_LEN, SECOND_LEN);
        Ok(channel)
    }

    /// The side that is connected to.
    pub(crate) fn responder(local: &KeyPair, limits: Limits, now: Uptime, ephemeral: Ephemeral) -> Self {
        let phase = Phase::Preface(local.clone(), ephemeral);
        Self::new(phase, Incoming::new(Stage::Preface), Outgoing::new(HANDSHAKE_ROOM_LEN), limits, now)
    }

    fn new(phase: Phase, incoming: Incoming, outgoing: Outgoing, limits: Limits, now: Uptime) -> Self {
        Self {
            phase,
            limits,
            incoming,
            outgoing,
            plain: Box::default(),
            started: now,
            heard: None,
            spoke: now,
            waiting_since: now,
        }
    }

    /// Takes bytes from the socket up to the end of one frame; the rest waits until [`Channel::read`] has
    /// taken that frame. Returns how many were taken.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        if let Phase::Closed(reason) = self.phase {
            return Err(reason);
        }
        self.receive_open(bytes).map_err(|reason| self.close(reason))
    }

    fn receive_open(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        let mut taken = self.incoming.fill(bytes)?;
        if let Some(suite) = self.incoming.suite.take() {
            self.begin_response(suite)?;
            taken = taken.saturating_add(self.incoming.fill(bytes.get(taken..).unwrap_or_default())?);
        }
        Ok(taken)
    }

    /// The preface is complete: now the kind of handshake is known.
    fn begin_response(&mut self, suite: Suite) -> Result<(), SessionError> {
        let Phase::Preface(local, ephemeral) = &self.phase else { return Err(SessionError::Internal) };
        let preface = suite.preface();
        let secret = local.secret_bytes();
        let handshake = builder(suite)?
            .prologue(&preface)
            .and_then(|builder| builder.local_private_key(secret.as_slice()))
            .map_err(close_reason)?;
        let handshake = ephemeral.give_to(handshake).build_responder().map_err(close_reason)?;
        let first_len = if suite.enrollment { FIRST_LEN + TokenId::LEN } else { FIRST_LEN };
        self.incoming.allowed = (first_len, first_len);
        self.phase = Phase::Handshake(Box::new(handshake), suite);
        Ok(())
    }

    /// Takes the frame that is complete, if one is, and looks at the deadlines.
    pub(crate) fn read(&mut self, now: Uptime) -> Result<Received, SessionError> {
        if let Phase::Closed(reason) = self.phase {
            return Err(reason);
        }
        let received = self.read_open(now).map_err(|reason| self.close(reason))?;
        if received == Received::Nothing {
            self.check_deadlines(now).map_err(|reason| self.close(reason))?;
        }
        Ok(received)
    }

    fn read_open(&mut self, now: Uptime) -> Result<Received, SessionError> {
        if self.incoming.stage != Stage::Complete {
            return Ok(Received::Nothing);
        }
        if let Phase::Transport(transport) = &mut self.phase {
            let counter = transport.receiving_nonce();
            let len = transport.read_message(self.incoming.frame(), &mut self.plain).map_err(close_reason)?;
            if is_rekey_due(counter) {
                transport.rekey_incoming();
            }
            self.incoming.next_frame();
            self.heard = Some(now);
            return Ok(Received::Message(len));
        }
        match mem::replace(&mut self.phase, Phase::Closed(SessionError::Internal)) {
            Phase::Handshake(handshake, _) if handshake.is_initiator() => {
                self.finish_initiation(handshake, now)
            }
            Phase::Handshake(handshake, suite) => self.identify(handshake, suite),
            undecided @ Phase::Decision(..) => {
                self.phase = undecided;
                Ok(Received::Nothing)
            }
            Phase::Preface(..) | Phase::Transport(_) | Phase::Closed(_) => Err(SessionError::Internal),
        }
    }

    /// Initiator, second message.
    fn finish_initiation(
        &mut self,
        mut handshake: Box<HandshakeState>,
        now: Uptime,
    ) -> Result<Received, SessionError> {
        handshake.read_message(self.incoming.frame(), &mut []).map_err(close_reason)?;
        self.begin_transport(handshake)?;
        self.heard = Some(now);
        Ok(Received::Established)
    }

    /// Responder, first message.
    fn identify(
        &mut self,
        mut handshake: Box<HandshakeState>,
        suite: Suite,
    ) -> Result<Received, SessionError> {
        let mut id = [0; TokenId::LEN];
        let len = handshake.read_message(self.incoming.frame(), &mut id).map_err(close_reason)?;
        let token = if suite.enrollment { Some(TokenId(id)) } else { None };
        if len != token.map_or(0, |_| TokenId::LEN) {
            return Err(SessionError::Malformed);
        }
        let key = handshake.get_remote_static().and_then(|key| key.try_into().ok());
        let key = PublicKey::from_bytes(key.ok_or(SessionError::Internal)?);
        self.phase = Phase::Decision(handshake, token);
        Ok(Received::Peer { key, token })
    }

    /// Responder: answers the first message. An enrollment needs the secret of its token.
    pub(crate) fn admit(&mut self, secret: Option<&Secret>, now: Uptime) -> Result<(), SessionError> {
        match mem::replace(&mut self.phase, Phase::Closed(SessionError::Internal)) {
            Phase::Decision(mut handshake, token) => {
                let answer = answer(&mut handshake, token, secret, &mut self.outgoing);
                answer.and_then(|()| self.begin_transport(handshake)).map_err(|reason| self.close(reason))?;
                self.waiting_since = now;
                Ok(())
            }
            other => {
                self.phase = other;
                Err(SessionError::Internal)
            }
        }
    }

    /// The handshake is done: the only place that allocates after construction.
    fn begin_transport(&mut self, handshake: Box<HandshakeState>) -> Result<(), SessionError> {
        let transport = handshake.into_transport_mode().map_err(close_reason)?;
        let (send, receive) = (self.limits.send_room(), self.limits.receive_room());
        self.incoming.grow(receive);
        self.outgoing.grow(LENGTH_LEN + send);
        self.plain = vec![0; send.max(receive)].into_boxed_slice();
        self.phase = Phase::Transport(Box::new(transport));
        Ok(())
    }

    /// The message that [`Received::Message`] announced.
    pub(crate) fn plain(&self, len: usize) -> &[u8] {
        self.plain.get(..len).unwrap_or_default()
    }

    /// Encodes, seals and queues one message.
    pub(crate) fn send(&mut self, message: &impl Serialize, now: Uptime) -> Result<(), SendError> {
        let transport = match &mut self.phase {
            Phase::Transport(transport) => transport,
            Phase::Closed(reason) => return Err(SendError::Closed(*reason)),
            _ => return Err(SendError::NotEstablished),
        };
        let longest = self.limits.send_room().saturating_sub(TAG_LEN);
        let buffer = self.plain.get_mut(..longest).unwrap_or_default();
        let plain: &[u8] = postcard::to_slice(message, buffer).map_err(|_| SendError::TooLarge)?;
        if !self.outgoing.has_room(LENGTH_LEN + plain.len() + TAG_LEN) {
            return Err(SendError::Busy);
        }
        let was_empty = self.outgoing.pending().is_empty();
        let counter = transport.sending_nonce();
        let sealed =
            self.outgoing.put_frame(|room| transport.write_message(plain, room).map_err(close_reason));
        if is_rekey_due(counter) {
            transport.rekey_outgoing();
        }
        if let Err(reason) = sealed {
            return Err(SendError::Closed(self.close(reason)));
        }
        if was_empty {
            self.waiting_since = now;
        }
        self.spoke = now;
        Ok(())
    }

    /// Bytes for the socket.
    pub(crate) fn pending(&self) -> &[u8] {
        self.outgoing.pending()
    }

    /// The socket took the first `count` bytes of [`Channel::pending`].
    pub(crate) fn sent(&mut self, count: usize, now: Uptime) {
        self.outgoing.take(count);
        if count > 0 {
            self.waiting_since = now;
        }
    }

    /// When [`Channel::read`] must be called even if no bytes come.
    pub(crate) fn next_deadline(&self) -> Uptime {
        if matches!(self.phase, Phase::Closed(_)) {
            return Uptime::ZERO;
        }
        let silence = match self.heard {
            Some(heard) => heard.after(self.limits.idle),
            None => self.started.after(self.limits.handshake),
        };
        if self.pending().is_empty() {
            silence
        } else {
            silence.min(self.waiting_since.after(self.limits.stall))
        }
    }

    fn check_deadlines(&self, now: Uptime) -> Result<(), SessionError> {
        match self.heard {
            None if now >= self.started.after(self.limits.handshake) => Err(SessionError::HandshakeTimeout),
            Some(heard) if now >= heard.after(self.limits.idle) => Err(SessionError::Idle),
            _ if !self.pending().is_empty() && now >= self.waiting_since.after(self.limits.stall) => {
                Err(SessionError::Stalled)
            }
            _ => Ok(()),
        }
    }

    /// Ends the session for `reason`, wipes its keys, and gives the reason back.
    pub(crate) fn close(&mut self, reason: SessionError) -> SessionError {
        self.phase = Phase::Closed(reason);
        reason
    }

    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Transport(_))
    }
}

impl core::fmt::Debug for Channel {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let phase = match &self.phase {
            Phase::Preface(..) => "preface",
            Phase::Handshake(..) => "handshake",
            Phase::Decision(..) => "decision",
            Phase::Transport(_) => "transport",
            Phase::Closed(_) => "closed",
        };
        out.debug_struct("Channel").field("phase", &phase).finish_non_exhaustive()
    }
}

fn builder<'k>(suite: Suite) -> Result<snow::Builder<'k>, SessionError> {
    let params = suite.noise_name().parse().map_err(close_reason)?;
    Ok(snow::Builder::with_resolver(params, Box::new(Resolver)))
}

/// Writes the second message.
fn answer(
    handshake: &mut HandshakeState,
    token: Option<TokenId>,
    secret: Option<&Secret>,
    outgoing: &mut Outgoing,
) -> Result<(), SessionError> {
    if let Some(id) = token {
        let psk = secret.ok_or(SessionError::Internal)?.psk(id);
        handshake.set_psk(2, psk.as_slice()).map_err(close_reason)?;
    }
    outgoing.put_frame(|room| handshake.write_message(&[], room).map_err(close_reason))
}

const fn is_rekey_due(counter: u64) -> bool {
    (counter % REKEY_INTERVAL) == REKEY_INTERVAL - 1
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
const fn close_reason(error: snow::Error) -> SessionError {
    match error {
        snow::Error::Decrypt => SessionError::Authentication,
        snow::Error::Dh => SessionError::WeakKey,
        snow::Error::Rng => SessionError::Randomness,
        snow::Error::State(StateProblem::Exhausted) => SessionError::NonceExhausted,
        _ => SessionError::Internal,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::suite::Cipher;

    const NOW: Uptime = Uptime::ZERO;

    /// A sensor's channel against bare snow, which moves no keys by itself.
    #[test]
    fn the_key_moves_on_after_65_536_messages() {
        let (local, remote) = (KeyPair::from_bytes(&[1; 32]), KeyPair::from_bytes(&[2; 32]));
        let suite = Suite { cipher: Cipher::AesGcm, enrollment: false };
        let ephemeral = Ephemeral::Random;
        let mut channel =
            Channel::initiator(&local, &remote.public(), suite, None, Limits::SENSOR, NOW, &ephemeral)
                .unwrap();
        let preface = suite.preface();
        let secret = remote.secret_bytes();
        let bare = builder(suite).unwrap().prologue(&preface).unwrap();
        let mut bare = bare.local_private_key(secret.as_slice()).unwrap().build_responder().unwrap();
        let mut scratch = [0; 128];
        assert_eq!(channel.pending()[..6], [b'S', b'A', 1, 1, 0, 96]);
        bare.read_message(&channel.pending()[6..], &mut scratch).unwrap();
        channel.sent(usize::MAX, NOW);
        let len = bare.write_message(&[], &mut scratch).unwrap();
        channel.receive(&[0, 48]).unwrap();
        channel.receive(&scratch[..len]).unwrap();
        assert_eq!(channel.read(NOW), Ok(Received::Established));
        let mut bare = bare.into_transport_mode().unwrap();

        for counter in 0..=REKEY_INTERVAL {
            channel.send(&7_u8, NOW).unwrap();
            let frame = channel.pending()[LENGTH_LEN..].to_vec();
            channel.sent(usize::MAX, NOW);
            if counter == REKEY_INTERVAL {
                assert!(bare.read_message(&frame, &mut scratch).is_err(), "the old key still works");
                bare.rekey_incoming();
            }
            assert_eq!(bare.read_message(&frame, &mut scratch), Ok(1), "message {counter}");
        }
        // The other direction has sent nothing and keeps its key.
        let len = bare.write_message(&[9], &mut scratch).unwrap();
        channel.receive(&[0, 17]).unwrap();
        channel.receive(&scratch[..len]).unwrap();
        assert_eq!(channel.read(NOW), Ok(Received::Message(1)));
        assert_eq!(channel.plain(1), [9]);
    }

    #[test]
    fn the_counter_never_wraps() {
        assert_eq!(close_reason(StateProblem::Exhausted.into()), SessionError::NonceExhausted);
        assert!(is_rekey_due(REKEY_INTERVAL - 1) && is_rekey_due(2 * REKEY_INTERVAL - 1));
        assert!(!is_rekey_due(0) && !is_rekey_due(REKEY_INTERVAL) && !is_rekey_due(u64::MAX - 1));
    }
}
