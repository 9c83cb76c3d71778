//! Kerberos version 5: requests for tickets and their answers.
//!
//! Read first: RFC 4120 sections 5.2 (names), 5.4 and 5.9 (messages), 7.2.2 (length before each message over TCP).

use sentinel_units::service;

use super::ber::{self, CONTEXT, Elements, INTEGER, SEQUENCE};
use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol};
use crate::read::Cursor;

/// Kerberos, by the types and version in its first bytes.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| starts_record(payload)),
    datagram: Some(|payload, _| Message::parse(payload).is_some()),
    framing: Some(message_len),
    ..Protocol::new(service::KERBEROS, "KERBEROS", "RFC 4120")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("kerberos", fuzz)];

/// Answer with an error.
pub const ERROR: u8 = 30;
/// Most encryption types and parts of a name that are read.
const MAX_ITEMS: usize = 32;
/// Longest message over TCP that is waited for.
const MAX_RECORD_LEN: u32 = 1 << 16;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 10 AS-REQ, 11 AS-REP, 12 TGS-REQ, 13 TGS-REP, 14 AP-REQ, 15 AP-REP, 30 KRB-ERROR.
    pub kind: u8,
    fields: &'p [u8],
    /// Body of a request, ticket of an answer; else as `fields`.
    inner: &'p [u8],
}

/// A name in parts, as `krbtgt/EXAMPLE.ORG`.
#[derive(Clone, Copy, Debug)]
pub struct Name<'p>(&'p [u8]);

impl<'p> Name<'p> {
    /// The parts, at most 32.
    pub fn parts(&self) -> impl Iterator<Item = &'p [u8]> + use<'p> {
        Elements::new(ber::tagged(self.0, 1).unwrap_or_default()).map(|(_, part)| part).take(MAX_ITEMS)
    }
}

impl<'p> Message<'p> {
    /// Reads a message without the length that TCP puts before it; `None` if it is not Kerberos, or cut.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let (tag, content) = Elements::new(bytes).next()?;
        // Class "application", constructed.
        let kind = tag ^ 0x60;
        if !matches!(kind, 10..=15 | ERROR) {
            return None;
        }
        let fields = Elements::new(content).open(SEQUENCE)?;
        // Requests for tickets count their fields from one, everything else from zero.
        let first = u8::from(matches!(kind, 10 | 12));
        if ber::tagged(fields, first) != Some(&[5]) || ber::tagged(fields, first + 1) != Some(&[kind]) {
            return None;
        }
        let inner = match kind {
            10 | 12 => ber::tagged(fields, 4)?,
            11 | 13 => ticket(fields, 5)?,
            14 => ticket(fields, 3)?,
            _ => fields,
        };
        Some(Self { kind, fields, inner })
    }

    /// Realm of the service.
    #[must_use]
    pub fn realm(&self) -> Option<&'p [u8]> {
        self.choose([2, 1, 9]).and_then(|number| ber::tagged(self.inner, number))
    }

    /// Name of the service.
    #[must_use]
    pub fn service(&self) -> Option<Name<'p>> {
        self.choose([3, 2, 10]).and_then(|number| ber::tagged(self.inner, number)).map(Name)
    }

    /// Name of the client.
    #[must_use]
    pub fn client(&self) -> Option<Name<'p>> {
        match self.kind {
            10 | 12 => ber::tagged(self.inner, 1),
            11 | 13 => ber::tagged(self.fields, 4),
            ERROR => ber::tagged(self.fields, 8),
            _ => None,
        }
        .map(Name)
    }

    /// Realm of the client, in answers.
    #[must_use]
    pub fn client_realm(&self) -> Option<&'p [u8]> {
        match self.kind {
            11 | 13 => ber::tagged(self.fields, 3),
            ERROR => ber::tagged(self.fields, 7),
            _ => None,
        }
    }

    /// Encryption types: all that a request offers, that of a ticket. At most 32.
    pub fn encryption_types(&self) -> impl Iterator<Item = i64> + use<'p> {
        let list = match self.kind {
            10 | 12 => ber::tagged(self.inner, 8),
            11 | 13 | 14 => ber::tagged(self.inner, 3).and_then(|encrypted| ber::find(encrypted, CONTEXT)),
            _ => None,
        };
        let numbers = Elements::new(list.unwrap_or_default()).take(MAX_ITEMS);
        numbers.filter_map(|(tag, number)| if tag == INTEGER { ber::integer(number) } else { None })
    }

    /// Number of the error of a KRB-ERROR.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        ber::integer(ber::tagged(self.fields, 6).filter(|_| self.kind == ERROR)?)
    }

    /// Field number of requests, tickets, or errors.
    const fn choose(&self, [request, ticket, error]: [u8; 3]) -> Option<u8> {
        match self.kind {
            10 | 12 => Some(request),
            11 | 13 | 14 => Some(ticket),
            ERROR => Some(error),
            _ => None,
        }
    }
}

