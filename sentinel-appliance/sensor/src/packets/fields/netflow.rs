//! `NetFlow` and IPFIX. Field names of RFC 3954 section 5.1 and RFC 7011 section 3.1.

use sentinel_dissect::application::netflow;

use super::layout::{Layout, Sort};
use super::members::{Context, Members};

pub(super) const VERSION_5: Layout = Layout {
    names: "version count .sys_uptime .unix_secs .unix_nsecs flow_sequence .engine_type .engine_id .sampling_interval",
    fields: &[
        (0, Sort::Number(2)),
        (2, Sort::Number(2)),
        (4, Sort::Number(4)),
        (8, Sort::Number(4)),
        (12, Sort::Number(4)),
        (16, Sort::Number(4)),
        (20, Sort::Number(1)),
        (21, Sort::Number(1)),
        (22, Sort::Number(2)),
    ],
};
pub(super) const VERSION_9: Layout = Layout {
    names: "version count .sys_uptime .unix_secs sequence_number source_id",
    fields: &[
        (0, Sort::Number(2)),
        (2, Sort::Number(2)),
        (4, Sort::Number(4)),
        (8, Sort::Number(4)),
        (12, Sort::Number(4)),
        (16, Sort::Number(4)),
    ],
};
pub(super) const IPFIX: Layout = Layout {
    names: "version .length .export_time sequence_number observation_domain_id",
    fields: &[
        (0, Sort::Number(2)),
        (2, Sort::Number(2)),
        (4, Sort::Number(4)),
        (8, Sort::Number(4)),
        (12, Sort::Number(4)),
    ],
};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = netflow::message(bytes) else { return &[] };
    let layout = match message.version {
        5 => VERSION_5,
        9 => VERSION_9,
        _ => IPFIX,
    };
    layout.write(message.bytes, members);
    if message.version > 5 {
        members.list("sets", &mut message.sets().map(|number| number.to_string()));
    }
    &[]
}
