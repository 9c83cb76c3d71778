//! Addresses in the answers of a DNS message.
//!
//! Read first: RFC 1035 section 4.1.3; RFC 6890 (special addresses); RFC 6052 (IPv4 addresses inside IPv6 ones).

use sentinel_units::Address;

/// Records read of one message.
const MAX_RECORDS: u16 = 64;

/// Address records of a message, whoever owns them: an alias leads from the name asked for to their owner.
#[derive(Clone, Debug)]
pub(super) struct Addresses<'m> {
    remaining: &'m [u8],
    records: u16,
}

impl<'m> Addresses<'m> {
    /// `end` is the position behind the only question of the message.
    pub(super) fn of(message: &'m [u8], end: usize) -> Self {
        let (records, remaining) = match message {
            [_, _, _, _, 0, 1, high, low, ..] => {
                (u16::from_be_bytes([*high, *low]).min(MAX_RECORDS), message.get(end..).unwrap_or_default())
            }
            _ => (0, &[][..]),
        };
        Self { remaining, records }
    }

    /// Type, class, time to live and data of the next record, whose name is not followed.
    fn record(&mut self) -> Option<([u8; 4], u32, &'m [u8])> {
        self.records = self.records.checked_sub(1)?;
        loop {
            match *self.remaining {
                // A pointer ends the name.
                [0xc0..=0xff, _, ref behind @ ..] | [0, ref behind @ ..] => {
                    let ([a, b, c, d, ttl @ .., high, low], behind) = behind.split_first_chunk::<10>()?;
                    let (data, behind) = behind.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
                    self.remaining = behind;
                    let &[e, f, g, h] = ttl;
                    return Some(([*a, *b, *c, *d], u32::from_be_bytes([e, f, g, h]), data));
                }
                [len @ ..=63, ref behind @ ..] => self.remaining = behind.get(usize::from(len)..)?,
                _ => return None,
            }
        }
    }
}

impl Iterator for Addresses<'_> {
    /// Time to live in seconds, and the address.
    type Item = (u32, Address);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let address = match self.record()? {
                ([0, 1, 0, 1], ttl, &[a, b, c, d]) => (ttl, Address::v4(u32::from_be_bytes([a, b, c, d]))),
                ([0, 28, 0, 1], ttl, data) if data.len() == 16 => {
                    let mut words = [0; 4];
                    for (word, chunk) in words.iter_mut().zip(data.chunks_exact(4)) {
                        *word = u32::from_be_bytes(chunk.try_into().ok()?);
                    }
                    (ttl, Address::v6(words))
                }
                _ => continue,
            };
            return Some(address);
        }
    }
}

/// Reach of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// The Internet, by IPv4, also if an IPv6 address has it inside.
    Public,
    /// The Internet, by IPv6.
    PublicV6,
    /// The network or the host of whoever asks, by IPv4.
    Internal,
    /// Such a network or host by IPv6.
    InternalV6,
    /// Neither: multicast, carrier networks, tests, reserved.
    Other,
}

/// Well-known prefix of translators, without the IPv4 address.
const TRANSLATED: [u32; 3] = [0x0064_ff9b, 0, 0];

impl Reach {
    pub(super) fn of(address: Address) -> Self {
        let [a, b, c, last] = address.words();
        if address.is_v4() || [a, b, c] == TRANSLATED {
            return Self::of_v4(last);
        }
        match a {
            0 if b | c == 0 && last <= 1 => Self::InternalV6,
            _ if a >> 25 == 0x7e || a >> 22 == 0x3fa => Self::InternalV6,
            _ if a >> 29 == 1 => Self::PublicV6,
            _ => Self::Other,
        }
    }

