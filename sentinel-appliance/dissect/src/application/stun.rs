//! STUN and TURN: addresses behind translators.
//!
//! Read first: RFC 8489 sections 5 and 14, RFC 8656 section 18 (methods of TURN).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol};
use crate::read::Cursor;

/// STUN, by its cookie and a length that must fit.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| header(payload).is_some()),
    datagram: Some(|payload, _| header(payload).is_some()),
    framing: Some(message_len),
    ..Protocol::new(service::STUN, "STUN", "RFC 8489")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("stun", fuzz)];

const HEADER_LEN: usize = 20;
/// Most attributes that are read.
const MAX_ATTRIBUTES: usize = 32;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 1 binding, 3 allocate, 4 refresh, 6 send, 7 data, 8 create permission, 9 channel bind.
    pub method: u16,
    /// 0 request, 1 indication, 2 success, 3 error.
    pub class: u8,
    /// The cookie and the transaction, sixteen bytes, which hide an address.
    pub mask: &'p [u8; 16],
    attributes: Cursor<'p>,
    /// Bytes behind the message.
    pub remaining: &'p [u8],
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if it is not STUN.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let (kind, len) = header(bytes)?;
        let mut at = Cursor::new(bytes);
        at.take(4).ok()?;
        let mask = at.array().ok()?;
        let class = (kind >> 7 & 2 | kind >> 4 & 1).to_be_bytes()[1];
        let method = kind & 0x0f | kind >> 1 & 0x70 | kind >> 2 & 0xf80;
        let attributes = Cursor::new(at.take_up_to(len));
        Some(Self { method, class, mask, attributes, remaining: at.remaining() })
    }

    /// The attributes: number and contents. At most 32.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'p [u8])> + use<'p> {
        let mut at = self.attributes;
        core::iter::from_fn(move || {
            let (number, len) = (at.u16().ok()?, usize::from(at.u16().ok()?));
            let contents = at.take(len).ok()?;
            at.take_up_to(len.wrapping_neg() & 3); // to a multiple of four
            Some((number, contents))
        })
        .take(MAX_ATTRIBUTES)
    }

    /// Family, port and address of a contents that hides them: XOR-MAPPED-ADDRESS and its kin.
    #[must_use]
    pub fn address(&self, contents: &[u8]) -> Option<(u16, [u8; 16], usize)> {
        let &[_, family, p0, p1, ref hidden @ ..] = contents else { return None };
        let len = match family {
            1 => 4,
            2 => 16,
            _ => return None,
        };
        let mut address = [0; 16];
        let hidden = hidden.get(..len)?;
        for ((byte, hidden), mask) in address.iter_mut().zip(hidden).zip(self.mask) {
            *byte = hidden ^ mask;
        }
        let [m0, m1, ..] = *self.mask;
        Some((u16::from_be_bytes([p0 ^ m0, p1 ^ m1]), address, len))
    }
}

/// Type and length of a message, which must not be longer than the bytes that are there.
fn header(bytes: &[u8]) -> Option<(u16, usize)> {
    let &[k0 @ 0..=0x3f, k1, l0, l1, 0x21, 0x12, 0xa4, 0x42, ref rest @ ..] = bytes else { return None };
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    (len.is_multiple_of(4) && rest.len() >= 12).then_some((u16::from_be_bytes([k0, k1]), len))
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    header(bytes).map(|(_, len)| fixed_len(bytes, HEADER_LEN + len))
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(message.class < 4 && message.method < 0x1000);
    assert!(
        message
            .attributes()
            .filter_map(|(_, contents)| message.address(contents))
            .all(|(_, _, len)| len <= 16)
    );
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;

    /// RFC 5769 section 2.2 without integrity: success of binding, software `test vector`, 192.0.2.1:32853.
    const RESPONSE: &[u8] =
        b"\x01\x01\x00\x1c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";

    #[test]
    fn a_response_reveals_the_address() {
        let message = Message::parse(RESPONSE).unwrap();
        assert_eq!((message.method, message.class), (1, 2));
        let attributes: std::vec::Vec<_> = message.attributes().collect();
        assert_eq!(attributes[0], (0x8022, &b"test vector"[..]));
        let (port, address, len) = message.address(attributes[1].1).unwrap();
        assert_eq!((port, &address[..len]), (32_853, &[192, 0, 2, 1][..]));
    }

    #[test]
    fn every_cut_has_fewer_attributes() {
        for cut in 0..RESPONSE.len() {
            assert_eq!(Message::parse(&RESPONSE[..cut]).is_some(), cut >= 20, "{cut}");
            if cut >= 20 {
                assert_eq!(message_len(&RESPONSE[..cut], (Port(1), Port(2))), Some(MessageLen::AtLeast(48)));
            }
        }
        assert!(header(b"\x40\x01\x00\x00\x21\x12\xa4\x42............").is_none());
        assert!(header(b"\x00\x01\x00\x03\x21\x12\xa4\x42............").is_none());
    }
}
