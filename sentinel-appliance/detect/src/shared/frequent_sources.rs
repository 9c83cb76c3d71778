//! Filter that finds the sources of many packets in fixed memory: a Misra-Gries summary (1982), set-associative.

use core::cmp::Ordering;
use core::time::Duration;

use sentinel_units::Timestamp;

/// Number of buckets; the low bits of the hash of a source select one.
const BUCKETS: usize = 32;

/// Sources of one bucket that are counted at a time.
const WAYS: usize = 4;

/// Counts of up to 128 sources within one window, in 2.3 KiB.
///
/// A source has a count of its own as long as it sends more than the least frequent one of its bucket. A source without a count
/// lowers the lowest count of its bucket by one, and takes the place of a count of zero. Made-up sources of one packet each thus
/// cancel each other, and a source that sends often keeps its count: an attacker who wants to hide it has to send many times
/// its rate to every bucket, because the hash is keyed. A count is never too high, and too low only by the packets of others.
///
/// Windows are powers of two of nanoseconds, at least as long as asked for: no packet costs a division.
#[derive(Debug)]
pub(crate) struct FrequentSources {
    buckets: [Bucket; BUCKETS],
    /// Count from which a source is frequent, at least one.
    limit: u32,
    window_shift: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    ways: [Way; WAYS],
    /// Number of the window that the counts belong to, modulo 2^32.
    window: u32,
}

/// Count of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Hash of the source. Meaningless while the count is zero.
    source_hash: u32,
    count: u32,
    /// Time of the first packet counted.
    since: Timestamp,
}

/// Packets of one source within the current window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Frequency {
    /// Fewer than the limit.
    Low,
    /// This packet reached the limit: it stands for `count` packets, of which the first came at `since`.
    Reached {
        /// The limit.
        count: u32,
        /// Time of the first of them.
        since: Timestamp,
    },
    /// The limit was reached by an earlier packet, in this window or the one before.
    High,
}

impl FrequentSources {
    /// An empty filter for sources of `limit` packets within `window`.
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        let mut new = Self { buckets: [Bucket::default(); BUCKETS], limit: 1, window_shift: 0 };
        new.configure(limit, window);
        new
    }

    /// Takes over other limits. Counts stay.
    pub(crate) fn configure(&mut self, limit: u32, window: Duration) {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        self.limit = limit.max(1);
        self.window_shift = nanos.checked_next_power_of_two().map_or(63, u64::ilog2);
    }

    /// Counts a packet of a source.
    pub(crate) fn add(&mut self, source_hash: u32, now: Timestamp) -> Frequency {
        let [a, b, c, d, ..] = (now.as_nanos() >> self.window_shift).to_le_bytes();
        let (window, limit) = (u32::from_le_bytes([a, b, c, d]), self.limit);
        let bucket = self.bucket_mut(source_hash);
        if bucket.window != window {
            bucket.roll(window, limit);
        }
        bucket.add(source_hash, now, limit)
    }

    /// Returns true if the source was frequent when it was counted last.
    pub(crate) fn is_frequent(&mut self, source_hash: u32) -> bool {
        let limit = self.limit;
        self.bucket_mut(source_hash)
            .ways
            .iter()
            .any(|way| way.source_hash == source_hash && way.count >= limit)
    }

    fn bucket_mut(&mut self, source_hash: u32) -> &mut Bucket {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "masked to the length of the array"
        )]
        &mut self.buckets[source_hash as usize & (BUCKETS - 1)]
    }
}

const _: () = assert!(BUCKETS.is_power_of_two() && WAYS == 4, "masks select the bucket and the way");

impl Bucket {
    /// Begins a window. A source that was frequent in the window before is frequent at once.
    #[cold]
    fn roll(&mut self, window: u32, limit: u32) {
        let follows = self.window.wrapping_add(1) == window;
        for way in &mut self.ways {
            way.count = if follows && way.count >= limit { limit } else { 0 };
        }
        self.window = window;
    }

    // Invariant: packets in a count below `limit` were in no `Reached` so far, so that none is reported twice. A count that falls
    // below the limit therefore becomes zero.
    fn add(&mut self, source_hash: u32, now: Timestamp, limit: u32) -> Frequency {
        let way = match self.ways.iter().position(|way| way.source_hash == source_hash) {
            Some(index) => self.ways.get_mut(index),
            None => self.replace(source_hash, limit),
        };
        let Some(way) = way else { return Frequency::Low };
        if way.count == 0 {
            way.since = now;
        }
        way.count = way.count.saturating_add(1);
        match way.count.cmp(&limit) {
            Ordering::Less => Frequency::Low,
            Ordering::Equal => Frequency::Reached { count: limit, since: way.since },
            Ordering::Greater => Frequency::High,
        }
    }

