//! ICMP and ICMPv6 messages.
//!
//! Read first: RFC 792, RFC 4443 section 2.1, RFC 4861 section 4.

use std::net::Ipv6Addr;

use pnet_packet::icmp::{self, IcmpPacket};
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use sentinel_units::Mac;

use super::{Addresses, protocol, view};

/// Messages of both ICMP and ICMPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp<'p> {
    /// Echo request.
    EchoRequest {
        /// Identifies a run of `ping`.
        identifier: u16,
        /// Number within the run.
        sequence: u16,
        /// Returned in the reply.
        payload: &'p [u8],
    },
    /// Echo reply.
    EchoReply {
        /// Identifier of the request.
        identifier: u16,
        /// Sequence number of the request.
        sequence: u16,
        /// Payload of the request.
        payload: &'p [u8],
    },
    /// Port unreachable. Quotes the packet that caused it, from its IP header on.
    PortUnreachable(&'p [u8]),
}

impl Icmp<'_> {
    /// Protocol number and message, with its checksum for `addresses`.
    #[must_use]
    pub fn message(&self, addresses: &Addresses) -> (u8, Vec<u8>) {
        let v6 = matches!(addresses, Addresses::V6 { .. });
        let (kind, code) = match (self, v6) {
            (Self::EchoRequest { .. }, false) => (8, 0),
            (Self::EchoRequest { .. }, true) => (128, 0),
            (Self::EchoReply { .. }, false) => (0, 0),
            (Self::EchoReply { .. }, true) => (129, 0),
            (Self::PortUnreachable(_), false) => (3, 3),
            (Self::PortUnreachable(_), true) => (1, 4),
        };
        let (second_word, payload) = match *self {
            Self::EchoRequest { identifier, sequence, payload }
            | Self::EchoReply { identifier, sequence, payload } => {
                let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
                ([a, b, c, d], payload)
            }
            // Over IPv4 the quoted header and eight bytes, over IPv6 as much as fits 1,280 bytes.
            Self::PortUnreachable(packet) => {
                ([0; 4], packet.get(..if v6 { 1_232 } else { 28 }).unwrap_or(packet))
            }
        };
        finish(addresses, &[&[kind, code, 0, 0], &second_word[..], payload].concat())
    }
}

/// Neighbour discovery messages, IPv6 only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp6 {
    /// Solicitation of `target`.
    NeighbourSolicitation {
        /// Address to be resolved.
        target: Ipv6Addr,
        /// Hardware address of the sender.
        source: Mac,
    },
    /// Advertisement that `target` is at `owner`, with the flags solicited and override.
    NeighbourAdvertisement {
        /// Address that is advertised.
        target: Ipv6Addr,
        /// Hardware address of the target.
        owner: Mac,
    },
    /// Advertisement of a router (RFC 4861 section 4.2) with a prefix and a resolver (RFC 8106).
    RouterAdvertisement {
        /// Seconds for which it is a default router.
        lifetime_s: u16,
        /// Prefix of the link, of 64 bits.
        prefix: Ipv6Addr,
        /// Resolver.
        resolver: Ipv6Addr,
        /// Hardware address of the router.
        source: Mac,
    },
}

impl Icmp6 {
    /// Protocol number and message, with its checksum for `addresses`.
    #[must_use]
    pub fn message(&self, addresses: &Addresses) -> (u8, Vec<u8>) {
        let (kind, first, target, option, mac) = match *self {
            Self::NeighbourSolicitation { target, source } => (135, 0, target, 1, source),
            Self::NeighbourAdvertisement { target, owner } => (136, 0x60, target, 2, owner),
            Self::RouterAdvertisement { lifetime_s, prefix, resolver, source } => {
                let [high, low] = lifetime_s.to_be_bytes();
                let message = [
                    &[134, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0][..],
                    &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0],
                    &prefix.octets(),
                    &[25, 3, 0, 0, 0, 0, 7, 8],
                    &resolver.octets(),
                    &[1, 1],
                    &source.0,
                ];
                return finish(addresses, &message.concat());
            }
        };
        let fixed = [kind, 0, 0, 0, first, 0, 0, 0];
        finish(addresses, &[&fixed[..], &target.octets(), &[option, 1], &mac.0].concat())
    }
}

/// Writes the checksum into `message`.
fn finish(addresses: &Addresses, message: &[u8]) -> (u8, Vec<u8>) {
    let (number, checksum) = match addresses {
        Addresses::V4 { .. } => (protocol::ICMP, icmp::checksum(&view(IcmpPacket::new(message)))),
        Addresses::V6 { source, destination } => {
            (protocol::ICMPV6, icmpv6::checksum(&view(Icmpv6Packet::new(message)), source, destination))
        }
    };
    let mut bytes = message.to_vec();
    bytes.splice(2..4, checksum.to_be_bytes());
    (number, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_echo_request_has_a_correct_checksum() {
        let addresses = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let request = Icmp::EchoRequest { identifier: 0x1234, sequence: 1, payload: &[] };
        // 0x0800 + 0x1234 + 0x0001 = 0x1a35, and its complement
        assert_eq!(request.message(&addresses), (1, vec![8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1]));
    }

    #[test]
    fn port_unreachable_quotes_the_start_of_the_packet() {
        let v4 = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let (_, message) = Icmp::PortUnreachable(&[0x45; 100]).message(&v4);
        assert_eq!((message.len(), message[0], message[1]), (36, 3, 3));
        let v6 = Addresses::V6 { source: Ipv6Addr::LOCALHOST, destination: Ipv6Addr::LOCALHOST };
        let (number, message) = Icmp::PortUnreachable(&[0x60; 100]).message(&v6);
        assert_eq!((number, message.len(), message[0], message[1]), (58, 108, 1, 4));
    }
}
