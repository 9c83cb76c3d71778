//! How much memory each table gets.

use sentinel_track::flow::FlowSet;
use sentinel_track::lender::Lender;
use sentinel_track::neighbour::NeighbourSet;
use sentinel_track::table::WAYS;

use crate::ListedPort;
use crate::askers::AskerSet;
use crate::brute_force::DoorSet;
use crate::exfiltration::OutboundSet;
use crate::incident::{Incident, MAX_INCIDENTS};
use crate::per_source::SourceSet;

/// Storage for all tables, lent by the program for as long as the engine lives.
#[derive(Debug)]
pub struct Storage<'m> {
    /// Conversations and who opened them.
    pub flows: &'m mut [FlowSet],
    /// Ports tried and connection requests, per source.
    pub askers: &'m mut [AskerSet],
    /// Echo requests, per source.
    pub echoes: &'m mut [SourceSet],
    /// Login attempts, per source and service.
    pub doors: &'m mut [DoorSet],
    /// Outbound bytes, per inside host.
    pub outbound: &'m mut [OutboundSet],
    /// Hardware addresses, per IPv4 address.
    pub neighbours: &'m mut [NeighbourSet],
    /// Open incidents.
    pub incidents: &'m mut [Incident],
    /// Ports that malware is known to use.
    pub listed_ports: &'m mut [ListedPort],
}

impl<'m> Storage<'m> {
    /// As much of each as `capacities` says.
    pub fn lent(capacities: &Capacities, lender: &mut impl Lender<'m>) -> Self {
        Self {
            flows: lender.lend_new(capacities.flows / WAYS),
            askers: lender.lend_new(capacities.askers / WAYS),
            echoes: lender.lend_new(capacities.echoes / WAYS),
            doors: lender.lend_new(capacities.doors / WAYS),
            outbound: lender.lend_new(capacities.outbound / WAYS),
            neighbours: lender.lend_new(capacities.neighbours / WAYS),
            incidents: lender.lend_new(capacities.incidents),
            listed_ports: lender.lend_new(capacities.listed_ports),
        }
    }
}

/// Entries of each table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacities {
    /// For [`Storage::flows`].
    pub flows: usize,
    /// For [`Storage::askers`].
    pub askers: usize,
    /// For [`Storage::echoes`].
    pub echoes: usize,
    /// For [`Storage::doors`].
    pub doors: usize,
    /// For [`Storage::outbound`].
    pub outbound: usize,
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
            askers: slots::<AskerSet>(rest, 12),
            echoes: slots::<SourceSet>(rest, 3),
            doors: slots::<DoorSet>(rest, 3),
            outbound: slots::<OutboundSet>(rest, 2),
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
            TableSize::of_sets::<AskerSet>("askers", self.askers),
            TableSize::of_sets::<SourceSet>("echoes", self.echoes),
            TableSize::of_sets::<DoorSet>("doors", self.doors),
            TableSize::of_sets::<OutboundSet>("outbound", self.outbound),
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
