//! Registry of scenarios: name, description, and the alerts that a sensor must raise.
//!
//! Boundaries are exact for the default thresholds: `-below` is one event short of the threshold, `-at` reaches it (for names the
//! threshold is exceeded only above fifty characters: there `-at` is the longest name without an alert). `-two-windows`
//! reaches the threshold in total but never within one window, so no alert is expected. `-straddle` reaches it within one
//! window that lies across the boundary of fixed counting windows, whether these are aligned to the first packet or (with the
//! default start) to the epoch; a sensor that counts in fixed windows only misses it.

mod arp;
mod attack_mix;
mod background;
mod bad;
mod beacon;
mod brute_force;
mod dga;
mod dns;
mod dns_data;
mod exfiltration;
mod icmp_flood;
mod large;
mod link;
mod lookups;
mod mixed;
mod ordinary;
mod payloads;
mod port_scan;
mod reassembly;
mod scans;
mod signatures;
mod suspicious_port;
mod syn_flood;
mod udp_flood;
mod victims;

use std::time::Duration;

use crate::packet::{Encapsulation, Family, Path};
use crate::{Host, Packets, Random, Topology};

/// Alert, by the name of its kind and of the test that raises it.
pub type Expected = (&'static str, &'static str);

/// Parameters of a scenario.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters {
    /// Seed of the pseudo-random numbers.
    pub seed: u64,
    /// Number of frames of `mixed`.
    pub packets: u64,
    /// Duration of `mixed`.
    pub duration: Duration,
    /// Number of background sources in the `-table-full` scenarios.
    pub sources: u32,
    /// Hosts and their addresses.
    pub topology: Topology,
}

/// Seed 1, 10,000 packets in a minute, 20,000 sources, the default topology.
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
    /// Pseudo-random generator of a scenario, at the start of its sequence.
    #[must_use]
    pub const fn random(&self) -> Random {
        Random::new(self.seed)
    }
}

/// Entry of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Name on the command line, and of the file.
    pub name: &'static str,
    /// Description in one sentence.
    pub description: &'static str,
    /// Alerts that must be raised; no others may be, except those of `allowed`.
    pub expected: &'static [Expected],
    /// Alerts that may be raised in addition; the test `*` stands for any. Tests beyond simple thresholds detect more.
    pub allowed: &'static [Expected],
    /// True if every frame is correct: lengths, checksums, nesting.
    pub well_formed: bool,
    build: fn(&Parameters) -> Packets,
}

impl Scenario {
    /// Frames of the scenario, equal for equal parameters.
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

/// Every scenario, grouped by detector.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        port_scan::SCENARIOS,
        syn_flood::SCENARIOS,
        icmp_flood::SCENARIOS,
        udp_flood::SCENARIOS,
        victims::SCENARIOS,
        suspicious_port::SCENARIOS,
        signatures::SCENARIOS,
        arp::SCENARIOS,
        link::SCENARIOS,
        dns::SCENARIOS,
        dns_data::SCENARIOS,
        dga::SCENARIOS,
        lookups::SCENARIOS,
        exfiltration::SCENARIOS,
        brute_force::SCENARIOS,
        mixed::SCENARIOS,
        attack_mix::SCENARIOS,
        reassembly::SCENARIOS,
        bad::SCENARIOS,
        scans::SCENARIOS,
        ordinary::SCENARIOS,
        beacon::SCENARIOS,
        large::SCENARIOS,
        payloads::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// Returns the scenario called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

/// Events that one source sends: their number, the time over which they are spread, IP version and encapsulation.
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

    /// Time of the `index`-th event: evenly spread, the last one before the end of `span`.
    fn time(&self, index: u32) -> Duration {
        self.span / self.count.max(1) * index
    }

    /// Path between two hosts with this family and encapsulation.
    fn path(&self, from: &Host, to: &Host) -> Path {
        let mut path = Path::between(from, to, self.family);
        path.link.encapsulation = self.encapsulation;
        path
    }
}

/// Times of a burst across the edge of a counting window: one event that starts the windows, then `count` events within a
/// tenth of a window around the next edge.
fn straddle_times(window: Duration, count: u32) -> impl Iterator<Item = Duration> {
    // With the default start, 1,700,000,000, windows of 5 and 10 s that are aligned to the epoch begin at offset 0, those
    // of 30 s at 10 s and those of 60 s at 40 s. With its first packet there, windows that are aligned to the first packet
    // have the same edges.
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
    fn every_event_of_a_burst_is_within_its_span() {
        let burst = Burst::of(15, Duration::from_secs(10));
        assert_eq!(burst.time(0), Duration::ZERO);
        assert!(burst.time(14) < Duration::from_secs(10));
    }

    #[test]
    fn neither_half_of_a_straddling_burst_reaches_the_threshold() {
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
