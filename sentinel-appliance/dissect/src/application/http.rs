//! Heads of HTTP/1 requests and responses.
//!
//! Read first: RFC 9112 sections 2 to 5; RFC 9110 section 5.6.2 (tokens).

use sentinel_units::service;

use super::framing::{MessageLen, take_line};
use super::protocol::{Body, Ports, Protocol, starts_with_any};
use crate::read::{Cursor, Malformed};

/// HTTP/1, and the preface of HTTP/2 without TLS, by a method or the start of a status line.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| starts_with_any(payload, STARTS)),
    framing: Some(message_len),
    ..Protocol::new(service::HTTP, "HTTP", "RFC 9112")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("http_request", fuzz_request), ("http_response", fuzz_response)];

/// Beginnings of a request or a response.
const STARTS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"HTTP/1.",
    b"PRI * HTTP/2.0",
    b"PROPFIND ",
];
/// Capital letters that are held until a space follows or not: `OPTIONS` has seven.
const MAX_START_LEN: usize = 8;

/// Most header lines read.
const MAX_HEADERS: usize = 64;
/// Most bytes of a line, as common servers allow.
pub(super) const MAX_LINE_LEN: usize = 8192;
/// Most bytes of a method; the longest registered one has 17.
const MAX_METHOD_LEN: usize = 32;

/// A request, complete or as much of its head as was there.
#[derive(Clone, Copy, Debug)]
pub struct Request<'p> {
    /// `GET`, `POST`, ...; case matters.
    pub method: &'p str,
    /// Request target as sent: mostly a path with a query.
    pub target: &'p [u8],
    /// Minor version: 1 for HTTP/1.1.
    pub minor_version: u8,
    /// The lines behind the request line, and the body.
    pub head: Head<'p>,
}

impl<'p> Request<'p> {
    /// Reads the payload of a TCP segment that starts with a request.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the request line does not end and could still be one.
    /// - [`Malformed::BadLength`] if it is longer than 8,192 bytes.
    /// - [`Malformed::BadVersion`] if it is not HTTP/1.
    /// - [`Malformed::OtherProtocol`] if it is no request line.
    pub fn parse(payload: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(payload);
        let remaining = at.remaining();
        let method_len =
            remaining.iter().take(MAX_METHOD_LEN + 1).take_while(|byte| is_token(**byte)).count();
        // Looked at before the line's end, so that long binary payloads cost no more than their first bytes.
        match remaining.get(method_len) {
            Some(b' ') if (1..=MAX_METHOD_LEN).contains(&method_len) => {}
            None if method_len <= MAX_METHOD_LEN => return Err(Malformed::Truncated),
            _ => return Err(Malformed::OtherProtocol),
        }
        let line = take_line(&mut at, MAX_LINE_LEN)?;
        let (method, line) = split_at_space(line).ok_or(Malformed::OtherProtocol)?;
        let (target, version) = split_at_space(line).ok_or(Malformed::OtherProtocol)?;
        if target.is_empty() || target.iter().any(u8::is_ascii_control) {
            return Err(Malformed::OtherProtocol);
        }
        // Tokens are ASCII, so this cannot fail; it is the safe way to a `str`.
        let method = str::from_utf8(method).map_err(|_| Malformed::OtherProtocol)?;
        Ok(Self { method, target, minor_version: minor_version(version)?, head: Head::parse(at) })
    }

    /// `Host` header as sent.
    #[must_use]
    pub fn host(&self) -> Option<&'p [u8]> {
        self.head.value("host")
    }

    /// `User-Agent` header as sent.
    #[must_use]
    pub fn user_agent(&self) -> Option<&'p [u8]> {
        self.head.value("user-agent")
    }
}

/// A response, complete or as much of its head as was there.
#[derive(Clone, Copy, Debug)]
pub struct Response<'p> {
    /// Minor version: 1 for HTTP/1.1.
    pub minor_version: u8,
    /// 100 to 999.
    pub status: u16,
    /// Text behind the status; may be empty.
    pub reason: &'p [u8],
    /// The lines behind the status line, and the body.
    pub head: Head<'p>,
}

