//! Interface description of a pcapng section: link type, and the meaning of timestamps.
//!
//! Read first: draft-ietf-opsawg-pcapng, section 4.2 (`if_tsresol`, `if_tsoffset`).

use sentinel_units::{LinkType, Timestamp};

use crate::file::byte_order::Fields;
use crate::file::error::FileErrorReason;

/// An interface of the current section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    /// Zero is no limit.
    pub(super) snap_len: u32,
    resolution: Resolution,
    offset_s: i64,
}

impl Interface {
    /// An interface with the defaults of the format: ticks of a microsecond since the epoch.
    pub(super) const fn new(link: LinkType, snap_len: u32) -> Self {
        Self { link, snap_len, resolution: Resolution::MICROSECONDS, offset_s: 0 }
    }

    /// Reads the options that define timestamps. Each iteration consumes at least four bytes of the block.
    pub(super) fn read_options(&mut self, fields: &mut Fields<'_>) -> Result<(), FileErrorReason> {
        const END: u16 = 0;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        while !fields.is_empty() {
            let (code, length) = (fields.u16()?, fields.u16()?);
            let value = fields.take(usize::from(length).next_multiple_of(4))?;
            match (code, length) {
                (END, _) => break,
                (RESOLUTION, 1) => {
                    if let Some(byte) = value.first() {
                        self.resolution = Resolution::from_option(*byte);
                    }
                }
                (OFFSET, 8) => self.offset_s = fields.like(value).u64()?.cast_signed(),
                _ => {}
            }
        }
        Ok(())
    }

    /// The time of a packet. Saturates at both ends: before the epoch, and past 64 bits of nanoseconds.
    pub(super) fn timestamp(&self, ticks: u64) -> Timestamp {
        let nanos = self.resolution.nanos(ticks);
        if self.offset_s == 0 {
            return Timestamp::from_nanos(nanos);
        }
        // In 128 bits, because a file may give any 64-bit number of seconds.
        let shifted = i128::from(nanos) + i128::from(self.offset_s) * 1_000_000_000;
        Timestamp::from_nanos(u64::try_from(shifted.max(0)).unwrap_or(u64::MAX))
    }
}

/// Length of one tick of an interface's timestamps (`if_tsresol`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resolution {
    /// This many nanoseconds.
    Nanos(u64),
    /// A nanosecond divided by this; zero if the divisor exceeds 64 bits, so that any number of ticks is less
    /// than one.
    PartOfNano(u64),
    /// A second divided by two to this power.
    PowerOfTwo(u32),
}

impl Resolution {
    const MICROSECONDS: Self = Self::Nanos(1_000);

    fn from_option(byte: u8) -> Self {
        let exponent = u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            return Self::PowerOfTwo(exponent);
        }
        match 9_u32.checked_sub(exponent) {
            // `larger` is at most 9, so the power fits.
            Some(larger) => Self::Nanos(10_u64.pow(larger)),
            None => Self::PartOfNano(10_u64.checked_pow(exponent - 9).unwrap_or(0)),
        }
    }

    fn nanos(self, ticks: u64) -> u64 {
        match self {
            Self::Nanos(nanos) => ticks.saturating_mul(nanos),
            Self::PartOfNano(parts) => ticks.checked_div(parts).unwrap_or(0),
            Self::PowerOfTwo(exponent) => {
                // No overflow: 64 and 30 bits; the exponent has seven bits, so it is below 128.
                let nanos = (u128::from(ticks) * 1_000_000_000) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}
