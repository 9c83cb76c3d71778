//! Wrapping of a key for the holder of an X25519 private key.
//!
//! Read first: RFC 7748 section 6.1 (X25519); RFC 9180 section 4.1 (the same construction with other labels).
//!
//! The shared secret of an ephemeral key pair and the recipient's key pair becomes, by HKDF with both public keys as salt, a key
//! that is used once: AES-256-GCM with counter 0 over the wrapped key. What the caller binds is associated data.

use core::fmt;

use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

use crate::aead::{Forged, Opener, Sealed, Sealer, TAG_LEN};
use crate::key::{Key, Label};

const WRAP_KEY: Label = Label::new("sentinel seal wrap key v1");
const EPHEMERAL_KEY: Label = Label::new("sentinel seal ephemeral key v1");

/// Public key for which keys are wrapped: 32 bytes (RFC 7748 section 5), not of small order.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Recipient([u8; Self::LEN]);

/// Private key that unwraps. Wiped when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct RecipientSecret(Key);

/// Key wrapped for a recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrappedKey {
    /// Public key of the ephemeral pair.
    pub ephemeral: [u8; 32],
    /// Encrypted key.
    pub key: [u8; Key::LEN],
    /// Its tag.
    pub tag: [u8; TAG_LEN],
}

/// Error of [`Recipient::new`]: a public key of small order. Everyone could compute the shared secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WeakKey;

impl fmt::Display for WeakKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the public key is of small order; nothing sealed to it would be secret")
    }
}

impl core::error::Error for WeakKey {}

impl Recipient {
    /// Bytes in a public key.
    pub const LEN: usize = 32;

    /// Makes a recipient from a public key.
    ///
    /// # Errors
    /// [`WeakKey`]: the point is of small order (RFC 7748 section 6.1).
    pub fn new(public: [u8; Self::LEN]) -> Result<Self, WeakKey> {
        // Every scalar is a multiple of 8 after clamping, so the product with a point of small order is zero for all of them.
        if x25519([1; 32], public) == [0; 32] { Err(WeakKey) } else { Ok(Self(public)) }
    }

    /// Public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Wraps `key`, bound to the bytes of `bound`.
    ///
    /// The ephemeral private key is derived from `key` and `unique`, so no random source is needed: who can compute it has `key`
    /// already. `unique` must differ whenever `key` is wrapped again with other bound bytes.
    #[must_use]
    pub fn wrap(&self, key: &Key, unique: &[u8], bound: &[u8]) -> WrappedKey {
        let secret = key.derive(EPHEMERAL_KEY, unique);
        let ephemeral = x25519(*secret.expose(), X25519_BASEPOINT_BYTES);
        let wrap_key = wrap_key(&secret, &self.0, &ephemeral, &self.0);
        let mut wrapped = *key.expose();
        // A new sealer has nonces left, and 32 bytes are not too long: this always succeeds.
        let tag = Sealer::new(&wrap_key).seal(bound, &mut wrapped).map_or([0; TAG_LEN], |sealed| sealed.tag);
        WrappedKey { ephemeral, key: wrapped, tag }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(out, "Recipient({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl RecipientSecret {
    /// Makes a private key from 32 random bytes. The caller wipes its copy.
    #[must_use]
    pub const fn from_bytes(secret: [u8; 32]) -> Self {
        Self(Key::from_bytes(secret))
    }

    /// Public key of this private key.
    #[must_use]
    pub fn public(&self) -> [u8; Recipient::LEN] {
        x25519(*self.0.expose(), X25519_BASEPOINT_BYTES)
    }

    /// Unwraps a key.
    ///
    /// # Errors
    /// [`Forged`]: it was wrapped for another recipient or bound to other bytes, or it was changed.
    pub fn unwrap(&self, wrapped: &WrappedKey, bound: &[u8]) -> Result<Key, Forged> {
        let wrap_key = wrap_key(&self.0, &wrapped.ephemeral, &wrapped.ephemeral, &self.public());
        let mut key = Zeroizing::new(wrapped.key);
        let sealed = Sealed { counter: 0, tag: wrapped.tag };
        Opener::new(&wrap_key).open(bound, key.as_mut_slice(), &sealed)?;
        Ok(Key::from_bytes(*key))
    }
}

impl fmt::Debug for RecipientSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("RecipientSecret(..)")
    }
}

