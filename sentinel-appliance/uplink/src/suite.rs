//! The first four bytes of a connection: what it is and which cryptography it uses.

use crate::error::SessionError;

/// Bytes of the preface that the initiator sends before its first frame; also the Noise prologue.
pub const PREFACE_LEN: usize = 4;

/// Version of preface and framing. The version of messages is in the hello.
const FRAMING_VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"SA";
/// Set in the suite byte when the handshake also uses a secret from an enrollment token.
const ENROLLMENT_BIT: u8 = 0x10;

/// The cipher of a session. The sensor chooses, the collector takes both.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cipher {
    /// AES-256-GCM: the default, and fastest where the CPU has AES instructions.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305: for CPUs without AES instructions.
    ChaChaPoly,
}

/// What the preface says: the cipher, and whether this connection enrolls a sensor.
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

    /// The name by which the Noise specification (revision 34, section 8) calls the handshake.
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

    /// Reads as much of a preface as there is, and finds fault at the first wrong byte.
    ///
    /// `None` as long as it is right but not complete.
    pub(crate) fn read(preface: &[u8]) -> Result<Option<Self>, SessionError> {
        for (at, (found, expected)) in (0..).zip(preface.iter().zip(MAGIC)) {
            if *found != expected {
                return Err(SessionError::Foreign { at, found: *found });
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
    fn the_bytes_are_fixed() {
        let prefaces = Suite::ALL.map(Suite::preface);
        assert_eq!(prefaces, [*b"SA\x01\x01", *b"SA\x01\x02", *b"SA\x01\x11", *b"SA\x01\x12"]);
        for suite in Suite::ALL {
            assert_eq!(Suite::read(&suite.preface()), Ok(Some(suite)));
        }
    }

    #[test]
    fn fault_is_found_at_the_first_wrong_byte() {
        assert_eq!(Suite::read(b""), Ok(None));
        assert_eq!(Suite::read(b"SA\x01"), Ok(None));
        assert_eq!(Suite::read(b"G"), Err(SessionError::Foreign { at: 0, found: b'G' }));
        assert_eq!(Suite::read(b"SS"), Err(SessionError::Foreign { at: 1, found: b'S' }));
        assert_eq!(Suite::read(b"SA\x02"), Err(SessionError::Version(2)));
        assert_eq!(Suite::read(b"SA\x01\x00"), Err(SessionError::Suite(0)));
        assert_eq!(Suite::read(b"SA\x01\x13"), Err(SessionError::Suite(0x13)));
    }
}
