//! `arp_spoof`: an IPv4 address moves to another hardware address without a reason.
//!
//! Read first: RFC 826; RFC 5227 (probes claim nothing, announcements do). Requests claim as replies do:
//! every receiver learns from both. Silent when a DHCP server gave the address to the new holder, and
//! for virtual router addresses.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::{FiveTuple, Network, dhcp};
use sentinel_track::neighbour::{Claim, NeighbourSet, Neighbours};
use sentinel_units::Port;

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::{DHCP_SERVER, Event, OtherEvent, Setting};
use crate::shared::rate::Activation;

/// IPv4 addresses and the hardware addresses that claim them.
#[derive(Debug)]
pub(crate) struct ArpSpoof<'m> {
    neighbours: Neighbours<'m>,
    activation: Activation,
}

impl<'m> ArpSpoof<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::ArpSpoof,
        about: "an IPv4 address moves to another hardware address without DHCP or a virtual router explaining it",
        source: "RFC 826; RFC 5227 section 2.4; virtual router addresses of RFC 9568 section 7.3",
        severity: Severity::High,
        thresholds: &[],
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [NeighbourSet], config: &DetectorConfig) -> Self {
        Self { neighbours: Neighbours::new(sets), activation: config.into() }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.neighbours.table().evictions()
    }

    /// Returns true for datagrams of a DHCP server, whose leases explain a move.
    #[inline]
    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        tuple.source_port == DHCP_SERVER
    }

    /// Learns a lease from a datagram of a DHCP server.
    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, _findings: &mut Findings<'_, '_>) {
        if event.packet.tuple.tcp_flags.is_none() && self.reads(&event.packet.tuple) {
            self.lease(event);
        }
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let Network::Arp(arp) = &event.packet.network else { return };
        // A group address holds nothing; a sender without an address claims nothing.
        if !self.activation.enabled || arp.sender_ip.is_unspecified() || arp.sender_mac.is_group() {
            return;
        }
        let Setting { now, key, .. } = event.setting;
        let claim = self.neighbours.claim(key, arp.sender_ip, arp.sender_mac, now);
        let Claim::Moved { before } = claim else { return };
        findings.add(&Finding {
            test: Test::ArpSpoof,
            severity: self.activation.severity,
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

    fn lease(&mut self, event: &Event<'_, '_>) {
        let Ok(message) = dhcp::Message::parse(event.packet.payload()) else { return };
        let Setting { now, key, .. } = event.setting;
        if message.kind == Some(dhcp::Kind::Ack) && !message.your_ip.is_unspecified() {
            self.neighbours.lease(key, message.your_ip, message.client_mac, now);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use sentinel_units::Mac;

    use crate::testkit::{
        self, CLIENT, FALSE_MAC, Filling, GATEWAY, GATEWAY_MAC, MAC, VICTIM, arp, dhcp_ack, only, opened,
        other, play,
    };

    fn claim(mac: testkit::Mac) -> Vec<u8> {
        arp(2, (mac, GATEWAY), (MAC, CLIENT))
    }

    #[test]
    fn it_fires_when_an_address_moves_without_a_reason() {
        let sensor = play([(0, claim(GATEWAY_MAC)), (10, claim(GATEWAY_MAC)), (20, claim(FALSE_MAC))]);
        let alert = only(&sensor.raised);
        let (before, after) = (Mac(GATEWAY_MAC), Mac(FALSE_MAC));
        assert_eq!(alert.evidence, Evidence::Binding { before, after, changes: 1 });
        assert_eq!(alert.subject.mac, Some(after));
        // Requests and announcements claim as replies do.
        for frame in [
            arp(1, (FALSE_MAC, GATEWAY), ([0; 6], CLIENT)),
            arp(1, (FALSE_MAC, GATEWAY), ([0; 6], GATEWAY)),
            arp(2, (FALSE_MAC, GATEWAY), ([0xff; 6], GATEWAY)),
        ] {
            assert_eq!(opened([(0, claim(GATEWAY_MAC)), (10, frame)]), [Test::ArpSpoof]);
        }
    }

    #[test]
    fn it_is_silent_when_there_is_a_reason() {
        const VIRTUAL: testkit::Mac = [0, 0, 0x5e, 0, 1, 9];
        let first = || (0, claim(GATEWAY_MAC));
        let lease = (10, dhcp_ack(FALSE_MAC, GATEWAY));
        assert_eq!(opened([first(), lease.clone(), (20, claim(FALSE_MAC))]), [], "re-lease");
        // The lease explains its holder and nobody else.
        assert_eq!(opened([first(), lease, (20, claim([2, 0, 0, 0, 0, 0x77]))]), [Test::ArpSpoof]);
        assert_eq!(opened([first(), (10, claim(VIRTUAL)), (20, claim(GATEWAY_MAC))]), [], "VRRP");
        let probe = arp(1, (FALSE_MAC, Ipv4Addr::UNSPECIFIED), ([0; 6], GATEWAY));
        assert_eq!(opened([first(), (10, probe)]), [], "a probe claims nothing");
        let alias = arp(2, (GATEWAY_MAC, CLIENT), (MAC, VICTIM));
        assert_eq!(opened([first(), (10, alias)]), [], "one machine may hold two addresses");
        assert_eq!(opened([first(), (86_401_000, claim(FALSE_MAC))]), [], "older than a day");
        // A lease that was seen before any claim is the first holder.
        let taken = [(0, dhcp_ack(MAC, GATEWAY)), (10, claim(FALSE_MAC))];
        assert_eq!(opened(taken), [Test::ArpSpoof]);
    }

    const FILLING: Filling = Filling {
        test: Test::ArpSpoof,
        use_one: |sensor, number, millis| sensor.frame(millis, &arp(2, (MAC, other(number)), (MAC, CLIENT))),
        attack: |sensor, millis| {
            sensor.frame(millis, &arp(2, (GATEWAY_MAC, GATEWAY), (MAC, CLIENT)));
            sensor.frame(millis, &arp(2, (FALSE_MAC, GATEWAY), (MAC, CLIENT)));
        },
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
    }
}
