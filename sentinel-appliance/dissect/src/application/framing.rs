//! Whether bytes start a message that this crate reads, and how long that is.
//!
//! Read first: the files of the protocols. This only looks far enough to say when a message that spans segments is whole.

use sentinel_units::Port;

use super::tls::{CLIENT_HELLO, HANDSHAKE_RECORD, Handshake, SERVER_HELLO, Stop};
use crate::read::Cursor;

const DNS: Port = Port(53);
const SSH: Port = Port(22);
const TLS_CERTIFICATE: u8 = 11;
const TLS_SERVER_DONE: u8 = 14;
/// Messages of a server's first flight.
const MAX_TLS_MESSAGES: usize = 8;
/// Longest line with a version in SSH (RFC 4253 section 4.2).
const MAX_BANNER_LEN: usize = 255;
/// Lines that an SSH server may send before its version; RFC 4253 names no limit.
const MAX_BANNER_LINES: usize = 16;
/// Most messages of a DNS stream that are put together.
const MAX_DNS_MESSAGES: usize = 64;
const DNS_HEADER_LEN: usize = 12;

/// Capitals that are held, in the hope of a space behind them: `OPTIONS` has seven.
const MAX_START_LEN: usize = 8;

/// What some bytes of a stream are the start of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Probe {
    /// No message that this crate reads.
    Other,
    /// A message, all of it.
    Complete,
    /// A message that has so many bytes at least.
    More(usize),
}

/// Judges the bytes that one end of a TCP connection sent, by content; DNS and the lines before an SSH version, which cannot
/// be told otherwise, by the ports of sender and receiver.
#[must_use]
pub fn probe(bytes: &[u8], (source, destination): (Port, Port)) -> Probe {
    let either = |port| source == port || destination == port;
    match bytes {
        _ if either(DNS) => dns(bytes),
        [HANDSHAKE_RECORD, 3, _, _, _, CLIENT_HELLO, ..] => tls(bytes, client_hello),
        [HANDSHAKE_RECORD, 3, _, _, _, SERVER_HELLO, ..] => tls(bytes, server_flight),
        // Too short to tell, but nothing else begins so.
        [HANDSHAKE_RECORD] | [HANDSHAKE_RECORD, 3] | [HANDSHAKE_RECORD, 3, 0..=4, ..] if bytes.len() < 6 => {
            Probe::More(6)
        }
        [b'S', b'S', b'H', b'-', ..] => line(bytes),
        _ if either(SSH) => lines_before_banner(bytes),
        _ if starts_http(bytes) => head(bytes),
        // Could be the start of a method; whatever else it is, it is short.
        [_, ..] if bytes.len() < MAX_START_LEN && bytes.iter().all(u8::is_ascii_uppercase) => {
            Probe::More(bytes.len() + 1)
        }
        _ => Probe::Other,
    }
}

/// Judges the bytes of a handshake that QUIC carries: messages of TLS without records. The first one is all that is wanted.
#[must_use]
pub fn probe_handshake(bytes: &[u8]) -> Probe {
    let mut at = Cursor::new(bytes);
    if !matches!(at.u8(), Ok(CLIENT_HELLO | SERVER_HELLO)) {
        return Probe::Other;
    }
    match at.u24().map(usize::try_from) {
        Ok(Ok(len)) if at.len() >= len => Probe::Complete,
        Ok(Ok(len)) => Probe::More(4 + len),
        _ => Probe::More(4),
    }
}

