//! `suspicious_port`: a conversation is opened to a port that malware is known to use.
//!
//! Only the port of the side that was called counts: any client may draw a listed number as its own
//! port. For TCP the opening must have been seen (SYN, or SYN-ACK when the SYN was missed).

use sentinel_alert::{Evidence, Severity, ShortName, Subject, Test};
use sentinel_track::flow::Endpoint;
use sentinel_units::Port;

use crate::incident::{Finding, Findings, scope};
use crate::registry::DetectorConfig;
use crate::shared::event::Event;
use crate::shared::port_bloom::PortBloom;

/// Which transport a listed port belongs to.
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
    /// What is known to use it.
    pub label: ShortName,
}

impl ListedPort {
    const fn order(&self) -> (PortProtocol, Port) {
        (self.protocol, self.port)
    }
}

#[derive(Debug)]
pub(crate) struct SuspiciousPort<'m> {
    /// Sorted by [`ListedPort::order`] up to `used`.
    list: &'m mut [ListedPort],
    used: usize,
    /// Says of most ports that they are not in the list.
    maybe: PortBloom,
    enabled: bool,
    severity: Severity,
}

impl<'m> SuspiciousPort<'m> {
    pub(crate) fn new(list: &'m mut [ListedPort], config: &DetectorConfig) -> Self {
        Self {
            list,
            used: 0,
            maybe: PortBloom::default(),
            enabled: config.enabled,
            severity: config.severity,
        }
    }

    pub(crate) const fn configure(&mut self, config: &DetectorConfig) {
        (self.enabled, self.severity) = (config.enabled, config.severity);
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
        self.maybe = self.ports().collect();
        new.len() - self.used
    }

    /// The ports of the list.
    pub(crate) fn ports(&self) -> impl Iterator<Item = Port> {
        self.list.iter().take(self.used).map(|listed| listed.port)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if !event.role.is_first || !self.enabled {
            return;
        }
        let server = if event.role.from_initiator { event.destination() } else { event.source() };
        if self.maybe.may_contain(server.port) {
            self.look_up(event, server, findings);
        }
    }

    /// Whether a conversation with this server would be looked up.
    pub(crate) fn may_concern(&self, server: Port) -> bool {
        self.enabled && self.maybe.may_contain(server)
    }

    fn look_up(&self, event: &Event<'_, '_>, server: Endpoint, findings: &mut Findings<'_, '_>) {
        let protocol = match event.packet.tuple.tcp_flags {
            Some(_) if event.role.certain => PortProtocol::Tcp,
            None => PortProtocol::Udp,
            Some(_) => return,
        };
        if server.address.is_group() {
            return;
        }
        let list = self.list.get(..self.used).unwrap_or_default();
        let Ok(index) = list.binary_search_by_key(&(protocol, server.port), ListedPort::order) else {
            return;
        };
        if let Some(listed) = list.get(index) {
            findings.add(&self.finding(event, server, listed));
        }
    }

    #[cold]
    fn finding(&self, event: &Event<'_, '_>, server: Endpoint, listed: &ListedPort) -> Finding {
        let sent_by_client = event.role.from_initiator;
        let client = if sent_by_client { event.source() } else { event.destination() };
        Finding {
            test: Test::SuspiciousPort,
            severity: self.severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(client.address),
                destination: Some(server.address),
                destination_port: Some(server.port),
                mac: event.packet.sender_mac().filter(|_| sent_by_client),
                ..Subject::default()
            },
            evidence: Evidence::ListedPort { count: 1, label: listed.label.clone() },
            adds: 1,
            scope: scope(server.address, server.port),
        }
    }
}
