//! Link-layer headers: Ethernet, VLAN tags, `PPPoE`.
//!
//! Read first: IEEE 802.3 clause 3, IEEE 802.1Q clause 9, RFC 2516 section 4.

use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::vlan::MutableVlanPacket;
use sentinel_units::Mac;

use super::{hardware, length_field, view};

/// `EtherType` numbers.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// VLAN tag (802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Provider's VLAN tag, outside the customer's (802.1ad, "`QinQ`").
    pub const PROVIDER_VLAN: u16 = 0x88a8;
    /// PPP over Ethernet, session stage.
    pub const PPPOE: u16 = 0x8864;
}

/// Encapsulation between the Ethernet header and the packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encapsulation {
    /// No encapsulation.
    #[default]
    Plain,
    /// One tag with this VLAN identifier.
    Vlan(u16),
    /// Provider tag and customer tag.
    QinQ {
        /// Identifier in the first tag.
        outer: u16,
        /// Identifier in the second tag.
        inner: u16,
    },
    /// `PPPoE` session. Carries IP only; other packets are sent without it.
    Pppoe {
        /// Session identifier.
        session: u16,
    },
}

/// Link-layer header of one direction between two hosts of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// Source address.
    pub source: Mac,
    /// Destination address.
    pub destination: Mac,
    /// Tags or session.
    pub encapsulation: Encapsulation,
    /// True if frames are padded to sixty bytes, the minimum on a cable.
    pub padded: bool,
}

/// Minimum frame length on a cable, without the check sequence.
pub(super) const MIN_LEN: usize = 60;

const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const PPPOE_LEN: usize = 8;

impl Link {
    /// Header without tags or padding.
    #[must_use]
    pub const fn new(source: Mac, destination: Mac) -> Self {
        Self { source, destination, encapsulation: Encapsulation::Plain, padded: false }
    }

    /// Header of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }

    /// Bytes by which the encapsulation reduces the MTU of 1,500: eight for `PPPoE`.
    #[must_use]
    pub const fn overhead(&self) -> usize {
        match self.encapsulation {
            Encapsulation::Pppoe { .. } => PPPOE_LEN,
            Encapsulation::Plain | Encapsulation::Vlan(_) | Encapsulation::QinQ { .. } => 0,
        }
    }

    /// Frame that carries `packet` with `EtherType` `kind`.
    #[must_use]
    pub fn frame(&self, kind: u16, packet: &[u8]) -> Vec<u8> {
        let ppp_protocol = match kind {
            ethertype::IPV4 => Some(0x0021_u16),
            ethertype::IPV6 => Some(0x0057),
            _ => None,
        };
        let mut frame = match (self.encapsulation, ppp_protocol) {
            (Encapsulation::Vlan(identifier), _) => {
                let mut frame = self.header(ethertype::VLAN);
                frame.extend(tag(identifier, kind));
                frame
            }
            (Encapsulation::QinQ { outer, inner }, _) => {
                let mut frame = self.header(ethertype::PROVIDER_VLAN);
                frame.extend(tag(outer, ethertype::VLAN));
                frame.extend(tag(inner, kind));
                frame
            }
            (Encapsulation::Pppoe { session }, Some(protocol)) => {
                let mut frame = self.header(ethertype::PPPOE);
                frame.extend([0x11, 0x00]); // version 1, type 1, session data
                frame.extend(session.to_be_bytes());
                frame.extend(length_field(packet.len() + 2).to_be_bytes());
                frame.extend(protocol.to_be_bytes());
                frame
            }
            (Encapsulation::Plain | Encapsulation::Pppoe { .. }, _) => self.header(kind),
        };
        frame.extend_from_slice(packet);
        if self.padded && frame.len() < MIN_LEN {
            frame.resize(MIN_LEN, 0);
        }
        frame
    }

    fn header(&self, kind: u16) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ETHERNET_LEN + 2 * TAG_LEN + 1_500);
        bytes.resize(ETHERNET_LEN, 0);
        let mut header = view(MutableEthernetPacket::new(&mut bytes));
        header.set_source(hardware(self.source));
        header.set_destination(hardware(self.destination));
        header.set_ethertype(EtherType(kind));
        bytes
    }
}

fn tag(identifier: u16, kind: u16) -> [u8; TAG_LEN] {
    let mut bytes = [0; TAG_LEN];
    let mut header = view(MutableVlanPacket::new(&mut bytes));
    header.set_vlan_identifier(identifier & 0x0fff);
    header.set_ethertype(EtherType(kind));
    bytes
}

const _: () = assert!(EtherTypes::Ipv6.0 == ethertype::IPV6 && EtherTypes::Arp.0 == ethertype::ARP);

#[cfg(test)]
mod tests {
    use super::*;

    fn link(encapsulation: Encapsulation) -> Link {
        Link { encapsulation, ..Link::new(Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])) }
    }

    #[test]
    fn tags_have_the_bytes_of_their_standards() {
        let macs = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        for (encapsulation, middle) in [
            (Encapsulation::Plain, vec![0x08, 0x00]),
            (Encapsulation::Vlan(100), vec![0x81, 0x00, 0x00, 0x64, 0x08, 0x00]),
            (
                Encapsulation::QinQ { outer: 200, inner: 4_095 },
                vec![0x88, 0xa8, 0x00, 0xc8, 0x81, 0x00, 0x0f, 0xff, 0x08, 0x00],
            ),
            // version and type, code, session, length 2 + 3, protocol IPv4
            (
                Encapsulation::Pppoe { session: 0x1234 },
                vec![0x88, 0x64, 0x11, 0x00, 0x12, 0x34, 0x00, 0x05, 0x00, 0x21],
            ),
        ] {
            let frame = link(encapsulation).frame(ethertype::IPV4, &[7, 8, 9]);
            assert_eq!(frame, [&macs[..], &middle, &[7, 8, 9]].concat(), "{encapsulation:?}");
        }
    }

    #[test]
    fn short_frames_are_padded_if_requested() {
        let padded = Link { padded: true, ..link(Encapsulation::Plain) };
        assert_eq!(padded.frame(ethertype::ARP, &[1; 28]).len(), 60);
        assert_eq!(padded.frame(ethertype::IPV4, &[1; 100]).len(), 114);
    }
}
