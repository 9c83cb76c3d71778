//! Fast path: parses Ethernet, IPv4 or IPv6, and TCP or UDP headers, looks the flow up, and finishes the frame here if possible.
//!
//! A frame is finished here if its direction is `Bypass`, if its direction is `LengthOnly` (its length is added to the
//! exfiltration window), or if it is a bare SYN that only `port_scan` and `syn_flood` count. Everything else goes to
//! [`Engine::slow_path`], which reads the headers again, of IPv4 without the tests that they have passed here: to keep them alive for
//! it would spill registers on every frame.

use sentinel_alert::Alert;
use sentinel_dissect::{
    FiveTuple, PacketSummary, resummarize_v4, source_v4, source_v6, summarize_v4, summarize_v6,
    summarize_v6_inline,
};
use sentinel_track::flow::{FlowId, Inspection};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, LinkType, Timestamp};

use super::{Engine, RawFrame};
use crate::detectors::Detectors;
use crate::incident::Findings;
use crate::shared::event::{Counted, Setting};

/// Work that a frame still needs. In the order of [`Inspection`], which most values come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disposition {
    /// Full analysis; [`summarize_v4`] or [`summarize_v6`](sentinel_dissect::summarize_v6) reads the frame.
    SlowPath,
    /// Its length must be counted.
    CountLength,
    /// None.
    Done,
    /// It must be counted as a connection request.
    CountSyn,
    /// Full analysis of a frame that neither of them reads.
    Unread,
}

