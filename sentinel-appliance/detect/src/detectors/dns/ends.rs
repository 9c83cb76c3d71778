//! DNS messages as the tests of `dns_tunnel` take them: their ends, and which are read.

use sentinel_alert::ShortName;
use sentinel_dissect::{FiveTuple, dns};
use sentinel_units::{Address, Port};

use crate::shared::event::{DNS, Event, Setting};

/// Labels of `ip6.arpa` names for whole addresses: a nibble each, and the two of the zone.
const IP6_ARPA_LABELS: usize = 34;
/// Multicast DNS, and LLMNR.
const LOCAL_NAME_PORTS: [Port; 2] = [Port(5_353), Port(5_355)];

/// Client and server of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) client: Address,
    pub(super) client_port: Port,
    pub(super) server: Address,
    pub(super) server_port: Port,
    pub(super) from_client: bool,
}

/// Second of the packet time, for [`Load`].
#[inline]
pub(super) fn second(setting: Setting<'_>) -> u32 {
    u32::try_from(setting.now.as_secs()).unwrap_or(u32::MAX)
}

/// Client and server of a message; `None` if the client is no internal host.
pub(super) fn ends(event: &Event<'_, '_>) -> Option<Ends> {
    let FiveTuple { source, destination, source_port, destination_port, .. } = event.packet.tuple;
    let from_client = match (source_port == DNS, destination_port == DNS) {
        (false, true) => true,
        (true, false) => false,
        _ => event.role.from_initiator,
    };
    let (client, client_port, server, server_port) = if from_client {
        (source, source_port, destination, destination_port)
    } else {
        (destination, destination_port, source, source_port)
    };
    let is_host = event.setting.home_net.is_internal(client) && !server.is_group();
    is_host.then_some(Ends { client, client_port, server, server_port, from_client })
}

/// Returns true for multicast DNS and LLMNR on the link, whose names are long and local.
pub(super) fn is_local(event: &Event<'_, '_>) -> bool {
    let FiveTuple { source, destination, source_port, destination_port, .. } = event.packet.tuple;
    let is_local_port =
        LOCAL_NAME_PORTS.contains(&source_port) || LOCAL_NAME_PORTS.contains(&destination_port);
    let home_net = event.setting.home_net;
    destination.is_group()
        || is_local_port && !home_net.is_external(source) && !home_net.is_external(destination)
}

/// Returns true for a datagram that is DNS by its content: one question of class Internet, a standard query or its response.
pub(super) fn looks_like_dns(bytes: &[u8]) -> bool {
    let Ok(message) = dns::Message::parse(bytes) else { return false };
    message.question_count() == 1
        && message.opcode() == 0
        && message.answer_count() <= 64
        && message.additional_count() <= 32
        && message.question().is_ok_and(|question| {
            question.is_some_and(|question| question.qclass == 1 && question.name.labels().nth(1).is_some())
        })
}

/// Appends labels as text in lower case, with dots between them; what exceeds the length of a name is left out.
#[inline(never)] // rare, and called from several places
pub(crate) fn push_labels(text: &mut ShortName, labels: &[&[u8]]) {
    for label in labels {
        if !text.is_empty() {
            let _full_is_cut = text.push('.');
        }
        for byte in *label {
            let lower = byte.to_ascii_lowercase();
            let _full_is_cut = text.push(if lower.is_ascii_graphic() { char::from(lower) } else { '?' });
        }
    }
}

/// Returns true for the reverse name of a whole IPv6 address, which every resolver asks for.
pub(super) fn is_reverse_of_ipv6(labels: &[&[u8]]) -> bool {
    let Some((nibbles, [tree, top])) = labels.split_last_chunk() else { return false };
    labels.len() == IP6_ARPA_LABELS
        && nibbles.iter().all(|label| matches!(label, [digit] if digit.is_ascii_hexdigit()))
        && tree.eq_ignore_ascii_case(b"ip6")
        && top.eq_ignore_ascii_case(b"arpa")
}
