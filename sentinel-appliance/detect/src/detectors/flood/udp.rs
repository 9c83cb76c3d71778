//! `udp_flood`: one source sends datagrams to one destination at a high rate, and the destination does not respond.
//!
//! Read first: RFC 8085 section 3.1: a sender without feedback from the receiver must not send at a high rate. The rate alone
//! accuses ordinary hosts: an upload over QUIC, a video call, a VPN tunnel or a backup sends a thousand datagrams a second. All of
//! these are answered within a round trip, a flood is not. So only datagrams in flows without a response count, but the first of
//! a sender whose port makes it the responder, and none while the destination has sent the source a datagram within the window: RTP is answered by RTCP in another flow,
//! and VXLAN and GTP-U send each direction in a flow of its own.
//!
//! Sources that send fewer than a 64th of the threshold in a window are only counted, by a [filter](FrequentSources). The alert
//! therefore comes up to a 64th late for a source that begins slowly, and early for one that sends to others as well;
//! otherwise exactly.
//!
//! A response in the flow counts for the rest of a [period](RESPONSE_PERIOD) of 17 s and the next one; a response in another flow of
//! the pair for 20 s, or one window if that is longer. Both are longer than the longest interval of RTCP (6.2 s, RFC 3550 section 6.3.1).
//!
//! Between hosts of the home network, a stream of a tuner, or records of a router (syslog, `NetFlow`, sFlow), is as unanswered as a
//! flood, and known by its first bytes: up to four times the threshold it is reported apart and claims no attack (`low` at most).
//!
//! One source whose datagrams each open a flow is named by the counts per victim, at a lower rate: programs open few flows to one
//! destination that answers none.
//!
//! Not counted either: multicast and broadcast (IPTV, discovery), which nobody answers, and queries to port 53, where every query of
//! a busy resolver is a flow of its own. The response may be forged: a source that sends a datagram with the address of its
//! destination in every period silences the test for that flow.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::flow::{ONE_WAY, RESPONSE_PERIOD};
use sentinel_track::hash::HashKey;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, Timestamp};

use crate::detectors::flood::per_source::finding;
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, DNS, Event, Setting};
use crate::shared::frequent_sources::{Frequency, FrequentSources};
use crate::shared::rate::{Activation, Threshold, earlier, set_window};

thresholds! {
    /// Thresholds of `udp_flood`.
    Thresholds {
        packets: "packets", default 5_000, 2 to 10_000_000,
            "datagrams of one source to one destination, without a response, that make a flood";
        window_s: "s", default 5, 1 to 600, "length of the sliding window";
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "unanswered flows, or unrequested responses, a second that one destination may get";
    }
}

/// Unanswered flows a second that one destination may get.
pub(crate) fn victim_rate(config: &DetectorConfig) -> u32 {
    Thresholds::from(config).victim_rate
}

/// Unanswered datagrams a second that make a flood.
pub(crate) fn packet_rate(config: &DetectorConfig) -> u32 {
    let Thresholds { packets, window_s, .. } = config.into();
    packets / window_s.max(1)
}

/// Key of the table: the initiator and the responder of flows.
type Pair = (Address, Address);

/// Datagrams of one source to one destination.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datagrams {
    sum: SlidingSum,
    /// Time of the first of them.
    since: Timestamp,
    /// Time of the destination's last response that was seen; [`Timestamp::ZERO`] before.
    answered: Timestamp,
}

impl Recycle for Datagrams {
    fn recycle(&mut self) {
        self.sum.recycle();
        self.answered = Timestamp::ZERO;
    }
}

impl Datagrams {
    fn is_answered(&self, now: Timestamp, lifetime: Duration) -> bool {
        self.answered != Timestamp::ZERO && now.since(self.answered) < lifetime
    }
}

/// Storage for four pairs of source and destination: about 1.4 KiB.
pub(crate) type DatagramsSet = Set<Pair, Datagrams>;

