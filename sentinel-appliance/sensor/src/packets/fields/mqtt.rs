//! MQTT. Field names of MQTT 5.0 sections 2 and 3.

use sentinel_dissect::application::mqtt;

use super::layout::number_or_word;
use super::members::{Context, Members};

const TYPES: &str = ",connect,connack,publish,puback,pubrec,pubrel,pubcomp,subscribe,suback,unsubscribe,unsuback,pingreq,\
    pingresp,disconnect,auth";
/// Acknowledgements and keep-alives, which add nothing to the packets that they follow.
const ROUTINE: &[u8] = &[4, 5, 6, 7, 9, 11, 12, 13];

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(packet) = mqtt::Packet::parse(bytes) else { return &[] };
    number_or_word("packet_type", TYPES, packet.kind.into(), members);
    if let Some(connect) = packet.connect() {
        members.text(".protocol_name", connect.protocol_name);
        members.number(".protocol_version", connect.protocol_level.into());
        members.number(".keep_alive", connect.keep_alive.into());
        members.text("client_id", connect.client_id);
        members.optional("user_name", connect.user_name);
    }
    if let Some(topic) = packet.topic() {
        members.text("topic_name", topic);
        if packet.kind == 3 {
            members.number(".qos", (packet.flags >> 1 & 3).into());
            members.flag("retain", packet.flags & 1 != 0);
        }
    }
    if let (2, [_, reason, ..]) = (packet.kind, packet.body) {
        members.number("reason_code", (*reason).into());
    }
    members.has_record = !ROUTINE.contains(&packet.kind);
    packet.remaining
}