impl Engine<'_> {
    /// Analyses one frame. Alerts that are due before it come first.
    ///
    /// Interface, and a VLAN tag that the network card has removed, make a difference to claims on the link only.
    #[inline(always)] // a call of its own would pass all arguments twice
    pub fn frame(&mut self, frame: RawFrame<'_>, raise: &mut dyn FnMut(Alert)) {
        let RawFrame { at, link, bytes, wire_len, interface, vlan } = frame;
        // In registers, and as a struct again for the slow path only: a reference to `frame` would put the fields of every frame
        // into memory.
        match self.fast_path(at, link, bytes, wire_len) {
            Disposition::Done => {}
            counted @ (Disposition::CountLength | Disposition::CountSyn) => {
                self.count(counted, bytes, wire_len, raise);
            }
            rest => {
                let is_summarized = rest == Disposition::SlowPath;
                let frame = RawFrame { at, link, bytes, wire_len, interface, vlan };
                self.slow_path(&frame, is_summarized, raise);
            }
        }
    }

    /// Counts a frame of which nothing more is needed.
    #[inline(never)] // compiled in this crate, for speed; one call keeps the loop over frames short
    fn count(&mut self, counted: Disposition, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if counted == Disposition::CountSyn {
            return self.request(bytes, wire_len, raise);
        }
        self.count_length(bytes, wire_len, raise);
    }

    #[inline(never)] // compiled in this crate, for speed, not inlined into a program that is compiled for size
    fn fast_path(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Disposition {
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let wire_len = if wire_len == captured {
            captured
        } else {
            self.counts.truncated += u64::from(captured < wire_len);
            wire_len.max(captured)
        };
        match summarize_v4(link, bytes, wire_len) {
            Some((tuple, _)) => self.look_up(at, &tuple, FlowId::v4),
            None => self.fast_path_v6(at, link, bytes, wire_len),
        }
    }

    #[inline(never)] // keeps the code for IPv4 short
    fn fast_path_v6(&mut self, at: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Disposition {
        match summarize_v6_inline(link, bytes, wire_len) {
            Some((tuple, _)) => self.look_up(at, &tuple, FlowId::v6),
            None => Disposition::Unread,
        }
    }

    /// Finds the flow of a packet and what it needs. Only a frame that is finished here advances the clock and is counted; the
    /// slow path does both again.
    #[inline(always)] // once for each address family
    fn look_up<A>(
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
            None => !Detectors::is_payload_port(tuple.destination_port),
        };
        let disposition = if may_be_ordinary {
            match self.flows.touch(flow(&self.key, tuple), self.detectors.bypass_period(), at) {
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
        disposition
    }

    /// Counts the length of an outbound frame. Of most frames only the source is read again.
    #[inline(always)] // into `count`
    fn count_length(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        let (source, source_hash) = match source_v4(bytes) {
            Some(source) => {
                let source = Address::v4(source);
                (source, self.key.address(source))
            }
            None => {
                let source = source_v6(bytes);
                (source, self.key.address(source))
            }
        };
        let len = wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if !self.detectors.granted_length(self.now, source_hash, source, len) {
            self.look_at_length(bytes, wire_len, raise);
        }
    }

    #[inline(never)] // once in a megabyte or a second of each host
    fn look_at_length(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::reread_v4(bytes, wire_len) {
            Some(packet) => self.add_length(&packet, raise),
            None => self.count_length_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the code for IPv4 short
    fn count_length_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        if let Some(packet) = Counted::reread_v6(bytes, wire_len) {
            self.add_length(&packet, raise);
        }
    }

    #[inline(always)] // once for each address family
    fn add_length(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, .. } = self;
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.length(*now, key.address(packet.source), packet, key, &mut findings);
    }

    /// Counts a SYN per source. It gets no flow entry: the SYN-ACK creates it, which identifies the initiator just as well, so
    /// a SYN flood, spoofed or not, cannot evict flows.
    #[inline(never)] // compiled in this crate, for speed
    fn request(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::reread_v4(bytes, wire_len) {
            Some(packet) if self.is_egress(packet.source, packet.destination) => {
                self.egress_request(bytes, wire_len, raise);
            }
            Some(packet) => self.count_request(&packet, raise),
            None => self.request_v6(bytes, wire_len, raise),
        }
    }

    #[inline(never)] // keeps the code for IPv4 short
    fn request_v6(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        match Counted::reread_v6(bytes, wire_len) {
            Some(packet) if self.is_egress(packet.source, packet.destination) => {
                self.egress_request(bytes, wire_len, raise);
            }
            Some(packet) => self.count_any_request(&packet, raise),
            None => {}
        }
    }

    /// Returns true if the bytes that an initiator sends between these hosts count, or their addresses are looked up.
    #[inline]
    pub(super) fn is_egress(&self, source: Address, destination: Address) -> bool {
        self.detectors.counts_length(&self.home_net, source, destination)
            || self.detectors.looks_up_addresses()
                && self.home_net.is_internal(source)
                && self.home_net.is_external(destination)
    }

    /// Analyses an outbound SYN, which always gets a flow entry, because the bytes that follow count towards exfiltration.
    /// Without it the remote host could answer with its own SYN (simultaneous open, RFC 9293 section 3.5) and be recorded as
    /// the initiator.
    #[inline(never)] // keeps the code for all other requests short
    fn egress_request(&mut self, bytes: &[u8], wire_len: u32, raise: &mut dyn FnMut(Alert)) {
        let Some((flow, packet)) = self.summary_again(bytes, wire_len) else { return };
        let _is_streamed = self.follow(flow, &packet, raise);
    }

    /// Flow and summary of a frame that the fast path has read.
    #[inline(always)] // in the slow path and for requests; a call would pass the summary through memory
    pub(super) fn summary_again<'f>(
        &self,
        bytes: &'f [u8],
        wire_len: u32,
    ) -> Option<(FlowId, PacketSummary<'f>)> {
        let (flow, tuple, datagram) = match resummarize_v4(bytes) {
            Some((tuple, datagram)) => (FlowId::v4(&self.key, &tuple), tuple.into(), datagram),
            None => {
                let (tuple, datagram) = summarize_v6(LinkType::ETHERNET, bytes, wire_len)?;
                (FlowId::of(&self.key, &tuple), tuple, datagram)
            }
        };
        Some((flow, PacketSummary::of_frame(tuple, datagram, bytes, wire_len)))
    }

    /// Counts a packet for which [`Detectors::is_countable_syn`] holds and [`Self::is_egress`] does not.
    #[inline(never)]
    pub(super) fn count_any_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        self.count_request(packet, raise);
    }

    #[inline(always)] // once for IPv4, where fewer words are compared, and once for both families
    fn count_request(&mut self, packet: &Counted<'_>, raise: &mut dyn FnMut(Alert)) {
        let Self { incidents, detectors, now, key, home_net, .. } = self;
        let setting = Setting { now: *now, home_net, key };
        let mut findings = Findings { incidents, now: *now, raise };
        detectors.request(setting, key.address(packet.source), packet, &mut findings);
    }
}
