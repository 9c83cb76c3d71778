//! Bytes as tcpdump's `-X`, `-XX`, `-A` and `-AA` show them.

use std::fmt::{Result, Write};

use sentinel_capture::Frame;
use sentinel_units::{LinkType, ethertype};

use crate::packets::options::{Dump, DumpStyle};

/// Bytes in a line.
const WIDTH: usize = 16;
/// Columns of the hexadecimal part: eight groups of four digits with a space before each.
const HEX_COLUMNS: usize = 40;

/// Dumps a frame, with or without its link-layer header.
pub(crate) fn dump_frame(frame: &Frame<'_>, request: Dump, out: &mut String) -> Result {
    let skip = if request.whole_frame { 0 } else { link_header_len(frame) };
    let bytes = frame.bytes.get(skip..).unwrap_or_default();
    match request.style {
        DumpStyle::Hex => dump(bytes, out),
        DumpStyle::Ascii => {
            out.push('\n');
            out.extend(bytes.iter().map(|byte| match byte {
                // As tcpdump: line ends stay, so that text is readable; other control bytes never reach the terminal.
                b'\n' | b'\t' => char::from(*byte),
                byte if byte.is_ascii_graphic() || *byte == b' ' => char::from(*byte),
                _ => '.',
            }));
            Ok(())
        }
    }
}

/// Length of the link-layer header, with at most two VLAN tags.
fn link_header_len(frame: &Frame<'_>) -> usize {
    const ETHERNET_LEN: usize = 14;
    const TAG_LEN: usize = 4;
    match frame.link {
        LinkType::ETHERNET => {
            let is_tag = |length: usize| {
                let kind = length.checked_sub(2).and_then(|at| frame.bytes.get(at..length));
                let kind = kind.and_then(|kind| kind.try_into().ok()).map(u16::from_be_bytes);
                kind.is_some_and(ethertype::is_vlan_tag)
            };
            let tags = (0..2).take_while(|tags| is_tag(ETHERNET_LEN + tags * TAG_LEN)).count();
            ETHERNET_LEN + tags * TAG_LEN
        }
        LinkType::NULL | LinkType::LOOP => 4,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        _ => 0,
    }
}

/// Lines of offset, hexadecimal digits and ASCII, each with a line end before it.
fn dump(bytes: &[u8], out: &mut String) -> Result {
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

    #[test]
    fn the_link_header_is_left_out_on_request() {
        let mut bytes = vec![0; 12];
        bytes.extend([0x81, 0, 0, 5, 0x88, 0xa8, 0, 6, 8, 0]);
        bytes.extend(b"GET /\r\n\x1b[m");
        let frame = Frame {
            at: sentinel_units::Timestamp::ZERO,
            wire_len: 0,
            link: LinkType::ETHERNET,
            vlan: None,
            vlan_type: 0,
            interface: 0,
            bytes: &bytes,
        };
        let text = |frame: &Frame<'_>, style, whole_frame| {
            let mut out = String::new();
            dump_frame(frame, Dump { style, whole_frame }, &mut out).unwrap();
            out
        };
        assert_eq!(text(&frame, DumpStyle::Ascii, false), "\nGET /.\n.[m");
        assert!(text(&frame, DumpStyle::Hex, false).starts_with("\n\t0x0000:  4745 5420"));
        assert!(text(&frame, DumpStyle::Hex, true).starts_with("\n\t0x0000:  0000 0000"));
        for (link, length) in
            [(LinkType::RAW, 0), (LinkType::NULL, 4), (LinkType::LINUX_SLL, 16), (LinkType::LINUX_SLL2, 20)]
        {
            assert_eq!(link_header_len(&Frame { link, ..frame }), length);
        }
        // Shorter than the header.
        assert_eq!(text(&Frame { bytes: &bytes[..5], ..frame }, DumpStyle::Ascii, false), "\n");
    }
}
