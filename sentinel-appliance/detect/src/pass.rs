//! The way of most frames: read at a glance, found in the table, done.
//!
//! An ordinary packet in a direction from which no detector can learn anything ends here, or its length is counted. So
//! does a request for a conversation, if nobody is interested in more than who sends how many. All other frames go on to
//! [`Engine::attentively`], which begins anew: what most frames do not need is not carried along for them.

use sentinel_alert::Alert;
use sentinel_dissect::{Ends, TcpFlags, glance, glance_v4, glance_v6};
use sentinel_track::flow::{FlowId, Interest, is_certain_opener};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, LinkType, Timestamp};

use crate::dns_tunnel::DNS;
use crate::engine::{Detectors, Engine};
use crate::event::Counted;
use crate::incident::Findings;

/// What is still wanted of a frame. In the order of [`Interest`], which it mostly comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wants {
    Everything,
    /// Its length, for the detector that counts bytes.
    Length,
    Nothing,
    /// It asks for a conversation, and that is all.
    Request,
}

impl Engine<'_> {
    /// Looks at one frame. Alerts that are due before it come first.
    ///
    /// `wire_len` is its length on the wire; a value less than `bytes` is raised to it. A tag that the card took off
    /// does not matter here.
    #[inline(always)] // a call of its own would pass all arguments twice
    pub fn frame(
        &mut self,
        at: Timestamp,
        link: LinkType,
        bytes: &[u8],
        wire_len: u32,
        raise: &mut dyn FnMut(Alert),
    ) {
        match self.pass(at, link, bytes, wire_len) {
            Wants::Nothing => {}
            Wants::Length => self.upload(bytes, wire_len, raise),
            Wants::Request => self.request(bytes, wire_len, raise),
            Wants::Everything => self.attentively(at, link, bytes, wire_len, raise),
        }
    }

    /// Most frames end here: those in a direction of a conversation from which nothing is left to learn.
    #[inline(never)] // compiled here, for speed, and not with a program that is compiled for size
    fn pass(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Wants {
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let wire_len = if wire_len == captured {
            captured
        } else {
            self.counts.truncated += u64::from(captured < wire_len);
            wire_len.max(captured)
        };
        match glance_v4(link, bytes, wire_len) {
            Some((ends, _)) => self.pass_between(at, &ends, FlowId::v4),
            None => self.pass_v6(at, link, bytes, wire_len),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn pass_v6(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Wants {
        match glance_v6(link, bytes, wire_len) {
            Some((ends, _)) => self.pass_between(at, &ends, FlowId::of),
            None => Wants::Everything,
        }
    }

    #[inline(always)] // once for each family
    fn pass_between<A>(
        &mut self,
        at: Timestamp,
        ends: &Ends<A>,
        flow: impl FnOnce(&HashKey, &Ends<A>) -> FlowId,
    ) -> Wants {
        if !self.is_next(at) {
            return Wants::Everything;
        }
        let may_be_ordinary = match ends.tcp_flags {
            Some(flags) => flags.ordinary(),
            None => ends.destination_port != DNS,
        };
        let wants = if may_be_ordinary {
            match self.flows.go_on(flow(&self.key, ends), self.detectors.askers.lull(), at) {
                Interest::Nothing => Wants::Nothing,
                Interest::Length => Wants::Length,
                Interest::Everything => return Wants::Everything,
            }
        } else if self.detectors.may_be_mere_request(ends) {
            Wants::Request
        } else {
            return Wants::Everything;
        };
        self.now = at;
        self.counts.analysed += 1;
        wants
    }

    /// Counts the bytes of a frame on its way out.
    #[inline(never)] // as above
    fn upload(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::again_v4(bytes, wire_len) {
            Some(packet) => self.count_bytes(&packet, raise),
            None => self.upload_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn upload_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if let Some(packet) = Counted::again_v6(bytes, wire_len) {
            self.count_bytes(&packet, raise);
        }
    }

    #[inline(always)] // once for each family
    fn count_bytes(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, .. } = self;
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.exfiltration.ordinary(*now, key.address(packet.source), packet, &mut findings);
    }

    /// Counts a frame that asks for a conversation and for nothing else. The conversation gets no place in the table
    /// before it is answered, which a flood of requests would take from conversations that are.
    #[inline(never)] // compiled here, as above
    fn request(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::again_v4(bytes, wire_len) {
            Some(packet) if self.goes_out(packet.source, packet.destination) => {
                self.request_to_outside(bytes, wire_len, raise);
            }
            Some(packet) => self.count_request(&packet, raise),
            None => self.request_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn request_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::again_v6(bytes, wire_len) {
            Some(packet) if self.goes_out(packet.source, packet.destination) => {
                self.request_to_outside(bytes, wire_len, raise);
            }
            Some(packet) => self.count_any_request(&packet, raise),
            None => {}
        }
    }

    /// Whether the bytes that a sender gives to a conversation count if it opened it.
    #[inline]
    pub(crate) fn goes_out(&self, source: Address, destination: Address) -> bool {
        self.detectors.exfiltration.counts(&self.inside, source, destination)
    }

    /// What follows a request from the inside to the outside counts, and whoever is asked could take that back with a SYN
    /// of its own (RFC 9293 section 3.5) if nobody remembered who was first. So its conversation gets a place.
    #[inline(never)] // keeps the way of the others short
    fn request_to_outside(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if let Some(packet) = glance(LinkType::ETHERNET, bytes, wire_len) {
            let flow = FlowId::of(&self.key, &packet.ends);
            let _is_followed = self.segment(self.now, flow, &packet, raise);
        }
    }

    /// Counts a packet for which [`Detectors::may_be_mere_request`] holds and [`Self::goes_out`] does not.
    #[inline(never)]
    pub(crate) fn count_any_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        self.count_request(packet, raise);
    }

    #[inline(always)] // once for IPv4 and once for all
    fn count_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, .. } = self;
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.askers.request(*now, packet, key.address(packet.source), &mut findings);
    }
}

impl Detectors<'_> {
    /// Whether a packet is a TCP request whose ports tell who asks whom, and in which only those detectors can find
    /// something that count requests and bytes.
    #[inline]
    pub(crate) fn may_be_mere_request<A>(&self, ends: &Ends<A>) -> bool {
        ends.tcp_flags.is_some_and(TcpFlags::syn_only)
            && is_certain_opener(ends.source_port, ends.destination_port)
            && !self.looked_at.may_hold(ends.destination_port)
    }
}
