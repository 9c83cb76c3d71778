//! `arp_spoof`: an IPv4 address moves to another hardware address without a reason.
//!
//! Read first: RFC 826; RFC 5227 (probes claim nothing, announcements do). Requests claim as replies do:
//! every receiver learns from both. Silent when a DHCP server gave the address to the new holder, and
//! for virtual router addresses.

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::{Network, Transport, dhcp};
use sentinel_track::neighbour::{Claim, NeighbourSlot, Neighbours};
use sentinel_units::Port;

use crate::event::Event;
use crate::incident::{Finding, scope};
use crate::registry::Config;

const DHCP_SERVER: Port = Port(67);

#[derive(Debug)]
pub(crate) struct ArpSpoof<'m> {
    neighbours: Neighbours<'m>,
    enabled: bool,
    severity: Severity,
}

impl<'m> ArpSpoof<'m> {
    pub(crate) fn new(slots: &'m mut [NeighbourSlot], config: &Config) -> Self {
        let neighbours = Neighbours::new(slots);
        Self { neighbours, enabled: config.enabled, severity: config.severity }
    }

    pub(crate) const fn configure(&mut self, config: &Config) {
        (self.enabled, self.severity) = (config.enabled, config.severity);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.neighbours.table().evictions()
    }

    #[inline]
    pub(crate) fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        match (&event.packet.network, &event.packet.transport) {
            (Network::Arp(_), _) => self.arp(event, report),
            (_, Transport::Udp(udp)) if udp.source_port == DHCP_SERVER => self.dhcp(event, udp.payload),
            _ => {}
        }
    }

    fn arp(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        let Network::Arp(arp) = &event.packet.network else { return };
        // A group address holds nothing; a sender without an address claims nothing.
        if !self.enabled || arp.sender_ip.is_unspecified() || arp.sender_mac.is_group() {
            return;
        }
        let claim = self.neighbours.claim(event.key, arp.sender_ip, arp.sender_mac, event.now);
        let Claim::Moved { before } = claim else { return };
        report(Finding {
            test: Test::ArpSpoof,
            severity: self.severity,
            first: event.now,
            subject: Subject {
                source: Some(arp.sender_ip),
                destination: (arp.target_ip != arp.sender_ip).then_some(arp.target_ip),
                mac: Some(arp.sender_mac),
                ..Subject::default()
            },
            evidence: Evidence::Binding { before, after: arp.sender_mac, changes: 1 },
            adds: 1,
            scope: scope(arp.sender_ip, Port(0)),
        });
    }

    fn dhcp(&mut self, event: &Event<'_, '_>, payload: &[u8]) {
        let Ok(message) = dhcp::Message::parse(payload) else { return };
        if message.kind == Some(dhcp::Kind::Ack) && !message.your_ip.is_unspecified() {
            self.neighbours.lease(event.key, message.your_ip, message.client_mac, event.now);
        }
    }
}
