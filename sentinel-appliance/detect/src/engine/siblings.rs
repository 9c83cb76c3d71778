//! What several engines must tell each other when each sees only what some sources send.
//!
//! A packet goes to the engine that its source belongs to, so that everything a source does is in one place. But who
//! opened a conversation can be told by what the other side sends, which another engine sees:
//!
//! - Neither flags nor ports tell (UDP between two high ports, TCP that began before the sensor): the first packet
//!   decides, and the two directions are seen by two engines. Each tells the other when it saw its first one, and
//!   judges once it knows that the other has looked at everything before that.
//! - An answer betrays who asked (SYN with ACK from a listed port, when the SYN was missed): the accused belongs to the
//!   other engine, which alone knows whether it has seen the question.

use sentinel_alert::Alert;
use sentinel_dissect::{FiveTuple, PacketSummary, TcpFlags};
use sentinel_track::flow::{Endpoint, FlowId, Role};
use sentinel_track::table::CoarseSpan;
use sentinel_units::Timestamp;

use crate::detectors::lists::suspicious_port::SuspiciousPort;
use crate::engine::Engine;
use crate::incident::Findings;
use crate::shared::event::{Event, Setting};

/// The first packet of a conversation that an engine saw, for the engine that sees what the other side sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FirstPacketReport {
    /// Who sent the packet.
    pub source: Endpoint,
    /// Whom it was for. What this one sends is what the engine sees that is told.
    pub destination: Endpoint,
    /// TCP, or else UDP.
    pub is_tcp: bool,
    /// When.
    pub at: Timestamp,
    /// What it says of the conversation.
    pub direction: Direction,
    wire_len: u32,
    sender: Option<[u8; 6]>,
}

/// What the first packet of a conversation says of who opened it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Its sender, if the other side has sent nothing before.
    Unknown,
    /// Not its sender: it is an answer.
    Response,
}

/// The sightings of one engine.
#[derive(Debug, Default)]
pub(crate) struct FirstPacketReports(Option<FirstPacketReport>);

/// What is to be made of the first packet of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    /// As with one engine.
    First,
    /// Another engine judges it.
    ByOthers,
    /// Wait until the others were heard.
    Undecided,
}

impl FirstPacketReports {
    #[inline(never)] // keeps the way of a single engine short
    pub(crate) fn note(
        &mut self,
        flow: &FlowId,
        packet: &PacketSummary<'_>,
        role: Role,
        suspicious_port: &SuspiciousPort<'_>,
        at: Timestamp,
    ) -> Seen {
        let (seen, direction) = if !role.certain && flow.is_ambiguous() {
            if packet.tuple.destination.is_group() {
                return Seen::First; // nobody answers from there
            }
            (Seen::Undecided, Direction::Unknown)
        } else if !role.from_initiator {
            if !suspicious_port.may_concern(packet.tuple.source_port) {
                return Seen::ByOthers;
            }
            (Seen::ByOthers, Direction::Response)
        } else {
            return Seen::First;
        };
        self.0 = Some(FirstPacketReport {
            source: Endpoint { address: packet.tuple.source, port: packet.tuple.source_port },
            destination: Endpoint { address: packet.tuple.destination, port: packet.tuple.destination_port },
            is_tcp: packet.tuple.tcp_flags.is_some(),
            at,
            direction,
            wire_len: packet.wire_len,
            sender: packet.sender.copied(),
        });
        seen
    }
}

impl FirstPacketReport {
    /// The same conversation as its other side sees it.
    fn is_of(&self, other: &Self) -> bool {
        (self.source, self.destination, self.is_tcp) == (other.destination, other.source, other.is_tcp)
    }

    /// Whether `other` shows that the other side of the same conversation sent first. Of two at the same time the
    /// lower end did, which both sides find.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        self.is_of(other) && (other.at, other.source) < (self.at, self.source)
    }

    fn flow(&self, engine: &Engine<'_>) -> FlowId {
        FlowId::of(&engine.key, &tuple(self.source, self.destination, self.is_tcp.then_some(TcpFlags(0))))
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
    /// Becomes one of several engines, the one with this index: what it must tell is kept for
    /// [`Engine::take_report`], and no other gives its incidents their numbers.
    pub const fn set_shard(&mut self, index: u32, engines: u32) {
        self.reports = Some(FirstPacketReports(None));
        self.incidents.set_id_stride(index, engines);
    }

    /// What the last frame gave to tell: at most one sighting. If its verdict is [`Direction::Unknown`], one of
    /// [`Engine::opened`] and nothing must follow, as the others say.
    #[inline]
    pub const fn take_report(&mut self) -> Option<FirstPacketReport> {
        match &mut self.reports {
            Some(reports) => reports.0.take(),
            None => None,
        }
    }

    /// The sender of an own sighting has opened the conversation: nobody saw the other side before.
    pub fn resolve_initiator(&mut self, own: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.advance(own.at, raise);
        let flow = own.flow(self);
        self.flows.set_initiator(flow, true, false, true, self.now);
        if !own.is_tcp {
            // What counts of TCP is in its flags.
            self.judge(own, (own.source, own.destination), None, raise);
        }
    }

    /// What another engine has seen.
    pub fn apply_remote(&mut self, report: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.advance(report.at, raise);
        let flow = report.flow(self);
        let from_initiator = report.direction == Direction::Unknown;
        let certain = report.is_tcp && !from_initiator;
        let is_new = self.flows.set_initiator(flow, from_initiator, certain, false, self.now);
        if is_new {
            self.resolve_responder(report, raise);
        }
    }

    /// A sighting shows that its receiver asked for a conversation, and this engine sees what both send.
    pub fn resolve_responder(&mut self, report: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        if report.direction == Direction::Response {
            let flags = report.is_tcp.then_some(TcpFlags(0));
            self.judge(report, (report.destination, report.source), flags, raise);
        }
    }

    /// Shows the first packet from `client` to `server` to those whom it concerns, as if it were seen now.
    fn judge(
        &mut self,
        report: &FirstPacketReport,
        (client, server): (Endpoint, Endpoint),
        tcp_flags: Option<TcpFlags>,
        raise: &mut dyn FnMut(Alert),
    ) {
        let is_own = client == report.source;
        let wire_len = if is_own { report.wire_len } else { 0 };
        let sender = report.sender.as_ref().filter(|_| is_own);
        let packet = PacketSummary::without_content(tuple(client, server, tcp_flags), wire_len, sender);
        let role = Role {
            from_initiator: true,
            certain: tcp_flags.is_some(),
            is_first: true,
            idle: CoarseSpan::default(),
        };
        let Self { key, home_net, now, incidents, detectors, .. } = self;
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        if tcp_flags.is_none() {
            detectors.segment(setting, &packet, role, &mut findings);
        } else {
            let event =
                Event { setting, packet: &packet, role, source_hash: key.address(packet.tuple.source) };
            detectors.suspicious_port.segment(&event, &mut findings);
        }
    }
}
