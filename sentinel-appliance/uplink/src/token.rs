//! Enrollment token: a one-time secret with which a sensor enrolls at a collector.
//!
//! One line: `sentinel1-` and base32 of token id (8 bytes), secret (16), public key of the collector (32),
//! address (`host:port`, up to 58) and the first four bytes of the SHA-256 of all these.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::base32::{self, Base32, DecodeError};
use crate::error::SessionError;
use crate::key::PublicKey;

const PREFIX: &str = "sentinel1-";
const ID_LEN: usize = 8;
const SECRET_LEN: usize = 16;
const KEY_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
const FIXED_LEN: usize = ID_LEN + SECRET_LEN + KEY_LEN + CHECKSUM_LEN;
/// Longest `host:port` that a token carries, in bytes.
pub const MAX_ADDRESS_LEN: usize = 58;
const MAX_LEN: usize = FIXED_LEN + MAX_ADDRESS_LEN;
const MAX_TEXT_LEN: usize = PREFIX.len() + MAX_LEN.div_ceil(5) * 8;
const _: () = assert!(MAX_TEXT_LEN <= 202, "a token must stay a line that people can copy");
/// Domain separation of the hash that derives the pre-shared key. Part of the protocol, spelling included.
const PSK_LABEL: &[u8] = b"sentinel-uplink enrolment psk 1";

/// Random number by which the collector finds the secret of a token; not secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenId(pub [u8; ID_LEN]);

impl TokenId {
    /// Length of an id, in bytes.
    pub const LEN: usize = ID_LEN;
}

impl fmt::Display for TokenId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base32(&self.0).fmt(out)
    }
}

/// Secret of a token: 128 random bits. Never displayed, wiped when dropped.
#[derive(Clone)]
pub struct Secret([u8; SECRET_LEN]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// Makes a secret from the bytes of [`Secret::as_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SECRET_LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, to be stored where only the collector can read them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// Derives the pre-shared key of the handshake.
    pub(crate) fn psk(&self, id: TokenId) -> Zeroizing<[u8; 32]> {
        let digest = Sha256::new().chain_update(PSK_LABEL).chain_update(id.0).chain_update(self.0).finalize();
        Zeroizing::new(digest.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// Address and public key of a collector, and a secret that the collector knows. Valid for one enrollment.
#[derive(Clone, Debug)]
pub struct Token {
    address: heapless::String<MAX_ADDRESS_LEN>,
    collector: PublicKey,
    id: TokenId,
    secret: Secret,
}

impl Token {
    /// Generates id and secret from the random source of the system.
    ///
    /// # Errors
    /// - [`ParseTokenError::Address`] if `address` is not `host:port` or too long.
    /// - [`ParseTokenError::Randomness`] if the system gave no random bytes.
    pub fn generate(address: &str, collector: PublicKey) -> Result<Self, ParseTokenError> {
        let (mut id, mut secret) = ([0; ID_LEN], Zeroizing::new([0; SECRET_LEN]));
        getrandom::fill(&mut id).map_err(|_| ParseTokenError::Randomness)?;
        getrandom::fill(secret.as_mut_slice()).map_err(|_| ParseTokenError::Randomness)?;
        Self::new(address, collector, TokenId(id), Secret(*secret))
    }

    /// Makes a token from its parts.
    ///
    /// # Errors
    /// [`ParseTokenError::Address`] if `address` is not `host:port` or too long.
    pub fn new(
        address: &str,
        collector: PublicKey,
        id: TokenId,
        secret: Secret,
    ) -> Result<Self, ParseTokenError> {
        let address = check_address(address).ok_or(ParseTokenError::Address)?;
        Ok(Self { address, collector, id, secret })
    }

    /// Address at which the collector listens: `host:port`, `192.0.2.7:7700` or `[2001:db8::1]:7700`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Public key of the collector.
    #[must_use]
    pub const fn collector(&self) -> &PublicKey {
        &self.collector
    }

    /// Id of the token.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Secret of the token.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Returns true if `text` is a host name, IPv4 address or bracketed IPv6 address, with a port: an address as tokens have it.
#[must_use]
pub fn is_address(text: &str) -> bool {
    check_address(text).is_some()
}

/// Checks that `address` is a host name, IPv4 address or bracketed IPv6 address, with a port from 1 to 65535.
fn check_address(address: &str) -> Option<heapless::String<MAX_ADDRESS_LEN>> {
    let (host, port) = address.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    // `parse` alone would accept a sign.
    let digits_only = port.bytes().all(|byte| byte.is_ascii_digit());
    let port_fits = digits_only && port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_fits && port_fits { heapless::String::try_from(address).ok() } else { None }
}

/// Writes the whole token, secret included: this text is handed to the sensor.
impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = heapless::Vec::<u8, MAX_LEN>::new();
        let parts: [&[u8]; 4] =
            [&self.id.0, &self.secret.0, self.collector.as_bytes(), self.address.as_bytes()];
        for part in parts {
            bytes.extend_from_slice(part).map_err(|_| fmt::Error)?;
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum).map_err(|_| fmt::Error)?;
        let written = write!(out, "{PREFIX}{}", Base32(&bytes));
        // The buffer held the secret.
        bytes.as_mut_slice().zeroize();
        written
    }
}

/// Reason why text is not a token. A used or expired token is well-formed; only the collector can reject it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParseTokenError {
    /// It does not begin with `sentinel1-`.
    Prefix,
    /// The character at this position, counted from 0, is not of the base32 alphabet.
    Character(usize),
    /// Characters are missing, or there are too many.
    Length,
    /// The checksum is wrong: at least one character was mistyped.
    Checksum,
    /// The address is not `host:port`, or longer than [`MAX_ADDRESS_LEN`].
    Address,
    /// The system gave no random bytes for a new token.
    Randomness,
}

impl fmt::Display for ParseTokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => write!(out, "an enrollment token begins with {PREFIX}"),
            Self::Character(at) => {
                write!(out, "character {} of the token is none of a-z and 2-7", at.saturating_add(1))
            }
            Self::Length => out.write_str("the token is incomplete, or has too many characters"),
            Self::Checksum => out.write_str("the token was mistyped: its checksum is wrong"),
            Self::Address => write!(out, "an address is host:port, at most {MAX_ADDRESS_LEN} characters"),
            Self::Randomness => SessionError::Randomness.fmt(out),
        }
    }
}

