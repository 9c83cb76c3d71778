//! AES-256-GCM with counter nonces.
//!
//! Read first: NIST SP 800-38D section 8.2.1 (deterministic construction of the nonce: 32-bit fixed field, 64-bit counter) and
//! section 8.3 (limits on invocations under one key).

use core::fmt;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use crate::key::Key;

/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;

/// Nonce counter and tag of one sealed byte string; both are needed to open it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// Nonce counter. It may be stored, or counted by the reader.
    pub counter: u64,
    /// Authentication tag.
    pub tag: [u8; TAG_LEN],
}

/// Error of [`Sealer::seal`]: the key has sealed 2^64 - 1 byte strings, or this one is longer than the 64 GiB of GCM.
///
/// Nothing was sealed: the byte string stays plain and the counter is unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the nonces of this key are used up")
    }
}

impl core::error::Error for Exhausted {}

/// Error of [`Opener::open`]: the bytes, the associated data, the counter, the tag or the key differ from those of sealing.
///
/// The buffer is left encrypted, as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the authentication tag does not match")
    }
}

impl core::error::Error for Forged {}

/// Encrypts byte strings in place with AES-256-GCM and a nonce counter.
///
/// A nonce must never be used twice under one key: GCM then loses both secrecy and authenticity (SP 800-38D appendix A). So the
/// counter is private, and the type is not `Clone`.
pub struct Sealer {
    cipher: Aes256Gcm,
    next_counter: u64,
}

impl Sealer {
    /// Makes a sealer that counts from zero, for a key that has never sealed anything.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self::resume(key, 0)
    }

    /// Makes a sealer that counts from `next_counter`. The caller guarantees that no counter from there on was used with `key`.
    ///
    /// A counter read back from flash is no such guarantee, because power may have failed between sealing and storing; use a
    /// new key instead.
    #[must_use]
    pub fn resume(key: &Key, next_counter: u64) -> Self {
        Self { cipher: Aes256Gcm::new(key.expose().into()), next_counter }
    }

    /// Counter of the next byte string.
    #[must_use]
    pub const fn next_counter(&self) -> u64 {
        self.next_counter
    }

    /// Encrypts `text` in place and authenticates it together with `associated`, which is not stored.
    ///
    /// # Errors
    /// [`Exhausted`] if the counter has run out (it does not wrap) or `text` is too long; `text` stays plain.
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

/// Decrypts and verifies byte strings that a [`Sealer`] with the same key sealed.
pub struct Opener {
    cipher: Aes256Gcm,
}

impl Opener {
    /// Makes an opener for `key`.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self { cipher: Aes256Gcm::new(key.expose().into()) }
    }

    /// Verifies `text` and `associated` and decrypts `text` in place.
    ///
    /// # Errors
    /// [`Forged`] if any argument differs from that of sealing; `text` is left encrypted.
    pub fn open(&self, associated: &[u8], text: &mut [u8], sealed: &Sealed) -> Result<(), Forged> {
        decrypt(&self.cipher, nonce(sealed.counter), associated, text, &sealed.tag)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Opener(..)")
    }
}

/// Nonce of a counter: four zero bytes (fixed field), then the counter, big-endian.
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
    fn sealed_bytes_open_with_their_own_counter_data_and_key_only() {
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
        assert_eq!(text, second, "a rejected buffer stays unchanged");
        assert_eq!(opener.open(b"Log", &mut text, &sealed_second), Err(Forged));
        assert_eq!(Opener::new(&key().next()).open(b"log", &mut text, &sealed_second), Err(Forged));
        assert_eq!(opener.open(b"log", &mut text, &sealed_second), Ok(()));
        assert_eq!(&text, b"alert");
    }

    #[test]
    fn every_flipped_bit_is_detected() {
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
