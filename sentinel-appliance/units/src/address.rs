//! IP addresses in the form that tables hold.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address in 16 bytes; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2).
///
/// Two numbers instead of sixteen bytes, because comparing and hashing is what tables do most: what is written as two
/// words and read as two words costs a processor no wait. They are numbers, not memory: equal on every byte order.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    upper: u64,
    lower: u64,
}

/// The lower half of an IPv4 address begins with this, and its upper half is zero.
const MAPPED_PREFIX: u32 = 0xffff;

impl Address {
    /// `::`, which no packet of interest carries as its source; marks an empty table slot.
    pub const UNSPECIFIED: Self = Self { upper: 0, lower: 0 };

    /// From an IPv4 address as a number (`0x7f00_0001` is 127.0.0.1).
    #[inline]
    #[must_use]
    pub const fn v4(bits: u32) -> Self {
        Self { upper: 0, lower: join(MAPPED_PREFIX, bits) }
    }

    /// From the sixteen bytes of an IPv6 address as four big-endian words.
    #[inline]
    #[must_use]
    pub const fn v6([a, b, c, d]: [u32; 4]) -> Self {
        Self { upper: join(a, b), lower: join(c, d) }
    }

    /// The four words, most significant first.
    #[inline]
    #[must_use]
    pub const fn words(self) -> [u32; 4] {
        let ((a, b), (c, d)) = (split(self.upper), split(self.lower));
        [a, b, c, d]
    }

    /// The bits that are set in `mask`.
    #[inline]
    pub(crate) const fn masked(self, mask: Self) -> Self {
        Self { upper: self.upper & mask.upper, lower: self.lower & mask.lower }
    }

    /// Returns true for an IPv4 address.
    #[inline]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.upper == 0 && split(self.lower).0 == MAPPED_PREFIX
    }

    /// Returns true for an address of many receivers: multicast, or IPv4 limited broadcast.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        let last = split(self.lower).1;
        if self.is_v4() { last >> 28 == 0xe || last == u32::MAX } else { self.upper >> 56 == 0xff }
    }

    /// Returns true for `0.0.0.0` and `::`.
    #[inline]
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.upper == 0 && (self.lower == 0 || self.lower == join(MAPPED_PREFIX, 0))
    }

    /// Returns true for a link-local address: `169.254.0.0/16`, `fe80::/10`.
    #[inline]
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        if self.is_v4() { split(self.lower).1 >> 16 == 0xa9fe } else { self.upper >> 54 == 0x3fa }
    }
}

#[inline]
#[expect(clippy::as_conversions, reason = "u32 to u64 is lossless; From is not const")]
const fn join(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}

#[inline]
#[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
const fn split(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.segments().map(u32::from);
                Self::v6([a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h])
            }
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            return Self::V4(Ipv4Addr::from_bits(split(address.lower).1));
        }
        Self::V6(Ipv6Addr::from_bits(u128::from(address.upper) << 64 | u128::from(address.lower)))
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
    fn address_classes_are_distinguished() {
        assert!(address("224.0.0.251").is_group() && address("ff02::fb").is_group());
        assert!(address("255.255.255.255").is_group() && !address("10.0.0.1").is_group());
        assert!(address("0.0.0.0").is_unspecified() && address("::").is_unspecified());
        assert!(address("169.254.3.4").is_link_local() && address("fe80::1").is_link_local());
        assert!(!address("fec0::1").is_link_local() && !address("169.253.0.1").is_link_local());
    }
}
