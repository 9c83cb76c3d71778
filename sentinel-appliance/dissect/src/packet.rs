//! One frame, from its first byte to its transport header.
//!
//! Read first: the files of the single protocols; this one only goes from layer to layer.

use sentinel_units::{LinkType, Mac, Port};

use crate::ethernet::Carried;
use crate::extent::Extent;
use crate::vlan::MAX_TAGS;
use crate::{
    Arp, Cooked, Ethernet, Icmp, Icmpv6, Ip, Layer, Malformed, Tcp, Udp, VlanTag, Vlans, cooked, ethernet,
    ipv4, ipv6, loopback, mpls, pppoe, protocol, vlan,
};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;

/// The facts of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// Addresses of the Ethernet header, if there is one.
    pub ethernet: Option<Ethernet>,
    /// What a Linux cooked capture gives instead.
    pub cooked: Option<Cooked>,
    /// VLAN tags, outermost first; one that the card took off comes before those in the frame.
    pub vlans: Vlans,
    /// ARP or IP.
    pub network: Network<'p>,
    /// Set if the network layer is IP, its headers are sound, and it is not a later fragment.
    pub transport: Transport<'p>,
    /// The outermost layer that could not be read, and why. What was read before it stays.
    pub malformed: Option<(Layer, Malformed)>,
    /// Bytes of the whole frame on the wire.
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
    /// Something else, by its protocol number; tunnels are not opened.
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

    /// Who sent the frame on this link, if the link header says so.
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
    let frame = Extent::new(bytes, wire_len);
    let mut packet = Packet {
        ethernet: None,
        cooked: None,
        vlans: Vlans::default(),
        network: Network::None,
        transport: Transport::None,
        malformed: None,
        wire_len: frame.wire_len,
    };
    if let Some(tag) = offloaded_vlan {
        packet.vlans.push(VlanTag(tag));
    }
    packet.malformed = packet.read(link, frame).err();
    packet
}

/// A layer and what is wrong with it.
type Fault = (Layer, Malformed);

fn at(layer: Layer) -> impl Fn(Malformed) -> Fault {
    move |malformed| (layer, malformed)
}

impl<'p> Packet<'p> {
    #[inline]
    fn read(&mut self, link: LinkType, frame: Extent<'p>) -> Result<(), Fault> {
        if link == LinkType::ETHERNET {
            let (addresses, ethertype, rest) = ethernet::parse(frame).map_err(at(Layer::Link))?;
            self.ethernet = Some(addresses);
            return self.read_ethertype(ethertype, rest);
        }
        let (carried, rest) = match self.read_other_link(link, frame).map_err(at(Layer::Link))? {
            Some(carried) => carried,
            None => return Ok(()),
        };
        self.read_carried(carried, rest)
    }

    /// Link types other than Ethernet.
    fn read_other_link(
        &mut self,
        link: LinkType,
        frame: Extent<'p>,
    ) -> Result<Option<(Carried, Extent<'p>)>, Malformed> {
        let carried = match link {
            LinkType::IPV4 => (Carried::EtherType(IPV4), frame),
            LinkType::IPV6 => (Carried::EtherType(IPV6), frame),
            LinkType::RAW => match *frame.header::<1>()? {
                [first] if first >> 4 == 4 => (Carried::EtherType(IPV4), frame),
                [first] if first >> 4 == 6 => (Carried::EtherType(IPV6), frame),
                _ => return Err(Malformed::BadVersion),
            },
            LinkType::NULL | LinkType::LOOP => {
                let (ethertype, rest) = loopback::parse(frame)?;
                let Some(ethertype) = ethertype else { return Ok(None) };
                (Carried::EtherType(ethertype), rest)
            }
            LinkType::LINUX_SLL | LinkType::LINUX_SLL2 => {
                let parse = if link == LinkType::LINUX_SLL { cooked::parse_v1 } else { cooked::parse_v2 };
                let (cooked, carried, rest) = parse(frame)?;
                self.cooked = Some(cooked);
                (carried, rest)
            }
            _ => return Ok(None),
        };
        Ok(Some(carried))
    }

    fn read_carried(&mut self, carried: Carried, rest: Extent<'p>) -> Result<(), Fault> {
        match carried {
            Carried::EtherType(ethertype) => self.read_ethertype(ethertype, rest),
            Carried::Llc(destination, source) => {
                self.network = Network::Llc { destination, source };
                Ok(())
            }
        }
    }

    /// What an ethertype announces, through tags and the headers that stand between link and network.
    #[inline]
    fn read_ethertype(&mut self, mut ethertype: u16, mut rest: Extent<'p>) -> Result<(), Fault> {
        while vlan::is_tag(ethertype) {
            if self.vlans.count() >= MAX_TAGS {
                return Err((Layer::Link, Malformed::TooManyHeaders));
            }
            let (tag, next, inside) = vlan::parse(rest).map_err(at(Layer::Link))?;
            self.vlans.push(tag);
            (ethertype, rest) = (next, inside);
        }
        match ethertype {
            IPV4 | IPV6 | ARP => {}
            _ => match between(ethertype, rest).map_err(at(Layer::Link))? {
                (Carried::EtherType(next), inside) => (ethertype, rest) = (next, inside),
                (Carried::Llc(destination, source), _) => {
                    self.network = Network::Llc { destination, source };
                    return Ok(());
                }
            },
        }
        self.read_network(ethertype, rest)
    }

    #[inline]
    fn read_network(&mut self, ethertype: u16, rest: Extent<'p>) -> Result<(), Fault> {
        let (ip, state) = match ethertype {
            IPV4 => ipv4::parse(rest).map_err(at(Layer::Network))?,
            IPV6 => ipv6::parse(rest).map_err(at(Layer::Network))?,
            ARP => {
                let arp = Arp::parse(rest).map_err(at(Layer::Network))?;
                self.network = arp.map_or(Network::Other(ARP), Network::Arp);
                return Ok(());
            }
            other => {
                self.network = Network::Other(other);
                return Ok(());
            }
        };
        self.network = Network::Ip(ip);
        state.map_err(at(Layer::Network))?;
        if ipv4::has_no_transport(&ip) {
            return Ok(());
        }
        self.transport = read_transport(&ip).map_err(at(Layer::Transport))?;
        Ok(())
    }
}

/// Headers between link and network other than tags. An ethertype that is none of them comes back.
#[cold]
fn between(ethertype: u16, rest: Extent<'_>) -> Result<(Carried, Extent<'_>), Malformed> {
    let (inside, extent) = match ethertype {
        PPPOE_SESSION => pppoe::parse(rest)?,
        MPLS | MPLS_UPSTREAM => mpls::parse(rest)?,
        length if ethernet::is_length(length) => return ethernet::parse_length(rest, length),
        _ => (None, rest),
    };
    Ok((Carried::EtherType(inside.unwrap_or(ethertype)), extent))
}

#[inline]
fn read_transport<'p>(ip: &Ip<'p>) -> Result<Transport<'p>, Malformed> {
    let extent = Extent { captured: ip.payload, wire_len: ip.payload_wire_len };
    Ok(match ip.protocol {
        protocol::TCP => Transport::Tcp(Tcp::parse(extent)?),
        protocol::UDP => Transport::Udp(Udp::parse(extent, ip.fragment.is_some())?),
        protocol::ICMP if ip.is_v4() => Transport::Icmp(Icmp::parse(extent)?),
        protocol::ICMPV6 if !ip.is_v4() => Transport::Icmpv6(Icmpv6::parse(extent)?),
        other => Transport::Other(other),
    })
}
