//! Filters by protocol, address and port, joined by "and".
//!
//! Read first: `pcap-filter(7)`; IANA's protocol numbers; RFC 8200 section 4 (extension headers).
//!
//! What matches: up to two VLAN tags (802.1Q, 802.1ad) are stepped over, whether or not the kernel took the outer
//! one off; so are up to three IPv6 extension headers. Later fragments match by address and transport, and never
//! by port, because they carry none. Tunnels and PPPoE are not looked into.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use sentinel_units::{LinkType, Port};

use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::program::Program;
use crate::validate::Invalid;

/// Which frames to keep. A part that is absent asks for nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Simple {
    /// The protocol carried.
    pub protocol: Option<Protocol>,
    /// Source or destination address; in ARP, of sender or target.
    pub address: Option<IpAddr>,
    /// Source or destination port of TCP, UDP or SCTP.
    pub port: Option<Port>,
}

/// A protocol by its name in settings and on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
    /// ARP.
    Arp,
    /// HTTP: TCP with one of its usual ports.
    Http,
    /// DNS: UDP or TCP with its port or that of multicast DNS.
    Dns,
    /// TLS: TCP with one of the ports that IANA gives to a protocol over TLS.
    Tls,
    /// QUIC: UDP with the port of HTTPS.
    Quic,
}

/// One way a protocol travels: its number in an IP header, and its ports if it has some of its own.
struct Carriage {
    v4: Option<u8>,
    v6: Option<u8>,
    ports: &'static [u16],
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

const fn over(transport: u8, ports: &'static [u16]) -> Carriage {
    Carriage { v4: Some(transport), v6: Some(transport), ports }
}

/// HTTPS, SMTPS, NNTPS, LDAPS, DNS over TLS, FTPS, TELNETS, IMAPS, POP3S, HTTPS on an unprivileged port.
const TLS_PORTS: &[u16] = &[443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 8443];

/// One line per protocol; the names are those of `--protocol`.
const PROTOCOLS: &[(Protocol, &str, &[Carriage])] = &[
    (Protocol::Tcp, "tcp", &[over(TCP, &[])]),
    (Protocol::Udp, "udp", &[over(UDP, &[])]),
    (Protocol::Icmp, "icmp", &[Carriage { v4: Some(1), v6: Some(58), ports: &[] }]),
    (Protocol::Arp, "arp", &[]),
    (Protocol::Http, "http", &[over(TCP, &[80, 8000, 8080])]),
    (Protocol::Dns, "dns", &[over(UDP, &[53, 5353]), over(TCP, &[53])]),
    (Protocol::Tls, "tls", &[over(TCP, TLS_PORTS)]),
    (Protocol::Quic, "quic", &[over(UDP, &[443])]),
];

/// What a port without a protocol means.
const ANY_WITH_PORTS: &[Carriage] = &[over(TCP, &[]), over(UDP, &[]), over(SCTP, &[])];

impl Protocol {
    /// All of them, in the order of the help text.
    pub fn all() -> impl Iterator<Item = Self> {
        PROTOCOLS.iter().map(|(protocol, ..)| *protocol)
    }

    /// The name used in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(protocol, ..)| *protocol == self).map_or("", |(_, name, _)| name)
    }

    fn carriages(self) -> &'static [Carriage] {
        PROTOCOLS.iter().find(|(protocol, ..)| *protocol == self).map_or(&[], |(.., carriages)| carriages)
    }

    fn has_ports(self) -> bool {
        !matches!(self, Self::Icmp | Self::Arp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The text is no protocol's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseProtocolError;

impl fmt::Display for ParseProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a protocol is one of")?;
        for (index, protocol) in Protocol::all().enumerate() {
            out.write_str(if index == 0 { " " } else { ", " })?;
            out.write_str(protocol.name())?;
        }
        Ok(())
    }
}

impl core::error::Error for ParseProtocolError {}

impl FromStr for Protocol {
    type Err = ParseProtocolError;

