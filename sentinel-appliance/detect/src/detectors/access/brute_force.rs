//! `brute_force`: one source tries passwords at a login service.
//!
//! Read first: Hofstede et al., SSH compromise detection using NetFlow/IPFIX (2014): sessions of an attack are alike; RFC 4252 section
//! 5.1 (failure of SSH), RFC 959 (530), RFC 4954 (535), RFC 1939, RFC 3501, RFC 9110 section 15.5.2 (401), and the error messages of
//! SMB2, `MySQL`, `PostgreSQL` and VNC.
//!
//! - `syn_in_window`: connection requests to a listed port. Configuration tools and connection pools make as many, so if most of the
//!   pair's sessions worked it claims no attack (`low` at most).
//! - `failed_sessions`: log-ins that the server refused ([`session`](super::session)), on every port of which the fourth connection of a
//!   source within a minute is new, and on listed ports always. Counted for a source at a service, for a source at all hosts
//!   (password spray), and for a service and all sources.
//!
//! Counts are forgotten half an hour after the last failure. With several workers the failures of a source at hosts of different workers
//! are counted apart, and requests do not know which sessions worked. Not seen: protocols whose refusals are encrypted other than SSH
//! (RDP, and all over TLS), unless `syn_in_window` fires.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_track::recent::{self, SlidingLog};
use sentinel_track::table::{Set, Table};
use sentinel_units::{Address, Port};

use super::failures::Failures;
use super::session::{Refusal, Session};
use crate::detectors::FlowRequest;
use crate::detectors::payload::watch::WATCHED;
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
        failures: "log-ins", default 20, 3 to 10_000,
            "refused log-ins of one source at one service, without half an hour between two, that make a brute force";
        hosts: "hosts", default 12, 3 to 30,
            "hosts that refused log-ins of one source on one port, or sources that one service refused, that make a brute force";
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
    limits: [u32; 2],
    ports: heapless::Vec<u16, MAX_PORTS>,
    /// Excludes most ports that are not among `ports`.
    filter: PortBloom,
    failures: Failures,
    /// About the flow of the last packet.
    pub(crate) request: Option<FlowRequest>,
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { attempts, window_s, .. } = config.into();
    Threshold::new(attempts, window_s)
}

fn limits(config: &DetectorConfig) -> [u32; 2] {
    let Thresholds { failures, hosts, .. } = config.into();
    [failures, hosts]
}

fn prepared(threshold: Threshold) -> recent::EventLimit {
    recent::EventLimit::new(threshold.limit, threshold.window, MARKS)
}

