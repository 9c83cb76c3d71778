//! What tunnels carry.
//!
//! Read first: RFC 2003 (IPv4 in IPv4); RFC 4213 section 3 (IPv6 in IPv4); RFC 2473 (in IPv6); RFC 1661 (the point-to-point
//! protocol, of PPTP); the file `gre`; RFC 7348 section 5 (VXLAN); RFC 8926 section 3 (Geneve); 3GPP TS 29.281 section 5
//! (GTP-U).
//!
//! A packet with a tunnel in it is two packets: the outer one, as the network sees it, and the inner one, as its ends see
//! it. Both are facts. So a [`Packet`] is never replaced by what it carries; whoever wants that asks for it, and pays for
//! it only then.

mod gre;

use sentinel_units::LinkType;

use self::gre::Inside;
use crate::network::protocol;
use crate::packet::{ARP, IPV4, IPV6, Packet, Transport};
use crate::read::{CapturedSlice, Malformed};
use crate::transport::Udp;

/// Ethernet inside GRE.
const ETHERNET: u16 = 0x6558;
/// Mirrored frames: draft-foschiano-erspan-03 section 4, versions 1 and 2, and version 3.
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
/// Numbers of the point-to-point protocol.
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// The packet inside, if `packet` is IP in IP or GRE and not a fragment. It may carry another one.
///
/// The inner packet's `malformed` says what is wrong with it; one that cannot be reached at all is no packet. Encrypted and
/// compressed tunnels are not opened.
#[inline]
#[must_use]
pub fn decapsulate<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    match packet.transport {
        Transport::Other(number @ (protocol::IPV4 | protocol::IPV6 | protocol::GRE)) => open(packet, number),
        _ => None,
    }
}

#[cold]
fn open<'p>(packet: &Packet<'p>, number: u8) -> Option<Packet<'p>> {
    let ip = packet.ip()?;
    if ip.fragment.is_some() {
        return None;
    }
    let slice = CapturedSlice { captured: ip.payload, wire_len: ip.payload_wire_len };
    match number {
        protocol::IPV4 => Some(inner(LinkType::IPV4, slice)),
        protocol::IPV6 => Some(inner(LinkType::IPV6, slice)),
        _ => match gre::parse(slice).ok()? {
            (Inside::EtherType(IPV4), remaining) => Some(inner(LinkType::IPV4, remaining)),
            (Inside::EtherType(IPV6), remaining) => Some(inner(LinkType::IPV6, remaining)),
            (Inside::EtherType(ETHERNET), remaining) => Some(inner(LinkType::ETHERNET, remaining)),
            (Inside::EtherType(ERSPAN), remaining) => {
                Some(inner(LinkType::ETHERNET, mirrored(slice, remaining)))
            }
            (Inside::EtherType(ERSPAN_3), remaining) => {
                Some(inner(LinkType::ETHERNET, mirrored_3(remaining)?))
            }
            (Inside::PointToPoint, remaining) => match point_to_point(remaining).ok()? {
                (PPP_IPV4, remaining) => Some(inner(LinkType::IPV4, remaining)),
                (PPP_IPV6, remaining) => Some(inner(LinkType::IPV6, remaining)),
                _ => None,
            },
            // ARP has no place without a link; other types are not read anywhere.
            (Inside::EtherType(ARP | _) | Inside::Nothing, _) => None,
        },
    }
}

/// Ports of tunnels over UDP.
const VXLAN: u16 = 4789;
/// What Linux used before the port was assigned.
const VXLAN_LINUX: u16 = 8472;
/// With a field that says what is inside: draft-ietf-nvo3-vxlan-gpe-12 section 3.
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
const GTP_USER: u16 = 2152;
/// Most extension headers of a GTP packet.
const MAX_GTP_EXTENSIONS: usize = 8;

