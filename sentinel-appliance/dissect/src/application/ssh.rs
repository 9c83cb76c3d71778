//! SSH version lines, with which both sides begin.
//!
//! Read first: RFC 4253 section 4.2.

use sentinel_units::{port, service};

use super::framing::{MessageLen, line_len};
use super::protocol::{Body, Ports, Protocol, has_port};
use crate::read::Malformed;

/// SSH, by its first line.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| payload.starts_with(START)),
    framing: Some(message_len),
    ..Protocol::new(service::SSH, "SSH", "RFC 4253")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("ssh_banner", fuzz)];

/// Beginning of the line that names the version.
const START: &[u8] = b"SSH-";

/// Longest line, its end included.
const MAX_LINE_LEN: usize = 255;
/// Lines that a server may send before its version; the document names no limit.
const MAX_LINES: usize = 16;

/// `SSH-2.0-OpenSSH_9.9 Debian-1`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Banner<'p> {
    /// `2.0`, or `1.99` of one that supports both.
    pub protocol_version: &'p str,
    /// `OpenSSH_9.9`.
    pub software: &'p str,
    /// `Debian-1`, if there is more.
    pub comments: Option<&'p str>,
}

impl<'p> Banner<'p> {
    /// Reads the payload of a segment that starts with the line, or with the lines that a server may send before it.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if no line starts with `SSH-`.
    /// - [`Malformed::BadSyntax`] if it has no two dashes, or other bytes than printable ASCII.
    pub fn parse(payload: &'p [u8]) -> Result<Self, Malformed> {
        let line = payload
            .split(|byte| *byte == b'\n')
            .take(MAX_LINES)
            .find_map(|line| line.strip_prefix(START))
            .ok_or(Malformed::OtherProtocol)?;
        let line = line.get(..MAX_LINE_LEN).unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_| Malformed::BadSyntax)?;
        if !line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(Malformed::BadSyntax);
        }
        let (protocol_version, remaining) = line.split_once('-').ok_or(Malformed::BadSyntax)?;
        let (software, comments) = match remaining.split_once(' ') {
            Some((software, comments)) => (software, Some(comments)),
            None => (remaining, None),
        };
        Ok(Self { protocol_version, software, comments })
    }
}

/// Length of the version line; on port 22 with the lines that a server may send before it.
fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    if bytes.starts_with(START) {
        return Some(line_len(bytes, MAX_LINE_LEN));
    }
    has_port(ports, port::SSH).then(|| lines_and_banner_len(bytes))
}

/// Length of the text lines that a server sends before its version, and of that.
fn lines_and_banner_len(bytes: &[u8]) -> MessageLen {
    let mut at = bytes;
    for _ in 0..MAX_LINES {
        if at.starts_with(START) {
            return match line_len(at, MAX_LINE_LEN) {
                MessageLen::AtLeast(need) => MessageLen::AtLeast(bytes.len() - at.len() + need),
                other => other,
            };
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r');
        let len = at.iter().take(MAX_LINE_LEN).take_while(|byte| is_text(byte)).count();
        match at.get(len) {
            Some(b'\n') => at = at.get(len + 1..).unwrap_or_default(),
            None => return MessageLen::AtLeast(bytes.len() + 1),
            Some(_) => return MessageLen::Unrecognised,
        }
    }
    MessageLen::Unrecognised
}

/// Fuzz body: the first line of SSH.
fn fuzz(bytes: &[u8]) {
    let Ok(banner) = Banner::parse(bytes) else { return };
    assert!(banner.software.len() + banner.protocol_version.len() < 255);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_software() {
        let banner = Banner::parse(b"SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.11\r\n\0\0\x05").unwrap();
        assert_eq!((banner.protocol_version, banner.software), ("2.0", "OpenSSH_8.2p1"));
        assert_eq!(banner.comments, Some("Ubuntu-4ubuntu0.11"));
        let banner = Banner::parse(b"Hello\r\nSSH-1.99-Cisco-1.25\n").unwrap();
        assert_eq!((banner.protocol_version, banner.software, banner.comments), ("1.99", "Cisco-1.25", None));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let line = b"SSH-2.0-OpenSSH_9.9\r\n";
        for cut in 0..line.len() {
            match Banner::parse(&line[..cut]) {
                Ok(banner) => assert!(cut >= 8 && "OpenSSH_9.9".starts_with(banner.software), "{cut}"),
                Err(error) => assert!(cut < 8 && (error == Malformed::OtherProtocol) == (cut < 4), "{cut}"),
            }
        }
    }

    #[test]
    fn other_bytes_are_rejected() {
        assert_eq!(Banner::parse(b"GET / HTTP/1.1"), Err(Malformed::OtherProtocol));
        assert_eq!(Banner::parse(b"SSH-2.0-\xff\n"), Err(Malformed::BadSyntax));
        assert_eq!(Banner::parse(b"SSH-2\n"), Err(Malformed::BadSyntax));
    }
}
