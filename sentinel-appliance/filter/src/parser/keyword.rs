//! Primitives that are a keyword of their own: `less`, `byte`, `vlan`, `mpls`, `inbound`, `llc` and the like.
//!
//! Read first: `pcap-filter(7)`, the primitives without a "type" qualifier.

use super::Parser;
use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Comparison, Condition};
use crate::lexer::Token;
use crate::names::{self, Keyword};
use crate::primitive::ConditionBuilder;
use crate::value::{LoadSize, Operation};

impl Parser<'_> {
    /// The primitive that `keyword`, the next token, begins.
    pub(super) fn keyword_primitive(&mut self, keyword: Keyword, at: usize) -> Parsed<Condition> {
        match keyword {
            Keyword::Less | Keyword::Greater => self.length_limit(keyword),
            Keyword::Byte => self.byte(),
            Keyword::Llc => self.llc(at),
            Keyword::Inbound | Keyword::Outbound | Keyword::Interface => self.capture_metadata(keyword, at),
            Keyword::Vlan | Keyword::Mpls | Keyword::PppoeDiscovery | Keyword::PppoeSession => {
                self.encapsulation(keyword, at)
            }
            _ => Err(self.expected("a condition")),
        }
    }

    /// `less 100`, `greater 100`: the length on the wire, the bound included.
    fn length_limit(&mut self, keyword: Keyword) -> Parsed<Condition> {
        self.advance();
        let number = self.number("a length in bytes")?;
        let graph = &mut self.builder.graph;
        let length = graph.values.length();
        Ok(if keyword == Keyword::Less {
            graph.compare_constant(length, Comparison::Greater, number).negated()
        } else {
            graph.compare_constant(length, Comparison::AtLeast, number)
        })
    }

    /// `inbound`, `outbound`, `ifindex 3`: facts about the capture, not about the bytes.
    fn capture_metadata(&mut self, keyword: Keyword, at: usize) -> Parsed<Condition> {
        self.advance();
        let number = match keyword {
            Keyword::Interface => Some(self.number("the number of an interface")?),
            _ => None,
        };
        let ConditionBuilder { graph, headers } = &mut self.builder;
        let built = match (keyword, number) {
            (_, Some(number)) => headers.interface(graph, number),
            (Keyword::Inbound, _) => headers.outbound(graph).map(Condition::negated),
            _ => headers.outbound(graph),
        };
        built.map_err(|error| error.at(at))
    }

    /// `vlan`, `mpls`, `pppoed`, `pppoes`, each but the third perhaps with its identifier. They move the
    /// headers for what is to their right.
    fn encapsulation(&mut self, keyword: Keyword, at: usize) -> Parsed<Condition> {
        self.advance();
        let id = match keyword {
            Keyword::Vlan => self.optional_number("VLAN identifier", 4095)?,
            Keyword::Mpls => self.optional_number("MPLS label", 0x000f_ffff)?,
            Keyword::PppoeSession => self.optional_number("PPPoE session", 0xffff)?,
            _ => None,
        };
        let ConditionBuilder { graph, headers } = &mut self.builder;
        let built = match keyword {
            Keyword::Vlan => headers.vlan(graph, id),
            Keyword::Mpls => headers.mpls(graph, id),
            Keyword::PppoeSession => headers.pppoe_session(graph, id),
            _ => headers.pppoe_discovery(graph),
        };
        built.map_err(|error| error.at(at))
    }

    /// The number that follows, perhaps in parentheses, if one does; at most `most`.
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

    /// `byte 12 = 8`: one byte of the frame, counted from its start.
    fn byte(&mut self) -> Parsed<Condition> {
        self.advance();
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

    /// LLC frames, perhaps of one type: `llc`, `llc ui`.
    fn llc(&mut self, at: usize) -> Parsed<Condition> {
        self.advance();
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
