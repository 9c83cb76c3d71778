//! The grammar. Conditions are built as they are read, because a `vlan` or `mpls` moves everything to its right.
//!
//! Read first: `pcap-filter(7)`. Three things surprise: "and" and "or" bind equally, from left to right; an address
//! without qualifiers takes those of the address before it; `%` and `^` have no precedence, so what follows either
//! of them is its right side.

mod address;
mod arithmetic;

use address::Qualifiers;
use arithmetic::relation;

use crate::error::{ExpressionFault, Fault};
use crate::graph::{Comparison, Condition, Graph};
use crate::lexer::{Placed, Token};
use crate::names::{self, Keyword, Layer};
use crate::primitive::Builder;
use crate::value::{Operation, Size};

/// Deepest nesting of parentheses, brackets and signs.
pub(crate) const MAX_DEPTH: u32 = 48;
/// Most values and tests of one expression.
const MAX_PARTS: usize = 16_384;

/// The byte and what is wrong there.
pub(crate) type Parsed<T> = Result<T, Fault>;

/// A condition, and the qualifiers that an address after it would take.
pub(crate) type Qualified = (Condition, Option<Qualifiers>);

pub(crate) struct Parser<'t> {
    tokens: &'t [Placed<'t>],
    pub(crate) next: usize,
    depth: u32,
    pub(crate) builder: Builder,
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

    pub(crate) fn token(&self, ahead: usize) -> Placed<'t> {
        let last = || self.tokens.last().copied().unwrap_or((Token::End, 0));
        self.tokens.get(self.next + ahead).copied().unwrap_or_else(last)
    }

    pub(crate) fn peek(&self) -> Token<'t> {
        self.token(0).0
    }

    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// The byte at which the next token starts.
    pub(crate) fn here(&self) -> usize {
        self.token(0).1
    }

    pub(crate) fn keyword(&self, ahead: usize) -> Option<Keyword> {
        match self.token(ahead).0 {
            Token::Keyword(_, keyword) => Some(keyword),
            _ => None,
        }
    }

    pub(crate) fn take(&mut self, wanted: Keyword) -> bool {
        let found = self.keyword(0) == Some(wanted);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn take_sign(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Token::Sign(wanted);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn expected(&self, what: &'static str) -> Fault {
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
        Fault::from(kind).at(self.here())
    }

    pub(crate) fn need_sign(&mut self, sign: &'static str, what: &'static str) -> Parsed<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Runs `parse` one level deeper.
    pub(crate) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let size = self.builder.graph.nodes.len() + self.builder.graph.values.len();
        if size > MAX_PARTS {
            return Err(Fault::from(ExpressionFault::TooLong).at(self.here()));
        }
        if self.depth >= MAX_DEPTH {
            return Err(Fault::from(ExpressionFault::TooDeep).at(self.here()));
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
        Fault::from(kind).at(self.here())
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
        if let Some(built) = self.cast(layer, at)? {
            return Ok((built, None));
        }
        if let Some(qualifiers) = self.qualifiers(layer)? {
            let condition = self.address(qualifiers)?;
            return Ok((condition, Some(qualifiers)));
        }
        if let Some((_, layer)) = layer {
            let built = self.builder.layer(layer);
            return built.map(|condition| (condition, None)).map_err(|fault| match fault.kind() {
                ExpressionFault::Expected { .. } => fault.at(self.here()),
                _ => fault.at(at),
            });
        }
        self.stand_alone(keyword, at).map(|condition| (condition, None))
    }

    /// "broadcast" or "multicast".
    fn cast(&mut self, layer: Option<(&'static str, Layer)>, at: usize) -> Parsed<Option<Condition>> {
        let (word, layer) = layer.unzip();
        let built = if self.take(Keyword::Broadcast) {
            self.builder.broadcast(layer)
        } else if self.take(Keyword::Multicast) {
            self.builder.multicast(layer)
        } else {
            return Ok(None);
        };
        built.map(Some).map_err(|fault| fault.at(at).about(word.unwrap_or("")))
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
        built.map_err(|fault| fault.at(at))
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Parsed<u32> {
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
            return Err(Fault::from(ExpressionFault::TooLarge { what, most }).at(at));
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
                return Err(Fault::from(ExpressionFault::Expected {
                    what: "'=', '<', '>', '&' or '|'",
                    after: "byte",
                })
                .at(at));
            }
        })
    }

    /// LLC frames, perhaps of a type.
    fn llc(&mut self, at: usize) -> Parsed<Condition> {
        let (mut condition, header) =
            self.builder.headers.llc(&mut self.builder.graph).map_err(|fault| fault.at(at))?;
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
            None => {
                return Err(Fault::from(ExpressionFault::UnknownName("type of LLC frame")).at(self.here()));
            }
        };
        condition = graph.and(condition, kind);
        self.advance();
        Ok(condition)
    }
}
