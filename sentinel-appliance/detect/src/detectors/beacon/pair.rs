//! Pairs of an inside host and a destination: a table that gives up the pair with the least evidence of a rhythm.

use super::filters::scaled;
use super::gaps::{GAPS, Gaps, Rhythm, SHORTEST};

/// Ways of a set.
const WAYS: usize = 8;
/// Units (67 ms) of silence that halve the evidence of a pair: six hours.
const HALF_LIFE: u32 = 6 * 3_600 * 15;
/// Units for which a contact protects its pair, so that it lives to the next one while many begin: ten minutes.
const PROTECTED: u32 = 600 * 15;
/// Units after which a pair is reported again, doubled with each report: a day.
const DAY: u32 = 24 * 3_600 * 15;
/// Doublings at most.
const MAX_DOUBLINGS: u8 = 5;

/// Contacts of one inside host with one destination: an address, or a network of several, and a port. 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair {
    /// Keyed hash of both ends; zero for an empty slot.
    key: u64,
    /// Keyed hash of the destination.
    destination: u32,
    /// Units of the packet clock of the first contact, the last one and the last report.
    pub(super) first: u32,
    last: u32,
    reported: u32,
    pub(super) contacts: u32,
    /// Least and greatest length of the first datagrams; of TCP the length of the request, which is always the same.
    lengths: (u16, u16),
    /// Gaps that were like the one before, less the others.
    evidence: u8,
    reports: u8,
    /// A DNS answer has named the destination before one of the contacts.
    pub(super) is_named: bool,
    gaps: Gaps,
}

const _: () = assert!(size_of::<Pair>() <= 64, "64 bytes a pair are promised");

/// Contact at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) now: u32,
    pub(super) length: u16,
    pub(super) is_named: bool,
}

impl Pair {
    fn add(&mut self, contact: Contact) {
        let gap = contact.now.wrapping_sub(self.last);
        // Several connections of one call; and contacts without a pause never begin a gap.
        self.last = contact.now;
        self.is_named |= contact.is_named;
        if gap < SHORTEST {
            return;
        }
        let (least, greatest) = self.lengths;
        self.lengths = (least.min(contact.length), greatest.max(contact.length));
        self.contacts += 1;
        self.evidence = if self.gaps.add(gap) {
            self.evidence.saturating_add(1)
        } else {
            self.evidence.saturating_sub(1)
        };
    }

    /// Rhythm of the contacts, if they prove one at least as well as `needed` regular gaps.
    pub(super) fn rhythm(&self, needed: u32) -> Option<Rhythm> {
        let is_in_ring = usize::try_from(self.contacts).is_ok_and(|contacts| contacts <= GAPS + 1);
        self.gaps.rhythm(needed, is_in_ring.then(|| self.last.wrapping_sub(self.first)))
    }

    /// Returns true if the lengths differ by a quarter at most.
    pub(super) const fn has_constant_length(&self) -> bool {
        let (least, greatest) = self.lengths;
        greatest - least <= least / 4
    }

    /// Returns true if the pair was reported a short time ago: a day, two after the second report, up to a month.
    pub(super) fn is_reported(&self, now: u32) -> bool {
        let doublings = self.reports.saturating_sub(1).min(MAX_DOUBLINGS);
        self.reports > 0 && now.wrapping_sub(self.reported) < DAY << doublings
    }

    pub(super) const fn note_report(&mut self, now: u32) {
        (self.reported, self.reports) = (now, self.reports.saturating_add(1));
    }

    /// Evidence that the silence since the last contact has left over.
    fn left(&self, now: u32) -> u8 {
        if self.key == 0 {
            return 0;
        }
        // One more than that of an empty slot.
        (self.evidence >> (now.wrapping_sub(self.last) / HALF_LIFE).min(7)).saturating_add(1)
    }
}

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs<'m> {
    slots: &'m mut [Pair],
    evictions: u64,
}

impl<'m> Pairs<'m> {
    pub(super) fn new(slots: &'m mut [Pair]) -> Self {
        slots.fill(Pair::default());
        Self { slots, evictions: 0 }
    }

    /// Pairs with evidence of a rhythm that were given up for want of room, and new ones that found none.
    pub(super) const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Adds a contact to a pair, which `may_begin` with it. Gives its slot.
    pub(super) fn add(
        &mut self,
        (key, destination): (u64, u32),
        contact: Contact,
        may_begin: bool,
    ) -> Option<usize> {
        let key = key | 1;
        let ways = WAYS.min(self.slots.len());
        let sets = self.slots.len().checked_div(ways)?;
        let [hash, _] = super::filters::halves(key);
        let begin = scaled(hash, sets) * ways;
        let set = self.slots.get_mut(begin..begin + ways)?;
        if let Some(way) = set.iter().position(|pair| pair.key == key) {
            set.get_mut(way)?.add(contact);
            return Some(begin + way);
        }
        if !may_begin {
            return None;
        }
        let is_free = |pair: &Pair| pair.key == 0 || contact.now.wrapping_sub(pair.last) > PROTECTED;
        let free = set.iter_mut().enumerate().filter(|(_, pair)| is_free(pair));
        let least = free.min_by_key(|(_, pair)| (pair.left(contact.now), pair.last));
        // Either the new one or an old one with evidence is lost.
        self.evictions += u64::from(least.as_ref().is_none_or(|(_, pair)| pair.left(contact.now) > 1));
        let (way, pair) = least?;
        let lengths = (contact.length, contact.length);
        *pair = Pair {
            key,
            destination,
            first: contact.now,
            last: contact.now,
            contacts: 1,
            lengths,
            is_named: contact.is_named,
            ..Pair::default()
        };
        Some(begin + way)
    }

    pub(super) fn get(&mut self, slot: Option<usize>) -> Option<&mut Pair> {
        self.slots.get_mut(slot?)
    }

    /// Inside hosts that contact this destination again and again.
    pub(super) fn hosts(&self, destination: u32) -> usize {
        self.slots.iter().filter(|pair| pair.key != 0 && pair.destination == destination).count()
    }
}
