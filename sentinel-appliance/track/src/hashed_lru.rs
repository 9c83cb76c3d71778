//! Chained hash table of slot numbers, with intrusive LRU lists.
//!
//! A table that must not evict early (a flow record that is exported when it ends, a datagram that waits for fragments)
//! cannot be set-associative: four busy keys could share a set while the rest is free. Here keys are chained by hash, any
//! slot serves any key, and doubly linked lists in order of use name the entry to evict. Finding a key costs the length of
//! its chain. A sender cannot make chains long, because the hash is keyed ([`crate::hash`]).
//!
//! Slots are numbered; the table holds no keys and no values, which the caller keeps in slices of its own.

/// Number of LRU lists; each slot in use is on exactly one.
pub const LIST_COUNT: usize = 3;
/// Index that ends a chain or a list.
const NONE: u32 = u32::MAX;

/// Links of one slot: hash chain, free list and LRU list; 20 bytes.
///
/// The caller lends as many as it has slots.
#[derive(Clone, Copy, Debug)]
pub struct LruLink {
    hash: u32,
    /// Next slot of the same chain, or of the free list.
    next: u32,
    newer: u32,
    older: u32,
    list: u8,
}

impl Default for LruLink {
    fn default() -> Self {
        Self { hash: 0, next: NONE, newer: NONE, older: NONE, list: 0 }
    }
}

/// Chained hash with LRU lists over at most `u32::MAX` slots.
///
/// Capacity: the number of links lent. It evicts nothing itself: when [`claim`](Self::claim) finds no free slot, the caller
/// releases [`oldest`](Self::oldest) of a list, counts that, and claims again.
//
// Invariants, kept by `claim`, `touch` and `release` alone:
// - A slot is either free, and then on the free list through `next`, or in use, and then in the chain of its hash through
//   `next` and on one LRU list through `newer` and `older`.
// - `used` is the number of slots in use. No chain is longer, so loops over a chain stop after `used` steps even if a link
//   were wrong.
// - The oldest slot of a list has `older == NONE`, the newest `newer == NONE`; `list_ends` names both, or `NONE` twice.
// - The number of chains is a power of two, so that a mask selects the chain.
#[derive(Debug)]
pub struct HashedLru<'m> {
    heads: &'m mut [u32],
    links: &'m mut [LruLink],
    /// Oldest and newest slot of each list.
    list_ends: [(u32, u32); LIST_COUNT],
    free: u32,
    used: usize,
}

impl<'m> HashedLru<'m> {
    /// Makes a table with all slots free.
    ///
    /// Of `heads`, the first slots of all chains, the largest power of two is used; as many as `links` make short chains.
    #[must_use]
    pub fn new(heads: &'m mut [u32], links: &'m mut [LruLink]) -> Self {
        let chains = heads.len().checked_ilog2().map_or(0, |log| 1 << log);
        let heads = heads.get_mut(..chains).unwrap_or_default();
        heads.fill(NONE);
        let slots = if heads.is_empty() { 0 } else { links.len().min(slot_at(NONE)) };
        let links = links.get_mut(..slots).unwrap_or_default();
        for (slot, link) in links.iter_mut().enumerate() {
            *link = LruLink {
                next: if slot + 1 < slots { index_of(slot + 1) } else { NONE },
                ..LruLink::default()
            };
        }
        let free = if slots == 0 { NONE } else { 0 };
        Self { heads, links, list_ends: [(NONE, NONE); LIST_COUNT], free, used: 0 }
    }