impl<'p> Response<'p> {
    /// Reads the payload of a TCP segment that starts with a response.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the status line does not end and could still be one.
    /// - [`Malformed::BadLength`] if it is longer than 8,192 bytes.
    /// - [`Malformed::BadVersion`] if it is not HTTP/1.
    /// - [`Malformed::OtherProtocol`] if it is no status line.
    pub fn parse(payload: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(payload);
        let start = at.remaining().get(..5).unwrap_or(at.remaining());
        if !b"HTTP/".starts_with(start) {
            return Err(Malformed::OtherProtocol);
        }
        let line = take_line(&mut at, MAX_LINE_LEN)?;
        let (version, line) = split_at_space(line).ok_or(Malformed::OtherProtocol)?;
        let (status, reason) = split_at_space(line).unwrap_or((line, &[]));
        let status = match *status {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(Malformed::OtherProtocol),
        };
        Ok(Self { minor_version: minor_version(version)?, status, reason, head: Head::parse(at) })
    }
}

/// The header lines of a message, and what follows them.
#[derive(Clone, Copy, Debug)]
pub struct Head<'p> {
    lines: &'p [u8],
    /// Captured bytes behind the empty line; empty if that was not reached.
    pub body: &'p [u8],
    /// Fault of the lines; `None` for a complete head without one. [`Malformed::Truncated`]: the
    /// payload ends before the empty line. [`Malformed::BadSyntax`]: a line is no header, or folded
    /// (RFC 9112 section 5.2); it is left out. [`Malformed::TooManyHeaders`], [`Malformed::BadLength`]: more
    /// than 64 lines or one of more than 8,192 bytes; the lines behind them are not read.
    pub malformed: Option<Malformed>,
}

impl<'p> Head<'p> {
    pub(super) fn parse(start: Cursor<'p>) -> Self {
        let mut at = start;
        let mut malformed = None;
        // One iteration more than headers, for the empty line behind them.
        for _ in 0..=MAX_HEADERS {
            let before = at.len();
            let line = match take_line(&mut at, MAX_LINE_LEN) {
                Ok(line) => line,
                Err(error) => {
                    malformed = malformed.or(Some(error));
                    return Self { lines: taken(start, before), body: &[], malformed };
                }
            };
            if line.is_empty() {
                return Self { lines: taken(start, before), body: at.remaining(), malformed };
            }
            if header(line).is_none() {
                malformed = malformed.or(Some(Malformed::BadSyntax));
            }
        }
        Self { lines: taken(start, at.len()), body: &[], malformed: Some(Malformed::TooManyHeaders) }
    }

    /// The headers in the order sent.
    #[must_use]
    pub const fn headers(&self) -> Headers<'p> {
        Headers { at: Cursor::new(self.lines), left: MAX_HEADERS }
    }

    /// Value of the first header of this name; case does not matter.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'p [u8]> {
        self.headers().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }
}

/// The bytes of `start` before its last `left` bytes.
fn taken(start: Cursor<'_>, left: usize) -> &[u8] {
    let mut at = start;
    at.take_up_to(start.len().saturating_sub(left))
}

/// One header line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'p> {
    /// Name as sent; case does not matter.
    pub name: &'p str,
    /// Value as sent, without white space around it.
    pub value: &'p [u8],
}

/// Iterator over headers. Lines that are none are left out.
#[derive(Clone, Debug)]
pub struct Headers<'p> {
    at: Cursor<'p>,
    left: usize,
}

impl<'p> Iterator for Headers<'p> {
    type Item = Header<'p>;

    fn next(&mut self) -> Option<Header<'p>> {
        loop {
            // Counts the lines that are no header as well, as `Head::parse` did, so both read the same lines.
            self.left = self.left.checked_sub(1)?;
            if let Some(header) = header(take_line(&mut self.at, MAX_LINE_LEN).ok()?) {
                return Some(header);
            }
        }
    }
}

fn header(line: &[u8]) -> Option<Header<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    // White space before the colon makes the line invalid (RFC 9112 section 5.1).
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    Some(Header { name: str::from_utf8(name).ok()?, value: value.get(1..)?.trim_ascii() })
}

pub(super) fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (before, behind) = line.split_at_checked(space)?;
    Some((before, behind.get(1..)?))
}

