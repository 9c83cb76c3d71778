//! STUN and TURN. Names of RFC 8489 section 14.

use sentinel_dissect::application::stun;

use super::layout::{number_or_word, word};
use super::members::{Context, Members, address};

/// Attributes that are shown, with the name of their field; of several of a kind the first.
const ATTRIBUTES: &[u16] =
    &[USERNAME, ERROR_CODE, XOR_PEER_ADDRESS, REALM, XOR_RELAYED_ADDRESS, XOR_MAPPED_ADDRESS, SOFTWARE];
const NAMES: &str = "6:username,9:error_code,18:xor_peer_address,20:.realm,22:xor_relayed_address,32:xor_mapped_address,\
    32802:software";
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const REALM: u16 = 0x0014;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const SOFTWARE: u16 = 0x8022;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = stun::Message::parse(bytes) else { return &[] };
    let methods = ",binding,3:allocate,refresh,6:send,data,create_permission,channel_bind";
    number_or_word("method", methods, message.method.into(), members);
    number_or_word(
        "class",
        "request,indication,success_response,error_response",
        message.class.into(),
        members,
    );
    let (_cookie, transaction) = message.mask.split_at(4);
    members.hex(".transaction_id", transaction);
    for kind in ATTRIBUTES {
        let found = message.attributes().find(|(found, _)| found == kind);
        let (Some((_, contents)), Some(name)) = (found, word(NAMES, (*kind).into())) else { continue };
        match (*kind, contents) {
            (USERNAME | REALM | SOFTWARE, text) => members.text(name, text),
            (ERROR_CODE, [_, _, class, number, ..]) => {
                members.number(name, i64::from(class & 7) * 100 + i64::from(*number));
            }
            _ => {
                let Some((port, bytes, len)) = message.address(contents) else { continue };
                let address = address(bytes.get(..len).unwrap_or_default()).unwrap_or_default();
                let text = if len == 4 { format!("{address}:{port}") } else { format!("[{address}]:{port}") };
                members.text(name, text.as_bytes());
            }
        }
    }
    message.remaining
}
