//! ICMP for IPv6, and the neighbour messages in it.
//!
//! Read first: RFC 4443 section 2.1; RFC 4861 sections 4.2 to 4.4 and 4.6 (neighbour discovery); RFC 8106 section 5.1 (resolvers).

use sentinel_units::{Address, Mac};

use super::icmp_message::icmp_message;
use crate::read::Cursor;

const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX_INFORMATION: u8 = 3;
const RECURSIVE_DNS_SERVER: u8 = 25;
/// Most options read in a message. Two are defined for neighbour messages; routers advertise up to a dozen.
const MAX_OPTIONS: usize = 32;

icmp_message! {
    /// An `ICMPv6` message, or the first fragment of one. Types: <https://www.iana.org/assignments/icmpv6-parameters>.
    Icmpv6 {
        unreachable: 1,
        time_exceeded: 3,
        echo_request: 128,
        echo_reply: 129,
        redirect: 137,
    }
}

impl Icmpv6<'_> {
    /// Returns true if a router announces itself.
    #[must_use]
    pub const fn is_router_advertisement(&self) -> bool {
        self.kind == ROUTER_ADVERTISEMENT
    }

    /// The neighbour solicitation or advertisement that this message is.
    ///
    /// Receivers ignore it unless its hop limit is 255 and its code 0 (RFC 4861 section 7.1); the hop
    /// limit is in [`crate::Ip`], so that test is the caller's.
    #[must_use]
    pub fn neighbour(&self) -> Option<Neighbour> {
        let is_advertisement = match self.kind {
            NEIGHBOUR_ADVERTISEMENT => true,
            NEIGHBOUR_SOLICITATION => false,
            _ => return None,
        };
        let mut at = Cursor::new(self.payload);
        let target = Address::v6([at.u32().ok()?, at.u32().ok()?, at.u32().ok()?, at.u32().ok()?]);
        // An advertisement gives the address of its target, a solicitation that of its source.
        let wanted = if is_advertisement { TARGET_LINK_LAYER } else { SOURCE_LINK_LAYER };
        let flag = |bit: u32| is_advertisement && self.rest_of_header >> bit & 1 == 1;
        Some(Neighbour {
            is_advertisement,
            target,
            link_layer: link_layer_option(at, wanted),
            is_router: flag(31),
            is_solicited: flag(30),
            overrides: flag(29),
        })
    }
}

impl Icmpv6<'_> {
    /// The router advertisement that this message is, under the same conditions as [`Self::neighbour`].
    #[must_use]
    pub fn router_advertisement(&self) -> Option<RouterAdvertisement> {
        if !self.is_router_advertisement() {
            return None;
        }
        let mut at = Cursor::new(self.payload);
        at.take(8).ok()?;
        let [_, _, high, low] = self.rest_of_header.to_be_bytes();
        let mut found = RouterAdvertisement {
            lifetime_s: u16::from_be_bytes([high, low]),
            link_layer: None,
            prefix: None,
            resolver: None,
        };
        for (kind, data) in options(at) {
            match kind {
                SOURCE_LINK_LAYER => found.link_layer = ethernet_address(data),
                // Length, flags, two lifetimes and a reserved word come before the prefix.
                PREFIX_INFORMATION if found.prefix.is_none() => found.prefix = address(data, 14),
                RECURSIVE_DNS_SERVER if found.resolver.is_none() => found.resolver = address(data, 6),
                _ => {}
            }
        }
        Some(found)
    }
}

/// A router advertisement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RouterAdvertisement {
    /// Seconds for which the sender is a default router; zero if it is none.
    pub lifetime_s: u16,
    /// Hardware address of the sender, if given.
    pub link_layer: Option<Mac>,
    /// First prefix of the link.
    pub prefix: Option<Address>,
    /// First resolver.
    pub resolver: Option<Address>,
}

/// A neighbour solicitation or advertisement: the ARP of IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Neighbour {
    /// An advertisement claims [`Neighbour::target`]; a solicitation queries it.
    pub is_advertisement: bool,
    /// The address claimed or queried.
    pub target: Address,
    /// Hardware address given: of the target in an advertisement, of the sender in a solicitation.
    pub link_layer: Option<Mac>,
    /// The advertiser is a router.
    pub is_router: bool,
    /// The advertisement answers a solicitation.
    pub is_solicited: bool,
    /// The advertisement replaces what neighbours remember.
    pub overrides: bool,
}

/// The first option of kind `wanted` that holds an Ethernet address.
fn link_layer_option(at: Cursor<'_>, wanted: u8) -> Option<Mac> {
    options(at).find(|(kind, _)| *kind == wanted).and_then(|(_, data)| ethernet_address(data))
}

/// Options: kind and contents. Ends at the first option whose length is zero or beyond the message: RFC 4861 section 4.6 has the
/// message dropped then.
fn options<'p>(mut at: Cursor<'p>) -> impl Iterator<Item = (u8, &'p [u8])> {
    core::iter::from_fn(move || {
        let (kind, units) = (at.u8().ok()?, at.u8().ok()?);
        Some((kind, at.take((usize::from(units) * 8).checked_sub(2)?).ok()?))
    })
    .take(MAX_OPTIONS)
}

/// Address in a link-layer option, if it is that of Ethernet.
fn ethernet_address(data: &[u8]) -> Option<Mac> {
    data.try_into().ok().map(Mac)
}

