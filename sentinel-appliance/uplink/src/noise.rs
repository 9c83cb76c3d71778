//! The cryptography of the handshake, for snow: one generation of `RustCrypto` crates for the whole product,
//! and shared secrets that are all zero refused (RFC 7748 section 6.1).
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

/// Bytes that encryption adds.
pub(crate) const TAG_LEN: usize = 16;

/// Gives snow our primitives, and no others.
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
        // The keys are placeholders: snow uses no cipher before it has set a key.
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

/// Both halves, because snow borrows the public one.
struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl X25519 {
    fn from_bytes(bytes: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bytes);
        Self { public: PublicKey::from(&secret), secret }
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
        // A key of another length becomes the zero key, with which no handshake succeeds; our callers
        // only have keys of 32 bytes.
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

/// Keeps the expanded key between messages; expanding it costs more than sealing a small message.
struct AesGcm(Aes256Gcm);

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Aes256Gcm::new(key.into());
    }

    fn encrypt(&self, nonce: u64, authentic: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        seal(&self.0, nonce.to_be_bytes(), authentic, plain, out)
    }

    fn decrypt(&self, nonce: u64, authentic: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(&self.0, nonce.to_be_bytes(), authentic, sealed, out)
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

    fn encrypt(&self, nonce: u64, authentic: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        seal(&self.0, nonce.to_le_bytes(), authentic, plain, out)
    }

    fn decrypt(&self, nonce: u64, authentic: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        open(&self.0, nonce.to_le_bytes(), authentic, sealed, out)
    }
}

/// 32 zero bits, then the counter in the byte order of its cipher (Noise section 12).
fn nonce_bytes(counter: [u8; 8]) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter;
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

/// snow's trait has no way to report failure. There is none for messages within Noise's 65,535 bytes and a
/// buffer that snow has checked; if it happened all the same, zeros would go out and the peer refuse them.
fn seal<A: AeadInOut<NonceSize = U12, TagSize = U16>>(
    aead: &A,
    counter: [u8; 8],
    authentic: &[u8],
    plain: &[u8],
    out: &mut [u8],
) -> usize {
    let sealed_len = plain.len().saturating_add(TAG_LEN);
    let Some((body, rest)) = out.split_at_mut_checked(plain.len()) else { return sealed_len };
    body.copy_from_slice(plain);
    let tag = aead.encrypt_inout_detached(&nonce_bytes(counter).into(), authentic, (&mut *body).into());
    match (tag, rest.first_chunk_mut::<TAG_LEN>()) {
        (Ok(tag), Some(out)) => *out = tag.into(),
        _ => body.fill(0),
    }
    sealed_len
}

fn open<A: AeadInOut<NonceSize = U12, TagSize = U16>>(
    aead: &A,
    counter: [u8; 8],
    authentic: &[u8],
    sealed: &[u8],
    out: &mut [u8],
) -> Result<usize, Error> {
    let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Error::Decrypt)?;
    let out = out.get_mut(..body.len()).ok_or(Error::Decrypt)?;
    out.copy_from_slice(body);
    aead.decrypt_inout_detached(&nonce_bytes(counter).into(), authentic, out.into(), tag.into())
        .map_err(|_| Error::Decrypt)?;
    Ok(body.len())
}
