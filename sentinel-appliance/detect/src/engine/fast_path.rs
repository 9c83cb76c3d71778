//! The way of most frames: read at a summary, found in the table, done.
//!
//! An ordinary packet in a direction from which no detector can learn anything ends here, or its length is counted. So
//! does a request for a conversation, if nobody is interested in more than who sends how many. All other frames go on to
//! [`Engine::slow_path`], which begins anew: what most frames do not need is not carried along for them.

use sentinel_alert::Alert;
use sentinel_dissect::{FiveTuple, TcpFlags, summarize, summarize_v4, summarize_v6};
use sentinel_track::flow::{FlowId, Inspection, is_certain_initiator};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, LinkType, Timestamp};

use crate::detectors::dns::tunnel::DNS;
use crate::engine::{Detectors, Engine};
use crate::incident::Findings;
use crate::shared::event::Counted;

/// What is still wanted of a frame. In the order of [`Inspection`], which it mostly comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disposition {
    SlowPath,
    /// Its length, for the detector that counts bytes.
    CountLength,
    Done,
    /// It asks for a conversation, and that is all.
    CountSyn,
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
            Disposition::Done => {}
            Disposition::CountLength => self.upload(bytes, wire_len, raise),
            Disposition::CountSyn => self.request(bytes, wire_len, raise),
            Disposition::SlowPath => self.slow_path(at, link, bytes, wire_len, raise),
        }
    }

    /// Most frames end here: those in a direction of a conversation from which nothing is left to learn.
    #[inline(never)] // compiled here, for speed, and not with a program that is compiled for size
    fn pass(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Disposition {
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let wire_len = if wire_len == captured {
            captured
        } else {
            self.counts.truncated += u64::from(captured < wire_len);
            wire_len.max(captured)
        };
        match summarize_v4(link, bytes, wire_len) {
            Some((tuple, _)) => self.pass_between(at, &tuple, FlowId::v4),
            None => self.pass_v6(at, link, bytes, wire_len),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn pass_v6(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Disposition {
        match summarize_v6(link, bytes, wire_len) {
            Some((tuple, _)) => self.pass_between(at, &tuple, FlowId::of),
            None => Disposition::SlowPath,
        }
    }

    #[inline(always)] // once for each family
    fn pass_between<A>(
        &mut self,
        at: Timestamp,
        tuple: &FiveTuple<A>,
        flow: impl FnOnce(&HashKey, &FiveTuple<A>) -> FlowId,
    ) -> Disposition {
        if !self.is_monotonic(at) {
            return Disposition::SlowPath;
        }
        let may_be_ordinary = match tuple.tcp_flags {
            Some(flags) => flags.ordinary(),
            None => tuple.destination_port != DNS,
        };
        let wants = if may_be_ordinary {
            match self.flows.touch(flow(&self.key, tuple), self.detectors.syn_sources.udp_idle_timeout(), at)
            {
                Inspection::Bypass => Disposition::Done,
                Inspection::LengthOnly => Disposition::CountLength,
                Inspection::Full => return Disposition::SlowPath,
            }
        } else if self.detectors.is_countable_syn(tuple) {
            Disposition::CountSyn
        } else {
            return Disposition::SlowPath;
        };
        self.now = at;
        self.counts.analysed += 1;
        wants
    }

    /// Counts the bytes of a frame on its way out.
    #[inline(never)] // as above
    fn upload(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::reread_v4(bytes, wire_len) {
            Some(packet) => self.count_bytes(&packet, raise),
            None => self.upload_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn upload_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if let Some(packet) = Counted::reread_v6(bytes, wire_len) {
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
        match Counted::reread_v4(bytes, wire_len) {
            Some(packet) if self.is_egress(packet.source, packet.destination) => {
                self.request_to_outside(bytes, wire_len, raise);
            }
            Some(packet) => self.count_request(&packet, raise),
            None => self.request_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the way of IPv4 short
    fn request_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::reread_v6(bytes, wire_len) {
            Some(packet) if self.is_egress(packet.source, packet.destination) => {
                self.request_to_outside(bytes, wire_len, raise);
            }
            Some(packet) => self.count_any_request(&packet, raise),
            None => {}
        }
    }

    /// Whether the bytes that a sender gives to a conversation count if it opened it.
    #[inline]
    pub(crate) fn is_egress(&self, source: Address, destination: Address) -> bool {
        self.detectors.exfiltration.counts(&self.home_net, source, destination)
    }

    /// What follows a request from the inside to the outside counts, and whoever is asked could take that back with a SYN
    /// of its own (RFC 9293 section 3.5) if nobody remembered who was first. So its conversation gets a place.
    #[inline(never)] // keeps the way of the others short
    fn request_to_outside(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if let Some(packet) = summarize(LinkType::ETHERNET, bytes, wire_len) {
            let flow = FlowId::of(&self.key, &packet.tuple);
            let _is_followed = self.segment(self.now, flow, &packet, raise);
        }
    }

    /// Counts a packet for which [`Detectors::is_countable_syn`] holds and [`Self::is_egress`] does not.
    #[inline(never)]
    pub(crate) fn count_any_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        self.count_request(packet, raise);
    }

    #[inline(always)] // once for IPv4 and once for all
    fn count_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, .. } = self;
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.syn_sources.request(*now, packet, key.address(packet.source), &mut findings);
    }
}

impl Detectors<'_> {
    /// Whether a packet is a TCP request whose ports tell who asks whom, and in which only those detectors can find
    /// something that count requests and bytes.
    #[inline]
    pub(crate) fn is_countable_syn<A>(&self, tuple: &FiveTuple<A>) -> bool {
        tuple.tcp_flags.is_some_and(TcpFlags::syn_only)
            && is_certain_initiator(tuple.source_port, tuple.destination_port)
            && !self.watched_ports.may_contain(tuple.destination_port)
    }
}