fn minor_version(text: &[u8]) -> Result<u8, Malformed> {
    match *text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => Ok(minor - b'0'),
        [b'H', b'T', b'T', b'P', b'/', ..] => Err(Malformed::BadVersion),
        _ => Err(Malformed::OtherProtocol),
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Length of the head of a request or response.
fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    if starts_http(bytes) {
        return Some(head_len(bytes));
    }
    // Could be the start of a method; if it is not, little was held in vain.
    let may_be_method = bytes.len() < MAX_START_LEN && bytes.iter().all(u8::is_ascii_uppercase);
    (may_be_method && !bytes.is_empty()).then(|| MessageLen::AtLeast(bytes.len() + 1))
}

/// A method in capitals and a target, or the start of a status line. A complete first line must name the protocol.
fn starts_http(bytes: &[u8]) -> bool {
    const STATUS: &[u8] = b"HTTP/1.";
    const MAX_METHOD_LEN: usize = 17;
    let start = bytes.get(..STATUS.len()).unwrap_or(bytes);
    // `H`, `HT` and `HTT` may still be the start of a method.
    if STATUS.starts_with(start) && start.len() >= 4 {
        return true;
    }
    let method = bytes
        .iter()
        .take(MAX_METHOD_LEN)
        .take_while(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
        .count();
    let Some([b' ', target @ ..]) = bytes.get(method..) else { return false };
    let has_target = match target {
        [] | [b'/' | b'*', ..] => true,
        _ if bytes.starts_with(b"CONNECT ") => true,
        _ => b"http".starts_with(target.get(..4).unwrap_or(target)),
    };
    let is_request = |line: &[u8]| line.windows(6).any(|window| window == b" HTTP/");
    let line = bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(..end));
    // No registered method is shorter than three letters.
    method >= 3 && has_target && line.is_none_or(is_request)
}

/// Length of a head: up to the empty line.
pub(super) fn head_len(bytes: &[u8]) -> MessageLen {
    let is_empty_line = |pair: &[u8]| pair == b"\n\n";
    if bytes.windows(4).any(|four| four == b"\r\n\r\n") || bytes.windows(2).any(is_empty_line) {
        MessageLen::Complete
    } else {
        // The end cannot be predicted: any next byte may complete the head.
        MessageLen::AtLeast(bytes.len() + 1)
    }
}

/// Fuzz body: an HTTP request.
fn fuzz_request(bytes: &[u8]) {
    let Ok(request) = Request::parse(bytes) else { return };
    assert!(!request.method.is_empty() && !request.target.is_empty());
    let _ = (request.host(), request.user_agent());
    check_head(&request.head, bytes);
}

/// Fuzz body: an HTTP response.
fn fuzz_response(bytes: &[u8]) {
    let Ok(response) = Response::parse(bytes) else { return };
    assert!((100..=999).contains(&response.status));
    check_head(&response.head, bytes);
}

