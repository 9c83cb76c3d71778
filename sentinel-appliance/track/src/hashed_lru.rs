//! Which slot belongs to which hash, and in which order the slots were used.
//!
//! A table that must not lose an entry early (a flow that is printed when it ends, a datagram that waits for its parts)
//! cannot be set-associative: four busy keys would share a set while the rest is free. Here keys are chained by hash, any
//! slot serves any key, and lists in order of use say which entry is the oldest. The work for one key is the length of a
//! chain, which nobody outside can make long: the hash is keyed.

/// Lists that entries can be on; each is in order of use.
pub const LISTS: usize = 3;
const NONE: u32 = u32::MAX;

/// The links of one slot; the caller lends as many as it has slots.
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

/// The chains and lists. Holds no keys: the caller compares them.
#[derive(Debug)]
pub struct HashedLru<'m> {
    heads: &'m mut [u32],
    links: &'m mut [LruLink],
    /// Oldest and newest slot of each list.
    endpoints: [(u32, u32); LISTS],
    free: u32,
    used: usize,
}

impl<'m> HashedLru<'m> {
    /// All free. Of `heads` the largest power of two is used; as many as `links` make short chains.
    #[must_use]
    pub fn new(heads: &'m mut [u32], links: &'m mut [LruLink]) -> Self {
        let chains = heads.len().checked_ilog2().map_or(0, |log| 1 << log);
        let heads = heads.get_mut(..chains).unwrap_or_default();
        heads.fill(NONE);
        let slots = if heads.is_empty() { 0 } else { links.len().min(number(NONE)) };
        let links = links.get_mut(..slots).unwrap_or_default();
        for (index, link) in links.iter_mut().enumerate() {
            *link = LruLink {
                next: if index + 1 < slots { index_of(index + 1) } else { NONE },
                ..LruLink::default()
            };
        }
        let free = if slots == 0 { NONE } else { 0 };
        Self { heads, links, endpoints: [(NONE, NONE); LISTS], free, used: 0 }
    }

