//! TCP and UDP packets at a glance: what every detector asks of every packet, and nothing else.
//!
//! Nearly all frames of a network are Ethernet, IPv4 without options or IPv6 without extension headers, not a
//! fragment, TCP or UDP, and sound. [`glance`] reads those in about a third of the instructions that [`packet`](crate::packet())
//! takes, because it needs no memory for facts that such frames do not have; it gives up on all others, whatever the
//! reason. What it reads equals what `packet` reads, which the tests and the fuzz target hold it to.

use sentinel_units::{Address, LinkType, Mac, Port};

use crate::{Packet, TcpFlags, Transport, protocol};

const LINK_LEN: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
/// Version 4, five words: no options.
const PLAIN_IPV4: u8 = 0x45;
const PLAIN_IPV4_LEN: u16 = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: u16 = 8;
const TCP_LEN: u16 = 20;
/// All but the bit that forbids fragmentation.
const FRAGMENT: u16 = 0x3fff;

/// A TCP segment or UDP datagram, with addresses `A`.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'p, A = Address> {
    /// Where it comes from.
    pub source: A,
    /// Where it goes.
    pub destination: A,
    /// Port it comes from.
    pub source_port: Port,
    /// Port it goes to.
    pub destination_port: Port,
    /// Control bits, or `None` for UDP.
    pub tcp_flags: Option<TcpFlags>,
    /// Captured bytes from the transport header to the end of the datagram.
    datagram: &'p [u8],
    /// Of these the header.
    header_len: u16,
    /// Bytes of the whole frame on the wire.
    pub wire_len: u32,
    /// Who sent the frame on this link, if it is an Ethernet frame.
    pub sender: Option<&'p [u8; 6]>,
}

/// A glance at a packet of either family. Few packets need their IPv4 address in the form that tables hold.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'p> {
    /// IPv4, with addresses as numbers.
    V4(Glance<'p, u32>),
    /// IPv6.
    V6(Glance<'p>),
}

impl<'p> Glance<'p> {
    /// The same facts of a packet that was read in full; `None` if it is neither TCP nor UDP.
    #[must_use]
    pub fn of(packet: &'p Packet<'_>) -> Option<Self> {
        let ip = packet.ip()?;
        let (source_port, destination_port) = packet.ports()?;
        let (tcp_flags, datagram) = match &packet.transport {
            Transport::Tcp(tcp) => (Some(tcp.flags), tcp.payload),
            Transport::Udp(udp) => (None, udp.payload),
            _ => return None,
        };
        Some(Self {
            source: ip.source,
            destination: ip.destination,
            source_port,
            destination_port,
            tcp_flags,
            datagram,
            header_len: 0,
            wire_len: packet.wire_len,
            sender: packet.ethernet.as_ref().map(|ethernet| &ethernet.source.0),
        })
    }
}

impl<'p> Glance<'p> {
    /// What is known of a datagram or segment whose bytes another has seen.
    #[must_use]
    pub const fn reported(
        (source, source_port): (Address, Port),
        (destination, destination_port): (Address, Port),
        tcp_flags: Option<TcpFlags>,
        wire_len: u32,
        sender: Option<&'p [u8; 6]>,
    ) -> Self {
        Self {
            source,
            destination,
            source_port,
            destination_port,
            tcp_flags,
            datagram: &[],
            header_len: 0,
            wire_len,
            sender,
        }
    }
}

impl<'p, A> Glance<'p, A> {
    /// Captured bytes behind the transport header.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'p [u8] {
        self.datagram.get(usize::from(self.header_len)..).unwrap_or_default()
    }

    /// Hardware address of the sender, if it is an Ethernet frame.
    #[must_use]
    pub fn sender_mac(&self) -> Option<Mac> {
        self.sender.map(|bytes| Mac(*bytes))
    }

    /// With other addresses.
    #[inline]
    #[must_use]
    pub fn between<B>(&self, source: B, destination: B) -> Glance<'p, B> {
        let &Self {
            source_port, destination_port, tcp_flags, datagram, header_len, wire_len, sender, ..
        } = self;
        Glance {
            source,
            destination,
            source_port,
            destination_port,
            tcp_flags,
            datagram,
            header_len,
            wire_len,
            sender,
        }
    }
}

