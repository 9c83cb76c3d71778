//! Counters of a worker, published once per block through a sequence lock (seqlock): one writer that never waits, any
//! number of readers that retry.
//!
//! The lock is over 32-bit words, because 32-bit MIPS has no 64-bit atomics. The writer makes the sequence odd, writes,
//! and makes it even; a reader that saw it odd or changed tries again.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::limits::MAX_INTERFACES;

/// Counters of one interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct InterfaceCounts {
    /// Frames that passed the filter when the kernel's counters were last read, the dropped ones included.
    pub(crate) counted: u64,
    /// Frames taken from the ring.
    pub(crate) taken: u64,
    /// Bytes of the frames taken, on the wire.
    pub(crate) bytes: u64,
    /// Frames dropped because the ring was full.
    pub(crate) dropped: u64,
    /// Times that the ring was full.
    pub(crate) freezes: u64,
    /// 1 while the ring is open and the interface is there.
    pub(crate) is_open: u64,
}

impl InterfaceCounts {
    /// Frames that passed the filter. The kernel's counters are read once a second; frames taken since then count at
    /// once, so that the counters add up at any time.
    pub(crate) fn seen(&self) -> u64 {
        self.counted.max(self.taken + self.dropped)
    }

    /// Counts after the ring is closed: frames that were not taken by then are dropped.
    pub(crate) fn closed(self) -> Self {
        let dropped = self.dropped.max(self.counted.saturating_sub(self.taken));
        Self { is_open: 0, dropped, ..self }
    }
}

/// Declares the snapshot, and the visit of its values in a fixed order for writing and reading them as words.
macro_rules! snapshot {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// All counters of a worker.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub(crate) struct Snapshot {
            $($(#[doc = $doc])+ pub(crate) $name: u64,)+
            /// Counters of each interface, in the order of the setting `interface`.
            pub(crate) interfaces: [InterfaceCounts; MAX_INTERFACES],
        }

        impl Snapshot {
            fn each(&mut self, visit: &mut dyn FnMut(&mut u64)) {
                $(visit(&mut self.$name);)+
                for interface in &mut self.interfaces {
                    visit(&mut interface.counted);
                    visit(&mut interface.taken);
                    visit(&mut interface.bytes);
                    visit(&mut interface.dropped);
                    visit(&mut interface.freezes);
                    visit(&mut interface.is_open);
                }
            }
        }

        impl Snapshot {
            /// Frames that passed the filters.
            pub(crate) fn seen(&self) -> u64 {
                self.interfaces.iter().map(InterfaceCounts::seen).sum()
            }

            /// Frames dropped because a ring was full.
            pub(crate) fn dropped(&self) -> u64 {
                self.interfaces.iter().map(|interface| interface.dropped).sum()
            }

            /// Times that a ring was full.
            pub(crate) fn freezes(&self) -> u64 {
                self.interfaces.iter().map(|interface| interface.freezes).sum()
            }

            /// Alerts lost because the queue to the control thread was full, least severe first.
            pub(crate) const fn queue_lost(&self) -> [u64; 5] {
                [self.lost_info, self.lost_low, self.lost_medium, self.lost_high, self.lost_critical]
            }
        }

        const VALUES: usize = [$(stringify!($name)),+].len() + 6 * MAX_INTERFACES;
    };
}

snapshot! {
    /// Frames that the detectors processed.
    analysed,
    /// Frames of a link type that is not read.
    unsupported,
    /// Frames that break the rules of a protocol.
    malformed,
    /// Frames cut by the snap length.
    truncated,
    /// Live entries evicted from full tables.
    evictions,
    /// Incidents closed early to make room.
    closed_early,
    /// DNS messages that were not read because there were too many.
    unread_messages,
    /// Findings that a rule of the operator allows.
    allowed,
    /// Connections whose first payloads were not read because there were too many.
    unread_payloads,
    /// Incidents open now.
    open_incidents,
    /// Alerts raised.
    raised,
    /// Alerts of severity info lost because the queue to the control thread was full.
    lost_info,
    /// Alerts of severity low lost likewise.
    lost_low,
    /// Alerts of severity medium lost likewise.
    lost_medium,
    /// Alerts of severity high lost likewise.
    lost_high,
    /// Alerts of severity critical lost likewise.
    lost_critical,
    /// Blocks taken from the rings.
    blocks,
    /// Flows whose initiator was decided without the other worker, because a queue or list was full.
    handoff_overflow,
}

/// Attempts of a reader before it yields the processor.
const READ_TRIES: u32 = 16;

/// Snapshot that one thread publishes and others read: a seqlock.
#[derive(Debug)]
pub(crate) struct SnapshotCell {
    sequence: AtomicU32,
    words: [AtomicU32; 2 * VALUES],
}

