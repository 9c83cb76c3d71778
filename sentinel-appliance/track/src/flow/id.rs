//! Which conversation a packet belongs to.

use sentinel_dissect::{FiveTuple, TcpFlags, protocol};
use sentinel_units::Port;

use super::Flow;
use super::port_class::class;
use crate::hash::HashKey;

/// A conversation, and which of its two ends sent a packet.
#[derive(Clone, Copy, Debug)]
pub struct FlowId {
    hash: u64,
    pub(super) source_is_low: bool,
    pub(super) source_port: Port,
    pub(super) destination_port: Port,
}

impl FlowId {
    /// Of a packet between IPv4 addresses, given as numbers.
    #[inline]
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

    /// Of a packet of either family.
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
        let (from, to) = ((source, source_port), (destination, destination_port));
        let source_is_low = from <= to;
        let (low, high) = if source_is_low { (from, to) } else { (to, from) };
        let ([a, b, c, d], [e, f, g, h]) = (low.0.words(), high.0.words());
        let hash = key.hash64([a, b, c, d, e, f, g, h, ports(low.1, high.1), transport(tcp_flags)]);
        Self { hash, source_is_low, source_port, destination_port }
    }

    /// What chooses a set of the table, and what confirms a match there.
    #[inline]
    #[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
    pub(super) const fn halves(self) -> (u32, u32) {
        ((self.hash >> 32) as u32, self.hash as u32)
    }

    /// Where the interest in this direction lies.
    #[inline]
    pub(super) const fn shift(self) -> u32 {
        if self.source_is_low { Flow::LOW_INSPECTION } else { Flow::HIGH_INSPECTION }
    }
}

/// The number of a transport protocol that has ports.
#[inline]
fn transport(tcp_flags: Option<TcpFlags>) -> u32 {
    let protocol = if tcp_flags.is_some() { protocol::TCP } else { protocol::UDP };
    protocol.into()
}

impl FlowId {
    /// Whether the port numbers do not tell who opened the conversation, so that its first packet must.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        class(self.source_port) == class(self.destination_port)
    }
}

#[inline]
fn ports(low: Port, high: Port) -> u32 {
    u32::from(low.0) << 16 | u32::from(high.0)
}
