//! The key of the log, which moves on with every segment, and the salt of one opening.

use core::fmt;

use sentinel_seal::Key;

/// Most steps a key is moved on while opening a log: 4 GiB of 64 KiB segments. A key that is further behind is no key of
/// this log, or the header that says so is damaged.
pub(crate) const MAX_STEPS: u64 = 1 << 16;

/// The key of one epoch. Each segment has an epoch of its own, which is also its number, and each key leads to the next
/// but not back: a device that stores only the key of epoch *n* cannot open segments before *n*.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogKey {
    epoch: u64,
    key: Key,
}

impl LogKey {
    /// Bytes of [`Self::to_bytes`].
    pub const LEN: usize = 8 + Key::LEN;

    /// The key of `epoch`. A new log starts with epoch 0 and a random key.
    #[must_use]
    pub const fn new(epoch: u64, key: Key) -> Self {
        Self { epoch, key }
    }

    /// The epoch whose segment this key opens.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The secret.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Epoch (64 bits, big-endian) and secret, as a key file holds them. The caller wipes the copy.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (epoch, secret) = bytes.split_at_mut(8);
        epoch.copy_from_slice(&self.epoch.to_be_bytes());
        secret.copy_from_slice(self.key.expose());
        bytes
    }

    /// What [`Self::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut epoch = [0; 8];
        let mut secret = [0; Key::LEN];
        let (head, tail) = bytes.split_at(8);
        epoch.copy_from_slice(head);
        secret.copy_from_slice(tail);
        Self { epoch: u64::from_be_bytes(epoch), key: Key::from_bytes(secret) }
    }

    /// The key of a later epoch: what the program stores so that older segments stay closed.
    ///
    /// # Errors
    /// - [`KeyError::Behind`]: `epoch` lies before this key's.
    /// - [`KeyError::TooFar`]: it lies more than 65,536 steps ahead.
    pub fn advance_to(&self, epoch: u64) -> Result<Self, KeyError> {
        let steps =
            epoch.checked_sub(self.epoch).ok_or(KeyError::Behind { wanted: epoch, oldest: self.epoch })?;
        if steps > MAX_STEPS {
            return Err(KeyError::TooFar { wanted: epoch, from: self.epoch });
        }
        let mut key = self.key.clone();
        for _ in 0..steps {
            key = key.next();
        }
        Ok(Self { epoch, key })
    }
}

/// Why a key cannot be moved on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The wanted epoch has passed; its key cannot be computed any more.
    Behind {
        /// The epoch asked for.
        wanted: u64,
        /// The oldest that this key reaches.
        oldest: u64,
    },
    /// The wanted epoch is too many steps ahead.
    TooFar {
        /// The epoch asked for.
        wanted: u64,
        /// Where the key stands.
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

/// 16 random bytes that no other opening of the log has had. They go into every key used for sealing, so that a nonce is
/// never used twice even if a power cut or an old backup takes the log back. Not a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Salt(pub [u8; 16]);

/// What a log is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// To read and to write. There must be no other writer.
    Append(Salt),
    /// To read only, for example beside a running program.
    ReadOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> LogKey {
        LogKey::new(5, Key::from_bytes([1; 32]))
    }

    #[test]
    fn steps_add_up_and_do_not_go_back() {
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
