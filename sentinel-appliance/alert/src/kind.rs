//! Kinds, tests, severities and phases. Append only.
//!
//! A new kind is one line of `kinds!`, a new test one line of `tests!`: everything that is shown of either comes from there.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares [`Kind`] from one line for each kind: its name in machine output, its title for people, its colour and its
/// technique. The order is that of the tags on the wire.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident { $name:literal, $title:literal, $colour:ident, $technique:literal },)+) => {
        /// Category of an alert. A new one goes to the end of the list, which keeps the wire tags of all others.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind, in wire order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$kind),+];

            /// Name in settings, machine output and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Name for people, for headings and table cells.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)+
                }
            }

            /// Colour in which a terminal shows the kind.
            #[must_use]
            pub const fn colour(self) -> Colour {
                match self {
                    $(Self::$kind => Colour::$colour,)+
                }
            }

            /// MITRE ATT&CK (Enterprise, version 15) technique that the kind points at.
            #[must_use]
            pub const fn technique(self) -> &'static str {
                match self {
                    $(Self::$kind => $technique,)+
                }
            }
        }
    };
}

kinds! {
    /// One source tries many ports. Network Service Discovery.
    PortScan { "port_scan", "Port scan", Blue, "T1046" },
    /// TCP connection requests at a high rate, of one source or to one victim. Network Denial of Service: Direct Network Flood.
    SynFlood { "syn_flood", "SYN flood", Blue, "T1498.001" },
    /// Echo requests at a high rate, of one source or to one victim. Network Denial of Service: Direct Network Flood.
    IcmpFlood { "icmp_flood", "ICMP flood", Green, "T1498.001" },
    /// Contact with a port that malware is known to use. Non-Standard Port.
    SuspiciousPort { "suspicious_port", "Suspicious port", Blue, "T1571" },
    /// A station claims an IPv4 address that another holds. Adversary-in-the-Middle: ARP Cache Poisoning.
    ArpSpoof { "arp_spoof", "ARP spoof", Magenta, "T1557.002" },
    /// Data inside DNS names. Application Layer Protocol: DNS.
    DnsTunnel { "dns_tunnel", "DNS tunnel", Yellow, "T1071.004" },
    /// An internal host sends a large volume to external hosts. Exfiltration Over Alternative Protocol.
    Exfiltration { "exfiltration", "Exfiltration", Cyan, "T1048" },
    /// Password guessing. Brute Force.
    BruteForce { "brute_force", "Brute force", Blue, "T1110" },
    /// Datagrams without a response at a high rate, of one source or to one victim. Network Denial of Service: Direct Network Flood.
    UdpFlood { "udp_flood", "UDP flood", Green, "T1498.001" },
    /// A file of the sensor itself was damaged. Data Manipulation: Stored Data Manipulation.
    StateDamage { "state_damage", "Damaged state", Magenta, "T1565.001" },
    /// Segments of no connection reach one destination at a high rate. Endpoint Denial of Service: OS Exhaustion Flood.
    TcpFlood { "tcp_flood", "TCP flood", Blue, "T1499.001" },
    /// Fragments of datagrams that stay incomplete reach one destination at a high rate. OS Exhaustion Flood.
    FragmentFlood { "fragment_flood", "Fragment flood", Green, "T1499.001" },
    /// One source searches many hosts. Remote System Discovery.
    HostSweep { "host_sweep", "Host sweep", Blue, "T1018" },
    /// Names that an algorithm has made. Dynamic Resolution: Domain Generation Algorithms.
    Dga { "dga", "Generated domains", Yellow, "T1568.002" },
    /// A station claims an IPv6 address that another holds. Adversary-in-the-Middle.
    NdpSpoof { "ndp_spoof", "NDP spoof", Magenta, "T1557" },
    /// A second DHCP server names another router or resolver. Adversary-in-the-Middle: DHCP Spoofing.
    RogueDhcp { "rogue_dhcp", "Rogue DHCP server", Magenta, "T1557.003" },
    /// A router advertises itself beside another or in its name. Adversary-in-the-Middle.
    RogueRa { "rogue_ra", "Rogue router", Magenta, "T1557" },
    /// The known server or router names another resolver. Adversary-in-the-Middle: DHCP Spoofing.
    RogueDns { "rogue_dns", "Rogue resolver", Yellow, "T1557.003" },
    /// Leases are asked for in the names of many clients. Endpoint Denial of Service: Service Exhaustion Flood.
    DhcpStarvation { "dhcp_starvation", "DHCP starvation", Green, "T1499.002" },
    /// Frames from many hardware addresses that were never seen. Network Sniffing, which it is for.
    MacFlood { "mac_flood", "MAC flood", Magenta, "T1040" },
    /// One host asks for many domains that do not exist. Dynamic Resolution.
    NxdomainBurst { "nxdomain_burst", "Nonexistent domains", Yellow, "T1568" },
    /// A name of the Internet moves to an address inside. Drive-by Compromise.
    DnsRebinding { "dns_rebinding", "DNS rebinding", Yellow, "T1189" },
    /// An internationalised name looks like a well-known one. Phishing: Spearphishing Link.
    PunycodeLookalike { "punycode_lookalike", "Look-alike name", Yellow, "T1566.002" },
    /// A name with many short-lived addresses. Dynamic Resolution: Fast Flux DNS.
    FastFlux { "fast_flux", "Fast flux", Yellow, "T1568.001" },
    /// Contacts with one external destination at regular times. Application Layer Protocol, by which an implant asks for commands.
    Beacon { "beacon", "Beacon", Cyan, "T1071" },
    /// A station of the inside network that was not seen before. Hardware Additions.
    NewDevice { "new_device", "New device", Magenta, "T1200" },
    /// Many bytes in one connection with an external host. Data Transfer Size Limits are what an exfiltration stays below.
    LargeTransfer { "large_transfer", "Large transfer", Cyan, "T1030" },
    /// A host asks for a server of a chat service. Web Service.
    ChatApp { "chat_app", "Chat service", Magenta, "T1102" },
    /// A host asks for a server of a cloud storage service. Exfiltration to Cloud Storage.
    CloudStorage { "cloud_storage", "Cloud storage", Magenta, "T1567.002" },
    /// A host asks for a name in an often abused zone. Acquire Infrastructure: Domains.
    SuspiciousTld { "suspicious_tld", "Often abused zone", Yellow, "T1583.001" },
    /// A host asks for a name that a list calls malicious. Application Layer Protocol.
    MaliciousDomain { "malicious_domain", "Malicious domain", Yellow, "T1071" },
    /// A host contacts an address that a list calls malicious. Application Layer Protocol.
    MaliciousIp { "malicious_ip", "Malicious address", Blue, "T1071" },
    /// A host contacts the Tor network. Proxy: Multi-hop Proxy.
    Tor { "tor", "Tor", Blue, "T1090.003" },
    /// A host contacts an address of a data centre. Acquire Infrastructure: Virtual Private Server.
    DatacenterIp { "datacenter_ip", "Data centre", Blue, "T1583.003" },
    /// A host contacts a public proxy or VPN. Proxy: External Proxy.
    ProxyVpn { "proxy_vpn", "Proxy or VPN", Blue, "T1090.002" },
    /// A host sends a password that anyone on the way can read. Network Sniffing, which finds it.
    CleartextCredentials { "cleartext_credentials", "Clear-text credentials", Cyan, "T1040" },
    /// A server negotiates poor TLS. Adversary-in-the-Middle, which it permits.
    TlsRisk { "tls_risk", "TLS risk", Magenta, "T1557" },
    /// Two hosts exchange data in echo messages. Non-Application Layer Protocol.
    IcmpTunnel { "icmp_tunnel", "ICMP tunnel", Green, "T1095" },
    /// A program and no person sends requests. Active Scanning, which attack tools and crawlers do.
    Bot { "bot", "Bot", Cyan, "T1595" },
    /// A host begins TLS as a program that a list calls malicious. Encrypted Channel: Asymmetric Cryptography.
    MaliciousFingerprint { "malicious_fingerprint", "Malicious fingerprint", Magenta, "T1573.002" },
    /// A packet or a first payload that breaks the rules of its protocol or port. Non-Standard Port.
    ProtocolAnomaly { "protocol_anomaly", "Protocol anomaly", Blue, "T1571" },
    /// A station that was seen around the clock is silent. System Shutdown/Reboot.
    DeviceOffline { "device_offline", "Silent device", Magenta, "T1529" },
}

