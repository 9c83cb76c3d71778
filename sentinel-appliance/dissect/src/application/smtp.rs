//! SMTP: the greeting of a server, and the commands of a client up to the content of a mail.
//!
//! Read first: RFC 5321 sections 3.1, 4.1.1, 4.2 and 4.5.3.1; RFC 2920 (several commands in one segment); RFC 3207 (STARTTLS).

use sentinel_units::{port, service};

use super::framing::{MessageLen, take_line};
use super::protocol::{Body, Ports, Protocol, contains, has_port, starts_with_any};
use crate::read::{Cursor, Malformed};

/// SMTP, by a greeting or the first command of a client.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, ports| {
        is_greeting(payload, ports) || starts_with_any(payload, &[b"EHLO ", b"HELO "])
    }),
    framing: Some(message_len),
    ..Protocol::new(service::SMTP, "SMTP", "RFC 5321")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("smtp", fuzz)];

/// Most bytes of a line with its end: 512 (RFC 5321 section 4.5.3.1.4), and 500 of parameters (RFC 3461 section 4).
const MAX_LINE_LEN: usize = 1012;
/// Most bytes of a domain (RFC 5321 section 4.5.3.1.2).
const MAX_DOMAIN_LEN: usize = 255;
/// Most bytes of a path with its angle brackets (RFC 5321 section 4.5.3.1.3).
const MAX_PATH_LEN: usize = 256;
/// Most commands read of one message: a server must take 100 recipients (RFC 5321 section 4.5.3.1.8).
const MAX_COMMANDS: usize = 128;
/// Most lines of a greeting that are reassembled.
const MAX_GREETING_LINES: usize = 16;

const GREETING: &[u8] = b"220";
const EHLO: &[u8] = b"EHLO ";
const HELO: &[u8] = b"HELO ";
const MAIL_FROM: &[u8] = b"MAIL FROM:";
const RCPT_TO: &[u8] = b"RCPT TO:";
const STARTTLS: &[u8] = b"STARTTLS";

/// First line of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Greeting<'p> {
    /// Text of the first line: the server's domain, in most cases followed by its software. At most 1,006 bytes.
    pub banner: &'p [u8],
}

impl<'p> Greeting<'p> {
    /// Reads the payload of a segment that starts with a greeting: on a mail port, or if it names SMTP.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if it is none, or the answer to STARTTLS, which has the same code: unlike a greeting,
    ///   that may begin with an enhanced status (RFC 2034 section 3).
    /// - [`Malformed::Truncated`] if the first line does not end.
    /// - [`Malformed::BadLength`] if it is longer than 1,012 bytes.
    pub fn parse(payload: &'p [u8], ports: Ports) -> Result<Self, Malformed> {
        if !is_greeting(payload, ports) {
            return Err(Malformed::OtherProtocol);
        }
        match take_line(&mut Cursor::new(payload), MAX_LINE_LEN)? {
            [b'2', b'2', b'0', b' ' | b'-', banner @ ..] if !has_enhanced_status(banner) => {
                Ok(Self { banner })
            }
            _ => Err(Malformed::OtherProtocol),
        }
    }
}

