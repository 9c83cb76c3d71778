//! What the worker tells of itself, once per block, without a lock.
//!
//! A sequence lock over 32-bit words, because 32-bit MIPS has no 64-bit atomics: the writer makes the
//! sequence odd, writes, and makes it even; a reader that saw it odd or changed tries again.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Interfaces that are told apart.
pub(crate) const MAX_INTERFACES: usize = 8;

/// Counters of one interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct InterfaceCounts {
    /// Frames that the kernel had offered when it was last asked, the dropped ones included.
    pub(crate) counted: u64,
    /// Frames that the worker took.
    pub(crate) taken: u64,
    /// Bytes of these on the wire.
    pub(crate) bytes: u64,
    /// Frames that found no room in the ring.
    pub(crate) dropped: u64,
    /// Times that the ring was full.
    pub(crate) freezes: u64,
    /// 1 while the ring is open and the interface is there.
    pub(crate) is_open: u64,
}

impl InterfaceCounts {
    /// Frames that the kernel offered. It is asked once a second; what was taken since counts at once, so that the
    /// books balance at any time.
    pub(crate) fn seen(&self) -> u64 {
        self.counted.max(self.taken + self.dropped)
    }

    /// What is left of these counts once the ring is closed: what was not taken by then never will be.
    pub(crate) fn closed(self) -> Self {
        let dropped = self.dropped.max(self.counted.saturating_sub(self.taken));
        Self { is_open: 0, dropped, ..self }
    }
}

/// Declares the snapshot and its way into words and back.
macro_rules! snapshot {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// All counters of the worker.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub(crate) struct Snapshot {
            $($(#[doc = $doc])+ pub(crate) $name: u64,)+
            /// By the order in which the interfaces are captured.
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
            /// Frames that the kernel offered.
            pub(crate) fn seen(&self) -> u64 {
                self.interfaces.iter().map(InterfaceCounts::seen).sum()
            }

            /// Frames that found no room in a ring.
            pub(crate) fn dropped(&self) -> u64 {
                self.interfaces.iter().map(|interface| interface.dropped).sum()
            }

            /// Times that a ring was full.
            pub(crate) fn freezes(&self) -> u64 {
                self.interfaces.iter().map(|interface| interface.freezes).sum()
            }

            /// Alerts lost on the way to the other thread, least severe first.
            pub(crate) const fn queue_lost(&self) -> [u64; 5] {
                [self.lost_info, self.lost_low, self.lost_medium, self.lost_high, self.lost_critical]
            }
        }

        const VALUES: usize = [$(stringify!($name)),+].len() + 6 * MAX_INTERFACES;
    };
}

snapshot! {
    /// Frames that the detectors saw.
    analysed,
    /// Frames of a link type that is not read.
    unsupported,
    /// Frames that break the rules of a protocol.
    malformed,
    /// Frames cut by the snap length.
    truncated,
    /// Live entries pushed out of full tables.
    evictions,
    /// Incidents closed early to make room.
    closed_early,
    /// Incidents open now.
    open_incidents,
    /// Alerts raised.
    raised,
    /// Alerts of severity info lost because the queue to the other thread was full.
    lost_info,
    /// The same, low.
    lost_low,
    /// The same, medium.
    lost_medium,
    /// The same, high.
    lost_high,
    /// The same, critical.
    lost_critical,
    /// Blocks taken from the rings.
    blocks,
    /// Conversations of which this worker could not wait to hear from others who opened them.
    handoff_overflow,
    /// Commands of the control thread that are done.
    commands,
    /// Those among them that the kernel refused.
    refused_commands,
}

/// Readings without giving way to the writer.
const READ_TRIES: u32 = 16;

/// The shared place.
#[derive(Debug)]
pub(crate) struct SnapshotCell {
    sequence: AtomicU32,
    words: [AtomicU32; 2 * VALUES],
}

