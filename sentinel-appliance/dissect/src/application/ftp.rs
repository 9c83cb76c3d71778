//! FTP: commands of a client and replies of a server on the control connection.
//!
//! Read first: RFC 959 sections 4 and 5.3; RFC 2228 (AUTH), RFC 2428 (EPRT, EPSV), RFC 3659 (MLSD, SIZE).

use sentinel_units::service;

use super::framing::{MessageLen, line_len, take_line};
use super::protocol::{Body, Ports, Protocol, contains, has_any_port};
use crate::read::Cursor;

/// FTP, by a greeting that names it and by commands that no other protocol has; on its port by any command or reply.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(is_line),
    framing: Some(message_len),
    ..Protocol::new(service::FTP, "FTP", "RFC 959")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("ftp", fuzz)];

/// Most bytes of a line: a path of 4,096 bytes does not occur in practice, one of 1,024 does.
const MAX_LINE_LEN: usize = 1_200;
/// Most lines of one message.
const MAX_LINES: usize = 64;
/// Commands that only FTP has.
const OWN: &str = "PASV EPSV EPRT SYST MLSD MLST PBSZ MDTM RNFR RNTO NLST";
/// Commands that other protocols have as well: POP3, NNTP, SMTP, IRC.
const SHARED: &str = "USER PASS ACCT CWD CDUP SMNT QUIT REIN PORT TYPE STRU MODE RETR STOR STOU APPE ALLO REST ABOR DELE RMD MKD PWD \
    XPWD LIST SITE STAT HELP NOOP FEAT OPTS AUTH PROT CCC SIZE CLNT LANG HOST";

/// A line of either side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line<'p> {
    /// Command of the client.
    Command {
        /// As sent; case does not matter.
        verb: &'p [u8],
        /// Text behind the verb; empty if there is none.
        argument: &'p [u8],
    },
    /// First or only line of a reply of the server.
    Reply {
        /// 100 to 699; from 600 on protected (RFC 2228).
        code: u16,
        /// Text behind the code.
        text: &'p [u8],
    },
}

/// Iterator over the lines of a message, without those that continue a reply. At most 64.
#[derive(Clone, Debug)]
pub struct Lines<'p> {
    at: Cursor<'p>,
    left: usize,
}

impl<'p> Lines<'p> {
    /// Reads a message of either side.
    #[must_use]
    pub const fn new(bytes: &'p [u8]) -> Self {
        Self { at: Cursor::new(bytes), left: MAX_LINES }
    }
}

impl<'p> Iterator for Lines<'p> {
    type Item = Line<'p>;

    fn next(&mut self) -> Option<Line<'p>> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let remaining = self.at.remaining();
            // The last line of a message that was cut ends with it.
            let line = take_line(&mut self.at, MAX_LINE_LEN)
                .unwrap_or_else(|_| self.at.take_up_to(remaining.len().min(MAX_LINE_LEN)));
            if remaining.is_empty() {
                return None;
            }
            match reply(line) {
                // A hyphen announces more lines, which the last one ends (RFC 959 section 4.2): the first stands for all.
                Some((code, b'-', text)) => {
                    self.skip_reply(code);
                    return Some(Line::Reply { code, text });
                }
                Some((code, _, text)) => return Some(Line::Reply { code, text }),
                None => {}
            }
            if let Some((verb, argument)) = command(line) {
                return Some(Line::Command { verb, argument });
            }
        }
    }
}

impl Lines<'_> {
    fn skip_reply(&mut self, code: u16) {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            match take_line(&mut self.at, MAX_LINE_LEN) {
                Ok(line) if reply(line).is_none_or(|(last, mark, _)| last != code || mark == b'-') => {}
                _ => return,
            }
        }
    }
}

/// Code, the sign behind it, and the text of a reply.
fn reply(line: &[u8]) -> Option<(u16, u8, &[u8])> {
    match *line {
        [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', mark @ (b' ' | b'-'), ref text @ ..] => {
            Some((u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), mark, text))
        }
        _ => None,
    }
}