impl<'m> BruteForce<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::BruteForce,
        about: "one source opens many connections to one login service of one host within a window (low at most if they work), or its \
                log-ins are refused again and again, at one host or many",
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
            limits: limits(config),
            ports: config.ports.clone(),
            filter: config.ports.iter().copied().map(Port).collect(),
            failures: Failures::default(),
            request: None,
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
        self.prepared = prepared(self.threshold);
        self.limits = limits(config);
        self.table.set_lifetime(self.threshold.window);
        self.ports.clone_from(&config.ports);
        self.filter = self.watched_ports().collect();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions() + self.failures.evictions()
    }

    /// Ports whose connection requests must not be merely counted.
    pub(crate) fn watched_ports(&self) -> impl Iterator<Item = Port> {
        self.ports.iter().map(|port| Port(*port))
    }

    fn is_listed(&self, port: Port) -> bool {
        self.filter.may_contain(port) && self.ports.contains(&port.0)
    }

    /// Returns true, and leaves a request, if the packets of the responder must be read on.
    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let Some(flags) = event.packet.tuple.tcp_flags else { return false };
        if !self.activation.enabled {
            return false;
        }
        if event.role.from_initiator {
            if flags.syn_only() && self.is_listed(event.packet.tuple.destination_port) {
                self.add(event, findings);
            }
            return false;
        }
        if flags.syn_ack() { self.opened(event) } else { self.response(event, findings) }
    }

    /// A connection was accepted.
    #[inline(never)]
    fn opened(&mut self, event: &Event<'_, '_>) -> bool {
        let is_watched = self.is_listed(event.packet.tuple.source_port)
            || self.failures.is_repeated(pair(event), event.setting.now);
        self.request = is_watched.then_some(FlowRequest::Session(Session::OPENED | event.session & WATCHED));
        is_watched
    }

    #[inline]
    fn response(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        event.session & !WATCHED != 0 && self.read(event, findings)
    }

    /// Reads a segment of the responder of a session that is followed.
    #[inline(never)]
    fn read(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let mut session = Session::from(event.session);
        let len = event.packet.tcp_payload_len();
        match session.read(event.packet.payload(), len) {
            Refusal::None => {}
            Refusal::One => self.refused(event, findings),
            Refusal::Revoked(count) => {
                self.failures.worked(pair(event), count, event.setting.now);
                return false;
            }
            Refusal::Unknown => return false,
        }
        self.request = Some(FlowRequest::Session(u32::from(session) | event.session & WATCHED));
        true
    }

    /// Counts a refused log-in for the pair, for its source and for the service.
    fn refused(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (now, key, packet) = (event.setting.now, event.setting.key, event.packet);
        let (client, server, port) =
            (packet.tuple.destination, packet.tuple.source, packet.tuple.source_port);
        let port_hash = u32::from(port.0).wrapping_mul(0x9e37_79b1);
        let [of_client, of_server] = [key.address(client), event.source_hash].map(|hash| hash ^ port_hash);
        let [failures, hosts] = self.limits;
        let pair = self.failures.refused(pair(event), 0, now);
        let source = self.failures.refused(of_client, of_server, now);
        let service = self.failures.refused(of_server.rotate_left(9), of_client, now);
        let subject = |client, server| Subject {
            source: client,
            destination: server,
            destination_port: Some(port),
            ..Subject::default()
        };
        // A host of a spray is not named as well, nor a source of many.
        let (subject, count, threshold, scope) = if source.peers >= hosts {
            (subject(Some(client), None), source, hosts, port.0.into())
        } else if service.peers >= hosts {
            (subject(None, Some(server)), service, hosts, scope(server, port))
        } else if pair.count >= failures {
            (subject(Some(client), Some(server)), pair, failures, scope(server, port))
        } else {
            return;
        };
        if !self.failures.is_due(count) {
            return;
        }
        findings.add(&Finding {
            test: Test::BruteForceFailedSessions,
            severity: self.activation.severity,
            first: count.first(now),
            subject,
            evidence: Evidence::Attempts { count: count.count.into(), threshold, window_s: count.span_s() },
            adds: 1,
            scope,
        });
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
        let works = self.failures.works(pair(event), now);
        let Activation { severity, .. } = self.activation;
        findings.add(&Finding {
            test: Test::BruteForceSynInWindow,
            severity: if works { self.activation.ordinary(Self::DETECTOR.severity) } else { severity },
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
            // Sessions that work are an incident of their own, so that others later are another one.
            scope: scope ^ u32::from(works),
        });
    }
}

