//! Every attack within ordinary traffic, for demonstrations.

use std::time::Duration;

use super::{Expected, Parameters, Scenario, find, mixed};
use crate::{Packets, Timeline};

const FIRES: &[Expected] = &[
    ("port_scan", "failed_contacts"),
    ("syn_flood", "per_source"),
    ("icmp_flood", "per_source"),
    ("suspicious_port", "suspicious_port"),
    ("arp_spoof", "arp_spoof"),
    ("dns_tunnel", "name_length"),
    ("dns_tunnel", "bytes_leaked"),
    ("exfiltration", "bytes_in_window"),
    ("brute_force", "syn_in_window"),
];

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::fires(
    "attack-mix",
    "all eight attacks one after the other among ordinary traffic, in 20 s",
    FIRES,
    build,
)];

/// Start of each attack in milliseconds. The longest last twenty seconds and begin at once.
const SCHEDULE: [(&str, u64); 8] = [
    ("brute-force-at", 0),
    ("exfiltration-above", 100),
    ("port-scan-above", 1_500),
    ("suspicious-port-4444", 4_000),
    ("dns-tunnel-data", 6_000),
    ("arp-spoof-reply", 9_000),
    ("icmp-flood-above", 14_000),
    ("syn-flood-above", 17_000),
];

fn build(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let ordinary = Parameters { packets: 3_000, duration: Duration::from_secs(20), ..*parameters };
    timeline.splice(Duration::ZERO, mixed::mixed(&ordinary));
    for (number, (name, begin_ms)) in (1..).zip(SCHEDULE) {
        // A seed of its own for each attack, or all would draw the same ports.
        let own = Parameters { seed: parameters.seed.wrapping_add(number), ..*parameters };
        if let Some(scenario) = find(name) {
            timeline.splice(Duration::from_millis(begin_ms), scenario.packets(&own));
        }
    }
    timeline.play()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_raises_exactly_the_expected_alerts() {
        let mut scheduled: Vec<_> =
            SCHEDULE.iter().flat_map(|(name, _)| find(name).expect("a scenario").expected).collect();
        scheduled.sort_unstable();
        let mut expected: Vec<_> = FIRES.iter().collect();
        expected.sort_unstable();
        assert_eq!(scheduled, expected);
    }

    #[test]
    fn the_mix_lasts_twenty_seconds() {
        let last = build(&Parameters::default()).last().unwrap().offset;
        assert!((19..=24).contains(&last.as_secs()), "{last:?}");
    }
}
