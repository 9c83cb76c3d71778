//! Memory of the sequential test: contacts whose outcome is not counted yet, contacts counted before, and sources with failed contacts.
//!
//! Read first: "Very Fast Containment of Scanning Worms" (Weaver, Staniford, Paxson, 2004), section 4: approximate caches of fixed
//! size instead of exact state; "Space/Time Trade-offs in Hash Coding with Allowable Errors" (Bloom, 1970).
//!
//! All structures lie in one slice of [`ContactSet`]s, so that they grow and shrink together with the memory.

use core::time::Duration;

use sentinel_track::clock::CLOCK_SET_BACK;
use sentinel_track::table::WAYS;
use sentinel_units::{Address, Timestamp};

/// Contacts of one set.
const PENDING: usize = 5;
/// Chains of one set, by which contacts are found.
const CHAINS: usize = 8;
/// Sources of one set.
const SUSPECTS: usize = 3;
/// Sets at most, so that a place of the ring fits 16 bits.
const MAX_SETS: usize = 8_192;
/// Keys that one generation of a Bloom filter takes on average for each set: three bits each fill a third of the known contacts' 512
/// bits, and one of thirty unknown keys passes for known; one bit each fills a quarter of the 128 bits of the doorkeeper.
const KEYS_PER_SET: [u32; 2] = [64, 36];
/// Time after which the newer generation of trusted sources becomes the older one.
const TRUST: Duration = Duration::from_secs(5);
/// Time for which an answer is waited for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Time after which an incident without evidence may have ended: 58 s, in units of 2^30 ns.
const TOLD: u32 = 54;
/// Time without a failed contact after which those before are forgotten, in units of 2^30 ns: an hour.
const MEMORY: u32 = 3_353;

/// Part of the storage: 736 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContactSet {
    /// Part of a ring over all sets, in the order of time.
    pending: [Pending; PENDING],
    suspects: [Suspect; SUSPECTS],
    /// Bloom filter of contacts, each key in one word: the newer and the older generation.
    known: [[u64; 8]; 2],
    /// Bloom filters of sources, one bit each: those seen lately, and those answered in the last five to ten seconds.
    doors: [[u64; 2]; 2],
    trusted: [[u64; 2]; 2],
    /// First contact of each chain, by [`Pending::next`].
    chains: [u16; CHAINS],
}

const _: () = assert!(size_of::<ContactSet>() <= 736, "128 sets must fit 92 KiB");

/// First contact, from when it began until its outcome is counted: after [`ANSWER_TIMEOUT`], so that outcomes count in the order in
/// which the contacts began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) at: Timestamp,
    /// Hash of addresses, port and class; zero once the outcome is known.
    pub(super) hash: u32,
    /// Place of the next contact of the chain, counted from one; zero for none.
    pub(super) next: u16,
    pub(super) port: u16,
    pub(super) shape: Shape,
    /// Hardware address of the source.
    pub(super) mac: [u8; 6],
}

/// Facts about a contact: its class in the lower bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Shape(pub(super) u16);

impl Shape {
    /// Bits of the class.
    const CLASS: u16 = 0x07;
    /// A contact of the source with another port of the host was counted before.
    pub(super) const HOST_KNOWN: u16 = 0x08;
    /// A contact of the source with the port of another host was counted before.
    pub(super) const PORT_KNOWN: u16 = 0x10;
    /// From the home network to the outside.
    pub(super) const OUTWARD: u16 = 0x20;
    /// A datagram: silence is no refusal.
    pub(super) const DATAGRAM: u16 = 0x40;
    /// Search for neighbours or devices, which ordinary programs do as well.
    pub(super) const QUIET: u16 = 0x80;
    /// The destination has answered.
    pub(super) const ANSWERED: u16 = 0x100;
    /// The source was answered lately, and the destination, as ever, refuses what it does not offer, or is silent.
    pub(super) const USUAL: u16 = 0x200;
    /// The source has searched for a directory in the network of the destination, and met silence.
    pub(super) const DIRECTORY: u16 = 0x400;
    /// The source has tried ports of printers at the destination.
    pub(super) const PRINTER: u16 = 0x800;

    pub(super) const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub(super) const fn class(self) -> u16 {
        self.0 & Self::CLASS
    }
}

