//! RIP. Field names of RFC 2453 section 4.

use sentinel_dissect::application::rip::{self, ENTRY_LEN};

use super::layout::word;
use super::members::{Context, Members, address};

/// Port of the form for IPv6 (RFC 2080 section 2.1).
const IPV6_PORT: u16 = 521;

pub(super) fn write<'p>(bytes: &'p [u8], context: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some((command, version, entries)) = rip::entries(bytes) else { return &[] };
    members.word("command", word(",request,response", command.into()).unwrap_or_default());
    members.number("version", version.into());
    let (source, destination) = context.ports;
    let is_ipv6 = source.0 == IPV6_PORT || destination.0 == IPV6_PORT;
    members.list(
        "routes",
        &mut entries.iter().filter_map(|entry| if is_ipv6 { prefix_6(entry) } else { prefix_4(entry) }),
    );
    &[]
}

/// Family, tag, address, mask, next hop, metric. Version 1 has neither mask nor next hop.
fn prefix_4(entry: &[u8; ENTRY_LEN]) -> Option<String> {
    let &[f0, f1, _, _, ref rest @ ..] = entry;
    let metric = entry.last()?;
    match u16::from_be_bytes([f0, f1]) {
        0xffff => Some("authentication".to_owned()),
        _ => Some(format!("{}/{} metric {metric}", address(rest.get(..4)?)?, address(rest.get(4..8)?)?)),
    }
}

/// Prefix, tag, its length, metric; 255 marks a next hop.
fn prefix_6(entry: &[u8; ENTRY_LEN]) -> Option<String> {
    let &[.., len, metric] = entry;
    let prefix = address(entry.get(..16)?)?;
    Some(if metric == 255 { format!("via {prefix}") } else { format!("{prefix}/{len} metric {metric}") })
}
