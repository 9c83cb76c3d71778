//! From packets to alerts: one pass, all detectors.

use core::time::Duration;

use sentinel_alert::{Alert, Kind};
use sentinel_dissect::{Ends, Glance, Packet, Transport, glance_v4, glance_v6};
use sentinel_track::flow::{FlowId, Flows, Interest, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Timestamp};

use crate::arp_spoof::ArpSpoof;
use crate::askers::Askers;
use crate::assembly::{self, Assembly, AssemblyStorage, Carried};
use crate::brute_force::BruteForce;
use crate::dns_tunnel::{DNS, DnsTunnel};
use crate::event::{Event, OtherEvent, Setting};
use crate::exfiltration::Exfiltration;
use crate::icmp_flood::IcmpFlood;
use crate::incident::{Findings, Incidents};
use crate::inside::Inside;
use crate::memory::Storage;
use crate::port_sieve::PortSieve;
use crate::registry::Config;
use crate::sighting::{Seen, Sightings};
use crate::suspicious_port::{ListedPort, SuspiciousPort};

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
    pub(crate) inside: Inside,
    pub(crate) now: Timestamp,
    pub(crate) counts: Counts,
    pub(crate) flows: Flows<'m>,
    pub(crate) incidents: Incidents<'m>,
    incident_slots: usize,
    /// What other engines must be told, if there are others.
    pub(crate) sightings: Option<Sightings>,
    pub(crate) detectors: Detectors<'m>,
    /// Messages that span packets, if there is memory for them.
    assembly: Option<Assembly<'m>>,
}

