//! Who asks for conversations: per source, the ports it tried and when it sent requests.
//!
//! Nearly every packet that `port_scan` counts `syn_flood` counts too, so that both find what they remember of a
//! source in one search.

use core::time::Duration;

use sentinel_dissect::TcpFlags;
use sentinel_track::flow::Role;
use sentinel_track::table::{Lapse, Renew, Set, Table};
use sentinel_units::{Address, Timestamp};

use crate::event::{Counted, Event};
use crate::incident::Findings;
use crate::per_source::Times;
use crate::port_scan::{PortScan, Ports};
use crate::registry::Config;
use crate::syn_flood::SynFlood;

/// What one source asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker {
    ports: Ports,
    requests: Times,
}

impl Renew for Asker {
    #[inline]
    fn renew(&mut self) {
        self.ports.renew();
        self.requests.renew();
    }
}

/// Storage for four sources: about 5.8 KiB.
pub type AskerSet = Set<Address, Asker>;

/// The sources, and the detectors that judge them.
#[derive(Debug)]
pub(crate) struct Askers<'m> {
    table: Table<'m, Address, Asker>,
    port_scan: PortScan,
    syn_flood: SynFlood,
    spans: Spans,
}

/// How long what is remembered of a source is of use.
#[derive(Clone, Copy, Debug, Default)]
struct Spans {
    ports: Lapse,
    requests: Lapse,
    /// The lesser of the two: the entry lives for the greater.
    shorter: Lapse,
}

impl Asker {
    /// Forgets what is of no use after a silence. What lies in the future, because the clock was set back, is not either.
    #[cold]
    fn forget(&mut self, idle: Lapse, spans: &Spans) {
        if idle > spans.ports {
            self.ports.renew();
        }
        if idle > spans.requests {
            self.requests.renew();
        }
    }
}

impl<'m> Askers<'m> {
    pub(crate) fn new(sets: &'m mut [AskerSet], port_scan: &Config, syn_flood: &Config) -> Self {
        let mut new = Self {
            table: Table::new(sets, Duration::ZERO),
            port_scan: PortScan::new(port_scan),
            syn_flood: SynFlood::new(syn_flood),
            spans: Spans::default(),
        };
        new.follow_windows();
        new
    }

    pub(crate) fn configure(&mut self, port_scan: &Config, syn_flood: &Config) {
        self.port_scan.configure(port_scan);
        self.syn_flood.configure(syn_flood);
        self.follow_windows();
    }

    fn follow_windows(&mut self) {
        let windows = (self.port_scan.window(), self.syn_flood.window());
        self.table.set_lifetime(windows.0.max(windows.1));
        let (ports, requests) = (Lapse::at_least(windows.0), Lapse::at_least(windows.1));
        self.spans = Spans { ports, requests, shorter: ports.min(requests) };
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// A UDP conversation silent for longer asks anew with its next packet.
    #[inline]
    pub(crate) const fn lull(&self) -> Lapse {
        self.port_scan.lull
    }

    /// Whether a packet may ask for a conversation or probe for one. `false` is certain, and costs next to nothing.
    #[inline]
    pub(crate) fn may_ask(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        self.port_scan.may_ask(tcp_flags, role)
    }

    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let counts = [self.port_scan.counts(event), self.syn_flood.counts(event.packet.ends.tcp_flags)];
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
            self.syn_flood.lapse(&mut asker.requests, now);
        }
    }
}
