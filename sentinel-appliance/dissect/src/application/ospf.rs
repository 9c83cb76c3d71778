//! OSPF versions 2 and 3.
//!
//! Read first: RFC 2328 appendix A.3, RFC 5340 appendix A.3.

use sentinel_units::{ip_protocol, service};

use super::protocol::{Body, Protocol};

/// OSPF, by its number, version, type and length.
pub const PROTOCOL: Protocol = Protocol {
    packet: Some((ip_protocol::OSPF, |payload| message(payload).is_some())),
    ..Protocol::new(service::OSPF, "OSPF", "RFC 2328, RFC 5340")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// Version, type, and the message; `None` if one of them is unknown or the header is cut. Types: 1 hello, 2 database
/// description, 3 link state request, 4 update, 5 acknowledgement.
#[must_use]
pub fn message(payload: &[u8]) -> Option<(u8, u8, &[u8])> {
    let &[version @ 2..=3, kind @ 1..=5, h, l, ..] = payload else { return None };
    let header_len = if version == 2 { 24 } else { 16 };
    let is_possible = usize::from(u16::from_be_bytes([h, l])) >= header_len && payload.len() >= header_len;
    is_possible.then_some((version, kind, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_the_header_is_rejected() {
        let mut bytes = [0; 44];
        for (version, header_len) in [(2, 24), (3, 16)] {
            bytes[..4].copy_from_slice(&[version, 1, 0, 44]);
            for cut in 0..bytes.len() {
                assert_eq!(message(&bytes[..cut]).is_some(), cut >= header_len);
            }
        }
        for wrong in [[1, 1, 0, 44], [2, 6, 0, 44], [2, 1, 0, 23]] {
            bytes[..4].copy_from_slice(&wrong);
            assert_eq!(message(&bytes), None);
        }
    }
}
