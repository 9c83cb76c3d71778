//! Path: one direction between two hosts, with link and network headers.

use super::{Addresses, Icmp, Link, Network, Tcp, protocol, udp};
use crate::Host;

/// IP version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// Headers that the frames of one direction have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    /// Frame header.
    pub link: Link,
    /// IP header.
    pub network: Network,
}

impl Path {
    /// Path from one host to another.
    #[must_use]
    pub const fn between(from: &Host, to: &Host, family: Family) -> Self {
        let addresses = match family {
            Family::V4 => Addresses::V4 { source: from.v4, destination: to.v4 },
            Family::V6 => Addresses::V6 { source: from.v6, destination: to.v6 },
        };
        Self { link: Link::new(from.mac, to.mac), network: Network::new(addresses) }
    }

    /// Path in the opposite direction, with the same tags.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let network = Network { addresses: self.network.addresses.reversed(), ..self.network.clone() };
        Self { link: self.link.reversed(), network }
    }

    /// TCP payload bytes of a full frame with `options` bytes of TCP options.
    #[must_use]
    pub fn segment_size(&self, options: usize) -> usize {
        1_500 - self.link.overhead() - self.network.header_len() - 20 - options
    }

    /// Frame that carries `payload` of IP protocol `protocol`.
    #[must_use]
    pub fn frame(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.wrap(&self.network.packet(protocol, payload))
    }

    /// Frame that carries a finished IP packet.
    #[must_use]
    pub fn wrap(&self, packet: &[u8]) -> Vec<u8> {
        self.link.frame(self.network.addresses.ethertype(), packet)
    }

    /// Frame that carries a TCP segment.
    #[must_use]
    pub fn tcp(&self, header: &Tcp, payload: &[u8]) -> Vec<u8> {
        self.frame(protocol::TCP, &header.segment(&self.network.addresses, payload))
    }

    /// Frame that carries a UDP datagram.
    #[must_use]
    pub fn udp(&self, source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
        self.frame(protocol::UDP, &udp(source_port, destination_port, &self.network.addresses, payload))
    }

    /// Frame that carries an ICMP message.
    #[must_use]
    pub fn icmp(&self, message: &Icmp<'_>) -> Vec<u8> {
        let (protocol, bytes) = message.message(&self.network.addresses);
        self.frame(protocol, &bytes)
    }
}
