//! The grammar. Conditions are built as they are read, because a `vlan` or `mpls` moves everything to its right.
//!
//! Read first: `pcap-filter(7)`. Three things surprise: "and" and "or" bind equally, from left to right; an address
//! without qualifiers takes those of the address before it; `%` and `^` have no precedence, so what follows either
//! of them is its right side.

use crate::fault::ExpressionFault;
use crate::graph::{Comparison, Condition, Graph};
use crate::lexer::{Placed, Token};
use crate::names::{self, Keyword, Layer};
use crate::primitive::{Builder, Direction, SCTP, TCP, UDP};
use crate::value::{ArithmeticFault, Operation, Size, ValueId};

/// Deepest nesting of parentheses, brackets and signs.
const MOST_DEPTH: u32 = 48;
/// Most values and tests of one expression.
const MOST_PARTS: usize = 16_384;

/// The byte and what is wrong there.
type Fault = (usize, ExpressionFault);
type Parsed<T> = Result<T, Fault>;

/// What an address or number means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
}

/// The qualifiers before an address. Those without a kind are for an address.
#[derive(Clone, Copy, Debug)]
struct Qualifiers {
    layer: Option<(&'static str, Layer)>,
    direction: Direction,
    kind: Option<Kind>,
}

impl Qualifiers {
    fn layer(&self) -> Option<Layer> {
        self.layer.map(|(_, layer)| layer)
    }
}

/// A condition, and the qualifiers that an address after it would take.
type Qualified = (Condition, Option<Qualifiers>);

/// A number and the condition on which it is there.
struct Number {
    value: ValueId,
    there: Option<Condition>,
    /// Operations inside, at most.
    depth: u32,
}

pub(crate) struct Parser<'t> {
    tokens: &'t [Placed<'t>],
    next: usize,
    depth: u32,
    builder: Builder,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(tokens: &'t [Placed<'t>], builder: Builder) -> Self {
        Self { tokens, next: 0, depth: 0, builder }
    }

    pub(crate) fn into_graph(self) -> Graph {
        self.builder.graph
    }

    /// The whole expression; `None` if it is empty.
    pub(crate) fn expression(&mut self) -> Parsed<Option<Condition>> {
        if self.peek() == Token::End {
            return Ok(None);
        }
        let (condition, _) = self.alternatives(None)?;
        if self.peek() != Token::End {
            return Err(self.expected("'and', 'or' or the end"));
        }
        Ok(Some(condition))
    }

    fn token(&self, ahead: usize) -> Placed<'t> {
        let last = || self.tokens.last().copied().unwrap_or((Token::End, 0));
        self.tokens.get(self.next + ahead).copied().unwrap_or_else(last)
    }

    fn peek(&self) -> Token<'t> {
        self.token(0).0
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    /// The byte at which the next token starts.
    fn here(&self) -> usize {
        self.token(0).1
    }

    fn keyword(&self, ahead: usize) -> Option<Keyword> {
        match self.token(ahead).0 {
            Token::Keyword(_, keyword) => Some(keyword),
            _ => None,
        }
    }

    fn take(&mut self, wanted: Keyword) -> bool {
        let found = self.keyword(0) == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Token::Sign(wanted);
        self.next += usize::from(found);
        found
    }

    fn expected(&self, what: &'static str) -> Fault {
        let before = self.next.checked_sub(1).and_then(|before| self.tokens.get(before));
        let after = match before {
            Some((Token::Keyword(word, _) | Token::Sign(word), _)) => word,
            Some((Token::Number(_), _)) => "the number",
            Some((Token::V4 { .. } | Token::V6(_) | Token::Mac(_), _)) => "the address",
            Some((Token::Name(_), _)) => "the name",
            Some((Token::End, _)) | None => "",
        };
        let kind = match self.peek() {
            Token::Name(_) if after.is_empty() => ExpressionFault::UnknownWord,
            Token::Keyword(word, Keyword::Foreign) => ExpressionFault::NotSupported(word),
            _ => ExpressionFault::Expected { what, after },
        };
        (self.here(), kind)
    }

    fn need_sign(&mut self, sign: &'static str, what: &'static str) -> Parsed<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let size = self.builder.graph.nodes.len() + self.builder.graph.values.len();
        if size > MOST_PARTS {
            return Err((self.here(), ExpressionFault::TooLong));
        }
        if self.depth >= MOST_DEPTH {
            return Err((self.here(), ExpressionFault::TooDeep));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Conditions joined by "and" and "or", which bind equally.
    fn alternatives(&mut self, inherited: Option<Qualifiers>) -> Parsed<Qualified> {
        let (mut condition, mut qualifiers) = self.operand(inherited)?;
        loop {
            let joins_and = self.take(Keyword::And);
            if !joins_and && !self.take(Keyword::Or) {
                return Ok((condition, qualifiers));
            }
            let (second, latest) = self.operand(qualifiers)?;
            qualifiers = latest;
            condition = if joins_and {
                self.builder.graph.and(condition, second)
            } else {
                self.builder.graph.or(condition, second)
            };
        }
    }

    fn operand(&mut self, inherited: Option<Qualifiers>) -> Parsed<Qualified> {
        self.deeper(|this| {
            let mut negated = false;
            while this.take(Keyword::Not) {
                negated = !negated;
            }
            let (condition, qualifiers) = if this.begins_address() {
                match inherited {
                    Some(inherited) => (this.address(inherited)?, Some(inherited)),
                    None => return Err(this.unqualified()),
                }
            } else if this.peek() == Token::Sign("(") && !this.begins_arithmetic() {
                this.advance();
                let (condition, _) = this.alternatives(inherited)?;
                this.need_sign(")", "'and', 'or' or ')'")?;
                (condition, inherited)
            } else {
                this.primitive()?
            };
            Ok((if negated { condition.negated() } else { condition }, qualifiers))
        })
    }

    fn unqualified(&self) -> Fault {
        let kind = match self.peek() {
            Token::Name(_) => ExpressionFault::UnknownWord,
            _ => ExpressionFault::Expected {
                what: "'host', 'net', 'port' or the like before an address",
                after: "",
            },
        };
        (self.here(), kind)
    }

    /// Whether an address, name or number follows that is no arithmetic, perhaps in parentheses or negated.
    fn begins_address(&self) -> bool {
        let mut ahead = 0;
        while self.token(ahead).0 == Token::Sign("(") || self.keyword(ahead) == Some(Keyword::Not) {
            ahead += 1;
        }
        match self.token(ahead).0 {
            Token::Name(_) | Token::V4 { .. } | Token::V6(_) | Token::Mac(_) => true,
            Token::Number(_) => {
                ahead += 1;
                while self.token(ahead).0 == Token::Sign(")") {
                    ahead += 1;
                }
                !matches!(self.token(ahead).0, Token::Sign(_))
            }
            _ => false,
        }
    }

    /// Whether the parenthesis that follows is part of arithmetic: an operator comes after it.
    fn begins_arithmetic(&self) -> bool {
        let mut depth = 0_usize;
        for (at, (token, _)) in self.tokens.iter().enumerate().skip(self.next) {
            match token {
                Token::Sign("(") => depth += 1,
                Token::Sign(")") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        let after = self.tokens.get(at + 1).map_or(Token::End, |(token, _)| *token);
                        return matches!(after, Token::Sign(sign) if !matches!(sign, "(" | ")" | "[" | "]" | ":"))
                            || matches!(after, Token::Sign(")" | "]" | ":")) && !self.has_comparison(at);
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Whether there is a comparison or a join before token `end`.
    fn has_comparison(&self, end: usize) -> bool {
        let inside = self.tokens.get(self.next..end).unwrap_or(&[]);
        inside.iter().any(|(token, _)| matches!(token, Token::Keyword(..)) || relation(token).is_some())
    }

    /// A condition that begins with a keyword, or a comparison of numbers.
    fn primitive(&mut self) -> Parsed<Qualified> {
        let at = self.here();
        let Token::Keyword(_, keyword) = self.peek() else {
            return match self.peek() {
                Token::Sign("-" | "(") | Token::Number(_) => self.comparison(),
                _ => Err(self.expected("a condition")),
            };
        };
        let layer = match keyword {
            Keyword::Length => return self.comparison(),
            Keyword::Layer(_) if self.token(1).0 == Token::Sign("[") => return self.comparison(),
            Keyword::Layer(layer) => {
                let Token::Keyword(word, _) = self.peek() else { return Err(self.expected("a condition")) };
                self.advance();
                Some((word, layer))
            }
            _ => None,
        };
        if let Some(built) = self.cast(layer.map(|(_, layer)| layer), at)? {
            return Ok((built, None));
        }
        if let Some(qualifiers) = self.qualifiers(layer)? {
            let condition = self.address(qualifiers)?;
            return Ok((condition, Some(qualifiers)));
        }
        if let Some((_, layer)) = layer {
            let built = self.builder.layer(layer);
            return match built {
                Err(ExpressionFault::Expected { .. }) => built.map_err(|kind| (self.here(), kind)),
                _ => built.map_err(|kind| (at, kind)),
            }
            .map(|condition| (condition, None));
        }
        self.stand_alone(keyword, at).map(|condition| (condition, None))
    }

    /// "broadcast" or "multicast".
    fn cast(&mut self, layer: Option<Layer>, at: usize) -> Parsed<Option<Condition>> {
        let built = if self.take(Keyword::Broadcast) {
            self.builder.broadcast(layer)
        } else if self.take(Keyword::Multicast) {
            self.builder.multicast(layer)
        } else {
            return Ok(None);
        };
        built.map(Some).map_err(|kind| (at, kind))
    }

    /// Direction and kind, if at least one of them is there.
    fn qualifiers(&mut self, layer: Option<(&'static str, Layer)>) -> Parsed<Option<Qualifiers>> {
        let direction = self.direction();
        let kind = match self.keyword(0) {
            Some(Keyword::Host) => Some(Kind::Host),
            Some(Keyword::Net) => Some(Kind::Net),
            Some(Keyword::Port) => Some(Kind::Port),
            Some(Keyword::PortRange) => Some(Kind::PortRange),
            Some(Keyword::Proto) if direction.is_none() => Some(Kind::Proto),
            Some(Keyword::ProtoChain) if direction.is_none() => Some(Kind::ProtoChain),
            _ => None,
        };
        self.next += usize::from(kind.is_some());
        if direction.is_none() && kind.is_none() {
            return Ok(None);
        }
        Ok(Some(Qualifiers { layer, direction: direction.unwrap_or(Direction::Either), kind }))
    }

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
        let second = one(self.keyword(2)).filter(|second| *second != first);
        if let (Some(joined), Some(_)) = (joined, second) {
            self.next += 3;
            return Some(joined);
        }
        self.advance();
        Some(first)
    }

    /// A primitive that takes no qualifiers.
    fn stand_alone(&mut self, keyword: Keyword, at: usize) -> Parsed<Condition> {
        if !matches!(
            keyword,
            Keyword::Less
                | Keyword::Greater
                | Keyword::Byte
                | Keyword::Inbound
                | Keyword::Outbound
                | Keyword::Interface
                | Keyword::Vlan
                | Keyword::Mpls
                | Keyword::PppoeDiscovery
                | Keyword::PppoeSession
                | Keyword::Llc
        ) {
            return Err(self.expected("a condition"));
        }
        self.advance();
        let Builder { graph, headers } = &mut self.builder;
        let built = match keyword {
            Keyword::Inbound => headers.outbound(graph).map(Condition::negated),
            Keyword::Outbound => headers.outbound(graph),
            Keyword::PppoeDiscovery => headers.pppoe_discovery(graph),
            Keyword::Less | Keyword::Greater => {
                let number = self.number("a length in bytes")?;
                let graph = &mut self.builder.graph;
                let length = graph.values.length();
                Ok(if keyword == Keyword::Less {
                    graph.against(length, Comparison::Greater, number).negated()
                } else {
                    graph.against(length, Comparison::AtLeast, number)
                })
            }
            Keyword::Byte => return self.byte(),
            Keyword::Interface => {
                let number = self.number("the number of an interface")?;
                self.builder.headers.interface(&mut self.builder.graph, number)
            }
            Keyword::Vlan => {
                let id = self.optional_number("VLAN identifier", 4095)?;
                self.builder.headers.vlan(&mut self.builder.graph, id)
            }
            Keyword::Mpls => {
                let label = self.optional_number("MPLS label", 0x000f_ffff)?;
                self.builder.headers.mpls(&mut self.builder.graph, label)
            }
            Keyword::PppoeSession => {
                let session = self.optional_number("PPPoE session", 0xffff)?;
                self.builder.headers.pppoe_session(&mut self.builder.graph, session)
            }
            _ => return self.llc(at),
        };
        built.map_err(|kind| (at, kind))
    }

    fn number(&mut self, what: &'static str) -> Parsed<u32> {
        let Token::Number(number) = self.peek() else { return Err(self.expected(what)) };
        self.advance();
        Ok(number)
    }

    /// A number, perhaps in parentheses, if one follows.
    fn optional_number(&mut self, what: &'static str, most: u32) -> Parsed<Option<u32>> {
        let mut ahead = 0;
        while self.token(ahead).0 == Token::Sign("(") {
            ahead += 1;
        }
        let (Token::Number(number), at) = self.token(ahead) else { return Ok(None) };
        self.next += ahead + 1;
        for _ in 0..ahead {
            self.need_sign(")", "')'")?;
        }
        if number > most {
            return Err((at, ExpressionFault::TooLarge { what, most }));
        }
        Ok(Some(number))
    }

    /// `byte 12 = 8`.
    fn byte(&mut self) -> Parsed<Condition> {
        let offset = self.number("the number of a byte")?;
        let at = self.here();
        let Token::Sign(sign) = self.peek() else { return Err(self.expected("'=', '<', '>', '&' or '|'")) };
        self.advance();
        let number = self.number("a number")?;
        let place = self.builder.headers.start().plus(offset);
        let graph = &mut self.builder.graph;
        let found = graph.values.load(place, Size::Byte);
        Ok(match sign {
            "=" => graph.equal(found, number),
            "<" => graph.against(found, Comparison::AtLeast, number).negated(),
            ">" => graph.against(found, Comparison::Greater, number),
            "&" => graph.against(found, Comparison::AnyBit, number),
            "|" => {
                let bits = graph.values.constant(number);
                let joined = graph.values.binary(Operation::Or, found, bits).unwrap_or(found);
                graph.equal(joined, 0).negated()
            }
            _ => {
                return Err((
                    at,
                    ExpressionFault::Expected { what: "'=', '<', '>', '&' or '|'", after: "byte" },
                ));
            }
        })
    }

    /// LLC frames, perhaps of a type.
    fn llc(&mut self, at: usize) -> Parsed<Condition> {
        let (mut condition, header) =
            self.builder.headers.llc(&mut self.builder.graph).map_err(|kind| (at, kind))?;
        let name = match self.peek() {
            Token::Name(name) => name,
            Token::Keyword("rnr", _) => "rnr",
            _ => return Ok(condition),
        };
        let graph = &mut self.builder.graph;
        let control = graph.values.load(header.plus(2), Size::Byte);
        let kind = match names::llc_control(name) {
            Some((mask, value)) => {
                let control = graph.values.masked(control, mask);
                graph.equal(control, value)
            }
            None if name == "i" => graph.against(control, Comparison::AnyBit, 1).negated(),
            None => return Err((self.here(), ExpressionFault::UnknownName("type of LLC frame"))),
        };
        condition = graph.and(condition, kind);
        self.advance();
        Ok(condition)
    }

    /// One address, or several in parentheses, with the qualifiers before it.
    fn address(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        self.deeper(|this| {
            if this.take(Keyword::Not) {
                return this.address(qualifiers).map(Condition::negated);
            }
            if !this.take_sign("(") {
                return this.one_address(qualifiers);
            }
            let mut condition = this.address(qualifiers)?;
            loop {
                if this.take(Keyword::And) {
                    let second = this.address(qualifiers)?;
                    condition = this.builder.graph.and(condition, second);
                } else if this.take(Keyword::Or) {
                    let second = this.address(qualifiers)?;
                    condition = this.builder.graph.or(condition, second);
                } else {
                    this.need_sign(")", "'and', 'or' or ')'")?;
                    return Ok(condition);
                }
            }
        })
    }

    fn one_address(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        let (token, at) = self.token(0);
        let what = match qualifiers.kind {
            None | Some(Kind::Host) => "an address",
            Some(Kind::Net) => "a network",
            Some(Kind::Port) => "a port",
            Some(Kind::PortRange) => "a range of ports",
            Some(Kind::Proto | Kind::ProtoChain) => "a protocol",
        };
        if !matches!(
            token,
            Token::Name(_) | Token::Number(_) | Token::V4 { .. } | Token::V6(_) | Token::Mac(_)
        ) {
            return Err(self.expected(what));
        }
        let built = match qualifiers.kind {
            None | Some(Kind::Host | Kind::Net) => return self.host_or_net(qualifiers),
            Some(Kind::Port | Kind::PortRange) => self.ports(qualifiers, token),
            Some(Kind::Proto | Kind::ProtoChain) => self.proto(qualifiers, token),
        };
        self.advance();
        built.map_err(|kind| (at, kind))
    }

    fn host_or_net(&mut self, qualifiers: Qualifiers) -> Parsed<Condition> {
        let (token, at) = self.token(0);
        let is_net = qualifiers.kind == Some(Kind::Net);
        let to = if is_net { "a network" } else { "a host" };
        if token_is_v4_or_v6(&token)
            && let Some((qualifier, layer)) = qualifiers.layer
        {
            let fits = match token {
                Token::V6(_) => matches!(layer, Layer::Ip6),
                _ => matches!(layer, Layer::Ip | Layer::Arp | Layer::Rarp),
            };
            if !fits {
                let to = match token {
                    Token::V6(_) => "an IPv6 address",
                    _ if matches!(layer, Layer::Ip6 | Layer::Link) => "an IPv4 address",
                    _ => to,
                };
                return Err((at, ExpressionFault::Mismatch { qualifier, to }));
            }
        }
        let layer = qualifiers.layer();
        self.advance();
        let built = match token {
            Token::V4 { address, bits } => {
                let mask = self.mask(address, prefix_mask(bits), at)?;
                self.builder.host(layer, qualifiers.direction, address, mask)
            }
            // A network number of one, two or three bytes is that many bytes of the address.
            Token::Number(number) if is_net => {
                let (mut number, mut mask) = (number, u32::MAX);
                while number != 0 && number >> 24 == 0 {
                    number <<= 8;
                    mask <<= 8;
                }
                let mask = self.mask(number, mask, at)?;
                self.builder.host(layer, qualifiers.direction, number, mask)
            }
            Token::Number(number) => self.builder.host(layer, qualifiers.direction, number, u32::MAX),
            Token::V6(address) => self.host6(qualifiers, address, at)?,
            Token::Mac(address) => match layer {
                Some(Layer::Link) if !is_net => self.builder.hardware(qualifiers.direction, address),
                _ => Err(ExpressionFault::Expected { what: "'ether' before a hardware address", after: "" }),
            },
            _ => Err(ExpressionFault::HostName),
        };
        built.map_err(|kind| (at, kind))
    }

    /// The mask after an IPv4 address, or else `mask`.
    fn mask(&mut self, address: u32, mask: u32, at: usize) -> Parsed<u32> {
        let mask = if self.take_sign("/") {
            let number_at = self.here();
            let length = self.number("the length of a mask")?;
            if length > 32 {
                return Err((number_at, ExpressionFault::TooLarge { what: "the mask length", most: 32 }));
            }
            prefix_mask(length)
        } else if self.take(Keyword::Mask) {
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
        if address & !mask != 0 { Err((at, ExpressionFault::HostBits)) } else { Ok(mask) }
    }

    fn host6(
        &mut self,
        qualifiers: Qualifiers,
        address: [u32; 4],
        at: usize,
    ) -> Parsed<Result<Condition, ExpressionFault>> {
        let mut length = 128;
        if self.take_sign("/") {
            let number_at = self.here();
            length = self.number("the length of a mask")?;
            if length > 128 {
                return Err((number_at, ExpressionFault::TooLarge { what: "the mask length", most: 128 }));
            }
        }
        if qualifiers.kind == Some(Kind::Host) && length != 128 {
            return Err((at, ExpressionFault::Mismatch { qualifier: "host", to: "a network" }));
        }
        let mask = [0, 32, 64, 96].map(|before: u32| prefix_mask(length.saturating_sub(before).min(32)));
        if address.iter().zip(mask).any(|(word, mask)| word & !mask != 0) {
            return Err((at, ExpressionFault::HostBits));
        }
        Ok(self.builder.host6(qualifiers.direction, address, mask))
    }

    fn ports(&mut self, qualifiers: Qualifiers, token: Token<'t>) -> Result<Condition, ExpressionFault> {
        let is_range = qualifiers.kind == Some(Kind::PortRange);
        let to = if is_range { "a range of ports" } else { "a port" };
        let asked: u8 = match qualifiers.layer {
            None => ANY,
            Some((_, Layer::Tcp)) => names::OVER_TCP,
            Some((_, Layer::Udp)) => names::OVER_UDP,
            Some((_, Layer::Sctp)) => OVER_SCTP,
            Some((qualifier, _)) => return Err(ExpressionFault::Mismatch { qualifier, to }),
        };
        let (mut least, mut most, over) = match token {
            Token::Number(number) => (number, number, ANY),
            Token::Name(name) if is_range => {
                // Names of services contain hyphens too, so every one of them may be the one between.
                let hyphens = name.match_indices('-').map(|(at, _)| at);
                let mut ends = hyphens.filter_map(|at| {
                    let (first, rest) = (name.get(..at)?, name.get(at + 1..)?);
                    Some((port(first)?, port(rest)?))
                });
                let (first, last) = ends.next().ok_or(ExpressionFault::UnknownName(to))?;
                (first.0, last.0, if first.1 == last.1 { first.1 } else { ANY })
            }
            Token::Name(name) => {
                let (port, over) = port(name).ok_or(ExpressionFault::UnknownName("port"))?;
                (port, port, over)
            }
            _ => {
                return Err(ExpressionFault::Mismatch {
                    qualifier: if is_range { "portrange" } else { "port" },
                    to: "an address",
                });
            }
        };
        if least > most {
            (least, most) = (most, least);
        }
        if most > 0xffff {
            return Err(ExpressionFault::TooLarge { what: "the port", most: 0xffff });
        }
        if asked & over == 0 {
            return Err(ExpressionFault::Mismatch { qualifier: "this transport", to: "that service" });
        }
        let transports: &[u32] = match asked & over {
            names::OVER_TCP => &[TCP],
            names::OVER_UDP => &[UDP],
            OVER_SCTP => &[SCTP],
            _ => &[SCTP, TCP, UDP],
        };
        self.builder.ports(transports, qualifiers.direction, (least, most))
    }

    fn proto(&mut self, qualifiers: Qualifiers, token: Token<'t>) -> Result<Condition, ExpressionFault> {
        let is_chain = qualifiers.kind == Some(Kind::ProtoChain);
        let to = if is_chain { "'protochain'" } else { "'proto'" };
        let layer = qualifiers.layer();
        let number = match token {
            Token::Number(number) => number,
            Token::Name(name) if layer == Some(Layer::Link) => {
                names::ether_type(name).ok_or(ExpressionFault::UnknownName("Ethernet type"))?
            }
            Token::Name(name) => names::protocol(name).ok_or(ExpressionFault::UnknownName("protocol"))?,
            _ => {
                return Err(ExpressionFault::Mismatch { qualifier: to.trim_matches('\''), to: "an address" });
            }
        };
        let built =
            if is_chain { self.builder.chain(layer, number) } else { self.builder.proto(layer, number) };
        match (built, qualifiers.layer) {
            (Err(ExpressionFault::Mismatch { .. }), Some((qualifier, _))) => {
                Err(ExpressionFault::Mismatch { qualifier, to })
            }
            (built, _) => built,
        }
    }

    /// Two numbers and how they compare.
    fn comparison(&mut self) -> Parsed<Qualified> {
        let left = self.arithmetic(None)?;
        let Some((comparison, as_asked)) = relation(&self.peek()) else {
            return Err(self.expected("a comparison: =, !=, <, <=, > or >="));
        };
        self.advance();
        let right = self.arithmetic(None)?;
        let graph = &mut self.builder.graph;
        let found = graph.compare(left.value, comparison, right.value);
        let found = if as_asked { found } else { found.negated() };
        let there = match (left.there, right.there) {
            (Some(left), Some(right)) => Some(graph.and(left, right)),
            (left, right) => left.or(right),
        };
        let found = match there {
            Some(there) => graph.and(there, found),
            None => found,
        };
        Ok((found, None))
    }

    /// Arithmetic that may stand to the right of `before`: it ends where that binds stronger.
    fn arithmetic(&mut self, before: Option<Binding>) -> Parsed<Number> {
        self.deeper(|this| {
            let mut left = this.simple_number()?;
            while let Some((operation, binding)) = operation(&this.peek()) {
                let goes_on = match (before, binding) {
                    (Some(Some(before)), Some(binding)) => binding > before,
                    _ => true,
                };
                if !goes_on {
                    break;
                }
                let at = this.here();
                this.advance();
                let right = this.arithmetic(Some(binding))?;
                left = this.combine(operation, left, &right, at)?;
            }
            Ok(left)
        })
    }

    fn combine(&mut self, operation: Operation, left: Number, right: &Number, at: usize) -> Parsed<Number> {
        let value = self.builder.graph.values.binary(operation, left.value, right.value);
        let value = value.map_err(|fault| {
            let kind = match fault {
                ArithmeticFault::DivisionByZero => ExpressionFault::DivisionByZero,
                ArithmeticFault::ShiftTooFar => ExpressionFault::ShiftTooFar,
            };
            (at, kind)
        })?;
        let depth = left.depth.max(right.depth) + 1;
        if depth > MOST_DEPTH {
            return Err((at, ExpressionFault::TooDeep));
        }
        // As in libpcap, that the right side is there is not asked: `ip[0] + tcp[0]` reads where a TCP header
        // would be. Whoever wants to be sure says "tcp and".
        Ok(Number { value, there: left.there, depth })
    }

    fn simple_number(&mut self) -> Parsed<Number> {
        let (token, at) = self.token(0);
        let values = &mut self.builder.graph.values;
        let value = match token {
            Token::Number(number) => values.constant(number),
            Token::Keyword(_, Keyword::Length) => values.length(),
            Token::Sign("-") => {
                self.advance();
                let inner = self.arithmetic(Some(Some(STRONGEST)))?;
                let value = self.builder.graph.values.negated(inner.value);
                return Ok(Number { value, there: inner.there, depth: inner.depth + 1 });
            }
            Token::Sign("(") => {
                self.advance();
                let inner = self.arithmetic(None)?;
                self.need_sign(")", "')' or an operator")?;
                return Ok(inner);
            }
            Token::Keyword(_, Keyword::Layer(layer)) => {
                self.advance();
                return self.access(layer, at);
            }
            _ => return Err(self.expected("a number, 'len' or a protocol and '['")),
        };
        self.advance();
        Ok(Number { value, there: None, depth: 0 })
    }

    /// The bracket after a protocol.
    fn access(&mut self, layer: Layer, at: usize) -> Parsed<Number> {
        self.need_sign("[", "'['")?;
        let index = self.arithmetic(None)?;
        let mut size = 1;
        let mut size_at = at;
        if self.take_sign(":") {
            size_at = self.here();
            size = self.number("1, 2 or 4")?;
        }
        self.need_sign("]", "']', ':' or an operator")?;
        let (value, there) = self
            .builder
            .access(layer, index.value, index.there, size)
            .map_err(|kind| (if kind == ExpressionFault::AccessSize { size_at } else { at }, kind))?;
        Ok(Number { value, there, depth: index.depth + 1 })
    }
}

/// Sctp has a bit of its own: no service of the table uses it.
const OVER_SCTP: u8 = 4;
const ANY: u8 = names::OVER_TCP | names::OVER_UDP | OVER_SCTP;

/// A port by number or name, and the transports it is known for; both together are as good as any.
fn port(text: &str) -> Option<(u32, u8)> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return text.parse().ok().map(|number| (number, ANY));
    }
    let (port, over) = names::service(text)?;
    let over = if over == names::OVER_TCP | names::OVER_UDP { ANY } else { over };
    Some((u32::from(port), over))
}

fn prefix_mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

fn token_is_v4_or_v6(token: &Token<'_>) -> bool {
    matches!(token, Token::V4 { .. } | Token::V6(_) | Token::Number(_))
}

/// The comparison, and whether it is as written or the opposite.
fn relation(token: &Token<'_>) -> Option<(Comparison, bool)> {
    match token {
        Token::Sign("=") => Some((Comparison::Equal, true)),
        Token::Sign("!=") => Some((Comparison::Equal, false)),
        Token::Sign(">") => Some((Comparison::Greater, true)),
        Token::Sign("<=") => Some((Comparison::Greater, false)),
        Token::Sign(">=") => Some((Comparison::AtLeast, true)),
        Token::Sign("<") => Some((Comparison::AtLeast, false)),
        _ => None,
    }
}

/// How strongly an operator binds; `None` for those without a precedence.
type Binding = Option<u8>;
const STRONGEST: u8 = 6;

fn operation(token: &Token<'_>) -> Option<(Operation, Binding)> {
    let Token::Sign(sign) = token else { return None };
    Some(match *sign {
        "|" => (Operation::Or, Some(1)),
        "&" => (Operation::And, Some(2)),
        "<<" => (Operation::ShiftLeft, Some(3)),
        ">>" => (Operation::ShiftRight, Some(3)),
        "+" => (Operation::Add, Some(4)),
        "-" => (Operation::Subtract, Some(4)),
        "*" => (Operation::Multiply, Some(5)),
        "/" => (Operation::Divide, Some(5)),
        "%" => (Operation::Remainder, None),
        "^" => (Operation::Xor, None),
        _ => return None,
    })
}
