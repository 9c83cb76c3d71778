//! Bytes as tcpdump's `-XX` shows them.

use std::fmt::{Result, Write};

/// Bytes in a line.
const WIDTH: usize = 16;
/// Columns of the hexadecimal part: eight groups of four digits with a space before each.
const HEX_COLUMNS: usize = 40;

/// Lines of offset, hexadecimal digits and ASCII, each with a line end before it.
pub(crate) fn dump(bytes: &[u8], out: &mut String) -> Result {
    for (index, row) in bytes.chunks(WIDTH).enumerate() {
        write!(out, "\n\t0x{:04x}: ", index * WIDTH)?;
        let start = out.len();
        for pair in row.chunks(2) {
            out.push(' ');
            digits(pair, out)?;
        }
        let missing = HEX_COLUMNS.saturating_sub(out.len() - start);
        out.extend(std::iter::repeat_n(' ', missing + 2));
        out.extend(row.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
    }
    Ok(())
}

/// Two digits for each byte.
pub(crate) fn digits(bytes: &[u8], out: &mut String) -> Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_offset_digits_and_text() {
        let mut out = String::new();
        dump(b"GET / HTTP/1.1\r\n\x00ab", &mut out).unwrap();
        let expected = "\n\t0x0000:  4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET./.HTTP/1.1..\
                        \n\t0x0010:  0061 62                                  .ab";
        assert_eq!(out, expected);
    }
}
