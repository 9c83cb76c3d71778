//! `exfiltration`: one internal host sends a large volume to external hosts.
//!
//! Counted are bytes on the wire of packets from an internal address to a single external host, in
//! flows that the internal host initiated: a server that answers external clients leaks nothing by being
//! asked. Packets without ports (later fragments, other protocols) count too.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, ByteCount, Timestamp};

use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, Event, OtherEvent, Setting};
use crate::shared::home_net::HomeNet;
use crate::shared::rate::{Activation, Threshold, earlier, set_window};

thresholds! {
    /// Thresholds of `exfiltration`.
    Thresholds {
        bytes: "bytes", default 5_000_000, 1_000 to u32::MAX,
            "outbound bytes on the wire of one host of the home network that make an exfiltration";
        window_s: "s", default 60, 1 to 3_600, "length of the sliding window";
    }
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { bytes, window_s } = config.into();
    Threshold::new(bytes, window_s)
}

/// Bytes that one internal host sent to external hosts: a bucketed sliding window.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressBytes {
    bytes: SlidingSum,
    /// Time of the first of them.
    since: Timestamp,
}

impl Recycle for EgressBytes {
    fn recycle(&mut self) {
        self.bytes.recycle();
    }
}

/// Storage for four internal hosts: about 1.3 KiB.
pub type EgressBytesSet = Set<Address, EgressBytes>;

/// Bytes of every internal host.
#[derive(Debug)]
pub(crate) struct Exfiltration<'m> {
    table: Table<'m, Address, EgressBytes>,
    activation: Activation,
    threshold: Threshold,
    /// The window as [`SlidingSum`] takes it.
    shape: WindowShape,
}

