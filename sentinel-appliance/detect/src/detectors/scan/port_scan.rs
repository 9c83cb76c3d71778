//! `port_scan`: one source opens or probes flows to many distinct ports.
//!
//! Counted are packets that open a flow or probe for one: SYN, the odd flag combinations of stealth scans
//! (nothing, FIN alone, FIN with PSH and URG; nmap's -sN, -sF, -sX; SYN with FIN or RST), and the first UDP datagram of
//! a flow and after each silence as long as the window, from the initiator. Responses are not: a busy server or
//! resolver reaches many client ports. Nor are the ports of traceroute, and ports on as many hosts as ports, most of them above 1023 (peers of file
//! sharing), nor, if all are of one host, the ports at which printers alone answer. A source that was answered lately and reaches the threshold is counted from the start, and all of its contacts are
//! looked at: data connections of passive FTP and services of a device answer, and what does not, the test of failed contacts judges.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::TcpFlags;
use sentinel_track::distinct::{Distinct, MAX_DISTINCT, Window};
use sentinel_track::flow::{FLOW_LIFETIME, RESPONSE_PERIOD, Role};
use sentinel_track::table::{CoarsePeriod, CoarseSpan, Recycle};
use sentinel_units::{Address, Port, Timestamp};

use super::{is_crafted, is_excused, is_printer_port, is_response};
use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, Event};
use crate::shared::rate::{Activation, Threshold, earlier};

thresholds! {
    /// Thresholds of `port_scan`, of all its tests.
    Thresholds {
        ports: "ports", default 15, 2 to 64, "distinct destination ports of one source that make a scan";
        window_s: "s", default 10, 1 to 3_600, "length of the sliding window";
        failed_contacts: "contacts", default 4, 2 to 64,
            "failed first contacts, none answered between, that make a scan or a sweep";
        crafted_packets: "packets", default 3, 1 to 64,
            "packets that nobody sends but to probe or to evade that make a scan";
    }
}

/// Distinct destination ports of one source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    distinct: Distinct,
    /// Time at which the first of them was counted; [`Timestamp::ZERO`] before.
    since: Timestamp,
    /// Destination of the first port in the window.
    host: Address,
    /// Set once another destination was counted after the window was last empty.
    has_several_hosts: bool,
    spread: Spread,
}

/// Admission of a contact to the sequential test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// It is not looked at.
    Closed,
    /// It is looked at.
    Open,
    /// It is looked at, and the source is no longer trusted.
    Revoked,
}

/// Hosts of the ports that were new in the last one to two windows, by linear counting (Whang 1990). Valid from the second port on.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    /// Start of the newer half; [`Timestamp::ZERO`] before.
    began: Timestamp,
    /// A bit for each host, of the older and of the newer half.
    hosts: [u64; 2],
    /// System ports among them.
    system_ports: [u8; 2],
    /// The only port of the window, when it last had one.
    first: Port,
}

impl Spread {
    fn add(&mut self, now: Timestamp, window: Duration, host: Address, port: Port) {
        let age = now.since(self.began);
        if age > window {
            let is_recent = age <= window.saturating_mul(2);
            let [_, hosts] = self.hosts;
            let [_, ports] = self.system_ports;
            self.hosts = [if is_recent { hosts } else { 0 }, 0];
            self.system_ports = [if is_recent { ports } else { 0 }, 0];
            self.began = now;
        }
        let ([_, hosts], [_, system_ports]) = (&mut self.hosts, &mut self.system_ports);
        *hosts |= 1 << (scope(host, Port(0)) >> 10 & 63);
        *system_ports = system_ports.saturating_add(u8::from(port.0 < 1_024));
    }

    /// Returns true if there are about as many hosts as ports, and a quarter of these at most are system ports, as of the pages that a
    /// user of file sharing, games and calls opens beside. Of many hosts several share a bit. Peers that somebody adds gain little: 16 system ports
    /// in a window instead of 14.
    fn is_of_peers(&self, ports: u32) -> bool {
        let [older, newer] = self.hosts;
        let [in_older, in_newer] = self.system_ports.map(u32::from);
        (in_older + in_newer) * 4 <= ports && (older | newer).count_ones() * 8 >= ports.min(26) * 5
    }
}

impl Recycle for Ports {
    #[inline]
    fn recycle(&mut self) {
        self.distinct.recycle();
        self.since = Timestamp::ZERO;
    }
}

/// Test of the ports of one source.
#[derive(Debug)]
pub(crate) struct PortScan {
    activation: Activation,
    /// This test or that of sweeps is in use.
    counts_contacts: bool,
    threshold: Threshold,
    /// The window as [`Distinct`] takes it.
    window: Window,
    /// Silence after which the next packet of a UDP flow counts as a first one.
    udp_idle_timeout: CoarseSpan,
    /// Period within which the fast path finishes packets of a flow. A silence longer than `udp_idle_timeout` is never within
    /// one, nor is the begin of a [`RESPONSE_PERIOD`].
    pub(crate) bypass_period: CoarsePeriod,
}

