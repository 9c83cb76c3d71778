//! A cursor over bytes that cannot overrun.
//!
//! Parsers take fields off its front. If too few bytes are left they get [`Malformed::Truncated`], and the cursor does not
//! move.

use super::malformed::Malformed;

/// The bytes not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'p> {
    remaining: &'p [u8],
}

// `#[inline]`: parsers take fields one by one, and a call would cost more than the field.
impl<'p> Cursor<'p> {
    /// Starts at the first of `bytes`.
    #[inline]
    #[must_use]
    pub(crate) const fn new(bytes: &'p [u8]) -> Self {
        Self { remaining: bytes }
    }

    /// The bytes not read yet, without taking them.
    #[inline]
    #[must_use]
    pub(crate) const fn remaining(&self) -> &'p [u8] {
        self.remaining
    }

    /// Number of bytes not read yet.
    #[inline]
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.remaining.len()
    }

    /// Returns true if no byte is left.
    #[inline]
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.remaining.is_empty()
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'p [u8; N], Malformed> {
        let (taken, remaining) = self.remaining.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.remaining = remaining;
        Ok(taken)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there is none.
    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = *self.array()?;
        Ok(byte)
    }

    /// Takes two bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(*self.array()?))
    }

    /// Takes three bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub(crate) fn u24(&mut self) -> Result<u32, Malformed> {
        let [high, middle, low] = *self.array()?;
        Ok(u32::from_be_bytes([0, high, middle, low]))
    }

    /// Takes four bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(*self.array()?))
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'p [u8], Malformed> {
        let (taken, remaining) = self.remaining.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.remaining = remaining;
        Ok(taken)
    }

    /// Takes `len` bytes, or all that is left if there are fewer.
    #[inline]
    pub(crate) fn take_up_to(&mut self, len: usize) -> &'p [u8] {
        let (taken, remaining) = self.remaining.split_at_checked(len).unwrap_or((self.remaining, &[]));
        self.remaining = remaining;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_off_the_front_big_endian() {
        let mut at = Cursor::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(
            (at.u8(), at.u16(), at.u24(), at.u32()),
            (Ok(1), Ok(0x0203), Ok(0x04_0506), Ok(0x0708_090a))
        );
        assert!(at.is_empty());
    }

    #[test]
    fn a_read_that_fails_takes_nothing() {
        let mut at = Cursor::new(&[1, 2]);
        assert_eq!(at.u32(), Err(Malformed::Truncated));
        assert_eq!(at.take(3), Err(Malformed::Truncated));
        assert_eq!(at.len(), 2);
        assert_eq!(at.take_up_to(3), [1, 2]);
        assert_eq!(at.u8(), Err(Malformed::Truncated));
    }
}