/// Equal is what says the same, wherever the payload was found.
impl<A: PartialEq> PartialEq for Glance<'_, A> {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.destination, self.source_port, self.destination_port)
            == (&other.source, &other.destination, other.source_port, other.destination_port)
            && (self.tcp_flags, self.wire_len, self.sender) == (other.tcp_flags, other.wire_len, other.sender)
            && self.payload() == other.payload()
    }
}

impl<'p> From<&Glance<'p, u32>> for Glance<'p> {
    #[inline]
    fn from(v4: &Glance<'p, u32>) -> Self {
        v4.between(Address::v4(v4.source), Address::v4(v4.destination))
    }
}

/// Reads a frame if it is one of the common sort. `None` says nothing about the frame but that
/// [`packet`](crate::packet()) must be asked.
///
/// `wire_len` is the length on the wire; a value less than `bytes` is raised to it.
#[inline]
#[must_use]
pub fn glance(link: LinkType, bytes: &[u8], wire_len: u32) -> Option<Sight<'_>> {
    if link != LinkType::ETHERNET {
        return None;
    }
    let wire_len = wire_len.max(u32::try_from(bytes.len()).ok()?);
    let (frame, inside) = bytes.split_first_chunk::<LINK_LEN>()?;
    let [_, _, _, _, _, _, sender @ .., high, low] = frame;
    match [*high, *low] {
        IPV4 => {
            let (header, behind) = inside.split_first_chunk::<20>()?;
            let [PLAIN_IPV4, _, t0, t1, _, _, f0, f1, _, protocol, _, _, ends @ ..] = *header else {
                return None;
            };
            let len = u16::from_be_bytes([t0, t1]).checked_sub(PLAIN_IPV4_LEN)?;
            if u16::from_be_bytes([f0, f1]) & FRAGMENT != 0 || u32::from(len) + 34 > wire_len {
                return None;
            }
            let [s0, s1, s2, s3, d0, d1, d2, d3] = ends;
            let source = u32::from_be_bytes([s0, s1, s2, s3]);
            let destination = u32::from_be_bytes([d0, d1, d2, d3]);
            let transport = transport(protocol, behind, len)?;
            let read = transport.glance(source, destination, sender, wire_len);
            Some(Sight::V4(read))
        }
        IPV6 => {
            let (header, behind) = inside.split_first_chunk::<IPV6_LEN>()?;
            let [version, _, _, _, l0, l1, next, _, ends @ ..] = header;
            let len = u16::from_be_bytes([*l0, *l1]);
            if version >> 4 != 6 || u32::from(len) + 54 > wire_len {
                return None;
            }
            let (source, destination) = ends.split_first_chunk::<16>()?;
            let (source, destination) = (address_v6(source), address_v6(destination.first_chunk::<16>()?));
            if source.is_v4() || destination.is_v4() {
                return None;
            }
            let transport = transport(*next, behind, len)?;
            Some(Sight::V6(transport.glance(source, destination, sender, wire_len)))
        }
        _ => None,
    }
}

/// What a transport header says.
struct Header<'p> {
    source_port: u16,
    destination_port: u16,
    tcp_flags: Option<TcpFlags>,
    datagram: &'p [u8],
    header_len: u16,
}

impl<'p> Header<'p> {
    #[inline(always)] // so that the fields go straight to where they are needed
    fn glance<A>(self, source: A, destination: A, sender: &'p [u8; 6], wire_len: u32) -> Glance<'p, A> {
        Glance {
            source,
            destination,
            source_port: Port(self.source_port),
            destination_port: Port(self.destination_port),
            tcp_flags: self.tcp_flags,
            datagram: self.datagram,
            header_len: self.header_len,
            wire_len,
            sender: Some(sender),
        }
    }
}

/// Reads a transport header at the start of `behind`, of which `len` bytes belong to the datagram.
#[inline(always)] // as above
fn transport(protocol: u8, behind: &[u8], len: u16) -> Option<Header<'_>> {
    let (source_port, destination_port, tcp_flags, header_len, end) = match protocol {
        protocol::TCP => {
            let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, offset, flags, _, _, _, _, _, _] =
                *behind.first_chunk::<20>()?;
            let header_len = u16::from(offset >> 4) * 4;
            if header_len < TCP_LEN || header_len > len {
                return None;
            }
            let flags = Some(TcpFlags(flags));
            (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]), flags, header_len, len)
        }
        protocol::UDP => {
            let [s0, s1, d0, d1, l0, l1, _, _] = *behind.first_chunk::<8>()?;
            let announced = u16::from_be_bytes([l0, l1]);
            if announced < UDP_LEN || announced > len {
                return None;
            }
            (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]), None, UDP_LEN, announced)
        }
        _ => return None,
    };
    let datagram = behind.get(..usize::from(end)).unwrap_or(behind);
    Some(Header { source_port, destination_port, tcp_flags, datagram, header_len })
}

