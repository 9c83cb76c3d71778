//! Link-layer header types.

use core::fmt;

/// A link-layer header type by its number in pcap files (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: four bytes of address family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet II or IEEE 802.3, from the destination address on.
    pub const ETHERNET: Self = Self(1);
    /// Bare IPv4 or IPv6; the version nibble tells which.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: as [`LinkType::NULL`], always big-endian.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1: sixteen bytes.
    pub const LINUX_SLL: Self = Self(113);
    /// Bare IPv4.
    pub const IPV4: Self = Self(228);
    /// Bare IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2: twenty bytes.
    pub const LINUX_SLL2: Self = Self(276);

    /// Types that the sensor can read, the most common first.
    pub const SUPPORTED: [Self; 8] = [
        Self::ETHERNET,
        Self::RAW,
        Self::NULL,
        Self::LOOP,
        Self::LINUX_SLL,
        Self::LINUX_SLL2,
        Self::IPV4,
        Self::IPV6,
    ];

    /// Returns true if the sensor can read frames of this type.
    #[inline]
    #[must_use]
    pub const fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::RAW
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NULL => "NULL",
            Self::ETHERNET => "EN10MB",
            Self::RAW => "RAW",
            Self::LOOP => "LOOP",
            Self::LINUX_SLL => "LINUX_SLL",
            Self::IPV4 => "IPV4",
            Self::IPV6 => "IPV6",
            Self::LINUX_SLL2 => "LINUX_SLL2",
            Self(number) => return write!(out, "{number}"),
        };
        out.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listed_types_are_supported_and_no_others() {
        let supported = (0..=u16::MAX).map(LinkType).filter(|link| link.is_supported());
        assert_eq!(supported.clone().count(), LinkType::SUPPORTED.len());
        assert!(supported.into_iter().all(|link| LinkType::SUPPORTED.contains(&link)));
    }
}