fn tls(bytes: &[u8], walk: fn(&mut Handshake<'_>) -> Result<(), Stop>) -> Probe {
    match walk(&mut Handshake::new(bytes)) {
        Err(Stop::More(need)) => Probe::More(need),
        Ok(()) | Err(Stop::Over) => Probe::Complete,
    }
}

fn client_hello(at: &mut Handshake<'_>) -> Result<(), Stop> {
    at.u8()?;
    let len = at.u24()?;
    at.skip(len)
}

/// Up to the end of the first certificate, or of the last record before encryption starts.
fn server_flight(at: &mut Handshake<'_>) -> Result<(), Stop> {
    for _ in 0..MAX_TLS_MESSAGES {
        let kind = at.u8()?;
        let len = at.u24()?;
        match kind {
            TLS_SERVER_DONE => break,
            TLS_CERTIFICATE => {
                let _all = at.u24()?;
                let first = at.u24()?;
                return at.skip(first);
            }
            _ => at.skip(len)?,
        }
    }
    Ok(())
}

fn dns(bytes: &[u8]) -> Probe {
    let mut at = Cursor::new(bytes);
    for _ in 0..MAX_DNS_MESSAGES {
        if at.is_empty() {
            return Probe::Complete;
        }
        let before = bytes.len() - at.len();
        let Ok(len) = at.u16().map(usize::from) else { return Probe::More(before + 2) };
        if len < DNS_HEADER_LEN {
            return if before == 0 { Probe::Other } else { Probe::Complete };
        }
        if at.take(len).is_err() {
            return Probe::More(before + 2 + len);
        }
    }
    Probe::Complete
}

fn line(bytes: &[u8]) -> Probe {
    if bytes.iter().take(MAX_BANNER_LEN).any(|byte| *byte == b'\n') || bytes.len() >= MAX_BANNER_LEN {
        Probe::Complete
    } else {
        Probe::More(bytes.len() + 1)
    }
}

/// Text lines that an SSH server sends before its version.
fn lines_before_banner(bytes: &[u8]) -> Probe {
    let mut at = bytes;
    for _ in 0..MAX_BANNER_LINES {
        if at.starts_with(b"SSH-") {
            return match line(at) {
                Probe::More(need) => Probe::More(bytes.len() - at.len() + need),
                other => other,
            };
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r');
        let len = at.iter().take(MAX_BANNER_LEN).take_while(|byte| is_text(byte)).count();
        match at.get(len) {
            Some(b'\n') => at = at.get(len + 1..).unwrap_or_default(),
            None => return Probe::More(bytes.len() + 1),
            Some(_) => return Probe::Other,
        }
    }
    Probe::Other
}

/// A method in capitals and a target, or the start of a status line. A first line that is whole must name the protocol.
fn starts_http(bytes: &[u8]) -> bool {
    const STATUS: &[u8] = b"HTTP/1.";
    const MAX_METHOD_LEN: usize = 17;
    let start = bytes.get(..STATUS.len()).unwrap_or(bytes);
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
    method >= 3 && has_target && line.is_none_or(is_request)
}

/// Up to the empty line.
fn head(bytes: &[u8]) -> Probe {
    let tuple = |pair: &[u8]| pair == b"\n\n";
    if bytes.windows(4).any(|four| four == b"\r\n\r\n") || bytes.windows(2).any(tuple) {
        Probe::Complete
    } else {
        Probe::More(bytes.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const ANY: (Port, Port) = (Port(40_000), Port(4_000));

    /// Every prefix wants more, and never more than there is; the whole is whole.
    fn grows_to(whole: &[u8], ports: (Port, Port), from: usize) {
        assert_eq!(probe(whole, ports), Probe::Complete);
        for cut in from..whole.len() {
            match probe(&whole[..cut], ports) {
                Probe::More(need) => assert!(need > cut && need <= whole.len(), "{cut}: {need}"),
                other => panic!("{cut}: {other:?}"),
            }
        }
    }

    fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
        let len = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1, len[0], len[1]][..], fragment].concat()
    }

    #[test]
    fn messages_want_their_rest() {
        let hello = [&[CLIENT_HELLO, 0, 0, 40][..], &[9; 40]].concat();
        grows_to(&record(22, &hello), ANY, 1);
        let split: Vec<u8> = hello.chunks(7).flat_map(|piece| record(22, piece)).collect();
        grows_to(&split, ANY, 1);
        grows_to(b"SSH-2.0-OpenSSH_9.9 Debian\r\n", ANY, 4);
        grows_to(b"Welcome\r\nSSH-2.0-x\r\n", (SSH, Port(50_000)), 1);
        grows_to(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ANY, 1);
        grows_to(b"HTTP/1.1 200 OK\r\n\r\n", ANY, 1);
        let message = [&[0, 12][..], &[1; 12], &[0, 13], &[2; 13]].concat();
        let cuts: Vec<_> = (1..message.len()).filter(|cut| *cut != 14).collect();
        for cut in cuts {
            assert!(matches!(probe(&message[..cut], (Port(50_000), DNS)), Probe::More(need) if need > cut));
        }
        assert_eq!(probe(&message, (Port(50_000), DNS)), Probe::Complete);
    }

    #[test]
    fn a_server_is_read_up_to_its_certificate() {
        let hello = [&[SERVER_HELLO, 0, 0, 40][..], &[9; 40]].concat();
        let certificate = [&[TLS_CERTIFICATE, 0, 0, 30, 0, 0, 27, 0, 0, 5][..], &[1; 5]].concat();
        let framing = [&hello[..], &certificate].concat();
        let whole = [record(22, &framing), record(22, &[12, 0, 9, 9])].concat();
        let enough = 5 + framing.len();
        assert_eq!(probe(&whole[..enough], ANY), Probe::Complete, "the key exchange is not waited for");
        grows_to(&whole[..enough], ANY, 1);
        // encrypted from the second record on
        let third = [record(22, &hello), record(20, &[1])].concat();
        assert_eq!(probe(&third, ANY), Probe::Complete);
        assert_eq!(probe(&third[..5 + hello.len()], ANY), Probe::More(5 + hello.len() + 5));
    }

    #[test]
    fn a_handshake_without_records_is_one_message() {
        let hello = [&[CLIENT_HELLO, 0, 0, 40][..], &[9; 40]].concat();
        assert_eq!(probe_handshake(&hello), Probe::Complete);
        for cut in 1..hello.len() {
            assert_eq!(probe_handshake(&hello[..cut]), Probe::More(if cut < 4 { 4 } else { 44 }));
        }
        assert_eq!((probe_handshake(&[]), probe_handshake(&[8, 0, 0, 1])), (Probe::Other, Probe::Other));
    }

    #[test]
    fn other_bytes_are_told_at_once() {
        for bytes in [
            &b"220 mail ESMTP\r\n"[..],
            b"\x17\x03\x03\x00\x10",
            b"hello world",
            b"",
            b"get / HTTP/1.1",
            &[0; 40],
        ] {
            assert_eq!(probe(bytes, ANY), Probe::Other, "{bytes:?}");
        }
        assert_eq!(probe(&[0, 5, 1, 2, 3, 4, 5], (DNS, Port(9))), Probe::Other);
        assert_eq!(probe(&[0x80, 1, 2], (SSH, Port(9))), Probe::Other);
    }
}