/// Colour of a kind in a terminal: that of the protocol which its alerts are about, as packets are printed (TCP blue, UDP
/// and ICMP green, HTTP cyan, TLS magenta, DNS yellow), or the nearest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Colour {
    /// TCP.
    Blue,
    /// UDP and ICMP.
    Green,
    /// Volume, as HTTP.
    Cyan,
    /// Identity, as TLS.
    Magenta,
    /// DNS.
    Yellow,
}

impl Kind {
    /// Returns true if a detector raises the kind; false if the sensor raises it about itself, whatever the traffic is.
    #[must_use]
    pub const fn is_detected(self) -> bool {
        !matches!(self, Self::StateDamage)
    }

    /// Returns true for a search for hosts or services, of which contacts with single ports are a part.
    #[must_use]
    pub const fn is_search(self) -> bool {
        matches!(self, Self::PortScan | Self::HostSweep)
    }

    /// The kind of that name, or `None`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Declares [`Test`] from one line for each test: its kind, its name in machine output, what its evidence counts, and the
/// word between the action and the destination in a summary. The order is that of the tags on the wire.
macro_rules! tests {
    ($($(#[$doc:meta])* $test:ident { $kind:ident, $name:expr, $counted:literal, $preposition:literal },)+) => {
        /// Test of a kind that fired. Simple thresholds and stronger tests can be judged apart. A new one goes to the
        /// end of the list, which keeps the wire tags of all others.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[non_exhaustive]
        pub enum Test {
            $($(#[$doc])* $test,)+
        }

        impl Test {
            /// Every test, in wire order.
            pub const ALL: [Self; [$($counted),+].len()] = [$(Self::$test),+];

            /// The kind this test belongs to.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$test => Kind::$kind,)+
                }
            }

            /// Name in machine output; kinds with one test repeat the kind.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$test => $name,)+
                }
            }

            /// Plural noun for what the evidence counts; of contacts that a list names, what the list says of them.
            pub(crate) const fn counted(self) -> &'static str {
                match self {
                    $(Self::$test => $counted,)+
                }
            }

            /// Word between the action and the destination.
            pub(crate) const fn preposition(self) -> &'static str {
                match self {
                    $(Self::$test => $preposition,)+
                }
            }
        }
    };
}

