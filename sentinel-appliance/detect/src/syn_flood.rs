//! `syn_flood`: one source sends connection requests without end.
//!
//! Read first: RFC 4987 section 2. A flood from many sources is not seen by this test.

use sentinel_alert::Test;
use sentinel_dissect::Transport;

use crate::event::Event;
use crate::incident::Finding;
use crate::per_source::{PerSource, SourceSlot};
use crate::registry::Config;

/// SYN-only packets, per source.
#[derive(Debug)]
pub(crate) struct SynFlood<'m>(PerSource<'m>);

impl<'m> SynFlood<'m> {
    pub(crate) fn new(slots: &'m mut [SourceSlot], config: &Config) -> Self {
        Self(PerSource::new(Test::SynFloodPerSource, slots, config))
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        self.0.configure(config);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.0.evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let Transport::Tcp(tcp) = &event.packet.transport else { return };
        if self.0.enabled && tcp.flags.syn_only() {
            self.0.add(event, Some(tcp.destination_port), report);
        }
    }
}
