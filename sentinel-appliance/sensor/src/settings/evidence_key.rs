//! Key to which the log is sealed as evidence.

use std::fmt;

use sentinel_seal::Recipient;
use sentinel_uplink::{ParseKeyError, PublicKey};

/// Value of `log_evidence_key`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum EvidenceKey {
    /// The public key of the collector, once enrolled.
    #[default]
    Collector,
    /// Nobody's.
    None,
    /// This public key.
    Key(PublicKey),
}

/// Reason why a text is no [`EvidenceKey`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EvidenceKeyError {
    /// Neither a word nor a key.
    Parse(ParseKeyError),
    /// A public key of small order.
    Weak,
}

impl EvidenceKey {
    const COLLECTOR: &'static str = "collector";
    const NONE: &'static str = "none";

    pub(super) fn parse(word: &str) -> Result<Self, EvidenceKeyError> {
        match word {
            Self::COLLECTOR => Ok(Self::Collector),
            Self::NONE => Ok(Self::None),
            _ => {
                let key: PublicKey = word.parse().map_err(EvidenceKeyError::Parse)?;
                Recipient::new(*key.as_bytes()).map_err(|_| EvidenceKeyError::Weak)?;
                Ok(Self::Key(key))
            }
        }
    }

    /// Public key that it stands for, with the key of the collector at which the sensor is enrolled.
    pub(crate) const fn public_key(self, collector: Option<PublicKey>) -> Option<PublicKey> {
        match self {
            Self::Collector => collector,
            Self::None => None,
            Self::Key(key) => Some(key),
        }
    }
}

impl fmt::Display for EvidenceKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector => out.write_str(Self::COLLECTOR),
            Self::None => out.write_str(Self::NONE),
            Self::Key(key) => key.fmt(out),
        }
    }
}

impl fmt::Display for EvidenceKeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => write!(out, "is no public key: {error}"),
            Self::Weak => out.write_str("is a weak public key: nothing sealed to it would be secret"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_keys_read_back_and_weak_keys_do_not() {
        let key = PublicKey::from_bytes([9; 32]);
        for value in [EvidenceKey::Collector, EvidenceKey::None, EvidenceKey::Key(key)] {
            assert_eq!(EvidenceKey::parse(&value.to_string()), Ok(value));
        }
        assert!(matches!(EvidenceKey::parse("off"), Err(EvidenceKeyError::Parse(_))));
        let weak = PublicKey::from_bytes([0; 32]).to_string();
        assert_eq!(EvidenceKey::parse(&weak), Err(EvidenceKeyError::Weak));
        assert_eq!(EvidenceKey::Collector.public_key(Some(key)), Some(key));
        assert_eq!(EvidenceKey::Collector.public_key(None), None);
        assert_eq!(EvidenceKey::None.public_key(Some(key)), None);
    }
}