/// Key that wraps: HKDF over the shared secret of `secret` and `public`, with both public keys as salt.
fn wrap_key(secret: &Key, public: &[u8; 32], ephemeral: &[u8; 32], recipient: &[u8; 32]) -> Key {
    let shared = Zeroizing::new(x25519(*secret.expose(), *public));
    let mut salt = [0; 64];
    let (start, end) = salt.split_at_mut(32);
    start.copy_from_slice(ephemeral);
    end.copy_from_slice(recipient);
    Key::extract(&salt, shared.as_slice()).derive(WRAP_KEY, &[])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::vectors::hex32;
    use std::format;

    /// RFC 7748 section 6.1: private keys, public keys and the shared secret of Alice and Bob.
    #[test]
    fn published_key_exchange() {
        let alice = hex32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = hex32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let alice_public = hex32("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = hex32("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let shared = hex32("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(RecipientSecret::from_bytes(alice).public(), alice_public);
        assert_eq!(RecipientSecret::from_bytes(bob).public(), bob_public);
        assert_eq!((x25519(alice, bob_public), x25519(bob, alice_public)), (shared, shared));
    }

    fn wrapped() -> (RecipientSecret, Key, WrappedKey) {
        let secret = RecipientSecret::from_bytes([7; 32]);
        let key = Key::from_bytes([9; 32]);
        let wrapped = Recipient::new(secret.public()).unwrap().wrap(&key, b"first", b"header");
        (secret, key, wrapped)
    }

    #[test]
    fn a_key_is_unwrapped_by_its_recipient_with_the_same_bound_bytes_only() {
        let (secret, key, wrapped) = wrapped();
        assert_eq!(secret.unwrap(&wrapped, b"header"), Ok(key.clone()));
        assert_ne!(wrapped.key, *key.expose());
        assert_eq!(secret.unwrap(&wrapped, b"Header"), Err(Forged));
        assert_eq!(RecipientSecret::from_bytes([8; 32]).unwrap(&wrapped, b"header"), Err(Forged));
        for bit in 0..256 {
            for field in 0..3 {
                let mut bad = wrapped;
                let byte = match field {
                    0 => &mut bad.key[bit / 8],
                    1 => &mut bad.tag[bit / 16],
                    // The top bit of a point is ignored (RFC 7748 section 5), but it is part of the salt.
                    _ => &mut bad.ephemeral[bit / 8],
                };
                *byte ^= 1 << (bit % 8);
                assert_eq!(secret.unwrap(&bad, b"header"), Err(Forged), "field {field}, bit {bit}");
            }
        }
    }

    #[test]
    fn no_two_wrappings_share_an_ephemeral_key() {
        let (secret, key, first) = wrapped();
        let second = Recipient::new(secret.public()).unwrap().wrap(&key, b"second", b"header");
        assert_ne!(first.ephemeral, second.ephemeral);
        assert_ne!(first.key, second.key);
    }

    #[test]
    fn public_keys_of_small_order_are_rejected() {
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert_eq!(Recipient::new(point), Err(WeakKey));
        }
        // Of order 8, <https://cr.yp.to/ecdh.html#validate>.
        let point = hex32("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
        assert_eq!(Recipient::new(point), Err(WeakKey));
    }

    #[test]
    fn debug_shows_no_secret() {
        let (secret, ..) = wrapped();
        assert_eq!(format!("{secret:?}"), "RecipientSecret(..)");
    }
}
