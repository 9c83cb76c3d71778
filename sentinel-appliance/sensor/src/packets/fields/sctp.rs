//! SCTP. Field names of RFC 9260 section 3.

use sentinel_dissect::application::sctp;

use super::layout::word;
use super::members::{Context, Members};

/// Types of chunks (RFC 9260 section 3.2).
const CHUNKS: &str = "data,init,init_ack,sack,heartbeat,heartbeat_ack,abort,shutdown,shutdown_ack,error,cookie_echo,cookie_ack,\
    14:shutdown_complete,64:i_data,128:asconf_ack,192:forward_tsn,193:asconf";
/// Chunks of an association that goes on; a record for each packet would repeat its flow.
const ROUTINE: &[u8] = &[0, 3, 4, 5, 64];

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = sctp::Message::parse(bytes) else { return &[] };
    let name =
        |(kind, _): (u8, &[u8])| word(CHUNKS, kind.into()).map_or_else(|| kind.to_string(), str::to_owned);
    members.list("chunks", &mut message.chunks().map(name));
    members.number(".verification_tag", message.verification_tag.into());
    members.has_record = message.chunks().any(|(kind, _)| !ROUTINE.contains(&kind));
    &[]
}
