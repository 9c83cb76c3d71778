//! `exfiltration`: one inside host sends much to the outside.
//!
//! Counted are bytes on the wire of packets from an inside address to a single machine outside, in
//! conversations that the inside host opened: a server that answers the outside leaks nothing by being
//! asked. Packets without ports (later fragments, other protocols) count too.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_track::table::{Slot, Table};
use sentinel_track::window::{Sliding, WindowShape};
use sentinel_units::{Address, ByteCount, Timestamp};

use crate::event::Event;
use crate::incident::Finding;
use crate::per_source::earlier;
use crate::registry::Config;

/// Bytes of one inside host, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outbound {
    bytes: Sliding,
    since: Timestamp,
}

/// Storage for one inside host: about 320 bytes.
pub type OutboundSlot = Slot<Address, Outbound>;

#[derive(Debug)]
pub(crate) struct Exfiltration<'m> {
    table: Table<'m, Address, Outbound>,
    enabled: bool,
    severity: Severity,
    threshold: u32,
    window_s: u32,
    window: Duration,
    shape: WindowShape,
}

impl<'m> Exfiltration<'m> {
    pub(crate) fn new(slots: &'m mut [OutboundSlot], config: &Config) -> Self {
        let mut new = Self {
            table: Table::new(slots, Duration::ZERO),
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

    pub(crate) fn configure(&mut self, config: &Config) {
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

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let Some(ip) = event.ip.as_ref().filter(|_| self.enabled) else { return };
        if event.conversation.is_some_and(|conversation| !conversation.role.from_opener) {
            return;
        }
        if !event.inside.contains(ip.source) || !event.inside.is_outside(ip.destination) {
            return;
        }
        let (now, bytes) = (event.now, event.packet.wire_len);
        let Some(entry) = self.table.entry(event.key.address(ip.source), ip.source, now) else { return };
        if entry.is_new {
            entry.value.since = now;
        }
        let sum = entry.value.bytes.add(self.shape, now, bytes);
        if sum < u64::from(self.threshold) {
            return;
        }
        report(Finding {
            test: Test::ExfiltrationBytesInWindow,
            severity: self.severity,
            first: entry.value.since.max(earlier(now, self.window)),
            subject: Subject {
                source: Some(ip.source),
                destination: Some(ip.destination),
                destination_port: event.conversation.map(|conversation| conversation.destination.port),
                mac: event.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Bytes {
                count: ByteCount(sum),
                threshold: ByteCount(self.threshold.into()),
                window_s: self.window_s,
            },
            adds: bytes,
            scope: 0,
        });
    }
}
