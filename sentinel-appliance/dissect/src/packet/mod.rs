//! Full parser: one frame, from its first byte to its transport header.
//!
//! Read first: the files of the single protocols; this one only passes from layer to layer.

mod fast_path;

pub use fast_path::{
    FiveTuple, PacketSummary, reread_v4, reread_v6, resummarize_v4, sender, source_v4, source_v6, summarize,
    summarize_v4, summarize_v6, summarize_v6_inline,
};

use sentinel_units::{LinkType, Mac, Port, ethertype, ip_protocol};

use crate::link::ethernet::{self, LinkPayload};
use crate::link::vlan::{self, MAX_TAGS};
use crate::link::{Cooked, Ethernet, Vlans, cooked, loopback, mpls, pppoe};
use crate::network::{Arp, Ip, ipv4, ipv6};
use crate::read::{CapturedSlice, Layer, Malformed};
use crate::transport::{Icmp, Icmpv6, Tcp, Udp};

/// The facts of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// Addresses of the Ethernet header, if there is one.
    pub ethernet: Option<Ethernet>,
    /// Facts that a Linux cooked capture has instead of an Ethernet header.
    pub cooked: Option<Cooked>,
    /// VLAN tags, outermost first; one that the card took off comes before those in the frame.
    pub vlans: Vlans,
    /// ARP or IP.
    pub network: Network<'p>,
    /// Set if the network layer is IP, its headers are sound, and it is not a later fragment.
    pub transport: Transport<'p>,
    /// The outermost layer that could not be read, and why. What was read before it stays.
    pub malformed: Option<(Layer, Malformed)>,
    /// Bytes of the frame on the wire.
    pub wire_len: u32,
}

/// The network layer of a packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Network<'p> {
    /// Not reached: the link layer could not be read, or the link type is unknown.
    #[default]
    None,
    /// ARP for IPv4 over Ethernet.
    Arp(Arp),
    /// IPv4 or IPv6.
    Ip(Ip<'p>),
    /// Something else, by its ethertype.
    Other(u16),
    /// An LLC frame without ethertype (spanning tree is `0x42`, IS-IS `0xfe`), by its service access points.
    Llc {
        /// Destination service access point.
        destination: u8,
        /// Source service access point.
        source: u8,
    },
}

/// The transport layer of a packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport<'p> {
    /// Not IP, not reached, a later fragment, or IPv6 with nothing behind its headers.
    #[default]
    None,
    /// TCP.
    Tcp(Tcp<'p>),
    /// UDP.
    Udp(Udp<'p>),
    /// ICMP (over IPv4).
    Icmp(Icmp<'p>),
    /// `ICMPv6` (over IPv6).
    Icmpv6(Icmpv6<'p>),
    /// Something else, by its protocol number; [`crate::tunnel::decapsulate`] opens tunnels.
    Other(u8),
}

impl<'p> Packet<'p> {
    /// The IP header, if there is one.
    #[inline]
    #[must_use]
    pub const fn ip(&self) -> Option<&Ip<'p>> {
        if let Network::Ip(ip) = &self.network { Some(ip) } else { None }
    }

    /// The ARP message, if this is one.
    #[inline]
    #[must_use]
    pub const fn arp(&self) -> Option<&Arp> {
        if let Network::Arp(arp) = &self.network { Some(arp) } else { None }
    }

    /// The TCP segment, if this is one.
    #[inline]
    #[must_use]
    pub const fn tcp(&self) -> Option<&Tcp<'p>> {
        if let Transport::Tcp(tcp) = &self.transport { Some(tcp) } else { None }
    }

    /// The UDP datagram, if this is one.
    #[inline]
    #[must_use]
    pub const fn udp(&self) -> Option<&Udp<'p>> {
        if let Transport::Udp(udp) = &self.transport { Some(udp) } else { None }
    }

    /// Source and destination port of TCP or UDP.
    #[inline]
    #[must_use]
    pub const fn ports(&self) -> Option<(Port, Port)> {
        match &self.transport {
            Transport::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
            Transport::Udp(udp) => Some((udp.source_port, udp.destination_port)),
            _ => None,
        }
    }

    /// Hardware address of the sender on this link, if the link header has it.
    #[inline]
    #[must_use]
    pub fn source_mac(&self) -> Option<Mac> {
        match self.ethernet {
            Some(ethernet) => Some(ethernet.source),
            None => self.cooked.and_then(|cooked| cooked.source),
        }
    }
}

