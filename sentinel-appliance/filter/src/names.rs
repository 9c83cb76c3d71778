//! Keywords of the language, and names of protocols and ports. Small tables, because the device has no
//! resolver.
//!
//! Read first: `pcap-filter(7)`; IANA's registries of protocol numbers, service names and ports, ICMP types.

use crate::numbers::ethertype;

/// The "proto" qualifier, which is also a primitive by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layer {
    Link,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    /// A protocol known by its ethertype or LLC service access point alone.
    EtherType(u16),
    /// An ISO protocol, known by the byte behind the LLC header.
    Iso(u8),
}

/// A reserved word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keyword {
    Layer(Layer),
    Source,
    Destination,
    Host,
    Net,
    Mask,
    Port,
    PortRange,
    Proto,
    ProtoChain,
    Less,
    Greater,
    Byte,
    Broadcast,
    Multicast,
    Inbound,
    Outbound,
    Interface,
    Length,
    And,
    Or,
    Not,
    Vlan,
    Mpls,
    PppoeDiscovery,
    PppoeSession,
    Llc,
    Constant(u32),
    /// A keyword of tcpdump's that is not supported here.
    Unsupported,
}

use Keyword::{Constant, Unsupported};

#[rustfmt::skip]
const KEYWORDS: &[(&str, Keyword)] = &[
    ("ether", Keyword::Layer(Layer::Link)), ("link", Keyword::Layer(Layer::Link)),
    ("fddi", Keyword::Layer(Layer::Link)), ("tr", Keyword::Layer(Layer::Link)),
    ("wlan", Keyword::Layer(Layer::Link)), ("ppp", Keyword::Layer(Layer::Link)),
    ("slip", Keyword::Layer(Layer::Link)),
    ("ip", Keyword::Layer(Layer::Ip)), ("ip6", Keyword::Layer(Layer::Ip6)),
    ("arp", Keyword::Layer(Layer::Arp)), ("rarp", Keyword::Layer(Layer::Rarp)),
    ("tcp", Keyword::Layer(Layer::Tcp)), ("udp", Keyword::Layer(Layer::Udp)),
    ("sctp", Keyword::Layer(Layer::Sctp)), ("icmp", Keyword::Layer(Layer::Icmp)),
    ("icmp6", Keyword::Layer(Layer::Icmp6)), ("igmp", Keyword::Layer(Layer::Igmp)),
    ("igrp", Keyword::Layer(Layer::Igrp)), ("pim", Keyword::Layer(Layer::Pim)),
    ("vrrp", Keyword::Layer(Layer::Vrrp)), ("carp", Keyword::Layer(Layer::Carp)),
    ("ah", Keyword::Layer(Layer::Ah)), ("esp", Keyword::Layer(Layer::Esp)),
    ("atalk", Keyword::Layer(Layer::EtherType(0x809b))), ("aarp", Keyword::Layer(Layer::EtherType(0x80f3))),
    ("decnet", Keyword::Layer(Layer::EtherType(0x6003))), ("lat", Keyword::Layer(Layer::EtherType(0x6004))),
    ("sca", Keyword::Layer(Layer::EtherType(0x6007))), ("moprc", Keyword::Layer(Layer::EtherType(0x6002))),
    ("mopdl", Keyword::Layer(Layer::EtherType(0x6001))), ("iso", Keyword::Layer(Layer::EtherType(0xfe))),
    ("stp", Keyword::Layer(Layer::EtherType(0x42))), ("ipx", Keyword::Layer(Layer::EtherType(0xe0))),
    ("netbeui", Keyword::Layer(Layer::EtherType(0xf0))),
    ("clnp", Keyword::Layer(Layer::Iso(0x81))), ("esis", Keyword::Layer(Layer::Iso(0x82))),
    ("es-is", Keyword::Layer(Layer::Iso(0x82))), ("isis", Keyword::Layer(Layer::Iso(0x83))),
    ("is-is", Keyword::Layer(Layer::Iso(0x83))),
    ("src", Keyword::Source), ("dst", Keyword::Destination), ("host", Keyword::Host), ("net", Keyword::Net),
    ("mask", Keyword::Mask), ("port", Keyword::Port), ("portrange", Keyword::PortRange),
    ("proto", Keyword::Proto), ("protochain", Keyword::ProtoChain), ("less", Keyword::Less),
    ("greater", Keyword::Greater), ("byte", Keyword::Byte), ("broadcast", Keyword::Broadcast),
    ("multicast", Keyword::Multicast), ("inbound", Keyword::Inbound), ("outbound", Keyword::Outbound),
    ("ifindex", Keyword::Interface), ("len", Keyword::Length), ("length", Keyword::Length),
    ("and", Keyword::And), ("or", Keyword::Or), ("not", Keyword::Not), ("vlan", Keyword::Vlan),
    ("mpls", Keyword::Mpls), ("pppoed", Keyword::PppoeDiscovery), ("pppoes", Keyword::PppoeSession),
    ("llc", Keyword::Llc),
    ("tcpflags", Constant(13)), ("tcp-fin", Constant(1)), ("tcp-syn", Constant(2)), ("tcp-rst", Constant(4)),
    ("tcp-push", Constant(8)), ("tcp-ack", Constant(16)), ("tcp-urg", Constant(32)), ("tcp-ece", Constant(64)),
    ("tcp-cwr", Constant(128)),
    ("icmptype", Constant(0)), ("icmpcode", Constant(1)), ("icmp-echoreply", Constant(0)),
    ("icmp-unreach", Constant(3)), ("icmp-sourcequench", Constant(4)), ("icmp-redirect", Constant(5)),
    ("icmp-echo", Constant(8)), ("icmp-routeradvert", Constant(9)), ("icmp-routersolicit", Constant(10)),
    ("icmp-timxceed", Constant(11)), ("icmp-paramprob", Constant(12)), ("icmp-tstamp", Constant(13)),
    ("icmp-tstampreply", Constant(14)), ("icmp-ireq", Constant(15)), ("icmp-ireqreply", Constant(16)),
    ("icmp-maskreq", Constant(17)), ("icmp-maskreply", Constant(18)),
    ("icmp6type", Constant(0)), ("icmp6code", Constant(1)), ("icmp6-destinationunreach", Constant(1)),
    ("icmp6-packettoobig", Constant(2)), ("icmp6-timeexceeded", Constant(3)),
    ("icmp6-parameterproblem", Constant(4)), ("icmp6-echo", Constant(128)), ("icmp6-echoreply", Constant(129)),
    ("icmp6-multicastlistenerquery", Constant(130)), ("icmp6-multicastlistenerreportv1", Constant(131)),
    ("icmp6-multicastlistenerdone", Constant(132)), ("icmp6-routersolicit", Constant(133)),
    ("icmp6-routeradvert", Constant(134)), ("icmp6-neighborsolicit", Constant(135)),
    ("icmp6-neighboradvert", Constant(136)), ("icmp6-redirect", Constant(137)),
    ("icmp6-routerrenum", Constant(138)), ("icmp6-nodeinformationquery", Constant(139)),
    ("icmp6-nodeinformationresponse", Constant(140)), ("icmp6-ineighbordiscoverysolicit", Constant(141)),
    ("icmp6-ineighbordiscoveryadvert", Constant(142)), ("icmp6-multicastlistenerreportv2", Constant(143)),
    ("icmp6-homeagentdiscoveryrequest", Constant(144)), ("icmp6-homeagentdiscoveryreply", Constant(145)),
    ("icmp6-mobileprefixsolicit", Constant(146)), ("icmp6-mobileprefixadvert", Constant(147)),
    ("icmp6-certpathsolicit", Constant(148)), ("icmp6-certpathadvert", Constant(149)),
    ("icmp6-multicastrouteradvert", Constant(151)), ("icmp6-multicastroutersolicit", Constant(152)),
    ("icmp6-multicastrouterterm", Constant(153)),
    ("gateway", Unsupported), ("geneve", Unsupported), ("radio", Unsupported), ("type", Unsupported), ("subtype", Unsupported),
    ("dir", Unsupported), ("direction", Unsupported), ("on", Unsupported), ("ifname", Unsupported), ("rset", Unsupported),
    ("ruleset", Unsupported), ("rnr", Unsupported), ("rulenum", Unsupported), ("srnr", Unsupported), ("subrulenum", Unsupported),
    ("reason", Unsupported), ("action", Unsupported), ("vpi", Unsupported), ("vci", Unsupported), ("lane", Unsupported),
    ("addr1", Unsupported), ("addr2", Unsupported), ("addr3", Unsupported), ("addr4", Unsupported),
];

