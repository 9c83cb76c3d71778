//! Bindings of the captured links: which MAC address holds which IP address.
//!
//! Read first: RFC 826 (ARP); RFC 4861 section 7.2 (neighbour discovery); RFC 2131 section 4.3.1 (address assignment).
//!
//! A table of its own and not [`crate::table`], because the least recently used binding is the wrong one to evict: made-up
//! addresses are always the most recent ones.

use core::time::Duration;

use sentinel_units::{Mac, Timestamp};

/// Lifetime of a binding since the last frame of its holder: a day, so that another machine cannot take over the address of one
/// that is switched off over night without a report.
pub const BINDING_LIFETIME: Span = Span::at_least(Duration::from_secs(86_400));
/// Ways of a set.
pub const NEIGHBOUR_WAYS: usize = 8;
/// Idle time that halves the evidence of a binding.
const HALF_LIFE: Span = Span::at_least(Duration::from_secs(3_600));
/// Least time between two frames of a holder that count as evidence: a flood of repeated claims proves no more than one.
const EVIDENCE_INTERVAL: Span = Span::at_least(Duration::from_secs(10));
/// Evidence of an address that another station asked for, of one whose holder answered, and the most that time adds.
const ASKED: u8 = 2;
const ANSWERED: u8 = 3;
const MAX_EVIDENCE: u8 = 15;
/// Evidence that a flood of made-up bindings does not reach with one frame for each.
const DOUBTFUL: u8 = 1;

/// Packet time in units of 2^26 ns (67 ms), which wraps after nine years.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tick(u32);

/// Span of packet time in units of 2^26 ns (67 ms).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Span(u32);

impl Tick {
    /// The unit that `at` lies in.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
    pub const fn of(at: Timestamp) -> Self {
        Self((at.as_nanos() >> 26) as u32)
    }

    /// Absolute difference: a time in the future, after the clock was set back, is as far as one in the past.
    #[must_use]
    pub const fn distance(self, other: Self) -> Span {
        Span(self.0.wrapping_sub(other.0).cast_signed().unsigned_abs())
    }
}

impl Span {
    /// Returns `span` rounded up to a whole unit.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "spans of this program are below four years; `From` is not const"
    )]
    pub const fn at_least(span: Duration) -> Self {
        Self(span.as_nanos().div_ceil(1 << 26) as u32)
    }

    /// The span as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::from(self.0) << 26)
    }
}

/// Binding of one address. 28 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neighbour {
    /// Low half of the hash, its lowest bit set; zero for an empty slot.
    tag: u32,
    /// Last frame of the holder.
    pub seen: Tick,
    /// First frame of the holder.
    pub since: Tick,
    /// Holder.
    pub mac: Mac,
    /// Hash of the station that asked for the address first; zero for none.
    pub requester: u16,
    /// Hash of the station that a trusted DHCP server leased the address to; zero for none.
    pub lease: u16,
    /// Hash of the holder before; zero for none.
    pub former: u16,
    evidence: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Neighbour>() == 28, "1,024 bindings in 28 KiB");

/// Several stations asked for the address: that of a router or server, whose takeover is worth an attack.
const POPULAR: u8 = 1;
/// The holder answered a request.
const HAS_ANSWERED: u8 = 2;
/// Gateway or DHCP server: never evicted.
const PINNED: u8 = 4;

impl Neighbour {
    /// Makes `mac` the holder from now on.
    pub const fn take_over(&mut self, mac: Mac, now: Tick) {
        (self.mac, self.since, self.seen) = (mac, now, now);
        self.flags &= !HAS_ANSWERED;
    }

    /// The holder sent a frame in which it uses the address; `answered` if that answers a request.
    pub fn confirm(&mut self, now: Tick, answered: bool) {
        if now.distance(self.seen) >= EVIDENCE_INTERVAL {
            self.evidence = (self.evidence + 1).min(MAX_EVIDENCE);
        }
        if answered {
            self.flags |= HAS_ANSWERED;
            self.evidence = self.evidence.max(ANSWERED);
        }
        self.seen = now;
    }

    /// The station with this hash asked for the address.
    pub fn ask(&mut self, requester: u16) {
        let is_another = self.requester != 0 && self.requester != requester;
        if is_another {
            self.flags |= POPULAR;
        }
        self.evidence = self.evidence.max(if is_another { ANSWERED } else { ASKED });
        if self.requester == 0 {
            self.requester = requester;
        }
    }

