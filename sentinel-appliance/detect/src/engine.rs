//! From packets to alerts: one pass, all detectors.

use core::time::Duration;

use sentinel_alert::{Alert, Kind};
use sentinel_dissect::{FiveTuple, Packet, PacketSummary, Transport, summarize_v4, summarize_v6};
use sentinel_track::clock::CLOCK_SET_BACK;
use sentinel_track::flow::{FlowId, Flows, Inspection, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Timestamp};

use crate::arp_spoof::ArpSpoof;
use crate::brute_force::BruteForce;
use crate::dns_tunnel::{DNS, DnsTunnel};
use crate::event::{Event, OtherEvent, Setting};
use crate::exfiltration::Exfiltration;
use crate::home_net::HomeNet;
use crate::icmp_flood::IcmpFlood;
use crate::incident::{Findings, Incidents};
use crate::memory::Storage;
use crate::port_bloom::PortBloom;
use crate::reassembly::{self, Decapsulated, Reassembly, ReassemblyStorage};
use crate::registry::DetectorConfig;
use crate::siblings::{FirstPacketReports, Seen};
use crate::suspicious_port::{ListedPort, SuspiciousPort};
use crate::syn_sources::SynSources;

/// How often an incident speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IncidentLimits {
    /// Silence after which an incident is over.
    pub idle_timeout: Duration,
    /// Time between two messages of one incident.
    pub update: Duration,
    /// Incidents of one kind that may open in a row; one more is earned every two seconds. Past that, new sources
    /// share one incident of the kind.
    pub burst: u32,
}

/// What the tables have lost so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Live entries pushed out of full tables, over all tables.
    pub evictions: u64,
    /// Incidents closed early to make room.
    pub closed_early: u64,
}

/// What became of the frames so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Frames that the detectors saw.
    pub analysed: u64,
    /// Frames of a link type that is not read.
    pub unsupported: u64,
    /// Frames that break the rules of a protocol.
    pub malformed: u64,
    /// Frames cut by the snap length.
    pub truncated: u64,
}

/// All tables and detectors.
#[derive(Debug)]
pub struct Engine<'m> {
    pub(crate) key: HashKey,
    pub(crate) home_net: HomeNet,
    pub(crate) now: Timestamp,
    pub(crate) counts: Counts,
    pub(crate) flows: Flows<'m>,
    pub(crate) incidents: Incidents<'m>,
    incident_slots: usize,
    /// What other engines must be told, if there are others.
    pub(crate) reports: Option<FirstPacketReports>,
    pub(crate) detectors: Detectors<'m>,
    /// Messages that span packets, if there is memory for them.
    reassembly: Option<Reassembly<'m>>,
}

/// The registry's detectors, in its order.
#[derive(Debug)]
pub(crate) struct Detectors<'m> {
    /// `port_scan` and `syn_flood`.
    pub(crate) syn_sources: SynSources<'m>,
    icmp_flood: IcmpFlood<'m>,
    pub(crate) suspicious_port: SuspiciousPort<'m>,
    arp_spoof: ArpSpoof<'m>,
    dns_tunnel: DnsTunnel,
    pub(crate) exfiltration: Exfiltration<'m>,
    brute_force: BruteForce<'m>,
    /// Says of most ports that no detector looks at conversations with them in particular.
    pub(crate) watched_ports: PortBloom,
}

