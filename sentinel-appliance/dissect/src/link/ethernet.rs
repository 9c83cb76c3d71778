//! Ethernet II frames, and IEEE 802.3 frames with LLC and SNAP.
//!
//! Read first: IEEE 802.3-2022 clause 3.2; IEEE 802.2 (LLC); RFC 1042 (IP over SNAP).

use pnet_packet::ethernet::EthernetPacket;
use sentinel_units::Mac;

use crate::read::{CapturedSlice, Malformed};

const HEADER_LEN: u32 = 14;
/// LLC (destination, source, control) and SNAP (organisation, ethertype).
const SNAP_LEN: u32 = 8;
/// The ethertype field is a length up to here (IEEE 802.3 clause 3.2.6).
const MAX_LENGTH: u16 = 1500;

/// The addresses of an Ethernet frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ethernet {
    /// Hardware address of the sender on this link.
    pub source: Mac,
    /// Hardware address of the receiver on this link.
    pub destination: Mac,
}

/// Contents of a frame behind its link header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkPayload {
    EtherType(u16),
    /// A number that is no `EtherType`.
    Unknown(u16),
    /// LLC without an ethertype: destination and source service access point.
    Llc(u8, u8),
}

/// Reads the addresses and the type field.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if the 14 bytes are not all there.
#[inline]
pub(crate) fn parse(frame: CapturedSlice<'_>) -> Result<(Ethernet, u16, CapturedSlice<'_>), Malformed> {
    let view = EthernetPacket::new(frame.captured).ok_or_else(|| frame.why_shorter_than(14))?;
    let addresses = Ethernet {
        source: Mac(view.get_source().octets()),
        destination: Mac(view.get_destination().octets()),
    };
    Ok((addresses, view.get_ethertype().0, frame.after(HEADER_LEN)))
}

/// Returns true if a type field is the length of an LLC frame.
#[inline]
pub(crate) const fn is_length(ethertype: u16) -> bool {
    ethertype <= MAX_LENGTH
}

/// Reads an LLC header of a frame whose type field was `length`; SNAP gives an ethertype again.
///
/// # Errors
/// - [`Malformed::BadLength`] if the frame is shorter than `length`.
/// - [`Malformed::Truncated`] if the header is not all there.
pub(crate) fn parse_length(
    slice: CapturedSlice<'_>,
    length: u16,
) -> Result<(LinkPayload, CapturedSlice<'_>), Malformed> {
    parse_llc(slice.first(u32::from(length))?)
}

/// Reads an LLC header.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if it is not all there.
pub(crate) fn parse_llc(slice: CapturedSlice<'_>) -> Result<(LinkPayload, CapturedSlice<'_>), Malformed> {
    let [destination, source, control] = *slice.header()?;
    if [destination, source, control] != [0xaa, 0xaa, 0x03] {
        return Ok((LinkPayload::Llc(destination, source), slice.after(3)));
    }
    let [_, _, _, organisation @ .., high, low] = *slice.header::<8>()?;
    // 00-00-00 is RFC 1042; 00-00-f8 is the bridge tunnel of IEEE 802.1H. Others number by themselves.
    if !matches!(organisation, [0, 0, 0 | 0xf8]) {
        return Ok((LinkPayload::Llc(destination, source), slice.after(SNAP_LEN)));
    }
    Ok((LinkPayload::EtherType(u16::from_be_bytes([high, low])), slice.after(SNAP_LEN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // to 02:00:00:00:00:02 from 02:00:00:00:00:01, IPv4, one byte
    const FRAME: [u8; 15] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45];

    #[test]
    fn addresses_and_type_are_read() {
        let (addresses, ethertype, remaining) = parse(CapturedSlice::new(&FRAME, 15)).unwrap();
        assert_eq!(addresses.source, Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(addresses.destination, Mac([2, 0, 0, 0, 0, 2]));
        assert_eq!((ethertype, remaining.captured, remaining.wire_len), (0x0800, &[0x45][..], 1));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..14 {
            assert_eq!(
                parse(CapturedSlice::new(&FRAME[..cut], 15)).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
        let (_, _, remaining) = parse(CapturedSlice::new(&FRAME[..14], 15)).unwrap();
        assert_eq!((remaining.captured.len(), remaining.wire_len), (0, 1));
        let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00];
        for cut in 0..snap.len() {
            assert_eq!(
                parse_length(CapturedSlice::new(&snap[..cut], 8), 8).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
    }

    #[test]
    fn snap_gives_an_ethertype_and_other_llc_does_not() {
        let snap = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00, 0x45, 9, 9];
        // the length field says nine bytes; the last two are padding
        let (carried, remaining) = parse_length(CapturedSlice::new(&snap, 11), 9).unwrap();
        assert_eq!((carried, remaining.captured), (LinkPayload::EtherType(0x0800), &[0x45][..]));
        // spanning tree
        let (carried, _) = parse_length(CapturedSlice::new(&[0x42, 0x42, 3, 0, 0], 5), 5).unwrap();
        assert_eq!(carried, LinkPayload::Llc(0x42, 0x42));
        // Cisco's own numbers (organisation 00-00-0c) are no EtherTypes
        let cdp = [0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0x00];
        assert_eq!(parse_length(CapturedSlice::new(&cdp, 8), 8).unwrap().0, LinkPayload::Llc(0xaa, 0xaa));
    }

    #[test]
    fn a_length_beyond_the_frame_is_an_error() {
        assert_eq!(
            parse_length(CapturedSlice::new(&[0x42, 0x42, 3], 3), 4).err(),
            Some(Malformed::BadLength)
        );
    }
}
