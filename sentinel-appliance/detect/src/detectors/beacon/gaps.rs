//! Gaps between the contacts of a pair, and the test whether they are regular.
//!
//! A gap is kept as its binary logarithm in sixteenths, in one byte: from four seconds to a day and a half, to 4 % of itself. Deviations
//! are then relative to the period whatever it is.
//!
//! - Wald's sequential test (1945) over the newest gaps: one within a factor of 1.5 of the median speaks for a rhythm (0.85 to 0.3 of
//!   exponential gaps), any other against it, and a longer one less so, because calls are missed.
//! - As in RITA: median absolute deviation, and Bowley's skewness from the quartiles.

/// Gaps that are kept of a pair.
pub(super) const GAPS: usize = 24;
/// Units (67 ms) of the shortest gap, four seconds; contacts closer together are one.
pub(super) const SHORTEST: u32 = 60;
/// Binary logarithm of the unit of the scale: 32 units, in sixteenths.
const ORIGIN: u32 = 5 * 16;
/// Greatest deviation of a regular gap: a factor of 1.5; and of one in which calls were missed: a factor of 5.
const REGULAR: u8 = 9;
const MISSED: u8 = 38;
/// Evidence of a gap in sixteenths of a nat.
const FOR: i32 = 17;
const AGAINST_MISSED: i32 = 13;
const AGAINST: i32 = 25;
/// Greatest median deviation: a fifth. That of exponential gaps is more than a factor of two.
const MAX_DEVIATION: u8 = 4;
/// Interquartile range below which skewness says nothing.
const MIN_RANGE: u8 = 8;

/// Newest gaps of a pair, in a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    ring: [u8; GAPS],
    next: u8,
    length: u8,
}

/// Rhythm of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rhythm {
    pub(super) period_s: u32,
    pub(super) deviation_percent: u8,
}

impl Gaps {
    /// Adds a gap in units. Returns true if it is like the one before.
    pub(super) fn add(&mut self, units: u32) -> bool {
        let logarithm = logarithm(units);
        let before = self.ring.get((usize::from(self.next) + GAPS - 1) % GAPS).copied();
        if let Some(slot) = self.ring.get_mut(usize::from(self.next)) {
            *slot = logarithm;
        }
        self.next = if usize::from(self.next) + 1 == GAPS { 0 } else { self.next + 1 };
        let is_first = self.length == 0;
        self.length = (self.length + 1).min(24);
        !is_first && before.is_some_and(|before| before.abs_diff(logarithm) <= REGULAR)
    }

    /// Rhythm of the gaps, if they prove one at least as well as `needed` regular ones without another. `lasted` are the units of all
    /// gaps so far, which give the period more exactly than their logarithms do as long as the ring holds them.
    pub(super) fn rhythm(&self, needed: u32, lasted: Option<u32>) -> Option<Rhythm> {
        let length = usize::from(self.length);
        let needed = i32::try_from(needed).unwrap_or(i32::MAX).saturating_mul(FOR);
        let mut sorted = self.ring;
        let sorted = sorted.get_mut(..length).filter(|gaps| !gaps.is_empty())?;
        sort(sorted);
        let quantile = |quarters: usize| sorted.get(length * quarters / 4).copied().unwrap_or_default();
        let [low, median, high] = [1, 2, 3].map(quantile);
        let evidence = |gap: &u8| match gap.abs_diff(median) {
            0..=REGULAR => FOR,
            ..=MISSED if *gap > median => -AGAINST_MISSED,
            _ => -AGAINST,
        };
        let total: i32 = sorted.iter().map(evidence).sum();
        let range = high - low;
        let skewness = (i32::from(low) + i32::from(high) - 2 * i32::from(median)).unsigned_abs();
        let is_skewed = range > MIN_RANGE && skewness * 2 > u32::from(range);
        if total < needed || is_skewed {
            return None;
        }
        // A gap of twice the period stands for two calls.
        let calls: u32 = sorted.iter().map(|gap| 1 << ((gap.saturating_sub(median) + 6) / 16).min(5)).sum();
        let period = lasted.map(|units| units / calls).map_or_else(|| seconds(median), whole_seconds);
        sorted.iter_mut().for_each(|gap| *gap = gap.abs_diff(median));
        sort(sorted);
        let deviation = sorted.get(length / 2).copied().unwrap_or_default();
        (deviation <= MAX_DEVIATION).then(|| Rhythm {
            period_s: period,
            // A sixteenth of an octave is 4.4 %.
            deviation_percent: deviation.saturating_mul(22) / 5,
        })
    }
}

