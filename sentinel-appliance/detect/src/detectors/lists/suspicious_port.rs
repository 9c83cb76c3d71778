//! `suspicious_port`: a flow is opened to a port that malware is known to use.
//!
//! Only the port of the responder counts: any initiator may draw a listed number as its ephemeral
//! port. For TCP the opening must have been seen (SYN, or SYN-ACK when the SYN was missed).

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_track::flow::Endpoint;
use sentinel_units::Port;

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

/// The list, sorted for binary search behind a Bloom filter.
#[derive(Debug)]
pub(crate) struct SuspiciousPort<'m> {
    /// Sorted by [`ListedPort::order`] up to `used`.
    list: &'m mut [ListedPort],
    used: usize,
    /// Excludes most ports that are not in the list.
    filter: PortBloom,
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
        Self { list, used: 0, filter: PortBloom::default(), activation: config.into() }
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
        let responder = if event.role.from_initiator { event.destination() } else { event.source() };
        if self.filter.may_contain(responder.port) {
            self.look_up(event, responder, findings);
        }
    }

    /// Returns false if a flow with this responder port certainly raises nothing.
    pub(crate) fn may_match(&self, responder: Port) -> bool {
        self.activation.enabled && self.filter.may_contain(responder)
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn look_up(&self, event: &Event<'_, '_>, responder: Endpoint, findings: &mut Findings<'_, '_>) {
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
        if let Some(listed) = list.get(index) {
            findings.add(&self.finding(event, responder, listed));
        }
    }

    #[cold]
    fn finding(&self, event: &Event<'_, '_>, responder: Endpoint, listed: &ListedPort) -> Finding {
        let is_from_initiator = event.role.from_initiator;
        let initiator = if is_from_initiator { event.source() } else { event.destination() };
        // Peers of file sharing and calls outside draw their ports from this range: one in some thousand of them has the listed one.
        let is_drawn = event.packet.tuple.tcp_flags.is_none()
            && initiator.port.0.min(responder.port.0) >= FIRST_DRAWN_PORT
            && event.setting.home_net.is_external(responder.address);
        let severity =
            if is_drawn { self.activation.weak_severity(&Self::DETECTOR) } else { self.activation.severity };
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
    fn a_datagram_to_a_drawn_port_outside_is_weak_evidence() {
        for (frame, severity) in [
            (udp((CLIENT, 51_413), (OUTSIDE, 53_413), &[0]), Severity::Low),
            (udp((OUTSIDE, 51_413), (CLIENT, 53_413), &[0]), Severity::Medium),
            (udp((CLIENT, 51_413), (OUTSIDE, 31_337), &[0]), Severity::Medium),
        ] {
            let mut sensor = Sensor::new();
            let listed = |port| listed(PortProtocol::Udp, port);
            sensor.engine.set_listed_ports(&[listed(31_337), listed(53_413)]);
            sensor.frame(0, &frame);
            assert_eq!(only(&sensor.raised).severity, severity);
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
