//! Counts, rates and port numbers.

use core::fmt;
use core::time::Duration;

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
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(out, "{} B", self.0);
        }
        let mut tenths = u128::from(self.0) * 10 / 1024;
        for (index, unit) in UNITS.iter().enumerate() {
            if tenths < 10_240 || index + 1 == UNITS.len() {
                return write!(out, "{}.{} {unit}", tenths / 10, tenths % 10);
            }
            tenths /= 1024;
        }
        Ok(())
    }
}

/// Events per second, rounded down.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rate(pub u64);

impl Rate {
    /// `events` spread over `span`; zero if the span is shorter than a millisecond.
    #[must_use]
    pub fn over(events: u64, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
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
