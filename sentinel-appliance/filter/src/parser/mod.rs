//! Recursive-descent parser. It builds the control-flow graph while it reads (syntax-directed translation),
//! because a `vlan` or `mpls` moves the headers for everything to its right.
//!
//! Read first: `pcap-filter(7)`. Three rules are unusual: "and" and "or" have equal precedence and associate
//! to the left; an address without qualifiers takes those of the address before it; `%` and `^` have no
//! precedence, so all that follows either of them is its right operand.

mod address;
mod arithmetic;
mod keyword;

use address::Qualifiers;
use arithmetic::comparison_operator;

use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Condition, Graph};
use crate::lexer::{PositionedToken, Token};
use crate::names::{Keyword, Layer};
use crate::primitive::ConditionBuilder;

/// Deepest nesting of parentheses, brackets and signs; bounds the stack of the recursion.
const MAX_DEPTH: u32 = 48;
/// Most values and blocks of one expression. A longer program than
/// [`MAX_INSTRUCTIONS`](crate::MAX_INSTRUCTIONS) is refused anyway; this bounds time and memory until then.
const MAX_GRAPH_SIZE: usize = 16_384;

/// A condition, and the qualifiers that an address without any inherits from it.
type Qualified = (Condition, Option<Qualifiers>);

/// The tokens, a cursor and the graph built so far.
pub(crate) struct Parser<'t> {
    tokens: &'t [PositionedToken<'t>],
    next: usize,
    depth: u32,
    builder: ConditionBuilder,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(tokens: &'t [PositionedToken<'t>], builder: ConditionBuilder) -> Self {
        Self { tokens, next: 0, depth: 0, builder }
    }

    pub(crate) fn into_graph(self) -> Graph {
        self.builder.graph
    }

    /// Parses all tokens; `None` if there are none.
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

    /// The token `ahead` places behind the cursor; the end token repeats.
    fn token(&self, ahead: usize) -> PositionedToken<'t> {
        let last = || self.tokens.last().copied().unwrap_or((Token::End, 0));
        self.tokens.get(self.next + ahead).copied().unwrap_or_else(last)
    }

    /// The token at the cursor.
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

    /// Consumes the next token if it is this keyword.
    fn accept(&mut self, wanted: Keyword) -> bool {
        let found = self.keyword(0) == Some(wanted);
        self.next += usize::from(found);
        found
    }

    /// Consumes the next token if it is this symbol.
    fn accept_symbol(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Token::Symbol(wanted);
        self.next += usize::from(found);
        found
    }

    /// The error that something else than `what` belongs at the cursor. It names the word before.
    fn expected(&self, what: &'static str) -> ParseError {
        let before = self.next.checked_sub(1).and_then(|before| self.tokens.get(before));
        let after = match before {
            Some((Token::Keyword(word, _) | Token::Symbol(word), _)) => word,
            Some((Token::Number(_), _)) => "the number",
            Some((Token::V4 { .. } | Token::V6(_) | Token::Mac(_), _)) => "the address",
            Some((Token::Name(_), _)) => "the name",
            Some((Token::End, _)) | None => "",
        };
        let reason = match self.peek() {
            Token::Name(_) if after.is_empty() => ExpressionErrorReason::UnknownWord,
            Token::Keyword(word, Keyword::Unsupported) => ExpressionErrorReason::NotSupported(word),
            _ => ExpressionErrorReason::Expected { what, after },
        };
        ParseError::from(reason).at(self.here())
    }

    /// Consumes this symbol, or fails with the expectation `what`.
    fn expect_symbol(&mut self, symbol: &'static str, what: &'static str) -> Parsed<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Runs `parse` one level of nesting deeper, within both limits.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let size = self.builder.graph.blocks.len() + self.builder.graph.values.len();
        if size > MAX_GRAPH_SIZE {
            return Err(ParseError::from(ExpressionErrorReason::TooLong).at(self.here()));
        }
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::from(ExpressionErrorReason::TooDeep).at(self.here()));
        }
        // An error ends the whole parse, so the depth needs no restoring then.
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Conditions joined by "and" and "or", which have equal precedence: a loop, left to right.
    fn and_or(&mut self, inherited: Option<Qualifiers>) -> Parsed<Qualified> {
        let (mut condition, mut qualifiers) = self.boolean_operand(inherited)?;
        loop {
            let joins_and = self.accept(Keyword::And);
            if !joins_and && !self.accept(Keyword::Or) {
                return Ok((condition, qualifiers));
            }
            let (second, latest) = self.boolean_operand(qualifiers)?;
            // Those of the operand before, not of the first: in `port 80 or host a or b`, b is a host.
            qualifiers = latest;
            condition = if joins_and {
                self.builder.graph.and(condition, second)
            } else {
                self.builder.graph.or(condition, second)
            };
        }
    }

    /// A condition with any number of "not" before it: an address, a parenthesis or a primitive.
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

    /// The error for an address that has no qualifiers to inherit.
    fn unqualified(&self) -> ParseError {
        let reason = match self.peek() {
            Token::Name(_) => ExpressionErrorReason::UnknownWord,
            _ => ExpressionErrorReason::Expected {
                what: "'host', 'net', 'port' or the like before an address",
                after: "",
            },
        };
        ParseError::from(reason).at(self.here())
    }

    /// Returns true if an address, name or number follows that is no arithmetic, perhaps in parentheses or
    /// negated. Needs unlimited look-ahead: the grammar of libpcap is not LL(k) here.
    fn starts_address(&self) -> bool {
        let mut ahead = 0;
        // Ends: the end token, which repeats, is neither.
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

    /// Returns true if the parenthesis that follows is part of arithmetic: an operator comes after its end,
    /// or it holds no comparison.
    fn starts_arithmetic(&self) -> bool {
        let mut depth = 0_usize;
        // Up to the matching parenthesis. At most MAX_DEPTH of them are open at a time, so each token of a
        // sound expression is passed that often at most.
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

    /// Returns true if there is a comparison or a keyword before token `end`.
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

    fn number(&mut self, what: &'static str) -> Parsed<u32> {
        let Token::Number(number) = self.peek() else { return Err(self.expected(what)) };
        self.advance();
        Ok(number)
    }
}