/// Fields of a ticket, which has a tag of its own around them (RFC 4120 section 5.3).
fn ticket(fields: &[u8], number: u8) -> Option<&[u8]> {
    Elements::new(ber::tagged(fields, number)?).open(SEQUENCE)
}

/// The message behind the length that TCP puts before it, and the bytes behind the message; `None` if it is cut.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = Cursor::new(bytes);
    let len = usize::try_from(at.u32().ok()?).ok()?;
    Some((at.take(len).ok()?, at.remaining()))
}

/// Returns true for a length and the types of a message.
fn starts_record(bytes: &[u8]) -> bool {
    let mut at = Cursor::new(bytes);
    let is_short = at.u32().is_ok_and(|len| len < MAX_RECORD_LEN);
    let start = at.remaining().get(..24).unwrap_or(at.remaining());
    is_short
        && matches!(*start, [0x6a..=0x6f | 0x7e, ..])
        && start.windows(5).any(|window| matches!(*window, [0xa0 | 0xa1, 3, INTEGER, 1, 5]))
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    let len = Cursor::new(bytes).u32().ok().filter(|_| starts_record(bytes))?;
    Some(fixed_len(bytes, usize::try_from(len).ok()?.saturating_add(4)))
}

/// Fuzz body: a message, and one with a length before it.
fn fuzz(bytes: &[u8]) {
    for message in [Message::parse(bytes), record(bytes).and_then(|(message, _)| Message::parse(message))]
        .into_iter()
        .flatten()
    {
        assert!(message.encryption_types().count() <= MAX_ITEMS);
        for name in [message.client(), message.service()].into_iter().flatten() {
            assert!(name.parts().count() <= MAX_ITEMS);
        }
        let _ = (message.realm(), message.client_realm(), message.error_code());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()][..], &content].concat()
    }

    fn name(parts: &[&[u8]]) -> Vec<u8> {
        let strings: Vec<Vec<u8>> = parts.iter().map(|part| der(0x1b, &[part])).collect();
        let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        der(SEQUENCE, &[&der(0xa0, &[&[2, 1, 1]]), &der(0xa1, &[&der(SEQUENCE, &strings)])])
    }

    fn request() -> Vec<u8> {
        let body = der(
            SEQUENCE,
            &[
                &der(0xa1, &[&name(&[b"alice"])]),
                &der(0xa2, &[&der(0x1b, &[b"EXAMPLE.ORG"])]),
                &der(0xa3, &[&name(&[b"krbtgt", b"EXAMPLE.ORG"])]),
                &der(0xa8, &[&der(SEQUENCE, &[&[2, 1, 18], &[2, 1, 23]])]),
            ],
        );
        let fields =
            der(SEQUENCE, &[&der(0xa1, &[&[2, 1, 5]]), &der(0xa2, &[&[2, 1, 10]]), &der(0xa4, &[&body])]);
        der(0x6a, &[&fields])
    }

    #[test]
    fn a_request_names_client_and_service() {
        let bytes = request();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.realm()), (10, Some(&b"EXAMPLE.ORG"[..])));
        assert!(message.client().unwrap().parts().eq([&b"alice"[..]]));
        assert!(message.service().unwrap().parts().eq([&b"krbtgt"[..], b"EXAMPLE.ORG"]));
        assert!(message.encryption_types().eq([18, 23]));
        assert_eq!((message.error_code(), message.client_realm()), (None, None));
    }

    #[test]
    fn an_error_has_a_number() {
        let fields = der(
            SEQUENCE,
            &[
                &der(0xa0, &[&[2, 1, 5]]),
                &der(0xa1, &[&[2, 1, 30]]),
                &der(0xa6, &[&[2, 1, 25]]),
                &der(0xa9, &[&der(0x1b, &[b"R"])]),
            ],
        );
        let bytes = der(0x7e, &[&fields]);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.error_code(), message.realm()), (Some(25), Some(&b"R"[..])));
    }

    #[test]
    fn every_cut_needs_more_bytes() {
        let message = request();
        let len = u32::try_from(message.len()).unwrap().to_be_bytes();
        let bytes = [&len[..], &message].concat();
        assert!(record(&bytes).is_some_and(|(found, remaining)| found == message && remaining.is_empty()));
        let ports = (sentinel_units::Port(1), sentinel_units::Port(2));
        for cut in 0..bytes.len() {
            assert!(record(&bytes[..cut]).is_none());
            let expected = (cut >= 13).then_some(MessageLen::AtLeast(bytes.len()));
            assert_eq!(message_len(&bytes[..cut], ports), expected, "{cut}");
        }
        assert_eq!(message_len(&bytes, ports), Some(MessageLen::Complete));
        for cut in 0..message.len() {
            assert!(Message::parse(&message[..cut]).is_none());
        }
    }
}
