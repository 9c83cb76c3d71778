//! Packets by their meaning: what asks, what answers, what announces.

use sentinel_dissect::{FiveTuple, Packet, TcpFlags, Transport};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Port};

use super::class::Class;
use super::entry::{HANDSHAKES, Handshake};
use super::{At, Victims};
use crate::detectors::flood::udp::is_local_stream;
use crate::incident::Findings;
use crate::shared::event::{Counted, Event, OtherEvent, Setting};

/// Fragments of which a datagram that is reassembled consists at most, if they are not made small on purpose.
const FRAGMENTS_OF_DATAGRAM: u16 = 4;
/// Queries to it are not counted.
const DNS: Port = Port(53);
/// Datagrams of one-way flows of which one counts for the switch: streams are ordinary, and their usual rate is higher.
const STREAM_SHARE: u32 = 16;

impl Victims<'_> {
    /// Counts a segment of the slow path if it asks for something. Returns true if [`Self::tcp`] must see it.
    #[inline]
    pub(crate) fn concerns_segment(&mut self, event: &Event<'_, '_>, flags: TcpFlags) -> bool {
        if event.role.is_first || flags.syn_only() {
            self.gate.request(event.setting.now);
        }
        self.gate.concerns(event.source_hash)
            || self.gate.is_on() && is_answer(flags) && {
                self.gate.concerns(event.setting.key.address(event.packet.tuple.destination))
            }
    }

    /// Counts a datagram of the slow path if nothing answers it so far. Returns true if [`Self::datagram`] must see it.
    #[inline]
    pub(crate) fn concerns_datagram(&mut self, event: &Event<'_, '_>, is_unanswered: bool) -> bool {
        let role = &event.role;
        if is_unanswered && role.from_initiator || role.is_first && !role.from_initiator {
            self.gate.request(event.setting.now);
            return self.gate.concerns(event.source_hash);
        }
        if role.from_initiator {
            return self.gate.is_counting();
        }
        self.gate.is_on() && event.packet.tuple.source_port != DNS
    }

    /// Takes a connection request.
    #[inline(never)] // twice on the path of requests
    pub(crate) fn syn(
        &mut self,
        at: At<'_>,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.gate.request(at.0);
        if self.gate.concerns(source_hash) {
            self.count_syn(at, source_hash, packet, findings);
        }
    }

    #[inline(never)]
    fn count_syn(
        &mut self,
        at: At<'_>,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.gate.add(source_hash, 1, -1);
        if self.gate.counts(source_hash) {
            self.complete(Class::Answer, at, packet.source, packet.destination, 1);
            let _is_watched = self.request(Class::Handshake, at, source_hash, packet, findings);
        }
    }

    /// Takes a request that concerns the switch. Returns true if its network is watched.
    fn gated(&mut self, class: Class, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        // Nobody answers what is sent to a group, which has no network that could be watched, and responses from port 53 are not seen.
        let FiveTuple { destination, destination_port, .. } = event.packet.tuple;
        if destination.is_group() || class == Class::Datagram && destination_port == DNS {
            return false;
        }
        if class != Class::Stream || self.gate.count.is_multiple_of(STREAM_SHARE) {
            self.gate.add(event.source_hash, 1, 0);
        }
        self.gate.counts(event.source_hash)
            && self.request(class, (now, key), event.source_hash, &event.packet.into(), findings)
    }

    /// Takes a segment. Returns true if the next segment of the other direction must take the slow path.
    #[inline(never)] // keeps the dispatch of all other packets short
    pub(crate) fn tcp(
        &mut self,
        event: &Event<'_, '_>,
        flags: TcpFlags,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Setting { now, key, .. } = event.setting;
        let (at, tuple, is_first) = ((now, key), &event.packet.tuple, event.role.is_first);
        if self.is_fragment {
            return false;
        }
        if flags.syn_only() {
            self.count_syn(at, event.source_hash, &event.packet.into(), findings);
            return false;
        }
        if is_answer(flags) {
            return self.answer(event, flags, findings);
        }
        if !is_first {
            self.finish_handshake(event);
            // What the same host sends again shows nothing, and the fast path may have taken it.
            if !event.role.from_initiator {
                self.complete(Class::Stray, at, tuple.source, tuple.destination, 1);
            }
            return false;
        }
        // A host that sends to itself is the canary packet, or harms nobody else.
        tuple.source != tuple.destination
            && !self.finish_unseen_handshake(event)
            && self.gated(Class::Stray, event, findings)
    }

    /// Takes an answer to a connection request. Returns true if the next segment of the other direction must be seen.
    fn answer(&mut self, event: &Event<'_, '_>, flags: TcpFlags, findings: &mut Findings<'_, '_>) -> bool {
        let Setting { now, key, .. } = event.setting;
        let is_first = event.role.is_first;
        let client_hash = key.address(event.packet.tuple.destination);
        let is_expected = flags.syn_ack() && self.answered(event, client_hash);
        if self.workers > 1 {
            return is_expected;
        }
        // SYN-ACKs in one flow count again and again once its receiver is watched: it announces each that it asked for.
        let is_counted = is_first || flags.syn_ack() && self.uses(Class::Answer);
        if is_counted && self.gate.counts(event.source_hash) {
            let packet = &event.packet.into();
            self.request(Class::Answer, (now, key), event.source_hash, packet, findings);
        }
        if is_first {
            self.gate.add(client_hash, 0, 1);
        }
        is_expected
    }

    /// Takes a datagram. Returns true if the next one of the flow must take the slow path.
    #[inline(never)] // keeps the dispatch of all other packets short
    pub(crate) fn datagram(
        &mut self,
        event: &Event<'_, '_>,
        is_unanswered: bool,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Setting { now, key, .. } = event.setting;
        let (at, tuple, role) = ((now, key), &event.packet.tuple, &event.role);
        if self.is_fragment {
            return false;
        }
        if role.from_initiator {
            self.complete(Class::Response, at, tuple.source, tuple.destination, 1);
            if is_unanswered {
                // Records of programs that open a socket for each.
                let is_record = role.is_first && is_local_stream(event);
                let class = if role.is_first && !is_record { Class::Datagram } else { Class::Stream };
                self.gated(class, event, findings);
            }
            return false;
        }
        if role.is_first {
            return self.workers == 1 && self.gated(Class::Response, event, findings);
        }
        if !is_unanswered {
            self.response(event.setting, tuple.destination, tuple.source);
        }
        // Datagrams of one flow count again and again once their receiver is watched, until it sends one itself.
        self.workers == 1
            && self.gate.counts(event.source_hash)
            && self.uses(Class::Response)
            && self.request(Class::Response, at, event.source_hash, &event.packet.into(), findings)
    }

    /// Completes a first datagram, whose response this worker or another one has seen.
    #[inline(never)] // two callers
    pub(crate) fn response(&mut self, setting: Setting<'_>, initiator: Address, responder: Address) {
        if self.gate.is_on() {
            self.gate.add(setting.key.address(initiator), -1, 0);
            self.complete(Class::Datagram, (setting.now, setting.key), responder, initiator, 1);
        }
    }

    /// Takes ICMP of either family.
    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let Setting { now, key, .. } = event.setting;
        let (is_request, is_reply, is_error) = match &event.packet.transport {
            Transport::Icmp(icmp) => (
                icmp.is_echo_request(),
                icmp.is_echo_reply(),
                icmp.is_unreachable() || icmp.is_time_exceeded(),
            ),
            Transport::Icmpv6(icmp) => (
                icmp.is_echo_request(),
                icmp.is_echo_reply(),
                icmp.is_unreachable() || icmp.is_time_exceeded(),
            ),
            _ => return,
        };
        let Some(packet) = &Counted::without_ports(event.packet) else { return };
        let (at, source_hash) = ((now, key), key.address(packet.source));
        if is_request {
            self.complete(Class::Report, at, packet.source, packet.destination, 1);
            self.request(Class::Echo, at, source_hash, packet, findings);
        } else if is_reply || is_error {
            if is_reply {
                self.complete(Class::Echo, at, packet.source, packet.destination, 1);
            }
            self.request(Class::Report, at, source_hash, packet, findings);
        }
    }

    /// Takes a fragment.
    pub(crate) fn fragment(
        &mut self,
        setting: Setting<'_>,
        packet: &Packet<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        let Setting { now, key, .. } = setting;
        let Some(ip) = packet.ip() else { return };
        let source_hash = key.address(ip.source);
        self.gate.request(now);
        if !self.gate.concerns(source_hash) {
            return;
        }
        self.gate.add(source_hash, 1, 0);
        if self.gate.counts(source_hash)
            && let Some(packet) = &Counted::without_ports(packet)
            && self.request(Class::Fragment, (now, key), source_hash, packet, findings)
            && let Some(fragment) = ip.fragment
            && let Some(entry) = self.watched(Class::Fragment, ip.destination, key)
        {
            entry.count_fragment(source_hash, fragment, ip.payload_wire_len);
        }
    }

    /// A fragment has completed its datagram.
    pub(crate) fn reassembled(&mut self, setting: Setting<'_>, packet: &Packet<'_>) {
        if self.gate.is_on()
            && let Some(ip) = packet.ip().filter(|ip| ip.fragment.is_some())
        {
            let at = (setting.now, setting.key);
            self.gate.add(setting.key.address(ip.source), -4, 0);
            self.complete(Class::Fragment, at, ip.destination, ip.source, FRAGMENTS_OF_DATAGRAM);
        }
    }

    /// Notes the number of a SYN-ACK of a network that is watched. Returns true if the last segment of the handshake must be seen.
    fn answered(&mut self, event: &Event<'_, '_>, client: u32) -> bool {
        let tuple = &event.packet.tuple;
        let is_counted =
            self.watched(Class::Handshake, tuple.source, event.setting.key).is_some_and(|entry| {
                entry.is_visible = true;
                entry.has_many && entry.weight_of(client) != 0
            });
        if !is_counted && !self.gate.follows(client) {
            return false;
        }
        let tag = handshake_tag(event.setting.key, client, event.source_hash, tuple.destination_port);
        let expected = event.packet.tcp_numbers().0.wrapping_add(1);
        if let Some(place) = self.handshake(tag) {
            *place = Handshake { tag, expected };
        }
        true
    }

    /// Place of a handshake among those of all entries.
    fn handshake(&mut self, tag: u32) -> Option<&mut Handshake> {
        let number = usize::try_from(tag >> 5).ok()?;
        let index = number.checked_rem(self.entries.len())?;
        self.entries.get_mut(index)?.handshakes.get_mut(usize::try_from(tag).ok()? % HANDSHAKES)
    }

    /// Completes the handshake whose last segment this is.
    fn finish_handshake(&mut self, event: &Event<'_, '_>) {
        let (key, tuple) = (event.setting.key, &event.packet.tuple);
        let server = key.address(tuple.destination);
        let tag = handshake_tag(key, event.source_hash, server, tuple.source_port);
        let acknowledged = event.packet.tcp_numbers().1;
        let Some(place) = self.handshake(tag).filter(|place| place.tag == tag) else { return };
        // The last segment may be lost; the next one acknowledges what the server has sent meanwhile.
        if acknowledged.wrapping_sub(place.expected) > u32::from(u16::MAX) {
            return;
        }
        *place = Handshake::default();
        self.gate.add(event.source_hash, -1, 0);
        if let Some(entry) = self.watched(Class::Handshake, tuple.destination, key)
            && entry.has_many
        {
            entry.complete(event.source_hash, tuple.destination, entry.weight_of(event.source_hash));
        }
    }

    /// Takes the first segment of a flow that was seen without SYN-ACK: where only the direction of the client is seen, the last of a
    /// handshake. Returns true if it is one.
    fn finish_unseen_handshake(&mut self, event: &Event<'_, '_>) -> bool {
        let (tuple, is_alone) = (&event.packet.tuple, self.workers == 1);
        let Some(entry) = self.watched(Class::Handshake, tuple.destination, event.setting.key) else {
            return false;
        };
        let weight = entry.weight_of(event.source_hash);
        if entry.is_visible && is_alone {
            return false;
        }
        if weight > 0 && !entry.cusum.has_pending() {
            return false;
        }
        if entry.has_many {
            entry.complete(event.source_hash, tuple.destination, weight);
        }
        true
    }
}

/// Hash of the endpoints of a handshake, never zero.
fn handshake_tag(key: &HashKey, client: u32, server: u32, client_port: Port) -> u32 {
    key.hash32([client, server, client_port.0.into(), 0]) | 1
}

/// Returns true for an answer to a connection request.
#[inline]
const fn is_answer(flags: TcpFlags) -> bool {
    flags.syn_ack() || flags.has(TcpFlags::RST)
}
