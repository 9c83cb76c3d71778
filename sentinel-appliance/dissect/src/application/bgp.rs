//! BGP: routes between networks.
//!
//! Read first: RFC 4271 section 4; RFC 7313 (route refresh); RFC 8654 (messages of more than 4,096 bytes).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol};
use crate::read::Cursor;

/// BGP, by the marker before each message.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| starts_message(payload)),
    framing: Some(message_len),
    ..Protocol::new(service::BGP, "BGP", "RFC 4271")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("bgp", fuzz)];

/// Most prefixes of a message that are read.
const MAX_PREFIXES: usize = 64;
/// Bytes of marker, length and type.
const HEADER_LEN: usize = 19;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 1 open, 2 update, 3 notification, 4 keepalive, 5 route refresh.
    pub kind: u8,
    /// Bytes behind the type, as far as they are there.
    pub body: &'p [u8],
    /// Bytes behind the message.
    pub remaining: &'p [u8],
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if it is not BGP.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        if !starts_message(bytes) {
            return None;
        }
        let mut at = Cursor::new(bytes);
        at.take(16).ok()?;
        let (len, kind) = (usize::from(at.u16().ok()?), at.u8().ok()?);
        Some(Self { kind, body: at.take_up_to(len - HEADER_LEN), remaining: at.remaining() })
    }

    /// Routes of an update that are withdrawn, path attributes, and routes that are announced; as far as they are there.
    #[must_use]
    pub fn update(&self) -> Option<(&'p [u8], &'p [u8], &'p [u8])> {
        let mut at = Cursor::new(self.body);
        let withdrawn_len = usize::from(at.u16().ok().filter(|_| self.kind == 2)?);
        let withdrawn = at.take_up_to(withdrawn_len);
        let attributes_len = usize::from(at.u16().ok()?);
        Some((withdrawn, at.take_up_to(attributes_len), at.remaining()))
    }
}

/// Prefixes of IPv4: address and length in bits. Ends at one that is cut or too long; at most 64.
pub fn prefixes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], u8)> + '_ {
    let mut at = Cursor::new(bytes);
    core::iter::from_fn(move || {
        let bits = at.u8().ok().filter(|bits| *bits <= 32)?;
        let taken = at.take(usize::from(bits.div_ceil(8))).ok()?;
        let mut address = [0; 4];
        address.iter_mut().zip(taken).for_each(|(byte, taken)| *byte = *taken);
        Some((address, bits))
    })
    .take(MAX_PREFIXES)
}

/// Path attributes: type and contents. Each takes three bytes or more.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = Cursor::new(bytes);
    core::iter::from_fn(move || {
        let (flags, kind) = (at.u8().ok()?, at.u8().ok()?);
        let len = if flags & 0x10 == 0 { u16::from(at.u8().ok()?) } else { at.u16().ok()? };
        Some((kind, at.take(usize::from(len)).ok()?))
    })
}

/// Networks of a path attribute of type 2, in the order of the path. Their numbers have four bytes if the lengths of all segments
/// fit that (RFC 6793 section 3), else two. At most 64.
pub fn as_path(value: &[u8]) -> impl Iterator<Item = u32> {
    let width = if segments_fit(value, 4) { 4 } else { 2 };
    let mut at = Cursor::new(value);
    let mut left = 0_u8;
    core::iter::from_fn(move || {
        // Ends: a segment without networks takes two bytes.
        while left == 0 {
            let _kind = at.u8().ok()?;
            left = at.u8().ok()?;
        }
        left -= 1;
        Some(at.take(width).ok()?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    })
    .take(MAX_PREFIXES)
}

fn segments_fit(value: &[u8], width: usize) -> bool {
    let mut at = Cursor::new(value);
    while let (Ok(_kind), Ok(count)) = (at.u8(), at.u8()) {
        if at.take(usize::from(count) * width).is_err() {
            return false;
        }
    }
    at.is_empty()
}

/// The marker, a length that is possible, a type that is known.
fn starts_message(bytes: &[u8]) -> bool {
    let Some((marker, [h, l, 1..=5, ..])) = bytes.split_at_checked(16) else { return false };
    marker == [0xff; 16] && usize::from(u16::from_be_bytes([*h, *l])) >= HEADER_LEN
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    let len = bytes.get(16..18).filter(|_| starts_message(bytes))?;
    Some(fixed_len(bytes, len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))))
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(message.remaining.len() + message.body.len() + HEADER_LEN == bytes.len());
    if let Some((withdrawn, list, announced)) = message.update() {
        assert!(prefixes(withdrawn).chain(prefixes(announced)).count() <= 2 * MAX_PREFIXES);
        assert!(attributes(list).count() <= bytes.len() / 3);
        assert!(attributes(list).all(|(_, value)| as_path(value).count() <= MAX_PREFIXES));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;
    use std::vec::Vec;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[0xff; 16][..], &[0, u8::try_from(19 + body.len()).unwrap(), kind], body].concat()
    }

    #[test]
    fn an_update_gives_routes_and_attributes() {
        let body = [0, 2, 8, 10, 0, 4, 0x40, 1, 1, 0, 24, 192, 0, 2, 0];
        let bytes = [message(2, &body), message(4, &[])].concat();
        let found = Message::parse(&bytes).unwrap();
        let (withdrawn, list, announced) = found.update().unwrap();
        assert!(prefixes(withdrawn).eq([([10, 0, 0, 0], 8)]) && attributes(list).eq([(1, &[0][..])]));
        // 192.0.2.0/24, and the default route
        assert!(prefixes(announced).eq([([192, 0, 2, 0], 24), ([0; 4], 0)]));
        assert_eq!(Message::parse(found.remaining).unwrap().kind, 4);
    }

    #[test]
    fn paths_have_networks_of_two_or_four_bytes() {
        assert!(as_path(&[2, 2, 0xfd, 0xe8, 0, 9]).eq([65_000, 9]));
        assert!(as_path(&[2, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 7]).eq([65_536, 7]));
        assert!(as_path(&[2, 0]).next().is_none() && as_path(&[]).next().is_none());
    }

    #[test]
    fn every_cut_needs_the_whole_message() {
        let bytes = message(1, &[4, 0xfd, 0xe8, 0, 90, 192, 0, 2, 1, 0]);
        for cut in 0..bytes.len() {
            let expected = (cut >= 19).then_some(MessageLen::AtLeast(29));
            assert_eq!(message_len(&bytes[..cut], (Port(1), Port(179))), expected, "{cut}");
        }
        assert!(!starts_message(&message(9, &[])) && !starts_message(&[0xff; 30]));
    }
}
