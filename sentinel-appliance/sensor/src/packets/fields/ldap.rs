//! LDAP. Field names of RFC 4511 section 4.

use sentinel_dissect::application::ber::{self, Elements};
use sentinel_dissect::application::ldap::Message;

use super::layout::number_or_word;
use super::members::{Context, Members, lossy};

const OPERATIONS: &str = "bind_request,bind_response,unbind_request,search_request,search_result_entry,search_result_done,\
    modify_request,modify_response,add_request,add_response,del_request,del_response,modify_dn_request,modify_dn_response,\
    compare_request,compare_response,abandon_request,19:search_result_reference,23:extended_request,extended_response,\
    intermediate_response";
/// First fields of the operations, by number. Those of results are all alike (RFC 4511 section 4.1.9).
const FIELDS: &[(u8, &str)] = &[
    (0, "version name"),
    (3, "base_object scope .deref_aliases .size_limit .time_limit .types_only"),
    (4, "object_name"),
    (6, "object"),
    (8, "entry"),
    (12, "entry newrdn"),
    (14, "entry"),
];
const RESULT: &str = "result_code matched_dn diagnostic_message";
const SEARCH: u8 = 3;
const DELETE: u8 = 10;
/// Place of the attributes of a search, behind the filter.
const SEARCH_ATTRIBUTES: usize = 7;
/// Tags of a password, of a mechanism with its credentials, and of the name of an extended request.
const SIMPLE: u8 = 0x80;
const SASL: u8 = 0xa3;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Message::parse(bytes) else { return &[] };
    number_or_word("protocol_op", OPERATIONS, message.operation.into(), members);
    members.number("message_id", message.message_id.into());
    let elements = Elements::new(message.contents);
    let names = FIELDS.iter().find(|(operation, _)| *operation == message.operation).map(|(_, names)| *names);
    let names = match message.operation {
        1 | 5 | 7 | 9 | 11 | 13 | 15 | 24 => RESULT,
        _ => names.unwrap_or_default(),
    };
    for (name, (tag, value)) in names.split(' ').zip(elements).filter(|(name, _)| !name.is_empty()) {
        members.element(name, tag, value);
    }
    match message.operation {
        0 => authentication(elements, members),
        DELETE => members.text("entry", message.contents),
        23 => members.optional("request_name", ber::find(message.contents, SIMPLE)),
        SEARCH => {
            let attributes = elements.into_iter().nth(SEARCH_ATTRIBUTES).map_or(&[][..], |(_, list)| list);
            members.list("attributes", &mut Elements::new(attributes).map(|(_, name)| lossy(name)));
        }
        _ => {}
    }
    message.remaining
}

/// Writes how a client authenticates; passwords are not shown.
fn authentication(elements: Elements<'_>, members: &mut Members<'_>) {
    match elements.into_iter().nth(2) {
        Some((SIMPLE, password)) => {
            members.word("authentication", if password.is_empty() { "none" } else { "simple" });
        }
        Some((SASL, credentials)) => {
            members.word("authentication", "sasl");
            members.optional("mechanism", ber::find(credentials, ber::OCTET_STRING));
        }
        _ => {}
    }
}