/// The packet inside, if `packet` is a datagram of VXLAN, Geneve or GTP-U: by its port, and by a header that is sound.
#[inline]
#[must_use]
pub fn decapsulate_datagram<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    match &packet.transport {
        Transport::Udp(udp)
            if matches!(udp.destination_port.0, VXLAN | VXLAN_LINUX | VXLAN_GPE | GENEVE | GTP_USER)
                && packet.ip().is_some_and(|ip| ip.fragment.is_none()) =>
        {
            open_datagram(udp)
        }
        _ => None,
    }
}

#[cold]
fn open_datagram<'p>(udp: &Udp<'p>) -> Option<Packet<'p>> {
    let slice = CapturedSlice { captured: udp.payload, wire_len: udp.payload_wire_len };
    match (udp.destination_port.0, *slice.header::<8>().ok()?) {
        (VXLAN | VXLAN_LINUX, [0x08, 0, 0, 0, _, _, _, 0]) => Some(inner(LinkType::ETHERNET, slice.after(8))),
        (VXLAN_GPE, [0x0c, 0, 0, next @ 1..=3, _, _, _, 0]) => {
            let links = [LinkType::IPV4, LinkType::IPV6, LinkType::ETHERNET];
            let link = links.get(usize::from(next) - 1)?;
            Some(inner(*link, slice.after(8)))
        }
        (GENEVE, [options @ 0..=0x3f, _, p0, p1, _, _, _, 0]) => {
            let remaining = slice.after(8 + u32::from(options) * 4);
            match u16::from_be_bytes([p0, p1]) {
                ETHERNET => Some(inner(LinkType::ETHERNET, remaining)),
                IPV4 => Some(inner(LinkType::IPV4, remaining)),
                IPV6 => Some(inner(LinkType::IPV6, remaining)),
                _ => None,
            }
        }
        // Version 1, protocol type GTP, a user's packet
        (GTP_USER, [flags @ 0x30..=0x37, 0xff, ..]) => {
            let remaining =
                if flags & 0x07 == 0 { slice.after(8) } else { behind_gtp_options(slice, flags)? };
            Some(inner(LinkType::RAW, remaining))
        }
        _ => None,
    }
}

