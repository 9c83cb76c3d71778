//! RDP: the connection request and its confirmation, before TLS.
//!
//! Read first: MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2; RFC 1006 section 6; ITU-T X.224 section 13.

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// RDP, by a request or confirmation of a connection that has its cookie or negotiation; on its port without them.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(is_connection),
    framing: Some(message_len),
    ..Protocol::new(service::RDP, "RDP", "MS-RDPBCGR")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("rdp", fuzz)];

/// Code of a connection request (X.224 section 13.3).
pub const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
/// Longest message of this kind.
const MAX_LEN: usize = 512;
const COOKIE: &[u8] = b"Cookie: ";
const USER: &[u8] = b"Cookie: mstshash=";

/// A connection request or its confirmation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection<'p> {
    /// [`REQUEST`], or 0xd0 for a confirmation.
    pub code: u8,
    /// Start of the user's name, which the client sends for load balancers.
    pub user: Option<&'p [u8]>,
    /// Type of the negotiation (1 request, 2 response, 3 failure) and its value: protocols requested or selected (1 TLS, 2
    /// network level authentication, 8 the same with early authorisation), or the reason of the failure.
    pub negotiation: Option<(u8, u32)>,
}

impl<'p> Connection<'p> {
    /// Reads the first message of either side; `None` if it is not one.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let &[3, 0, h, l, _, code @ (REQUEST | CONFIRM), _, _, _, _, _, ref rest @ ..] = bytes else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([h, l]));
        if !(11..=MAX_LEN).contains(&len) {
            return None;
        }
        let variable = rest.get(..len - 11).unwrap_or(rest);
        let cookie_len = match variable.windows(2).position(|end| end == b"\r\n") {
            Some(end) if variable.starts_with(COOKIE) => end + 2,
            _ => 0,
        };
        let (cookie, negotiation) = variable.split_at_checked(cookie_len)?;
        let user = cookie.strip_prefix(USER).and_then(|user| user.strip_suffix(b"\r\n"));
        let negotiation = match *negotiation {
            [kind @ 1..=3, _, 8, 0, a, b, c, d, ..] => Some((kind, u32::from_le_bytes([a, b, c, d]))),
            _ => None,
        };
        Some(Self { code, user, negotiation })
    }
}

fn is_connection(bytes: &[u8], ports: Ports) -> bool {
    Connection::parse(bytes).is_some_and(|found| {
        found.user.is_some() || found.negotiation.is_some() || has_any_port(ports, service::RDP.server.tcp)
    })
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    let mut at = Cursor::new(bytes);
    at.u16().ok().filter(|_| is_connection(bytes, ports))?;
    Some(fixed_len(bytes, usize::from(at.u16().ok()?)))
}

/// Fuzz body: a first message.
fn fuzz(bytes: &[u8]) {
    let Some(found) = Connection::parse(bytes) else { return };
    assert!(found.user.is_none_or(|user| user.len() < MAX_LEN) && bytes.len() >= 11);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::Port;

    const REQUEST_BYTES: &[u8] = b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=bob9\r\n\x01\x00\x08\x00\x03\x00\x00\x00X";

    #[test]
    fn a_request_gives_user_and_protocols() {
        let found = Connection::parse(&REQUEST_BYTES[..42]).unwrap();
        assert_eq!((found.code, found.user, found.negotiation), (REQUEST, Some(&b"bob9"[..]), Some((1, 3))));
        let confirm = b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x02\x00\x00\x00";
        assert_eq!(Connection::parse(confirm).unwrap().negotiation, Some((2, 2)));
    }

    #[test]
    fn other_users_of_the_transport_are_told_apart() {
        // of a programmable controller: parameters of X.224 instead
        let other =
            b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a";
        assert!(!is_connection(other, (Port(50_000), Port(102))));
        assert!(is_connection(other, (Port(50_000), Port(3389))));
    }

    #[test]
    fn every_cut_has_less() {
        for cut in 0..REQUEST_BYTES.len() {
            let found = Connection::parse(&REQUEST_BYTES[..cut]);
            assert_eq!(found.is_some(), cut >= 11, "{cut}");
            if cut >= 34 {
                assert_eq!(
                    message_len(&REQUEST_BYTES[..cut], (Port(1), Port(2))),
                    Some(MessageLen::AtLeast(43))
                );
            }
        }
    }
}
