//! IP headers, extension headers and fragments.
//!
//! Read first: RFC 791 section 3.1, RFC 8200 sections 3 and 4.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;

use super::{ethertype, length_field, view};

/// IP protocol numbers.
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

/// Source and destination address, of one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source address.
        source: Ipv4Addr,
        /// Destination address.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// Addresses of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 { source, destination } => Self::V4 { source: destination, destination: source },
            Self::V6 { source, destination } => Self::V6 { source: destination, destination: source },
        }
    }

    /// `EtherType` of the family.
    #[must_use]
    pub const fn ethertype(&self) -> u16 {
        match self {
            Self::V4 { .. } => ethertype::IPV4,
            Self::V6 { .. } => ethertype::IPV6,
        }
    }
}

/// IPv6 extension header (ignored over IPv4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extension {
    /// Hop-by-hop options: one `PadN`. Must come first.
    HopByHop,
    /// Destination options of this many eight-byte units (at least one), filled with `PadN`.
    Destination(u8),
    /// Empty routing header of type 4, no segments left.
    Routing,
    /// Fragment header of a complete packet (atomic fragment, RFC 6946), with this identification.
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
                // A PadN option holds at most 255 bytes, so each unit has one of its own.
                let mut bytes = vec![next, more, 1, 4, 0, 0, 0, 0];
                (0..more).for_each(|_| bytes.extend([1, 6, 0, 0, 0, 0, 0, 0]));
                bytes
            }
            Self::Routing => vec![next, 0, 4, 0, 0, 0, 0, 0],
            Self::AtomicFragment(identification) => fragment_header(next, 0, false, identification).to_vec(),
        }
    }
}

/// Fields of an IP header that a scenario can set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Network {
    /// Source and destination.
    pub addresses: Addresses,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Identification of an IPv4 packet, and of fragments of either family.
    pub identification: u16,
    /// IPv6 extension headers, in order.
    pub extensions: Vec<Extension>,
}

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

impl Network {
    /// Header with a hop limit of 64 and no extensions.
    #[must_use]
    pub const fn new(addresses: Addresses) -> Self {
        Self { addresses, hop_limit: 64, identification: 0, extensions: Vec::new() }
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self.addresses {
            Addresses::V4 { .. } => IPV4_LEN,
            Addresses::V6 { .. } => {
                IPV6_LEN + self.extensions.iter().map(|extension| extension.bytes(0).len()).sum::<usize>()
            }
        }
    }

    /// Packet that carries `payload` of `protocol`. IPv4 packets have the flag "do not fragment".
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self.addresses {
            Addresses::V4 { source, destination } => self.ipv4(
                source,
                destination,
                protocol,
                Fragment { offset: 0, more: false, is_complete: true },
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

    /// Packets that carry `payload` in fragments of at most `max_len` bytes, rounded down to a multiple of eight.
    /// Extension headers other than the fragment header are left out.
    #[must_use]
    pub fn fragments(&self, protocol: u8, payload: &[u8], max_len: usize) -> Vec<Vec<u8>> {
        let max_len = (max_len / 8 * 8).max(8);
        let mut offset = 0;
        let mut packets = Vec::new();
        for chunk in payload.chunks(max_len) {
            let more = offset + chunk.len() < payload.len();
            packets.push(match self.addresses {
                Addresses::V4 { source, destination } => self.ipv4(
                    source,
                    destination,
                    protocol,
                    Fragment { offset, more, is_complete: false },
                    chunk,
                ),
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
        fragment: Fragment,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0; IPV4_LEN];
        let mut header = view(MutableIpv4Packet::new(&mut bytes));
        header.set_version(4);
        header.set_header_length(5);
        header.set_total_length(length_field(IPV4_LEN + payload.len()));
        header.set_identification(self.identification);
        header.set_flags(if fragment.is_complete { 0b010 } else { u8::from(fragment.more) });
        header.set_fragment_offset(length_field(fragment.offset / 8));
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

/// Position of a fragment in its packet.
#[derive(Clone, Copy)]
struct Fragment {
    offset: usize,
    /// True if fragments follow.
    more: bool,
    /// True if the packet is not fragmented.
    is_complete: bool,
}

/// IPv6 fragment header (RFC 8200 section 4.5).
fn fragment_header(next: u8, offset: usize, more: bool, identification: u32) -> [u8; 8] {
    let [high, low] = (length_field(offset) & !7 | u16::from(more)).to_be_bytes();
    let [a, b, c, d] = identification.to_be_bytes();
    [next, 0, high, low, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv4_checksum_is_that_of_a_published_example() {
        // The usual worked example: 192.168.0.1 to 192.168.0.199, UDP, 115 bytes in all, checksum 0xb861.
        let network = Network::new(Addresses::V4 {
            source: Ipv4Addr::new(192, 168, 0, 1),
            destination: Ipv4Addr::new(192, 168, 0, 199),
        });
        let packet = network.packet(protocol::UDP, &[0; 95]);
        assert_eq!(packet.get(..12).unwrap(), [0x45, 0, 0, 115, 0, 0, 0x40, 0, 64, 17, 0xb8, 0x61]);
    }

    #[test]
    fn extension_headers_are_chained_by_their_numbers() {
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
    fn fragments_cover_the_payload_without_gap() {
        let v4 = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let fragments = Network::new(v4).fragments(protocol::ICMP, &[1; 50], 20);
        // flags and offset in units of eight; lengths 16, 16, 16, 2
        let heads: Vec<_> =
            fragments.iter().map(|packet| (packet[6], packet[7], packet.len() - 20)).collect();
        assert_eq!(heads, [(0x20, 0, 16), (0x20, 2, 16), (0x20, 4, 16), (0, 6, 2)]);
    }
}