/// Skips the four optional bytes, and extension headers if there are any.
fn behind_gtp_options(slice: CapturedSlice<'_>, flags: u8) -> Option<CapturedSlice<'_>> {
    let [.., next] = *slice.header::<12>().ok()?;
    let (mut next, mut remaining) = (if flags & 0x04 != 0 { next } else { 0 }, slice.after(12));
    for _ in 0..MAX_GTP_EXTENSIONS {
        if next == 0 {
            return Some(remaining);
        }
        let [words] = *remaining.header::<1>().ok()?;
        let len = u32::from(words) * 4;
        let last = remaining.captured.get(usize::try_from(len).ok()?.checked_sub(1)?)?;
        (next, remaining) = (*last, remaining.after(len));
    }
    None
}

/// As a frame of its own.
fn inner(link: LinkType, slice: CapturedSlice<'_>) -> Packet<'_> {
    crate::packet::packet(link, None, slice.captured, slice.wire_len)
}

/// Behind the header of version 2, which comes with a sequence number; version 1 has neither.
fn mirrored<'p>(gre: CapturedSlice<'p>, remaining: CapturedSlice<'p>) -> CapturedSlice<'p> {
    let has_sequence = matches!(gre.captured, [flags, ..] if flags & 0x10 != 0);
    if has_sequence { remaining.after(8) } else { remaining }
}

/// Behind the header of version 3, which the last bit of its twelve bytes makes longer.
fn mirrored_3(remaining: CapturedSlice<'_>) -> Option<CapturedSlice<'_>> {
    let [.., last] = *remaining.header::<12>().ok()?;
    Some(remaining.after(if last & 1 == 0 { 12 } else { 20 }))
}

/// Reads a header, whose address may be left out and whose number may be shortened to one byte (RFC 1661 section 6.5
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
    extern crate std;
    use super::*;
    use crate::packet::{Network, packet};
    use crate::read::Layer;
    use sentinel_units::{Address, Port};
    use std::vec;
    use std::vec::Vec;

    fn v4(next: u8, last: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(20 + payload.len()).unwrap();
        [&[0x45, 0, 0, len, 0, 0, 0, 0, 64, next, 0, 0, 10, 0, 0, last, 10, 0, 9, last][..], payload].concat()
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = [0; 40].to_vec();
        (bytes[0], bytes[5], bytes[6], bytes[7]) = (0x60, u8::try_from(payload.len()).unwrap(), next, 64);
        (bytes[8], bytes[23], bytes[24], bytes[39]) = (0x20, 1, 0x20, 2);
        [bytes, payload.to_vec()].concat()
    }

    const DATAGRAM: [u8; 11] = [0x9c, 0x40, 0, 53, 0, 11, 0, 0, 1, 2, 3];

    fn read(bytes: &[u8]) -> Packet<'_> {
        packet(LinkType::RAW, None, bytes, 0)
    }

    /// The datagram is found inside, and the outer packet stays what it was.
    fn holds_the_datagram(bytes: &[u8], outer_protocol: u8) {
        let outer = read(bytes);
        assert_eq!(outer.transport, Transport::Other(outer_protocol));
        let inner = decapsulate(&outer).unwrap();
        assert_eq!((inner.ports(), inner.malformed), (Some((Port(40_000), Port(53))), None));
        assert_eq!(inner.udp().unwrap().payload, [1, 2, 3]);
        assert!(decapsulate(&inner).is_none());
    }

    #[test]
    fn each_kind_of_tunnel_is_opened() {
        let (four, six) = (v4(17, 1, &DATAGRAM), v6(17, &DATAGRAM));
        holds_the_datagram(&v4(4, 7, &four), 4);
        holds_the_datagram(&v4(41, 7, &six), 41);
        holds_the_datagram(&v6(4, &four), 4);
        holds_the_datagram(&v6(41, &six), 41);
        let gre = |head: &[u8], inside: &[u8]| v4(47, 7, &[head, inside].concat());
        holds_the_datagram(&gre(&[0, 0, 8, 0], &four), 47);
        holds_the_datagram(&gre(&[0x20, 0, 0x86, 0xdd, 1, 2, 3, 4], &six), 47);
        let ethernet = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &four].concat();
        holds_the_datagram(&gre(&[0, 0, 0x65, 0x58], &ethernet), 47);
        // mirrored: version 1, version 2 with its sequence number and header, version 3 without and with the rest
        holds_the_datagram(&gre(&[0, 0, 0x88, 0xbe], &ethernet), 47);
        let second = [&[0; 12][..], &ethernet].concat();
        holds_the_datagram(&gre(&[0x10, 0, 0x88, 0xbe], &second), 47);
        for (len, last) in [(12, 0), (20, 1)] {
            let mut third = vec![0; len];
            third[11] = last;
            let third = [&[0; 4][..], &third, &ethernet].concat();
            holds_the_datagram(&gre(&[0x10, 0, 0x22, 0xeb], &third), 47);
        }
        for head in [&[0xff, 3, 0, 0x21][..], &[0, 0x21], &[0x21]] {
            let frame = [head, &four].concat();
            holds_the_datagram(&gre(&[0x30, 1, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1], &frame), 47);
        }
    }

    fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
        let port = port.to_be_bytes();
        v4(17, 7, &[&[0x9c, 0x41, port[0], port[1], len[0], len[1], 0, 0][..], payload].concat())
    }

    #[test]
    fn tunnels_over_udp_are_opened_by_port_and_header() {
        let four = v4(17, 1, &DATAGRAM);
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &four].concat();
        let samples: [(u16, Vec<u8>); 9] = [
            (4789, [&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat()),
            (8472, [&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat()),
            (4790, [&[0x0c, 0, 0, 3, 0, 0, 7, 0][..], &frame].concat()),
            (4790, [&[0x0c, 0, 0, 1, 0, 0, 7, 0][..], &four].concat()),
            (6081, [&[0, 0, 0x65, 0x58, 0, 0, 7, 0][..], &frame].concat()),
            (6081, [&[1, 0, 8, 0, 0, 0, 7, 0, 9, 9, 9, 9][..], &four].concat()),
            (2152, [&[0x30, 0xff, 0, 39, 0, 0, 0, 7][..], &four].concat()),
            (2152, [&[0x32, 0xff, 0, 43, 0, 0, 0, 7, 0, 1, 0, 0][..], &four].concat()),
            (2152, [&[0x34, 0xff, 0, 47, 0, 0, 0, 7, 0, 0, 0, 0x85, 1, 0x10, 1, 0][..], &four].concat()),
        ];
        for (port, payload) in &samples {
            let bytes = datagram(*port, payload);
            let outer = read(&bytes);
            assert!(outer.udp().is_some() && decapsulate(&outer).is_none());
            let inner = decapsulate_datagram(&outer).unwrap();
            assert_eq!((inner.udp().unwrap().payload, inner.malformed), (&[1, 2, 3][..], None), "{port}");
            assert!(decapsulate_datagram(&read(&datagram(port + 2, payload))).is_none(), "{port}");
            for cut in 0..payload.len() {
                let shorter = datagram(*port, &payload[..cut]);
                let inner = decapsulate_datagram(&read(&shorter)).map(|inner| inner.malformed.is_some());
                assert!(inner != Some(false), "{port} {cut}");
            }
            let mut other = payload.clone();
            other[0] ^= 0xc0; // a flag, or a version, that is not read
            assert!(decapsulate_datagram(&read(&datagram(*port, &other))).is_none(), "{port}");
        }
    }

    #[test]
    fn tunnels_in_tunnels_are_opened_one_by_one() {
        let bytes = v4(4, 1, &v4(4, 2, &v4(17, 3, &DATAGRAM)));
        let outer = read(&bytes);
        let middle = decapsulate(&outer).unwrap();
        assert_eq!(middle.ip().unwrap().source, Address::v4(0x0a00_0002));
        assert_eq!(decapsulate(&middle).unwrap().ip().unwrap().source, Address::v4(0x0a00_0003));
    }

    #[test]
    fn what_is_wrong_inside_is_said_of_the_inside() {
        let mut bytes = v4(4, 7, &v4(17, 1, &DATAGRAM));
        bytes[20] = 0x65; // version 6 where IPv4 is announced
        let outer = read(&bytes);
        assert_eq!(outer.malformed, None);
        let inner = decapsulate(&outer).unwrap();
        assert_eq!(
            (inner.network, inner.malformed),
            (Network::None, Some((Layer::Network, Malformed::BadVersion)))
        );
    }

    #[test]
    fn fragments_and_other_protocols_are_left_alone() {
        let mut bytes = v4(4, 7, &v4(17, 1, &DATAGRAM));
        bytes[6] = 0x20; // more fragments
        assert!(decapsulate(&read(&bytes)).is_none());
        assert!(decapsulate(&read(&v4(50, 7, &[0; 20]))).is_none());
        assert!(decapsulate(&read(&v4(47, 7, &[0, 0, 8, 6, 1, 2, 3]))).is_none());
    }

    #[test]
    fn every_cut_gives_no_packet_or_one_that_says_so() {
        let bytes = v4(47, 7, &[&[0, 0, 8, 0][..], &v4(17, 1, &DATAGRAM)].concat());
        for cut in 0..bytes.len() {
            let outer = packet(LinkType::IPV4, None, &bytes[..cut], 55);
            let Some(inner) = decapsulate(&outer) else {
                assert!(cut < 24, "{cut}");
                continue;
            };
            assert!(inner.malformed.is_some() || inner.udp().unwrap().payload.len() < 3, "{cut}");
        }
    }
}