/// Datagrams of every pair of hosts whose source is frequent.
#[derive(Debug)]
pub(crate) struct UdpFlood<'m> {
    frequent: FrequentSources,
    table: Table<'m, Pair, Datagrams>,
    activation: Activation,
    threshold: Threshold,
    /// The window as [`SlidingSum`] takes it.
    shape: WindowShape,
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { packets, window_s, .. } = config.into();
    Threshold::new(packets, window_s)
}

/// Datagrams in a window from which a source is frequent: a 64th of the threshold.
const fn frequent_limit(threshold: Threshold) -> u32 {
    threshold.limit / 64
}

/// Minimum time for which a response excuses the pair: longer than a [`RESPONSE_PERIOD`], of which only the first response in each
/// flow is seen.
const MIN_RESPONSE_LIFETIME: Duration = Duration::from_secs(20);

const _: () = assert!(
    MIN_RESPONSE_LIFETIME.as_nanos() > RESPONSE_PERIOD.as_nanos(),
    "the next response is seen in time"
);

/// Time for which a response excuses the pair.
fn response_lifetime(threshold: Threshold) -> Duration {
    threshold.window.max(MIN_RESPONSE_LIFETIME)
}

fn hash(key: &HashKey, source_hash: u32, destination: Address) -> u32 {
    key.with(source_hash, key.address(destination))
}

