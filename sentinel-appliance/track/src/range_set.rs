//! Which bytes of something that comes in pieces are there.

use crate::table::Recycle;

/// Most stretches that stand apart: pieces come in order, or nearly so.
pub(crate) const MAX_RANGES: usize = 16;

/// Stretches of bytes, from `.0` up to `.1`, in order, with room between them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RangeSet {
    list: [(u16, u16); MAX_RANGES],
    count: u8,
}

impl Recycle for RangeSet {
    #[inline]
    fn recycle(&mut self) {
        self.count = 0;
    }
}

impl RangeSet {
    fn all(&self) -> &[(u16, u16)] {
        self.list.get(..usize::from(self.count)).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes from the start on without a hole.
    pub(crate) fn ready(&self) -> u16 {
        match self.all() {
            [(0, end), ..] => *end,
            _ => 0,
        }
    }

    /// Whether this and nothing else is there: all bytes up to `end`.
    pub(crate) fn is_complete(&self, end: u16) -> bool {
        self.all() == [(0, end)]
    }

    /// Where the last of them ends.
    pub(crate) fn end(&self) -> u16 {
        self.all().last().map_or(0, |(_, end)| *end)
    }

    /// Whether all of these bytes are there.
    pub(crate) fn holds(&self, from: u16, to: u16) -> bool {
        self.all().iter().any(|(start, end)| *start <= from && to <= *end)
    }

    /// Whether any of these bytes is there.
    pub(crate) fn touches(&self, from: u16, to: u16) -> bool {
        self.all().iter().any(|(start, end)| *start < to && from < *end)
    }

    /// Whether the byte at `at` is there, and where that changes.
    pub(crate) fn run_from(&self, at: usize) -> (bool, usize) {
        for (from, to) in self.all() {
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

    /// Adds a stretch, joined with those that it touches. False if too many stand apart; then nothing is added.
    pub(crate) fn add(&mut self, from: u16, to: u16) -> bool {
        if self.is_empty() {
            return self.push((from, to));
        }
        let (mut from, mut to) = (from, to);
        let mut joined = Self::default();
        let mut fits = true;
        let mut is_placed = false;
        for range in self.all() {
            if range.1 < from {
                fits &= joined.push(*range);
            } else if range.0 > to {
                if !is_placed {
                    fits &= joined.push((from, to));
                    is_placed = true;
                }
                fits &= joined.push(*range);
            } else {
                (from, to) = (from.min(range.0), to.max(range.1));
            }
        }
        fits = (is_placed || joined.push((from, to))) && fits;
        if fits {
            *self = joined;
        }
        fits
    }

    fn push(&mut self, range: (u16, u16)) -> bool {
        let Some(free) = self.list.get_mut(usize::from(self.count)) else { return false };
        *free = range;
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_joined_in_order() {
        let mut ranges = RangeSet::default();
        for (from, to, expected) in [
            (10, 20, &[(10, 20)][..]),
            (30, 40, &[(10, 20), (30, 40)]),
            (0, 5, &[(0, 5), (10, 20), (30, 40)]),
            (20, 22, &[(0, 5), (10, 22), (30, 40)]),
            (4, 11, &[(0, 22), (30, 40)]),
            (1, 35, &[(0, 40)]),
        ] {
            assert!(ranges.add(from, to));
            assert_eq!(ranges.all(), expected);
        }
        assert!(ranges.is_complete(40) && ranges.holds(3, 9) && !ranges.holds(39, 41));
        assert!(ranges.touches(39, 41) && !ranges.touches(40, 41));
        assert_eq!((ranges.ready(), ranges.end(), ranges.run_from(7)), (40, 40, (true, 40)));
        assert_eq!(ranges.run_from(40), (false, usize::MAX));
    }

    #[test]
    fn when_it_is_full_only_what_touches_is_taken() {
        let mut ranges = RangeSet::default();
        for index in 0..16 {
            assert!(ranges.add(index * 10 + 5, index * 10 + 6));
        }
        let before = ranges;
        assert!(!ranges.add(0, 1));
        assert_eq!(ranges, before);
        assert_eq!((ranges.ready(), ranges.run_from(0)), (0, (false, 5)));
        assert!(ranges.add(6, 15));
        assert_eq!(ranges.count, 15);
    }
}