tests! {
    /// [`Kind::PortScan`]: distinct ports of one source in a window.
    PortScanPortsInWindow { PortScan, "ports_in_window", "ports", "of" },
    /// [`Kind::SynFlood`]: SYN-only packets of one source in a window.
    SynFloodPerSource { SynFlood, "per_source", "connection requests", "to" },
    /// [`Kind::IcmpFlood`]: echo requests of one source in a window.
    IcmpFloodPerSource { IcmpFlood, "per_source", "echo requests", "to" },
    /// [`Kind::SuspiciousPort`]: a flow opened to a listed port.
    SuspiciousPort { SuspiciousPort, Kind::SuspiciousPort.name(), "contacts", "at" },
    /// [`Kind::ArpSpoof`]: an address changed its hardware address.
    ArpSpoof { ArpSpoof, Kind::ArpSpoof.name(), "changes", "as told to" },
    /// [`Kind::DnsTunnel`]: a name over the threshold.
    DnsTunnelNameLength { DnsTunnel, "name_length", "names", "through" },
    /// [`Kind::Exfiltration`]: outbound bytes of one internal host in a window.
    ExfiltrationBytesInWindow { Exfiltration, "bytes_in_window", "bytes", "to" },
    /// [`Kind::BruteForce`]: connection requests of one source to one login service in a window.
    BruteForceSynInWindow { BruteForce, "syn_in_window", "login connections", "to" },
    /// [`Kind::UdpFlood`]: datagrams of one source to one destination in a window, without a response.
    UdpFloodPerSource { UdpFlood, "per_source", "unanswered datagrams", "to" },
    /// [`Kind::StateDamage`]: a key, the log, the journal or the enrollment was damaged.
    StateDamage { StateDamage, Kind::StateDamage.name(), "files", "of" },
    /// [`Kind::SynFlood`]: connection requests of many sources to one destination, without a completed handshake.
    SynFloodPerVictim { SynFlood, "per_victim", "incomplete connection requests", "to" },
    /// [`Kind::IcmpFlood`]: ICMP messages of many sources to one destination.
    IcmpFloodPerVictim { IcmpFlood, "per_victim", "ICMP messages", "to" },
    /// [`Kind::UdpFlood`]: datagrams of many sources to one destination that are neither answered nor answers.
    UdpFloodPerVictim { UdpFlood, "per_victim", "unanswered or unrequested datagrams", "to" },
    /// [`Kind::TcpFlood`]: segments of many sources to one destination that belong to no connection.
    TcpFlood { TcpFlood, Kind::TcpFlood.name(), "segments of no connection", "to" },
    /// [`Kind::FragmentFlood`]: fragments of many sources to one destination whose datagrams stay incomplete.
    FragmentFlood { FragmentFlood, Kind::FragmentFlood.name(), "fragments of incomplete datagrams", "to" },
    /// [`Kind::PortScan`]: first contacts of one source that failed, by a sequential test.
    PortScanFailedContacts { PortScan, "failed_contacts", "ports", "of" },
    /// [`Kind::PortScan`]: packets of one source that nobody sends but to probe or to evade.
    PortScanCraftedPackets { PortScan, "crafted_packets", "crafted packets", "to" },
    /// [`Kind::HostSweep`]: first contacts of one source that failed, with more hosts than ports.
    HostSweep { HostSweep, Kind::HostSweep.name(), "hosts", "of" },
    /// [`Kind::Exfiltration`]: outbound bytes of one internal host that ordinary transfers do not have the shape of.
    ExfiltrationBaseline { Exfiltration, "baseline", "bytes", "to" },
    /// [`Kind::BruteForce`]: log-ins of one source, or at one service, that failed.
    BruteForceFailedSessions { BruteForce, "failed_sessions", "failed log-ins", "to" },
    /// [`Kind::DnsTunnel`]: information in the names and answers of one registered domain.
    DnsTunnelBytesLeaked { DnsTunnel, "bytes_leaked", "messages", "through" },
    /// [`Kind::Dga`]: score of one name.
    DgaName { Dga, "name", "names", "of" },
    /// [`Kind::Dga`]: evidence of all new names of one host.
    DgaHost { Dga, "host", "new domains", "of" },
    /// [`Kind::NdpSpoof`]: an address changed its hardware address.
    NdpSpoof { NdpSpoof, Kind::NdpSpoof.name(), "changes", "as told to" },
    /// [`Kind::RogueDhcp`]: offers and acknowledgements of a second server.
    RogueDhcp { RogueDhcp, Kind::RogueDhcp.name(), "answered DHCP clients", "to" },
    /// [`Kind::RogueRa`]: advertisements of a second router, or in the name of the first.
    RogueRa { RogueRa, Kind::RogueRa.name(), "advertised itself as router", "to" },
    /// [`Kind::RogueDns`]: a resolver that was not named before.
    RogueDns { RogueDns, Kind::RogueDns.name(), "named another resolver than before", "to" },
    /// [`Kind::DhcpStarvation`]: distinct clients that ask for leases in a window.
    DhcpStarvation { DhcpStarvation, Kind::DhcpStarvation.name(), "requests for leases in the names of different clients", "to" },
    /// [`Kind::MacFlood`]: hardware addresses in a second that were never seen before.
    MacFlood { MacFlood, Kind::MacFlood.name(), "frames from hardware addresses never seen before", "to" },
    /// [`Kind::NxdomainBurst`]: distinct domains in a window that do not exist.
    NxdomainBurst { NxdomainBurst, Kind::NxdomainBurst.name(), "domains that do not exist", "of" },
    /// [`Kind::DnsRebinding`]: a name that was public was answered with an address inside.
    DnsRebinding { DnsRebinding, Kind::DnsRebinding.name(), "names", "of" },
    /// [`Kind::PunycodeLookalike`]: a name that looks like one of the list.
    PunycodeLookalike { PunycodeLookalike, Kind::PunycodeLookalike.name(), "names", "of" },
    /// [`Kind::PunycodeLookalike`]: a name with letters of several alphabets.
    PunycodeMixedScripts { PunycodeLookalike, "mixed_scripts", "names", "of" },
    /// [`Kind::FastFlux`]: networks of the short-lived addresses of a name.
    FastFlux { FastFlux, Kind::FastFlux.name(), "short-lived addresses", "of" },
    /// [`Kind::Beacon`]: gaps between the contacts of one host with one destination.
    Beacon { Beacon, Kind::Beacon.name(), "contacts", "to" },
    /// [`Kind::NewDevice`]: a hardware address that was not seen since the start.
    NewDevice { NewDevice, Kind::NewDevice.name(), "devices", "at" },
    /// [`Kind::LargeTransfer`]: bytes in one direction of a connection.
    LargeTransfer { LargeTransfer, Kind::LargeTransfer.name(), "bytes", "to" },
    /// [`Kind::ChatApp`]: a name of a listed service.
    ChatApp { ChatApp, Kind::ChatApp.name(), "a server of", "at" },
    /// [`Kind::CloudStorage`]: a name of a listed service.
    CloudStorage { CloudStorage, Kind::CloudStorage.name(), "a server of", "at" },
    /// [`Kind::SuspiciousTld`]: a name in a listed zone.
    SuspiciousTld { SuspiciousTld, Kind::SuspiciousTld.name(), "in an often abused zone", "at" },
    /// [`Kind::MaliciousDomain`]: a listed name, or one below it.
    MaliciousDomain { MaliciousDomain, Kind::MaliciousDomain.name(), "listed as malicious", "at" },
    /// [`Kind::MaliciousIp`]: a flow opened to a listed address.
    MaliciousIp { MaliciousIp, Kind::MaliciousIp.name(), "malicious", "at" },
    /// [`Kind::Tor`]: a flow opened to a listed exit node.
    TorExitNode { Tor, "exit_node", "Tor exit node", "at" },
    /// [`Kind::Tor`]: a flow opened to a listed relay.
    TorRelay { Tor, "relay", "Tor relay", "at" },
    /// [`Kind::Tor`]: a flow opened to a listed bridge.
    TorBridge { Tor, "bridge", "Tor bridge", "at" },
    /// [`Kind::DatacenterIp`]: a flow opened to a listed address.
    DatacenterIp { DatacenterIp, Kind::DatacenterIp.name(), "that of a data centre", "at" },
    /// [`Kind::ProxyVpn`]: a flow opened to a listed address.
    ProxyVpn { ProxyVpn, Kind::ProxyVpn.name(), "proxy or VPN", "at" },
    /// [`Kind::CleartextCredentials`]: connections with a password in clear text.
    CleartextCredentials { CleartextCredentials, Kind::CleartextCredentials.name(), "sent credentials in clear text", "to" },
    /// [`Kind::TlsRisk`]: connections of a poor version, suite or certificate.
    TlsRisk { TlsRisk, Kind::TlsRisk.name(), "was offered poor TLS", "by" },
    /// [`Kind::IcmpTunnel`]: echo messages whose data ping programs do not send.
    IcmpTunnel { IcmpTunnel, Kind::IcmpTunnel.name(), "exchanged data in echo messages", "with" },
    /// [`Kind::Bot`]: user agent of a tool, a library or a crawler.
    BotUserAgent { Bot, "user_agent", "sent requests with the user agent of a program", "to" },
    /// [`Kind::Bot`]: user agent of a browser without the headers that all browsers send.
    BotBehaviour { Bot, "behaviour", "sent requests in the name of a browser, without the headers that browsers send,", "to" },
    /// [`Kind::MaliciousFingerprint`]: JA3 or JA4 of a client.
    MaliciousFingerprint { MaliciousFingerprint, Kind::MaliciousFingerprint.name(), "began TLS like a program that a list calls malicious", "with" },
    /// [`Kind::MaliciousDomain`]: a listed address of a page or file.
    MaliciousUrl { MaliciousDomain, "url", "listed as malicious", "at" },
    /// [`Kind::MaliciousDomain`]: a name or URL of which 16 bits of a hash are those of a listed one.
    MaliciousUnconfirmed { MaliciousDomain, "unconfirmed", "perhaps listed as malicious", "at" },
    /// [`Kind::TcpFlood`]: segments of one source to one destination that belong to no connection.
    TcpFloodPerSource { TcpFlood, "per_source", "segments of no connection", "to" },
    /// [`Kind::FragmentFlood`]: fragments of one source to one destination whose datagrams stay incomplete.
    FragmentFloodPerSource { FragmentFlood, "per_source", "fragments of incomplete datagrams", "to" },
    /// [`Kind::ProtocolAnomaly`]: connection requests whose source is their destination.
    Land { ProtocolAnomaly, "land", "sent connection requests that name their destination as their source", "to" },
    /// [`Kind::ProtocolAnomaly`]: packets that no stack sends.
    Malformed { ProtocolAnomaly, "malformed", "sent packets that break the rules of their protocol", "to" },
    /// [`Kind::ProtocolAnomaly`]: connections or flows to a port whose first payload is of another protocol.
    OtherProtocol { ProtocolAnomaly, "other_protocol", "spoke another protocol than that of the port", "with" },
    /// [`Kind::NewDevice`]: stations that are not told one by one.
    NewDevices { NewDevice, "further_devices", "or more further devices not seen before, which are not told one by one", "at" },
    /// [`Kind::DeviceOffline`]: time since a station was seen that was always seen before.
    DeviceOffline { DeviceOffline, Kind::DeviceOffline.name(), "devices", "at" },
}

