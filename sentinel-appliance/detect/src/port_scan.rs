//! `port_scan`: one source opens conversations to many distinct ports.
//!
//! Counted are first packets that ask for something: SYN, the odd flag combinations of stealth scans
//! (nothing, FIN alone, FIN with PSH and URG; nmap's -sN, -sF, -sX), and UDP from the side that opened
//! the conversation. Answers are not: a busy server or resolver reaches many client ports.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::{TcpFlags, Transport};
use sentinel_track::distinct::{Distinct, REMEMBERED};
use sentinel_track::table::{Slot, Table};
use sentinel_units::{Address, Timestamp};

use crate::event::{Conversation, Event};
use crate::incident::Finding;
use crate::per_source::earlier;
use crate::registry::Config;

/// Ports of one source, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    distinct: Distinct,
    since: Timestamp,
    /// The host tried, and whether there were others since the window was last empty.
    host: Address,
    several: bool,
}

/// Storage for one source: about 450 bytes.
pub type ScanSlot = Slot<Address, Ports>;

#[derive(Debug)]
pub(crate) struct PortScan<'m> {
    table: Table<'m, Address, Ports>,
    enabled: bool,
    severity: Severity,
    threshold: u32,
    window_s: u32,
    window: Duration,
}

impl<'m> PortScan<'m> {
    pub(crate) fn new(slots: &'m mut [ScanSlot], config: &Config) -> Self {
        let mut new = Self {
            table: Table::new(slots, Duration::ZERO),
            enabled: false,
            severity: Severity::Info,
            threshold: 0,
            window_s: 0,
            window: Duration::ZERO,
        };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        let [ports, window_s, ..] = config.numbers;
        (self.threshold, self.window_s) = (ports, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.window = Duration::from_secs(window_s.into());
        self.table.set_lifetime(self.window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let (Some(ip), Some(conversation)) = (&event.ip, &event.conversation) else { return };
        if !self.enabled || ip.destination.is_group() || !asks(event, conversation) {
            return;
        }
        let (now, window) = (event.now, self.window);
        let Some(entry) = self.table.entry(event.key.address(ip.source), ip.source, now) else { return };
        if entry.is_new {
            entry.value.since = now;
        }
        let ports = entry.value;
        let seen = ports.distinct.add(conversation.destination.port.0, now, window);
        if seen.distinct == 1 {
            (ports.host, ports.several) = (ip.destination, false);
        }
        ports.several |= ports.host != ip.destination;
        if seen.distinct < self.threshold || !seen.is_new {
            return;
        }
        let full = usize::try_from(seen.distinct).is_ok_and(|distinct| distinct >= REMEMBERED);
        report(Finding {
            test: Test::PortScanPortsInWindow,
            severity: self.severity,
            first: ports.since.max(earlier(now, window)),
            subject: Subject {
                source: Some(ip.source),
                destination: Some(ip.destination).filter(|_| !ports.several),
                mac: event.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Ports {
                at_least: seen.distinct,
                at_most: seen.distinct + u32::from(full),
                threshold: self.threshold,
                window_s: self.window_s,
            },
            adds: 1,
            scope: 0,
        });
    }
}

/// Whether the packet asks for a conversation, or probes for one.
#[inline]
fn asks(event: &Event<'_, '_>, conversation: &Conversation) -> bool {
    match &event.packet.transport {
        Transport::Tcp(tcp) => {
            tcp.flags.syn_only() || tcp.flags.is_null() || tcp.flags.is_xmas() || is_bare_fin(tcp.flags)
        }
        Transport::Udp(_) => conversation.role.from_opener,
        _ => false,
    }
}

/// FIN without ACK ends no conversation of a real TCP (RFC 9293 section 3.10.7.4 wants ACK on all but the first).
const fn is_bare_fin(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::FIN) && !flags.has_any(TcpFlags(0x16))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_alert::Kind;
    use sentinel_dissect::packet;
    use sentinel_track::flow::{End, Role};
    use sentinel_track::hash::HashKey;
    use sentinel_units::{LinkType, Port};
    use std::vec::Vec;

    use crate::event::IpFacts;
    use crate::inside::Inside;
    use crate::registry::DETECTORS;

    const SOURCE: Address = Address::v4(0x0a00_0007);
    const TARGET: Address = Address::v4(0x0a00_0009);

    /// Ethernet, IPv4 10.0.0.7 to 10.0.0.9, TCP with SYN alone; its ports are given beside it.
    #[rustfmt::skip]
    const SYN: [u8; 54] = [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 7,  0x08, 0x00,
        0x45, 0, 0, 40,  0, 1, 0, 0,  64, 6, 0, 0,  10, 0, 0, 7,  10, 0, 0, 9,
        0xc3, 0x50, 0, 80,  0, 0, 0, 1,  0, 0, 0, 0,  0x50, 0x02, 4, 0,  0, 0, 0, 0,
    ];

    fn probe(scan: &mut PortScan<'_>, second: u64, port: u16) -> Option<Finding> {
        let packet = packet(LinkType::ETHERNET, None, &SYN, 54);
        let end = |address, port| End { address, port: Port(port) };
        let inside = Inside::default();
        let key = HashKey::new(1);
        let event = Event {
            now: Timestamp::from_parts(1_700_000_000 + second, 0),
            packet: &packet,
            key: &key,
            inside: &inside,
            ip: Some(IpFacts { source: SOURCE, destination: TARGET }),
            conversation: Some(Conversation {
                source: end(SOURCE, 50_000),
                destination: end(TARGET, port),
                role: Role { from_opener: true, certain: true, is_first: true },
            }),
        };
        let mut found = None;
        scan.packet(&event, &mut |finding| found = Some(finding));
        found
    }

    /// A host that had been opening conversations all day had its scan begin in the morning.
    #[test]
    fn a_scan_begins_within_the_window_however_long_its_source_has_been_seen() {
        let config = DETECTORS.iter().find(|detector| detector.kind == Kind::PortScan).unwrap();
        let mut slots = std::vec![ScanSlot::default(); 4];
        let mut scan = PortScan::new(&mut slots, &config.default_config());
        for second in (0..3_600).step_by(5) {
            assert!(probe(&mut scan, second, 443).is_none());
        }
        let found: Vec<Finding> = (1..=15).filter_map(|port| probe(&mut scan, 3_600, port)).collect();
        assert_eq!(found.len(), 2, "with 443 in the window, the 14th makes 15");
        let first = found.first().unwrap().first;
        assert_eq!(first, Timestamp::from_parts(1_700_000_000 + 3_590, 0));
    }
}
