//! IPv6 and its extension headers.
//!
//! Read first: RFC 8200 sections 3 and 4; RFC 7045 (which headers are extension headers); RFC 2675
//! (jumbo payload); RFC 4302 section 2 (AH); RFC 6946 (fragment headers on complete datagrams).

use sentinel_units::{Address, ip_protocol};

use super::ip::{Fragment, Ip};
use crate::read::{CapturedSlice, Cursor, Malformed};

const HEADER_LEN: u32 = 40;
/// Most extension headers read: as many as a datagram holds that is no jumbogram, of eight bytes each. RFC 8200 section 4.1 recommends
/// each at most once, but Linux takes any number, and whoever stops before it does can be hidden from.
const MAX_EXTENSIONS: u32 = MAX_PAYLOAD_LEN / 8;
/// Most options looked at while searching the jumbo payload length.
const MAX_OPTIONS: usize = 16;

const PAD1: u8 = 0;
const JUMBO_PAYLOAD: u8 = 0xc2;
const MAX_PAYLOAD_LEN: u32 = 65_535;

/// Reads a header and its extension headers. The second value is the fault behind the addresses, if there is one; the payload
/// must then not be read.
///
/// # Errors
/// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if the 40 bytes are not all there.
/// - [`Malformed::BadVersion`] if it is not version 6.
/// - [`Malformed::BadAddress`] if an address is IPv4-mapped: it must not be on the wire (RFC 4942 section
///   2.2; Linux drops it), and would pass for an IPv4 host in every table.
#[inline]
pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<(Ip<'_>, Result<(), Malformed>), Malformed> {
    let header = slice.header::<40>()?;
    let [v0, v1, _, _, l0, l1, next, hop_limit, addresses @ ..] = header;
    if v0 >> 4 != 6 {
        return Err(Malformed::BadVersion);
    }
    let (source, destination) = (address(addresses, 0), address(addresses, 16));
    if source.is_v4() || destination.is_v4() {
        return Err(Malformed::BadAddress);
    }
    let announced = u32::from(u16::from_be_bytes([*l0, *l1]));
    let mut ip = Ip {
        source,
        destination,
        protocol: *next,
        hop_limit: *hop_limit,
        traffic_class: v0 << 4 | v1 >> 4,
        fragment: None,
        wire_len: HEADER_LEN,
        payload: &[],
        payload_wire_len: 0,
    };
    let state = read_payload(&mut ip, slice.after(HEADER_LEN), announced);
    Ok((ip, state))
}

/// The address at `position` of the 32 bytes; `position` is 0 or 16.
#[inline]
fn address(bytes: &[u8; 32], position: usize) -> Address {
    let word = |offset: usize| {
        bytes
            .get(position + offset..)
            .and_then(|remaining| remaining.first_chunk())
            .map_or(0, |word| u32::from_be_bytes(*word))
    };
    Address::v6([word(0), word(4), word(8), word(12)])
}

#[inline]
fn read_payload<'p>(ip: &mut Ip<'p>, behind: CapturedSlice<'p>, announced: u32) -> Result<(), Malformed> {
    let length = if announced == 0 { length_of_jumbogram(ip.protocol, behind)? } else { announced };
    let payload = behind.first(length).unwrap_or(behind);
    ip.wire_len = HEADER_LEN.saturating_add(payload.wire_len);
    (ip.payload, ip.payload_wire_len) = (payload.captured, payload.wire_len);
    // A host drops a datagram that is shorter than its length field, and its payload reaches no application.
    if length > behind.wire_len {
        return Err(Malformed::BadLength);
    }
    if is_extension(ip.protocol) { walk_extensions(ip, payload) } else { Ok(()) }
}

