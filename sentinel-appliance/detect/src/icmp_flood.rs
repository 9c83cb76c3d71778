//! `icmp_flood`: one source sends echo requests without end.
//!
//! Read first: RFC 792 (echo), RFC 4443 section 4.1. Replies and errors are not counted: their sender was
//! asked for them.

use sentinel_alert::Test;
use sentinel_dissect::Transport;

use crate::event::Event;
use crate::incident::Finding;
use crate::per_source::{PerSource, SourceSlot};
use crate::registry::Config;

/// Echo requests of both families, per source.
#[derive(Debug)]
pub(crate) struct IcmpFlood<'m>(PerSource<'m>);

impl<'m> IcmpFlood<'m> {
    pub(crate) fn new(slots: &'m mut [SourceSlot], config: &Config) -> Self {
        Self(PerSource::new(Test::IcmpFloodPerSource, slots, config))
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        self.0.configure(config);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.0.evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let is_request = match &event.packet.transport {
            Transport::Icmp(icmp) => icmp.is_echo_request(),
            Transport::Icmpv6(icmpv6) => icmpv6.is_echo_request(),
            _ => false,
        };
        if self.0.enabled && is_request {
            self.0.add(event, None, report);
        }
    }
}
