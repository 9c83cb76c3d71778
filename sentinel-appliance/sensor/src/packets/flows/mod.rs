//! `--flows`: conversations, one JSON object for each when it ends.
//!
//! What the fields mean is in `OUTPUT.md`.

mod application;
mod community_id;

use std::fmt::Write;

use sentinel_capture::Frame;
use sentinel_dissect::{Packet, Transport, protocol};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow_record::{FlowRecord, FlowRecords, Observation};
use sentinel_track::hash::HashKey;
use sentinel_units::{Port, Timestamp};

use crate::packets::decapsulate::{Found, OnDemand, Unfold};
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;

/// Packets with bytes in them that are looked at before the port has to tell the application.
const MAX_TRIES: u8 = 8;

/// Counts conversations and prints those that end.
pub(crate) struct FlowView {
    unfold: Unfold,
    flow_records: FlowRecords<'static>,
    key: HashKey,
}

impl FlowView {
    /// With room for so many conversations at a time.
    pub(crate) fn new(entries: u32, seed: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let key = HashKey::new(seed);
        let flow_records = FlowRecords::new(
            OnDemand.allocate_default(entries.next_power_of_two()),
            OnDemand.allocate_default(entries),
            OnDemand.allocate_default(entries),
        );
        Self { unfold: Unfold::new(key.clone()), flow_records, key }
    }

    /// Counts the packets of a frame, and prints the conversations that ended before it.
    ///
    /// # Errors
    /// Standard output does not take the lines.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, flow_records, key } = self;
        let mut lines = Lines { output, outcome: Ok(()) };
        unfold.frame(frame, &mut |found| note(flow_records, key, found, frame.at, &mut lines));
        lines.outcome
    }

    /// Lets time pass while nothing comes.
    ///
    /// # Errors
    /// As for [`FlowView::frame`].
    pub(crate) fn tick(&mut self, now: Timestamp, output: &mut Output) -> Result<(), Failure> {
        let mut lines = Lines { output, outcome: Ok(()) };
        self.flow_records.advance(now, &mut |ended| lines.write(ended));
        lines.outcome
    }

    /// Prints the conversations that go on, the one that began first before the others.
    ///
    /// # Errors
    /// As for [`FlowView::frame`].
    pub(crate) fn finish(&mut self, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, flow_records, key } = self;
        let mut lines = Lines { output, outcome: Ok(()) };
        unfold.finish(&mut |found| note(flow_records, key, found, Timestamp::ZERO, &mut lines));
        flow_records.finish(&mut |ended| lines.write(ended));
        if flow_records.evictions() > 0 {
            log::warn(format_args!(
                "{} conversations were printed before they ended, because more than flow_entries went on at a time",
                flow_records.evictions()
            ));
        }
        lines.outcome
    }
}

fn note(
    flow_records: &mut FlowRecords<'static>,
    key: &HashKey,
    found: &Found<'_>,
    at: Timestamp,
    lines: &mut Lines<'_>,
) {
    let (packet, seen) = match found {
        Found::Packet(packet) => (Some(*packet), Observation::of(packet, at)),
        Found::Reassembled(packet, parts) => {
            let whole = Observation::of(packet, at);
            let Observation { first, last, packets, bytes, .. } = *parts;
            (Some(*packet), whole.map(|whole| Observation { first, last, packets, bytes, ..whole }))
        }
        Found::Parts(parts) => (None, Some(*parts)),
    };
    let Some(seen) = seen else { return };
    let noted = flow_records.note(key, &seen, &mut |ended| lines.write(ended));
    let (Some((conversation, _)), Some(packet)) = (noted, packet) else { return };
    if conversation.app == 0 && conversation.app_attempts < MAX_TRIES {
        look(conversation, packet);
    }
}

/// Tries to tell the application from the bytes of a packet.
fn look(conversation: &mut FlowRecord, packet: &Packet<'_>) {
    let Some(ports) = packet.ports() else { return };
    let (application, payload) = match &packet.transport {
        Transport::Tcp(tcp) => (application::of_segment(tcp.payload, ports), tcp.payload),
        Transport::Udp(udp) => (application::of_datagram(udp.payload, ports), udp.payload),
        _ => return,
    };
    conversation.app = application;
    conversation.app_attempts += u8::from(!payload.is_empty());
}

/// Lines on standard output, and whether that takes them.
struct Lines<'o> {
    output: &'o mut Output,
    outcome: Result<(), Failure>,
}

impl Lines<'_> {
    fn write(&mut self, conversation: &FlowRecord) {
        if self.outcome.is_ok() {
            self.outcome = self.output.line(|line| write(conversation, line));
        }
    }
}

fn write(conversation: &FlowRecord, line: &mut String) -> std::fmt::Result {
    let (initiator, responder) = (conversation.initiator(), conversation.responder());
    let number = conversation.protocol();
    let application = match conversation.app {
        0 => application::by_port(number, responder.port, initiator.port),
        known => known,
    };
    write!(line, "{{\"first_time\":\"{}\"", conversation.first().rfc3339())?;
    write!(line, ",\"last_time\":\"{}\",\"protocol\":\"", conversation.last().rfc3339())?;
    protocol_name(number, line)?;
    match application::name(application) {
        Some(name) => write!(line, "\",\"app\":\"{name}\"")?,
        None => line.push_str("\",\"app\":null"),
    }
    for (name, end) in [("src", initiator), ("dst", responder)] {
        write!(line, ",\"{name}\":\"{}\",\"{name}_port\":", end.address)?;
        port(number, end.port, line)?;
    }
    let (out, back) = (conversation.initiator_traffic(), conversation.responder_traffic());
    write!(line, ",\"packets_out\":{},\"packets_in\":{}", out.packets, back.packets)?;
    write!(line, ",\"bytes_out\":{},\"bytes_in\":{}", out.bytes, back.bytes)?;
    match conversation.tcp_state() {
        Some(state) => write!(line, ",\"tcp_state\":\"{}\"", state.name())?,
        None => line.push_str(",\"tcp_state\":null"),
    }
    line.push_str(",\"community_id\":\"");
    community_id::write(conversation.ordered_endpoints(), number, line)?;
    line.push_str("\"}");
    Ok(())
}

/// Protocols without ports have none.
fn port(number: u8, port: Port, line: &mut String) -> std::fmt::Result {
    let has_ports =
        matches!(number, protocol::ICMP | protocol::TCP | protocol::UDP | protocol::ICMPV6 | protocol::SCTP);
    if has_ports { write!(line, "{port}") } else { line.write_str("null") }
}

/// IANA's keywords in lower case, of those that are seen; the number of others.
fn protocol_name(number: u8, line: &mut String) -> std::fmt::Result {
    const NAMES: &[(u8, &str)] = &[
        (protocol::ICMP, "icmp"),
        (protocol::IGMP, "igmp"),
        (protocol::IPV4, "ipv4"),
        (protocol::TCP, "tcp"),
        (protocol::UDP, "udp"),
        (33, "dccp"),
        (protocol::IPV6, "ipv6"),
        (46, "rsvp"),
        (protocol::GRE, "gre"),
        (protocol::ESP, "esp"),
        (51, "ah"),
        (protocol::ICMPV6, "icmpv6"),
        (88, "eigrp"),
        (89, "ospf"),
        (103, "pim"),
        (112, "vrrp"),
        (115, "l2tp"),
        (protocol::SCTP, "sctp"),
        (136, "udplite"),
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => line.write_str(name),
        None => write!(line, "{number}"),
    }
}
