//! Cryptographic primitives for snow, from the same generation of `RustCrypto` crates as the rest of the product.
//! All-zero shared secrets are rejected (RFC 7748 section 6.1).
//!
//! Read first: The Noise Protocol Framework, revision 34, sections 4 and 12.

use alloc::boxed::Box;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::array::typenum::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use sha2::{Digest, Sha256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::key::public_of;

/// Bytes that encryption adds to a message.
pub(crate) const TAG_LEN: usize = 16;

/// Resolver that offers snow X25519, SHA-256, AES-256-GCM and ChaCha20-Poly1305, and no others.
pub(crate) struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519::from_bytes([0; 32]))),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::new(HashSha256(Sha256::new()))),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        // Placeholder keys: snow sets a key before it uses a cipher.
        match choice {
            CipherChoice::AESGCM => Some(Box::new(AesGcm(Aes256Gcm::new(&[0; 32].into())))),
            CipherChoice::ChaChaPoly => Some(Box::new(ChaChaPoly(ChaCha20Poly1305::new(&[0; 32].into())))),
        }
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(out).map_err(|_| Error::Rng)
    }
}

/// Key pair. The public half is stored because snow borrows it.
struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl X25519 {
    fn from_bytes(bytes: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bytes);
        Self { public: public_of(&secret), secret }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        // The trait cannot report an error. A key of another length becomes the zero key, with which no handshake
        // succeeds; all callers have keys of 32 bytes.
        *self = Self::from_bytes(secret.try_into().unwrap_or_default());
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        random.try_fill_bytes(bytes.as_mut_slice())?;
        *self = Self::from_bytes(*bytes);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public: [u8; 32] = *public.first_chunk().ok_or(Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(public));
        // A key of small order gives the zero secret whatever our key is (RFC 7748 section 6.1).
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.first_chunk_mut::<32>().ok_or(Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

struct HashSha256(Sha256);

impl Hash for HashSha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Sha256::new();
    }

    fn input(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn result(&mut self, out: &mut [u8]) {
        let digest: [u8; 32] = self.0.finalize_reset().into();
        if let Some(out) = out.first_chunk_mut::<32>() {
            *out = digest;
        }
    }
}

/// Holds the expanded key between messages, because expanding it costs more than encrypting a small message.
struct AesGcm(Aes256Gcm);

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Aes256Gcm::new(key.into());
    }

    fn encrypt(&self, nonce: u64, associated: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        seal(&self.0, nonce.to_be_bytes(), associated, plain, out)
    }

    fn decrypt(&self, nonce: u64, associated: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(&self.0, nonce.to_be_bytes(), associated, sealed, out)
    }
}

struct ChaChaPoly(ChaCha20Poly1305);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = ChaCha20Poly1305::new(key.into());
    }

    fn encrypt(&self, nonce: u64, associated: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        seal(&self.0, nonce.to_le_bytes(), associated, plain, out)
    }

    fn decrypt(&self, nonce: u64, associated: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(&self.0, nonce.to_le_bytes(), associated, sealed, out)
    }
}

/// Nonce: 32 zero bits, then the counter in the byte order of its cipher (Noise section 12).
fn nonce_bytes(counter: [u8; 8]) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter;
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

/// Encrypts `plain` into `out` and returns the length. The trait cannot report an error; none is possible for
/// messages up to the 65,535 bytes of Noise and a buffer that snow has checked. If one happened, zeros would be sent and
/// the peer would reject them.
fn seal<A: AeadInOut<NonceSize = U12, TagSize = U16>>(
    aead: &A,
    counter: [u8; 8],
    associated: &[u8],
    plain: &[u8],
    out: &mut [u8],
) -> usize {
    let sealed_len = plain.len().saturating_add(TAG_LEN);
    let Some((body, remaining)) = out.split_at_mut_checked(plain.len()) else { return sealed_len };
    body.copy_from_slice(plain);
    let tag = aead.encrypt_inout_detached(&nonce_bytes(counter).into(), associated, (&mut *body).into());
    match (tag, remaining.first_chunk_mut::<TAG_LEN>()) {
        (Ok(tag), Some(out)) => *out = tag.into(),
        _ => body.fill(0),
    }
    sealed_len
}

