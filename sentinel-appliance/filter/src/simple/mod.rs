//! Filters by protocol, address and port, joined by "and".
//!
//! Read first: `pcap-filter(7)`; IANA's protocol numbers; RFC 8200 section 4 (extension headers).
//!
//! What matches: up to two VLAN tags (802.1Q, 802.1ad) are stepped over, whether or not the kernel took the outer
//! one off; so are up to three IPv6 extension headers. Later fragments match by address and transport, and never
//! by port, because they carry none. Tunnels and `PPPoE` are not looked into.

use core::fmt;
use core::net::IpAddr;

use sentinel_units::{LinkType, Port};

use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::program::Program;
use crate::protocol::{ANY_WITH_PORTS, Protocol, Transport};
use crate::validate::InvalidProgram;

/// Which frames to keep. A part that is absent asks for nothing.
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
    /// A port was asked of a protocol that has none, so nothing could match.
    NoPorts(Protocol),
    /// An IPv6 address was asked of ARP, which carries IPv4 only, so nothing could match.
    ArpOverV6,
    /// The program came out wrong: our mistake, not the caller's.
    Program(InvalidProgram),
    /// The program came out too long for its jumps: our mistake, not the caller's.
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

/// What a matching packet returns: all of it, as tcpdump says it.
const WHOLE_PACKET: u32 = 0x0004_0000;

/// The link headers that can be filtered.
#[derive(Clone, Copy)]
struct LinkHeader {
    /// Where the network header is if there is no tag.
    network: u32,
    /// Where its type is; `None` if only the version nibble tells.
    kind: Option<u32>,
}

impl LinkHeader {
    fn new(link: LinkType) -> Result<Self, CompileError> {
        let (network, kind) = match link {
            LinkType::ETHERNET => (14, Some(12)),
            LinkType::LINUX_SLL => (16, Some(14)),
            LinkType::LINUX_SLL2 => (20, Some(0)),
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => (0, None),
            LinkType::NULL | LinkType::LOOP => (4, None),
            other => return Err(CompileError::Link(other)),
        };
        Ok(Self { network, kind })
    }
}

impl SimpleFilter {
    /// The program that keeps matching frames whole and drops the others.
    ///
    /// # Errors
    /// - [`CompileError::Link`] if frames begin with a header that is not known here.
    /// - [`CompileError::NoPorts`], [`CompileError::ArpOverV6`] if the parts exclude each other.
    pub fn compile(&self, link: LinkType) -> Result<Program, CompileError> {
        let link = LinkHeader::new(link)?;
        match (self.protocol, self.address, self.port) {
            (Some(protocol), _, Some(_)) if !protocol.has_ports() => {
                return Err(CompileError::NoPorts(protocol));
            }
            (Some(Protocol::Arp), Some(IpAddr::V6(_)), _) => return Err(CompileError::ArpOverV6),
            _ => {}
        }
        let mut out = Assembler::default();
        let mut compiler =
            Compiler { accept: out.label(), reject: out.label(), network: link.network, out, wanted: *self };
        if *self != Self::default() {
            compiler.program(link);
        }
        let Compiler { mut out, accept, reject, .. } = compiler;
        out.place(accept);
        out.plain(code::RET_K, WHOLE_PACKET);
        if *self != Self::default() {
            out.place(reject);
            out.plain(code::RET_K, 0);
        }
        Program::new(out.finish()?).map_err(CompileError::Program)
    }
}

/// Emits the program; X holds how far tags (and later extension headers) push the network header back.
struct Compiler {
    out: Assembler,
    accept: Label,
    reject: Label,
    network: u32,
    wanted: SimpleFilter,
}

impl Compiler {
    fn program(&mut self, link: LinkHeader) {
        const V4: u32 = 0x0800;
        const V6: u32 = 0x86dd;
        const ARP: u32 = 0x0806;
        let (v4, v6, arp) = (self.out.label(), self.out.label(), self.out.label());
        if let Some(kind) = link.kind {
            self.ether_type(kind);
            for (number, section) in [(V4, v4), (V6, v6), (ARP, arp)] {
                self.out.branch_if(code::JEQ_K, number, section);
            }
        } else {
            self.out.plain(code::LDX_IMM, 0);
            self.out.plain(code::LD_B_ABS, link.network);
            self.out.plain(code::RSH_K, 4);
            self.out.branch_if(code::JEQ_K, 4, v4);
            self.out.branch_if(code::JEQ_K, 6, v6);
        }
        self.out.jump(self.reject);
        self.out.place(v4);
        self.v4();
        self.out.place(v6);
        self.v6();
        self.out.place(arp);
        self.arp();
    }