/// Classes of contacts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u16)]
pub(super) enum Class {
    /// SYN, or first datagram of a flow.
    Request = 0,
    /// TCP segment without a flow.
    Stray = 1,
    /// Another IP protocol; its number stands for the port.
    Protocol = 2,
    Sctp = 3,
    Echo = 4,
    /// ARP or neighbour discovery.
    Neighbour = 5,
}

#[expect(clippy::as_conversions, reason = "the discriminant")]
pub(super) const fn class_number(class: Class) -> u16 {
    class as u16
}

/// Source with failed contacts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspect {
    pub(super) source: Address,
    /// Destination of the first failed contact.
    pub(super) destination: Address,
    /// Time of the first failed contact.
    pub(super) first: Timestamp,
    /// Linear counting of hosts and ports (Whang 1990): a bit for each, by hash.
    pub(super) hosts: u64,
    pub(super) ports: u64,
    /// Key; zero for an empty place.
    key: u32,
    /// Time of the last failed contact, in units of 2^30 ns.
    last: u32,
    /// Log likelihood ratio in Q8, never negative.
    pub(super) score: u16,
    pub(super) failed: u16,
    /// Port of the first failed contact.
    pub(super) port: u16,
    pub(super) flags: u8,
    /// Packets that prove a scan by themselves.
    pub(super) crafted: u8,
    /// Failed contacts and crafted packets at the last report, and its time in units of 2^30 ns.
    told: u16,
    told_at: u32,
}

impl Suspect {
    /// More than one destination.
    pub(super) const SEVERAL_HOSTS: u8 = 1;
    /// More than one port.
    pub(super) const SEVERAL_PORTS: u8 = 2;
    /// More than one source address: several of one /64.
    pub(super) const SEVERAL_SOURCES: u8 = 4;
    /// Reported as a port scan, or as a sweep: it stays that for as long as it is remembered.
    pub(super) const IS_SCAN: u8 = 8;
    pub(super) const IS_SWEEP: u8 = 16;
    /// More than one destination of crafted packets.
    pub(super) const SEVERAL_VICTIMS: u8 = 32;

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Returns false if the report of this would only repeat one that its incident has ended with: it says less than twice as
    /// much. A scan of one contact in five minutes would otherwise open an incident with each.
    pub(super) fn is_worth_telling(&mut self, now: Timestamp) -> bool {
        let now = coarse(now);
        let total = self.failed.saturating_add(self.crafted.into());
        let is_over = now.wrapping_sub(self.told_at) > TOLD;
        if self.told > 0 && is_over && total < self.told.saturating_mul(2) {
            return false;
        }
        (self.told, self.told_at) = (total, now);
        true
    }

    /// Evidence that an eviction would lose.
    fn weight(&self, now: u32) -> u32 {
        if self.key == 0 || now.wrapping_sub(self.last) > MEMORY {
            return 0;
        }
        1 + u32::from(self.score) + (u32::from(self.crafted) << 9) + u32::from(self.failed.min(64))
    }
}

/// The tables, over lent storage.
#[derive(Debug)]
pub(super) struct ContactTable<'m> {
    sets: &'m mut [ContactSet],
    mask: u32,
    /// Places of the ring; zero without storage.
    capacity: u32,
    /// Start and length of the ring of contacts.
    head: u32,
    len: u32,
    /// Time at which trusted sources become one generation older.
    pub(super) trust_until: Timestamp,
    /// The doorkeeper has forgotten sources.
    has_rotated: bool,
    /// Time at which the outcome of the oldest contact counts; later than all others if there is none.
    pub(super) due: Timestamp,
    /// Keys in the newer generation of known contacts and of sources.
    keys: [u32; 2],
    evictions: u64,
    /// Number of contacts that wait for an answer by a hash of their two hosts, so that most packets need no look at the sets.
    awaited: [u16; PAIRS],
}

/// Counters of contacts that wait.
const PAIRS: usize = 128;

/// Counter of two hosts, in whatever order. Whoever makes all pairs share one only makes more packets look at the sets.
#[inline]
#[expect(clippy::as_conversions, reason = "seven bits")]
const fn pair(source: Address, destination: Address) -> usize {
    let ([.., a], [.., b]) = (source.words(), destination.words());
    (a.wrapping_mul(b) >> 25) as usize
}

