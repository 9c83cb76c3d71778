//! Counts of refused log-ins: of a pair, of a source at all hosts, of a service and all sources, 16 bytes each.

use core::time::Duration;

use sentinel_units::Timestamp;

use crate::shared::rate::earlier;

/// Counts at most: 4 KiB.
const COUNTS: usize = 256;
/// Places of the gate for connections to ports that are not listed: 1 KiB.
const GATES: usize = 256;
/// Unit of the times of a count, in seconds: 2^16 of them are twelve days.
const UNIT_S: u32 = 16;
/// Time without a refusal after which a count is forgotten, half an hour, in units.
const LIFETIME: u16 = 1_800 / 16;
/// Connections of a pair in one minute from which its sessions are followed.
const REPEATED: u32 = 4;
/// Time between refusals of one incident, in units: less than the idle timeout of incidents.
const RECENT: u16 = 3;
/// Sessions that must have worked before connection requests are taken for those of a tool.
const MIN_WORKED: u8 = 5;

/// Refused log-ins that share a source, a service or both.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Keyed hash of what they share; zero for a free place.
    tag: u32,
    /// Sources or services: a bit each, by a hash (linear counting, Whang et al. 1990).
    peers: u32,
    refused: u16,
    /// Units of the first and the last one.
    first: u16,
    last: u16,
    /// Sessions that worked, less the refusals of others.
    worked: u8,
    /// Logarithm of the refusals at the last report that was not part of the incident before.
    reported: u8,
}

const _: () = assert!(size_of::<Count>() == 16, "what a pair costs");

/// Evidence of one count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) count: u32,
    /// Sources or services, estimated.
    pub(super) peers: u32,
    units: u16,
    tag: u32,
    /// True if the refusal before came so lately that both are one incident.
    is_recent: bool,
}

impl Refused {
    /// Seconds that the evidence covers, rounded up.
    pub(super) fn span_s(self) -> u32 {
        (u32::from(self.units) + 1) * UNIT_S
    }

    /// Time of the first refusal, to 16 s.
    pub(super) fn first(self, now: Timestamp) -> Timestamp {
        earlier(now, Duration::from_secs(u64::from(self.units) * u64::from(UNIT_S)))
    }
}

/// Counts in pairs of places. The count with the fewest refusals makes room.
#[derive(Debug)]
pub(super) struct Failures {
    counts: [Count; COUNTS],
    /// Upper bits of the hash of a pair, and its connections in this minute.
    gates: [u32; GATES],
    evictions: u64,
}

impl Default for Failures {
    fn default() -> Self {
        Self { counts: [Count::default(); COUNTS], gates: [0; GATES], evictions: 0 }
    }
}

#[expect(clippy::as_conversions, reason = "seconds of the packet clock, compared modulo 2^32")]
const fn seconds(now: Timestamp) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

#[expect(clippy::as_conversions, reason = "units of the packet clock, compared modulo 2^16")]
const fn units(now: Timestamp) -> u16 {
    (seconds(now) / UNIT_S) as u16
}

impl Failures {
    /// Live counts that made room for others.
    pub(super) const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Counts a connection of a pair. Returns true from the fourth one in a minute on.
    pub(super) fn is_repeated(&mut self, pair: u32, now: Timestamp) -> bool {
        let minute = seconds(now) / 60;
        let Some(gate) = self.gates.get_mut(usize::try_from(pair).unwrap_or(0) % GATES) else { return false };
        // 20 bits of the pair, 4 of the minute, 8 of the count.
        let tag = pair & 0xffff_f000 | (minute & 15) << 8;
        *gate = if *gate & !0xff == tag { tag | (*gate & 0xff).saturating_add(1).min(0xff) } else { tag | 1 };
        *gate & 0xff >= REPEATED
    }

    /// Counts a refusal; `peer` is the hash of what the log-ins do not share.
    pub(super) fn refused(&mut self, tag: u32, peer: u32, now: Timestamp) -> Refused {
        let before = self.find(tag).map_or(0, |count| count.last);
        let count = self.place(tag, units(now));
        count.refused = count.refused.saturating_add(1);
        count.worked = count.worked.saturating_sub(1);
        count.peers |= 1 << (peer.wrapping_mul(0x85eb_ca6b) >> 27);
        Refused {
            count: count.refused.into(),
            peers: estimate(count.peers),
            units: count.last.wrapping_sub(count.first),
            tag,
            is_recent: count.last.wrapping_sub(before) <= RECENT,
        }
    }

    /// Returns true if a count is to be reported: as part of the incident before, or each time that it has doubled, so that slow attempts
    /// are not one incident each.
    pub(super) fn is_due(&mut self, refused: Refused) -> bool {
        let Some(count) = self.find(refused.tag) else { return true };
        let logarithm = u8::try_from(count.refused.max(1).ilog2()).unwrap_or(u8::MAX);
        let is_due = refused.is_recent || logarithm > count.reported;
        if is_due {
            count.reported = logarithm;
        }
        is_due
    }

    fn find(&mut self, tag: u32) -> Option<&mut Count> {
        let tag = tag | 1;
        let first = usize::try_from(tag >> 8).unwrap_or(0) % (COUNTS / 2) * 2;
        self.counts.get_mut(first..first + 2)?.iter_mut().find(|count| count.tag == tag)
    }

