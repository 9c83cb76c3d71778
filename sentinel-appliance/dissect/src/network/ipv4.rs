//! IPv4.
//!
//! Read first: RFC 791 section 3.1; RFC 3168 section 5 (congestion bits); RFC 4302 section 2 (AH).

use sentinel_units::{Address, ip_protocol};

use super::ip::{Fragment, Ip};
use super::ipv6::skip_authentication;
use crate::read::{CapturedSlice, Malformed};

/// The header without options.
const FIXED_LEN: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
/// In units of eight bytes.
const OFFSET_MASK: u16 = 0x1fff;

/// Reads a header. The second value is the fault behind the addresses, if there is one; the payload must then not be read.
///
/// # Errors
/// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if the 20 bytes are not all there.
/// - [`Malformed::BadVersion`] if it is not version 4.
#[inline]
pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<(Ip<'_>, Result<(), Malformed>), Malformed> {
    let header = slice.header::<20>()?;
    let [version_len, traffic_class, t0, t1, i0, i1, f0, f1, hop_limit, protocol, _, _, addresses @ ..] =
        *header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    if version_len >> 4 != 4 {
        return Err(Malformed::BadVersion);
    }
    let header_len = u32::from(version_len & 0x0f) * 4;
    let announced = u32::from(u16::from_be_bytes([t0, t1]));
    let flags = u16::from_be_bytes([f0, f1]);
    let mut ip = Ip {
        source: Address::v4(u32::from_be_bytes([s0, s1, s2, s3])),
        destination: Address::v4(u32::from_be_bytes([d0, d1, d2, d3])),
        protocol,
        hop_limit,
        traffic_class,
        fragment: None,
        wire_len: announced,
        payload: &[],
        payload_wire_len: 0,
    };
    if flags & (MORE_FRAGMENTS | OFFSET_MASK) != 0 {
        ip.fragment = Some(Fragment {
            identification: u32::from(u16::from_be_bytes([i0, i1])),
            offset: (flags & OFFSET_MASK) << 3,
            more: flags & MORE_FRAGMENTS != 0,
            skipped_words: 0,
        });
    }
    let state = read_payload(&mut ip, slice, header_len, announced);
    Ok((ip, state))
}

#[inline]
fn read_payload<'p>(
    ip: &mut Ip<'p>,
    slice: CapturedSlice<'p>,
    header_len: u32,
    announced: u32,
) -> Result<(), Malformed> {
    // Segmentation offload leaves zero for the card to fill in: the datagram is then all that is there.
    let datagram = if announced == 0 { slice } else { clamp(slice, announced) };
    ip.wire_len = datagram.wire_len;
    if header_len < FIXED_LEN || header_len > datagram.wire_len {
        return Err(Malformed::BadLength);
    }
    let payload = datagram.after(header_len);
    ip.payload = payload.captured;
    ip.payload_wire_len = payload.wire_len;
    // A host drops a datagram that is shorter than its length field, and its payload reaches no application.
    if announced > slice.wire_len {
        return Err(Malformed::BadLength);
    }
    if ip.fragment.is_some_and(|fragment| !fragment.fits(payload.wire_len)) {
        return Err(Malformed::BadFragment);
    }
    if ip.protocol == ip_protocol::AH && !ip.is_later_fragment() {
        let (next, inside) = skip_authentication(payload)?;
        if let Some(fragment) = &mut ip.fragment {
            fragment.skip(payload.wire_len.saturating_sub(inside.wire_len));
        }
        (ip.protocol, ip.payload, ip.payload_wire_len) = (next, inside.captured, inside.wire_len);
        if next == ip_protocol::AH {
            return Err(Malformed::TooManyHeaders);
        }
    }
    Ok(())
}