impl SnapshotCell {
    /// Cell with all counters zero.
    pub(crate) const fn new() -> Self {
        Self { sequence: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; 2 * VALUES] }
    }

    /// Returns true if a snapshot was ever published.
    fn is_published(&self) -> bool {
        self.sequence.load(Ordering::Acquire) != 0
    }

    /// Publishes a snapshot. Only the worker that owns the cell may call this: two writers would corrupt it.
    pub(crate) fn publish(&self, mut snapshot: Snapshot) {
        // Relaxed: only this thread writes the sequence.
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // Orders the odd sequence before the words: a reader that sees one of the new words also sees, after its own
        // Acquire fence, a sequence other than the one it began with.
        fence(Ordering::Release);
        let mut words = self.words.iter();
        snapshot.each(&mut |value| {
            let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
            for half in [[a, b, c, d], [e, f, g, h]] {
                if let Some(word) = words.next() {
                    word.store(u32::from_le_bytes(half), Ordering::Relaxed);
                }
            }
        });
        // Pairs with the Acquire at the start of `read`: a reader that sees this even number also sees all words before
        // it.
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Reads the newest consistent snapshot. Writing takes less than a microsecond, so a retry soon succeeds.
    pub(crate) fn read(&self) -> Snapshot {
        let mut tries = 0_u32;
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let mut snapshot = Snapshot::default();
            let mut words = self.words.iter();
            snapshot.each(&mut |value| {
                let mut half = || words.next().map_or(0, |word| u64::from(word.load(Ordering::Relaxed)));
                *value = half() | half() << 32;
            });
            // Orders the words before the second look at the sequence, see `publish`.
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return snapshot;
            }
            // On one core the writer was interrupted in the middle and continues only once this thread yields.
            tries = tries.saturating_add(1);
            if tries < READ_TRIES { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// Snapshots of all workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotCells(pub(crate) &'static [SnapshotCell]);

impl SnapshotCells {
    /// Sums over all workers; an interface is open if it is open for all of them.
    pub(crate) fn read(self) -> Snapshot {
        let mut snapshots = self.each();
        let mut sum = snapshots.next().unwrap_or_default();
        for mut snapshot in snapshots {
            // Copied to the side, because `each` walks one snapshot at a time.
            let mut values = heapless::Vec::<u64, VALUES>::new();
            snapshot.each(&mut |value| {
                let _fits = values.push(*value);
            });
            let is_open = snapshot.interfaces.map(|interface| interface.is_open);
            let was_open = sum.interfaces.map(|interface| interface.is_open);
            let mut values = values.into_iter();
            sum.each(&mut |value| *value += values.next().unwrap_or(0));
            for (interface, both) in sum.interfaces.iter_mut().zip(is_open.into_iter().zip(was_open)) {
                interface.is_open = both.0.min(both.1);
            }
        }
        sum
    }

    /// Returns true if every worker has published a snapshot.
    pub(crate) fn are_published(self) -> bool {
        self.0.iter().all(SnapshotCell::is_published)
    }

    /// Snapshot of each worker.
    pub(crate) fn each(self) -> impl Iterator<Item = Snapshot> {
        self.0.iter().map(SnapshotCell::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn values_above_32_bits_survive() {
        let cell = SnapshotCell::new();
        assert!(!cell.is_published());
        let mut snapshot = Snapshot { analysed: u64::MAX - 5, blocks: 1 << 40, ..Snapshot::default() };
        snapshot.interfaces[7].is_open = 7;
        cell.publish(snapshot);
        assert!(cell.is_published());
        assert_eq!(cell.read(), snapshot);
    }

    /// Between two readings of the kernel's counters the total exceeded the sum of the interfaces.
    #[test]
    fn the_interfaces_add_up_to_the_frames_seen() {
        let mut snapshot = Snapshot { analysed: 90, unsupported: 10, ..Snapshot::default() };
        // The first took frames after the kernel's counters were read; the second still has frames in its ring.
        snapshot.interfaces[0] =
            InterfaceCounts { counted: 8, taken: 70, bytes: 0, dropped: 5, freezes: 1, is_open: 1 };
        snapshot.interfaces[1] =
            InterfaceCounts { counted: 50, taken: 30, bytes: 0, dropped: 9, freezes: 1, is_open: 1 };
        assert_eq!(snapshot.interfaces.map(|interface| interface.seen())[..3], [75, 50, 0]);
        assert_eq!(snapshot.seen(), 125);
    }

    /// Frames in the ring of a vanished interface were reported as "in the ring" without end.
    #[test]
    fn frames_in_a_closed_ring_count_as_dropped() {
        let counts = InterfaceCounts { counted: 50, taken: 30, bytes: 0, dropped: 9, freezes: 1, is_open: 1 };
        let closed = counts.closed();
        assert_eq!((closed.dropped, closed.is_open, closed.seen()), (20, 0, 50));
        let ahead = InterfaceCounts { taken: 60, ..counts }.closed();
        assert_eq!((ahead.dropped, ahead.seen()), (9, 69));
    }

    #[test]
    fn workers_add_up_and_an_interface_is_open_if_it_is_for_all() {
        static CELLS: [SnapshotCell; 3] = [const { SnapshotCell::new() }; 3];
        for (cell, (analysed, open)) in CELLS.iter().zip([(1, 1), (20, 1), (300, 0)]) {
            let mut snapshot = Snapshot { analysed, blocks: analysed, ..Snapshot::default() };
            snapshot.interfaces[0] = InterfaceCounts { counted: analysed, is_open: 1, ..Default::default() };
            snapshot.interfaces[1].is_open = open;
            cell.publish(snapshot);
        }
        let sum = SnapshotCells(&CELLS).read();
        assert_eq!((sum.analysed, sum.blocks, sum.interfaces[0].counted), (321, 321, 321));
        assert_eq!((sum.interfaces[0].is_open, sum.interfaces[1].is_open), (1, 0));
        assert_eq!(SnapshotCells(&CELLS[..1]).read(), CELLS[0].read());
    }

    #[test]
    fn a_reader_never_sees_half_a_snapshot() {
        static CELL: SnapshotCell = SnapshotCell::new();
        static STOP: AtomicBool = AtomicBool::new(false);
        let writer = std::thread::spawn(|| {
            for number in 0..200_000_u64 {
                let value = number << 30 | number;
                let mut snapshot = Snapshot::default();
                snapshot.each(&mut |word| *word = value);
                CELL.publish(snapshot);
            }
            STOP.store(true, Ordering::Relaxed);
        });
        while !STOP.load(Ordering::Relaxed) {
            let mut snapshot = CELL.read();
            let first = snapshot.analysed;
            snapshot.each(&mut |word| assert_eq!(*word, first));
        }
        writer.join().unwrap();
    }
}