/// Verb and argument of a command of the lists.
fn command(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let verb_len = line.iter().take(5).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (verb, argument) = line.split_at_checked(verb_len)?;
    if !matches!(argument, [] | [b' ' | b'\r' | b'\n', ..]) {
        return None;
    }
    let is_known = is_one_of(OWN, verb) || is_one_of(SHARED, verb);
    is_known.then(|| (verb, argument.trim_ascii()))
}

// Lists as one text: an array of texts takes 40 bytes for each in a program that is loaded anywhere.
fn is_one_of(verbs: &str, verb: &[u8]) -> bool {
    verbs.split(' ').any(|known| verb.eq_ignore_ascii_case(known.as_bytes()))
}

fn is_line(payload: &[u8], ports: Ports) -> bool {
    if has_any_port(ports, service::FTP.server.tcp) {
        return reply(payload).is_some() || command(payload).is_some();
    }
    match reply(payload) {
        Some((220, ..)) => contains(payload, b"FTP"),
        Some((227, ..)) => payload.get(4..).is_some_and(|text| text.starts_with(b"Entering Passive Mode (")),
        Some((229, ..)) => {
            payload.get(4..).is_some_and(|text| text.starts_with(b"Entering Extended Passive Mode (|"))
        }
        Some(_) => false,
        None => command(payload).is_some_and(|(verb, _)| is_one_of(OWN, verb)),
    }
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    is_line(bytes, ports).then(|| line_len(bytes, MAX_LINE_LEN))
}

/// Fuzz body: the lines of either side.
fn fuzz(bytes: &[u8]) {
    let mut count = 0;
    for line in Lines::new(bytes) {
        count += 1;
        match line {
            Line::Command { verb, argument } => {
                assert!((3..=4).contains(&verb.len()) && argument.len() <= MAX_LINE_LEN);
            }
            Line::Reply { code, text } => assert!((100..=699).contains(&code) && text.len() <= MAX_LINE_LEN),
        }
    }
    assert!(count <= MAX_LINES);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;
    use std::vec::Vec;

    const CONTROL: Ports = (Port(50_000), Port(21));
    const ANY: Ports = (Port(50_000), Port(2_121));

    #[test]
    fn commands_and_replies_are_read() {
        let lines: Vec<Line<'_>> = Lines::new(
            b"230-Welcome\r\n of many lines\r\n 230 no\r\n230 End\r\nuser  bob\r\nPASV\r\nhello\r\n",
        )
        .collect();
        assert_eq!(
            lines,
            [
                Line::Reply { code: 230, text: b"Welcome" },
                Line::Command { verb: b"user", argument: b"bob" },
                Line::Command { verb: b"PASV", argument: b"" },
            ]
        );
    }

    #[test]
    fn another_port_needs_what_only_this_protocol_has() {
        for (bytes, on_its_port, elsewhere) in [
            (&b"220 ProFTPD Server ready\r\n"[..], true, true),
            (b"220 mail.example.org ESMTP\r\n", true, false),
            (b"229 Entering Extended Passive Mode (|||2|)\r\n", true, true),
            (b"USER bob\r\n", true, false),
            (b"EPSV\r\n", true, true),
            (b"pasv\r\n", true, true),
            (b"PASVX\r\n", false, false),
            (b"GET / HTTP/1.1\r\n", false, false),
            (b"\x16\x03\x01", false, false),
        ] {
            assert_eq!((is_line(bytes, CONTROL), is_line(bytes, ANY)), (on_its_port, elsewhere), "{bytes:?}");
        }
    }

    #[test]
    fn every_cut_waits_for_the_end_of_the_line() {
        let line = b"227 Entering Passive Mode (192,0,2,1,4,1)\r\n";
        for cut in 4..line.len() {
            assert_eq!(message_len(&line[..cut], CONTROL), Some(MessageLen::AtLeast(cut + 1)));
            assert_eq!(Lines::new(&line[..cut]).count(), 1);
        }
        assert_eq!(message_len(line, CONTROL), Some(MessageLen::Complete));
    }
}
