//! Incidents: built from the stored alerts by a consumer with a durable position, searched, and changed by users.
//!
//! ```text
//! alerts (the journal: committed before the acknowledgement) --batch--> apply --> incidents, addresses, messages, blocks
//! ```
//!
//! The consumer reads on a connection of its own and hands each batch to the writer, which applies it in one transaction with the
//! position: a crash leaves both or neither, and an alert is counted once. Its transactions are not synchronised by themselves; what
//! a power cut takes is read again from the alerts, which are.

pub(super) mod apply;
pub(super) mod batch;
pub(super) mod block;
pub(super) mod change;
mod column;
pub(super) mod detail;
pub(super) mod query;
mod row;
pub(super) mod runs;
#[cfg(test)]
mod tests;

use sentinel_alert::Subject;

/// Rows of table `incident_addresses` that a message makes, without the incident: role and address.
pub(super) fn address_rows(subject: &Subject) -> Vec<(i64, [u8; 16])> {
    let named = [(column::SOURCE, subject.source), (column::DESTINATION, subject.destination)];
    let rows = named.into_iter().filter_map(|(role, address)| Some((role, column::address(address?))));
    rows.collect()
}
