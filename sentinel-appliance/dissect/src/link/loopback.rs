//! BSD loopback headers: four bytes of address family.
//!
//! Read first: <https://www.tcpdump.org/linktypes.html>, entries NULL and LOOP.

use sentinel_units::ethertype;

use crate::read::{CapturedSlice, Malformed};

/// Reads the family and gives the ethertype that means the same, or `None` for another family.
///
/// NULL is in the byte order of the capturing machine, LOOP in network order. No family is above
/// 255, so the order shows from the bytes and both link types are read alike.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if the four bytes are not all there.
pub(crate) fn parse(frame: CapturedSlice<'_>) -> Result<(Option<u16>, CapturedSlice<'_>), Malformed> {
    let family = match *frame.header()? {
        [family, 0, 0, 0] | [0, 0, 0, family] => family,
        _ => 0,
    };
    let carried = match family {
        2 => Some(ethertype::IPV4),
        // Linux; NetBSD and OpenBSD; FreeBSD; Darwin.
        10 | 24 | 28 | 30 => Some(ethertype::IPV6),
        _ => None,
    };
    Ok((carried, frame.after(4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read() {
        for (header, ethertype) in [
            ([2, 0, 0, 0], Some(ethertype::IPV4)),
            ([0, 0, 0, 2], Some(ethertype::IPV4)),
            ([30, 0, 0, 0], Some(ethertype::IPV6)),
            ([0, 0, 0, 24], Some(ethertype::IPV6)),
            ([7, 0, 0, 0], None),
            ([2, 0, 2, 0], None),
        ] {
            assert_eq!(parse(CapturedSlice::new(&header, 4)).unwrap().0, ethertype, "{header:?}");
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..4 {
            assert_eq!(parse(CapturedSlice::new(&[2, 0, 0, 0][..cut], 4)).err(), Some(Malformed::Truncated));
        }
    }
}
