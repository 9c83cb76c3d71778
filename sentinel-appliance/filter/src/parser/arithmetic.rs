//! Numbers of the language: constants, bytes of the packet, and what is computed from them.
//!
//! Read first: `pcap-filter(7)`, "expr relop expr".

use super::{MAX_DEPTH, Parsed, Parser, Qualified};
use crate::error::{ExpressionFault, Fault};
use crate::graph::{Comparison, Condition};
use crate::lexer::Token;
use crate::names::{Keyword, Layer};
use crate::value::{ArithmeticFault, Operation, ValueId};

/// A number and the condition on which it is there.
#[derive(Clone, Copy)]
struct Number {
    value: ValueId,
    there: Option<Condition>,
    /// Operations inside, at most.
    depth: u32,
}

impl Parser<'_> {
    /// Two numbers and how they compare.
    pub(crate) fn comparison(&mut self) -> Parsed<Qualified> {
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
        let found = graph.and_if(there, found);
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
                left = this.combine(operation, left, right, at)?;
            }
            Ok(left)
        })
    }

    fn combine(&mut self, operation: Operation, left: Number, right: Number, at: usize) -> Parsed<Number> {
        let value = self.builder.graph.values.binary(operation, left.value, right.value);
        let value = value.map_err(|fault| {
            let kind = match fault {
                ArithmeticFault::DivisionByZero => ExpressionFault::DivisionByZero,
                ArithmeticFault::ShiftTooFar => ExpressionFault::ShiftTooFar,
            };
            Fault::from(kind).at(at)
        })?;
        let depth = left.depth.max(right.depth) + 1;
        if depth > MAX_DEPTH {
            return Err(Fault::from(ExpressionFault::TooDeep).at(at));
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
            Token::Keyword(word, Keyword::Layer(layer)) => {
                self.advance();
                return self.access(layer, at).map_err(|fault| fault.about(word));
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
        let (value, there) = self.builder.access(layer, index.value, index.there, size).map_err(|fault| {
            match fault.kind() {
                ExpressionFault::AccessSize => fault.at(size_at),
                _ => fault.at(at),
            }
        })?;
        Ok(Number { value, there, depth: index.depth + 1 })
    }
}

/// The comparison, and whether it is as written or the opposite.
pub(crate) fn relation(token: &Token<'_>) -> Option<(Comparison, bool)> {
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
