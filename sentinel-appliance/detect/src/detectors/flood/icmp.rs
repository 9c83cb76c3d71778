//! `icmp_flood`: one source sends echo requests without end.
//!
//! Read first: RFC 792 (echo), RFC 4443 section 4.1. Replies and errors are not counted: their sender was
//! asked for them.

use sentinel_alert::Test;
use sentinel_dissect::Transport;

use crate::incident::Findings;
use crate::registry::DetectorConfig;
use crate::shared::event::{Counted, OtherEvent, Setting};
use crate::shared::rate::{PerSource, SourceSet};

/// Echo requests of both families, per source.
#[derive(Debug)]
pub(crate) struct IcmpFlood<'m>(PerSource<'m>);

impl<'m> IcmpFlood<'m> {
    pub(crate) fn new(sets: &'m mut [SourceSet], config: &DetectorConfig) -> Self {
        Self(PerSource::new(Test::IcmpFloodPerSource, sets, config))
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.0.configure(config);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.0.evictions()
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let is_request = match &event.packet.transport {
            Transport::Icmp(icmp) => icmp.is_echo_request(),
            Transport::Icmpv6(icmpv6) => icmpv6.is_echo_request(),
            _ => false,
        };
        if !self.0.is_enabled() || !is_request {
            return;
        }
        if let Some(packet) = &Counted::without_ports(event.packet) {
            let Setting { now, key, .. } = event.setting;
            self.0.add(now, key.address(packet.source), packet, findings);
        }
    }
}
