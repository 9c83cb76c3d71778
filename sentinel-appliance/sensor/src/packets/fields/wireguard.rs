//! `WireGuard`. Field names of the paper, section 5.4.

use sentinel_dissect::application::wireguard;

use super::layout::{Layout, Sort};
use super::members::{Context, Members};

/// Type and index, which all messages have: that of the sender, or of the receiver.
pub(super) const HANDSHAKE: Layout = Layout {
    names: "type=,handshake_initiation,handshake_response,cookie_reply,data",
    fields: &[(0, Sort::Number(1))],
};
/// Data has a record in flows; each packet would be one here.
const DATA: u8 = 4;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(kind) = wireguard::kind(bytes) else { return &[] };
    HANDSHAKE.write(bytes, members);
    let index = |at: usize| {
        bytes
            .get(at..at + 4)
            .map(|index| index.iter().rev().fold(0, |value, byte| value << 8 | i64::from(*byte)))
    };
    let (sender, receiver) = match kind {
        1 => (index(4), None),
        2 => (index(4), index(8)),
        _ => (None, index(4)),
    };
    for (name, index) in [("sender", sender), ("receiver", receiver)] {
        if let Some(index) = index {
            members.number(name, index);
        }
    }
    members.has_record = kind != DATA;
    &[]
}