/// Time in units of 2^30 ns.
#[expect(clippy::as_conversions, reason = "the cut to 32 bits is meant")]
const fn coarse(at: Timestamp) -> u32 {
    (at.as_nanos() >> 30) as u32
}

/// Word of a key among eight, and its three bits there.
const fn known_bits(key: u32) -> (usize, u64) {
    let spread = key.wrapping_mul(0x9e37_79b1) >> 26;
    #[expect(clippy::as_conversions, reason = "three bits")]
    let word = (key >> 16 & 7) as usize;
    (word, 1 << (key >> 19 & 63) | 1 << (key >> 25 & 63) | 1 << spread)
}

/// Bit of a source, and its word among two.
#[inline]
fn source_bit(source: u32) -> (u64, usize) {
    (1 << (source >> 16 & 63), index(source >> 22 & 1))
}

#[inline]
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// Sets bits of one word in the newer generation. Returns whether either had them, and whether the newer had not.
#[inline]
fn mark<const N: usize>([newer, older]: &mut [[u64; N]; 2], word: usize, bits: u64) -> (bool, bool) {
    let (Some(newer), Some(older)) = (newer.get_mut(word), older.get(word)) else { return (true, false) };
    let is_new = *newer & bits != bits;
    *newer |= bits;
    (!is_new || *older & bits == bits, is_new)
}

impl<'m> ContactTable<'m> {
    pub(super) fn new(sets: &'m mut [ContactSet]) -> Self {
        let count = sets.len().min(MAX_SETS).checked_ilog2().map_or(0, |log| 1 << log);
        let sets = sets.get_mut(..count).unwrap_or_default();
        sets.iter_mut().for_each(|set| *set = ContactSet::default());
        let mask = u32::try_from(count.saturating_sub(1)).unwrap_or_default();
        Self {
            sets,
            mask,
            capacity: u32::try_from(count * PENDING).unwrap_or_default(),
            head: 0,
            len: 0,
            trust_until: Timestamp::ZERO,
            has_rotated: false,
            due: Timestamp::MAX,
            keys: [0; 2],
            evictions: 0,
            awaited: [0; PAIRS],
        }
    }

    pub(super) const fn evictions(&self) -> u64 {
        self.evictions
    }

    #[inline]
    fn set(&mut self, hash: u32) -> Option<&mut ContactSet> {
        self.sets.get_mut(index(hash & self.mask))
    }

    /// Returns false if no contact between these hosts waits for an answer.
    #[inline]
    pub(super) fn awaits(&self, source: Address, destination: Address) -> bool {
        self.awaited.get(pair(source, destination)).is_some_and(|count| *count > 0)
    }

    /// Counts a contact that waits from now on, or no longer.
    fn count(&mut self, contact: &Pending, waits: bool) {
        if let Some(count) = self.awaited.get_mut(pair(contact.source, contact.destination)) {
            *count = if waits { count.wrapping_add(1) } else { count.wrapping_sub(1) };
        }
    }

    /// Returns true if there is room for a contact of this source. One that was not seen lately is a made-up one if there are many: such
    /// get half of the room. What finds none of the other half is counted.
    #[inline]
    pub(super) fn admits(&mut self, source: u32) -> bool {
        let is_known = self.enters(source);
        let has_room = self.len < if is_known { self.capacity } else { self.capacity / 2 };
        self.evictions += u64::from(is_known && !has_room);
        has_room
    }

    /// Doorkeeper: notes a source. Returns true if it was noted before.
    #[inline]
    fn enters(&mut self, source: u32) -> bool {
        let (bit, word) = source_bit(source);
        let Some(set) = self.set(source) else { return false };
        let (is_known, is_new) = mark(&mut set.doors, word, bit);
        self.keys[1] += u32::from(is_new);
        if self.keys[1] > (self.mask + 1) * KEYS_PER_SET[1] {
            self.rotate(1);
        }
        is_known
    }