/// Hash of client, server and port, the same for packets of both directions.
fn pair(event: &Event<'_, '_>) -> u32 {
    let (key, tuple) = (event.setting.key, &event.packet.tuple);
    let (client, server, port) = if event.role.from_initiator {
        (tuple.source, tuple.destination, tuple.destination_port)
    } else {
        (tuple.destination, tuple.source, tuple.source_port)
    };
    key.with(key.address(client), key.address(server) ^ u32::from(port.0))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use crate::testkit::{
        ACK, ATTACKER, CLIENT, Filling, SYN, SYN_ACK, Sensor, VICTIM, each, first_alert, halves, ipv4, only,
        opened, other, play, segment, tcp,
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

    /// 64 times are kept: up to there the threshold is exact, above it the alert of a burst comes at it as well.
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

    /// A session: handshake, and segments of the server that begin so and have so many bytes.
    fn session(sensor: &mut Sensor, millis: u64, ends: [(Ipv4Addr, u16); 2], answers: &[(&[u8], usize)]) {
        let [client, server] = ends;
        sensor.frame(millis, &tcp(client, server, SYN));
        sensor.frame(millis + 1, &tcp(server, client, SYN_ACK));
        sensor.frame(millis + 2, &tcp(client, server, ACK));
        for (start, len) in answers {
            let mut payload = start.to_vec();
            payload.resize((*len).max(start.len()), 0x5a);
            let frame = ipv4(server.0, client.0, 6, &segment(server.1, client.1, ACK, &payload));
            sensor.fast(millis + 3, &frame);
        }
    }

    const BANNER: (&[u8], usize) = (b"SSH-2.0-OpenSSH_9.2p1\r\n", 41);
    const REFUSED: [(&[u8], usize); 5] = [BANNER, (b"", 1_088), (b"", 524), (b"", 44), (b"", 76)];
    const WORKS: [(&[u8], usize); 8] =
        [BANNER, (b"", 1_088), (b"", 524), (b"", 44), (b"", 76), (b"", 28), (b"", 628), (b"", 176)];

    /// Findings of sessions, `gap_s` apart.
    fn sessions(
        count: u16,
        gap_s: u64,
        ends: impl Fn(u16) -> [(Ipv4Addr, u16); 2],
        answers: &[(&[u8], usize)],
    ) -> Vec<(Test, Severity, bool, bool)> {
        let mut sensor = Sensor::new();
        (0..count).for_each(|number| {
            session(&mut sensor, u64::from(number) * gap_s * 1_000, ends(number), answers);
        });
        sensor
            .raised
            .iter()
            .filter(|alert| alert.phase == sentinel_alert::Phase::Open)
            .map(|alert| {
                (
                    alert.test,
                    alert.severity,
                    alert.subject.source.is_some(),
                    alert.subject.destination.is_some(),
                )
            })
            .collect()
    }

    fn port(number: u16, service: u16) -> [(Ipv4Addr, u16); 2] {
        [(ATTACKER, 40_000 + number), (VICTIM, service)]
    }

    const FAILED: (Test, Severity, bool, bool) = (Test::BruteForceFailedSessions, Severity::High, true, true);

    #[test]
    fn refused_log_ins_count_however_slow_and_on_any_port() {
        assert_eq!(sessions(19, 300, |number| port(number, 22), &REFUSED), []);
        assert_eq!(sessions(31, 300, |number| port(number, 22), &REFUSED), [FAILED]);
        assert_eq!(sessions(70, 300, |number| port(number, 22), &REFUSED), [FAILED; 3], "20, 32 and 64");
        assert_eq!(sessions(30, 2, |number| port(number, 2_222), &REFUSED), [FAILED], "another port");
        let ftp = [&[(&b"220 ftp\r\n"[..], 9)][..], &[(&b"530 no\r\n"[..], 8); 20]].concat();
        assert_eq!(sessions(1, 1, |number| port(number, 21), &ftp), [FAILED], "one connection");
        assert_eq!(sessions(60, 2_000, |number| port(number, 22), &REFUSED), [], "half an hour between two");
    }

    #[test]
    fn sessions_that_work_claim_nothing() {
        assert_eq!(sessions(200, 300, |number| port(number, 22), &WORKS), []);
        let low = (Test::BruteForceSynInWindow, Severity::Low, true, true);
        assert_eq!(sessions(60, 0, |number| port(number, 22), &WORKS), [low], "a configuration tool");
        assert_eq!(sessions(60, 0, |number| port(number, 3_306), &[(b"", 900)]), [low], "a connection pool");
        let high = (Test::BruteForceSynInWindow, Severity::High, true, true);
        assert_eq!(
            sessions(60, 0, |number| port(number, 3_389), &[(&[3, 0, 0, 19], 19), (b"", 1_200)]),
            [high]
        );
    }

    #[test]
    fn a_spray_names_its_source_and_many_sources_their_victim() {
        let host = |number: u16| Ipv4Addr::new(10, 20, 40, u8::try_from(number).unwrap());
        let spray = |number: u16| [(ATTACKER, 40_000 + number), (host(number), 22)];
        assert_eq!(sessions(40, 20, spray, &REFUSED), [(FAILED.0, FAILED.1, true, false)]);
        let many = |number: u16| [(host(number), 40_000), (VICTIM, 22)];
        assert_eq!(sessions(40, 20, many, &REFUSED), [(FAILED.0, FAILED.1, false, true)]);
        assert_eq!(sessions(8, 20, spray, &REFUSED), []);
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
