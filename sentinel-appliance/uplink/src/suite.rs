//! Preface: the first four bytes of a connection, with magic, framing version and cipher suite.

use crate::error::SessionError;

/// Length of the preface, in bytes. The initiator sends it before its first frame; it is also the Noise prologue.
pub const PREFACE_LEN: usize = 4;

/// Version of preface and framing. The version of the messages is in the hello.
const FRAMING_VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"SA";
/// Bit of the suite byte: the handshake also uses the secret of an enrollment token.
const ENROLLMENT_BIT: u8 = 0x10;

/// Cipher of a session. The sensor chooses, the collector accepts both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cipher {
    /// AES-256-GCM, the default; fastest where the CPU has AES instructions.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305, for CPUs without AES instructions.
    ChaChaPoly,
}

/// Cipher suite: the cipher, and whether this connection enrolls a sensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Suite {
    pub(crate) cipher: Cipher,
    pub(crate) enrollment: bool,
}

impl Suite {
    pub(crate) const ALL: [Self; 4] = [
        Self { cipher: Cipher::AesGcm, enrollment: false },
        Self { cipher: Cipher::ChaChaPoly, enrollment: false },
        Self { cipher: Cipher::AesGcm, enrollment: true },
        Self { cipher: Cipher::ChaChaPoly, enrollment: true },
    ];

    /// Noise protocol name (revision 34, section 8).
    pub(crate) const fn noise_name(self) -> &'static str {
        match (self.enrollment, self.cipher) {
            (false, Cipher::AesGcm) => "Noise_IK_25519_AESGCM_SHA256",
            (false, Cipher::ChaChaPoly) => "Noise_IK_25519_ChaChaPoly_SHA256",
            (true, Cipher::AesGcm) => "Noise_IKpsk2_25519_AESGCM_SHA256",
            (true, Cipher::ChaChaPoly) => "Noise_IKpsk2_25519_ChaChaPoly_SHA256",
        }
    }

    pub(crate) const fn preface(self) -> [u8; PREFACE_LEN] {
        let [s, a] = MAGIC;
        [s, a, FRAMING_VERSION, self.code()]
    }

    const fn code(self) -> u8 {
        let cipher = match self.cipher {
            Cipher::AesGcm => 1,
            Cipher::ChaChaPoly => 2,
        };
        if self.enrollment { cipher | ENROLLMENT_BIT } else { cipher }
    }

    /// Checks the part of a preface that has come; `None` as long as it is right but not complete.
    ///
    /// # Errors
    /// [`SessionError::BadMagic`], [`SessionError::Version`] or [`SessionError::Suite`], at the first wrong byte.
    pub(crate) fn read(preface: &[u8]) -> Result<Option<Self>, SessionError> {
        for (at, (found, expected)) in (0..).zip(preface.iter().zip(MAGIC)) {
            if *found != expected {
                return Err(SessionError::BadMagic { at, found: *found });
            }
        }
        match *preface {
            [_, _, version, ..] if version != FRAMING_VERSION => Err(SessionError::Version(version)),
            [_, _, _, code, ..] => Self::ALL
                .into_iter()
                .find(|suite| suite.code() == code)
                .map(Some)
                .ok_or(SessionError::Suite(code)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefaces_are_fixed() {
        let prefaces = Suite::ALL.map(Suite::preface);
        assert_eq!(prefaces, [*b"SA\x01\x01", *b"SA\x01\x02", *b"SA\x01\x11", *b"SA\x01\x12"]);
        for suite in Suite::ALL {
            assert_eq!(Suite::read(&suite.preface()), Ok(Some(suite)));
        }
    }

    #[test]
    fn the_first_wrong_byte_is_an_error() {
        assert_eq!(Suite::read(b""), Ok(None));
        assert_eq!(Suite::read(b"SA\x01"), Ok(None));
        assert_eq!(Suite::read(b"G"), Err(SessionError::BadMagic { at: 0, found: b'G' }));
        assert_eq!(Suite::read(b"SS"), Err(SessionError::BadMagic { at: 1, found: b'S' }));
        assert_eq!(Suite::read(b"SA\x02"), Err(SessionError::Version(2)));
        assert_eq!(Suite::read(b"SA\x01\x00"), Err(SessionError::Suite(0)));
        assert_eq!(Suite::read(b"SA\x01\x13"), Err(SessionError::Suite(0x13)));
    }
}
