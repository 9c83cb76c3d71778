//! Text from the network, harmless to terminals.

/// Most bytes of one text that are shown; longer ones end in `...`.
const MAX_WAIT: usize = 200;

/// Adds bytes of a packet: printable ASCII as it is, everything else as `\xNN`, so that no control sequence and no
/// change of writing direction reaches a terminal.
pub(super) fn push(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for &byte in bytes.iter().take(MAX_WAIT) {
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
    if bytes.len() > MAX_WAIT {
        out.push_str("...");
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
            push(part, &mut out);
            assert!(out.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{out}");
        }
        let mut out = String::new();
        push(b"GET /\x1b[2J\x9b\xe2\x80\xae\\", &mut out);
        assert_eq!(out, "GET /\\x1b[2J\\x9b\\xe2\\x80\\xae\\\\");
    }

    #[test]
    fn long_texts_are_cut() {
        let mut out = String::new();
        push(&[b'a'; 201], &mut out);
        assert_eq!(out.len(), 203);
        assert!(out.ends_with("a..."));
    }
}
