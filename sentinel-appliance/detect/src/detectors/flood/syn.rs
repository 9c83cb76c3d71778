//! `syn_flood`: one source sends TCP connection requests at a high rate.
//!
//! Read first: RFC 4987 section 2. A flood from many sources is seen by the test per victim, in `victims`.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::TcpFlags;
use sentinel_units::Timestamp;

use super::per_source::{Rate, Times};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::Counted;
use crate::shared::rate::Threshold;

thresholds! {
    /// Thresholds of `syn_flood`.
    Thresholds {
        packets: "packets", default 200, 2 to 1_000_000, "SYN-only packets of one source that make a flood";
        window_s: "s", default 5, 1 to 600, "length of the sliding window";
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "incomplete connection requests a second, of many sources, that one destination may get";
    }
}

/// Incomplete connection requests a second that one destination may get.
pub(crate) fn victim_rate(config: &DetectorConfig) -> u32 {
    Thresholds::from(config).victim_rate
}

/// SYN-only packets, per source.
#[derive(Debug)]
pub(crate) struct SynFlood(Rate);

impl SynFlood {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::SynFlood,
        about: "one source sends many TCP connection requests (SYN without ACK) within a window, or one destination gets many that \
                are never completed",
        source: "common practice: 40 requests a second for five seconds",
        severity: Severity::High,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(config: &DetectorConfig) -> Self {
        let Thresholds { packets, window_s, .. } = config.into();
        Self(Rate::new(Test::SynFloodPerSource, config.into(), Threshold::new(packets, window_s)))
    }

    /// Time after which the requests of a silent source are of no use.
    pub(crate) const fn window(&self) -> Duration {
        self.0.window()
    }

    #[inline]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.0.is_enabled()
    }

    /// Returns true if a packet counts.
    #[inline]
    pub(crate) fn counts(&self, tcp_flags: Option<TcpFlags>) -> bool {
        self.0.is_enabled() && tcp_flags.is_some_and(TcpFlags::syn_only)
    }

    /// Counts a packet for its source. Returns true if that is at or over the threshold.
    #[inline]
    pub(crate) fn add(
        &self,
        times: &mut Times,
        now: Timestamp,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        self.0.add(times, now, packet, findings)
    }

    /// Drops times that are too old, at a packet that does not count.
    #[inline(never)] // keeps the code that a flood runs through short
    pub(crate) fn expire(&self, times: &mut Times, now: Timestamp) {
        self.0.expire(times, now);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_alert::Evidence;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use crate::testkit::{
        self, ATTACKER, Filling, KEY, ROOMY, SYN, SYN_ACK, Sensor, VICTIM, configs, each, first_alert,
        halves, ipv6, only, opened, other, play, request, segment, tcp, threshold, udp,
    };

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        assert_eq!(opened(each(199, 5, request)), []);
        let at = play(each(200, 5, request));
        let alert = only(&at.raised);
        assert_eq!(alert.test, Test::SynFloodPerSource);
        assert_eq!(alert.evidence, Evidence::Packets { count: 200, threshold: 200, window_s: 5 });
        assert_eq!(alert.time, testkit::at(995));
        assert_eq!(opened(each(600, 5, request)), [Test::SynFloodPerSource]);
        assert_eq!(opened(halves(each(398, 5, request), 199, 5_100)), [], "199 in each of two windows");
        assert_eq!(
            opened(halves(each(200, 5, request), 100, 3_500)),
            [Test::SynFloodPerSource],
            "across an edge"
        );
    }

    #[test]
    fn it_counts_requests_of_one_source() {
        let answers = |number| tcp((VICTIM, 80), (ATTACKER, 20_000 + number), SYN_ACK);
        assert_eq!(opened(each(400, 5, answers)), [], "backscatter");
        let spread = |number: u16| {
            let [high, low] = number.to_be_bytes();
            tcp((Ipv4Addr::new(198, 51, high, low), 20_000), (VICTIM, 80), SYN)
        };
        assert_eq!(opened(each(400, 5, spread)), [Test::SynFloodPerVictim], "no source has more than one");
        let v6 = |number| {
            let [source, target]: [Ipv6Addr; 2] = ["fd00::66", "fd00::10"].map(|text| text.parse().unwrap());
            ipv6(source, target, 6, &segment(20_000 + number, 80, SYN, &[]))
        };
        assert_eq!(opened(each(200, 5, v6)), [Test::SynFloodPerSource]);
        assert_eq!(opened(each(199, 5, v6)), []);
    }

    /// Times wrap: requests of a month ago once looked new, if their source had never been silent since.
    #[test]
    fn requests_of_long_ago_are_no_flood() {
        let mut configs = configs();
        // An entry lives for the longer of two windows.
        *threshold(&mut configs, Kind::PortScan, "window_s") = 3_600;
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        for number in 0..250 {
            sensor.frame(u64::from(number) * 6_000, &request(number));
        }
        let hours = 24 * 30;
        for hour in 1..=hours {
            sensor.frame(hour * 3_600_000, &udp((ATTACKER, 50_000), (VICTIM, 123), &[]));
        }
        sensor.frame(hours * 3_600_000 + 1_000, &request(0));
        assert_eq!(sensor.opened(), []);
    }

    /// 128 times are kept: up to there the threshold is exact, above it the alert of a burst comes at it as well.
    #[test]
    fn thresholds_are_exact_up_to_the_marks_and_never_early_above() {
        for packets in [2, 127, 128] {
            assert_eq!(first_alert(Kind::SynFlood, "packets", packets, request), packets);
        }
        for (packets, stride) in [(129, 2), (1_000, 8), (10_000, 79)] {
            let at = first_alert(Kind::SynFlood, "packets", packets, request);
            assert!((packets..packets + stride).contains(&at), "{packets}: {at}");
        }
    }

    const FILLING: Filling = Filling {
        test: Test::SynFloodPerSource,
        use_one: |sensor, number, millis| {
            sensor.frame(millis, &tcp((other(number), 40_000), (VICTIM, 80), SYN));
        },
        attack: |sensor, millis| (0..200).for_each(|number| sensor.frame(millis, &request(number))),
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }

    /// The price of a full table: an evicted source starts again, and the counter says so.
    #[test]
    fn a_source_evicted_between_two_halves_starts_again() {
        for (others, fires) in [(3, true), (4, false)] {
            let mut sensor = FILLING.sensor();
            let half = |sensor: &mut Sensor| (0..100).for_each(|number| sensor.frame(10, &request(number)));
            half(&mut sensor);
            (0..others).for_each(|number| (FILLING.use_one)(&mut sensor, number, 11));
            half(&mut sensor);
            assert_eq!(sensor.opened().len(), usize::from(fires), "{others} others");
            assert_eq!(sensor.engine.losses().evictions, if fires { 0 } else { 2 }, "{others} others");
        }
    }
}
