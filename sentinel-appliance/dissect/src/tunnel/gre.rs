//! Generic routing encapsulation.
//!
//! Read first: RFC 2784; RFC 2890 (key, sequence number); RFC 2637 section 4.1 (version 1, of PPTP); RFC 7637 section 3.2
//! (Ethernet inside).

use sentinel_units::{LinkType, ethertype, ppp_protocol};

use crate::read::{CapturedSlice, Malformed};

const CHECKSUM: u8 = 0x80;
const ROUTING: u8 = 0x40;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
const ACKNOWLEDGEMENT: u8 = 0x80;

/// Contents of a GRE packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GrePayload {
    /// A packet of this ethertype.
    EtherType(u16),
    /// A frame of the point-to-point protocol.
    PointToPoint,
    /// Nothing, or source routes, which are not followed (RFC 2784 section 2.3 has receivers discard them).
    Nothing,
}

/// Reads a header.
///
/// # Errors
/// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if it is not all there.
/// - [`Malformed::BadVersion`] if the version is neither 0 nor 1.
fn parse(slice: CapturedSlice<'_>) -> Result<(GrePayload, CapturedSlice<'_>), Malformed> {
    let [flags, low, p0, p1] = *slice.header::<4>()?;
    let ethertype = u16::from_be_bytes([p0, p1]);
    let optional = |bit: u8| if flags & bit != 0 { 4 } else { 0 };
    match low & 0x07 {
        0 => {
            let len = 4 + optional(CHECKSUM | ROUTING) + optional(KEY) + optional(SEQUENCE);
            let inside =
                if flags & ROUTING == 0 { GrePayload::EtherType(ethertype) } else { GrePayload::Nothing };
            Ok((inside, behind(slice, len)?))
        }
        1 => {
            // The key is always there: the length of the payload, and the number of the call.
            let acknowledgement = if low & ACKNOWLEDGEMENT != 0 { 4 } else { 0 };
            let remaining = behind(slice, 8 + optional(SEQUENCE) + acknowledgement)?;
            let is_frame = ethertype == ethertype::PPP && remaining.wire_len > 0;
            Ok((if is_frame { GrePayload::PointToPoint } else { GrePayload::Nothing }, remaining))
        }
        _ => Err(Malformed::BadVersion),
    }
}

/// The packet inside: its link type and its bytes. ARP has no place without a link, and other types are not read anywhere.
pub(super) fn decapsulate(slice: CapturedSlice<'_>) -> Option<(LinkType, CapturedSlice<'_>)> {
    let (payload, remaining) = parse(slice).ok()?;
    match payload {
        GrePayload::EtherType(ethertype::IPV4) => Some((LinkType::IPV4, remaining)),
        GrePayload::EtherType(ethertype::IPV6) => Some((LinkType::IPV6, remaining)),
        GrePayload::EtherType(ethertype::TRANSPARENT_ETHERNET) => Some((LinkType::ETHERNET, remaining)),
        GrePayload::EtherType(ethertype::ERSPAN) => Some((LinkType::ETHERNET, skip_erspan(slice, remaining))),
        GrePayload::EtherType(ethertype::ERSPAN_3) => Some((LinkType::ETHERNET, skip_erspan_3(remaining)?)),
        GrePayload::PointToPoint => match point_to_point(remaining).ok()? {
            (ppp_protocol::IPV4, remaining) => Some((LinkType::IPV4, remaining)),
            (ppp_protocol::IPV6, remaining) => Some((LinkType::IPV6, remaining)),
            _ => None,
        },
        GrePayload::EtherType(_) | GrePayload::Nothing => None,
    }
}

fn behind(slice: CapturedSlice<'_>, len: u32) -> Result<CapturedSlice<'_>, Malformed> {
    if len > slice.wire_len { Err(Malformed::BadLength) } else { Ok(slice.after(len)) }
}

/// Skips the header of ERSPAN version 2, which comes with a GRE sequence number; version 1 has neither.
fn skip_erspan<'p>(gre: CapturedSlice<'p>, remaining: CapturedSlice<'p>) -> CapturedSlice<'p> {
    let has_sequence = matches!(gre.captured, [flags, ..] if flags & 0x10 != 0);
    if has_sequence { remaining.after(8) } else { remaining }
}

/// Skips the header of ERSPAN version 3, which the last bit of its twelve bytes makes longer.
fn skip_erspan_3(remaining: CapturedSlice<'_>) -> Option<CapturedSlice<'_>> {
    let [.., last] = *remaining.header::<12>().ok()?;
    Some(remaining.after(if last & 1 == 0 { 12 } else { 20 }))
}

/// Reads a PPP header, whose address may be left out and whose number may be shortened to one byte (RFC 1661 section 6.5
/// and 6.6).
fn point_to_point(slice: CapturedSlice<'_>) -> Result<(u16, CapturedSlice<'_>), Malformed> {
    let slice = if slice.captured.starts_with(&[0xff, 0x03]) { slice.after(2) } else { slice };
    let [first] = *slice.header()?;
    if first & 1 == 1 {
        return Ok((u16::from(first), slice.after(1)));
    }
    let [first, second] = *slice.header()?;
    Ok((u16::from_be_bytes([first, second]), slice.after(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<(GrePayload, &[u8]), Malformed> {
        parse(CapturedSlice::new(bytes, 0)).map(|(inside, remaining)| (inside, remaining.captured))
    }

    #[test]
    fn optional_fields_are_skipped() {
        let ip = GrePayload::EtherType(0x0800);
        assert_eq!(read(&[0, 0, 8, 0, 9]), Ok((ip, &[9][..])));
        assert_eq!(read(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 9]), Ok((ip, &[9][..])));
        assert_eq!(read(&[0x20, 0, 8, 0, 1, 1, 1, 1, 9]), Ok((ip, &[9][..])));
        // source routes
        assert_eq!(read(&[0x40, 0, 8, 0, 0, 0, 0, 0, 9]), Ok((GrePayload::Nothing, &[9][..])));
        // version 1 with sequence number and acknowledgement; then a lone acknowledgement
        let payload = [0x30, 0x81, 0x88, 0x0b, 0, 1, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 9];
        assert_eq!(read(&payload), Ok((GrePayload::PointToPoint, &[9][..])));
        let lone = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 2];
        assert_eq!(read(&lone), Ok((GrePayload::Nothing, &[][..])));
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
