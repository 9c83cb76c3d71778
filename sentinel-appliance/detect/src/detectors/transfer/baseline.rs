//! Learned baseline of the outbound bytes of one host: a high quantile of the bytes in an hour, for each quarter of the day.
//!
//! Read first: Ma, Muthukrishnan, Sandler, Frugal streaming for estimating quantiles (2013). The estimate of a quantile is one number,
//! which a value above it raises and one below it lowers; the ratio of both steps is that of the quantile.

/// Steps of an octave.
const OCTAVE: u16 = 64;
/// Step up; the step down is one, so that the quantile is 63 of 64 hours.
const UP: u16 = 63;
/// Hours of a week.
const WEEK: u16 = 168;
/// Hours before a baseline says anything.
const MIN_HOURS: u16 = 72;
/// Bytes of a unit, as a power of two.
const UNIT_SHIFT: u32 = 8;
/// Estimate up to which a host is quiet: a megabyte in an hour.
const QUIET: u16 = 12 * OCTAVE;

/// Estimates of one host, in 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    /// Units of this hour.
    units: u32,
    /// This hour, since the epoch, modulo 2^16.
    hour: u16,
    /// Hours learned.
    hours: u16,
    /// Logarithms of the estimates in units, for each quarter of the day.
    quantiles: [u16; 4],
}

const _: () = assert!(size_of::<Baseline>() == 16, "what a host costs");

/// Logarithm to base 2, in 64ths.
fn logarithm(units: u32) -> u16 {
    let octave = units.max(1).ilog2();
    let fraction = (u64::from(units) << 6 >> octave) & 63;
    u16::try_from(u64::from(octave) << 6 | fraction).unwrap_or(u16::MAX)
}

#[expect(clippy::as_conversions, reason = "hours of two years, compared modulo 2^16")]
const fn hour_of(now_s: u32) -> u16 {
    (now_s / 3_600) as u16
}

impl Baseline {
    /// Counts bytes.
    pub(super) fn add(&mut self, now_s: u32, bytes: u32) {
        let hour = hour_of(now_s);
        // A week of silence at most is learned: longer ones change no more.
        for _ in
            0..hour.wrapping_sub(self.hour).min(if self.units == 0 && self.hours == 0 { 0 } else { WEEK })
        {
            self.learn();
        }
        self.hour = hour;
        self.units = self.units.saturating_add(bytes >> UNIT_SHIFT);
    }

    /// Ends an hour.
    fn learn(&mut self) {
        let value = if self.units == 0 { 0 } else { logarithm(self.units) };
        if let Some(quantile) = self.quantiles.get_mut(usize::from(self.hour % 24 / 6)) {
            *quantile =
                if value > *quantile { (*quantile + UP).min(value) } else { quantile.saturating_sub(1) };
        }
        (self.units, self.hour) = (0, self.hour.wrapping_add(1));
        self.hours = self.hours.saturating_add(1);
    }

    /// Returns true if this hour has four times as many bytes as nearly all hours at this time of the day, or if there is no baseline.
    pub(super) fn is_exceeded(&self) -> bool {
        let usual = self.quantiles.get(usize::from(self.hour % 24 / 6)).copied().unwrap_or(0);
        self.hours < MIN_HOURS || logarithm(self.units) >= usual + 2 * OCTAVE
    }

    /// Returns true if the host sent no more than a megabyte in nearly all hours of a week.
    pub(super) fn is_quiet(&self) -> bool {
        self.hours >= WEEK && self.quantiles.iter().all(|quantile| *quantile <= QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3_600;

    /// `days` of the same bytes in each hour of the first quarter of the day, and `other` in the rest.
    fn learned(days: u32, first_quarter: u32, other: u32) -> Baseline {
        let mut baseline = Baseline::default();
        for hour in 0..days * 24 {
            baseline.add(hour * HOUR + 24 * HOUR * 400, if hour % 24 < 6 { first_quarter } else { other });
        }
        baseline
    }

    #[test]
    fn an_hour_is_exceeded_by_four_times_what_is_usual_at_its_time() {
        let baseline = learned(8, 100_000_000, 10_000);
        let after = |hour: u32, bytes: u32| {
            let mut baseline = baseline;
            baseline.add((400 + 8) * 24 * HOUR + hour * HOUR, bytes);
            baseline.is_exceeded()
        };
        assert!(!after(1, 300_000_000), "a nightly backup");
        assert!(after(1, 500_000_000));
        assert!(after(12, 300_000_000), "at another time of the day");
        assert!(!baseline.is_quiet());
    }

    #[test]
    fn a_baseline_says_nothing_at_first() {
        assert!(learned(2, 100_000_000, 100_000_000).is_exceeded());
        assert!(!learned(6, 1_000, 1_000).is_quiet());
        assert!(learned(8, 1_000, 1_000).is_quiet());
        assert!(!learned(12, 1_000, 4_000_000).is_quiet());
    }

    /// One large transfer in a week does not make a host loud.
    #[test]
    fn a_quantile_forgets_what_is_rare() {
        let mut baseline = learned(8, 1_000, 1_000);
        baseline.add((400 + 8) * 24 * HOUR, 2_000_000_000);
        baseline.add((400 + 9) * 24 * HOUR, 1_000);
        assert!(baseline.is_quiet());
    }
}