impl<'m> Exfiltration<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Exfiltration,
        about: "one host of the home network sends many bytes to external hosts within a window",
        source: "common practice: 5 MB in a minute",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [EgressBytesSet], config: &DetectorConfig) -> Self {
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
        set_window(&mut self.table, &mut self.shape, self.threshold.window);
        self.table.set_lifetime(self.threshold.window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Returns true if a packet from the initiator of its flow counts: from an internal address to one external host.
    #[inline]
    pub(crate) fn is_egress(&self, home_net: &HomeNet, source: Address, destination: Address) -> bool {
        self.activation.enabled && home_net.is_internal(source) && home_net.is_external(destination)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        if event.role.from_initiator && self.is_egress(event.setting.home_net, source, destination) {
            self.count_egress(event.setting.now, event.source_hash, &event.packet.into(), findings);
        }
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        if let Some(packet) = &Counted::without_ports(event.packet)
            && self.is_egress(event.setting.home_net, packet.source, packet.destination)
        {
            let Setting { now, key, .. } = event.setting;
            self.count_egress(now, key.address(packet.source), packet, findings);
        }
    }

    /// Counts the bytes of a packet for which [`Self::is_egress`] holds, and reports if the sum is at or over the threshold.
    pub(crate) fn count_egress(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else { return };
        if entry.is_new {
            entry.value.since = now;
        }
        let sum = entry.value.bytes.add(self.shape, now, packet.wire_len);
        if sum < u64::from(self.threshold.limit) {
            return;
        }
        let since = entry.value.since;
        self.report(since, sum, packet, findings);
    }

    #[cold]
    fn report(&self, since: Timestamp, sum: u64, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        findings.add(&Finding {
            test: Test::ExfiltrationBytesInWindow,
            severity: self.activation.severity,
            first: since.max(earlier(findings.now, self.threshold.window)),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Bytes {
                count: ByteCount(sum),
                threshold: ByteCount(self.threshold.limit.into()),
                window_s: self.threshold.window_s(),
            },
            adds: packet.wire_len,
            scope: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use crate::testkit::{
        ACK, ATTACKER, CLIENT, Filling, LIMITS, OUTSIDE, SYN, SYN_ACK, Sensor, VICTIM, configs, echo,
        home_net, other, tcp, udp,
    };

    /// A flow that `initiator` opens and in which `from` then sends `frames` of 50,000 bytes and one of `last`.
    fn transfer(
        initiator: Ipv4Addr,
        from: Ipv4Addr,
        to: Ipv4Addr,
        frames: u64,
        last: u32,
        gap_ms: u64,
    ) -> Vec<Test> {
        let mut sensor = Sensor::new();
        let peer = if initiator == from { to } else { from };
        let port = |address| if address == initiator { 40_000 } else { 443 };
        sensor.frame_of(0, &tcp((initiator, port(initiator)), (peer, port(peer)), SYN), 0);
        let data = tcp((from, port(from)), (to, port(to)), ACK);
        for number in 0..frames {
            sensor.frame_of(number * gap_ms, &data, 50_000);
        }
        if last > 0 {
            sensor.frame_of(frames * gap_ms, &data, last);
        }
        sensor.opened()
    }

    /// Simultaneous open: an external host must not become the initiator by answering a SYN with a SYN.
    #[test]
    fn a_simultaneous_open_hides_no_upload() {
        let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
        for answers in
            [&[][..], &[(server, client, SYN)], &[(server, client, SYN), (client, server, SYN_ACK)]]
        {
            let mut sensor = Sensor::new();
            sensor.frame(0, &tcp(client, server, SYN));
            answers.iter().for_each(|(from, to, flags)| sensor.frame(1, &tcp(*from, *to, *flags)));
            (0..200).for_each(|_| sensor.frame_of(2, &tcp(client, server, ACK), 50_000));
            assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow], "{} answers", answers.len());
        }
    }

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        const FIRES: [Test; 1] = [Test::ExfiltrationBytesInWindow];
        // The SYN is 54 bytes of the five million.
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_945, 100), []);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_946, 100), FIRES);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 150, 0, 100), FIRES);
        // 90 frames in any window of 60 s, and in any 64 s, which is what the sum may cover.
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 715), []);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 590), FIRES);
    }

    #[test]
    fn it_counts_internal_to_external_in_flows_initiated_internally() {
        let far = Ipv4Addr::new(198, 51, 100, 1);
        for (name, initiator, from, to) in [
            ("an upload by an external host", OUTSIDE, OUTSIDE, CLIENT),
            ("a download", CLIENT, OUTSIDE, CLIENT),
            ("a server answers an external client", OUTSIDE, CLIENT, OUTSIDE),
            ("a copy between internal hosts", CLIENT, CLIENT, VICTIM),
            ("passing by", OUTSIDE, OUTSIDE, far),
            ("to a group", CLIENT, CLIENT, Ipv4Addr::new(239, 1, 2, 3)),
            ("to everyone", CLIENT, CLIENT, Ipv4Addr::BROADCAST),
        ] {
            assert_eq!(transfer(initiator, from, to, 300, 0, 10), [], "{name}");
        }
        // The home network is a setting.
        let mut sensor = Sensor::new();
        let mut wide = home_net();
        wide.add("203.0.113.0/24".parse().unwrap()).unwrap();
        sensor.engine.configure(wide, LIMITS, &configs());
        let data = udp((CLIENT, 40_000), (OUTSIDE, 443), &[0]);
        for number in 0..300 {
            sensor.frame_of(number, &data, 50_000);
        }
        assert_eq!(sensor.opened(), []);
        let data = udp((CLIENT, 40_000), (far, 443), &[0]);
        for number in 300..400 {
            sensor.frame_of(number, &data, 50_000);
        }
        assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow]);
    }

    const FILLING: Filling = Filling {
        test: Test::ExfiltrationBytesInWindow,
        use_one: |sensor, number, millis| sensor.frame(millis, &echo(other(number), OUTSIDE, 8)),
        attack: |sensor, millis| {
            let data = echo(ATTACKER, OUTSIDE, 8);
            (0..100).for_each(|_| sensor.frame_of(millis, &data, 50_000));
        },
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }
}
