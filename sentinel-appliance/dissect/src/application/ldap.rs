//! LDAP, and its connectionless form over UDP.
//!
//! Read first: RFC 4511 sections 4 and 5.1.

use sentinel_units::service;

use super::ber::{self, Elements, INTEGER, SEQUENCE};
use super::framing::MessageLen;
use super::protocol::{Body, Ports, Protocol};

/// LDAP, by message number and operation.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| starts_message(payload)),
    datagram: Some(|payload, _| Message::parse(payload).is_some()),
    framing: Some(message_len),
    ..Protocol::new(service::LDAP, "LDAP", "RFC 4511")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("ldap", fuzz)];

/// Tags of operations (RFC 4511 section 4.2 and following): class "application", constructed unless the operation is one value.
const OPERATIONS: &[u8] = &[
    0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73, 0x66, 0x67, 0x68, 0x69, 0x4a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
    0x50, 0x77, 0x78, 0x79,
];
/// Most bytes looked at for the operation: tag and length of the message, number, tag.
const MAX_START_LEN: usize = 13;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// Number that connects requests with responses.
    pub message_id: u32,
    /// Number of the operation: 0 bind request, 1 bind response, 3 search request, ...
    pub operation: u8,
    /// Contents of the operation: elements, or the value of a delete, abandon or unbind request.
    pub contents: &'p [u8],
    /// Bytes behind the message, which may hold another one.
    pub remaining: &'p [u8],
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if it is not LDAP, or cut.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let mut message = Elements::new(bytes);
        let mut fields = Elements::new(message.open(SEQUENCE)?);
        let message_id = u32::try_from(ber::integer(fields.open(INTEGER)?)?).ok()?;
        let (tag, contents) = fields.next()?;
        OPERATIONS.contains(&tag).then(|| Self {
            message_id,
            operation: tag & 0x1f,
            contents,
            remaining: message.remaining(),
        })
    }
}

/// Returns true if the bytes start a message, which may be cut behind its operation's tag.
fn starts_message(bytes: &[u8]) -> bool {
    let start = bytes.get(..MAX_START_LEN).unwrap_or(bytes);
    let Some((&SEQUENCE, len)) = start.split_first() else { return false };
    let number = match *len {
        [0..=0x7f, ref number @ ..]
        | [0x81, _, ref number @ ..]
        | [0x82, _, _, ref number @ ..]
        | [0x83, _, _, _, ref number @ ..]
        | [0x84, _, _, _, _, ref number @ ..] => number,
        _ => return false,
    };
    matches!(*number, [INTEGER, 1, _, tag, ..] | [INTEGER, 2, _, _, tag, ..] | [INTEGER, 3, _, _, _, tag, ..]
        | [INTEGER, 4, _, _, _, _, tag, ..] if OPERATIONS.contains(&tag))
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    starts_message(bytes).then(|| ber::message_len(bytes))
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    if let Some(message) = Message::parse(bytes) {
        assert!(message.operation <= 25 && message.remaining.len() < bytes.len());
    }
    if let Some(MessageLen::AtLeast(need)) =
        message_len(bytes, (sentinel_units::Port(1), sentinel_units::Port(2)))
    {
        assert!(need > bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bind request of version 3 with an empty name and password.
    const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";

    #[test]
    fn a_message_gives_number_operation_and_what_follows() {
        let two = [BIND, &BIND[..5]].concat();
        let message = Message::parse(&two).unwrap();
        assert_eq!((message.message_id, message.operation, message.remaining.len()), (1, 0, 5));
        assert_eq!(Elements::new(message.contents).count(), 3);
        // as one directory server writes every length
        let long = [&b"\x30\x84\x00\x00\x00\x0c"[..], &BIND[2..]].concat();
        assert!(starts_message(&long) && Message::parse(&long).is_some());
    }

    #[test]
    fn every_cut_is_no_message_but_known_from_its_operation_on() {
        for cut in 0..BIND.len() {
            assert!(Message::parse(&BIND[..cut]).is_none());
            assert_eq!(starts_message(&BIND[..cut]), cut > 5, "{cut}");
        }
        let ports = (sentinel_units::Port(1), sentinel_units::Port(2));
        assert_eq!(message_len(&BIND[..9], ports), Some(MessageLen::AtLeast(BIND.len())));
        assert_eq!(message_len(BIND, ports), Some(MessageLen::Complete));
        assert_eq!(message_len(b"\x30\x03\x02\x01\x01\x61", ports), Some(MessageLen::Complete));
    }

    #[test]
    fn other_sequences_are_rejected() {
        for other in [
            &b"\x30\x03\x02\x01\x01"[..],
            b"\x30\x05\x02\x01\x01\x04\x00",
            b"\x30\x82\x01\x00\x30\x82\x01\x00",
            b"",
        ] {
            assert!(Message::parse(other).is_none() && !starts_message(other));
        }
    }
}
