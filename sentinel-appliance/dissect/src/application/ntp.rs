//! NTP: time, and the control messages of its servers.
//!
//! Read first: RFC 5905 section 7.3; RFC 9327 section 2 (control messages).

use sentinel_units::service;

use super::protocol::{Body, Protocol, has_any_port};

/// NTP, by version, mode and length, on its port.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, ports| {
        has_any_port(ports, service::NTP.server.udp) && message(payload).is_some()
    }),
    ..Protocol::new(service::NTP, "NTP", "RFC 5905")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// Mode of a message about time: 1 symmetric active, 2 symmetric passive, 3 client, 4 server, 5 broadcast.
pub const TIME_MODES: core::ops::RangeInclusive<u8> = 1..=5;

/// The message with its mode, if the version is known and the fixed part is all there: 48 bytes about time, 12 of a control
/// message (mode 6), 8 of a private one (mode 7).
#[must_use]
pub fn message(payload: &[u8]) -> Option<(u8, &[u8])> {
    let first = *payload.first()?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    let len = match mode {
        6 => 12,
        7 => 8,
        mode if TIME_MODES.contains(&mode) => 48,
        _ => return None,
    };
    (matches!(version, 1..=4) && payload.len() >= len).then_some((mode, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_needs_version_mode_and_its_fixed_part() {
        let mut bytes = [0; 48];
        for (first, len) in [(0x23, 48), (0x24, 48), (0x1b, 48), (0x16, 12), (0x17, 8)] {
            bytes[0] = first;
            for cut in 0..48 {
                assert_eq!(message(&bytes[..cut]).is_some(), cut >= len, "{first:x} {cut}");
            }
            assert_eq!(message(&bytes).unwrap().0, first & 7);
        }
        for first in [0x20, 0x03, 0x2b, 0x3b] {
            bytes[0] = first;
            assert_eq!(message(&bytes), None);
        }
    }
}