    /// Number of slots.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.links.len()
    }

    /// Number of slots in use.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Returns true if no slot is in use.
    #[inline] // called for every TCP segment before a key is compared
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Finds the slot with this hash for which `is_wanted` returns true, which compares the key.
    pub fn find(&self, hash: u32, is_wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut at = *self.heads.get(self.chain_of(hash))?;
        for _ in 0..self.used {
            let link = self.link(at)?;
            if link.hash == hash && is_wanted(slot_at(at)) {
                return Some(slot_at(at));
            }
            at = link.next;
        }
        None
    }

    /// Takes a free slot, chains it under `hash` and makes it the newest of `list`. Returns `None` if all slots are in use.
    pub fn claim(&mut self, hash: u32, list: u8) -> Option<usize> {
        let at = self.free;
        let free = self.link(at)?.next;
        let chain = self.chain_of(hash);
        let head = self.heads.get_mut(chain)?;
        let next = core::mem::replace(head, at);
        *self.links.get_mut(slot_at(at))? = LruLink { hash, next, ..LruLink::default() };
        self.free = free;
        self.used += 1;
        self.append(at, list);
        Some(slot_at(at))
    }

    /// Makes a slot in use the newest of `list`, moving it from another list if needed.
    pub fn touch(&mut self, slot: usize, list: u8) {
        let at = index_of(slot);
        if self.link(at).is_some_and(|link| link.newer == NONE && link.list == list) {
            return; // already the newest
        }
        self.detach(at);
        self.append(at, list);
    }

    /// Frees a slot in use.
    pub fn release(&mut self, slot: usize) {
        let at = index_of(slot);
        let Some(link) = self.link(at).copied() else { return };
        self.detach(at);
        // Chains are singly linked: the predecessor is found by walking from the head.
        let chain = self.chain_of(link.hash);
        let Some(head) = self.heads.get_mut(chain) else { return };
        if *head == at {
            *head = link.next;
        } else {
            let mut before = *head;
            for _ in 0..self.used {
                let Some(other) = self.links.get_mut(slot_at(before)) else { return };
                if other.next == at {
                    other.next = link.next;
                    break;
                }
                before = other.next;
            }
        }
        if let Some(link) = self.links.get_mut(slot) {
            *link = LruLink { next: self.free, ..LruLink::default() };
        }
        self.free = at;
        self.used -= 1;
    }

    /// Least recently used slot of `list`.
    #[inline] // called for every packet to expire entries
    #[must_use]
    pub fn oldest(&self, list: u8) -> Option<usize> {
        let (oldest, _) = *self.list_ends.get(usize::from(list))?;
        (oldest != NONE).then(|| slot_at(oldest))
    }

    /// Slot of the same list that was used next after `slot`.
    #[must_use]
    pub fn newer(&self, slot: usize) -> Option<usize> {
        let newer = self.links.get(slot)?.newer;
        (newer != NONE).then(|| slot_at(newer))
    }

    /// Index of the chain of `hash`. Without chains it is out of range, and every access to `heads` returns `None`.
    fn chain_of(&self, hash: u32) -> usize {
        slot_at(hash) & self.heads.len().wrapping_sub(1)
    }

    fn link(&self, at: u32) -> Option<&LruLink> {
        self.links.get(slot_at(at))
    }

    /// Appends a slot that is on no list as the newest of `list`.
    fn append(&mut self, at: u32, list: u8) {
        let Some(ends) = self.list_ends.get_mut(usize::from(list)) else { return };
        let older = ends.1;
        *ends = (if older == NONE { at } else { ends.0 }, at);
        if let Some(link) = self.links.get_mut(slot_at(older)) {
            link.newer = at;
        }
        if let Some(link) = self.links.get_mut(slot_at(at)) {
            (link.older, link.newer, link.list) = (older, NONE, list);
        }
    }

    /// Takes a slot off its LRU list; its chain stays as it is.
    fn detach(&mut self, at: u32) {
        let Some(LruLink { newer, older, list, .. }) = self.link(at).copied() else { return };
        if let Some(link) = self.links.get_mut(slot_at(newer)) {
            link.older = older;
        }
        if let Some(link) = self.links.get_mut(slot_at(older)) {
            link.newer = newer;
        }
        if let Some(ends) = self.list_ends.get_mut(usize::from(list)) {
            if ends.0 == at {
                ends.0 = newer;
            }
            if ends.1 == at {
                ends.1 = older;
            }
        }
    }
}

