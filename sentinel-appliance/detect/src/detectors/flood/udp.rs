//! `udp_flood`: one source sends datagrams to one destination at a high rate, and the destination does not respond.
//!
//! Read first: RFC 8085 section 3.1: a sender without feedback from the receiver must not send at a high rate. The rate alone
//! accuses ordinary hosts: an upload over QUIC, a video call, a VPN tunnel or a backup sends a thousand datagrams a second. All of
//! these are answered within a round trip, a flood is not. So only the initiator's datagrams in flows without a response count,
//! and none while the destination has sent the source a datagram within the window: RTP is answered by RTCP in another flow,
//! and VXLAN and GTP-U send each direction in a flow of its own.
//!
//! Sources that send fewer than a 64th of the threshold in a window are only counted in a small array. The alert therefore comes up
//! to a 64th late for a source that begins slowly, and early for one that sends to others as well; otherwise exactly.
//!
//! Not counted either: multicast and broadcast (IPTV, discovery), which nobody answers, and queries to port 53, where every query of
//! a busy resolver is a flow of its own. A flood inside a flow that the destination has once answered is not seen by this test,
//! and the answer may be forged: a source that sends one datagram with the address of its destination silences the test for that flow.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::hash::HashKey;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, Timestamp};

use crate::detectors::flood::per_source::finding;
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, DNS, Event, Setting};
use crate::shared::rate::{Activation, Threshold, earlier};

thresholds! {
    /// Thresholds of `udp_flood`.
    Thresholds {
        packets: "packets", default 5_000, 2 to 10_000_000,
            "datagrams of one source to one destination, without a response, that make a flood";
        window_s: "s", default 5, 1 to 600, "length of the sliding window";
    }
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
    fn is_answered(&self, now: Timestamp, window: Duration) -> bool {
        self.answered != Timestamp::ZERO && now.since(self.answered) < window
    }
}

/// Storage for four pairs of source and destination: about 1.4 KiB.
pub(crate) type DatagramsSet = Set<Pair, Datagrams>;

/// Counters of the prefilter.
const COUNTERS: usize = 64;

/// Prefilter: counts the datagrams of all sources with the same low bits of their hash in one window. A source whose counter is low
/// takes no entry of the table, and hardly any time: nearly every datagram of ordinary traffic ends here.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    /// Number of the window, modulo 2^32.
    window: u32,
    count: u32,
    /// Time of the first datagram in the window.
    since: Timestamp,
}

/// Datagrams of every pair of hosts whose source sends more than a few.
#[derive(Debug)]
pub(crate) struct UdpFlood<'m> {
    counters: [Counter; COUNTERS],
    busy: u32,
    window_shift: u32,
    table: Table<'m, Pair, Datagrams>,
    activation: Activation,
    threshold: Threshold,
    /// The window as [`SlidingSum`] takes it.
    shape: WindowShape,
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { packets, window_s } = config.into();
    Threshold::new(packets, window_s)
}

/// Windows of the prefilter are powers of two of nanoseconds, at least as long as that of the threshold: no packet costs a division.
fn window_shift(threshold: Threshold) -> u32 {
    let nanos = u64::try_from(threshold.window.as_nanos()).unwrap_or(u64::MAX);
    nanos.checked_next_power_of_two().map_or(63, u64::ilog2)
}

/// Datagrams in one window of the prefilter from which a source is busy: a 64th of the threshold.
fn busy(threshold: Threshold) -> u32 {
    (threshold.limit / 64).max(1)
}

fn hash(key: &HashKey, source_hash: u32, destination: Address) -> u32 {
    key.with(source_hash, key.address(destination))
}

