//! The two handshake messages: `IK`, or `IKpsk2` for an enrollment (Noise revision 34, sections 7.5 and 9).
//!
//! ```text
//! initiator  Handshake ------------ message 1 ----------> Preface, Handshake      responder
//!                                                         AwaitingAdmission: owner looks the key up
//!            Handshake <----------- message 2 ----------- admit() or close
//!            Transport                                    Transport
//! ```
//!
//! The responder learns the static key of the initiator from message 1, before it answers. Message 1 can be a
//! recording; only the first transport message proves that the initiator holds its key (and, with psk2, the
//! secret of its token).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use core::mem;

use sentinel_units::Uptime;
use snow::HandshakeState;
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifier, HandshakeModifierList,
    HandshakePattern, HashChoice, NoiseParams,
};

use super::{Channel, Phase, Received, close_reason};
use crate::error::SessionError;
use crate::frame::{HANDSHAKE_BUFFER_LEN, Incoming, LENGTH_LEN, Outgoing, Stage};
use crate::key::{KeyPair, PublicKey};
use crate::limits::Limits;
use crate::noise::{Resolver, TAG_LEN};
use crate::suite::{Cipher, Suite};
use crate::token::{Secret, Token, TokenId};

/// Length of the first handshake message of IK: ephemeral key, sealed static key, sealed empty payload.
const FIRST_LEN: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Length of the second handshake message: ephemeral key, sealed empty payload.
const SECOND_LEN: usize = 32 + TAG_LEN;

/// Source of the ephemeral key of a handshake.
#[derive(Clone)]
pub(crate) enum Ephemeral {
    /// Random source of the system.
    Random,
    /// Fixed key of the test that replays a recorded session.
    #[cfg(test)]
    Fixed([u8; 32]),
}

impl Ephemeral {
    fn configure<'k>(&'k self, builder: snow::Builder<'k>) -> snow::Builder<'k> {
        match self {
            Self::Random => builder,
            #[cfg(test)]
            Self::Fixed(key) => builder.fixed_ephemeral_key_for_testing_only(key),
        }
    }
}

