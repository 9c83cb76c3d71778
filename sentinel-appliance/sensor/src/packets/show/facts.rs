//! One packet, dissected, and the highest protocol that is recognised in it.

use sentinel_capture::Frame;
use sentinel_dissect::{Network, Packet, Transport};
use sentinel_track::flow_record::FlowTuple;
use sentinel_units::{Address, LinkType, Mac, Port, ethertype, ip_protocol};

use crate::packets::fields::{Application, Payload};

/// Facts of a packet to be shown.
#[derive(Debug)]
pub(crate) struct Facts<'p> {
    pub(crate) packet: Packet<'p>,
    pub(crate) application: Application<'p>,
    /// Name of the protocol: `TCP`, `DNS`, `ARP`, ...
    pub(crate) protocol: &'static str,
    /// Source and destination port, if the protocol has them.
    pub(super) ports: Option<(Port, Port)>,
    /// Link type, if nothing is read of frames of that type.
    pub(super) unread: Option<LinkType>,
}

/// Source or destination of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    Ip(Address),
    Mac(Mac),
    Unknown,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(out),
            Self::Mac(mac) => mac.fmt(out),
            Self::Unknown => out.write_str("?"),
        }
    }
}

impl<'p> Facts<'p> {
    /// Parses a frame.
    pub(crate) fn of(frame: &Frame<'p>) -> Self {
        let packet = sentinel_dissect::packet(frame.link, frame.vlan, frame.bytes, frame.wire_len);
        Self { unread: (!frame.link.is_supported()).then_some(frame.link), ..Self::of_packet(packet) }
    }

    /// Facts of a packet, which may be one in a tunnel.
    pub(super) fn of_packet(packet: Packet<'p>) -> Self {
        let mut ports = packet.ports();
        let application = match (&packet.ip(), &packet.transport) {
            (Some(ip), Transport::Udp(udp)) if !ip.is_later_fragment() => {
                Application::of_datagram(&Payload {
                    bytes: udp.payload,
                    ports: (udp.source_port, udp.destination_port),
                    wire_len: udp.payload_wire_len,
                })
            }
            (Some(_), Transport::Tcp(tcp)) if !tcp.payload.is_empty() => Application::of_segment(&Payload {
                bytes: tcp.payload,
                ports: (tcp.source_port, tcp.destination_port),
                wire_len: tcp.payload_wire_len,
            }),
            (Some(ip), Transport::Other(number)) => {
                // Ports of zero: the protocol has none.
                let tuple = FlowTuple::of(&packet).map(|tuple| (tuple.source.port, tuple.destination.port));
                ports = tuple.filter(|ports| *ports != (Port(0), Port(0)));
                Application::of_packet(*number, ip.payload, tuple.unwrap_or((Port(0), Port(0))))
            }
            _ => Application::None,
        };
        // Of link types that are not read, this is `LINK`.
        let protocol = application.title().unwrap_or_else(|| name(&packet));
        Self { packet, application, protocol, ports, unread: None }
    }

    /// Source and destination: addresses of IP or ARP, else those of the link.
    pub(crate) fn endpoints(&self) -> (Endpoint, Endpoint) {
        match (&self.packet.network, self.packet.ethernet) {
            (Network::Ip(ip), _) => (Endpoint::Ip(ip.source), Endpoint::Ip(ip.destination)),
            (Network::Arp(arp), _) => (Endpoint::Ip(arp.sender_ip), Endpoint::Ip(arp.target_ip)),
            (_, Some(ethernet)) => (Endpoint::Mac(ethernet.source), Endpoint::Mac(ethernet.destination)),
            _ => (self.packet.source_mac().map_or(Endpoint::Unknown, Endpoint::Mac), Endpoint::Unknown),
        }
    }
}

/// Name of the highest layer below the application.
fn name(packet: &Packet<'_>) -> &'static str {
    match (&packet.network, &packet.transport) {
        (_, Transport::Tcp(_)) => "TCP",
        (_, Transport::Udp(_)) => "UDP",
        (_, Transport::Icmp(_)) => "ICMP",
        (_, Transport::Icmpv6(_)) => "ICMPv6",
        (Network::Ip(ip), _) => protocol_name(ip.protocol),
        (Network::Arp(_), _) => "ARP",
        (Network::Other(ethertype), _) => ethertype_name(*ethertype),
        (Network::Llc { destination: 0x42, .. }, _) => "STP",
        (Network::Llc { destination: 0xfe, .. }, _) => "OSI",
        (Network::Llc { .. }, _) => "LLC",
        (Network::None, _) if packet.ethernet.is_some() => "ETHER",
        (Network::None, _) => "LINK",
    }
}

/// Short name of a protocol over IP (<https://www.iana.org/assignments/protocol-numbers>).
fn protocol_name(number: u8) -> &'static str {
    match number {
        ip_protocol::ICMP => "ICMP",
        ip_protocol::IGMP => "IGMP",
        ip_protocol::IPV4 | ip_protocol::IPV6 => "TUNNEL",
        ip_protocol::TCP => "TCP",
        ip_protocol::UDP => "UDP",
        ip_protocol::GRE => "GRE",
        ip_protocol::ESP => "ESP",
        ip_protocol::AH => "AH",
        ip_protocol::ICMPV6 => "ICMPv6",
        ip_protocol::EIGRP => "EIGRP",
        ip_protocol::OSPF => "OSPF",
        ip_protocol::PIM => "PIM",
        ip_protocol::VRRP => "VRRP",
        ip_protocol::L2TP => "L2TP",
        ip_protocol::SCTP => "SCTP",
        ip_protocol::UDP_LITE => "UDPLITE",
        ip_protocol::MPLS => "MPLS",
        _ => "IP",
    }
}

fn ethertype_name(ethertype: u16) -> &'static str {
    match ethertype {
        ethertype::ARP => "ARP",
        ethertype::RARP => "RARP",
        ethertype::SLOW_PROTOCOLS => "SLOW",
        ethertype::PPPOE_DISCOVERY | ethertype::PPPOE_SESSION => "PPPOE",
        ethertype::EAPOL => "EAPOL",
        ethertype::LLDP => "LLDP",
        ethertype::HOMEPLUG => "HOMEPLUG",
        ethertype::PTP => "PTP",
        ethertype::LOOPBACK => "LOOPBACK",
        _ => "ETHER",
    }
}
