//! `icmp_flood`: one source sends echo requests without end.
//!
//! Read first: RFC 792 (echo), RFC 4443 section 4.1. Replies and errors are not counted: their sender was
//! asked for them.

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::Transport;

use crate::event::Event;
use crate::incident::Finding;
use crate::per_source::{PerSource, SourceSlot};
use crate::registry::Config;

#[derive(Debug)]
pub(crate) struct IcmpFlood<'m> {
    requests: PerSource<'m>,
    enabled: bool,
    severity: Severity,
    threshold: u32,
    window_s: u32,
}

impl<'m> IcmpFlood<'m> {
    pub(crate) fn new(slots: &'m mut [SourceSlot], config: &Config) -> Self {
        let requests = PerSource::new(slots);
        let mut new = Self { requests, enabled: false, severity: Severity::Info, threshold: 0, window_s: 0 };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        let [packets, window_s, ..] = config.numbers;
        (self.threshold, self.window_s) = (packets, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.requests.configure(packets, window_s);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.requests.table().evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let is_request = match &event.packet.transport {
            Transport::Icmp(icmp) => icmp.is_echo_request(),
            Transport::Icmpv6(icmpv6) => icmpv6.is_echo_request(),
            _ => false,
        };
        let Some(ip) = &event.ip else { return };
        if !self.enabled || !is_request {
            return;
        }
        let Some(first) = self.requests.add(event.key, ip.source, event.now) else { return };
        let Self { threshold, window_s, .. } = *self;
        report(Finding {
            test: Test::IcmpFloodPerSource,
            severity: self.severity,
            first,
            subject: Subject {
                source: Some(ip.source),
                destination: Some(ip.destination),
                mac: event.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Packets { count: threshold.into(), threshold, window_s },
            adds: 1,
            scope: 0,
        });
    }
}
