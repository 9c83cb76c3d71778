//! Key of the log, a one-way ratchet with one step for each segment (forward security: Bellare and Yee, "Forward Integrity for
//! Secure Audit Logs", 1997), and the salt of one opening.

use core::fmt;

use sentinel_seal::Key;

/// Maximum number of steps of one advance: 4 GiB of 64 KiB segments. It bounds the work that a forged epoch number can cause;
/// a header further ahead counts as damaged.
pub(crate) const MAX_STEPS: u64 = 1 << 16;

/// Key of one epoch. Each segment has its own epoch, which is also its number. The key of the next epoch is derived with HKDF
/// and cannot be reversed: a device that stores only the key of epoch *n* cannot open segments before *n*.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogKey {
    epoch: u64,
    key: Key,
}

impl LogKey {
    /// Length of [`Self::to_bytes`], in bytes.
    pub const LEN: usize = 8 + Key::LEN;

    /// Makes the key of `epoch` from its secret. A new log starts with epoch 0 and a random key.
    #[must_use]
    pub const fn new(epoch: u64, key: Key) -> Self {
        Self { epoch, key }
    }

    /// Stands for "no key": nothing is as late as its epoch.
    pub(crate) const fn none() -> Self {
        Self { epoch: u64::MAX, key: Key::from_bytes([0; Key::LEN]) }
    }

    /// Returns true for the value of [`Self::none`].
    pub(crate) const fn is_none(&self) -> bool {
        self.epoch == u64::MAX
    }

    /// Epoch of the segment that this key opens.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Secret of this epoch.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Encodes epoch (64 bits, big-endian) and secret (32 bytes), as a key file holds them. The caller wipes the copy.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (epoch, secret) = bytes.split_at_mut(8);
        epoch.copy_from_slice(&self.epoch.to_be_bytes());
        secret.copy_from_slice(self.key.expose());
        bytes
    }

    /// Decodes the bytes of [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut epoch = [0; 8];
        let mut secret = [0; Key::LEN];
        let (head, tail) = bytes.split_at(8);
        epoch.copy_from_slice(head);
        secret.copy_from_slice(tail);
        Self { epoch: u64::from_be_bytes(epoch), key: Key::from_bytes(secret) }
    }

    /// Derives the key of a later epoch. The program stores it in place of this one, so that older segments cannot be opened
    /// any more.
    ///
    /// # Errors
    /// - [`KeyError::Behind`]: `epoch` is before the epoch of this key.
    /// - [`KeyError::TooFar`]: it is more than 65,536 steps ahead.
    ///
    /// This key is unchanged.
    pub fn advance_to(&self, epoch: u64) -> Result<Self, KeyError> {
        let steps =
            epoch.checked_sub(self.epoch).ok_or(KeyError::Behind { wanted: epoch, oldest: self.epoch })?;
        if steps > MAX_STEPS {
            return Err(KeyError::TooFar { wanted: epoch, from: self.epoch });
        }
        // One HKDF call for each step: there is no shortcut, which is what makes the chain one-way.
        let mut key = self.key.clone();
        for _ in 0..steps {
            key = key.next();
        }
        Ok(Self { epoch, key })
    }
}

/// Reason why a key cannot be advanced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The wanted epoch is before that of the key; its key cannot be derived.
    Behind {
        /// Requested epoch.
        wanted: u64,
        /// Epoch of the key, the oldest that it opens.
        oldest: u64,
    },
    /// The wanted epoch is more than 65,536 steps ahead.
    TooFar {
        /// Requested epoch.
        wanted: u64,
        /// Epoch of the key.
        from: u64,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { wanted, oldest } => {
                write!(out, "epoch {wanted} has passed, the key opens epoch {oldest} and later")
            }
            Self::TooFar { wanted, from } => {
                write!(out, "epoch {wanted} is more than {MAX_STEPS} steps after the key's epoch {from}")
            }
        }
    }
}

impl core::error::Error for KeyError {}

/// 16 random bytes drawn anew for each opening of the log for writing; not secret. They are part of every sealing key, so a
/// nonce is never used twice with one key, even if a power cut or an old backup takes the log back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Salt(pub [u8; 16]);

/// Access to a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Reading and writing. There must be no other writer.
    Append(Salt),
    /// Reading only, for example beside a running program.
    ReadOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> LogKey {
        LogKey::new(5, Key::from_bytes([1; 32]))
    }

    #[test]
    fn advancing_in_steps_equals_advancing_at_once_and_never_goes_back() {
        let key = first();
        assert_eq!(key.advance_to(5).unwrap(), key);
        let later = key.advance_to(9).unwrap();
        assert_eq!(key.advance_to(7).unwrap().advance_to(9).unwrap(), later);
        assert_ne!(later.key(), key.key());
        assert_eq!(later.advance_to(8), Err(KeyError::Behind { wanted: 8, oldest: 9 }));
        assert!(key.advance_to(5 + MAX_STEPS).is_ok());
        let wanted = 6 + MAX_STEPS;
        assert_eq!(key.advance_to(wanted), Err(KeyError::TooFar { wanted, from: 5 }));
    }

    #[test]
    fn bytes_round_trip() {
        let key = first();
        let bytes = key.to_bytes();
        assert_eq!(bytes[..8], [0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(LogKey::from_bytes(&bytes), key);
    }
}
