//! One packet, dissected, and the protocol that matters most in it.

use sentinel_capture::Frame;
use sentinel_dissect::{Network, Packet, Transport, dhcp, dns, http, protocol, quic, ssh, tls};
use sentinel_units::{Address, LinkType, Mac, Port};

use crate::packets::record;

const DNS: Port = Port(53);
const MULTICAST_DNS: Port = Port(5353);
const LLMNR: Port = Port(5355);
const HTTPS: Port = Port(443);
const DHCP: [Port; 2] = [Port(67), Port(68)];

/// What there is to show of a packet.
#[derive(Debug)]
pub(crate) struct Facts<'p> {
    pub(crate) packet: Packet<'p>,
    pub(super) application: Application<'p>,
    /// Name of the protocol: `TCP`, `DNS`, `ARP`, ...
    pub(crate) protocol: &'static str,
    /// Link type, if nothing is read of frames of that type.
    pub(super) unread: Option<LinkType>,
}

/// What a packet carries, as far as it is known by its first bytes or its port.
#[derive(Debug)]
pub(super) enum Application<'p> {
    None,
    Dns(dns::Message<'p>),
    Dhcp(dhcp::Message),
    ClientHello(tls::ClientHello<'p>),
    /// As much of a server's first flight as one segment has.
    ServerHello(&'p [u8]),
    /// Another TLS record, by its content type.
    TlsRecord(u8),
    Request(http::Request<'p>),
    Response(http::Response<'p>),
    Ssh(ssh::Banner<'p>),
    Quic(Quic),
    /// Data on the port of HTTPS that begins no record.
    Encrypted,
}

/// A QUIC packet with a long header.
#[derive(Debug)]
pub(super) struct Quic {
    /// Two bits, whose meaning depends on the version.
    pub(super) kind: u8,
    pub(super) version: u32,
    /// The beginning of a client's hello, and its channel for `record`.
    pub(super) hello: (Vec<u8>, u32),
}

/// One end of a packet's way.
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
    /// Dissects a frame.
    pub(crate) fn of(frame: &Frame<'p>) -> Self {
        let packet = sentinel_dissect::packet(frame.link, frame.vlan, frame.bytes, frame.wire_len);
        let unread = (!frame.link.is_supported()).then_some(frame.link);
        let application = match (&packet.ip(), &packet.transport) {
            (Some(ip), Transport::Udp(udp)) if !ip.is_later_fragment() => {
                over_udp(udp.payload, (udp.source_port, udp.destination_port))
            }
            (Some(_), Transport::Tcp(tcp)) if !tcp.payload.is_empty() => {
                over_tcp(tcp.payload, (tcp.source_port, tcp.destination_port))
            }
            _ => Application::None,
        };
        let protocol = match unread {
            Some(_) => "LINK",
            None => application.name(&packet).unwrap_or_else(|| name(&packet)),
        };
        Self { packet, application, protocol, unread }
    }

    /// Where the packet comes from and where it goes: addresses of IP or ARP, else those of the link.
    pub(crate) fn endpoints(&self) -> (Endpoint, Endpoint) {
        match (&self.packet.network, self.packet.ethernet) {
            (Network::Ip(ip), _) => (Endpoint::Ip(ip.source), Endpoint::Ip(ip.destination)),
            (Network::Arp(arp), _) => (Endpoint::Ip(arp.sender_ip), Endpoint::Ip(arp.target_ip)),
            (_, Some(ethernet)) => (Endpoint::Mac(ethernet.source), Endpoint::Mac(ethernet.destination)),
            _ => (self.packet.source_mac().map_or(Endpoint::Unknown, Endpoint::Mac), Endpoint::Unknown),
        }
    }
}

impl Application<'_> {
    fn name(&self, packet: &Packet<'_>) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Dns(_) => match packet.ports() {
                Some((source, destination)) if is_either(MULTICAST_DNS, source, destination) => "MDNS",
                Some((source, destination)) if is_either(LLMNR, source, destination) => "LLMNR",
                _ => "DNS",
            },
            Self::Dhcp(_) => "DHCP",
            Self::ClientHello(_) | Self::ServerHello(_) | Self::TlsRecord(_) => "TLS",
            Self::Request(_) | Self::Response(_) => "HTTP",
            Self::Ssh(_) => "SSH",
            Self::Quic(_) => "QUIC",
            Self::Encrypted => "HTTPS",
        })
    }
}

fn is_either(port: Port, source: Port, destination: Port) -> bool {
    source == port || destination == port
}

fn over_udp(payload: &[u8], (source, destination): (Port, Port)) -> Application<'_> {
    let either = |port| is_either(port, source, destination);
    if either(DNS) || either(MULTICAST_DNS) || either(LLMNR) {
        return dns::Message::parse(payload).map_or(Application::None, Application::Dns);
    }
    if DHCP.into_iter().any(either) {
        return dhcp::Message::parse(payload).map_or(Application::None, Application::Dhcp);
    }
    match *payload {
        // Bits that all versions of QUIC share, and the kind in those of version 1 (RFC 9000 section 17.2).
        [first, a, b, c, d, ..] if either(HTTPS) && quic::has_long_header(payload) => {
            Application::Quic(Quic {
                kind: first >> 4 & 3,
                version: u32::from_be_bytes([a, b, c, d]),
                hello: record::quic_hello(payload),
            })
        }
        _ => Application::None,
    }
}

fn over_tcp(payload: &[u8], (source, destination): (Port, Port)) -> Application<'_> {
    let either = |port| is_either(port, source, destination);
    if either(DNS) {
        let first = dns::tcp_messages(payload).next().map(dns::Message::parse);
        if let Some(Ok(message)) = first {
            return Application::Dns(message);
        }
    }
    if let Ok(hello) = tls::ClientHello::parse(payload) {
        return Application::ClientHello(hello);
    }
    if tls::is_server_hello(payload) {
        return Application::ServerHello(payload);
    }
    match *payload {
        // Content type and version of a record (RFC 8446 section 5.1).
        [content @ 20..=23, 3, 0..=4, ..] => return Application::TlsRecord(content),
        [b'S', b'S', b'H', b'-', ..] => {
            if let Ok(banner) = ssh::Banner::parse(payload) {
                return Application::Ssh(banner);
            }
        }
        _ => {}
    }
    if let Ok(request) = http::Request::parse(payload) {
        return Application::Request(request);
    }
    if let Ok(response) = http::Response::parse(payload) {
        return Application::Response(response);
    }
    if either(HTTPS) { Application::Encrypted } else { Application::None }
}

/// The name of the highest layer below the application.
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
        protocol::ICMP => "ICMP",
        protocol::IGMP => "IGMP",
        protocol::IPV4 | protocol::IPV6 => "TUNNEL",
        protocol::TCP => "TCP",
        protocol::UDP => "UDP",
        protocol::GRE => "GRE",
        protocol::ESP => "ESP",
        51 => "AH",
        protocol::ICMPV6 => "ICMPv6",
        88 => "EIGRP",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        115 => "L2TP",
        protocol::SCTP => "SCTP",
        136 => "UDPLITE",
        137 => "MPLS",
        _ => "IP",
    }
}

fn ethertype_name(ethertype: u16) -> &'static str {
    match ethertype {
        0x0806 => "ARP",
        0x8035 => "RARP",
        0x8809 => "SLOW",
        0x8863 | 0x8864 => "PPPOE",
        0x888e => "EAPOL",
        0x88cc => "LLDP",
        0x88e1 => "HOMEPLUG",
        0x88f7 => "PTP",
        0x9000 => "LOOPBACK",
        _ => "ETHER",
    }
}
