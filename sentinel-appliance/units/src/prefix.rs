//! Networks in CIDR notation.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::Address;

/// A network prefix: an address and the number of its leading bits that count (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    network: Address,
    mask: Address,
    /// Leading bits in the mapped form: 96 more than written for IPv4.
    bits: u8,
}

impl Prefix {
    /// The network of `address` with `length` leading bits (0 to 32 for IPv4, 0 to 128 for IPv6).
    ///
    /// # Errors
    /// [`ParsePrefixError::TooLong`] if `length` is more than the address has.
    pub fn new(address: Address, length: u8) -> Result<Self, ParsePrefixError> {
        let (longest, offset) = if address.is_v4() { (32, 96) } else { (128, 0) };
        if length > longest {
            return Err(ParsePrefixError::TooLong { length, longest });
        }
        let bits = length + offset;
        let mut mask = [0; 4];
        for (word, position) in mask.iter_mut().zip([0_u32, 32, 64, 96]) {
            let ones = u32::from(bits).saturating_sub(position).min(32);
            *word = u32::MAX.checked_shl(32 - ones).unwrap_or(0);
        }
        let mask = Address::v6(mask);
        Ok(Self { network: address.masked(mask), mask, bits })
    }

    /// Mask and network as numbers, if this is an IPv4 network.
    #[inline]
    #[must_use]
    pub fn v4(&self) -> Option<(u32, u32)> {
        let ([.., mask], [.., network]) = (self.mask.words(), self.network.words());
        self.is_v4().then_some((mask, network))
    }

    /// Returns true if `address` lies in this network.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        address.masked(self.mask) == self.network
    }

    /// First and last address of this network.
    #[must_use]
    pub fn range(&self) -> (Address, Address) {
        let mut last = self.network.words();
        last.iter_mut().zip(self.mask.words()).for_each(|(word, mask)| *word |= !mask);
        (self.network, Address::v6(last))
    }

    fn is_v4(&self) -> bool {
        self.bits >= 96 && self.network.is_v4()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.is_v4() { self.bits - 96 } else { self.bits };
        write!(out, "{}/{length}", self.network)
    }
}

/// Reason why a text is not a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParsePrefixError {
    /// The part before the slash is not an IP address.
    Address,
    /// The part after the slash is not a number.
    Length,
    /// The number after the slash is more than the address has bits.
    TooLong {
        /// Length in the text.
        length: u8,
        /// Longest prefix of the address family.
        longest: u8,
    },
}

impl fmt::Display for ParsePrefixError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => {
                out.write_str("not an IP address; a network looks like 192.168.0.0/16 or fd00::/8")
            }
            Self::Length => out.write_str("the part after the slash is not a number of bits"),
            Self::TooLong { length, longest } => write!(out, "prefix length {length} is more than {longest}"),
        }
    }
}

impl core::error::Error for ParsePrefixError {}

/// `192.168.0.0/16`; an address alone is a network of one.
impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParsePrefixError::Address)?;
        let length = match length {
            Some(digits) => digits.parse().map_err(|_| ParsePrefixError::Length)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address.into(), length)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    fn inside(prefix: &str, address: &str) -> bool {
        let prefix: Prefix = prefix.parse().unwrap();
        prefix.contains(address.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn edges_of_a_network_are_inside() {
        assert!(inside("192.168.0.0/16", "192.168.0.0") && inside("192.168.0.0/16", "192.168.255.255"));
        assert!(!inside("192.168.0.0/16", "192.167.255.255") && !inside("192.168.0.0/16", "192.169.0.0"));
        assert!(inside("fd00::/8", "fdff::1") && !inside("fd00::/8", "fe00::1"));
        assert!(inside("10.1.2.3", "10.1.2.3") && !inside("10.1.2.3", "10.1.2.2"));
    }

    #[test]
    fn all_of_ipv4_is_not_all_of_ipv6() {
        assert!(inside("0.0.0.0/0", "8.8.8.8") && !inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("::/0", "2001:db8::1"));
    }

    #[test]
    fn the_numbers_of_an_ipv4_network() {
        let v4 = |text: &str| text.parse::<Prefix>().unwrap().v4();
        assert_eq!(v4("10.1.2.3/8"), Some((0xff00_0000, 0x0a00_0000)));
        assert_eq!(v4("0.0.0.0/0"), Some((0, 0)));
        assert_eq!((v4("fd00::/8"), v4("::/0")), (None, None));
    }

    #[test]
    fn text_is_canonical() {
        for (given, shown) in [("10.1.2.3/8", "10.0.0.0/8"), ("2001:db8::ff/32", "2001:db8::/32")] {
            assert_eq!(given.parse::<Prefix>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn wrong_lengths_are_named_in_the_error() {
        assert_eq!(
            "10.0.0.0/33".parse::<Prefix>(),
            Err(ParsePrefixError::TooLong { length: 33, longest: 32 })
        );
        assert_eq!("10.0.0/8".parse::<Prefix>(), Err(ParsePrefixError::Address));
        assert_eq!("10.0.0.0/x".parse::<Prefix>(), Err(ParsePrefixError::Length));
    }
}
