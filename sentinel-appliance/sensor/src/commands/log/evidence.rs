//! Evidence keys: the private key stays with the operator, its public key goes into `log_evidence_key`.

use std::fmt::Write;
use std::path::Path;

use sentinel_seal::RecipientSecret;
use sentinel_uplink::KeyPair;
use zeroize::Zeroizing;

use crate::system::keys;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Length of the file: 64 hexadecimal digits and a line end, as of the identity of a collector.
const TEXT_LEN: usize = 65;

/// Makes a key pair: the private key in a new file of mode 0600, the public key on standard output.
pub(crate) fn keygen(path: &Path) -> Result<(), Failure> {
    let pair = KeyPair::generate().map_err(|error| Failure::new(format!("making a key: {error}")))?;
    let mut text = Zeroizing::new([b'\n'; TEXT_LEN]);
    for (digits, byte) in text.chunks_exact_mut(2).zip(&*pair.secret_bytes()) {
        for (digit, half) in digits.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if half < 10 { b'0' + half } else { b'a' + half - 10 };
        }
    }
    keys::create_private(path, text.as_slice())?;
    let mut output = Output::new();
    output.line(|line| write!(line, "{}", pair.public()))?;
    output.flush()
}

/// Reads a private key: that of [`keygen`], or the identity of a collector.
pub(super) fn secret(path: &Path) -> Result<RecipientSecret, Failure> {
    let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
    let text = keys::read_secret::<TEXT_LEN>(path)?.ok_or_else(|| at("no such file"))?;
    parse_secret(&text).ok_or_else(|| at("not a private key: want 64 hexadecimal digits and a line end"))
}

fn parse_secret(text: &[u8; TEXT_LEN]) -> Option<RecipientSecret> {
    let digits = core::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(RecipientSecret::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_reads_back_and_other_text_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private.key");
        keygen(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), TEXT_LEN);
        assert_ne!(secret(&path).unwrap().public(), [0; 32]);
        assert!(keygen(&path).is_err(), "a key is never overwritten");
        let mut text = [b'a'; TEXT_LEN];
        assert!(parse_secret(&text).is_none(), "no line end");
        text[64] = b'\n';
        assert_eq!(parse_secret(&text).unwrap().public(), RecipientSecret::from_bytes([0xaa; 32]).public());
        text[3] = b'+';
        assert!(parse_secret(&text).is_none());
    }
}