impl Test {
    /// Test of the same kind for floods of many sources on one destination, if this is the one for floods of one source.
    #[must_use]
    pub const fn per_victim(self) -> Option<Self> {
        match self {
            Self::SynFloodPerSource => Some(Self::SynFloodPerVictim),
            Self::IcmpFloodPerSource => Some(Self::IcmpFloodPerVictim),
            Self::UdpFloodPerSource => Some(Self::UdpFloodPerVictim),
            Self::TcpFloodPerSource => Some(Self::TcpFlood),
            Self::FragmentFloodPerSource => Some(Self::FragmentFlood),
            _ => None,
        }
    }
}

/// Severity of an alert. Only [`Severity::Medium`] and above claim an attack.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Severity {
    /// Worth knowing, nothing wrong.
    #[default]
    Info,
    /// Unusual; weak evidence.
    Low,
    /// Probably an attack or a breach of policy.
    Medium,
    /// An attack under way.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Name in settings and machine output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The text names no severity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseSeverityError;

impl fmt::Display for ParseSeverityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a severity is one of info, low, medium, high, critical")
    }
}

impl core::error::Error for ParseSeverityError {}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, ParseSeverityError> {
        Self::ALL.into_iter().find(|severity| severity.name() == text).ok_or(ParseSeverityError)
    }
}

/// Stage of an incident that a message reports.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Phase {
    /// First message.
    Open,
    /// It continues; sent at a limited rate.
    Update,
    /// It has been idle for the timeout; totals of the whole incident.
    Close,
}

impl Phase {
    /// Name in machine output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
