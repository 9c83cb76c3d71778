//! "One source sends many of these within a window", the test that floods share.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_track::recent::{Recent, Threshold};
use sentinel_track::table::{Set, Table};
use sentinel_units::{Address, Mac, Port, Timestamp};

use crate::incident::{Finding, Findings};
use crate::registry::Config;

/// Events told apart exactly; above, within 1 %.
const MARKS: usize = 256;

/// Storage for four sources: about 4 KiB.
pub type SourceSet = Set<Address, Recent<MARKS>>;

/// Counts packets of one sort per source address. The first two numbers of its settings are the threshold and the
/// window.
#[derive(Debug)]
pub(crate) struct PerSource<'m> {
    test: Test,
    table: Table<'m, Address, Recent<MARKS>>,
    pub(crate) enabled: bool,
    severity: Severity,
    packets: u32,
    window_s: u32,
    threshold: Threshold,
}

impl<'m> PerSource<'m> {
    pub(crate) fn new(test: Test, sets: &'m mut [SourceSet], config: &Config) -> Self {
        let mut new = Self {
            test,
            table: Table::new(sets, Duration::ZERO),
            enabled: false,
            severity: Severity::Info,
            packets: 0,
            window_s: 0,
            threshold: Threshold::new(1, Duration::ZERO, MARKS),
        };
        new.configure(config);
        new
    }

    /// Counts already made stay, as far as the new numbers can use them.
    pub(crate) fn configure(&mut self, config: &Config) {
        let [packets, window_s, ..] = config.numbers;
        let window = Duration::from_secs(window_s.into());
        (self.packets, self.window_s) = (packets, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.threshold = Threshold::new(packets, window, MARKS);
        self.table.set_lifetime(window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Counts a packet for its source, and reports if that is at or over the threshold.
    #[inline]
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        packet: Counted,
        findings: &mut Findings<'_, '_>,
    ) {
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else { return };
        let Some(span) = entry.value.add(self.threshold, now) else { return };
        findings.add(&Finding {
            test: self.test,
            severity: self.severity,
            first: earlier(now, span),
            subject: Subject {
                source: Some(packet.source),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender,
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

/// A packet to count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) destination_port: Option<Port>,
    pub(crate) sender: Option<Mac>,
}

/// The instant `span` before `now`.
pub(crate) fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos().saturating_sub(Timestamp::ZERO.after(span).as_nanos()))
}
