//! Range set: the byte ranges received of a datagram or stream.
//!
//! Read first: RFC 815, which keeps the holes instead; the ranges received are fewer when data arrives nearly in order.

use crate::table::Recycle;

/// Maximum number of separate ranges. Data arrives in order or nearly so; more gaps than this are an attack or heavy loss.
pub(crate) const MAX_RANGES: usize = 16;

/// Byte ranges `start..end` in ascending order, at most [`MAX_RANGES`].
//
// Invariant: ranges are not empty, do not overlap and do not touch, so `end` of one is less than `start` of the next. Thus
// data without gap from byte 0 is always the first range alone. `insert` is the only writer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RangeSet {
    ranges: [(u16, u16); MAX_RANGES],
    count: u8,
}

impl Recycle for RangeSet {
    #[inline] // one store, in the reset of a datagram slot
    fn recycle(&mut self) {
        self.count = 0;
    }
}

impl RangeSet {
    fn as_slice(&self) -> &[(u16, u16)] {
        self.ranges.get(..usize::from(self.count)).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of bytes received from byte 0 on without a gap.
    pub(crate) fn prefix_len(&self) -> u16 {
        match self.as_slice() {
            [(0, end), ..] => *end,
            _ => 0,
        }
    }

    /// Returns true if exactly the bytes `0..end` are received.
    pub(crate) fn is_complete(&self, end: u16) -> bool {
        self.as_slice() == [(0, end)]
    }

    /// End of the last range; 0 if there is none.
    pub(crate) fn end(&self) -> u16 {
        self.as_slice().last().map_or(0, |(_, end)| *end)
    }

    /// Returns true if all bytes `from..to` are received.
    pub(crate) fn contains(&self, from: u16, to: u16) -> bool {
        self.as_slice().iter().any(|(start, end)| *start <= from && to <= *end)
    }

    /// Returns true if any of the bytes `from..to` is received.
    pub(crate) fn overlaps(&self, from: u16, to: u16) -> bool {
        self.as_slice().iter().any(|(start, end)| *start < to && from < *end)
    }

    /// Returns whether the byte at `at` is received, and the position at which that changes (`usize::MAX` after the last range).
    pub(crate) fn run_from(&self, at: usize) -> (bool, usize) {
        for (from, to) in self.as_slice() {
            let (from, to) = (usize::from(*from), usize::from(*to));
            if at < from {
                return (false, from);
            }
            if at < to {
                return (true, to);
            }
        }
        (false, usize::MAX)
    }

    /// Inserts `from..to` and merges it with the ranges that it overlaps or touches.
    ///
    /// Returns false, and changes nothing, if that makes more than [`MAX_RANGES`].
    pub(crate) fn insert(&mut self, from: u16, to: u16) -> bool {
        if self.is_empty() {
            return self.push((from, to));
        }
        let (mut from, mut to) = (from, to);
        let mut merged = Self::default();
        let mut fits = true;
        let mut is_placed = false;
        // One pass: ranges before the new one are copied, those that touch it grow it, and the first one after it puts it
        // in place. The last statement covers the case that none comes after.
        for range in self.as_slice() {
            if range.1 < from {
                fits &= merged.push(*range);
            } else if range.0 > to {
                if !is_placed {
                    fits &= merged.push((from, to));
                    is_placed = true;
                }
                fits &= merged.push(*range);
            } else {
                (from, to) = (from.min(range.0), to.max(range.1));
            }
        }
        fits = (is_placed || merged.push((from, to))) && fits;
        if fits {
            *self = merged;
        }
        fits
    }

    /// Appends a range after all others. Returns false if there is no room.
    fn push(&mut self, range: (u16, u16)) -> bool {
        let Some(free) = self.ranges.get_mut(usize::from(self.count)) else { return false };
        *free = range;
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_merged_in_order() {
        let mut ranges = RangeSet::default();
        for (from, to, expected) in [
            (10, 20, &[(10, 20)][..]),
            (30, 40, &[(10, 20), (30, 40)]),
            (0, 5, &[(0, 5), (10, 20), (30, 40)]),
            (20, 22, &[(0, 5), (10, 22), (30, 40)]),
            (4, 11, &[(0, 22), (30, 40)]),
            (1, 35, &[(0, 40)]),
        ] {
            assert!(ranges.insert(from, to));
            assert_eq!(ranges.as_slice(), expected);
        }
        assert!(ranges.is_complete(40) && ranges.contains(3, 9) && !ranges.contains(39, 41));
        assert!(ranges.overlaps(39, 41) && !ranges.overlaps(40, 41));
        assert_eq!((ranges.prefix_len(), ranges.end(), ranges.run_from(7)), (40, 40, (true, 40)));
        assert_eq!(ranges.run_from(40), (false, usize::MAX));
    }

    #[test]
    fn a_full_set_accepts_only_ranges_that_touch_another() {
        let mut ranges = RangeSet::default();
        for index in 0..16 {
            assert!(ranges.insert(index * 10 + 5, index * 10 + 6));
        }
        let before = ranges;
        assert!(!ranges.insert(0, 1));
        assert_eq!(ranges, before);
        assert_eq!((ranges.prefix_len(), ranges.run_from(0)), (0, (false, 5)));
        assert!(ranges.insert(6, 15));
        assert_eq!(ranges.count, 15);
    }
}
