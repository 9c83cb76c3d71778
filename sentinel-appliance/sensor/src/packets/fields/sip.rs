//! SIP. Names of the headers of RFC 3261 section 20.

use sentinel_dissect::application::sip::Message;

use super::listed::Context;
use super::members::Members;

/// Headers that are shown, with the name of their field.
const HEADERS: &[(&str, &str)] = &[
    ("from", "from"),
    ("to", "to"),
    (".call_id", "call-id"),
    (".cseq", "cseq"),
    (".via", "via"),
    (".contact", "contact"),
    (".user_agent", "user-agent"),
    (".server", "server"),
];

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
    for (field, header) in HEADERS {
        if let Some(value) = message.header(header) {
            members.text(field, value);
        }
    }
    &[]
}
