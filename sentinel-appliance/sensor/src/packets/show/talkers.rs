//! Top talkers, in fixed memory: the space-saving sketch.
//!
//! Read first: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams"
//! (2005), section 3.

use std::cmp::Reverse;

use sentinel_units::Address;

/// Addresses in the sketch. An address with more than one part in so many of all bytes is certainly among them.
const CAPACITY: usize = 256;

/// An address and the bytes that it sent and received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Talker {
    pub(super) address: Address,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    /// Bytes of `bytes` that may be those of addresses whose entry it took.
    pub(super) error_bytes: u64,
}

/// The sketch. When it is full, a new address takes the entry with the fewest bytes and inherits them as its error bound.
#[derive(Debug, Default)]
pub(super) struct Talkers {
    /// By address.
    slots: Vec<Talker>,
}

impl Talkers {
    /// Adds a packet of that many bytes.
    pub(super) fn add(&mut self, address: Address, bytes: u64) {
        let at = match self.slots.binary_search_by_key(&address, |talker| talker.address) {
            Ok(found) => {
                if let Some(talker) = self.slots.get_mut(found) {
                    talker.bytes = talker.bytes.saturating_add(bytes);
                    talker.packets += 1;
                }
                return;
            }
            Err(at) => at,
        };
        if self.slots.len() < CAPACITY {
            self.slots.insert(at, Talker { address, bytes, packets: 1, error_bytes: 0 });
            return;
        }
        let smallest = self.slots.iter().enumerate().min_by_key(|(_, talker)| talker.bytes);
        let Some((index, &Talker { bytes: inherited, .. })) = smallest else { return };
        self.slots.remove(index);
        let at = if index < at { at - 1 } else { at };
        let bytes = inherited.saturating_add(bytes);
        self.slots.insert(at, Talker { address, bytes, packets: 1, error_bytes: inherited });
    }

    /// The largest, most bytes first; of equals the lower address first, so that the output is the same in every run.
    pub(super) fn top(&self, most: usize) -> Vec<Talker> {
        let rank = |talker: &Talker| (talker.bytes, Reverse(talker.address));
        let mut top: Vec<Talker> = Vec::with_capacity(most);
        // Selection instead of a sort: only a few are printed, and a sort adds KiB to the program.
        while top.len() < most {
            let below = |talker: &&Talker| top.last().is_none_or(|last| rank(talker) < rank(last));
            let Some(next) = self.slots.iter().filter(below).max_by_key(|talker| rank(talker)) else { break };
            top.push(*next);
        }
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_talkers_are_counted_exactly() {
        let mut talkers = Talkers::default();
        for _ in 0..3 {
            talkers.add(Address::v4(1), 100);
            talkers.add(Address::v4(2), 150);
        }
        let expected = |last, bytes| Talker { address: Address::v4(last), bytes, packets: 3, error_bytes: 0 };
        assert_eq!(talkers.top(10), [expected(2, 450), expected(1, 300)]);
        assert_eq!(talkers.top(1), [expected(2, 450)]);
    }

    #[test]
    fn the_largest_stays_among_ever_new_ones_and_the_error_is_bounded() {
        let mut talkers = Talkers::default();
        let (mut total, mut own) = (0, 0);
        for number in 0..20_000_u32 {
            talkers.add(Address::v4(1_000 + number), 60);
            total += 60;
            if number.is_multiple_of(50) {
                talkers.add(Address::v4(7), 1_500);
                (total, own) = (total + 1_500, own + 1_500);
            }
        }
        assert_eq!(talkers.slots.len(), CAPACITY);
        let first = talkers.top(1)[0];
        assert_eq!(first.address, Address::v4(7));
        assert!(first.bytes >= own && first.bytes - first.error_bytes <= own, "{first:?}, {own}");
        let bound = total / u64::try_from(CAPACITY).unwrap();
        assert!(talkers.top(CAPACITY).iter().all(|talker| talker.error_bytes <= bound));
        assert!(talkers.slots.is_sorted_by_key(|talker| talker.address));
    }
}
