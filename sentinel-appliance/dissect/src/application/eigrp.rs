//! EIGRP.
//!
//! Read first: RFC 7868 section 6.

use sentinel_units::{ip_protocol, service};

use super::protocol::{Body, Protocol};

/// EIGRP, by its number, version and operation.
pub const PROTOCOL: Protocol = Protocol {
    packet: Some((ip_protocol::EIGRP, |payload| message(payload).is_some())),
    ..Protocol::new(service::EIGRP, "EIGRP", "RFC 7868")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// The message, if its header is all there, its version 2 and its operation known: 1 update, 3 query, 4 reply, 5 hello or
/// acknowledgement, 10 and 11 "stuck in active" query and reply.
#[must_use]
pub fn message(payload: &[u8]) -> Option<&[u8]> {
    matches!(payload, [2, 1 | 3..=5 | 10 | 11, ..] if payload.len() >= 20).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_the_header_is_rejected() {
        let mut bytes = [0; 24];
        bytes[..2].copy_from_slice(&[2, 5]);
        for cut in 0..bytes.len() {
            assert_eq!(message(&bytes[..cut]).is_some(), cut >= 20);
        }
        bytes[1] = 2;
        assert_eq!(message(&bytes), None);
    }
}
