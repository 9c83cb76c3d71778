//! "One source sends many of these within a window", the test that floods share.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_track::recent::{EventLimit, LimitReached, SlidingLog};
use sentinel_track::table::{Set, Table};
use sentinel_units::{Address, Timestamp};

use crate::event::Counted;
use crate::incident::{Finding, Findings};
use crate::registry::DetectorConfig;

/// Events told apart exactly; above, within 1 %.
const MARKS: usize = 256;

/// When packets of one sort came from one source.
pub(crate) type Times = SlidingLog<MARKS>;

/// Storage for four sources: about 4 KiB.
pub type SourceSet = Set<Address, Times>;

/// How many packets of one sort are too many from one source. The first two numbers of its settings are the threshold
/// and the window.
#[derive(Debug)]
pub(crate) struct Rate {
    test: Test,
    pub(crate) enabled: bool,
    severity: Severity,
    packets: u32,
    window_s: u32,
    threshold: EventLimit,
}

impl Rate {
    pub(crate) fn new(test: Test, config: &DetectorConfig) -> Self {
        let [packets, window_s, ..] = config.numbers;
        Self {
            test,
            enabled: config.enabled,
            severity: config.severity,
            packets,
            window_s,
            threshold: EventLimit::new(packets, Duration::from_secs(window_s.into()), MARKS),
        }
    }

    /// Counts already made stay, as far as the new numbers can use them.
    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        *self = Self::new(self.test, config);
    }

    /// What is remembered of a source is of use for so long.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.window_s.into())
    }

    /// Counts a packet for its source, and reports if that is at or over the threshold.
    #[inline]
    pub(crate) fn add(
        &self,
        times: &mut Times,
        now: Timestamp,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        if let Some(reached) = times.add(self.threshold, now)
            && !findings.bump_latest(self.test, packet)
        {
            self.report(reached, packet, findings);
        }
    }

    /// Keeps times from growing so old that they seem new, for a source that sends other packets meanwhile.
    #[inline]
    pub(crate) fn expire(&self, times: &mut Times, now: Timestamp) {
        times.expire(self.threshold, now);
    }

    #[cold]
    fn report(&self, reached: LimitReached, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        findings.add(&Finding {
            test: self.test,
            severity: self.severity,
            first: earlier(findings.now, reached.since()),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Packets {
                count: self.packets.into(),
                threshold: self.packets,
                window_s: self.window_s,
            },
            adds: 1,
            scope: 0,
        });
    }
}

/// Counts packets of one sort per source address.
#[derive(Debug)]
pub(crate) struct PerSource<'m> {
    table: Table<'m, Address, Times>,
    rate: Rate,
}

impl<'m> PerSource<'m> {
    pub(crate) fn new(test: Test, sets: &'m mut [SourceSet], config: &DetectorConfig) -> Self {
        let rate = Rate::new(test, config);
        Self { table: Table::new(sets, rate.window()), rate }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.rate.configure(config);
        self.table.set_lifetime(self.rate.window());
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.rate.enabled
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Counts a packet for its source, and reports if that is at or over the threshold.
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        if let Some(entry) = self.table.entry(source_hash, packet.source, now) {
            self.rate.add(entry.value, now, packet, findings);
        }
    }
}

/// The instant `span` before `now`.
pub(crate) fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos().saturating_sub(Timestamp::ZERO.after(span).as_nanos()))
}