/// Reads a frame.
///
/// `offloaded_vlan` is the tag control information that the card or kernel took off the frame, if any.
/// `wire_len` is the length on the wire; a value less than `bytes` is raised to it.
/// Of a link type that is not [`LinkType::is_supported`] nothing is read, and that is not malformed.
#[must_use]
pub fn packet(link: LinkType, offloaded_vlan: Option<u16>, bytes: &[u8], wire_len: u32) -> Packet<'_> {
    let frame = CapturedSlice::new(bytes, wire_len);
    // The tag that was taken off is the outermost, so it comes before those in the bytes.
    let vlans = Vlans::offloaded(offloaded_vlan);
    let mut headers = LinkHeaders { ethernet: None, cooked: None, vlans, wire_len: frame.wire_len };
    match headers.read_link(link, frame) {
        Ok((ethertype, remaining)) => headers.read_network(ethertype, remaining),
        Err(NoNetworkHeader::Known(network)) => headers.packet(network, Transport::None, None),
        Err(NoNetworkHeader::Malformed(fault)) => {
            headers.packet(Network::None, Transport::None, Some((Layer::Link, fault)))
        }
    }
}

/// Packet of a reassembled datagram. `like` is one of its fragments, from which the link layer and the IP header are taken;
/// `bytes` is the reassembled payload, `protocol` its protocol number.
#[must_use]
pub fn reassembled<'p>(like: &Packet<'_>, protocol: u8, bytes: &'p [u8]) -> Option<Packet<'p>> {
    let fragment = like.ip()?;
    let len = u32::try_from(bytes.len()).ok()?;
    let ip = Ip {
        source: fragment.source,
        destination: fragment.destination,
        protocol,
        hop_limit: fragment.hop_limit,
        traffic_class: fragment.traffic_class,
        fragment: None,
        wire_len: fragment.wire_len.saturating_sub(fragment.payload_wire_len).saturating_add(len),
        payload: bytes,
        payload_wire_len: len,
    };
    let wire_len = like.wire_len.max(ip.wire_len);
    let headers = LinkHeaders { ethernet: like.ethernet, cooked: like.cooked, vlans: like.vlans, wire_len };
    Some(headers.read_transport(ip))
}

/// Facts of the layers below the network layer.
//
// A `Packet` is built once, at the end: filling one in step by step costs a copy of it, and the copy has to wait for the single
// stores before it. The methods are `inline(always)` so that each result is built in place.
struct LinkHeaders {
    ethernet: Option<Ethernet>,
    cooked: Option<Cooked>,
    vlans: Vlans,
    wire_len: u32,
}

/// Reason why no network header follows.
enum NoNetworkHeader<'p> {
    /// The frame carries something else, which is known by its number only.
    Known(Network<'p>),
    /// A link header cannot be read.
    Malformed(Malformed),
}

