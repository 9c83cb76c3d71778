//! SCTP: ports and chunks.
//!
//! Read first: RFC 9260 section 3.

use sentinel_units::{Port, ip_protocol, service};

use super::protocol::{Body, Ports, Protocol};
use crate::read::Cursor;

/// SCTP, by its number and the type of its first chunk.
pub const PROTOCOL: Protocol = Protocol {
    packet: Some((ip_protocol::SCTP, |payload| {
        Message::parse(payload)
            .is_some_and(|message| message.chunks().next().is_some_and(|(kind, _)| is_known(kind)))
    })),
    ..Protocol::new(service::SCTP, "SCTP", "RFC 9260")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("sctp", fuzz)];

/// Most chunks that are read.
const MAX_CHUNKS: usize = 32;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// Source and destination port.
    pub ports: Ports,
    /// Number of the association, from the receiver.
    pub verification_tag: u32,
    chunks: Cursor<'p>,
}

impl<'p> Message<'p> {
    /// Reads a packet; `None` if its header is cut.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        let mut at = Cursor::new(payload);
        let ports = (Port(at.u16().ok()?), Port(at.u16().ok()?));
        let (verification_tag, _checksum) = (at.u32().ok()?, at.u32().ok()?);
        Some(Self { ports, verification_tag, chunks: at })
    }

    /// Types and contents of the chunks: 0 data, 1 init, 2 its acknowledgement, 3 selective acknowledgement, 4 heartbeat, 6
    /// abort, 7 shutdown, ... The contents of the last may be cut. At most 32.
    pub fn chunks(&self) -> impl Iterator<Item = (u8, &'p [u8])> + use<'p> {
        let mut at = self.chunks;
        core::iter::from_fn(move || {
            let (kind, _flags, len) = (at.u8().ok()?, at.u8().ok()?, usize::from(at.u16().ok()?));
            let contents = at.take_up_to(len.checked_sub(4)?);
            at.take_up_to(len.wrapping_neg() & 3); // to a multiple of four
            Some((kind, contents))
        })
        .take(MAX_CHUNKS)
    }
}

/// Types of chunks that are assigned (<https://www.iana.org/assignments/sctp-parameters>).
const fn is_known(kind: u8) -> bool {
    matches!(kind, 0..=15 | 64 | 128..=132 | 192..=194)
}

/// Fuzz body: a packet.
fn fuzz(bytes: &[u8]) {
    if let Some(message) = Message::parse(bytes) {
        assert!(message.chunks().count() <= MAX_CHUNKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_padded_to_four_bytes() {
        let bytes = [0x0b, 0x59, 0x9c, 0x40, 0, 0, 0, 9, 1, 2, 3, 4, 10, 0, 0, 5, 7, 0, 0, 0, 14, 0, 0, 4];
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.ports, message.verification_tag), ((Port(2905), Port(40_000)), 9));
        assert!(message.chunks().eq([(10, &[7][..]), (14, &[])]));
        for cut in 0..bytes.len() {
            let found = Message::parse(&bytes[..cut]);
            assert_eq!(found.is_some(), cut >= 12);
            assert!(found.is_none_or(|found| found.chunks().count() <= 1));
        }
    }
}