/// A command of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'p> {
    /// The client's domain or address literal; the client supports extensions. At most 255 bytes.
    Ehlo(&'p [u8]),
    /// The client's domain; the client supports no extensions. At most 255 bytes.
    Helo(&'p [u8]),
    /// Reverse path without angle brackets; empty for a notification. At most 254 bytes.
    MailFrom(&'p [u8]),
    /// Forward path of one recipient, without angle brackets. At most 254 bytes.
    RcptTo(&'p [u8]),
    /// TLS begins after the server's answer.
    StartTls,
    /// Another command.
    Other,
}

/// Commands of a client, as one message holds them. Ends before the content of a mail (`DATA`, `BDAT`), at a command that is
/// malformed or cut, and after 128.
#[derive(Clone, Debug)]
pub struct Commands<'p> {
    at: Cursor<'p>,
    left: usize,
}

impl<'p> Commands<'p> {
    /// Reads the payload of a segment that starts with `EHLO`, `HELO`, `MAIL FROM`, `RCPT TO`, or on a mail port `STARTTLS`
    /// (which NNTP has as well), in letters of either case.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if it starts with something else.
    /// - [`Malformed::Truncated`] if the first command does not end.
    /// - [`Malformed::BadLength`] if its line is longer than 1,012 bytes, its domain than 255 or its path than 256.
    /// - [`Malformed::BadSyntax`] if the domain is empty or the path does not end.
    pub fn parse(payload: &'p [u8], ports: Ports) -> Result<Self, Malformed> {
        if !starts_with_command(payload, ports) {
            return Err(Malformed::OtherProtocol);
        }
        let at = Cursor::new(payload);
        // On a copy: the first command is only checked here, and returned by the iterator.
        command(take_line(&mut at.clone(), MAX_LINE_LEN)?)?;
        Ok(Self { at, left: MAX_COMMANDS })
    }
}

impl<'p> Iterator for Commands<'p> {
    type Item = Command<'p>;

    fn next(&mut self) -> Option<Command<'p>> {
        self.left = self.left.checked_sub(1)?;
        let command =
            take_line(&mut self.at, MAX_LINE_LEN).ok().filter(|line| !begins_content(line)).map(command);
        let command = command.and_then(Result::ok);
        if command.is_none() {
            self.left = 0;
        }
        command
    }
}

fn is_mail_port(ports: Ports) -> bool {
    has_port(ports, port::SMTP) || has_port(ports, port::SUBMISSION)
}

/// Returns true for the reply code of a greeting, which FTP has as well: on a mail port, or if the text names SMTP.
fn is_greeting(payload: &[u8], ports: Ports) -> bool {
    payload.starts_with(GREETING) && (is_mail_port(ports) || contains(payload, b"SMTP"))
}

fn starts_with_command(payload: &[u8], ports: Ports) -> bool {
    [EHLO, HELO, MAIL_FROM, RCPT_TO].iter().any(|verb| after_verb(payload, verb).is_some())
        || is_mail_port(ports) && after_verb(payload, STARTTLS).is_some()
}

// This function and those below are called from several places. Without the attribute each call may get a copy: at
// `opt-level` 3 `command` alone took 2,244 bytes of x86-64 code.
/// The bytes behind a verb, which may be in letters of either case (RFC 5321 section 2.4).
#[inline(never)]
fn after_verb<'p>(line: &'p [u8], verb: &[u8]) -> Option<&'p [u8]> {
    let (start, remaining) = line.split_at_checked(verb.len())?;
    start.eq_ignore_ascii_case(verb).then_some(remaining)
}

/// Returns true for the commands behind which the content of a mail follows: `DATA`, and `BDAT` (RFC 3030), whose content
/// need not wait for an answer.
fn begins_content(line: &[u8]) -> bool {
    after_verb(line, b"DATA").is_some_and(<[u8]>::is_empty) || after_verb(line, b"BDAT ").is_some()
}

/// Returns true for `2.0.0` and the like, at the end of the text or before a space.
fn has_enhanced_status(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b' ').next().unwrap_or_default().split(|byte| *byte == b'.');
    let mut is_number = |digits: usize| {
        parts
            .next()
            .is_some_and(|part| (1..=digits).contains(&part.len()) && part.iter().all(u8::is_ascii_digit))
    };
    is_number(1) && is_number(3) && is_number(3) && parts.next().is_none()
}

fn command(line: &[u8]) -> Result<Command<'_>, Malformed> {
    if let Some(domain) = after_verb(line, EHLO) {
        return Ok(Command::Ehlo(word(domain)?));
    }
    if let Some(domain) = after_verb(line, HELO) {
        return Ok(Command::Helo(word(domain)?));
    }
    if let Some(reverse) = after_verb(line, MAIL_FROM) {
        return Ok(Command::MailFrom(path(reverse)?));
    }
    if let Some(forward) = after_verb(line, RCPT_TO) {
        return Ok(Command::RcptTo(path(forward)?));
    }
    let is_starttls = after_verb(line, STARTTLS).is_some_and(|remaining| remaining.trim_ascii().is_empty());
    Ok(if is_starttls { Command::StartTls } else { Command::Other })
}

/// A domain or address literal: up to the next space.
#[inline(never)]
fn word(text: &[u8]) -> Result<&[u8], Malformed> {
    let word = text.trim_ascii().split(|byte| *byte == b' ').next().unwrap_or_default();
    match word.len() {
        0 => Err(Malformed::BadSyntax),
        1..=MAX_DOMAIN_LEN => Ok(word),
        _ => Err(Malformed::BadLength),
    }
}

/// A path in angle brackets, which may hold a quoted string with brackets of its own; without brackets, as some clients send
/// it, up to the next space. Spaces before it are against the grammar, but common.
#[inline(never)]
fn path(text: &[u8]) -> Result<&[u8], Malformed> {
    let text = text.trim_ascii_start();
    let Some(inside) = text.strip_prefix(b"<") else { return word(text) };
    // Inside quotes `>` is text, and so is a quote behind a backslash (RFC 5321 section 4.1.2).
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = inside.iter().position(|byte| {
        let ends = *byte == b'>' && !is_quoted;
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        ends
    });
    let path = end.and_then(|end| inside.get(..end)).ok_or(Malformed::BadSyntax)?;
    if path.len() > MAX_PATH_LEN - 2 { Err(Malformed::BadLength) } else { Ok(path) }
}

