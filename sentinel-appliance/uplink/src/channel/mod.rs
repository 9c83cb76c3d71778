//! Encrypted channel: preface, frames and Noise below the messages. Bytes in, plaintext messages out, and back.
//!
//! One type for both ends; [`crate::SensorSession`] and [`crate::CollectorSession`] add the messages and their
//! order. [`handshake`] has the steps up to [`Phase::Transport`].

mod handshake;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem;

use sentinel_units::Uptime;
use serde::Serialize;
use snow::error::StateProblem;
use snow::{HandshakeState, TransportState};

use crate::error::{SendError, SessionError};
use crate::frame::{Incoming, LENGTH_LEN, Outgoing};
use crate::key::{KeyPair, PublicKey};
use crate::limits::Limits;
use crate::noise::TAG_LEN;
use crate::suite::Suite;
use crate::token::TokenId;

pub(crate) use handshake::Ephemeral;

/// Number of messages of one direction after which its key is replaced (`REKEY`, Noise section 11.3).
pub(crate) const REKEY_INTERVAL: u64 = 1 << 16;

/// State of the cryptography. Each phase holds only its own data; a step to the next consumes it.
enum Phase {
    /// Responder: waiting for the preface.
    Preface(Ephemeral),
    /// Initiator: waiting for the second message. Responder: waiting for the first.
    Handshake(Box<HandshakeState>, Suite),
    /// Responder: the key of the initiator is known, waiting for [`Channel::admit`].
    AwaitingAdmission(Box<HandshakeState>, Option<TokenId>),
    /// Messages may be sent and received.
    Transport(Box<TransportState>),
    /// Closed for this reason. Keys are dropped and wiped.
    Closed(SessionError),
}

/// Result of [`Channel::read`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// No complete frame.
    Nothing,
    /// Responder: claimed key of the initiator. Continues with [`Channel::admit`].
    Peer { key: PublicKey, token: Option<TokenId> },
    /// Initiator: the responder has proved its key, messages may be sent.
    Established,
    /// A message of this length is in [`Channel::plaintext`].
    Message(usize),
}

pub(crate) struct Channel {
    phase: Phase,
    /// Responder, until it is known for which of them the peer asks: keys that it answers as.
    local_keys: Option<Arc<[KeyPair]>>,
    /// Responder: key for which the peer asked.
    local_key: Option<PublicKey>,
    limits: Limits,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Plaintext of the message being sent or received.
    plaintext: Box<[u8]>,
    created_at: Uptime,
    /// Time of the last valid message of the peer; `None` before it is authenticated.
    last_received: Option<Uptime>,
    /// Time at which the last message was queued.
    last_sent: Uptime,
    /// Time at which the socket last accepted a byte, or at which bytes became pending.
    last_write_progress: Uptime,
}

impl Channel {
    fn new(phase: Phase, incoming: Incoming, outgoing: Outgoing, limits: Limits, now: Uptime) -> Self {
        Self {
            phase,
            local_keys: None,
            local_key: None,
            limits,
            incoming,
            outgoing,
            plaintext: Box::default(),
            created_at: now,
            last_received: None,
            last_sent: now,
            last_write_progress: now,
        }
    }