    /// Slots there are.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.links.len()
    }

    /// Slots in use.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether no slot is in use.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The slot under `hash` that `is_wanted`.
    pub fn find(&self, hash: u32, is_wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut at = *self.heads.get(self.chain(hash))?;
        for _ in 0..self.used {
            let link = self.link(at)?;
            if link.hash == hash && is_wanted(number(at)) {
                return Some(number(at));
            }
            at = link.next;
        }
        None
    }

    /// Takes a free slot, as the newest of `list`. `None` if all are in use.
    pub fn claim(&mut self, hash: u32, list: u8) -> Option<usize> {
        let at = self.free;
        let free = self.link(at)?.next;
        let chain = self.chain(hash);
        let head = self.heads.get_mut(chain)?;
        let next = core::mem::replace(head, at);
        *self.links.get_mut(number(at))? = LruLink { hash, next, ..LruLink::default() };
        self.free = free;
        self.used += 1;
        self.append(at, list);
        Some(number(at))
    }

    /// Makes a slot in use the newest of `list`.
    pub fn touch(&mut self, slot: usize, list: u8) {
        let at = index_of(slot);
        if self.link(at).is_some_and(|link| link.newer == NONE && link.list == list) {
            return; // the newest already
        }
        self.detach(at);
        self.append(at, list);
    }

    /// Gives a slot in use back.
    pub fn release(&mut self, slot: usize) {
        let at = index_of(slot);
        let Some(link) = self.link(at).copied() else { return };
        self.detach(at);
        let chain = self.chain(link.hash);
        let Some(head) = self.heads.get_mut(chain) else { return };
        if *head == at {
            *head = link.next;
        } else {
            let mut before = *head;
            for _ in 0..self.used {
                let Some(other) = self.links.get_mut(number(before)) else { return };
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

    /// The slot of `list` that was used longest ago.
    #[inline]
    #[must_use]
    pub fn oldest(&self, list: u8) -> Option<usize> {
        let (oldest, _) = *self.endpoints.get(usize::from(list))?;
        (oldest != NONE).then(|| number(oldest))
    }

    /// The slot of the same list that was used next after `slot`.
    #[must_use]
    pub fn newer(&self, slot: usize) -> Option<usize> {
        let newer = self.links.get(slot)?.newer;
        (newer != NONE).then(|| number(newer))
    }

    fn chain(&self, hash: u32) -> usize {
        number(hash) & self.heads.len().wrapping_sub(1)
    }

    fn link(&self, at: u32) -> Option<&LruLink> {
        self.links.get(number(at))
    }

    fn append(&mut self, at: u32, list: u8) {
        let Some(endpoints) = self.endpoints.get_mut(usize::from(list)) else { return };
        let older = endpoints.1;
        *endpoints = (if older == NONE { at } else { endpoints.0 }, at);
        if let Some(link) = self.links.get_mut(number(older)) {
            link.newer = at;
        }
        if let Some(link) = self.links.get_mut(number(at)) {
            (link.older, link.newer, link.list) = (older, NONE, list);
        }
    }

    fn detach(&mut self, at: u32) {
        let Some(LruLink { newer, older, list, .. }) = self.link(at).copied() else { return };
        if let Some(link) = self.links.get_mut(number(newer)) {
            link.older = older;
        }
        if let Some(link) = self.links.get_mut(number(older)) {
            link.newer = newer;
        }
        if let Some(endpoints) = self.endpoints.get_mut(usize::from(list)) {
            if endpoints.0 == at {
                endpoints.0 = newer;
            }
            if endpoints.1 == at {
                endpoints.1 = older;
            }
        }
    }
}

/// Slots are counted in 32 bits; our targets address as much.
fn number(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
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

    fn order(places: &HashedLru<'_>, list: u8) -> Vec<usize> {
        core::iter::successors(places.oldest(list), |slot| places.newer(*slot)).collect()
    }

    #[test]
    fn any_slot_serves_any_key_until_all_are_taken() {
        let (mut heads, mut links) = ([0; 4], [LruLink::default(); 4]);
        let mut places = HashedLru::new(&mut heads, &mut links);
        let slots: Vec<_> = (0..4).map(|_| places.claim(7, 0).unwrap()).collect();
        assert_eq!((places.claim(7, 0), places.len()), (None, 4));
        // all under one hash, told apart by the caller
        for slot in &slots {
            assert_eq!(places.find(7, &mut |other| other == *slot), Some(*slot));
        }
        assert_eq!(places.find(3, &mut |_| true), None, "same chain, other hash");
        places.release(slots[2]);
        assert_eq!(places.find(7, &mut |other| other == slots[2]), None);
        assert_eq!(places.claim(9, 1), Some(slots[2]));
        assert_eq!(
            (places.oldest(1), order(&places, 0)),
            (Some(slots[2]), vec![slots[0], slots[1], slots[3]])
        );
    }

    #[test]
    fn without_storage_nothing_fits() {
        for (heads, links) in [(0, 4), (4, 0), (0, 0)] {
            let (mut heads, mut links) = (vec![0; heads], vec![LruLink::default(); links]);
            let mut places = HashedLru::new(&mut heads, &mut links);
            assert_eq!(
                (places.claim(1, 0), places.find(1, &mut |_| true), places.oldest(0)),
                (None, None, None)
            );
            places.release(0);
            places.touch(0, 0);
            assert!(places.is_empty());
        }
    }

    /// Against a list that is written out: 20,000 seeded steps over 16 slots and 4 chains.
    #[test]
    fn it_does_what_plain_lists_do() {
        let (mut heads, mut links) = ([0; 4], [LruLink::default(); 16]);
        let mut places = HashedLru::new(&mut heads, &mut links);
        let mut model: [VecDeque<(usize, u32)>; LISTS] = Default::default();
        let mut state = 0x1234_5678_u32;
        let mut random = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            usize::try_from(state).unwrap() % limit
        };
        for _ in 0..20_000 {
            let list = random(LISTS);
            let hash = u32::try_from(random(9)).unwrap();
            let used: Vec<_> = model.iter().flatten().copied().collect();
            match random(3) {
                0 => match places.claim(hash, u8::try_from(list).unwrap()) {
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
                        places.release(slot);
                    } else {
                        places.touch(slot, u8::try_from(list).unwrap());
                        model[list].push_back((slot, hash));
                    }
                }
                _ => {}
            }
            assert_eq!(places.len(), model.iter().flatten().count());
            for (list, expected) in model.iter().enumerate() {
                let expected: Vec<_> = expected.iter().map(|(slot, _)| *slot).collect();
                assert_eq!(order(&places, u8::try_from(list).unwrap()), expected);
            }
            for (slot, hash) in model.iter().flatten() {
                assert_eq!(places.find(*hash, &mut |other| other == *slot), Some(*slot));
            }
        }
    }
}
