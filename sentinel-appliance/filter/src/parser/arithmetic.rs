//! Arithmetic expressions: constants, packet data, and what is computed from them. Precedence climbing.
//!
//! Read first: `pcap-filter(7)`, "expr relop expr".

use super::{MAX_DEPTH, Parser, Qualified};
use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Comparison, Condition};
use crate::lexer::Token;
use crate::names::{Keyword, Layer};
use crate::value::{ArithmeticError, Operation, ValueId};

/// A value, and the condition under which the headers that it reads are present.
#[derive(Clone, Copy)]
struct Operand {
    value: ValueId,
    guard: Option<Condition>,
    /// Depth of the expression tree, which bounds the recursion of the code generator.
    depth: u32,
}

impl Parser<'_> {
    /// A comparison of two arithmetic expressions, guarded by the presence of what both read.
    pub(super) fn comparison(&mut self) -> Parsed<Qualified> {
        let left = self.arithmetic(None)?;
        let Some((comparison, same_sense)) = comparison_operator(&self.peek()) else {
            return Err(self.expected("a comparison: =, !=, <, <=, > or >="));
        };
        self.advance();
        let right = self.arithmetic(None)?;
        let graph = &mut self.builder.graph;
        let found = graph.compare(left.value, comparison, right.value);
        let found = if same_sense { found } else { found.negated() };
        // The guards were built before the comparison and are tested before it, because its loads may be of a
        // header that is absent.
        let guard = match (left.guard, right.guard) {
            (Some(left), Some(right)) => Some(graph.and(left, right)),
            (left, right) => left.or(right),
        };
        let found = graph.and_optional(guard, found);
        Ok((found, None))
    }

    /// An arithmetic expression to the right of an operator of precedence `before`. It ends at an operator
    /// that does not bind tighter, so that operators of equal precedence associate to the left.
    fn arithmetic(&mut self, before: Option<Precedence>) -> Parsed<Operand> {
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
        // As in libpcap, the guard of the right operand is dropped: `ip[0] + tcp[0]` reads where a TCP header
        // would be, whether or not there is one. An expression that starts with "tcp and" is safe.
        Ok(Operand { value, guard: left.guard, depth })
    }

    fn primary(&mut self) -> Parsed<Operand> {
        let (token, at) = self.token(0);
        let values = &mut self.builder.graph.values;
        let value = match token {
            Token::Number(number) => values.constant(number),
            Token::Keyword(_, Keyword::Length) => values.length(),
            Token::Symbol("-") => {
                self.advance();
                let inner = self.arithmetic(Some(Some(UNARY)))?;
                let value = self.builder.graph.values.negated(inner.value);
                return Ok(Operand { value, guard: inner.guard, depth: inner.depth + 1 });
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
        Ok(Operand { value, guard: None, depth: 0 })
    }

    /// Packet data: the bracket after a protocol, `tcp[12:1]`.
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
        let (value, guard) =
            self.builder.packet_data(layer, index.value, index.guard, size).map_err(|error| {
                match error.reason() {
                    ExpressionErrorReason::AccessSize => error.at(size_at),
                    _ => error.at(at),
                }
            })?;
        Ok(Operand { value, guard, depth: index.depth + 1 })
    }
}

/// The comparison of an operator, and whether its sense is kept; `!=`, `<=` and `<` are negations of those
/// that the machine has.
pub(super) fn comparison_operator(token: &Token<'_>) -> Option<(Comparison, bool)> {
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

/// Precedence of an operator; `None` for `%` and `^`, which have none.
type Precedence = Option<u8>;
/// Precedence of the unary minus, above all binary operators.
const UNARY: u8 = 6;

fn operation(token: &Token<'_>) -> Option<(Operation, Precedence)> {
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
