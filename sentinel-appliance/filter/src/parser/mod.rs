//! The grammar. Conditions are built as they are read, because a `vlan` or `mpls` moves everything to its right.
//!
//! Read first: `pcap-filter(7)`. Three things surprise: "and" and "or" bind equally, from left to right; an address
//! without qualifiers takes those of the address before it; `%` and `^` have no precedence, so what follows either
//! of them is its right side.

mod address;
mod arithmetic;

use address::Qualifiers;
use arithmetic::comparison_operator;

use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Comparison, Condition, Graph};
use crate::lexer::{PositionedToken, Token};
use crate::names::{self, Keyword, Layer};
use crate::primitive::ConditionBuilder;
use crate::value::{LoadSize, Operation};

/// Deepest nesting of parentheses, brackets and signs.
pub(crate) const MAX_DEPTH: u32 = 48;
/// Most values and tests of one expression.
const MAX_GRAPH_SIZE: usize = 16_384;

/// A condition, and the qualifiers that an address after it would take.
pub(crate) type Qualified = (Condition, Option<Qualifiers>);

pub(crate) struct Parser<'t> {
    tokens: &'t [PositionedToken<'t>],
    pub(crate) next: usize,
    depth: u32,
    pub(crate) builder: ConditionBuilder,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(tokens: &'t [PositionedToken<'t>], builder: ConditionBuilder) -> Self {
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
        let (condition, _) = self.and_or(None)?;
        if self.peek() != Token::End {
            return Err(self.expected("'and', 'or' or the end"));
        }
        Ok(Some(condition))
    }

    pub(crate) fn token(&self, ahead: usize) -> PositionedToken<'t> {
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

    pub(crate) fn accept(&mut self, wanted: Keyword) -> bool {
        let found = self.keyword(0) == Some(wanted);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn accept_symbol(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Token::Symbol(wanted);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn expected(&self, what: &'static str) -> ParseError {
        let before = self.next.checked_sub(1).and_then(|before| self.tokens.get(before));
        let after = match before {
            Some((Token::Keyword(word, _) | Token::Symbol(word), _)) => word,
            Some((Token::Number(_), _)) => "the number",
            Some((Token::V4 { .. } | Token::V6(_) | Token::Mac(_), _)) => "the address",
            Some((Token::Name(_), _)) => "the name",
            Some((Token::End, _)) | None => "",
        };
        let kind = match self.peek() {
            Token::Name(_) if after.is_empty() => ExpressionErrorReason::UnknownWord,
            Token::Keyword(word, Keyword::Unsupported) => ExpressionErrorReason::NotSupported(word),
            _ => ExpressionErrorReason::Expected { what, after },
        };
        ParseError::from(kind).at(self.here())
    }

    pub(crate) fn expect_symbol(&mut self, sign: &'static str, what: &'static str) -> Parsed<()> {
        if self.accept_symbol(sign) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Runs `parse` one level nested.
    pub(crate) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let size = self.builder.graph.blocks.len() + self.builder.graph.values.len();
        if size > MAX_GRAPH_SIZE {
            return Err(ParseError::from(ExpressionErrorReason::TooLong).at(self.here()));
        }
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::from(ExpressionErrorReason::TooDeep).at(self.here()));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Conditions joined by "and" and "or", which bind equally.
    fn and_or(&mut self, inherited: Option<Qualifiers>) -> Parsed<Qualified> {
        let (mut condition, mut qualifiers) = self.boolean_operand(inherited)?;
        loop {
            let joins_and = self.accept(Keyword::And);
            if !joins_and && !self.accept(Keyword::Or) {
                return Ok((condition, qualifiers));
            }
            let (second, latest) = self.boolean_operand(qualifiers)?;
            qualifiers = latest;
            condition = if joins_and {
                self.builder.graph.and(condition, second)
            } else {
                self.builder.graph.or(condition, second)
            };
        }
    }

    fn boolean_operand(&mut self, inherited: Option<Qualifiers>) -> Parsed<Qualified> {
        self.nested(|this| {
            let mut negated = false;
            while this.accept(Keyword::Not) {
                negated = !negated;
            }
            let (condition, qualifiers) = if this.starts_address() {
                match inherited {
                    Some(inherited) => (this.address(inherited)?, Some(inherited)),
                    None => return Err(this.unqualified()),
                }
            } else if this.peek() == Token::Symbol("(") && !this.starts_arithmetic() {
                this.advance();
                let (condition, _) = this.and_or(inherited)?;
                this.expect_symbol(")", "'and', 'or' or ')'")?;
                (condition, inherited)
            } else {
                this.primitive()?
            };
            Ok((if negated { condition.negated() } else { condition }, qualifiers))
        })
    }

    fn unqualified(&self) -> ParseError {
        let kind = match self.peek() {
            Token::Name(_) => ExpressionErrorReason::UnknownWord,
            _ => ExpressionErrorReason::Expected {
                what: "'host', 'net', 'port' or the like before an address",
                after: "",
            },
        };
        ParseError::from(kind).at(self.here())
    }

    /// Whether an address, name or number follows that is no arithmetic, perhaps in parentheses or negated.
    fn starts_address(&self) -> bool {
        let mut ahead = 0;
        while self.token(ahead).0 == Token::Symbol("(") || self.keyword(ahead) == Some(Keyword::Not) {
            ahead += 1;
        }
        match self.token(ahead).0 {
            Token::Name(_) | Token::V4 { .. } | Token::V6(_) | Token::Mac(_) => true,
            Token::Number(_) => {
                ahead += 1;
                while self.token(ahead).0 == Token::Symbol(")") {
                    ahead += 1;
                }
                !matches!(self.token(ahead).0, Token::Symbol(_))
            }
            _ => false,
        }
    }

    /// Whether the parenthesis that follows is part of arithmetic: an operator comes after it.
    fn starts_arithmetic(&self) -> bool {
        let mut depth = 0_usize;
        for (at, (token, _)) in self.tokens.iter().enumerate().skip(self.next) {
            match token {
                Token::Symbol("(") => depth += 1,
                Token::Symbol(")") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        let after = self.tokens.get(at + 1).map_or(Token::End, |(token, _)| *token);
                        return matches!(after, Token::Symbol(sign) if !matches!(sign, "(" | ")" | "[" | "]" | ":"))
                            || matches!(after, Token::Symbol(")" | "]" | ":")) && !self.has_comparison(at);
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
        inside
            .iter()
            .any(|(token, _)| matches!(token, Token::Keyword(..)) || comparison_operator(token).is_some())
    }

    /// A condition that begins with a keyword, or a comparison of numbers.
    fn primitive(&mut self) -> Parsed<Qualified> {
        let at = self.here();
        let Token::Keyword(_, keyword) = self.peek() else {
            return match self.peek() {
                Token::Symbol("-" | "(") | Token::Number(_) => self.comparison(),
                _ => Err(self.expected("a condition")),
            };
        };
        let layer = match keyword {
            Keyword::Length => return self.comparison(),
            Keyword::Layer(_) if self.token(1).0 == Token::Symbol("[") => return self.comparison(),
            Keyword::Layer(layer) => {
                let Token::Keyword(word, _) = self.peek() else { return Err(self.expected("a condition")) };
                self.advance();
                Some((word, layer))
            }
            _ => None,
        };
        if let Some(built) = self.broadcast_or_multicast(layer, at)? {
            return Ok((built, None));
        }
        if let Some(qualifiers) = self.qualifiers(layer)? {
            let condition = self.address(qualifiers)?;
            return Ok((condition, Some(qualifiers)));
        }
        if let Some((_, layer)) = layer {
            let built = self.builder.protocol(layer);
            return built.map(|condition| (condition, None)).map_err(|error| match error.reason() {
                ExpressionErrorReason::Expected { .. } => error.at(self.here()),
                _ => error.at(at),
            });
        }
        self.keyword_primitive(keyword, at).map(|condition| (condition, None))
    }

    /// "broadcast" or "multicast".
    fn broadcast_or_multicast(
        &mut self,
        layer: Option<(&'static str, Layer)>,
        at: usize,
    ) -> Parsed<Option<Condition>> {
        let (word, layer) = layer.unzip();
        let built = if self.accept(Keyword::Broadcast) {
            self.builder.broadcast(layer)
        } else if self.accept(Keyword::Multicast) {
            self.builder.multicast(layer)
        } else {
            return Ok(None);
        };
        built.map(Some).map_err(|error| error.at(at).with_qualifier(word.unwrap_or("")))
    }

    /// A primitive that takes no qualifiers.
    fn keyword_primitive(&mut self, keyword: Keyword, at: usize) -> Parsed<Condition> {
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
        let ConditionBuilder { graph, headers } = &mut self.builder;
        let built = match keyword {
            Keyword::Inbound => headers.outbound(graph).map(Condition::negated),
            Keyword::Outbound => headers.outbound(graph),
            Keyword::PppoeDiscovery => headers.pppoe_discovery(graph),
            Keyword::Less | Keyword::Greater => {
                let number = self.number("a length in bytes")?;
                let graph = &mut self.builder.graph;
                let length = graph.values.length();
                Ok(if keyword == Keyword::Less {
                    graph.compare_constant(length, Comparison::Greater, number).negated()
                } else {
                    graph.compare_constant(length, Comparison::AtLeast, number)
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
        built.map_err(|error| error.at(at))
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Parsed<u32> {
        let Token::Number(number) = self.peek() else { return Err(self.expected(what)) };
        self.advance();
        Ok(number)
    }

    /// A number, perhaps in parentheses, if one follows.
    fn optional_number(&mut self, what: &'static str, most: u32) -> Parsed<Option<u32>> {
        let mut ahead = 0;
        while self.token(ahead).0 == Token::Symbol("(") {
            ahead += 1;
        }
        let (Token::Number(number), at) = self.token(ahead) else { return Ok(None) };
        self.next += ahead + 1;
        for _ in 0..ahead {
            self.expect_symbol(")", "')'")?;
        }
        if number > most {
            return Err(ParseError::from(ExpressionErrorReason::TooLarge { what, most }).at(at));
        }
        Ok(Some(number))
    }

    /// `byte 12 = 8`.
    fn byte(&mut self) -> Parsed<Condition> {
        let offset = self.number("the number of a byte")?;
        let at = self.here();
        let Token::Symbol(sign) = self.peek() else { return Err(self.expected("'=', '<', '>', '&' or '|'")) };
        self.advance();
        let number = self.number("a number")?;
        let place = self.builder.headers.link_start().plus(offset);
        let graph = &mut self.builder.graph;
        let found = graph.values.load(place, LoadSize::Byte);
        Ok(match sign {
            "=" => graph.equal(found, number),
            "<" => graph.compare_constant(found, Comparison::AtLeast, number).negated(),
            ">" => graph.compare_constant(found, Comparison::Greater, number),
            "&" => graph.compare_constant(found, Comparison::AnyBit, number),
            "|" => {
                let bits = graph.values.constant(number);
                let joined = graph.values.binary(Operation::Or, found, bits).unwrap_or(found);
                graph.equal(joined, 0).negated()
            }
            _ => {
                return Err(ParseError::from(ExpressionErrorReason::Expected {
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
            self.builder.headers.llc(&mut self.builder.graph).map_err(|error| error.at(at))?;
        let name = match self.peek() {
            Token::Name(name) => name,
            Token::Keyword("rnr", _) => "rnr",
            _ => return Ok(condition),
        };
        let graph = &mut self.builder.graph;
        let control = graph.values.load(header.plus(2), LoadSize::Byte);
        let kind = match names::llc_control(name) {
            Some((mask, value)) => {
                let control = graph.values.masked(control, mask);
                graph.equal(control, value)
            }
            None if name == "i" => graph.compare_constant(control, Comparison::AnyBit, 1).negated(),
            None => {
                return Err(
                    ParseError::from(ExpressionErrorReason::UnknownName("type of LLC frame")).at(self.here())
                );
            }
        };
        condition = graph.and(condition, kind);
        self.advance();
        Ok(condition)
    }
}
