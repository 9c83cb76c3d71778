//! Hand-off of flows between engines that each see the packets of some sources only.
//!
//! The fan-out sends a packet to the engine that owns its source, so that everything a source does is counted in one place. The
//! initiator of a flow may show only in the packets of the other side, which another engine sees:
//!
//! - Neither flags nor ports identify the initiator (UDP between two high ports, TCP that began before the sensor): the
//!   first packet does, and the two directions are seen by two engines. Each reports its first packet to the other, and
//!   decides once it knows that the other has processed every earlier packet.
//! - A response identifies the initiator (SYN-ACK from a listed port, when the SYN was missed): the initiator belongs to the
//!   other engine, which alone knows whether it has seen the request.

use sentinel_alert::Alert;
use sentinel_dissect::{FiveTuple, PacketSummary, TcpFlags};
use sentinel_track::flow::{Endpoint, FlowId, Inspection, Role};
use sentinel_track::hash::HashKey;
use sentinel_track::table::CoarseSpan;
use sentinel_units::Timestamp;

use super::Engine;
use crate::detectors::Detectors;
use crate::incident::Findings;
use crate::shared::event::{Event, Setting};

/// Report of the first packet of a flow that an engine saw, for the engine that sees the other direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FirstPacketReport {
    /// Sender of the packet.
    pub source: Endpoint,
    /// Receiver of the packet. The report is for the engine that owns this address.
    pub destination: Endpoint,
    /// Set for TCP, not for UDP.
    pub is_tcp: bool,
    /// Time of the packet.
    pub at: Timestamp,
    /// Evidence of the packet about the initiator.
    pub direction: Direction,
    wire_len: u32,
    sender: Option<[u8; 6]>,
}

/// Direction of the first packet of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The sender is the initiator if the other side has sent nothing before.
    Unknown,
    /// The sender is the responder.
    Response,
}

/// The report of the packet that an engine processed last, if it gave one.
#[derive(Debug, Default)]
pub(super) struct FirstPacketReports(Option<FirstPacketReport>);

/// Handling of the first packet of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Handling {
    /// This engine treats it as the first packet, as a single engine does.
    Here,
    /// Another engine treats it as the first packet.
    Elsewhere,
    /// The initiator is open until the other engine has reported.
    Pending,
}

impl FirstPacketReports {
    #[inline(never)] // keeps the code of a single engine short
    pub(super) fn note(
        &mut self,
        flow: &FlowId,
        packet: &PacketSummary<'_>,
        role: Role,
        detectors: &Detectors<'_>,
        at: Timestamp,
    ) -> Handling {
        let (handling, direction) = if !role.certain && flow.is_ambiguous() {
            if packet.tuple.destination.is_group() {
                return Handling::Here; // nothing is ever sent from a group address
            }
            (Handling::Pending, Direction::Unknown)
        } else if !role.from_initiator {
            if !detectors.may_match(packet.tuple.source_port) && !detectors.needs_response(&packet.tuple) {
                return Handling::Elsewhere;
            }
            (Handling::Elsewhere, Direction::Response)
        } else {
            return Handling::Here;
        };
        self.report(packet, direction, at);
        handling
    }

    /// Reports a response in a flow whose first packet was reported before the initiator was known, if a detector needs it.
    #[inline(never)] // keeps the code of a single engine short
    pub(super) fn note_response(
        &mut self,
        packet: &PacketSummary<'_>,
        detectors: &Detectors<'_>,
        at: Timestamp,
    ) {
        if detectors.needs_response(&packet.tuple) {
            self.report(packet, Direction::Response, at);
        }
    }

    fn report(&mut self, packet: &PacketSummary<'_>, direction: Direction, at: Timestamp) {
        self.0 = Some(FirstPacketReport {
            source: Endpoint { address: packet.tuple.source, port: packet.tuple.source_port },
            destination: Endpoint { address: packet.tuple.destination, port: packet.tuple.destination_port },
            is_tcp: packet.tuple.tcp_flags.is_some(),
            at,
            direction,
            wire_len: packet.wire_len,
            sender: packet.sender.copied(),
        });
    }
}

impl FirstPacketReport {
    /// Returns true if both reports are of one flow, seen from its two sides.
    fn is_reverse_of(&self, other: &Self) -> bool {
        (self.source, self.destination, self.is_tcp) == (other.destination, other.source, other.is_tcp)
    }

    /// Returns true if `other` shows that the other side of the same flow sent first. Of two packets with the same timestamp the
    /// one from the lower endpoint counts as the first, which both sides decide alike.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        self.is_reverse_of(other) && (other.at, other.source) < (self.at, self.source)
    }

    fn flow(&self, key: &HashKey) -> FlowId {
        FlowId::of(key, &tuple(self.source, self.destination, self.is_tcp.then_some(TcpFlags(0))))
    }
}

