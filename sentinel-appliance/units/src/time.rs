//! Time of a packet and time since start.

use core::fmt;
use core::time::Duration;

/// Nanoseconds since 1970-01-01 00:00:00 UTC, as stamped on a packet.
///
/// Detection knows no other clock. Ranges to the year 2554.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself; also what a capture without stamps carries.
    pub const ZERO: Self = Self(0);
    /// The last instant that fits, for deadlines that are never reached.
    pub const MAX: Self = Self(u64::MAX);

    /// From nanoseconds since the epoch.
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From microseconds since the epoch; saturates in the year 2554.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// From whole seconds and the nanoseconds past them, as the kernel and pcap give them.
    #[must_use]
    pub const fn from_parts(seconds: u64, nanos: u32) -> Self {
        #[expect(clippy::as_conversions, reason = "u32 to u64 is lossless; From is not const")]
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos as u64))
    }

    /// Nanoseconds since the epoch.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Microseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds past the whole second.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        #[expect(clippy::as_conversions, reason = "the remainder is below 1e9 and fits u32")]
        {
            (self.0 % 1_000_000_000) as u32
        }
    }

    /// Time from `earlier` to `self`, or zero if the two are out of order.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` after this one, or [`Timestamp::MAX`] if that does not fit.
    #[inline]
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        #[expect(clippy::as_conversions, reason = "u32 to u64 is lossless; From is not const")]
        let nanos = span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64);
        Self(self.0.saturating_add(nanos))
    }

    /// RFC 3339 text in UTC with microseconds: `2025-05-15T10:30:01.123456Z`.
    #[must_use]
    pub const fn rfc3339(self) -> TimestampText {
        TimestampText(self)
    }
}

/// Displays a [`Timestamp`] as RFC 3339 text, UTC, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct TimestampText(Timestamp);

impl fmt::Display for TimestampText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        let micros = self.0.subsec_nanos() / 1_000;
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Proleptic Gregorian date of a day counted from 1970-01-01.
///
/// Counts years from 1 March so that the leap day is the last of its year; an era is the 400 years
/// (146,097 days) after which the calendar repeats.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days from 0000-03-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// Whole milliseconds of a span; saturates after 584 million years.
#[inline(never)] // a 64-bit multiplication takes nine instructions on a board; of its many callers none is on the packet path
#[must_use]
pub fn millis(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000).saturating_add(span.subsec_millis().into())
}

/// Milliseconds since the program started; monotonic, never wall-clock time.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Uptime(u64);

impl Uptime {
    /// The start itself.
    pub const ZERO: Self = Self(0);

    /// From milliseconds since the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`, or zero if the two are out of order.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` after this one, rounded down to milliseconds; saturates.
    #[inline]
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn rfc3339_matches_known_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_700_000_000, "2023-11-14T22:13:20.000000Z"),
            (4_102_444_799, "2099-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(Timestamp::from_parts(seconds, 0).rfc3339().to_string(), text);
        }
        assert_eq!(Timestamp::from_nanos(1_999).rfc3339().to_string(), "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn out_of_order_times_are_zero_apart() {
        assert_eq!(Timestamp::from_nanos(5).since(Timestamp::from_nanos(9)), Duration::ZERO);
        assert_eq!(Uptime::from_millis(5).since(Uptime::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX.after(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::from_parts(u64::MAX, 1), Timestamp::MAX);
        assert_eq!(Timestamp::from_nanos(7).after(Duration::from_micros(2)).as_nanos(), 2_007);
    }
}
