//! Sleeping while no block is ready.

use std::time::Duration;

/// Backoff of a busy ring, instead of a poll for each block. `poll(2)` returns at every block; above about 3,000 blocks/s
/// the wake-ups cost more than the analysis. After [`SHORT_SLEEPS`](Self::SHORT_SLEEPS) polls in a row that returned
/// within [`SHORT_SLEEP`](Self::SHORT_SLEEP), the thread sleeps 50 to 400 us between two looks at the ring, so that at
/// most an eighth of the ring fills meanwhile.
#[derive(Debug)]
pub(super) struct IdleBackoff {
    /// Blocks that may fill during one sleep.
    max_blocks: u64,
    /// Polls in a row that returned at once.
    short_sleeps: u32,
    /// Length of a sleep; zero while poll is used.
    interval: Duration,
    /// Blocks taken before the last sleep.
    blocks: u64,
}

impl IdleBackoff {
    /// A poll that returns sooner was woken by a block that was nearly ready.
    const SHORT_SLEEP: Duration = Duration::from_micros(300);
    const SHORT_SLEEPS: u32 = 8;
    const MIN_INTERVAL: Duration = Duration::from_micros(50);
    const MAX_INTERVAL: Duration = Duration::from_micros(400);
    /// Part of the ring that may fill during a sleep.
    const RING_PART: u32 = 8;
    /// With fewer blocks than this for a sleep, a late wake-up could fill the ring: such a ring is always polled.
    const MIN_BLOCKS: u64 = 4;

    /// For rings of `ring_blocks` blocks each.
    pub(super) fn new(ring_blocks: u32) -> Self {
        let max_blocks = u64::from(ring_blocks / Self::RING_PART);
        Self { max_blocks, short_sleeps: 0, interval: Duration::ZERO, blocks: 0 }
    }

    /// Time to sleep before the next look at the rings, `blocks` having been taken so far; zero if they are to be
    /// polled. Doubles while few blocks gather, halves while many do, ends when none does.
    pub(super) fn next_sleep(&mut self, blocks: u64) -> Duration {
        let gathered = blocks - self.blocks;
        self.blocks = blocks;
        self.interval = match gathered {
            _ if self.interval.is_zero() => Duration::ZERO,
            // Traffic has ended: poll again.
            0 => Duration::ZERO,
            gathered if gathered <= self.max_blocks / 2 => (self.interval * 2).min(Self::MAX_INTERVAL),
            gathered if gathered <= self.max_blocks => self.interval,
            _ => (self.interval / 2).max(Self::MIN_INTERVAL),
        };
        self.interval
    }

    /// Records how long a poll took.
    pub(super) fn polled(&mut self, elapsed: Duration) {
        self.short_sleeps = if elapsed < Self::SHORT_SLEEP { self.short_sleeps + 1 } else { 0 };
        if self.short_sleeps >= Self::SHORT_SLEEPS && self.max_blocks >= Self::MIN_BLOCKS {
            (self.short_sleeps, self.interval) = (0, Self::MIN_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_sleeps_between_polls_only_while_blocks_come_fast() {
        let mut idle = IdleBackoff::new(64);
        let micros = Duration::from_micros;
        for _ in 0..20 {
            assert!(idle.next_sleep(1).is_zero(), "a block every two milliseconds");
            idle.polled(micros(2_000));
        }
        for _ in 0..IdleBackoff::SHORT_SLEEPS {
            assert!(idle.next_sleep(1).is_zero());
            idle.polled(micros(100));
        }
        assert_eq!([2, 4, 8, 12].map(|blocks| idle.next_sleep(blocks)), [100, 200, 400, 400].map(micros));
        assert_eq!(idle.next_sleep(20), micros(400));
        assert_eq!([30, 40, 50, 60].map(|blocks| idle.next_sleep(blocks)), [200, 100, 50, 50].map(micros));
        assert!(idle.next_sleep(60).is_zero() && idle.next_sleep(61).is_zero(), "traffic has ended");
        let mut small = IdleBackoff::new(16);
        for _ in 0..20 {
            small.polled(micros(10));
            assert!(small.next_sleep(1).is_zero(), "a sleep could fill the ring");
        }
    }
}
