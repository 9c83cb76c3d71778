//! PPP over Ethernet, session stage: how DSL and some fibre lines carry IP.
//!
//! Read first: RFC 2516 sections 4 and 7; RFC 1661 section 2 (PPP protocol field).

use sentinel_units::{ethertype, ppp_protocol};

use crate::read::{CapturedSlice, Malformed};

const HEADER_LEN: u32 = 6;

/// Reads the header and the PPP protocol, and gives the ethertype that means the same, or `None` if PPP
/// carries something else (link control, authentication). The length field cuts off padding.
///
/// # Errors
/// - [`Malformed::Truncated`] if the headers are not all there.
/// - [`Malformed::BadVersion`] if version and type are not both 1.
/// - [`Malformed::BadLength`] if the length field is more than the frame has.
pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<(Option<u16>, CapturedSlice<'_>), Malformed> {
    let [version_type, code, _, _, high, low] = *slice.header()?;
    if version_type != 0x11 {
        return Err(Malformed::BadVersion);
    }
    let inside = slice.after(HEADER_LEN).first(u32::from(u16::from_be_bytes([high, low])))?;
    if code != 0 {
        return Ok((None, inside));
    }
    // One byte if its lowest bit is set: protocol field compression, which RFC 2516 advises against
    // but which the two ends may have agreed on.
    let [first] = *inside.header()?;
    let (protocol, payload) = if first & 1 == 1 {
        (u16::from(first), inside.after(1))
    } else {
        (u16::from_be_bytes(*inside.header()?), inside.after(2))
    };
    let carried = match protocol {
        ppp_protocol::IPV4 => Some(ethertype::IPV4),
        ppp_protocol::IPV6 => Some(ethertype::IPV6),
        _ => None,
    };
    Ok((carried, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    // version 1, type 1, session data, session 0x1234, three bytes: PPP IPv4, 0x45; one byte of padding
    const SESSION: [u8; 10] = [0x11, 0, 0x12, 0x34, 0, 3, 0x00, 0x21, 0x45, 0xee];

    #[test]
    fn the_payload_ends_where_the_length_says() {
        let (ethertype, remaining) = parse(CapturedSlice::new(&SESSION, 10)).unwrap();
        assert_eq!((ethertype, remaining.captured, remaining.wire_len), (Some(0x0800), &[0x45][..], 1));
    }

    #[test]
    fn ppp_protocols_are_read_with_one_or_two_bytes() {
        let mut bytes = SESSION;
        bytes[6..8].copy_from_slice(&[0xc0, 0x21]); // link control
        assert_eq!(parse(CapturedSlice::new(&bytes, 10)).unwrap().0, None);
        bytes[6..8].copy_from_slice(&[0x57, 0x60]); // IPv6, compressed to one byte
        let (ethertype, remaining) = parse(CapturedSlice::new(&bytes, 10)).unwrap();
        assert_eq!((ethertype, remaining.captured), (Some(0x86dd), &[0x60, 0x45][..]));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..8 {
            assert_eq!(
                parse(CapturedSlice::new(&SESSION[..cut], 10)).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
        assert_eq!(parse(CapturedSlice::new(&SESSION[..8], 10)).unwrap().1.wire_len, 1);
    }

    #[test]
    fn wrong_fields_are_errors() {
        let mut bytes = SESSION;
        bytes[0] = 0x21;
        assert_eq!(parse(CapturedSlice::new(&bytes, 10)).err(), Some(Malformed::BadVersion));
        bytes = SESSION;
        bytes[5] = 5;
        assert_eq!(parse(CapturedSlice::new(&bytes, 10)).err(), Some(Malformed::BadLength));
    }
}
