//! `suspicious_port`: a conversation is opened to a port that malware is known to use.
//!
//! Only the port of the side that was called counts: any client may draw a listed number as its own
//! port. For TCP the opening must have been seen (SYN, or SYN-ACK when the SYN was missed).

use sentinel_alert::{Evidence, Severity, ShortName, Subject, Test};
use sentinel_dissect::Transport;
use sentinel_track::flow::End;
use sentinel_units::Port;

use crate::event::Event;
use crate::incident::{Finding, scope};
use crate::registry::Config;

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
    enabled: bool,
    severity: Severity,
}

impl<'m> SuspiciousPort<'m> {
    pub(crate) fn new(list: &'m mut [ListedPort], config: &Config) -> Self {
        Self { list, used: 0, enabled: config.enabled, severity: config.severity }
    }

    pub(crate) const fn configure(&mut self, config: &Config) {
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
        new.len() - self.used
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let Some(conversation) = event.conversation.filter(|conversation| conversation.role.is_first) else {
            return;
        };
        let protocol = match event.packet.transport {
            Transport::Tcp(_) if conversation.role.certain => PortProtocol::Tcp,
            Transport::Udp(_) => PortProtocol::Udp,
            _ => return,
        };
        if !self.enabled {
            return;
        }
        let (client, server) = if conversation.role.from_opener {
            (conversation.source, conversation.destination)
        } else {
            (conversation.destination, conversation.source)
        };
        if server.address.is_group() {
            return;
        }
        let list = self.list.get(..self.used).unwrap_or_default();
        let Ok(index) = list.binary_search_by_key(&(protocol, server.port), ListedPort::order) else {
            return;
        };
        if let Some(listed) = list.get(index) {
            report(self.finding(event, client, server, listed));
        }
    }

    #[cold]
    fn finding(&self, event: &Event<'_, '_>, client: End, server: End, listed: &ListedPort) -> Finding {
        let sent_by_client = event.ip.is_some_and(|ip| ip.source == client.address);
        Finding {
            test: Test::SuspiciousPort,
            severity: self.severity,
            first: event.now,
            subject: Subject {
                source: Some(client.address),
                destination: Some(server.address),
                destination_port: Some(server.port),
                mac: event.sender_mac().filter(|_| sent_by_client),
                ..Subject::default()
            },
            evidence: Evidence::ListedPort { count: 1, label: listed.label.clone() },
            adds: 1,
            scope: scope(server.address, server.port),
        }
    }
}