    /// Leaves the type of the network header in A and the length of the tags before it in X.
    fn ether_type(&mut self, kind: u32) {
        const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100]; // 802.1Q, 802.1ad, QinQ before it had a standard
        let done = self.out.label();
        self.out.plain(code::LDX_IMM, 0);
        self.out.plain(code::LD_H_ABS, kind);
        for depth in 1..=2 {
            let tagged = self.out.label();
            for tag in TAGS {
                self.out.branch_if(code::JEQ_K, tag, tagged);
            }
            self.out.jump(done);
            self.out.place(tagged);
            self.out.plain(code::LDX_IMM, depth * 4);
            self.out.plain(code::LD_H_ABS, self.network + depth * 4 - 2);
        }
        self.out.place(done);
    }

    fn arp(&mut self) {
        const SENDER: u32 = 14;
        const TARGET: u32 = 24;
        match self.wanted {
            SimpleFilter { protocol: None | Some(Protocol::Arp), address, port: None } => match address {
                None => self.out.jump(self.accept),
                Some(v4 @ IpAddr::V4(_)) => {
                    self.either_address(v4, SENDER, TARGET);
                    self.out.jump(self.accept);
                }
                Some(IpAddr::V6(_)) => self.out.jump(self.reject),
            },
            _ => self.out.jump(self.reject),
        }
    }

    fn v4(&mut self) {
        const SOURCE: u32 = 12;
        const DESTINATION: u32 = 16;
        const PROTOCOL: u32 = 9;
        const FRAGMENT: u32 = 6;
        if matches!(self.wanted.address, Some(IpAddr::V6(_))) {
            return self.out.jump(self.reject);
        }
        if let Some(address) = self.wanted.address {
            self.either_address(address, SOURCE, DESTINATION);
        }
        let Some(transports) = self.transports() else { return self.out.jump(self.accept) };
        let protocol = self.network + PROTOCOL;
        let fragment = self.network + FRAGMENT;
        for transport in transports {
            let other = self.out.label();
            let Some(number) = transport.v4 else { continue };
            self.out.plain(code::LD_B_IND, protocol);
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.tests_ports(transport) {
                self.out.plain(code::LD_H_IND, fragment);
                self.out.branch_if(code::JSET_K, 0x1fff, self.reject);
                self.out.plain(code::LD_B_IND, self.network);
                self.out.plain(code::AND_K, 0x0f);
                self.out.plain(code::LSH_K, 2);
                self.out.plain(code::ADD_X, 0);
                self.out.plain(code::TAX, 0);
                self.ports(transport, self.network);
            } else {
                self.out.jump(self.accept);
            }
            self.out.place(other);
        }
        self.out.jump(self.reject);
    }

    fn v6(&mut self) {
        const SOURCE: u32 = 8;
        const DESTINATION: u32 = 24;
        const NEXT_HEADER: u32 = 6;
        const HEADER_LEN: u32 = 40;
        if matches!(self.wanted.address, Some(IpAddr::V4(_))) {
            return self.out.jump(self.reject);
        }
        if let Some(address) = self.wanted.address {
            self.either_address(address, SOURCE, DESTINATION);
        }
        let Some(transports) = self.transports() else { return self.out.jump(self.accept) };
        self.out.plain(code::LD_B_IND, self.network + NEXT_HEADER);
        self.extension_headers(self.network + HEADER_LEN);
        // A is the transport's number now, and X puts `payload` at its header.
        let payload = self.network + HEADER_LEN;
        for transport in transports {
            let other = self.out.label();
            let Some(number) = transport.v6 else { continue };
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.tests_ports(transport) {
                self.out.plain(code::LD_MEM, FRAGMENT_SLOT);
                self.out.branch_if(code::JSET_K, 0xfff8, self.reject);
                self.ports(transport, payload);
            } else {
                self.out.jump(self.accept);
            }
            self.out.place(other);
        }
        self.out.jump(self.reject);
    }

    /// Steps over hop-by-hop, routing, destination and fragment headers. A is the first next-header number;
    /// `at` the offset where its header starts. Leaves the fragment field in [`FRAGMENT_SLOT`].
    fn extension_headers(&mut self, at: u32) {
        const MAX: u32 = 3;
        const FRAGMENT: u32 = 44;
        let done = self.out.label();
        self.out.plain(code::ST, NEXT_HEADER_SLOT);
        self.out.plain(code::LD_IMM, 0);
        self.out.plain(code::ST, FRAGMENT_SLOT);
        self.out.plain(code::LD_MEM, NEXT_HEADER_SLOT);
        for _ in 0..MAX {
            let (options, fragment, step) = (self.out.label(), self.out.label(), self.out.label());
            for number in [0, 43, 60] {
                self.out.branch_if(code::JEQ_K, number, options);
            }
            self.out.branch_if(code::JEQ_K, FRAGMENT, fragment);
            self.out.jump(done);
            self.out.place(fragment);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT_HEADER_SLOT);
            self.out.plain(code::LD_H_IND, at + 2);
            self.out.plain(code::ST, FRAGMENT_SLOT);
            self.out.plain(code::LD_IMM, 8);
            self.out.jump(step);
            self.out.place(options);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT_HEADER_SLOT);
            self.out.plain(code::LD_B_IND, at + 1);
            self.out.plain(code::ADD_K, 1);
            self.out.plain(code::LSH_K, 3);
            self.out.place(step);
            self.out.plain(code::ADD_X, 0);
            self.out.plain(code::TAX, 0);
            self.out.plain(code::LD_MEM, NEXT_HEADER_SLOT);
        }
        self.out.place(done);
    }

    /// How the wanted protocol travels; `None` if any packet of the network layer will do.
    fn transports(&self) -> Option<&'static [Transport]> {
        match (self.wanted.protocol, self.wanted.port) {
            (Some(protocol), _) => Some(protocol.transports()),
            (None, Some(_)) => Some(ANY_WITH_PORTS),
            (None, None) => None,
        }
    }

    fn tests_ports(&self, transport: &Transport) -> bool {
        self.wanted.port.is_some() || !transport.ports.is_empty()
    }

    /// Ends the program by the two ports at `at`.
    fn ports(&mut self, transport: &Transport, at: u32) {
        if let Some(Port(port)) = self.wanted.port {
            let found = self.out.label();
            for offset in [0, 2] {
                self.out.plain(code::LD_H_IND, at + offset);
                self.out.branch_if(code::JEQ_K, u32::from(port), found);
            }
            self.out.jump(self.reject);
            self.out.place(found);
        }
        if transport.ports.is_empty() {
            return self.out.jump(self.accept);
        }
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, at + offset);
            for port in transport.ports {
                self.out.branch_if(code::JEQ_K, u32::from(*port), self.accept);
            }
        }
        self.out.jump(self.reject);
    }

    /// Goes on if `address` is at either offset of the network header, else rejects.
    fn either_address(&mut self, address: IpAddr, source: u32, destination: u32) {
        let found = self.out.label();
        for (offset, is_last) in [(source, false), (destination, true)] {
            let differs = if is_last { self.reject } else { self.out.label() };
            let mut at = self.network + offset;
            let mut compare = |word: u32| {
                self.out.plain(code::LD_W_IND, at);
                self.out.branch_unless(code::JEQ_K, word, differs);
                at += 4;
            };
            match address {
                IpAddr::V4(v4) => compare(v4.to_bits()),
                IpAddr::V6(v6) => {
                    let [a, b, c, d, e, f, g, h] = v6.segments().map(u32::from);
                    [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h].into_iter().for_each(&mut compare);
                }
            }
            if !is_last {
                self.out.jump(found);
                self.out.place(differs);
            }
        }
        self.out.place(found);
    }
}

/// Scratch slots.
const NEXT_HEADER_SLOT: u32 = 0;
const FRAGMENT_SLOT: u32 = 1;

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
    fn each_part_alone_finds_its_packets_on_every_link() {
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
    fn a_packet_that_is_cut_off_does_not_match() {
        let whole = linked(LinkType::ETHERNET, &[0x8100], 0x0800, &v4(6, 0, 0, &ports(1, 443)));
        for cut in 0..whole.len() {
            assert!(!matches("tcp,192.0.2.1,443", LinkType::ETHERNET, &whole[..cut]), "cut at {cut}");
        }
        assert!(matches("tcp,192.0.2.1,443", LinkType::ETHERNET, &whole));
    }

    #[test]
    fn every_combination_compiles_or_says_why_not() {
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
