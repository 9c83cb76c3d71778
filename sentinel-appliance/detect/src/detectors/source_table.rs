//! Who asks for conversations: per source, the ports it tried and when it sent requests.
//!
//! Nearly every packet that `port_scan` counts `syn_flood` counts too, so that both find what they remember of a
//! source in one search.

use core::time::Duration;

use sentinel_dissect::TcpFlags;
use sentinel_track::flow::Role;
use sentinel_track::table::{CoarseSpan, Recycle, Set, Table};
use sentinel_units::{Address, Timestamp};

use crate::detectors::flood::syn::SynFlood;
use crate::detectors::scan::port_scan::{PortScan, Ports};
use crate::incident::Findings;
use crate::registry::DetectorConfig;
use crate::shared::event::{Counted, Event};
use crate::shared::rate::Times;

/// What one source asked for.
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

/// Storage for four sources: about 5.8 KiB.
pub type SourceActivitySet = Set<Address, SourceActivity>;

/// The sources, and the detectors that judge them.
#[derive(Debug)]
pub(crate) struct SynSources<'m> {
    table: Table<'m, Address, SourceActivity>,
    port_scan: PortScan,
    syn_flood: SynFlood,
    spans: Spans,
}

/// How long what is remembered of a source is of use.
#[derive(Clone, Copy, Debug, Default)]
struct Spans {
    ports: CoarseSpan,
    requests: CoarseSpan,
    /// The lesser of the two: the entry lives for the greater.
    shorter: CoarseSpan,
}

impl SourceActivity {
    /// Forgets what is of no use after a silence. What lies in the future, because the clock was set back, is not either.
    #[cold]
    fn forget(&mut self, idle: CoarseSpan, spans: &Spans) {
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
    ) -> Self {
        let mut new = Self {
            table: Table::new(sets, Duration::ZERO),
            port_scan: PortScan::new(port_scan),
            syn_flood: SynFlood::new(syn_flood),
            spans: Spans::default(),
        };
        new.follow_windows();
        new
    }

    pub(crate) fn configure(&mut self, port_scan: &DetectorConfig, syn_flood: &DetectorConfig) {
        self.port_scan.configure(port_scan);
        self.syn_flood.configure(syn_flood);
        self.follow_windows();
    }

    fn follow_windows(&mut self) {
        let windows = (self.port_scan.window(), self.syn_flood.window());
        self.table.set_lifetime(windows.0.max(windows.1));
        let (ports, requests) = (CoarseSpan::at_least(windows.0), CoarseSpan::at_least(windows.1));
        self.spans = Spans { ports, requests, shorter: ports.min(requests) };
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// A UDP conversation silent for longer asks anew with its next packet.
    #[inline]
    pub(crate) const fn udp_idle_timeout(&self) -> CoarseSpan {
        self.port_scan.udp_idle_timeout
    }

    /// Whether a packet may ask for a conversation or probe for one. `false` is certain, and costs next to nothing.
    #[inline]
    pub(crate) fn may_ask(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        self.port_scan.may_ask(tcp_flags, role)
    }

    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let counts = [self.port_scan.counts(event), self.syn_flood.counts(event.packet.tuple.tcp_flags)];
        self.add(event.setting.now, &event.packet.into(), event.source_hash, counts, findings);
    }

    /// A TCP request, that is, a SYN without ACK.
    #[inline(always)] // of IPv4 less is to be asked
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        packet: &Counted<'_>,
        source_hash: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let counts = [self.port_scan.counts_requests_to(packet.destination), self.syn_flood.is_enabled()];
        self.add(now, packet, source_hash, counts, findings);
    }

    #[inline(always)] // as above
    fn add(
        &mut self,
        now: Timestamp,
        packet: &Counted<'_>,
        source_hash: u32,
        [tries, requests]: [bool; 2],
        findings: &mut Findings<'_, '_>,
    ) {
        if !tries && !requests {
            return;
        }
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else { return };
        let asker = entry.value;
        if entry.idle > self.spans.shorter {
            asker.forget(entry.idle, &self.spans);
        }
        if tries {
            self.port_scan.add(&mut asker.ports, now, packet, findings);
        }
        if requests {
            self.syn_flood.add(&mut asker.requests, now, packet, findings);
        } else {
            self.syn_flood.expire(&mut asker.requests, now);
        }
    }
}