/// Slot number of a 32-bit index; lossless on targets that address 32 bits or more. `NONE` is past every slice.
fn slot_at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn index_of(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    fn order(lru: &HashedLru<'_>, list: u8) -> Vec<usize> {
        core::iter::successors(lru.oldest(list), |slot| lru.newer(*slot)).collect()
    }

    #[test]
    fn any_slot_serves_any_key_until_all_are_in_use() {
        let (mut heads, mut links) = ([0; 4], [LruLink::default(); 4]);
        let mut lru = HashedLru::new(&mut heads, &mut links);
        let slots: Vec<_> = (0..4).map(|_| lru.claim(7, 0).unwrap()).collect();
        assert_eq!((lru.claim(7, 0), lru.len()), (None, 4));
        // All have one hash; the caller compares keys.
        for slot in &slots {
            assert_eq!(lru.find(7, &mut |other| other == *slot), Some(*slot));
        }
        assert_eq!(lru.find(3, &mut |_| true), None, "same chain, different hash");
        lru.release(slots[2]);
        assert_eq!(lru.find(7, &mut |other| other == slots[2]), None);
        assert_eq!(lru.claim(9, 1), Some(slots[2]));
        assert_eq!((lru.oldest(1), order(&lru, 0)), (Some(slots[2]), vec![slots[0], slots[1], slots[3]]));
    }

    #[test]
    fn a_table_without_storage_has_no_slot() {
        for (heads, links) in [(0, 4), (4, 0), (0, 0)] {
            let (mut heads, mut links) = (vec![0; heads], vec![LruLink::default(); links]);
            let mut lru = HashedLru::new(&mut heads, &mut links);
            assert_eq!((lru.claim(1, 0), lru.find(1, &mut |_| true), lru.oldest(0)), (None, None, None));
            lru.release(0);
            lru.touch(0, 0);
            assert!(lru.is_empty());
        }
    }

    /// Compares with plain queues: 20,000 seeded operations over 16 slots and 4 chains.
    #[test]
    fn operations_match_a_model_of_plain_queues() {
        let (mut heads, mut links) = ([0; 4], [LruLink::default(); 16]);
        let mut lru = HashedLru::new(&mut heads, &mut links);
        let mut model: [VecDeque<(usize, u32)>; LIST_COUNT] = Default::default();
        let mut state = 0x1234_5678_u32;
        let mut random = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            usize::try_from(state).unwrap() % limit
        };
        for _ in 0..20_000 {
            let list = random(LIST_COUNT);
            let hash = u32::try_from(random(9)).unwrap();
            let used: Vec<_> = model.iter().flatten().copied().collect();
            match random(3) {
                0 => match lru.claim(hash, u8::try_from(list).unwrap()) {
                    Some(slot) => {
                        assert!(used.iter().all(|(other, _)| *other != slot));
                        model[list].push_back((slot, hash));
                    }
                    None => assert_eq!(used.len(), 16),
                },
                action if !used.is_empty() => {
                    let (slot, hash) = used[random(used.len())];
                    model.iter_mut().for_each(|list| list.retain(|(other, _)| *other != slot));
                    if action == 1 {
                        lru.release(slot);
                    } else {
                        lru.touch(slot, u8::try_from(list).unwrap());
                        model[list].push_back((slot, hash));
                    }
                }
                _ => {}
            }
            assert_eq!(lru.len(), model.iter().flatten().count());
            for (list, expected) in model.iter().enumerate() {
                let expected: Vec<_> = expected.iter().map(|(slot, _)| *slot).collect();
                assert_eq!(order(&lru, u8::try_from(list).unwrap()), expected);
            }
            for (slot, hash) in model.iter().flatten() {
                assert_eq!(lru.find(*hash, &mut |other| other == *slot), Some(*slot));
            }
        }
    }
}
