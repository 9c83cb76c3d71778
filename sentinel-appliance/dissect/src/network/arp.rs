//! ARP for IPv4 over Ethernet.
//!
//! Read first: RFC 826; RFC 5227 sections 1.1 and 2 (probes and announcements).

use pnet_packet::arp::ArpPacket;
use sentinel_units::{Address, Mac, ethertype};

use crate::read::{CapturedSlice, Malformed};

const ETHERNET: u16 = 1;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// An ARP message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arp {
    /// 1 request, 2 reply; others are reverse and inverse ARP.
    pub operation: u16,
    /// Hardware address that the sender claims for [`Arp::sender_ip`].
    pub sender_mac: Mac,
    /// IPv4 address of the sender; `0.0.0.0` in a probe.
    pub sender_ip: Address,
    /// Unknown (zeros) in a request.
    pub target_mac: Mac,
    /// IPv4 address that a request queries, or that a reply is sent to.
    pub target_ip: Address,
}

impl Arp {
    /// Returns true for a request: which station has [`Arp::target_ip`]?
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.operation == REQUEST
    }

    /// Returns true for a reply.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        self.operation == REPLY
    }

    /// Returns true for an announcement (gratuitous ARP): the sender's own address is the target.
    #[must_use]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip && !self.is_probe()
    }

    /// Returns true for a probe (RFC 5227): the sender tests if an address is in use, and claims nothing yet.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.is_request() && self.sender_ip.is_unspecified()
    }

    /// Reads a message; `None` if it is about other hardware or another protocol.
    ///
    /// # Errors
    /// [`Malformed::BadLength`] if the address lengths are not six and four, or the message is shorter
    /// than 28 bytes; [`Malformed::Truncated`] if the capture is.
    pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<Option<Self>, Malformed> {
        let view = ArpPacket::new(slice.captured).ok_or_else(|| slice.why_shorter_than(28))?;
        if (view.get_hardware_type().0, view.get_protocol_type().0) != (ETHERNET, ethertype::IPV4) {
            return Ok(None);
        }
        // The view reads at fixed offsets whatever these lengths are.
        if (view.get_hw_addr_len(), view.get_proto_addr_len()) != (6, 4) {
            return Err(Malformed::BadLength);
        }
        Ok(Some(Self {
            operation: view.get_operation().0,
            sender_mac: Mac(view.get_sender_hw_addr().octets()),
            sender_ip: Address::v4(view.get_sender_proto_addr().into()),
            target_mac: Mac(view.get_target_hw_addr().octets()),
            target_ip: Address::v4(view.get_target_proto_addr().into()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY_BYTES: [u8; 28] = [
        0, 1, 0x08, 0x00, 6, 4, 0, 2, // Ethernet, IPv4, lengths, reply
        2, 0, 0, 0, 0, 1, 192, 0, 2, 1, // 192.0.2.1 is at 02:00:00:00:00:01
        2, 0, 0, 0, 0, 2, 192, 0, 2, 2, // reply to 192.0.2.2 at 02:00:00:00:00:02
    ];

    fn parse(bytes: &[u8]) -> Result<Option<Arp>, Malformed> {
        Arp::parse(CapturedSlice::new(bytes, 28))
    }

    #[test]
    fn a_reply_gives_both_bindings() {
        let arp = parse(&REPLY_BYTES).unwrap().unwrap();
        assert!(arp.is_reply() && !arp.is_request() && !arp.is_gratuitous() && !arp.is_probe());
        assert_eq!((arp.sender_mac, arp.sender_ip), (Mac([2, 0, 0, 0, 0, 1]), Address::v4(0xc000_0201)));
        assert_eq!((arp.target_mac, arp.target_ip), (Mac([2, 0, 0, 0, 0, 2]), Address::v4(0xc000_0202)));
    }

    #[test]
    fn probes_and_announcements_are_distinguished() {
        let mut announcement = REPLY_BYTES;
        announcement[24..28].copy_from_slice(&[192, 0, 2, 1]);
        assert!(parse(&announcement).unwrap().unwrap().is_gratuitous());
        let mut probe = REPLY_BYTES;
        probe[7] = 1;
        probe[14..18].copy_from_slice(&[0; 4]);
        let probe = parse(&probe).unwrap().unwrap();
        assert!(probe.is_probe() && !probe.is_gratuitous());
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..28 {
            assert_eq!(parse(&REPLY_BYTES[..cut]), Err(Malformed::Truncated), "{cut}");
        }
        assert_eq!(Arp::parse(CapturedSlice::new(&REPLY_BYTES[..20], 20)), Err(Malformed::BadLength));
    }

    #[test]
    fn wrong_address_lengths_are_errors_and_other_hardware_is_skipped() {
        for (position, value) in [(4, 7), (4, 255), (5, 3), (5, 16)] {
            let mut bytes = REPLY_BYTES;
            bytes[position] = value;
            assert_eq!(parse(&bytes), Err(Malformed::BadLength));
        }
        let mut token_ring = REPLY_BYTES;
        token_ring[1] = 6;
        assert_eq!(parse(&token_ring), Ok(None));
    }
}