impl Channel {
    /// Makes the connecting side. Preface and first handshake message are pending at once.
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
        // The preface is the prologue, so a change to it on the way fails the handshake.
        let mut builder = builder(suite)
            .prologue(&preface)
            .and_then(|builder| builder.local_private_key(secret.as_slice()))
            .and_then(|builder| builder.remote_public_key(remote.as_bytes()))
            .map_err(close_reason)?;
        // `psk2`: mixed in at the end of the second message (Noise section 9), so the responder can look the
        // secret up by the id in the first.
        if let Some(psk) = &psk {
            builder = builder.psk(2, psk).map_err(close_reason)?;
        }
        let mut handshake = ephemeral.configure(builder).build_initiator().map_err(close_reason)?;
        let mut outgoing = Outgoing::new(HANDSHAKE_BUFFER_LEN);
        outgoing.put(&preface).ok_or(SessionError::Internal)?;
        let id = token.map(Token::id);
        let payload: &[u8] = id.as_ref().map_or(&[], |id| &id.0);
        outgoing.put_frame(|out| handshake.write_message(payload, out).map_err(close_reason))?;
        let phase = Phase::Handshake(Box::new(handshake), suite);
        let mut channel = Self::new(phase, Incoming::new(Stage::Length), outgoing, limits, now);
        channel.incoming.allow_only(SECOND_LEN);
        Ok(channel)
    }

    /// Makes the accepting side.
    pub(crate) fn responder(
        local: Arc<[KeyPair]>,
        limits: Limits,
        now: Uptime,
        ephemeral: Ephemeral,
    ) -> Self {
        let (incoming, outgoing) = (Incoming::new(Stage::Preface), Outgoing::new(HANDSHAKE_BUFFER_LEN));
        let mut channel = Self::new(Phase::Preface(ephemeral), incoming, outgoing, limits, now);
        channel.local_keys = Some(local);
        channel
    }

    /// Responder: starts the handshake that the complete preface requests.
    pub(super) fn begin_response(&mut self, suite: Suite) -> Result<(), SessionError> {
        let Phase::Preface(ephemeral) = &self.phase else { return Err(SessionError::Internal) };
        let local = self.local_keys.as_ref().and_then(|keys| keys.first()).ok_or(SessionError::Internal)?;
        let handshake = response(local, suite, ephemeral)?;
        // Exactly one length is possible, so any other is rejected before its bytes arrive.
        self.incoming.allow_only(if suite.enrollment { FIRST_LEN + TokenId::LEN } else { FIRST_LEN });
        self.phase = Phase::Handshake(handshake, suite);
        Ok(())
    }

    /// Initiator: reads the second message.
    pub(super) fn finish_initiation(
        &mut self,
        mut handshake: Box<HandshakeState>,
        now: Uptime,
    ) -> Result<Received, SessionError> {
        handshake.read_message(self.incoming.frame(), &mut []).map_err(close_reason)?;
        self.begin_transport(handshake)?;
        self.last_received = Some(now);
        Ok(Received::Established)
    }

    /// Responder: reads the first message.
    pub(super) fn identify(
        &mut self,
        mut handshake: Box<HandshakeState>,
        suite: Suite,
    ) -> Result<Received, SessionError> {
        let mut id = [0; TokenId::LEN];
        let keys = self.local_keys.take().ok_or(SessionError::Internal)?;
        let mut read = handshake.read_message(self.incoming.frame(), &mut id).map_err(close_reason);
        let mut local = keys.first();
        // The message does not name the key of the responder: it is the one with which it decrypts. One X25519 operation for
        // each further key.
        for other in keys.iter().skip(1) {
            if read != Err(SessionError::Authentication) {
                break;
            }
            handshake = response(other, suite, &Ephemeral::Random)?;
            read = handshake.read_message(self.incoming.frame(), &mut id).map_err(close_reason);
            local = Some(other);
        }
        let len = read?;
        self.local_key = local.map(KeyPair::public);
        let token = if suite.enrollment { Some(TokenId(id)) } else { None };
        if len != token.map_or(0, |_| TokenId::LEN) {
            return Err(SessionError::Malformed);
        }
        let key = handshake.get_remote_static().and_then(|key| key.try_into().ok());
        let key = PublicKey::from_bytes(key.ok_or(SessionError::Internal)?);
        // The frame stays in the buffer until `begin_transport`, so no more bytes are taken from a peer that is not
        // admitted.
        self.phase = Phase::AwaitingAdmission(handshake, token);
        Ok(Received::Peer { key, token })
    }

    /// Responder: answers the first message. An enrollment needs the secret of its token.
    ///
    /// # Errors
    /// [`SessionError::Internal`] if no peer waits for admission; nothing changes. Any other error closes the
    /// channel.
    pub(crate) fn admit(&mut self, secret: Option<&Secret>, now: Uptime) -> Result<(), SessionError> {
        match mem::replace(&mut self.phase, Phase::Closed(SessionError::Internal)) {
            Phase::AwaitingAdmission(mut handshake, token) => {
                let answer = answer(&mut handshake, token, secret, &mut self.outgoing);
                answer.and_then(|()| self.begin_transport(handshake)).map_err(|reason| self.close(reason))?;
                self.last_write_progress = now;
                Ok(())
            }
            other => {
                self.phase = other;
                Err(SessionError::Internal)
            }
        }
    }

    /// Switches to transport messages. The only place that allocates after construction.
    fn begin_transport(&mut self, handshake: Box<HandshakeState>) -> Result<(), SessionError> {
        let transport = handshake.into_transport_mode().map_err(close_reason)?;
        let (send, receive) = (self.limits.max_send_len(), self.limits.max_receive_len());
        self.incoming.grow(receive);
        self.outgoing.grow(LENGTH_LEN + send);
        self.plaintext = vec![0; send.max(receive)].into_boxed_slice();
        self.phase = Phase::Transport(Box::new(transport));
        Ok(())
    }
}

pub(super) fn builder<'k>(suite: Suite) -> snow::Builder<'k> {
    snow::Builder::with_resolver(params(suite), Box::new(Resolver))
}

/// Parameters that the name of the suite stands for. Not parsed from it: the parser knows every pattern of Noise, in 3 KiB.
fn params(suite: Suite) -> NoiseParams {
    let list = if suite.enrollment { vec![HandshakeModifier::Psk(2)] } else { vec![] };
    let handshake =
        HandshakeChoice { pattern: HandshakePattern::IK, modifiers: HandshakeModifierList { list } };
    let cipher = match suite.cipher {
        Cipher::AesGcm => CipherChoice::AESGCM,
        Cipher::ChaChaPoly => CipherChoice::ChaChaPoly,
    };
    let (dh, hash) = (DHChoice::Curve25519, HashChoice::SHA256);
    NoiseParams::new(suite.noise_name().into(), BaseChoice::Noise, handshake, dh, cipher, hash)
}

/// Handshake of the accepting side.
fn response(
    local: &KeyPair,
    suite: Suite,
    ephemeral: &Ephemeral,
) -> Result<Box<HandshakeState>, SessionError> {
    let preface = suite.preface();
    let secret = local.secret_bytes();
    let builder = builder(suite)
        .prologue(&preface)
        .and_then(|builder| builder.local_private_key(secret.as_slice()))
        .map_err(close_reason)?;
    ephemeral.configure(builder).build_responder().map(Box::new).map_err(close_reason)
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
    outgoing.put_frame(|out| handshake.write_message(&[], out).map_err(close_reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_name() {
        for suite in Suite::ALL {
            assert_eq!(Ok(params(suite)), suite.noise_name().parse());
        }
    }
}