impl<'m> UdpFlood<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::UdpFlood,
        about: "one source sends many UDP datagrams to one destination within a window, and gets no response",
        source: "common practice: a thousand datagrams a second for five seconds",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [DatagramsSet], config: &DetectorConfig) -> Self {
        let threshold = threshold(config);
        Self {
            counters: [Counter::default(); COUNTERS],
            busy: busy(threshold),
            window_shift: window_shift(threshold),
            table: Table::new(sets, threshold.window),
            activation: config.into(),
            threshold,
            shape: WindowShape::new(threshold.window),
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
        self.busy = busy(self.threshold);
        self.window_shift = window_shift(self.threshold);
        let shape = WindowShape::new(self.threshold.window);
        if shape != self.shape {
            // Buckets of another width cannot be read with the new shape.
            self.table.clear();
            self.shape = shape;
        }
        self.table.set_lifetime(self.threshold.window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Returns true if a response can excuse its receiver.
    pub(crate) fn needs_response(&self, response: &FiveTuple) -> bool {
        self.activation.enabled && response.tcp_flags.is_none() && response.source_port != DNS
    }

    /// Notes that `responder` has sent `initiator` a datagram.
    pub(crate) fn response(&mut self, setting: Setting<'_>, initiator: Address, responder: Address) {
        let Setting { now, key, .. } = setting;
        let hash = hash(key, key.address(initiator), responder);
        if let Some(entry) = self.table.entry(hash, (initiator, responder), now) {
            entry.value.answered = now;
        }
    }

    /// Takes a datagram of a flow that has no response so far, or the first response. Returns true if the flow still has none, so
    /// that its further datagrams count.
    #[inline] // queries, which most slow datagrams are, end here without a call
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let FiveTuple { source_port, destination_port, .. } = event.packet.tuple;
        if !self.activation.enabled || destination_port == DNS || source_port == DNS {
            return false;
        }
        if event.role.from_initiator {
            self.request(event, findings)
        } else {
            self.local_response(event);
            false
        }
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn local_response(&mut self, event: &Event<'_, '_>) {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        // Both directions of the flow itself leave the slow path now; other flows of the pair matter only if the source is busy.
        let source_hash = event.setting.key.address(destination);
        if self.counter(source_hash).count >= self.busy {
            self.response(event.setting, destination, source);
        }
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn request(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        if destination.is_group() {
            return false;
        }
        let Setting { now, key, .. } = event.setting;
        let Counter { count, since, .. } = self.count(event.source_hash, now);
        if count < self.busy {
            // A response that another worker has seen is noted in the table, never before the second datagram.
            return event.role.is_first || !self.is_answered(event);
        }
        let hash = hash(key, event.source_hash, destination);
        let Some(entry) = self.table.entry(hash, (source, destination), now) else { return false };
        let datagrams = entry.value;
        if datagrams.is_answered(now, self.threshold.window) {
            return false;
        }
        if entry.is_new {
            datagrams.since = now;
        }
        // The datagram that makes its source busy stands for those before it.
        let mut amount = 1;
        if count == self.busy {
            (amount, datagrams.since) = (count, datagrams.since.min(since));
        }
        let (sum, since) = (datagrams.sum.add(self.shape, now, amount), datagrams.since);
        if sum >= u64::from(self.threshold.limit) && !self.is_two_way(event) {
            self.report(since, &event.packet.into(), findings);
        }
        true
    }

    fn counter(&mut self, source_hash: u32) -> &mut Counter {
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "masked to the length of the array"
        )]
        &mut self.counters[source_hash as usize & (COUNTERS - 1)]
    }

    /// Counts a datagram of a source, and returns its counter. A source that was busy in the window before is busy at once.
    fn count(&mut self, source_hash: u32, now: Timestamp) -> Counter {
        let [a, b, c, d, ..] = (now.as_nanos() >> self.window_shift).to_le_bytes();
        let (window, busy) = (u32::from_le_bytes([a, b, c, d]), self.busy);
        let counter = self.counter(source_hash);
        if counter.window != window {
            let was_busy = counter.window.wrapping_add(1) == window && counter.count >= busy;
            *counter = Counter { window, count: if was_busy { busy } else { 0 }, since: now };
        }
        counter.count = counter.count.saturating_add(1);
        *counter
    }

    /// Returns true if the destination has sent the source a datagram within the window.
    fn is_answered(&mut self, event: &Event<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        let (hash, window) = (hash(key, event.source_hash, destination), self.threshold.window);
        self.table.find(hash, (source, destination), now).is_some_and(|found| found.is_answered(now, window))
    }

    /// Returns true if the destination sends the source datagrams as well, in flows that it initiates.
    fn is_two_way(&mut self, event: &Event<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        let hash = hash(key, key.address(destination), source);
        source != destination && self.table.find(hash, (destination, source), now).is_some()
    }

    fn report(&self, since: Timestamp, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        if findings.bump_latest(Test::UdpFloodPerSource, packet) {
            return;
        }
        findings.add(&finding(
            Test::UdpFloodPerSource,
            self.activation,
            self.threshold,
            since.max(earlier(findings.now, self.threshold.window)),
            packet,
        ));
    }
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
        // Of a flow that was answered, no later datagram counts: not after a silence either.
        let tunnel =
            |number: u16| if number == 1 { udp(server, client, &[0]) } else { udp(client, server, &[0]) };
        assert_eq!(opened(halves(each(20_000, 0, tunnel), 10_000, 60_000)), []);
    }

    #[test]
    fn an_answer_excuses_for_one_window() {
        let after = |pause_ms| {
            let busy = each(100, 0, |_| udp((CLIENT, 50_000), (VICTIM, 9_999), &[0]));
            let answered = [
                (1, udp((CLIENT, 1_234), (VICTIM, 123), &[0])),
                (1, udp((VICTIM, 123), (CLIENT, 1_234), &[0])),
            ];
            let flood = each(6_000, 0, |_| udp((CLIENT, 50_001), (VICTIM, 9_999), &[0]));
            opened(busy.chain(answered).chain(flood.map(|(_, frame)| (pause_ms, frame))))
        };
        assert_eq!((after(4_000).len(), after(5_100).len()), (0, 1));
    }

    #[test]
    fn groups_queries_and_responses_do_not_count() {
        let group = |_| udp((CLIENT, 5_004), (Ipv4Addr::new(239, 1, 2, 3), 5_004), &[0]);
        assert_eq!(opened(each(6_000, 0, group)), [], "IPTV");
        let query = |number| udp((GATEWAY, 20_000 + number), (OUTSIDE, 53), &[0]);
        assert_eq!(opened(each(6_000, 0, query)), [], "a resolver");
        let response = |number| udp((OUTSIDE, 443), (CLIENT, 20_000 + number), &[0]);
        assert_eq!(opened(each(6_000, 0, response)), [], "responses whose requests were not seen");
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

    const FILLING: Filling = Filling {
        test: Test::UdpFloodPerSource,
        // Enough to be busy.
        use_one: |sensor, number, millis| {
            let datagram = udp((other(number), 50_000), (VICTIM, 9_999), &[0]);
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
