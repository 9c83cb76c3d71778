//! From packets to alerts: one pass, all detectors.

use core::time::Duration;

use sentinel_alert::{Alert, Kind};
use sentinel_dissect::{Packet, Transport};
use sentinel_track::flow::{End, Flows};
use sentinel_track::hash::HashKey;
use sentinel_units::Timestamp;

use crate::arp_spoof::ArpSpoof;
use crate::brute_force::BruteForce;
use crate::dns_tunnel::DnsTunnel;
use crate::event::{Conversation, Event, IpFacts};
use crate::exfiltration::Exfiltration;
use crate::icmp_flood::IcmpFlood;
use crate::incident::{Finding, Incidents};
use crate::inside::Inside;
use crate::memory::Storage;
use crate::port_scan::PortScan;
use crate::registry::Config;
use crate::suspicious_port::{ListedPort, SuspiciousPort};
use crate::syn_flood::SynFlood;

/// A stamp this much before the newest one means that the clock was set back; less is disorder, as
/// between the rings of two interfaces, whose blocks wait a second at most.
const CLOCK_SET_BACK: Duration = Duration::from_secs(5);

/// How often an incident speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Silence after which an incident is over.
    pub quiet: Duration,
    /// Time between two messages of one incident.
    pub update: Duration,
    /// Incidents of one kind that may open in a row; one more is earned every two seconds. Past that, new sources
    /// share one incident of the kind.
    pub openings: u32,
}

/// What the tables have lost so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Live entries pushed out of full tables, over all tables.
    pub evictions: u64,
    /// Incidents closed early to make room.
    pub closed_early: u64,
}

/// All tables and detectors.
#[derive(Debug)]
pub struct Engine<'m> {
    key: HashKey,
    inside: Inside,
    now: Timestamp,
    flows: Flows<'m>,
    incidents: Incidents<'m>,
    incident_slots: usize,
    detectors: Detectors<'m>,
}

/// The registry's detectors, in its order.
#[derive(Debug)]
struct Detectors<'m> {
    port_scan: PortScan<'m>,
    syn_flood: SynFlood<'m>,
    icmp_flood: IcmpFlood<'m>,
    suspicious_port: SuspiciousPort<'m>,
    arp_spoof: ArpSpoof<'m>,
    dns_tunnel: DnsTunnel,
    exfiltration: Exfiltration<'m>,
    brute_force: BruteForce<'m>,
}

impl<'m> Engine<'m> {
    /// An engine over lent storage. `configs` stand in the order of [`Kind::ALL`].
    #[must_use]
    pub fn new(
        storage: Storage<'m>,
        key: HashKey,
        inside: Inside,
        pace: Pace,
        configs: &[Config; 8],
    ) -> Self {
        let [scan, syn, icmp, port, arp, dns, exfiltration, brute] = configs;
        let Storage { flows, scans, requests, echoes, doors, outbound, neighbours, incidents, listed_ports } =
            storage;
        Self {
            key,
            inside,
            now: Timestamp::ZERO,
            flows: Flows::new(flows),
            incident_slots: incidents.len(),
            incidents: Incidents::new(incidents, pace),
            detectors: Detectors {
                port_scan: PortScan::new(scans, scan),
                syn_flood: SynFlood::new(requests, syn),
                icmp_flood: IcmpFlood::new(echoes, icmp),
                suspicious_port: SuspiciousPort::new(listed_ports, port),
                arp_spoof: ArpSpoof::new(neighbours, arp),
                dns_tunnel: DnsTunnel::new(dns),
                exfiltration: Exfiltration::new(outbound, exfiltration),
                brute_force: BruteForce::new(doors, brute),
            },
        }
    }

    /// Takes over new settings. Tables and open incidents stay.
    pub fn configure(&mut self, inside: Inside, pace: Pace, configs: &[Config; 8]) {
        let [scan, syn, icmp, port, arp, dns, exfiltration, brute] = configs;
        self.inside = inside;
        self.incidents.pace = pace;
        self.detectors.port_scan.configure(scan);
        self.detectors.syn_flood.configure(syn);
        self.detectors.icmp_flood.configure(icmp);
        self.detectors.suspicious_port.configure(port);
        self.detectors.arp_spoof.configure(arp);
        self.detectors.dns_tunnel.configure(dns);
        self.detectors.exfiltration.configure(exfiltration);
        self.detectors.brute_force.configure(brute);
    }

