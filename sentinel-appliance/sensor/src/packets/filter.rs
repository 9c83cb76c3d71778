//! Packet filter: an expression in tcpdump's language and simple filters, compiled once for each link type.

use std::net::IpAddr;

use sentinel_capture::Frame;
use sentinel_filter::{ExpressionError, Packet, Program, Protocol, SimpleFilter, Target};
use sentinel_units::{LinkType, Port};

use crate::terminal::failure::Failure;

/// Return value of a filter that matches: the most bytes that a frame can have.
const SNAP_BYTES: u32 = 262_144;

/// Expression and simple filter. A frame must match both.
#[derive(Debug)]
pub(crate) struct PacketFilter {
    expression: String,
    simple: SimpleFilter,
    compiled: Vec<(LinkType, Program)>,
}

impl PacketFilter {
    /// An empty expression and a default simple filter match everything.
    pub(crate) const fn new(expression: String, simple: SimpleFilter) -> Self {
        Self { expression, simple, compiled: Vec::new() }
    }

    /// Returns true if every frame matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.simple == SimpleFilter::default() && self.expression.is_empty()
    }

    /// Checks the filter before anything is opened: it is wrong if it can be compiled for no link type.
    ///
    /// # Errors
    /// That of Ethernet.
    pub(crate) fn check(&self, target: Target) -> Result<(), Failure> {
        let outcome = self.compile(target, LinkType::ETHERNET).map(drop);
        let others = LinkType::SUPPORTED.into_iter().filter(|link| *link != LinkType::ETHERNET);
        match outcome {
            Err(failure) if others.into_iter().all(|link| self.compile(target, link).is_err()) => {
                Err(failure)
            }
            _ => Ok(()),
        }
    }

    /// Compiles the program for frames of one link type, to be run by `target`.
    pub(crate) fn compile(&self, target: Target, link: LinkType) -> Result<Program, Failure> {
        let expression = sentinel_filter::compile_for(target, &self.expression, link, SNAP_BYTES)
            .map_err(|error| Failure::other(explain(&self.expression, &error)))?;
        let simple = self
            .simple
            .compile(link)
            .map_err(|error| Failure::new(format!("filter on link type {link}: {error}")))?;
        expression.and(&simple).map_err(|error| Failure::new(format!("filter: {error}")))
    }

    /// Returns true if a frame of a file matches.
    pub(crate) fn passes(&mut self, frame: &Frame<'_>) -> Result<bool, Failure> {
        if self.is_empty() {
            return Ok(true);
        }
        let index = match self.compiled.iter().position(|(link, _)| *link == frame.link) {
            Some(index) => index,
            None => {
                self.compiled.push((frame.link, self.compile(Target::File, frame.link)?));
                self.compiled.len() - 1
            }
        };
        let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: frame.vlan };
        Ok(self.compiled.get(index).is_some_and(|(_, program)| program.matches(&packet)))
    }
}

/// Message for an expression error, with the expression and a mark below the column, and with the option that has what the
/// language has not.
pub(crate) fn explain(expression: &str, error: &ExpressionError) -> String {
    let mut text = format!("filter: {error}\n    {expression}\n    {:>column$}", "^", column = error.column);
    let from_column: String = expression.chars().skip(error.column.saturating_sub(1)).collect();
    let word = from_column.split([' ', ')']).next().unwrap_or_default();
    if let Ok(protocol) = word.parse::<Protocol>() {
        text.push_str(&format!(
            "\n'{word}' is no word of this language; want --protocol {}",
            protocol.name()
        ));
    }
    text
}

/// Parses `--protocol NAME`.
pub(crate) fn protocol(text: &str) -> Result<Protocol, Failure> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Protocol::all().map(Protocol::name).collect();
        Failure::usage(format!("protocol '{text}' is not one of {}", names.join(", ")))
    })
}

/// Parses `--ip ADDRESS`.
pub(crate) fn address(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("'{text}' is not an IPv4 or IPv6 address")))
}

/// Parses `--port NUMBER`.
pub(crate) fn port(text: &str) -> Result<Port, Failure> {
    text.parse()
        .map(Port)
        .map_err(|_| Failure::usage(format!("port '{text}' is not a number from 0 to 65535")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_below_the_column() {
        let expression = "tcp port";
        let error = sentinel_filter::compile(expression, LinkType::ETHERNET, 0).unwrap_err();
        let text = explain(expression, &error);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2].find('^'), Some(4 + error.column - 1));
    }

    #[test]
    fn a_protocol_that_the_language_does_not_have_hints_at_the_option() {
        let hint = |expression| {
            let error = sentinel_filter::compile(expression, LinkType::ETHERNET, 0).unwrap_err();
            explain(expression, &error).lines().nth(3).map(str::to_owned)
        };
        let expected =
            |name: &str| Some(format!("'{name}' is no word of this language; want --protocol {name}"));
        assert_eq!(hint("dns"), expected("dns"));
        assert_eq!(hint("host 192.0.2.1 and (tls)"), expected("tls"));
        assert_eq!(hint("frobnicate"), None);
    }

    #[test]
    fn a_filter_is_wrong_if_it_suits_no_link_type() {
        let check = |expression: &str, target| {
            PacketFilter::new(expression.into(), SimpleFilter::default())
                .check(target)
                .map_err(|error| error.to_string())
        };
        for good in ["", "tcp port 80", "ether host 02:00:00:00:00:01"] {
            assert_eq!(check(good, Target::File), Ok(()), "{good}");
        }
        assert!(check("tcp port", Target::File).unwrap_err().contains("column 9"));
        // Ethernet files do not have the direction, cooked captures do.
        assert!(check("inbound", Target::File).is_ok() && check("inbound", Target::Kernel).is_ok());
    }
}
