//! IP addresses in the form that tables hold.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address in 16 bytes; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2).
///
/// Four words instead of sixteen bytes, because comparing and hashing words is what tables do most.
/// The words are numbers, not memory: equal on every byte order.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address([u32; 4]);

const MAPPED_PREFIX: u32 = 0xffff;

impl Address {
    /// `::`, which no packet of interest carries as its source; marks an empty table slot.
    pub const UNSPECIFIED: Self = Self([0; 4]);

    /// From an IPv4 address as a number (`0x7f00_0001` is 127.0.0.1).
    #[inline]
    #[must_use]
    pub const fn v4(bits: u32) -> Self {
        Self([0, 0, MAPPED_PREFIX, bits])
    }

    /// From the sixteen bytes of an IPv6 address as four big-endian words.
    #[inline]
    #[must_use]
    pub const fn v6(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The four words, most significant first.
    #[inline]
    #[must_use]
    pub const fn words(self) -> [u32; 4] {
        self.0
    }

    /// Whether this is an IPv4 address.
    #[inline]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let Self([a, b, c, _]) = self;
        a == 0 && b == 0 && c == MAPPED_PREFIX
    }

    /// Whether packets to this address go to many: multicast, or IPv4 limited broadcast.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        let Self([first, _, _, last]) = self;
        if self.is_v4() { last >> 28 == 0xe || last == u32::MAX } else { first >> 24 == 0xff }
    }

    /// Whether this is `0.0.0.0` or `::`.
    #[inline]
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        let Self([a, b, c, last]) = self;
        last == 0 && a == 0 && b == 0 && (c == 0 || c == MAPPED_PREFIX)
    }

    /// Whether the address never leaves its link: `169.254.0.0/16`, `fe80::/10`.
    #[inline]
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        let Self([first, _, _, last]) = self;
        if self.is_v4() { last >> 16 == 0xa9fe } else { first >> 22 == 0x3fa }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                let word =
                    |shift: u32| u32::try_from(bits >> shift & u128::from(u32::MAX)).unwrap_or_default();
                Self([word(96), word(64), word(32), word(0)])
            }
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        let Address([a, b, c, d]) = address;
        if address.is_v4() {
            return Self::V4(Ipv4Addr::from_bits(d));
        }
        let bits = [a, b, c, d].iter().fold(0_u128, |bits, word| bits << 32 | u128::from(*word));
        Self::V6(Ipv6Addr::from_bits(bits))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(out)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["0.0.0.0", "192.0.2.7", "255.255.255.255", "::", "2001:db8::1", "fe80::1:2:3:4"] {
            let parsed: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(parsed)), parsed);
        }
    }

    #[test]
    fn classes_are_told_apart() {
        assert!(address("224.0.0.251").is_group() && address("ff02::fb").is_group());
        assert!(address("255.255.255.255").is_group() && !address("10.0.0.1").is_group());
        assert!(address("0.0.0.0").is_unspecified() && address("::").is_unspecified());
        assert!(address("169.254.3.4").is_link_local() && address("fe80::1").is_link_local());
        assert!(!address("fec0::1").is_link_local() && !address("169.253.0.1").is_link_local());
    }
}