    fn from_str(text: &str) -> Result<Self, ParseProtocolError> {
        let found = PROTOCOLS.iter().find(|(_, name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(protocol, ..)| *protocol).ok_or(ParseProtocolError)
    }
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
    Program(Invalid),
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
struct Link {
    /// Where the network header is if there is no tag.
    network: u32,
    /// Where its type is; `None` if only the version nibble tells.
    kind: Option<u32>,
}

impl Link {
    fn of(link: LinkType) -> Result<Self, CompileError> {
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

impl Simple {
    /// The program that keeps matching frames whole and drops the others.
    ///
    /// # Errors
    /// - [`CompileError::Link`] if frames begin with a header that is not known here.
    /// - [`CompileError::NoPorts`], [`CompileError::ArpOverV6`] if the parts exclude each other.
    pub fn compile(&self, link: LinkType) -> Result<Program, CompileError> {
        let link = Link::of(link)?;
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
    wanted: Simple,
}

impl Compiler {
    fn program(&mut self, link: Link) {
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
            Simple { protocol: None | Some(Protocol::Arp), address, port: None } => match address {
                None => self.out.jump(self.accept),
                Some(v4 @ IpAddr::V4(_)) => {
                    self.one_of(v4, SENDER, TARGET);
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
            self.one_of(address, SOURCE, DESTINATION);
        }
        let Some(carriages) = self.carriages() else { return self.out.jump(self.accept) };
        let transport = self.network + PROTOCOL;
        let fragment = self.network + FRAGMENT;
        for carriage in carriages {
            let other = self.out.label();
            let Some(number) = carriage.v4 else { continue };
            self.out.plain(code::LD_B_IND, transport);
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.asks_for_ports(carriage) {
                self.out.plain(code::LD_H_IND, fragment);
                self.out.branch_if(code::JSET_K, 0x1fff, self.reject);
                self.out.plain(code::LD_B_IND, self.network);
                self.out.plain(code::AND_K, 0x0f);
                self.out.plain(code::LSH_K, 2);
                self.out.plain(code::ADD_X, 0);
                self.out.plain(code::TAX, 0);
                self.ports(carriage, self.network);
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
            self.one_of(address, SOURCE, DESTINATION);
        }
        let Some(carriages) = self.carriages() else { return self.out.jump(self.accept) };
        self.out.plain(code::LD_B_IND, self.network + NEXT_HEADER);
        self.extension_headers(self.network + HEADER_LEN);
        // A is the transport's number now, and X puts `payload` at its header.
        let payload = self.network + HEADER_LEN;
        for carriage in carriages {
            let other = self.out.label();
            let Some(number) = carriage.v6 else { continue };
            self.out.branch_unless(code::JEQ_K, u32::from(number), other);
            if self.asks_for_ports(carriage) {
                self.out.plain(code::LD_MEM, LATER_FRAGMENT);
                self.out.branch_if(code::JSET_K, 0xfff8, self.reject);
                self.ports(carriage, payload);
            } else {
                self.out.jump(self.accept);
            }
            self.out.place(other);
        }
        self.out.jump(self.reject);
    }

    /// Steps over hop-by-hop, routing, destination and fragment headers. A is the first next-header number;
    /// `at` the offset where its header starts. Leaves the fragment field in [`LATER_FRAGMENT`].
    fn extension_headers(&mut self, at: u32) {
        const MOST: u32 = 3;
        const FRAGMENT: u32 = 44;
        let done = self.out.label();
        self.out.plain(code::ST, NEXT);
        self.out.plain(code::LD_IMM, 0);
        self.out.plain(code::ST, LATER_FRAGMENT);
        self.out.plain(code::LD_MEM, NEXT);
        for _ in 0..MOST {
            let (options, fragment, step) = (self.out.label(), self.out.label(), self.out.label());
            for number in [0, 43, 60] {
                self.out.branch_if(code::JEQ_K, number, options);
            }
            self.out.branch_if(code::JEQ_K, FRAGMENT, fragment);
            self.out.jump(done);
            self.out.place(fragment);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT);
            self.out.plain(code::LD_H_IND, at + 2);
            self.out.plain(code::ST, LATER_FRAGMENT);
            self.out.plain(code::LD_IMM, 8);
            self.out.jump(step);
            self.out.place(options);
            self.out.plain(code::LD_B_IND, at);
            self.out.plain(code::ST, NEXT);
            self.out.plain(code::LD_B_IND, at + 1);
            self.out.plain(code::ADD_K, 1);
            self.out.plain(code::LSH_K, 3);
            self.out.place(step);
            self.out.plain(code::ADD_X, 0);
            self.out.plain(code::TAX, 0);
            self.out.plain(code::LD_MEM, NEXT);
        }
        self.out.place(done);
    }

    /// How the wanted protocol travels; `None` if any packet of the network layer will do.
    fn carriages(&self) -> Option<&'static [Carriage]> {
        match (self.wanted.protocol, self.wanted.port) {
            (Some(protocol), _) => Some(protocol.carriages()),
            (None, Some(_)) => Some(ANY_WITH_PORTS),
            (None, None) => None,
        }
    }

    fn asks_for_ports(&self, carriage: &Carriage) -> bool {
        self.wanted.port.is_some() || !carriage.ports.is_empty()
    }

    /// Ends the program by the two ports at `at`.
    fn ports(&mut self, carriage: &Carriage, at: u32) {
        if let Some(Port(port)) = self.wanted.port {
            let found = self.out.label();
            for offset in [0, 2] {
                self.out.plain(code::LD_H_IND, at + offset);
                self.out.branch_if(code::JEQ_K, u32::from(port), found);
            }
            self.out.jump(self.reject);
            self.out.place(found);
        }
        if carriage.ports.is_empty() {
            return self.out.jump(self.accept);
        }
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, at + offset);
            for port in carriage.ports {
                self.out.branch_if(code::JEQ_K, u32::from(*port), self.accept);
            }
        }
        self.out.jump(self.reject);
    }

    /// Goes on if `address` is at either offset of the network header, else rejects.
    fn one_of(&mut self, address: IpAddr, source: u32, destination: u32) {
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
const NEXT: u32 = 0;
const LATER_FRAGMENT: u32 = 1;
