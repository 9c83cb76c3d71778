//! Row of the table of application protocols.

use sentinel_units::Port;
use sentinel_units::service::Service;

use super::framing::MessageLen;

/// Source and destination port.
pub type Ports = (Port, Port);

/// Returns true if a payload between these ports is of the protocol.
pub type Identify = fn(&[u8], Ports) -> bool;

/// Returns true if the payload of an IP packet is of the protocol.
pub type IdentifyPacket = fn(&[u8]) -> bool;

/// Length of the message that a stream starts with; `None` if neither bytes nor ports are of the protocol. A protocol that
/// answers [`MessageLen::Unrecognised`] claims the stream by its port, and no other protocol is tried.
pub type Framing = fn(&[u8], Ports) -> Option<MessageLen>;

/// A fuzz body, and the name of its corpus directory.
pub type Body = (&'static str, fn(&[u8]));

/// An application protocol that is recognised by its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Name and ports.
    pub service: &'static Service,
    /// Name in the lines that people read.
    pub title: &'static str,
    /// Document that defines it.
    pub source: &'static str,
    /// Recognises the payload of a TCP segment; `None` if the protocol does not run over TCP.
    pub segment: Option<Identify>,
    /// Recognises a UDP payload; `None` if the protocol does not run over UDP.
    pub datagram: Option<Identify>,
    /// Length of its messages in a TCP stream; `None` if they are not reassembled.
    pub framing: Option<Framing>,
    /// Recognises the payload of an IP packet of this number; `None` if the protocol runs over TCP or UDP.
    pub packet: Option<(u8, IdentifyPacket)>,
}

impl Protocol {
    /// A protocol that nothing recognises yet: rows add what they have.
    pub(super) const fn new(service: &'static Service, title: &'static str, source: &'static str) -> Self {
        Self { service, title, source, segment: None, datagram: None, framing: None, packet: None }
    }
}

/// Returns true if `port` is that of either end.
pub(super) fn has_port((source, destination): Ports, port: Port) -> bool {
    source == port || destination == port
}

/// Returns true if the port of either end is one of `server`.
pub(super) fn has_any_port((source, destination): Ports, server: &[u16]) -> bool {
    server.contains(&source.0) || server.contains(&destination.0)
}

/// Returns true if the payload begins with one of `starts`.
pub(super) fn starts_with_any(payload: &[u8], starts: &[&[u8]]) -> bool {
    starts.iter().any(|start| payload.starts_with(start))
}

/// Returns true if `word` is among the first 512 bytes of the payload, in letters of either case.
pub(super) fn contains(payload: &[u8], word: &[u8]) -> bool {
    payload.windows(word.len()).take(512).any(|window| window.eq_ignore_ascii_case(word))
}
