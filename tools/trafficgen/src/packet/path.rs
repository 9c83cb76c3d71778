//! One direction between two machines, all layers.

use super::{Addresses, Icmp, Link, Network, Tcp, protocol, udp};
use crate::Host;

/// Which IP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// What every frame of one direction has in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    /// The frame header.
    pub link: Link,
    /// The packet header.
    pub network: Network,
}

impl Path {
    /// From one machine to another.
    #[must_use]
    pub const fn between(from: &Host, to: &Host, family: Family) -> Self {
        let addresses = match family {
            Family::V4 => Addresses::V4 { source: from.v4, destination: to.v4 },
            Family::V6 => Addresses::V6 { source: from.v6, destination: to.v6 },
        };
        Self { link: Link::new(from.mac, to.mac), network: Network::new(addresses) }
    }

    /// The way back, over the same tags.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let network = Network { addresses: self.network.addresses.reversed(), ..self.network.clone() };
        Self { link: self.link.reversed(), network }
    }

    /// How much TCP payload a full frame carries, with `options` bytes of TCP options.
    #[must_use]
    pub fn segment_size(&self, options: usize) -> usize {
        1_500 - self.link.overhead() - self.network.header_len() - 20 - options
    }

    /// The frame around `payload` of `protocol`.
    #[must_use]
    pub fn frame(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.wrap(&self.network.packet(protocol, payload))
    }

    /// The frame around a packet that is already there.
    #[must_use]
    pub fn wrap(&self, packet: &[u8]) -> Vec<u8> {
        self.link.frame(self.network.addresses.ethertype(), packet)
    }

    /// A frame with a TCP segment.
    #[must_use]
    pub fn tcp(&self, header: &Tcp, payload: &[u8]) -> Vec<u8> {
        self.frame(protocol::TCP, &header.segment(&self.network.addresses, payload))
    }

    /// A frame with a UDP datagram.
    #[must_use]
    pub fn udp(&self, source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
        self.frame(protocol::UDP, &udp(source_port, destination_port, &self.network.addresses, payload))
    }

    /// A frame with a control message.
    #[must_use]
    pub fn icmp(&self, message: &Icmp<'_>) -> Vec<u8> {
        let (protocol, bytes) = message.message(&self.network.addresses);
        self.frame(protocol, &bytes)
    }
}
