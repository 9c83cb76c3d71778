//! Text from the network: printable for terminals, escaped for JSON.

use sentinel_alert::json;

/// Most bytes of one text that are shown; longer ones end in `...`.
const MAX_TEXT_LEN: usize = 200;

/// Adds bytes of a packet: printable ASCII as it is, everything else as `\xNN`, so that no control sequence and no
/// change of writing direction reaches a terminal.
pub(super) fn printable(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for &byte in bytes.iter().take(MAX_TEXT_LEN) {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                out.push_str("\\x");
                for nibble in [byte >> 4, byte & 0xf] {
                    out.extend(DIGITS.get(usize::from(nibble)));
                }
            }
        }
    }
    if bytes.len() > MAX_TEXT_LEN {
        out.push_str("...");
    }
}

/// Adds bytes in base 64 (RFC 4648 section 4).
pub(super) fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            (0..3).fold(0, |bits, index| bits << 8 | usize::from(group.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * index) & 63).filter(|_| index <= group.len());
            out.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
}

/// Writes a JSON string, in which bytes that are no UTF-8 are replaced, or `null`.
pub(super) fn optional_json(bytes: Option<&[u8]>, out: &mut String) -> std::fmt::Result {
    match bytes {
        Some(bytes) => json::string(&String::from_utf8_lossy(bytes), out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_comes_through() {
        let every: Vec<u8> = (0..=255).collect();
        for part in every.chunks(64) {
            let mut out = String::new();
            printable(part, &mut out);
            assert!(out.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{out}");
        }
        let mut out = String::new();
        printable(b"GET /\x1b[2J\x9b\xe2\x80\xae\\", &mut out);
        assert_eq!(out, "GET /\\x1b[2J\\x9b\\xe2\\x80\\xae\\\\");
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foobar", "Zm9vYmFy")] {
            let mut out = String::new();
            base64(bytes, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let mut out = String::new();
        printable(&[b'a'; 201], &mut out);
        assert_eq!(out.len(), 203);
        assert!(out.ends_with("a..."));
    }
}
