//! 256-bit keys and their derivation with HKDF-SHA-256.
//!
//! Read first: RFC 5869 (HKDF).

use core::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Purpose of a derived key, so that two uses never share one (domain separation).
///
/// By convention `"sentinel <crate> <purpose> v<number>"`. It must not contain a zero byte, which separates it from the
/// context in the HKDF info.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label(&'static str);

impl Label {
    /// Makes a label from `text`.
    ///
    /// # Panics
    /// At compile time, when used in a constant, if `text` is empty or contains a zero byte.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut remaining = text.as_bytes();
        assert!(!remaining.is_empty(), "a label must not be empty");
        while let [first, tail @ ..] = remaining {
            assert!(*first != 0, "a zero byte ends the label");
            remaining = tail;
        }
        Self(text)
    }
}

/// 256-bit secret. Wiped when dropped, never shown by `Debug`, compared in constant time.
pub struct Key([u8; Self::LEN]);

impl Key {
    /// Bytes in a key.
    pub const LEN: usize = 32;

    const NEXT: Label = Label::new("sentinel seal next key v1");

    /// Makes a key from 32 bytes that are already uniformly random (a key file, a random source, another key).
    /// The caller must wipe its own copy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Makes a key from a secret that is not uniform or has another length: HKDF-Extract (RFC 5869 section 2.2).
    ///
    /// `salt` need not be secret and may be empty. A password needs a slow hash (Argon2) first.
    #[must_use]
    pub fn extract(salt: &[u8], secret: &[u8]) -> Self {
        let (mut pseudo_random, _) = Hkdf::<Sha256>::extract(Some(salt), secret);
        let key = Self(pseudo_random.into());
        pseudo_random.as_mut_slice().zeroize();
        key
    }

    /// Derives the key of one purpose: HKDF-Expand (RFC 5869 section 2.3) with the label, a zero byte and `context` as info.
    ///
    /// The derived key reveals nothing about this key or about others derived from it.
    #[must_use]
    pub fn derive(&self, label: Label, context: &[u8]) -> Self {
        let mut derived = [0; Self::LEN];
        expand(&self.0, &[label.0.as_bytes(), &[0], context], &mut derived);
        let key = Self(derived);
        derived.zeroize();
        key
    }

    /// Derives the next key of a one-way ratchet. An attacker who obtains it cannot compute this key, so data sealed before
    /// stays secret (forward security).
    #[must_use]
    pub fn next(&self) -> Self {
        self.derive(Self::NEXT, &[])
    }

    /// Bytes of the secret, to store in a key file or to initialise a cipher.
    #[must_use]
    pub const fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Copies are explicit, and each is wiped when dropped.
impl Clone for Key {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(..)")
    }
}

impl Eq for Key {}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

/// Returns true if two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// HKDF-Expand with SHA-256 (RFC 5869 section 2.3). `out` is at most 8,160 bytes (255 digests); callers here ask for 32.
#[expect(clippy::expect_used, reason = "both lengths are fixed by the callers in this file and its tests")]
pub(crate) fn expand(pseudo_random: &[u8; Key::LEN], info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::from_prk(pseudo_random)
        .expect("32 bytes are the length of a SHA-256 value")
        .expand_multi_info(info, out)
        .expect("not more than 255 values");
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    const ONE: Label = Label::new("one");
    const TWO: Label = Label::new("two");

    #[test]
    fn labels_and_contexts_give_different_keys() {
        let key = Key::from_bytes([7; 32]);
        let all = [
            key.clone(),
            key.next(),
            key.derive(ONE, b""),
            key.derive(TWO, b""),
            key.derive(ONE, b"x"),
            key.derive(Label::new("onex"), b""),
        ];
        for (index, left) in all.iter().enumerate() {
            for right in all.iter().skip(index + 1) {
                assert!(left != right);
            }
        }
        assert_eq!(key.derive(ONE, b"x"), key.derive(ONE, b"x"));
    }

    #[test]
    fn derived_keys_match_fixed_values() {
        // HKDF-Expand written out with HMAC: T(1) = HMAC(prk, info || 01). Computed with Python's hmac module.
        let key = Key::from_bytes([7; 32]);
        assert_eq!(key.next().expose(), &super::super::vectors::hex32(NEXT_OF_SEVENS));
        assert_eq!(key.derive(ONE, b"x").expose(), &super::super::vectors::hex32(ONE_X_OF_SEVENS));
    }
    const NEXT_OF_SEVENS: &str = "57b4087e3762c79c2acbf7c98cfb898e373cd7064542e90bb387242de6aa372b";
    const ONE_X_OF_SEVENS: &str = "cd4cfad5d73af388174e1de4b083042e44cddb3d9c292ebf8d3ef2b7195fad3f";

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Key::from_bytes([0x41; 32])), "Key(..)");
    }

    #[test]
    fn equality_sees_every_bit_and_the_length() {
        assert!(equal(b"", b""));
        assert!(!equal(b"a", b""));
        for byte in 0..32 {
            for bit in 0..8 {
                let mut other = [9; 32];
                other[byte] ^= 1 << bit;
                assert!(!equal(&[9; 32], &other));
            }
        }
    }
}
