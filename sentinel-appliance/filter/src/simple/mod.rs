//! Simple filters: a conjunction of protocol, address and port.
//!
//! Read first: `pcap-filter(7)`; IANA's protocol numbers; RFC 8200 section 4 (extension headers).
//!
//! Up to two VLAN tags (802.1Q, 802.1ad) are stepped over, whether or not the kernel has removed the outer
//! one, and up to three IPv6 extension headers. Fragments but the first match by address and transport, never
//! by port, because they carry none. Tunnels and `PPPoE` are not decapsulated.

mod compiler;

use core::fmt;
use core::net::IpAddr;

use sentinel_units::{LinkType, Port};

use crate::assembler::Unreachable;
use crate::program::Program;
use crate::protocol::Protocol;
use crate::validate::InvalidProgram;
use compiler::Compiler;

/// Frames to keep. A part that is absent matches everything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SimpleFilter {
    /// The protocol carried.
    pub protocol: Option<Protocol>,
    /// Source or destination address; in ARP, of sender or target.
    pub address: Option<IpAddr>,
    /// Source or destination port of TCP, UDP or SCTP.
    pub port: Option<Port>,
}

/// Why a filter cannot be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CompileError {
    /// Frames of this link type cannot be filtered.
    Link(LinkType),
    /// A port together with a protocol that has none: nothing could match.
    NoPorts(Protocol),
    /// An IPv6 address together with ARP, which carries IPv4 only: nothing could match.
    ArpOverV6,
    /// The generated program is invalid: a defect of the compiler.
    Program(InvalidProgram),
    /// A jump of the generated program does not reach its label: a defect of the compiler.
    JumpTooFar,
}

impl fmt::Display for CompileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => write!(out, "frames of link type {link} cannot be filtered"),
            Self::NoPorts(protocol) => write!(out, "{protocol} has no ports, so nothing could match"),
            Self::ArpOverV6 => out.write_str("arp carries no IPv6 addresses, so nothing could match"),
            Self::Program(invalid) => write!(out, "filter program: {invalid}"),
            Self::JumpTooFar => out.write_str("filter program: a jump is too far"),
        }
    }
}

impl core::error::Error for CompileError {}

impl From<Unreachable> for CompileError {
    fn from(_: Unreachable) -> Self {
        Self::JumpTooFar
    }
}

impl SimpleFilter {
    /// Compiles to a program that keeps matching frames whole and drops the others.
    ///
    /// # Errors
    /// - [`CompileError::Link`] if the layout of the link-layer header is not known.
    /// - [`CompileError::NoPorts`], [`CompileError::ArpOverV6`] if the parts exclude each other.
    /// - [`CompileError::Program`], [`CompileError::JumpTooFar`] never: a test compiles every combination.
    pub fn compile(&self, link: LinkType) -> Result<Program, CompileError> {
        let link = compiler::LinkHeader::new(link)?;
        match (self.protocol, self.address, self.port) {
            (Some(protocol), _, Some(_)) if !protocol.has_ports() => {
                return Err(CompileError::NoPorts(protocol));
            }
            (Some(Protocol::Arp), Some(IpAddr::V6(_)), _) => return Err(CompileError::ArpOverV6),
            _ => {}
        }
        Program::new(Compiler::new(*self, link).finish()?).map_err(CompileError::Program)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::interpreter::Packet;
    use std::vec::Vec;

    /// `text` is `protocol,address,port`, each of which may be `-`.
    fn simple(text: &str) -> SimpleFilter {
        let mut parts = text.split(',').map(|part| if part == "-" { None } else { Some(part) });
        let mut part = || parts.next().flatten();
        SimpleFilter {
            protocol: part().map(|name| name.parse().unwrap()),
            address: part().map(|address| address.parse().unwrap()),
            port: part().map(|port| Port(port.parse().unwrap())),
        }
    }

    fn matches(filter: &str, link: LinkType, bytes: &[u8]) -> bool {
        let program = simple(filter).compile(link).unwrap();
        program.matches(&Packet { bytes, wire_len: u32::try_from(bytes.len()).unwrap(), vlan: None })
    }

    /// Puts a link header and `tags` (their types) in front of a network header of type `kind`.
    fn linked(link: LinkType, tags: &[u16], kind: u16, network: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        // The type of what follows, the tags each with the type of what follows it.
        let mut types: Vec<u16> = tags.to_vec();
        types.push(kind);
        let (first, inner) = types.split_first().unwrap();
        match link {
            LinkType::ETHERNET => bytes.extend([[2; 12].as_slice(), &first.to_be_bytes()].concat()),
            LinkType::LINUX_SLL => bytes.extend([[0; 14].as_slice(), &first.to_be_bytes()].concat()),
            LinkType::LINUX_SLL2 => bytes.extend([&first.to_be_bytes()[..], &[0; 18]].concat()),
            LinkType::NULL | LinkType::LOOP => bytes.extend([0, 0, 0, 2]),
            _ => {}
        }
        for inner in inner {
            bytes.extend([0x20, 0x64]); // priority 1, VLAN 100
            bytes.extend(inner.to_be_bytes());
        }
        bytes.extend(network);
        bytes
    }

    /// An IPv4 header from 192.0.2.1 to 198.51.100.2 and what follows it.
    fn v4(protocol: u8, fragment: u16, options: usize, payload: &[u8]) -> Vec<u8> {
        let words = u8::try_from(5 + options).unwrap();
        let mut bytes = std::vec![0x40 | words, 0, 0, 40, 0, 0];
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
        bytes.resize(usize::from(words) * 4, 1);
        bytes.extend(payload);
        bytes
    }

    /// An IPv6 header from `2001:db8::1` to `2001:db8:0:1::2` and what follows it.
    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![0x60, 0, 0, 0, 0, 8, next, 64];
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend(payload);
        bytes
    }

