//! `NetBIOS` names and sessions. Field names of RFC 1002 sections 4.2 and 4.3.

use sentinel_dissect::application::netbios::{Name, NameMessage, Session};

use super::layout::{Layout, Sort, number_or_word};
use super::members::{Context, Members};

const HEADER: Layout = Layout {
    names: ".name_trn_id opcode=query,5:registration,release,wack,refresh",
    fields: &[(0, Sort::Number(2)), (2, Sort::Bits(3, 4))],
};

/// A name and its kind: `FRED<20>`.
fn text(name: &Name) -> Vec<u8> {
    [name.text(), format!("<{:02x}>", name.suffix()).as_bytes()].concat()
}

pub(super) fn write_name<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = NameMessage::parse(bytes) else { return &[] };
    HEADER.write(message.header, members);
    let [_, _, high, low] = *message.header;
    members.flag("response", high & 0x80 != 0);
    members.number(".rcode", (low & 0x0f).into());
    members.bare_text("name", &text(&message.name));
    number_or_word("type", "10:NULL,32:NB,NBSTAT", message.kind.into(), members);
    if let Some(address) = message.address {
        members.address("nb_address", address);
    }
    &[]
}

pub(super) fn write_session<'p>(bytes: &'p [u8], context: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Session::parse(bytes, context.ports) else { return &[] };
    let types = "129:session_request,positive_session_response,negative_session_response,retarget_session_response,\
        session_keepalive";
    number_or_word("type", types, message.kind.into(), members);
    if let Some((called, calling)) = &message.names {
        members.text("called_name", &text(called));
        members.text("calling_name", &text(calling));
    }
    if let (0x83, [reason]) = (message.kind, message.body) {
        members.number("error_code", (*reason).into());
    }
    members.has_record = message.kind != 0x85;
    message.remaining
}
