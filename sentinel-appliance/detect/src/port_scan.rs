//! `port_scan`: one source opens conversations to many distinct ports.
//!
//! Counted are first packets that ask for something: SYN, the odd flag combinations of stealth scans
//! (nothing, FIN alone, FIN with PSH and URG; nmap's -sN, -sF, -sX), and the first UDP datagram of a conversation
//! and after each silence as long as the window, from the side that opened it. Answers are not: a busy server or
//! resolver reaches many client ports.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::TcpFlags;
use sentinel_track::distinct::{Distinct, MAX_DISTINCT, Window};
use sentinel_track::flow::{FLOW_LIFETIME, Role};
use sentinel_track::table::{CoarseSpan, Recycle};
use sentinel_units::{Address, Timestamp};

use crate::event::{Counted, Event};
use crate::incident::{Finding, Findings};
use crate::per_source::earlier;
use crate::registry::DetectorConfig;

/// Ports of one source, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    distinct: Distinct,
    /// When the first of them was counted; [`Timestamp::ZERO`] before.
    since: Timestamp,
    /// The host tried, and whether there were others since the window was last empty.
    host: Address,
    several: bool,
}

impl Recycle for Ports {
    #[inline]
    fn recycle(&mut self) {
        self.distinct.recycle();
        self.since = Timestamp::ZERO;
    }
}

#[derive(Debug)]
pub(crate) struct PortScan {
    enabled: bool,
    severity: Severity,
    threshold: u32,
    window_s: u32,
    window: Duration,
    counted: Window,
    /// A UDP conversation silent for longer asks anew with its next packet.
    pub(crate) udp_idle_timeout: CoarseSpan,
}

impl PortScan {
    pub(crate) fn new(config: &DetectorConfig) -> Self {
        let mut new = Self {
            enabled: false,
            severity: Severity::Info,
            threshold: 0,
            window_s: 0,
            window: Duration::ZERO,
            counted: Window::default(),
            udp_idle_timeout: CoarseSpan::default(),
        };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        let [ports, window_s, ..] = config.numbers;
        (self.threshold, self.window_s) = (ports, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.window = Duration::from_secs(window_s.into());
        self.counted = Window::new(self.window);
        self.udp_idle_timeout = CoarseSpan::at_least(self.window.min(FLOW_LIFETIME));
    }

    /// What is remembered of a source is of use for so long.
    pub(crate) const fn window(&self) -> Duration {
        self.window
    }

    /// Whether a packet counts.
    #[inline]
    pub(crate) fn counts(&self, event: &Event<'_, '_>) -> bool {
        self.asks(event) && self.counts_requests_to(event.packet.tuple.destination)
    }

    /// Whether a packet that asks counts.
    #[inline]
    pub(crate) const fn counts_requests_to(&self, destination: Address) -> bool {
        self.enabled && !destination.is_group()
    }

    /// Whether a packet may ask for a conversation or probe for one. `false` is certain, and costs next to nothing.
    #[inline]
    pub(crate) fn may_ask(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        match tcp_flags {
            Some(flags) => !flags.ordinary(),
            None => role.is_first || role.idle > self.udp_idle_timeout,
        }
    }

    /// Whether the packet asks for a conversation, or probes for one.
    #[inline]
    fn asks(&self, event: &Event<'_, '_>) -> bool {
        self.may_ask(event.packet.tuple.tcp_flags, &event.role)
            && match event.packet.tuple.tcp_flags {
                Some(flags) => flags.syn_only() || is_stealth_probe(flags),
                None => event.role.from_initiator,
            }
    }

    /// Counts a packet for its source.
    #[inline]
    pub(crate) fn add(
        &self,
        ports: &mut Ports,
        now: Timestamp,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        if ports.since == Timestamp::ZERO {
            ports.since = now;
        }
        let seen = ports.distinct.add(packet.destination_port.unwrap_or_default().0, now, self.counted);
        if seen.distinct == 1 {
            (ports.host, ports.several) = (packet.destination, false);
        } else {
            ports.several |= ports.host != packet.destination;
        }
        if seen.is_new && seen.distinct >= self.threshold {
            self.report(ports, seen.distinct, packet, findings);
        }
    }

    #[cold]
    fn report(&self, ports: &Ports, distinct: u32, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        let full = usize::try_from(distinct).is_ok_and(|distinct| distinct >= MAX_DISTINCT);
        findings.add(&Finding {
            test: Test::PortScanPortsInWindow,
            severity: self.severity,
            first: ports.since.max(earlier(findings.now, self.window)),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination).filter(|_| !ports.several),
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Ports {
                at_least: distinct,
                at_most: distinct + u32::from(full),
                threshold: self.threshold,
                window_s: self.window_s,
            },
            adds: 1,
            scope: 0,
        });
    }
}