fn open<A: AeadInOut<NonceSize = U12, TagSize = U16>>(
    aead: &A,
    counter: [u8; 8],
    associated: &[u8],
    sealed: &[u8],
    out: &mut [u8],
) -> Result<usize, Error> {
    let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Error::Decrypt)?;
    let out = out.get_mut(..body.len()).ok_or(Error::Decrypt)?;
    out.copy_from_slice(body);
    aead.decrypt_inout_detached(&nonce_bytes(counter).into(), associated, out.into(), tag.into())
        .map_err(|_| Error::Decrypt)?;
    Ok(body.len())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use snow::{Builder, HandshakeState, TransportState};
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    struct Vector {
        fields: BTreeMap<&'static str, &'static str>,
        /// Payload and ciphertext.
        messages: Vec<(Vec<u8>, Vec<u8>)>,
    }

    fn vectors() -> Vec<Vector> {
        let mut vectors: Vec<Vector> = Vec::new();
        let mut payload = Vec::new();
        for line in include_str!("../tests/data/noise-vectors.txt").lines() {
            let (name, value) = line.split_once(' ').unwrap();
            if name == "protocol" {
                vectors.push(Vector { fields: BTreeMap::new(), messages: Vec::new() });
            }
            let vector = vectors.last_mut().unwrap();
            match name {
                "payload" => payload = bytes(value),
                "ciphertext" => vector.messages.push((core::mem::take(&mut payload), bytes(value))),
                _ => assert!(vector.fields.insert(name, value).is_none()),
            }
        }
        vectors
    }

    impl Vector {
        fn handshake(&self, initiator: bool) -> HandshakeState {
            let side = if initiator { "init" } else { "resp" };
            let field = |name: &str| bytes(self.fields[std::format!("{side}_{name}").as_str()]);
            let (prologue, secret, ephemeral) = (field("prologue"), field("static"), field("ephemeral"));
            let psk: [u8; 32] = self.fields.get("psk").map_or([0; 32], |psk| bytes(psk).try_into().unwrap());
            let remote = bytes(self.fields["init_remote_static"]);
            let mut builder =
                Builder::with_resolver(self.fields["protocol"].parse().unwrap(), Box::new(Resolver))
                    .prologue(&prologue)
                    .unwrap()
                    .local_private_key(&secret)
                    .unwrap()
                    .psk(2, &psk)
                    .unwrap()
                    .fixed_ephemeral_key_for_testing_only(&ephemeral);
            if initiator {
                builder = builder.remote_public_key(&remote).unwrap();
                return builder.build_initiator().unwrap();
            }
            builder.build_responder().unwrap()
        }
    }

    fn transfer(
        sender: &mut impl FnMut(&[u8], &mut [u8]) -> usize,
        receiver: &mut impl FnMut(&[u8], &mut [u8]) -> usize,
        (payload, ciphertext): &(Vec<u8>, Vec<u8>),
    ) {
        let (mut wire, mut plain) = ([0; 512], [0; 512]);
        let len = sender(payload, &mut wire);
        assert_eq!(&wire[..len], ciphertext);
        let len = receiver(&wire[..len], &mut plain);
        assert_eq!(&plain[..len], payload);
    }

    #[test]
    fn published_vectors_of_all_suites() {
        let vectors = vectors();
        assert_eq!(vectors.len(), crate::suite::Suite::ALL.len());
        for vector in vectors {
            let name = vector.fields["protocol"];
            assert!(crate::suite::Suite::ALL.iter().any(|suite| suite.noise_name() == name));
            assert_eq!(vector.messages.len(), 6);
            let (mut init, mut resp) = (vector.handshake(true), vector.handshake(false));
            transfer(
                &mut |plain, out| init.write_message(plain, out).unwrap(),
                &mut |wire, out| resp.read_message(wire, out).unwrap(),
                &vector.messages[0],
            );
            transfer(
                &mut |plain, out| resp.write_message(plain, out).unwrap(),
                &mut |wire, out| init.read_message(wire, out).unwrap(),
                &vector.messages[1],
            );
            assert_eq!(init.get_handshake_hash(), bytes(vector.fields["handshake_hash"]));
            let mut ends: [TransportState; 2] =
                [init.into_transport_mode().unwrap(), resp.into_transport_mode().unwrap()];
            for message in &vector.messages[2..] {
                let [sender, receiver] = &mut ends;
                transfer(
                    &mut |plain, out| sender.write_message(plain, out).unwrap(),
                    &mut |wire, out| receiver.read_message(wire, out).unwrap(),
                    message,
                );
                ends.reverse();
            }
        }
    }

    /// Points of small order, RFC 7748 section 6.1 and <https://cr.yp.to/ecdh.html#validate>: 0, 1, and the
    /// two of order eight.
    #[test]
    fn keys_of_small_order_are_rejected() {
        let mut one = [0; 32];
        one[0] = 1;
        let order_eight = [
            bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            bytes("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        ];
        let own = X25519::from_bytes([7; 32]);
        for weak in [&[0; 32][..], &one, &order_eight[0], &order_eight[1]] {
            assert!(matches!(own.dh(weak, &mut [0; 56]), Err(Error::Dh)), "{weak:02x?}");
        }
        let mut out = [0; 56];
        own.dh(X25519::from_bytes([8; 32]).pubkey(), &mut out).unwrap();
        assert_ne!(out[..32], [0; 32]);
    }

    #[test]
    fn other_primitives_are_not_offered() {
        assert!(Resolver.resolve_dh(&DHChoice::Curve448).is_none());
        assert!(Resolver.resolve_hash(&HashChoice::SHA512).is_none());
        assert!(Resolver.resolve_hash(&HashChoice::Blake2s).is_none());
    }
}
