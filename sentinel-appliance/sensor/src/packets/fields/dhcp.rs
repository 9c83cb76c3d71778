//! DHCP for IPv4. Field names of RFC 2131 section 2 and RFC 2132.

use sentinel_dissect::dhcp::{self, option};

use super::layout::{Layout, Sort, number_or_word};
use super::members::{Context, Members, address};

/// Fields of every message, those of addresses apart.
pub(super) const FIXED: Layout = Layout {
    names: ".op=,bootrequest,bootreply .xid .secs .ciaddr .siaddr .giaddr",
    fields: &[
        (0, Sort::Number(1)),
        (4, Sort::Hex(4)),
        (8, Sort::Number(2)),
        (12, Sort::Address(4)),
        (20, Sort::Address(4)),
        (24, Sort::Address(4)),
    ],
};
const TYPES: &str = ",DISCOVER,OFFER,REQUEST,DECLINE,ACK,NAK,RELEASE,INFORM";
/// Options with text.
const TEXTS: &[(&str, u8)] = &[
    ("host_name", option::HOST_NAME),
    (".domain_name", option::DOMAIN_NAME),
    (".message", option::MESSAGE),
    (".vendor_class_identifier", option::VENDOR_CLASS),
];
/// Options with addresses.
const ADDRESSES: &[(&str, u8)] = &[
    (".requested_ip_address", option::REQUESTED_ADDRESS),
    (".server_identifier", option::SERVER),
    (".subnet_mask", option::SUBNET_MASK),
    (".router", option::ROUTER),
    (".domain_name_server", option::DOMAIN_NAME_SERVER),
];

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let find =
        |wanted: u8| dhcp::options(bytes).find(|(number, _)| *number == wanted).map(|(_, value)| value);
    match find(option::MESSAGE_TYPE) {
        Some([kind]) => number_or_word("message_type", TYPES, (*kind).into(), members),
        _ => members.word("message_type", "BOOTP"),
    }
    FIXED.write(bytes, members);
    if let Some(your) = bytes.get(16..20) {
        let is_given = your != [0; 4];
        members.address(if is_given { "yiaddr" } else { ".yiaddr" }, your);
    }
    members.address("chaddr", bytes.get(28..34).unwrap_or_default());
    for (name, number) in TEXTS {
        if let Some(text) = find(*number) {
            members.text(name, text);
        }
    }
    for (name, number) in ADDRESSES {
        if let Some(list) = find(*number) {
            // Of lists the first, which clients ask first.
            members.text(name, address(list.get(..4).unwrap_or_default()).unwrap_or_default().as_bytes());
        }
    }
    if let Some(&[a, b, c, d]) = find(option::LEASE_TIME) {
        members.number(".ip_address_lease_time", u32::from_be_bytes([a, b, c, d]).into());
    }
    if let Some(identifier) = find(option::CLIENT_IDENTIFIER) {
        members.hex(".client_identifier", identifier);
    }
    &[]
}