impl<'m> Engine<'m> {
    /// An engine over lent storage. `configs` stand in the order of [`Kind::ALL`].
    #[must_use]
    pub fn new(
        storage: Storage<'m>,
        key: HashKey,
        home_net: HomeNet,
        incident_limits: IncidentLimits,
        configs: &[DetectorConfig; 8],
    ) -> Self {
        let [scan, syn, icmp, port, arp, dns, exfiltration, brute] = configs;
        let Storage { flows, syn_sources, echo_sources, logins, egress, neighbours, incidents, listed_ports } =
            storage;
        let mut engine = Self {
            key,
            home_net,
            now: Timestamp::ZERO,
            counts: Counts::default(),
            flows: Flows::new(flows),
            incident_slots: incidents.len(),
            incidents: Incidents::new(incidents, incident_limits),
            reports: None,
            detectors: Detectors {
                syn_sources: SynSources::new(syn_sources, scan, syn),
                icmp_flood: IcmpFlood::new(echo_sources, icmp),
                suspicious_port: SuspiciousPort::new(listed_ports, port),
                arp_spoof: ArpSpoof::new(neighbours, arp),
                dns_tunnel: DnsTunnel::new(dns),
                exfiltration: Exfiltration::new(egress, exfiltration),
                brute_force: BruteForce::new(logins, brute),
                watched_ports: PortBloom::default(),
            },
            reassembly: None,
        };
        engine.detectors.update_watched_ports();
        engine
    }

    /// Lends memory to put datagrams and DNS over TCP together. Without it messages that span packets are not read.
    pub fn enable_reassembly(&mut self, storage: ReassemblyStorage<'m>) {
        self.reassembly = Some(Reassembly::new(storage));
        self.detectors.dns_tunnel.streams_are_joined = true;
    }

    /// Takes over new settings. Tables and open incidents stay.
    pub fn configure(
        &mut self,
        home_net: HomeNet,
        incident_limits: IncidentLimits,
        configs: &[DetectorConfig; 8],
    ) {
        let [scan, syn, icmp, port, arp, dns, exfiltration, brute] = configs;
        self.home_net = home_net;
        self.incidents.incident_limits = incident_limits;
        self.flows.reset_inspection();
        self.detectors.syn_sources.configure(scan, syn);
        self.detectors.icmp_flood.configure(icmp);
        self.detectors.suspicious_port.configure(port);
        self.detectors.arp_spoof.configure(arp);
        self.detectors.dns_tunnel.configure(dns);
        self.detectors.exfiltration.configure(exfiltration);
        self.detectors.brute_force.configure(brute);
        self.detectors.update_watched_ports();
    }

    /// Takes over a new list of ports that malware is known to use; returns how many did not fit.
    pub fn set_listed_ports(&mut self, list: &[ListedPort]) -> usize {
        let too_many = self.detectors.suspicious_port.set_list(list);
        self.detectors.update_watched_ports();
        too_many
    }

    /// Looks at a frame in which there may be something to learn.
    #[inline(never)] // keeps the other ways short
    pub(crate) fn slow_path(
        &mut self,
        at: Timestamp,
        link: LinkType,
        bytes: &[u8],
        wire_len: u32,
        raise: &mut dyn FnMut(Alert),
    ) {
        let read = match summarize_v4(link, bytes, wire_len) {
            Some((tuple, datagram)) => Some((FlowId::v4(&self.key, &tuple), tuple.into(), datagram)),
            None => summarize_v6(link, bytes, wire_len)
                .map(|(tuple, datagram)| (FlowId::of(&self.key, &tuple), tuple, datagram)),
        };
        if let Some((flow, tuple, datagram)) = read {
            self.counts.analysed += 1;
            let packet = PacketSummary::of_frame(tuple, datagram, bytes, wire_len);
            if self.segment(at, flow, &packet, raise) {
                self.stream(at, link, bytes, wire_len, raise);
            }
        } else if link.is_supported() {
            self.counts.analysed += 1;
            let packet = sentinel_dissect::packet(link, None, bytes, wire_len);
            self.counts.malformed += u64::from(packet.malformed.is_some());
            self.packet(at, &packet, raise);
        } else {
            self.counts.unsupported += 1;
        }
    }

    /// Looks at one packet that was read already, as part of a frame that counts or for itself, and at what it carries or
    /// completes.
    pub fn packet(&mut self, at: Timestamp, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        if self.reassembly.is_some() && reassembly::concerns(packet) {
            // Its content is judged once it is whole.
            self.alone(at, packet, PacketSummary::of(packet).map(PacketSummary::bare), raise);
            self.assemble(at, packet, raise);
        } else {
            self.alone(at, packet, PacketSummary::of(packet), raise);
            reassembly::tunnels(packet, &mut |decapsulated| {
                self.decapsulated(at, packet, decapsulated, raise)
            });
        }
    }

