//! `NetBIOS` over TCP/IP: names, and the sessions that carry SMB.
//!
//! Read first: RFC 1002 sections 4.1 (names), 4.2 (name service), 4.3 (sessions).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// Name service, by a name in its encoding.
pub const NAME_SERVICE: Protocol = Protocol {
    datagram: Some(|payload, _| NameMessage::parse(payload).is_some()),
    ..Protocol::new(service::NETBIOS_NS, "NBNS", "RFC 1002")
};
/// Sessions, by types that need no message behind them and names in their encoding; messages of SMB are SMB.
pub const SESSION_SERVICE: Protocol = Protocol {
    segment: Some(|payload, ports| Session::parse(payload, ports).is_some()),
    framing: Some(message_len),
    ..Protocol::new(service::NETBIOS_SSN, "NBSS", "RFC 1002")
};
pub(super) const PROTOCOLS: &[Protocol] = &[NAME_SERVICE, SESSION_SERVICE];
pub(super) const FUZZ_BODIES: &[Body] = &[("netbios", fuzz)];

/// Bytes of a name before its encoding; the last is the kind of service.
const NAME_LEN: usize = 16;
/// Bytes of a name in a session request: length, 32 letters, no scope.
const ENCODED_LEN: usize = 34;

/// A name: fifteen bytes without the spaces at their end, and the kind of service (0x00 workstation, 0x20 file server, 0x1c
/// domain controllers).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name {
    bytes: [u8; NAME_LEN],
}

impl Name {
    /// Reads the length and the 32 letters of a name.
    fn parse(at: &mut Cursor<'_>) -> Option<Self> {
        let encoded: &[u8; 33] = at.array().ok()?;
        let (&32, letters) = encoded.split_first()? else { return None };
        let mut bytes = [0; NAME_LEN];
        let (pairs, _) = letters.as_chunks();
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let &[high @ b'A'..=b'P', low @ b'A'..=b'P'] = pair else { return None };
            *byte = (high - b'A') << 4 | (low - b'A');
        }
        Some(Self { bytes })
    }

    /// The text, without the spaces or zeros at its end.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let (text, _) = self.bytes.split_at(NAME_LEN - 1);
        let end = text.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
        text.get(..end).unwrap_or_default()
    }

    /// The kind of service.
    #[must_use]
    pub const fn suffix(&self) -> u8 {
        let [.., suffix] = self.bytes;
        suffix
    }
}

/// A message of the name service.
#[derive(Clone, Copy, Debug)]
pub struct NameMessage<'p> {
    /// Number that a response repeats, and the flags behind it.
    pub header: &'p [u8; 4],
    /// The name asked for or answered.
    pub name: Name,
    /// 0x20 address, 0x21 state of a node.
    pub kind: u16,
    /// Address of the first record behind the question, if it has one.
    pub address: Option<&'p [u8; 4]>,
}

impl<'p> NameMessage<'p> {
    /// Reads a datagram; `None` if it has no name in the encoding of `NetBIOS`.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        let mut at = Cursor::new(payload);
        let header = at.array().ok()?;
        let counts = [at.u16().ok()?, at.u16().ok()?, at.u16().ok()?, at.u16().ok()?];
        let [questions, answers, _, additional] = counts;
        if !matches!((questions, answers), (0..=1, 0..=1)) {
            return None;
        }
        let name = Name::parse(&mut at)?;
        skip_scope(&mut at)?;
        let (kind, _class) = (at.u16().ok()?, at.u16().ok()?);
        let has_record = answers > 0 || additional > 0;
        // Behind a question the record points back to its name (RFC 1002 section 4.2.2).
        if questions > 0 && has_record {
            let pointer_type_class = at.take(6).ok();
            pointer_type_class.filter(|fixed| fixed.first().is_some_and(|first| first & 0xc0 == 0xc0))?;
        }
        let address = if has_record { record_address(&mut at) } else { None };
        matches!(kind, 0x0a | 0x20 | 0x21).then_some(Self { header, name, kind, address })
    }
}

/// Skips the labels behind a name, of which there are none in practice.
fn skip_scope(at: &mut Cursor<'_>) -> Option<()> {
    for _ in 0..8 {
        let len = at.u8().ok().filter(|len| *len < 64)?;
        if len == 0 {
            return Some(());
        }
        at.take(usize::from(len)).ok()?;
    }
    None
}

/// Time to live, length 6 times the addresses, flags, the first address.
fn record_address<'p>(at: &mut Cursor<'p>) -> Option<&'p [u8; 4]> {
    at.u32().ok()?;
    let len = at.u16().ok()?;
    at.u16().ok().filter(|_| len >= 6 && len.is_multiple_of(6))?;
    at.array().ok()
}

