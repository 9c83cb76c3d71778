//! IP headers, extension headers, fragments.
//!
//! Read first: RFC 791 section 3.1, RFC 8200 sections 3 and 4.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;

use super::{ethertype, length_field, view};

/// What an IP packet carries, by number.
pub mod protocol {
    /// IPv6 options for every router on the way.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 inside IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Generic Routing Encapsulation.
    pub const GRE: u8 = 47;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 options for the destination.
    pub const DESTINATION: u8 = 60;
}

/// Both ends, of one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Who sends.
        source: Ipv4Addr,
        /// Who shall get it.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Who sends.
        source: Ipv6Addr,
        /// Who shall get it.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 { source, destination } => Self::V4 { source: destination, destination: source },
            Self::V6 { source, destination } => Self::V6 { source: destination, destination: source },
        }
    }

    /// What the frame says it carries.
    #[must_use]
    pub const fn ethertype(&self) -> u16 {
        match self {
            Self::V4 { .. } => ethertype::IPV4,
            Self::V6 { .. } => ethertype::IPV6,
        }
    }
}

/// An IPv6 extension header (ignored over IPv4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extension {
    /// Hop-by-hop options: one `PadN`. Must come first.
    HopByHop,
    /// Destination options, this many eight-byte units long in all (at least one), filled with `PadN`.
    Destination(u8),
    /// An empty routing header of type 4, no segments left.
    Routing,
    /// A fragment header that says "the whole packet" (an atomic fragment, RFC 6946).
    AtomicFragment(u32),
}

impl Extension {
    const fn number(self) -> u8 {
        match self {
            Self::HopByHop => protocol::HOP_BY_HOP,
            Self::Destination(_) => protocol::DESTINATION,
            Self::Routing => protocol::ROUTING,
            Self::AtomicFragment(_) => protocol::FRAGMENT,
        }
    }

    fn bytes(self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop => vec![next, 0, 1, 4, 0, 0, 0, 0],
            Self::Destination(units) => {
                let more = units.saturating_sub(1);
                // A PadN option holds at most 255 bytes: fill unit by unit.
                let mut bytes = vec![next, more, 1, 4, 0, 0, 0, 0];
                (0..more).for_each(|_| bytes.extend([1, 6, 0, 0, 0, 0, 0, 0]));
                bytes
            }
            Self::Routing => vec![next, 0, 4, 0, 0, 0, 0, 0],
            Self::AtomicFragment(identification) => fragment_header(next, 0, false, identification).to_vec(),
        }
    }
}

/// Everything of an IP header that a scenario may choose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Network {
    /// Both ends.
    pub addresses: Addresses,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Identification of IPv4; also of fragments of either.
    pub identification: u16,
    /// IPv6 extension headers in their order.
    pub extensions: Vec<Extension>,
}

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

impl Network {
    /// A hop limit of 64 and no extensions.
    #[must_use]
    pub const fn new(addresses: Addresses) -> Self {
        Self { addresses, hop_limit: 64, identification: 0, extensions: Vec::new() }
    }