impl PortScan {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::PortScan,
        about: "one source opens flows to many distinct ports within a window, or few of its first contacts with hosts and ports are answered, or it sends packets that nobody sends but to probe",
        source: "common practice: 15 ports in 10 s is well above what a browser or a resolver does; sequential hypothesis test of Jung et al. (2004)",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(config: &DetectorConfig, host_sweep: &DetectorConfig) -> Self {
        let Thresholds { ports, window_s, .. } = config.into();
        let threshold = Threshold::new(ports, window_s);
        Self {
            activation: config.into(),
            counts_contacts: config.enabled || host_sweep.enabled,
            threshold,
            window: Window::new(threshold.window),
            udp_idle_timeout: CoarseSpan::at_least(threshold.window.min(FLOW_LIFETIME)),
            bypass_period: CoarsePeriod::at_most(threshold.window.min(RESPONSE_PERIOD)),
        }
    }

    /// Time after which the ports of a silent source are of no use.
    pub(crate) const fn window(&self) -> Duration {
        self.threshold.window
    }

    /// Returns true if a packet opens or probes a flow to one host.
    #[inline]
    pub(crate) fn is_contact(&self, event: &Event<'_, '_>) -> bool {
        self.opens(event) && self.is_contact_to(event.packet.tuple.destination)
    }

    /// Returns true if a packet that opens or probes a flow to `destination` is a contact.
    #[inline]
    pub(crate) const fn is_contact_to(&self, destination: Address) -> bool {
        self.counts_contacts && !destination.is_group()
    }

    /// Returns false if a packet certainly neither opens a flow nor probes for one; costs two comparisons.
    #[inline]
    pub(crate) fn may_open(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        match tcp_flags {
            Some(flags) => !flags.ordinary(),
            None => role.is_first || role.idle > self.udp_idle_timeout,
        }
    }

    /// Returns true if so many ports are over the threshold.
    #[inline]
    pub(crate) const fn is_over(&self, distinct: u32) -> bool {
        distinct >= self.threshold.limit
    }

    /// Returns true if the packet opens a flow or probes for one.
    #[inline]
    fn opens(&self, event: &Event<'_, '_>) -> bool {
        self.may_open(event.packet.tuple.tcp_flags, &event.role)
            && match event.packet.tuple.tcp_flags {
                Some(flags) => flags.syn_only() || is_crafted(flags, true),
                None => opens_flow(event),
            }
    }

    /// Counts the destination port of a packet for its source, and reports if it is a new one at or over the threshold. A source that is
    /// trusted is counted from the start then, and the caller must no longer trust it. Returns the distinct ports of the window, or zero if
    /// this one is among them already.
    #[inline(always)] // as often as `SynSources::add`
    pub(crate) fn add(
        &self,
        ports: &mut Ports,
        now: Timestamp,
        packet: &Counted<'_>,
        has_trusted: impl FnOnce() -> bool,
        findings: &mut Findings<'_, '_>,
    ) -> u32 {
        if !self.activation.enabled {
            return 0;
        }
        if ports.since == Timestamp::ZERO {
            ports.since = now;
        }
        let seen = ports.distinct.add(packet.destination_port.unwrap_or_default().0, now, self.window);
        if seen.distinct == 1 {
            (ports.host, ports.has_several_hosts) = (packet.destination, false);
            ports.spread.first = packet.destination_port.unwrap_or_default();
        } else {
            ports.has_several_hosts |= ports.host != packet.destination;
            if seen.is_new {
                return self.spread(ports, seen.distinct, now, packet, has_trusted, findings);
            }
        }
        if seen.is_new { seen.distinct } else { 0 }
    }

    /// Counts the host of another new port. Returns the distinct ports that count.
    #[inline(never)] // keeps the code for a source of one port short
    fn spread(
        &self,
        ports: &mut Ports,
        distinct: u32,
        now: Timestamp,
        packet: &Counted<'_>,
        has_trusted: impl FnOnce() -> bool,
        findings: &mut Findings<'_, '_>,
    ) -> u32 {
        let window = self.threshold.window;
        if distinct == 2 {
            ports.spread.began = Timestamp::ZERO;
            ports.spread.add(now, window, ports.host, ports.spread.first);
        }
        ports.spread.add(now, window, packet.destination, packet.destination_port.unwrap_or_default());
        if distinct < self.threshold.limit {
            return distinct;
        }
        let of_printer = ports.distinct.count_of(now, self.window, is_printer_port);
        let others = distinct.saturating_sub(of_printer);
        if !ports.has_several_hosts && others < self.threshold.limit {
            return others;
        }
        if ports.spread.is_of_peers(distinct) {
            return distinct;
        }
        if has_trusted() {
            ports.distinct.recycle();
        } else {
            self.report(ports, distinct, packet, findings);
        }
        distinct
    }

