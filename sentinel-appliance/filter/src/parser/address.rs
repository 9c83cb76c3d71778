//! Addresses, ports and protocols with the qualifiers before them.
//!
//! Read first: `pcap-filter(7)`, "type", "dir" and "proto" qualifiers.

use super::Parser;
use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::Condition;
use crate::lexer::Token;
use crate::names::{self, Keyword, Layer};
use crate::numbers::ip_protocol::{SCTP, TCP, UDP};
use crate::primitive::Direction;

/// The "type" qualifier: how to read the address or number behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TypeQualifier {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
}

/// The qualifiers before an address. Without a type qualifier it is a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    layer: Option<(&'static str, Layer)>,
    direction: Direction,
    type_qualifier: Option<TypeQualifier>,
}

impl Qualifiers {
    fn layer(&self) -> Option<Layer> {
        self.layer.map(|(_, layer)| layer)
    }
}

impl<'t> Parser<'t> {
    /// "dir" and "type" qualifiers, if at least one of them is there.
    pub(super) fn qualifiers(&mut self, layer: Option<(&'static str, Layer)>) -> Parsed<Option<Qualifiers>> {
        let direction = self.direction();
        let type_qualifier = match self.keyword(0) {
            Some(Keyword::Host) => Some(TypeQualifier::Host),
            Some(Keyword::Net) => Some(TypeQualifier::Net),
            Some(Keyword::Port) => Some(TypeQualifier::Port),
            Some(Keyword::PortRange) => Some(TypeQualifier::PortRange),
            // A protocol has no direction: `src proto` is a syntax error, as in libpcap.
            Some(Keyword::Proto) if direction.is_none() => Some(TypeQualifier::Proto),
            Some(Keyword::ProtoChain) if direction.is_none() => Some(TypeQualifier::ProtoChain),
            _ => None,
        };
        self.next += usize::from(type_qualifier.is_some());
        if direction.is_none() && type_qualifier.is_none() {
            return Ok(None);
        }
        Ok(Some(Qualifiers { layer, direction: direction.unwrap_or(Direction::Either), type_qualifier }))
    }

    /// `src`, `dst`, `src or dst`, `src and dst`, in either order.
    fn direction(&mut self) -> Option<Direction> {
        let one = |keyword| match keyword {
            Some(Keyword::Source) => Some(Direction::Source),
            Some(Keyword::Destination) => Some(Direction::Destination),
            _ => None,
        };
        let first = one(self.keyword(0))?;
        let joined = match self.keyword(1) {
            Some(Keyword::Or) => Some(Direction::Either),
            Some(Keyword::And) => Some(Direction::Both),
            _ => None,
        };
        // `src or src` is not one qualifier: the second word belongs to the next operand.
        let second = one(self.keyword(2)).filter(|second| *second != first);
        if let (Some(joined), Some(_)) = (joined, second) {
            self.next += 3;
            return Some(joined);
        }
        self.advance();
        Some(first)
    }

    /// One address, or several in parentheses joined by "and" and "or", all with these qualifiers.
    pub(super) fn address(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        self.nested(|this| {
            if this.accept(Keyword::Not) {
                return this.address(qualifiers).map(Condition::negated);
            }
            if !this.accept_symbol("(") {
                return this.one_address(qualifiers);
            }
            let mut condition = this.address(qualifiers)?;
            loop {
                if this.accept(Keyword::And) {
                    let second = this.address(qualifiers)?;
                    condition = this.builder.graph.and(condition, second);
                } else if this.accept(Keyword::Or) {
                    let second = this.address(qualifiers)?;
                    condition = this.builder.graph.or(condition, second);
                } else {
                    this.expect_symbol(")", "'and', 'or' or ')'")?;
                    return Ok(condition);
                }
            }
        })
    }

    fn one_address(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        let (token, at) = self.token(0);
        let what = match qualifiers.type_qualifier {
            None | Some(TypeQualifier::Host) => "an address",
            Some(TypeQualifier::Net) => "a network",
            Some(TypeQualifier::Port) => "a port",
            Some(TypeQualifier::PortRange) => "a range of ports",
            Some(TypeQualifier::Proto | TypeQualifier::ProtoChain) => "a protocol",
        };
        if !matches!(
            token,
            Token::Name(_) | Token::Number(_) | Token::V4 { .. } | Token::V6(_) | Token::Mac(_)
        ) {
            return Err(self.expected(what));
        }
        let built = match qualifiers.type_qualifier {
            // Advances by itself, because a mask may follow the address.
            None | Some(TypeQualifier::Host | TypeQualifier::Net) => return self.host_or_net(qualifiers),
            Some(TypeQualifier::Port | TypeQualifier::PortRange) => self.ports(qualifiers, token),
            Some(TypeQualifier::Proto | TypeQualifier::ProtoChain) => self.proto(qualifiers, token),
        };
        self.advance();
        built.map_err(|error| error.at(at).with_qualifier(qualifiers.layer.map_or("", |(word, _)| word)))
    }

    /// An IPv4, IPv6 or Ethernet address, or a network with its mask.
    fn host_or_net(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        let (token, at) = self.token(0);
        let is_net = qualifiers.type_qualifier == Some(TypeQualifier::Net);
        if let Some((qualifier, layer)) = qualifiers.layer
            && let Some(to) = misfit(&token, layer, is_net)
        {
            return Err(ParseError::from(ExpressionErrorReason::Mismatch { qualifier, to }).at(at));
        }
        let layer = qualifiers.layer();
        self.advance();
        let built = match token {
            Token::V4 { address, bits } => {
                let mask = self.mask(address, prefix_mask(bits), at)?;
                self.builder.ipv4_host(layer, qualifiers.direction, address, mask)
            }
            Token::Number(number) if is_net => {
                let (address, mask) = network_of_number(number);
                let mask = self.mask(address, mask, at)?;
                self.builder.ipv4_host(layer, qualifiers.direction, address, mask)
            }
            Token::Number(number) => self.builder.ipv4_host(layer, qualifiers.direction, number, u32::MAX),
            Token::V6(address) => self.host6(qualifiers, address, at)?,
            Token::Mac(address) => match layer {
                Some(Layer::Link) if !is_net => self.builder.mac_host(qualifiers.direction, address),
                _ => Err(ExpressionErrorReason::Expected {
                    what: "'ether' before a hardware address",
                    after: "",
                }
                .into()),
            },
            _ => Err(ExpressionErrorReason::HostName.into()),
        };
        built.map_err(|error| error.at(at))
    }

    /// The mask after an IPv4 address (`/16`, `mask 255.255.0.0`), or else `mask`.
    fn mask(&mut self, address: u32, mask: u32, at: usize) -> Parsed<u32> {
        let mask = if self.accept_symbol("/") {
            let number_at = self.here();
            let length = self.number("the length of a mask")?;
            if length > 32 {
                return Err(ParseError::from(ExpressionErrorReason::TooLarge {
                    what: "the mask length",
                    most: 32,
                })
                .at(number_at));
            }
            prefix_mask(length)
        } else if self.accept(Keyword::Mask) {
            match self.peek() {
                Token::V4 { address, .. } => {
                    self.advance();
                    address
                }
                _ => return Err(self.expected("a mask such as 255.255.0.0")),
            }
        } else {
            return Ok(mask);
        };
        // Host bits are an error, as in libpcap: `net 10.1.2.3/8`.
        if address & !mask != 0 {
            Err(ParseError::from(ExpressionErrorReason::HostBits).at(at))
        } else {
            Ok(mask)
        }
    }

    /// The prefix length after an IPv6 address, and the condition. The outer error is of the syntax, the
    /// inner one of the condition, whose column the caller knows.
    fn host6(
        &mut self,
        qualifiers: Qualifiers,
        address: [u32; 4],
        at: usize,
    ) -> Parsed<Result<Condition, ParseError>> {
        let mut length = 128;
        if self.accept_symbol("/") {
            let number_at = self.here();
            length = self.number("the length of a mask")?;
            if length > 128 {
                return Err(ParseError::from(ExpressionErrorReason::TooLarge {
                    what: "the mask length",
                    most: 128,
                })
                .at(number_at));
            }
        }
        if qualifiers.type_qualifier == Some(TypeQualifier::Host) && length != 128 {
            return Err(ParseError::from(ExpressionErrorReason::Mismatch {
                qualifier: "host",
                to: "a network",
            })
            .at(at));
        }
        // Prefix length within each of the four words, 0 to 32.
        let mask = [0, 32, 64, 96].map(|before: u32| prefix_mask(length.saturating_sub(before).min(32)));
        if address.iter().zip(mask).any(|(word, mask)| word & !mask != 0) {
            return Err(ParseError::from(ExpressionErrorReason::HostBits).at(at));
        }
        Ok(self.builder.ipv6_host(qualifiers.direction, address, mask))
    }

    /// A port or a range of ports, by number or by service name.
    fn ports(&mut self, qualifiers: Qualifiers, token: Token<'t>) -> Result<Condition, ParseError> {
        let is_range = qualifiers.type_qualifier == Some(TypeQualifier::PortRange);
        let to = if is_range { "a range of ports" } else { "a port" };
        let wanted: u8 = match qualifiers.layer {
            None => ANY,
            Some((_, Layer::Tcp)) => names::OVER_TCP,
            Some((_, Layer::Udp)) => names::OVER_UDP,
            Some((_, Layer::Sctp)) => OVER_SCTP,
            Some((qualifier, _)) => return Err(ExpressionErrorReason::Mismatch { qualifier, to }.into()),
        };
        let (first, last, over) = port_range(token, is_range)?;
        // `portrange 20-10` is the same range, as in libpcap.
        let (first, last) = (first.min(last), first.max(last));
        if last > 0xffff {
            return Err(ExpressionErrorReason::TooLarge { what: "the port", most: 0xffff }.into());
        }
        if wanted & over == 0 {
            return Err(ExpressionErrorReason::Mismatch {
                qualifier: "",
                to: "a service of another transport",
            }
            .into());
        }
        let transports: &[u32] = match wanted & over {
            names::OVER_TCP => &[TCP],
            names::OVER_UDP => &[UDP],
            OVER_SCTP => &[SCTP],
            _ => &[SCTP, TCP, UDP],
        };
        self.builder.ports(transports, qualifiers.direction, (first, last))
    }

    /// A protocol for `proto` or `protochain`, by number or name.
    fn proto(&mut self, qualifiers: Qualifiers, token: Token<'t>) -> Result<Condition, ParseError> {
        let is_chain = qualifiers.type_qualifier == Some(TypeQualifier::ProtoChain);
        let layer = qualifiers.layer();
        let number = match token {
            Token::Number(number) => number,
            Token::Name(name) if layer == Some(Layer::Link) => {
                names::ether_type(name).ok_or(ExpressionErrorReason::UnknownName("Ethernet type"))?
            }
            Token::Name(name) => {
                names::protocol(name).ok_or(ExpressionErrorReason::UnknownName("protocol"))?
            }
            _ => {
                return Err(ExpressionErrorReason::Mismatch {
                    qualifier: if is_chain { "protochain" } else { "proto" },
                    to: "an address",
                }
                .into());
            }
        };
        if is_chain {
            self.builder.protochain(layer, number)
        } else {
            self.builder.ip_protocol(layer, number)
        }
    }
}

/// Bit of SCTP, which no service of the table uses.
const OVER_SCTP: u8 = 4;
/// All transports that have ports.
const ANY: u8 = names::OVER_TCP | names::OVER_UDP | OVER_SCTP;

/// A port by number or name, and the transports that the service uses. A service known for TCP and UDP is
/// taken for any transport, as in libpcap.
fn port(text: &str) -> Option<(u32, u8)> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return text.parse().ok().map(|number| (number, ANY));
    }
    let (port, over) = names::service(text)?;
    let over = if over == names::OVER_TCP | names::OVER_UDP { ANY } else { over };
    Some((u32::from(port), over))
}

