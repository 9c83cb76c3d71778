//! Exponential backoff between attempts to connect.

use core::time::Duration;

const MIN_MS: u32 = 1_000;
const MAX_MS: u32 = 60_000;

/// Exponential backoff with equal jitter ("Exponential Backoff and Jitter", AWS Architecture Blog, 2015): the n-th
/// wait is drawn from the upper half of `1 s * 2^n`, at most from 30 s to 60 s, so that thousands of sensors do not
/// reconnect in step after an outage.
///
/// The caller supplies the random bits; the same bits give the same waits.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    ceiling_ms: u32,
}

impl Backoff {
    /// State before the first failure.
    #[must_use]
    pub const fn new() -> Self {
        Self { ceiling_ms: MIN_MS }
    }

    /// Returns the wait after one more failure: 0.5 s to 1 s at first, then doubled each time, up to 30 s to 60 s.
    pub fn next(&mut self, random: u32) -> Duration {
        let half = self.ceiling_ms / 2;
        // Scales 32 random bits to 0..=half without a division; the bias is below 1e-5.
        let jitter = u64::from(random).saturating_mul(u64::from(half) + 1) >> 32;
        self.ceiling_ms = self.ceiling_ms.saturating_mul(2).min(MAX_MS);
        Duration::from_millis(u64::from(half).saturating_add(jitter))
    }

    /// Returns to the first wait. Call it when the collector has acknowledged something, not when it accepted a
    /// connection: one that accepts and drops would otherwise be tried twice a second without end.
    pub const fn reset(&mut self) {
        self.ceiling_ms = MIN_MS;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stop_at_a_minute() {
        for (random, expected) in [
            (0, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]),
            (u32::MAX, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]),
        ] {
            let mut backoff = Backoff::new();
            assert_eq!(expected.map(|_| backoff.next(random)), expected.map(Duration::from_millis));
            backoff.reset();
            assert_eq!(backoff.next(random).as_millis(), u128::from(expected[0]));
        }
    }

    #[test]
    fn jitter_covers_the_whole_upper_half() {
        let waits: [u128; 5] = [0, 1 << 30, 1 << 31, 3 << 30, u32::MAX].map(|random| {
            let mut backoff = Backoff::new();
            backoff.next(random).as_millis()
        });
        assert_eq!(waits, [500, 625, 750, 875, 1_000]);
    }
}
