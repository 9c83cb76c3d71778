//! IGMP. Field names of RFC 9776 section 4.

use sentinel_dissect::application::igmp;

use super::layout::{Layout, Sort, word};
use super::members::{Context, Members, address};

pub(super) const HEADER: Layout = Layout {
    names: "type=17:membership_query,v1_membership_report,22:v2_membership_report,leave_group,34:v3_membership_report \
        .max_resp_code group_address",
    fields: &[(0, Sort::Number(1)), (1, Sort::Number(1)), (4, Sort::Address(4))],
};
/// Kinds of records of a report (RFC 9776 section 4.2.13).
const RECORDS: &str = ",is_include,is_exclude,to_include,to_exclude,allow,block";

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    match igmp::message(bytes) {
        Some((igmp::REPORT_3, report)) => {
            // The address is not in this header, but in the records.
            HEADER.write(report.get(..2).unwrap_or_default(), members);
            let record = |(kind, group): (u8, &[u8; 4])| {
                let kind = word(RECORDS, kind.into()).unwrap_or("unknown");
                format!("{kind} {}", address(group).unwrap_or_default())
            };
            members.list("group_records", &mut igmp::groups(report).map(record));
        }
        Some((_, message)) => HEADER.write(message, members),
        None => {}
    }
    &[]
}
