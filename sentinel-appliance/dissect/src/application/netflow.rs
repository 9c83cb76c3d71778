//! `NetFlow` versions 5 and 9, IPFIX: flows that a router reports.
//!
//! Read first: RFC 3954 section 5 (version 9), RFC 7011 section 3 (IPFIX); version 5 is described by Cisco only.

use sentinel_units::service;

use super::protocol::{Body, Protocol};
use crate::read::Cursor;

/// `NetFlow` and IPFIX, by version and lengths that must add up.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| message(payload).is_some()),
    ..Protocol::new(service::NETFLOW, "NETFLOW", "RFC 3954, RFC 7011")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// Bytes of a record of version 5.
const RECORD_LEN: usize = 48;
/// Most sets of a message; each has four bytes or more.
const MAX_SETS: usize = 64;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 5, 9, or 10 for IPFIX.
    pub version: u16,
    /// The header and what follows it.
    pub bytes: &'p [u8],
    /// Records of version 5, or sets.
    body: Cursor<'p>,
}

impl<'p> Message<'p> {
    /// Numbers of the sets of version 9 and IPFIX: templates have the lowest numbers, data those of their template, from 256.
    /// At most 64.
    pub fn sets(&self) -> impl Iterator<Item = u16> + use<'p> {
        let mut at = if self.version == 5 { Cursor::new(&[]) } else { self.body };
        core::iter::from_fn(move || set(&mut at)).take(MAX_SETS)
    }
}

fn set(at: &mut Cursor<'_>) -> Option<u16> {
    let (number, len) = (at.u16().ok()?, at.u16().ok()?);
    at.take(usize::from(len).checked_sub(4)?).ok()?;
    Some(number)
}

/// The message of a datagram, if its records or sets end where it ends.
#[must_use]
pub fn message(payload: &[u8]) -> Option<Message<'_>> {
    let mut body = Cursor::new(payload);
    let (version, second) = (body.u16().ok()?, usize::from(body.u16().ok()?));
    let header_len = match version {
        5 => 24,
        9 => 20,
        10 => 16,
        _ => return None,
    };
    body.take(header_len - 4).ok()?;
    let is_sound = match version {
        5 => (1..=30).contains(&second) && body.len() == second * RECORD_LEN,
        // Version 9 counts records, IPFIX the bytes.
        _ => (version == 9 || second == payload.len()) && sets_fit(body, version),
    };
    is_sound.then_some(Message { version, bytes: payload, body })
}

/// Returns true if there is a set and the last one ends with the bytes.
fn sets_fit(mut at: Cursor<'_>, version: u16) -> bool {
    let templates = if version == 9 { 0..=1 } else { 2..=3 };
    for _ in 0..MAX_SETS {
        match set(&mut at) {
            // Version 9 pads to a multiple of four bytes.
            Some(number) if templates.contains(&number) || number >= 256 => {
                if at.len() < 4 {
                    return at.remaining().iter().all(|byte| *byte == 0);
                }
            }
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn header(version: u8, second: u8, len: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; len];
        (bytes[1], bytes[3]) = (version, second);
        bytes
    }

    #[test]
    fn lengths_must_add_up() {
        let version_5 = [header(5, 2, 24), [1; 96].to_vec()].concat();
        let version_9 =
            [header(9, 1, 20), [0, 0, 0, 8, 1, 2, 0, 0].to_vec(), [1, 2, 0, 5, 7, 0, 0, 0].to_vec()].concat();
        let ipfix = [header(10, 28, 16), [0, 2, 0, 6, 9, 9].to_vec(), [1, 0, 0, 6, 7, 7].to_vec()].concat();
        for (bytes, version, sets, partial) in [
            (&version_5, 5, &[][..], None),
            (&version_9, 9, &[0, 258], Some(28)),
            (&ipfix, 10, &[2, 256], None),
        ] {
            let found = message(bytes).unwrap();
            assert_eq!((found.version, found.sets().collect::<Vec<_>>()), (version, sets.to_vec()));
            for cut in 0..bytes.len() {
                // A cut in the padding, or behind a set, leaves a message.
                let may_be = partial == Some(cut) || version == 9 && cut > 32;
                assert_eq!(message(&bytes[..cut]).is_some(), may_be, "{version} {cut}");
            }
        }
        assert!(message(&header(5, 0, 24)).is_none() && message(&header(9, 1, 20)).is_none());
    }
}