/// Length of the payload if the length field is zero: that of a jumbo payload option; without one nothing follows, unless
/// there are more bytes than a length field can hold (Linux with segmentation offload no longer adds the option).
#[cold] // a length field of zero is rare
fn length_of_jumbogram(next: u8, behind: CapturedSlice<'_>) -> Result<u32, Malformed> {
    if next != ip_protocol::HOP_BY_HOP {
        return Ok(if behind.wire_len > MAX_PAYLOAD_LEN { behind.wire_len } else { 0 });
    }
    let [_, units] = *behind.header()?;
    let header = behind.first((u32::from(units) + 1) * 8)?;
    jumbo_payload(Cursor::new(header.captured.get(2..).unwrap_or_default())).ok_or_else(|| {
        let is_cut = CapturedSlice::new(header.captured, 0).wire_len < header.wire_len;
        if is_cut { Malformed::Truncated } else { Malformed::BadLength }
    })
}

/// The value of the jumbo payload option among `options`.
fn jumbo_payload(mut options: Cursor<'_>) -> Option<u32> {
    for _ in 0..MAX_OPTIONS {
        let kind = options.u8().ok()?;
        if kind != PAD1 {
            let len = options.u8().ok()?;
            let data = options.take(usize::from(len)).ok()?;
            if kind == JUMBO_PAYLOAD {
                return data.try_into().ok().map(u32::from_be_bytes);
            }
        }
    }
    None
}

#[inline]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        ip_protocol::HOP_BY_HOP
            | ip_protocol::IPV6_ROUTING
            | ip_protocol::IPV6_FRAGMENT
            | ip_protocol::AH
            | ip_protocol::DESTINATION_OPTIONS
            | ip_protocol::MOBILITY
            | ip_protocol::HIP
            | ip_protocol::SHIM6
    )
}

