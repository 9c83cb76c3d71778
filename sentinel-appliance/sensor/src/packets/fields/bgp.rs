//! BGP. Field names of RFC 4271 section 4.

use sentinel_dissect::application::bgp;

use super::layout::{Layout, Sort, number_or_word};
use super::members::{Context, Members, address};

pub(super) const OPEN: Layout = Layout {
    names: "version my_autonomous_system hold_time bgp_identifier",
    fields: &[(0, Sort::Number(1)), (1, Sort::Number(2)), (3, Sort::Number(2)), (5, Sort::Address(4))],
};
pub(super) const NOTIFICATION: Layout = Layout {
    names: "error_code=,message_header,open_message,update_message,hold_timer_expired,finite_state_machine,cease error_subcode",
    fields: &[(0, Sort::Number(1)), (1, Sort::Number(1))],
};
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = bgp::Message::parse(bytes) else { return &[] };
    number_or_word("type", ",open,update,notification,keepalive,route_refresh", message.kind.into(), members);
    match message.kind {
        1 => OPEN.write(message.body, members),
        3 => NOTIFICATION.write(message.body, members),
        _ => {}
    }
    if let Some((withdrawn, attributes, announced)) = message.update() {
        // Of several of a kind, which RFC 4271 section 5 forbids, the first.
        let find = |wanted: u8| {
            bgp::attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
        };
        if let Some(path) = find(AS_PATH) {
            members.list("as_path", &mut bgp::as_path(path).map(|number| number.to_string()));
        }
        if let Some(next_hop) = find(NEXT_HOP) {
            members.address("next_hop", next_hop);
        }
        for (name, routes) in
            [("withdrawn_routes", withdrawn), ("network_layer_reachability_information", announced)]
        {
            let mut prefixes = bgp::prefixes(routes)
                .map(|(prefix, bits)| format!("{}/{bits}", address(&prefix).unwrap_or_default()));
            members.list(name, &mut prefixes);
        }
    }
    message.remaining
}
