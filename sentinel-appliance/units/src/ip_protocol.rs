//! IP protocol numbers (<https://www.iana.org/assignments/protocol-numbers>) that the sensor reads or names, IPv6 extension
//! headers among them.

/// IPv6 hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Internet Control Message Protocol.
pub const ICMP: u8 = 1;
/// Internet Group Management Protocol.
pub const IGMP: u8 = 2;
/// IPv4 inside IP.
pub const IPV4: u8 = 4;
/// Transmission Control Protocol.
pub const TCP: u8 = 6;
/// User Datagram Protocol.
pub const UDP: u8 = 17;
/// Datagram Congestion Control Protocol.
pub const DCCP: u8 = 33;
/// IPv6 inside IP.
pub const IPV6: u8 = 41;
/// IPv6 routing header.
pub const IPV6_ROUTING: u8 = 43;
/// IPv6 fragment header.
pub const IPV6_FRAGMENT: u8 = 44;
/// Resource Reservation Protocol.
pub const RSVP: u8 = 46;
/// Generic Routing Encapsulation.
pub const GRE: u8 = 47;
/// Encapsulating Security Payload.
pub const ESP: u8 = 50;
/// Authentication Header.
pub const AH: u8 = 51;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// Nothing follows the IPv6 headers.
pub const NO_NEXT_HEADER: u8 = 59;
/// IPv6 destination options.
pub const DESTINATION_OPTIONS: u8 = 60;
/// Enhanced Interior Gateway Routing Protocol.
pub const EIGRP: u8 = 88;
/// Open Shortest Path First.
pub const OSPF: u8 = 89;
/// Protocol Independent Multicast.
pub const PIM: u8 = 103;
/// Virtual Router Redundancy Protocol.
pub const VRRP: u8 = 112;
/// Layer Two Tunneling Protocol.
pub const L2TP: u8 = 115;
/// Stream Control Transmission Protocol.
pub const SCTP: u8 = 132;
/// IPv6 mobility header.
pub const MOBILITY: u8 = 135;
/// UDP-Lite.
pub const UDP_LITE: u8 = 136;
/// MPLS inside IP.
pub const MPLS: u8 = 137;
/// Host Identity Protocol.
pub const HIP: u8 = 139;
/// Shim6, an IPv6 extension header.
pub const SHIM6: u8 = 140;
