//! Telnet: the options that both sides negotiate.
//!
//! Read first: RFC 854 (commands), RFC 855 (negotiation), <https://www.iana.org/assignments/telnet-options>.

use sentinel_units::service;

use super::framing::MessageLen;
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// Telnet, by a negotiation at the start of a segment; on its port by text.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, ports| {
        starts_negotiation(payload) || has_any_port(ports, service::TELNET.server.tcp) && is_text(payload)
    }),
    framing: Some(message_len),
    ..Protocol::new(service::TELNET, "TELNET", "RFC 854")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("telnet", fuzz)];

const INTERPRET: u8 = 255;
const SUBNEGOTIATION: u8 = 250;
const END: u8 = 240;
/// Bytes of a segment by which text is recognised.
const MAX_TEXT_LEN: usize = 64;
/// Most negotiations of a segment that are read.
const MAX_COMMANDS: usize = 32;

/// A command about an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command {
    /// 250 parameters of the option, 251 WILL, 252 WONT, 253 DO, 254 DONT.
    pub verb: u8,
    /// Number of the option: 1 echo, 3 suppress go-ahead, 24 terminal type, ...
    pub option: u8,
}

/// Iterator over the negotiations at the start of a segment, up to the first text. At most 32.
#[derive(Clone, Debug)]
pub struct Commands<'p> {
    at: Cursor<'p>,
    left: usize,
}

impl<'p> Commands<'p> {
    /// Reads a segment.
    #[must_use]
    pub const fn new(payload: &'p [u8]) -> Self {
        Self { at: Cursor::new(payload), left: MAX_COMMANDS }
    }
}

impl Iterator for Commands<'_> {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        self.left = self.left.checked_sub(1)?;
        let &[INTERPRET, verb @ SUBNEGOTIATION..=254, option] = self.at.array().ok()? else { return None };
        if verb == SUBNEGOTIATION {
            let end = self.at.remaining().windows(2).position(|pair| *pair == [INTERPRET, END]);
            self.at.take_up_to(end.map_or(self.at.len(), |end| end + 2));
        }
        Some(Command { verb, option })
    }
}

/// Assigned options are up to 49 and 138 to 140; 255 is their extension.
const fn starts_negotiation(payload: &[u8]) -> bool {
    matches!(payload, [INTERPRET, SUBNEGOTIATION..=254, 0..=49 | 138..=140 | 255, ..])
}

/// Returns true if the first bytes are letters and signs of ASCII, the control characters of terminals, or commands of Telnet.
fn is_text(payload: &[u8]) -> bool {
    let start = payload.get(..MAX_TEXT_LEN).unwrap_or(payload);
    let is_possible = |byte: &u8| matches!(byte, 0..=0x1b | b' '..=0x7f | END..=INTERPRET);
    !start.is_empty() && start.iter().all(is_possible)
}

/// A segment stands for itself: text and negotiations alternate.
fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    starts_negotiation(bytes).then_some(MessageLen::Complete)
}

/// Fuzz body: a segment.
fn fuzz(bytes: &[u8]) {
    let count = Commands::new(bytes).count();
    assert!(count <= MAX_COMMANDS && count <= bytes.len() / 3);
    assert!(count > 0 || !starts_negotiation(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DO terminal type, parameters of it (`VT`), WILL echo, text.
    const SEGMENT: &[u8] = b"\xff\xfd\x18\xff\xfa\x18\x00VT\xff\xf0\xff\xfb\x01login:";

    #[test]
    fn negotiations_are_read_up_to_the_text() {
        let expected = [(253, 24), (250, 24), (251, 1)].map(|(verb, option)| Command { verb, option });
        assert!(Commands::new(SEGMENT).eq(expected));
        assert_eq!(
            message_len(SEGMENT, (sentinel_units::Port(1), sentinel_units::Port(2))),
            Some(MessageLen::Complete)
        );
    }

    #[test]
    fn text_is_known_on_its_port_only() {
        let is_mine = PROTOCOL.segment.unwrap();
        let (on, off) = (
            (sentinel_units::Port(23), sentinel_units::Port(9)),
            (sentinel_units::Port(24), sentinel_units::Port(9)),
        );
        assert!(is_mine(b"login: \x1b[2J\r\0", on) && !is_mine(b"login: ", off));
        assert!(!is_mine(b"\x16\x03\x80", on) && !is_mine(b"", on));
    }

    #[test]
    fn every_cut_has_fewer() {
        for cut in 0..SEGMENT.len() {
            assert!(Commands::new(&SEGMENT[..cut]).count() <= 3);
        }
        assert!(
            !starts_negotiation(b"\xff\xf1\x18")
                && !starts_negotiation(b"login:")
                && !starts_negotiation(b"\xff\xfb\x80")
        );
    }
}