    /// A session of a pair worked: `refusals` of it do not count.
    pub(super) fn worked(&mut self, pair: u32, refusals: u32, now: Timestamp) {
        let count = self.place(pair, units(now));
        count.refused = count.refused.saturating_sub(u16::try_from(refusals).unwrap_or(u16::MAX));
        let taken_back = u8::try_from(refusals).unwrap_or(u8::MAX);
        count.worked = count.worked.saturating_add(taken_back).saturating_add(1);
    }

    /// Returns true if most sessions of a pair worked.
    pub(super) fn works(&mut self, pair: u32, now: Timestamp) -> bool {
        let now = units(now);
        self.find(pair).is_some_and(|count| count.weight(now) > 0 && count.worked >= MIN_WORKED)
    }

    /// Place of a count, made the last used; it is empty if it is new.
    fn place(&mut self, tag: u32, now: u16) -> &mut Count {
        let tag = tag | 1;
        let first = usize::try_from(tag >> 8).unwrap_or(0) % (COUNTS / 2) * 2;
        let [a, b] = [first, first + 1].map(|index| self.counts.get(index).copied().unwrap_or_default());
        let takes_a = a.tag == tag || b.tag != tag && a.weight(now) <= b.weight(now);
        let (held, index) = if takes_a { (a, first) } else { (b, first + 1) };
        let is_new = held.tag != tag || held.weight(now) == 0;
        self.evictions += u64::from(is_new && held.weight(now) > 0);
        #[expect(clippy::indexing_slicing, reason = "less than the length of the array")]
        let place = &mut self.counts[index % COUNTS];
        if is_new {
            *place = Count { tag, first: now, ..Count::default() };
        }
        place.last = now;
        place
    }
}

impl Count {
    /// Evidence that an eviction would lose; zero if the count is free or forgotten.
    fn weight(&self, now: u16) -> u32 {
        let is_live = self.tag != 0 && now.wrapping_sub(self.last) < LIFETIME;
        if is_live { u32::from(self.refused) * 4 + u32::from(self.worked) + 1 } else { 0 }
    }
}

/// Distinct peers by the bits that they set: 32 ln(32 / zeros), rounded.
fn estimate(peers: u32) -> u32 {
    /// By the number of ones.
    const ESTIMATES: [u8; 33] = [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 17, 18, 20, 22, 24, 26, 29, 31, 34, 37, 41, 44, 49, 54,
        59, 67, 76, 89, 111, 128,
    ];
    let ones = usize::try_from(peers.count_ones()).unwrap_or(0);
    ESTIMATES.get(ones).copied().unwrap_or(0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_700_000_000 + seconds, 0)
    }

    fn hash(number: u32) -> u32 {
        (number ^ 0x1234).wrapping_mul(0x9e37_79b1).rotate_left(11).wrapping_mul(0x85eb_ca6b)
    }

    #[test]
    fn refusals_count_until_half_an_hour_passes_without_one() {
        let mut failures = Failures::default();
        let last = (0..20).map(|number| failures.refused(9, 1, at(number * 600))).last().unwrap();
        assert_eq!((last.count, last.peers), (20, 1));
        assert!((11_400..11_450).contains(&last.span_s()), "{}", last.span_s());
        assert_eq!(failures.refused(9, 1, at(19 * 600 + 1_900)).count, 1);
    }

    #[test]
    fn peers_are_estimated() {
        for (peers, range) in [(1, 1..=1), (3, 2..=4), (12, 9..=15), (20, 15..=26)] {
            let mut failures = Failures::default();
            let last = (0..peers).map(|peer| failures.refused(9, hash(peer), at(0))).last().unwrap();
            assert!(range.contains(&last.peers), "{peers}: {}", last.peers);
        }
    }

    #[test]
    fn sessions_that_work_take_their_refusals_back() {
        let mut failures = Failures::default();
        for _ in 0..6 {
            failures.refused(9, 0, at(0));
            failures.worked(9, 1, at(0));
        }
        assert!(failures.works(9, at(0)));
        assert_eq!(failures.refused(9, 0, at(0)).count, 1);
    }

    /// Whoever fails once at many services pushes out nobody who fails often.
    #[test]
    fn a_count_with_few_refusals_makes_room() {
        let mut failures = Failures::default();
        (0..19).for_each(|_| {
            failures.refused(hash(0), 0, at(0));
        });
        (1..5_000).for_each(|number| {
            failures.refused(hash(number), 0, at(1));
        });
        assert_eq!(failures.refused(hash(0), 0, at(2)).count, 20);
        assert!(failures.evictions() > 4_000, "{}", failures.evictions());
    }

    #[test]
    fn the_fourth_connection_in_a_minute_is_followed() {
        let mut failures = Failures::default();
        let follows = [0, 1, 2, 3, 4].map(|second| failures.is_repeated(hash(7), at(20 + second)));
        assert_eq!(follows, [false, false, false, true, true]);
        let slow = [0, 30, 60, 90, 120].map(|second| failures.is_repeated(hash(8), at(20 + second)));
        assert_eq!(slow, [false; 5]);
    }
}