/// IPv6 address `at` bytes into an option.
fn address(data: &[u8], at: usize) -> Option<Address> {
    let mut at = Cursor::new(data.get(at..)?);
    Some(Address::v6([at.u32().ok()?, at.u32().ok()?, at.u32().ok()?, at.u32().ok()?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{CapturedSlice, Malformed};

    const ADVERTISEMENT: [u8; 40] = [
        136, 0, 0, 0, 0x60, 0, 0, 0, // neighbour advertisement, solicited and override
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // target fe80::1
        14, 1, 0, 0, 0, 0, 0, 0, // nonce, eight bytes
        2, 1, 2, 0, 0, 0, 0, 7, // target link-layer address 02:00:00:00:00:07
    ];

    fn neighbour(bytes: &[u8]) -> Option<Neighbour> {
        Icmpv6::parse(CapturedSlice::new(bytes, 40)).unwrap().neighbour()
    }

    #[test]
    fn an_advertisement_gives_target_and_hardware_address() {
        assert_eq!(
            neighbour(&ADVERTISEMENT),
            Some(Neighbour {
                is_advertisement: true,
                target: Address::v6([0xfe80_0000, 0, 0, 1]),
                link_layer: Some(Mac([2, 0, 0, 0, 0, 7])),
                is_router: false,
                is_solicited: true,
                overrides: true,
            })
        );
    }

    #[test]
    fn a_solicitation_gives_the_address_of_its_sender() {
        let mut bytes = ADVERTISEMENT;
        bytes[0] = 135;
        let solicitation = neighbour(&bytes).unwrap();
        assert!(!solicitation.is_advertisement && !solicitation.is_solicited);
        assert_eq!(solicitation.link_layer, None, "the target option does not count");
        bytes[32] = 1;
        assert_eq!(neighbour(&bytes).unwrap().link_layer, Some(Mac([2, 0, 0, 0, 0, 7])));
    }

    #[test]
    fn other_kinds_are_no_neighbour_messages() {
        let mut bytes = ADVERTISEMENT;
        for kind in [1, 128, 133, 134, 137] {
            bytes[0] = kind;
            assert_eq!(neighbour(&bytes), None);
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..ADVERTISEMENT.len() {
            match Icmpv6::parse(CapturedSlice::new(&ADVERTISEMENT[..cut], 40)) {
                Err(error) => assert!(cut < 8 && error == Malformed::Truncated),
                Ok(icmp) => {
                    assert_eq!((icmp.payload.len(), icmp.payload_wire_len), (cut - 8, 32));
                    assert_eq!(icmp.neighbour().is_some(), cut >= 24);
                    assert_eq!(icmp.neighbour().and_then(|neighbour| neighbour.link_layer), None);
                }
            }
        }
    }

    #[test]
    fn options_with_wrong_lengths_end_the_list() {
        for (position, length) in [(25, 0), (25, 3), (25, 255), (33, 0), (33, 2)] {
            let mut bytes = ADVERTISEMENT;
            bytes[position] = length;
            assert_eq!(neighbour(&bytes).unwrap().link_layer, None, "{position} {length}");
        }
    }

    /// Lifetime 1,800 s, prefix `fd10:2030::/64`, resolver `fd10:2030::1`, from 02:00:00:00:00:07.
    #[rustfmt::skip]
    const ROUTER: [u8; 80] = [
        134, 0, 0, 0, 64, 0, 7, 8, // router advertisement, hop limit, flags, lifetime
        0, 0, 0, 0, 0, 0, 0, 0, // reachable time, retransmission timer
        3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0, // prefix information: length, flags, lifetimes
        0xfd, 0x10, 0x20, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        25, 3, 0, 0, 0, 0, 7, 8, // resolver, lifetime
        0xfd, 0x10, 0x20, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        1, 1, 2, 0, 0, 0, 0, 7, // source link-layer address
    ];

    #[test]
    fn a_router_advertisement_gives_lifetime_prefix_and_resolver() {
        let parse = |bytes: &[u8]| {
            let length = u32::try_from(ROUTER.len()).unwrap();
            Icmpv6::parse(CapturedSlice::new(bytes, length)).ok()?.router_advertisement()
        };
        let complete = RouterAdvertisement {
            lifetime_s: 1_800,
            link_layer: Some(Mac([2, 0, 0, 0, 0, 7])),
            prefix: Some(Address::v6([0xfd10_2030, 0, 0, 0])),
            resolver: Some(Address::v6([0xfd10_2030, 0, 0, 1])),
        };
        assert_eq!(parse(&ROUTER), Some(complete));
        for cut in 0..ROUTER.len() {
            let found = parse(&ROUTER[..cut]);
            assert_eq!(found.is_some(), cut >= 16, "{cut}");
            let has = found.map(|found| (found.prefix.is_some(), found.resolver.is_some()));
            assert!(has.is_none_or(|has| has == (cut >= 48, cut >= 72)), "{cut}");
        }
        // An option of no length, and one longer than the message, end the list.
        for length in [0, 9] {
            let mut bytes = ROUTER;
            bytes[49] = length;
            let found = parse(&bytes).unwrap();
            assert_eq!((found.prefix, found.resolver, found.link_layer), (complete.prefix, None, None));
        }
        let mut solicitation = ROUTER;
        solicitation[0] = 133;
        assert_eq!(parse(&solicitation), None);
    }
}
