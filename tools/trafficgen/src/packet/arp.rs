//! ARP packets.
//!
//! Read first: RFC 826, RFC 5227 (probes and announcements).

use std::net::Ipv4Addr;

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;
use sentinel_units::Mac;

use super::{Link, ethertype, hardware, view};
use crate::Host;

/// Operation of an ARP packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Request for the hardware address of the target.
    Request,
    /// Reply with the sender's hardware address.
    Reply,
}

/// ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Sender's hardware and protocol address.
    pub sender: (Mac, Ipv4Addr),
    /// Target's hardware and protocol address.
    pub target: (Mac, Ipv4Addr),
}

const ARP_LEN: usize = 28;

impl Arp {
    /// Broadcast request of `from` for the address `target`.
    #[must_use]
    pub const fn request(from: &Host, target: Ipv4Addr) -> Self {
        Self { operation: Operation::Request, sender: (from.mac, from.v4), target: (Mac::ZERO, target) }
    }

    /// Reply to `to` that `address` is at the hardware address `owner`.
    #[must_use]
    pub const fn reply(owner: Mac, address: Ipv4Addr, to: &Host) -> Self {
        Self { operation: Operation::Reply, sender: (owner, address), target: (to.mac, to.v4) }
    }

    /// Announcement: a request of `owner` for its own address (RFC 5227 section 2.3).
    #[must_use]
    pub const fn announcement(owner: Mac, address: Ipv4Addr) -> Self {
        Self { operation: Operation::Request, sender: (owner, address), target: (Mac::ZERO, address) }
    }

    /// Probe: a request for `address` without a sender address (RFC 5227 section 2.1.1).
    #[must_use]
    pub const fn probe(sender: Mac, address: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender: (sender, Ipv4Addr::UNSPECIFIED),
            target: (Mac::ZERO, address),
        }
    }

    /// Packet of 28 bytes.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let mut bytes = vec![0; ARP_LEN];
        let mut header = view(MutableArpPacket::new(&mut bytes));
        header.set_hardware_type(ArpHardwareTypes::Ethernet);
        header.set_protocol_type(EtherTypes::Ipv4);
        header.set_hw_addr_len(6);
        header.set_proto_addr_len(4);
        header.set_operation(ArpOperation(match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        }));
        header.set_sender_hw_addr(hardware(self.sender.0));
        header.set_sender_proto_addr(self.sender.1);
        header.set_target_hw_addr(hardware(self.target.0));
        header.set_target_proto_addr(self.target.1);
        bytes
    }

    /// Frame header: a request is broadcast, a reply goes to the target.
    #[must_use]
    pub const fn link(&self) -> Link {
        match self.operation {
            Operation::Request => Link::new(self.sender.0, Mac::BROADCAST),
            Operation::Reply => Link::new(self.sender.0, self.target.0),
        }
    }

    /// Frame with the header of [`Arp::link`].
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        self.link().frame(ethertype::ARP, &self.packet())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_the_bytes_of_rfc_826() {
        let to = Host::internal(Ipv4Addr::new(10, 0, 0, 2));
        let reply = Arp::reply(Mac([2, 1, 1, 1, 1, 1]), Ipv4Addr::new(10, 0, 0, 1), &to);
        // Ethernet, IPv4, lengths 6 and 4, reply; sender pair; target pair
        let expected =
            [0, 1, 8, 0, 6, 4, 0, 2, 2, 1, 1, 1, 1, 1, 10, 0, 0, 1, 2, 0, 10, 0, 0, 2, 10, 0, 0, 2];
        assert_eq!(reply.packet(), expected);
        assert_eq!(reply.frame().get(..14).unwrap(), [2, 0, 10, 0, 0, 2, 2, 1, 1, 1, 1, 1, 8, 6]);
    }

    #[test]
    fn a_probe_has_no_sender_address() {
        let probe = Arp::probe(Mac([2; 6]), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(probe.packet().get(14..18).unwrap(), [0; 4]);
        assert_eq!(probe.link().destination, Mac::BROADCAST);
    }
}
