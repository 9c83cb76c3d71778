//! CUSUM of requests minus completed ones, in buckets of 50 ms.
//!
//! Read first: "Detecting SYN Flooding Attacks" (Wang, Zhang, Shin, INFOCOM 2002), section 3. The sum grows while more requests
//! stay without completion than usually do, and is held at zero otherwise. Three changes:
//!
//! - A request is judged 400 ms after it came (the grace), because a completion takes a round trip: otherwise the first 400 ms
//!   of every crowd would look like a flood.
//! - What is usual is not learned, because an attacker who increases slowly would teach it: it is the configured rate, and an
//!   eighth of all requests, which a bad link loses.
//! - In a bucket counts at most four times the configured rate, and a 64th of what exceeds that, so that the clients of a server
//!   that restarts, which all connect at once, are no flood. In silence the sum shrinks by a 64th for each bucket (half in
//!   2.2 s), so that pulses add up.

use sentinel_track::clock::CLOCK_SET_BACK;
use sentinel_units::Timestamp;

/// Length of a bucket.
const BUCKET_NANOS: u64 = 50_000_000;
/// Buckets of one second.
const BUCKETS_PER_S: u32 = 20;
/// Buckets of the grace: a power of two.
const BUCKETS: usize = 8;
/// The last of them, all bits of which are set.
const LAST_BUCKET: u8 = 7;
/// Time from a request to its judgement.
pub(super) const GRACE_NANOS: u64 = 8 * BUCKET_NANOS;
/// Completions in advance that are kept: of requests that an earlier packet of their destination announces.
const MAX_CREDIT: u16 = 255;
/// Buckets whose usual rate may come in one: small bursts of a rate that is usual.
const MAX_ALLOWANCE: u32 = 3;
/// Silent buckets that are worked through; after 25 s nothing is left of the sum.
const MAX_SILENT: u64 = 512;

/// Requests that wait for completion, and the sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cusum {
    /// Start of the current bucket.
    start: Timestamp,
    /// Requests of the last buckets that were not completed so far.
    pending: [u16; BUCKETS],
    /// All requests of the last buckets.
    sent: [u16; BUCKETS],
    /// The current bucket.
    current: u8,
    /// Completions without a request so far.
    credit: u16,
    /// What is usual and did not come in the last buckets, in sixteenths of a request.
    allowance: u32,
    /// The sum, in sixteenths of a request.
    sum: u32,
    /// The highest sum of the buckets that ended last: those of a pulse are judged when the next packet comes.
    highest: u32,
}

/// Requests that were judged when the clock advanced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Judged {
    /// Requests without completion.
    pub(super) unanswered: u32,
    /// Requests of the bucket that ended last.
    pub(super) last_bucket: u16,
}

/// Sum, in sixteenths of a request, at which a flood is named: two thirds of a second at the configured rate.
const fn threshold(rate: u32) -> u32 {
    rate.saturating_mul(32) / 3
}

impl Cusum {
    /// Empty, from `now` on.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { start: now, ..Self::default() }
    }

    /// Advances the clock. `None` if that ends no bucket.
    #[inline]
    pub(super) fn advance(&mut self, now: Timestamp, rate: u32) -> Option<Judged> {
        let elapsed = now.as_nanos().wrapping_sub(self.start.as_nanos());
        if elapsed < BUCKET_NANOS { None } else { self.end_buckets(now, rate) }
    }

    #[cold]
    fn end_buckets(&mut self, now: Timestamp, rate: u32) -> Option<Judged> {
        if now < self.start {
            // A little out of order: counts in the current bucket.
            if self.start.since(now) > CLOCK_SET_BACK {
                *self = Self::new(now);
            }
            return None;
        }
        let ended = (now.as_nanos() - self.start.as_nanos()) / BUCKET_NANOS;
        self.start = Timestamp::from_nanos(self.start.as_nanos() + ended * BUCKET_NANOS);
        let last_bucket = self.sent.get(usize::from(self.current)).copied().unwrap_or_default();
        let mut unanswered = 0;
        self.highest = 0;
        for bucket in 0..ended.min(MAX_SILENT) {
            if bucket >= BUCKETS_PER_S.into() && self.sum == 0 {
                break;
            }
            unanswered += self.end_bucket(rate);
            self.highest = self.highest.max(self.sum);
        }
        Some(Judged { unanswered, last_bucket })
    }

    /// Judges the oldest bucket, whose place the new one takes.
    fn end_bucket(&mut self, rate: u32) -> u32 {
        self.current = (self.current + 1) & LAST_BUCKET;
        let current = usize::from(self.current);
        self.credit -= self.credit.div_ceil(16);
        let (Some(pending), Some(sent)) = (self.pending.get_mut(current), self.sent.get_mut(current)) else {
            return 0;
        };
        let unanswered = u32::from(core::mem::take(pending));
        let excess = unanswered.saturating_sub(u32::from(core::mem::take(sent)) / 8);
        let most = (rate * 4 / BUCKETS_PER_S).max(1);
        let counted = excess.min(most) * 16 + excess.saturating_sub(most) / 4;
        let usual = rate.saturating_mul(16) / BUCKETS_PER_S;
        self.allowance = self.allowance.saturating_add(usual).min(usual.saturating_mul(MAX_ALLOWANCE));
        let allowed = counted.min(self.allowance);
        self.allowance -= allowed;
        self.sum = if counted > allowed {
            (self.sum + (counted - allowed)).min(threshold(rate).saturating_mul(2))
        } else {
            self.sum.saturating_sub(self.sum / 64 + 1)
        };
        unanswered
    }

    /// Counts a request, or `weight` of which one was looked at.
    #[inline]
    pub(super) fn request(&mut self, weight: u16) {
        let used = self.credit.min(weight);
        let current = usize::from(self.current);
        self.credit -= used;
        if let (Some(pending), Some(sent)) = (self.pending.get_mut(current), self.sent.get_mut(current)) {
            *sent = sent.saturating_add(weight);
            *pending = pending.saturating_add(weight - used);
        }
    }

    /// Completes requests, the oldest first.
    pub(super) fn complete(&mut self, weight: u16) {
        let mut left = weight;
        for step in 1..=LAST_BUCKET + 1 {
            if let Some(pending) = self.pending.get_mut(usize::from((self.current + step) & LAST_BUCKET)) {
                let completed = left.min(*pending);
                *pending -= completed;
                left -= completed;
            }
        }
        self.credit = self.credit.saturating_add(left).min(MAX_CREDIT);
    }

    /// Returns true if a request waits for its completion.
    pub(super) fn has_pending(&self) -> bool {
        self.pending.iter().any(|pending| *pending > 0)
    }

    /// Returns true if the sum is at the threshold or above.
    pub(super) const fn is_over(&self, rate: u32) -> bool {
        self.highest >= threshold(rate)
    }

    /// Returns true as long as the sum has not fallen to half of the threshold.
    pub(super) const fn is_over_by_half(&self, rate: u32) -> bool {
        self.sum >= threshold(rate) / 2
    }

    /// Returns true if nothing exceeds what is usual.
    pub(super) const fn is_usual(&self) -> bool {
        self.sum == 0
    }

    /// Evidence so far, for the comparison with that of others.
    pub(super) fn weight(&self) -> u32 {
        self.pending.iter().map(|pending| u32::from(*pending)).sum::<u32>() + self.sum
    }
}
