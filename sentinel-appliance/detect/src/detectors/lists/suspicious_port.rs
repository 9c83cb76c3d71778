//! `suspicious_port`: a flow is opened to a port that malware is known to use.
//!
//! Only the port of the responder counts: any initiator may draw a listed number as its ephemeral
//! port. For TCP the opening must have been seen (SYN, or SYN-ACK when the SYN was missed).
//!
//! Peers of file sharing, games and calls, and data connections of FTP, have any port, among them listed ones. So a contact with the
//! outside is `low` if its port is one that systems draw for clients, or if the inside host has just contacted sixteen hosts at high ports.
//! Whoever does that first makes its contact with a listed port `low`.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_track::flow::Endpoint;
use sentinel_units::{Port, Timestamp};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::Event;
use crate::shared::port_bloom::PortBloom;
use crate::shared::rate::Activation;

/// Transport protocol of a listed port.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum PortProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port that malware is known to use.
#[derive(Clone, Debug, Default)]
pub struct ListedPort {
    /// Transport of the port.
    pub protocol: PortProtocol,
    /// The port.
    pub port: Port,
    /// Software that is known to use it.
    pub label: ShortName,
}

impl ListedPort {
    const fn order(&self) -> (PortProtocol, Port) {
        (self.protocol, self.port)
    }
}

/// Least port that systems draw for clients (Linux `net.ipv4.ip_local_port_range`; RFC 6335 section 6 has 49152).
const FIRST_DRAWN_PORT: u16 = 32_768;

/// Least port of a contact that peers are counted by.
const FIRST_PEER_PORT: u16 = 10_000;
/// Hosts contacted at such ports in one to two [`PEER_PERIOD`]s that make peers of all, as linear counting (Whang 1990) shows them.
const MIN_PEERS: u32 = 16;
const PEER_PERIOD: Duration = Duration::from_secs(60);
/// Inside hosts whose peers are counted together: by six bits of the hash.
const HOST_CLASSES: usize = 64;

/// Hosts outside that inside hosts of one class contacted at high ports: a bit for each, by hash.
#[derive(Clone, Copy, Debug, Default)]
struct Peers {
    /// Begin of the newer period; [`Timestamp::ZERO`] before.
    began: Timestamp,
    older: u64,
    newer: u64,
}

impl Peers {
    fn turn(&mut self, now: Timestamp) {
        let age = now.since(self.began);
        if age > PEER_PERIOD {
            self.older = if age > PEER_PERIOD * 2 { 0 } else { self.newer };
            (self.began, self.newer) = (now, 0);
        }
    }
}

/// The list, sorted for binary search behind a Bloom filter.
#[derive(Debug)]
pub(crate) struct SuspiciousPort<'m> {
    /// Sorted by [`ListedPort::order`] up to `used`.
    list: &'m mut [ListedPort],
    used: usize,
    /// Excludes most ports that are not in the list.
    filter: PortBloom,
    peers: [Peers; HOST_CLASSES],
    activation: Activation,
}

