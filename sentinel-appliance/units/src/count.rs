//! Counts, rates and port numbers.

use core::fmt;
use core::time::Duration;

use crate::millis;

/// A number of bytes (octets).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteCount(pub u64);

impl ByteCount {
    /// Adds, and stays at the top instead of wrapping.
    #[must_use]
    pub const fn plus(self, more: u64) -> Self {
        Self(self.0.saturating_add(more))
    }
}

/// `1.4 MiB`: a number under 1024 with one digit after the point (rounded down), in binary units; bytes without the digit.
impl fmt::Display for ByteCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let step = (self.0.max(1).ilog2() / 10).min(5);
        let (_, unit) = (0..).zip(UNITS).find(|(index, _)| *index == step).unwrap_or_default();
        let shift = step * 10;
        let whole = self.0 >> shift;
        if step == 0 {
            return write!(out, "{whole} {unit}");
        }
        let rest = self.0 - (whole << shift);
        write!(out, "{whole}.{} {unit}", (rest * 10) >> shift)
    }
}

/// Events per second, rounded down.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rate(pub u64);

impl Rate {
    /// `events` spread over `span`; zero if the span is shorter than a millisecond.
    #[must_use]
    pub fn over(events: u64, span: Duration) -> Self {
        let millis = millis(span);
        if millis == 0 {
            return Self(0);
        }
        Self(events.saturating_mul(1_000) / millis)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/s", self.0)
    }
}

/// A TCP, UDP or SCTP port number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Port(pub u16);

impl fmt::Display for Port {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn byte_counts_keep_one_digit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (1_468_006, "1.3 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_rate_over_no_time_is_zero() {
        assert_eq!(Rate::over(5, Duration::ZERO), Rate(0));
        assert_eq!(Rate::over(5, Duration::from_millis(500)), Rate(10));
    }
}
