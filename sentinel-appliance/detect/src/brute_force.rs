//! `brute_force`: one source connects to one login service of one host again and again.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::TcpFlags;
use sentinel_track::recent::{EventLimit, SlidingLog};
use sentinel_track::table::{Set, Table};
use sentinel_units::{Address, Port};

use crate::event::Event;
use crate::incident::{Finding, Findings, scope};
use crate::per_source::earlier;
use crate::port_bloom::PortBloom;
use crate::registry::{DetectorConfig, MAX_PORTS};

/// Attempts told apart exactly; above, within 3 %.
const MARKS: usize = 64;

/// Who knocks where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoginAttempts {
    source: Address,
    target: Address,
    port: Port,
}

/// Storage for four doors: about 1.3 KiB.
pub type LoginAttemptsSet = Set<LoginAttempts, SlidingLog<MARKS>>;

#[derive(Debug)]
pub(crate) struct BruteForce<'m> {
    table: Table<'m, LoginAttempts, SlidingLog<MARKS>>,
    enabled: bool,
    severity: Severity,
    count: u32,
    window_s: u32,
    threshold: EventLimit,
    ports: heapless::Vec<u16, MAX_PORTS>,
    /// Says of most other ports that they are not among these.
    maybe: PortBloom,
}

impl<'m> BruteForce<'m> {
    pub(crate) fn new(sets: &'m mut [LoginAttemptsSet], config: &DetectorConfig) -> Self {
        let mut new = Self {
            table: Table::new(sets, Duration::ZERO),
            enabled: false,
            severity: Severity::Info,
            count: 0,
            window_s: 0,
            threshold: EventLimit::new(1, Duration::ZERO, MARKS),
            ports: heapless::Vec::new(),
            maybe: PortBloom::default(),
        };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        let [attempts, window_s, ..] = config.numbers;
        let window = Duration::from_secs(window_s.into());
        (self.count, self.window_s) = (attempts, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.threshold = EventLimit::new(attempts, window, MARKS);
        self.table.set_lifetime(window);
        self.ports.clone_from(&config.ports);
        self.maybe = self.ports().collect();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// The ports of the login services.
    pub(crate) fn ports(&self) -> impl Iterator<Item = Port> {
        self.ports.iter().map(|port| Port(*port))
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let packet = event.packet;
        if self.enabled
            && packet.tuple.tcp_flags.is_some_and(TcpFlags::syn_only)
            && self.maybe.may_contain(packet.tuple.destination_port)
            && self.ports.contains(&packet.tuple.destination_port.0)
        {
            self.add(event, findings);
        }
    }

    fn add(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (now, packet) = (event.setting.now, event.packet);
        let door = LoginAttempts {
            source: packet.tuple.source,
            target: packet.tuple.destination,
            port: packet.tuple.destination_port,
        };
        let scope = scope(door.target, door.port);
        let hash = event.setting.key.with(event.source_hash, scope);
        let Some(entry) = self.table.entry(hash, door, now) else { return };
        let Some(reached) = entry.value.add(self.threshold, now) else { return };
        findings.add(&Finding {
            test: Test::BruteForceSynInWindow,
            severity: self.severity,
            first: earlier(now, reached.since()),
            subject: Subject {
                source: Some(door.source),
                destination: Some(door.target),
                destination_port: Some(door.port),
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Attempts {
                count: self.count.into(),
                threshold: self.count,
                window_s: self.window_s,
            },
            adds: 1,
            scope,
        });
    }
}
