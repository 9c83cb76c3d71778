//! DHCP for IPv6. Names of RFC 9915 section 21.

use sentinel_dissect::application::dhcpv6::{Message, Options};

use super::layout::number_or_word;
use super::members::{Context, Members, address};

const TYPES: &str = ",solicit,advertise,request,confirm,renew,rebind,reply,release,decline,reconfigure,information_request,\
    relay_forward,relay_reply";
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const NON_TEMPORARY: u16 = 3;
const TEMPORARY: u16 = 4;
const ADDRESS: u16 = 5;
const STATUS: u16 = 13;
const PREFIXES: u16 = 25;
const PREFIX: u16 = 26;
const CLIENT_NAME: u16 = 39;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Message::parse(bytes) else { return &[] };
    number_or_word("msg_type", TYPES, message.kind.into(), members);
    if let (&[hops, ref addresses @ ..], 33) = (message.header, message.header.len()) {
        members.number(".hop_count", hops.into());
        let (link, peer) = addresses.split_at(16);
        members.address("link_address", link);
        members.address("peer_address", peer);
    } else {
        members.hex("transaction_id", message.header);
    }
    for (name, number) in [("client_id", CLIENT_ID), (".server_id", SERVER_ID)] {
        if let Some(identifier) = message.option(number) {
            members.hex(name, identifier);
        }
    }
    // Flags, then a name in labels.
    if let Some([_, labels @ ..]) = message.option(CLIENT_NAME) {
        members.text("client_fqdn", &name(labels));
    }
    members.list("addresses", &mut message.options().filter_map(association));
    if let Some(&[high, low, ..]) = message.option(STATUS) {
        members.number("status_code", u16::from_be_bytes([high, low]).into());
    }
    &[]
}

/// The first address or prefix of an association of addresses.
fn association((number, contents): (u16, &[u8])) -> Option<String> {
    // Identifier and two times before the options of an association; of a temporary one the identifier alone.
    let skipped = match number {
        NON_TEMPORARY | PREFIXES => 12,
        TEMPORARY => 4,
        _ => return None,
    };
    match Options::new(contents.get(skipped..)?).find(|(number, _)| matches!(*number, ADDRESS | PREFIX))? {
        (ADDRESS, contents) => address(contents.get(..16)?),
        // Two times and a length before the prefix.
        (_, contents) => Some(format!("{}/{}", address(contents.get(9..25)?)?, contents.get(8)?)),
    }
}

/// Labels with a length before each, joined by dots; up to 255 bytes.
fn name(labels: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut rest = labels.get(..255).unwrap_or(labels);
    while let Some((&len, behind)) = rest.split_first()
        && let Some((label, behind)) = behind.split_at_checked(len.into())
        && len > 0
    {
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(label);
        rest = behind;
    }
    name
}