impl core::error::Error for ParseTokenError {}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let text = text.trim();
        let (prefix, encoded) = text.split_at_checked(PREFIX.len()).ok_or(ParseTokenError::Prefix)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(ParseTokenError::Prefix);
        }
        let mut bytes = Zeroizing::new([0; MAX_LEN]);
        let len = base32::decode(encoded, bytes.as_mut_slice()).map_err(|error| match error {
            DecodeError::Character(at) => ParseTokenError::Character(at.saturating_add(PREFIX.len())),
            DecodeError::Length => ParseTokenError::Length,
        })?;
        let bytes = bytes.get(..len).unwrap_or_default();
        let (body, found) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(ParseTokenError::Length)?;
        let (id, remaining) = body.split_first_chunk::<ID_LEN>().ok_or(ParseTokenError::Length)?;
        let (secret, remaining) =
            remaining.split_first_chunk::<SECRET_LEN>().ok_or(ParseTokenError::Length)?;
        let (collector, address) = remaining.split_first_chunk::<KEY_LEN>().ok_or(ParseTokenError::Length)?;
        // Compared in variable time: the checksum detects typing errors, and whoever enters a token knows it.
        if *found != checksum(body) {
            return Err(ParseTokenError::Checksum);
        }
        let address = core::str::from_utf8(address).map_err(|_| ParseTokenError::Address)?;
        Self::new(address, PublicKey::from_bytes(*collector), TokenId(*id), Secret(*secret))
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};

    /// Made with the base32 and SHA-256 of Python.
    const TEXT: &str = "sentinel1-aeaqcaibaeaqcaqcaibaeaqcaibaeaqcaibaeaqdambqgaydambqgaydambqgaydambqga\
                        ydambqgaydambqgaydanrw63dmmvrxi33sfzsxqylnobwgkorxg4ydbpxgaofq";

    fn token(address: &str) -> Token {
        let key = PublicKey::from_bytes([3; 32]);
        Token::new(address, key, TokenId([1; 8]), Secret::from_bytes([2; 16])).unwrap()
    }

    #[test]
    fn text_is_parsed_back() {
        let text = token("collector.example:7700").to_string();
        let back: Token = std::format!(" {}\n", text.to_uppercase()).parse().unwrap();
        assert_eq!(back.address(), "collector.example:7700");
        assert_eq!(back.collector(), &PublicKey::from_bytes([3; 32]));
        assert_eq!(back.id(), TokenId([1; 8]));
        assert_eq!(back.secret().as_bytes(), &[2; 16]);
        assert_eq!(back.to_string(), text);
    }

    #[test]
    fn the_longest_token_has_fewer_than_200_characters() {
        let address = std::format!("{}:65535", "h".repeat(MAX_ADDRESS_LEN - 6));
        let text = token(&address).to_string();
        assert!(text.len() < 200, "{}", text.len());
        assert_eq!(text.parse::<Token>().unwrap().address(), address);
        let longer = std::format!("x{address}");
        assert!(Token::generate(&longer, PublicKey::from_bytes([3; 32])).is_err());
    }

    #[test]
    fn every_mistyped_character_is_found() {
        let text = token("192.0.2.7:7700").to_string();
        for at in PREFIX.len()..text.len() {
            for replacement in "abcdefghijklmnopqrstuvwxyz2345670-".chars() {
                let mut wrong: std::vec::Vec<char> = text.chars().collect();
                if wrong[at] == replacement {
                    continue;
                }
                wrong[at] = replacement;
                let error = wrong.iter().collect::<String>().parse::<Token>().unwrap_err();
                match error {
                    ParseTokenError::Checksum => {}
                    ParseTokenError::Length => assert_eq!(at, text.len() - 1, "left-over bits of the last"),
                    ParseTokenError::Character(found) => assert_eq!(found, at),
                    other => panic!("{other:?} at {at}"),
                }
            }
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let text = token("[2001:db8::1]:7700").to_string();
        for cut in 0..text.len() {
            let error = text[..cut].parse::<Token>().unwrap_err();
            match cut {
                0..10 => assert_eq!(error, ParseTokenError::Prefix),
                _ => assert!(matches!(error, ParseTokenError::Length | ParseTokenError::Checksum), "{cut}"),
            }
        }
    }

    #[test]
    fn addresses_are_checked() {
        let key = PublicKey::from_bytes([3; 32]);
        for wrong in [
            "",
            "host",
            ":7700",
            "host:",
            "host:0",
            "host:65536",
            "host:+7",
            "a b:7",
            "2001:db8::1:7700",
            "[2001:db8::x]:7700",
            "host\n:7700",
            "[]:1",
        ] {
            assert_eq!(Token::generate(wrong, key).unwrap_err(), ParseTokenError::Address, "{wrong}");
        }
        assert_ne!(Token::generate("a:1", key).unwrap().id(), Token::generate("a:1", key).unwrap().id());
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        assert!(std::format!("{:?}", token("a:1")).contains("secret: Secret }"));
    }

    #[test]
    fn the_format_is_fixed() {
        assert_eq!(token("collector.example:7700").to_string(), TEXT);
    }
}
