//! Linux cooked captures: the pseudo-header that the `any` device has instead of a link header.
//!
//! Read first: <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html> and
//! <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>.

use sentinel_units::Mac;

use crate::link::ethernet::{self, LinkPayload};
use crate::read::{CapturedSlice, Malformed};

/// `ARPHRD_NETLINK` of the kernel header `if_arp.h`: the protocol field is no ethertype there.
const NETLINK: u16 = 824;
/// `ETH_P_802_2` and `ETH_P_802_3_MIN` of the kernel header `if_ether.h`.
const LLC: u16 = 4;
const MIN_ETHERTYPE: u16 = 0x0600;

/// Facts of the link in a cooked header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cooked {
    /// 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 sent by us.
    pub direction: u16,
    /// Hardware type (`ARPHRD_*`), 1 for Ethernet.
    pub hardware: u16,
    /// Sender on the link, if its address has six bytes.
    pub source: Option<Mac>,
}

/// Reads the sixteen bytes of version 1.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if they are not all there.
pub(crate) fn parse_v1(
    frame: CapturedSlice<'_>,
) -> Result<(Cooked, LinkPayload, CapturedSlice<'_>), Malformed> {
    let header = frame.header::<16>()?;
    let [d0, d1, h0, h1, l0, l1, a, b, c, d, e, f, _, _, p0, p1] = *header;
    let cooked = Cooked {
        direction: u16::from_be_bytes([d0, d1]),
        hardware: u16::from_be_bytes([h0, h1]),
        source: ([l0, l1] == [0, 6]).then_some(Mac([a, b, c, d, e, f])),
    };
    with_payload_type(cooked, u16::from_be_bytes([p0, p1]), frame.after(16))
}

/// Reads the twenty bytes of version 2.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if they are not all there.
pub(crate) fn parse_v2(
    frame: CapturedSlice<'_>,
) -> Result<(Cooked, LinkPayload, CapturedSlice<'_>), Malformed> {
    let header = frame.header::<20>()?;
    let [p0, p1, _, _, _, _, _, _, h0, h1, direction, len, a, b, c, d, e, f, _, _] = *header;
    let cooked = Cooked {
        direction: u16::from(direction),
        hardware: u16::from_be_bytes([h0, h1]),
        source: (len == 6).then_some(Mac([a, b, c, d, e, f])),
    };
    with_payload_type(cooked, u16::from_be_bytes([p0, p1]), frame.after(20))
}

fn with_payload_type(
    cooked: Cooked,
    protocol: u16,
    remaining: CapturedSlice<'_>,
) -> Result<(Cooked, LinkPayload, CapturedSlice<'_>), Malformed> {
    match protocol {
        // Numbers below 1,536 are the kernel's own (`ETH_P_CAN` is 12), not lengths as in a frame.
        _ if cooked.hardware == NETLINK => Ok((cooked, LinkPayload::Unknown(protocol), remaining)),
        LLC => ethernet::parse_llc(remaining).map(|(payload, remaining)| (cooked, payload, remaining)),
        0..MIN_ETHERTYPE => Ok((cooked, LinkPayload::Unknown(protocol), remaining)),
        ethertype => Ok((cooked, LinkPayload::EtherType(ethertype), remaining)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // sent by us, Ethernet, six-byte address 02:00:00:00:00:01, IPv4
    const V1: [u8; 17] = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00, 0x45];
    // IPv6, interface 3, Ethernet, multicast, six-byte address 02:00:00:00:00:01
    const V2: [u8; 21] = [0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 2, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x60];

    #[test]
    fn both_versions_give_sender_and_type() {
        let (cooked, carried, remaining) = parse_v1(CapturedSlice::new(&V1, 17)).unwrap();
        let source = Some(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(cooked, Cooked { direction: 4, hardware: 1, source });
        assert_eq!((carried, remaining.captured), (LinkPayload::EtherType(0x0800), &[0x45][..]));
        let (cooked, carried, remaining) = parse_v2(CapturedSlice::new(&V2, 21)).unwrap();
        assert_eq!(cooked, Cooked { direction: 2, hardware: 1, source });
        assert_eq!((carried, remaining.captured), (LinkPayload::EtherType(0x86dd), &[0x60][..]));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..16 {
            assert_eq!(
                parse_v1(CapturedSlice::new(&V1[..cut], 17)).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
        for cut in 0..20 {
            assert_eq!(
                parse_v2(CapturedSlice::new(&V2[..cut], 21)).err(),
                Some(Malformed::Truncated),
                "{cut}"
            );
        }
    }

    #[test]
    fn an_address_of_another_length_is_no_mac() {
        let mut loopback = V1;
        loopback[5] = 0;
        assert_eq!(parse_v1(CapturedSlice::new(&loopback, 17)).unwrap().0.source, None);
    }

    #[test]
    fn llc_is_read_and_netlink_is_not_taken_for_ip() {
        let mut llc = [0; 20];
        llc[15] = 4;
        llc[16..19].copy_from_slice(&[0x42, 0x42, 3]);
        assert_eq!(parse_v1(CapturedSlice::new(&llc, 20)).unwrap().1, LinkPayload::Llc(0x42, 0x42));
        let mut netlink = V1;
        netlink[2..4].copy_from_slice(&NETLINK.to_be_bytes());
        assert_eq!(parse_v1(CapturedSlice::new(&netlink, 17)).unwrap().1, LinkPayload::Unknown(0x0800));
    }

    #[test]
    fn the_kernels_own_numbers_are_no_lengths() {
        // frames of a CAN bus were once taken for LLC frames of twelve bytes
        let mut can = V1;
        can[14..16].copy_from_slice(&[0, 12]);
        assert_eq!(parse_v1(CapturedSlice::new(&can, 17)).unwrap().1, LinkPayload::Unknown(12));
    }
}
