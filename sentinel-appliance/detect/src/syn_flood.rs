//! `syn_flood`: one source sends connection requests without end.
//!
//! Read first: RFC 4987 section 2. A flood from many sources is not seen by this test.

use sentinel_alert::Test;
use sentinel_dissect::TcpFlags;

use crate::event::Event;
use crate::incident::Findings;
use crate::per_source::{Counted, PerSource, SourceSet};
use crate::registry::Config;

/// SYN-only packets, per source.
#[derive(Debug)]
pub(crate) struct SynFlood<'m>(PerSource<'m>);

impl<'m> SynFlood<'m> {
    pub(crate) fn new(sets: &'m mut [SourceSet], config: &Config) -> Self {
        Self(PerSource::new(Test::SynFloodPerSource, sets, config))
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        self.0.configure(config);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.0.evictions()
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let packet = event.packet;
        if self.0.enabled && packet.tcp_flags.is_some_and(TcpFlags::syn_only) {
            let counted = Counted {
                source: packet.source,
                destination: packet.destination,
                destination_port: Some(packet.destination_port),
                sender: packet.sender_mac(),
            };
            self.0.add(event.setting.now, event.source_hash, counted, findings);
        }
    }
}