    /// Notes the suspects with the doorkeeper again, after it has forgotten them.
    pub(super) fn keep_suspects(&mut self, hash: impl Fn(Address) -> u32) {
        if !core::mem::take(&mut self.has_rotated) {
            return;
        }
        for set in 0..self.sets.len() {
            for place in 0..SUSPECTS {
                let suspect = self.sets.get(set).and_then(|set| set.suspects.get(place));
                if let Some(source) = suspect.filter(|held| held.key != 0).map(|held| held.source) {
                    let _was_known = self.enters(hash(source));
                }
            }
        }
    }

    /// Returns true if the source was answered in this generation, or in the one before; see [`Self::age_trust`].
    #[inline]
    pub(super) fn trusts(&self, source: u32, generation: usize) -> bool {
        let (bit, word) = source_bit(source);
        let Some(set) = self.sets.get(index(source & self.mask)) else { return false };
        set.trusted.get(generation).and_then(|words| words.get(word)).is_some_and(|held| held & bit != 0)
    }

    /// Trusts a source, or no longer.
    pub(super) fn set_trust(&mut self, source: u32, trusts: bool) {
        let (bit, word) = source_bit(source);
        let Some(set) = self.set(source) else { return };
        let _new = mark(&mut set.trusted, word, bit);
        if !trusts {
            set.trusted.iter_mut().filter_map(|words| words.get_mut(word)).for_each(|held| *held &= !bit);
        }
    }

    /// Forgets the older generation of trusted sources, and the newer one as well after a silence.
    #[cold]
    pub(super) fn age_trust(&mut self, now: Timestamp) {
        let is_over = now.since(self.trust_until) > TRUST;
        self.trust_until = now.after(TRUST);
        for set in &mut *self.sets {
            let [newer, _] = set.trusted;
            set.trusted = [[0; 2], if is_over { [0; 2] } else { newer }];
        }
    }

    /// Returns true if the key was noted before (with a small probability also if it was not), and notes it.
    pub(super) fn note(&mut self, key: u32) -> bool {
        let (word, bits) = known_bits(key);
        let Some(set) = self.set(key) else { return true };
        let (is_known, is_new) = mark(&mut set.known, word, bits);
        self.keys[0] += u32::from(is_new);
        if self.keys[0] > (self.mask + 1) * KEYS_PER_SET[0] {
            self.rotate(0);
        }
        is_known
    }

    /// Returns true if the key was noted before.
    pub(super) fn knows(&mut self, key: u32) -> bool {
        let (word, bits) = known_bits(key);
        let Some(set) = self.set(key) else { return false };
        set.known.iter().any(|words| words.get(word).is_some_and(|held| held & bits == bits))
    }

    /// Returns true if the key was noted before, and notes it if `notes`.
    pub(super) fn knows_or_notes(&mut self, key: u32, notes: bool) -> bool {
        if notes { self.note(key) } else { self.knows(key) }
    }

    /// Forgets the older generation of known contacts, or of sources.
    #[cold]
    fn rotate(&mut self, filter: usize) {
        for set in &mut *self.sets {
            let ([known, _], [doors, _]) = (set.known, set.doors);
            if filter == 0 {
                set.known = [[0; 8], known];
            } else {
                set.doors = [[0; 2], doors];
            }
        }
        self.has_rotated |= filter == 1;
        if let Some(keys) = self.keys.get_mut(filter) {
            *keys = 0;
        }
    }

    /// Contact at a place of the ring.
    fn place(&mut self, place: u32) -> Option<&mut Pending> {
        let lane = place >> (self.mask + 1).trailing_zeros();
        self.set(place)?.pending.get_mut(index(lane))
    }

    fn chain(&mut self, hash: u32) -> Option<&mut u16> {
        self.set(hash)?.chains.get_mut(index(hash >> 16) % CHAINS)
    }

    /// Waits for an answer. A full ring takes no more, which is counted.
    pub(super) fn wait(&mut self, contact: Pending) {
        let capacity = self.capacity;
        if self.len > 0 && self.due.since(contact.at) > ANSWER_TIMEOUT + CLOCK_SET_BACK {
            // The clock was set back: what waits began in a time that will not come soon.
            while self.pop().is_some() {}
            self.trust_until = Timestamp::ZERO;
        }
        if self.len >= capacity {
            self.evictions += 1;
            return;
        }
        let place = (self.head + self.len) % capacity;
        let Some(chain) = self.chain(contact.hash) else { return };
        let next = core::mem::replace(chain, u16::try_from(place + 1).unwrap_or_default());
        if let Some(held) = self.place(place) {
            *held = Pending { next, ..contact };
        }
        self.count(&contact, true);
        self.len += 1;
        if self.len == 1 {
            self.due = contact.at.after(ANSWER_TIMEOUT);
        }
    }

