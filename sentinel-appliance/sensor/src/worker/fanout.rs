//! Fan-out of each interface's frames over the workers (`PACKET_FANOUT_CBPF`), by a hash of the source address.

use std::sync::atomic::{AtomicU32, Ordering};

use sentinel_filter::FanoutHash;
use sentinel_units::Address;

use crate::limits::MAX_INTERFACES;

/// Fan-out of all interfaces over the workers. The fan-out program returns a worker number, and the kernel numbers
/// the rings of a group in the order in which they joined. So all workers must join in the order of their numbers,
/// also after an interface was absent; [`JoinOrder`] enforces that.
#[derive(Debug)]
pub(crate) struct FanoutGroup {
    workers: u32,
    hash: FanoutHash,
    interfaces: [JoinOrder; MAX_INTERFACES],
}

/// Order in which the workers join and leave the group of one interface. Shared by all of them.
#[derive(Debug)]
pub(super) struct JoinOrder {
    /// Number that the kernel gave to the group.
    group: AtomicU32,
    /// Below the number of workers: that worker joins next. From there on: number of workers that have left since all
    /// had joined, plus the number of workers.
    step: AtomicU32,
}

impl FanoutGroup {
    /// With one worker there is no group, and the ring gets every frame.
    pub(crate) const fn new(workers: u32, key: u32) -> Self {
        let interfaces =
            [const { JoinOrder { group: AtomicU32::new(0), step: AtomicU32::new(0) } }; MAX_INTERFACES];
        Self { workers, hash: FanoutHash::new(key), interfaces }
    }

    /// Number of workers.
    pub(crate) const fn workers(&self) -> u32 {
        self.workers
    }

    /// Worker that gets the frames from `source`. Computes what the program of the kernel computes.
    pub(crate) fn worker_for(&self, source: Address) -> u32 {
        self.hash.hash(source).checked_rem(self.workers).unwrap_or(0)
    }

    /// Fan-out program for the group.
    pub(super) fn instructions(&self) -> Vec<sentinel_filter::Instruction> {
        self.hash.instructions()
    }

    /// Join order of one interface; `None` with one worker.
    pub(super) fn join_order(&self, interface: u16) -> Option<&JoinOrder> {
        self.interfaces.get(usize::from(interface)).filter(|_| self.workers > 1)
    }
}

impl JoinOrder {
    /// Returns true if `worker` joins next.
    pub(super) fn is_next(&self, worker: u32) -> bool {
        self.step.load(Ordering::Acquire) == worker
    }

    /// Returns true if a worker has left since all had joined. Then all others must leave too, because the numbers
    /// of those that stay have changed.
    pub(super) fn is_dissolving(&self, workers: u32) -> bool {
        self.step.load(Ordering::Acquire) > workers
    }

    /// Group to join: `None` for worker 0, which makes it anew, because the kernel may have given the number away.
    pub(super) fn group(&self, worker: u32) -> Option<u16> {
        u16::try_from(self.group.load(Ordering::Acquire)).ok().filter(|_| worker > 0)
    }

    /// Publishes the number of a group that was made.
    pub(super) fn set_group(&self, group: u16) {
        self.group.store(group.into(), Ordering::Release);
    }

    /// Records that `worker` has joined: the next one may.
    pub(super) fn joined(&self, worker: u32) {
        // Pairs with the Acquire of `is_next`: the next worker finds the group's number, which was stored before.
        self.step.store(worker + 1, Ordering::Release);
    }

    /// Records that a worker has left. Once all have, worker 0 joins next.
    pub(super) fn left(&self, workers: u32) {
        // Workers leave in any order, and each exactly once: it closes its ring only if it has one.
        // From `workers` on `is_next` is false for all: no worker joins while others leave, and the store below
        // overwrites no join.
        let left = self.step.fetch_add(1, Ordering::AcqRel) + 1;
        // From `workers` (all joined) by one for each that left.
        if left >= 2 * workers {
            self.step.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_join_in_order_again_once_all_have_left() {
        let fanout = FanoutGroup::new(3, 7);
        let order = fanout.join_order(0).unwrap();
        for _ in 0..2 {
            for worker in 0..3 {
                assert!((0..3).all(|other| order.is_next(other) == (other == worker)));
                order.joined(worker);
                assert!(!order.is_dissolving(3));
            }
            for leaver in 0..3 {
                assert!((0..3).all(|worker| !order.is_next(worker)));
                order.left(3);
                assert_eq!(order.is_dissolving(3), leaver < 2);
            }
        }
        assert!(FanoutGroup::new(1, 7).join_order(0).is_none());
    }
}
