//! `cleartext_credentials`: a password that anyone on the way can read.
//!
//! Read first: RFC 7617 (HTTP Basic), RFC 959 and RFC 1635 (FTP, anonymous FTP), RFC 1939 (POP3), RFC 9051 sections 6.2.2 and 6.2.3
//! (IMAP), RFC 4954 and RFC 4616 (SMTP, PLAIN), RFC 854 (Telnet), RFC 4513 section 5.1 (LDAP), RFC 3584 section 5.2 (SNMP
//! communities), OASIS MQTT 3.1.1 section 3.1.2, the Redis command AUTH.
//!
//! Only that there is a password counts: neither it nor its length nor the user is kept or shown. Of a line that is not complete yet
//! 40 bytes are kept until the next segment, and none of them once the password begins. Silent: challenges (APOP, CRAM, Digest),
//! anonymous FTP and LDAP, empty passwords, everything after STARTTLS, the community `public`. A server is reported about once a
//! day, whoever logs in. Inside the local network ([`low`](sentinel_alert::Severity::Low)) many appliances know nothing better; a
//! password that leaves for the internet is `medium`.
//!
//! Not seen: passwords in forms and cookies, segments out of order, those of a judged HTTP server but for samples (one connection of
//! 32), and what more than 32 new connections a second bring (counted as `first_payloads_unread`). With several workers the greeting of a
//! server is mostly seen by another one: then only commands that name themselves are read.

use sentinel_alert::{Kind, Severity};
use sentinel_dissect::application::ber::{Elements, INTEGER, OCTET_STRING, SEQUENCE};
use sentinel_dissect::application::snmp;

use super::servers::Class;
use crate::registry::Detector;

/// Declaration of `cleartext_credentials`; [`FirstPayloads`](super::watch::FirstPayloads) detects it.
#[derive(Debug)]
pub(crate) struct CleartextCredentials;

impl CleartextCredentials {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::CleartextCredentials,
        about: "a host sends a password in clear text: HTTP Basic, FTP, POP3, IMAP, SMTP, Telnet, LDAP, SNMP, MQTT, Redis (low at most \
                unless it leaves for the internet)",
        source: "RFC 7617 section 4, RFC 2577 section 5, RFC 8314 section 3; a server is reported once in 18 to 23 hours",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };
}

/// Bytes of an unfinished line that are kept.
pub(super) const LINE: usize = 40;
/// Lines that are read of one segment.
const MAX_LINES: usize = 64;

/// State of a connection between two payloads of its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialogue {
    /// The next line, or the next keys, are a password or part of it.
    pub(super) is_prompted: bool,
    /// Nothing more to find until the next request, or not at all.
    pub(super) is_over: bool,
    /// Lines since the first one of a Redis array.
    array: u8,
    /// First letter of the greeting; zero if none was seen.
    pub(super) greeting: u8,
    len: u8,
    line: [u8; LINE],
}

impl Default for Dialogue {
    fn default() -> Self {
        Self { is_prompted: false, is_over: false, array: 0, greeting: 0, len: 0, line: [0; LINE] }
    }
}

impl Dialogue {
    /// Forgets the unfinished line, after a gap.
    #[inline(never)]
    pub(super) const fn forget(&mut self) {
        (self.len, self.line) = (0, [0; LINE]);
    }

    /// The unfinished line, with as much of `bytes` as fits.
    #[inline(never)] // rare: short rather than fast, like the others here
    pub(super) fn join(&mut self, bytes: &[u8]) -> &[u8] {
        let len = usize::from(self.len);
        for (to, from) in self.line.iter_mut().skip(len).zip(bytes) {
            *to = *from;
        }
        let joined = (len + bytes.len()).min(LINE);
        self.len = u8::try_from(joined).unwrap_or_default();
        self.line.get(..joined).unwrap_or_default()
    }

    /// Returns true if a message to LDAP is a simple bind with a password. One that is cut waits for the rest, if it is short.
    pub(super) fn bind(&mut self, payload: &[u8]) -> bool {
        let is_whole = self.len == 0 && Elements::new(payload).next().is_some();
        let bytes = if is_whole { payload } else { self.join(payload) };
        let is_found = ldap(bytes);
        if is_whole || Elements::new(bytes).next().is_some() || bytes.len() == LINE {
            self.forget();
        }
        is_found
    }