    /// What a TCP segment to a port that is followed completes. The segment itself has been looked at.
    #[cold]
    fn stream(
        &mut self,
        at: Timestamp,
        link: LinkType,
        bytes: &[u8],
        wire_len: u32,
        raise: &mut dyn FnMut(Alert),
    ) {
        self.assemble(at, &sentinel_dissect::packet(link, None, bytes, wire_len), raise);
    }

    #[cold]
    fn assemble(&mut self, at: Timestamp, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        let Some(mut reassembly) = self.reassembly.take() else { return };
        let key = self.key.clone();
        reassembly
            .packet(&key, at, packet, &mut |decapsulated| self.decapsulated(at, packet, decapsulated, raise));
        self.reassembly = Some(reassembly);
    }

    fn decapsulated(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        decapsulated: &Decapsulated<'_>,
        raise: &mut dyn FnMut(Alert),
    ) {
        let (packet, message) = match decapsulated {
            Decapsulated::Packet(inner) => return self.alone(at, inner, PacketSummary::of(inner), raise),
            Decapsulated::Datagram(datagram) => match datagram.udp() {
                Some(udp) => (*datagram, udp.payload),
                None => return,
            },
            Decapsulated::Message(message) => (packet, *message),
        };
        let Some(summary) = PacketSummary::of(packet) else { return };
        let Self { incidents, detectors, now, key, home_net, .. } = self;
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.dns_tunnel.whole(setting, &summary, message, &mut findings);
    }

    /// Looks at a packet without what it carries. `summary` is what may be known of it, if it has ports.
    fn alone(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        summary: Option<PacketSummary<'_>>,
        raise: &mut dyn FnMut(Alert),
    ) {
        if let Some(summary) = summary {
            let flow = FlowId::of(&self.key, &summary.tuple);
            let _is_followed = self.segment(at, flow, &summary, raise);
            return;
        }
        self.advance(at, raise);
        let Self { incidents, detectors, now, key, home_net, .. } = self;
        let event = OtherEvent { setting: Setting { now: *now, home_net, key }, packet };
        detectors.packet(&event, &mut Findings { incidents, now: *now, raise });
    }

    /// Looks at a TCP segment or UDP datagram; says whether it may be part of a message that spans segments. Many end
    /// here: ordinary ones in a direction from which nothing is left to learn, or only how long they are.
    pub(crate) fn segment(
        &mut self,
        at: Timestamp,
        flow: FlowId,
        packet: &PacketSummary<'_>,
        raise: &mut dyn FnMut(Alert),
    ) -> bool {
        self.advance(at, raise);
        let tuple = &packet.tuple;
        if self.detectors.is_countable_syn(tuple) && !self.is_egress(tuple.source, tuple.destination) {
            self.count_any_request(&packet.into(), raise);
            return false;
        }
        let Self { incidents, detectors, now, key, home_net, flows, reports, .. } = self;
        let mut conversation = flows.note(flow, tuple.tcp_flags, *now);
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        if !detectors.syn_sources.may_ask(tuple.tcp_flags, &conversation.role) {
            match conversation.inspection() {
                Inspection::Bypass => return false,
                Inspection::LengthOnly => {
                    let hash = setting.key.address(tuple.source);
                    detectors.exfiltration.ordinary(*now, hash, &packet.into(), &mut findings);
                    return false;
                }
                Inspection::Full => {}
            }
        }
        let role = match reports {
            Some(reports) if conversation.role.is_first => {
                let sight = reports.note(&flow, packet, conversation.role, &detectors.suspicious_port, *now);
                if sight == Seen::Undecided {
                    let role = Role { from_initiator: false, is_first: false, ..conversation.role };
                    detectors.segment(setting, packet, role, &mut findings);
                    // Not the sender, until the others have been heard.
                    flows.set_initiator(flow, false, false, true, *now);
                    return false;
                }
                Role { is_first: sight == Seen::First, ..conversation.role }
            }
            _ => conversation.role,
        };
        detectors.segment(setting, packet, role, &mut findings);
        conversation.set_inspection(detectors.inspection(home_net, tuple, role.from_initiator));
        if conversation.role.is_first {
            let answers = tuple.reversed();
            conversation.set_response_inspection(detectors.inspection(
                home_net,
                &answers,
                !role.from_initiator,
            ));
        }
        tuple.tcp_flags.is_some() && reassembly::is_dns_stream(tuple.destination_port)
    }

