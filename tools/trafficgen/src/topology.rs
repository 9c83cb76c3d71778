//! Who plays in a scenario.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_units::Mac;

/// One machine: its hardware address on the observed segment and its two network addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host {
    /// The address frames to this machine carry: that of the gateway if it lies beyond.
    pub mac: Mac,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Host {
    /// A machine of the observed segment: hardware address `02:00` and then the IPv4 address; the IPv6 address
    /// ends in the same 32 bits, in the local network `fd10:2030::/64`.
    #[must_use]
    pub fn internal(v4: Ipv4Addr) -> Self {
        let [a, b, c, d] = v4.octets();
        Self { mac: Mac([2, 0, a, b, c, d]), v4, v6: with_suffix(0xfd10_2030 << 96, v4) }
    }

    /// A machine beyond `gateway`, in the documentation network `2001:db8::/64`.
    #[must_use]
    pub fn external(gateway: &Self, v4: Ipv4Addr) -> Self {
        Self { mac: gateway.mac, v4, v6: with_suffix(0x2001_0db8 << 96, v4) }
    }

    /// The same machine with another IPv4 address; the IPv6 address follows.
    #[must_use]
    pub fn with_v4(self, v4: Ipv4Addr) -> Self {
        let network = self.v6.to_bits() & !u128::from(u32::MAX);
        Self { mac: self.mac, v4, v6: with_suffix(network, v4) }
    }

    /// The same machine with another IPv6 address.
    #[must_use]
    pub const fn with_v6(self, v6: Ipv6Addr) -> Self {
        Self { v6, ..self }
    }

    /// Its IPv4 address as the general type.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        IpAddr::V4(self.v4)
    }
}

fn with_suffix(network: u128, v4: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(network | u128::from(v4.to_bits()))
}

/// The five roles. Every scenario uses some of them; the rest of the world is made from their networks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topology {
    /// Who does harm, on the observed segment.
    pub attacker: Host,
    /// Who is harmed; also the server of the harmless twins.
    pub victim: Host,
    /// An ordinary machine.
    pub client: Host,
    /// Router and resolver.
    pub gateway: Host,
    /// A machine on the Internet.
    pub outside: Host,
}

/// 10.20.30.66, .10, .20, .1, and 203.0.113.50 (RFC 5737) beyond the gateway.
impl Default for Topology {
    fn default() -> Self {
        let local = |last| Host::internal(Ipv4Addr::new(10, 20, 30, last));
        let gateway = local(1);
        Self {
            attacker: local(66),
            victim: local(10),
            client: local(20),
            gateway,
            outside: Host::external(&gateway, Ipv4Addr::new(203, 0, 113, 50)),
        }
    }
}

impl Topology {
    /// The `index`-th further machine of the inside, in 10.64.0.0/10 so that none collides with a role.
    #[must_use]
    pub fn internal(&self, index: u32) -> Host {
        Host::internal(Ipv4Addr::from_bits(0x0a40_0000 | (index.wrapping_add(1) & 0x003f_ffff)))
    }

    /// The `index`-th further machine of the Internet, in 198.18.0.0/15 (benchmarking, RFC 2544).
    #[must_use]
    pub fn external(&self, index: u32) -> Host {
        Host::external(
            &self.gateway,
            Ipv4Addr::from_bits(0xc612_0000 | (index.wrapping_add(1) & 0x0001_ffff)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_carries_what_lies_beyond() {
        let topology = Topology::default();
        assert_eq!(topology.outside.mac, topology.gateway.mac);
        assert_eq!(topology.attacker.mac.to_string(), "02:00:0a:14:1e:42");
        assert_eq!(topology.attacker.v6.to_string(), "fd10:2030::a14:1e42");
        assert_eq!(topology.outside.v6.to_string(), "2001:db8::cb00:7132");
    }

    #[test]
    fn further_machines_differ_from_each_other() {
        let topology = Topology::default();
        let mut addresses: Vec<_> = (0..20_000).map(|index| topology.internal(index).v4).collect();
        addresses.dedup();
        assert_eq!(addresses.len(), 20_000);
        assert_eq!(topology.external(0).v4, Ipv4Addr::new(198, 18, 0, 1));
    }
}
