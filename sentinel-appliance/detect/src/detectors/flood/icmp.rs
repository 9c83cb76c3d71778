//! `icmp_flood`: one source sends echo requests at a high rate.
//!
//! Read first: RFC 792 (echo), RFC 4443 section 4.1. Replies and errors are not counted: their sender was
//! asked for them.

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::Transport;

use super::per_source::{PerSource, Rate, SourceSet};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, OtherEvent, Setting};
use crate::shared::rate::Threshold;

thresholds! {
    /// Thresholds of `icmp_flood`.
    Thresholds {
        packets: "packets", default 100, 2 to 1_000_000, "echo requests of one source that make a flood";
        window_s: "s", default 5, 1 to 600, "length of the sliding window";
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "echo requests a second, of many sources, that one destination may get; twice as many replies and errors";
    }
}

/// Echo requests a second that one destination may get.
pub(crate) fn victim_rate(config: &DetectorConfig) -> u32 {
    Thresholds::from(config).victim_rate
}

/// Echo requests of both families, per source.
#[derive(Debug)]
pub(crate) struct IcmpFlood<'m>(PerSource<'m>);

fn rate(config: &DetectorConfig) -> Rate {
    let Thresholds { packets, window_s, .. } = config.into();
    Rate::new(Test::IcmpFloodPerSource, config.into(), Threshold::new(packets, window_s))
}

impl<'m> IcmpFlood<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::IcmpFlood,
        about: "one source sends many ICMP or ICMPv6 echo requests within a window, or one destination gets many of many sources",
        source: "common practice: twenty times the rate of ping for five seconds",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [SourceSet], config: &DetectorConfig) -> Self {
        Self(PerSource::new(sets, rate(config)))
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.0.configure(rate(config));
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.0.evictions()
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let is_request = match &event.packet.transport {
            Transport::Icmp(icmp) => icmp.is_echo_request(),
            Transport::Icmpv6(icmpv6) => icmpv6.is_echo_request(),
            _ => false,
        };
        if !self.0.is_enabled() || !is_request {
            return;
        }
        if let Some(packet) = &Counted::without_ports(event.packet) {
            let Setting { now, key, .. } = event.setting;
            self.0.add(now, key.address(packet.source), packet, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv6Addr;

    use sentinel_alert::Evidence;

    use crate::testkit::{
        ATTACKER, Filling, VICTIM, each, echo, first_alert, halves, ipv6, only, opened, other, play,
    };

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        let ping = |_| echo(ATTACKER, VICTIM, 8);
        assert_eq!(opened(each(99, 10, ping)), []);
        let at = play(each(100, 10, ping));
        assert_eq!(only(&at.raised).evidence, Evidence::Packets { count: 100, threshold: 100, window_s: 5 });
        assert_eq!(only(&at.raised).test, Test::IcmpFloodPerSource);
        assert_eq!(opened(each(300, 10, ping)), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(halves(each(198, 10, ping), 99, 5_100)), []);
        assert_eq!(opened(halves(each(100, 10, ping), 50, 3_500)), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(each(300, 10, |_| echo(VICTIM, ATTACKER, 0))), [], "replies were asked for");
        let v6 = |kind: u8| {
            let [source, target]: [Ipv6Addr; 2] = ["fd00::66", "fd00::10"].map(|text| text.parse().unwrap());
            ipv6(source, target, 58, &[kind, 0, 0, 0, 0, 1, 0, 1])
        };
        assert_eq!(opened(each(100, 10, |_| v6(128))), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(each(300, 10, |_| v6(129))), []);
    }

    /// 256 times are kept: up to there the threshold is exact, above it the alert may come up to two strides late and never early.
    #[test]
    fn thresholds_are_exact_up_to_the_marks_and_never_early_above() {
        let ping = |_| echo(ATTACKER, VICTIM, 8);
        for packets in [2, 255, 256] {
            assert_eq!(first_alert(Kind::IcmpFlood, "packets", packets, ping), packets);
        }
        for (packets, stride) in [(257, 2), (1_000, 4), (10_000, 40)] {
            let at = first_alert(Kind::IcmpFlood, "packets", packets, ping);
            assert!((packets..=packets + 2 * stride).contains(&at), "{packets}: {at}");
        }
    }

    const FILLING: Filling = Filling {
        test: Test::IcmpFloodPerSource,
        use_one: |sensor, number, millis| sensor.frame(millis, &echo(other(number), VICTIM, 8)),
        attack: |sensor, millis| (0..100).for_each(|_| sensor.frame(millis, &echo(ATTACKER, VICTIM, 8))),
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }
}