impl SnapshotCell {
    /// All zero.
    pub(crate) const fn new() -> Self {
        Self { sequence: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; 2 * VALUES] }
    }

    /// Whether a snapshot was ever shown.
    fn is_published(&self) -> bool {
        self.sequence.load(Ordering::Acquire) != 0
    }

    /// Shows a new snapshot. Only the worker calls this.
    pub(crate) fn publish(&self, mut snapshot: Snapshot) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
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
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// The newest snapshot that is whole. Writing takes less than a microsecond, so that this ends soon.
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
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return snapshot;
            }
            // On one core the worker was interrupted in the middle and goes on only if we let it.
            tries = tries.saturating_add(1);
            if tries < READ_TRIES { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// The boards of all workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotCells(pub(crate) &'static [SnapshotCell]);

impl SnapshotCells {
    /// The sum over all workers; an interface is open if it is for all of them.
    pub(crate) fn read(self) -> Snapshot {
        let mut snapshots = self.each();
        let mut sum = snapshots.next().unwrap_or_default();
        for mut snapshot in snapshots {
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

    /// Whether every worker has shown something.
    pub(crate) fn are_published(self) -> bool {
        self.0.iter().all(SnapshotCell::is_published)
    }

    /// What each worker says.
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
        let board = SnapshotCell::new();
        assert!(!board.is_published());
        let mut snapshot = Snapshot { analysed: u64::MAX - 5, blocks: 1 << 40, ..Snapshot::default() };
        snapshot.interfaces[7].is_open = 7;
        board.publish(snapshot);
        assert!(board.is_published());
        assert_eq!(board.read(), snapshot);
    }

    /// The sum was ahead of the interfaces by up to a second.
    #[test]
    fn the_interfaces_add_up_to_what_was_seen() {
        let mut snapshot = Snapshot { analysed: 90, unsupported: 10, ..Snapshot::default() };
        // One whose ring was read since the kernel was asked, one with frames still in the ring.
        snapshot.interfaces[0] =
            InterfaceCounts { counted: 8, taken: 70, bytes: 0, dropped: 5, freezes: 1, is_open: 1 };
        snapshot.interfaces[1] =
            InterfaceCounts { counted: 50, taken: 30, bytes: 0, dropped: 9, freezes: 1, is_open: 1 };
        assert_eq!(snapshot.interfaces.map(|interface| interface.seen())[..3], [75, 50, 0]);
        assert_eq!(snapshot.seen(), 125);
    }

    /// Frames in the ring of an interface that vanished stayed "in the ring" for ever.
    #[test]
    fn what_a_closed_ring_held_is_dropped() {
        let counts = InterfaceCounts { counted: 50, taken: 30, bytes: 0, dropped: 9, freezes: 1, is_open: 1 };
        let closed = counts.closed();
        assert_eq!((closed.dropped, closed.is_open, closed.seen()), (20, 0, 50));
        let ahead = InterfaceCounts { taken: 60, ..counts }.closed();
        assert_eq!((ahead.dropped, ahead.seen()), (9, 69));
    }

    #[test]
    fn the_workers_add_up_and_an_interface_is_open_for_all_or_not() {
        static BOARDS: [SnapshotCell; 3] = [const { SnapshotCell::new() }; 3];
        for (board, (analysed, open)) in BOARDS.iter().zip([(1, 1), (20, 1), (300, 0)]) {
            let mut snapshot = Snapshot { analysed, blocks: analysed, ..Snapshot::default() };
            snapshot.interfaces[0] = InterfaceCounts { counted: analysed, is_open: 1, ..Default::default() };
            snapshot.interfaces[1].is_open = open;
            board.publish(snapshot);
        }
        let sum = SnapshotCells(&BOARDS).read();
        assert_eq!((sum.analysed, sum.blocks, sum.interfaces[0].counted), (321, 321, 321));
        assert_eq!((sum.interfaces[0].is_open, sum.interfaces[1].is_open), (1, 0));
        assert_eq!(SnapshotCells(&BOARDS[..1]).read(), BOARDS[0].read());
    }

    #[test]
    fn a_reader_never_sees_half_a_snapshot() {
        static BOARD: SnapshotCell = SnapshotCell::new();
        static STOP: AtomicBool = AtomicBool::new(false);
        let writer = std::thread::spawn(|| {
            for number in 0..200_000_u64 {
                let value = number << 30 | number;
                let mut snapshot = Snapshot::default();
                snapshot.each(&mut |word| *word = value);
                BOARD.publish(snapshot);
            }
            STOP.store(true, Ordering::Relaxed);
        });
        while !STOP.load(Ordering::Relaxed) {
            let mut snapshot = BOARD.read();
            let first = snapshot.analysed;
            snapshot.each(&mut |word| assert_eq!(*word, first));
        }
        writer.join().unwrap();
    }
}
