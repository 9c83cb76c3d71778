//! Header of GRE. What is inside is opened by [`tunnel`](crate::tunnel).
//!
//! Read first: RFC 2784, RFC 2890 (key, sequence number), RFC 2637 section 4.1 (version 1).

use sentinel_units::{ip_protocol, service};

use super::protocol::{Body, Protocol};
use crate::read::Cursor;

/// GRE, by its number and version.
pub const PROTOCOL: Protocol = Protocol {
    packet: Some((ip_protocol::GRE, |payload| Header::parse(payload).is_some())),
    ..Protocol::new(service::GRE, "GRE", "RFC 2784")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("gre", fuzz)];

/// A header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// 0, or 1 of PPTP.
    pub version: u8,
    /// Ethertype of what is inside.
    pub protocol_type: u16,
    /// Key; of version 1 length of the payload and number of the call.
    pub key: Option<u32>,
    /// Sequence number.
    pub sequence_number: Option<u32>,
}

impl Header {
    /// Reads a header; `None` if it is cut or of an unknown version.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut at = Cursor::new(payload);
        let (flags, version, protocol_type) = (at.u8().ok()?, at.u8().ok()? & 7, at.u16().ok()?);
        // Checksum, or source routes.
        if version > 1 || flags & 0xc0 != 0 && at.u32().is_err() {
            return None;
        }
        let key = if flags & 0x20 != 0 { Some(at.u32().ok()?) } else { None };
        let sequence_number = if flags & 0x10 != 0 { Some(at.u32().ok()?) } else { None };
        Some(Self { version, protocol_type, key, sequence_number })
    }
}

/// Fuzz body: a header.
fn fuzz(bytes: &[u8]) {
    if let Some(header) = Header::parse(bytes) {
        let optional = [header.key, header.sequence_number].iter().flatten().count();
        assert!(bytes.len() >= 4 + 4 * optional && header.version < 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_are_read_and_every_cut_is_rejected() {
        let bytes = [0xb0, 0, 8, 0, 0xaa, 0xaa, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        let expected = Header { version: 0, protocol_type: 0x800, key: Some(7), sequence_number: Some(9) };
        assert_eq!(Header::parse(&bytes), Some(expected));
        for cut in 0..bytes.len() {
            assert_eq!(Header::parse(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Header::parse(&[0, 2, 8, 0]), None);
    }
}
