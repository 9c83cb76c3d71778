//! STUN and TURN. Names of RFC 8489 section 14.

use sentinel_dissect::application::stun;

use super::layout::{number_or_word, word};
use super::members::{Context, Members, address};

/// Attributes that hide an address: XOR-PEER-ADDRESS, XOR-RELAYED-ADDRESS, XOR-MAPPED-ADDRESS.
const ADDRESSES: &str = "18:xor_peer_address,22:xor_relayed_address,32:xor_mapped_address";
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const REALM: u16 = 0x0014;
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
    for (kind, contents) in message.attributes() {
        match (kind, contents) {
            (USERNAME, name) => members.text("username", name),
            (REALM, realm) => members.text(".realm", realm),
            (SOFTWARE, software) => members.text("software", software),
            (ERROR_CODE, [_, _, class, number, ..]) => {
                members.number("error_code", i64::from(class & 7) * 100 + i64::from(*number));
            }
            _ => {
                let Some(name) = word(ADDRESSES, kind.into()) else { continue };
                let Some((port, bytes, len)) = message.address(contents) else { continue };
                let address = address(bytes.get(..len).unwrap_or_default()).unwrap_or_default();
                let text = if len == 4 { format!("{address}:{port}") } else { format!("[{address}]:{port}") };
                members.text(name, text.as_bytes());
            }
        }
    }
    message.remaining
}