impl<'m> UdpFlood<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::UdpFlood,
        about: "one source sends many UDP datagrams to one destination within a window, and gets no response, or one destination \
                gets many of many sources",
        source: "common practice: a thousand datagrams a second for five seconds",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [DatagramsSet], config: &DetectorConfig) -> Self {
        let threshold = threshold(config);
        Self {
            frequent: FrequentSources::new(frequent_limit(threshold), threshold.window),
            table: Table::new(sets, response_lifetime(threshold)),
            activation: config.into(),
            threshold,
            shape: WindowShape::new(threshold.window),
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
        self.frequent.configure(frequent_limit(self.threshold), self.threshold.window);
        set_window(&mut self.table, &mut self.shape, self.threshold.window);
        self.table.set_lifetime(response_lifetime(self.threshold));
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Returns true if a response can excuse its receiver.
    pub(crate) fn needs_response(&self, response: &FiveTuple) -> bool {
        self.activation.enabled && response.tcp_flags.is_none() && response.source_port != DNS
    }

    /// Notes that `responder` has sent `initiator` a datagram. If their flow `is_known` to be answered, it matters only for other
    /// flows of the pair, and only if the source is frequent or was.
    pub(crate) fn response(
        &mut self,
        setting: Setting<'_>,
        initiator: Address,
        responder: Address,
        is_known: bool,
    ) {
        let Setting { now, key, .. } = setting;
        let (source_hash, pair) = (key.address(initiator), (initiator, responder));
        let hash = hash(key, source_hash, responder);
        let mut is_counted = || self.table.find(hash, pair, now).is_some();
        if (!is_known || self.frequent.is_frequent(source_hash) || is_counted())
            && let Some(entry) = self.table.entry(hash, pair, now)
        {
            entry.value.answered = now;
        }
    }

    /// Takes a datagram of a flow that has no response so far, or the first response. Returns true if the flow still has none, so
    /// that its further datagrams count.
    //
    // The port makes nobody a responder for long: from the second datagram on, a sender whom the other endpoint has sent nothing counts,
    // also from port 443 or 53.
    #[inline] // queries, which most slow datagrams are, end here without a call
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let FiveTuple { source_port, destination_port, .. } = event.packet.tuple;
        let is_one_way = event.session == ONE_WAY;
        if !self.activation.enabled || destination_port == DNS || source_port == DNS && !is_one_way {
            return false;
        }
        if event.role.from_initiator || is_one_way && !event.role.is_first {
            self.request(event, findings)
        } else {
            if source_port != DNS {
                self.local_response(event);
            }
            is_one_way
        }
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn local_response(&mut self, event: &Event<'_, '_>) {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        // Both directions of the flow itself leave the slow path now.
        self.response(event.setting, destination, source, true);
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn request(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        if destination.is_group() {
            return false;
        }
        let Setting { now, key, .. } = event.setting;
        let frequency = self.frequent.add(event.source_hash, now);
        if frequency == Frequency::Low {
            // A response that another worker has seen is noted in the table, never before the second datagram.
            return event.role.is_first || !self.is_answered(event);
        }
        let hash = hash(key, event.source_hash, destination);
        let Some(entry) = self.table.entry(hash, (source, destination), now) else { return false };
        let datagrams = entry.value;
        if datagrams.is_answered(now, response_lifetime(self.threshold)) {
            return false;
        }
        if entry.is_new {
            datagrams.since = now;
        }
        let mut amount = 1;
        if let Frequency::Reached { count, since } = frequency {
            (amount, datagrams.since) = (count, datagrams.since.min(since));
        }
        let (sum, since) = (datagrams.sum.add(self.shape, now, amount), datagrams.since);
        if sum >= u64::from(self.threshold.limit) && !self.is_two_way(event) {
            self.report(since, sum, event, findings);
        }
        true
    }

    /// Returns true if a response of the destination excuses the source.
    fn is_answered(&mut self, event: &Event<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        let (hash, lifetime) = (hash(key, event.source_hash, destination), response_lifetime(self.threshold));
        self.table
            .find(hash, (source, destination), now)
            .is_some_and(|found| found.is_answered(now, lifetime))
    }

    /// Returns true if the destination sends the source datagrams as well, in flows that it initiates.
    fn is_two_way(&mut self, event: &Event<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        let hash = hash(key, key.address(destination), source);
        source != destination && self.table.find(hash, (destination, source), now).is_some()
    }

    fn report(&self, since: Timestamp, sum: u64, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let packet = &Counted::from(event.packet);
        if findings.bump_latest(Test::UdpFloodPerSource, packet) {
            return;
        }
        let mut found = finding(
            Test::UdpFloodPerSource,
            self.activation,
            self.threshold,
            since.max(earlier(findings.now, self.threshold.window)),
            packet,
        );
        if sum < u64::from(self.threshold.limit) * 4 && is_local_stream(event) {
            (found.severity, found.scope) = (self.activation.ordinary(Self::DETECTOR.severity), STREAM);
        }
        findings.add(&found);
    }
}

/// Scope of the incident for streams of a source, so that a flood of it is an incident of its own.
const STREAM: u32 = 1;

/// Returns true for a datagram between internal hosts that begins as those which nobody answers do: syslog (RFC 5424 section 6.2.1),
/// `NetFlow` 5 and 9 and IPFIX (RFC 3954, RFC 7011), sFlow 5, MPEG transport streams (ISO 13818-1 section 2.4.3), RTP (RFC 3550); or ends
/// as metrics of `statsd` do.
#[cold]
pub(crate) fn is_local_stream(event: &Event<'_, '_>) -> bool {
    let FiveTuple { source, destination, .. } = event.packet.tuple;
    let home_net = event.setting.home_net;
    home_net.is_internal(source)
        && home_net.is_internal(destination)
        && matches!(
            event.packet.payload(),
            [b'<', b'0'..=b'9', ..]
                | [0, 5 | 9 | 10, ..]
                | [0, 0, 0, 5, ..]
                | [0x47 | 0x80 | 0x90, ..]
                | [.., b'|', b'c' | b'g' | b'h' | b's']
                | [.., b'|', b'm', b's']
        )
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_alert::Evidence;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::vec::Vec;

    use crate::testkit::{
        ATTACKER, CLIENT, Filling, GATEWAY, KEY, OUTSIDE, ROOMY, Sensor, VICTIM, configs_with, datagram,
        each, first_alert, halves, ipv6, only, opened, other, play, udp,
    };

    const FIRES: [Test; 1] = [Test::UdpFloodPerSource];

    fn data(_: u16) -> Vec<u8> {
        udp((ATTACKER, 50_000), (VICTIM, 9_999), &[0; 16])
    }

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        let evidence = Evidence::Packets { count: 5_000, threshold: 5_000, window_s: 5 };
        assert_eq!(opened(each(4_999, 0, data)), []);
        let at = play(each(5_000, 0, data));
        assert_eq!((only(&at.raised).test, &only(&at.raised).evidence), (FIRES[0], &evidence));
        assert_eq!(only(&at.raised).subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()));
        assert_eq!(opened(each(9_000, 0, data)), FIRES);
        assert_eq!(opened(halves(each(9_998, 0, data), 4_999, 5_300)), [], "4,999 in each of two windows");
        assert_eq!(opened(halves(each(5_000, 1, data), 2_500, 1_500)), [], "6.5 s");
        assert_eq!(opened(halves(each(5_000, 0, data), 2_500, 4_900)), FIRES, "across an edge");
        let pair = ["fd00::66", "fd00::10"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        let v6 = |_| ipv6(pair[0], pair[1], 17, &datagram(50_000, 9_999, &[0; 16]));
        assert_eq!((opened(each(4_999, 0, v6)).len(), opened(each(5_000, 0, v6)).len()), (0, 1));
    }

    #[test]
    fn every_threshold_is_exact() {
        for packets in [2, 64, 1_000, 10_000] {
            assert_eq!(first_alert(Kind::UdpFlood, "packets", packets, data), packets);
        }
    }

    #[test]
    fn it_counts_flows_of_one_pair_together_and_of_two_pairs_apart() {
        let ports = |number: u16| udp((ATTACKER, 20_000 + number % 4_000), (VICTIM, 9_999), &[0]);
        assert_eq!(opened(each(5_000, 0, ports)), FIRES, "a new source port each time");
        let hosts = |number: u16| {
            let host = if number.is_multiple_of(2) { VICTIM } else { CLIENT };
            udp((ATTACKER, 50_000), (host, 9_999), &[0])
        };
        assert_eq!(opened(each(9_800, 0, hosts)), [], "4,900 to each of two");
    }

    /// A response at any time before the threshold, in the same flow or in another one of the pair.
    #[test]
    fn what_is_answered_is_no_flood() {
        let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
        for (name, from, to) in [
            ("the flow itself", server, client),
            ("another flow: RTCP beside RTP", (OUTSIDE, 5_005), (CLIENT, 5_005)),
        ] {
            let upload = |number: u16| match number {
                0 => udp((CLIENT, to.1), (OUTSIDE, from.1), &[0]),
                3_000 => udp(from, to, &[0]),
                _ => udp(client, server, &[0]),
            };
            assert_eq!(opened(each(20_000, 0, upload)), [], "{name}");
        }
        let vxlan = |number: u16| match number % 10 {
            0 => udp((OUTSIDE, 40_000), (CLIENT, 4_789), &[0]),
            _ => udp((CLIENT, 50_000), (OUTSIDE, 4_789), &[0]),
        };
        assert_eq!(opened(each(20_000, 0, vxlan)), [], "flows of the other side: VXLAN");
        // The period of the response and the next one that has datagrams.
        let tunnel =
            |number: u16| if number == 1 { udp(server, client, &[0]) } else { udp(client, server, &[0]) };
        assert_eq!(opened(halves(each(20_000, 0, tunnel), 10_000, 60_000)), []);
    }

    #[test]
    fn a_response_in_another_flow_excuses_for_20_s() {
        let after = |pause_ms| {
            let busy = each(100, 0, |_| udp((CLIENT, 50_000), (VICTIM, 9_999), &[0]));
            let answered = [
                (1, udp((CLIENT, 1_234), (VICTIM, 123), &[0])),
                (1, udp((VICTIM, 123), (CLIENT, 1_234), &[0])),
            ];
            let flood = each(6_000, 0, |_| udp((CLIENT, 50_001), (VICTIM, 9_999), &[0]));
            opened(busy.chain(answered).chain(flood.map(|(_, frame)| (pause_ms, frame))))
        };
        assert_eq!((after(19_000).len(), after(20_200).len()), (0, 1));
    }

    /// One response, which may be forged, and then 2,500 datagrams a second.
    #[test]
    fn one_response_does_not_excuse_a_flow_for_good() {
        let (attacker, victim) = ((ATTACKER, 50_000), (VICTIM, 9_999));
        let mut sensor = Sensor::new();
        let mut fires_at = None;
        for number in 0..200_000_u64 {
            let forged = number == 1;
            let frame = if forged { udp(victim, attacker, &[0]) } else { udp(attacker, victim, &[0]) };
            sensor.fast(number * 2 / 5, &frame);
            if !sensor.raised.is_empty() {
                fires_at.get_or_insert(number * 2 / 5);
            }
        }
        let two_periods_ms = u64::try_from(2 * RESPONSE_PERIOD.as_millis()).unwrap();
        assert!(fires_at.is_some_and(|millis| millis < two_periods_ms + 3_000), "{fires_at:?}");
        assert_eq!(sensor.opened(), FIRES);
    }

    /// A camera that sends 1,400 datagrams a second and gets RTCP reports at the longest intervals of RFC 3550 section 6.3.1, in
    /// its own flow or in another.
    #[test]
    fn rare_receiver_reports_excuse_a_stream() {
        for report_port in [5_004, 5_005] {
            let mut sensor = Sensor::new();
            let mut next_report_ms = 3_080;
            for number in 0..140_000_u64 {
                let millis = number * 5 / 7;
                if millis >= next_report_ms {
                    next_report_ms += 6_160;
                    sensor.fast(millis, &udp((CLIENT, report_port + 1_000), (VICTIM, report_port), &[0]));
                    sensor.fast(millis, &udp((VICTIM, report_port), (CLIENT, report_port + 1_000), &[0]));
                }
                sensor.fast(millis, &udp((CLIENT, 6_004), (VICTIM, 5_004), &[0; 64]));
            }
            assert_eq!(sensor.opened(), [], "port {report_port}");
        }
    }

    /// Made-up sources, twenty times as many as the datagrams of the flood, do not hide it.
    #[test]
    fn made_up_sources_do_not_hide_a_flood() {
        let mut sensor = Sensor::new();
        for number in 0..20_000_u32 {
            for noise in 0..20 {
                let source = Ipv4Addr::from(0x0b00_0000 + number * 20 + noise);
                sensor.fast(u64::from(number) / 4, &udp((source, 1_024), (CLIENT, 9), &[0]));
            }
            sensor.fast(u64::from(number) / 4, &udp((ATTACKER, 50_000), (VICTIM, 9_999), &[0]));
        }
        assert_eq!(sensor.opened(), [Test::UdpFloodPerVictim, FIRES[0]], "the made-up ones flood a host too");
        let sources: Vec<_> = sensor.raised.iter().map(|alert| alert.subject.source).collect();
        assert_eq!(sources, [None, Some(std::net::IpAddr::V4(ATTACKER).into())]);
    }

    #[test]
    fn groups_queries_and_responses_do_not_count() {
        let group = |_| udp((CLIENT, 5_004), (Ipv4Addr::new(239, 1, 2, 3), 5_004), &[0]);
        assert_eq!(opened(each(6_000, 0, group)), [], "IPTV");
        let query = |number| udp((GATEWAY, 20_000 + number), (OUTSIDE, 53), &[0]);
        assert_eq!(opened(each(6_000, 0, query)), [], "a resolver");
        let response = |number| udp((OUTSIDE, 443), (CLIENT, 20_000 + number), &[0]);
        assert_eq!(opened(each(6_000, 0, response)), [], "responses whose requests were not seen");
        for port in [53, 443] {
            let stream = |_| udp((ATTACKER, port), (VICTIM, 50_000), &[0]);
            assert_eq!(opened(each(5_000, 0, stream)), [], "{port}: the first one may be a response");
            assert_eq!(opened(each(5_001, 0, stream)), FIRES, "{port}: in one flow, and never answered");
            let mut answered = std::vec![udp((VICTIM, 50_000), (ATTACKER, port), &[0])];
            answered.extend((0..6_000).map(stream));
            let opened = play(answered.into_iter().map(|frame| (0, frame))).opened();
            assert_eq!(opened, [], "{port}: asked for");
        }
    }

    #[test]
    fn it_can_be_switched_off() {
        let configs = configs_with(Kind::UdpFlood, |config| config.enabled = false);
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        each(6_000, 0, data).for_each(|(millis, frame)| sensor.frame(millis, &frame));
        assert_eq!(sensor.opened(), []);
    }

    /// The fast path finishes every datagram of an answered flow, and none of a flood.
    #[test]
    fn the_fast_path_counts_the_same() {
        let mut sensor = Sensor::new();
        (0..4_999).for_each(|number| sensor.fast(0, &data(number)));
        assert_eq!(sensor.opened(), []);
        sensor.fast(0, &data(0));
        assert_eq!(sensor.opened(), FIRES);
    }

    /// Two workers: one sees what the client sends, the other what the server sends.
    #[test]
    fn a_response_that_another_worker_sees_is_reported() {
        for port in [443, 51_820] {
            for (is_answered, is_resolved_late) in [(false, false), (true, false), (true, true)] {
                let (client, server) = ((CLIENT, 51_820), (OUTSIDE, port));
                let [mut own, mut other] = [0, 1].map(|index| {
                    let mut sensor = Sensor::new();
                    sensor.engine.set_shard(index, 2);
                    sensor
                });
                let mut pending = None;
                for number in 0..12_000 {
                    let Sensor { engine, raised } = &mut own;
                    if number == (if is_resolved_late { 20 } else { 1 })
                        && let Some(report) = pending.take()
                    {
                        engine.resolve_initiator(&report, &mut |alert| raised.push(alert));
                    }
                    own.fast(number / 4, &udp(client, server, &[0]));
                    if let Some(report) = own.engine.take_report() {
                        other.engine.apply_remote(&report, &mut |_| {});
                        pending = Some(report);
                    }
                    if number == 10 && is_answered {
                        other.fast(number / 4, &udp(server, client, &[0]));
                        let report = other.engine.take_report().unwrap();
                        own.engine.apply_remote(&report, &mut |_| {});
                    }
                }
                let expected: &[Test] = if is_answered { &[] } else { &FIRES };
                assert_eq!(own.opened(), expected, "port {port}, resolved late: {is_resolved_late}");
            }
        }
    }

    /// A tuner, exporters, and what only looks like one: faster, or to the outside.
    #[test]
    fn streams_and_records_between_internal_hosts_claim_nothing() {
        let severities = |payload: &'static [u8], to: Ipv4Addr, count: u16| {
            let raised = play(each(count, 0, |_| udp((CLIENT, 49_000), (to, 9_999), payload))).raised;
            raised.iter().map(|alert| alert.severity).collect::<Vec<_>>()
        };
        for payload in
            [&[0x47, 0, 0x11, 0x10][..], b"<134>1 2024-01-01", &[0, 9, 0, 12], &[0, 0, 0, 5], &[0x80, 0x60]]
        {
            assert_eq!(severities(payload, VICTIM, 9_000), [Severity::Low], "{payload:?}");
            assert_eq!(severities(payload, OUTSIDE, 9_000), [Severity::Medium], "{payload:?} to the outside");
        }
        assert_eq!(
            severities(&[0x47, 0], VICTIM, 20_500),
            [Severity::Low, Severity::Medium],
            "a flood after all"
        );
        assert_eq!(severities(&[0x55; 4], VICTIM, 9_000), [Severity::Medium]);
    }

    const FILLING: Filling = Filling {
        test: Test::UdpFloodPerSource,
        // Enough for the source to be frequent; each destination is a pair of its own.
        use_one: |sensor, number, millis| {
            let datagram = udp((CLIENT, 50_000), (other(number), 9_999), &[0]);
            (0..5_000 / 64).for_each(|_| sensor.frame(millis, &datagram));
        },
        attack: |sensor, millis| (0..5_000).for_each(|number| sensor.frame(millis, &data(number))),
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }
}