/// Length of a greeting, or of the commands that were sent together.
fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    if is_greeting(bytes, ports) {
        // A hyphen behind the code announces another line (RFC 5321 section 4.2.1).
        return Some(lines_len(bytes, MAX_GREETING_LINES, |line, _| !line.starts_with(b"220-")));
    }
    if starts_with_command(bytes, ports) {
        let is_last = |line: &[u8], remaining: &[u8]| remaining.is_empty() || begins_content(line);
        return Some(lines_len(bytes, MAX_COMMANDS, is_last));
    }
    // On other ports the start of a greeting or command must come in one piece.
    let is_start =
        |start: &&[u8]| start.get(..bytes.len()).is_some_and(|part| part.eq_ignore_ascii_case(bytes));
    let may_start = [GREETING, EHLO, HELO, MAIL_FROM, RCPT_TO, STARTTLS].iter().any(is_start);
    (is_mail_port(ports) && may_start && !bytes.is_empty()).then(|| MessageLen::AtLeast(bytes.len() + 1))
}

/// Up to the line that is the last one by itself and the bytes behind it, at most `max` lines.
fn lines_len(bytes: &[u8], max: usize, is_last: impl Fn(&[u8], &[u8]) -> bool) -> MessageLen {
    let mut at = Cursor::new(bytes);
    for _ in 0..max {
        match take_line(&mut at, MAX_LINE_LEN) {
            Ok(line) if is_last(line, at.remaining()) => return MessageLen::Complete,
            Ok(_) => {}
            Err(Malformed::Truncated) => return MessageLen::AtLeast(bytes.len() + 1),
            // A line over the limit, at which the parser ends too.
            Err(_) => return MessageLen::Complete,
        }
    }
    MessageLen::Complete
}

