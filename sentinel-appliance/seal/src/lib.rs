//! Authenticated encryption of byte strings with AES-256-GCM (NIST SP 800-38D), key derivation with HKDF (RFC 5869), and
//! wrapping of keys with X25519 (RFC 7748).
//!
//! In: secrets, labels and byte strings that the caller owns. Out: the byte strings encrypted in place with an
//! authentication tag each, and derived keys. Memory: the keys (32 bytes, about 1 KiB for a [`Sealer`] or an [`Opener`]),
//! wiped when dropped. It never allocates, reads a clock, draws a random number, does I/O, or shows a secret in `Debug`.
//!
//! | task | use |
//! |---|---|
//! | a key from a secret of any length | [`Key::extract`] (HKDF-Extract) |
//! | keys for different purposes from one | [`Key::derive`] with a [`Label`] (HKDF-Expand) |
//! | a one-way ratchet to the next key | [`Key::next`] |
//! | encrypt | [`Sealer`], which counts its nonces |
//! | decrypt and verify | [`Opener`] |
//! | wrap a key for the holder of an X25519 private key | [`Recipient`], [`RecipientSecret`] |
//! | bind a sequence of byte strings | [`Chain`] (SHA-256 hash chain) |
//! | digests that other formats define | [`digest`] |
//! | decrypt a QUIC Initial packet | [`quic::InitialKeys`] |
//! | compare secrets in constant time | [`equal`] |

#![no_std]
#![forbid(unsafe_code)]

mod aead;
mod chain;
pub mod digest;
mod key;
pub mod quic;
mod wrap;

pub use aead::{Exhausted, Forged, Opener, Sealed, Sealer, TAG_LEN};
pub use chain::Chain;
pub use key::{Key, Label, equal};
pub use wrap::{Recipient, RecipientSecret, WeakKey, WrappedKey};

#[cfg(test)]
mod vectors;
