//! Switch in front of all counts per network: on a quiet network a request costs an increment and two comparisons, on an ordinary one
//! a third, and no other packet costs more than one.
//!
//! Requests of all networks together are counted in buckets of 67 ms. Below the lowest configured rate nothing else happens. Above
//! it networks are counted, unless the requests are so many (300 a second) that ordinary traffic is likely. Then the handshakes and
//! flows of one client in 32 are followed, and networks are counted only for two seconds after too many of them stayed without
//! completion. A flood of 200 a second is thus seen half a second later on such a network. From 7,600 requests a second on,
//! networks are counted for one source in 64, and for the source that sent most to a network before, if there was one.

use sentinel_units::Timestamp;

/// Logarithm of the length of a bucket in nanoseconds.
const BUCKET_SHIFT: u32 = 26;
/// Buckets of a second.
const BUCKETS_PER_S: u32 = 15;
/// Requests of a bucket from which ordinary traffic is likely, and from which few sources are looked at.
const BUSY: u32 = 20;
const FLOODED: u32 = 512;
/// Buckets that networks are counted for after the last reason to count them.
const HELD: u32 = 2 * BUCKETS_PER_S;
/// Logarithms of the clients of which one is followed, and of the sources of which one is looked at in a flood.
const FOLLOWED_SHIFT: u32 = 5;
pub(super) const FLOODED_SHIFT: u8 = 6;
/// Followed requests without completion from which networks are counted. One is forgotten in eight buckets: 60 requests a second.
const SUSPICIOUS: i16 = 3;
const FORGOTTEN_IN: u32 = 8;
/// Logarithm of the buckets (17 s) after which other clients are followed.
const EPOCH_SHIFT: u32 = 8;
/// Completions in advance.
const MAX_CREDIT: i16 = 4;

/// Hashes of sources, or of clients, that concern the switch: those with these upper bits, under a mask.
type Sources = (u32, u32);

/// A quiet network: none.
const QUIET: Sources = (0, 1);
/// All.
const ALL: Sources = (0, 0);
/// Mask in a flood: one source in 64.
const FLOOD: u32 = !(u32::MAX >> FLOODED_SHIFT);
/// An ordinary network with many requests: one client in 32 is followed, another one in each epoch.
const ORDINARY: u32 = !(u32::MAX >> FOLLOWED_SHIFT);

/// State of the switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    sources: Sources,
    bucket: u32,
    /// Requests of the bucket, and their number at which the state changes.
    pub(super) count: u32,
    limit: u32,
    /// Requests of a bucket that are few.
    few: u32,
    /// Buckets until which sources are counted: in any case, and unless the network is busy.
    suspected_until: u32,
    counted_until: u32,
    /// Bucket until which traffic may be ordinary, because a followed request was completed.
    completed_until: u32,
    /// Followed requests without completion, and followed answers to connection requests that nobody made.
    pub(super) open: i16,
    pub(super) unasked: i16,
    /// Hash of the source that last sent most of the requests to a network; with it those are counted in a flood that share its upper bits.
    pub(super) heavy: u32,
}

impl Gate {
    /// A switch that is off.
    pub(super) const fn new() -> Self {
        Self {
            sources: QUIET,
            bucket: 0,
            count: 0,
            limit: 1,
            few: 1,
            suspected_until: 0,
            counted_until: 0,
            completed_until: 0,
            open: 0,
            unasked: 0,
            heavy: 0,
        }
    }

    /// Takes over the lowest rate that is usual.
    pub(super) const fn configure(&mut self, rate: u32) {
        let few = rate / BUCKETS_PER_S;
        let few = if few == 0 { 1 } else { few };
        // The same rate again must not sort the sources of this bucket anew.
        if self.few != few {
            (self.few, self.limit) = (few, 0);
        }
    }

    /// Returns true unless the network is quiet.
    #[inline]
    pub(super) const fn is_on(&self) -> bool {
        self.sources.0 != QUIET.0 || self.sources.1 != QUIET.1
    }

