//! A range of a frame: its captured bytes, and its length on the wire.

use super::malformed::Malformed;

/// A range of a frame. Invariant: `captured` is never longer than `wire_len`; every method keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CapturedSlice<'p> {
    pub(crate) captured: &'p [u8],
    pub(crate) wire_len: u32,
}

impl<'p> CapturedSlice<'p> {
    /// A complete frame. A `wire_len` less than the bytes that are there is raised to their number.
    #[inline]
    pub(crate) fn new(captured: &'p [u8], wire_len: u32) -> Self {
        let there = u32::try_from(captured.len()).unwrap_or(u32::MAX);
        Self { captured, wire_len: wire_len.max(there) }
    }

    /// The first `N` bytes, without taking them.
    ///
    /// Distinguishes the two reasons for too few bytes: the sender left no room, or the capture cut them off.
    #[inline]
    pub(crate) fn header<const N: usize>(&self) -> Result<&'p [u8; N], Malformed> {
        self.captured.first_chunk::<N>().ok_or_else(|| self.why_shorter_than(N))
    }

    /// Reason why fewer than `len` bytes are there. Cold, so that the branch to it stays off the parsers' path.
    #[cold]
    pub(crate) fn why_shorter_than(&self, len: usize) -> Malformed {
        if u32::try_from(len).is_ok_and(|len| len <= self.wire_len) {
            Malformed::Truncated
        } else {
            Malformed::BadLength
        }
    }

    /// The bytes behind the first `len` on the wire; none if the range is shorter.
    #[inline]
    pub(crate) fn after(&self, len: u32) -> Self {
        let skipped = usize::try_from(len).unwrap_or(usize::MAX);
        Self {
            captured: self.captured.get(skipped..).unwrap_or_default(),
            wire_len: self.wire_len.saturating_sub(len),
        }
    }

    /// The first `len` bytes on the wire, as a length field announces them; padding behind them is left out.
    ///
    /// # Errors
    /// [`Malformed::BadLength`] if there are fewer on the wire.
    #[inline]
    pub(crate) fn first(&self, len: u32) -> Result<Self, Malformed> {
        if len > self.wire_len {
            return Err(Malformed::BadLength);
        }
        let kept = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(Self { captured: self.captured.get(..kept).unwrap_or(self.captured), wire_len: len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_by_the_sender_and_short_by_the_capture_differ() {
        let cut = CapturedSlice::new(&[1, 2, 3], 10);
        assert_eq!(cut.header::<4>(), Err(Malformed::Truncated));
        assert_eq!(cut.header::<11>(), Err(Malformed::BadLength));
        assert_eq!(cut.header::<3>(), Ok(&[1, 2, 3]));
    }

    #[test]
    fn padding_is_cut_off_and_the_wire_length_is_kept() {
        let slice = CapturedSlice::new(&[1, 2, 3, 4, 5], 9);
        let first = slice.first(7).unwrap();
        assert_eq!((first.captured.len(), first.wire_len), (5, 7));
        let behind = first.after(2);
        assert_eq!((behind.captured, behind.wire_len), (&[3, 4, 5][..], 5));
        assert_eq!(first.after(6).captured, []);
        assert_eq!(first.after(6).wire_len, 1);
        assert_eq!(slice.first(10).err(), Some(Malformed::BadLength));
    }

    #[test]
    fn a_wire_length_below_the_bytes_is_raised() {
        assert_eq!(CapturedSlice::new(&[0; 5], 3).wire_len, 5);
    }
}