    /// How many bytes stand before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self.addresses {
            Addresses::V4 { .. } => IPV4_LEN,
            Addresses::V6 { .. } => {
                IPV6_LEN + self.extensions.iter().map(|extension| extension.bytes(0).len()).sum::<usize>()
            }
        }
    }

    /// The packet that carries `payload` of `protocol`. IPv4 packets carry "do not fragment".
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self.addresses {
            Addresses::V4 { source, destination } => self.ipv4(
                source,
                destination,
                protocol,
                Piece { offset: 0, more: false, alone: true },
                payload,
            ),
            Addresses::V6 { source, destination } => {
                let mut numbers: Vec<u8> =
                    self.extensions.iter().map(|extension| extension.number()).collect();
                numbers.push(protocol);
                let chain: Vec<u8> = self
                    .extensions
                    .iter()
                    .zip(numbers.iter().skip(1))
                    .flat_map(|(extension, next)| extension.bytes(*next))
                    .collect();
                let first = numbers.first().copied().unwrap_or(protocol);
                self.ipv6(source, destination, first, &[&chain, payload].concat())
            }
        }
    }

    /// The packets that carry `payload` in pieces of at most `piece` bytes, rounded down to eight.
    /// Extension headers other than the fragment header are left out.
    #[must_use]
    pub fn fragments(&self, protocol: u8, payload: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let piece = (piece / 8 * 8).max(8);
        let mut offset = 0;
        let mut packets = Vec::new();
        for chunk in payload.chunks(piece) {
            let more = offset + chunk.len() < payload.len();
            packets.push(match self.addresses {
                Addresses::V4 { source, destination } => {
                    self.ipv4(source, destination, protocol, Piece { offset, more, alone: false }, chunk)
                }
                Addresses::V6 { source, destination } => {
                    let header = fragment_header(protocol, offset, more, u32::from(self.identification));
                    self.ipv6(source, destination, protocol::FRAGMENT, &[&header, chunk].concat())
                }
            });
            offset += chunk.len();
        }
        packets
    }

    fn ipv4(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        piece: Piece,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0; IPV4_LEN];
        let mut header = view(MutableIpv4Packet::new(&mut bytes));
        header.set_version(4);
        header.set_header_length(5);
        header.set_total_length(length_field(IPV4_LEN + payload.len()));
        header.set_identification(self.identification);
        header.set_flags(if piece.alone { 0b010 } else { u8::from(piece.more) });
        header.set_fragment_offset(length_field(piece.offset / 8));
        header.set_ttl(self.hop_limit);
        header.set_next_level_protocol(IpNextHeaderProtocol(protocol));
        header.set_source(source);
        header.set_destination(destination);
        let checksum = ipv4::checksum(&header.to_immutable());
        header.set_checksum(checksum);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; IPV6_LEN];
        let mut header = view(MutableIpv6Packet::new(&mut bytes));
        header.set_version(6);
        header.set_payload_length(length_field(payload.len()));
        header.set_next_header(IpNextHeaderProtocol(next));
        header.set_hop_limit(self.hop_limit);
        header.set_source(source);
        header.set_destination(destination);
        bytes.extend_from_slice(payload);
        bytes
    }
}

#[derive(Clone, Copy)]
struct Piece {
    offset: usize,
    more: bool,
    alone: bool,
}

fn fragment_header(next: u8, offset: usize, more: bool, identification: u32) -> [u8; 8] {
    let [high, low] = (length_field(offset) & !7 | u16::from(more)).to_be_bytes();
    let [a, b, c, d] = identification.to_be_bytes();
    [next, 0, high, low, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv4_checksum_matches_a_published_header() {
        // The usual worked example: 192.168.0.1 to 192.168.0.199, UDP, 115 bytes in all, checksum 0xb861.
        let network = Network::new(Addresses::V4 {
            source: Ipv4Addr::new(192, 168, 0, 1),
            destination: Ipv4Addr::new(192, 168, 0, 199),
        });
        let packet = network.packet(protocol::UDP, &[0; 95]);
        assert_eq!(packet.get(..12).unwrap(), [0x45, 0, 0, 115, 0, 0, 0x40, 0, 64, 17, 0xb8, 0x61]);
    }

    #[test]
    fn extension_headers_name_the_next() {
        let network = Network {
            extensions: vec![Extension::HopByHop, Extension::Destination(2), Extension::AtomicFragment(7)],
            ..Network::new(Addresses::V6 { source: Ipv6Addr::LOCALHOST, destination: Ipv6Addr::LOCALHOST })
        };
        let packet = network.packet(protocol::TCP, &[9; 20]);
        assert_eq!(packet.len(), network.header_len() + 20);
        assert_eq!(packet.get(4..7).unwrap(), [0, 8 + 16 + 8 + 20, protocol::HOP_BY_HOP]);
        assert_eq!((packet[40], packet[48], packet[49], packet[64]), (60, 44, 1, 6));
    }

    #[test]
    fn fragments_cover_the_payload() {
        let v4 = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let pieces = Network::new(v4).fragments(protocol::ICMP, &[1; 50], 20);
        // flags and offset in units of eight; lengths 16, 16, 16, 2
        let heads: Vec<_> = pieces.iter().map(|piece| (piece[6], piece[7], piece.len() - 20)).collect();
        assert_eq!(heads, [(0x20, 0, 16), (0x20, 2, 16), (0x20, 4, 16), (0, 6, 2)]);
    }
}