#[inline]
fn clamp(slice: CapturedSlice<'_>, announced: u32) -> CapturedSlice<'_> {
    slice.first(announced).unwrap_or(slice)
}

/// Returns true if no transport header follows: in a later fragment, or behind "no next header".
#[inline]
pub(crate) const fn has_no_transport(ip: &Ip<'_>) -> bool {
    ip.is_later_fragment() || ip.protocol == ip_protocol::NO_NEXT_HEADER
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 192.0.2.1 to 198.51.100.7, UDP, 24 bytes of which four are payload.
    pub(crate) const DATAGRAM: [u8; 24] = [
        0x45, 0xb8, 0, 24, 0xab, 0xcd, 0x40, 0, 64, 17, 0, 0, // not a fragment, 64 hops, UDP
        192, 0, 2, 1, 198, 51, 100, 7, 1, 2, 3, 4,
    ];

    fn parse_all(bytes: &[u8]) -> Result<(Ip<'_>, Result<(), Malformed>), Malformed> {
        parse(CapturedSlice::new(bytes, 0))
    }

    fn changed(changes: &[(usize, u8)]) -> [u8; 24] {
        let mut bytes = DATAGRAM;
        for &(position, value) in changes {
            bytes[position] = value;
        }
        bytes
    }

    #[test]
    fn the_fields_are_read() {
        let (ip, state) = parse_all(&DATAGRAM).unwrap();
        assert_eq!(state, Ok(()));
        assert_eq!((ip.source, ip.destination), (Address::v4(0xc000_0201), Address::v4(0xc633_6407)));
        assert_eq!((ip.protocol, ip.hop_limit, ip.traffic_class), (17, 64, 0xb8));
        assert_eq!((ip.fragment, ip.wire_len, ip.payload_wire_len), (None, 24, 4));
        assert_eq!(ip.payload, [1, 2, 3, 4]);
        assert!(ip.is_v4());
    }

    #[test]
    fn padding_is_not_payload() {
        let mut frame = [0xee; 46];
        frame[..24].copy_from_slice(&DATAGRAM);
        let (ip, _) = parse_all(&frame).unwrap();
        assert_eq!((ip.payload, ip.payload_wire_len), (&[1, 2, 3, 4][..], 4));
    }

    #[test]
    fn a_total_length_of_zero_means_all_that_follows() {
        let bytes = changed(&[(3, 0)]);
        let (ip, state) = parse(CapturedSlice::new(&bytes, 90_000)).unwrap();
        assert_eq!((state, ip.payload_wire_len, ip.wire_len), (Ok(()), 89_980, 90_000));
        assert_eq!(ip.payload, [1, 2, 3, 4]);
    }

    #[test]
    fn options_are_skipped() {
        // header length 24: the four bytes are options
        let bytes = changed(&[(0, 0x46)]);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.payload.len(), ip.payload_wire_len), (Ok(()), 0, 0));
    }

    #[test]
    fn each_length_too_big_is_an_error_that_keeps_the_addresses() {
        for (changes, payload_wire_len) in [
            (&[(3, 25)][..], 4), // total length one more than there is
            (&[(2, 255)], 4),    // total length far too big
            (&[(0, 0x47)], 0),   // header longer than the datagram
            (&[(0, 0x4f)], 0),   // the longest header
            (&[(0, 0x44)], 0),   // header shorter than a header
            (&[(3, 19)], 0),     // datagram shorter than a header
        ] {
            let bytes = changed(changes);
            let (ip, state) = parse_all(&bytes).unwrap();
            assert_eq!(state, Err(Malformed::BadLength), "{changes:?}");
            assert_eq!((ip.source, ip.payload_wire_len), (Address::v4(0xc000_0201), payload_wire_len));
        }
        assert_eq!(parse_all(&changed(&[(0, 0x65)])).err(), Some(Malformed::BadVersion));
    }

    #[test]
    fn fragments_have_their_offset() {
        // more fragments, offset 185 * 8
        let bytes = changed(&[(6, 0x20), (7, 185)]);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!(state, Ok(()));
        assert_eq!(
            ip.fragment,
            Some(Fragment { identification: 0xabcd, offset: 1480, more: true, skipped_words: 0 })
        );
        assert!(ip.is_later_fragment());
        // first fragment
        let bytes = changed(&[(6, 0x20)]);
        assert!(!parse_all(&bytes).unwrap().0.is_later_fragment());
    }

    #[test]
    fn a_fragment_past_the_largest_datagram_is_an_error() {
        // offset 8191 * 8 = 65,528 and four bytes: 65,532 is allowed; eight bytes are not
        assert_eq!(parse_all(&changed(&[(6, 0x1f), (7, 0xff)])).unwrap().1, Ok(()));
        let mut bytes = [0; 28];
        bytes[..24].copy_from_slice(&changed(&[(3, 28), (6, 0x1f), (7, 0xff)]));
        assert_eq!(parse_all(&bytes).unwrap().1, Err(Malformed::BadFragment));
    }

    #[test]
    fn an_authentication_header_is_skipped() {
        let mut bytes = [0; 36];
        bytes[..20].copy_from_slice(&DATAGRAM[..20]);
        bytes[3] = 36;
        bytes[9] = ip_protocol::AH;
        // next TCP, (1 + 2) * 4 bytes long, reserved, index, sequence; then four bytes
        bytes[20..].copy_from_slice(&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 8, 7, 6]);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.protocol, ip.payload), (Ok(()), 6, &[9, 8, 7, 6][..]));
        bytes[20] = ip_protocol::AH;
        assert_eq!(parse_all(&bytes).unwrap().1, Err(Malformed::TooManyHeaders));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..DATAGRAM.len() {
            match parse(CapturedSlice::new(&DATAGRAM[..cut], 24)) {
                Err(error) => assert!(cut < 20 && error == Malformed::Truncated),
                Ok((ip, state)) => {
                    assert_eq!((state, ip.payload_wire_len, ip.payload.len()), (Ok(()), 4, cut - 20));
                }
            }
        }
    }
}