const fn tuple(source: Endpoint, destination: Endpoint, tcp_flags: Option<TcpFlags>) -> FiveTuple {
    FiveTuple {
        source: source.address,
        destination: destination.address,
        source_port: source.port,
        destination_port: destination.port,
        tcp_flags,
    }
}

impl Engine<'_> {
    /// Makes this engine number `index` of `engines`: its reports are kept for [`Engine::take_report`], and its incidents get
    /// numbers that no other engine assigns.
    pub const fn set_shard(&mut self, index: u32, engines: u32) {
        self.reports = Some(FirstPacketReports(None));
        self.detectors.victims().set_workers(engines);
        self.detectors.set_shard(index);
        self.incidents.set_id_stride(index, engines);
    }

    /// Takes the report that the last frame gave, if any. If its direction is [`Direction::Unknown`], the caller must call
    /// [`Engine::resolve_initiator`] later, unless the other engine reports that the other side sent first.
    #[inline]
    pub const fn take_report(&mut self) -> Option<FirstPacketReport> {
        match &mut self.reports {
            Some(reports) => reports.0.take(),
            None => None,
        }
    }

    /// The sender of an own report is the initiator: no engine saw the other side before.
    pub fn resolve_initiator(&mut self, own: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.advance(own.at, raise);
        let flow = own.flow(&self.key);
        self.flows.set_initiator(flow, true, false, true, self.now);
        if !own.is_tcp {
            // Of TCP, only packets whose flags identify the initiator count.
            self.first_packet(own, (own.source, own.destination), None, raise);
        }
    }

    /// Applies the report of another engine.
    pub fn apply_remote(&mut self, report: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.advance(report.at, raise);
        let flow = report.flow(&self.key);
        let from_initiator = report.direction == Direction::Unknown;
        let certain = report.is_tcp && !from_initiator;
        let is_new = self.flows.set_initiator(flow, from_initiator, certain, false, self.now);
        if is_new {
            self.resolve_responder(report, raise);
        }
        // A flow that this engine knows was initiated by its own source, or is about to be: the packet answers it.
        if !report.is_tcp && (!is_new || !from_initiator) {
            let Self { key, home_net, now, detectors, flows, .. } = self;
            let setting = Setting { now: *now, home_net, key };
            let (initiator, responder) = (report.destination, report.source);
            let request = tuple(initiator, responder, None);
            let is_counted = detectors.counts_length(home_net, request.source, request.destination);
            let inspection =
                detectors.inspection(&request, Detectors::may_be_read(&request), is_counted, false);
            let is_known = flows.set_answered(flow, inspection, *now);
            detectors.response(setting, initiator.address, responder.address, is_known);
        }
    }

    /// The receiver of a report is the initiator, and this engine owns both sides.
    pub fn resolve_responder(&mut self, report: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        if report.direction == Direction::Response {
            let flags = report.is_tcp.then_some(TcpFlags(0));
            self.first_packet(report, (report.destination, report.source), flags, raise);
        }
    }

    /// Shows the first packet from `initiator` to `responder` to the detectors that it concerns, as if it were seen now.
    fn first_packet(
        &mut self,
        report: &FirstPacketReport,
        (initiator, responder): (Endpoint, Endpoint),
        tcp_flags: Option<TcpFlags>,
        raise: &mut dyn FnMut(Alert),
    ) {
        let is_own = initiator == report.source;
        let wire_len = if is_own { report.wire_len } else { 0 };
        let sender = report.sender.as_ref().filter(|_| is_own);
        let packet = PacketSummary::without_content(tuple(initiator, responder, tcp_flags), wire_len, sender);
        let role = Role {
            from_initiator: true,
            certain: tcp_flags.is_some(),
            is_first: true,
            idle: CoarseSpan::default(),
        };
        let Self { key, home_net, now, incidents, detectors, .. } = self;
        // The other engine has seen the packet itself.
        detectors.set_link(0, None);
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        if tcp_flags.is_none() {
            let _is_unanswered = detectors.segment(setting, &packet, role, Inspection::Full, &mut findings);
        } else {
            let source_hash = key.address(packet.tuple.source);
            let (question, tail) = Default::default();
            let is_egress = false; // nobody of first packets asks
            let event =
                Event { setting, packet: &packet, role, source_hash, session: 0, is_egress, question, tail };
            detectors.first_packet(&event, &mut findings);
        }
    }
}
