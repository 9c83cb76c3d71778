//! `arp_spoof`: an IPv4 address moves to another hardware address without a reason.
//!
//! Read first: RFC 826; RFC 5227 (probes claim nothing, announcements do). Requests claim as replies do:
//! every receiver learns from both. Silent when a DHCP server gave the address to the new holder, and
//! for virtual router addresses.

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::{Network, dhcp};
use sentinel_track::neighbour::{Claim, NeighbourSet, Neighbours};
use sentinel_units::Port;

use crate::incident::{Finding, Findings, scope};
use crate::registry::DetectorConfig;
use crate::shared::event::{Event, OtherEvent, Setting};

const DHCP_SERVER: Port = Port(67);

#[derive(Debug)]
pub(crate) struct ArpSpoof<'m> {
    neighbours: Neighbours<'m>,
    enabled: bool,
    severity: Severity,
}

impl<'m> ArpSpoof<'m> {
    pub(crate) fn new(sets: &'m mut [NeighbourSet], config: &DetectorConfig) -> Self {
        let neighbours = Neighbours::new(sets);
        Self { neighbours, enabled: config.enabled, severity: config.severity }
    }

    pub(crate) const fn configure(&mut self, config: &DetectorConfig) {
        (self.enabled, self.severity) = (config.enabled, config.severity);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.neighbours.table().evictions()
    }

    /// Whether this detector looks at what is sent from `port`.
    #[inline]
    pub(crate) fn follows(&self, port: Port) -> bool {
        port == DHCP_SERVER
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>) {
        if event.packet.tuple.tcp_flags.is_none() && self.follows(event.packet.tuple.source_port) {
            self.dhcp(event);
        }
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let Network::Arp(arp) = &event.packet.network else { return };
        // A group address holds nothing; a sender without an address claims nothing.
        if !self.enabled || arp.sender_ip.is_unspecified() || arp.sender_mac.is_group() {
            return;
        }
        let Setting { now, key, .. } = event.setting;
        let claim = self.neighbours.claim(key, arp.sender_ip, arp.sender_mac, now);
        let Claim::Moved { before } = claim else { return };
        findings.add(&Finding {
            test: Test::ArpSpoof,
            severity: self.severity,
            first: now,
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

    fn dhcp(&mut self, event: &Event<'_, '_>) {
        let Ok(message) = dhcp::Message::parse(event.packet.payload()) else { return };
        let Setting { now, key, .. } = event.setting;
        if message.kind == Some(dhcp::Kind::Ack) && !message.your_ip.is_unspecified() {
            self.neighbours.lease(key, message.your_ip, message.client_mac, now);
        }
    }
}
