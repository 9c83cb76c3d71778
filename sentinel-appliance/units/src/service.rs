//! Services: names and ports of application protocols, one row each.
//!
//! The rows are data for every crate: flows name an application by them, `--protocol` filters by them, and the kernel
//! program that cuts bulk traffic keeps their packets at full length. The code that recognises and reads the protocols is in
//! `sentinel-dissect`, whose table refers to these rows.

use crate::{Port, ip_protocol};

/// Ports of a service, for each transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// TCP ports.
    pub tcp: &'static [u16],
    /// UDP ports.
    pub udp: &'static [u16],
}

/// An application protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Service {
    /// Short name in lower case: `app` of flows, `record` of records, `--protocol`.
    pub name: &'static str,
    /// Ports of servers: a flow to one of them is of this service if its bytes do not identify another. IANA's below 256, others are in
    /// common use. Each port is listed once for each transport; a service without ports is recognised by its bytes alone.
    pub server: Ports,
    /// Ports that `--protocol NAME` selects, narrower than `server` where other services share ports in practice; if both
    /// are empty, `--protocol` does not offer the name.
    pub filter: &'static Ports,
    /// Ports from 1024 up whose packets are captured at full length although they are long (those of system ports always are).
    pub full_snap: &'static Ports,
    /// First four bytes of TCP payloads that are captured at full length, whatever the port.
    pub prefixes: &'static [&'static [u8; 4]],
}

const NO_PORTS: Ports = Ports { tcp: &[], udp: &[] };

impl Service {
    const fn new(name: &'static str) -> Self {
        Self { name, server: NO_PORTS, filter: &NO_PORTS, full_snap: &NO_PORTS, prefixes: &[] }
    }

    const fn tcp(self, ports: &'static [u16]) -> Self {
        Self { server: Ports { tcp: ports, ..self.server }, ..self }
    }

    const fn udp(self, ports: &'static [u16]) -> Self {
        Self { server: Ports { udp: ports, ..self.server }, ..self }
    }

    const fn filter(self, filter: &'static Ports) -> Self {
        Self { filter, ..self }
    }

    const fn full_snap(self, full_snap: &'static Ports) -> Self {
        Self { full_snap, ..self }
    }

    const fn prefixes(self, prefixes: &'static [&'static [u8; 4]]) -> Self {
        Self { prefixes, ..self }
    }

    /// Returns true if `--protocol` offers the name.
    #[must_use]
    pub const fn has_filter(&self) -> bool {
        !self.filter.tcp.is_empty() || !self.filter.udp.is_empty()
    }

    /// Position in [`SERVICES`] plus one, which fits the byte that a flow has for it; zero stands for none.
    #[must_use]
    pub fn id(&self) -> u8 {
        let position = SERVICES.iter().position(|other| other.name == self.name);
        position.and_then(|position| u8::try_from(position + 1).ok()).unwrap_or(0)
    }
}

/// The service with this [`Service::id`].
#[must_use]
pub fn by_id(id: u8) -> Option<&'static Service> {
    SERVICES.get(usize::from(id).checked_sub(1)?).copied()
}

/// The service whose servers have this port.
#[must_use]
pub fn by_port(transport: u8, port: Port) -> Option<&'static Service> {
    SERVICES.iter().copied().find(|service| match transport {
        ip_protocol::TCP => service.server.tcp.contains(&port.0),
        ip_protocol::UDP => service.server.udp.contains(&port.0),
        _ => false,
    })
}

macro_rules! services {
    ($($constant:ident = $service:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($constant), "`: see [`SERVICES`].")]
            pub const $constant: &Service = &$service;
        )*
        /// All services; those that `--protocol` offers in the order of its help text.
        pub const SERVICES: &[&Service] = &[$($constant),*];
    };
}

