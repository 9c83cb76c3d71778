//! Table of the sources that open or probe flows: per source, the ports it tried and when it sent connection requests.
//!
//! Nearly every packet that `port_scan` counts `syn_flood` counts too, so both keep their state of a source in one entry,
//! which takes one search of one table.

use sentinel_dissect::TcpFlags;
use sentinel_track::flow::Role;
use sentinel_track::table::{CoarsePeriod, CoarseSpan, Recycle, Set, Table};
use sentinel_units::{Address, Timestamp};

use crate::detectors::flood::per_source::Times;
use crate::detectors::flood::syn::SynFlood;
use crate::detectors::scan::failed_contacts::FailedContacts;
use crate::detectors::scan::port_scan::{Admission, PortScan, Ports};
use crate::incident::Findings;
use crate::registry::DetectorConfig;
use crate::shared::event::{Counted, Event};

/// Ports and connection requests of one source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceActivity {
    ports: Ports,
    requests: Times,
}

impl Recycle for SourceActivity {
    #[inline]
    fn recycle(&mut self) {
        self.ports.recycle();
        self.requests.recycle();
    }
}

/// Storage for four sources: about 3.9 KiB.
pub type SourceActivitySet = Set<Address, SourceActivity>;

/// The sources, and the detectors that count for them.
#[derive(Debug)]
pub(crate) struct SynSources<'m> {
    table: Table<'m, Address, SourceActivity>,
    port_scan: PortScan,
    syn_flood: SynFlood,
    spans: Spans,
}

/// Ports within the window of `port_scan` from which the requests of a source are a scan and no flood.
const SCANNED_PORTS: u32 = 50;

/// Silence after which each part of an entry is of no use.
#[derive(Clone, Copy, Debug)]
struct Spans {
    ports: CoarseSpan,
    requests: CoarseSpan,
    /// The lesser of the two: the entry lives for the greater.
    shorter: CoarseSpan,
}

impl Spans {
    fn of(port_scan: &PortScan, syn_flood: &SynFlood) -> Self {
        let ports = CoarseSpan::at_least(port_scan.window());
        let requests = CoarseSpan::at_least(syn_flood.window());
        Self { ports, requests, shorter: ports.min(requests) }
    }
}

impl SourceActivity {
    /// Drops the ports and request times that are older than their own detection window. Entries stamped in the future, after
    /// the clock was set back, are dropped as well.
    #[cold]
    fn expire(&mut self, idle: CoarseSpan, spans: &Spans) {
        if idle > spans.ports {
            self.ports.recycle();
        }
        if idle > spans.requests {
            self.requests.recycle();
        }
    }
}

impl<'m> SynSources<'m> {
    pub(crate) fn new(
        sets: &'m mut [SourceActivitySet],
        port_scan: &DetectorConfig,
        syn_flood: &DetectorConfig,
        host_sweep: &DetectorConfig,
    ) -> Self {
        let (port_scan, syn_flood) = (PortScan::new(port_scan, host_sweep), SynFlood::new(syn_flood));
        let table = Table::new(sets, port_scan.window().max(syn_flood.window()));
        Self { table, spans: Spans::of(&port_scan, &syn_flood), port_scan, syn_flood }
    }

    pub(crate) fn configure(
        &mut self,
        port_scan: &DetectorConfig,
        syn_flood: &DetectorConfig,
        host_sweep: &DetectorConfig,
    ) {
        self.port_scan = PortScan::new(port_scan, host_sweep);
        self.syn_flood = SynFlood::new(syn_flood);
        self.table.set_lifetime(self.port_scan.window().max(self.syn_flood.window()));
        self.spans = Spans::of(&self.port_scan, &self.syn_flood);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Period within which the fast path finishes packets of a flow.
    #[inline]
    pub(crate) const fn bypass_period(&self) -> CoarsePeriod {
        self.port_scan.bypass_period
    }

    /// Returns false if a packet certainly neither opens a flow nor probes for one; costs two comparisons.
    #[inline]
    pub(crate) fn may_open(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        self.port_scan.may_open(tcp_flags, role)
    }

    /// Counts a segment or datagram of the slow path, and decides whether it is looked at as a contact.
    #[inline]
    pub(crate) fn segment(
        &mut self,
        event: &Event<'_, '_>,
        contacts: &FailedContacts<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> (Admission, bool) {
        let counts = [self.port_scan.is_contact(event), self.syn_flood.counts(event.packet.tuple.tcp_flags)];
        // Most packets are neither: the fields that are counted are not even gathered.
        if counts == [false; 2] {
            return (Admission::Closed, false);
        }
        self.add(event.setting.now, &event.packet.into(), event.source_hash, counts, contacts, findings)
    }

    /// Counts a TCP connection request: a SYN without ACK. Returns true if its source is at or over the threshold of `syn_flood`.
    #[inline(always)] // of an IPv4 address fewer words are compared
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        packet: &Counted<'_>,
        source_hash: u32,
        contacts: &FailedContacts<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> (Admission, bool) {
        let counts = [self.port_scan.is_contact_to(packet.destination), self.syn_flood.is_enabled()];
        self.add(now, packet, source_hash, counts, contacts, findings)
    }

    #[inline(always)] // once in `segment`, once in `request` for each address family
    fn add(
        &mut self,
        now: Timestamp,
        packet: &Counted<'_>,
        source_hash: u32,
        [is_contact, counts_request]: [bool; 2],
        contacts: &FailedContacts<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> (Admission, bool) {
        if !is_contact && !counts_request {
            return (Admission::Closed, false);
        }
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else {
            return (Admission::Open, false);
        };
        let is_trusted = is_contact && contacts.trusts(source_hash, now);
        let activity = entry.value;
        if entry.idle > self.spans.shorter {
            activity.expire(entry.idle, &self.spans);
        }
        let ports = if is_contact {
            self.port_scan.add(
                &mut activity.ports,
                now,
                packet,
                || contacts.has_trusted(source_hash),
                findings,
            )
        } else {
            0
        };
        // The requests of a fast scan for new ports are no flood; those for ports that it has tried are.
        let is_flood = if counts_request && ports < SCANNED_PORTS {
            self.syn_flood.add(&mut activity.requests, now, packet, findings)
        } else {
            self.syn_flood.expire(&mut activity.requests, now);
            false
        };
        let admission = match (is_contact, is_trusted) {
            (true, _) if self.port_scan.is_over(ports) => Admission::Revoked,
            (true, false) => Admission::Open,
            _ => Admission::Closed,
        };
        (admission, is_flood)
    }
}