/// The keyword of this spelling, and the spelling as a static string.
pub(crate) fn keyword(word: &str) -> Option<(&'static str, Keyword)> {
    KEYWORDS.iter().find(|(name, _)| *name == word).copied()
}

const PROTOCOLS: &[(&str, u32)] = &[
    ("ip", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// Number of a protocol over IP (`protocols(5)`).
pub(crate) fn protocol(name: &str) -> Option<u32> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Number of an ethertype or LLC service access point.
pub(crate) fn ether_type(name: &str) -> Option<u32> {
    match keyword(name)?.1 {
        Keyword::Layer(Layer::Ip) => Some(ethertype::IPV4),
        Keyword::Layer(Layer::Ip6) => Some(ethertype::IPV6),
        Keyword::Layer(Layer::Arp) => Some(ethertype::ARP),
        Keyword::Layer(Layer::Rarp) => Some(ethertype::RARP),
        Keyword::Layer(Layer::EtherType(number)) => Some(u32::from(number)),
        _ => None,
    }
}

/// Transports of a service, as bits.
pub(crate) const OVER_TCP: u8 = 1;
pub(crate) const OVER_UDP: u8 = 2;
const T: u8 = OVER_TCP;
const U: u8 = OVER_UDP;
const TU: u8 = OVER_TCP | OVER_UDP;

#[rustfmt::skip]
const SERVICES: &[(&str, u16, u8)] = &[
    ("echo", 7, TU), ("discard", 9, TU), ("daytime", 13, TU), ("chargen", 19, TU), ("ftp-data", 20, T),
    ("ftp", 21, T), ("ssh", 22, T), ("telnet", 23, T), ("smtp", 25, T), ("time", 37, TU), ("whois", 43, T),
    ("tacacs", 49, TU), ("domain", 53, TU), ("bootps", 67, U), ("bootpc", 68, U), ("tftp", 69, U),
    ("gopher", 70, T), ("finger", 79, T), ("http", 80, T), ("www", 80, T), ("kerberos", 88, TU), ("pop3", 110, T),
    ("sunrpc", 111, TU), ("auth", 113, T), ("nntp", 119, T), ("ntp", 123, U), ("epmap", 135, T),
    ("netbios-ns", 137, U), ("netbios-dgm", 138, U), ("netbios-ssn", 139, T), ("imap2", 143, T), ("imap", 143, T),
    ("snmp", 161, TU), ("snmp-trap", 162, TU), ("bgp", 179, T), ("irc", 194, TU), ("ldap", 389, TU),
    ("https", 443, TU), ("microsoft-ds", 445, T), ("isakmp", 500, U), ("syslog", 514, U), ("shell", 514, T),
    ("printer", 515, T), ("rtsp", 554, TU), ("submission", 587, T), ("ipp", 631, T), ("ldaps", 636, TU),
    ("domain-s", 853, TU), ("ftps", 990, T), ("telnets", 992, T), ("imaps", 993, T), ("pop3s", 995, T),
    ("socks", 1080, T), ("openvpn", 1194, TU), ("ms-sql-s", 1433, T), ("ms-sql-m", 1434, U),
    ("l2f", 1701, U), ("radius", 1812, TU), ("nfs", 2049, TU), ("mysql", 3306, T), ("ms-wbt-server", 3389, T),
    ("svn", 3690, T), ("ipsec-nat-t", 4500, U), ("sip", 5060, TU), ("sip-tls", 5061, TU),
    ("xmpp-client", 5222, T), ("mdns", 5353, U), ("postgresql", 5432, T), ("amqp", 5672, T), ("x11", 6000, T),
    ("redis", 6379, T), ("http-alt", 8080, TU), ("git", 9418, T),
];

/// Port of a service and its transports (`services(5)`).
pub(crate) fn service(name: &str) -> Option<(u16, u8)> {
    SERVICES.iter().find(|(known, ..)| *known == name).map(|(_, port, over)| (*port, *over))
}

/// LLC frame types by name: mask and value of the first control byte (IEEE 802.2).
pub(crate) fn llc_control(name: &str) -> Option<(u32, u32)> {
    Some(match name {
        "s" => (0x03, 0x01),
        "u" => (0x03, 0x03),
        "rr" => (0x0f, 0x01),
        "rnr" => (0x0f, 0x05),
        "rej" => (0x0f, 0x09),
        "ui" => (0xef, 0x03),
        "ua" => (0xef, 0x63),
        "disc" => (0xef, 0x43),
        "sabme" => (0xef, 0x6f),
        "test" => (0xef, 0xe3),
        "xid" => (0xef, 0xaf),
        "frmr" => (0xef, 0x87),
        _ => return None,
    })
}