services! {
    HTTP = Service::new("http").tcp(&[80, 3128, 8000, 8008, 8080, 8888]).filter(&Ports { tcp: &[80, 8000, 8080], udp: &[] })
        .full_snap(&Ports { tcp: &[3128, 8000, 8080], udp: &[] })
        .prefixes(&[
            b"GET ", b"POST", b"PUT ", b"HEAD", b"HTTP", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI ",
        ]);
    DNS = Service::new("dns").tcp(&[53]).udp(&[53]).filter(&Ports { tcp: &[53], udp: &[53, 5353] });
    // HTTPS, SMTPS, NNTPS, LDAPS, DNS over TLS, FTPS (data, control), TELNETS, IMAPS, IRCS, POP3S, SIPS, XMPP over TLS, HTTPS
    // on an unprivileged port, MQTT over TLS.
    TLS = Service::new("tls")
        .tcp(&[443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 5223, 8443, 8883])
        .filter(&Ports { tcp: &[443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 8443], udp: &[] })
        .full_snap(&Ports { tcp: &[8443, 8883], udp: &[] });
    QUIC = Service::new("quic").udp(&[443, 853]).filter(&Ports { tcp: &[], udp: &[443] });
    MDNS = Service::new("mdns").udp(&[5353]).full_snap(&Ports { tcp: &[], udp: &[5353] });
    LLMNR = Service::new("llmnr").udp(&[5355]).full_snap(&Ports { tcp: &[], udp: &[5355] });
    SSH = Service::new("ssh").tcp(&[22]).prefixes(&[b"SSH-"]);
    SMTP = Service::new("smtp").tcp(&[25, 587]).filter(&Ports { tcp: &[25, 587], udp: &[] });
    // A server of SMTP greets with the same code.
    FTP = Service::new("ftp").tcp(&[21]).prefixes(&[b"220 ", b"220-"]);
    POP3 = Service::new("pop3").tcp(&[110]);
    IMAP = Service::new("imap").tcp(&[143]);
    TELNET = Service::new("telnet").tcp(&[23]);
    RDP = Service::new("rdp").tcp(&[3389]).udp(&[3389]).full_snap(&Ports { tcp: &[3389], udp: &[] });
    SMB = Service::new("smb").tcp(&[445]);
    NETBIOS_SSN = Service::new("netbios_ssn").tcp(&[139]);
    NETBIOS_NS = Service::new("netbios_ns").udp(&[137]);
    NETBIOS_DGM = Service::new("netbios_dgm").udp(&[138]);
    DHCP = Service::new("dhcp").udp(&[67, 68]);
    DHCPV6 = Service::new("dhcpv6").udp(&[546, 547]);
    NTP = Service::new("ntp").udp(&[123]);
    SNMP = Service::new("snmp").udp(&[161, 162]);
    SSDP = Service::new("ssdp").udp(&[1900]).full_snap(&Ports { tcp: &[], udp: &[1900] });
    STUN = Service::new("stun").tcp(&[3478]).udp(&[3478]).full_snap(&Ports { tcp: &[], udp: &[3478] });
    SIP = Service::new("sip").tcp(&[5060]).udp(&[5060]).full_snap(&Ports { tcp: &[5060, 5061], udp: &[5060, 5061] });
    RTSP = Service::new("rtsp").tcp(&[554]).prefixes(&[b"RTSP"]);
    DTLS = Service::new("dtls");
    BITTORRENT = Service::new("bittorrent").tcp(&[6881]).udp(&[6881]).prefixes(&[b"\x13Bit"]);
    VNC = Service::new("vnc").tcp(&[5900]).full_snap(&Ports { tcp: &[5900], udp: &[] });
    MQTT = Service::new("mqtt").tcp(&[1883]).full_snap(&Ports { tcp: &[1883], udp: &[] });
    IRC = Service::new("irc").tcp(&[6667]).full_snap(&Ports { tcp: &[6667], udp: &[] });
    LDAP = Service::new("ldap").tcp(&[389]).udp(&[389]);
    KERBEROS = Service::new("kerberos").tcp(&[88]).udp(&[88]);
    BGP = Service::new("bgp").tcp(&[179]);
    REDIS = Service::new("redis").tcp(&[6379]).full_snap(&Ports { tcp: &[6379], udp: &[] });
    MYSQL = Service::new("mysql").tcp(&[3306]).full_snap(&Ports { tcp: &[3306], udp: &[] });
    POSTGRESQL = Service::new("postgresql").tcp(&[5432]).full_snap(&Ports { tcp: &[5432], udp: &[] });
    MODBUS = Service::new("modbus").tcp(&[502]);
    WIREGUARD = Service::new("wireguard").udp(&[51820]);
    OPENVPN = Service::new("openvpn").tcp(&[1194]).udp(&[1194]);
    IKE = Service::new("ike").udp(&[500, 4500]);
    L2TP = Service::new("l2tp").udp(&[1701]);
    RADIUS = Service::new("radius").udp(&[1812, 1813]).full_snap(&Ports { tcp: &[], udp: &[1812, 1813] });
    TFTP = Service::new("tftp").udp(&[69]);
    SYSLOG = Service::new("syslog").udp(&[514]);
    // For IPv6 the next port.
    RIP = Service::new("rip").udp(&[520, 521]);
    NETFLOW = Service::new("netflow").udp(&[2055, 4739]).full_snap(&Ports { tcp: &[], udp: &[2055, 4739, 9995] });
    SFLOW = Service::new("sflow").udp(&[6343]).full_snap(&Ports { tcp: &[], udp: &[6343] });
    COAP = Service::new("coap").udp(&[5683]).full_snap(&Ports { tcp: &[], udp: &[5683] });
    NFS = Service::new("nfs").tcp(&[2049]).udp(&[2049]);
    // Over IP itself.
    IGMP = Service::new("igmp");
    OSPF = Service::new("ospf");
    EIGRP = Service::new("eigrp");
    SCTP = Service::new("sctp");
    GRE = Service::new("gre");
    // Captured at full length; flows do not name them.
    MSSQL = Service::new("mssql").full_snap(&Ports { tcp: &[1433], udp: &[1434] });
    ORACLE = Service::new("oracle").full_snap(&Ports { tcp: &[1521], udp: &[] });
    XMPP = Service::new("xmpp").full_snap(&Ports { tcp: &[5222, 5269], udp: &[] });
    ELASTICSEARCH = Service::new("elasticsearch").full_snap(&Ports { tcp: &[9200], udp: &[] });
    MQTT_SN = Service::new("mqtt_sn").full_snap(&Ports { tcp: &[], udp: &[1884] });
    WS_DISCOVERY = Service::new("ws_discovery").full_snap(&Ports { tcp: &[], udp: &[3702] });
    NAT_PMP = Service::new("nat_pmp").full_snap(&Ports { tcp: &[], udp: &[5351] });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_server_ports_are_unique() {
        for (index, service) in SERVICES.iter().enumerate() {
            for other in &SERVICES[index + 1..] {
                let (ports, others) = (service.server, other.server);
                assert_ne!(service.name, other.name);
                assert!(
                    ports.tcp.iter().all(|port| !others.tcp.contains(port)),
                    "{} {}",
                    service.name,
                    other.name
                );
                assert!(
                    ports.udp.iter().all(|port| !others.udp.contains(port)),
                    "{} {}",
                    service.name,
                    other.name
                );
                assert!(
                    service.prefixes.iter().all(|prefix| !other.prefixes.contains(prefix)),
                    "{}",
                    service.name
                );
            }
        }
        assert!(SERVICES.len() < usize::from(u8::MAX));
    }

    #[test]
    fn services_are_found_by_port_and_by_id() {
        let at = |transport, port| by_port(transport, Port(port)).map(|service| service.name);
        assert_eq!((at(6, 443), at(17, 443), at(1, 53)), (Some("tls"), Some("quic"), None));
        assert_eq!((at(17, 123), at(6, 22), at(6, 4_000)), (Some("ntp"), Some("ssh"), None));
        for service in SERVICES {
            assert_eq!(by_id(service.id()), Some(*service));
        }
        assert_eq!((by_id(0), by_id(255)), (None, None));
    }

    #[test]
    fn ports_of_full_captures_are_user_ports_without_repetition() {
        let all =
            |ports: fn(&Service) -> &'static [u16]| SERVICES.iter().flat_map(move |it| ports(it)).copied();
        for ports in [|it: &Service| it.full_snap.tcp, |it: &Service| it.full_snap.udp] {
            assert!(
                all(ports).all(|port| port >= 1024 && all(ports).filter(|other| *other == port).count() == 1)
            );
        }
        assert_eq!((all(|it| it.full_snap.tcp).count(), all(|it| it.full_snap.udp).count()), (19, 17));
    }
}
