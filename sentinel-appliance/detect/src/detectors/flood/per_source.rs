//! Test "one source sends at least this many packets within a window", which the flood detectors share.

use core::time::Duration;

use sentinel_alert::{Evidence, Subject, Test};
use sentinel_track::recent::{self, LimitReached, SlidingLog};
use sentinel_units::Timestamp;

use crate::incident::{Finding, Findings};
use crate::shared::event::Counted;
use crate::shared::rate::{Activation, Threshold, earlier};

/// Packets up to which a threshold is exact; a larger one is met less than 1 % late, at 200 packets one of them, and never early.
pub(super) const MARKS: usize = 128;

/// Times of the last packets of one source: a sliding-window log of half a KiB.
pub(crate) type Times = SlidingLog<MARKS>;

/// Test of the times of one source against a threshold. It holds no table, so that detectors can keep the times beside other
/// state of the source.
#[derive(Debug)]
pub(crate) struct Rate {
    test: Test,
    activation: Activation,
    threshold: Threshold,
    /// The threshold as [`SlidingLog`] takes it.
    prepared: recent::EventLimit,
}

impl Rate {
    pub(crate) fn new(test: Test, activation: Activation, threshold: Threshold) -> Self {
        let prepared = recent::EventLimit::new(threshold.limit, threshold.window, MARKS);
        Self { test, activation, threshold, prepared }
    }

    #[inline]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.activation.enabled
    }

    /// Time after which the times of a silent source are of no use.
    pub(crate) const fn window(&self) -> Duration {
        self.threshold.window
    }

    /// Counts a packet for its source, and reports if that is at or over the threshold, which it returns.
    #[inline]
    pub(crate) fn add(
        &self,
        times: &mut Times,
        now: Timestamp,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Some(reached) = times.add(self.prepared, now) else { return false };
        if !findings.bump_latest(self.test, packet) {
            self.report(reached, packet, findings);
        }
        true
    }

    /// Drops times that are older than the window, for a source that sends other packets meanwhile: the 32-bit times wrap
    /// after a month and would look new.
    #[inline]
    pub(crate) fn expire(&self, times: &mut Times, now: Timestamp) {
        times.expire(self.prepared, now);
    }

    #[cold]
    fn report(&self, reached: LimitReached, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        findings.add(&finding(
            self.test,
            self.activation,
            self.threshold,
            earlier(findings.now, reached.since()),
            packet,
        ));
    }
}

/// Finding of a flood: `packet` brought its source to the threshold, counted from `first` on.
pub(crate) fn finding(
    test: Test,
    activation: Activation,
    threshold: Threshold,
    first: Timestamp,
    packet: &Counted<'_>,
) -> Finding {
    Finding {
        test,
        severity: activation.severity,
        first,
        subject: Subject {
            source: Some(packet.source),
            destination: Some(packet.destination),
            destination_port: packet.destination_port,
            mac: packet.sender_mac(),
            ..Subject::default()
        },
        evidence: Evidence::Packets {
            count: threshold.limit.into(),
            threshold: threshold.limit,
            window_s: threshold.window_s(),
        },
        adds: 1,
        scope: 0,
    }
}
