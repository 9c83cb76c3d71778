//! How much memory each table gets.

use sentinel_track::flow::FlowSlot;
use sentinel_track::neighbour::NeighbourSlot;
use sentinel_track::table::WAYS;

use crate::ListedPort;
use crate::brute_force::DoorSlot;
use crate::exfiltration::OutboundSlot;
use crate::incident::{Incident, MAX_INCIDENTS};
use crate::per_source::SourceSlot;
use crate::port_scan::ScanSlot;

/// Storage for all tables, lent by the program for as long as the engine lives.
#[derive(Debug)]
pub struct Storage<'m> {
    /// Conversations and who opened them.
    pub flows: &'m mut [FlowSlot],
    /// Ports tried, per source.
    pub scans: &'m mut [ScanSlot],
    /// Connection requests, per source.
    pub requests: &'m mut [SourceSlot],
    /// Echo requests, per source.
    pub echoes: &'m mut [SourceSlot],
    /// Login attempts, per source and service.
    pub doors: &'m mut [DoorSlot],
    /// Outbound bytes, per inside host.
    pub outbound: &'m mut [OutboundSlot],
    /// Hardware addresses, per IPv4 address.
    pub neighbours: &'m mut [NeighbourSlot],
    /// Open incidents.
    pub incidents: &'m mut [Incident],
    /// Ports that malware is known to use.
    pub listed_ports: &'m mut [ListedPort],
}

/// Slots of each table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacities {
    /// For [`Storage::flows`].
    pub flows: usize,
    /// For [`Storage::scans`].
    pub scans: usize,
    /// For [`Storage::requests`].
    pub requests: usize,
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
    /// Slots.
    pub slots: usize,
    /// Bytes of one slot.
    pub slot_bytes: usize,
}

impl TableSize {
    const fn of<T>(name: &'static str, slots: usize) -> Self {
        Self { name, slots, slot_bytes: size_of::<T>() }
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
            flows: slots::<FlowSlot>(rest, 10),
            scans: slots::<ScanSlot>(rest, 7),
            requests: slots::<SourceSlot>(rest, 5),
            echoes: slots::<SourceSlot>(rest, 3),
            doors: slots::<DoorSlot>(rest, 3),
            outbound: slots::<OutboundSlot>(rest, 2),
            neighbours: slots::<NeighbourSlot>(rest, 2),
            incidents: MAX_INCIDENTS,
            listed_ports: LISTED_PORTS,
        }
    }

    /// Each table with its size, for `sentinel status`.
    #[must_use]
    pub const fn tables(&self) -> [TableSize; 9] {
        [
            TableSize::of::<FlowSlot>("flows", self.flows),
            TableSize::of::<ScanSlot>("scans", self.scans),
            TableSize::of::<SourceSlot>("requests", self.requests),
            TableSize::of::<SourceSlot>("echoes", self.echoes),
            TableSize::of::<DoorSlot>("doors", self.doors),
            TableSize::of::<OutboundSlot>("outbound", self.outbound),
            TableSize::of::<NeighbourSlot>("neighbours", self.neighbours),
            TableSize::of::<Incident>("incidents", self.incidents),
            TableSize::of::<ListedPort>("listed_ports", self.listed_ports),
        ]
    }
}

const fn slots<T>(bytes: usize, thirty_seconds: usize) -> usize {
    let fitting = bytes / 32 * thirty_seconds / size_of::<T>();
    match fitting.checked_ilog2() {
        Some(log) if fitting >= WAYS => 1 << log,
        _ => WAYS,
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
