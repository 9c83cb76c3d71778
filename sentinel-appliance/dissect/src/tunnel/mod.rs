//! Decapsulation of tunnels: IP in IP, GRE, VXLAN, Geneve, GTP-U.
//!
//! Read first: RFC 2003 (IPv4 in IPv4); RFC 4213 section 3 (IPv6 in IPv4); RFC 2473 (in IPv6); the files of the other tunnels.
//!
//! A tunnelled packet is two packets: the outer one, between the tunnel's ends, and the inner one. Both are facts, so a
//! [`Packet`] is never replaced by the packet inside it; the functions here parse that one on demand.

mod geneve;
mod gre;
mod gtp;
mod vxlan;

use sentinel_units::{LinkType, Port, ip_protocol, port};

use crate::packet::{Packet, Transport};
use crate::read::CapturedSlice;
use crate::transport::Udp;

/// The packet inside, if `packet` is IP in IP or GRE and not a fragment. It may carry another one.
///
/// The inner packet's `malformed` says what is wrong with it; one that cannot be reached at all is no packet. Encrypted and
/// compressed tunnels are not opened.
#[inline]
#[must_use]
pub fn decapsulate<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    match packet.transport {
        Transport::Other(number @ (ip_protocol::IPV4 | ip_protocol::IPV6 | ip_protocol::GRE)) => {
            open(packet, number)
        }
        _ => None,
    }
}

// Cold, as `open_datagram`: nearly all packets are no tunnels, and only the test above belongs on their path.
#[cold]
fn open<'p>(packet: &Packet<'p>, number: u8) -> Option<Packet<'p>> {
    let ip = packet.ip()?;
    if ip.fragment.is_some() {
        return None;
    }
    let slice = CapturedSlice { captured: ip.payload, wire_len: ip.payload_wire_len };
    let (link, contents) = match number {
        ip_protocol::IPV4 => (LinkType::IPV4, slice),
        ip_protocol::IPV6 => (LinkType::IPV6, slice),
        _ => gre::decapsulate(slice)?,
    };
    Some(inner(link, contents))
}

/// The packet inside, whatever the tunnel: [`decapsulate`] or [`decapsulate_datagram`].
#[must_use]
pub fn decapsulate_any<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    decapsulate(packet).or_else(|| decapsulate_datagram(packet))
}

/// Returns true for the destination ports of tunnels over UDP: VXLAN, Geneve, GTP-U.
#[inline]
#[must_use]
pub const fn is_tunnel_port(port: Port) -> bool {
    matches!(port, port::VXLAN | port::VXLAN_LINUX | port::VXLAN_GPE | port::GENEVE | port::GTP_USER)
}

/// The packet inside, if `packet` is a datagram of VXLAN, Geneve or GTP-U: by its port, and by a header that is sound.
#[inline]
#[must_use]
pub fn decapsulate_datagram<'p>(packet: &Packet<'p>) -> Option<Packet<'p>> {
    match &packet.transport {
        Transport::Udp(udp)
            if is_tunnel_port(udp.destination_port)
                && packet.ip().is_some_and(|ip| ip.fragment.is_none()) =>
        {
            open_datagram(udp)
        }
        _ => None,
    }
}

#[cold] // as `open`
fn open_datagram<'p>(udp: &Udp<'p>) -> Option<Packet<'p>> {
    let slice = CapturedSlice { captured: udp.payload, wire_len: udp.payload_wire_len };
    let (link, contents) = match udp.destination_port {
        port::VXLAN | port::VXLAN_LINUX => vxlan::decapsulate(slice)?,
        port::VXLAN_GPE => vxlan::decapsulate_gpe(slice)?,
        port::GENEVE => geneve::decapsulate(slice)?,
        port::GTP_USER => gtp::decapsulate(slice)?,
        _ => return None,
    };
    Some(inner(link, contents))
}

/// Reads the contents of a tunnel like a frame of their own.
fn inner(link: LinkType, contents: CapturedSlice<'_>) -> Packet<'_> {
    crate::packet::packet(link, None, contents.captured, contents.wire_len)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::packet::{Network, packet};
    use crate::read::{Layer, Malformed};
    use sentinel_units::Address;
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
    fn a_fault_inside_a_tunnel_is_that_of_the_inner_packet() {
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
    fn fragments_and_other_protocols_are_not_opened() {
        let mut bytes = v4(4, 7, &v4(17, 1, &DATAGRAM));
        bytes[6] = 0x20; // more fragments
        assert!(decapsulate(&read(&bytes)).is_none());
        assert!(decapsulate(&read(&v4(50, 7, &[0; 20]))).is_none());
        assert!(decapsulate(&read(&v4(47, 7, &[0, 0, 8, 6, 1, 2, 3]))).is_none());
    }

    #[test]
    fn every_cut_gives_no_packet_or_a_malformed_or_shorter_one() {
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