    /// The ports of a transport header and no more of it.
    fn ports(source: u16, destination: u16) -> Vec<u8> {
        [source.to_be_bytes(), destination.to_be_bytes()].concat()
    }

    /// An ARP request of 192.0.2.1 for 192.0.2.9.
    fn arp() -> Vec<u8> {
        let mut bytes = std::vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1];
        bytes.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 9]);
        bytes
    }

    #[test]
    fn each_part_selects_its_packets_on_every_link_type() {
        let packets: [(&str, u16, Vec<u8>); 9] = [
            ("tcp4", 0x0800, v4(6, 0, 0, &ports(40_000, 443))),
            ("udp4", 0x0800, v4(17, 0, 2, &ports(53, 40_000))),
            ("icmp4", 0x0800, v4(1, 0, 0, &[8, 0, 0, 0])),
            ("sctp4", 0x0800, v4(132, 0x4000, 0, &ports(5_353, 80))),
            ("tcp6", 0x86dd, v6(6, &ports(8_080, 40_000))),
            ("udp6", 0x86dd, v6(17, &ports(40_000, 443))),
            ("icmp6", 0x86dd, v6(58, &[128, 0, 0, 0])),
            ("arp", 0x0806, arp()),
            ("lldp", 0x88cc, Vec::from([2, 7, 4, 2])),
        ];
        for (filter, expected) in [
            ("-,-,-", "tcp4 udp4 icmp4 sctp4 tcp6 udp6 icmp6 arp lldp"),
            ("tcp,-,-", "tcp4 tcp6"),
            ("udp,-,-", "udp4 udp6"),
            ("icmp,-,-", "icmp4 icmp6"),
            ("arp,-,-", "arp"),
            ("http,-,-", "tcp6"),
            ("dns,-,-", "udp4"),
            ("tls,-,-", "tcp4"),
            ("quic,-,-", "udp6"),
            ("-,192.0.2.1,-", "tcp4 udp4 icmp4 sctp4 arp"),
            ("-,198.51.100.2,-", "tcp4 udp4 icmp4 sctp4"),
            ("-,192.0.2.9,-", "arp"),
            ("-,203.0.113.1,-", ""),
            ("-,2001:db8::1,-", "tcp6 udp6 icmp6"),
            ("-,2001:db8:0:1::2,-", "tcp6 udp6 icmp6"),
            ("-,2001:db8::2,-", ""),
            ("-,-,443", "tcp4 udp6"),
            ("-,-,80", "sctp4"),
            ("-,-,40000", "tcp4 udp4 tcp6 udp6"),
            ("tcp,-,40000", "tcp4 tcp6"),
            ("udp,192.0.2.1,53", "udp4"),
            ("udp,2001:db8::1,53", ""),
            ("tcp,192.0.2.1,444", ""),
            ("tls,-,40000", "tcp4"),
            ("tls,-,8443", ""),
            ("arp,192.0.2.1,-", "arp"),
            ("arp,198.51.100.2,-", ""),
            ("http,2001:db8::1,8080", "tcp6"),
        ] {
            for link in LinkType::SUPPORTED {
                let has_type =
                    matches!(link, LinkType::ETHERNET | LinkType::LINUX_SLL | LinkType::LINUX_SLL2);
                for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
                    if !tags.is_empty() && !has_type {
                        continue;
                    }
                    let found: Vec<&str> = packets
                        .iter()
                        .filter(|(_, kind, _)| has_type || matches!(kind, 0x0800 | 0x86dd))
                        .filter(|(_, kind, network)| {
                            matches(filter, link, &linked(link, tags, *kind, network))
                        })
                        .map(|(name, ..)| *name)
                        .collect();
                    let expected: Vec<&str> = expected
                        .split_whitespace()
                        .filter(|name| has_type || !matches!(*name, "arp" | "lldp"))
                        .collect();
                    assert_eq!(found, expected, "{filter} on {link}, tags {tags:x?}");
                }
            }
        }
    }

    #[test]
    fn later_fragments_match_by_transport_and_not_by_port() {
        let link = LinkType::ETHERNET;
        let first = linked(link, &[], 0x0800, &v4(17, 0x2000, 0, &ports(53, 53)));
        let later = linked(link, &[], 0x0800, &v4(17, 0x2003, 0, &ports(53, 53)));
        assert!(matches("udp,-,-", link, &first) && matches("udp,-,-", link, &later));
        assert!(matches("-,-,53", link, &first) && !matches("-,-,53", link, &later));
        // Fragment header: next header, reserved, offset and flags, identification.
        let first =
            linked(link, &[], 0x86dd, &v6(44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &*ports(53, 53)].concat()));
        let later =
            linked(link, &[], 0x86dd, &v6(44, &[&[17, 0, 0, 9, 0, 0, 0, 9], &*ports(53, 53)].concat()));
        assert!(matches("udp,-,-", link, &first) && matches("udp,-,-", link, &later));
        assert!(matches("-,-,53", link, &first) && !matches("-,-,53", link, &later));
    }

    #[test]
    fn up_to_three_extension_headers_are_stepped_over() {
        let link = LinkType::ETHERNET;
        let hop_by_hop = [43_u8, 0, 1, 4, 0, 0, 0, 0];
        let routing = [60_u8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let options = [6_u8, 0, 1, 4, 0, 0, 0, 0];
        let payload = [&hop_by_hop[..], &routing, &options, &ports(40_000, 443)].concat();
        let three = linked(link, &[0x8100], 0x86dd, &v6(0, &payload));
        assert!(matches("tcp,-,443", link, &three) && matches("tls,-,-", link, &three));
        assert!(!matches("udp,-,-", link, &three) && !matches("tcp,-,444", link, &three));
        let payload =
            [&hop_by_hop[..], &routing, &[60, 0, 1, 4, 0, 0, 0, 0], &options, &ports(1, 443)].concat();
        let four = linked(link, &[], 0x86dd, &v6(0, &payload));
        assert!(!matches("tcp,-,-", link, &four));
    }

    #[test]
    fn a_truncated_packet_does_not_match() {
        let packet = linked(LinkType::ETHERNET, &[0x8100], 0x0800, &v4(6, 0, 0, &ports(1, 443)));
        for cut in 0..packet.len() {
            assert!(!matches("tcp,192.0.2.1,443", LinkType::ETHERNET, &packet[..cut]), "cut at {cut}");
        }
        assert!(matches("tcp,192.0.2.1,443", LinkType::ETHERNET, &packet));
    }

    #[test]
    fn every_combination_compiles_or_is_rejected_with_its_reason() {
        let addresses = [None, Some("192.0.2.1"), Some("2001:db8::1")];
        let protocols: Vec<Option<Protocol>> = [None].into_iter().chain(Protocol::all().map(Some)).collect();
        for link in LinkType::SUPPORTED {
            for protocol in &protocols {
                for address in addresses {
                    for port in [None, Some(Port(443))] {
                        let address = address.map(|text| text.parse().unwrap());
                        let simple = SimpleFilter { protocol: *protocol, address, port };
                        let expected = match simple {
                            SimpleFilter { protocol: Some(Protocol::Icmp), port: Some(_), .. } => {
                                Some(CompileError::NoPorts(Protocol::Icmp))
                            }
                            SimpleFilter { protocol: Some(Protocol::Arp), port: Some(_), .. } => {
                                Some(CompileError::NoPorts(Protocol::Arp))
                            }
                            SimpleFilter {
                                protocol: Some(Protocol::Arp),
                                address: Some(IpAddr::V6(_)),
                                ..
                            } => Some(CompileError::ArpOverV6),
                            _ => None,
                        };
                        assert_eq!(simple.compile(link).err(), expected, "{simple:?} on {link}");
                    }
                }
            }
        }
        assert_eq!(
            simple("tcp,-,-").compile(LinkType(105)),
            Err(CompileError::Link(LinkType(105))),
            "802.11 has no fixed header"
        );
    }
}
