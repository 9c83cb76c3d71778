//! Division of `memory_kib` among the workers, their tables and their lists.

use sentinel_detect::{Capacities, ReassemblyCapacities};

/// Bytes for lists of names and addresses, of `memory_kib` of one worker: what the tables leave.
pub(crate) fn list_room(memory_kib: u32) -> usize {
    capacities(memory_kib).0.tables.signatures
}

/// Slots of each table for a budget of `memory_kib`; reassembly gets a thirty-second of it.
pub(super) fn capacities(memory_kib: u32) -> (Capacities, ReassemblyCapacities) {
    let bytes = usize::try_from(memory_kib).unwrap_or(usize::MAX).saturating_mul(1024);
    let reassembly = bytes / 32;
    (Capacities::within(bytes - reassembly), ReassemblyCapacities::within(reassembly))
}

/// Memory for the tables of one of several workers.
pub(crate) const fn share(memory_kib: u32, workers: u32) -> u32 {
    match memory_kib.checked_div(workers) {
        Some(share) => share,
        None => memory_kib,
    }
}
