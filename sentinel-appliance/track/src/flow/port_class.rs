//! Which side of a conversation its port numbers suggest as the initiator.

use sentinel_units::Port;

/// Whether the sender of a lone packet is likelier to have opened the conversation than its receiver.
///
/// Services live below 1024, or at least below the ports that systems pick for clients (RFC 6335
/// section 6: 49152 and up; Linux from 32768). Two ports of the same class: the sender.
#[inline]
#[must_use]
pub const fn looks_like_initiator(source: Port, destination: Port) -> bool {
    class(source) >= class(destination)
}

/// Whether the ports alone tell that the sender of a packet opened the conversation: whichever packet of it is seen
/// first, [`looks_like_initiator`] says so.
#[inline]
#[must_use]
pub const fn is_certain_initiator(source: Port, destination: Port) -> bool {
    class(source) > class(destination)
}

/// 0 for system ports, 1 for registered ones, 2 for those that clients draw from.
pub(super) const fn class(port: Port) -> u8 {
    match port.0 {
        0..1024 => 0,
        1024..32_768 => 1,
        32_768.. => 2,
    }
}
