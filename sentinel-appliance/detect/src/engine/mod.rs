//! The engine: frames in, alerts out.
//!
//! [`fast_path`] finishes most frames; all others take the slow path here, which parses them again, looks up the flow and shows
//! the packet to the detectors.

pub(crate) mod canary;
pub(crate) mod fast_path;
pub(crate) mod memory;
pub(crate) mod reassembly;
pub(crate) mod siblings;

use sentinel_alert::Alert;
use sentinel_dissect::{Packet, PacketSummary, TcpFlags, Vlans, tunnel};
use sentinel_track::clock::CLOCK_SET_BACK;
use sentinel_track::flow::{FlowId, Flows, Inspection, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Timestamp};

use crate::detectors::lists::suspicious_port::ListedPort;
use crate::detectors::payload::watch::WATCHED;
use crate::detectors::spoof::device_table::Device;
use crate::detectors::{Configs, Detectors, FlowRequest};
use crate::incident::{AllowRule, Findings, IncidentLimits, Incidents};
use crate::indicators::IndicatorLookup;
use crate::shared::event::{Counted, OtherEvent, Setting};
use crate::shared::home_net::HomeNet;
use memory::Storage;
use reassembly::{Decapsulated, Reassembly, ReassemblyStorage};
use siblings::{FirstPacketReports, Handling};

/// Bytes of a frame that is no part of a large transfer if its flow begins with it.
const SMALL: u32 = 1_000;

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame<'f> {
    /// Time of capture.
    pub at: Timestamp,
    /// Type of the link it was captured on.
    pub link: LinkType,
    /// The captured bytes.
    pub bytes: &'f [u8],
    /// Length on the wire; a value less than that of `bytes` is raised to it.
    pub wire_len: u32,
    /// Number of the interface; of those above 255 the lower eight bits count.
    pub interface: u16,
    /// Tag control information of the VLAN tag that the card or the kernel removed from the bytes.
    pub vlan: Option<u16>,
}

/// Losses of the tables so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Live entries evicted from full tables, over all tables.
    pub evictions: u64,
    /// Incidents closed early to make room.
    pub closed_early: u64,
    /// DNS messages that were not read because there were too many.
    pub unread_messages: u64,
    /// Findings that a rule of the operator allows.
    pub allowed: u64,
    /// Connections whose first payloads were not read because there were too many.
    pub unread_payloads: u64,
}

/// Frames so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Frames that the detectors analysed.
    pub analysed: u64,
    /// Frames of a link type that is not supported.
    pub unsupported: u64,
    /// Frames that break the rules of a protocol.
    pub malformed: u64,
    /// Frames cut by the snap length.
    pub truncated: u64,
}

/// All tables and detectors.
#[derive(Debug)]
pub struct Engine<'m> {
    key: HashKey,
    home_net: HomeNet,
    now: Timestamp,
    counts: Counts,
    /// Interface of the packet at hand.
    interface: u8,
    flows: Flows<'m>,
    incidents: Incidents<'m>,
    incident_slots: usize,
    /// Reports for the other engines, if there are others.
    reports: Option<FirstPacketReports>,
    pub(crate) detectors: Detectors<'m>,
    /// Messages that span packets, if there is memory for them.
    reassembly: Option<Reassembly<'m>>,
}

impl<'m> Engine<'m> {
    /// An engine over lent storage.
    #[must_use]
    #[inline(never)] // runs once
    pub fn new(
        storage: Storage<'m>,
        key: HashKey,
        home_net: HomeNet,
        incident_limits: IncidentLimits,
        configs: &Configs,
    ) -> Self {
        let Storage { flows, incidents, tables } = storage;
        Self {
            key,
            home_net,
            now: Timestamp::ZERO,
            counts: Counts::default(),
            interface: 0,
            flows: Flows::new(flows),
            incident_slots: incidents.len(),
            incidents: Incidents::new(incidents, incident_limits),
            reports: None,
            detectors: Detectors::new(tables, configs),
            reassembly: None,
        }
    }

    /// Lends memory to reassemble datagrams and DNS over TCP. Without it messages that span packets are not read.
    pub fn enable_reassembly(&mut self, storage: ReassemblyStorage<'m>) {
        self.reassembly = Some(Reassembly::new(storage));
        self.detectors.enable_reassembly();
    }

