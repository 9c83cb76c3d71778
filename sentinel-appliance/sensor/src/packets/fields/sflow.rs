//! sFlow. Field names of its specification, section 5.

use sentinel_dissect::application::sflow;

use super::layout::{Layout, Sort, word};
use super::members::{Context, Members};

pub(super) const HEADER: Layout = Layout {
    names: ".sub_agent_id sequence_number .uptime num_samples",
    fields: &[(0, Sort::Number(4)), (4, Sort::Number(4)), (8, Sort::Number(4)), (12, Sort::Number(4))],
};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = sflow::Message::parse(bytes) else { return &[] };
    members.number(".version", 5);
    members.address("agent_address", message.agent);
    HEADER.write(message.header, members);
    let name = |format: u32| {
        let name =
            word(",flow_sample,counters_sample,flow_sample_expanded,counters_sample_expanded", format.into());
        name.map_or_else(|| format.to_string(), str::to_owned)
    };
    members.list("samples", &mut message.formats().map(name));
    &[]
}