/// Goes to the first header that is no extension header, or stops at a later fragment.
fn walk_extensions<'p>(ip: &mut Ip<'p>, mut payload: CapturedSlice<'p>) -> Result<(), Malformed> {
    let mut result = Err(Malformed::TooManyHeaders);
    // One iteration more than headers: the last only finds that no further one follows.
    for _ in 0..=MAX_EXTENSIONS {
        if !is_extension(ip.protocol) || ip.is_later_fragment() {
            result = Ok(());
            break;
        }
        match skip_extension(ip, payload) {
            Ok((next, remaining)) => {
                // Headers behind the fragment header are part of the fragmented bytes, and reassembly joins those from the
                // fragment header on: it must know how many of them were skipped here.
                if ip.protocol != ip_protocol::IPV6_FRAGMENT
                    && let Some(fragment) = &mut ip.fragment
                {
                    fragment.skip(payload.wire_len.saturating_sub(remaining.wire_len));
                }
                (ip.protocol, payload) = (next, remaining);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    (ip.payload, ip.payload_wire_len) = (payload.captured, payload.wire_len);
    if ip.fragment.is_some_and(|fragment| !fragment.fits(payload.wire_len)) {
        return Err(Malformed::BadFragment);
    }
    result
}

fn skip_extension<'p>(
    ip: &mut Ip<'p>,
    payload: CapturedSlice<'p>,
) -> Result<(u8, CapturedSlice<'p>), Malformed> {
    match ip.protocol {
        ip_protocol::IPV6_FRAGMENT => {
            let [next, _, high, low, identification @ ..] = *payload.header::<8>()?;
            let place = u16::from_be_bytes([high, low]);
            let (offset, more) = (place & !7, place & 1 == 1);
            // Neither: a complete datagram with a fragment header (RFC 6946), which is no fragment.
            if offset != 0 || more {
                let identification = u32::from_be_bytes(identification);
                ip.fragment = Some(Fragment { identification, offset, more, skipped_words: 0 });
            }
            Ok((next, payload.after(8)))
        }
        ip_protocol::AH => skip_authentication(payload),
        _ => {
            let [next, units] = *payload.header()?;
            skip(payload, next, (u32::from(units) + 1) * 8)
        }
    }
}

/// Skips an authentication header, whose length counts in units of four bytes less two.
pub(crate) fn skip_authentication(payload: CapturedSlice<'_>) -> Result<(u8, CapturedSlice<'_>), Malformed> {
    let [next, units] = *payload.header()?;
    skip(payload, next, (u32::from(units) + 2) * 4)
}

fn skip(payload: CapturedSlice<'_>, next: u8, len: u32) -> Result<(u8, CapturedSlice<'_>), Malformed> {
    if len > payload.wire_len {
        return Err(Malformed::BadLength);
    }
    Ok((next, payload.after(len)))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// `2001:db8::1` to `2001:db8::2` with this next header and payload.
    fn datagram(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = [0; 40].to_vec();
        bytes[0] = 0x6b; // version 6, traffic class 0xb8
        bytes[1] = 0x80;
        bytes[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes[6] = next;
        bytes[7] = 255;
        for (position, last) in [(8, 1), (24, 2)] {
            bytes[position..position + 4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            bytes[position + 15] = last;
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    fn parse_all(bytes: &[u8]) -> Result<(Ip<'_>, Result<(), Malformed>), Malformed> {
        parse(CapturedSlice::new(bytes, 0))
    }

    #[test]
    fn the_fields_are_read() {
        let bytes = datagram(17, &[1, 2, 3, 4]);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!(state, Ok(()));
        assert_eq!(ip.source, Address::v6([0x2001_0db8, 0, 0, 1]));
        assert_eq!(ip.destination, Address::v6([0x2001_0db8, 0, 0, 2]));
        assert_eq!((ip.protocol, ip.hop_limit, ip.traffic_class), (17, 255, 0xb8));
        assert_eq!((ip.payload, ip.payload_wire_len, ip.wire_len), (&[1, 2, 3, 4][..], 4, 44));
        assert!(!ip.is_v4());
    }

    #[test]
    fn padding_is_not_payload() {
        let mut bytes = datagram(17, &[1, 2]);
        bytes.extend_from_slice(&[0xee; 4]);
        assert_eq!(parse_all(&bytes).unwrap().0.payload, [1, 2]);
        // nothing announced: all of it is padding
        let mut bytes = datagram(59, &[]);
        bytes.extend_from_slice(&[0xee; 6]);
        assert_eq!(parse_all(&bytes).unwrap().0.payload_wire_len, 0);
    }

    /// Hop-by-hop, destination options, routing (16 bytes), authentication (12), each naming the next.
    const CHAIN: [u8; 48] = [
        60, 0, 1, 4, 0, 0, 0, 0, // hop-by-hop, eight bytes
        43, 0, 1, 4, 0, 0, 0, 0, // destination options, eight bytes
        51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // routing, sixteen bytes
        6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, // authentication, twelve bytes
        9, 8, 7, 6,
    ];

    #[test]
    fn extension_headers_are_skipped() {
        let bytes = datagram(0, &CHAIN);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.protocol, ip.payload), (Ok(()), 6, &[9, 8, 7, 6][..]));
        assert_eq!(ip.wire_len, 88);
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let bytes = datagram(0, &CHAIN);
        for cut in 0..bytes.len() {
            match parse(CapturedSlice::new(&bytes[..cut], 88)) {
                Err(error) => assert!(cut < 40 && error == Malformed::Truncated),
                Ok((ip, state)) if cut >= 74 => {
                    // the first two bytes of the last header are there, so its length is known
                    assert_eq!((state, ip.protocol, ip.payload_wire_len), (Ok(()), 6, 4));
                    assert_eq!(ip.payload.len(), cut.saturating_sub(84));
                }
                Ok((ip, state)) => {
                    assert_eq!((state, ip.protocol == 6), (Err(Malformed::Truncated), false), "{cut}");
                    assert_eq!(ip.source, Address::v6([0x2001_0db8, 0, 0, 1]));
                }
            }
        }
    }

    #[test]
    fn each_length_too_big_is_an_error() {
        for position in [4, 5, 41, 49, 57, 73] {
            let mut bytes = datagram(0, &CHAIN);
            bytes[position] = 255;
            assert_eq!(parse_all(&bytes).unwrap().1, Err(Malformed::BadLength), "{position}");
        }
    }

    #[test]
    fn extension_headers_fill_a_datagram_at_most() {
        for count in [8, 9, 100, 8_191] {
            let mut payload = [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
            payload[(count - 1) * 8] = 17;
            let bytes = datagram(60, &payload);
            let (ip, state) = parse_all(&bytes).unwrap();
            assert_eq!((state, ip.protocol), (Ok(()), 17), "{count}");
        }
        // 8,192 do not fit its length field; nor does a jumbogram hide more.
        let mut payload = [60, 0, 1, 4, 0, 0, 0, 0].repeat(8_200);
        payload[..8].copy_from_slice(&[60, 0, 0xc2, 4, 0, 1, 0, 0x40]);
        let mut bytes = datagram(0, &[]);
        bytes.extend_from_slice(&payload);
        assert_eq!(parse_all(&bytes).unwrap().1, Err(Malformed::TooManyHeaders));
    }

    #[test]
    fn fragments_have_their_offset() {
        // next UDP, offset 1448, more follow, identification 0x01020304
        let header = [17, 0, 0x05, 0xa9, 1, 2, 3, 4, 0xaa, 0xbb];
        let bytes = datagram(44, &header);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.protocol, ip.payload), (Ok(()), 17, &[0xaa, 0xbb][..]));
        let fragment = Fragment { identification: 0x0102_0304, offset: 1448, more: true, skipped_words: 0 };
        assert_eq!(ip.fragment, Some(fragment));
        assert!(ip.is_later_fragment());
    }

    #[test]
    fn headers_behind_the_fragment_header_are_counted() {
        // first part, more follow; then destination options of 16 bytes; then four bytes for UDP
        let mut payload = [60, 0, 0, 1, 1, 2, 3, 4, 17, 1].to_vec();
        payload.extend_from_slice(&[0; 14]);
        payload.extend_from_slice(&[1, 2, 3, 4]);
        let bytes = datagram(44, &payload);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.protocol, ip.payload), (Ok(()), 17, &[1, 2, 3, 4][..]));
        assert_eq!(ip.fragment.map(|fragment| (fragment.offset, fragment.skipped_words)), Some((0, 4)));
    }

    #[test]
    fn headers_behind_a_later_fragment_are_not_read() {
        // next destination options, offset 8: what follows is the middle of something
        let bytes = datagram(44, &[60, 0, 0, 8, 0, 0, 0, 1, 255, 255]);
        let (ip, state) = parse_all(&bytes).unwrap();
        assert_eq!((state, ip.protocol, ip.payload), (Ok(()), 60, &[255, 255][..]));
    }

    #[test]
    fn a_fragment_header_on_a_complete_datagram_does_not_count() {
        let bytes = datagram(44, &[17, 0, 0, 0, 0, 0, 0, 1, 0xaa]);
        assert_eq!(parse_all(&bytes).unwrap().0.fragment, None);
    }

    #[test]
    fn a_fragment_past_the_largest_datagram_is_an_error() {
        let bytes = datagram(44, &[17, 0, 0xff, 0xf8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(parse_all(&bytes).unwrap().1, Err(Malformed::BadFragment));
    }

    #[test]
    fn mapped_addresses_are_rejected() {
        for position in [8, 24] {
            let mut bytes = datagram(17, &[]);
            bytes[position..position + 16]
                .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
            assert_eq!(parse_all(&bytes).err(), Some(Malformed::BadAddress));
        }
    }

    #[test]
    fn jumbograms_have_their_length_in_an_option() {
        // hop-by-hop: next UDP, eight bytes, jumbo payload of 70,000 bytes
        let mut bytes = datagram(0, &[17, 0, 0xc2, 4, 0, 1, 0x11, 0x70, 0xaa]);
        bytes[5] = 0;
        let (ip, state) = parse(CapturedSlice::new(&bytes, 70_040)).unwrap();
        assert_eq!((state, ip.protocol, ip.payload_wire_len), (Ok(()), 17, 69_992));
        assert_eq!(parse(CapturedSlice::new(&bytes, 70_039)).unwrap().1, Err(Malformed::BadLength));
        // hop-by-hop without that option cannot have a length of zero
        bytes[42] = 1;
        assert_eq!(parse(CapturedSlice::new(&bytes, 70_040)).unwrap().1, Err(Malformed::BadLength));
        // offload of more than the field can hold
        let mut bytes = datagram(6, &[0xaa]);
        bytes[5] = 0;
        assert_eq!(parse(CapturedSlice::new(&bytes, 70_040)).unwrap().0.payload_wire_len, 70_000);
    }
}
