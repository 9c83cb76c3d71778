//! `udp_flood`: one source sends datagrams to one destination at a high rate, and the destination does not respond.
//!
//! Read first: RFC 8085 section 3.1: a sender without feedback from the receiver must not send at a high rate. The rate alone
//! accuses ordinary hosts: an upload over QUIC, a video call, a VPN tunnel or a backup sends a thousand datagrams a second. All of
//! these are answered within a round trip, a flood is not. So only the initiator's datagrams in flows without a response count,
//! and none while the destination has sent the source a datagram within the window: RTP is answered by RTCP in another flow,
//! and VXLAN and GTP-U send each direction in a flow of its own.
//!
//! Not counted either: multicast and broadcast (IPTV, discovery), which nobody answers, and queries to port 53, where every query of
//! a busy resolver is a flow of its own. A flood inside a flow that the destination has once answered is not seen by this test.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::hash::HashKey;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, Timestamp};

use crate::incident::{Finding, Findings};
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

/// Storage for four pairs of source and destination: about 1.4 KiB.
pub(crate) type DatagramsSet = Set<Pair, Datagrams>;

/// Datagrams of every pair of hosts.
#[derive(Debug)]
pub(crate) struct UdpFlood<'m> {
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
            table: Table::new(sets, threshold.window),
            activation: config.into(),
            threshold,
            shape: WindowShape::new(threshold.window),
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
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
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let tuple = &event.packet.tuple;
        let FiveTuple { source, destination, destination_port, .. } = *tuple;
        if !event.role.from_initiator {
            if self.needs_response(tuple) {
                self.response(event.setting, destination, source);
            }
            return false;
        }
        if !self.activation.enabled || destination_port == DNS || destination.is_group() {
            return false;
        }
        let Setting { now, key, .. } = event.setting;
        let hash = hash(key, event.source_hash, destination);
        let Some(entry) = self.table.entry(hash, (source, destination), now) else { return false };
        let datagrams = entry.value;
        if datagrams.answered != Timestamp::ZERO && now.since(datagrams.answered) < self.threshold.window {
            return false;
        }
        if entry.is_new {
            datagrams.since = now;
        }
        let (sum, since) = (datagrams.sum.add(self.shape, now, 1), datagrams.since);
        if sum >= u64::from(self.threshold.limit) && !self.is_two_way(event) {
            self.report(since, &event.packet.into(), findings);
        }
        true
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
        findings.add(&Finding {
            test: Test::UdpFloodPerSource,
            severity: self.activation.severity,
            first: since.max(earlier(findings.now, self.threshold.window)),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Packets {
                count: self.threshold.limit.into(),
                threshold: self.threshold.limit,
                window_s: self.threshold.window_s(),
            },
            adds: 1,
            scope: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
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
        assert_eq!(opened(each(9_998, 0, hosts)), []);
    }

    /// A response at any time before the threshold, in the same flow or in another one of the pair.
    #[test]
    fn what_is_answered_is_no_flood() {
        let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
        for (name, from, to) in [
            ("the flow itself", server, client),
            ("another flow: RTCP beside RTP", (OUTSIDE, 5_005), (CLIENT, 5_005)),
            ("a flow of the other side: VXLAN", (OUTSIDE, 40_000), (CLIENT, 4_789)),
        ] {
            let upload = |number: u16| match number {
                0 => udp((CLIENT, to.1), (OUTSIDE, from.1), &[0]),
                3_000 => udp(from, to, &[0]),
                _ => udp(client, server, &[0]),
            };
            assert_eq!(opened(each(20_000, 0, upload)), [], "{name}");
        }
        // Of a flow that was answered, no later datagram counts: not after a silence either.
        let tunnel =
            |number: u16| if number == 1 { udp(server, client, &[0]) } else { udp(client, server, &[0]) };
        assert_eq!(opened(halves(each(20_000, 0, tunnel), 10_000, 60_000)), []);
    }

    #[test]
    fn an_answer_excuses_for_one_window() {
        let after = |pause_ms| {
            let answered = [
                (0, udp((CLIENT, 1_234), (VICTIM, 123), &[0])),
                (1, udp((VICTIM, 123), (CLIENT, 1_234), &[0])),
            ];
            let flood = each(6_000, 0, |_| udp((CLIENT, 50_000), (VICTIM, 9_999), &[0]));
            opened(answered.into_iter().chain(flood.map(|(_, frame)| (pause_ms, frame))))
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
        use_one: |sensor, number, millis| {
            sensor.frame(millis, &udp((other(number), 50_000), (VICTIM, 9_999), &[0]));
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
