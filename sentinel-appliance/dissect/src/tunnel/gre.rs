//! Generic routing encapsulation.
//!
//! Read first: RFC 2784; RFC 2890 (key, sequence number); RFC 2637 section 4.1 (version 1, of PPTP); RFC 7637 section 3.2
//! (Ethernet inside).

use crate::read::{CapturedSlice, Malformed};

const CHECKSUM: u8 = 0x80;
const ROUTING: u8 = 0x40;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
const ACKNOWLEDGEMENT: u8 = 0x80;
/// What version 1 carries, always.
const POINT_TO_POINT: u16 = 0x880b;

/// What follows a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Inside {
    /// A packet of this ethertype.
    EtherType(u16),
    /// A frame of the point-to-point protocol.
    PointToPoint,
    /// Nothing, or source routes, which are not followed (RFC 2784 section 2.3 lets go of them).
    Nothing,
}

/// Reads a header.
///
/// # Errors
/// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if it is not all there.
/// - [`Malformed::BadVersion`] if the version is neither 0 nor 1.
pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<(Inside, CapturedSlice<'_>), Malformed> {
    let [flags, low, p0, p1] = *slice.header::<4>()?;
    let ethertype = u16::from_be_bytes([p0, p1]);
    let optional = |bit: u8| if flags & bit != 0 { 4 } else { 0 };
    match low & 0x07 {
        0 => {
            let len = 4 + optional(CHECKSUM | ROUTING) + optional(KEY) + optional(SEQUENCE);
            let inside = if flags & ROUTING == 0 { Inside::EtherType(ethertype) } else { Inside::Nothing };
            Ok((inside, behind(slice, len)?))
        }
        1 => {
            // The key is always there: the length of the payload, and the number of the call.
            let acknowledgement = if low & ACKNOWLEDGEMENT != 0 { 4 } else { 0 };
            let remaining = behind(slice, 8 + optional(SEQUENCE) + acknowledgement)?;
            let is_frame = ethertype == POINT_TO_POINT && remaining.wire_len > 0;
            Ok((if is_frame { Inside::PointToPoint } else { Inside::Nothing }, remaining))
        }
        _ => Err(Malformed::BadVersion),
    }
}

fn behind(slice: CapturedSlice<'_>, len: u32) -> Result<CapturedSlice<'_>, Malformed> {
    if len > slice.wire_len { Err(Malformed::BadLength) } else { Ok(slice.after(len)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<(Inside, &[u8]), Malformed> {
        parse(CapturedSlice::new(bytes, 0)).map(|(inside, remaining)| (inside, remaining.captured))
    }

    #[test]
    fn optional_fields_are_skipped() {
        let ip = Inside::EtherType(0x0800);
        assert_eq!(read(&[0, 0, 8, 0, 9]), Ok((ip, &[9][..])));
        assert_eq!(read(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 9]), Ok((ip, &[9][..])));
        assert_eq!(read(&[0x20, 0, 8, 0, 1, 1, 1, 1, 9]), Ok((ip, &[9][..])));
        // source routes
        assert_eq!(read(&[0x40, 0, 8, 0, 0, 0, 0, 0, 9]), Ok((Inside::Nothing, &[9][..])));
        // version 1 with sequence number and acknowledgement; then a lone acknowledgement
        let payload = [0x30, 0x81, 0x88, 0x0b, 0, 1, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 9];
        assert_eq!(read(&payload), Ok((Inside::PointToPoint, &[9][..])));
        let lone = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 2];
        assert_eq!(read(&lone), Ok((Inside::Nothing, &[][..])));
        assert_eq!(read(&[0, 2, 8, 0]), Err(Malformed::BadVersion));
    }

    #[test]
    fn every_cut_is_an_error() {
        let header = [0xb0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Err(Malformed::BadLength), "{cut}");
            let captured = parse(CapturedSlice::new(&header[..cut], 16));
            assert!(
                captured.is_ok() == (cut >= 4)
                    && captured.is_ok_and(|(_, remaining)| remaining.captured.is_empty())
                    || cut < 4
            );
        }
    }
}
