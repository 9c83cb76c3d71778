//! SIP: requests and responses of calls, in the syntax of HTTP.
//!
//! Read first: RFC 3261 sections 7 and 20 (headers and their short forms).

use sentinel_units::service;

use super::framing::MessageLen;
use super::framing::take_line;
use super::http::{Head, MAX_LINE_LEN, head_len, split_at_space};
use super::protocol::{Body, Ports, Protocol};
use crate::read::Cursor;

/// SIP, by its methods before an address of its own, or its version.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| starts_message(payload)),
    datagram: Some(|payload, _| starts_message(payload)),
    framing: Some(message_len),
    ..Protocol::new(service::SIP, "SIP", "RFC 3261")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("sip", fuzz)];

const VERSION: &[u8] = b"SIP/2.0";
const METHODS: &str =
    "INVITE REGISTER OPTIONS ACK BYE CANCEL SUBSCRIBE NOTIFY MESSAGE PUBLISH INFO REFER PRACK UPDATE";
/// Names of headers that have a short form.
const SHORT: &[(&str, &str)] =
    &[("from", "f"), ("to", "t"), ("call-id", "i"), ("contact", "m"), ("via", "v"), ("content-type", "c")];

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// Method and address of a request.
    pub request: Option<(&'p [u8], &'p [u8])>,
    /// Status of a response, three digits, and its reason.
    pub response: Option<(&'p [u8], &'p [u8])>,
    head: Head<'p>,
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if it is not SIP, or cut in its first line.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        if !starts_message(payload) {
            return None;
        }
        let mut at = Cursor::new(payload);
        let (first, behind) = split_at_space(take_line(&mut at, MAX_LINE_LEN).ok()?)?;
        let (second, third) = split_at_space(behind).unwrap_or((behind, &[]));
        let is_response = first == VERSION;
        if is_response && (second.len() != 3 || !second.iter().all(u8::is_ascii_digit))
            || !is_response && third != VERSION
        {
            return None;
        }
        Some(Self {
            request: (!is_response).then_some((first, second)),
            response: is_response.then_some((second, third)),
            head: Head::parse(at),
        })
    }

    /// Value of the first header of this name, which is in small letters, or of its short form.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'p [u8]> {
        let short = SHORT.iter().find(|(long, _)| *long == name).map(|(_, short)| *short);
        self.head.value(name).or_else(|| self.head.value(short?))
    }
}

/// Returns true for a method before an address that is SIP's or a telephone number, or for a status line.
fn starts_message(payload: &[u8]) -> bool {
    let Some((first, behind)) = payload
        .get(..20)
        .unwrap_or(payload)
        .iter()
        .position(|byte| *byte == b' ')
        .and_then(|space| Some((payload.get(..space)?, payload.get(space + 1..)?)))
    else {
        return false;
    };
    first == VERSION
        || METHODS.split(' ').any(|method| method.as_bytes() == first)
            && [&b"sip:"[..], b"sips:", b"tel:"].iter().any(|scheme| {
                behind.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    starts_message(bytes).then(|| head_len(bytes))
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(message.request.is_some() != message.response.is_some() && starts_message(bytes));
    for name in ["from", "to", "call-id", "user-agent", "contact"] {
        assert!(message.header(name).is_none_or(|value| value.len() < bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::Port;

    const INVITE: &[u8] = b"INVITE sip:bob@example.org SIP/2.0\r\nf: <sip:alice@example.com>;tag=1\r\n\
        To: <sip:bob@example.org>\r\nCall-ID: 7@example.com\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n";

    #[test]
    fn a_request_gives_method_address_and_headers() {
        let message = Message::parse(INVITE).unwrap();
        assert_eq!(message.request, Some((&b"INVITE"[..], &b"sip:bob@example.org"[..])));
        assert_eq!(message.header("from"), Some(&b"<sip:alice@example.com>;tag=1"[..]));
        assert_eq!((message.header("call-id"), message.header("via")), (Some(&b"7@example.com"[..]), None));
    }

    #[test]
    fn a_response_gives_status_and_reason() {
        let message = Message::parse(b"SIP/2.0 486 Busy Here\r\n\r\n").unwrap();
        assert_eq!(message.response, Some((&b"486"[..], &b"Busy Here"[..])));
        assert!(Message::parse(b"SIP/2.0 4x6 Busy\r\n\r\n").is_none());
    }

    #[test]
    fn other_protocols_and_every_cut_are_told_apart() {
        for other in [
            &b"OPTIONS rtsp://x RTSP/1.0\r\n"[..],
            b"OPTIONS * HTTP/1.1\r\n",
            b"INVITE bob\r\n",
            b"",
            b"SIP/1.0 200 OK",
        ] {
            assert!(!starts_message(other));
        }
        let ports = (Port(1), Port(2));
        let end = INVITE.len() - 5;
        for cut in 11..end {
            assert_eq!(message_len(&INVITE[..cut], ports), Some(MessageLen::AtLeast(cut + 1)), "{cut}");
            assert_eq!(Message::parse(&INVITE[..cut]).is_some(), cut > 35);
        }
        assert_eq!(message_len(&INVITE[..end], ports), Some(MessageLen::Complete));
    }
}
