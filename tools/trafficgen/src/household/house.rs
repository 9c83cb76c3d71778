//! The house: addresses of its devices over time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_units::Mac;

use crate::Random;

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Parameters of a household.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HouseholdParameters {
    /// Seed of everything that is random in it: who lives there, and what they do when.
    pub seed: u64,
    /// Hours that it lasts.
    pub hours: u64,
    /// Hour of the local day at which it begins, 0 to 23.
    pub first_hour: u64,
}

/// Device of the household.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Device {
    /// Last byte of its IPv4 address, until it is renumbered; also its identity.
    pub(super) number: u8,
    /// VLAN that it is in (0: none).
    pub(super) vlan: u16,
    /// True if it draws a new random MAC address every day.
    pub(super) is_random: bool,
}

/// Constant facts of the household.
#[derive(Clone, Debug)]
pub(super) struct House {
    pub(super) seed: u64,
    /// Number of devices.
    pub(super) devices: u32,
    /// Hour of the day at which the household begins.
    pub(super) first_hour: u64,
    /// True if the interface merges segments (receive offload).
    pub(super) merges: bool,
    /// True if IPv6 has no route beyond the gateway.
    pub(super) has_broken_v6: bool,
    /// Time of an Internet outage.
    pub(super) outage: Option<(u64, u64)>,
    /// First three bytes of the IPv4 network; the second from `renumbered_at` on.
    networks: [[u8; 3]; 2],
    renumbered_at: u64,
}

/// True for addresses beyond the gateway. Inside are the private ranges, groups, and `2001:db8:1::/48`.
pub(super) fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified()),
        IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0xffff],
    }
}

impl House {
    /// House of these parameters. The generator goes on with who lives in it.
    pub(super) fn new(parameters: &HouseholdParameters, random: &mut Random) -> Self {
        let networks = [[192, 168, 1], [192, 168, 0], [192, 168, 178], [10, 0, 0], [172, 16, 5]];
        let index = random.length(0..networks.len());
        let before = networks.get(index).copied().unwrap_or([192, 168, 1]);
        let end = parameters.hours * HOUR;
        let at_some_time = random.within(end / 4..end);
        let outage =
            random.chance(30).then(|| (at_some_time, at_some_time + random.within(120..1_500) * 1_000_000));
        Self {
            seed: random.bits(),
            devices: 0,
            first_hour: parameters.first_hour,
            merges: random.chance(60),
            has_broken_v6: random.chance(15),
            outage,
            networks: [before, [192, 168, 77]],
            renumbered_at: if random.chance(8) { random.within(end / 3..end) } else { u64::MAX },
        }
    }

    pub(super) fn v4(&self, device: &Device, at: u64) -> Ipv4Addr {
        let [a, b, c] = self.network(at);
        Ipv4Addr::new(a, b, c, device.number)
    }

    pub(super) fn gateway_v4(&self, at: u64) -> Ipv4Addr {
        let [a, b, c] = self.network(at);
        Ipv4Addr::new(a, b, c, 1)
    }

    /// Broadcast address of the network.
    pub(super) fn broadcast(&self, at: u64) -> Ipv4Addr {
        let [a, b, c] = self.network(at);
        Ipv4Addr::new(a, b, c, 255)
    }

    /// Time at which the network is renumbered; never within the household if beyond its end.
    pub(super) const fn renumbered_at(&self) -> u64 {
        self.renumbered_at
    }

    /// Number of the local day.
    pub(super) const fn day(&self, at: u64) -> u64 {
        (at + self.first_hour * HOUR) / DAY
    }

    /// Time from `at` to the next local midnight.
    pub(super) const fn until_midnight(&self, at: u64) -> u64 {
        DAY - (at + self.first_hour * HOUR) % DAY
    }

    const fn network(&self, at: u64) -> [u8; 3] {
        let [before, after] = self.networks;
        if at < self.renumbered_at { before } else { after }
    }

    /// MAC address of the gateway; each VLAN has another.
    pub(super) fn gateway_mac(&self, vlan: u16) -> Mac {
        let [high, low] = vlan.to_be_bytes();
        let [.., a, b] = self.seed.to_be_bytes();
        Mac([0x9c, 0x3d, a, b, high, low])
    }

    pub(super) fn mac(&self, device: &Device, at: u64) -> Mac {
        let day = if device.is_random { self.day(at) } else { 0 };
        let mut random = Random::new(self.seed ^ (u64::from(device.number) << 32) ^ day);
        let [a, b, c, d, e, f, ..] = random.bits().to_be_bytes();
        let first = if device.is_random { a & 0xfc | 2 } else { a & 0xfc };
        Mac([first, b, c, d, e, f])
    }

    /// Link-local address of a device (RFC 4291 section 2.5.6), from its MAC address.
    pub(super) fn link_local(&self, device: &Device, at: u64) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac(device, at).0;
        let interface = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(interface))
    }

    /// Temporary address of the day (RFC 8981 section 3.8: preferred for a day).
    pub(super) fn temporary_v6(&self, device: &Device, at: u64) -> Ipv6Addr {
        let mut random = Random::new(self.seed ^ (u64::from(device.number) << 40) ^ self.day(at) ^ 0x6666);
        let network = (0x2001_0db8_0001 << 80) | (u128::from(self.seed & 0xffff) << 64);
        Ipv6Addr::from_bits(network | u128::from(random.bits()))
    }
}