fn prefix_mask(bits: u32) -> u32 {
    // The shift by 32 of a prefix of zero bits is out of range: no bit is set.
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

/// Address and mask of a network number: one of one, two or three bytes stands for that many first bytes of the address.
fn network_of_number(number: u32) -> (u32, u32) {
    let (mut address, mut mask) = (number, u32::MAX);
    // Ends after three shifts at most: then the most significant byte that is not zero is the highest one.
    while address != 0 && address >> 24 == 0 {
        address <<= 8;
        mask <<= 8;
    }
    (address, mask)
}

/// Name of the IP address or number `token`, if it cannot follow the protocol `layer`.
fn misfit(token: &Token<'_>, layer: Layer, is_net: bool) -> Option<&'static str> {
    let fits = match token {
        Token::V6(_) => matches!(layer, Layer::Ip6),
        Token::V4 { .. } | Token::Number(_) => matches!(layer, Layer::Ip | Layer::Arp | Layer::Rarp),
        _ => true,
    };
    let name = match token {
        Token::V6(_) => "an IPv6 address",
        _ if matches!(layer, Layer::Ip6 | Layer::Link) => "an IPv4 address",
        _ if is_net => "a network",
        _ => "a host",
    };
    if fits { None } else { Some(name) }
}

/// The first port, the last, and the transports that the service uses.
fn port_range(token: Token<'_>, is_range: bool) -> Result<(u32, u32, u8), ParseError> {
    Ok(match token {
        Token::Number(number) => (number, number, ANY),
        Token::Name(name) if is_range => {
            // Names of services contain hyphens too, so each hyphen may be the one between the two ports.
            let hyphens = name.match_indices('-').map(|(at, _)| at);
            let mut ends = hyphens.filter_map(|at| {
                let (first, last) = (name.get(..at)?, name.get(at + 1..)?);
                Some((port(first)?, port(last)?))
            });
            let (first, last) = ends.next().ok_or(ExpressionErrorReason::UnknownName("a range of ports"))?;
            (first.0, last.0, if first.1 == last.1 { first.1 } else { ANY })
        }
        Token::Name(name) => {
            let (port, over) = port(name).ok_or(ExpressionErrorReason::UnknownName("port"))?;
            (port, port, over)
        }
        _ => {
            let qualifier = if is_range { "portrange" } else { "port" };
            return Err(ExpressionErrorReason::Mismatch { qualifier, to: "an address" }.into());
        }
    })
}
