//! EIGRP. Field names of RFC 7868 section 6.

use sentinel_dissect::application::eigrp;

use super::layout::{Layout, Sort};
use super::members::{Context, Members};

pub(super) const HEADER: Layout = Layout {
    names: ".header_version opcode=,update,,query,reply,hello,10:sia_query,sia_reply .flags sequence_number \
        acknowledgment_number .virtual_router_id autonomous_system_number",
    fields: &[
        (0, Sort::Number(1)),
        (1, Sort::Number(1)),
        (4, Sort::Number(4)),
        (8, Sort::Number(4)),
        (12, Sort::Number(4)),
        (16, Sort::Number(2)),
        (18, Sort::Number(2)),
    ],
};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    if let Some(message) = eigrp::message(bytes) {
        HEADER.write(message, members);
    }
    &[]
}
