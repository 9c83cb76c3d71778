//! The home network: prefixes whose addresses are internal. Every other unicast address is external.

use sentinel_units::{Address, Prefix};

/// Prefixes at most.
pub const MAX_PREFIXES: usize = 32;

/// More networks than [`MAX_PREFIXES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooManyPrefixes;

impl core::fmt::Display for TooManyPrefixes {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "more than {MAX_PREFIXES} inside networks")
    }
}

impl core::error::Error for TooManyPrefixes {}

/// The internal prefixes: setting `home_net` and the prefixes of the captured interfaces.
#[derive(Clone, Debug, Default)]
pub struct HomeNet {
    /// Those that are IPv6, which contain no IPv4 address.
    v6: heapless::Vec<Prefix, MAX_PREFIXES>,
    /// Mask and network of those that are IPv4: most addresses are, and one word decides.
    v4: heapless::Vec<(u32, u32), MAX_PREFIXES>,
    /// Coverage of each /8 of the IPv4 addresses: decides most addresses by one byte.
    v4_first: Covered,
}

/// Coverage for each first byte of an IPv4 address.
#[derive(Clone, Debug)]
struct Covered([Cover; 256]);

/// Share of a /8 that is internal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cover {
    Nothing,
    Part,
    Everything,
}

impl Default for Covered {
    fn default() -> Self {
        Self([Cover::Nothing; 256])
    }
}

impl Covered {
    fn add(&mut self, (mask, network): (u32, u32)) {
        let cover = if mask > 0xff00_0000 { Cover::Part } else { Cover::Everything };
        for (first, held) in (0_u32..).zip(&mut self.0) {
            let is_touched = (first << 24 ^ network) & mask & 0xff00_0000 == 0;
            if is_touched && *held != Cover::Everything {
                *held = cover;
            }
        }
    }

    #[inline]
    fn of(&self, address: u32) -> Cover {
        let [first, ..] = address.to_be_bytes();
        self.0.get(usize::from(first)).copied().unwrap_or(Cover::Part)
    }
}

impl HomeNet {
    /// Adds a network.
    ///
    /// # Errors
    /// [`TooManyPrefixes`]; those added before stay.
    pub fn add(&mut self, prefix: Prefix) -> Result<(), TooManyPrefixes> {
        if self.v6.len() + self.v4.len() >= MAX_PREFIXES {
            return Err(TooManyPrefixes);
        }
        let Some(v4) = prefix.v4() else {
            return self.v6.push(prefix).map_err(|_| TooManyPrefixes);
        };
        self.v4_first.add(v4);
        self.v4.push(v4).map_err(|_| TooManyPrefixes)
    }

    /// Returns true if `address` lies in one of the prefixes.
    #[inline]
    #[must_use]
    pub fn is_internal(&self, address: Address) -> bool {
        if address.is_v4() {
            let [.., last] = address.words();
            return match self.v4_first.of(last) {
                Cover::Nothing => false,
                Cover::Everything => true,
                Cover::Part => self.v4.iter().any(|(mask, network)| last & mask == *network),
            };
        }
        self.v6.iter().any(|prefix| prefix.contains(address))
    }

    /// Returns true if `address` is that of a single external host: not internal, no multicast or broadcast, not link-local.
    #[inline]
    #[must_use]
    pub fn is_external(&self, address: Address) -> bool {
        !self.is_internal(address)
            && !address.is_group()
            && !address.is_link_local()
            && !address.is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::net::IpAddr;

    #[test]
    fn groups_and_link_local_addresses_are_neither_internal_nor_external() {
        let mut home_net = HomeNet::default();
        home_net.add("10.0.0.0/8".parse().unwrap()).unwrap();
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        assert!(home_net.is_internal(address("10.1.2.3")) && !home_net.is_external(address("10.1.2.3")));
        assert!(home_net.is_external(address("203.0.113.1")) && home_net.is_external(address("2001:db8::1")));
        for text in ["224.0.0.251", "ff02::1", "fe80::1", "169.254.1.1", "0.0.0.0", "255.255.255.255"] {
            assert!(!home_net.is_internal(address(text)) && !home_net.is_external(address(text)), "{text}");
        }
    }

    /// Against the prefixes themselves, at the edges of each and of each first byte.
    #[test]
    fn ipv4_is_decided_as_by_the_prefixes_alone() {
        let texts = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "64.0.0.0/3",
            "100.64.0.0/10",
            "203.0.113.7/32",
        ];
        for (number, text) in (0_u32..).zip(texts).chain([(9, "0.0.0.0/0")]) {
            let mut home_net = HomeNet::default();
            let mut prefixes = std::vec![text.parse::<Prefix>().unwrap()];
            prefixes.extend(
                texts
                    .iter()
                    .take(usize::try_from(number).unwrap())
                    .map(|text| text.parse::<Prefix>().unwrap()),
            );
            prefixes.iter().for_each(|prefix| home_net.add(*prefix).unwrap());
            let edges = (0..=u32::MAX >> 16)
                .map(|upper| upper << 16)
                .flat_map(|edge| [edge, edge.wrapping_sub(1), edge + 0x7107]);
            for address in edges.chain([0xcb00_7107, 0xcb00_7106]).map(Address::v4) {
                let expected = prefixes.iter().any(|prefix| prefix.contains(address));
                assert_eq!(home_net.is_internal(address), expected, "{address} in {text} and others");
            }
        }
    }

    #[test]
    fn one_prefix_too_many_is_rejected() {
        let mut home_net = HomeNet::default();
        for _ in 0..MAX_PREFIXES {
            home_net.add("10.0.0.0/8".parse().unwrap()).unwrap();
        }
        assert_eq!(home_net.add("10.0.0.0/8".parse().unwrap()), Err(TooManyPrefixes));
    }
}
