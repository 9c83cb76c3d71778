//! OSPF. Field names of RFC 2328 appendix A.3.

use sentinel_dissect::application::ospf;

use super::layout::{Layout, Sort};
use super::members::{Context, Members};

pub(super) const HEADER: Layout = Layout {
    names: "version type=,hello,database_description,link_state_request,link_state_update,link_state_acknowledgment \
        .packet_length router_id area_id",
    fields: &[
        (0, Sort::Number(1)),
        (1, Sort::Number(1)),
        (2, Sort::Number(2)),
        (4, Sort::Address(4)),
        (8, Sort::Address(4)),
    ],
};
/// Behind the header of version 2.
pub(super) const HELLO_2: Layout = Layout {
    names: ".au_type network_mask .hello_interval .rtr_pri .router_dead_interval designated_router \
        backup_designated_router",
    fields: &[
        (14, Sort::Number(2)),
        (24, Sort::Address(4)),
        (28, Sort::Number(2)),
        (31, Sort::Number(1)),
        (32, Sort::Number(4)),
        (36, Sort::Address(4)),
        (40, Sort::Address(4)),
    ],
};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    if let Some((version, kind, message)) = ospf::message(bytes) {
        HEADER.write(message, members);
        if (version, kind) == (2, 1) {
            HELLO_2.write(message, members);
        }
    }
    &[]
}