/// Flags that no TCP sends but a scanner: none, FIN alone, or FIN with PSH and URG.
#[inline]
const fn is_stealth_probe(flags: TcpFlags) -> bool {
    flags.is_null() || flags.is_xmas() || is_bare_fin(flags)
}

/// FIN without ACK ends no conversation of a real TCP (RFC 9293 section 3.10.7.4 wants ACK on all but the first).
const fn is_bare_fin(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::FIN) && !flags.has_any(TcpFlags(0x16))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_alert::{Alert, Kind};
    use sentinel_dissect::{PacketSummary, packet};
    use sentinel_track::hash::HashKey;
    use sentinel_units::{LinkType, Port};
    use std::vec::Vec;

    use crate::engine::IncidentLimits;
    use crate::event::Setting;
    use crate::home_net::HomeNet;
    use crate::incident::{Incident, Incidents};
    use crate::registry::DETECTORS;

    /// Ethernet, IPv4 10.0.0.7 to 10.0.0.9, TCP with SYN alone; its ports are given beside it.
    #[rustfmt::skip]
    const SYN: [u8; 54] = [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 7,  0x08, 0x00,
        0x45, 0, 0, 40,  0, 1, 0, 0,  64, 6, 0, 0,  10, 0, 0, 7,  10, 0, 0, 9,
        0xc3, 0x50, 0, 80,  0, 0, 0, 1,  0, 0, 0, 0,  0x50, 0x02, 4, 0,  0, 0, 0, 0,
    ];

    fn probe(scan: &PortScan, ports: &mut Ports, second: u64, port: u16) -> Option<Alert> {
        let full = packet(LinkType::ETHERNET, None, &SYN, 54);
        let mut packet = PacketSummary::of(&full).unwrap();
        packet.tuple.destination_port = Port(port);
        let (home_net, key) = (HomeNet::default(), HashKey::new(1));
        let now = Timestamp::from_parts(1_700_000_000 + second, 0);
        let event = Event {
            setting: Setting { now, home_net: &home_net, key: &key },
            packet: &packet,
            role: Role { from_initiator: true, certain: true, is_first: true, idle: CoarseSpan::default() },
            source_hash: key.address(packet.tuple.source),
        };
        let mut slots = [Incident::default()];
        let incident_limits =
            IncidentLimits { idle_timeout: Duration::MAX, update: Duration::ZERO, burst: 1 };
        let mut incidents = Incidents::new(&mut slots, incident_limits);
        let mut found = None;
        let raise = &mut |alert| found = Some(alert);
        assert!(scan.counts(&event));
        scan.add(ports, now, &(&packet).into(), &mut Findings { incidents: &mut incidents, now, raise });
        found
    }

    /// A host that had been opening conversations all day had its scan begin in the morning.
    #[test]
    fn a_scan_begins_within_the_window_however_long_its_source_has_been_seen() {
        let config = DETECTORS.iter().find(|detector| detector.kind == Kind::PortScan).unwrap();
        let scan = PortScan::new(&config.default_config());
        let mut ports = Ports::default();
        for second in (0..3_600).step_by(5) {
            assert!(probe(&scan, &mut ports, second, 443).is_none());
        }
        let found: Vec<Alert> = (1..=15).filter_map(|port| probe(&scan, &mut ports, 3_600, port)).collect();
        assert_eq!(found.len(), 2, "with 443 in the window, the 14th makes 15");
        let first = found.first().unwrap().first;
        assert_eq!(first, Timestamp::from_parts(1_700_000_000 + 3_590, 0));
    }
}
