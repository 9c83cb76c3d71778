//! Inference of the initiator from port numbers.
//!
//! Read first: RFC 6335 section 6 (port number ranges); Linux `net.ipv4.ip_local_port_range` (32768 to 60999).

use sentinel_units::Port;

/// Returns true if the sender of a packet is likelier to be the initiator of its flow than the receiver, by port class.
///
/// Services listen below 1024, or at least below the ports that systems draw for clients. If both ports are of one class, the
/// sender of the packet counts as the initiator.
#[inline] // compares two small numbers; used in the closure of `Flows::note`
#[must_use]
pub const fn looks_like_initiator(source: Port, destination: Port) -> bool {
    port_class(source) >= port_class(destination)
}

/// Returns true if the ports alone identify the sender as the initiator: [`looks_like_initiator`] gives the same initiator
/// for whichever packet of the flow is captured first.
#[inline] // called for every SYN on the fast path
#[must_use]
pub const fn is_certain_initiator(source: Port, destination: Port) -> bool {
    port_class(source) > port_class(destination)
}

/// Class of a port: 0 for system ports, 1 for registered ports below 32768, 2 for those that clients draw from (RFC 6335:
/// 49152 and up; Linux: 32768 and up).
pub(super) const fn port_class(port: Port) -> u8 {
    match port.0 {
        0..1024 => 0,
        1024..32_768 => 1,
        32_768.. => 2,
    }
}