    /// Keeps the binding whatever comes: it is that of a gateway or DHCP server.
    pub const fn pin(&mut self) {
        self.flags |= PINNED;
    }

    /// Returns true if several stations asked for the address.
    #[must_use]
    pub const fn is_popular(&self) -> bool {
        self.flags & POPULAR != 0
    }

    /// Returns true if the holder answered a request.
    #[must_use]
    pub const fn has_answered(&self) -> bool {
        self.flags & HAS_ANSWERED != 0
    }

    /// Returns true if the binding is in use.
    fn is_live(&self, now: Tick) -> bool {
        self.tag != 0 && now.distance(self.seen) <= BINDING_LIFETIME
    }

    /// Order of eviction, least first: evidence, halved for each hour without a frame; of equal evidence the doubtful that was idle for
    /// longest, or the most recent of those that have some.
    fn worth(&self, now: Tick) -> (u8, u32) {
        if !self.is_live(now) {
            return (0, 0);
        }
        if self.flags & PINNED != 0 {
            return (u8::MAX, 0);
        }
        let idle = now.distance(self.seen);
        let halvings = idle.0.checked_div(HALF_LIFE.0).unwrap_or(0).min(7);
        let evidence = (self.evidence >> halvings).max(DOUBTFUL);
        let order = if evidence == DOUBTFUL { u32::MAX - idle.0 } else { now.distance(self.since).0 };
        (evidence, order)
    }
}

/// Bindings of the captured links, in sets of [`NEIGHBOUR_WAYS`].
///
/// Capacity: the slots lent, rounded down to a power of two of sets. Key: a 64-bit hash of link and address, of which 32 bits and
/// those that select the set are compared. Lifetime: [`BINDING_LIFETIME`]. Eviction: the binding with the least evidence of its set,
/// never a pinned one; [`Neighbours::evictions`] counts it, and addresses that found no room.
#[derive(Debug)]
pub struct Neighbours<'m> {
    slots: &'m mut [Neighbour],
    /// Number of sets less one.
    mask: u32,
    evictions: u64,
}

impl<'m> Neighbours<'m> {
    /// Makes an empty table over lent storage.
    #[must_use]
    pub fn new(slots: &'m mut [Neighbour]) -> Self {
        slots.fill(Neighbour::default());
        let sets = (slots.len() / NEIGHBOUR_WAYS).checked_ilog2().map_or(1, |log| 1_u32 << log);
        Self { slots, mask: sets - 1, evictions: 0 }
    }

    /// Live bindings that were evicted, and addresses that found no room among pinned ones.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Finds the binding of an address.
    pub fn find(&mut self, hash: u64, now: Tick) -> Option<&mut Neighbour> {
        let tag = tag(hash);
        self.set(hash)?.iter_mut().find(|slot| slot.tag == tag && slot.is_live(now))
    }

    /// Finds the binding of an address, or makes one to `mac`; true if it is new. `None` if there is no room.
    pub fn entry(&mut self, hash: u64, mac: Mac, now: Tick) -> Option<(bool, &mut Neighbour)> {
        let tag = tag(hash);
        let set = self.set(hash)?;
        let found = set.iter().position(|slot| slot.tag == tag && slot.is_live(now));
        if let Some(way) = found {
            return Some((false, self.set(hash)?.get_mut(way)?));
        }
        let (way, (worth, _)) =
            set.iter().map(|slot| slot.worth(now)).enumerate().min_by_key(|(_, worth)| *worth)?;
        self.evictions += u64::from(worth > 0);
        if worth == u8::MAX {
            return None;
        }
        let slot = self.set(hash)?.get_mut(way)?;
        *slot = Neighbour { tag, mac, seen: now, since: now, evidence: DOUBTFUL, ..Neighbour::default() };
        Some((true, slot))
    }

    /// Returns true if `mac` holds any address.
    #[must_use]
    pub fn holds_any(&self, mac: Mac, now: Tick) -> bool {
        self.slots.iter().any(|slot| slot.mac == mac && slot.is_live(now))
    }

    fn set(&mut self, hash: u64) -> Option<&mut [Neighbour]> {
        let index = usize::try_from((hash >> 32) & u64::from(self.mask)).ok()?;
        self.slots.chunks_mut(NEIGHBOUR_WAYS).nth(index)
    }
}

