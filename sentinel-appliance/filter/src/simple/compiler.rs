//! Code generation for simple filters: a fixed program whose parts depend on what is wanted.
//!
//! Read first: RFC 791, RFC 8200 section 4 (extension headers), RFC 826.

use alloc::vec::Vec;
use core::net::IpAddr;

use sentinel_units::{LinkType, Port};

use super::{CompileError, SimpleFilter};
use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::instruction::Instruction;
use crate::numbers::ethertype;
use crate::numbers::ip_protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};
use crate::protocol::{ANY_WITH_PORTS, Protocol, Transport};

/// Return value for a matching packet: all of it, the snap length that tcpdump uses.
const WHOLE_PACKET: u32 = 0x0004_0000;

/// Layout of a link-layer header.
#[derive(Clone, Copy)]
pub(super) struct LinkHeader {
    /// Offset of the network header if there is no VLAN tag.
    network: u32,
    /// Offset of the ethertype; `None` if only the version nibble distinguishes IPv4 and IPv6.
    ethertype_offset: Option<u32>,
}

impl LinkHeader {
    pub(super) fn new(link: LinkType) -> Result<Self, CompileError> {
        let (network, ethertype_offset) = match link {
            LinkType::ETHERNET => (14, Some(12)),
            // The ethertype is the last field of a cooked header, and the first of version 2.
            LinkType::LINUX_SLL => (16, Some(14)),
            LinkType::LINUX_SLL2 => (20, Some(0)),
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => (0, None),
            // The address family of IPv6 differs between systems, so the version nibble decides.
            LinkType::NULL | LinkType::LOOP => (4, None),
            other => return Err(CompileError::Link(other)),
        };
        Ok(Self { network, ethertype_offset })
    }
}

/// Generates the program.
///
/// X is the length of the VLAN tags before the network header, and later of the extension headers before the
/// transport header too, so that all loads are relative to X with a constant offset.
pub(super) struct Compiler {
    out: Assembler,
    accept: Label,
    reject: Label,
    link: LinkHeader,
    /// Offset of the network header without tags.
    network: u32,
    wanted: SimpleFilter,
}

impl Compiler {
    pub(super) fn new(wanted: SimpleFilter, link: LinkHeader) -> Self {
        let mut out = Assembler::default();
        Self { accept: out.label(), reject: out.label(), link, network: link.network, out, wanted }
    }

    /// The instructions; one alone if everything is wanted.
    pub(super) fn finish(mut self) -> Result<Vec<Instruction>, Unreachable> {
        let matches_all = self.wanted == SimpleFilter::default();
        if !matches_all {
            self.dispatch();
        }
        self.out.place(self.accept);
        self.out.plain(code::RET_K, WHOLE_PACKET);
        if !matches_all {
            self.out.place(self.reject);
            self.out.plain(code::RET_K, 0);
        }
        self.out.finish()
    }

