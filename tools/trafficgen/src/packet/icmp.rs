//! Control messages, of both families.
//!
//! Read first: RFC 792, RFC 4443 section 2.1, RFC 4861 section 4.

use std::net::Ipv6Addr;

use pnet_packet::icmp::{self, IcmpPacket};
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use sentinel_units::Mac;

use super::{Addresses, protocol, view};

/// Messages that exist for both families.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp<'p> {
    /// "Are you there?"
    EchoRequest {
        /// Tells runs of ping apart.
        identifier: u16,
        /// Counts within a run.
        sequence: u16,
        /// Comes back in the reply.
        payload: &'p [u8],
    },
    /// "Yes."
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
        /// As in the request.
        payload: &'p [u8],
    },
    /// No application listens on that port. Carries the packet that found out, from its IP header on.
    PortUnreachable(&'p [u8]),
}

impl Icmp<'_> {
    /// The protocol number and the message, with its checksum for `addresses`.
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
        let (rest, payload) = match *self {
            Self::EchoRequest { identifier, sequence, payload }
            | Self::EchoReply { identifier, sequence, payload } => {
                let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
                ([a, b, c, d], payload)
            }
            // The offending header and eight bytes over IPv4, what fits 1,280 bytes over IPv6.
            Self::PortUnreachable(packet) => {
                ([0; 4], packet.get(..if v6 { 1_232 } else { 28 }).unwrap_or(packet))
            }
        };
        finish(addresses, &[&[kind, code, 0, 0], &rest[..], payload].concat())
    }
}

/// Neighbour discovery messages, IPv6 only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp6 {
    /// Who has `target`? Asked by the owner of the hardware address.
    NeighbourSolicitation {
        /// The address looked for.
        target: Ipv6Addr,
        /// Who asks.
        source: Mac,
    },
    /// `target` is at `owner`; solicited, override.
    NeighbourAdvertisement {
        /// The address told about.
        target: Ipv6Addr,
        /// Its hardware address.
        owner: Mac,
    },
}

impl Icmp6 {
    /// The protocol number and the message, with its checksum for `addresses`.
    #[must_use]
    pub fn message(&self, addresses: &Addresses) -> (u8, Vec<u8>) {
        let (kind, first, target, option, mac) = match *self {
            Self::NeighbourSolicitation { target, source } => (135, 0, target, 1, source),
            Self::NeighbourAdvertisement { target, owner } => (136, 0x60, target, 2, owner),
        };
        let fixed = [kind, 0, 0, 0, first, 0, 0, 0];
        finish(addresses, &[&fixed[..], &target.octets(), &[option, 1], &mac.0].concat())
    }
}

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
    fn an_echo_request_sums_up() {
        let addresses = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let request = Icmp::EchoRequest { identifier: 0x1234, sequence: 1, payload: &[] };
        // 0x0800 + 0x1234 + 0x0001 = 0x1a35, and its complement
        assert_eq!(request.message(&addresses), (1, vec![8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1]));
    }

    #[test]
    fn unreachables_carry_the_start_of_the_packet() {
        let v4 = Addresses::V4 { source: Ipv4Addr::LOCALHOST, destination: Ipv4Addr::LOCALHOST };
        let (_, message) = Icmp::PortUnreachable(&[0x45; 100]).message(&v4);
        assert_eq!((message.len(), message[0], message[1]), (36, 3, 3));
        let v6 = Addresses::V6 { source: Ipv6Addr::LOCALHOST, destination: Ipv6Addr::LOCALHOST };
        let (number, message) = Icmp::PortUnreachable(&[0x60; 100]).message(&v6);
        assert_eq!((number, message.len(), message[0], message[1]), (58, 108, 1, 4));
    }
}
