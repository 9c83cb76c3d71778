//! `exfiltration`: one inside host sends much to the outside.
//!
//! Counted are bytes on the wire of packets from an inside address to a single machine outside, in
//! conversations that the inside host opened: a server that answers the outside leaks nothing by being
//! asked. Packets without ports (later fragments, other protocols) count too.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, ByteCount, Timestamp};

use crate::event::{Counted, Event, OtherEvent, Setting};
use crate::home_net::HomeNet;
use crate::incident::{Finding, Findings};
use crate::per_source::earlier;
use crate::registry::DetectorConfig;

/// Bytes of one inside host, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressBytes {
    bytes: SlidingSum,
    since: Timestamp,
}

impl Recycle for EgressBytes {
    fn recycle(&mut self) {
        self.bytes.recycle();
    }
}

/// Storage for four inside hosts: about 1.3 KiB.
pub type EgressBytesSet = Set<Address, EgressBytes>;

#[derive(Debug)]
pub(crate) struct Exfiltration<'m> {
    table: Table<'m, Address, EgressBytes>,
    enabled: bool,
    severity: Severity,
    threshold: u32,
    window_s: u32,
    window: Duration,
    shape: WindowShape,
}

impl<'m> Exfiltration<'m> {
    pub(crate) fn new(sets: &'m mut [EgressBytesSet], config: &DetectorConfig) -> Self {
        let mut new = Self {
            table: Table::new(sets, Duration::ZERO),
            enabled: false,
            severity: Severity::Info,
            threshold: 0,
            window_s: 0,
            window: Duration::ZERO,
            shape: WindowShape::new(Duration::ZERO),
        };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        let [bytes, window_s, ..] = config.numbers;
        (self.threshold, self.window_s) = (bytes, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.window = Duration::from_secs(window_s.into());
        let shape = WindowShape::new(self.window);
        if shape != self.shape {
            // Buckets of another width cannot be read with the new shape.
            self.table.clear();
            self.shape = shape;
        }
        self.table.set_lifetime(self.window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Whether a packet counts whose sender opened the conversation.
    #[inline]
    pub(crate) fn counts(&self, home_net: &HomeNet, source: Address, destination: Address) -> bool {
        self.enabled && home_net.contains(source) && home_net.is_external(destination)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let FiveTuple { source, destination, .. } = event.packet.tuple;
        if event.role.from_initiator && self.counts(event.setting.home_net, source, destination) {
            self.ordinary(event.setting.now, event.source_hash, &event.packet.into(), findings);
        }
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        if let Some(packet) = &Counted::without_ports(event.packet)
            && self.counts(event.setting.home_net, packet.source, packet.destination)
        {
            let Setting { now, key, .. } = event.setting;
            self.ordinary(now, key.address(packet.source), packet, findings);
        }
    }

    /// Counts a packet for which [`Self::counts`] holds.
    pub(crate) fn ordinary(
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
        if sum < u64::from(self.threshold) {
            return;
        }
        let since = entry.value.since;
        self.report(since, sum, packet, findings);
    }

    #[cold]
    fn report(&self, since: Timestamp, sum: u64, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        findings.add(&Finding {
            test: Test::ExfiltrationBytesInWindow,
            severity: self.severity,
            first: since.max(earlier(findings.now, self.window)),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Bytes {
                count: ByteCount(sum),
                threshold: ByteCount(self.threshold.into()),
                window_s: self.window_s,
            },
            adds: packet.wire_len,
            scope: 0,
        });
    }
}
