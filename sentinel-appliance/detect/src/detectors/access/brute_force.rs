//! `brute_force`: one source connects to one login service of one host again and again.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::TcpFlags;
use sentinel_track::recent::{self, SlidingLog};
use sentinel_track::table::{Set, Table};
use sentinel_units::{Address, Port};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig, MAX_PORTS, PortsSetting, thresholds};
use crate::shared::event::Event;
use crate::shared::port_bloom::PortBloom;
use crate::shared::rate::{Activation, Threshold, earlier};

thresholds! {
    /// Thresholds of `brute_force`.
    Thresholds {
        attempts: "attempts", default 30, 2 to 10_000,
            "SYN-only packets from one source to one port of one host that make a brute force";
        window_s: "s", default 30, 1 to 3_600, "length of the sliding window";
    }
}

/// Attempts up to which a threshold is exact; a larger one is met within 3 %.
const MARKS: usize = 64;

/// Key of the table: a source and the login service that it connects to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoginAttempts {
    source: Address,
    target: Address,
    port: Port,
}

/// Storage for four pairs of source and login service: about 1.3 KiB.
pub type LoginAttemptsSet = Set<LoginAttempts, SlidingLog<MARKS>>;

/// Times of the last attempts of each source at each login service.
#[derive(Debug)]
pub(crate) struct BruteForce<'m> {
    table: Table<'m, LoginAttempts, SlidingLog<MARKS>>,
    activation: Activation,
    threshold: Threshold,
    /// The threshold as [`SlidingLog`] takes it.
    prepared: recent::EventLimit,
    ports: heapless::Vec<u16, MAX_PORTS>,
    /// Excludes most ports that are not among `ports`.
    filter: PortBloom,
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { attempts, window_s } = config.into();
    Threshold::new(attempts, window_s)
}

fn prepared(threshold: Threshold) -> recent::EventLimit {
    recent::EventLimit::new(threshold.limit, threshold.window, MARKS)
}

impl<'m> BruteForce<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::BruteForce,
        about: "one source opens many connections to one login service of one host within a window",
        source: "common practice: one attempt a second for thirty seconds",
        severity: Severity::High,
        thresholds: Thresholds::SETTINGS,
        ports: Some(PortsSetting {
            name: "ports",
            default: &[21, 22, 23, 445, 1433, 3306, 3389, 5432, 5900],
            help: "login services: FTP, SSH, Telnet, SMB, SQL Server, MySQL, RDP, PostgreSQL, VNC",
        }),
    };

    pub(crate) fn new(sets: &'m mut [LoginAttemptsSet], config: &DetectorConfig) -> Self {
        let threshold = threshold(config);
        Self {
            table: Table::new(sets, threshold.window),
            activation: config.into(),
            threshold,
            prepared: prepared(threshold),
            ports: config.ports.clone(),
            filter: config.ports.iter().copied().map(Port).collect(),
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
        self.prepared = prepared(self.threshold);
        self.table.set_lifetime(self.threshold.window);
        self.ports.clone_from(&config.ports);
        self.filter = self.watched_ports().collect();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Ports whose connection requests must not be merely counted.
    pub(crate) fn watched_ports(&self) -> impl Iterator<Item = Port> {
        self.ports.iter().map(|port| Port(*port))
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let packet = event.packet;
        if self.activation.enabled
            && packet.tuple.tcp_flags.is_some_and(TcpFlags::syn_only)
            && self.filter.may_contain(packet.tuple.destination_port)
            && self.ports.contains(&packet.tuple.destination_port.0)
        {
            self.add(event, findings);
        }
    }

    fn add(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (now, packet) = (event.setting.now, event.packet);
        let login = LoginAttempts {
            source: packet.tuple.source,
            target: packet.tuple.destination,
            port: packet.tuple.destination_port,
        };
        let scope = scope(login.target, login.port);
        let hash = event.setting.key.with(event.source_hash, scope);
        let Some(entry) = self.table.entry(hash, login, now) else { return };
        let Some(reached) = entry.value.add(self.prepared, now) else { return };
        findings.add(&Finding {
            test: Test::BruteForceSynInWindow,
            severity: self.activation.severity,
            first: earlier(now, reached.since()),
            subject: Subject {
                source: Some(login.source),
                destination: Some(login.target),
                destination_port: Some(login.port),
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Attempts {
                count: self.threshold.limit.into(),
                threshold: self.threshold.limit,
                window_s: self.threshold.window_s(),
            },
            adds: 1,
            scope,
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    use crate::testkit::{
        ATTACKER, CLIENT, Filling, SYN, VICTIM, each, first_alert, halves, only, opened, other, play, tcp,
    };

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        let login = |number| tcp((ATTACKER, 40_000 + number), (VICTIM, 22), SYN);
        assert_eq!(opened(each(29, 100, login)), []);
        let at = play(each(30, 100, login));
        assert_eq!(only(&at.raised).evidence, Evidence::Attempts { count: 30, threshold: 30, window_s: 30 });
        assert_eq!(only(&at.raised).subject.destination_port, Some(Port(22)));
        assert_eq!(opened(each(90, 100, login)), [Test::BruteForceSynInWindow]);
        assert_eq!(opened(halves(each(58, 100, login), 29, 30_100)), []);
        assert_eq!(opened(halves(each(30, 100, login), 15, 26_000)), [Test::BruteForceSynInWindow]);
        let web = |number| tcp((ATTACKER, 40_000 + number), (VICTIM, 443), SYN);
        assert_eq!(opened(each(90, 100, web)), [], "no login service");
        // Another host, another service, another source: each is counted alone.
        let two_hosts = |number: u16| {
            let host = if number.is_multiple_of(2) { VICTIM } else { CLIENT };
            tcp((ATTACKER, 40_000 + number), (host, 22), SYN)
        };
        assert_eq!(opened(each(58, 100, two_hosts)), []);
        let two_services = |number: u16| {
            tcp((ATTACKER, 40_000 + number), (VICTIM, if number.is_multiple_of(2) { 22 } else { 3389 }), SYN)
        };
        assert_eq!(opened(each(58, 100, two_services)), []);
        let two_sources = |number: u16| {
            let source = if number.is_multiple_of(2) { ATTACKER } else { CLIENT };
            tcp((source, 40_000 + number), (VICTIM, 22), SYN)
        };
        assert_eq!(opened(each(58, 100, two_sources)), []);
        assert_eq!(opened(each(60, 100, two_sources)).len(), 2);
    }

    /// 64 times are kept: up to there the threshold is exact, above it the alert may come up to two strides late and never early.
    #[test]
    fn thresholds_are_exact_up_to_the_marks_and_never_early_above() {
        let login = |number| tcp((ATTACKER, 20_000 + number), (VICTIM, 22), SYN);
        for attempts in [2, 63, 64] {
            assert_eq!(first_alert(Kind::BruteForce, "attempts", attempts, login), attempts);
        }
        for (attempts, stride) in [(65, 2), (1_000, 16), (10_000, 157)] {
            let at = first_alert(Kind::BruteForce, "attempts", attempts, login);
            assert!((attempts..=attempts + 2 * stride).contains(&at), "{attempts}: {at}");
        }
    }

    const FILLING: Filling = Filling {
        test: Test::BruteForceSynInWindow,
        use_one: |sensor, number, millis| {
            sensor.frame(millis, &tcp((other(number), 40_000), (VICTIM, 22), SYN));
        },
        attack: |sensor, millis| {
            (0..30).for_each(|port| sensor.frame(millis, &tcp((ATTACKER, 40_000 + port), (VICTIM, 22), SYN)));
        },
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }
}
