//! Ethernet hardware addresses.

use core::fmt;
use core::str::FromStr;

/// An EUI-48 address, first byte on the wire first.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones: every station of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: unknown, as in the target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Group bit set: multicast or broadcast, never the address of one station.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        let Self([first, ..]) = self;
        first & 1 != 0
    }

    /// Locally administered: chosen by software, as random phone addresses are.
    #[must_use]
    pub const fn is_local(self) -> bool {
        let Self([first, ..]) = self;
        first & 2 != 0
    }

    /// A virtual router address that moves between machines on purpose: VRRP (RFC 9568 section 7.3)
    /// and CARP `00:00:5e:00:01:xx`, VRRP over IPv6 `00:00:5e:00:02:xx`, HSRP `00:00:0c:07:ac:xx`.
    #[must_use]
    pub const fn is_virtual_router(self) -> bool {
        matches!(self.0, [0, 0, 0x5e, 0, 1 | 2, _] | [0, 0, 0x0c, 0x07, 0xac, _])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The text is not six pairs of hexadecimal digits with colons between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseMacError;

impl fmt::Display for ParseMacError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a hardware address is six pairs of hexadecimal digits, like 02:00:5e:10:00:01")
    }
}

impl core::error::Error for ParseMacError {}

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or(ParseMacError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseMacError)?;
        }
        if pairs.next().is_some() { Err(ParseMacError) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn text_round_trips() {
        let mac: Mac = "02:00:5e:10:00:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        assert!(mac.is_local() && !mac.is_group());
    }

    #[test]
    fn wrong_text_is_an_error() {
        for text in ["", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "0:0:0:0:0:0", "02:00:5e:10:00:0g"] {
            assert_eq!(text.parse::<Mac>(), Err(ParseMacError), "{text}");
        }
    }

    #[test]
    fn virtual_router_addresses_are_recognised() {
        assert!(Mac([0, 0, 0x5e, 0, 1, 7]).is_virtual_router());
        assert!(!Mac([0, 0, 0x5e, 0, 3, 7]).is_virtual_router());
    }
}