/// Binary logarithm in sixteenths above the origin, linear within an octave.
const fn logarithm(units: u32) -> u8 {
    let octave = (units | 1).ilog2();
    let sixteenths = (units << (31 - octave) >> 27) & 15;
    let value = (octave * 16 + sixteenths).saturating_sub(ORIGIN);
    #[expect(clippy::as_conversions, reason = "limited to a byte")]
    let byte = if value > 255 { 255 } else { value as u8 };
    byte
}

/// Seconds of the middle of what the logarithm stands for.
fn seconds(logarithm: u8) -> u32 {
    let value = u32::from(logarithm) + ORIGIN;
    let units = u64::from((value & 15) * 2 + 33) << (value / 16);
    // 2^26 ns a unit, and the factor of 32 of the mantissa.
    u32::try_from((((units << 21) + 500_000_000) / 1_000_000_000).max(1)).unwrap_or(u32::MAX)
}

/// Seconds of a number of units, rounded.
fn whole_seconds(units: u32) -> u32 {
    u32::try_from(((u64::from(units) << 26) + 500_000_000) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// Insertion sort: the list is short, and the program's other sorts are for other types.
fn sort(values: &mut [u8]) {
    for end in 1..values.len() {
        let mut at = end;
        while at > 0 && values.get(at - 1) > values.get(at) {
            values.swap(at - 1, at);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::Random;

    fn of(seconds: impl IntoIterator<Item = f64>) -> Gaps {
        let mut gaps = Gaps::default();
        for gap in seconds {
            gaps.add(std::format!("{:.0}", gap * 14.901).parse().unwrap());
        }
        gaps
    }

    #[test]
    fn a_logarithm_is_within_a_sixteenth_of_an_octave_of_the_gap() {
        for gap in [5.0, 10.0, 60.0, 300.0, 3_600.0, 14_400.0, 86_400.0] {
            let rhythm = of([gap; 12]).rhythm(12, None).unwrap();
            let ratio = f64::from(rhythm.period_s) / gap;
            assert!((0.9..1.11).contains(&ratio), "{gap}: {rhythm:?}");
            assert_eq!(rhythm.deviation_percent, 0);
        }
        assert_eq!((logarithm(0), logarithm(u32::MAX)), (0, 255));
    }

    #[test]
    fn one_gap_too_few_is_no_rhythm() {
        assert_eq!(of([60.0; 9]).rhythm(10, None), None);
        assert!(of([60.0; 10]).rhythm(10, None).is_some());
        assert_eq!(Gaps::default().rhythm(0, None), None);
    }

    /// Random number between zero and one.
    fn unit(random: &mut Random) -> f64 {
        f64::from(u32::try_from(random.below(1 << 30)).unwrap()) / f64::from(1 << 30)
    }

    #[test]
    fn jitter_of_half_the_period_and_missed_calls_are_a_rhythm() {
        let mut random = Random(7);
        let mut found = 0;
        for _ in 0..200 {
            let mut last = 0.0;
            let mut gaps = Gaps::default();
            let mut is_found = false;
            for call in 1..40 {
                if unit(&mut random) < 0.1 {
                    continue;
                }
                let at = 60.0 * f64::from(call) + 18.0 * unit(&mut random);
                gaps.add(std::format!("{:.0}", (at - last) * 14.901).parse().unwrap());
                last = at;
                is_found |= gaps.rhythm(10, None).is_some();
            }
            found += u32::from(is_found);
        }
        assert!(found >= 198, "{found} of 200");
        let half: std::vec::Vec<f64> = (0..24).map(|_| 30.0 + 30.0 * unit(&mut random)).collect();
        assert!(of(half).rhythm(10, None).is_some(), "between half the period and the whole");
    }

    /// Memoryless contacts, and a long tail: over 10,000 windows each.
    #[test]
    fn irregular_contacts_are_no_rhythm() {
        let mut random = Random(9);
        for is_tailed in [false, true] {
            let mut gaps = Gaps::default();
            let mut found = 0;
            for _ in 0..10_000 {
                let exponential = -60.0 * unit(&mut random).max(1e-9).ln();
                let gap = if is_tailed { exponential * exponential / 30.0 } else { exponential };
                gaps.add(std::format!("{:.0}", (gap + 4.0) * 14.901).parse().unwrap());
                found += u32::from(gaps.rhythm(10, None).is_some());
            }
            assert_eq!(found, 0, "tail: {is_tailed}");
        }
    }

    #[test]
    fn two_rhythms_of_one_pair_are_skewed_and_none() {
        let gaps = of([20.0, 20.0, 100.0, 100.0].into_iter().cycle().take(24));
        assert_eq!(gaps.rhythm(10, None), None);
    }
}