    /// Branches to the section of the network protocol.
    fn dispatch(&mut self) {
        let (v4, v6, arp) = (self.out.label(), self.out.label(), self.out.label());
        if let Some(offset) = self.link.ethertype_offset {
            self.ether_type(offset);
            for (number, section) in [(ethertype::IPV4, v4), (ethertype::IPV6, v6), (ethertype::ARP, arp)] {
                self.out.branch_if(code::JEQ_K, number, section);
            }
        } else {
            self.out.plain(code::LDX_IMM, 0);
            self.out.plain(code::LD_B_ABS, self.network);
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

    /// Steps over up to two VLAN tags. Leaves the ethertype in A and the length of the tags in X.
    fn ether_type(&mut self, offset: u32) {
        let done = self.out.label();
        self.out.plain(code::LDX_IMM, 0);
        self.out.plain(code::LD_H_ABS, offset);
        for depth in 1..=2 {
            let tagged = self.out.label();
            for tag in ethertype::VLAN_TAGS {
                self.out.branch_if(code::JEQ_K, tag, tagged);
            }
            self.out.jump(done);
            self.out.place(tagged);
            // The ethertype behind a tag is in the last two bytes before the next header.
            self.out.plain(code::LDX_IMM, depth * 4);
            self.out.plain(code::LD_H_ABS, self.network + depth * 4 - 2);
        }
        self.out.place(done);
    }

    /// Section for ARP, which carries IPv4 addresses and no ports.
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

    /// Section for IPv4.
    fn v4(&mut self) {
        const SOURCE: u32 = 12;
        const DESTINATION: u32 = 16;
        const PROTOCOL: u32 = 9;
        const FRAGMENT_OFFSET: u32 = 6;
        if matches!(self.wanted.address, Some(IpAddr::V6(_))) {
            return self.out.jump(self.reject);
        }
        if let Some(address) = self.wanted.address {
            self.either_address(address, SOURCE, DESTINATION);
        }
        let Some(transports) = self.transports() else { return self.out.jump(self.accept) };
        let protocol = self.network + PROTOCOL;
        let fragment = self.network + FRAGMENT_OFFSET;
        for transport in transports {
            let other = self.out.label();
            let Some(number) = transport.v4 else { continue };
            self.out.plain(code::LD_B_IND, protocol);
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.tests_ports(transport) {
                self.out.plain(code::LD_H_IND, fragment);
                // Fragment offset (RFC 791 section 3.1): later fragments have no ports.
                self.out.branch_if(code::JSET_K, 0x1fff, self.reject);
                // X += 4 * IHL: behind the options.
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

    /// Section for IPv6.
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
        // A is now the protocol number of the transport, and X + `payload` the offset of its header.
        let payload = self.network + HEADER_LEN;
        for transport in transports {
            let other = self.out.label();
            let Some(number) = transport.v6 else { continue };
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.tests_ports(transport) {
                self.out.plain(code::LD_MEM, FRAGMENT_SLOT);
                // Fragment offset: the upper 13 bits (RFC 8200 section 4.5).
                self.out.branch_if(code::JSET_K, 0xfff8, self.reject);
                self.ports(transport, payload);
            } else {
                self.out.jump(self.accept);
            }
            self.out.place(other);
        }
        self.out.jump(self.reject);
    }

    /// Steps over up to three hop-by-hop, routing, destination and fragment headers: an unrolled loop,
    /// because jumps back are refused. Expects the first next-header number in A and its header at X + `at`;
    /// leaves the number of the transport in A, and the offset and flags of a fragment header in
    /// [`FRAGMENT_SLOT`].
    fn extension_headers(&mut self, at: u32) {
        const MAX: u32 = 3;
        let done = self.out.label();
        self.out.plain(code::ST, NEXT_HEADER_SLOT);
        self.out.plain(code::LD_IMM, 0);
        self.out.plain(code::ST, FRAGMENT_SLOT);
        self.out.plain(code::LD_MEM, NEXT_HEADER_SLOT);
        for _ in 0..MAX {
            let (options, fragment, step) = (self.out.label(), self.out.label(), self.out.label());
            for number in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
                self.out.branch_if(code::JEQ_K, number, options);
            }
            self.out.branch_if(code::JEQ_K, FRAGMENT, fragment);
            self.out.jump(done);
            self.out.place(fragment);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT_HEADER_SLOT);
            self.out.plain(code::LD_H_IND, at + 2);
            self.out.plain(code::ST, FRAGMENT_SLOT);
            // A fragment header has no length field: always eight bytes (RFC 8200 section 4.5).
            self.out.plain(code::LD_IMM, 8);
            self.out.jump(step);
            self.out.place(options);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT_HEADER_SLOT);
            // The length counts units of eight bytes and leaves out the first (RFC 8200 section 4.3).
            self.out.plain(code::LD_B_IND, at + 1);
            self.out.plain(code::ADD_K, 1);
            self.out.plain(code::LSH_K, 3);
            self.out.place(step);
            self.out.plain(code::ADD_X, 0);
            self.out.plain(code::TAX, 0);
            self.out.plain(code::LD_MEM, NEXT_HEADER_SLOT);
        }
        // A fourth extension header ends here too: its number is in A and matches no transport.
        self.out.place(done);
    }

    /// Transports of the wanted protocol; `None` if every packet of the network layer matches.
    fn transports(&self) -> Option<&'static [Transport]> {
        match (self.wanted.protocol, self.wanted.port) {
            (Some(protocol), _) => Some(protocol.transports()),
            (None, Some(_)) => Some(ANY_WITH_PORTS),
            (None, None) => None,
        }
    }

    /// Returns true if the ports are tested: the filter names one, or the protocol has ports of its own.
    fn tests_ports(&self, transport: &Transport) -> bool {
        self.wanted.port.is_some() || !transport.ports.is_empty()
    }

    /// Tests the two ports at X + `at`, and ends the program.
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

    /// Rejects unless `address` is at one of both offsets in the network header.
    fn either_address(&mut self, address: IpAddr, source: u32, destination: u32) {
        let found = self.out.label();
        for (offset, is_last) in [(source, false), (destination, true)] {
            // If the source differs the destination is compared; if that differs too, the packet is rejected.
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

/// Scratch slot of the next-header number.
const NEXT_HEADER_SLOT: u32 = 0;
/// Scratch slot of the fragment offset and flags; zero if there is no fragment header.
const FRAGMENT_SLOT: u32 = 1;