    /// Gives the place of a count of zero to the source; lowers the lowest count, and returns `None`, if there is none.
    // Among equal counts the hash of the newcomer chooses. If it were always the first, all newcomers would meet in one way, and a
    // source that sends often would be replaced there before its second packet.
    fn replace(&mut self, source_hash: u32, limit: u32) -> Option<&mut Way> {
        // Count, order and index of the lowest in one number, so that comparisons become minima without a branch.
        let first = source_hash >> 30;
        let order = |(index, way): (u32, &Way)| {
            u64::from(way.count) << 4 | u64::from(index.wrapping_sub(first) & 3) << 2 | u64::from(index)
        };
        let lowest = (0..).zip(&self.ways).map(order).min()?;
        let way = self.ways.get_mut(usize::try_from(lowest & 3).ok()?)?;
        if way.count > 0 {
            way.count = if way.count == limit { 0 } else { way.count - 1 };
            return None;
        }
        way.source_hash = source_hash;
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const WINDOW: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros((1_700_000_000_000 + millis) * 1_000)
    }

    /// Numbers like those of a keyed hash.
    fn hash(number: u32) -> u32 {
        let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from(mixed >> 32).unwrap()
    }

    fn adds(filter: &mut FrequentSources, source: u32, times: u32, millis: u64) -> Vec<Frequency> {
        (0..times).map(|_| filter.add(source, at(millis))).collect()
    }

    #[test]
    fn a_source_alone_is_counted_exactly() {
        let mut filter = FrequentSources::new(78, WINDOW);
        let seen = adds(&mut filter, hash(1), 80, 3);
        assert!(seen[..77].iter().all(|frequency| *frequency == Frequency::Low));
        assert_eq!(
            seen[77..],
            [Frequency::Reached { count: 78, since: at(3) }, Frequency::High, Frequency::High]
        );
        assert!(filter.is_frequent(hash(1)) && !filter.is_frequent(hash(2)));
        let mut first = FrequentSources::new(0, WINDOW);
        assert_eq!(
            first.add(7, at(0)),
            Frequency::Reached { count: 1, since: at(0) },
            "a limit of one at least"
        );
    }

    #[test]
    fn a_frequent_source_stays_so_in_the_next_window_and_no_longer() {
        let mut filter = FrequentSources::new(10, Duration::from_nanos(1 << 33));
        let window_ms = (1_u64 << 33) / 1_000_000;
        adds(&mut filter, 5, 10, 0);
        assert_eq!(filter.add(5, at(window_ms)), Frequency::High);
        assert_eq!(
            filter.add(5, at(3 * window_ms + 1)),
            Frequency::Low,
            "a window without a packet is between"
        );
    }

    /// 128 hosts that flood at once, four in each bucket, are all frequent; the fifth of a bucket takes nothing from them.
    #[test]
    fn sources_that_send_equally_do_not_hide_each_other() {
        let mut filter = FrequentSources::new(50, WINDOW);
        let sources: Vec<u32> = (0..128).map(|number| number | number << 24).collect();
        for _ in 0..60 {
            sources.iter().for_each(|source| _ = filter.add(*source, at(0)));
        }
        assert!(sources.iter().all(|source| filter.is_frequent(*source)));
    }

    /// Made-up sources, three hundred times as many as the packets of a source, do not hide it, and none becomes frequent.
    #[test]
    fn made_up_sources_cancel_each_other() {
        let mut filter = FrequentSources::new(78, WINDOW);
        let (mut made_up, mut found) = (0, None);
        for number in 0..5_000_u32 {
            for _ in 0..300 {
                made_up += 1;
                assert_eq!(filter.add(hash(made_up), at(u64::from(number))), Frequency::Low);
            }
            if filter.add(0xabcd_ef01, at(u64::from(number))) != Frequency::Low {
                found.get_or_insert(number);
            }
        }
        assert!(found.is_some_and(|number| number < 2_500), "{found:?}");
    }

    /// A source that loses its place and comes back is not reported for packets that were reported before.
    #[test]
    fn no_packet_is_reported_twice() {
        let mut filter = FrequentSources::new(4, WINDOW);
        let (mut sent, mut reported) = (0, 0);
        for round in 0..10_000_u32 {
            // All in bucket 3.
            let source = if round.is_multiple_of(3) { 3 } else { hash(round) << 5 | 3 };
            let frequency = filter.add(source, at(0));
            if source == 3 {
                sent += 1;
                reported += match frequency {
                    Frequency::Low => 0,
                    Frequency::Reached { count, .. } => count,
                    Frequency::High => 1,
                };
            }
        }
        assert!(reported <= sent && reported > sent / 2, "{reported} of {sent}");
    }
}
