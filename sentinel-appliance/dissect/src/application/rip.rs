//! RIP version 1 and 2, and its form for IPv6: routes that neighbours announce.
//!
//! Read first: RFC 2453 section 4, RFC 2080 section 2.1.

use sentinel_units::service;

use super::protocol::{Body, Protocol, has_any_port};

/// RIP, by command, version and the size of its entries, on its ports.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, ports| {
        has_any_port(ports, service::RIP.server.udp) && entries(payload).is_some()
    }),
    ..Protocol::new(service::RIP, "RIP", "RFC 2453, RFC 2080")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 20;

/// Command, version, and the entries of a message: at least one, all of them complete. Behind those of an authenticated message
/// may follow a digest of any length (RFC 4822 section 2.2).
#[must_use]
pub fn entries(payload: &[u8]) -> Option<(u8, u8, &[[u8; ENTRY_LEN]])> {
    let &[command @ 1..=2, version @ 1..=2, 0, 0, ref entries @ ..] = payload else { return None };
    let (entries, rest) = entries.as_chunks();
    let is_authenticated = entries.first().is_some_and(|first| first.starts_with(&[0xff, 0xff]));
    (!entries.is_empty() && (rest.is_empty() || is_authenticated)).then_some((command, version, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_must_be_complete() {
        let mut bytes = [0; 44];
        bytes[..6].copy_from_slice(&[2, 2, 0, 0, 0, 2]);
        for cut in 0..=bytes.len() {
            assert_eq!(entries(&bytes[..cut]).is_some(), matches!(cut, 24 | 44), "{cut}");
        }
        let (command, version, list) = entries(&bytes).unwrap();
        assert_eq!((command, version, list.len()), (2, 2, 2));
        bytes[4..6].fill(0xff);
        assert_eq!(entries(&bytes[..40]).unwrap().2.len(), 1, "with a digest");
        bytes[2] = 1;
        assert_eq!(entries(&bytes), None);
    }
}
