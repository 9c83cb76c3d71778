//! `syn_flood`: one source sends connection requests without end.
//!
//! Read first: RFC 4987 section 2. A flood from many sources is not seen by this test.

use core::time::Duration;

use sentinel_alert::Test;
use sentinel_dissect::TcpFlags;
use sentinel_units::Timestamp;

use crate::incident::Findings;
use crate::registry::DetectorConfig;
use crate::shared::event::Counted;
use crate::shared::rate::{Rate, Times};

/// SYN-only packets, per source.
#[derive(Debug)]
pub(crate) struct SynFlood(Rate);

impl SynFlood {
    pub(crate) fn new(config: &DetectorConfig) -> Self {
        Self(Rate::new(Test::SynFloodPerSource, config))
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.0.configure(config);
    }

    /// What is remembered of a source is of use for so long.
    pub(crate) fn window(&self) -> Duration {
        self.0.window()
    }

    #[inline]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.0.enabled
    }

    /// Whether a packet counts.
    #[inline]
    pub(crate) fn counts(&self, tcp_flags: Option<TcpFlags>) -> bool {
        self.0.enabled && tcp_flags.is_some_and(TcpFlags::syn_only)
    }

    /// Counts a packet for its source.
    #[inline]
    pub(crate) fn add(
        &self,
        times: &mut Times,
        now: Timestamp,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.0.add(times, now, packet, findings);
    }

    /// A packet of a source that does not count.
    #[inline(never)] // keeps the way of a flood short
    pub(crate) fn expire(&self, times: &mut Times, now: Timestamp) {
        self.0.expire(times, now);
    }
}