    /// Takes over new settings. Tables and open incidents stay.
    pub fn configure(&mut self, home_net: HomeNet, incident_limits: IncidentLimits, configs: &Configs) {
        self.home_net = home_net;
        self.incidents.incident_limits = incident_limits;
        self.flows.reset_inspection();
        self.detectors.configure(configs);
    }

    /// Takes over a new list of ports that malware is known to use; returns the number of entries that did not fit.
    pub fn set_listed_ports(&mut self, list: &[ListedPort]) -> usize {
        self.detectors.set_listed_ports(list)
    }

    /// Takes over the behaviour that the operator expects; returns the number of rules that did not fit.
    pub fn set_allow_rules(&mut self, rules: &[AllowRule]) -> usize {
        self.incidents.set_allow_rules(rules)
    }

    /// Takes over packed lists of names and addresses, or those that are built in if `lists` is `None`. Returns false, and keeps those
    /// before, if they do not fit into the memory lent for them ([`signatures_need`](crate::signatures_need)).
    pub fn set_signatures(&mut self, lists: Option<&[u8]>, built_in: &'static [u8]) -> bool {
        self.detectors.set_signatures(lists, built_in)
    }

    /// Takes over the bytes that make a large transfer: with any host, if the setting of `large_transfer` has its default, and with services
    /// of large files.
    pub const fn set_transfer_sizes(&mut self, sizes: [u32; 2]) {
        self.detectors.set_transfer_sizes(sizes);
    }

    /// Takes over a compiled list of indicators, which may be replaced behind the reference: then it is given again.
    pub fn set_indicators(&mut self, indicators: Option<&'static dyn IndicatorLookup>) {
        self.detectors.set_indicators(indicators);
    }

    /// Analyses a frame that the fast path did not finish, from the start. `is_summarized` if the fast path has read its headers.
    #[inline(never)] // keeps the fast path short
    fn slow_path(&mut self, frame: &RawFrame<'_>, is_summarized: bool, raise: &mut dyn FnMut(Alert)) {
        let RawFrame { at, link, bytes, wire_len, interface, vlan } = *frame;
        [_, self.interface] = interface.to_be_bytes();
        if is_summarized && let Some((flow, packet)) = self.summary_again(bytes, wire_len) {
            self.counts.analysed += 1;
            self.detectors.set_link(self.interface, Some(&Vlans::offloaded(vlan)));
            if self.segment(at, flow, &packet, raise) {
                self.look_inside(frame, raise);
            }
        } else if link.is_supported() {
            self.counts.analysed += 1;
            let packet = sentinel_dissect::packet(link, vlan, bytes, wire_len);
            self.packet(at, &packet, raise);
            self.counts.malformed += u64::from(packet.malformed.is_some());
        } else {
            self.counts.unsupported += 1;
        }
    }

    /// Analyses one packet that was parsed already, with the packets inside it and the messages it completes.
    pub fn packet(&mut self, at: Timestamp, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        self.detectors.set_link(self.interface, Some(&packet.vlans));
        if self.reassembly.is_some() && reassembly::concerns(packet) {
            let is_fragment = packet.ip().is_some_and(|ip| ip.fragment.is_some());
            self.detectors.victims().is_fragment = is_fragment;
            // Without its payload, which is read once the message is complete.
            self.headers(at, packet, PacketSummary::of(packet).map(PacketSummary::bare), raise);
            self.detectors.victims().is_fragment = false;
            if is_fragment {
                self.fragment(packet, raise);
            }
            self.reassemble(at, packet, raise);
        } else {
            self.headers(at, packet, PacketSummary::of(packet), raise);
            reassembly::tunnels(packet, &mut |decapsulated| {
                self.decapsulated(at, packet, decapsulated, raise);
            });
        }
        if let Some(fault) = packet.malformed {
            let Self { incidents, detectors, now, .. } = self;
            detectors.malformed(packet, fault, &mut Findings { incidents, now: *now, raise });
        }
    }

