//! SIP. Names of the headers of RFC 3261 section 20.

use sentinel_dissect::application::sip::Message;

use super::members::{Context, Members};

/// Headers that are shown; details with a dot.
const HEADERS: &str = "from to .call-id .cseq .via .contact .user-agent .server";

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Message::parse(bytes) else { return &[] };
    if let Some((method, address)) = message.request {
        members.bare_text("method", method);
        members.bare_text("request_uri", address);
    }
    if let Some((status, reason)) = message.response {
        members.bare_text("status_code", status);
        members.bare_text("reason_phrase", reason);
    }
    for header in HEADERS.split(' ') {
        if let Some(value) = message.header(header.trim_start_matches('.')) {
            members.text(&header.replace('-', "_"), value);
        }
    }
    &[]
}
