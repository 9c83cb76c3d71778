//! SNMP. Field names of RFC 3416 section 3, RFC 1157 section 4.1.6 and RFC 3414 section 2.4.

use sentinel_dissect::application::snmp::Message;

use super::layout::{number_or_word, word};
use super::members::{Context, Members};

const TYPES: &str = "get_request,get_next_request,response,set_request,trap,get_bulk_request,inform_request,snmpv2_trap,report";
/// Trap of version 1, whose fields differ from all others.
const TRAP: u8 = 4;
const BULK: u8 = 5;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Message::parse(bytes) else { return &[] };
    members.text("version", word("1,2c,,3", message.version.into()).unwrap_or_default().as_bytes());
    if let Some(community) = message.community {
        members.text("community", community);
    }
    if let Some(security) = message.security {
        members.text("msg_user_name", security.user_name);
        members.number(".msg_id", security.message_id);
        members.number(".msg_flags", security.flags.into());
        members.hex(".msg_authoritative_engine_id", security.engine_id);
    }
    let Some(pdu) = message.pdu else { return &[] };
    number_or_word("pdu_type", TYPES, pdu.kind.into(), members);
    let names = match pdu.kind {
        TRAP => "enterprise agent_addr generic_trap specific_trap .time_stamp",
        BULK => ".request_id .non_repeaters .max_repetitions",
        _ => ".request_id .error_status .error_index",
    };
    for (name, (tag, value)) in names.split(' ').zip(pdu.fields) {
        members.element(name, tag, value);
    }
    members.list("variable_bindings", &mut pdu.bindings().map(|(name, _, _)| name.to_string()));
    &[]
}