    const fn of_v4(bits: u32) -> Self {
        match bits >> 24 {
            0 | 10 | 127 => Self::Internal,
            _ if bits >> 20 == 0xac1 || bits >> 16 == 0xc0a8 || bits >> 16 == 0xa9fe => Self::Internal,
            // Carrier networks (RFC 6598), benchmarks (RFC 2544), which proxies give out as made-up addresses, and above.
            224.. => Self::Other,
            _ if bits >> 22 == 0x191 || bits >> 17 == 0x6309 || bits >> 8 == 0x00c0_0000 => Self::Other,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::net::IpAddr;
    use std::vec::Vec;

    fn reach(text: &str) -> Reach {
        Reach::of(match text.parse().unwrap() {
            IpAddr::V4(address) => Address::v4(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Address::v6([96, 64, 32, 0].map(|shift| u32::try_from(bits >> shift & 0xffff_ffff).unwrap()))
            }
        })
    }

    #[test]
    fn every_range_has_its_reach() {
        for (reach_of, addresses) in [
            (
                Reach::Internal,
                &[
                    "0.0.0.0",
                    "10.0.0.1",
                    "10.255.255.255",
                    "127.0.0.1",
                    "127.9.9.9",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.0.1",
                    "169.254.169.254",
                    "::ffff:192.168.1.1",
                    "::ffff:127.0.0.1",
                    "64:ff9b::10.0.0.1",
                ][..],
            ),
            (Reach::InternalV6, &["::", "::1", "fc00::1", "fd3e:4f5a:5b81::1", "fe80::1", "febf::1"]),
            (
                Reach::Public,
                &[
                    "1.1.1.1",
                    "11.0.0.0",
                    "172.15.0.1",
                    "172.32.0.1",
                    "192.167.1.1",
                    "192.169.1.1",
                    "169.253.1.1",
                    "128.0.0.1",
                    "203.0.113.7",
                    "100.63.0.1",
                    "100.128.0.1",
                    "198.17.0.1",
                    "198.20.0.1",
                    "64:ff9b::1.1.1.1",
                ],
            ),
            (Reach::PublicV6, &["2001:db8::1", "3fff::1", "2a00::"]),
            (
                Reach::Other,
                &[
                    "100.64.0.1",
                    "100.127.255.255",
                    "198.18.0.1",
                    "198.19.255.255",
                    "192.0.0.170",
                    "224.0.0.1",
                    "255.255.255.255",
                    "ff02::1",
                    "::2",
                    "4000::1",
                    "fec0::1",
                ],
            ),
        ] {
            addresses.iter().for_each(|text| assert_eq!(reach(text), reach_of, "{text}"));
        }
    }

    /// Response with one question for `a.b`, an alias, two addresses behind a name in full, and one by a pointer.
    fn response() -> Vec<u8> {
        let mut bytes =
            [&[0, 1, 0x81, 0x80, 0, 1, 0, 4, 0, 0, 0, 0][..], b"\x01a\x01b\0\0\x01\0\x01"].concat();
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01c\xc0\x0e");
        bytes.extend(b"\x01c\x01b\0\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01");
        bytes.extend(b"\x01c\xc0\x0e\0\x1c\0\x01\0\x01\0\0\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07");
        bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\xcb\0\x71\x07");
        bytes
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let bytes = response();
        let found: Vec<_> = Addresses::of(&bytes, 21).collect();
        let expected = [
            (5, Address::v4(0x0a00_0001)),
            (0x1_0000, Address::v6([0x2001_0db8, 0, 0, 7])),
            (1, Address::v4(0xcb00_7107)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_cut_gives_no_more_than_the_whole() {
        let bytes = response();
        for len in 0..bytes.len() {
            let found = Addresses::of(&bytes[..len], 21).count();
            assert!(found < 3, "{len}");
        }
        for position in 12..bytes.len() {
            for value in [0, 0x3f, 0x40, 0xc0, 0xff] {
                let mut other = bytes.clone();
                other[position] = value;
                assert!(Addresses::of(&other, 21).count() <= 4);
            }
        }
    }
}