/// Fuzz body: the first bytes of either side.
fn fuzz(bytes: &[u8]) {
    let ports = (port::SMTP, port::HTTPS);
    if let Ok(greeting) = Greeting::parse(bytes, ports) {
        assert!(greeting.banner.len() + 4 < MAX_LINE_LEN && !greeting.banner.contains(&b'\n'));
        assert!(Commands::parse(bytes, ports).is_err());
    }
    if let Ok(commands) = Commands::parse(bytes, ports) {
        assert!(commands.clone().count() <= MAX_COMMANDS);
        for command in commands {
            match command {
                Command::Ehlo(domain) | Command::Helo(domain) => {
                    assert!((1..=MAX_DOMAIN_LEN).contains(&domain.len()));
                }
                Command::MailFrom(path) | Command::RcptTo(path) => assert!(path.len() < MAX_PATH_LEN),
                Command::StartTls | Command::Other => {}
            }
        }
    }
    if let Some(MessageLen::AtLeast(need)) = message_len(bytes, ports) {
        assert!(need > bytes.len());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;
    use std::vec::Vec;

    const MAIL: Ports = (Port(50_000), port::SMTP);
    const ANY: Ports = (Port(50_000), Port(2_525));
    const PIPELINED: &[u8] =
        b"mail from:<a@example.com> SIZE=9\r\nRCPT TO:<b@example.org>\r\nRcpt To: c@example.org\r\n\
        RSET\r\nSTARTTLS\r\nDATA\r\nMAIL FROM:<not@a.command>\r\n";

    fn commands(bytes: &[u8]) -> Vec<Command<'_>> {
        Commands::parse(bytes, MAIL).unwrap().collect()
    }

    #[test]
    fn a_greeting_is_read_on_a_mail_port_or_if_it_names_smtp() {
        let parse = |bytes, ports| Greeting::parse(bytes, ports).map(|greeting| greeting.banner);
        assert_eq!(parse(b"220 mail.example.org\r\n", MAIL), Ok(&b"mail.example.org"[..]));
        assert_eq!(parse(b"220-mail.example.org ESMTP\n220 x\r\n", ANY), Ok(&b"mail.example.org ESMTP"[..]));
        assert_eq!(parse(b"220 mail.example.org\r\n", ANY), Err(Malformed::OtherProtocol));
        assert_eq!(parse(b"220 ProFTPD\r\n", ANY), Err(Malformed::OtherProtocol));
        assert_eq!(parse(b"2200 x\r\n", MAIL), Err(Malformed::OtherProtocol));
        assert_eq!(parse(b"220 2.0.0 Ready to start TLS\r\n", MAIL), Err(Malformed::OtherProtocol));
        assert_eq!(parse(b"220 2.example.org\r\n", MAIL), Ok(&b"2.example.org"[..]));
    }

    #[test]
    fn commands_are_read_up_to_the_content_of_a_mail() {
        assert_eq!(
            commands(PIPELINED),
            [
                Command::MailFrom(b"a@example.com"),
                Command::RcptTo(b"b@example.org"),
                Command::RcptTo(b"c@example.org"),
                Command::Other,
                Command::StartTls,
            ]
        );
        assert_eq!(commands(b"EHLO [192.0.2.1]\r\n"), [Command::Ehlo(b"[192.0.2.1]")]);
        assert_eq!(commands(b"helo a.example b\n"), [Command::Helo(b"a.example")]);
        assert_eq!(commands(b"MAIL FROM:<>\r\nBDAT 3\r\nRCPT TO:<x>\r\n"), [Command::MailFrom(b"")]);
        let quoted = br#"RCPT TO:<"a>\"> b"@example.org> NOTIFY=NEVER"#;
        assert_eq!(
            commands(&[quoted, &b"\r\n"[..]].concat()),
            [Command::RcptTo(br#""a>\"> b"@example.org"#)]
        );
    }

    #[test]
    fn other_bytes_are_no_commands() {
        let other = Err(Malformed::OtherProtocol);
        for bytes in
            [&b"MAIL is late\r\n"[..], b"QUIT\r\n", b"GET / HTTP/1.1\r\n", b"", b"EHLO", b"250 OK\r\n"]
        {
            assert_eq!(Commands::parse(bytes, MAIL).map(|_| ()), other, "{bytes:?}");
        }
        assert_eq!(Commands::parse(b"STARTTLS\r\n", ANY).map(|_| ()), other, "NNTP has it as well");
        assert_eq!(commands(b"STARTTLS\r\n"), [Command::StartTls]);
    }

    #[test]
    fn lengths_over_the_limits_are_errors() {
        let parse = |start: &str, len: usize, end: &str| {
            let line = [start.as_bytes(), &std::vec![b'a'; len], end.as_bytes(), b"\r\n"].concat();
            Commands::parse(&line, MAIL).map(|_| ())
        };
        assert_eq!((parse("EHLO ", 255, ""), parse("EHLO ", 256, "")), (Ok(()), Err(Malformed::BadLength)));
        let path = |len| parse("RCPT TO:<", len, ">");
        assert_eq!((path(254), path(255)), (Ok(()), Err(Malformed::BadLength)));
        // verb, name, space, parameters and line end
        let line = |len| parse("EHLO a ", len, "");
        assert_eq!((line(1003), line(1004)), (Ok(()), Err(Malformed::BadLength)));
        assert_eq!(
            (parse("EHLO ", 0, ""), parse("MAIL FROM:<", 3, "")),
            (Err(Malformed::BadSyntax), Err(Malformed::BadSyntax))
        );
        let many: Vec<u8> = (0..200).flat_map(|_| *b"RCPT TO:<a>\r\n").collect();
        assert_eq!(commands(&many).len(), MAX_COMMANDS);
        assert_eq!(message_len(&many, MAIL), Some(MessageLen::Complete));
    }

    #[test]
    fn every_cut_is_an_error_or_fewer_commands() {
        let all = commands(PIPELINED);
        for cut in 0..PIPELINED.len() {
            match Commands::parse(&PIPELINED[..cut], MAIL) {
                Ok(commands) => assert!(all.starts_with(&commands.collect::<Vec<_>>()), "{cut}"),
                Err(error) => {
                    assert!(cut < 35 && matches!(error, Malformed::OtherProtocol | Malformed::Truncated));
                }
            }
        }
        let greeting = b"220-mail.example.org ESMTP\r\n220 ready\r\n";
        for cut in 0..greeting.len() {
            match Greeting::parse(&greeting[..cut], MAIL) {
                Ok(greeting) => {
                    assert_eq!((greeting.banner, cut > 27), (&b"mail.example.org ESMTP"[..], true));
                }
                Err(error) => assert!(matches!(error, Malformed::OtherProtocol | Malformed::Truncated)),
            }
        }
    }

    #[test]
    fn messages_end_with_their_last_line() {
        let greeting = b"220-mail.example.org ESMTP\r\n220 ready\r\n";
        let hello = b"EHLO a.example\r\n";
        for message in [&greeting[..], hello, b"STARTTLS\r\n", b"rcpt to:<a>\r\n"] {
            assert_eq!(message_len(message, MAIL), Some(MessageLen::Complete));
            for cut in 1..message.len() {
                assert_eq!(message_len(&message[..cut], MAIL), Some(MessageLen::AtLeast(cut + 1)), "{cut}");
            }
        }
        // Two commands: complete after either.
        let complete: Vec<usize> = (1..PIPELINED.len())
            .filter(|cut| message_len(&PIPELINED[..*cut], MAIL) == Some(MessageLen::Complete))
            .collect();
        assert_eq!(complete[..4], [34, 59, 83, 89]);
        assert_eq!(message_len(b"From: a\r\n", MAIL), None);
        assert_eq!(message_len(b"MAI", ANY), None);
    }
}
