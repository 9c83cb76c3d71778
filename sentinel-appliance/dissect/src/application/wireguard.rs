//! `WireGuard`: handshakes and data.
//!
//! Read first: Donenfeld, "`WireGuard`: Next Generation Kernel Network Tunnel" (NDSS 2017), section 5.4.

use sentinel_units::service;

use super::protocol::{Body, Protocol};

/// `WireGuard`, by type and length; data also by the upper half of its counter, which no tunnel lives to see other than zero.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| kind(payload).is_some()),
    ..Protocol::new(service::WIREGUARD, "WIREGUARD", "Donenfeld: WireGuard, NDSS 2017, section 5.4")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// Type of a message: 1 handshake initiation, 2 handshake response, 3 cookie reply, 4 data.
#[must_use]
pub fn kind(payload: &[u8]) -> Option<u8> {
    match (payload, payload.len()) {
        ([kind @ 1, 0, 0, 0, ..], 148) | ([kind @ 2, 0, 0, 0, ..], 92) | ([kind @ 3, 0, 0, 0, ..], 64) => {
            Some(*kind)
        }
        // Receiver, counter (little-endian), data padded to sixteen bytes, tag.
        ([kind @ 4, 0, 0, 0, _, _, _, _, _, _, _, _, 0, 0, 0, 0, ..], len)
            if len >= 32 && len.is_multiple_of(16) =>
        {
            Some(*kind)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn type_and_length_belong_together() {
        for (number, len) in [(1, 148), (2, 92), (3, 64), (4, 32), (4, 48)] {
            let mut bytes = std::vec![0; len];
            bytes[0] = number;
            assert_eq!(kind(&bytes), Some(number));
            for cut in 0..len {
                assert_eq!(kind(&bytes[..cut]).is_some(), number == 4 && cut == 32);
            }
            bytes[2] = 1;
            assert_eq!(kind(&bytes), None);
        }
        let mut data = [0; 32];
        (data[0], data[15]) = (4, 1);
        assert_eq!(kind(&data), None);
    }
}
