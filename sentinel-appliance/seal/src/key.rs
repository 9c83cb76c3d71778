//! Keys, and how one leads to another.
//!
//! Read first: RFC 5869 (HKDF).

use core::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Says what a derived key is for, so that two uses never share one.
///
/// By custom `"sentinel <crate> <purpose> v<number>"`. It must not contain a zero byte, which ends it inside the
/// derivation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label(&'static str);

impl Label {
    /// A label.
    ///
    /// # Panics
    /// At compile time, when used in a constant, if `text` is empty or contains a zero byte.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut rest = text.as_bytes();
        assert!(!rest.is_empty(), "a label must say something");
        while let [first, tail @ ..] = rest {
            assert!(*first != 0, "a zero byte ends the label");
            rest = tail;
        }
        Self(text)
    }
}

/// A 256-bit secret. Wiped when dropped, never shown; equality takes the same time wherever two keys differ.
pub struct Key([u8; Self::LEN]);

impl Key {
    /// Bytes in a key.
    pub const LEN: usize = 32;

    const NEXT: Label = Label::new("sentinel seal next key v1");

    /// A key from 32 bytes that are already uniformly random (a key file, a random source, another key).
    /// The caller wipes its own copy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// A key from a secret that is not uniform or has another length: HKDF-Extract (RFC 5869 section 2.2).
    ///
    /// `salt` need not be secret and may be empty. A secret that people chose needs a slow hash first.
    #[must_use]
    pub fn extract(salt: &[u8], secret: &[u8]) -> Self {
        let (mut pseudo_random, _) = Hkdf::<Sha256>::extract(Some(salt), secret);
        let key = Self(pseudo_random.into());
        pseudo_random.as_mut_slice().zeroize();
        key
    }

    /// A key for one purpose: HKDF-Expand (RFC 5869 section 2.3) with the label, a zero byte and `context` as info.
    ///
    /// Who learns the derived key learns nothing about this one or about others derived from it.
    #[must_use]
    pub fn derive(&self, label: Label, context: &[u8]) -> Self {
        let mut derived = [0; Self::LEN];
        expand(&self.0, &[label.0.as_bytes(), &[0], context], &mut derived);
        let key = Self(derived);
        derived.zeroize();
        key
    }

    /// The key after this one. There is no way back: who steals it cannot open what this one sealed.
    #[must_use]
    pub fn next(&self) -> Self {
        self.derive(Self::NEXT, &[])
    }

    /// The secret itself, to be stored in a key file or handed to a cipher.
    #[must_use]
    pub const fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Explicit copies only: each is wiped by itself.
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

/// Whether two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// HKDF-Expand with SHA-256. `out` is at most 8,160 bytes; callers here ask for 32.
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
    fn labels_and_contexts_separate() {
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
    fn derived_keys_stay_what_they_are() {
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
