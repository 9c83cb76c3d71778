//! The registry of scenarios: what each is called, what it plays, and what a sensor must say about it.
//!
//! Edges are exact for the default thresholds: `-below` is one short, `-at` just enough (a name of fifty characters
//! is not yet over fifty: there `-at` is the longest that stays silent). `-two-windows` has enough
//! in all but never within one window, so a sensor stays silent. `-straddle` has enough within one window that
//! lies across the edges of counting windows, whether those are counted from the first packet or (with the default
//! start) from the epoch; a sensor that only looks at whole counting windows misses it.

mod arp;
mod attack_mix;
mod background;
mod bad;
mod brute_force;
mod carried;
mod dns;
mod exfiltration;
mod icmp_flood;
mod mixed;
mod port_scan;
mod suspicious_port;
mod syn_flood;

use std::time::Duration;

use crate::packet::{Encapsulation, Family, Path};
use crate::{Host, Packets, Random, Topology};

/// An alert, by the name of its kind and of the test that fires it.
pub type Expected = (&'static str, &'static str);

/// What may be chosen from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters {
    /// Seed of everything that looks random.
    pub seed: u64,
    /// How many frames `mixed` has.
    pub packets: u64,
    /// Over how much time `mixed` spreads them.
    pub duration: Duration,
    /// How many sources the `-table-full` scenarios send from.
    pub sources: u32,
    /// Who plays.
    pub topology: Topology,
}

/// Seed 1, 10,000 packets in a minute, 20,000 sources, the default cast.
impl Default for Parameters {
    fn default() -> Self {
        Self {
            seed: 1,
            packets: 10_000,
            duration: Duration::from_secs(60),
            sources: 20_000,
            topology: Topology::default(),
        }
    }
}

impl Parameters {
    /// The random source of a scenario.
    #[must_use]
    pub const fn random(&self) -> Random {
        Random::new(self.seed)
    }
}

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Name on the command line and of the file.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub description: &'static str,
    /// Alerts that must come; none other may. Empty: silence.
    pub expected: &'static [Expected],
    /// Alerts that may come as well; the test `*` stands for any. Better tests than the simple thresholds see more.
    pub allowed: &'static [Expected],
    /// Whether every frame is correct: lengths, checksums, nesting.
    pub well_formed: bool,
    build: fn(&Parameters) -> Packets,
}

impl Scenario {
    /// The frames. Equal for equal parameters.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        (self.build)(parameters)
    }

    const fn silent(
        name: &'static str,
        description: &'static str,
        build: fn(&Parameters) -> Packets,
    ) -> Self {
        Self { name, description, expected: &[], allowed: &[], well_formed: true, build }
    }

    const fn fires(
        name: &'static str,
        description: &'static str,
        expected: &'static [Expected],
        build: fn(&Parameters) -> Packets,
    ) -> Self {
        Self { name, description, expected, allowed: &[], well_formed: true, build }
    }

    const fn allowing(self, allowed: &'static [Expected]) -> Self {
        Self { allowed, ..self }
    }
}

/// Every scenario, detection by detection.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        port_scan::SCENARIOS,
        syn_flood::SCENARIOS,
        icmp_flood::SCENARIOS,
        suspicious_port::SCENARIOS,
        arp::SCENARIOS,
        dns::SCENARIOS,
        exfiltration::SCENARIOS,
        brute_force::SCENARIOS,
        mixed::SCENARIOS,
        attack_mix::SCENARIOS,
        carried::SCENARIOS,
        bad::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenario called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

/// How one source sends the events of a threshold: how many, over how long, and through what.
#[derive(Clone, Copy, Debug)]
struct Burst {
    count: u32,
    span: Duration,
    family: Family,
    encapsulation: Encapsulation,
}

impl Burst {
    const fn of(count: u32, span: Duration) -> Self {
        Self { count, span, family: Family::V4, encapsulation: Encapsulation::Plain }
    }

    const fn v6(self) -> Self {
        Self { family: Family::V6, ..self }
    }

    const fn within(self, encapsulation: Encapsulation) -> Self {
        Self { encapsulation, ..self }
    }

    /// When the `index`-th event happens: evenly spread, the last one before `span` ends.
    fn time(&self, index: u32) -> Duration {
        self.span / self.count.max(1) * index
    }

    fn path(&self, from: &Host, to: &Host) -> Path {
        let mut path = Path::between(from, to, self.family);
        path.link.encapsulation = self.encapsulation;
        path
    }
}

/// Times of a burst that straddles: one event that starts the counting windows, the rest (`count` in all, without
/// that one) within a tenth of a window around the next edge.
fn straddle_times(window: Duration, count: u32) -> impl Iterator<Item = Duration> {
    // With the default start, 1,700,000,000, the epoch's counting windows of 5 and 10 s begin at 0, those of 30 s at
    // 10 s and those of 60 s at 40 s; the first packet there makes the two kinds coincide.
    let first = match window.as_secs() {
        30 => Duration::from_secs(10),
        60 => Duration::from_secs(40),
        _ => Duration::ZERO,
    };
    let begin = first + window - window / 20;
    std::iter::once(first).chain((0..count).map(move |index| begin + window / 10 / count.max(1) * index))
}

const MILLISECOND: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_keeps_within_its_span() {
        let burst = Burst::of(15, Duration::from_secs(10));
        assert_eq!(burst.time(0), Duration::ZERO);
        assert!(burst.time(14) < Duration::from_secs(10));
    }

    #[test]
    fn a_straddling_burst_has_no_half_with_enough() {
        for window_s in [5_u64, 10, 30, 60] {
            let window = Duration::from_secs(window_s);
            let times: Vec<_> = straddle_times(window, 20).collect();
            let first = times[0];
            assert_eq!((1_700_000_000 + first.as_secs()) % window_s, 0, "an edge of the epoch's windows");
            let before = times.iter().filter(|time| **time - first < window).count();
            assert!((10..=11).contains(&before), "{before} of 21 before the edge");
            assert!(times[20] - times[1] < window, "all but the first within one window");
        }
    }
}