    /// Returns true if the contact with this hash waits for an answer.
    pub(super) fn waits(&mut self, hash: u32) -> bool {
        self.find(hash).is_some()
    }

    /// Places of the contact with this hash and of the one before it in its chain, and the one behind it, all counted from one.
    fn find(&mut self, hash: u32) -> Option<(u16, u16, u16)> {
        let (mut before, mut place) = (0, *self.chain(hash)?);
        // A chain is never longer than the ring, and has one contact on average.
        while place != 0 {
            let held = self.place(u32::from(place) - 1)?;
            if held.hash == hash {
                return Some((before, place, held.next));
            }
            (before, place) = (place, held.next);
        }
        None
    }

    /// Ends the wait of a contact; its place in the ring stays until its time has come. `outcome` is added to its shape.
    pub(super) fn take(&mut self, hash: u32, outcome: u16) -> Option<Pending> {
        let (before, place, next) = self.find(hash)?;
        match u32::from(before).checked_sub(1) {
            Some(before) => self.place(before)?.next = next,
            None => *self.chain(hash)? = next,
        }
        let held = self.place(u32::from(place) - 1)?;
        (held.hash, held.shape.0) = (0, held.shape.0 | outcome);
        let taken = Pending { hash, ..*held };
        self.count(&taken, false);
        Some(taken)
    }

    /// Frees the newest places of the ring whose contacts were refused: a flood that is refused takes no room.
    pub(super) fn trim(&mut self) {
        while let Some(newest) = self.len.checked_sub(1) {
            let place = (self.head + newest) % self.capacity;
            if self.place(place).is_none_or(|held| held.hash != 0 || held.shape.has(Shape::ANSWERED)) {
                return;
            }
            self.len = newest;
        }
        self.due = Timestamp::MAX;
    }

    /// Removes the oldest contact of the ring. Its hash is zero if it does not wait any more.
    pub(super) fn pop(&mut self) -> Option<Pending> {
        if self.len == 0 {
            return None;
        }
        let oldest = *self.place(self.head)?;
        if oldest.hash != 0 {
            let _waited = self.take(oldest.hash, 0);
        }
        self.head = (self.head + 1) % self.capacity;
        self.len -= 1;
        let next = (self.len > 0).then_some(self.head).and_then(|head| self.place(head).map(|held| held.at));
        self.due = next.map_or(Timestamp::MAX, |at| at.after(ANSWER_TIMEOUT));
        Some(oldest)
    }

    /// The source of this key, if a contact of it failed within the last hour.
    pub(super) fn suspect(&mut self, key: u32, now: Timestamp) -> Option<&mut Suspect> {
        let now = coarse(now);
        let found = self.set(key >> 1)?.suspects.iter_mut().find(|held| held.key == key | 1)?;
        (now.wrapping_sub(found.last) <= MEMORY).then_some(found)
    }

    /// Finds or makes the entry of a source. A full set loses the source with the least evidence, which is counted.
    pub(super) fn accuse(&mut self, key: u32, now: Timestamp) -> Option<&mut Suspect> {
        let (now, key) = (coarse(now), key | 1);
        let (mask, evictions) = (self.mask, &mut self.evictions);
        let suspects = &mut self.sets.get_mut(index(key >> 1 & mask))?.suspects;
        let rank = |held: &&mut Suspect| if held.key == key { 0 } else { 1 + held.weight(now) };
        let held = suspects.iter_mut().min_by_key(rank)?;
        let weight = held.weight(now);
        if held.key != key || weight == 0 {
            *evictions += u64::from(weight > 0);
            *held = Suspect { key, ..Suspect::default() };
        }
        held.last = now;
        Some(held)
    }
}

const _: () = assert!(WAYS == 4, "a set counts as four entries of the memory table");