impl<'m> SuspiciousPort<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::SuspiciousPort,
        about: "a flow is opened to a port that malware is known to use",
        source: "config/suspicious-ports.json, which names a source for each port",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };

    pub(crate) fn new(list: &'m mut [ListedPort], config: &DetectorConfig) -> Self {
        let (filter, peers) = (PortBloom::default(), [Peers::default(); HOST_CLASSES]);
        Self { list, used: 0, filter, peers, activation: config.into() }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
    }

    /// Takes over a new list; returns how many of its entries did not fit.
    pub(crate) fn set_list(&mut self, new: &[ListedPort]) -> usize {
        self.used = new.len().min(self.list.len());
        for (slot, entry) in self.list.iter_mut().zip(new) {
            slot.clone_from(entry);
        }
        if let Some(used) = self.list.get_mut(..self.used) {
            used.sort_unstable_by_key(ListedPort::order);
        }
        self.filter = self.watched_ports().collect();
        new.len() - self.used
    }

    /// Ports whose connection requests must not be merely counted.
    pub(crate) fn watched_ports(&self) -> impl Iterator<Item = Port> {
        self.list.iter().take(self.used).map(|listed| listed.port)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if !event.role.is_first || !self.activation.enabled {
            return;
        }
        let tuple = &event.packet.tuple;
        let port = if event.role.from_initiator { tuple.destination_port } else { tuple.source_port };
        if port.0 >= FIRST_PEER_PORT && event.role.from_initiator {
            self.count_peer(event);
        }
        if self.filter.may_contain(port) {
            let responder = if event.role.from_initiator { event.destination() } else { event.source() };
            self.look_up(event, responder, findings);
        }
    }

    /// Peers of the class of the inside host that sent the packet.
    fn peers(&mut self, event: &Event<'_, '_>) -> Option<&mut Peers> {
        let peers = self.peers.get_mut(usize::try_from(event.source_hash).unwrap_or(0) % HOST_CLASSES)?;
        peers.turn(event.setting.now);
        Some(peers)
    }

    /// Counts a host outside that an inside host contacts at a high port.
    #[cold]
    fn count_peer(&mut self, event: &Event<'_, '_>) {
        let (setting, destination) = (event.setting, event.packet.tuple.destination);
        let bit = 1 << (setting.key.address(destination) >> 26);
        if setting.home_net.is_external(destination)
            && let Some(peers) = self.peers(event)
        {
            peers.newer |= bit;
        }
    }

    /// Returns false if a flow with this responder port certainly raises nothing.
    pub(crate) fn may_match(&self, responder: Port) -> bool {
        self.activation.enabled && self.filter.may_contain(responder)
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn look_up(&mut self, event: &Event<'_, '_>, responder: Endpoint, findings: &mut Findings<'_, '_>) {
        let protocol = match event.packet.tuple.tcp_flags {
            Some(_) if event.role.certain => PortProtocol::Tcp,
            None => PortProtocol::Udp,
            Some(_) => return,
        };
        if responder.address.is_group() {
            return;
        }
        let list = self.list.get(..self.used).unwrap_or_default();
        let Ok(index) = list.binary_search_by_key(&(protocol, responder.port), ListedPort::order) else {
            return;
        };
        let is_weak = self.is_weak(event, responder);
        if let Some(listed) = self.list.get(index) {
            findings.add(&self.finding(event, responder, listed, is_weak));
        }
    }

    /// Returns true for a contact with the outside that ordinary programs make by chance.
    fn is_weak(&mut self, event: &Event<'_, '_>, responder: Endpoint) -> bool {
        if !event.role.from_initiator || !event.setting.home_net.is_external(responder.address) {
            return false;
        }
        let has_peers = |peers: &mut Peers| (peers.older | peers.newer).count_ones() >= MIN_PEERS;
        event.source().port.0.min(responder.port.0) >= FIRST_DRAWN_PORT
            || self.peers(event).is_some_and(has_peers)
    }

    #[cold]
    fn finding(
        &self,
        event: &Event<'_, '_>,
        responder: Endpoint,
        listed: &ListedPort,
        is_weak: bool,
    ) -> Finding {
        let is_from_initiator = event.role.from_initiator;
        let initiator = if is_from_initiator { event.source() } else { event.destination() };
        let severity =
            if is_weak { self.activation.weak_severity(&Self::DETECTOR) } else { self.activation.severity };
        Finding {
            test: Test::SuspiciousPort,
            severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(initiator.address),
                destination: Some(responder.address),
                destination_port: Some(responder.port),
                mac: event.packet.sender_mac().filter(|_| is_from_initiator),
                ..Subject::default()
            },
            evidence: Evidence::Listed { count: 1, label: listed.label.clone() },
            adds: 1,
            scope: scope(responder.address, responder.port),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    use sentinel_alert::Phase;
    use sentinel_units::Address;

    use crate::detectors::TableCapacities;
    use crate::engine::memory::Capacities;
    use crate::testkit::{
        ACK, CLIENT, KEY, OUTSIDE, ROOMY, SYN, SYN_ACK, Sensor, configs, listed, only, opened, play, tcp, udp,
    };

    #[test]
    fn only_the_port_of_the_responder_counts() {
        let called = tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN);
        let answered = tcp((OUTSIDE, 4444), (CLIENT, 40_000), SYN_ACK);
        for (name, frames) in [("SYN", vec![called.clone(), answered.clone()]), ("SYN-ACK", vec![answered])] {
            let sensor = play((0..).zip(frames));
            let alert = only(&sensor.raised);
            assert_eq!(alert.test, Test::SuspiciousPort, "{name}");
            let tuple = (alert.subject.source, alert.subject.destination, alert.subject.destination_port);
            let v4 = |address| Some(Address::from(std::net::IpAddr::V4(address)));
            assert_eq!(tuple, (v4(CLIENT), v4(OUTSIDE), Some(Port(4444))), "{name}");
        }
        for (name, frame) in [
            ("a client's own port", tcp((CLIENT, 4444), (OUTSIDE, 443), SYN)),
            ("an answer to a client's own port", tcp((OUTSIDE, 443), (CLIENT, 4444), SYN_ACK)),
            ("one port beside", tcp((CLIENT, 40_000), (OUTSIDE, 4445), SYN)),
            ("the middle of a flow", tcp((CLIENT, 40_000), (OUTSIDE, 4444), ACK)),
            ("the other transport", udp((CLIENT, 40_000), (OUTSIDE, 4444), &[0])),
            ("the other transport", tcp((CLIENT, 40_000), (OUTSIDE, 31_337), SYN)),
        ] {
            assert_eq!(opened([(0, frame)]), [], "{name}");
        }
        assert_eq!(opened([(0, udp((CLIENT, 40_000), (OUTSIDE, 31_337), &[0]))]), [Test::SuspiciousPort]);
    }

    /// A peer of file sharing may have any port; a server at home has the one that it was given.
    #[test]
    fn a_contact_with_a_drawn_port_outside_is_weak_evidence() {
        for (frame, severity) in [
            (tcp((CLIENT, 51_413), (OUTSIDE, 53_413), SYN), Severity::Low),
            (tcp((OUTSIDE, 51_413), (CLIENT, 53_413), SYN), Severity::Medium),
            (tcp((CLIENT, 51_413), (OUTSIDE, 31_337), SYN), Severity::Medium),
            (udp((CLIENT, 51_413), (OUTSIDE, 53_413), &[0]), Severity::Low),
            (udp((OUTSIDE, 51_413), (CLIENT, 53_413), &[0]), Severity::Medium),
            (udp((CLIENT, 51_413), (OUTSIDE, 31_337), &[0]), Severity::Medium),
        ] {
            let mut sensor = Sensor::new();
            let [tcp, udp] = [PortProtocol::Tcp, PortProtocol::Udp];
            let list = [tcp, udp].map(|protocol| [31_337, 53_413].map(|port| listed(protocol, port)));
            sensor.engine.set_listed_ports(list.as_flattened());
            sensor.frame(0, &frame);
            assert_eq!(only(&sensor.raised).severity, severity);
        }
    }

    /// A host with many peers contacts some at listed ports.
    #[test]
    fn a_contact_among_those_with_many_peers_is_weak_evidence() {
        for (count, gap_ms, severity) in
            [(40, 1_000, Severity::Low), (8, 1_000, Severity::Medium), (40, 20_000, Severity::Medium)]
        {
            let mut sensor = Sensor::new();
            sensor.engine.set_listed_ports(&[listed(PortProtocol::Tcp, 4_444)]);
            for number in 0..count {
                let peer = std::net::Ipv4Addr::from(0xc612_0000 + number * 77);
                let frame = udp((CLIENT, 51_413), (peer, 20_000 + u16::try_from(number).unwrap()), &[1; 30]);
                sensor.frame(u64::from(number) * gap_ms, &frame);
            }
            sensor.frame(u64::from(count) * gap_ms, &tcp((CLIENT, 40_000), (OUTSIDE, 4_444), SYN));
            let listed: Vec<_> = sensor.raised.iter().filter(|a| a.test == Test::SuspiciousPort).collect();
            assert_eq!(
                listed.iter().map(|alert| alert.severity).collect::<Vec<_>>(),
                [severity],
                "{count} {gap_ms}"
            );
        }
    }

    /// A contact is a flow, not a packet.
    #[test]
    fn each_flow_counts_once() {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 4444));
        let mut sensor = play([
            (0, tcp(client, server, SYN)),
            (1, tcp(server, client, SYN_ACK)),
            (2, tcp(client, server, ACK)),
            (3, tcp(client, server, SYN)),
            (4, tcp((CLIENT, 40_001), server, SYN)),
        ]);
        sensor.finish();
        let counts: Vec<_> = sensor
            .raised
            .iter()
            .map(|alert| match &alert.evidence {
                Evidence::Listed { count, label } => (alert.phase, *count, label.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [(Phase::Open, 1, "test"), (Phase::Close, 2, "test")]);
    }

    /// The list of ports is replaced whole, and the number of entries that do not fit is returned.
    #[test]
    fn a_new_list_of_ports_replaces_the_old_one() {
        use PortProtocol::{Tcp, Udp};
        let mut sensor = Sensor::with(
            Capacities { tables: TableCapacities { listed_ports: 3, ..ROOMY.tables }, ..ROOMY },
            KEY,
            &configs(),
        );
        let new: Vec<_> = [(Tcp, 9_001), (Udp, 700), (Tcp, 31), (Tcp, 9_999)]
            .into_iter()
            .map(|(protocol, port)| listed(protocol, port))
            .collect();
        assert_eq!(sensor.engine.set_listed_ports(&new), 1);
        sensor.frame(0, &tcp((CLIENT, 40_000), (OUTSIDE, 4444), SYN));
        sensor.frame(0, &tcp((CLIENT, 40_001), (OUTSIDE, 9_999), SYN));
        assert_eq!(sensor.opened(), []);
        sensor.frame(0, &tcp((CLIENT, 40_002), (OUTSIDE, 31), SYN));
        sensor.frame(0, &tcp((CLIENT, 40_003), (OUTSIDE, 9_001), SYN));
        sensor.frame(0, &udp((CLIENT, 40_004), (OUTSIDE, 700), &[0]));
        assert_eq!(sensor.opened().len(), 3);
    }
}