    /// Returns true if sources are counted, and not only followed.
    #[inline]
    pub(super) const fn is_counting(&self) -> bool {
        self.is_on() && self.sources.0 != ORDINARY
    }

    /// Returns true if one source in 64 is counted.
    #[inline]
    pub(super) const fn is_flood(&self) -> bool {
        self.sources.0 == FLOOD
    }

    /// Notes a source that sends most of the requests to a network. In a flood the sample stays as it is.
    #[cold]
    pub(super) const fn set_heavy(&mut self, source_hash: u32) {
        if !self.is_flood() {
            self.heavy = source_hash;
        }
    }

    /// Counts a request.
    #[inline]
    pub(super) fn request(&mut self, now: Timestamp) {
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "modulo 2^32")]
        let bucket = (now.as_nanos() >> BUCKET_SHIFT) as u32;
        self.count += 1;
        if bucket != self.bucket || self.count >= self.limit {
            self.update(bucket);
        }
    }

    /// Returns true if a source is counted, or followed as a client.
    #[inline]
    pub(super) const fn concerns(&self, source_hash: u32) -> bool {
        source_hash & self.sources.0 == self.sources.1
    }

    /// Returns true if a source is counted.
    #[inline]
    pub(super) const fn counts(&self, source_hash: u32) -> bool {
        self.concerns(source_hash) && self.sources.0 != ORDINARY
    }

    /// Returns true if the requests of a client are followed, if any are.
    #[inline]
    pub(super) const fn follows(&self, client_hash: u32) -> bool {
        client_hash & ORDINARY == self.epoch()
    }

    /// Upper bits of the hashes of clients that are followed.
    const fn epoch(&self) -> u32 {
        self.bucket >> EPOCH_SHIFT << (32 - FOLLOWED_SHIFT)
    }

    /// Adds requests of a client and answers to it, or takes completed ones off.
    pub(super) fn add(&mut self, client_hash: u32, requests: i16, answers: i16) {
        if !self.follows(client_hash) {
            return;
        }
        if requests < 0 {
            self.completed_until = self.bucket.wrapping_add(HELD);
        }
        let within = |number: i16| number.clamp(-MAX_CREDIT, 2 * SUSPICIOUS);
        (self.open, self.unasked) = (within(self.open + requests), within(self.unasked + answers));
        if self.open.max(self.unasked) >= SUSPICIOUS {
            self.suspected_until = self.bucket.wrapping_add(HELD);
            if self.sources.0 == ORDINARY {
                self.sources = ALL;
            }
        }
    }

    #[cold]
    fn update(&mut self, bucket: u32) {
        if bucket != self.bucket {
            self.begin(bucket);
        }
        if self.count >= FLOODED {
            self.sources = (FLOOD, self.heavy & FLOOD);
        } else if self.count >= self.few && !self.is_on() {
            self.sources = ALL;
            self.counted_until = bucket.wrapping_add(HELD);
        }
        self.limit = match self.sources {
            (FLOOD, _) => u32::MAX,
            QUIET => self.few,
            _ => FLOODED,
        };
    }

    /// Begins a bucket.
    fn begin(&mut self, bucket: u32) {
        let last = if bucket.wrapping_sub(self.bucket) == 1 { self.count - 1 } else { 0 };
        if bucket / FORGOTTEN_IN != self.bucket / FORGOTTEN_IN {
            self.open -= i16::from(self.open > 0);
            self.unasked -= i16::from(self.unasked > 0);
        }
        (self.bucket, self.count) = (bucket, 1);
        if last >= self.few {
            self.counted_until = bucket.wrapping_add(HELD);
        }
        let is_held = |until: u32| until.wrapping_sub(bucket) <= HELD;
        self.sources = if last >= FLOODED {
            (FLOOD, self.heavy & FLOOD)
        } else if is_held(self.suspected_until) {
            ALL
        } else if last >= BUSY && is_held(self.completed_until) {
            (ORDINARY, self.epoch())
        } else if is_held(self.counted_until) {
            // What was counted is judged after the grace.
            ALL
        } else {
            QUIET
        };
    }
}