#[inline]
fn address_v6(bytes: &[u8; 16]) -> Address {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *bytes;
    Address::v6([
        u32::from_be_bytes([a0, a1, a2, a3]),
        u32::from_be_bytes([b0, b1, b2, b3]),
        u32::from_be_bytes([c0, c1, c2, c3]),
        u32::from_be_bytes([d0, d1, d2, d3]),
    ])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::packet;
    use std::vec::Vec;

    /// Ethernet, IPv4 10.0.0.7 to 10.0.0.9, TCP 50000 to 80, ACK, then three bytes and two of padding.
    #[rustfmt::skip]
    const SEGMENT: [u8; 59] = [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 7,  0x08, 0x00,
        0x45, 0, 0, 43,  0, 1, 0x40, 0,  64, 6, 0, 0,  10, 0, 0, 7,  10, 0, 0, 9,
        0xc3, 0x50, 0, 80,  0, 0, 0, 1,  0, 0, 0, 0,  0x50, 0x10, 4, 0,  0, 0, 0, 0,
        1, 2, 3,  0xee, 0xee,
    ];

    /// Ethernet, IPv6 `fd00::1` to `fd00::2`, UDP 49152 to 53, three bytes.
    fn datagram() -> Vec<u8> {
        let mut bytes = SEGMENT[..12].to_vec();
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 11, 17, 64]);
        for last in [1, 2] {
            bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend([0xc0, 0, 0, 53, 0, 11, 0, 0, 1, 2, 3]);
        bytes
    }

    /// What is read at a glance, in the form of both families; must be what [`packet`] reads.
    fn read(bytes: &[u8], wire_len: u32) -> Option<Glance<'_>> {
        let read = glance(LinkType::ETHERNET, bytes, wire_len).map(|sight| match sight {
            Sight::V4(v4) => Glance::from(&v4),
            Sight::V6(v6) => v6,
        });
        let packet = packet(LinkType::ETHERNET, None, bytes, wire_len);
        if read.is_some() {
            assert_eq!((read, packet.malformed), (Glance::of(&packet), None));
        }
        read
    }

    #[test]
    fn both_families_and_transports_are_read() {
        let segment = read(&SEGMENT, 0).unwrap();
        assert_eq!((segment.source, segment.source_port), (Address::v4(0x0a00_0007), Port(50_000)));
        assert_eq!((segment.destination, segment.destination_port), (Address::v4(0x0a00_0009), Port(80)));
        assert_eq!((segment.tcp_flags, segment.payload()), (Some(TcpFlags::ACK), &[1, 2, 3][..]));
        assert_eq!((segment.wire_len, segment.sender_mac()), (59, Some(Mac([2, 0, 0, 0, 0, 7]))));
        let bytes = datagram();
        let datagram = read(&bytes, 70).unwrap();
        assert_eq!((datagram.destination_port, datagram.tcp_flags), (Port(53), None));
        assert_eq!((datagram.source, datagram.wire_len), (Address::v6([0xfd00_0000, 0, 0, 1]), 70));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for whole in [SEGMENT.to_vec(), datagram()] {
            let wire_len = u32::try_from(whole.len()).unwrap();
            for cut in 0..whole.len() {
                let (read, all) = (read(&whole[..cut], wire_len), read(&whole, wire_len).unwrap());
                assert!(read.is_none_or(|read| all.payload().starts_with(read.payload())
                    && read == Glance { datagram: read.datagram, ..all }));
            }
        }
    }

    /// Whatever one byte is changed to, both ways of reading agree or this one gives up.
    #[test]
    fn what_is_read_is_what_the_full_reading_says() {
        let mut count = 0;
        for whole in [SEGMENT.to_vec(), datagram()] {
            for position in 0..whole.len() {
                for value in 0..=u8::MAX {
                    let mut bytes = whole.clone();
                    bytes[position] = value;
                    count += u32::from(read(&bytes, 0).is_some());
                }
            }
        }
        assert!(count > 10_000, "{count}: most changes leave the frame sound");
    }

    #[test]
    fn other_links_are_left_alone() {
        assert!(glance(LinkType::RAW, &SEGMENT[14..], 0).is_none());
    }
}