#[expect(clippy::as_conversions, reason = "the lower half of 64 bits")]
const fn tag(hash: u64) -> u32 {
    hash as u32 | 1
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    const GATEWAY: u64 = 7;
    const REAL: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

    fn at(seconds: u64) -> Tick {
        Tick::of(Timestamp::from_parts(1_700_000_000 + seconds, 0))
    }

    /// The `number`-th of other addresses, in the same set of a table with one.
    const fn other(number: u64) -> u64 {
        (number + 100) << 1
    }

    #[test]
    fn a_binding_is_found_until_its_lifetime_ends() {
        let mut slots = vec![Neighbour::default(); 64];
        let mut neighbours = Neighbours::new(&mut slots);
        assert!(neighbours.entry(GATEWAY, REAL, at(1)).unwrap().0);
        let (is_new, binding) = neighbours.entry(GATEWAY, OTHER, at(2)).unwrap();
        assert!(!is_new && binding.mac == REAL);
        assert!(neighbours.find(GATEWAY, at(86_400)).is_some() && neighbours.holds_any(REAL, at(86_400)));
        assert!(neighbours.find(GATEWAY, at(86_402)).is_none() && !neighbours.holds_any(REAL, at(86_402)));
        assert!(neighbours.entry(GATEWAY, OTHER, at(86_402)).unwrap().0);
    }

    /// 2,000 made-up bindings must not push out one that somebody asked for.
    #[test]
    fn the_binding_with_the_least_evidence_is_evicted_first() {
        let mut slots = vec![Neighbour::default(); 8];
        let mut neighbours = Neighbours::new(&mut slots);
        neighbours.entry(GATEWAY, REAL, at(1)).unwrap().1.ask(9);
        for number in 0..2_000 {
            neighbours.entry(other(number), OTHER, at(2)).unwrap();
        }
        assert_eq!(neighbours.find(GATEWAY, at(3)).unwrap().mac, REAL);
        assert_eq!(neighbours.evictions(), 1_993);
        // Of doubtful ones the most recent stay.
        assert!(neighbours.find(other(1_999), at(3)).is_some() && neighbours.find(other(0), at(3)).is_none());
    }

    #[test]
    fn of_bindings_with_equal_evidence_the_oldest_stays() {
        let mut slots = vec![Neighbour::default(); 8];
        let mut neighbours = Neighbours::new(&mut slots);
        neighbours.entry(GATEWAY, REAL, at(1)).unwrap().1.ask(9);
        for number in 0..100 {
            neighbours.entry(other(number), OTHER, at(2 + number)).unwrap().1.ask(9);
        }
        assert_eq!(neighbours.find(GATEWAY, at(103)).unwrap().mac, REAL);
    }

    #[test]
    fn evidence_is_lost_with_idle_time() {
        let mut slots = vec![Neighbour::default(); 8];
        let mut neighbours = Neighbours::new(&mut slots);
        neighbours.entry(GATEWAY, REAL, at(1)).unwrap().1.ask(9);
        for number in 0..8 {
            neighbours.entry(other(number), OTHER, at(4_000 + number)).unwrap();
        }
        assert!(neighbours.find(GATEWAY, at(4_010)).is_none(), "idle for longer than the doubtful ones");
    }

    #[test]
    fn pinned_bindings_stay_and_what_finds_no_room_is_counted() {
        let mut slots = vec![Neighbour::default(); 8];
        let mut neighbours = Neighbours::new(&mut slots);
        for number in 0..8 {
            neighbours.entry(other(number), REAL, at(1)).unwrap().1.pin();
        }
        assert!(neighbours.entry(GATEWAY, OTHER, at(2)).is_none());
        assert_eq!(neighbours.evictions(), 1);
        assert!((0..8).all(|number| neighbours.find(other(number), at(2)).is_some()));
    }

    #[test]
    fn several_requesters_make_an_address_popular() {
        let mut binding = Neighbour::default();
        for (requester, is_popular) in [(5, false), (5, false), (6, true)] {
            binding.ask(requester);
            assert_eq!(binding.is_popular(), is_popular);
        }
        assert!(!binding.has_answered());
        binding.confirm(at(1), true);
        assert!(binding.has_answered());
        binding.take_over(OTHER, at(2));
        assert!(!binding.has_answered() && binding.is_popular());
    }

    #[test]
    fn tables_of_any_size_hold_what_fits() {
        for slots in [0, 1, 4, 9, 24] {
            let mut storage = vec![Neighbour::default(); slots];
            let mut neighbours = Neighbours::new(&mut storage);
            for number in 0..20_u64 {
                assert_eq!(neighbours.entry(number << 32 | number, REAL, at(1)).is_some(), slots > 0);
            }
        }
    }
}