/// The registry's detectors, in its order.
#[derive(Debug)]
pub(crate) struct Detectors<'m> {
    /// `port_scan` and `syn_flood`.
    pub(crate) askers: Askers<'m>,
    icmp_flood: IcmpFlood<'m>,
    pub(crate) suspicious_port: SuspiciousPort<'m>,
    arp_spoof: ArpSpoof<'m>,
    dns_tunnel: DnsTunnel,
    pub(crate) exfiltration: Exfiltration<'m>,
    brute_force: BruteForce<'m>,
    /// Says of most ports that no detector looks at conversations with them in particular.
    pub(crate) looked_at: PortSieve,
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
        let Storage { flows, askers, echoes, doors, outbound, neighbours, incidents, listed_ports } = storage;
        let mut engine = Self {
            key,
            inside,
            now: Timestamp::ZERO,
            counts: Counts::default(),
            flows: Flows::new(flows),
            incident_slots: incidents.len(),
            incidents: Incidents::new(incidents, pace),
            sightings: None,
            detectors: Detectors {
                askers: Askers::new(askers, scan, syn),
                icmp_flood: IcmpFlood::new(echoes, icmp),
                suspicious_port: SuspiciousPort::new(listed_ports, port),
                arp_spoof: ArpSpoof::new(neighbours, arp),
                dns_tunnel: DnsTunnel::new(dns),
                exfiltration: Exfiltration::new(outbound, exfiltration),
                brute_force: BruteForce::new(doors, brute),
                looked_at: PortSieve::default(),
            },
            assembly: None,
        };
        engine.detectors.update_looked_at();
        engine
    }

    /// Lends memory to put datagrams and DNS over TCP together. Without it messages that span packets are not read.
    pub fn put_together(&mut self, storage: AssemblyStorage<'m>) {
        self.assembly = Some(Assembly::new(storage));
        self.detectors.dns_tunnel.streams_are_joined = true;
    }

    /// Takes over new settings. Tables and open incidents stay.
    pub fn configure(&mut self, inside: Inside, pace: Pace, configs: &[Config; 8]) {
        let [scan, syn, icmp, port, arp, dns, exfiltration, brute] = configs;
        self.inside = inside;
        self.incidents.pace = pace;
        self.flows.forget_interest();
        self.detectors.askers.configure(scan, syn);
        self.detectors.icmp_flood.configure(icmp);
        self.detectors.suspicious_port.configure(port);
        self.detectors.arp_spoof.configure(arp);
        self.detectors.dns_tunnel.configure(dns);
        self.detectors.exfiltration.configure(exfiltration);
        self.detectors.brute_force.configure(brute);
        self.detectors.update_looked_at();
    }

    /// Takes over a new list of ports that malware is known to use; returns how many did not fit.
    pub fn set_listed_ports(&mut self, list: &[ListedPort]) -> usize {
        let too_many = self.detectors.suspicious_port.set_list(list);
        self.detectors.update_looked_at();
        too_many
    }

    /// Looks at a frame in which there may be something to learn.
    #[inline(never)] // keeps the other ways short
    pub(crate) fn attentively(
        &mut self,
        at: Timestamp,
        link: LinkType,
        bytes: &[u8],
        wire_len: u32,
        raise: &mut dyn FnMut(Alert),
    ) {
        let read = match glance_v4(link, bytes, wire_len) {
            Some((ends, datagram)) => Some((FlowId::v4(&self.key, &ends), ends.into(), datagram)),
            None => glance_v6(link, bytes, wire_len)
                .map(|(ends, datagram)| (FlowId::of(&self.key, &ends), ends, datagram)),
        };
        if let Some((flow, ends, datagram)) = read {
            self.counts.analysed += 1;
            let packet = Glance::of_frame(ends, datagram, bytes, wire_len);
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
        if self.assembly.is_some() && assembly::concerns(packet) {
            // Its content is judged once it is whole.
            self.alone(at, packet, Glance::of(packet).map(Glance::bare), raise);
            self.assemble(at, packet, raise);
        } else {
            self.alone(at, packet, Glance::of(packet), raise);
            assembly::tunnels(packet, &mut |carried| self.carried(at, packet, carried, raise));
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
        let Some(mut assembly) = self.assembly.take() else { return };
        let key = self.key.clone();
        assembly.packet(&key, at, packet, &mut |carried| self.carried(at, packet, carried, raise));
        self.assembly = Some(assembly);
    }

    fn carried(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        carried: &Carried<'_>,
        raise: &mut dyn FnMut(Alert),
    ) {
        let (packet, message) = match carried {
            Carried::Packet(inner) => return self.alone(at, inner, Glance::of(inner), raise),
            Carried::Datagram(datagram) => match datagram.udp() {
                Some(udp) => (*datagram, udp.payload),
                None => return,
            },
            Carried::Message(message) => (packet, *message),
        };
        let Some(glance) = Glance::of(packet) else { return };
        let Self { incidents, detectors, now, key, inside, .. } = self;
        let setting = Setting { now: *now, inside, key };
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.dns_tunnel.whole(setting, &glance, message, &mut findings);
    }

    /// Looks at a packet without what it carries. `glance` is what may be known of it, if it has ports.
    fn alone(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        glance: Option<Glance<'_>>,
        raise: &mut dyn FnMut(Alert),
    ) {
        if let Some(glance) = glance {
            let flow = FlowId::of(&self.key, &glance.ends);
            let _is_followed = self.segment(at, flow, &glance, raise);
            return;
        }
        self.advance(at, raise);
        let Self { incidents, detectors, now, key, inside, .. } = self;
        let event = OtherEvent { setting: Setting { now: *now, inside, key }, packet };
        detectors.packet(&event, &mut Findings { incidents, now: *now, raise });
    }

    /// Looks at a TCP segment or UDP datagram; says whether it may be part of a message that spans segments. Many end
    /// here: ordinary ones in a direction from which nothing is left to learn, or only how long they are.
    pub(crate) fn segment(
        &mut self,
        at: Timestamp,
        flow: FlowId,
        packet: &Glance<'_>,
        raise: &mut dyn FnMut(Alert),
    ) -> bool {
        self.advance(at, raise);
        let ends = &packet.ends;
        if self.detectors.may_be_mere_request(ends) && !self.goes_out(ends.source, ends.destination) {
            self.count_any_request(&packet.into(), raise);
            return false;
        }
        let Self { incidents, detectors, now, key, inside, flows, sightings, .. } = self;
        let mut conversation = flows.note(flow, ends.tcp_flags, *now);
        let setting = Setting { now: *now, inside, key };
        let mut findings = Findings { incidents, now: *now, raise };
        if !detectors.askers.may_ask(ends.tcp_flags, &conversation.role) {
            match conversation.interest() {
                Interest::Nothing => return false,
                Interest::Length => {
                    let hash = setting.key.address(ends.source);
                    detectors.exfiltration.ordinary(*now, hash, &packet.into(), &mut findings);
                    return false;
                }
                Interest::Everything => {}
            }
        }
        let role = match sightings {
            Some(sightings) if conversation.role.is_first => {
                let sight =
                    sightings.note(&flow, packet, conversation.role, &detectors.suspicious_port, *now);
                if sight == Seen::Undecided {
                    let role = Role { from_opener: false, is_first: false, ..conversation.role };
                    detectors.segment(setting, packet, role, &mut findings);
                    // Not the sender, until the others have been heard.
                    flows.settle(flow, false, false, true, *now);
                    return false;
                }
                Role { is_first: sight == Seen::First, ..conversation.role }
            }
            _ => conversation.role,
        };
        detectors.segment(setting, packet, role, &mut findings);
        conversation.set_interest(detectors.interest(inside, ends, role.from_opener));
        if conversation.role.is_first {
            let answers = ends.reversed();
            conversation.set_interest_in_answers(detectors.interest(inside, &answers, !role.from_opener));
        }
        ends.tcp_flags.is_some() && assembly::is_dns_stream(ends.destination_port)
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
            detectors.askers.evictions(),
            detectors.icmp_flood.evictions(),
            detectors.arp_spoof.evictions(),
            detectors.exfiltration.evictions(),
            detectors.brute_force.evictions(),
        ];
        let assembly = self.assembly.as_ref().map_or(0, Assembly::evictions);
        Losses {
            evictions: evictions.iter().sum::<u64>() + assembly,
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
        if self.is_next(at) {
            self.now = at;
        } else {
            self.advance_slowly(at, raise);
        }
    }

    /// Whether time goes on to `at` without more ado.
    #[inline]
    pub(crate) fn is_next(&self, at: Timestamp) -> bool {
        at >= self.now && !self.incidents.is_one_over(at)
    }

    #[cold]
    fn advance_slowly(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
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
    fn update_looked_at(&mut self) {
        let ports = [DNS].into_iter().chain(self.brute_force.ports()).chain(self.suspicious_port.ports());
        self.looked_at = ports.collect();
    }

    /// Shows a segment or datagram to those that it may concern.
    #[inline(never)] // keeps the way of most packets short
    pub(crate) fn segment(
        &mut self,
        setting: Setting<'_>,
        packet: &Glance<'_>,
        role: Role,
        findings: &mut Findings<'_, '_>,
    ) {
        let event = &Event { setting, packet, role, source_hash: setting.key.address(packet.ends.source) };
        self.askers.segment(event, findings);
        self.suspicious_port.segment(event, findings);
        self.dns_tunnel.segment(event, findings);
        if event.packet.ends.tcp_flags.is_some() {
            self.brute_force.segment(event, findings);
        } else {
            self.arp_spoof.segment(event);
        }
        self.exfiltration.segment(event, findings);
    }

    /// What they can learn from ordinary segments or datagrams between these ends.
    #[inline]
    fn interest(&self, inside: &Inside, ends: &Ends, from_opener: bool) -> Interest {
        if self.dns_tunnel.follows(ends.destination_port) || self.arp_spoof.follows(ends.source_port) {
            Interest::Everything
        } else if from_opener && self.exfiltration.counts(inside, ends.source, ends.destination) {
            Interest::Length
        } else {
            Interest::Nothing
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
