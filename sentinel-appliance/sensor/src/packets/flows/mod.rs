//! `--flows`: flow records, one JSON object for each flow when it ends.
//!
//! The fields are described in `OUTPUT.md`.

mod community_id;
mod text;

use sentinel_capture::Frame;
use sentinel_dissect::{Packet, Transport, application};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::flow::Endpoint;
use sentinel_track::flow_record::{FlowRecord, FlowRecords, Observation, TcpState};
use sentinel_track::hash::HashKey;
use sentinel_units::{Timestamp, ip_protocol, service};

use crate::packets::decapsulate::{Decapsulator, Extracted, LazyAllocator};
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;
use text::Text;

/// Most packets with a payload by which the application of a flow is identified; after them only its ports decide.
const MAX_TRIES: u8 = 8;

/// Table of flow records; prints each flow that ends.
pub(crate) struct FlowView {
    unfold: Decapsulator,
    flow_records: FlowRecords<'static>,
    key: HashKey,
    text: Text,
}

impl FlowView {
    /// A table of `entries` flows at a time.
    pub(crate) fn new(entries: u32, seed: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let key = HashKey::new(seed);
        let flow_records = FlowRecords::new(
            LazyAllocator.allocate_default(entries.next_power_of_two()),
            LazyAllocator.allocate_default(entries),
            LazyAllocator.allocate_default(entries),
        );
        Self { unfold: Decapsulator::new(key.clone()), flow_records, key, text: Text::new() }
    }

    /// Counts the packets of a frame, and prints the flows that ended before it.
    ///
    /// # Errors
    /// Standard output does not take the lines.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, flow_records, key, text } = self;
        let mut lines = Lines { output, text, outcome: Ok(()) };
        unfold.frame(frame, &mut |found| note(flow_records, key, found, frame.at, &mut lines));
        lines.outcome
    }

    /// Advances the clock while no packets arrive, and prints the flows that are idle for too long.
    ///
    /// # Errors
    /// Those of [`FlowView::frame`].
    pub(crate) fn tick(&mut self, now: Timestamp, output: &mut Output) -> Result<(), Failure> {
        let mut lines = Lines { output, text: &mut self.text, outcome: Ok(()) };
        self.flow_records.advance(now, &mut |ended| lines.write(ended));
        lines.outcome
    }

    /// Prints the flows that have not ended, in the order in which they began.
    ///
    /// # Errors
    /// Those of [`FlowView::frame`].
    pub(crate) fn finish(&mut self, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, flow_records, key, text } = self;
        let mut lines = Lines { output, text, outcome: Ok(()) };
        unfold.finish(&mut |found| note(flow_records, key, found, Timestamp::ZERO, &mut lines));
        flow_records.finish(&mut |ended| lines.write(ended));
        if flow_records.evictions() > 0 {
            log::warn(format_args!(
                "{} flows were printed before they ended, because more than flow_entries were active at a time",
                flow_records.evictions()
            ));
        }
        lines.outcome
    }
}

fn note(
    flow_records: &mut FlowRecords<'static>,
    key: &HashKey,
    found: &Extracted<'_>,
    at: Timestamp,
    lines: &mut Lines<'_>,
) {
    let (packet, observation) = match found {
        Extracted::Packet(packet) => (Some(*packet), Observation::of(packet, at)),
        Extracted::Reassembled(packet, parts) => {
            let whole = Observation::of(packet, at);
            let Observation { first, last, packets, bytes, .. } = *parts;
            (Some(*packet), whole.map(|whole| Observation { first, last, packets, bytes, ..whole }))
        }
        Extracted::Fragments(parts) => (None, Some(*parts)),
    };
    let Some(observation) = observation else { return };
    let entry = flow_records.note(key, &observation, &mut |ended| lines.write(ended));
    let (Some((flow, _)), Some(packet)) = (entry, packet) else { return };
    if flow.app == 0 && flow.app_attempts < MAX_TRIES {
        identify(flow, packet);
    }
}

/// Identifies the application by the bytes of a packet.
fn identify(flow: &mut FlowRecord, packet: &Packet<'_>) {
    let Some(ports) = packet.ports() else { return };
    let (application, payload) = match &packet.transport {
        Transport::Tcp(tcp) => (application::identify_segment(tcp.payload, ports), tcp.payload),
        Transport::Udp(udp) => (application::identify_datagram(udp.payload, ports), udp.payload),
        _ => return,
    };
    flow.app = application.map_or(0, |protocol| protocol.service.id());
    flow.app_attempts += u8::from(!payload.is_empty());
}