impl From<Malformed> for NoNetworkHeader<'_> {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl LinkHeaders {
    #[inline(always)]
    fn packet<'p>(
        self,
        network: Network<'p>,
        transport: Transport<'p>,
        malformed: Option<(Layer, Malformed)>,
    ) -> Packet<'p> {
        let Self { ethernet, cooked, vlans, wire_len } = self;
        Packet { ethernet, cooked, vlans, network, transport, malformed, wire_len }
    }

    /// Reads all link headers; returns the `EtherType` of the network header and the bytes from it on.
    #[inline(always)]
    fn read_link<'p>(
        &mut self,
        link: LinkType,
        frame: CapturedSlice<'p>,
    ) -> Result<(u16, CapturedSlice<'p>), NoNetworkHeader<'p>> {
        let (mut ethertype, mut remaining) = if link == LinkType::ETHERNET {
            let (addresses, ethertype, remaining) = ethernet::parse(frame)?;
            self.ethernet = Some(addresses);
            (ethertype, remaining)
        } else {
            let (cooked, carried, remaining) = other_link(link, frame)?;
            self.cooked = cooked;
            (carried.ethertype()?, remaining)
        };
        // Bounded by MAX_TAGS, which the offloaded tag counts towards.
        while ethertype::is_vlan_tag(ethertype) {
            if self.vlans.count() >= MAX_TAGS {
                return Err(NoNetworkHeader::Malformed(Malformed::TooManyHeaders));
            }
            let (tag, next, inside) = vlan::parse(remaining)?;
            self.vlans.push(tag);
            (ethertype, remaining) = (next, inside);
        }
        // Everything else is rare and read in a cold function, so that the usual frames pass one comparison here.
        if !matches!(ethertype, ethertype::IPV4 | ethertype::IPV6 | ethertype::ARP) {
            let (carried, inside) = read_shim(ethertype, remaining)?;
            (ethertype, remaining) = (carried.ethertype()?, inside);
        }
        Ok((ethertype, remaining))
    }

    #[inline(always)]
    fn read_network<'p>(self, ethertype: u16, remaining: CapturedSlice<'p>) -> Packet<'p> {
        let parsed = match ethertype {
            ethertype::IPV4 => ipv4::parse(remaining),
            ethertype::IPV6 => ipv6::parse(remaining),
            ethertype::ARP => {
                return match Arp::parse(remaining) {
                    Ok(Some(arp)) => self.packet(Network::Arp(arp), Transport::None, None),
                    Ok(None) => self.packet(Network::Other(ethertype::ARP), Transport::None, None),
                    Err(fault) => self.packet(Network::None, Transport::None, Some((Layer::Network, fault))),
                };
            }
            other => return self.packet(Network::Other(other), Transport::None, None),
        };
        match parsed {
            Ok((ip, Ok(()))) if ipv4::has_no_transport(&ip) => {
                self.packet(Network::Ip(ip), Transport::None, None)
            }
            Ok((ip, Ok(()))) => self.read_transport(ip),
            Ok((ip, Err(fault))) => {
                self.packet(Network::Ip(ip), Transport::None, Some((Layer::Network, fault)))
            }
            Err(fault) => self.packet(Network::None, Transport::None, Some((Layer::Network, fault))),
        }
    }

    #[inline(always)]
    fn read_transport<'p>(self, ip: Ip<'p>) -> Packet<'p> {
        let slice = CapturedSlice { captured: ip.payload, wire_len: ip.payload_wire_len };
        let fault = match ip.protocol {
            ip_protocol::TCP => match Tcp::parse(slice) {
                Ok(tcp) => return self.packet(Network::Ip(ip), Transport::Tcp(tcp), None),
                Err(fault) => fault,
            },
            ip_protocol::UDP => match Udp::parse(slice, ip.fragment.is_some()) {
                Ok(udp) => return self.packet(Network::Ip(ip), Transport::Udp(udp), None),
                Err(fault) => fault,
            },
            // Each version of ICMP belongs to its version of IP; the other one is an unknown protocol there.
            ip_protocol::ICMP if ip.is_v4() => match Icmp::parse(slice) {
                Ok(icmp) => return self.packet(Network::Ip(ip), Transport::Icmp(icmp), None),
                Err(fault) => fault,
            },
            ip_protocol::ICMPV6 if !ip.is_v4() => match Icmpv6::parse(slice) {
                Ok(icmp) => return self.packet(Network::Ip(ip), Transport::Icmpv6(icmp), None),
                Err(fault) => fault,
            },
            other => return self.packet(Network::Ip(ip), Transport::Other(other), None),
        };
        self.packet(Network::Ip(ip), Transport::None, Some((Layer::Transport, fault)))
    }
}

