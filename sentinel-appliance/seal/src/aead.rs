//! AES-256-GCM with counted nonces.
//!
//! Read first: NIST SP 800-38D section 8.2.1 (deterministic construction: 32-bit fixed field, 64-bit counter).

use core::fmt;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use crate::key::Key;

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// What [`Sealer::seal`] gives besides the bytes it encrypted in place; both are needed to open them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The nonce counter. It may be stored, or counted along by the reader.
    pub counter: u64,
    /// The authentication tag.
    pub tag: [u8; TAG_LEN],
}

/// The key has sealed all it may: 2^64 - 1 byte strings, or one longer than 64 GiB. Nothing was sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("no nonce left under this key")
    }
}

impl core::error::Error for Exhausted {}

/// The bytes, what they are bound to, the counter or the key differ from when they were sealed. The buffer is as before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the seal is broken")
    }
}

impl core::error::Error for Forged {}

/// Seals byte strings in place. Owns its counter, so that a nonce is never used twice; not `Clone` for the same reason.
pub struct Sealer {
    cipher: Aes256Gcm,
    next_counter: u64,
}

impl Sealer {
    /// Counts from zero: only for a key that has never sealed anything.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self::resume(key, 0)
    }

    /// Counts from `next_counter`. The caller vouches that nothing was sealed under `key` from there on. A counter read
    /// back from a disk does not serve: power may have failed between sealing and storing. Take a fresh key instead.
    #[must_use]
    pub fn resume(key: &Key, next_counter: u64) -> Self {
        Self { cipher: Aes256Gcm::new(key.expose().into()), next_counter }
    }

    /// The counter that the next byte string will get.
    #[must_use]
    pub const fn next_counter(&self) -> u64 {
        self.next_counter
    }

    /// Encrypts `text` in place and binds it to `associated`, which is authenticated but not stored.
    ///
    /// # Errors
    /// [`Exhausted`]: the counter has run out. It does not wrap.
    pub fn seal(&mut self, associated: &[u8], text: &mut [u8]) -> Result<Sealed, Exhausted> {
        let counter = self.next_counter;
        let after = counter.checked_add(1).ok_or(Exhausted)?;
        let tag = encrypt(&self.cipher, nonce(counter), associated, text)?;
        self.next_counter = after;
        Ok(Sealed { counter, tag })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sealer(next_counter: {})", self.next_counter)
    }
}

/// Opens what a [`Sealer`] with the same key sealed.
pub struct Opener {
    cipher: Aes256Gcm,
}

impl Opener {
    /// An opener for `key`.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self { cipher: Aes256Gcm::new(key.expose().into()) }
    }

    /// Decrypts `text` in place.
    ///
    /// # Errors
    /// [`Forged`]: any of the arguments differs from when it was sealed; `text` is left encrypted.
    pub fn open(&self, associated: &[u8], text: &mut [u8], sealed: &Sealed) -> Result<(), Forged> {
        decrypt(&self.cipher, nonce(sealed.counter), associated, text, &sealed.tag)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Opener(..)")
    }
}

/// Four zero bytes, then the counter, big-endian.
fn nonce(counter: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

pub(crate) fn encrypt(
    cipher: &Aes256Gcm,
    nonce: [u8; 12],
    associated: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_LEN], Exhausted> {
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), associated, text.into())
        .map_err(|_too_long| Exhausted)?;
    Ok(tag.into())
}

pub(crate) fn decrypt(
    cipher: &Aes256Gcm,
    nonce: [u8; 12],
    associated: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Forged> {
    cipher
        .decrypt_inout_detached(&Nonce::from(nonce), associated, text.into(), &Tag::from(*tag))
        .map_err(|_mismatch| Forged)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    fn key() -> Key {
        Key::from_bytes([3; 32])
    }

    #[test]
    fn what_is_sealed_opens_once_and_in_its_place_only() {
        let mut sealer = Sealer::new(&key());
        let mut first = *b"alert";
        let mut second = *b"alert";
        let sealed_first = sealer.seal(b"log", &mut first).unwrap();
        let sealed_second = sealer.seal(b"log", &mut second).unwrap();
        assert_eq!((sealed_first.counter, sealed_second.counter), (0, 1));
        assert_ne!(first, second, "the counter must change the bytes");

        let opener = Opener::new(&key());
        let mut text = second;
        assert_eq!(opener.open(b"log", &mut text, &sealed_first), Err(Forged));
        assert_eq!(text, second, "a forgery is left as it is");
        assert_eq!(opener.open(b"Log", &mut text, &sealed_second), Err(Forged));
        assert_eq!(Opener::new(&key().next()).open(b"log", &mut text, &sealed_second), Err(Forged));
        assert_eq!(opener.open(b"log", &mut text, &sealed_second), Ok(()));
        assert_eq!(&text, b"alert");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut text = *b"0123456789abcdefg";
        let sealed = Sealer::new(&key()).seal(b"", &mut text).unwrap();
        let opener = Opener::new(&key());
        for bit in 0..text.len() * 8 {
            let mut bad = text;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(b"", &mut bad, &sealed), Err(Forged), "bit {bit}");
        }
        for bit in 0..TAG_LEN * 8 {
            let mut bad = sealed;
            bad.tag[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(b"", &mut text.clone(), &bad), Err(Forged), "tag bit {bit}");
        }
        for bit in 0..64 {
            let bad = Sealed { counter: sealed.counter ^ (1 << bit), ..sealed };
            assert_eq!(opener.open(b"", &mut text.clone(), &bad), Err(Forged), "counter bit {bit}");
        }
    }

    #[test]
    fn the_counter_runs_out_instead_of_wrapping() {
        let mut sealer = Sealer::resume(&key(), u64::MAX - 1);
        assert_eq!(sealer.seal(b"", &mut [1]).unwrap().counter, u64::MAX - 1);
        let mut text = *b"plain";
        assert_eq!(sealer.seal(b"", &mut text), Err(Exhausted));
        assert_eq!(&text, b"plain");
        assert_eq!(sealer.seal(b"", &mut text), Err(Exhausted));
    }

    #[test]
    fn the_nonce_is_big_endian() {
        assert_eq!(nonce(0x0102_0304_0506_0708), [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?} {:?}", Sealer::new(&key()), Opener::new(&key())),
            "Sealer(next_counter: 0) Opener(..)"
        );
    }
}
