//! Base32 text (RFC 4648 section 6), for keys and tokens that people read out and type.
//!
//! Written in lower case, read in either case, without padding: every length is known from its context.

use core::fmt;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Writes bytes as base32.
pub(crate) struct Base32<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Base32<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let (mut held, mut held_bits) = (0_u32, 0_u32);
        let mut put = |five: u32| {
            let index = usize::try_from(five & 31).unwrap_or_default();
            out.write_char(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')))
        };
        for byte in self.0 {
            held = held << 8 | u32::from(*byte);
            held_bits += 8;
            while held_bits >= 5 {
                held_bits -= 5;
                put(held >> held_bits)?;
            }
            held &= 31; // fewer than five bits remain
        }
        if held_bits > 0 { put(held << (5 - held_bits)) } else { Ok(()) }
    }
}

/// Reason why text is not base32.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DecodeError {
    /// The character at this position (in characters, from 0) is not of the alphabet.
    Character(usize),
    /// No whole number of bytes has this many characters, unused bits of the last one are not zero, or `out` is full.
    Length,
}

/// Decodes `text` into `out` and returns the number of bytes.
pub(crate) fn decode(text: &str, out: &mut [u8]) -> Result<usize, DecodeError> {
    let (mut held, mut held_bits, mut len) = (0_u32, 0_u32, 0);
    for (at, char) in text.chars().enumerate() {
        let lower = char.to_ascii_lowercase();
        let five = match lower {
            'a'..='z' => u32::from(lower) - u32::from('a'),
            '2'..='7' => u32::from(lower) - u32::from('2') + 26,
            _ => return Err(DecodeError::Character(at)),
        };
        held = held << 5 | five;
        held_bits += 5;
        if held_bits >= 8 {
            held_bits -= 8;
            let byte = u8::try_from(held >> held_bits & 0xff).unwrap_or_default();
            *out.get_mut(len).ok_or(DecodeError::Length)? = byte;
            len += 1;
            held &= 0xff;
        }
    }
    let unused_bits = held & ((1 << held_bits) - 1);
    if held_bits >= 5 || unused_bits != 0 { Err(DecodeError::Length) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn rfc_4648_section_10_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(Base32(bytes.as_bytes()).to_string(), text);
            let mut out = [0; 8];
            assert_eq!(decode(&text.to_uppercase(), &mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes.as_bytes());
        }
    }

    #[test]
    fn every_byte_value_is_decoded_unchanged() {
        let bytes: std::vec::Vec<u8> = (0..=255).collect();
        let mut out = [0; 256];
        assert_eq!(decode(&Base32(&bytes).to_string(), &mut out), Ok(256));
        assert_eq!(out.as_slice(), bytes);
    }

    #[test]
    fn text_that_no_bytes_encode_to_is_an_error() {
        let mut out = [0; 8];
        assert_eq!(decode("a", &mut out), Err(DecodeError::Length));
        assert_eq!(decode("mz", &mut out), Err(DecodeError::Length), "left-over bits set");
        assert_eq!(decode("m1", &mut out), Err(DecodeError::Character(1)));
        assert_eq!(decode("mé", &mut out), Err(DecodeError::Character(1)));
        assert_eq!(decode(&"a".repeat(16), &mut out), Err(DecodeError::Length), "longer than the buffer");
    }
}
