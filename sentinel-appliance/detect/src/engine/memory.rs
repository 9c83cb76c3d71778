//! Division of the memory for tables.

use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow::FlowSet;
use sentinel_track::table::WAYS;

use crate::detectors::{TableCapacities, Tables};
use crate::incident::{Incident, MAX_INCIDENTS};
use crate::shared::table_size::{TableSize, slots};

/// Storage for all tables, lent by the program for as long as the engine lives.
#[derive(Debug)]
pub struct Storage<'m> {
    /// Flows and their initiators.
    pub flows: &'m mut [FlowSet],
    /// Open incidents.
    pub incidents: &'m mut [Incident],
    /// Tables of the detectors.
    pub tables: Tables<'m>,
}

impl<'m> Storage<'m> {
    /// As much of each as `capacities` says.
    pub fn allocate(capacities: &Capacities, allocator: &mut impl TableAllocator<'m>) -> Self {
        Self {
            flows: allocator.allocate_default(capacities.flows / WAYS),
            incidents: allocator.allocate_default(capacities.incidents),
            tables: Tables::allocate(&capacities.tables, allocator),
        }
    }
}

/// Entries of each table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacities {
    /// For [`Storage::flows`].
    pub flows: usize,
    /// For [`Storage::incidents`].
    pub incidents: usize,
    /// For [`Storage::tables`].
    pub tables: TableCapacities,
}

/// Share of the flow table; the detectors' tables have theirs in the table of detectors.
const FLOWS_SHARE: usize = 22;
/// Memory below which lists of two sizes have the smaller one.
const TINY_BYTES: usize = 1 << 20;
/// Parts that the memory is divided into.
const SHARES: usize = FLOWS_SHARE + TableCapacities::SHARES;
const _: () = assert!(FLOWS_SHARE * 4 >= SHARES, "flows get a quarter: every other test depends on them");

impl Capacities {
    /// Divides `bytes` among the tables. The tables together never take more, unless `bytes` is too
    /// small for one set of each (about 64 KiB).
    ///
    /// Incidents and lists have a fixed size; the remainder is divided by shares, and what a share leaves beyond a power of two of
    /// sets is spare: one detector has a use for it.
    #[must_use]
    pub const fn within(bytes: usize) -> Self {
        let is_tiny = bytes < TINY_BYTES;
        let fixed = MAX_INCIDENTS * size_of::<Incident>() + TableCapacities::fixed_bytes(is_tiny);
        let remaining = bytes.saturating_sub(fixed);
        let flows = slots::<FlowSet>(remaining, FLOWS_SHARE, SHARES);
        let tables = TableCapacities::within(remaining, SHARES, is_tiny);
        let taken = flows / WAYS * size_of::<FlowSet>()
            + MAX_INCIDENTS * size_of::<Incident>()
            + sum(&tables.sizes());
        Self { flows, incidents: MAX_INCIDENTS, tables: tables.with_spare(bytes.saturating_sub(taken)) }
    }

    /// Each table with its size, for `sentinel status`.
    pub fn sizes(self) -> impl Iterator<Item = TableSize> {
        let flows = TableSize::of_sets::<FlowSet>("flows", self.flows);
        let incidents = TableSize::of_list::<Incident>("incidents", self.incidents);
        core::iter::once(flows).chain(self.tables.sizes()).chain([incidents])
    }
}

/// Bytes of all tables.
const fn sum(mut tables: &[TableSize]) -> usize {
    let mut sum = 0;
    while let [table, others @ ..] = tables {
        (sum, tables) = (sum + table.bytes(), others);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stay_within_the_budget() {
        for kib in [256, 512, 1_024, 2_048, 4_096, 65_536] {
            let bytes: usize = Capacities::within(kib * 1_024).sizes().map(|table| table.bytes()).sum();
            assert!(bytes <= kib * 1_024 && bytes > kib * 1_024 / 3, "{kib} KiB: {bytes}");
        }
    }

    #[test]
    fn every_table_has_at_least_one_set() {
        assert!(Capacities::within(0).sizes().all(|table| table.slots >= WAYS));
    }
}