    /// Takes over a new list of ports that malware is known to use; returns how many did not fit.
    pub fn set_listed_ports(&mut self, list: &[ListedPort]) -> usize {
        self.detectors.suspicious_port.set_list(list)
    }

    /// Looks at one packet. Alerts that are due before it come first.
    #[inline]
    pub fn packet(&mut self, at: Timestamp, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        self.advance(at, raise);
        let ip = packet.ip().map(|ip| IpFacts { source: ip.source, destination: ip.destination });
        let conversation = ip.as_ref().and_then(|ip| self.conversation(ip, packet));
        let Self { incidents, detectors, now, key, inside, .. } = self;
        let event = Event { now: *now, packet, key, inside, ip, conversation };
        detectors.packet(&event, &mut |finding| incidents.report(*now, finding, raise));
    }

    /// Lets time pass while there is no traffic.
    pub fn tick(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.advance(now, raise);
    }

    /// Closes all incidents: the traffic has ended.
    pub fn finish(&mut self, raise: &mut dyn FnMut(Alert)) {
        self.incidents.close_all(self.now, raise);
    }

    /// What the tables have lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let detectors = &self.detectors;
        let evictions = [
            self.flows.table().evictions(),
            detectors.port_scan.evictions(),
            detectors.syn_flood.evictions(),
            detectors.icmp_flood.evictions(),
            detectors.arp_spoof.evictions(),
            detectors.exfiltration.evictions(),
            detectors.brute_force.evictions(),
        ];
        Losses { evictions: evictions.iter().sum(), closed_early: self.incidents.closed_early() }
    }

    /// Incidents open now, and how many there is room for.
    #[must_use]
    pub const fn open_incidents(&self) -> (u32, usize) {
        (self.incidents.open(), self.incident_slots)
    }

    /// The clock follows the newest stamp.
    #[inline]
    fn advance(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
        if at >= self.now {
            self.now = at;
            self.incidents.expire(at, raise);
        } else if self.now.since(at) > CLOCK_SET_BACK {
            self.now = at;
            self.incidents.clock_set_back(at, raise);
        }
    }

    #[inline]
    fn conversation(&mut self, ip: &IpFacts, packet: &Packet<'_>) -> Option<Conversation> {
        let end = |address, port| End { address, port };
        match &packet.transport {
            Transport::Tcp(tcp) => {
                let source = end(ip.source, tcp.source_port);
                let destination = end(ip.destination, tcp.destination_port);
                let role = self.flows.tcp(&self.key, source, destination, tcp.flags, self.now);
                Some(Conversation { source, destination, role })
            }
            Transport::Udp(udp) => {
                let source = end(ip.source, udp.source_port);
                let destination = end(ip.destination, udp.destination_port);
                let role = self.flows.udp(&self.key, source, destination, self.now);
                Some(Conversation { source, destination, role })
            }
            _ => None,
        }
    }
}

impl Detectors<'_> {
    #[inline]
    fn packet(&mut self, event: &Event<'_, '_>, report: &mut dyn FnMut(Finding)) {
        match event.packet.transport {
            Transport::Tcp(_) => {
                self.syn_flood.packet(event, report);
                self.port_scan.packet(event, report);
                self.brute_force.packet(event, report);
                self.suspicious_port.packet(event, report);
                self.dns_tunnel.packet(event, report);
            }
            Transport::Udp(_) => {
                self.port_scan.packet(event, report);
                self.suspicious_port.packet(event, report);
                self.dns_tunnel.packet(event, report);
                self.arp_spoof.packet(event, report);
            }
            Transport::Icmp(_) | Transport::Icmpv6(_) => self.icmp_flood.packet(event, report),
            Transport::None | Transport::Other(_) => self.arp_spoof.packet(event, report),
        }
        self.exfiltration.packet(event, report);
    }
}

const _: () = assert!(Kind::ALL.len() == 8, "every kind has a detector here");
