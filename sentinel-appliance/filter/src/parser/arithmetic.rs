//! Numbers of the language: constants, bytes of the packet, and what is computed from them.
//!
//! Read first: `pcap-filter(7)`, "expr relop expr".

use super::{MAX_DEPTH, Parser, Qualified};
use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Comparison, Condition};
use crate::lexer::Token;
use crate::names::{Keyword, Layer};
use crate::value::{ArithmeticError, Operation, ValueId};

/// A number and the condition on which it is present.
#[derive(Clone, Copy)]
struct Operand {
    value: ValueId,
    present: Option<Condition>,
    /// Operations inside, at most.
    depth: u32,
}

impl Parser<'_> {
    /// Two numbers and how they compare.
    pub(crate) fn comparison(&mut self) -> Parsed<Qualified> {
        let left = self.arithmetic(None)?;
        let Some((comparison, same_sense)) = comparison_operator(&self.peek()) else {
            return Err(self.expected("a comparison: =, !=, <, <=, > or >="));
        };
        self.advance();
        let right = self.arithmetic(None)?;
        let graph = &mut self.builder.graph;
        let found = graph.compare(left.value, comparison, right.value);
        let found = if same_sense { found } else { found.negated() };
        let present = match (left.present, right.present) {
            (Some(left), Some(right)) => Some(graph.and(left, right)),
            (left, right) => left.or(right),
        };
        let found = graph.and_optional(present, found);
        Ok((found, None))
    }

    /// Arithmetic that may stand to the right of `before`: it ends where that binds stronger.
    fn arithmetic(&mut self, before: Option<Binding>) -> Parsed<Operand> {
        self.nested(|this| {
            let mut left = this.primary()?;
            while let Some((operation, binding)) = operation(&this.peek()) {
                let binds_tighter = match (before, binding) {
                    (Some(Some(before)), Some(binding)) => binding > before,
                    _ => true,
                };
                if !binds_tighter {
                    break;
                }
                let at = this.here();
                this.advance();
                let right = this.arithmetic(Some(binding))?;
                left = this.combine(operation, left, right, at)?;
            }
            Ok(left)
        })
    }

    fn combine(&mut self, operation: Operation, left: Operand, right: Operand, at: usize) -> Parsed<Operand> {
        let value = self.builder.graph.values.binary(operation, left.value, right.value);
        let value = value.map_err(|error| {
            let kind = match error {
                ArithmeticError::DivisionByZero => ExpressionErrorReason::DivisionByZero,
                ArithmeticError::ShiftTooFar => ExpressionErrorReason::ShiftTooFar,
            };
            ParseError::from(kind).at(at)
        })?;
        let depth = left.depth.max(right.depth) + 1;
        if depth > MAX_DEPTH {
            return Err(ParseError::from(ExpressionErrorReason::TooDeep).at(at));
        }
        // As in libpcap, that the right side is present is not asked: `ip[0] + tcp[0]` reads where a TCP header
        // would be. Whoever wants to be sure says "tcp and".
        Ok(Operand { value, present: left.present, depth })
    }

    fn primary(&mut self) -> Parsed<Operand> {
        let (token, at) = self.token(0);
        let values = &mut self.builder.graph.values;
        let value = match token {
            Token::Number(number) => values.constant(number),
            Token::Keyword(_, Keyword::Length) => values.length(),
            Token::Symbol("-") => {
                self.advance();
                let inner = self.arithmetic(Some(Some(STRONGEST)))?;
                let value = self.builder.graph.values.negated(inner.value);
                return Ok(Operand { value, present: inner.present, depth: inner.depth + 1 });
            }
            Token::Symbol("(") => {
                self.advance();
                let inner = self.arithmetic(None)?;
                self.expect_symbol(")", "')' or an operator")?;
                return Ok(inner);
            }
            Token::Keyword(word, Keyword::Layer(layer)) => {
                self.advance();
                return self.access(layer, at).map_err(|error| error.with_qualifier(word));
            }
            _ => return Err(self.expected("a number, 'len' or a protocol and '['")),
        };
        self.advance();
        Ok(Operand { value, present: None, depth: 0 })
    }

    /// The bracket after a protocol.
    fn access(&mut self, layer: Layer, at: usize) -> Parsed<Operand> {
        self.expect_symbol("[", "'['")?;
        let index = self.arithmetic(None)?;
        let mut size = 1;
        let mut size_at = at;
        if self.accept_symbol(":") {
            size_at = self.here();
            size = self.number("1, 2 or 4")?;
        }
        self.expect_symbol("]", "']', ':' or an operator")?;
        let (value, present) =
            self.builder.packet_data(layer, index.value, index.present, size).map_err(|error| match error
                .reason()
            {
                ExpressionErrorReason::AccessSize => error.at(size_at),
                _ => error.at(at),
            })?;
        Ok(Operand { value, present, depth: index.depth + 1 })
    }
}

/// The comparison, and whether it is as written or the opposite.
pub(crate) fn comparison_operator(token: &Token<'_>) -> Option<(Comparison, bool)> {
    match token {
        Token::Symbol("=") => Some((Comparison::Equal, true)),
        Token::Symbol("!=") => Some((Comparison::Equal, false)),
        Token::Symbol(">") => Some((Comparison::Greater, true)),
        Token::Symbol("<=") => Some((Comparison::Greater, false)),
        Token::Symbol(">=") => Some((Comparison::AtLeast, true)),
        Token::Symbol("<") => Some((Comparison::AtLeast, false)),
        _ => None,
    }
}

/// How strongly an operator binds; `None` for those without a precedence.
type Binding = Option<u8>;
const STRONGEST: u8 = 6;

fn operation(token: &Token<'_>) -> Option<(Operation, Binding)> {
    let Token::Symbol(sign) = token else { return None };
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