    /// Takes bytes from the socket up to the end of one frame and returns how many. The remaining bytes are
    /// given again after [`Channel::read`] has taken that frame, so one frame of memory suffices.
    ///
    /// # Errors
    /// [`SessionError::BadMagic`], [`SessionError::Version`], [`SessionError::Suite`] or
    /// [`SessionError::FrameLength`]; the channel is closed.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        if let Phase::Closed(reason) = self.phase {
            return Err(reason);
        }
        self.receive_open(bytes).map_err(|reason| self.close(reason))
    }

    fn receive_open(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        let mut taken = self.incoming.fill(bytes)?;
        if let Some(suite) = self.incoming.take_suite() {
            self.begin_response(suite)?;
            taken = taken.saturating_add(self.incoming.fill(bytes.get(taken..).unwrap_or_default())?);
        }
        Ok(taken)
    }

    /// Reads the frame that is complete, if one is, and checks the timeouts otherwise.
    ///
    /// # Errors
    /// The reason why the channel is closed, now or earlier.
    pub(crate) fn read(&mut self, now: Uptime) -> Result<Received, SessionError> {
        if let Phase::Closed(reason) = self.phase {
            return Err(reason);
        }
        let received = self.read_open(now).map_err(|reason| self.close(reason))?;
        if received == Received::Nothing {
            self.check_timeouts(now).map_err(|reason| self.close(reason))?;
        }
        Ok(received)
    }

    fn read_open(&mut self, now: Uptime) -> Result<Received, SessionError> {
        if !self.incoming.is_complete() {
            return Ok(Received::Nothing);
        }
        if let Phase::Transport(transport) = &mut self.phase {
            let counter = transport.receiving_nonce();
            let frame = self.incoming.frame();
            let len = transport.read_message(frame, &mut self.plaintext).map_err(close_reason)?;
            // Only after the message authenticated: a forged frame must not replace the key.
            if is_rekey_due(counter) {
                transport.rekey_incoming();
            }
            self.incoming.next_frame();
            self.last_received = Some(now);
            return Ok(Received::Message(len));
        }
        // Handshake states are consumed. `Closed` is put in their place, so that an error cannot leave a
        // half-finished handshake behind.
        match mem::replace(&mut self.phase, Phase::Closed(SessionError::Internal)) {
            Phase::Handshake(handshake, _) if handshake.is_initiator() => {
                self.finish_initiation(handshake, now)
            }
            Phase::Handshake(handshake, suite) => self.identify(handshake, suite),
            waiting @ Phase::AwaitingAdmission(..) => {
                self.phase = waiting;
                Ok(Received::Nothing)
            }
            Phase::Preface(..) | Phase::Transport(_) | Phase::Closed(_) => Err(SessionError::Internal),
        }
    }

    /// Plaintext of the message that [`Received::Message`] announced.
    pub(crate) fn plaintext(&self, len: usize) -> &[u8] {
        self.plaintext.get(..len).unwrap_or_default()
    }

    /// Encodes, encrypts and queues one message.
    ///
    /// # Errors
    /// - [`SendError::TooLarge`], [`SendError::Busy`], [`SendError::NotEstablished`]: nothing was queued.
    /// - [`SendError::Closed`]: the channel is closed.
    pub(crate) fn send(&mut self, message: &impl Serialize, now: Uptime) -> Result<(), SendError> {
        let transport = match &mut self.phase {
            Phase::Transport(transport) => transport,
            Phase::Closed(reason) => return Err(SendError::Closed(*reason)),
            _ => return Err(SendError::NotEstablished),
        };
        let max_len = self.limits.max_send_len().saturating_sub(TAG_LEN);
        let buffer = self.plaintext.get_mut(..max_len).unwrap_or_default();
        let plaintext: &[u8] = postcard::to_slice(message, buffer).map_err(|_| SendError::TooLarge)?;
        // Checked before encrypting, because the nonce of a message that is not sent would be missing at the
        // receiver.
        if !self.outgoing.has_room(LENGTH_LEN + plaintext.len() + TAG_LEN) {
            return Err(SendError::Busy);
        }
        let was_empty = self.outgoing.pending().is_empty();
        let counter = transport.sending_nonce();
        let sealed =
            self.outgoing.put_frame(|out| transport.write_message(plaintext, out).map_err(close_reason));
        // After the message whose counter is due, as at the receiver, which rekeys after reading it.
        if is_rekey_due(counter) {
            transport.rekey_outgoing();
        }
        if let Err(reason) = sealed {
            return Err(SendError::Closed(self.close(reason)));
        }
        // Otherwise the stall timeout of the older bytes continues.
        if was_empty {
            self.last_write_progress = now;
        }
        self.last_sent = now;
        Ok(())
    }

    /// Bytes for the socket.
    pub(crate) fn pending(&self) -> &[u8] {
        self.outgoing.pending()
    }

    /// Removes the first `count` pending bytes, which the socket accepted.
    pub(crate) fn sent(&mut self, count: usize, now: Uptime) {
        self.outgoing.consume(count);
        if count > 0 {
            self.last_write_progress = now;
        }
    }

    /// Time by which [`Channel::read`] must be called even if no bytes come.
    pub(crate) fn next_deadline(&self) -> Uptime {
        if matches!(self.phase, Phase::Closed(_)) {
            return Uptime::ZERO;
        }
        // Before the first message of the peer the handshake timeout counts from the start and cannot be extended by
        // sending single bytes.
        let silence = match self.last_received {
            Some(last) => last.after(self.limits.idle),
            None => self.created_at.after(self.limits.handshake),
        };
        if self.pending().is_empty() {
            silence
        } else {
            silence.min(self.last_write_progress.after(self.limits.stall))
        }
    }

    fn check_timeouts(&self, now: Uptime) -> Result<(), SessionError> {
        match self.last_received {
            None if now >= self.created_at.after(self.limits.handshake) => {
                Err(SessionError::HandshakeTimeout)
            }
            Some(last) if now >= last.after(self.limits.idle) => Err(SessionError::Idle),
            _ if !self.pending().is_empty() && now >= self.last_write_progress.after(self.limits.stall) => {
                Err(SessionError::Stalled)
            }
            _ => Ok(()),
        }
    }

    /// Closes the channel for `reason`, wipes its keys, and returns the reason.
    pub(crate) fn close(&mut self, reason: SessionError) -> SessionError {
        self.phase = Phase::Closed(reason);
        reason
    }

    /// Responder: key of its own for which the peer asked, once it has named its key.
    pub(crate) const fn local_key(&self) -> Option<PublicKey> {
        self.local_key
    }

    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) const fn last_sent(&self) -> Uptime {
        self.last_sent
    }

    /// Returns true if messages may be sent.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Transport(_))
    }
}