/// Link types other than Ethernet.
fn other_link<'p>(
    link: LinkType,
    frame: CapturedSlice<'p>,
) -> Result<(Option<Cooked>, LinkPayload, CapturedSlice<'p>), NoNetworkHeader<'p>> {
    let carried = match link {
        LinkType::IPV4 => (None, LinkPayload::EtherType(ethertype::IPV4), frame),
        LinkType::IPV6 => (None, LinkPayload::EtherType(ethertype::IPV6), frame),
        LinkType::RAW => match *frame.header::<1>()? {
            [first] if first >> 4 == 4 => (None, LinkPayload::EtherType(ethertype::IPV4), frame),
            [first] if first >> 4 == 6 => (None, LinkPayload::EtherType(ethertype::IPV6), frame),
            _ => return Err(NoNetworkHeader::Malformed(Malformed::BadVersion)),
        },
        LinkType::NULL | LinkType::LOOP => match loopback::parse(frame)? {
            (Some(ethertype), remaining) => (None, LinkPayload::EtherType(ethertype), remaining),
            (None, _) => return Err(NoNetworkHeader::Known(Network::None)),
        },
        LinkType::LINUX_SLL | LinkType::LINUX_SLL2 => {
            let parse = if link == LinkType::LINUX_SLL { cooked::parse_v1 } else { cooked::parse_v2 };
            let (cooked, carried, remaining) = parse(frame)?;
            (Some(cooked), carried, remaining)
        }
        _ => return Err(NoNetworkHeader::Known(Network::None)),
    };
    Ok(carried)
}

impl LinkPayload {
    /// The `EtherType`, or the network layer of a packet that has none.
    #[inline]
    const fn ethertype<'p>(self) -> Result<u16, NoNetworkHeader<'p>> {
        match self {
            Self::EtherType(ethertype) => Ok(ethertype),
            Self::Unknown(number) => Err(NoNetworkHeader::Known(Network::Other(number))),
            Self::Llc(destination, source) => {
                Err(NoNetworkHeader::Known(Network::Llc { destination, source }))
            }
        }
    }
}

/// Reads a header between link and network other than a tag: `PPPoE`, MPLS or LLC.
#[cold]
fn read_shim(
    ethertype: u16,
    remaining: CapturedSlice<'_>,
) -> Result<(LinkPayload, CapturedSlice<'_>), Malformed> {
    let (inside, slice) = match ethertype {
        ethertype::PPPOE_SESSION => pppoe::parse(remaining)?,
        ethertype::MPLS | ethertype::MPLS_UPSTREAM => mpls::parse(remaining)?,
        length if ethernet::is_length(length) => return ethernet::parse_length(remaining, length),
        _ => (None, remaining),
    };
    Ok((inside.map_or(LinkPayload::Unknown(ethertype), LinkPayload::EtherType), slice))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::link::VlanTag;
    use crate::transport::TcpFlags;
    use sentinel_units::ethertype::{ARP, IPV4, IPV6, MPLS, MPLS_UPSTREAM, PPPOE_SESSION};
    use std::vec;
    use std::vec::Vec;

    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    const SYN: [u8; 20] = [0x30, 0x39, 0, 22, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    const QUERY: [u8; 11] = [0xc0, 0, 0, 53, 0, 11, 0, 0, 1, 2, 3];

    /// A frame from 02:00:00:00:00:01 with these types and tags, then `inside`.
    fn frame(types: &[u16], inside: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&ADDRESSES[..], &types, inside].concat()
    }

    /// 10.0.0.1 to 10.0.0.2, flags and offset of fragments as given.
    fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x45, 0, len[0], len[1], 0, 9];
        bytes.extend_from_slice(&fragment.to_be_bytes());
        bytes.extend_from_slice(&[64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// `fd00::1` to `fd00::2`.
    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], next, 255];
        for last in [1, 2] {
            bytes.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    fn read(bytes: &[u8]) -> Packet<'_> {
        packet(LinkType::ETHERNET, None, bytes, 0)
    }

    fn is_syn_to_ssh(packet: &Packet<'_>) -> bool {
        packet.malformed.is_none()
            && packet.ports() == Some((Port(12345), Port(22)))
            && packet.tcp().is_some_and(|tcp| tcp.flags == TcpFlags::SYN && tcp.payload_wire_len == 0)
    }

    #[test]
    fn a_segment_is_read_from_link_to_transport() {
        let bytes = frame(&[IPV4], &v4(6, 0, &SYN));
        let packet = read(&bytes);
        assert!(is_syn_to_ssh(&packet));
        assert_eq!(packet.source_mac(), Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!((packet.wire_len, packet.vlans.count()), (54, 0));
        assert_eq!(packet.ip().map(|ip| ip.wire_len), Some(40));
    }

    #[test]
    fn padding_never_becomes_payload() {
        let mut bytes = frame(&[IPV4], &v4(6, 0, &SYN));
        bytes.resize(60, 0xee);
        assert!(is_syn_to_ssh(&read(&bytes)));
        let mut bytes = frame(&[IPV6], &v6(17, &QUERY));
        bytes.resize(120, 0xee);
        assert_eq!(read(&bytes).udp().map(|udp| udp.payload), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn tags_are_kept_in_order_wherever_they_come_from() {
        let inside = v4(6, 0, &SYN);
        let bytes = frame(&[0x88a8, 100, 0x8100, 0x6000 | 7, IPV4], &inside);
        let stacked = read(&bytes);
        assert!(is_syn_to_ssh(&stacked));
        let ids = |packet: &Packet<'_>| {
            (
                packet.vlans.outer().map(VlanTag::id),
                packet.vlans.inner().map(VlanTag::id),
                packet.vlans.count(),
            )
        };
        assert_eq!(ids(&stacked), (Some(100), Some(7), 2));
        let bytes = frame(&[0x8100, 7, IPV4], &inside);
        assert_eq!(ids(&packet(LinkType::ETHERNET, Some(100), &bytes, 0)), (Some(100), Some(7), 2));
        let bytes = frame(&[0x9100, 1, 0x8100, 2, 0x8100, 3, IPV4], &inside);
        let three = read(&bytes);
        assert!(is_syn_to_ssh(&three));
        assert_eq!(ids(&three), (Some(1), Some(2), 3));
        for (tags, malformed) in [(16, None), (17, Some((Layer::Link, Malformed::TooManyHeaders)))] {
            let bytes = frame(&[[0x8100, 1].repeat(tags), std::vec![IPV4]].concat(), &inside);
            let packet = read(&bytes);
            assert_eq!(
                (packet.malformed, is_syn_to_ssh(&packet)),
                (malformed, malformed.is_none()),
                "{tags}"
            );
        }
    }

    #[test]
    fn pppoe_mpls_and_llc_are_skipped() {
        let inside = v4(6, 0, &SYN);
        let session = [&[0x11, 0, 0, 1, 0, 42, 0, 0x21][..], &inside, &[0xee; 8]].concat();
        let labels = [&[0, 0x01, 0x01, 64][..], &inside].concat();
        let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &inside].concat();
        for (types, inside) in [
            (&[PPPOE_SESSION][..], &session),
            (&[0x8100, 7, PPPOE_SESSION], &session),
            (&[MPLS], &labels),
            (&[MPLS_UPSTREAM], &labels),
            (&[48], &snap),
            (&[0x8100, 7, 48], &snap),
        ] {
            let bytes = frame(types, inside);
            assert!(is_syn_to_ssh(&read(&bytes)), "{types:x?}");
        }
        let bytes = frame(&[PPPOE_SESSION], &[0x11, 0, 0, 1, 0, 2, 0xc0, 0x21]);
        assert_eq!(read(&bytes).network, Network::Other(PPPOE_SESSION));
        let bytes = frame(&[3], &[0x42, 0x42, 3]);
        assert_eq!(read(&bytes).network, Network::Llc { destination: 0x42, source: 0x42 });
        assert_eq!(read(&frame(&[0x88cc], &[0; 46])).network, Network::Other(0x88cc));
    }

    #[test]
    fn each_link_type_leads_to_the_same_packet() {
        let inside = v4(6, 0, &SYN);
        let sll = [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &inside].concat();
        let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &inside].concat();
        let tagged = [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 7, 8, 0][..], &inside].concat();
        for (link, bytes) in [
            (LinkType::RAW, inside.clone()),
            (LinkType::IPV4, inside.clone()),
            (LinkType::NULL, [&[2, 0, 0, 0][..], &inside].concat()),
            (LinkType::LOOP, [&[0, 0, 0, 2][..], &inside].concat()),
            (LinkType::LINUX_SLL, sll),
            (LinkType::LINUX_SLL, tagged),
            (LinkType::LINUX_SLL2, sll2),
        ] {
            let packet = packet(link, None, &bytes, 0);
            assert!(is_syn_to_ssh(&packet), "{link}");
            assert_eq!(packet.source_mac().is_some(), packet.cooked.is_some());
        }
        let inside = v6(6, &SYN);
        for (link, bytes) in [
            (LinkType::RAW, inside.clone()),
            (LinkType::IPV6, inside.clone()),
            (LinkType::NULL, [&[30, 0, 0, 0][..], &inside].concat()),
        ] {
            assert!(is_syn_to_ssh(&packet(link, None, &bytes, 0)), "{link}");
        }
        assert_eq!(packet(LinkType(999), None, &inside, 0).malformed, None);
        let wrong = packet(LinkType::RAW, None, &[0x10; 40], 0);
        assert_eq!(wrong.malformed, Some((Layer::Link, Malformed::BadVersion)));
        let wrong = packet(LinkType::IPV4, None, &inside, 0);
        assert_eq!(wrong.malformed, Some((Layer::Network, Malformed::BadVersion)));
    }

    #[test]
    fn the_first_fragment_gives_ports_and_later_ones_do_not() {
        // the datagram announces more than is in the fragment
        let mut datagram = QUERY;
        datagram[4] = 0x05;
        let bytes = frame(&[IPV4], &v4(17, 0x2000, &datagram));
        let first = read(&bytes);
        assert_eq!((first.ports(), first.malformed), (Some((Port(0xc000), Port(53))), None));
        let bytes = frame(&[IPV4], &v4(17, 0x0003, &datagram));
        let later = read(&bytes);
        assert_eq!((later.transport, later.malformed), (Transport::None, None));
        assert!(later.ip().is_some_and(Ip::is_later_fragment));
        let mut fragment = vec![17, 0, 0, 1, 0, 0, 0, 5];
        fragment.extend_from_slice(&datagram);
        let bytes = frame(&[IPV6], &v6(44, &fragment));
        assert_eq!(read(&bytes).ports(), Some((Port(0xc000), Port(53))));
    }

    #[test]
    fn icmp_belongs_to_its_own_family() {
        let ping = [8, 0, 0, 0, 0, 1, 0, 2];
        let bytes = frame(&[IPV4], &v4(1, 0, &ping));
        assert!(matches!(read(&bytes).transport, Transport::Icmp(icmp) if icmp.is_echo_request()));
        let bytes = frame(&[IPV6], &v6(58, &[128, 0, 0, 0, 0, 1, 0, 2]));
        assert!(matches!(read(&bytes).transport, Transport::Icmpv6(icmp) if icmp.is_echo_request()));
        let bytes = frame(&[IPV6], &v6(1, &ping));
        assert_eq!(read(&bytes).transport, Transport::Other(1));
        let bytes = frame(&[IPV4], &v4(58, 0, &ping));
        assert_eq!(read(&bytes).transport, Transport::Other(58));
    }

    #[test]
    fn layers_before_a_fault_are_kept() {
        let mut bytes = frame(&[IPV4], &v4(6, 0, &SYN));
        bytes[46] = 0xf0; // TCP header longer than the segment
        let packet = read(&bytes);
        assert_eq!(packet.malformed, Some((Layer::Transport, Malformed::BadLength)));
        assert!(packet.ip().is_some() && packet.transport == Transport::None);
        bytes[14] = 0x41; // IPv4 header shorter than a header
        let packet = read(&bytes);
        assert_eq!(packet.malformed, Some((Layer::Network, Malformed::BadLength)));
        assert!(packet.ip().is_some() && packet.source_mac().is_some());
        // a datagram that says it is longer than the frame is dropped by every host
        let mut bytes = frame(&[IPV4], &v4(6, 0, &SYN));
        bytes[17] += 1;
        let packet = read(&bytes);
        assert_eq!(packet.malformed, Some((Layer::Network, Malformed::BadLength)));
        assert_eq!(packet.transport, Transport::None);
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
        let session = [&[0x11, 0, 0, 1, 0, 33, 0, 0x21][..], &v4(17, 0, &QUERY)].concat();
        for whole in [
            frame(&[IPV4], &v4(17, 0, &QUERY)),
            frame(&[0x88a8, 1, 0x8100, 2, IPV6], &v6(17, &QUERY)),
            frame(&[IPV6], &v6(58, &[135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80])),
            frame(&[IPV4], &v4(6, 0, &SYN)),
            frame(&[PPPOE_SESSION], &session),
            frame(&[ARP], &arp),
        ] {
            let wire_len = u32::try_from(whole.len()).unwrap();
            let all = read(&whole);
            assert_eq!(all.malformed, None);
            for cut in 0..whole.len() {
                let part = packet(LinkType::ETHERNET, None, &whole[..cut], wire_len);
                assert_eq!(part.wire_len, wire_len);
                match part.malformed {
                    Some((_, fault)) => assert_eq!(fault, Malformed::Truncated, "{cut}"),
                    None => {
                        assert_eq!(part.ports(), all.ports());
                        let lengths =
                            |packet: &Packet<'_>| packet.ip().map(|ip| (ip.wire_len, ip.payload_wire_len));
                        assert_eq!(lengths(&part), lengths(&all));
                        assert!(
                            part.udp().is_none_or(|udp| udp.payload_wire_len == 3 && udp.payload.len() < 3)
                        );
                    }
                }
            }
        }
    }
}
