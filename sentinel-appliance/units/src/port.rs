//! Well-known ports (<https://www.iana.org/assignments/service-names-port-numbers>) that parsers ask for by name. The ports
//! by which services are recognised are in [`service`](crate::service).

use crate::Port;

/// Secure shell.
pub const SSH: Port = Port(22);
/// Mail transfer.
pub const SMTP: Port = Port(25);
/// Domain names.
pub const DNS: Port = Port(53);
/// DHCP for IPv4, server side.
pub const DHCP_SERVER: Port = Port(67);
/// DHCP for IPv4, client side.
pub const DHCP_CLIENT: Port = Port(68);
/// Port of DHCP clients over IPv6.
pub const DHCPV6_CLIENT: Port = Port(546);
/// Port of DHCP servers over IPv6.
pub const DHCPV6_SERVER: Port = Port(547);
/// HTTP over TLS or QUIC.
pub const HTTPS: Port = Port(443);
/// Mail submission (RFC 6409).
pub const SUBMISSION: Port = Port(587);
/// Discovery of devices, in the syntax of HTTP.
pub const SSDP: Port = Port(1900);
/// Packets of users in mobile networks.
pub const GTP_USER: Port = Port(2152);
/// VXLAN.
pub const VXLAN: Port = Port(4789);
/// VXLAN with a field that names what is inside (draft-ietf-nvo3-vxlan-gpe-12 section 3).
pub const VXLAN_GPE: Port = Port(4790);
/// Multicast DNS.
pub const MULTICAST_DNS: Port = Port(5353);
/// Link-local multicast name resolution.
pub const LLMNR: Port = Port(5355);
/// Geneve.
pub const GENEVE: Port = Port(6081);
/// Redis.
pub const REDIS: Port = Port(6379);
/// VXLAN of Linux before a port was assigned.
pub const VXLAN_LINUX: Port = Port(8472);
