//! How much memory each table gets.

use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow::FlowSet;
use sentinel_track::neighbour::NeighbourSet;
use sentinel_track::table::WAYS;

use crate::ListedPort;
use crate::detectors::access::brute_force::LoginAttemptsSet;
use crate::detectors::source_table::SourceActivitySet;
use crate::detectors::transfer::exfiltration::EgressBytesSet;
use crate::incident::{Incident, MAX_INCIDENTS};
use crate::shared::rate::SourceSet;

/// Storage for all tables, lent by the program for as long as the engine lives.
#[derive(Debug)]
pub struct Storage<'m> {
    /// Conversations and who opened them.
    pub flows: &'m mut [FlowSet],
    /// Ports tried and connection requests, per source.
    pub syn_sources: &'m mut [SourceActivitySet],
    /// Echo requests, per source.
    pub echo_sources: &'m mut [SourceSet],
    /// Login attempts, per source and service.
    pub logins: &'m mut [LoginAttemptsSet],
    /// Outbound bytes, per inside host.
    pub egress: &'m mut [EgressBytesSet],
    /// Hardware addresses, per IPv4 address.
    pub neighbours: &'m mut [NeighbourSet],
    /// Open incidents.
    pub incidents: &'m mut [Incident],
    /// Ports that malware is known to use.
    pub listed_ports: &'m mut [ListedPort],
}

impl<'m> Storage<'m> {
    /// As much of each as `capacities` says.
    pub fn allocate(capacities: &Capacities, allocator: &mut impl TableAllocator<'m>) -> Self {
        Self {
            flows: allocator.allocate_default(capacities.flows / WAYS),
            syn_sources: allocator.allocate_default(capacities.syn_sources / WAYS),
            echo_sources: allocator.allocate_default(capacities.echo_sources / WAYS),
            logins: allocator.allocate_default(capacities.logins / WAYS),
            egress: allocator.allocate_default(capacities.egress / WAYS),
            neighbours: allocator.allocate_default(capacities.neighbours / WAYS),
            incidents: allocator.allocate_default(capacities.incidents),
            listed_ports: allocator.allocate_default(capacities.listed_ports),
        }
    }
}

/// Entries of each table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacities {
    /// For [`Storage::flows`].
    pub flows: usize,
    /// For [`Storage::syn_sources`].
    pub syn_sources: usize,
    /// For [`Storage::echo_sources`].
    pub echo_sources: usize,
    /// For [`Storage::logins`].
    pub logins: usize,
    /// For [`Storage::egress`].
    pub egress: usize,
    /// For [`Storage::neighbours`].
    pub neighbours: usize,
    /// For [`Storage::incidents`].
    pub incidents: usize,
    /// For [`Storage::listed_ports`].
    pub listed_ports: usize,
}

/// One row of the memory table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableSize {
    /// What the table holds.
    pub name: &'static str,
    /// Entries that fit.
    pub slots: usize,
    /// Bytes of one entry.
    pub slot_bytes: usize,
}

impl TableSize {
    const fn of<T>(name: &'static str, slots: usize) -> Self {
        Self { name, slots, slot_bytes: size_of::<T>() }
    }

    const fn of_sets<T>(name: &'static str, slots: usize) -> Self {
        Self { name, slots, slot_bytes: size_of::<T>() / WAYS }
    }

    /// Bytes of the whole table.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.slots.saturating_mul(self.slot_bytes)
    }
}

const LISTED_PORTS: usize = 128;

impl Capacities {
    /// Shares `bytes` out among the tables. The tables together never take more, unless `bytes` is too
    /// small for one set of each (about 64 KiB).
    ///
    /// Conversations get the most, because every other verdict leans on them; slots are powers of two,
    /// as the tables use no others.
    #[must_use]
    pub const fn within(bytes: usize) -> Self {
        let fixed = MAX_INCIDENTS * size_of::<Incident>() + LISTED_PORTS * size_of::<ListedPort>();
        let rest = bytes.saturating_sub(fixed);
        // Shares in 1/32 of what is left; they add up to 32.
        Self {
            flows: slots::<FlowSet>(rest, 10),
            syn_sources: slots::<SourceActivitySet>(rest, 12),
            echo_sources: slots::<SourceSet>(rest, 3),
            logins: slots::<LoginAttemptsSet>(rest, 3),
            egress: slots::<EgressBytesSet>(rest, 2),
            neighbours: slots::<NeighbourSet>(rest, 2),
            incidents: MAX_INCIDENTS,
            listed_ports: LISTED_PORTS,
        }
    }

    /// Each table with its size, for `sentinel status`.
    #[must_use]
    pub const fn tables(&self) -> [TableSize; 8] {
        [
            TableSize::of_sets::<FlowSet>("flows", self.flows),
            TableSize::of_sets::<SourceActivitySet>("askers", self.syn_sources),
            TableSize::of_sets::<SourceSet>("echoes", self.echo_sources),
            TableSize::of_sets::<LoginAttemptsSet>("doors", self.logins),
            TableSize::of_sets::<EgressBytesSet>("outbound", self.egress),
            TableSize::of_sets::<NeighbourSet>("neighbours", self.neighbours),
            TableSize::of::<Incident>("incidents", self.incidents),
            TableSize::of::<ListedPort>("listed_ports", self.listed_ports),
        ]
    }
}

/// Entries in as many sets `T` as fit, a power of two and at least one.
const fn slots<T>(bytes: usize, thirty_seconds: usize) -> usize {
    let sets = bytes / 32 * thirty_seconds / size_of::<T>();
    match sets.checked_ilog2() {
        Some(log) => WAYS << log,
        None => WAYS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stay_within_the_budget() {
        for kib in [256, 512, 1_024, 2_048, 4_096, 65_536] {
            let bytes: usize = Capacities::within(kib * 1_024).tables().iter().map(TableSize::bytes).sum();
            assert!(bytes <= kib * 1_024 && bytes > kib * 1_024 / 3, "{kib} KiB: {bytes}");
        }
    }

    #[test]
    fn every_table_has_at_least_one_set() {
        assert!(Capacities::within(0).tables().iter().all(|table| table.slots >= WAYS));
    }
}