fn check_head(head: &Head<'_>, bytes: &[u8]) {
    assert!(head.headers().count() <= 64);
    assert!(head.headers().all(|header| !header.name.is_empty()));
    assert!(head.body.is_empty() || bytes.ends_with(head.body));
    assert!(head.malformed != Some(Malformed::Truncated) || head.body.is_empty());
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const REQUEST: &[u8] =
        b"GET /a?b=c HTTP/1.1\r\nHost: www.example.org\r\nuser-agent:\tcurl/8.0 \r\nX-Empty:\r\n\r\nbody";
    const RESPONSE: &[u8] = b"HTTP/1.0 404 Not Found\r\nServer: nginx\r\n\r\nbody";

    #[test]
    fn a_request_is_parsed() {
        let request = Request::parse(REQUEST).unwrap();
        assert_eq!((request.method, request.target, request.minor_version), ("GET", &b"/a?b=c"[..], 1));
        assert_eq!(request.host(), Some(&b"www.example.org"[..]));
        assert_eq!(request.user_agent(), Some(&b"curl/8.0"[..]));
        assert_eq!(request.head.value("x-empty"), Some(&b""[..]));
        assert_eq!((request.head.body, request.head.malformed), (&b"body"[..], None));
        let names: Vec<_> = request.head.headers().map(|header| header.name).collect();
        assert_eq!(names, ["Host", "user-agent", "X-Empty"]);
    }

    #[test]
    fn a_response_is_parsed() {
        let response = Response::parse(RESPONSE).unwrap();
        assert_eq!((response.status, response.reason, response.minor_version), (404, &b"Not Found"[..], 0));
        assert_eq!(response.head.value("SERVER"), Some(&b"nginx"[..]));
        assert_eq!(response.head.body, b"body");
        assert_eq!(Response::parse(b"HTTP/1.1 200\r\n\r\n").unwrap().reason, b"");
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..REQUEST.len() {
            match Request::parse(&REQUEST[..cut]) {
                Err(error) => assert!(cut < 21 && error == Malformed::Truncated, "{cut} {error}"),
                Ok(request) => {
                    let is_whole = cut >= REQUEST.len() - 4;
                    assert_eq!(request.head.malformed.is_none(), is_whole, "{cut}");
                    assert_eq!(request.host().is_some(), cut >= 44, "{cut}");
                    assert_eq!(request.head.body.len(), if is_whole { cut + 4 - REQUEST.len() } else { 0 });
                }
            }
        }
        for cut in 0..RESPONSE.len() {
            match Response::parse(&RESPONSE[..cut]) {
                Err(error) => assert!(cut < 24 && error == Malformed::Truncated, "{cut} {error}"),
                Ok(response) => assert_eq!(response.head.malformed.is_none(), cut >= RESPONSE.len() - 4),
            }
        }
    }

    #[test]
    fn lines_may_end_without_a_carriage_return() {
        let request = Request::parse(b"GET / HTTP/1.1\nHost: a\n\nbody").unwrap();
        assert_eq!((request.host(), request.head.body), (Some(&b"a"[..]), &b"body"[..]));
    }

    #[test]
    fn lines_that_are_no_headers_are_a_fault_and_left_out() {
        for line in ["no colon", " folded: line", "sp ace: x", ": no name", "b\u{e9}: x"] {
            let bytes = [b"GET / HTTP/1.1\r\n", line.as_bytes(), b"\r\nHost: a\r\n\r\n"].concat();
            let request = Request::parse(&bytes).unwrap();
            assert_eq!(request.head.malformed, Some(Malformed::BadSyntax), "{line}");
            assert_eq!((request.host(), request.head.headers().count()), (Some(&b"a"[..]), 1), "{line}");
        }
    }

    #[test]
    fn too_many_headers_and_too_long_lines_are_faults() {
        for (count, malformed) in [(64, None), (65, Some(Malformed::TooManyHeaders))] {
            let bytes = [b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(count)[..], b"\r\n"].concat();
            let request = Request::parse(&bytes).unwrap();
            assert_eq!((request.head.malformed, request.head.headers().count()), (malformed, 64));
        }
        let long = [b"GET /", &b"a".repeat(MAX_LINE_LEN)[..], b" HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(Request::parse(&long).err(), Some(Malformed::BadLength));
        let long =
            [b"GET / HTTP/1.1\r\nHost: a\r\nb: ", &b"a".repeat(MAX_LINE_LEN)[..], b"\r\n\r\n"].concat();
        let request = Request::parse(&long).unwrap();
        assert_eq!((request.head.malformed, request.host()), (Some(Malformed::BadLength), Some(&b"a"[..])));
    }

    #[test]
    fn other_bytes_are_rejected() {
        for (bytes, error) in [
            (&b"\x16\x03\x01\x00\x05"[..], Malformed::OtherProtocol),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Malformed::OtherProtocol),
            (b"GET /\r\n", Malformed::OtherProtocol),
            (b"GET  HTTP/1.1\r\n", Malformed::OtherProtocol),
            (b"GET / FTP/1.1\r\n", Malformed::OtherProtocol),
            (b"GET /\x01 HTTP/1.1\r\n", Malformed::OtherProtocol),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Malformed::BadVersion),
            (b"AVERYLONGWORDTHATISNOMETHODOFANYKIND / HTTP/1.1\r\n", Malformed::OtherProtocol),
        ] {
            assert_eq!(Request::parse(bytes).err(), Some(error), "{bytes:?}");
        }
        for status in
            ["HTTP/1.1 20 OK\r\n", "HTTP/1.1 099 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTQ/1.1 200 OK\r\n"]
        {
            assert_eq!(Response::parse(status.as_bytes()).err(), Some(Malformed::OtherProtocol), "{status}");
        }
        assert_eq!(Response::parse(b"HTTP/3.0 200 OK\r\n").err(), Some(Malformed::BadVersion));
    }
}
