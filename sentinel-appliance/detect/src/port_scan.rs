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
use crate::registry::Config;

/// Ports of one source, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    distinct: Distinct,
    since: Timestamp,
}

/// Storage for one source: about 440 bytes.
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
        let Some(entry) = self.table.entry(ip.source_hash, ip.source, now) else { return };
        if entry.is_new {
            entry.value.since = now;
        }
        let seen = entry.value.distinct.add(conversation.destination.port.0, now, window);
        if seen.distinct < self.threshold || !seen.is_new {
            return;
        }
        let full = usize::try_from(seen.distinct).is_ok_and(|distinct| distinct >= REMEMBERED);
        report(Finding {
            test: Test::PortScanPortsInWindow,
            severity: self.severity,
            first: entry.value.since,
            subject: Subject {
                source: Some(ip.source),
                destination: Some(ip.destination),
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
