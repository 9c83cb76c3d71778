//! Sealing of byte strings with AES-256-GCM, and the keys for it.
//!
//! In: secrets, labels and byte strings that the caller owns. Out: the same byte strings encrypted in place, a tag
//! each, and keys derived from keys. Memory: the keys themselves (32 bytes, about 1 KiB for a [`Sealer`] or an
//! [`Opener`]), wiped when dropped. It never allocates, reads a clock, draws a random number, does I/O, or shows a
//! secret in `Debug`.
//!
//! | want | use |
//! |---|---|
//! | a key from a secret of any shape | [`Key::extract`] (HKDF-Extract) |
//! | keys for different purposes from one | [`Key::derive`] with a [`Label`] (HKDF-Expand) |
//! | a key that cannot be turned back | [`Key::next`] |
//! | seal | [`Sealer`]: counts its nonces itself |
//! | open | [`Opener`] |
//! | bind a sequence of byte strings | [`Chain`] (SHA-256) |
//! | name something by its digest, as others do | [`digest`] |
//! | read a QUIC Initial packet | [`quic::InitialKeys`] |
//! | compare secrets | [`equal`] |

#![no_std]
#![forbid(unsafe_code)]

mod aead;
mod chain;
pub mod digest;
mod key;
pub mod quic;

pub use aead::{Exhausted, Forged, Opener, Sealed, Sealer, TAG_LEN};
pub use chain::Chain;
pub use key::{Key, Label, equal};

#[cfg(test)]
mod vectors;
