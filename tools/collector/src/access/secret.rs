//! Random secrets, their text, and comparisons that take the same time whatever they compare.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::store::StoreError;
use crate::store::key::random;

/// A secret that is shown once: 32 random bytes as 43 characters of URL-safe base64 (RFC 4648 section 5) without padding.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// # Errors
    /// [`StoreError::Io`] if the system has no random source.
    pub fn generate() -> Result<Self, StoreError> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(Self(base64(&bytes)))
    }

    /// The text, for its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Hash that is stored of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

/// Does not print the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// A one-time code: 100 random bits, such as `7K3QF-0M2WB-R9C4T-WH6ZD`, in letters and digits that are not taken for one another.
///
/// # Errors
/// [`StoreError::Io`] if the system has no random source.
pub fn code() -> Result<String, StoreError> {
    let mut bytes = [0; 20];
    random(&mut bytes)?;
    let mut text = String::with_capacity(23);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(CODE_ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or_default()));
    }
    Ok(text)
}

/// Crockford's base 32.
const CODE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// SHA-256 of a code as a person types it: case, dashes and spaces do not matter, nor do `O` for 0 and `I` or `L` for 1.
#[must_use]
pub fn code_hash(typed: &str) -> [u8; 32] {
    let plain = typed.chars().filter(char::is_ascii_alphanumeric).take(64);
    let plain: String = plain
        .map(|char| match char.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    sha256(plain.as_bytes())
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns true if both are equal, in a time that depends on their lengths only.
#[must_use]
pub fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// URL-safe base64 without padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    encode(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6)
}

/// Base 32 (RFC 4648 section 6) without padding, as applications for one-time codes expect their secrets.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    encode(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5)
}

/// Digits of `width` bits each, at most 8.
fn encode(bytes: &[u8], alphabet: &[u8], width: u32) -> String {
    let mask = (1_u32 << width) - 1;
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let mut push = |digit: u32| {
        let digit = usize::try_from(digit & mask).unwrap_or_default();
        text.push(char::from(alphabet.get(digit).copied().unwrap_or_default()));
    };
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xffff;
        bits += 8;
        while bits >= width {
            bits -= width;
            push(held >> bits);
        }
    }
    if bits > 0 {
        push(held << (width - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10, without padding.
    #[test]
    fn the_vectors_of_the_standard() {
        for (bytes, text_64, text_32) in [
            ("", "", ""),
            ("f", "Zg", "MY"),
            ("fo", "Zm8", "MZXQ"),
            ("foo", "Zm9v", "MZXW6"),
            ("foob", "Zm9vYg", "MZXW6YQ"),
            ("fooba", "Zm9vYmE", "MZXW6YTB"),
            ("foobar", "Zm9vYmFy", "MZXW6YTBOI"),
        ] {
            assert_eq!(
                (base64(bytes.as_bytes()), base32(bytes.as_bytes())),
                (text_64.into(), text_32.into())
            );
        }
        assert_eq!(base64(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        let code = code().unwrap();
        assert_eq!(code.len(), 23);
        let typed =
            format!(" {} ", code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
        assert_eq!(code_hash(&typed), code_hash(&code));
        assert_ne!(code_hash(&code), code_hash(&code[1..]));
    }

    #[test]
    fn a_secret_has_the_length_of_its_randomness_and_is_not_printed() {
        let (first, second) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(first.reveal().len(), 43);
        assert!(first.hash() != second.hash() && is_equal(&first.hash(), &sha256(first.reveal().as_bytes())));
        assert_eq!(format!("{first:?}"), "Secret");
    }
}
