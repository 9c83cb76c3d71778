//! `brute_force`: one source connects to one login service of one host again and again.

use core::time::Duration;

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::Transport;
use sentinel_track::recent::{Recent, Threshold};
use sentinel_track::table::{Slot, Table};
use sentinel_units::{Address, Port};

use crate::event::Event;
use crate::incident::{Finding, scope};
use crate::per_source::earlier;
use crate::registry::{Config, MAX_PORTS};

/// Attempts told apart exactly; above, within 3 %.
const MARKS: usize = 64;

/// Who knocks where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Door {
    source: Address,
    target: Address,
    port: Port,
}

/// Storage for one door: about 320 bytes.
pub type DoorSlot = Slot<Door, Recent<MARKS>>;

#[derive(Debug)]
pub(crate) struct BruteForce<'m> {
    table: Table<'m, Door, Recent<MARKS>>,
    enabled: bool,
    severity: Severity,
    count: u32,
    window_s: u32,
    threshold: Threshold,
    ports: heapless::Vec<u16, MAX_PORTS>,
}

impl<'m> BruteForce<'m> {
    pub(crate) fn new(slots: &'m mut [DoorSlot], config: &Config) -> Self {
        let mut new = Self {
            table: Table::new(slots, Duration::ZERO),
            enabled: false,
            severity: Severity::Info,
            count: 0,
            window_s: 0,
            threshold: Threshold::new(1, Duration::ZERO, MARKS),
            ports: heapless::Vec::new(),
        };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        let [attempts, window_s, ..] = config.numbers;
        let window = Duration::from_secs(window_s.into());
        (self.count, self.window_s) = (attempts, window_s);
        (self.enabled, self.severity) = (config.enabled, config.severity);
        self.threshold = Threshold::new(attempts, window, MARKS);
        self.table.set_lifetime(window);
        self.ports.clone_from(&config.ports);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let (Some(ip), Transport::Tcp(tcp)) = (&event.ip, &event.packet.transport) else { return };
        if !self.enabled || !tcp.flags.syn_only() || !self.ports.contains(&tcp.destination_port.0) {
            return;
        }
        let door = Door { source: ip.source, target: ip.destination, port: tcp.destination_port };
        let scope = scope(door.target, door.port);
        let hash = event.key.with(event.key.address(door.source), scope);
        let Some(entry) = self.table.entry(hash, door, event.now) else { return };
        let Some(span) = entry.value.add(self.threshold, event.now) else { return };
        report(Finding {
            test: Test::BruteForceSynInWindow,
            severity: self.severity,
            first: earlier(event.now, span),
            subject: Subject {
                source: Some(door.source),
                destination: Some(door.target),
                destination_port: Some(door.port),
                mac: event.sender_mac(),
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