/// Lines on standard output, and the failure of the first that it did not take.
struct Lines<'o> {
    output: &'o mut Output,
    text: &'o mut Text,
    outcome: Result<(), Failure>,
}

impl Lines<'_> {
    fn write(&mut self, flow: &FlowRecord) {
        if self.outcome.is_ok() {
            self.text.clear();
            self.outcome = match write(flow, self.text) {
                Ok(()) => self.output.bytes(self.text.as_bytes()),
                Err(_) => Err(Failure::new("formatting a line failed")),
            };
        }
    }
}

fn write(flow: &FlowRecord, line: &mut Text) -> std::fmt::Result {
    let (initiator, responder) = (flow.initiator(), flow.responder());
    let number = flow.protocol();
    let by_port = |port| service::by_port(number, port);
    let application =
        service::by_id(flow.app).or_else(|| by_port(responder.port)).or_else(|| by_port(initiator.port));
    line.push(b"{\"first_time\":\"");
    line.time(flow.first())?;
    line.push(b"\",\"last_time\":\"");
    line.time(flow.last())?;
    line.push(b"\",\"protocol\":\"");
    protocol_name(number, line)?;
    quoted(b"\",\"app\":", application.map(|service| service.name), line);
    line.push(b",\"src\":\"");
    endpoint(initiator, b"\",\"src_port\":", number, line)?;
    line.push(b",\"dst\":\"");
    endpoint(responder, b"\",\"dst_port\":", number, line)?;
    let (out, back) = (flow.initiator_traffic(), flow.responder_traffic());
    line.push(b",\"packets_out\":");
    line.number(out.packets)?;
    line.push(b",\"packets_in\":");
    line.number(back.packets)?;
    line.push(b",\"bytes_out\":");
    line.number(out.bytes)?;
    line.push(b",\"bytes_in\":");
    line.number(back.bytes)?;
    quoted(b",\"tcp_state\":", flow.tcp_state().map(TcpState::name), line);
    line.push(b",\"community_id\":\"");
    community_id::write(flow.ordered_endpoints(), number, line);
    line.push(b"\"}\n");
    Ok(())
}

/// Writes `name`, and `value` in quotes or `null`.
fn quoted(name: &[u8], value: Option<&str>, line: &mut Text) {
    line.push(name);
    match value {
        Some(value) => {
            line.push(b"\"");
            line.push(value.as_bytes());
            line.push(b"\"");
        }
        None => line.push(b"null"),
    }
}

/// Writes an address, `name` and the port, or `null` for protocols without ports.
fn endpoint(end: Endpoint, name: &[u8], number: u8, line: &mut Text) -> std::fmt::Result {
    line.address(end.address)?;
    line.push(name);
    if community_id::has_ports(number) {
        return line.number(u64::from(end.port.0));
    }
    line.push(b"null");
    Ok(())
}

/// Writes IANA's keyword in lower case if the protocol is common, else its number.
fn protocol_name(number: u8, line: &mut Text) -> std::fmt::Result {
    const NAMES: &[(u8, &str)] = &[
        (ip_protocol::ICMP, "icmp"),
        (ip_protocol::IGMP, "igmp"),
        (ip_protocol::IPV4, "ipv4"),
        (ip_protocol::TCP, "tcp"),
        (ip_protocol::UDP, "udp"),
        (ip_protocol::DCCP, "dccp"),
        (ip_protocol::IPV6, "ipv6"),
        (ip_protocol::RSVP, "rsvp"),
        (ip_protocol::GRE, "gre"),
        (ip_protocol::ESP, "esp"),
        (ip_protocol::AH, "ah"),
        (ip_protocol::ICMPV6, "icmpv6"),
        (ip_protocol::EIGRP, "eigrp"),
        (ip_protocol::OSPF, "ospf"),
        (ip_protocol::PIM, "pim"),
        (ip_protocol::VRRP, "vrrp"),
        (ip_protocol::L2TP, "l2tp"),
        (ip_protocol::SCTP, "sctp"),
        (ip_protocol::UDP_LITE, "udplite"),
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => {
            line.push(name.as_bytes());
            Ok(())
        }
        None => line.number(u64::from(number)),
    }
}
