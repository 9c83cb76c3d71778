//! RDP. Field names of MS-RDPBCGR section 2.2.1.

use sentinel_dissect::application::rdp;

use super::members::{Context, Members};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(found) = rdp::Connection::parse(bytes) else { return &[] };
    let is_request = found.code == rdp::REQUEST;
    members.word("type", if is_request { "connection_request" } else { "connection_confirm" });
    if is_request {
        members.optional("cookie", found.user);
    }
    if let Some((kind, value)) = found.negotiation {
        let name = match kind {
            1 => "requested_protocols",
            2 => "selected_protocol",
            _ => "failure_code",
        };
        members.number(name, value.into());
    }
    &[]
}
