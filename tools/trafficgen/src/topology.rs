//! Hosts of a scenario and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_units::Mac;

/// Host: its MAC address on the observed segment, and its two network addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host {
    /// MAC address of frames to and from this host; the gateway's if the host is beyond it.
    pub mac: Mac,
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 address.
    pub v6: Ipv6Addr,
}

impl Host {
    /// Host of the observed segment. Its MAC address is `02:00` followed by the IPv4 address; its IPv6 address ends in the
    /// same 32 bits, in the local network `fd10:2030::/64`.
    #[must_use]
    pub fn internal(v4: Ipv4Addr) -> Self {
        let [a, b, c, d] = v4.octets();
        Self { mac: Mac([2, 0, a, b, c, d]), v4, v6: with_suffix(0xfd10_2030 << 96, v4) }
    }

    /// Host beyond `gateway`, with an IPv6 address in the documentation network `2001:db8::/64`.
    #[must_use]
    pub fn external(gateway: &Self, v4: Ipv4Addr) -> Self {
        Self { mac: gateway.mac, v4, v6: with_suffix(0x2001_0db8 << 96, v4) }
    }

    /// Copy with another IPv4 address and, in the same network, the IPv6 address that ends in it.
    #[must_use]
    pub fn with_v4(self, v4: Ipv4Addr) -> Self {
        let network = self.v6.to_bits() & !u128::from(u32::MAX);
        Self { mac: self.mac, v4, v6: with_suffix(network, v4) }
    }

    /// Copy with another IPv6 address.
    #[must_use]
    pub const fn with_v6(self, v6: Ipv6Addr) -> Self {
        Self { v6, ..self }
    }

    /// IPv4 address as an [`IpAddr`].
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        IpAddr::V4(self.v4)
    }
}

fn with_suffix(network: u128, v4: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(network | u128::from(v4.to_bits()))
}

/// The five roles, of which every scenario uses some. Further hosts are numbered, in networks of their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topology {
    /// Attacker, on the observed segment.
    pub attacker: Host,
    /// Victim, on the observed segment; also the server of the legitimate variants.
    pub victim: Host,
    /// Ordinary client on the observed segment.
    pub client: Host,
    /// Gateway and DNS resolver.
    pub gateway: Host,
    /// Host on the Internet.
    pub outside: Host,
}

/// Attacker 10.20.30.66, victim .10, client .20, gateway .1, and 203.0.113.50 (RFC 5737) beyond the gateway.
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
    /// The `index`-th further internal host, in 10.64.0.0/10 so that none collides with a role.
    #[must_use]
    pub fn internal(&self, index: u32) -> Host {
        Host::internal(Ipv4Addr::from_bits(0x0a40_0000 | (index.wrapping_add(1) & 0x003f_ffff)))
    }

    /// The `index`-th further external host, in 198.18.0.0/15 (benchmarking, RFC 2544).
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
    fn external_hosts_have_the_mac_address_of_the_gateway() {
        let topology = Topology::default();
        assert_eq!(topology.outside.mac, topology.gateway.mac);
        assert_eq!(topology.attacker.mac.to_string(), "02:00:0a:14:1e:42");
        assert_eq!(topology.attacker.v6.to_string(), "fd10:2030::a14:1e42");
        assert_eq!(topology.outside.v6.to_string(), "2001:db8::cb00:7132");
    }

    #[test]
    fn further_hosts_have_distinct_addresses() {
        let topology = Topology::default();
        let mut addresses: Vec<_> = (0..20_000).map(|index| topology.internal(index).v4).collect();
        addresses.dedup();
        assert_eq!(addresses.len(), 20_000);
        assert_eq!(topology.external(0).v4, Ipv4Addr::new(198, 18, 0, 1));
    }
}