impl core::fmt::Debug for Channel {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let phase = match &self.phase {
            Phase::Preface(..) => "preface",
            Phase::Handshake(..) => "handshake",
            Phase::AwaitingAdmission(..) => "awaiting admission",
            Phase::Transport(_) => "transport",
            Phase::Closed(_) => "closed",
        };
        out.debug_struct("Channel").field("phase", &phase).finish_non_exhaustive()
    }
}

/// Returns true if the key is replaced after the message with this counter. Both ends derive it from the counter
/// alone; nothing about it is transmitted.
const fn is_rekey_due(counter: u64) -> bool {
    (counter % REKEY_INTERVAL) == REKEY_INTERVAL - 1
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err needs")]
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
    use super::handshake::builder;
    use super::*;
    use crate::key::KeyPair;
    use crate::suite::{Cipher, Suite};

    const NOW: Uptime = Uptime::ZERO;

    /// Channel of a sensor against bare snow, which never rekeys by itself.
    #[test]
    fn a_direction_rekeys_after_65_536_messages() {
        let (local, remote) = (KeyPair::from_bytes(&[1; 32]), KeyPair::from_bytes(&[2; 32]));
        let suite = Suite { cipher: Cipher::AesGcm, enrollment: false };
        let ephemeral = Ephemeral::Random;
        let mut channel =
            Channel::initiator(&local, &remote.public(), suite, None, Limits::SENSOR, NOW, &ephemeral)
                .unwrap();
        let preface = suite.preface();
        let secret = remote.secret_bytes();
        let bare = builder(suite).prologue(&preface).unwrap();
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
        // The other direction has sent nothing and has not been rekeyed.
        let len = bare.write_message(&[9], &mut scratch).unwrap();
        channel.receive(&[0, 17]).unwrap();
        channel.receive(&scratch[..len]).unwrap();
        assert_eq!(channel.read(NOW), Ok(Received::Message(1)));
        assert_eq!(channel.plaintext(1), [9]);
    }

    #[test]
    fn the_counter_never_wraps() {
        assert_eq!(close_reason(StateProblem::Exhausted.into()), SessionError::NonceExhausted);
        assert!(is_rekey_due(REKEY_INTERVAL - 1) && is_rekey_due(2 * REKEY_INTERVAL - 1));
        assert!(!is_rekey_due(0) && !is_rekey_due(REKEY_INTERVAL) && !is_rekey_due(u64::MAX - 1));
    }
}