    #[cold]
    fn report(&self, ports: &Ports, distinct: u32, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        let is_full = usize::try_from(distinct).is_ok_and(|distinct| distinct >= MAX_DISTINCT);
        findings.add(&Finding {
            test: Test::PortScanPortsInWindow,
            severity: self.activation.severity,
            first: ports.since.max(earlier(findings.now, self.threshold.window)),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination).filter(|_| !ports.has_several_hosts),
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Ports {
                at_least: distinct,
                at_most: distinct + u32::from(is_full),
                threshold: self.threshold.limit,
                window_s: self.threshold.window_s(),
            },
            adds: 1,
            scope: 0,
        });
    }
}

/// Returns true for a datagram of the initiator, or of a sender that poses as a server; traceroute and calls are excused.
fn opens_flow(event: &Event<'_, '_>) -> bool {
    let tuple = &event.packet.tuple;
    (tuple.destination_port.0 < 1_024 || !is_excused(tuple.destination_port, event.packet.payload()))
        && (event.role.from_initiator
            || event.role.is_first && !is_response(tuple.source_port, event.packet.payload()))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use sentinel_alert::Alert;
    use sentinel_dissect::{PacketSummary, packet};
    use sentinel_track::hash::HashKey;
    use sentinel_units::{LinkType, Mac};

    use crate::incident::{Incident, IncidentLimits, Incidents};
    use crate::shared::event::Setting;
    use crate::shared::home_net::HomeNet;
    use crate::testkit::{
        self, ATTACKER, CLIENT, Filling, GATEWAY, KEY, MAC, ROOMY, SYN, SYN_ACK, Sensor, VICTIM, configs,
        dns, each, first_alert, halves, only, opened, other, play, probe, tcp, threshold, udp,
    };

    #[test]
    fn it_fires_at_the_threshold_and_once() {
        assert_eq!(opened(each(14, 10, probe)), []);
        let at = play(each(15, 10, probe));
        let alert = only(&at.raised);
        assert_eq!(alert.test, Test::PortScanPortsInWindow);
        assert_eq!((alert.first, alert.time), (testkit::at(0), testkit::at(140)));
        assert_eq!(
            alert.evidence,
            Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 }
        );
        assert_eq!(alert.subject.source, Some(Address::from(std::net::IpAddr::V4(ATTACKER))));
        assert_eq!(alert.subject.mac, Some(Mac(MAC)));
        assert_eq!(opened(each(40, 10, probe)), [Test::PortScanPortsInWindow]);
    }

    #[test]
    fn it_counts_within_any_window_and_no_longer() {
        let two_windows = opened(halves(each(28, 10, probe), 14, 10_100));
        assert_eq!(two_windows, [Test::PortScanFailedContacts], "14 in each of two windows: not this test");
        // Seven before and eight after the edge of any counting window: within 10 s all the same.
        let mut split = play(halves(each(15, 10, probe), 7, 9_500));
        split.finish();
        let closing = split.raised.last().unwrap();
        assert_eq!(closing.test, Test::PortScanPortsInWindow, "silence names it first");
        let slow = opened(each(40, 800, probe));
        assert_eq!(slow, [Test::PortScanFailedContacts], "13 in any 10 s, without end: not this test");
    }

    #[test]
    fn it_counts_distinct_ports_of_the_initiator() {
        assert_eq!(opened(each(150, 5, |number| probe(number % 14))), [], "the same 14 again and again");
        let answers = |number| tcp((VICTIM, 443), (CLIENT, 40_000 + number), SYN_ACK);
        assert_eq!(opened(each(100, 5, answers)), [], "a busy server");
        let resolver = |number| udp((GATEWAY, 53), (CLIENT, 40_000 + number), &dns("example.com", true));
        assert_eq!(opened(each(100, 5, resolver)), [], "a busy resolver");
        let group = |number| udp((CLIENT, 40_000), (Ipv4Addr::new(239, 1, 2, 3), 2_000 + number), &[0]);
        assert_eq!(opened(each(100, 5, group)), [], "a group has no ports to scan");
        for (flags, name) in [(0, "null"), (0x01, "FIN"), (0x29, "Xmas")] {
            let stealth = |number| tcp((ATTACKER, 50_000), (VICTIM, 1_000 + number), flags);
            let mut raised = play(each(15, 5, stealth));
            raised.finish();
            let tests: Vec<Test> = raised.raised.iter().map(|alert| alert.test).collect();
            assert_eq!(tests, [Test::PortScanCraftedPackets, Test::PortScanPortsInWindow], "{name}");
        }
        let over_udp = |number| udp((ATTACKER, 50_000), (VICTIM, 1_000 + number), &[0]);
        assert_eq!(opened(each(15, 5, over_udp)), [Test::PortScanPortsInWindow], "UDP");
        assert_eq!(opened(each(14, 5, over_udp)), []);
    }

    /// A source is remembered for the longer of two windows; a scan once seemed to begin before its first probe.
    #[test]
    fn a_scan_begins_after_the_silence_before_it() {
        let mut configs = configs();
        *threshold(&mut configs, Kind::SynFlood, "window_s") = 600;
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        sensor.frame(0, &probe(100));
        for (millis, frame) in each(15, 10, probe) {
            sensor.frame(30_000 + millis, &frame);
        }
        assert_eq!(only(&sensor.raised).first, testkit::at(30_000));
    }

    /// 64 ports are kept; up to there the threshold is exact.
    #[test]
    fn every_threshold_is_exact() {
        let scan = |number| tcp((ATTACKER, 50_000), (VICTIM, 1 + number), SYN);
        for ports in [2, 63, 64] {
            assert_eq!(first_alert(Kind::PortScan, "ports", ports, scan), ports);
        }
    }

    const FILLING: Filling = Filling {
        test: Test::PortScanPortsInWindow,
        use_one: |sensor, number, millis| {
            sensor.frame(millis, &tcp((other(number), 40_000), (VICTIM, 80), SYN));
        },
        attack: |sensor, millis| {
            (0..15)
                .for_each(|port| sensor.frame(millis, &tcp((ATTACKER, 40_000), (VICTIM, 1_000 + port), SYN)));
        },
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }

    /// Ethernet, IPv4 10.0.0.7 to 10.0.0.9, TCP with SYN alone; its ports are given beside it.
    #[rustfmt::skip]
    const SYN_FRAME: [u8; 54] = [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 7,  0x08, 0x00,
        0x45, 0, 0, 40,  0, 1, 0, 0,  64, 6, 0, 0,  10, 0, 0, 7,  10, 0, 0, 9,
        0xc3, 0x50, 0, 80,  0, 0, 0, 1,  0, 0, 0, 0,  0x50, 0x02, 4, 0,  0, 0, 0, 0,
    ];

    fn add_port(scan: &PortScan, ports: &mut Ports, second: u64, port: u16) -> Option<Alert> {
        let full = packet(LinkType::ETHERNET, None, &SYN_FRAME, 54);
        let mut packet = PacketSummary::of(&full).unwrap();
        packet.tuple.destination_port = Port(port);
        let (home_net, key) = (HomeNet::default(), HashKey::new(1));
        let now = Timestamp::from_parts(1_700_000_000 + second, 0);
        let event = Event {
            is_egress: false,
            setting: Setting { now, home_net: &home_net, key: &key },
            packet: &packet,
            role: Role { from_initiator: true, certain: true, is_first: true, idle: CoarseSpan::default() },
            source_hash: key.address(packet.tuple.source),
            session: 0,
            question: core::cell::Cell::default(),
            tail: core::cell::Cell::default(),
        };
        let mut slots = [Incident::default()];
        let incident_limits =
            IncidentLimits { idle_timeout: Duration::MAX, update: Duration::ZERO, burst: 1 };
        let mut incidents = Incidents::new(&mut slots, incident_limits);
        let mut found = None;
        let raise = &mut |alert| found = Some(alert);
        assert!(scan.is_contact(&event));
        scan.add(
            ports,
            now,
            &(&packet).into(),
            || false,
            &mut Findings { incidents: &mut incidents, now, raise },
        );
        found
    }

    /// Regression: the scan of a host that had been opening flows all day was reported as starting in the morning.
    #[test]
    fn a_scan_begins_within_the_window_however_long_its_source_has_been_seen() {
        let scan = PortScan::new(&PortScan::DETECTOR.default_config(), &PortScan::DETECTOR.default_config());
        let mut ports = Ports::default();
        for second in (0..3_600).step_by(5) {
            assert!(add_port(&scan, &mut ports, second, 443).is_none());
        }
        let found: Vec<Alert> =
            (1..=15).filter_map(|port| add_port(&scan, &mut ports, 3_600, port)).collect();
        assert_eq!(found.len(), 2, "with 443 in the window, the 14th makes 15");
        let first = found.first().unwrap().first;
        assert_eq!(first, Timestamp::from_parts(1_700_000_000 + 3_590, 0));
    }
}
