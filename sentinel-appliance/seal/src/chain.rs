//! SHA-256 hash chain: one value that commits to a sequence of byte strings and their order.
//!
//! Read first: FIPS 180-4 (SHA-256).

use core::fmt;

use sha2::{Digest, Sha256};

/// Bytes in a SHA-256 value.
const HASH_LEN: usize = 32;

/// Value of a hash chain after some number of links: 32 bytes. Anyone can compute it; it is not secret.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Chain([u8; HASH_LEN]);

impl Chain {
    /// Bytes in a value.
    pub const LEN: usize = HASH_LEN;

    /// Value before the first link: zeros.
    pub const START: Self = Self([0; HASH_LEN]);

    /// Makes a chain from a stored value.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }

    /// Value, to be stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }

    /// Returns the value with one more link: SHA-256 over the value so far and, for each part of the link, its length (64 bits,
    /// big-endian) and its bytes. The lengths make the encoding unambiguous: moving a byte from one part to the next changes
    /// the value.
    #[must_use]
    pub fn link(&self, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new_with_prefix(self.0);
        for part in parts {
            // `usize` is at most 64 bits on every target of Rust.
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(len.to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Shows the first four bytes in hexadecimal, enough to distinguish values in a log line.
impl fmt::Debug for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(out, "Chain({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn order_and_division_into_parts_change_the_value() {
        let ab = Chain::START.link(&[b"a"]).link(&[b"b"]);
        let ba = Chain::START.link(&[b"b"]).link(&[b"a"]);
        let both = Chain::START.link(&[b"a", b"b"]);
        let joined = Chain::START.link(&[b"ab"]);
        let values = [Chain::START, ab, ba, both, joined, Chain::START.link(&[]), Chain::START.link(&[b""])];
        for (index, left) in values.iter().enumerate() {
            for right in values.iter().skip(index + 1) {
                assert_ne!(left, right);
            }
        }
    }

    #[test]
    fn a_link_is_the_hash_of_the_documented_bytes() {
        let mut bytes = std::vec![0; 32];
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i', 0, 0, 0, 0, 0, 0, 0, 0]);
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(Chain::START.link(&[b"hi", b""]).as_bytes(), &expected);
        assert_eq!(Chain::from_bytes(expected), Chain::START.link(&[b"hi", b""]));
    }

    #[test]
    fn debug_is_short() {
        assert_eq!(format!("{:?}", Chain::START), "Chain(00000000..)");
    }
}
