//! IGMP: groups that hosts join.
//!
//! Read first: RFC 9776 section 4 (version 3), RFC 2236 section 2 (version 2), RFC 1112 appendix I (version 1).

use sentinel_units::{ip_protocol, service};

use super::protocol::{Body, Protocol};
use crate::read::Cursor;

/// IGMP, by its number and the type of message.
pub const PROTOCOL: Protocol = Protocol {
    packet: Some((ip_protocol::IGMP, |payload| message(payload).is_some())),
    ..Protocol::new(service::IGMP, "IGMP", "RFC 9776")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("igmp", fuzz)];

/// Report of version 3.
pub const REPORT_3: u8 = 0x22;
/// Most groups of a report that are read.
const MAX_GROUPS: usize = 64;

/// The message with its type, if the first eight bytes are there and the type is known: 0x11 query, 0x12 and 0x16 report, 0x17
/// leave, 0x22 report of version 3.
#[must_use]
pub fn message(payload: &[u8]) -> Option<(u8, &[u8])> {
    let &[kind @ (0x11 | 0x12 | 0x16 | 0x17 | REPORT_3), _, _, _, _, _, _, _, ..] = payload else {
        return None;
    };
    Some((kind, payload))
}

/// Groups of a report of version 3: kind of the record, and the address. Ends at one that is cut; at most 64.
pub fn groups(report: &[u8]) -> impl Iterator<Item = (u8, &[u8; 4])> {
    let mut at = Cursor::new(report.get(8..).unwrap_or_default());
    core::iter::from_fn(move || {
        let (kind, auxiliary_words, sources) = (at.u8().ok()?, at.u8().ok()?, at.u16().ok()?);
        let group = at.array().ok()?;
        at.take_up_to((usize::from(auxiliary_words) + usize::from(sources)) * 4);
        Some((kind, group))
    })
    .take(MAX_GROUPS)
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    if message(bytes).is_some() {
        assert!(groups(bytes).count() <= MAX_GROUPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_lists_groups() {
        let report =
            [0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1, 239, 1, 2, 3, 192, 0, 2, 1, 3, 0, 0, 0, 224, 0, 0, 251];
        assert!(groups(&report).eq([(4, &[239, 1, 2, 3]), (3, &[224, 0, 0, 251])]));
        for cut in 0..report.len() {
            assert_eq!(message(&report[..cut]).is_some(), cut >= 8);
            assert!(groups(&report[..cut]).count() <= 1);
        }
        assert_eq!(message(&[0x30; 8]), None);
    }
}