/// A message of the session service other than data.
#[derive(Clone, Copy, Debug)]
pub struct Session<'p> {
    /// 0x81 request, 0x82 accepted, 0x83 refused, 0x84 go elsewhere, 0x85 keep alive.
    pub kind: u8,
    /// Called and calling name of a request.
    pub names: Option<(Name, Name)>,
    /// Bytes behind the length: the reason of a refusal, an address.
    pub body: &'p [u8],
    /// Bytes behind the message.
    pub remaining: &'p [u8],
}

impl<'p> Session<'p> {
    /// Reads a message; `None` if it is none of these. All but requests need the port.
    #[must_use]
    pub fn parse(bytes: &'p [u8], ports: Ports) -> Option<Self> {
        let mut at = Cursor::new(bytes);
        let &[kind, 0, h, l] = at.array().ok()? else { return None };
        let len = usize::from(u16::from_be_bytes([h, l]));
        let is_possible = match kind {
            0x81 => len >= 2 * ENCODED_LEN,
            0x82 | 0x85 => len == 0,
            0x83 => len == 1,
            0x84 => len == 6,
            _ => false,
        };
        let body = at.take(len).ok().filter(|_| is_possible)?;
        let names = if kind == 0x81 { Some(names(body)?) } else { None };
        let is_mine = names.is_some() || has_any_port(ports, service::NETBIOS_SSN.server.tcp);
        is_mine.then_some(Self { kind, names, body, remaining: at.remaining() })
    }
}

fn names(body: &[u8]) -> Option<(Name, Name)> {
    let mut at = Cursor::new(body);
    let called = Name::parse(&mut at)?;
    skip_scope(&mut at)?;
    Some((called, Name::parse(&mut at)?))
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    if Session::parse(bytes, ports).is_some() {
        return Some(MessageLen::Complete);
    }
    // A request of 72 bytes that is cut.
    matches!(*bytes, [0x81, 0, 0, 68, 32, ..]).then(|| fixed_len(bytes, 4 + 2 * ENCODED_LEN))
}

/// Fuzz body: a datagram, and a session message.
fn fuzz(bytes: &[u8]) {
    if let Some(message) = NameMessage::parse(bytes) {
        assert!(message.name.text().len() < NAME_LEN && bytes.len() >= 50);
    }
    let ports = (sentinel_units::Port(1), sentinel_units::Port(139));
    if let Some(session) = Session::parse(bytes, ports) {
        assert!(session.body.len() + session.remaining.len() + 4 == bytes.len());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;
    use std::vec::Vec;

    const PORTS: Ports = (Port(50_000), Port(139));

    fn encoded(name: &[u8], suffix: u8) -> Vec<u8> {
        let mut bytes = [b' '; NAME_LEN];
        bytes[..name.len()].copy_from_slice(name);
        bytes[15] = suffix;
        let letters = bytes.iter().flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 15)]);
        [[32].to_vec(), letters.collect(), [0].to_vec()].concat()
    }

    #[test]
    fn a_query_and_its_response_give_the_name() {
        let query =
            [&[0x80, 1, 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 0][..], &encoded(b"FRED", 0x20), &[0, 0x20, 0, 1]]
                .concat();
        let message = NameMessage::parse(&query).unwrap();
        assert_eq!((message.name.text(), message.name.suffix(), message.kind), (&b"FRED"[..], 0x20, 0x20));
        for cut in 0..query.len() {
            assert!(NameMessage::parse(&query[..cut]).is_none(), "{cut}");
        }
        let tail = [0, 0x20, 0, 1, 0, 0, 1, 0, 0, 6, 0, 0, 192, 0, 2, 7];
        let response =
            [&[0x80, 1, 0x85, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &encoded(b"FRED", 0x20), &tail].concat();
        assert_eq!(NameMessage::parse(&response).unwrap().address, Some(&[192, 0, 2, 7]));
    }

    #[test]
    fn other_names_are_rejected() {
        let mut query =
            [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &encoded(b"FRED", 0x20), &[0, 0x20, 0, 1]].concat();
        query[20] = b'Q';
        assert!(NameMessage::parse(&query).is_none());
        assert!(
            NameMessage::parse(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01").is_none()
        );
    }

    #[test]
    fn a_session_request_has_two_names() {
        let body = [encoded(b"SERVER", 0x20), encoded(b"CLIENT", 0)].concat();
        let bytes = [&[0x81, 0, 0, 68][..], &body].concat();
        let (called, calling) = Session::parse(&bytes, (Port(1), Port(2))).unwrap().names.unwrap();
        assert_eq!((called.text(), calling.text()), (&b"SERVER"[..], &b"CLIENT"[..]));
        for cut in 5..bytes.len() {
            assert_eq!(message_len(&bytes[..cut], PORTS), Some(MessageLen::AtLeast(72)), "{cut}");
        }
        assert_eq!(Session::parse(&[0x83, 0, 0, 1, 0x82], PORTS).unwrap().body, [0x82]);
        assert!(Session::parse(&[0x85, 0, 0, 0], (Port(1), Port(2))).is_none());
    }
}