    /// Reassembles the stream of a TCP segment, or analyses the packets inside a datagram, which itself was analysed before.
    #[cold]
    fn look_inside(&mut self, frame: &RawFrame<'_>, raise: &mut dyn FnMut(Alert)) {
        let RawFrame { at, link, bytes, wire_len, vlan, .. } = *frame;
        let packet = &sentinel_dissect::packet(link, vlan, bytes, wire_len);
        if packet.udp().is_none() {
            return self.reassemble(at, packet, raise);
        }
        reassembly::tunnels(packet, &mut |inner| self.decapsulated(at, packet, inner, raise));
    }

    /// Counts a fragment, whose headers were analysed before, for its destination.
    fn fragment(&mut self, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, home_net, .. } = self;
        let setting = Setting { now: *now, home_net, key };
        detectors.victims().fragment(setting, packet, &mut Findings { incidents, now: *now, raise });
    }

    #[cold]
    fn reassemble(&mut self, at: Timestamp, packet: &Packet<'_>, raise: &mut dyn FnMut(Alert)) {
        let Some(reassembly) = self.reassembly.as_mut() else { return };
        let overlaps = reassembly.overlaps();
        let is_complete = reassembly.add(&self.key, at, packet);
        if reassembly.overlaps() != overlaps
            && let Some(packet) = Counted::without_ports(packet)
        {
            let Self { incidents, detectors, now, key, home_net, .. } = self;
            let setting = Setting { now: *now, home_net, key };
            detectors.overlapping_fragment(setting, &packet, &mut Findings { incidents, now: *now, raise });
        }
        if !is_complete {
            return;
        }
        let setting = Setting { now: self.now, home_net: &self.home_net, key: &self.key };
        self.detectors.victims().reassembled(setting, packet);
        // Moved out for the call, because what it completes is shown to the engine that owns it.
        let Some(mut reassembly) = self.reassembly.take() else { return };
        let key = self.key.clone();
        reassembly
            .show(&key, at, packet, &mut |decapsulated| self.decapsulated(at, packet, decapsulated, raise));
        self.reassembly = Some(reassembly);
    }

    /// Analyses a packet that a tunnel carried, or a message that `packet` completed.
    fn decapsulated(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        decapsulated: &Decapsulated<'_>,
        raise: &mut dyn FnMut(Alert),
    ) {
        let (packet, message) = match decapsulated {
            Decapsulated::Packet(inner) => {
                self.detectors.set_link(0, None);
                return self.headers(at, inner, PacketSummary::of(inner), raise);
            }
            // No fragment of it had a complete TCP header, so that its ports were not seen before.
            Decapsulated::Probe(datagram) => {
                return self.headers(at, datagram, PacketSummary::of(datagram), raise);
            }
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
        detectors.message(setting, &summary, message, &mut findings);
    }

    /// Analyses a packet without what it carries. `summary` is the part of it that may be read, if it has ports.
    fn headers(
        &mut self,
        at: Timestamp,
        packet: &Packet<'_>,
        summary: Option<PacketSummary<'_>>,
        raise: &mut dyn FnMut(Alert),
    ) {
        if let Some(summary) = summary {
            let flow = FlowId::of(&self.key, &summary.tuple);
            let _is_streamed = self.segment(at, flow, &summary, raise);
            return;
        }
        self.advance(at, raise);
        let Self { incidents, detectors, now, key, home_net, .. } = self;
        let event = OtherEvent { setting: Setting { now: *now, home_net, key }, packet };
        detectors.packet(&event, &mut Findings { incidents, now: *now, raise });
    }

    /// Analyses a TCP segment or UDP datagram. Returns true if it may be part of a message that spans segments, or be a tunnel.
    ///
    /// The flow entry decides how closely: ordinary packets of a direction that is `Bypass` or `LengthOnly` end early.
    #[inline(always)] // a few comparisons in front of `follow`
    fn segment(
        &mut self,
        at: Timestamp,
        flow: FlowId,
        packet: &PacketSummary<'_>,
        raise: &mut dyn FnMut(Alert),
    ) -> bool {
        self.advance(at, raise);
        let tuple = &packet.tuple;
        // A SYN that is only counted gets no flow entry, unless it is outbound; see `fast_path`.
        if self.detectors.is_countable_syn(tuple) && !self.is_egress(tuple.source, tuple.destination) {
            self.count_any_request(&packet.into(), raise);
            return false;
        }
        self.follow(flow, packet, raise)
    }

    /// [`Self::segment`] of a packet that gets a flow entry, with the clock set to its time.
    #[inline(never)] // one copy for requests and for all others
    fn follow(&mut self, flow: FlowId, packet: &PacketSummary<'_>, raise: &mut dyn FnMut(Alert)) -> bool {
        let tuple = &packet.tuple;
        let Self { incidents, detectors, now, key, home_net, flows, reports, .. } = self;
        let mut entry = flows.note(flow, tuple.tcp_flags, *now);
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        if tuple.tcp_flags.is_some_and(TcpFlags::syn_ack) {
            detectors.syn_ack(setting, packet, &mut findings);
        }
        let inspection = entry.inspection();
        // Once in a period for each connection, whether or not the fast path has finished the others.
        if tuple.tcp_flags.is_some_and(TcpFlags::ordinary)
            && if entry.role.is_first {
                packet.wire_len > SMALL
            } else {
                entry.role.idle > detectors.bypass_period().elapsed(*now)
            }
        {
            detectors.transfer(setting, flow, packet, &mut findings);
        }
        // SYN, stealth probes, and UDP after a silence are shown to the detectors whatever the direction's inspection is.
        if !detectors.may_open(tuple.tcp_flags, &entry.role) {
            match inspection {
                Inspection::Bypass => return false,
                Inspection::LengthOnly => {
                    let hash = setting.key.address(tuple.source);
                    detectors.length(*now, hash, &packet.into(), key, &mut findings);
                    return false;
                }
                Inspection::Full => {}
            }
        }
        let role = match reports {
            Some(reports) if entry.role.is_first => {
                let handling = reports.note(&flow, packet, entry.role, detectors, *now);
                if handling == Handling::Pending {
                    let role = Role { from_initiator: false, is_first: false, ..entry.role };
                    let _is_unanswered =
                        detectors.segment(setting, packet, role, Inspection::Bypass, &mut findings);
                    // The sender is not the initiator until the other engines have reported.
                    flows.set_initiator(flow, false, false, true, *now);
                    return false;
                }
                Role { is_first: handling == Handling::Here, ..entry.role }
            }
            Some(reports) if inspection == Inspection::Full && !entry.role.from_initiator => {
                reports.note_response(packet, detectors, *now);
                entry.role
            }
            _ => entry.role,
        };
        let is_udp = tuple.tcp_flags.is_none();
        let is_tunnel = is_udp && tunnel::is_tunnel_port(tuple.destination_port);
        // Of a segment only the first response to one without a connection is looked at as such.
        let is_bypassed = tuple.tcp_flags.is_some() && !entry.take_response();
        let looked_at = if is_bypassed { Inspection::Bypass } else { inspection };
        detectors.session = match tuple.tcp_flags {
            Some(_) => entry.session(),
            // A query is noted for its response, which would be one-way otherwise, and is never one-way itself.
            None if Detectors::is_payload_port(tuple.destination_port) => {
                let _is_read_anyway = entry.note_sender();
                0
            }
            // Another worker may see the responses of an endpoint that only its port makes the responder.
            None if role.from_initiator || reports.is_none() => entry.note_sender(),
            None => 0,
        };
        let is_unanswered = detectors.segment(setting, packet, role, looked_at, &mut findings);
        let is_read =
            is_tunnel || tuple.tcp_flags.is_some() && Detectors::is_payload_port(tuple.destination_port);
        if is_unanswered && let Some(request) = detectors.take_flow_request() {
            entry.set_inspection(Inspection::Full);
            match request {
                FlowRequest::OneWay => {}
                FlowRequest::Session(bits) => {
                    entry.set_session(bits);
                    if bits & WATCHED != 0 && tuple.tcp_flags.is_some_and(TcpFlags::syn_ack) {
                        entry.set_response_inspection(Inspection::Full);
                    }
                }
                FlowRequest::Initiator => {
                    flows.set_initiator(flow, true, true, true, *now);
                }
            }
            return is_read;
        }
        if is_unanswered && tuple.tcp_flags.is_some_and(TcpFlags::ordinary) {
            entry.expect_response();
        }
        // The other direction is set with the first packet; with the first response, which ends what a detector of unanswered
        // datagrams needs; and with each query, after which detectors may need its response or not. Of TCP only the other
        // direction is ever needed.
        let needs_own = is_unanswered && is_udp || is_tunnel;
        let may_be_read = Detectors::may_be_read(tuple);
        let is_counted = role.from_initiator && detectors.is_egress;
        let own = detectors.inspection(tuple, may_be_read, is_counted, needs_own);
        let is_response = is_udp && !is_unanswered && inspection == Inspection::Full;
        let is_query = is_udp && Detectors::is_payload_port(tuple.destination_port);
        if entry.role.is_first || is_response || is_query || is_unanswered && !is_udp {
            let is_counted = !is_unanswered
                && !role.from_initiator
                && detectors.counts_length(home_net, tuple.destination, tuple.source);
            let response = detectors.inspection(&tuple.reversed(), may_be_read, is_counted, is_unanswered);
            entry.set_inspections(own, response);
        } else {
            entry.set_inspection(own);
        }
        is_read
    }

    /// Advances the clock while there is no traffic.
    pub fn tick(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.advance(now, raise);
    }

    /// Closes all incidents, because the traffic has ended.
    pub fn finish(&mut self, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, home_net, .. } = &mut *self;
        let setting = Setting { now: *now, home_net, key };
        detectors.finish(setting, &mut Findings { incidents, now: *now, raise });
        self.incidents.close_all(self.now, raise);
    }

    /// Frames so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Losses of the tables so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let reassembly = self.reassembly.as_ref().map_or(0, Reassembly::evictions);
        Losses {
            evictions: self.flows.table().evictions()
                + self.detectors.evictions()
                + self.detectors.victim_evictions()
                + self.detectors.link_evictions()
                + self.detectors.name_evictions()
                + self.detectors.beacon_evictions()
                + self.detectors.payload_evictions()
                + reassembly,
            closed_early: self.incidents.closed_early(),
            unread_messages: self.detectors.unread_messages(),
            allowed: self.incidents.allowed(),
            unread_payloads: self.detectors.unread_payloads(),
        }
    }

    /// Stations of the link that are known (free slots included), whether these are all, and two numbers that change with them: the first with
    /// every change, the second with every station that is added.
    #[must_use]
    pub fn devices(&mut self) -> (&[Device], bool, [u32; 2]) {
        self.detectors.devices(self.now)
    }

    /// Takes over stations that an earlier run knew. If they were all, a station that is not among them is new from the first frame.
    pub fn restore_devices(&mut self, devices: &[Device], is_complete: bool) {
        self.detectors.restore_devices(devices, is_complete);
    }

    /// Incidents open now, and the number of slots.
    #[must_use]
    pub const fn open_incidents(&self) -> (u32, usize) {
        (self.incidents.open(), self.incident_slots)
    }

    /// Sets the clock to `at`, unless that is a little in the past: the clock follows the newest timestamp.
    #[inline]
    fn advance(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
        if self.is_monotonic(at) {
            self.now = at;
        } else {
            self.advance_cold(at, raise);
        }
    }

    /// Returns true if the clock can be set to `at` directly: `at` is not in the past and no incident expires by then.
    #[inline]
    fn is_monotonic(&self, at: Timestamp) -> bool {
        at >= self.now && !self.incidents.has_expired(at)
    }

    #[cold]
    fn advance_cold(&mut self, at: Timestamp, raise: &mut dyn FnMut(Alert)) {
        if at >= self.now {
            self.now = at;
            self.incidents.close_until(at, raise);
            let Self { incidents, detectors, now, key, home_net, .. } = self;
            let setting = Setting { now: *now, home_net, key };
            detectors.expire(setting, &mut Findings { incidents, now: *now, raise });
        } else if self.now.since(at) > CLOCK_SET_BACK {
            self.now = at;
            self.incidents.clock_set_back(at, raise);
        }
    }
}
