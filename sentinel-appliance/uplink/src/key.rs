//! Identities: X25519 key pairs and their public keys.
//!
//! Read first: RFC 7748 section 6.1.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use x25519_dalek::{StaticSecret, X25519_BASEPOINT_BYTES};
use zeroize::Zeroizing;

use crate::base32::{self, Base32, DecodeError};
use crate::error::SessionError;

/// Length of a public key as text, in characters.
const TEXT_LEN: usize = 52;

/// Public key: the identity of a sensor or of a collector.
///
/// As text it is 52 characters of base32, written in lower case and read in either case.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Makes a key from its 32 bytes (RFC 7748 section 5).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base32(&self.0).fmt(out)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({self})")
    }
}

/// Reason why text is not a public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// The character at this position, counted from 0, is not of the base32 alphabet.
    Character(usize),
    /// The text does not have 52 characters, or its last one has bits that no key has. Holds the number of characters.
    Length(usize),
}

impl fmt::Display for ParseKeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(at) => {
                write!(out, "character {} of the key is none of a-z and 2-7", at.saturating_add(1))
            }
            Self::Length(len) => {
                write!(out, "a key has {TEXT_LEN} base32 characters and ends in a or q, not {len} as here")
            }
        }
    }
}

impl core::error::Error for ParseKeyError {}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let text = text.trim();
        let wrong_length = ParseKeyError::Length(text.chars().count());
        let mut bytes = [0; 32];
        match base32::decode(text, &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            Ok(_) | Err(DecodeError::Length) => Err(wrong_length),
            Err(DecodeError::Character(at)) => Err(ParseKeyError::Character(at)),
        }
    }
}

/// Static key pair. The secret key is wiped from memory when dropped and never displayed.
#[derive(Clone)]
pub struct KeyPair {
    secret: StaticSecret,
    public: PublicKey,
}

impl KeyPair {
    /// Generates a key pair from the random source of the system.
    ///
    /// # Errors
    /// [`SessionError::Randomness`] if the system gave no random bytes; no key exists then.
    pub fn generate() -> Result<Self, SessionError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| SessionError::Randomness)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Makes a key pair from the bytes of [`KeyPair::secret_bytes`].
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*secret);
        let public = PublicKey(public_of(&secret).to_bytes());
        Self { secret, public }
    }

    /// Public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Secret key, to be stored in a file that only its owner can read; wiped when dropped.
    #[must_use]
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }
}

/// Public key of `secret`, by the Montgomery ladder that the exchange needs as well. `PublicKey::from` of the package multiplies on the
/// Edwards curve instead: 12 KiB of code on MIPS for two calls a session.
pub(crate) fn public_of(secret: &StaticSecret) -> x25519_dalek::PublicKey {
    let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(X25519_BASEPOINT_BYTES));
    x25519_dalek::PublicKey::from(shared.to_bytes())
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyPair({}, secret)", self.public)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    /// RFC 7748 section 6.1, Alice.
    const ALICE_SECRET: [u8; 32] = [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf,
        0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ];
    const ALICE_PUBLIC: [u8; 32] = [
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d,
        0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
    ];

    #[test]
    fn the_public_key_matches_rfc_7748() {
        let pair = KeyPair::from_bytes(&ALICE_SECRET);
        assert_eq!(pair.public().as_bytes(), &ALICE_PUBLIC);
        assert_eq!(*pair.secret_bytes(), ALICE_SECRET);
    }

    #[test]
    fn text_is_parsed_back() {
        let key = PublicKey::from_bytes(ALICE_PUBLIC);
        let text = key.to_string();
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(std::format!(" {}\n", text.to_uppercase()).parse(), Ok(key));
    }

    #[test]
    fn invalid_text_names_the_position() {
        let text = PublicKey::from_bytes(ALICE_PUBLIC).to_string();
        assert_eq!(text[1..].parse::<PublicKey>(), Err(ParseKeyError::Length(51)));
        assert_eq!("".parse::<PublicKey>(), Err(ParseKeyError::Length(0)));
        assert_eq!(text.replacen('q', "0", 1).parse::<PublicKey>(), {
            Err(ParseKeyError::Character(text.find('q').unwrap()))
        });
        let long = std::format!("{text}a");
        assert_eq!(long.parse::<PublicKey>(), Err(ParseKeyError::Length(53)));
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        let shown = std::format!("{:?}", KeyPair::from_bytes(&ALICE_SECRET));
        assert_eq!(shown, std::format!("KeyPair({}, secret)", PublicKey(ALICE_PUBLIC)));
    }

    #[test]
    fn generated_pairs_differ() {
        assert_ne!(KeyPair::generate().unwrap().public(), KeyPair::generate().unwrap().public());
    }
}
