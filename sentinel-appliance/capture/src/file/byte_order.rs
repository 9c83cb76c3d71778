//! Fields in the byte order that a file announces.

use super::error::FileErrorReason;

/// The byte order of a file or section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    /// Four 32-bit fields.
    #[inline(always)] // for every frame, also into a program that is compiled for size: four loads, no loop
    pub(super) const fn words(self, bytes: &[u8; 16]) -> [u32; 4] {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *bytes;
        let (a, b) = (u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([b0, b1, b2, b3]));
        let (c, d) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([d0, d1, d2, d3]));
        match self {
            Self::Big => [a.swap_bytes(), b.swap_bytes(), c.swap_bytes(), d.swap_bytes()],
            Self::Little => [a, b, c, d],
        }
    }

    /// A cursor over the fields of `bytes`.
    pub(super) fn fields(self, bytes: &[u8]) -> Fields<'_> {
        Fields { order: self, total: bytes.len(), remaining: bytes }
    }
}

/// Cursor over fields that cannot overrun; a field past the end is [`FileErrorReason::BlockTooShort`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b> {
    order: ByteOrder,
    /// Length at the start, for the error.
    total: usize,
    remaining: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn u16(&mut self) -> Result<u16, FileErrorReason> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Big => u16::from_be_bytes(bytes),
            ByteOrder::Little => u16::from_le_bytes(bytes),
        })
    }

    pub(super) fn u32(&mut self) -> Result<u32, FileErrorReason> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Big => u32::from_be_bytes(bytes),
            ByteOrder::Little => u32::from_le_bytes(bytes),
        })
    }

    pub(super) fn u64(&mut self) -> Result<u64, FileErrorReason> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Big => u64::from_be_bytes(bytes),
            ByteOrder::Little => u64::from_le_bytes(bytes),
        })
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], FileErrorReason> {
        let Some((taken, remaining)) = self.remaining.split_at_checked(count) else {
            return Err(self.short(count));
        };
        self.remaining = remaining;
        Ok(taken)
    }

    /// A cursor over `bytes` in the same byte order.
    pub(super) fn like<'c>(&self, bytes: &'c [u8]) -> Fields<'c> {
        self.order.fields(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.remaining.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FileErrorReason> {
        let Some((taken, remaining)) = self.remaining.split_first_chunk() else { return Err(self.short(N)) };
        self.remaining = remaining;
        Ok(*taken)
    }

    fn short(&self, count: usize) -> FileErrorReason {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let least = self.total - self.remaining.len() + count;
        FileErrorReason::BlockTooShort { length: number(self.total), least: number(least) }
    }
}