    /// Reads the lines of a payload of the client. Returns the name of what carries a password.
    pub(super) fn lines(&mut self, class: Class, payload: &[u8]) -> Option<&'static str> {
        let mut rest = payload;
        for _ in 0..MAX_LINES {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let mut start = [0; LINE];
            let line = if self.len == 0 { piece.get(..LINE).unwrap_or(piece) } else { self.join(piece) };
            let line = match start.get_mut(..line.len()) {
                Some(copy) => {
                    copy.copy_from_slice(line);
                    &*copy
                }
                None => return None,
            };
            let found = self.line(class, line, end.is_some());
            if found.is_some() {
                self.forget();
                return found;
            }
            let Some(end) = end else {
                if self.len == 0 {
                    let _kept = self.join(line);
                }
                return None;
            };
            self.forget();
            rest = rest.get(end + 1..).unwrap_or_default();
            if rest.is_empty() || class == Class::Http && self.is_over {
                return None;
            }
        }
        None
    }

    /// Judges a line, or the beginning of one that is not complete.
    #[inline(never)]
    fn line(&mut self, class: Class, line: &[u8], is_complete: bool) -> Option<&'static str> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match class {
            Class::Http => self.header(line, is_complete),
            Class::Redis => self.command(line, is_complete),
            _ => self.login(line, is_complete),
        }
    }

    /// A line of an HTTP head.
    fn header(&mut self, line: &[u8], is_complete: bool) -> Option<&'static str> {
        if self.is_over {
            return None;
        }
        self.is_over = line.is_empty() && is_complete;
        let value = after(line, b"authorization:").or_else(|| after(line, b"proxy-authorization:"))?;
        let scheme = value.trim_ascii_start();
        has_argument(after(scheme, b"basic ")?).then_some("HTTP Basic")
    }

    /// A line of an array, the form in which clients send commands, or a command alone.
    fn command(&mut self, line: &[u8], is_complete: bool) -> Option<&'static str> {
        if let [b'*', ..] = line {
            self.array = u8::from(is_complete);
            return None;
        }
        let is_auth = self.array == 2 && is_complete && line.eq_ignore_ascii_case(b"auth");
        if self.array > 0 && is_complete {
            self.array = self.array.saturating_add(1);
        }
        (is_auth || self.array == 0 && after(line, b"auth ").is_some_and(has_argument)).then_some("Redis")
    }

    /// A command to FTP, SMTP, POP3 or IMAP.
    fn login(&mut self, line: &[u8], is_complete: bool) -> Option<&'static str> {
        if self.is_prompted {
            // A star ends the exchange (RFC 4954 section 4).
            let is_password = !line.is_empty() && line != b"*";
            self.is_prompted = !(is_complete || is_password);
            return is_password.then(|| self.mail());
        }
        if let Some(user) = after(line, b"user ") {
            self.is_over |=
                is_complete && (user.eq_ignore_ascii_case(b"anonymous") || user.eq_ignore_ascii_case(b"ftp"));
        } else if after(line, b"mail from").is_some() {
            self.is_over = true;
        }
        if self.is_over {
            return None;
        }
        if after(line, b"pass ").is_some_and(has_argument) {
            return Some(match self.greeting {
                b'+' => "POP3",
                b'2' => "FTP",
                _ => "PASS command",
            });
        }
        // IMAP puts a tag of its own before each command.
        let command = match self.greeting {
            b'*' => line.splitn(2, |byte| *byte == b' ').nth(1)?,
            _ => line,
        };
        if self.greeting == b'*' && after(command, b"login ").is_some_and(has_argument) {
            return Some("IMAP");
        }
        let mechanism = after(command, b"auth ").or_else(|| after(command, b"authenticate "))?;
        for name in [&b"plain"[..], b"login"] {
            match after(mechanism, name) {
                Some([]) if is_complete => self.is_prompted = true,
                Some([b' ', response @ ..]) if has_argument(response) => return Some(self.mail()),
                _ => {}
            }
        }
        None
    }

    const fn mail(&self) -> &'static str {
        match self.greeting {
            b'*' => "IMAP",
            b'+' => "POP3",
            _ => "SMTP",
        }
    }
}

/// Bytes that follow `start`, in letters of either case.
#[inline(never)]
fn after<'b>(bytes: &'b [u8], start: &[u8]) -> Option<&'b [u8]> {
    let (front, rest) = bytes.split_at_checked(start.len())?;
    front.eq_ignore_ascii_case(start).then_some(rest)
}

/// Returns true if a password is there and is not empty.
#[inline(never)]
fn has_argument(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !byte.is_ascii_whitespace())
}

/// Returns true if the end of a server's text asks for a password.
pub(super) fn is_prompt(payload: &[u8]) -> bool {
    let end = payload.get(payload.len().saturating_sub(32)..).unwrap_or_default();
    [&b"passw"[..], b"passcode"]
        .iter()
        .any(|word| end.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word)))
}

/// Password of an MQTT connection request; `None` if more bytes are needed.
pub(super) fn mqtt(bytes: &[u8]) -> Option<bool> {
    let (_, rest) = bytes.split_first()?;
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let body = rest.get(length + 1..)?;
    let name = [&b"\0\x04MQTT"[..], b"\0\x06MQIsdp"].into_iter().find(|name| body.starts_with(name));
    match name {
        // Behind the name: level, flags.
        Some(name) => Some(body.get(name.len() + 1)? & 0x40 != 0),
        None => (body.len() >= 8).then_some(false),
    }
}

/// A password in a simple bind to LDAP, the first message of a client.
fn ldap(bytes: &[u8]) -> bool {
    let password = || {
        let mut message = Elements::new(Elements::new(bytes).open(SEQUENCE)?);
        let _number = message.open(INTEGER)?;
        let mut bind = Elements::new(message.open(0x60)?);
        let (_version, _name) = (bind.open(INTEGER)?, bind.open(OCTET_STRING)?);
        bind.open(0x80)
    };
    password().is_some_and(|password| !password.is_empty())
}

/// A community of SNMP that is a password: any that writes, and all but `public`.
pub(super) fn snmp(payload: &[u8]) -> bool {
    const SET: u8 = 3;
    snmp::Message::parse(payload).is_some_and(|message| {
        let is_set = message.pdu.is_some_and(|pdu| pdu.kind == SET);
        message.community.is_some_and(|community| !community.is_empty() && (is_set || community != b"public"))
    })
}
