//! Identity of a flow, and the direction of a packet in it.

use sentinel_dissect::{FiveTuple, TcpFlags, protocol};
use sentinel_units::Port;

use super::FlowState;
use super::port_class::port_class;
use crate::hash::HashKey;

/// Keyed hash of a 5-tuple that is equal for both directions, and which of the two endpoints sent the packet.
//
// The endpoints are hashed in ascending order, so that both directions find one entry. `source_is_low` is then the direction:
// it selects the bits of `FlowState` that belong to it.
#[derive(Clone, Copy, Debug)]
pub struct FlowId {
    hash: u64,
    pub(super) source_is_low: bool,
    pub(super) source_port: Port,
    pub(super) destination_port: Port,
}

impl FlowId {
    /// Makes the identity from a 5-tuple with IPv4 addresses as numbers.
    #[inline] // once per packet; a call would pass the tuple and the result through memory
    #[must_use]
    pub fn v4(key: &HashKey, tuple: &FiveTuple<u32>) -> Self {
        let order = |address: u32, port: Port| u64::from(address) << 16 | u64::from(port.0);
        let &FiveTuple { source, destination, source_port, destination_port, tcp_flags } = tuple;
        let source_is_low = order(source, source_port) <= order(destination, destination_port);
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let (low_port, high_port) =
            if source_is_low { (source_port, destination_port) } else { (destination_port, source_port) };
        let hash = key.hash64([low, high, ports(low_port, high_port), transport(tcp_flags)]);
        Self { hash, source_is_low, source_port, destination_port }
    }

    /// Makes the identity from a 5-tuple of either address family.
    #[must_use]
    pub fn of(key: &HashKey, tuple: &FiveTuple) -> Self {
        let &FiveTuple { source, destination, source_port, destination_port, tcp_flags } = tuple;
        if source.is_v4() && destination.is_v4() {
            let ([.., source], [.., destination]) = (source.words(), destination.words());
            return Self::v4(
                key,
                &FiveTuple { source, destination, source_port, destination_port, tcp_flags },
            );
        }
        Self::v6(key, tuple)
    }

    /// Makes the identity from a 5-tuple of which one address at least is IPv6.
    #[inline(always)] // into the fast path, which has the tuple in registers
    #[must_use]
    pub fn v6(key: &HashKey, tuple: &FiveTuple) -> Self {
        let &FiveTuple { source, destination, source_port, destination_port, tcp_flags } = tuple;
        let (from, to) = ((source, source_port), (destination, destination_port));
        let source_is_low = from <= to;
        let (low, high) = if source_is_low { (from, to) } else { (to, from) };
        let ([a, b, c, d], [e, f, g, h]) = (low.0.words(), high.0.words());
        let hash = key.hash64([a, b, c, d, e, f, g, h, ports(low.1, high.1), transport(tcp_flags)]);
        Self { hash, source_is_low, source_port, destination_port }
    }

    /// Returns true if the port numbers do not suggest an initiator (same port class), so that the first packet decides.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        port_class(self.source_port) == port_class(self.destination_port)
    }

    /// Halves of the hash: the first selects a set of the table, the second is the key that confirms a match there.
    #[inline] // two moves, on the path of every packet
    #[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
    pub(super) const fn halves(self) -> (u32, u32) {
        ((self.hash >> 32) as u32, self.hash as u32)
    }

    /// Half of the hash, for a table of few flows.
    #[must_use]
    pub const fn key(self) -> u32 {
        self.halves().1
    }

    /// Bit position in [`FlowState`] of the inspection of this direction.
    #[inline] // a conditional move, on the path of every packet
    pub(super) const fn inspection_shift(self) -> u32 {
        if self.source_is_low { FlowState::LOW_INSPECTION } else { FlowState::HIGH_INSPECTION }
    }
}

/// IP protocol number of a 5-tuple: TCP if it has TCP flags, else UDP.
#[inline] // part of the hash of every packet
fn transport(tcp_flags: Option<TcpFlags>) -> u32 {
    let protocol = if tcp_flags.is_some() { protocol::TCP } else { protocol::UDP };
    protocol.into()
}

/// Both ports in one word of hash input.
#[inline] // part of the hash of every packet
fn ports(low: Port, high: Port) -> u32 {
    u32::from(low.0) << 16 | u32::from(high.0)
}