    /// Lets time pass while there is no traffic.
    pub fn tick(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.advance(now, raise);
    }

    /// Closes all incidents: the traffic has ended.
    pub fn finish(&mut self, raise: &mut dyn FnMut(Alert)) {
        self.incidents.close_all(self.now, raise);
    }

    /// What became of the frames so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What the tables have lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let detectors = &self.detectors;
        let evictions = [
            self.flows.table().evictions(),
            detectors.syn_sources.evictions(),
            detectors.icmp_flood.evictions(),
            detectors.arp_spoof.evictions(),
            detectors.exfiltration.evictions(),
            detectors.brute_force.evictions(),
        ];
        let reassembly = self.reassembly.as_ref().map_or(0, Reassembly::evictions);
        Losses {
            evictions: evictions.iter().sum::<u64>() + reassembly,
            closed_early: self.incidents.closed_early(),
        }
    }

    /// Incidents open now, and how many there is room for.
    #[must_use]
    pub const fn open_incidents(&self) -> (u32, usize) {
        (self.incidents.open(), self.incident_slots)
    }

    /// The clock follows the newest stamp.
    #[inline]
    pub(crate) fn advance(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
        if self.is_monotonic(at) {
            self.now = at;
        } else {
            self.advance_cold(at, raise);
        }
    }

    /// Whether time goes on to `at` without more ado.
    #[inline]
    pub(crate) fn is_monotonic(&self, at: Timestamp) -> bool {
        at >= self.now && !self.incidents.has_expired(at)
    }

    #[cold]
    fn advance_cold(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
        if at >= self.now {
            self.now = at;
            self.incidents.close_until(at, raise);
        } else if self.now.since(at) > CLOCK_SET_BACK {
            self.now = at;
            self.incidents.clock_set_back(at, raise);
        }
    }
}

impl Detectors<'_> {
    fn update_watched_ports(&mut self) {
        let ports = [DNS].into_iter().chain(self.brute_force.ports()).chain(self.suspicious_port.ports());
        self.watched_ports = ports.collect();
    }

    /// Shows a segment or datagram to those that it may concern.
    #[inline(never)] // keeps the way of most packets short
    pub(crate) fn segment(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        role: Role,
        findings: &mut Findings<'_, '_>,
    ) {
        let event = &Event { setting, packet, role, source_hash: setting.key.address(packet.tuple.source) };
        self.syn_sources.segment(event, findings);
        self.suspicious_port.segment(event, findings);
        self.dns_tunnel.segment(event, findings);
        if event.packet.tuple.tcp_flags.is_some() {
            self.brute_force.segment(event, findings);
        } else {
            self.arp_spoof.segment(event);
        }
        self.exfiltration.segment(event, findings);
    }

    /// What they can learn from ordinary segments or datagrams between these ends.
    #[inline]
    fn inspection(&self, home_net: &HomeNet, tuple: &FiveTuple, from_initiator: bool) -> Inspection {
        if self.dns_tunnel.follows(tuple.destination_port) || self.arp_spoof.follows(tuple.source_port) {
            Inspection::Full
        } else if from_initiator && self.exfiltration.counts(home_net, tuple.source, tuple.destination) {
            Inspection::LengthOnly
        } else {
            Inspection::Bypass
        }
    }

    #[inline]
    fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        match event.packet.transport {
            Transport::Icmp(_) | Transport::Icmpv6(_) => self.icmp_flood.packet(event, findings),
            _ => self.arp_spoof.packet(event, findings),
        }
        self.exfiltration.packet(event, findings);
    }
}

const _: () = assert!(Kind::ALL.len() == 8, "every kind has a detector here");
