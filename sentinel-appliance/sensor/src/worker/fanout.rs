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
    /// Number of workers that have joined the group, shifted left by [`JOINED_SHIFT`], plus the number of those that have
    /// left it since. One word, so that a join and a leave at the same time exclude each other.
    members: AtomicU32,
}

/// Bits of [`JoinOrder::members`] that count the workers that have left.
const JOINED_SHIFT: u32 = 16;

impl FanoutGroup {
    /// With one worker there is no group, and the ring gets every frame.
    pub(crate) const fn new(workers: u32, key: u32) -> Self {
        let interfaces =
            [const { JoinOrder { group: AtomicU32::new(0), members: AtomicU32::new(0) } }; MAX_INTERFACES];
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
        self.members.load(Ordering::Acquire) == worker << JOINED_SHIFT
    }

    /// Returns true if a worker has left. Then all others must leave too, because the numbers of those that stay have
    /// changed.
    pub(super) fn is_dissolving(&self) -> bool {
        split(self.members.load(Ordering::Acquire)).1 > 0
    }

    /// Group to join: `None` for worker 0, which makes it anew, because the kernel may have given the number away.
    pub(super) fn group(&self, worker: u32) -> Option<u16> {
        u16::try_from(self.group.load(Ordering::Acquire)).ok().filter(|_| worker > 0)
    }

    /// Publishes the number of a group that was made.
    pub(super) fn set_group(&self, group: u16) {
        self.group.store(group.into(), Ordering::Release);
    }

    /// Records that `worker` has joined: the next one may. Returns false if a worker has left meanwhile; then this one must
    /// leave the group as well, and nothing is recorded.
    pub(super) fn joined(&self, worker: u32) -> bool {
        // Release pairs with the Acquire of `is_next`: the next worker finds the group's number, which was stored before.
        let (before, after) = (worker << JOINED_SHIFT, (worker + 1) << JOINED_SHIFT);
        self.members.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Records that a worker has left. Once all that had joined have left, worker 0 joins next: also if the interface
    /// vanished again before the last worker had joined.
    pub(super) fn left(&self) {
        // Workers leave in any order, and each exactly once: it closes its ring only if it has one. While one has left and
        // others have not, `is_next` is false for all, so no worker joins the old group.
        let leave = |members| {
            let (joined, left) = split(members);
            Some(if left + 1 >= joined { 0 } else { members + 1 })
        };
        let _always_some = self.members.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave);
    }
}

/// Workers that have joined, and those of them that have left.
const fn split(members: u32) -> (u32, u32) {
    (members >> JOINED_SHIFT, members & ((1 << JOINED_SHIFT) - 1))
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
                assert!(order.joined(worker) && !order.is_dissolving());
            }
            for leaver in 0..3 {
                assert!((0..3).all(|worker| !order.is_next(worker)));
                order.left();
                assert_eq!(order.is_dissolving(), leaver < 2);
            }
        }
        assert!(FanoutGroup::new(1, 7).join_order(0).is_none());
    }

    /// The interface vanished before the last worker had joined: nobody was next any more, so its rings stayed closed.
    #[test]
    fn worker_0_joins_again_also_if_not_all_had_joined() {
        for workers in [2, 3, 8] {
            let fanout = FanoutGroup::new(workers, 7);
            let order = fanout.join_order(0).unwrap();
            for members in 1..workers {
                assert!((0..members).all(|worker| order.joined(worker)));
                for left in 1..=members {
                    order.left();
                    assert_eq!(order.is_dissolving(), left < members, "{workers} workers, {members} joined");
                    assert!((1..workers).all(|worker| !order.is_next(worker)));
                }
                assert!(order.is_next(0), "{workers} workers, {members} joined");
            }
        }
    }

    #[test]
    fn a_worker_does_not_join_a_group_that_another_has_left_meanwhile() {
        let fanout = FanoutGroup::new(3, 7);
        let order = fanout.join_order(0).unwrap();
        assert!(order.joined(0) && order.is_next(1));
        order.left();
        assert!(!order.joined(1) && order.is_next(0));
        assert!(order.joined(0) && order.joined(1) && order.is_next(2));
        order.left();
        assert!(!order.joined(2) && order.is_dissolving());
    }
}
